/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_VEC_AVX2_H
#define VD_VEC_AVX2_H

#include <immintrin.h>
#include <stdint.h>

/* Rows: pixels of a tile, largest first, the largest of floats, and those of a 3x3 tap by tap; Winograd: tiles that are summed together; last layer: vectors of
 * pixels at once. */
enum { VR_LARGE = 6, VR_MIDDLE = 4, VR_SMALL = 2, VR_FLOAT = 6, VR_NINE = 4, VR_WINO = 6, VR_LAST = 1 };
/* The vectors that conv_tiles_tmpl.h is written in: AVX2 and FMA. */
typedef __m256 vd_v;
typedef __m256i vd_vi, vd_pairs, vd_mask;
enum {
    VV_LANES = 8,
    VD_KEPT = 2, /* s16: inputs that are kept in registers for all channels of a tile */
};
#define VD_TILES_OF_ONE(X) X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(1, 7) X(1, 8)
#define VD_TILES_OF_FOUR(X) X(4, 1) X(4, 2) X(4, 3)
#define VD_TILES_S16_OF_FOUR VD_TILES_OF_FOUR

/* The lanes below n. */
static inline vd_mask vv_mask(int n)
{
    static const int32_t lanes[16] = {-1, -1, -1, -1, -1, -1, -1, -1};

    return _mm256_loadu_si256((const __m256i *)(lanes + 8 - n));
}

static inline vd_v vv_zero(void) { return _mm256_setzero_ps(); }
static inline vd_v vv_set1(float f) { return _mm256_set1_ps(f); }
static inline vd_v vv_load(const float *p) { return _mm256_loadu_ps(p); }
static inline vd_v vv_load_some(const float *p, vd_mask m) { return _mm256_maskload_ps(p, m); }
static inline void vv_store(float *p, vd_v v) { _mm256_storeu_ps(p, v); }
static inline void vv_store_some(float *p, vd_mask m, vd_v v) { _mm256_maskstore_ps(p, m, v); }
static inline vd_v vv_add(vd_v a, vd_v b) { return _mm256_add_ps(a, b); }
static inline vd_v vv_mul(vd_v a, vd_v b) { return _mm256_mul_ps(a, b); }
static inline vd_v vv_min(vd_v a, vd_v b) { return _mm256_min_ps(a, b); }
static inline vd_v vv_max(vd_v a, vd_v b) { return _mm256_max_ps(a, b); }
static inline vd_v vv_fma(vd_v a, vd_v b, vd_v c) { return _mm256_fmadd_ps(a, b, c); }
static inline vd_v vv_sub(vd_v a, vd_v b) { return _mm256_sub_ps(a, b); }
static inline vd_v vv_nfma(vd_v a, vd_v b, vd_v c) { return _mm256_fnmadd_ps(a, b, c); } /* c - a * b */
static inline vd_v vv_keep(vd_v v, vd_mask m) { return _mm256_and_ps(v, _mm256_castsi256_ps(m)); } /* 0 where m is off */
static inline vd_v vv_min_keep(vd_mask m, vd_v a, vd_v b) { return vv_keep(_mm256_min_ps(a, b), m); }
static inline vd_v vv_pick(vd_mask m, vd_v a, vd_v b) { return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(m)); }
static inline vd_mask vv_nan(vd_v v, vd_mask m) { return _mm256_and_si256(m, _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q))); }
static inline vd_mask vm_or(vd_mask a, vd_mask b) { return _mm256_or_si256(a, b); }
static inline vd_mask vm_none(void) { return _mm256_setzero_si256(); }
static inline int vm_any(vd_mask m) { return !_mm256_testz_si256(m, m); }
static inline float vv_lowest(vd_v v)
{
    __m128 a = _mm_min_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

    a = _mm_min_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_min_ss(a, _mm_movehdup_ps(a)));
}
static inline float vv_highest(vd_v v)
{
    __m128 a = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

    a = _mm_max_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_max_ss(a, _mm_movehdup_ps(a)));
}
/* The sums of the lanes of 8 vectors, in their order. */
static inline vd_v vv_add_lanes(const vd_v v[8])
{
    const vd_v a = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
    const vd_v b = _mm256_hadd_ps(_mm256_hadd_ps(v[4], v[5]), _mm256_hadd_ps(v[6], v[7]));

    return _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
}

static inline vd_vi vi_zero(void) { return _mm256_setzero_si256(); }
static inline vd_vi vi_set1(int32_t v) { return _mm256_set1_epi32(v); }
static inline vd_vi vi_load(const int16_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline void vi_store(int32_t *p, vd_vi v) { _mm256_storeu_si256((__m256i *)p, v); }
static inline void vi_store_some(int32_t *p, vd_mask m, vd_vi v) { _mm256_maskstore_epi32(p, m, v); }
static inline vd_v vi_to_f32(vd_vi v) { return _mm256_cvtepi32_ps(v); }
/* sum + a pair's two products in each lane */
static inline vd_vi vi_dot(vd_vi sum, vd_vi a, vd_vi b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }
/* Two int16, at any address, in all lanes. */
static inline vd_vi vi_pair(const int16_t *p)
{
    vd_vi v;

    __asm__("vpbroadcastd %1, %0" : "=x"(v) : "m"(*(const int16_t(*)[2])p));
    return v;
}
static inline vd_pairs vi_pairs(const int16_t *p) { return vi_load(p); }
/* Sixteen bytes. */
static inline vd_vi vi_wide(const uint8_t *p) { return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)p)); }
/* The sums of the lanes of 8 vectors, in their order. */
static inline vd_vi vi_add_lanes(const vd_vi v[8])
{
    const vd_vi a = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
    const vd_vi b = _mm256_hadd_epi32(_mm256_hadd_epi32(v[4], v[5]), _mm256_hadd_epi32(v[6], v[7]));

    return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
}

#endif
