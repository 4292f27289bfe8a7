/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/row_tail.h"

/* The lanes past the channels may hold any byte, and what is in the slack may be anything: sums may wrap there, hence unsigned. */
typedef uint8_t elem_t;
typedef int8_t weight_t;
typedef int16_t packed_t;
typedef uint32_t sum_t;

static inline sum_t mul(packed_t w, elem_t x) { return (sum_t)(w * (int16_t)x); }

static inline void first_sums(sum_t *acc, const struct vd_row_conv *c, int oc, int step)
{
    for (int i = 0; i < (step ? VD_LANES : 1); i++)
        acc[i] = (sum_t)c->tail.bias32[oc + i];
}

static inline void finish_block(const struct vd_row_conv *c, int ob, const sum_t acc[VD_LANES], void *dst, size_t dst_block,
                                const float *residual, size_t residual_block, int x, struct vd_row_range *range)
{
    const int oc = ob * VD_LANES, n = c->shape.oc - oc < VD_LANES ? c->shape.oc - oc : VD_LANES;
    char *out = (char *)dst + (size_t)ob * dst_block;
    float v[VD_LANES] = {0};

    if (c->tail.to_bytes) {
        vd_row_tail_u8(&c->tail, oc, 1, VD_LANES, acc, (uint8_t *)out + (ptrdiff_t)x * VD_LANES);
        return;
    }
    for (int i = 0; i < n; i++)
        v[i] = (float)(int32_t)acc[i] * c->tail.scale[oc + i];
    vd_row_tail_f32(&c->tail, oc, 1, n, v,
                    residual ? (const float *)((const char *)residual + (size_t)ob * residual_block) + (ptrdiff_t)x * VD_LANES : NULL, range);
    for (int i = 0; i < VD_LANES; i++)
        ((float *)out)[(ptrdiff_t)x * VD_LANES + i] = v[i];
}

static inline void finish_pixel(const struct vd_row_conv *c, sum_t acc, void *dst, const float *residual, int x,
                                struct vd_row_range *range)
{
    float v;

    if (c->tail.to_bytes) {
        vd_row_tail_u8(&c->tail, 0, 0, 1, &acc, (uint8_t *)dst + x);
        return;
    }
    v = (float)(int32_t)acc * c->tail.scale[0];
    vd_row_tail_f32(&c->tail, 0, 0, 1, &v, residual ? residual + x : NULL, range);
    ((float *)dst)[x] = v;
}

#include "kernels/conv_row_tmpl.h"

void vd_conv_u8_row_c(struct vd_row_kernels *k) { CONV_ROW_INIT(k, u8); }
