/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include <immintrin.h>
#include "kernels/kernels_impl.h"

/* Whole vectors here; what is left over goes to the reference. */

void vd_u8_to_f32_avx2(float *dst, const uint8_t *src, size_t n)
{
    const __m256 max = _mm256_set1_ps(255.0f);
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        const __m256i v = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(src + i)));
        _mm256_storeu_ps(dst + i, _mm256_div_ps(_mm256_cvtepi32_ps(v), max));
    }
    vd_u8_to_f32_c(dst + i, src + i, n - i);
}

void vd_u16_to_f32_avx2(float *dst, const uint16_t *src, size_t n, int max)
{
    const __m256 m = _mm256_set1_ps((float)max);
    size_t i = 0;

    assert(max >= 1 && max <= 65535);
    for (; i + 8 <= n; i += 8) {
        const __m256i v = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(src + i)));
        _mm256_storeu_ps(dst + i, _mm256_div_ps(_mm256_cvtepi32_ps(v), m));
    }
    vd_u16_to_f32_c(dst + i, src + i, n - i, max);
}

/* NaN becomes 0: maxps gives its second operand. */
static inline __m256i codes(const float *src, __m256 max)
{
    const __m256 v = _mm256_mul_ps(_mm256_loadu_ps(src), max);

    return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(v, _mm256_setzero_ps()), max));
}

void vd_f32_to_u8_avx2(uint8_t *dst, const float *src, size_t n)
{
    const __m256 max = _mm256_set1_ps(255.0f);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7); /* undoes the packs' work in halves */
    size_t i = 0;

    for (; i + 32 <= n; i += 32) {
        const __m256i ab = _mm256_packs_epi32(codes(src + i, max), codes(src + i + 8, max));
        const __m256i cd = _mm256_packs_epi32(codes(src + i + 16, max), codes(src + i + 24, max));
        const __m256i v = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(ab, cd), order);
        _mm256_storeu_si256((__m256i *)(dst + i), v);
    }
    vd_f32_to_u8_c(dst + i, src + i, n - i);
}

void vd_f32_to_u16_avx2(uint16_t *dst, const float *src, size_t n, int max)
{
    const __m256 m = _mm256_set1_ps((float)max);
    size_t i = 0;

    assert(max >= 1 && max <= 65535);
    for (; i + 16 <= n; i += 16) {
        const __m256i ab = _mm256_packus_epi32(codes(src + i, m), codes(src + i + 8, m));
        _mm256_storeu_si256((__m256i *)(dst + i), _mm256_permute4x64_epi64(ab, 0xd8));
    }
    vd_f32_to_u16_c(dst + i, src + i, n - i, max);
}
