/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/x86/vec_avx512vnni.h"

#include "kernels/conv_f32_tmpl.h"

VD_CONV_FROM_TILES(vd_conv_f32_avx512vnni, VD_TILES_OF_FOUR)
