/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include <immintrin.h>
#include <math.h>
#include "kernels/kernels_impl.h"

struct range {
    __m256 min, max, nan;
};

/* The sum so far is the second operand: it stays when x is NaN, as in the reference. */
static inline void widen(struct range *r, __m256 x)
{
    r->min = _mm256_min_ps(x, r->min);
    r->max = _mm256_max_ps(x, r->max);
}

void vd_range_f32_avx2(const float *x, size_t n, float *lo, float *hi)
{
    if (n < 8) {
        vd_range_f32_c(x, n, lo, hi);
        return;
    }
    struct range r[4];
    for (int j = 0; j < 4; j++)
        r[j] = (struct range){_mm256_set1_ps(*lo), _mm256_set1_ps(*hi), _mm256_setzero_ps()};

    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        const __m256 v[4] = {_mm256_loadu_ps(x + i), _mm256_loadu_ps(x + i + 8),
                             _mm256_loadu_ps(x + i + 16), _mm256_loadu_ps(x + i + 24)};
        for (int j = 0; j < 4; j++)
            widen(&r[j], v[j]);
        r[0].nan = _mm256_or_ps(r[0].nan, _mm256_cmp_ps(v[0], v[1], _CMP_UNORD_Q));
        r[2].nan = _mm256_or_ps(r[2].nan, _mm256_cmp_ps(v[2], v[3], _CMP_UNORD_Q));
    }
    /* The last vector may go over elements that were there before. */
    while (i < n) {
        const __m256 v = _mm256_loadu_ps(x + (i + 8 <= n ? i : n - 8));
        widen(&r[0], v);
        r[0].nan = _mm256_or_ps(r[0].nan, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
        i += 8;
    }

    float min[32], max[32];
    for (int j = 0; j < 4; j++) {
        _mm256_storeu_ps(min + 8 * j, r[j].min);
        _mm256_storeu_ps(max + 8 * j, r[j].max);
    }
    for (int j = 1; j < 32; j++) {
        min[0] = min[j] < min[0] ? min[j] : min[0];
        max[0] = max[0] < max[j] ? max[j] : max[0];
    }
    const int nan = _mm256_movemask_ps(_mm256_or_ps(r[0].nan, r[2].nan));
    *lo = nan ? NAN : min[0] + 0.0f;
    *hi = nan ? NAN : max[0] + 0.0f;
}

/* maxps and minps give the second operand for NaN: it becomes the bound. */
static inline __m256i quantize(__m256 v, __m256 scale, __m256 lo, __m256 hi)
{
    v = _mm256_min_ps(_mm256_max_ps(_mm256_div_ps(v, scale), lo), hi);
    return _mm256_cvtps_epi32(v);
}

void vd_quantize_pair_avx2(int16_t *dst, const float *a, const float *b, size_t n, float scale, int zp)
{
    const __m256 s = _mm256_set1_ps(scale);
    const __m256 lo = _mm256_set1_ps((float)(0 - zp)), hi = _mm256_set1_ps((float)(255 - zp));
    size_t i = 0;

    assert(zp >= 0 && zp <= 255);
    if (b)
        for (; i + 8 <= n; i += 8) {
            const __m256i qa = quantize(_mm256_loadu_ps(a + i), s, lo, hi);
            const __m256i qb = quantize(_mm256_loadu_ps(b + i), s, lo, hi);
            const __m256i q = _mm256_blend_epi16(qa, _mm256_slli_epi32(qb, 16), 0xaa);
            _mm256_storeu_si256((__m256i *)(dst + 2 * i), q);
        }
    else
        for (; i + 8 <= n; i += 8) {
            const __m256i qa = quantize(_mm256_loadu_ps(a + i), s, lo, hi);
            const __m256i q = _mm256_blend_epi16(qa, _mm256_setzero_si256(), 0xaa);
            _mm256_storeu_si256((__m256i *)(dst + 2 * i), q);
        }
    vd_quantize_pair_c(dst + 2 * i, a + i, b ? b + i : NULL, n - i, scale, zp);
}
