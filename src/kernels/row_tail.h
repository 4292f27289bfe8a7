/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_ROW_TAIL_H
#define VD_ROW_TAIL_H

#include "kernels/rows.h"

/* The tail of rows.h in C, on the sums of some lanes: the channels of a pixel (step 1) or pixels of one channel (step 0).
 * Every set gives these bits for the same sums. */

/* Lowest and highest so far. */
struct vd_row_range { float lo, hi; int nan; };

static inline struct vd_row_range vd_row_range_begin(const struct vd_row_tail *t)
{
    struct vd_row_range r = {0, 0, 0};

    if (t->range) {
        r.lo = t->range[0];
        r.hi = t->range[1];
        r.nan = r.lo != r.lo || r.hi != r.hi;
    }
    return r;
}

static inline void vd_row_range_end(const struct vd_row_tail *t, struct vd_row_range r)
{
    if (t->range) { /* + 0: which of -0 and +0 was met first must not show */
        t->range[0] = r.nan ? __builtin_nanf("") : r.lo + 0.0f;
        t->range[1] = r.nan ? __builtin_nanf("") : r.hi + 0.0f;
    }
}

/* Clamped first (the bounds are whole, so it is the same), and rounded by adding 1.5 * 2^23 as in quantize.c. NaN becomes lo. */
static inline uint8_t vd_row_byte(float v, int zp, int lo, int hi)
{
    const float magic = 0x1.8p23f, l = (float)(lo - zp), h = (float)(hi - zp);

    v = v > l ? v : l;
    v = v < h ? v : h;
    return (uint8_t)((int)((v + magic) - magic) + zp);
}

/* sum: bias32 is in it. */
static inline void vd_row_tail_u8(const struct vd_row_tail *t, int oc, int step, int n, const uint32_t *sum, uint8_t *dst)
{
    for (int i = 0; i < n; i++)
        dst[i] = vd_row_byte((float)(int32_t)sum[i] * t->scale[oc + i * step], t->zp, t->lo, t->hi);
}

static inline void vd_row_clamp(float *v, int n, float lo, float hi)
{
    for (int i = 0; i < n; i++) {
        const float up = v[i] < lo ? lo : v[i];
        v[i] = hi < up ? hi : up;
    }
}

/* v: scaled already, where the sums were integers. */
static inline void vd_row_tail_f32(const struct vd_row_tail *t, int oc, int step, int n, float *v, const float *residual,
                                   struct vd_row_range *r)
{
    if (t->bias)
        for (int i = 0; i < n; i++)
            v[i] += t->bias[oc + i * step];
    if (t->clamp)
        vd_row_clamp(v, n, t->lo_f, t->hi_f);
    if (residual)
        for (int i = 0; i < n; i++)
            v[i] += residual[i];
    if (t->clamp2)
        vd_row_clamp(v, n, t->lo2_f, t->hi2_f);
    if (t->range)
        for (int i = 0; i < n; i++) {
            r->lo = v[i] < r->lo ? v[i] : r->lo;
            r->hi = r->hi < v[i] ? v[i] : r->hi;
            r->nan |= v[i] != v[i];
        }
}

#endif
