/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/x86/vec_avx2.h"

#include "kernels/x86/row_bytes_avx2_tmpl.h"
#include "kernels/x86/wino_u8_row_avx2.h"

/* Winograd's F(4,3) along the row (wino_f32_row_tmpl.h) in whole numbers, exact: four outputs of three taps are six products in place of twelve.
 * Weights are 24 G w, which is whole, so the sums m are those of 24 times the outputs: with x0 to x5 and w0 to w2
 *     m0 = (4 x0 - 5 x2 + x4) 6 w0                    m3 = (x4 - x2 + 2 (x3 - x1)) (w0 + 2 w1 + 4 w2)
 *     m1 = (x4 - 4 x2 + (x3 - 4 x1)) -4 (w0 + w1 + w2)  m4 = (x4 - x2 - 2 (x3 - x1)) (w0 - 2 w1 + 4 w2)
 *     m2 = (x4 - 4 x2 - (x3 - 4 x1)) -4 (w0 - w1 + w2)  m5 = (4 x1 - 5 x3 + x5) 24 w2
 *     24 y0 = m0 + m1 + m2 + m3 + m4   24 y1 = m1 - m2 + 2 (m3 - m4)   24 y2 = m1 + m2 + 4 (m3 + m4)   24 y3 = m1 - m2 + 8 (m3 - m4) + m5
 * Every m, and what is made of it, may wrap: 24 y is right from its 32 bits while 24 * 255 * 128 times the number of products is below 2^31, and then so
 * is y: an eighth by a shift, a third of that by the number that is 1/3 modulo 2^32. Transformed inputs are within 2040 and weights within 3072: two
 * products have room in vpmaddwd. */
enum {
    POINTS = 6,
    OUTPUTS = 4,
    LARGE = 6, SMALL = 2, /* tiles, of four outputs, that are summed together */
    STAGED = 8,           /* transformed input blocks (one of a kernel row) that wait on the stack */
    PAIRS = VD_LANES / 2,
    THIRD = (int)0xaaaaaaabu,
};

int vd_wino_u8_fits(const struct vd_row_shape *s)
{
    return s->kind == VD_ROW_DENSE && s->kw == 3 && s->stride == 1 && s->dilation == 1 && s->ic >= 8 &&
           (int64_t)s->ic * s->kh * 3 * 24 * 255 * 128 < INT32_MAX;
}

static inline int blocks(int channels) { return (channels + VD_LANES - 1) / VD_LANES; }

/* [oc block][ky][ic block][6][ic / 2][16][ic % 2] */
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
                const int even = w[0] + w[2], odd = w[1], far = w[0] + 4 * w[2];
                const int u[POINTS] = {6 * w[0], -4 * (even + odd), -4 * (even - odd), far + 2 * odd, far - 2 * odd, 24 * w[2]};
                int16_t *to = out + ((o / VD_LANES * kh + ky) * ib + i / VD_LANES) * POINTS * position +
                              (i % VD_LANES / 2 * VD_LANES + o % VD_LANES) * 2 + i % 2;
                for (size_t k = 0; k < POINTS; k++)
                    to[k * position] = (int16_t)u[k];
            }
    return size;
}

VR_INLINE __m256i twice(__m256i v) { return _mm256_add_epi16(v, v); }
VR_INLINE __m256i four_times(__m256i v) { return _mm256_slli_epi16(v, 2); }

/* Sixteen channels of the inputs of np tiles: [6][tile][16]. */
VR_INLINE void transform(int16_t v[POINTS][LARGE][VD_LANES], const uint8_t *s, const int np)
{
    __m256i x0 = vi_wide(s), x1 = vi_wide(s + VD_LANES);

    for (int p = 0; p < np; p++, s += OUTPUTS * VD_LANES) {
        const __m256i x2 = vi_wide(s + 2 * VD_LANES), x3 = vi_wide(s + 3 * VD_LANES);
        const __m256i x4 = vi_wide(s + 4 * VD_LANES), x5 = vi_wide(s + 5 * VD_LANES);
        const __m256i a = _mm256_sub_epi16(x4, four_times(x2)), b = _mm256_sub_epi16(x3, four_times(x1));
        const __m256i c = _mm256_sub_epi16(x4, x2), d = twice(_mm256_sub_epi16(x3, x1));

        _mm256_store_si256((__m256i *)v[0][p], _mm256_add_epi16(four_times(_mm256_sub_epi16(x0, x2)), c));
        _mm256_store_si256((__m256i *)v[1][p], _mm256_add_epi16(a, b));
        _mm256_store_si256((__m256i *)v[2][p], _mm256_sub_epi16(a, b));
        _mm256_store_si256((__m256i *)v[3][p], _mm256_add_epi16(c, d));
        _mm256_store_si256((__m256i *)v[4][p], _mm256_sub_epi16(c, d));
        _mm256_store_si256((__m256i *)v[5][p], _mm256_sub_epi16(_mm256_sub_epi16(x5, x3), twice(d)));
        x0 = x4;
        x1 = x5;
    }
}

typedef int16_t staged_t[STAGED][POINTS][LARGE][VD_LANES];
typedef int32_t sums_t[POINTS][LARGE][VD_LANES];

/* One position's sums over n staged blocks, added to m, or fresh. left: channels from the first of them on, of ic a row. */
VR_INLINE void add_staged(sums_t m, const staged_t v, const int16_t *w, int k, int n, int left, int ic, int fresh, const int np)
{
    vd_vi acc[LARGE][VR_NV];

    VR_UNROLL
    for (int p = 0; p < np; p++)
        VR_UNROLL
        for (int h = 0; h < VR_NV; h++)
            acc[p][h] = vi_zero();
    if (!fresh)
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

VR_INLINE vd_vi of_24(vd_vi y, vd_vi first) { return _mm256_add_epi32(first, _mm256_mullo_epi32(_mm256_srai_epi32(y, 3), vi_set1(THIRD))); }

/* Four outputs from their sums, lanes of vector h. */
VR_INLINE void outputs(vd_vi y[OUTPUTS][VR_NV], sums_t m, int p, const int h, vd_vi first)
{
    vd_vi v[POINTS];

    VR_UNROLL
    for (int k = 0; k < POINTS; k++)
        v[k] = _mm256_load_si256((const __m256i *)(m[k][p] + h * VV_LANES));
    const vd_vi a = _mm256_add_epi32(v[1], v[2]), b = _mm256_sub_epi32(v[1], v[2]), c = _mm256_add_epi32(v[3], v[4]), d = _mm256_sub_epi32(v[3], v[4]);

    y[0][h] = of_24(_mm256_add_epi32(_mm256_add_epi32(v[0], a), c), first);
    y[1][h] = of_24(_mm256_add_epi32(b, _mm256_add_epi32(d, d)), first);
    y[2][h] = of_24(_mm256_add_epi32(a, _mm256_slli_epi32(c, 2)), first);
    y[3][h] = of_24(_mm256_add_epi32(_mm256_add_epi32(b, v[5]), _mm256_slli_epi32(d, 3)), first);
}

VR_INLINE void wino_tile(struct vr_job *j, int x, int n, const int np)
{
    const struct vd_row_shape *s = &j->c->shape;
    const struct vd_row_tail *t = &j->c->tail;
    const int16_t *w = (const int16_t *)(const void *)j->weight;
    const float *scale = t->scale + j->block * VD_LANES;
    const int32_t *first = t->bias32 + j->block * VD_LANES;
    staged_t v __attribute__((aligned(64)));
    sums_t m __attribute__((aligned(64)));
    int staged = 0, first_left = s->ic, fresh = 1;

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
                add_staged(m, v, w + k * PAIRS * VD_LANES * 2, k, staged, first_left, s->ic, fresh, np);
            w += staged * POINTS * PAIRS * VD_LANES * 2;
            staged = fresh = 0;
        }
    for (int p = 0; p < np && n > 0; p++, x += OUTPUTS, n -= OUTPUTS) {
        vd_vi y[OUTPUTS][VR_NV];
        VR_UNROLL
        for (int h = 0; h < VR_NV; h++)
            outputs(y, m, p, h, _mm256_loadu_si256((const __m256i *)(first + h * VV_LANES)));
        if (t->to_bytes) {
            vr_finish_u8(j, y, x, OUTPUTS);
        } else if (vr_is_usual(&j->tail, j->residual)) {
            const ptrdiff_t at = (ptrdiff_t)x * VD_LANES;
            vd_v sums[OUTPUTS][VR_NV];
            VR_UNROLL
            for (int q = 0; q < OUTPUTS; q++)
                VR_UNROLL
                for (int h = 0; h < VR_NV; h++)
                    sums[q][h] = vv_mul(vi_to_f32(y[q][h]), vv_load(scale + h * VV_LANES));
            vr_finish_tile(&j->tail, sums, (float *)(void *)j->dst + at, j->residual ? j->residual + at : NULL, n, OUTPUTS);
        } else { /* a copy, so that y has no address */
            vd_vi sums[OUTPUTS][VR_NV];
            memcpy(sums, y, sizeof(sums));
            vr_finish_f32(j, sums, x, n < OUTPUTS ? n : OUTPUTS);
        }
    }
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
            n = left > OUTPUTS * (LARGE - SMALL) ? OUTPUTS * LARGE : OUTPUTS * SMALL;
            (n == OUTPUTS * LARGE ? tile_large : tile_small)(&j, x, n < left ? n : left);
        }
    }
    vr_tail_end(&j.tail, &c->tail);
}
