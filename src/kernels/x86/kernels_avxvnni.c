/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/kernels_impl.h"

/* On top of the AVX2 set: dense and first rows of bytes. */
void vd_kernels_init_avxvnni(struct vd_kernels *k) { vd_conv_u8_row_avxvnni(&k->row); }
