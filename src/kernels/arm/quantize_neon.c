/* SPDX-License-Identifier: BSD-2-Clause */
#include <arm_neon.h>
#include <assert.h>
#include <math.h>
#include "kernels/kernels_impl.h"

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* fmin and fmax give NaN when either operand is one, and so keep one that was met to the end. */
void vd_range_f32_neon(const float *x, size_t n, float *lo, float *hi)
{
    if (n < 4) {
        vd_range_f32_c(x, n, lo, hi);
        return;
    }
    float32x4_t min[4], max[4];
    UNROLL
    for (int j = 0; j < 4; j++) {
        min[j] = vdupq_n_f32(*lo);
        max[j] = vdupq_n_f32(*hi);
    }
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        UNROLL
        for (size_t j = 0; j < 4; j++) {
            const float32x4_t v = vld1q_f32(x + i + 4 * j);
            min[j] = vminq_f32(min[j], v);
            max[j] = vmaxq_f32(max[j], v);
        }
    for (; i < n; i += 4) { /* the last vector may go over elements that were there before */
        const float32x4_t v = vld1q_f32(x + (i + 4 <= n ? i : n - 4));
        min[0] = vminq_f32(min[0], v);
        max[0] = vmaxq_f32(max[0], v);
    }
    UNROLL
    for (int j = 1; j < 4; j++) {
        min[0] = vminq_f32(min[0], min[j]);
        max[0] = vmaxq_f32(max[0], max[j]);
    }
    const float least = vminvq_f32(min[0]), most = vmaxvq_f32(max[0]);
    const int nan = isnan(least) || isnan(most);
    /* + 0: which of -0 and +0 was met first must not show. */
    *lo = nan ? NAN : least + 0.0f;
    *hi = nan ? NAN : most + 0.0f;
}

/* Half to even. fmaxnm gives the bound for a NaN, which the division has made a quiet one. */
static inline int16x4_t quantize(const float *x, float32x4_t scale, float32x4_t lo, float32x4_t hi)
{
    const float32x4_t v = vminnmq_f32(vmaxnmq_f32(vdivq_f32(vld1q_f32(x), scale), lo), hi);

    return vmovn_s32(vcvtnq_s32_f32(v));
}

void vd_quantize_pair_neon(int16_t *dst, const float *a, const float *b, size_t n, float scale, int zp)
{
    const float32x4_t s = vdupq_n_f32(scale), lo = vdupq_n_f32((float)(0 - zp)), hi = vdupq_n_f32((float)(255 - zp));
    size_t i = 0;

    assert(zp >= 0 && zp <= 255);
    for (; i + 4 <= n; i += 4) {
        const int16x4x2_t q = {{quantize(a + i, s, lo, hi), b ? quantize(b + i, s, lo, hi) : vdup_n_s16(0)}};
        vst2_s16(dst + 2 * i, q);
    }
    vd_quantize_pair_c(dst + 2 * i, a + i, b ? b + i : NULL, n - i, scale, zp);
}
