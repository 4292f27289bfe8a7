/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/x86/vec_avx2.h"

#include "kernels/x86/row_bytes_avx2_tmpl.h"
#include "kernels/x86/wino_u8_row_avx2.h"

/* Winograd's F(2,3) along the row in whole numbers, exact: two outputs of three taps are four products in place of six. With inputs x0
 * to x3 and taps w0 to w2,
 *     m0 = (x0 - x2) w0               m1 = (x1 + x2) (w0 + w1 + w2)
 *     m3 = (x1 - x3) w2               m2 = (x2 - x1) (w0 - w1 + w2)
 *     y0 = m0 + (m1 + m2) / 2         y1 = (m1 - m2) / 2 - m3
 * m1 + m2 is twice the sum of x2 (w0 + w2) + x1 w1, m1 - m2 of x1 (w0 + w2) + x2 w1: even, and found right from its 32 bits
 * while 2 * 255 * 128 times the number of products is below 2^31. The m may wrap. Transformed inputs are within 510 and weights within
 * 384: vpmaddwd has room. */
enum {
    POINTS = 4,
    LARGE = 6, SMALL = 2, /* tiles, of two outputs, that are summed together */
    STAGED = 8,           /* transformed input blocks (one of a kernel row) that wait on the stack */
    PAIRS = VD_LANES / 2,
};

int vd_wino_u8_fits(const struct vd_row_shape *s)
{
    return s->kind == VD_ROW_DENSE && s->kw == 3 && s->stride == 1 && s->dilation == 1 && s->ic >= 8 &&
           (int64_t)s->ic * s->kh * 3 * 2 * 255 * 128 < INT32_MAX;
}

static inline int blocks(int channels) { return (channels + VD_LANES - 1) / VD_LANES; }

/* [oc block][ky][ic block][4][ic / 2][16][ic % 2] */
size_t vd_pack_wino_u8(const struct vd_row_shape *s, const void *weight, void *pack)
{
    const int8_t *w = weight;
    int16_t *out = pack;
    const size_t position = PAIRS * VD_LANES * 2, ib = (size_t)blocks(s->ic), kh = (size_t)s->kh;
    const size_t size = (size_t)blocks(s->oc) * kh * ib * POINTS * position * sizeof(int16_t);

    if (!pack)
        return size;
    memset(pack, 0, size);
    for (size_t o = 0; o < (size_t)s->oc; o++)
        for (size_t i = 0; i < (size_t)s->ic; i++)
            for (size_t ky = 0; ky < kh; ky++, w += 3) {
                int16_t *to = out + ((o / VD_LANES * kh + ky) * ib + i / VD_LANES) * POINTS * position +
                              (i % VD_LANES / 2 * VD_LANES + o % VD_LANES) * 2 + i % 2;
                to[0] = w[0];
                to[position] = (int16_t)(w[0] + w[1] + w[2]);
                to[2 * position] = (int16_t)(w[0] - w[1] + w[2]);
                to[3 * position] = w[2];
            }
    return size;
}

/* Sixteen channels of the inputs of np tiles: [4][tile][16]. */
VR_INLINE void transform(int16_t v[POINTS][LARGE][VD_LANES], const uint8_t *s, const int np)
{
    __m256i a = vi_wide(s), b = vi_wide(s + VD_LANES);

    VR_UNROLL
    for (int p = 0; p < np; p++) {
        const __m256i c = vi_wide(s + (2 * p + 2) * VD_LANES), d = vi_wide(s + (2 * p + 3) * VD_LANES);
        _mm256_store_si256((__m256i *)v[0][p], _mm256_sub_epi16(a, c));
        _mm256_store_si256((__m256i *)v[1][p], _mm256_add_epi16(b, c));
        _mm256_store_si256((__m256i *)v[2][p], _mm256_sub_epi16(c, b));
        _mm256_store_si256((__m256i *)v[3][p], _mm256_sub_epi16(b, d));
        a = c;
        b = d;
    }
}

typedef int16_t staged_t[STAGED][POINTS][LARGE][VD_LANES];
typedef int32_t sums_t[POINTS][LARGE][VD_LANES];

/* One position's sums over n staged blocks, added to m. left: channels from the first of them on, of ic a row. */
VR_INLINE void add_staged(sums_t m, const staged_t v, const int16_t *w, int k, int n, int left, int ic, const int np)
{
    vd_vi acc[LARGE][VR_NV];

    VR_UNROLL
    for (int p = 0; p < np; p++)
        VR_UNROLL
        for (int h = 0; h < VR_NV; h++)
            acc[p][h] = _mm256_load_si256((const __m256i *)(m[k][p] + h * VV_LANES));
    for (int e = 0; e < n; e++, w += POINTS * PAIRS * VD_LANES * 2) {
        const int pairs = left < VD_LANES ? (left + 1) / 2 : PAIRS;
        for (int i = 0; i < pairs; i++) {
            const vd_vi w0 = vi_load(w + i * VD_LANES * 2), w1 = vi_load(w + i * VD_LANES * 2 + VD_LANES);
            VR_UNROLL
            for (int p = 0; p < np; p++) {
                const vd_vi x = vi_pair(v[e][k][p] + 2 * i);
                acc[p][0] = vi_dot(acc[p][0], x, w0);
                acc[p][1] = vi_dot(acc[p][1], x, w1);
            }
        }
        left = left > VD_LANES ? left - VD_LANES : ic;
    }
    VR_UNROLL
    for (int p = 0; p < np; p++)
        VR_UNROLL
        for (int h = 0; h < VR_NV; h++)
            _mm256_store_si256((__m256i *)(m[k][p] + h * VV_LANES), acc[p][h]);
}

VR_INLINE void wino_tile(struct vr_job *j, int x, int n, const int np)
{
    const struct vd_row_shape *s = &j->c->shape;
    const int16_t *w = (const int16_t *)(const void *)j->weight;
    staged_t v __attribute__((aligned(64)));
    sums_t m __attribute__((aligned(64)));
    int staged = 0, first_left = s->ic;
    vd_vi y[2 * LARGE][VR_NV];

    memset(m, 0, sizeof(m));
    for (int ky = 0; ky < s->kh; ky++)
        for (int left = s->ic; left > 0; left -= VD_LANES) {
            const size_t block = (size_t)((s->ic - left) / VD_LANES);
            const int last = ky == s->kh - 1 && left <= VD_LANES;
            if (staged == 0)
                first_left = left;
            transform(v[staged++], j->src[ky] + block * j->src_block + (ptrdiff_t)x * VD_LANES, np);
            if (staged < STAGED && !last)
                continue;
            for (int k = 0; k < POINTS; k++)
                add_staged(m, v, w + k * PAIRS * VD_LANES * 2, k, staged, first_left, s->ic, np);
            w += staged * POINTS * PAIRS * VD_LANES * 2;
            staged = 0;
        }
    VR_UNROLL
    for (int h = 0; h < VR_NV; h++) {
        const vd_vi first = _mm256_loadu_si256((const __m256i *)(j->c->tail.bias32 + j->block * VD_LANES + h * VV_LANES));
        VR_UNROLL
        for (int p = 0; p < np; p++) {
            const __m256i m0 = _mm256_load_si256((const __m256i *)(m[0][p] + h * VV_LANES));
            const __m256i m1 = _mm256_load_si256((const __m256i *)(m[1][p] + h * VV_LANES));
            const __m256i m2 = _mm256_load_si256((const __m256i *)(m[2][p] + h * VV_LANES));
            const __m256i m3 = _mm256_load_si256((const __m256i *)(m[3][p] + h * VV_LANES));
            const __m256i even = _mm256_srai_epi32(_mm256_add_epi32(m1, m2), 1), odd = _mm256_srai_epi32(_mm256_sub_epi32(m1, m2), 1);
            y[2 * p][h] = _mm256_add_epi32(first, _mm256_add_epi32(m0, even));
            y[2 * p + 1][h] = _mm256_add_epi32(first, _mm256_sub_epi32(odd, m3));
        }
    }
    if (j->c->tail.to_bytes)
        vr_finish_u8(j, y, x, 2 * np);
    else
        vr_finish_f32(j, y, x, n);
}

static __attribute__((noinline)) void tile_large(struct vr_job *j, int x, int n) { wino_tile(j, x, n, LARGE); }
static __attribute__((noinline)) void tile_small(struct vr_job *j, int x, int n) { wino_tile(j, x, n, SMALL); }

void vd_conv_wino_u8(const struct vd_row_conv *c, void *dst, size_t dst_block, const void *const *src, size_t src_block,
                     const float *residual, size_t residual_block, int width)
{
    const struct vd_row_shape *s = &c->shape;
    struct vr_job j = {.c = c, .src = (const uint8_t *const *)src, .src_block = src_block};
    const size_t block = (size_t)(s->kh * blocks(s->ic)) * POINTS * PAIRS * VD_LANES * 2 * sizeof(int16_t);

    assert(vd_wino_u8_fits(s));
    vr_tail_init(&j.tail, &c->tail);
    for (int ob = 0; ob < blocks(s->oc); ob++) {
        j.block = ob;
        j.weight = (const int8_t *)c->weight + (size_t)ob * block;
        j.dst = (uint8_t *)dst + (size_t)ob * dst_block;
        j.residual = residual ? (const float *)(const void *)((const char *)residual + (size_t)ob * residual_block) : NULL;
        vr_tail_block(&j.tail, &c->tail, ob, s->oc);
        for (int x = 0, n; x < width; x += n) {
            const int left = width - x;
            n = left > 2 * LARGE - 2 * SMALL ? 2 * LARGE : 2 * SMALL;
            (n == 2 * LARGE ? tile_large : tile_small)(&j, x, n < left ? n : left);
        }
    }
    vr_tail_end(&j.tail, &c->tail);
}
