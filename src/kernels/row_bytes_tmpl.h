/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_ROW_BYTES_TMPL_H
#define VD_ROW_BYTES_TMPL_H

#include <string.h>
#include "kernels/row_tail_tmpl.h"

/* What the row convolutions of bytes share in every set of vectors: how a row is cut into tiles, and what is done with the sums of one. The
 * includer has vr_finish_u8(j, acc, x, np), the tail to bytes. */

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

/* Tails that are not usual. */
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

/* n: pixels of the tile that are in the row; quick: usual fp32 tails are done in registers, which is much code; sums: vr_sums or another that makes them. */
#define VR_TILE(np, name, quick, sums_of, pixel) \
    static __attribute__((noinline)) void tile_##name(struct vr_job *j, int x, int n) \
    { \
        vd_vi acc[np][VR_NV]; \
        sums_of(j, acc, x, np, pixel); \
        if (j->c->tail.to_bytes) { \
            vr_finish_u8(j, acc, x, np); \
        } else if (quick && vr_is_usual(&j->tail, j->residual)) { \
            const float *scale = j->c->tail.scale + j->block * VD_LANES; \
            const ptrdiff_t at = (ptrdiff_t)x * VD_LANES; \
            vd_v sums[np][VR_NV]; \
            VR_UNROLL \
            for (int p = 0; p < np; p++) \
                VR_UNROLL \
                for (int v = 0; v < VR_NV; v++) \
                    sums[p][v] = vv_mul(vi_to_f32(acc[p][v]), vv_load(scale + v * VV_LANES)); \
            vr_finish_tile(&j->tail, sums, (float *)(void *)j->dst + at, j->residual ? j->residual + at : NULL, n, np); \
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
#define VR_TILES(name, sums_of, pixel) \
    VR_TILE(VR_LARGE, name##_large, 1, sums_of, pixel) \
    VR_TILE(VR_MIDDLE, name##_middle, 0, sums_of, pixel) \
    VR_TILE(VR_SMALL, name##_small, 0, sums_of, pixel)
#define VR_TILE_NAMES(name) {tile_##name##_large, tile_##name##_middle, tile_##name##_small}

/* The tiles of all blocks of a row; fn: the large, middle and small one; the first two may be NULL. block: bytes of weights of one. */
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
            n = fn[0] ? vr_tile(left) : fn[1] && left > VR_SMALL ? VR_MIDDLE : VR_SMALL;
            fn[n == VR_LARGE ? 0 : n == VR_MIDDLE ? 1 : 2](j, x, n < left ? n : left);
        }
    }
    vr_tail_end(&j->tail, &c->tail);
}


#endif
