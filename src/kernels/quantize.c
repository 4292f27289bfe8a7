/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include <float.h>
#include <math.h>
#include "kernels/kernels_impl.h"

/* Everything here counts on float expressions being rounded to float. */
_Static_assert(FLT_EVAL_METHOD == 0, "build with SSE2 arithmetic (-msse2 -mfpmath=sse)");

/* Lanes, so that the compiler may use vectors: a minimum in one variable is a
 * chain that the rules of the language keep in order. */
enum { LANES = 32 };

void vd_range_f32_c(const float *x, size_t n, float *lo, float *hi)
{
    float min[LANES], max[LANES];
    int nan[LANES];

    for (int j = 0; j < LANES; j++) {
        min[j] = *lo;
        max[j] = *hi;
        nan[j] = 0;
    }
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++) {
            const float v = x[i + (size_t)j];
            min[j] = v < min[j] ? v : min[j];
            max[j] = max[j] < v ? v : max[j];
            nan[j] |= v != v;
        }
    for (; i < n; i++) {
        min[0] = x[i] < min[0] ? x[i] : min[0];
        max[0] = max[0] < x[i] ? x[i] : max[0];
        nan[0] |= x[i] != x[i];
    }
    for (int j = 1; j < LANES; j++) {
        min[0] = min[j] < min[0] ? min[j] : min[0];
        max[0] = max[0] < max[j] ? max[j] : max[0];
        nan[0] |= nan[j];
    }
    /* + 0: which of -0 and +0 was met first must not show. */
    *lo = nan[0] ? NAN : min[0] + 0.0f;
    *hi = nan[0] ? NAN : max[0] + 0.0f;
}

/* Adding 1.5 * 2^23 leaves no bits for a fraction: the sum is rounded half to
 * even as rint() would, for |v| <= 2^22, and unlike rint() it is one SSE2
 * instruction. The bounds are whole, so clamping first is the same as last, and NaN falls to lo. */
static inline int16_t quantize(float v, float lo, float hi)
{
    const float magic = 0x1.8p23f;

    v = v > lo ? v : lo;
    v = v < hi ? v : hi;
    return (int16_t)((v + magic) - magic);
}

void vd_quantize_pair_c(int16_t *dst, const float *a, const float *b, size_t n, float scale, int zp)
{
    const float lo = (float)(0 - zp), hi = (float)(255 - zp);

    assert(zp >= 0 && zp <= 255);
    if (b)
        for (size_t i = 0; i < n; i++) {
            dst[2 * i] = quantize(a[i] / scale, lo, hi);
            dst[2 * i + 1] = quantize(b[i] / scale, lo, hi);
        }
    else
        for (size_t i = 0; i < n; i++) {
            dst[2 * i] = quantize(a[i] / scale, lo, hi);
            dst[2 * i + 1] = 0;
        }
}
