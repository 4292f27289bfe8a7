/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_KERNELS_IMPL_H
#define VD_KERNELS_IMPL_H

#include "kernels/kernels.h"

/* The functions behind the struct, vd_STEM_SET: named so that a ladder in one
 * file can take them from others. One file a stem in each set's folder. */
#define VD_KERNEL_SET(set) \
    void vd_conv_f32_##set(const struct vd_conv_args *a); \
    void vd_conv_s16_##set(const struct vd_conv_args *a); \
    void vd_range_f32_##set(const float *x, size_t n, float *lo, float *hi); \
    void vd_quantize_pair_##set(int16_t *dst, const float *a, const float *b, size_t n, float scale, int zp); \
    void vd_u8_to_f32_##set(float *dst, const uint8_t *src, size_t n); \
    void vd_u16_to_f32_##set(float *dst, const uint16_t *src, size_t n, int max); \
    void vd_f32_to_u8_##set(uint8_t *dst, const float *src, size_t n); \
    void vd_f32_to_u16_##set(uint16_t *dst, const float *src, size_t n, int max)

VD_KERNEL_SET(c);
VD_KERNEL_SET(avx2);
VD_KERNEL_SET(avx512vnni); /* convolutions, range, quantise; the rest is avx2's */
VD_KERNEL_SET(neon);

/* Row kernels (rows.h): a file's function fills in its part of the struct. */
#define VD_ROW_KERNEL_SET(set) \
    void vd_conv_u8_row_##set(struct vd_row_kernels *k); \
    void vd_conv_f32_row_##set(struct vd_row_kernels *k); \
    void vd_pool_row_##set(struct vd_row_kernels *k); \
    void vd_rows_##set(struct vd_row_kernels *k)

VD_ROW_KERNEL_SET(c);
VD_ROW_KERNEL_SET(avx2);
VD_ROW_KERNEL_SET(avxvnni); /* dense and first rows of bytes */
VD_ROW_KERNEL_SET(avx512vnni);
VD_ROW_KERNEL_SET(neon);
VD_ROW_KERNEL_SET(dotprod); /* dense, first and last rows of bytes */
VD_ROW_KERNEL_SET(i8mm);    /* as dotprod */

/* What a caller of either convolution has promised, for assert(). */
#define VD_CONV_ARGS_OK(a) \
    ((a)->rows >= 1 && (a)->width >= 1 && (a)->n_oc >= 1 && (a)->n_oc <= VD_OC_BLOCK && (a)->taps >= 1)

#endif
