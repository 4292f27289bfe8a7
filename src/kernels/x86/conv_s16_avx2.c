/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/x86/vec_avx2.h"

#include "kernels/conv_s16_tmpl.h"

VD_CONV_FROM_TILES(vd_conv_s16_avx2, VD_TILES_S16_OF_FOUR)
