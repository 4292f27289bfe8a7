/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_WINO_F32_ROW_TMPL_H
#define VD_WINO_F32_ROW_TMPL_H

#include "kernels/conv_f32_row_tmpl.h"

/* Winograd's F(4,3) along the row (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015, with the points 0, 1, -1, 2, -2
 * and infinity): four outputs of three taps are six products in place of twelve. Tile t makes pixels 4 t to 4 t + 3 from the
 * six inputs that begin at 4 t. With
 *     u = G w (pack_wino, in float64, rounded once)    v = B x (wino_row)    m_j = sum over ky and ic of u_j v_j
 * the outputs are A m. Error: docs/numerics.md.
 *
 * A transformed row is [ic block][6][tile][16]. One of the six at a time: its sums for some tiles stay in registers over all
 * rows and channels, then wait on the stack for the other five. */
enum {
    VR_POINTS = 6,
    VR_OUTPUTS = 4,
    VR_WINO_SMALL = VR_WINO / 3, /* tiles at the end of a row */
};

/* Tiles that a transformed row has: what the last group of them reads is there. */
static inline int vr_wino_tiles(int width)
{
    const int tiles = (width + VR_OUTPUTS - 1) / VR_OUTPUTS;

    return (tiles + VR_WINO_SMALL - 1) / VR_WINO_SMALL * VR_WINO_SMALL;
}

static size_t vr_wino_bytes(int ic, int width)
{
    return (size_t)((ic + VD_LANES - 1) / VD_LANES) * VR_POINTS * (size_t)vr_wino_tiles(width) * VD_LANES * sizeof(float);
}

VR_INLINE void vr_wino_in(float *dst, size_t position, const vd_v x[VR_POINTS])
{
    const vd_v two = vv_set1(2), four = vv_set1(4), five = vv_set1(5);
    const vd_v a = vv_nfma(four, x[2], x[4]), b = vv_nfma(four, x[1], x[3]); /* x4 - 4 x2, x3 - 4 x1 */
    const vd_v c = vv_sub(x[4], x[2]), d = vv_sub(x[3], x[1]);

    vv_store(dst, vv_fma(four, x[0], vv_nfma(five, x[2], x[4])));
    vv_store(dst + position, vv_add(a, b));
    vv_store(dst + 2 * position, vv_sub(a, b));
    vv_store(dst + 3 * position, vv_fma(two, d, c));
    vv_store(dst + 4 * position, vv_nfma(two, d, c));
    vv_store(dst + 5 * position, vv_fma(four, x[1], vv_nfma(five, x[3], x[5])));
}

/* Inputs right of what the row's own pixels reach count as 0, so that nothing depends on the slack. */
static void vr_wino_row(void *dst, const float *src, size_t src_block, int ic, int width)
{
    const int tiles = vr_wino_tiles(width), inputs = width + 2;
    const size_t position = (size_t)tiles * VD_LANES;
    float *out = dst;

    for (int left = ic; left > 0; left -= VD_LANES) {
        for (int t = 0; t < tiles; t++)
            for (int v = 0; v < VR_NV; v++) {
                const float *s = src + (ptrdiff_t)t * VR_OUTPUTS * VD_LANES + v * VV_LANES;
                const int n = inputs - t * VR_OUTPUTS;
                vd_v x[VR_POINTS];

                if (n >= VR_POINTS) {
                    VR_UNROLL
                    for (int i = 0; i < VR_POINTS; i++)
                        x[i] = vv_load(s + i * VD_LANES);
                } else {
                    VR_UNROLL
                    for (int i = 0; i < VR_POINTS; i++)
                        x[i] = i < n ? vv_load(s + i * VD_LANES) : vv_zero();
                }
                vr_wino_in(out + (ptrdiff_t)t * VD_LANES + v * VV_LANES, position, x);
            }
        src = (const float *)(const void *)((const char *)src + src_block);
        out += VR_POINTS * position;
    }
}

/* [oc block][6][ky][ic][16] */
static size_t vr_pack_wino(const struct vd_row_shape *s, const void *weight, void *pack)
{
    const float *w = weight;
    float *out = pack;
    const size_t kh = (size_t)s->kh, ic = (size_t)s->ic, position = kh * ic * VD_LANES;
    const size_t size = ((size_t)s->oc + VD_LANES - 1) / VD_LANES * VR_POINTS * position * sizeof(float);

    if (!pack)
        return size;
    memset(pack, 0, size);
    for (size_t o = 0; o < (size_t)s->oc; o++)
        for (size_t i = 0; i < ic; i++)
            for (size_t ky = 0; ky < kh; ky++, w += 3) {
                const double even = (double)w[0] + (double)w[2], odd = w[1], far = (double)w[0] + 4 * (double)w[2];
                const double u[VR_POINTS] = {w[0] / 4.0, -(even + odd) / 6, -(even - odd) / 6, (far + 2 * odd) / 24, (far - 2 * odd) / 24, w[2]};
                for (size_t j = 0; j < VR_POINTS; j++)
                    out[(o / VD_LANES * VR_POINTS + j) * position + (ky * ic + i) * VD_LANES + o % VD_LANES] = (float)u[j];
            }
    return size;
}

/* The sums of one position, of np tiles. s: floats from the row's beginning to the first of them. */
VR_INLINE void vr_wino_sums(const struct vr_float_job *j, float *m, const float *w, size_t s, size_t block, const int np)
{
    vd_v acc[VR_WINO][VR_NV];

    vr_zero_sums(acc, np);
    for (int ky = 0; ky < j->c->shape.kh; ky++) {
        const float *row = j->src[ky] + s;
        for (int left = j->c->shape.ic; left > 0; left -= VD_LANES, row += block)
            w = vr_channels(acc, row, w, left < VD_LANES ? left : VD_LANES, np, VD_LANES);
    }
    VR_UNROLL
    for (int p = 0; p < np; p++)
        VR_UNROLL
        for (int v = 0; v < VR_NV; v++)
            vv_store(m + p * VD_LANES + v * VV_LANES, acc[p][v]);
}

/* Four outputs from the sums, lanes of vector v, to the row's tail; n: of them that exist. */
VR_INLINE void vr_wino_out(struct vr_tail *t, const float *m, const int v, float *out, const float *residual, int n)
{
    vd_v x[VR_POINTS], y[VR_OUTPUTS];

    VR_UNROLL
    for (int j = 0; j < VR_POINTS; j++)
        x[j] = vv_load(m + j * VR_WINO * VD_LANES);
    const vd_v a = vv_add(x[1], x[2]), b = vv_sub(x[1], x[2]), c = vv_add(x[3], x[4]), d = vv_sub(x[3], x[4]);

    y[0] = vv_add(vv_add(x[0], a), c);
    y[1] = vv_fma(vv_set1(2), d, b);
    y[2] = vv_fma(vv_set1(4), c, a);
    y[3] = vv_add(vv_fma(vv_set1(8), d, b), x[5]);
    VR_UNROLL
    for (int p = 0; p < VR_OUTPUTS; p++)
        if (p < n)
            vr_finish(t, y[p], v, out + p * VD_LANES, residual ? residual + p * VD_LANES : NULL);
}

VR_INLINE void vr_wino_tile(struct vr_float_job *j, int tile, int tiles, int width, const int np)
{
    float m[VR_POINTS][VR_WINO][VD_LANES] __attribute__((aligned(64)));
    const size_t position = (size_t)tiles * VD_LANES, taps = (size_t)(j->c->shape.kh * j->c->shape.ic) * VD_LANES;
    struct vr_tail t = j->tail;

    for (size_t k = 0; k < VR_POINTS; k++)
        vr_wino_sums(j, m[k][0], j->weight + k * taps, k * position + (size_t)tile * VD_LANES, VR_POINTS * position, np);
    for (int p = 0, x = tile * VR_OUTPUTS; p < np && x < width; p++, x += VR_OUTPUTS)
        VR_UNROLL
        for (int v = 0; v < VR_NV; v++) {
            const ptrdiff_t at = (ptrdiff_t)x * VD_LANES + v * VV_LANES;
            vr_wino_out(&t, m[0][p] + v * VV_LANES, v, j->dst + at, j->residual ? j->residual + at : NULL, width - x);
        }
    if (t.range)
        j->tail = t;
}

static __attribute__((noinline)) void vr_wino_large(struct vr_float_job *j, int tile, int tiles, int width)
{
    vr_wino_tile(j, tile, tiles, width, VR_WINO);
}

static __attribute__((noinline)) void vr_wino_small(struct vr_float_job *j, int tile, int tiles, int width)
{
    vr_wino_tile(j, tile, tiles, width, VR_WINO_SMALL);
}

static void vr_conv_wino(const struct vd_row_conv *c, void *dst, size_t dst_block, const void *const *src, size_t src_block,
                         const float *residual, size_t residual_block, int width)
{
    const struct vd_row_shape *s = &c->shape;
    const int tiles = vr_wino_tiles(width);
    struct vr_float_job j = {.c = c, .src = (const float *const *)src};

    (void)src_block;
    assert(s->kw == 3 && s->stride == 1 && s->dilation == 1);
    vr_tail_init(&j.tail, &c->tail);
    for (int ob = 0; ob * VD_LANES < s->oc; ob++) {
        j.weight = (const float *)c->weight + (size_t)ob * VR_POINTS * (size_t)(s->kh * s->ic) * VD_LANES;
        j.dst = (float *)(void *)((char *)dst + (size_t)ob * dst_block);
        j.residual = residual ? (const float *)(const void *)((const char *)residual + (size_t)ob * residual_block) : NULL;
        vr_tail_block(&j.tail, &c->tail, ob, s->oc);
        for (int t = 0, n; t < tiles; t += n) {
            n = tiles - t >= VR_WINO ? VR_WINO : VR_WINO_SMALL;
            (n == VR_WINO ? vr_wino_large : vr_wino_small)(&j, t, tiles, width);
        }
    }
    vr_tail_end(&j.tail, &c->tail);
}

static inline void vr_wino_init(struct vd_row_kernels *k)
{
    k->wino_bytes = vr_wino_bytes;
    k->wino_row = vr_wino_row;
    k->pack_wino = vr_pack_wino;
    k->conv_wino = vr_conv_wino;
}

#endif
