/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/arm/vec_neon.h"

/* sdot: four products of signed bytes added to each sum, which does not saturate. */
#define VR_SIGNED 1
#define VR_NEEDS_EXACT 0
static inline int vr_at(int oc, int i) { return oc * 4 + i; }
#define VR_ADD(sums, x, w, lane, exact) \
    do { \
        VR_UNROLL \
        for (int v_ = 0; v_ < VR_NV; v_++) \
            (sums)[v_] = vdotq_laneq_s32((sums)[v_], vld1q_s8((w) + v_ * 16), vreinterpretq_s8_u8(x), lane); \
    } while (0)
static inline vd_vi vr_dot(vd_vi sum, uint8x16_t x, int8x16_t w) { return vdotq_s32(sum, vreinterpretq_s8_u8(x), w); }

#include "kernels/arm/conv_u8_row_lane_tmpl.h"

/* Depthwise layers stay as they are in NEON. */
void vd_conv_u8_row_dotprod(struct vd_row_kernels *k) { vr_conv_u8_init(k); }
