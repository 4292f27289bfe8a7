/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/kernels_impl.h"

void vd_kernels_init_avx2(struct vd_kernels *k)
{
    k->conv_f32 = vd_conv_f32_avx2;
    k->conv_s16 = vd_conv_s16_avx2;
    k->range_f32 = vd_range_f32_avx2;
    k->quantize_pair = vd_quantize_pair_avx2;
    k->u8_to_f32 = vd_u8_to_f32_avx2;
    k->u16_to_f32 = vd_u16_to_f32_avx2;
    k->f32_to_u8 = vd_f32_to_u8_avx2;
    k->f32_to_u16 = vd_f32_to_u16_avx2;
    vd_conv_u8_row_avx2(&k->row);
    vd_conv_f32_row_avx2(&k->row);
    vd_pool_row_avx2(&k->row);
    vd_rows_avx2(&k->row);
}
