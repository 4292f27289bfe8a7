/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_CONV_TAIL_H
#define VD_CONV_TAIL_H

#include "kernels/kernels.h"

/* The steps after the scale, on n sums of output channel oc; residual is the
 * row's part that lies over v. Every set gives these bits. */
static inline void vd_conv_tail_row(float *v, int n, const struct vd_conv_tail *t, int oc, const float *residual)
{
    if (t->bias) {
        const float bias = t->bias[oc];
        for (int i = 0; i < n; i++)
            v[i] += bias;
    }
    if (t->clamp) {
        const float lo = t->lo, hi = t->hi;
        for (int i = 0; i < n; i++) {
            const float up = v[i] < lo ? lo : v[i];
            v[i] = hi < up ? hi : up;
        }
    }
    if (residual)
        for (int i = 0; i < n; i++)
            v[i] += residual[i];
    if (t->clamp2) {
        const float lo = t->lo2, hi = t->hi2;
        for (int i = 0; i < n; i++) {
            const float up = v[i] < lo ? lo : v[i];
            v[i] = hi < up ? hi : up;
        }
    }
}

#endif
