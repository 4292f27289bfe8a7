/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/x86/conv_avx2.h"

/* noc and nv are constants in every call, so the loops over them unroll and acc
 * lives in registers: 4 x 3 sums, 3 inputs and a weight are the 16 there are. */
VD_TILE void tile(const struct vd_conv_args *a, const struct vd_tail_avx2 *t, int x, const int noc, const int nv)
{
    const int left = a->width - x - (nv - 1) * 8, n_last = left < 8 ? left : 8;

    for (int y = 0; y < a->rows; y++) {
        const float *src = (const float *)a->src + y * a->src_step + x;
        const float *w = a->weight;
        __m256 acc[VD_OC_BLOCK][VD_MAX_NV];

        VD_UNROLL
        for (int oc = 0; oc < noc; oc++)
            VD_UNROLL
            for (int v = 0; v < nv; v++)
                acc[oc][v] = _mm256_setzero_ps();

        for (int i = 0; i < a->taps; i++, w += VD_OC_BLOCK) {
            const float *s = src + a->tap[i];
            VD_UNROLL
            for (int oc = 0; oc < noc; oc++) {
                const __m256 wv = _mm256_broadcast_ss(w + oc);
                VD_UNROLL
                for (int v = 0; v < nv; v++)
                    acc[oc][v] = _mm256_fmadd_ps(wv, _mm256_loadu_ps(s + 8 * v), acc[oc][v]);
            }
        }
        vd_finish_avx2(a, t, acc, y * a->dst_row + x, noc, nv, n_last);
    }
}

VD_CONV_FROM_TILES(vd_conv_f32_avx2)
