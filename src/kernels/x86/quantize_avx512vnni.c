/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include <immintrin.h>
#include <math.h>
#include "kernels/kernels_impl.h"

/* As quantize_avx2.c, sixteen at a time; what is left over is masked. */

void vd_range_f32_avx512vnni(const float *x, size_t n, float *lo, float *hi)
{
    __m512 min[4], max[4];
    __mmask16 nan = 0;

    for (int j = 0; j < 4; j++) {
        min[j] = _mm512_set1_ps(*lo);
        max[j] = _mm512_set1_ps(*hi);
    }
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        __m512 v[4];
        for (int j = 0; j < 4; j++) {
            v[j] = _mm512_loadu_ps(x + i + 16 * (size_t)j);
            min[j] = _mm512_min_ps(v[j], min[j]); /* the second operand stays when the first is NaN */
            max[j] = _mm512_max_ps(v[j], max[j]);
        }
        nan |= _mm512_cmp_ps_mask(v[0], v[1], _CMP_UNORD_Q) | _mm512_cmp_ps_mask(v[2], v[3], _CMP_UNORD_Q);
    }
    for (; i < n; i += 16) {
        const __mmask16 m = n - i < 16 ? (__mmask16)((1u << (n - i)) - 1) : (__mmask16)0xffff;
        const __m512 v = _mm512_mask_loadu_ps(min[0], m, x + i), w = _mm512_mask_loadu_ps(max[0], m, x + i);
        nan |= _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
        min[0] = _mm512_min_ps(v, min[0]);
        max[0] = _mm512_max_ps(w, max[0]);
    }
    for (int j = 1; j < 4; j++) {
        min[0] = _mm512_min_ps(min[j], min[0]);
        max[0] = _mm512_max_ps(max[j], max[0]);
    }
    /* + 0: which of -0 and +0 was met first must not show. */
    *lo = nan ? NAN : _mm512_reduce_min_ps(min[0]) + 0.0f;
    *hi = nan ? NAN : _mm512_reduce_max_ps(max[0]) + 0.0f;
}

/* maxps and minps give the second operand for NaN: it becomes the bound. */
static inline __m512i quantize(__m512 v, __m512 scale, __m512 lo, __m512 hi)
{
    return _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(_mm512_div_ps(v, scale), lo), hi));
}

void vd_quantize_pair_avx512vnni(int16_t *dst, const float *a, const float *b, size_t n, float scale, int zp)
{
    const __m512 s = _mm512_set1_ps(scale), lo = _mm512_set1_ps((float)(0 - zp)), hi = _mm512_set1_ps((float)(255 - zp));
    const __mmask32 odd = 0xaaaaaaaa;

    assert(zp >= 0 && zp <= 255);
    for (size_t i = 0; i < n; i += 16) {
        const __mmask16 m = n - i < 16 ? (__mmask16)((1u << (n - i)) - 1) : (__mmask16)0xffff;
        const __m512i qa = quantize(_mm512_maskz_loadu_ps(m, a + i), s, lo, hi);
        const __m512i qb = b ? _mm512_slli_epi32(quantize(_mm512_maskz_loadu_ps(m, b + i), s, lo, hi), 16) : _mm512_setzero_si512();
        _mm512_mask_storeu_epi32(dst + 2 * i, m, _mm512_mask_blend_epi16(odd, qa, qb));
    }
}
