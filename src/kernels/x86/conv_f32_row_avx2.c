/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/x86/vec_avx2.h"

#include "kernels/wino_f32_row_tmpl.h"

void vd_conv_f32_row_avx2(struct vd_row_kernels *k)
{
    vr_conv_f32_init(k);
    vr_wino_init(k);
}
