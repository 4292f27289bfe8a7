/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_CONV_F32_TMPL_H
#define VD_CONV_F32_TMPL_H

#include "kernels/conv_tiles_tmpl.h"

/* noc and nv are constants in every call, so the loops over them unroll and acc
 * lives in registers: in AVX2 4 x 3 sums, 3 inputs and a weight are the 16 there are, in
 * AVX-512 4 x 6, 6 and 1 are 31 of 32, in NEON 4 x 5, 5 and 1 are 26 of 32. */
VD_TILE void tile(const struct vd_conv_args *a, const struct vd_tail *t, int x, const int noc, const int nv)
{
    const int left = a->width - x - (nv - 1) * VV_LANES, n_last = left < VV_LANES ? left : VV_LANES;

    for (int y = 0; y < a->rows; y++) {
        const float *src = (const float *)a->src + y * a->src_step + x;
        const float *w = a->weight;
        vd_v acc[VD_OC_BLOCK][VD_MAX_NV];

        VD_UNROLL
        for (int oc = 0; oc < noc; oc++)
            VD_UNROLL
            for (int v = 0; v < nv; v++)
                acc[oc][v] = vv_zero();

        for (int i = 0; i < a->taps; i++, w += VD_OC_BLOCK) {
            const float *s = src + a->tap[i];
            VD_UNROLL
            for (int oc = 0; oc < noc; oc++) {
                const vd_v wv = vv_set1(w[oc]);
                VD_UNROLL
                for (int v = 0; v < nv; v++)
                    acc[oc][v] = vv_fma(wv, vv_load(s + VV_LANES * v), acc[oc][v]);
            }
        }
        vd_finish(a, t, acc, y * a->dst_row + x, noc, nv, n_last);
    }
}

#endif
