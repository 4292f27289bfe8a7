/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_ROW_BYTES_AVX2_TMPL_H
#define VD_ROW_BYTES_AVX2_TMPL_H

#include "kernels/row_bytes_tmpl.h"

/* Clamped from above before it becomes an integer, which the conversion cannot do; the packing instructions saturate downwards. */
static inline __m256i vr_code(__m256i sum, __m256 scale, __m256 hi)
{
    return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale), hi));
}

/* Two pixels at a time. */
VR_INLINE void vr_finish_u8(const struct vr_job *j, vd_vi acc[][VR_NV], int x, const int np)
{
    const struct vd_row_tail *t = &j->c->tail;
    const __m256 scale0 = _mm256_loadu_ps(t->scale + j->block * VD_LANES), scale1 = _mm256_loadu_ps(t->scale + j->block * VD_LANES + 8);
    const __m256 hi = _mm256_set1_ps((float)(t->hi - t->zp));
    const __m256i zp = _mm256_set1_epi16((short)t->zp), lo = _mm256_set1_epi8((char)t->lo), order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    uint8_t *out = j->dst + (ptrdiff_t)x * VD_LANES;

    VR_UNROLL
    for (int p = 0; p < np; p += 2) {
        const __m256i a = _mm256_packs_epi32(vr_code(acc[p][0], scale0, hi), vr_code(acc[p][1], scale1, hi));
        const __m256i b = _mm256_packs_epi32(vr_code(acc[p + 1][0], scale0, hi), vr_code(acc[p + 1][1], scale1, hi));
        const __m256i v = _mm256_packus_epi16(_mm256_adds_epi16(a, zp), _mm256_adds_epi16(b, zp));
        _mm256_storeu_si256((__m256i *)(out + p * VD_LANES), _mm256_permutevar8x32_epi32(_mm256_max_epu8(v, lo), order));
    }
}

#endif
