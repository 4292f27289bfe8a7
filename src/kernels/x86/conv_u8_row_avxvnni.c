/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/x86/vec_avxvnni.h"

#include "kernels/x86/row_bytes_avx2_tmpl.h"

#include "kernels/x86/conv_u8_row_tmpl.h"

/* Depthwise and last layers stay as they are in AVX2. */
void vd_conv_u8_row_avxvnni(struct vd_row_kernels *k) { vr_conv_u8_init(k); }
