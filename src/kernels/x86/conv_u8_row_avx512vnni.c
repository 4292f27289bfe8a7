/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/x86/vec_avx512vnni.h"

#include "kernels/x86/conv_u8_row_tmpl.h"

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

#define TILES(name, pixel) VR_TILE(16, name, pixel) VR_TILE(8, name, pixel) VR_TILE(4, name, pixel)
TILES(dense1, 16)
TILES(dense2, 32)
TILES(first1, 1)
TILES(first2, 2)
VR_TILE(4, any, j->pixel)

static vr_tile_fn *const tiles[5][3] = {
    {tile_16_dense1, tile_8_dense1, tile_4_dense1},
    {tile_16_dense2, tile_8_dense2, tile_4_dense2},
    {tile_16_first1, tile_8_first1, tile_4_first1},
    {tile_16_first2, tile_8_first2, tile_4_first2},
    {NULL, NULL, tile_4_any},
};

static void conv(const struct vd_row_conv *c, void *dst, size_t dst_block, const void *const *src, size_t src_block,
                 const float *residual, size_t residual_block, int width)
{
    const struct vd_row_shape *s = &c->shape;
    const int first = s->kind == VD_ROW_FIRST, along = vr_along(s), lanes = first ? 1 : VD_LANES;
    struct vr_job j = {.c = c, .src = (const uint8_t *const *)src, .src_block = src_block, .steps = along > 1 ? 1 : s->kw,
                       .full = s->ic / VD_LANES, .rest = along > 1 ? (s->kw + along - 1) / along : (s->ic % VD_LANES + 3) / 4,
                       .step = (ptrdiff_t)s->dilation * lanes, .pixel = (ptrdiff_t)s->stride * lanes};
    vr_tile_fn *const *fn = tiles[s->stride > 2 ? 4 : (first ? 2 : 0) + s->stride - 1];
    const size_t block = (size_t)s->kh * vr_groups(s) * VD_LANES * 4;

    vr_tail_init(&j.tail, &c->tail);
    for (int ob = 0; ob * VD_LANES < s->oc; ob++) {
        j.block = ob;
        j.weight = (const int8_t *)c->weight + (size_t)ob * block;
        j.dst = (uint8_t *)dst + (size_t)ob * dst_block;
        j.residual = residual ? (const float *)(const void *)((const char *)residual + (size_t)ob * residual_block) : NULL;
        vr_tail_block(&j.tail, &c->tail, ob, s->oc);
        for (int x = 0, n; x < width; x += n) {
            const int left = width - x;
            n = fn[0] ? vr_tile(left) : 4;
            fn[n == 16 ? 0 : n == 8 ? 1 : 2](&j, x, n < left ? n : left);
        }
    }
    vr_tail_end(&j.tail, &c->tail);
}

void vd_conv_u8_row_avx512vnni(struct vd_row_kernels *k)
{
    k->pack_u8[VD_ROW_DENSE] = k->pack_u8[VD_ROW_FIRST] = vr_pack;
    k->conv_u8[VD_ROW_DENSE] = k->conv_u8[VD_ROW_FIRST] = conv;
}
