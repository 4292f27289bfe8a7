/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_CONV_U8_ROW_LANE_TMPL_H
#define VD_CONV_U8_ROW_LANE_TMPL_H

#include <string.h>
#include "kernels/row_bytes_tmpl.h"

/* The row convolutions of bytes for aarch64. A tile is some neighbouring pixels of one block of output channels, whose sums stay in
 * registers for all taps. Sixteen channels of a pixel are one vector; four of them (first layer: four pixels along the row), a lane of
 * it, meet the weights of sixteen output channels, which all pixels of the tile share. The includer has before
 *     VR_SIGNED  1 where the instructions want signed inputs: they get x - 128, and 128 times the sum of the weights is added at the end
 *     vr_at(oc, i)  where in the 64 bytes of a group the weight of output channel oc for the i-th of the four is
 *     VR_ADD(sums, x, w, lane, exact)  sums[VR_NV] += the group w by that lane of x
 *     vr_dot(sum, x, w)  sum[i] += sums of products of bytes, which over all lanes are all sixteen
 *     VR_NEEDS_EXACT  1 where VR_ADD is right for weights of -128 only if exact is set
 * Sums may wrap on the way. */
typedef uint8x16_t vr_x; /* as VR_SIGNED says */

enum { VR_HEAD = VR_NEEDS_EXACT ? 128 : VR_SIGNED ? 64 : 0 }; /* bytes before each block's weights: what is added at the end; exact */

VR_INLINE vr_x vr_signed(uint8x16_t v) { return VR_SIGNED ? veorq_u8(v, vdupq_n_u8(0x80)) : v; }
VR_INLINE vr_x vr_load(const uint8_t *p) { return vr_signed(vld1q_u8(p)); }

/* Sixteen sums of a pixel to bytes. The conversion saturates, and so do the steps to 16 and to 8 bits. */
VR_INLINE uint8x16_t vr_codes(const vd_vi sum[4], const vd_v scale[4], int16x8_t zp, uint8x16_t lo, uint8x16_t hi)
{
    int32x4_t q[4];

    VR_UNROLL
    for (int v = 0; v < 4; v++)
        q[v] = vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(sum[v]), scale[v]));
    const int16x8_t a = vqaddq_s16(vqmovn_high_s32(vqmovn_s32(q[0]), q[1]), zp), b = vqaddq_s16(vqmovn_high_s32(vqmovn_s32(q[2]), q[3]), zp);
    return vminq_u8(vmaxq_u8(vqmovun_high_s16(vqmovun_s16(a), b), lo), hi);
}

VR_INLINE void vr_finish_u8(const struct vr_job *j, vd_vi acc[][VR_NV], int x, const int np)
{
    const struct vd_row_tail *t = &j->c->tail;
    const int16x8_t zp = vdupq_n_s16((int16_t)t->zp);
    const uint8x16_t lo = vdupq_n_u8((uint8_t)t->lo), hi = vdupq_n_u8((uint8_t)t->hi);
    uint8_t *out = j->dst + (ptrdiff_t)x * VD_LANES;
    vd_v scale[VR_NV];

    VR_UNROLL
    for (int v = 0; v < VR_NV; v++)
        scale[v] = vv_load(t->scale + j->block * VD_LANES + v * VV_LANES);
    VR_UNROLL
    for (int p = 0; p < np; p++)
        vst1q_u8(out + p * VD_LANES, vr_codes(acc[p], scale, zp, lo, hi));
}

/* --- dense and first --- */

/* Taps along the row in one group: a dilated first layer has each tap in a group of its own, as dense layers do. */
static inline int vr_along(const struct vd_row_shape *s) { return s->kind == VD_ROW_FIRST && s->dilation == 1 ? 4 : 1; }

static inline size_t vr_groups(const struct vd_row_shape *s)
{
    return ((size_t)s->kw + (size_t)vr_along(s) - 1) / (size_t)vr_along(s) * (((size_t)s->ic + 3) / 4);
}

static inline size_t vr_block(const struct vd_row_shape *s) { return VR_HEAD + (size_t)s->kh * vr_groups(s) * VD_LANES * 4; }

/* [oc block] head, [ky][kx][ic / 4][64], first layer without dilation [ky][kx / 4][64] */
static size_t vr_pack(const struct vd_row_shape *s, const void *weight, void *pack)
{
    const int8_t *w = weight;
    int8_t *out = pack;
    const int along = vr_along(s), ic4 = (s->ic + 3) / 4;
    const size_t row = vr_groups(s) * VD_LANES * 4, block = vr_block(s), size = ((size_t)s->oc + VD_LANES - 1) / VD_LANES * block;
    int32_t exact = 0;

    if (!pack)
        return size;
    memset(pack, 0, size);
    for (int o = 0; o < s->oc; o++) {
        int8_t *to = out + (size_t)(o / VD_LANES) * block;
        int32_t sum = 0; /* 128 times it fits: the sums do, whose inputs go to 255 */
        for (int i = 0; i < s->ic; i++)
            for (int ky = 0; ky < s->kh; ky++)
                for (int kx = 0; kx < s->kw; kx++, w++) {
                    const int group = kx / along * ic4 + i / 4, at = along > 1 ? kx % along : i % 4;
                    to[VR_HEAD + (size_t)ky * row + (size_t)(group * VD_LANES * 4 + vr_at(o % VD_LANES, at))] = *w;
                    sum += *w;
                    exact |= *w == -128;
                }
        if (VR_SIGNED) {
            sum *= 128;
            memcpy(to + o % VD_LANES * 4, &sum, sizeof(sum));
        }
    }
    if (VR_NEEDS_EXACT)
        memcpy(out + 64, &exact, sizeof(exact));
    return size;
}

/* The first sums; gives where the weights are. */
VR_INLINE const int8_t *vr_begin(const struct vr_job *j, vd_vi acc[][VR_NV], const int np)
{
    VR_UNROLL
    for (int v = 0; v < VR_NV; v++) {
        vd_vi first = vld1q_s32(j->c->tail.bias32 + j->block * VD_LANES + v * VV_LANES);
        if (VR_SIGNED)
            first = vaddq_s32(first, vld1q_s32((const int32_t *)(const void *)j->weight + v * VV_LANES));
        VR_UNROLL
        for (int p = 0; p < np; p++)
            acc[p][v] = first;
    }
    return j->weight + VR_HEAD;
}

/* The empty statement keeps compilers from loading the weights of the next groups while this one's are in use, for want of registers. */
#define VR_GROUP(lane) \
    do { \
        __asm__("" : "+r"(w)); \
        VR_UNROLL \
        for (int p = 0; p < np; p++) \
            VR_ADD(acc[p], x[p], w + lane * VD_LANES * 4, lane, exact); \
    } while (0)

VR_INLINE void vr_dense(const struct vr_job *j, vd_vi acc[][VR_NV], int at, const int np, const ptrdiff_t pixel, const int exact)
{
    const int8_t *w = vr_begin(j, acc, np);

    (void)exact;
    for (int ky = 0; ky < j->c->shape.kh; ky++) {
        const uint8_t *row = j->src[ky] + at * pixel;
        for (int k = 0; k < j->steps; k++, row += j->step) {
            const uint8_t *s = row;
            vr_x x[VR_LARGE];
            for (int b = 0; b < j->full; b++, s += j->src_block, w += 4 * VD_LANES * 4) {
                VR_UNROLL
                for (int p = 0; p < np; p++)
                    x[p] = vr_load(s + p * pixel);
                VR_GROUP(0);
                VR_GROUP(1);
                VR_GROUP(2);
                VR_GROUP(3);
            }
            if (!j->rest)
                continue;
            VR_UNROLL
            for (int p = 0; p < np; p++)
                x[p] = vr_load(s + p * pixel);
            VR_GROUP(0);
            if (j->rest > 1)
                VR_GROUP(1);
            if (j->rest > 2)
                VR_GROUP(2);
            if (j->rest > 3)
                VR_GROUP(3);
            w += j->rest * VD_LANES * 4;
        }
    }
}

VR_INLINE void vr_sums(const struct vr_job *j, vd_vi acc[][VR_NV], int x, const int np, const ptrdiff_t pixel)
{
    vr_dense(j, acc, x, np, pixel, 0);
}

VR_INLINE void vr_sums_exact(const struct vr_job *j, vd_vi acc[][VR_NV], int x, const int np, const ptrdiff_t pixel)
{
    vr_dense(j, acc, x, np, pixel, 1);
}

#define VR_WINDOW(p) \
    do { \
        if (p < np) \
            VR_ADD(acc[p < np ? p : 0], x, w, p, 0); \
    } while (0)

/* First layers whose taps lie side by side: one vector holds the four bytes of each of four pixels. pixel: 1 or 2. */
VR_INLINE void vr_sums_first(const struct vr_job *j, vd_vi acc[][VR_NV], int at, const int np, const ptrdiff_t pixel)
{
    static const uint8_t windows[2][16] = {{0, 1, 2, 3, 1, 2, 3, 4, 2, 3, 4, 5, 3, 4, 5, 6}, {0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7, 8, 9}};
    const int8_t *w = vr_begin(j, acc, np);
    const uint8x16_t order = vld1q_u8(windows[pixel - 1]);

    for (int ky = 0; ky < j->c->shape.kh; ky++) {
        const uint8_t *s = j->src[ky] + at * pixel;
        for (int g = 0; g < j->rest; g++, s += 4, w += VD_LANES * 4) {
            const vr_x x = vqtbl1q_u8(vr_load(s), order);
            VR_WINDOW(0);
            VR_WINDOW(1);
            VR_WINDOW(2);
            VR_WINDOW(3);
        }
    }
}

/* Other first layers: four bytes of each pixel, of which, with dilation, one counts. */
VR_INLINE void vr_sums_first_any(const struct vr_job *j, vd_vi acc[][VR_NV], int at, const int np, const ptrdiff_t pixel)
{
    const int8_t *w = vr_begin(j, acc, np);

    for (int ky = 0; ky < j->c->shape.kh; ky++) {
        const uint8_t *row = j->src[ky] + at * pixel;
        for (int k = 0; k < j->steps; k++, row += j->step) {
            const uint8_t *s = row;
            for (int g = 0; g < j->rest; g++, s += 4, w += VD_LANES * 4)
                VR_UNROLL
                for (int p = 0; p < np; p++) {
                    uint32_t four;
                    memcpy(&four, s + p * pixel, sizeof(four));
                    VR_ADD(acc[p], vr_signed(vreinterpretq_u8_u32(vdupq_n_u32(four))), w, 0, 1);
                }
        }
    }
}

#if VR_NEEDS_EXACT /* and is short of registers */
#define VR_LANE_TILES(name, sums_of, pixel) VR_TILE(VR_MIDDLE, name##_middle, 1, sums_of, pixel) VR_TILE(VR_SMALL, name##_small, 0, sums_of, pixel)
#define VR_LANE_NAMES(name) {NULL, tile_##name##_middle, tile_##name##_small}
#else
#define VR_LANE_TILES VR_TILES
#define VR_LANE_NAMES VR_TILE_NAMES
#endif
VR_LANE_TILES(dense1, vr_sums, VD_LANES)
VR_LANE_TILES(dense2, vr_sums, 2 * VD_LANES)
VR_TILE(VR_MIDDLE, first1_middle, 1, vr_sums_first, 1)
VR_TILE(VR_MIDDLE, first2_middle, 1, vr_sums_first, 2)
VR_TILE(VR_SMALL, first1_small, 0, vr_sums_first, 1)
VR_TILE(VR_SMALL, first2_small, 0, vr_sums_first, 2)
VR_TILE(VR_SMALL, any, 0, vr_sums_exact, j->pixel)
VR_TILE(VR_SMALL, first_any, 0, vr_sums_first_any, j->pixel)

static void vr_conv_u8(const struct vd_row_conv *c, void *dst, size_t dst_block, const void *const *src, size_t src_block,
                       const float *residual, size_t residual_block, int width)
{
    const struct vd_row_shape *s = &c->shape;
    const int first = s->kind == VD_ROW_FIRST, along = vr_along(s), lanes = first ? 1 : VD_LANES;
    static vr_tile_fn *const tiles[6][3] = {
        VR_LANE_NAMES(dense1), VR_LANE_NAMES(dense2), {NULL, tile_first1_middle, tile_first1_small}, {NULL, tile_first2_middle, tile_first2_small},
        {NULL, NULL, tile_any}, {NULL, NULL, tile_first_any},
    };
    struct vr_job j = {.c = c, .src = (const uint8_t *const *)src, .src_block = src_block, .steps = along > 1 ? 1 : s->kw,
                       .full = s->ic / VD_LANES, .rest = along > 1 ? (s->kw + along - 1) / along : (s->ic % VD_LANES + 3) / 4,
                       .step = (ptrdiff_t)s->dilation * lanes, .pixel = (ptrdiff_t)s->stride * lanes};
    int32_t any = s->stride > 2 || (first && along == 1);

    if (VR_NEEDS_EXACT && !any)
        memcpy(&any, (const int8_t *)c->weight + 64, sizeof(any));
    vr_rows(&j, tiles[(any ? 4 + first : 2 * first + s->stride - 1)], vr_block(s), dst, dst_block, residual, residual_block, width);
}

/* --- last: sixteen pixels, each summed over its channels' lanes, which are added at the end --- */

/* [64] what is added at the end, [ky][kx][ic, whole blocks] */
static size_t vr_pack_last(const struct vd_row_shape *s, const void *weight, void *pack)
{
    const int8_t *w = weight;
    int8_t *out = pack;
    const size_t taps = (size_t)(s->kh * s->kw), lanes = ((size_t)s->ic + VD_LANES - 1) / VD_LANES * VD_LANES;
    const size_t size = (64 + taps * lanes + 63) & ~(size_t)63;
    int32_t sum = 0;

    if (!pack)
        return size;
    memset(pack, 0, size);
    for (size_t i = 0; i < (size_t)s->ic; i++)
        for (size_t t = 0; t < taps; t++, w++) {
            out[64 + t * lanes + i] = *w;
            sum += *w;
        }
    sum *= VR_SIGNED ? 128 : 0;
    memcpy(out, &sum, sizeof(sum));
    return size;
}

static void vr_conv_u8_last(const struct vd_row_conv *c, void *dst, size_t dst_block, const void *const *src, size_t src_block,
                            const float *residual, size_t residual_block, int width)
{
    enum { PIXELS = 16 };
    const struct vd_row_shape *s = &c->shape;
    const struct vd_row_tail *t = &c->tail;
    const ptrdiff_t pixel = (ptrdiff_t)s->stride * VD_LANES;
    const vd_v scale = vv_set1(t->scale[0]), scales[4] = {scale, scale, scale, scale};
    int32_t fixed;
    struct vr_tail tail;

    (void)dst_block, (void)residual_block;
    memcpy(&fixed, c->weight, sizeof(fixed));
    const vd_vi last = vdupq_n_s32((int32_t)((uint32_t)fixed + (uint32_t)t->bias32[0]));
    vr_tail_init(&tail, t);
    vr_tail_thin(&tail, t);
    for (int x = 0; x < width; x += PIXELS) {
        const int8_t *w = (const int8_t *)c->weight + 64;
        vd_vi acc[PIXELS], sum[4];
        VR_UNROLL
        for (int p = 0; p < PIXELS; p++)
            acc[p] = vi_zero();
        for (int ky = 0; ky < s->kh; ky++)
            for (int kx = 0; kx < s->kw; kx++) {
                const uint8_t *e = (const uint8_t *)src[ky] + x * pixel + (ptrdiff_t)kx * s->dilation * VD_LANES;
                for (int left = s->ic; left > 0; left -= VD_LANES, e += src_block, w += VD_LANES) {
                    const int8x16_t weight = vld1q_s8(w);
                    VR_UNROLL
                    for (int p = 0; p < PIXELS; p++)
                        acc[p] = vr_dot(acc[p], vr_load(e + p * pixel), weight);
                }
            }
        VR_UNROLL
        for (int v = 0; v < 4; v++) {
            const vd_vi *a = acc + 4 * v;
            sum[v] = vaddq_s32(vpaddq_s32(vpaddq_s32(a[0], a[1]), vpaddq_s32(a[2], a[3])), last);
        }
        if (t->to_bytes)
            vst1q_u8((uint8_t *)dst + x, vr_codes(sum, scales, vdupq_n_s16((int16_t)t->zp), vdupq_n_u8((uint8_t)t->lo), vdupq_n_u8((uint8_t)t->hi)));
        else
            VR_UNROLL
            for (int v = 0; v < 4; v++) {
                const int at = x + v * VV_LANES, n = width - at;
                tail.lanes[0] = vv_mask(n < 0 ? 0 : n < VV_LANES ? n : VV_LANES);
                vr_finish(&tail, vmulq_f32(vcvtq_f32_s32(sum[v]), scale), 0, (float *)dst + at, residual ? residual + at : NULL);
            }
    }
    vr_tail_end(&tail, t);
}

static inline void vr_conv_u8_init(struct vd_row_kernels *k)
{
    k->pack_u8[VD_ROW_DENSE] = k->pack_u8[VD_ROW_FIRST] = vr_pack;
    k->conv_u8[VD_ROW_DENSE] = k->conv_u8[VD_ROW_FIRST] = vr_conv_u8;
    k->pack_u8[VD_ROW_LAST] = vr_pack_last;
    k->conv_u8[VD_ROW_LAST] = vr_conv_u8_last;
}

#endif
