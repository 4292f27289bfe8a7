/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/arm/vec_neon.h"

#include "kernels/conv_f32_tmpl.h"

VD_CONV_FROM_TILES(vd_conv_f32_neon, VD_TILES_OF_FOUR)
