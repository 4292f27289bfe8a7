/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/kernels_impl.h"

void vd_kernels_init_neon(struct vd_kernels *k)
{
    k->conv_f32 = vd_conv_f32_neon;
    k->conv_s16 = vd_conv_s16_neon;
    k->range_f32 = vd_range_f32_neon;
    k->quantize_pair = vd_quantize_pair_neon;
    k->u8_to_f32 = vd_u8_to_f32_neon;
    k->u16_to_f32 = vd_u16_to_f32_neon;
    k->f32_to_u8 = vd_f32_to_u8_neon;
    k->f32_to_u16 = vd_f32_to_u16_neon;
    vd_conv_u8_row_neon(&k->row);
    vd_conv_f32_row_neon(&k->row);
    vd_rows_neon(&k->row);
}
