/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/arm/vec_neon.h"

#include "kernels/wino_f32_row_tmpl.h"

void vd_conv_f32_row_neon(struct vd_row_kernels *k)
{
    vr_conv_f32_init(k);
    vr_wino_init(k);
}
