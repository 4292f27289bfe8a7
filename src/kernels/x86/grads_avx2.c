/* SPDX-License-Identifier: BSD-2-Clause */
#include <immintrin.h>

#include "kernels/grads.h"

#define VD_GRAD_PASSES 4 /* 8 of 16 registers hold the sums of 4 input channels */
typedef struct { __m256 lo, hi; } v16;
static inline v16 v16_zero(void) { return (v16){_mm256_setzero_ps(), _mm256_setzero_ps()}; }
static inline v16 v16_load(const float *p) { return (v16){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
static inline void v16_store(float *p, v16 v)
{
    _mm256_storeu_ps(p, v.lo);
    _mm256_storeu_ps(p + 8, v.hi);
}
static inline v16 v16_mul_add(v16 sum, v16 a, v16 b) { return (v16){_mm256_fmadd_ps(a.lo, b.lo, sum.lo), _mm256_fmadd_ps(a.hi, b.hi, sum.hi)}; }
static inline v16 v16_mul_add1(v16 sum, v16 a, float b)
{
    const __m256 v = _mm256_set1_ps(b);
    return v16_mul_add(sum, a, (v16){v, v});
}
#include "kernels/grads_tmpl.h"

extern const struct vd_grad_kernels vd_grads_avx2;
const VD_GRAD_SET(avx2);
