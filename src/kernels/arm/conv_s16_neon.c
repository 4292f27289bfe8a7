/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/arm/vec_neon.h"

#include "kernels/conv_s16_tmpl.h"

VD_CONV_FROM_TILES(vd_conv_s16_neon, VD_TILES_S16_OF_FOUR)
