/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include "kernels/kernels_impl.h"
#include "kernels/row_tail.h"

static void add_u8(uint8_t *dst, const uint8_t *a, const uint8_t *b, size_t n, const struct vd_row_add *p)
{
    for (size_t i = 0; i < n; i++) {
        const float v = fmaf((float)(a[i] - p->off), p->ra, fmaf((float)(b[i] - p->off), p->rb, p->fixed));
        dst[i] = vd_row_byte(v, p->off, p->lo + p->off, p->hi + p->off);
    }
}

static void add_f32(float *dst, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = a[i] + b[i];
}

static void clamp_f32(float *dst, const float *a, size_t n, float lo, float hi)
{
    for (size_t i = 0; i < n; i++) {
        const float up = a[i] < lo ? lo : a[i];
        dst[i] = hi < up ? hi : up;
    }
}

static void quantize_u8(uint8_t *dst, const float *x, size_t n, float scale, int zp, int lo, int hi)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = vd_row_byte(x[i] / scale, zp, lo, hi);
}

static void dequantize_f32(float *dst, const uint8_t *x, size_t n, float scale, int zp)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = (float)(x[i] - zp) * scale;
}

static void lookup_f32(float *dst, const uint8_t *x, size_t n, const float table[256])
{
    for (size_t i = 0; i < n; i++)
        dst[i] = table[x[i]];
}

static void lookup_u8(uint8_t *dst, const uint8_t *x, size_t n, const uint8_t table[256])
{
    for (size_t i = 0; i < n; i++)
        dst[i] = table[x[i]];
}

static void block_f32(float *dst, size_t dst_block, const float *plane, size_t step, int channels, int width)
{
    for (int c = 0; c < channels; c += VD_LANES) {
        float *out = (float *)((char *)dst + (size_t)(c / VD_LANES) * dst_block);
        const float *in = plane + (size_t)c * step;
        const int n = channels - c < VD_LANES ? channels - c : VD_LANES;

        for (int x = 0; x < width; x++, out += VD_LANES)
            for (int i = 0; i < VD_LANES; i++)
                out[i] = i < n ? in[(size_t)i * step + (size_t)x] : 0.0f;
    }
}

static void plane_f32(float *plane, size_t step, const float *src, size_t src_block, int channels, int width)
{
    for (int c = 0; c < channels; c++) {
        const float *in = (const float *)((const char *)src + (size_t)(c / VD_LANES) * src_block) + c % VD_LANES;
        float *out = plane + (size_t)c * step;

        for (int x = 0; x < width; x++)
            out[x] = in[(ptrdiff_t)x * VD_LANES];
    }
}

void vd_rows_c(struct vd_row_kernels *k)
{
    k->add_u8 = add_u8;
    k->add_f32 = add_f32;
    k->clamp_f32 = clamp_f32;
    k->quantize_u8 = quantize_u8;
    k->dequantize_f32 = dequantize_f32;
    k->lookup_f32 = lookup_f32;
    k->lookup_u8 = lookup_u8;
    k->block_f32 = block_f32;
    k->plane_f32 = plane_f32;
}
