/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>
#include "kernels/arm/vec_neon.h"
#include "kernels/kernels_impl.h"

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* 16 elements at a time, bytes or floats; what is left over of bytes goes through a copy of that size. */
enum { CHUNK = 16 };

/* Four vectors of integers to 16 bytes: zp is added, in 16 bits that saturate, and they are clamped to the bytes lo to hi. */
static inline uint8x16_t bytes(const int32x4_t q[4], int16x8_t zp, uint8x16_t lo, uint8x16_t hi)
{
    const int16x8_t a = vqaddq_s16(vqmovn_high_s32(vqmovn_s32(q[0]), q[1]), zp), b = vqaddq_s16(vqmovn_high_s32(vqmovn_s32(q[2]), q[3]), zp);

    return vminq_u8(vmaxq_u8(vqmovun_high_s16(vqmovun_s16(a), b), lo), hi);
}

/* Sixteen bytes, less off. */
static inline void real(float32x4_t out[4], uint8x16_t v, int16x8_t off)
{
    const int16x8_t a = vsubq_s16(vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(v))), off);
    const int16x8_t b = vsubq_s16(vreinterpretq_s16_u16(vmovl_high_u8(v)), off);

    out[0] = vcvtq_f32_s32(vmovl_s16(vget_low_s16(a)));
    out[1] = vcvtq_f32_s32(vmovl_high_s16(a));
    out[2] = vcvtq_f32_s32(vmovl_s16(vget_low_s16(b)));
    out[3] = vcvtq_f32_s32(vmovl_high_s16(b));
}

static void add_u8(uint8_t *dst, const uint8_t *a, const uint8_t *b, size_t n, const struct vd_row_add *p)
{
    const float32x4_t ra = vdupq_n_f32(p->ra), rb = vdupq_n_f32(p->rb), fixed = vdupq_n_f32(p->fixed);
    const float32x4_t lo = vdupq_n_f32((float)p->lo), hi = vdupq_n_f32((float)p->hi);
    const int16x8_t off = vdupq_n_s16((int16_t)p->off);
    uint8_t rest[3][CHUNK] = {{0}};

    for (size_t i = 0; i < n; i += CHUNK) {
        const size_t left = n - i;
        const uint8_t *pa = a + i, *pb = b + i;
        uint8_t *out = dst + i;
        float32x4_t va[4], vb[4];
        int32x4_t q[4];

        if (left < CHUNK) {
            pa = memcpy(rest[0], pa, left);
            pb = memcpy(rest[1], pb, left);
            out = rest[2];
        }
        real(va, vld1q_u8(pa), off);
        real(vb, vld1q_u8(pb), off);
        UNROLL
        for (int k = 0; k < 4; k++) { /* fmaxnm: NaN, quiet after a multiplication, becomes lo */
            const float32x4_t v = vfmaq_f32(vfmaq_f32(fixed, vb[k], rb), va[k], ra);
            q[k] = vcvtnq_s32_f32(vminnmq_f32(vmaxnmq_f32(v, lo), hi));
        }
        vst1q_u8(out, bytes(q, off, vdupq_n_u8(0), vdupq_n_u8(255)));
        if (left < CHUNK)
            memcpy(dst + i, out, left);
    }
}

static void add_f32(float *dst, const float *a, const float *b, size_t n)
{
    size_t i = 0;

    for (; i + 4 <= n; i += 4)
        vst1q_f32(dst + i, vaddq_f32(vld1q_f32(a + i), vld1q_f32(b + i)));
    for (; i < n; i++)
        dst[i] = a[i] + b[i];
}

static void clamp_f32(float *dst, const float *a, size_t n, float lo, float hi)
{
    const vd_v l = vv_set1(lo), h = vv_set1(hi);
    size_t i = 0;

    for (; i + 4 <= n; i += 4)
        vst1q_f32(dst + i, vv_min(h, vv_max(l, vld1q_f32(a + i))));
    for (; i < n; i++) {
        const float up = a[i] < lo ? lo : a[i];
        dst[i] = hi < up ? hi : up;
    }
}

/* As in rows_avx512vnni.c, where the proof is: only fused multiply-adds and 1 / scale rounded to nearest are in it. */
static inline float32x4_t quotient(float32x4_t x, float32x4_t scale, float32x4_t inverse)
{
    const float32x4_t q = vmulq_f32(x, inverse), r = vfmaq_f32(q, vfmsq_f32(x, q, scale), inverse);

    return vfmaq_f32(r, vfmsq_f32(x, r, scale), inverse);
}

static void quantize_u8(uint8_t *dst, const float *x, size_t n, float scale, int zp, int lo, int hi)
{
    uint32_t u;
    memcpy(&u, &scale, sizeof(u));
    const int quick = scale > 0x1p-60f && scale < 0x1p60f && (u & 0x7fffff) != 0x7fffff;
    const vd_v s = vv_set1(scale), inverse = vv_set1(1.0f / scale), far = vv_set1(quick ? 1024.0f * scale : 1024.0f), near = vnegq_f32(far);
    const int16x8_t zp16 = vdupq_n_s16((int16_t)zp);
    const uint8x16_t lo8 = vdupq_n_u8((uint8_t)lo), hi8 = vdupq_n_u8((uint8_t)hi);
    float rest[CHUNK] = {0};
    uint8_t rest_out[CHUNK];

    for (size_t i = 0; i < n; i += CHUNK) {
        const size_t left = n - i;
        const float *in = x + i;
        int32x4_t q[4];

        if (left < CHUNK)
            in = memcpy(rest, in, left * sizeof(float));
        if (quick)
            UNROLL
            for (int k = 0; k < 4; k++) /* NaN becomes the lower bound */
                q[k] = vcvtnq_s32_f32(quotient(vv_min(vv_max(vld1q_f32(in + 4 * k), near), far), s, inverse));
        else
            UNROLL
            for (int k = 0; k < 4; k++)
                q[k] = vcvtnq_s32_f32(vv_min(vv_max(vdivq_f32(vld1q_f32(in + 4 * k), s), near), far));
        vst1q_u8(left < CHUNK ? rest_out : dst + i, bytes(q, zp16, lo8, hi8));
        if (left < CHUNK)
            memcpy(dst + i, rest_out, left);
    }
}

static void dequantize_f32(float *dst, const uint8_t *x, size_t n, float scale, int zp)
{
    const float32x4_t s = vdupq_n_f32(scale);
    const int16x8_t z = vdupq_n_s16((int16_t)zp);
    size_t i = 0;

    for (; i + CHUNK <= n; i += CHUNK) {
        float32x4_t v[4];
        real(v, vld1q_u8(x + i), z);
        UNROLL
        for (size_t k = 0; k < 4; k++)
            vst1q_f32(dst + i + 4 * k, vmulq_f32(v[k], s));
    }
    for (; i < n; i++)
        dst[i] = (float)(x[i] - zp) * scale;
}

/* A quarter of the table at a time: tbl gives 0, and tbx what was there, where the index is past its 64. */
static void lookup_u8(uint8_t *dst, const uint8_t *x, size_t n, const uint8_t table[256])
{
    const uint8x16_t quarter = vdupq_n_u8(64);
    uint8x16x4_t part[4];
    size_t i = 0;

    UNROLL
    for (int k = 0; k < 4; k++)
        part[k] = (uint8x16x4_t){{vld1q_u8(table + 64 * k), vld1q_u8(table + 64 * k + 16), vld1q_u8(table + 64 * k + 32), vld1q_u8(table + 64 * k + 48)}};
    for (; i + CHUNK <= n; i += CHUNK) {
        uint8x16_t at = vld1q_u8(x + i), out = vqtbl4q_u8(part[0], at);
        UNROLL
        for (int k = 1; k < 4; k++) {
            at = vsubq_u8(at, quarter);
            out = vqtbx4q_u8(out, part[k], at);
        }
        vst1q_u8(dst + i, out);
    }
    for (; i < n; i++)
        dst[i] = table[x[i]];
}

static inline void transpose(float32x4_t r[4])
{
    const float32x4_t a = vtrn1q_f32(r[0], r[1]), b = vtrn2q_f32(r[0], r[1]), c = vtrn1q_f32(r[2], r[3]), d = vtrn2q_f32(r[2], r[3]);

    r[0] = vcombine_f32(vget_low_f32(a), vget_low_f32(c));
    r[1] = vcombine_f32(vget_low_f32(b), vget_low_f32(d));
    r[2] = vcombine_f32(vget_high_f32(a), vget_high_f32(c));
    r[3] = vcombine_f32(vget_high_f32(b), vget_high_f32(d));
}

/* Four channels of four pixels at a time; lanes past the channels become 0, pixels past the row are not read. */
static void block_f32(float *dst, size_t dst_block, const float *plane, size_t step, int channels, int width)
{
    for (int c = 0; c < (channels + VD_LANES - 1) / VD_LANES * VD_LANES; c += 4) {
        float *out = (float *)(void *)((char *)dst + (size_t)(c / VD_LANES) * dst_block) + c % VD_LANES;
        for (int x = 0; x < width; x += 4) {
            const int n = width - x < 4 ? width - x : 4;
            float32x4_t r[4];
            UNROLL
            for (int i = 0; i < 4; i++)
                r[i] = c + i >= channels ? vdupq_n_f32(0) : vv_load_some(plane + (size_t)(c + i) * step + (size_t)x, vv_mask(n));
            transpose(r);
            for (int i = 0; i < n; i++)
                vst1q_f32(out + (ptrdiff_t)(x + i) * VD_LANES, r[i]);
        }
    }
}

static void plane_f32(float *plane, size_t step, const float *src, size_t src_block, int channels, int width)
{
    for (int c = 0; c < channels; c += 4) {
        const float *in = (const float *)(const void *)((const char *)src + (size_t)(c / VD_LANES) * src_block) + c % VD_LANES;
        const int n_c = channels - c < 4 ? channels - c : 4;
        for (int x = 0; x < width; x += 4) { /* reads up to three pixels of slack */
            const vd_mask m = vv_mask(width - x < 4 ? width - x : 4);
            float32x4_t r[4];
            UNROLL
            for (int i = 0; i < 4; i++)
                r[i] = vld1q_f32(in + (ptrdiff_t)(x + i) * VD_LANES);
            transpose(r);
            for (int i = 0; i < n_c; i++)
                vv_store_some(plane + (size_t)(c + i) * step + (size_t)x, m, r[i]);
        }
    }
}

void vd_rows_neon(struct vd_row_kernels *k)
{
    k->add_u8 = add_u8;
    k->add_f32 = add_f32;
    k->clamp_f32 = clamp_f32;
    k->quantize_u8 = quantize_u8;
    k->dequantize_f32 = dequantize_f32;
    k->lookup_u8 = lookup_u8;
    k->block_f32 = block_f32;
    k->plane_f32 = plane_f32;
}
