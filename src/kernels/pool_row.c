/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/kernels_impl.h"
#if defined(__ARM_NEON)
#define VD_POOL_BYTES 16
#endif
#include "kernels/pool_row_tmpl.h"

void vd_pool_row_c(struct vd_row_kernels *k) { vd_pool_row_init(k); }
