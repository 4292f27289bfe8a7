/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_WINO_U8_ROW_AVX2_H
#define VD_WINO_U8_ROW_AVX2_H

#include "kernels/rows.h"

/* Dense layers of bytes by Winograd in whole numbers: those that fit; the other two are a pack and a conv function as in rows.h. */
int vd_wino_u8_fits(const struct vd_row_shape *s);
size_t vd_pack_wino_u8(const struct vd_row_shape *s, const void *weight, void *pack);
void vd_conv_wino_u8(const struct vd_row_conv *c, void *dst, size_t dst_block, const void *const *src, size_t src_block,
                     const float *residual, size_t residual_block, int width);

#endif
