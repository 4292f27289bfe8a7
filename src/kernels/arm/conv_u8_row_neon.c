/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/arm/vec_neon.h"

/* Products of signed bytes are 16 bits; two of them are added in 16 bits where they fit, which all do but twice -128 by -128, and
 * neighbours are added to a sum of 32 (smull, smlal, sadalp). A group is two pairs of channels, each [16][2]. */
#define VR_SIGNED 1
#define VR_NEEDS_EXACT 1
static inline int vr_at(int oc, int i) { return i / 2 * 32 + oc * 2 + i % 2; }
#define VR_ADD(sums, x, w, lane, exact) \
    do { \
        const int8x16_t a_ = vreinterpretq_s8_s16(vdupq_laneq_s16(vreinterpretq_s16_u8(x), 2 * (lane))); \
        const int8x16_t b_ = vreinterpretq_s8_s16(vdupq_laneq_s16(vreinterpretq_s16_u8(x), 2 * (lane) + 1)); \
        vr_pairs((sums), a_, vld1q_s8(w), b_, vld1q_s8((w) + 32), exact); \
        vr_pairs((sums) + 2, a_, vld1q_s8((w) + 16), b_, vld1q_s8((w) + 48), exact); \
    } while (0)
static inline __attribute__((always_inline)) void vr_pairs(vd_vi sums[2], int8x16_t xa, int8x16_t wa, int8x16_t xb, int8x16_t wb, const int exact)
{
    const int16x8_t lo = vmull_s8(vget_low_s8(wa), vget_low_s8(xa)), hi = vmull_high_s8(wa, xa);

    if (exact) {
        sums[0] = vpadalq_s16(vpadalq_s16(sums[0], lo), vmull_s8(vget_low_s8(wb), vget_low_s8(xb)));
        sums[1] = vpadalq_s16(vpadalq_s16(sums[1], hi), vmull_high_s8(wb, xb));
    } else {
        sums[0] = vpadalq_s16(sums[0], vmlal_s8(lo, vget_low_s8(wb), vget_low_s8(xb)));
        sums[1] = vpadalq_s16(sums[1], vmlal_high_s8(hi, wb, xb));
    }
}
static inline vd_vi vr_dot(vd_vi sum, uint8x16_t x, int8x16_t w)
{
    const int8x16_t v = vreinterpretq_s8_u8(x);

    return vpadalq_s16(vpadalq_s16(sum, vmull_s8(vget_low_s8(v), vget_low_s8(w))), vmull_high_s8(v, w));
}

#include "kernels/arm/conv_u8_row_lane_tmpl.h"

/* --- depthwise: bytes and weights as 16 bits --- */

/* [block][ky][kx][16] */
static size_t pack_depthwise(const struct vd_row_shape *s, const void *weight, void *pack)
{
    const int8_t *w = weight;
    int16_t *out = pack;
    const size_t taps = (size_t)(s->kh * s->kw);
    const size_t size = (((size_t)s->oc + VD_LANES - 1) / VD_LANES * taps * VD_LANES * sizeof(int16_t) + 63) & ~(size_t)63;

    if (!pack)
        return size;
    memset(pack, 0, size);
    for (size_t o = 0; o < (size_t)s->oc; o++)
        for (size_t t = 0; t < taps; t++)
            out[(o / VD_LANES * taps + t) * VD_LANES + o % VD_LANES] = *w++;
    return size;
}

VR_INLINE void sums_depthwise(const struct vr_job *j, vd_vi acc[][VR_NV], int x, const int np, const ptrdiff_t pixel)
{
    const int16_t *w = (const int16_t *)(const void *)j->weight;

    vr_first(j, acc, np);
    for (int ky = 0; ky < j->c->shape.kh; ky++) {
        const uint8_t *row = j->src[ky] + (size_t)j->block * j->src_block + x * pixel;
        for (int kx = 0; kx < j->c->shape.kw; kx++, row += j->step, w += VD_LANES) {
            const int16x8_t w0 = vld1q_s16(w), w1 = vld1q_s16(w + 8);
            VR_UNROLL
            for (int p = 0; p < np; p++) {
                const uint8x16_t v = vld1q_u8(row + p * pixel);
                const int16x8_t a = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(v))), b = vreinterpretq_s16_u16(vmovl_high_u8(v));
                acc[p][0] = vmlal_s16(acc[p][0], vget_low_s16(a), vget_low_s16(w0));
                acc[p][1] = vmlal_high_s16(acc[p][1], a, w0);
                acc[p][2] = vmlal_s16(acc[p][2], vget_low_s16(b), vget_low_s16(w1));
                acc[p][3] = vmlal_high_s16(acc[p][3], b, w1);
            }
        }
    }
}

VR_TILES(depthwise1, sums_depthwise, VD_LANES)
VR_TILES(depthwise2, sums_depthwise, 2 * VD_LANES)
VR_TILE(VR_SMALL, depthwise, 0, sums_depthwise, j->pixel)

static void conv_depthwise(const struct vd_row_conv *c, void *dst, size_t dst_block, const void *const *src, size_t src_block,
                           const float *residual, size_t residual_block, int width)
{
    static vr_tile_fn *const tiles[3][3] = {VR_TILE_NAMES(depthwise1), VR_TILE_NAMES(depthwise2), {NULL, NULL, tile_depthwise}};
    const struct vd_row_shape *s = &c->shape;
    struct vr_job j = {.c = c, .src = (const uint8_t *const *)src, .src_block = src_block,
                       .step = (ptrdiff_t)s->dilation * VD_LANES, .pixel = (ptrdiff_t)s->stride * VD_LANES};

    vr_rows(&j, tiles[s->stride > 2 ? 2 : s->stride - 1], (size_t)(s->kh * s->kw) * VD_LANES * sizeof(int16_t), dst, dst_block, residual,
            residual_block, width);
}

void vd_conv_u8_row_neon(struct vd_row_kernels *k)
{
    vr_conv_u8_init(k);
    k->pack_u8[VD_ROW_DEPTHWISE] = pack_depthwise;
    k->conv_u8[VD_ROW_DEPTHWISE] = conv_depthwise;
}
