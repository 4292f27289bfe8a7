/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_ROW_TAIL_TMPL_H
#define VD_ROW_TAIL_TMPL_H

#include <assert.h>
#include <math.h>
#include "kernels/kernels_impl.h"

/* The fp32 tail of the row convolutions on vectors; the includer has included vec_SET.h. A block of VD_LANES channels is VR_NV
 * vectors. A step that is left out has the operand that gives back each value, as in conv_tiles_tmpl.h. */
#define VR_INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define VR_UNROLL _Pragma("clang loop unroll(full)")
#else
#define VR_UNROLL _Pragma("GCC unroll 32")
#endif
enum { VR_NV = VD_LANES / VV_LANES };

struct vr_tail {
    vd_v bias[VR_NV], lo, hi, lo2, hi2;
    vd_mask lanes[VR_NV]; /* that exist */
    int full;             /* all of them */
    int range, clamp2;
    vd_v lowest, highest;
    vd_mask nan;
};

/* maxps and minps return their second operand when either is NaN and when both are zeros: NaN and -0 pass as in C. */
VR_INLINE vd_v vr_clamp(vd_v v, vd_v lo, vd_v hi) { return vv_min(hi, vv_max(lo, v)); }

static inline void vr_tail_init(struct vr_tail *t, const struct vd_row_tail *from)
{
    t->lo = vv_set1(from->clamp ? from->lo_f : -INFINITY);
    t->hi = vv_set1(from->clamp ? from->hi_f : INFINITY);
    t->lo2 = vv_set1(from->clamp2 ? from->lo2_f : -INFINITY);
    t->hi2 = vv_set1(from->clamp2 ? from->hi2_f : INFINITY);
    t->range = from->range != NULL;
    t->clamp2 = from->clamp2;
    t->lowest = vv_set1(t->range ? from->range[0] : 0);
    t->highest = vv_set1(t->range ? from->range[1] : 0);
    t->nan = t->range && (isnan(from->range[0]) || isnan(from->range[1])) ? vv_mask(VV_LANES) : vm_none();
}

/* For the channels of block ob, of channels in all. */
static inline void vr_tail_block(struct vr_tail *t, const struct vd_row_tail *from, int ob, int channels)
{
    t->full = channels - ob * VD_LANES >= VD_LANES;
    VR_UNROLL
    for (int v = 0; v < VR_NV; v++) {
        const int oc = ob * VD_LANES + v * VV_LANES, n = channels - oc;
        t->bias[v] = from->bias ? vv_load(from->bias + oc) : vv_set1(-0.0f);
        t->lanes[v] = vv_mask(n < 0 ? 0 : n > VV_LANES ? VV_LANES : n);
    }
}

/* For pixels of the one channel. */
static inline void vr_tail_thin(struct vr_tail *t, const struct vd_row_tail *from)
{
    VR_UNROLL
    for (int v = 0; v < VR_NV; v++)
        t->bias[v] = vv_set1(from->bias ? from->bias[0] : -0.0f);
}

static inline void vr_tail_end(const struct vr_tail *t, const struct vd_row_tail *from)
{
    if (from->range) { /* + 0: which of -0 and +0 was met first must not show */
        from->range[0] = vm_any(t->nan) ? NAN : vv_lowest(t->lowest) + 0.0f;
        from->range[1] = vm_any(t->nan) ? NAN : vv_highest(t->highest) + 0.0f;
    }
}

/* Vector v of a pixel to out. Constants of the call: second: there is a residual, perhaps clamp2; range: the vector counts for it if
 * counts is set; all its lanes exist. */
VR_INLINE void vr_finish_vector(struct vr_tail *t, vd_v x, const int v, float *out, const float *residual, const int second,
                                const int range, int counts)
{
    if (second) {
        x = vv_add(vr_clamp(vv_add(x, t->bias[v]), t->lo, t->hi), vv_load(residual));
        x = vv_min_keep(t->lanes[v], t->hi2, vv_max(t->lo2, x));
    } else {
        x = vv_min_keep(t->lanes[v], t->hi, vv_max(t->lo, vv_add(x, t->bias[v])));
    }
    if (range && counts) {
        t->lowest = vv_min(x, t->lowest);
        t->highest = vv_max(x, t->highest);
        t->nan = vm_or(t->nan, vv_nan(x, t->lanes[v]));
    }
    vv_store(out, x);
}

/* Any vector, with any tail. */
VR_INLINE void vr_finish(struct vr_tail *t, vd_v x, const int v, float *out, const float *residual)
{
    x = vr_clamp(vv_add(x, t->bias[v]), t->lo, t->hi);
    if (residual)
        x = vv_add(x, vv_load(residual));
    x = vr_clamp(x, t->lo2, t->hi2);
    if (t->range) {
        t->lowest = vv_min(vv_pick(t->lanes[v], x, t->lowest), t->lowest);
        t->highest = vv_max(vv_pick(t->lanes[v], x, t->highest), t->highest);
        t->nan = vm_or(t->nan, vv_nan(x, t->lanes[v]));
    }
    vv_store(out, vv_keep(x, t->lanes[v]));
}

/* Is the tail one that vr_finish_tile does? */
VR_INLINE int vr_is_usual(const struct vr_tail *t, const float *residual) { return (residual || !t->clamp2) && (t->full || !t->range); }

VR_INLINE void vr_finish_pixels(struct vr_tail *tail, vd_v acc[][VR_NV], float *out, const float *residual, int n, const int np,
                                const int second, const int range)
{
    struct vr_tail t = *tail;

    VR_UNROLL
    for (int p = 0; p < np; p++)
        VR_UNROLL
        for (int v = 0; v < VR_NV; v++)
            vr_finish_vector(&t, acc[p][v], v, out + p * VD_LANES + v * VV_LANES, second ? residual + p * VD_LANES + v * VV_LANES : NULL,
                             second, range, p < n);
    if (range) {
        tail->lowest = t.lowest;
        tail->highest = t.highest;
        tail->nan = t.nan;
    }
}

/* The np pixels of a tile, from its sums in registers; the first n are in the row. */
VR_INLINE void vr_finish_tile(struct vr_tail *t, vd_v acc[][VR_NV], float *out, const float *residual, int n, const int np)
{
    if (residual && t->range)
        vr_finish_pixels(t, acc, out, residual, n, np, 1, 1);
    else if (residual)
        vr_finish_pixels(t, acc, out, residual, n, np, 1, 0);
    else if (t->range)
        vr_finish_pixels(t, acc, out, NULL, n, np, 0, 1);
    else
        vr_finish_pixels(t, acc, out, NULL, n, np, 0, 0);
}

/* Pixels that the next tile takes: its last ones may lie past the row, but not past the slack. */
static inline int vr_tile(int left)
{
    return left > VR_LARGE - VR_SMALL ? VR_LARGE : left > VR_SMALL ? VR_MIDDLE : VR_SMALL;
}

#endif
