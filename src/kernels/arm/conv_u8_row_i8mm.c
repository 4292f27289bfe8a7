/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/arm/vec_neon.h"

/* usdot and sudot: four products of a signed and an unsigned byte added to each sum, which does not saturate. */
#define VR_SIGNED 0
#define VR_NEEDS_EXACT 0
static inline int vr_at(int oc, int i) { return oc * 4 + i; }
#define VR_ADD(sums, x, w, lane, exact) \
    do { \
        VR_UNROLL \
        for (int v_ = 0; v_ < VR_NV; v_++) \
            (sums)[v_] = vsudotq_laneq_s32((sums)[v_], vld1q_s8((w) + v_ * 16), x, lane); \
    } while (0)
static inline vd_vi vr_dot(vd_vi sum, uint8x16_t x, int8x16_t w) { return vusdotq_s32(sum, x, w); }

#include "kernels/arm/conv_u8_row_lane_tmpl.h"

/* Depthwise layers stay as they are in NEON. */
void vd_conv_u8_row_i8mm(struct vd_row_kernels *k) { vr_conv_u8_init(k); }
