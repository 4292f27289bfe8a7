/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_CONV_S16_TMPL_H
#define VD_CONV_S16_TMPL_H

#include "kernels/conv_tiles_tmpl.h"

VD_TILE void finish(const struct vd_conv_args *a, const struct vd_tail *t, vd_vi acc[VD_OC_BLOCK][VD_MAX_NV],
                    ptrdiff_t at, const int noc, const int nv, int n_last)
{
    vd_v scaled[VD_OC_BLOCK][VD_MAX_NV];

    if (a->raw) {
        const vd_mask mask = vv_mask(n_last);
        VD_UNROLL
        for (int oc = 0; oc < noc; oc++) {
            if (oc >= a->n_oc)
                break;
            int32_t *dst = (int32_t *)a->dst + oc * a->dst_plane + at;
            VD_UNROLL
            for (int v = 0; v < nv - 1; v++)
                vi_store(dst + VV_LANES * v, acc[oc][v]);
            vi_store_some(dst + VV_LANES * (nv - 1), mask, acc[oc][nv - 1]);
        }
        return;
    }
    VD_UNROLL
    for (int oc = 0; oc < noc; oc++) {
        const vd_v scale = vv_set1(t->scale[oc]);
        VD_UNROLL
        for (int v = 0; v < nv; v++)
            scaled[oc][v] = vv_mul(vi_to_f32(acc[oc][v]), scale);
    }
    vd_finish(a, t, scaled, at, noc, nv, n_last);
}

/* As in conv_f32_tmpl.h, with products of pairs: two that are at most 255 * 255 each, added to the sum. All of it is exact. */
VD_TILE void tile(const struct vd_conv_args *a, const struct vd_tail *t, int x, const int noc, const int nv)
{
    const int left = a->width - x - (nv - 1) * VV_LANES, n_last = left < VV_LANES ? left : VV_LANES;

    for (int y = 0; y < a->rows; y++) {
        const int16_t *src = (const int16_t *)a->src + 2 * (y * a->src_step + x);
        const int16_t *w = a->weight;
        vd_vi acc[VD_OC_BLOCK][VD_MAX_NV];

        VD_UNROLL
        for (int oc = 0; oc < noc; oc++)
            VD_UNROLL
            for (int v = 0; v < nv; v++)
                acc[oc][v] = vi_zero();

        for (int i = 0; i < a->taps; i++, w += 2 * VD_OC_BLOCK) {
            const int16_t *s = src + 2 * (size_t)a->tap[i];
            vd_pairs in[VD_KEPT];

            VD_UNROLL
            for (int v = 0; v < nv && v < VD_KEPT; v++)
                in[v] = vi_pairs(s + 2 * VV_LANES * v);
            VD_UNROLL
            for (int oc = 0; oc < noc; oc++) {
                const vd_pairs wv = vi_pair(w + 2 * oc);
                VD_UNROLL
                for (int v = 0; v < nv; v++) {
                    const vd_pairs pixels = v < VD_KEPT ? in[v] : vi_pairs(s + 2 * VV_LANES * v);
                    acc[oc][v] = vi_dot(acc[oc][v], wv, pixels);
                }
                /* AVX2: makes the compiler read the third input again: 12 sums, 2 inputs, a weight and a
                 * product fill the 16 registers, and otherwise it is a sum that goes to memory and back. */
                if ((int)VD_KEPT < (int)VD_MAX_NV)
                    __asm__("" : "+r"(s));
            }
        }
        finish(a, t, acc, y * a->dst_row + x, noc, nv, n_last);
    }
}

#endif
