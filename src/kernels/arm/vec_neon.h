/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_VEC_NEON_H
#define VD_VEC_NEON_H

#include <arm_neon.h>
#include <stdint.h>

/* Rows: pixels of a tile, largest first, the largest of floats, and those of a 3x3 tap by tap; Winograd: tiles that are summed together; last layer: vectors of
 * pixels at once. */
enum { VR_LARGE = 5, VR_MIDDLE = 4, VR_SMALL = 2, VR_FLOAT = 5, VR_NINE = 4, VR_WINO = 6, VR_LAST = 4 };
/* The vectors that the templates are written in: Advanced SIMD of aarch64. */
typedef float32x4_t vd_v;
typedef int32x4_t vd_vi;
typedef int16x4x2_t vd_pairs; /* four pairs, apart */
typedef uint32x4_t vd_mask;
enum {
    VV_LANES = 4,
    VD_KEPT = 8, /* s16: all inputs of a tile stay in registers */
};
#define VD_TILES_OF_ONE(X) X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(1, 7) X(1, 8)
#define VD_TILES_OF_FOUR(X) X(4, 1) X(4, 2) X(4, 3) X(4, 4) X(4, 5)
#define VD_TILES_S16_OF_FOUR(X) X(4, 1) X(4, 2) X(4, 3) X(4, 4)

/* The lanes below n. */
static inline vd_mask vv_mask(int n)
{
    static const uint32_t lanes[8] = {~0u, ~0u, ~0u, ~0u};

    return vld1q_u32(lanes + 4 - n);
}

static inline vd_v vv_zero(void) { return vdupq_n_f32(0); }
static inline vd_v vv_set1(float f) { return vdupq_n_f32(f); }
static inline vd_v vv_load(const float *p) { return vld1q_f32(p); }
static inline void vv_store(float *p, vd_v v) { vst1q_f32(p, v); }
/* There are no masked loads and stores: only at the end of a row. The mask is one of vv_mask(). */
static inline vd_v vv_load_some(const float *p, vd_mask m)
{
    vd_v v = vdupq_n_f32(0);

    if (vgetq_lane_u32(m, 3))
        return vld1q_f32(p);
    if (vgetq_lane_u32(m, 0))
        v = vld1q_lane_f32(p, v, 0);
    if (vgetq_lane_u32(m, 1))
        v = vld1q_lane_f32(p + 1, v, 1);
    if (vgetq_lane_u32(m, 2))
        v = vld1q_lane_f32(p + 2, v, 2);
    return v;
}
static inline void vv_store_some(float *p, vd_mask m, vd_v v)
{
    if (vgetq_lane_u32(m, 3)) {
        vst1q_f32(p, v);
        return;
    }
    if (vgetq_lane_u32(m, 0))
        vst1q_lane_f32(p, v, 0);
    if (vgetq_lane_u32(m, 1))
        vst1q_lane_f32(p + 1, v, 1);
    if (vgetq_lane_u32(m, 2))
        vst1q_lane_f32(p + 2, v, 2);
}
static inline vd_v vv_add(vd_v a, vd_v b) { return vaddq_f32(a, b); }
static inline vd_v vv_sub(vd_v a, vd_v b) { return vsubq_f32(a, b); }
static inline vd_v vv_mul(vd_v a, vd_v b) { return vmulq_f32(a, b); }
/* b when either is NaN and when both are zeros, which fmin and fmax are not. */
static inline vd_v vv_min(vd_v a, vd_v b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
static inline vd_v vv_max(vd_v a, vd_v b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
static inline vd_v vv_fma(vd_v a, vd_v b, vd_v c) { return vfmaq_f32(c, a, b); }
static inline vd_v vv_nfma(vd_v a, vd_v b, vd_v c) { return vfmsq_f32(c, a, b); } /* c - a * b */
/* a's lane, 0 to 3 and known when compiling, with all of b */
#define vv_fma_lane(a, lane, b, c) vfmaq_laneq_f32(c, b, a, lane)
static inline vd_v vv_pick(vd_mask m, vd_v a, vd_v b) { return vbslq_f32(m, a, b); }
static inline vd_v vv_keep(vd_v v, vd_mask m) { return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(v), m)); } /* 0 where m is off */
static inline vd_v vv_min_keep(vd_mask m, vd_v a, vd_v b) { return vv_keep(vv_min(a, b), m); }
static inline vd_mask vv_nan(vd_v v, vd_mask m) { return vbicq_u32(m, vceqq_f32(v, v)); }
static inline vd_mask vm_or(vd_mask a, vd_mask b) { return vorrq_u32(a, b); }
static inline vd_mask vm_none(void) { return vdupq_n_u32(0); }
static inline int vm_any(vd_mask m) { return vmaxvq_u32(m) != 0; }
static inline float vv_lowest(vd_v v) { return vminvq_f32(v); }
static inline float vv_highest(vd_v v) { return vmaxvq_f32(v); }
/* The sums of the lanes of 4 vectors, in their order. */
static inline vd_v vv_add_lanes(const vd_v v[4]) { return vpaddq_f32(vpaddq_f32(v[0], v[1]), vpaddq_f32(v[2], v[3])); }

static inline vd_vi vi_zero(void) { return vdupq_n_s32(0); }
static inline vd_vi vi_load(const int16_t *p) { return vreinterpretq_s32_s16(vld1q_s16(p)); }
static inline void vi_store(int32_t *p, vd_vi v) { vst1q_s32(p, v); }
static inline void vi_store_some(int32_t *p, vd_mask m, vd_vi v)
{
    if (vgetq_lane_u32(m, 3)) {
        vst1q_s32(p, v);
        return;
    }
    if (vgetq_lane_u32(m, 0))
        vst1q_lane_s32(p, v, 0);
    if (vgetq_lane_u32(m, 1))
        vst1q_lane_s32(p + 1, v, 1);
    if (vgetq_lane_u32(m, 2))
        vst1q_lane_s32(p + 2, v, 2);
}
static inline vd_v vi_to_f32(vd_vi v) { return vcvtq_f32_s32(v); }
static inline vd_pairs vi_pairs(const int16_t *p) { return vld2_s16(p); }
static inline vd_pairs vi_pair(const int16_t *p) { return vld2_dup_s16(p); } /* one, in all lanes */
/* sum + a pair's two products in each lane */
static inline vd_vi vi_dot(vd_vi sum, vd_pairs a, vd_pairs b)
{
    return vmlal_s16(vmlal_s16(sum, a.val[0], b.val[0]), a.val[1], b.val[1]);
}

#endif
