/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_CONV_TILES_TMPL_H
#define VD_CONV_TILES_TMPL_H

#include <assert.h>
#include <math.h>
#include "kernels/kernels_impl.h"

/* What the two convolutions share in every set of vectors: how a row is cut into tiles, and the tail. The includer has
 * included vec_SET.h, which gives vectors of VV_LANES pixels and what is done with them.
 *
 * A tile is some vectors wide and takes 4 or 1 output channels; its
 * sums stay in registers for all taps. One tile goes down all rows of the band before the next begins,
 * so the input rows that neighbouring output rows share come from the first-level cache. */

#if defined(__clang__)
#define VD_UNROLL _Pragma("clang loop unroll(full)")
#else
#define VD_UNROLL _Pragma("GCC unroll 8")
#endif
enum { VD_MAX_NV = 8 }; /* vectors of the widest tile, which is of one channel */

#define VD_TILE static inline __attribute__((always_inline))

/* The steps that nearly every layer has, without branches: one that is left out has
 * the operand that gives back each value, bit for bit: times 1, plus -0 (+0 would turn -0 into +0), no bounds. */
struct vd_tail {
    float scale[VD_OC_BLOCK], bias[VD_OC_BLOCK], lo, hi;
};

static inline void vd_tail_init(struct vd_tail *t, const struct vd_conv_args *a)
{
    for (int oc = 0; oc < VD_OC_BLOCK; oc++) {
        t->scale[oc] = a->tail.scale && oc < a->n_oc ? a->tail.scale[oc] : 1.0f;
        t->bias[oc] = a->tail.bias && oc < a->n_oc ? a->tail.bias[oc] : -0.0f;
    }
    t->lo = a->tail.clamp ? a->tail.lo : -INFINITY;
    t->hi = a->tail.clamp ? a->tail.hi : INFINITY;
}

/* maxps and minps return their second operand when either is NaN and when both
 * are zeros: with the value there, NaN and -0 pass as in the reference. */
VD_TILE vd_v vd_clamp(vd_v v, vd_v lo, vd_v hi)
{
    return vv_min(hi, vv_max(lo, v));
}

/* From sums (scaled, where they were integers) to the planes. at: the tile's
 * first element; n_last: pixels of the last vector that exist, 1..VV_LANES. */
VD_TILE void vd_finish(const struct vd_conv_args *a, const struct vd_tail *t, vd_v acc[VD_OC_BLOCK][VD_MAX_NV],
                            ptrdiff_t at, const int noc, const int nv, int n_last)
{
    const vd_v lo = vv_set1(t->lo), hi = vv_set1(t->hi);

    VD_UNROLL
    for (int oc = 0; oc < noc; oc++) {
        const vd_v bias = vv_set1(t->bias[oc]);
        VD_UNROLL
        for (int v = 0; v < nv; v++)
            acc[oc][v] = vd_clamp(vv_add(acc[oc][v], bias), lo, hi);
    }
    if (a->tail.residual) {
        const vd_mask mask = vv_mask(n_last);
        VD_UNROLL
        for (int oc = 0; oc < noc; oc++) {
            if (oc >= a->n_oc)
                break;
            const float *r = a->tail.residual + oc * a->dst_plane + at;
            VD_UNROLL
            for (int v = 0; v < nv - 1; v++)
                acc[oc][v] = vv_add(acc[oc][v], vv_load(r + VV_LANES * v));
            acc[oc][nv - 1] = vv_add(acc[oc][nv - 1], vv_load_some(r + VV_LANES * (nv - 1), mask));
        }
    }
    if (a->tail.clamp2) {
        const vd_v lo2 = vv_set1(a->tail.lo2), hi2 = vv_set1(a->tail.hi2);
        VD_UNROLL
        for (int oc = 0; oc < noc; oc++)
            VD_UNROLL
            for (int v = 0; v < nv; v++)
                acc[oc][v] = vd_clamp(acc[oc][v], lo2, hi2);
    }
    VD_UNROLL
    for (int oc = 0; oc < noc; oc++) {
        if (oc >= a->n_oc)
            break;
        float *dst = (float *)a->dst + oc * a->dst_plane + at;
        VD_UNROLL
        for (int v = 0; v < nv - 1; v++)
            vv_store(dst + VV_LANES * v, acc[oc][v]);
        if (n_last == VV_LANES)
            vv_store(dst + VV_LANES * (nv - 1), acc[oc][nv - 1]);
        else
            vv_store_some(dst + VV_LANES * (nv - 1), vv_mask(n_last), acc[oc][nv - 1]);
    }
}

typedef void vd_tile_fn(const struct vd_conv_args *a, const struct vd_tail *t, int x);

/* How many of the vectors that are left the next tile takes, max at most: even
 * parts at the end, because a tile of one vector waits for its own sums. */
static inline int vd_split(int left, int max)
{
    if (left <= max)
        return left;
    return left < 2 * max ? (left + 1) / 2 : max;
}

#define VD_TILE_FN(noc, nv) \
    static __attribute__((noinline)) void tile_##noc##x##nv(const struct vd_conv_args *a, const struct vd_tail *t, int x) \
    { \
        tile(a, t, x, noc, nv); \
    }

#define VD_TILE_NAME(noc, nv) tile_##noc##x##nv,

/* From a file's tile() the shapes of it that there are (of four channels: those of the list), and the kernel that cuts rows into them. */
#define VD_CONV_FROM_TILES(name, tiles_of_four) \
    tiles_of_four(VD_TILE_FN) \
    VD_TILES_OF_ONE(VD_TILE_FN) \
    void name(const struct vd_conv_args *a) \
    { \
        static vd_tile_fn *const one[] = {VD_TILES_OF_ONE(VD_TILE_NAME)}; \
        static vd_tile_fn *const four[] = {tiles_of_four(VD_TILE_NAME)}; \
        vd_tile_fn *const *fn = a->n_oc == 1 ? one : four; \
        const int max = (int)((a->n_oc == 1 ? sizeof(one) : sizeof(four)) / sizeof(four[0])); \
        struct vd_tail t; \
        assert(VD_CONV_ARGS_OK(a)); \
        vd_tail_init(&t, a); \
        for (int x = 0, nv; x < a->width; x += VV_LANES * nv) { \
            nv = vd_split((a->width - x + VV_LANES - 1) / VV_LANES, max); \
            fn[nv - 1](a, &t, x); \
        } \
    }

#endif
