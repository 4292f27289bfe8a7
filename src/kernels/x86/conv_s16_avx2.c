/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>
#include "kernels/x86/conv_avx2.h"

VD_TILE __m256i load(const int16_t *s)
{
    return _mm256_loadu_si256((const __m256i *)s);
}

VD_TILE __m256i pair(const int16_t *w)
{
    int32_t both;

    memcpy(&both, w, sizeof(both));
    return _mm256_set1_epi32(both);
}

VD_TILE void finish(const struct vd_conv_args *a, const struct vd_tail_avx2 *t, __m256i acc[VD_OC_BLOCK][VD_MAX_NV],
                    ptrdiff_t at, const int noc, const int nv, int n_last)
{
    __m256 scaled[VD_OC_BLOCK][VD_MAX_NV];

    if (a->raw) {
        const __m256i mask = vd_mask_avx2(n_last);
        VD_UNROLL
        for (int oc = 0; oc < noc; oc++) {
            if (oc >= a->n_oc)
                break;
            int32_t *dst = (int32_t *)a->dst + oc * a->dst_plane + at;
            VD_UNROLL
            for (int v = 0; v < nv - 1; v++)
                _mm256_storeu_si256((__m256i *)(dst + 8 * v), acc[oc][v]);
            _mm256_maskstore_epi32(dst + 8 * (nv - 1), mask, acc[oc][nv - 1]);
        }
        return;
    }
    VD_UNROLL
    for (int oc = 0; oc < noc; oc++) {
        const __m256 scale = _mm256_set1_ps(t->scale[oc]);
        VD_UNROLL
        for (int v = 0; v < nv; v++)
            scaled[oc][v] = _mm256_mul_ps(_mm256_cvtepi32_ps(acc[oc][v]), scale);
    }
    vd_finish_avx2(a, t, scaled, at, noc, nv, n_last);
}

/* As in conv_f32_avx2.c, with products of pairs: vpmaddwd adds two that are at
 * most 255 * 255 each, vpaddd adds it to the sum. Both are exact. */
VD_TILE void tile(const struct vd_conv_args *a, const struct vd_tail_avx2 *t, int x, const int noc, const int nv)
{
    const int left = a->width - x - (nv - 1) * 8, n_last = left < 8 ? left : 8;

    for (int y = 0; y < a->rows; y++) {
        const int16_t *src = (const int16_t *)a->src + 2 * (y * a->src_step + x);
        const int16_t *w = a->weight;
        __m256i acc[VD_OC_BLOCK][VD_MAX_NV];

        VD_UNROLL
        for (int oc = 0; oc < noc; oc++)
            VD_UNROLL
            for (int v = 0; v < nv; v++)
                acc[oc][v] = _mm256_setzero_si256();

        for (int i = 0; i < a->taps; i++, w += 2 * VD_OC_BLOCK) {
            const int16_t *s = src + 2 * (size_t)a->tap[i];
            __m256i in[2];

            VD_UNROLL
            for (int v = 0; v < nv && v < 2; v++)
                in[v] = load(s + 16 * v);
            VD_UNROLL
            for (int oc = 0; oc < noc; oc++) {
                const __m256i wv = pair(w + 2 * oc);
                VD_UNROLL
                for (int v = 0; v < nv; v++) {
                    const __m256i pixels = v < 2 ? in[v] : load(s + 16 * v);
                    acc[oc][v] = _mm256_add_epi32(acc[oc][v], _mm256_madd_epi16(wv, pixels));
                }
                /* Makes the compiler read the third input again: 12 sums, 2 inputs, a weight and a
                 * product fill the 16 registers, and otherwise it is a sum that goes to memory and back. */
                __asm__("" : "+r"(s));
            }
        }
        finish(a, t, acc, y * a->dst_row + x, noc, nv, n_last);
    }
}

VD_CONV_FROM_TILES(vd_conv_s16_avx2)
