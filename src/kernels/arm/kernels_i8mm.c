/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/kernels_impl.h"

/* On top of the set with dot products: the same rows, without the detour over signed inputs. */
void vd_kernels_init_i8mm(struct vd_kernels *k) { vd_conv_u8_row_i8mm(&k->row); }
