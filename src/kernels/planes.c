/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include "kernels/kernels_impl.h"

void vd_u8_to_f32_c(float *dst, const uint8_t *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = (float)src[i] / 255.0f;
}

void vd_u16_to_f32_c(float *dst, const uint16_t *src, size_t n, int max)
{
    assert(max >= 1 && max <= 65535);
    for (size_t i = 0; i < n; i++)
        dst[i] = (float)src[i] / (float)max;
}

/* Rounded as in quantize.c: clamped first, so NaN becomes 0 and 2^22 is far. */
static inline int to_code(float v, float max)
{
    const float magic = 0x1.8p23f;

    v *= max;
    v = v > 0.0f ? v : 0.0f;
    v = v < max ? v : max;
    return (int)((v + magic) - magic);
}

void vd_f32_to_u8_c(uint8_t *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = (uint8_t)to_code(src[i], 255.0f);
}

void vd_f32_to_u16_c(uint16_t *dst, const float *src, size_t n, int max)
{
    assert(max >= 1 && max <= 65535);
    for (size_t i = 0; i < n; i++)
        dst[i] = (uint16_t)to_code(src[i], (float)max);
}
