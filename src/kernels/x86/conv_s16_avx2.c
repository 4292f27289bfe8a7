/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
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

VD_TILE void finish(const struct vd_conv_args *a, const struct vd_tail_avx2 *t, int oc, ptrdiff_t at, __m256i acc, int n)
{
    if (!a->raw)
        vd_finish_avx2(a, t, oc, at, _mm256_mul_ps(_mm256_cvtepi32_ps(acc), _mm256_set1_ps(t->scale[oc])), n);
    else if (n == 8)
        _mm256_storeu_si256((__m256i *)((int32_t *)a->dst + at), acc);
    else
        _mm256_maskstore_epi32((int32_t *)a->dst + at, vd_mask_avx2(n), acc);
}

/* As in conv_f32_avx2.c, with products of pairs: vpmaddwd adds two that are at
 * most 255 * 255 each, vpaddd adds it to the sum. Both are exact. */
VD_TILE void tile(const struct vd_conv_args *a, const struct vd_tail_avx2 *t, int x, const int noc, const int nv)
{
    const int n_last = a->width - x - (nv - 1) * 8;

    for (int y = 0; y < a->rows; y++) {
        const int16_t *src = (const int16_t *)a->src + 2 * (y * a->src_step + x);
        const int16_t *w = a->weight;
        __m256i acc[VD_OC_BLOCK][8];

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

        VD_UNROLL
        for (int oc = 0; oc < noc; oc++) {
            const ptrdiff_t at = oc * a->dst_plane + y * a->dst_row + x;
            if (oc >= a->n_oc)
                break;
            VD_UNROLL
            for (int v = 0; v < nv - 1; v++)
                finish(a, t, oc, at + 8 * v, acc[oc][v], 8);
            finish(a, t, oc, at + 8 * (nv - 1), acc[oc][nv - 1], n_last < 8 ? n_last : 8);
        }
    }
}

#define TILE(noc, nv) \
    static __attribute__((noinline)) void tile_##noc##x##nv(const struct vd_conv_args *a, const struct vd_tail_avx2 *t, int x) \
    { \
        tile(a, t, x, noc, nv); \
    }

TILE(4, 1)
TILE(4, 2)
TILE(4, 3)
TILE(1, 1)
TILE(1, 2)
TILE(1, 3)
TILE(1, 4)
TILE(1, 5)
TILE(1, 6)
TILE(1, 7)
TILE(1, 8)

typedef void tile_fn(const struct vd_conv_args *a, const struct vd_tail_avx2 *t, int x);
static tile_fn *const one[] = {tile_1x1, tile_1x2, tile_1x3, tile_1x4, tile_1x5, tile_1x6, tile_1x7, tile_1x8};
static tile_fn *const four[] = {tile_4x1, tile_4x2, tile_4x3};

void vd_conv_s16_avx2(const struct vd_conv_args *a)
{
    const int max = a->n_oc == 1 ? 8 : 3;
    tile_fn *const *fn = a->n_oc == 1 ? one : four;
    struct vd_tail_avx2 t;

    assert(VD_CONV_ARGS_OK(a));
    vd_tail_avx2_init(&t, a);
    for (int x = 0, nv; x < a->width; x += 8 * nv) {
        nv = vd_split_avx2((a->width - x + 7) / 8, max);
        fn[nv - 1](a, &t, x);
    }
}
