/* SPDX-License-Identifier: BSD-2-Clause */
#include <arm_neon.h>

#include "kernels/grads.h"

#define VD_GRAD_PASSES 4 /* 16 of 32 registers hold the sums of 4 input channels */
typedef float32x4x4_t v16;
static inline v16 v16_zero(void) { return (v16){{vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)}}; }
static inline v16 v16_load(const float *p) { return (v16){{vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}}; }
static inline void v16_store(float *p, v16 v)
{
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        vst1q_f32(p + 4 * i, v.val[i]);
}
static inline v16 v16_mul_add(v16 sum, v16 a, v16 b)
{
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        sum.val[i] = vfmaq_f32(sum.val[i], a.val[i], b.val[i]);
    return sum;
}
static inline v16 v16_mul_add1(v16 sum, v16 a, float b)
{
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        sum.val[i] = vfmaq_n_f32(sum.val[i], a.val[i], b);
    return sum;
}
#include "kernels/grads_tmpl.h"

extern const struct vd_grad_kernels vd_grads_neon;
const VD_GRAD_SET(neon);
