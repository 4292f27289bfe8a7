/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include <string.h>
#include "kernels/conv_tail.h"
#include "kernels/kernels_impl.h"

/* Pixels summed side by side. The sums are always made for all of them, so that
 * the loop has a constant length: the last chunk of a row reads at most
 * CHUNK - 1 elements past the row, and stores only what belongs to it. */
enum { CHUNK = 32 };
_Static_assert((int)CHUNK <= (int)VD_BAND_SLACK, "the last chunk of a row reads into the slack only");

static inline void sum_chunk(float acc[VD_OC_BLOCK][CHUNK], const struct vd_conv_args *a, const float *src, int noc)
{
    memset(acc, 0, sizeof(float) * VD_OC_BLOCK * CHUNK);
    for (int t = 0; t < a->taps; t++) {
        const float *s = src + a->tap[t];
        const float *w = (const float *)a->weight + (size_t)t * VD_OC_BLOCK;
        for (int oc = 0; oc < noc; oc++) {
            const float v = w[oc];
#if defined(__clang__)
#pragma clang loop unroll(disable) /* unrolled before it is vectorised, it would stay scalar */
#endif
            for (int i = 0; i < CHUNK; i++)
                acc[oc][i] += v * s[i];
        }
    }
}

void vd_conv_f32_c(const struct vd_conv_args *a)
{
    assert(VD_CONV_ARGS_OK(a) && !a->raw);
    for (int y = 0; y < a->rows; y++) {
        const float *src = (const float *)a->src + y * a->src_step;
        for (int x = 0; x < a->width; x += CHUNK) {
            const int n = a->width - x < CHUNK ? a->width - x : CHUNK;
            float acc[VD_OC_BLOCK][CHUNK];

            if (a->n_oc == VD_OC_BLOCK)
                sum_chunk(acc, a, src + x, VD_OC_BLOCK);
            else
                sum_chunk(acc, a, src + x, a->n_oc);
            for (int oc = 0; oc < a->n_oc; oc++) {
                const ptrdiff_t at = oc * a->dst_plane + y * a->dst_row + x;
                const float *residual = a->tail.residual ? a->tail.residual + at : NULL;

                vd_conv_tail_row(acc[oc], n, &a->tail, oc, residual);
                memcpy((float *)a->dst + at, acc[oc], sizeof(float) * (size_t)n);
            }
        }
    }
}
