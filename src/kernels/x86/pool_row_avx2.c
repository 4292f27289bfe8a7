/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/kernels_impl.h"
#define VD_POOL_BYTES 32
#include "kernels/pool_row_tmpl.h"

void vd_pool_row_avx2(struct vd_row_kernels *k) { vd_pool_row_init(k); }
