/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_CONV_U8_ROW_TMPL_H
#define VD_CONV_U8_ROW_TMPL_H

#include "kernels/row_bytes_tmpl.h"

/* Dense and first layers of bytes with an instruction that adds four products of bytes. A tile is some neighbouring pixels of
 * one block of output channels, whose sums stay in registers for all taps. Four channels of one pixel (first layer: four
 * pixels along the row) are broadcast from memory against a vector of weights [channel][4] that all pixels share. The broadcast
 * runs beside the multiplication, so neither needs more reuse than that. */

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

/* Taps along the row in one group: a dilated first layer has each tap in a group of its own, as dense layers do. */
static inline int vr_along(const struct vd_row_shape *s) { return s->kind == VD_ROW_FIRST && s->dilation == 1 ? 4 : 1; }

static inline size_t vr_groups(const struct vd_row_shape *s)
{
    return ((size_t)s->kw + (size_t)vr_along(s) - 1) / (size_t)vr_along(s) * (((size_t)s->ic + 3) / 4);
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

VR_TILES(dense1, vr_sums, VD_LANES)
VR_TILES(dense2, vr_sums, 2 * VD_LANES)
VR_TILES(first1, vr_sums, 1)
VR_TILES(first2, vr_sums, 2)
VR_TILE(VR_SMALL, any, 0, vr_sums, j->pixel)

static void vr_conv_u8(const struct vd_row_conv *c, void *dst, size_t dst_block, const void *const *src, size_t src_block,
                       const float *residual, size_t residual_block, int width)
{
    const struct vd_row_shape *s = &c->shape;
    const int first = s->kind == VD_ROW_FIRST, along = vr_along(s), lanes = first ? 1 : VD_LANES;
    static vr_tile_fn *const tiles[5][3] = {
        VR_TILE_NAMES(dense1), VR_TILE_NAMES(dense2), VR_TILE_NAMES(first1), VR_TILE_NAMES(first2), {NULL, NULL, tile_any},
    };
    struct vr_job j = {.c = c, .src = (const uint8_t *const *)src, .src_block = src_block, .steps = along > 1 ? 1 : s->kw,
                       .full = s->ic / VD_LANES, .rest = along > 1 ? (s->kw + along - 1) / along : (s->ic % VD_LANES + 3) / 4,
                       .step = (ptrdiff_t)s->dilation * lanes, .pixel = (ptrdiff_t)s->stride * lanes};

    vr_rows(&j, tiles[s->stride > 2 ? 4 : (first ? 2 : 0) + s->stride - 1], (size_t)s->kh * vr_groups(s) * VD_LANES * 4, dst, dst_block,
            residual, residual_block, width);
}

static inline void vr_conv_u8_init(struct vd_row_kernels *k)
{
    k->pack_u8[VD_ROW_DENSE] = k->pack_u8[VD_ROW_FIRST] = vr_pack;
    k->conv_u8[VD_ROW_DENSE] = k->conv_u8[VD_ROW_FIRST] = vr_conv_u8;
}

#endif
