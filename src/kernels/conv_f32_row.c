/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/row_tail.h"

typedef float elem_t;
typedef float weight_t;
typedef float packed_t;
typedef float sum_t;

static inline sum_t mul(packed_t w, elem_t x) { return w * x; }

static inline void first_sums(sum_t *acc, const struct vd_row_conv *c, int oc, int step)
{
    (void)c, (void)oc;
    for (int i = 0; i < (step ? VD_LANES : 1); i++)
        acc[i] = 0;
}

static inline void finish_block(const struct vd_row_conv *c, int ob, sum_t acc[VD_LANES], void *dst, size_t dst_block,
                                const float *residual, size_t residual_block, int x, struct vd_row_range *range)
{
    const int oc = ob * VD_LANES, n = c->shape.oc - oc < VD_LANES ? c->shape.oc - oc : VD_LANES;
    float *out = (float *)((char *)dst + (size_t)ob * dst_block) + (ptrdiff_t)x * VD_LANES;

    vd_row_tail_f32(&c->tail, oc, 1, n, acc,
                    residual ? (const float *)((const char *)residual + (size_t)ob * residual_block) + (ptrdiff_t)x * VD_LANES : NULL, range);
    for (int i = 0; i < VD_LANES; i++)
        out[i] = i < n ? acc[i] : 0.0f;
}

static inline void finish_pixel(const struct vd_row_conv *c, sum_t acc, void *dst, const float *residual, int x,
                                struct vd_row_range *range)
{
    vd_row_tail_f32(&c->tail, 0, 0, 1, &acc, residual ? residual + x : NULL, range);
    ((float *)dst)[x] = acc;
}

#include "kernels/conv_row_tmpl.h"

void vd_conv_f32_row_c(struct vd_row_kernels *k) { CONV_ROW_INIT(k, f32); }
