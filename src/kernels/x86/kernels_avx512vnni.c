/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/kernels_impl.h"

/* On top of the AVX2 set: planes stay as they are there. */
void vd_kernels_init_avx512vnni(struct vd_kernels *k)
{
    k->conv_f32 = vd_conv_f32_avx512vnni;
    k->conv_s16 = vd_conv_s16_avx512vnni;
    k->range_f32 = vd_range_f32_avx512vnni;
    k->quantize_pair = vd_quantize_pair_avx512vnni;
    vd_conv_u8_row_avx512vnni(&k->row);
    vd_conv_f32_row_avx512vnni(&k->row);
    vd_pool_row_avx512vnni(&k->row);
    vd_rows_avx512vnni(&k->row);
}
