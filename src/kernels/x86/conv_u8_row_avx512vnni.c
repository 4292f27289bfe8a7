/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/x86/vec_avx512vnni.h"

#include "kernels/row_bytes_tmpl.h"

/* Four pixels at a time: each is clamped from above before it becomes an integer, which the conversion cannot do; the packing
 * instructions saturate downwards. They leave [channel / 4][pixel][channel % 4], a transposed 4x4. */
static inline __m512i to_bytes(__m512i a, __m512i b, __m512i c, __m512i d, __m512 scale, __m512 hi, __m512i zp, __m512i lo, __m512i order)
{
    const __m512i qa = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(a), scale), hi));
    const __m512i qb = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(b), scale), hi));
    const __m512i qc = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(c), scale), hi));
    const __m512i qd = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(d), scale), hi));
    const __m512i ab = _mm512_adds_epi16(_mm512_packs_epi32(qa, qb), zp), cd = _mm512_adds_epi16(_mm512_packs_epi32(qc, qd), zp);

    return _mm512_permutexvar_epi32(order, _mm512_max_epu8(_mm512_packus_epi16(ab, cd), lo));
}

VR_INLINE void vr_finish_u8(const struct vr_job *j, vd_vi acc[][VR_NV], int x, const int np)
{
    const struct vd_row_tail *t = &j->c->tail;
    const __m512 scale = _mm512_loadu_ps(t->scale + j->block * VD_LANES), hi = _mm512_set1_ps((float)(t->hi - t->zp));
    const __m512i zp = _mm512_set1_epi16((short)t->zp), lo = _mm512_set1_epi8((char)t->lo);
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    uint8_t *out = j->dst + (ptrdiff_t)x * VD_LANES;

    VR_UNROLL
    for (int p = 0; p < np; p += 4)
        _mm512_storeu_si512(out + p * VD_LANES, to_bytes(acc[p][0], acc[p + 1][0], acc[p + 2][0], acc[p + 3][0], scale, hi, zp, lo, order));
}

#include "kernels/x86/conv_u8_row_tmpl.h"

/* Four pixels of one block's channels, `step` bytes apart; only the first n are read unless they lie side by side. */
static inline __m512i load_four(const uint8_t *s, ptrdiff_t step, int n)
{
    if (step == VD_LANES)
        return _mm512_loadu_si512(s);
    __m512i v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)s));
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(s + (n > 1 ? 1 : 0) * step)), 1);
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(s + (n > 2 ? 2 : 0) * step)), 2);
    return _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(s + (n > 3 ? 3 : 0) * step)), 3);
}

/* --- depthwise: four taps along the row are transposed to [channel][tap]; where taps are side by side, one transposition serves
 * two pixels, the second with its weights one place on --- */

static int is_paired(const struct vd_row_shape *s) { return s->kw <= 3 && s->stride == 1 && s->dilation == 1; }

/* Vectors of weights of a row of taps. */
static size_t depthwise_vectors(const struct vd_row_shape *s) { return is_paired(s) ? 2 : ((size_t)s->kw + 3) / 4; }

/* [block][ky][kx / 4][16][kx % 4], paired [block][ky][2][16][4] */
static size_t pack_depthwise(const struct vd_row_shape *s, const void *weight, void *pack)
{
    const int8_t *w = weight;
    int8_t *out = pack;
    const size_t row = depthwise_vectors(s) * VD_LANES * 4, block = (size_t)s->kh * row;
    const size_t size = ((size_t)s->oc + VD_LANES - 1) / VD_LANES * block;

    if (!pack)
        return size;
    memset(pack, 0, size);
    for (int o = 0; o < s->oc; o++)
        for (int ky = 0; ky < s->kh; ky++)
            for (int kx = 0; kx < s->kw; kx++, w++) {
                int8_t *to = out + (size_t)(o / VD_LANES) * block + (size_t)ky * row + (size_t)(o % VD_LANES) * 4;
                to[kx / 4 * VD_LANES * 4 + kx % 4] = *w;
                if (is_paired(s))
                    to[VD_LANES * 4 + kx + 1] = *w;
            }
    return size;
}

static inline __m512i transpose(__m512i v)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i bytes = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));

    return _mm512_shuffle_epi8(_mm512_permutexvar_epi32(order, v), bytes);
}

VR_INLINE void sums_paired(const struct vr_job *j, vd_vi acc[][VR_NV], int x, const int np, ptrdiff_t pixel)
{
    const int8_t *w = j->weight;

    (void)pixel;
    vr_first(j, acc, np);
    for (int ky = 0; ky < j->c->shape.kh; ky++, w += 2 * VD_LANES * 4) {
        const uint8_t *s = j->src[ky] + (size_t)j->block * j->src_block + (ptrdiff_t)x * VD_LANES;
        const __m512i a = _mm512_loadu_si512(w), b = _mm512_loadu_si512(w + VD_LANES * 4);
        VR_UNROLL
        for (int p = 0; p < np; p += 2) {
            const __m512i taps = transpose(_mm512_loadu_si512(s + p * VD_LANES));
            acc[p][0] = vi_dot_u8(acc[p][0], taps, a);
            acc[p + 1][0] = vi_dot_u8(acc[p + 1][0], taps, b);
        }
    }
}

VR_INLINE void sums_single(const struct vr_job *j, vd_vi acc[][VR_NV], int x, const int np, ptrdiff_t pixel)
{
    const int8_t *w = j->weight;

    vr_first(j, acc, np);
    for (int ky = 0; ky < j->c->shape.kh; ky++) {
        const uint8_t *s = j->src[ky] + (size_t)j->block * j->src_block + x * pixel;
        for (int kx = 0; kx < j->c->shape.kw; kx += 4, w += VD_LANES * 4, s += 4 * j->step) {
            const __m512i a = _mm512_loadu_si512(w);
            VR_UNROLL
            for (int p = 0; p < np; p++)
                acc[p][0] = vi_dot_u8(acc[p][0], transpose(load_four(s + p * pixel, j->step, j->c->shape.kw - kx)), a);
        }
    }
}

VR_TILE(VR_MIDDLE, paired_middle, 1, sums_paired, 0)
VR_TILE(VR_SMALL, paired_small, 0, sums_paired, 0)
VR_TILE(VR_SMALL, single, 0, sums_single, j->pixel)

static void conv_depthwise(const struct vd_row_conv *c, void *dst, size_t dst_block, const void *const *src, size_t src_block,
                           const float *residual, size_t residual_block, int width)
{
    static vr_tile_fn *const fn[2][3] = {{NULL, NULL, tile_single}, {NULL, tile_paired_middle, tile_paired_small}};
    const struct vd_row_shape *s = &c->shape;
    struct vr_job j = {.c = c, .src = (const uint8_t *const *)src, .src_block = src_block, .step = (ptrdiff_t)s->dilation * VD_LANES,
                       .pixel = (ptrdiff_t)s->stride * VD_LANES};

    vr_rows(&j, fn[is_paired(s)], (size_t)s->kh * depthwise_vectors(s) * VD_LANES * 4, dst, dst_block, residual, residual_block, width);
}

/* --- last: four pixels of sixteen channels against the weights four times; the four sums of each pixel are added at the end --- */

enum { LAST_TILE = 16 };

/* [ky][kx][ic / 16][4][16] */
static size_t pack_last(const struct vd_row_shape *s, const void *weight, void *pack)
{
    const int8_t *w = weight;
    int8_t *out = pack;
    const int taps = s->kh * s->kw, ib = (s->ic + VD_LANES - 1) / VD_LANES;
    const size_t size = (size_t)taps * (size_t)ib * 64;

    if (!pack)
        return size;
    memset(pack, 0, size);
    for (int i = 0; i < s->ic; i++)
        for (int t = 0; t < taps; t++, w++)
            for (int p = 0; p < 4; p++)
                out[(size_t)(t * ib + i / VD_LANES) * 64 + (size_t)(p * VD_LANES + i % VD_LANES)] = *w;
    return size;
}

/* The sums of the lanes of each pixel, in the order of pixels. */
static inline __m512i add_lanes(const __m512i v[4])
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i a = _mm512_add_epi32(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]));
    const __m512i b = _mm512_add_epi32(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]));

    return _mm512_permutexvar_epi32(order, _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b)));
}

static void conv_last(const struct vd_row_conv *c, void *dst, size_t dst_block, const void *const *src, size_t src_block,
                      const float *residual, size_t residual_block, int width)
{
    const struct vd_row_shape *s = &c->shape;
    const struct vd_row_tail *t = &c->tail;
    const ptrdiff_t pixel = (ptrdiff_t)s->stride * VD_LANES;
    const int ib = (s->ic + VD_LANES - 1) / VD_LANES;
    struct vr_tail tail;

    (void)dst_block, (void)residual_block;
    vr_tail_init(&tail, t);
    vr_tail_thin(&tail, t);
    for (int x = 0; x < width; x += LAST_TILE) {
        const int8_t *w = c->weight;
        __m512i acc[4];
        for (int p = 0; p < 4; p++)
            acc[p] = _mm512_setzero_si512();
        for (int ky = 0; ky < s->kh; ky++)
            for (int kx = 0; kx < s->kw; kx++) {
                const uint8_t *e = (const uint8_t *)src[ky] + x * pixel + (ptrdiff_t)kx * s->dilation * VD_LANES;
                for (int b = 0; b < ib; b++, w += 64, e += src_block) {
                    const __m512i weight = _mm512_loadu_si512(w);
                    VR_UNROLL
                    for (int p = 0; p < 4; p++)
                        acc[p] = vi_dot_u8(acc[p], load_four(e + 4 * p * pixel, pixel, 4), weight);
                }
            }
        const __m512i sum = _mm512_add_epi32(add_lanes(acc), _mm512_set1_epi32(t->bias32[0]));
        const __m512 v = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(t->scale[0]));
        if (t->to_bytes) {
            const __m512i q = _mm512_cvtps_epi32(_mm512_min_ps(v, _mm512_set1_ps((float)(t->hi - t->zp))));
            const __m512i code = _mm512_max_epi32(_mm512_add_epi32(q, _mm512_set1_epi32(t->zp)), _mm512_set1_epi32(t->lo));
            _mm_storeu_si128((__m128i *)((uint8_t *)dst + x), _mm512_cvtepi32_epi8(code));
        } else {
            tail.lanes[0] = vv_mask(width - x < VV_LANES ? width - x : VV_LANES);
            vr_finish(&tail, v, 0, (float *)dst + x, residual ? residual + x : NULL);
        }
    }
    vr_tail_end(&tail, t);
}

void vd_conv_u8_row_avx512vnni(struct vd_row_kernels *k)
{
    vr_conv_u8_init(k);
    k->pack_u8[VD_ROW_LAST] = pack_last;
    k->conv_u8[VD_ROW_LAST] = conv_last;
    k->pack_u8[VD_ROW_DEPTHWISE] = pack_depthwise;
    k->conv_u8[VD_ROW_DEPTHWISE] = conv_depthwise;
}
