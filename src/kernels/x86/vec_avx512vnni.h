/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_VEC_AVX512VNNI_H
#define VD_VEC_AVX512VNNI_H

#include <immintrin.h>
#include <stdint.h>

/* Rows: pixels of a tile, largest first, the largest of floats, and those of a 3x3 tap by tap; Winograd: tiles that are summed together; last layer: vectors of
 * pixels at once. */
enum { VR_LARGE = 16, VR_MIDDLE = 8, VR_SMALL = 4, VR_FLOAT = 14, VR_NINE = 4, VR_WINO = 12, VR_LAST = 1 };
/* The vectors that conv_tiles_tmpl.h is written in: AVX-512 F, BW, DQ, VL and VNNI. */
typedef __m512 vd_v;
typedef __m512i vd_vi, vd_pairs;
typedef __mmask16 vd_mask;
enum {
    VV_LANES = 16,
    VD_KEPT = 8, /* s16: all inputs of a tile stay in registers */
};
#define VD_TILES_OF_ONE(X) X(1, 1) X(1, 2) X(1, 3) X(1, 4) /* one product a cycle, four cycles long: more sums at once gain nothing */
#define VD_TILES_OF_FOUR(X) X(4, 1) X(4, 2) X(4, 3) X(4, 4) X(4, 5) X(4, 6)
#define VD_TILES_S16_OF_FOUR VD_TILES_OF_FOUR

/* The lanes below n. */
static inline vd_mask vv_mask(int n) { return (vd_mask)((1u << n) - 1); }

static inline vd_v vv_zero(void) { return _mm512_setzero_ps(); }
static inline vd_v vv_set1(float f) { return _mm512_set1_ps(f); }
static inline vd_v vv_load(const float *p) { return _mm512_loadu_ps(p); }
static inline vd_v vv_load_some(const float *p, vd_mask m) { return _mm512_maskz_loadu_ps(m, p); }
static inline void vv_store(float *p, vd_v v) { _mm512_storeu_ps(p, v); }
static inline void vv_store_some(float *p, vd_mask m, vd_v v) { _mm512_mask_storeu_ps(p, m, v); }
static inline vd_v vv_add(vd_v a, vd_v b) { return _mm512_add_ps(a, b); }
static inline vd_v vv_mul(vd_v a, vd_v b) { return _mm512_mul_ps(a, b); }
static inline vd_v vv_min(vd_v a, vd_v b) { return _mm512_min_ps(a, b); }
static inline vd_v vv_max(vd_v a, vd_v b) { return _mm512_max_ps(a, b); }
static inline vd_v vv_fma(vd_v a, vd_v b, vd_v c) { return _mm512_fmadd_ps(a, b, c); }

static inline vd_vi vi_zero(void) { return _mm512_setzero_si512(); }
static inline vd_vi vi_set1(int32_t v) { return _mm512_set1_epi32(v); }
static inline vd_vi vi_load(const int16_t *p) { return _mm512_loadu_si512(p); }
static inline void vi_store(int32_t *p, vd_vi v) { _mm512_storeu_si512(p, v); }
static inline void vi_store_some(int32_t *p, vd_mask m, vd_vi v) { _mm512_mask_storeu_epi32(p, m, v); }
static inline vd_v vi_to_f32(vd_vi v) { return _mm512_cvtepi32_ps(v); }
static inline vd_v vv_keep(vd_v v, vd_mask m) { return _mm512_maskz_mov_ps(m, v); } /* 0 where m is off */
static inline vd_v vv_min_keep(vd_mask m, vd_v a, vd_v b) { return _mm512_maskz_min_ps(m, a, b); }
static inline vd_v vv_pick(vd_mask m, vd_v a, vd_v b) { return _mm512_mask_mov_ps(b, m, a); }
static inline vd_mask vv_nan(vd_v v, vd_mask m) { return _mm512_mask_cmp_ps_mask(m, v, v, _CMP_UNORD_Q); }
static inline vd_mask vm_or(vd_mask a, vd_mask b) { return (vd_mask)(a | b); }
static inline vd_mask vm_none(void) { return 0; }
static inline int vm_any(vd_mask m) { return m != 0; }
static inline float vv_lowest(vd_v v) { return _mm512_reduce_min_ps(v); }
static inline float vv_highest(vd_v v) { return _mm512_reduce_max_ps(v); }
static inline vd_v vv_sub(vd_v a, vd_v b) { return _mm512_sub_ps(a, b); }
static inline vd_v vv_nfma(vd_v a, vd_v b, vd_v c) { return _mm512_fnmadd_ps(a, b, c); } /* c - a * b */
/* The sums of the lanes of 16 vectors, in their order. */
static inline vd_v vv_add_lanes(const vd_v v[16])
{
    vd_v s[4];

    for (int i = 0; i < 4; i++) { /* in each quarter, of vectors 4 i to 4 i + 3 */
        const vd_v *u = v + 4 * i;
        const vd_v a = _mm512_add_ps(_mm512_unpacklo_ps(u[0], u[1]), _mm512_unpackhi_ps(u[0], u[1]));
        const vd_v b = _mm512_add_ps(_mm512_unpacklo_ps(u[2], u[3]), _mm512_unpackhi_ps(u[2], u[3]));
        s[i] = _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
    }
    const vd_v a = _mm512_add_ps(_mm512_shuffle_f32x4(s[0], s[1], 0x88), _mm512_shuffle_f32x4(s[0], s[1], 0xdd));
    const vd_v b = _mm512_add_ps(_mm512_shuffle_f32x4(s[2], s[3], 0x88), _mm512_shuffle_f32x4(s[2], s[3], 0xdd));
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}

/* sum + a pair's two products in each lane: vpdpwssd, which does not saturate. Written out, because gcc 12 moves and
 * spills the sums around the intrinsic. */
static inline vd_vi vi_dot(vd_vi sum, vd_vi a, vd_vi b)
{
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
}
/* sum + four products of bytes x, unsigned, and w, signed, in each lane: vpdpbusd, which does not saturate. */
static inline vd_vi vi_dot_u8(vd_vi sum, vd_vi x, vd_vi w)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
    return sum;
}
static inline vd_pairs vi_pairs(const int16_t *p) { return vi_load(p); }
/* Two int16, at any address, in all lanes. */
static inline vd_pairs vi_pair(const int16_t *p)
{
    vd_pairs v;

    __asm__("vpbroadcastd %1, %0" : "=v"(v) : "m"(*(const int16_t(*)[2])p));
    return v;
}
/* Four bytes, at any address, in all lanes. */
static inline vd_vi vi_four(const uint8_t *p)
{
    vd_vi v;

    __asm__("vpbroadcastd %1, %0" : "=v"(v) : "m"(*(const uint8_t(*)[4])p));
    return v;
}

#endif
