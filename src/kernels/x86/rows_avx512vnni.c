/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>
#include "kernels/kernels_impl.h"
#include "kernels/x86/vec_avx512vnni.h"

/* Sixteen elements at a time, 64 where they are bytes; what is left over is masked. */

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

static inline __mmask64 mask64(size_t left) { return left < 64 ? (1ull << left) - 1 : ~0ull; }

/* Four vectors of integers to 64 bytes: zp is added, in 16 bits that saturate, and they are clamped to the bytes lo to hi. */
static inline __m512i bytes(__m512i a, __m512i b, __m512i c, __m512i d, __m512i zp, __m512i lo, __m512i hi)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i ab = _mm512_adds_epi16(_mm512_packs_epi32(a, b), zp), cd = _mm512_adds_epi16(_mm512_packs_epi32(c, d), zp);
    const __m512i v = _mm512_min_epu8(_mm512_max_epu8(_mm512_packus_epi16(ab, cd), lo), hi);

    return _mm512_permutexvar_epi32(order, v);
}

/* Quarter k of v, less off; k is a part of the instruction. */
#define REAL(v, k, off) _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(v, k)), off))

static void add_u8(uint8_t *dst, const uint8_t *a, const uint8_t *b, size_t n, const struct vd_row_add *p)
{
    const __m512 ra = _mm512_set1_ps(p->ra), rb = _mm512_set1_ps(p->rb), fixed = _mm512_set1_ps(p->fixed);
    const __m512 lo = _mm512_set1_ps((float)p->lo), hi = _mm512_set1_ps((float)p->hi);
    const __m512i off = _mm512_set1_epi32(p->off), off16 = _mm512_set1_epi16((short)p->off);

    for (size_t i = 0; i < n; i += 64) {
        const __mmask64 m = mask64(n - i);
        const __m512i va = _mm512_maskz_loadu_epi8(m, a + i), vb = _mm512_maskz_loadu_epi8(m, b + i);
        __m512i q[4];
#define QUARTER(k) \
        do { \
            const __m512 v = _mm512_fmadd_ps(REAL(va, k, off), ra, _mm512_fmadd_ps(REAL(vb, k, off), rb, fixed)); \
            q[k] = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(v, lo), hi)); /* NaN becomes lo */ \
        } while (0)
        QUARTER(0);
        QUARTER(1);
        QUARTER(2);
        QUARTER(3);
#undef QUARTER
        _mm512_mask_storeu_epi8(dst + i, m, bytes(q[0], q[1], q[2], q[3], off16, _mm512_setzero_si512(), _mm512_set1_epi8(-1)));
    }
}

static void add_f32(float *dst, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        const __mmask16 m = vv_mask(n - i < 16 ? (int)(n - i) : 16);
        _mm512_mask_storeu_ps(dst + i, m, _mm512_add_ps(_mm512_maskz_loadu_ps(m, a + i), _mm512_maskz_loadu_ps(m, b + i)));
    }
}

static void clamp_f32(float *dst, const float *a, size_t n, float lo, float hi)
{
    const __m512 l = _mm512_set1_ps(lo), h = _mm512_set1_ps(hi);

    for (size_t i = 0; i < n; i += 16) { /* the second operand comes out for NaN and for two zeros */
        const __mmask16 m = vv_mask(n - i < 16 ? (int)(n - i) : 16);
        _mm512_mask_storeu_ps(dst + i, m, _mm512_min_ps(h, _mm512_max_ps(l, _mm512_maskz_loadu_ps(m, a + i))));
    }
}

/* x / scale, rounded once, without the divider: two steps of q + (x - q scale) (1 / scale), the second of which is correct by
 * Markstein's theorem (1 / scale is rounded to nearest, the first leaves q within one place, and x - q scale is then exact).
 * x is within 1024 scale. Not for significands of all ones and scales so small or large that something might leave
 * the range of floats. Quotients below 2^-20 may be wrong in the last place: they are rounded to 0. */
static inline __m512 quotient(__m512 x, __m512 scale, __m512 inverse)
{
    const __m512 q = _mm512_mul_ps(x, inverse), r = _mm512_fmadd_ps(_mm512_fnmadd_ps(q, scale, x), inverse, q);

    return _mm512_fmadd_ps(_mm512_fnmadd_ps(r, scale, x), inverse, r);
}

static void quantize_u8(uint8_t *dst, const float *x, size_t n, float scale, int zp, int lo, int hi)
{
    uint32_t u;
    memcpy(&u, &scale, sizeof(u));
    const int quick = scale > 0x1p-60f && scale < 0x1p60f && (u & 0x7fffff) != 0x7fffff;
    const __m512 s = _mm512_set1_ps(scale), inverse = _mm512_set1_ps(1.0f / scale);
    const __m512 far = _mm512_set1_ps(quick ? 1024.0f * scale : 1024.0f), near = _mm512_sub_ps(_mm512_setzero_ps(), far);
    const __m512i zp16 = _mm512_set1_epi16((short)zp), lo8 = _mm512_set1_epi8((char)lo), hi8 = _mm512_set1_epi8((char)hi);

    for (size_t i = 0; i < n; i += 64) {
        __m512i q[4];
        UNROLL
        for (size_t k = 0; k < 4; k++) {
            const size_t at = i + 16 * k, left = at < n ? n - at : 0;
            __m512 v = _mm512_maskz_loadu_ps(vv_mask(left < 16 ? (int)left : 16), x + (left ? at : i));
            /* NaN becomes the lower bound: maxps gives the second operand */
            if (quick)
                v = quotient(_mm512_min_ps(_mm512_max_ps(v, near), far), s, inverse);
            else
                v = _mm512_min_ps(_mm512_max_ps(_mm512_div_ps(v, s), near), far);
            q[k] = _mm512_cvtps_epi32(v);
        }
        _mm512_mask_storeu_epi8(dst + i, mask64(n - i), bytes(q[0], q[1], q[2], q[3], zp16, lo8, hi8));
    }
}

static void dequantize_f32(float *dst, const uint8_t *x, size_t n, float scale, int zp)
{
    const __m512 s = _mm512_set1_ps(scale);
    const __m512i z = _mm512_set1_epi32(zp);

    for (size_t i = 0; i < n; i += 16) {
        const __mmask16 m = vv_mask(n - i < 16 ? (int)(n - i) : 16);
        const __m512i v = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(m, x + i));
        _mm512_mask_storeu_ps(dst + i, m, _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(v, z)), s));
    }
}

/* A sixteenth of the table at a time. x ^ (k << 4) is below 16 where it is in that part; adding 0x70 then leaves the top bit
 * off, which otherwise makes the shuffle give 0. */
static void lookup_u8(uint8_t *dst, const uint8_t *x, size_t n, const uint8_t table[256])
{
    __m512i part[16];

    for (int k = 0; k < 16; k++)
        part[k] = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(table + 16 * k)));
    for (size_t i = 0; i < n; i += 64) {
        const __mmask64 m = mask64(n - i);
        const __m512i v = _mm512_maskz_loadu_epi8(m, x + i);
        __m512i out = _mm512_setzero_si512();
        UNROLL
        for (int k = 0; k < 16; k++) {
            const __m512i at = _mm512_adds_epu8(_mm512_xor_si512(v, _mm512_set1_epi8((char)(k << 4))), _mm512_set1_epi8(0x70));
            out = _mm512_or_si512(out, _mm512_shuffle_epi8(part[k], at));
        }
        _mm512_mask_storeu_epi8(dst + i, m, out);
    }
}

/* The table is in sixteen registers: pairs of them by the lower five bits, and of what those give one by the upper three. */
static void lookup_f32(float *dst, const uint8_t *x, size_t n, const float table[256])
{
    __m512 part[16];

    for (int k = 0; k < 16; k++)
        part[k] = _mm512_loadu_ps(table + 16 * k);
    for (size_t i = 0; i < n; i += 16) {
        const __mmask16 m = vv_mask(n - i < 16 ? (int)(n - i) : 16);
        const __m512i v = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(m, x + i));
        const __mmask16 b5 = _mm512_test_epi32_mask(v, _mm512_set1_epi32(32)), b6 = _mm512_test_epi32_mask(v, _mm512_set1_epi32(64));
        const __mmask16 b7 = _mm512_test_epi32_mask(v, _mm512_set1_epi32(128));
        __m512 at[4];
        UNROLL
        for (int k = 0; k < 4; k++)
            at[k] = _mm512_mask_mov_ps(_mm512_permutex2var_ps(part[4 * k], v, part[4 * k + 1]), b5,
                                       _mm512_permutex2var_ps(part[4 * k + 2], v, part[4 * k + 3]));
        _mm512_mask_storeu_ps(dst + i, m, _mm512_mask_mov_ps(_mm512_mask_mov_ps(at[0], b6, at[1]), b7, _mm512_mask_mov_ps(at[2], b6, at[3])));
    }
}

void vd_rows_avx512vnni(struct vd_row_kernels *k)
{
    k->add_u8 = add_u8;
    k->add_f32 = add_f32;
    k->clamp_f32 = clamp_f32;
    k->quantize_u8 = quantize_u8;
    k->dequantize_f32 = dequantize_f32;
    k->lookup_u8 = lookup_u8;
    k->lookup_f32 = lookup_f32;
}
