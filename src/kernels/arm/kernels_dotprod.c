/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/kernels_impl.h"

/* On top of the NEON set: dense, first and last rows of bytes. */
void vd_kernels_init_dotprod(struct vd_kernels *k) { vd_conv_u8_row_dotprod(&k->row); }
