/* SPDX-License-Identifier: BSD-2-Clause */
#include <arm_neon.h>
#include <assert.h>
#include "kernels/kernels_impl.h"

/* Whole vectors here; what is left over goes to the reference. */

void vd_u8_to_f32_neon(float *dst, const uint8_t *src, size_t n)
{
    const float32x4_t max = vdupq_n_f32(255.0f);
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        const uint16x8_t v = vmovl_u8(vld1_u8(src + i));
        vst1q_f32(dst + i, vdivq_f32(vcvtq_f32_u32(vmovl_u16(vget_low_u16(v))), max));
        vst1q_f32(dst + i + 4, vdivq_f32(vcvtq_f32_u32(vmovl_high_u16(v)), max));
    }
    vd_u8_to_f32_c(dst + i, src + i, n - i);
}

void vd_u16_to_f32_neon(float *dst, const uint16_t *src, size_t n, int max)
{
    const float32x4_t m = vdupq_n_f32((float)max);
    size_t i = 0;

    assert(max >= 1 && max <= 65535);
    for (; i + 8 <= n; i += 8) {
        const uint16x8_t v = vld1q_u16(src + i);
        vst1q_f32(dst + i, vdivq_f32(vcvtq_f32_u32(vmovl_u16(vget_low_u16(v))), m));
        vst1q_f32(dst + i + 4, vdivq_f32(vcvtq_f32_u32(vmovl_high_u16(v)), m));
    }
    vd_u16_to_f32_c(dst + i, src + i, n - i, max);
}

/* Half to even; what is negative and NaN become 0, which is what the conversion to unsigned does; the rest is cut off by max. */
static inline uint32x4_t codes(const float *src, float32x4_t max, uint32x4_t top)
{
    return vminq_u32(vcvtnq_u32_f32(vmulq_f32(vld1q_f32(src), max)), top);
}

void vd_f32_to_u8_neon(uint8_t *dst, const float *src, size_t n)
{
    const float32x4_t max = vdupq_n_f32(255.0f);
    const uint32x4_t top = vdupq_n_u32(255);
    size_t i = 0;

    for (; i + 16 <= n; i += 16) {
        const uint16x8_t a = vmovn_high_u32(vmovn_u32(codes(src + i, max, top)), codes(src + i + 4, max, top));
        const uint16x8_t b = vmovn_high_u32(vmovn_u32(codes(src + i + 8, max, top)), codes(src + i + 12, max, top));
        vst1q_u8(dst + i, vmovn_high_u16(vmovn_u16(a), b));
    }
    vd_f32_to_u8_c(dst + i, src + i, n - i);
}

void vd_f32_to_u16_neon(uint16_t *dst, const float *src, size_t n, int max)
{
    const float32x4_t m = vdupq_n_f32((float)max);
    const uint32x4_t top = vdupq_n_u32((uint32_t)max);
    size_t i = 0;

    assert(max >= 1 && max <= 65535);
    for (; i + 8 <= n; i += 8)
        vst1q_u16(dst + i, vmovn_high_u32(vmovn_u32(codes(src + i, m, top)), codes(src + i + 4, m, top)));
    vd_f32_to_u16_c(dst + i, src + i, n - i, max);
}
