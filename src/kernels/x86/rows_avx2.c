/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>
#include "kernels/kernels_impl.h"
#include "kernels/x86/vec_avx2.h"

/* 32 bytes or 8 floats at a time; what is left over goes through a copy of that size. */
enum { BYTES = 32 };

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* Four vectors of integers to 32 bytes: zp is added, in 16 bits that saturate, and they are clamped to the bytes lo to hi. */
static inline __m256i bytes(const __m256i q[4], __m256i zp, __m256i lo, __m256i hi)
{
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i a = _mm256_adds_epi16(_mm256_packs_epi32(q[0], q[1]), zp), b = _mm256_adds_epi16(_mm256_packs_epi32(q[2], q[3]), zp);
    const __m256i v = _mm256_min_epu8(_mm256_max_epu8(_mm256_packus_epi16(a, b), lo), hi);

    return _mm256_permutevar8x32_epi32(v, order);
}

/* Eight bytes, less off. */
static inline __m256 real(const uint8_t *p, __m256i off)
{
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)), off));
}

static void add_u8(uint8_t *dst, const uint8_t *a, const uint8_t *b, size_t n, const struct vd_row_add *p)
{
    const __m256 ra = _mm256_set1_ps(p->ra), rb = _mm256_set1_ps(p->rb), fixed = _mm256_set1_ps(p->fixed);
    const __m256 lo = _mm256_set1_ps((float)p->lo), hi = _mm256_set1_ps((float)p->hi);
    const __m256i off = _mm256_set1_epi32(p->off), off16 = _mm256_set1_epi16((short)p->off);
    const __m256i none = _mm256_setzero_si256(), all = _mm256_set1_epi8(-1);
    uint8_t rest[3][BYTES] = {{0}};

    for (size_t i = 0; i < n; i += BYTES) {
        const size_t left = n - i;
        const uint8_t *pa = a + i, *pb = b + i;
        uint8_t *out = dst + i;
        __m256i q[4];

        if (left < BYTES) {
            pa = memcpy(rest[0], pa, left);
            pb = memcpy(rest[1], pb, left);
            out = rest[2];
        }
        UNROLL
        for (int k = 0; k < 4; k++) {
            const __m256 v = _mm256_fmadd_ps(real(pa + 8 * k, off), ra, _mm256_fmadd_ps(real(pb + 8 * k, off), rb, fixed));
            q[k] = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(v, lo), hi)); /* NaN becomes lo */
        }
        _mm256_storeu_si256((__m256i *)out, bytes(q, off16, none, all));
        if (left < BYTES)
            memcpy(dst + i, out, left);
    }
}

static void add_f32(float *dst, const float *a, const float *b, size_t n)
{
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(dst + i, _mm256_add_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i)));
    if (i < n) {
        const __m256i m = vv_mask((int)(n - i));
        _mm256_maskstore_ps(dst + i, m, _mm256_add_ps(_mm256_maskload_ps(a + i, m), _mm256_maskload_ps(b + i, m)));
    }
}

static void clamp_f32(float *dst, const float *a, size_t n, float lo, float hi)
{
    const __m256 l = _mm256_set1_ps(lo), h = _mm256_set1_ps(hi);
    size_t i = 0;

    for (; i + 8 <= n; i += 8) /* the second operand comes out for NaN and for two zeros */
        _mm256_storeu_ps(dst + i, _mm256_min_ps(h, _mm256_max_ps(l, _mm256_loadu_ps(a + i))));
    if (i < n) {
        const __m256i m = vv_mask((int)(n - i));
        _mm256_maskstore_ps(dst + i, m, _mm256_min_ps(h, _mm256_max_ps(l, _mm256_maskload_ps(a + i, m))));
    }
}

/* As in rows_avx512vnni.c, where the proof is. */
static inline __m256 quotient(__m256 x, __m256 scale, __m256 inverse)
{
    const __m256 q = _mm256_mul_ps(x, inverse), r = _mm256_fmadd_ps(_mm256_fnmadd_ps(q, scale, x), inverse, q);

    return _mm256_fmadd_ps(_mm256_fnmadd_ps(r, scale, x), inverse, r);
}

static void quantize_u8(uint8_t *dst, const float *x, size_t n, float scale, int zp, int lo, int hi)
{
    uint32_t u;
    memcpy(&u, &scale, sizeof(u));
    const int quick = scale > 0x1p-60f && scale < 0x1p60f && (u & 0x7fffff) != 0x7fffff;
    const __m256 s = _mm256_set1_ps(scale), inverse = _mm256_set1_ps(1.0f / scale);
    const __m256 far = _mm256_set1_ps(quick ? 1024.0f * scale : 1024.0f), near = _mm256_sub_ps(_mm256_setzero_ps(), far);
    const __m256i zp16 = _mm256_set1_epi16((short)zp), lo8 = _mm256_set1_epi8((char)lo), hi8 = _mm256_set1_epi8((char)hi);
    float rest[BYTES] = {0};
    uint8_t rest_out[BYTES];

    for (size_t i = 0; i < n; i += BYTES) {
        const size_t left = n - i;
        const float *in = x + i;
        __m256i q[4];

        if (left < BYTES)
            in = memcpy(rest, in, left * sizeof(float));
        UNROLL
        for (int k = 0; k < 4; k++) {
            __m256 v = _mm256_loadu_ps(in + 8 * k);
            /* NaN becomes the lower bound: maxps gives the second operand */
            if (quick)
                v = quotient(_mm256_min_ps(_mm256_max_ps(v, near), far), s, inverse);
            else
                v = _mm256_min_ps(_mm256_max_ps(_mm256_div_ps(v, s), near), far);
            q[k] = _mm256_cvtps_epi32(v);
        }
        _mm256_storeu_si256((__m256i *)(left < BYTES ? rest_out : dst + i), bytes(q, zp16, lo8, hi8));
        if (left < BYTES)
            memcpy(dst + i, rest_out, left);
    }
}

static void dequantize_f32(float *dst, const uint8_t *x, size_t n, float scale, int zp)
{
    const __m256 s = _mm256_set1_ps(scale);
    const __m256i z = _mm256_set1_epi32(zp);
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(dst + i, _mm256_mul_ps(real(x + i, z), s));
    for (; i < n; i++)
        dst[i] = (float)(x[i] - zp) * scale;
}

/* A sixteenth of the table at a time, as in rows_avx512vnni.c. */
static void lookup_u8(uint8_t *dst, const uint8_t *x, size_t n, const uint8_t table[256])
{
    size_t i = 0;

    for (; i + BYTES <= n; i += BYTES) {
        const __m256i v = _mm256_loadu_si256((const __m256i *)(x + i));
        __m256i out = _mm256_setzero_si256();
        UNROLL
        for (int k = 0; k < 16; k++) {
            const __m256i part = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(table + 16 * k)));
            const __m256i at = _mm256_adds_epu8(_mm256_xor_si256(v, _mm256_set1_epi8((char)(k << 4))), _mm256_set1_epi8(0x70));
            out = _mm256_or_si256(out, _mm256_shuffle_epi8(part, at));
        }
        _mm256_storeu_si256((__m256i *)(dst + i), out);
    }
    for (; i < n; i++)
        dst[i] = table[x[i]];
}

static inline void transpose(__m256 r[8])
{
    __m256 t[8];

    UNROLL
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    UNROLL
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
    }
    memcpy(r, t, sizeof(t));
}

/* Eight channels of eight pixels at a time; lanes past the channels become 0, pixels past the row are masked. */
static void block_f32(float *dst, size_t dst_block, const float *plane, size_t step, int channels, int width)
{
    for (int c = 0; c < (channels + VD_LANES - 1) / VD_LANES * VD_LANES; c += 8) {
        float *out = (float *)(void *)((char *)dst + (size_t)(c / VD_LANES) * dst_block) + c % VD_LANES;
        for (int x = 0; x < width; x += 8) {
            const int n = width - x < 8 ? width - x : 8;
            __m256 r[8];
            UNROLL
            for (int i = 0; i < 8; i++) {
                const float *p = plane + (size_t)(c + i) * step + (size_t)x;
                r[i] = c + i >= channels ? _mm256_setzero_ps() : n == 8 ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, vv_mask(n));
            }
            transpose(r);
            for (int i = 0; i < n; i++)
                _mm256_storeu_ps(out + (ptrdiff_t)(x + i) * VD_LANES, r[i]);
        }
    }
}

static void plane_f32(float *plane, size_t step, const float *src, size_t src_block, int channels, int width)
{
    for (int c = 0; c < channels; c += 8) {
        const float *in = (const float *)(const void *)((const char *)src + (size_t)(c / VD_LANES) * src_block) + c % VD_LANES;
        const int n_c = channels - c < 8 ? channels - c : 8;
        for (int x = 0; x < width; x += 8) { /* reads up to seven pixels of slack */
            const int n = width - x < 8 ? width - x : 8;
            __m256 r[8];
            UNROLL
            for (int i = 0; i < 8; i++)
                r[i] = _mm256_loadu_ps(in + (ptrdiff_t)(x + i) * VD_LANES);
            transpose(r);
            for (int i = 0; i < n_c; i++) {
                float *p = plane + (size_t)(c + i) * step + (size_t)x;
                if (n == 8)
                    _mm256_storeu_ps(p, r[i]);
                else
                    _mm256_maskstore_ps(p, vv_mask(n), r[i]);
            }
        }
    }
}

void vd_rows_avx2(struct vd_row_kernels *k)
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
