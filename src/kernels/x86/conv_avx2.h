/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_CONV_AVX2_H
#define VD_CONV_AVX2_H

#include <immintrin.h>
#include <math.h>
#include "kernels/kernels_impl.h"

/* What the two convolutions share: how a row is cut into tiles, and the tail.
 *
 * A tile is some vectors of 8 pixels wide and takes 4 or 1 output channels; its
 * sums stay in registers for all taps. One tile goes down all rows of the band before the next begins,
 * so the input rows that neighbouring output rows share come from the first-level cache. */

#if defined(__clang__)
#define VD_UNROLL _Pragma("clang loop unroll(full)")
#else
#define VD_UNROLL _Pragma("GCC unroll 8")
#endif
#define VD_TILE static inline __attribute__((always_inline))

/* Every step of the tail, also those that are left out: these then have the
 * operand that gives back each value, bit for bit (times 1; plus -0, since +0 would turn -0 into +0; no bound), and no branch. */
struct vd_tail_avx2 {
    float scale[VD_OC_BLOCK], bias[VD_OC_BLOCK];
    float lo, hi, lo2, hi2;
};

static inline void vd_tail_avx2_init(struct vd_tail_avx2 *t, const struct vd_conv_args *a)
{
    for (int oc = 0; oc < VD_OC_BLOCK; oc++) {
        t->scale[oc] = a->tail.scale && oc < a->n_oc ? a->tail.scale[oc] : 1.0f;
        t->bias[oc] = a->tail.bias && oc < a->n_oc ? a->tail.bias[oc] : -0.0f;
    }
    t->lo = a->tail.clamp ? a->tail.lo : -INFINITY;
    t->hi = a->tail.clamp ? a->tail.hi : INFINITY;
    t->lo2 = a->tail.clamp2 ? a->tail.lo2 : -INFINITY;
    t->hi2 = a->tail.clamp2 ? a->tail.hi2 : INFINITY;
}

/* The lanes below n. */
static inline __m256i vd_mask_avx2(int n)
{
    static const int32_t lanes[16] = {-1, -1, -1, -1, -1, -1, -1, -1};

    return _mm256_loadu_si256((const __m256i *)(lanes + 8 - n));
}

/* maxps and minps return their second operand when either is NaN and when both
 * are zeros: with the value there, NaN and -0 pass as in the reference. */
VD_TILE __m256 vd_clamp_avx2(__m256 v, float lo, float hi)
{
    return _mm256_min_ps(_mm256_set1_ps(hi), _mm256_max_ps(_mm256_set1_ps(lo), v));
}

/* From scaled sums to the plane; n: pixels of this vector that exist, 1..8. */
VD_TILE void vd_finish_avx2(const struct vd_conv_args *a, const struct vd_tail_avx2 *t, int oc, ptrdiff_t at, __m256 v, int n)
{
    float *dst = (float *)a->dst + at;

    v = vd_clamp_avx2(_mm256_add_ps(v, _mm256_set1_ps(t->bias[oc])), t->lo, t->hi);
    if (a->tail.residual) {
        const float *r = a->tail.residual + at;
        v = _mm256_add_ps(v, n == 8 ? _mm256_loadu_ps(r) : _mm256_maskload_ps(r, vd_mask_avx2(n)));
    }
    v = vd_clamp_avx2(v, t->lo2, t->hi2);
    if (n == 8)
        _mm256_storeu_ps(dst, v);
    else
        _mm256_maskstore_ps(dst, vd_mask_avx2(n), v);
}

/* How many of the vectors that are left the next tile takes, max at most: even
 * parts at the end, because a tile of one vector waits for its own sums. */
static inline int vd_split_avx2(int left, int max)
{
    if (left <= max)
        return left;
    return left < 2 * max ? (left + 1) / 2 : max;
}

#endif
