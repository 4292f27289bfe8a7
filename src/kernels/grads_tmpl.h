/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_GRADS_TMPL_H
#define VD_GRADS_TMPL_H

#include "kernels/grads.h"

/* One source for every set, which gives before it: v16, 16 floats; v16_zero(), v16_load(p), v16_store(p, v), v16_mul_add(sum, a, b),
 * v16_mul_add1(sum, a, b) with b one float; and VD_GRAD_PASSES, in how many parts 16 input channels go through the registers. */
static inline const float *block_of(const void *row, int block, size_t step) { return (const float *)((const char *)row + (size_t)block * step); }

static inline void add_to(float *p, v16 v)
{
    float sum[VD_LANES];
    v16_store(sum, v);
    for (int i = 0; i < VD_LANES; i++)
        p[i] += sum[i];
}

/* HALF input channels at a time, so that the sums of all stay in registers. */
#define HALF (VD_LANES / VD_GRAD_PASSES)

static void weight_dense(const struct vd_row_shape *s, float *dw, const float *g, size_t g_block, const void *const *src, size_t src_block,
                         int width)
{
    const int ob = (s->oc + VD_LANES - 1) / VD_LANES, ib = (s->ic + VD_LANES - 1) / VD_LANES;
    for (int o = 0; o < ob; o++)
        for (int b = 0; b < ib; b++)
            for (int ky = 0; ky < s->kh; ky++)
                for (int kx = 0; kx < s->kw; kx++)
                    for (int half = 0; half < VD_GRAD_PASSES; half++, dw += HALF * VD_LANES) {
                        const float *gp = block_of(g, o, g_block), *xp = block_of(src[ky], b, src_block) + (ptrdiff_t)kx * s->dilation * VD_LANES + half * HALF;
                        const ptrdiff_t step = (ptrdiff_t)s->stride * VD_LANES;
                        v16 acc[HALF];
#pragma GCC unroll 16
                        for (int i = 0; i < HALF; i++)
                            acc[i] = v16_zero();
                        for (int x = 0; x < width; x++, gp += VD_LANES, xp += step) {
                            const v16 gv = v16_load(gp);
#pragma GCC unroll 16
                            for (int i = 0; i < HALF; i++)
                                acc[i] = v16_mul_add1(acc[i], gv, xp[i]);
                        }
#pragma GCC unroll 16
                        for (int i = 0; i < HALF; i++)
                            add_to(dw + i * VD_LANES, acc[i]);
                    }
}

static void weight_first(const struct vd_row_shape *s, float *dw, const float *g, size_t g_block, const void *const *src, size_t src_block,
                         int width)
{
    (void)src_block;
    for (int o = 0; o < (s->oc + VD_LANES - 1) / VD_LANES; o++)
        for (int ky = 0; ky < s->kh; ky++)
            for (int kx = 0; kx < s->kw; kx++, dw += VD_LANES) {
                const float *gp = block_of(g, o, g_block), *xp = (const float *)src[ky] + (ptrdiff_t)kx * s->dilation;
                v16 even = v16_zero(), odd = v16_zero();
                int x = 0;
                for (; x + 1 < width; x += 2, gp += 2 * VD_LANES, xp += 2 * s->stride) {
                    even = v16_mul_add1(even, v16_load(gp), xp[0]);
                    odd = v16_mul_add1(odd, v16_load(gp + VD_LANES), xp[s->stride]);
                }
                if (x < width)
                    even = v16_mul_add1(even, v16_load(gp), xp[0]);
                add_to(dw, even);
                add_to(dw, odd);
            }
}

static void weight_last(const struct vd_row_shape *s, float *dw, const float *g, size_t g_block, const void *const *src, size_t src_block,
                        int width)
{
    (void)g_block;
    for (int b = 0; b < (s->ic + VD_LANES - 1) / VD_LANES; b++)
        for (int ky = 0; ky < s->kh; ky++)
            for (int kx = 0; kx < s->kw; kx++, dw += VD_LANES) {
                const float *xp = block_of(src[ky], b, src_block) + (ptrdiff_t)kx * s->dilation * VD_LANES;
                const ptrdiff_t step = (ptrdiff_t)s->stride * VD_LANES;
                v16 even = v16_zero(), odd = v16_zero();
                int x = 0;
                for (; x + 1 < width; x += 2, xp += 2 * step) {
                    even = v16_mul_add1(even, v16_load(xp), g[x]);
                    odd = v16_mul_add1(odd, v16_load(xp + step), g[x + 1]);
                }
                if (x < width)
                    even = v16_mul_add1(even, v16_load(xp), g[x]);
                add_to(dw, even);
                add_to(dw, odd);
            }
}

static void weight_depthwise(const struct vd_row_shape *s, float *dw, const float *g, size_t g_block, const void *const *src, size_t src_block,
                             int width)
{
    for (int b = 0; b < (s->oc + VD_LANES - 1) / VD_LANES; b++)
        for (int ky = 0; ky < s->kh; ky++)
            for (int kx = 0; kx < s->kw; kx++, dw += VD_LANES) {
                const float *gp = block_of(g, b, g_block), *xp = block_of(src[ky], b, src_block) + (ptrdiff_t)kx * s->dilation * VD_LANES;
                const ptrdiff_t step = (ptrdiff_t)s->stride * VD_LANES;
                v16 even = v16_zero(), odd = v16_zero();
                int x = 0;
                for (; x + 1 < width; x += 2, gp += 2 * VD_LANES, xp += 2 * step) {
                    even = v16_mul_add(even, v16_load(gp), v16_load(xp));
                    odd = v16_mul_add(odd, v16_load(gp + VD_LANES), v16_load(xp + step));
                }
                if (x < width)
                    even = v16_mul_add(even, v16_load(gp), v16_load(xp));
                add_to(dw, even);
                add_to(dw, odd);
            }
}

#define VD_GRAD_SET(set) \
    struct vd_grad_kernels vd_grads_##set = {.weight = {[VD_ROW_DENSE] = weight_dense, [VD_ROW_FIRST] = weight_first, \
                                                        [VD_ROW_LAST] = weight_last, [VD_ROW_DEPTHWISE] = weight_depthwise}}

#endif
