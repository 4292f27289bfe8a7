/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include "kernels/x86/conv_avx2.h"

/* noc and nv are constants in every call, so the loops over them unroll and acc
 * lives in registers: 4 x 3 sums, 3 inputs and a weight are the 16 there are. */
VD_TILE void tile(const struct vd_conv_args *a, const struct vd_tail_avx2 *t, int x, const int noc, const int nv)
{
    const int n_last = a->width - x - (nv - 1) * 8;

    for (int y = 0; y < a->rows; y++) {
        const float *src = (const float *)a->src + y * a->src_step + x;
        const float *w = a->weight;
        __m256 acc[VD_OC_BLOCK][8];

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

        VD_UNROLL
        for (int oc = 0; oc < noc; oc++) {
            const ptrdiff_t at = oc * a->dst_plane + y * a->dst_row + x;
            if (oc >= a->n_oc)
                break;
            VD_UNROLL
            for (int v = 0; v < nv - 1; v++)
                vd_finish_avx2(a, t, oc, at + 8 * v, acc[oc][v], 8);
            vd_finish_avx2(a, t, oc, at + 8 * (nv - 1), acc[oc][nv - 1], n_last < 8 ? n_last : 8);
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

void vd_conv_f32_avx2(const struct vd_conv_args *a)
{
    const int max = a->n_oc == 1 ? 8 : 3;
    tile_fn *const *fn = a->n_oc == 1 ? one : four;
    struct vd_tail_avx2 t;

    assert(VD_CONV_ARGS_OK(a) && !a->raw);
    vd_tail_avx2_init(&t, a);
    for (int x = 0, nv; x < a->width; x += 8 * nv) {
        nv = vd_split_avx2((a->width - x + 7) / 8, max);
        fn[nv - 1](a, &t, x);
    }
}
