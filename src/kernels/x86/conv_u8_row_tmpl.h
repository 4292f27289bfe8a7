/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_CONV_U8_ROW_TMPL_H
#define VD_CONV_U8_ROW_TMPL_H

#include <string.h>
#include "kernels/x86/row_tail_tmpl.h"

/* Dense and first layers of bytes with an instruction that adds four products of bytes. A tile is some neighbouring pixels of
 * one block of output channels, whose sums stay in registers for all taps. Four channels of one pixel (first layer: four
 * pixels along the row) are broadcast from memory against a vector of weights [channel][4] that all pixels share. The broadcast
 * runs beside the multiplication, so neither needs more reuse than that. */

/* The sums of a tile of one block. */
struct vr_job {
    const struct vd_row_conv *c;
    const uint8_t *const *src;
    size_t src_block;
    /* Steps of a row's pixels: kw of them, or one where the taps along the row are the group (first layer); of each, `full` blocks of four
     * groups and `rest` groups after them. */
    int steps, full, rest;
    ptrdiff_t step, pixel; /* bytes between those steps, and between neighbouring output pixels */
    const int8_t *weight;  /* of this block: [ky][step][group][16][4] */
    int block;
    uint8_t *dst;          /* pixel 0 of the block */
    const float *residual;
    struct vr_tail tail;
};

VR_INLINE void vr_group(vd_vi acc[][VR_NV], const uint8_t *s, const int8_t *w, const int np, const ptrdiff_t pixel)
{
    vd_vi weight[VR_NV];

    VR_UNROLL
    for (int v = 0; v < VR_NV; v++)
        weight[v] = vi_load((const int16_t *)(const void *)(w + v * VV_LANES * 4));
    VR_UNROLL
    for (int p = 0; p < np; p++) {
        const vd_vi x = vi_four(s + p * pixel);
        VR_UNROLL
        for (int v = 0; v < VR_NV; v++)
            acc[p][v] = vi_dot_u8(acc[p][v], x, weight[v]);
    }
}

VR_INLINE void vr_first(const struct vr_job *j, vd_vi acc[][VR_NV], const int np)
{
    VR_UNROLL
    for (int v = 0; v < VR_NV; v++) {
        const vd_vi first = vi_load((const int16_t *)(const void *)(j->c->tail.bias32 + j->block * VD_LANES + v * VV_LANES));
        VR_UNROLL
        for (int p = 0; p < np; p++)
            acc[p][v] = first;
    }
}

VR_INLINE void vr_sums(const struct vr_job *j, vd_vi acc[][VR_NV], int x, const int np, const ptrdiff_t pixel)
{
    const int8_t *w = j->weight;

    vr_first(j, acc, np);
    for (int ky = 0; ky < j->c->shape.kh; ky++) {
        const uint8_t *row = j->src[ky] + x * pixel;
        for (int k = 0; k < j->steps; k++, row += j->step) {
            const uint8_t *s = row;
            for (int b = 0; b < j->full; b++, s += j->src_block, w += 4 * VD_LANES * 4) {
                vr_group(acc, s, w, np, pixel);
                vr_group(acc, s + 4, w + VD_LANES * 4, np, pixel);
                vr_group(acc, s + 8, w + VD_LANES * 8, np, pixel);
                vr_group(acc, s + 12, w + VD_LANES * 12, np, pixel);
            }
            for (int g = 0; g < j->rest; g++, s += 4, w += VD_LANES * 4)
                vr_group(acc, s, w, np, pixel);
        }
    }
}

static __attribute__((noinline)) void vr_finish_f32(struct vr_job *j, vd_vi acc[][VR_NV], int x, int np)
{
    const float *scale = j->c->tail.scale + j->block * VD_LANES;
    float *out = (float *)(void *)j->dst + (ptrdiff_t)x * VD_LANES;
    const float *residual = j->residual ? j->residual + (ptrdiff_t)x * VD_LANES : NULL;
    struct vr_tail t = j->tail;

    for (int p = 0; p < np; p++, out += VD_LANES) {
        VR_UNROLL
        for (int v = 0; v < VR_NV; v++)
            vr_finish(&t, vv_mul(vi_to_f32(acc[p][v]), vv_load(scale + v * VV_LANES)), v, out + v * VV_LANES,
                      residual ? residual + p * VD_LANES + v * VV_LANES : NULL);
    }
    if (t.range)
        j->tail = t;
}

typedef void vr_tile_fn(struct vr_job *j, int x, int n);

/* n: pixels of the tile that are in the row; sums: vr_sums or another that makes them. */
#define VR_TILE(np, name, sums_of, pixel) \
    static __attribute__((noinline)) void tile_##np##_##name(struct vr_job *j, int x, int n) \
    { \
        vd_vi acc[np][VR_NV]; \
        sums_of(j, acc, x, np, pixel); \
        if (j->c->tail.to_bytes) { \
            vr_finish_u8(j, acc, x, np); \
        } else { /* a copy, so that acc has no address and stays in registers */ \
            vd_vi sums[np][VR_NV]; \
            VR_UNROLL \
            for (int p = 0; p < np; p++) \
                VR_UNROLL \
                for (int v = 0; v < VR_NV; v++) \
                    sums[p][v] = acc[p][v]; \
            vr_finish_f32(j, sums, x, n); \
        } \
    }

/* Taps along the row in one group: a dilated first layer has each tap in a group of its own, as dense layers do. */
static inline int vr_along(const struct vd_row_shape *s) { return s->kind == VD_ROW_FIRST && s->dilation == 1 ? 4 : 1; }

static inline size_t vr_groups(const struct vd_row_shape *s)
{
    return ((size_t)s->kw + (size_t)vr_along(s) - 1) / (size_t)vr_along(s) * (((size_t)s->ic + 3) / 4);
}

/* The tiles of all blocks of a row; fn: of 16, 8 and 4 pixels, the first two may be NULL. block: bytes of weights of one. */
static inline void vr_rows(struct vr_job *j, vr_tile_fn *const fn[3], size_t block, void *dst, size_t dst_block, const float *residual,
                           size_t residual_block, int width)
{
    const struct vd_row_conv *c = j->c;

    vr_tail_init(&j->tail, &c->tail);
    for (int ob = 0; ob * VD_LANES < c->shape.oc; ob++) {
        j->block = ob;
        j->weight = (const int8_t *)c->weight + (size_t)ob * block;
        j->dst = (uint8_t *)dst + (size_t)ob * dst_block;
        j->residual = residual ? (const float *)(const void *)((const char *)residual + (size_t)ob * residual_block) : NULL;
        vr_tail_block(&j->tail, &c->tail, ob, c->shape.oc);
        for (int x = 0, n; x < width; x += n) {
            const int left = width - x;
            n = fn[0] ? vr_tile(left) : fn[1] && left > 4 ? 8 : 4;
            fn[n == 16 ? 0 : n == 8 ? 1 : 2](j, x, n < left ? n : left);
        }
    }
    vr_tail_end(&j->tail, &c->tail);
}

/* [oc block][ky][kx][ic / 4][16][ic % 4], first layer without dilation [oc block][ky][kx / 4][16][kx % 4] */
static size_t vr_pack(const struct vd_row_shape *s, const void *weight, void *pack)
{
    const int8_t *w = weight;
    int8_t *out = pack;
    const int along = vr_along(s), ic4 = (s->ic + 3) / 4;
    const size_t row = vr_groups(s) * VD_LANES * 4, block = (size_t)s->kh * row;
    const size_t size = ((size_t)s->oc + VD_LANES - 1) / VD_LANES * block;

    if (!pack)
        return size;
    memset(pack, 0, size);
    for (int o = 0; o < s->oc; o++)
        for (int i = 0; i < s->ic; i++)
            for (int ky = 0; ky < s->kh; ky++)
                for (int kx = 0; kx < s->kw; kx++) {
                    const int group = kx / along * ic4 + i / 4, at = along > 1 ? kx % along : i % 4;
                    out[(size_t)(o / VD_LANES) * block + (size_t)ky * row + (size_t)((group * VD_LANES + o % VD_LANES) * 4 + at)] = *w++;
                }
    return size;
}

#endif
