/* SPDX-License-Identifier: BSD-2-Clause */
#include <immintrin.h>

#include "kernels/grads.h"

#define VD_GRAD_PASSES 1 /* 16 of 32 registers hold the sums of 16 input channels */
typedef __m512 v16;
static inline v16 v16_zero(void) { return _mm512_setzero_ps(); }
static inline v16 v16_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void v16_store(float *p, v16 v) { _mm512_storeu_ps(p, v); }
static inline v16 v16_mul_add(v16 sum, v16 a, v16 b) { return _mm512_fmadd_ps(a, b, sum); }
static inline v16 v16_mul_add1(v16 sum, v16 a, float b) { return _mm512_fmadd_ps(a, _mm512_set1_ps(b), sum); }
#include "kernels/grads_tmpl.h"

extern const struct vd_grad_kernels vd_grads_avx512vnni;
const VD_GRAD_SET(avx512vnni);
