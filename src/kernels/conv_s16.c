/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include <string.h>
#include "kernels/conv_tail.h"
#include "kernels/kernels_impl.h"

/* As in conv_f32.c. What is in the slack may be anything, so that the sums of
 * the pixels past the row may wrap: hence unsigned. */
enum { CHUNK = 32 };
_Static_assert((int)CHUNK <= (int)VD_BAND_SLACK, "the last chunk of a row reads into the slack only");

static inline void sum_chunk(uint32_t acc[VD_OC_BLOCK][CHUNK], const struct vd_conv_args *a, const int16_t *src, int noc)
{
    memset(acc, 0, sizeof(int32_t) * VD_OC_BLOCK * CHUNK);
    for (int t = 0; t < a->taps; t++) {
        const int16_t *s = src + (size_t)a->tap[t] * 2;
        const int16_t *w = (const int16_t *)a->weight + (size_t)t * VD_OC_BLOCK * 2;
        for (int oc = 0; oc < noc; oc++) {
            const int16_t v = w[2 * oc], v1 = w[2 * oc + 1];
            for (int i = 0; i < CHUNK; i++)
                acc[oc][i] += (uint32_t)(s[2 * i] * v + s[2 * i + 1] * v1);
        }
    }
}

void vd_conv_s16_c(const struct vd_conv_args *a)
{
    assert(VD_CONV_ARGS_OK(a));
    for (int y = 0; y < a->rows; y++) {
        const int16_t *src = (const int16_t *)a->src + y * a->src_step * 2;
        for (int x = 0; x < a->width; x += CHUNK) {
            const int n = a->width - x < CHUNK ? a->width - x : CHUNK;
            uint32_t acc[VD_OC_BLOCK][CHUNK];

            if (a->n_oc == VD_OC_BLOCK)
                sum_chunk(acc, a, src + (ptrdiff_t)x * 2, VD_OC_BLOCK);
            else
                sum_chunk(acc, a, src + (ptrdiff_t)x * 2, a->n_oc);
            for (int oc = 0; oc < a->n_oc; oc++) {
                const ptrdiff_t at = oc * a->dst_plane + y * a->dst_row + x;
                if (a->raw) {
                    memcpy((int32_t *)a->dst + at, acc[oc], sizeof(int32_t) * (size_t)n);
                    continue;
                }
                const float *residual = a->tail.residual ? a->tail.residual + at : NULL;
                float v[CHUNK];

                for (int i = 0; i < CHUNK; i++)
                    v[i] = (float)(int32_t)acc[oc][i];
                if (a->tail.scale) {
                    const float scale = a->tail.scale[oc];
                    for (int i = 0; i < CHUNK; i++)
                        v[i] *= scale;
                }
                vd_conv_tail_row(v, n, &a->tail, oc, residual);
                memcpy((float *)a->dst + at, v, sizeof(float) * (size_t)n);
            }
        }
    }
}
