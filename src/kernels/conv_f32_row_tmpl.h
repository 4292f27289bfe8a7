/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_CONV_F32_ROW_TMPL_H
#define VD_CONV_F32_ROW_TMPL_H

#include <string.h>
#include "kernels/row_tail_tmpl.h"

/* Row convolutions of floats, summed as they stand. A tile is some neighbouring pixels of one block of output channels, whose sums stay
 * in registers; one input value is broadcast from memory against the weights of a block. Each sum is made in the order (ky, kx, ic),
 * wherever the row is cut. */

struct vr_float_job {
    const struct vd_row_conv *c;
    const float *const *src;
    size_t src_block;      /* floats */
    ptrdiff_t step, pixel; /* floats between taps along the row, and between neighbouring output pixels */
    const float *weight;   /* of this block */
    int block;
    float *dst;            /* pixel 0 of the block */
    const float *residual;
    struct vr_tail tail;
};

VR_INLINE void vr_zero_sums(vd_v acc[][VR_NV], const int np)
{
    VR_UNROLL
    for (int p = 0; p < np; p++)
        VR_UNROLL
        for (int v = 0; v < VR_NV; v++)
            acc[p][v] = vv_zero();
}

/* One input value of each pixel against a block's weights. */
VR_INLINE void vr_one(vd_v acc[][VR_NV], const float *s, const float *w, const int np, const ptrdiff_t pixel)
{
    vd_v weight[VR_NV];

    VR_UNROLL
    for (int v = 0; v < VR_NV; v++)
        weight[v] = vv_load(w + v * VV_LANES);
    VR_UNROLL
    for (int p = 0; p < np; p++) {
        const vd_v x = vv_set1(s[p * pixel]);
        VR_UNROLL
        for (int v = 0; v < VR_NV; v++)
            acc[p][v] = vv_fma(weight[v], x, acc[p][v]);
    }
}

#if defined(vv_fma_lane)
/* The empty statement keeps compilers from loading the weights of the next lanes while this one's are in use, for want of registers. */
#define VR_LANE(lane) \
    do { \
        __asm__("" : "+r"(w)); \
        VR_UNROLL \
        for (int v = 0; v < VR_NV; v++) { \
            const vd_v weight = vv_load(w + lane * VD_LANES + v * VV_LANES); \
            VR_UNROLL \
            for (int p = 0; p < np; p++) \
                acc[p][v] = vv_fma_lane(x[p], lane, weight, acc[p][v]); \
        } \
    } while (0)
/* Four input values of each pixel, in their order. */
VR_INLINE void vr_four(vd_v acc[][VR_NV], const float *s, const float *w, const int np, const ptrdiff_t pixel)
{
    vd_v x[VR_FLOAT > VR_WINO ? VR_FLOAT : VR_WINO];

    VR_UNROLL
    for (int p = 0; p < np; p++)
        x[p] = vv_load(s + p * pixel);
    VR_LANE(0);
    VR_LANE(1);
    VR_LANE(2);
    VR_LANE(3);
}
#undef VR_LANE
#endif

/* n channels of one block of each pixel; gives what follows their weights. */
VR_INLINE const float *vr_channels(vd_v acc[][VR_NV], const float *s, const float *w, int n, const int np, const ptrdiff_t pixel)
{
    int i = 0;

#if defined(vv_fma_lane)
    for (; i + 4 <= n; i += 4, w += 4 * VD_LANES)
        vr_four(acc, s + i, w, np, pixel);
#endif
    for (; i < n; i++, w += VD_LANES)
        vr_one(acc, s + i, w, np, pixel);
    return w;
}

VR_INLINE void vr_dense_sums(const struct vr_float_job *j, vd_v acc[][VR_NV], int x, const int np, const ptrdiff_t pixel)
{
    const struct vd_row_shape *s = &j->c->shape;
    const float *w = j->weight;

    vr_zero_sums(acc, np);
    for (int ky = 0; ky < s->kh; ky++) {
        const float *row = j->src[ky] + x * pixel;
        for (int kx = 0; kx < s->kw; kx++, row += j->step) {
            const float *block = row;
            for (int left = s->ic; left > 0; left -= VD_LANES, block += j->src_block)
                w = vr_channels(acc, block, w, left < VD_LANES ? left : VD_LANES, np, pixel);
        }
    }
}

VR_INLINE void vr_depthwise_sums(const struct vr_float_job *j, vd_v acc[][VR_NV], int x, const int np, const ptrdiff_t pixel)
{
    const struct vd_row_shape *s = &j->c->shape;
    const float *w = j->weight;

    vr_zero_sums(acc, np);
    for (int ky = 0; ky < s->kh; ky++) {
        const float *row = j->src[ky] + (size_t)j->block * j->src_block + x * pixel;
        for (int kx = 0; kx < s->kw; kx++, row += j->step, w += VD_LANES)
            VR_UNROLL
            for (int v = 0; v < VR_NV; v++) {
                const vd_v weight = vv_load(w + v * VV_LANES);
                VR_UNROLL
                for (int p = 0; p < np; p++)
                    acc[p][v] = vv_fma(weight, vv_load(row + p * pixel + v * VV_LANES), acc[p][v]);
            }
    }
}

typedef void vr_float_tile_fn(struct vr_float_job *j, int x, int n);

/* Tails that are not usual. */
static __attribute__((noinline)) void vr_finish_row(struct vr_float_job *j, vd_v acc[][VR_NV], int x, int n)
{
    float *out = j->dst + (ptrdiff_t)x * VD_LANES;
    const float *residual = j->residual ? j->residual + (ptrdiff_t)x * VD_LANES : NULL;
    struct vr_tail t = j->tail;

    for (int p = 0; p < n; p++, out += VD_LANES)
        VR_UNROLL
        for (int v = 0; v < VR_NV; v++)
            vr_finish(&t, acc[p][v], v, out + v * VV_LANES, residual ? residual + p * VD_LANES + v * VV_LANES : NULL);
    if (t.range)
        j->tail = t;
}

/* n: pixels of the tile that are in the row; np: that it makes; quick: usual tails are done in registers, which is much code */
#define VR_FLOAT_TILE(np, name, quick, sums_of, pixel) \
    static __attribute__((noinline)) void tile_##name(struct vr_float_job *j, int x, int n) \
    { \
        vd_v acc[np][VR_NV], sums[np][VR_NV]; \
        sums_of(j, acc, x, np, pixel); \
        if (quick && !j->tail.range && vr_is_usual(&j->tail, j->residual)) { \
            const ptrdiff_t at = (ptrdiff_t)x * VD_LANES; \
            if (j->residual) \
                vr_finish_pixels(&j->tail, acc, j->dst + at, j->residual + at, n, np, 1, 0); \
            else \
                vr_finish_pixels(&j->tail, acc, j->dst + at, NULL, n, np, 0, 0); \
            return; \
        } \
        VR_UNROLL \
        for (int p = 0; p < np; p++) /* a copy, so that acc has no address and stays in registers */ \
            VR_UNROLL \
            for (int v = 0; v < VR_NV; v++) \
                sums[p][v] = acc[p][v]; \
        vr_finish_row(j, sums, x, n); \
    }
#define VR_FLOAT_TILES(name, sums_of, pixel) \
    VR_FLOAT_TILE(VR_FLOAT, name##_large, 1, sums_of, pixel) \
    VR_FLOAT_TILE(VR_MIDDLE, name##_middle, 0, sums_of, pixel) \
    VR_FLOAT_TILE(VR_SMALL, name##_small, 0, sums_of, pixel)

VR_FLOAT_TILES(dense1, vr_dense_sums, VD_LANES)
VR_FLOAT_TILES(dense2, vr_dense_sums, 2 * VD_LANES)
VR_FLOAT_TILE(VR_MIDDLE, first, 0, vr_dense_sums, j->pixel)
VR_FLOAT_TILE(VR_SMALL, any, 0, vr_dense_sums, j->pixel)
VR_FLOAT_TILE(VR_MIDDLE, depthwise, 0, vr_depthwise_sums, j->pixel)
VR_FLOAT_TILE(VR_SMALL, depthwise_any, 0, vr_depthwise_sums, j->pixel)

/* 3x3 with one product a tap (first layer, depthwise), bias and clamp: a block of a whole row, its weights in registers. Few pixels at a time, so that
 * their stores, which take the multipliers' turns, lie between the products of the next. */
VR_INLINE void vr_nine(const struct vr_float_job *j, int width, const int lanes, const int stride)
{
    const size_t at = lanes == 1 ? 0 : (size_t)j->block * j->src_block;

    for (int v = 0; v < VR_NV; v++) {
        const vd_v bias = j->tail.bias[v], lo = j->tail.lo, hi = j->tail.hi;
        const vd_mask keep = j->tail.lanes[v];
        const float *s[3];
        float *out = j->dst + v * VV_LANES;
        vd_v w[9];

        VR_UNROLL
        for (int t = 0; t < 9; t++)
            w[t] = vv_load(j->weight + t * VD_LANES + v * VV_LANES);
        for (int ky = 0; ky < 3; ky++)
            s[ky] = j->src[ky] + at + (lanes == 1 ? 0 : v * VV_LANES);
        for (int x = 0; x < width; x += VR_NINE, out += VR_NINE * VD_LANES) {
            vd_v acc[VR_NINE];

            VR_UNROLL
            for (int p = 0; p < VR_NINE; p++)
                acc[p] = vv_zero();
            VR_UNROLL
            for (int ky = 0; ky < 3; ky++) {
                VR_UNROLL
                for (int kx = 0; kx < 3; kx++)
                    VR_UNROLL
                    for (int p = 0; p < VR_NINE; p++) {
                        const float *from = s[ky] + (p * stride + kx) * lanes;
                        acc[p] = vv_fma(w[3 * ky + kx], lanes == 1 ? vv_set1(*from) : vv_load(from), acc[p]);
                    }
                s[ky] += VR_NINE * stride * lanes;
            }
            VR_UNROLL
            for (int p = 0; p < VR_NINE; p++)
                vv_store(out + p * VD_LANES, vv_min_keep(keep, hi, vv_max(lo, vv_add(acc[p], bias))));
        }
    }
}

typedef void vr_nine_fn(const struct vr_float_job *j, int width);
#define VR_NINE_OF(name, lanes, stride) \
    static __attribute__((noinline)) void nine_##name(const struct vr_float_job *j, int width) { vr_nine(j, width, lanes, stride); }
VR_NINE_OF(first1, 1, 1)
VR_NINE_OF(first2, 1, 2)
VR_NINE_OF(depthwise1, VD_LANES, 1)
VR_NINE_OF(depthwise2, VD_LANES, 2)

static void vr_conv_f32(const struct vd_row_conv *c, void *dst, size_t dst_block, const void *const *src, size_t src_block,
                        const float *residual, size_t residual_block, int width)
{
    static vr_float_tile_fn *const tiles[5][3] = {
        {tile_dense1_large, tile_dense1_middle, tile_dense1_small}, {tile_dense2_large, tile_dense2_middle, tile_dense2_small},
        {NULL, NULL, tile_any}, {NULL, tile_first, tile_any}, {NULL, tile_depthwise, tile_depthwise_any},
    };
    static vr_nine_fn *const nines[2][2] = {{nine_first1, nine_first2}, {nine_depthwise1, nine_depthwise2}};
    const struct vd_row_shape *s = &c->shape;
    const bool dense = s->kind == VD_ROW_DENSE, depthwise = s->kind == VD_ROW_DEPTHWISE;
    const int lanes = s->kind == VD_ROW_FIRST ? 1 : VD_LANES;
    vr_float_tile_fn *const *fn = tiles[depthwise ? 4 : !dense ? 3 : s->stride > 2 ? 2 : s->stride - 1];
    vr_nine_fn *nine = !dense && s->kh == 3 && s->kw == 3 && s->dilation == 1 && s->stride <= 2 && !residual && !c->tail.clamp2 && !c->tail.range
                           ? nines[depthwise][s->stride - 1]
                           : NULL;
    struct vr_float_job j; /* not cleared: of a short row that would be a tenth */
    const size_t block = (size_t)(s->kh * s->kw) * (size_t)(depthwise ? 1 : s->ic) * VD_LANES;

    j.c = c;
    j.src = (const float *const *)src;
    j.src_block = src_block / sizeof(float);
    j.step = (ptrdiff_t)s->dilation * lanes;
    j.pixel = (ptrdiff_t)s->stride * lanes;
    vr_tail_init(&j.tail, &c->tail);
    for (int ob = 0; ob * VD_LANES < s->oc; ob++) {
        j.block = ob;
        j.weight = (const float *)c->weight + (size_t)ob * block;
        j.dst = (float *)(void *)((char *)dst + (size_t)ob * dst_block);
        j.residual = residual ? (const float *)(const void *)((const char *)residual + (size_t)ob * residual_block) : NULL;
        vr_tail_block(&j.tail, &c->tail, ob, s->oc);
        if (nine) {
            nine(&j, width);
            continue;
        }
        for (int x = 0, n; x < width; x += n) {
            const int left = width - x, i = fn[0] && left > VR_FLOAT - VR_SMALL ? 0 : fn[1] && left > VR_SMALL ? 1 : 2;
            n = i == 0 ? VR_FLOAT : i == 1 ? VR_MIDDLE : VR_SMALL;
            fn[i](&j, x, n < left ? n : left);
        }
    }
    vr_tail_end(&j.tail, &c->tail);
}

/* One output channel: VR_LAST vectors of pixels at a time, each pixel summed over its channels' lanes, which are added at the end. */
static void vr_last_f32(const struct vd_row_conv *c, void *dst, size_t dst_block, const void *const *src, size_t src_block,
                        const float *residual, size_t residual_block, int width)
{
    const struct vd_row_shape *s = &c->shape;
    const ptrdiff_t pixel = (ptrdiff_t)s->stride * VD_LANES;
    struct vr_tail t;

    (void)dst_block, (void)residual_block;
    vr_tail_init(&t, &c->tail);
    vr_tail_thin(&t, &c->tail);
    for (int x = 0; x < width; x += VR_LAST * VV_LANES) {
        const float *w = c->weight;
        vd_v acc[VR_LAST * VV_LANES];
        VR_UNROLL
        for (int p = 0; p < VR_LAST * VV_LANES; p++)
            acc[p] = vv_zero();
        for (int ky = 0; ky < s->kh; ky++)
            for (int kx = 0; kx < s->kw; kx++) {
                const float *e = (const float *)src[ky] + x * pixel + (ptrdiff_t)kx * s->dilation * VD_LANES;
                for (int left = s->ic; left > 0; left -= VD_LANES, e += src_block / sizeof(float))
                    for (int v = 0; v < VR_NV; v++, w += VV_LANES) {
                        const vd_v weight = vv_load(w);
                        VR_UNROLL
                        for (int p = 0; p < VR_LAST * VV_LANES; p++)
                            acc[p] = vv_fma(weight, vv_load(e + p * pixel + v * VV_LANES), acc[p]);
                    }
            }
        VR_UNROLL
        for (int v = 0; v < VR_LAST; v++) {
            const int at = x + v * VV_LANES, n = width - at;
            t.lanes[0] = vv_mask(n < 0 ? 0 : n < VV_LANES ? n : VV_LANES);
            vr_finish(&t, vv_add_lanes(acc + v * VV_LANES), 0, (float *)dst + at, residual ? residual + at : NULL);
        }
    }
    vr_tail_end(&t, &c->tail);
}

/* [oc block][ky][kx][ic][16], depthwise [block][ky][kx][16] */
static size_t vr_pack_f32(const struct vd_row_shape *s, const void *weight, void *pack)
{
    const float *w = weight;
    float *out = pack;
    const size_t taps = (size_t)(s->kh * s->kw), ic = s->kind == VD_ROW_DEPTHWISE ? 1 : (size_t)s->ic;
    const size_t size = ((size_t)s->oc + VD_LANES - 1) / VD_LANES * taps * ic * VD_LANES * sizeof(float);

    if (!pack)
        return size;
    memset(pack, 0, size);
    for (size_t o = 0; o < (size_t)s->oc; o++)
        for (size_t i = 0; i < ic; i++)
            for (size_t t = 0; t < taps; t++)
                out[((o / VD_LANES * taps + t) * ic + i) * VD_LANES + o % VD_LANES] = *w++;
    return size;
}

/* The last layer's weights keep the C reference's order. */
static inline void vr_conv_f32_init(struct vd_row_kernels *k)
{
    k->conv_f32[VD_ROW_DENSE] = k->conv_f32[VD_ROW_FIRST] = k->conv_f32[VD_ROW_DEPTHWISE] = vr_conv_f32;
    k->pack_f32[VD_ROW_DENSE] = k->pack_f32[VD_ROW_FIRST] = k->pack_f32[VD_ROW_DEPTHWISE] = vr_pack_f32;
    k->conv_f32[VD_ROW_LAST] = vr_last_f32;
}

#endif
