/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_CONV_AVX2_H
#define VD_CONV_AVX2_H

#include <assert.h>
#include <immintrin.h>
#include <math.h>
#include "kernels/kernels_impl.h"

/* What the two convolutions share: how a row is cut into tiles, and the tail.
 *
 * A tile is some vectors of 8 pixels wide and takes 4 or 1 output channels; its
 * sums stay in registers for all taps. One tile goes down all rows of the band before the next begins,
 * so the input rows that neighbouring output rows share come from the first-level cache. */

#if defined(__clang__)
#define VD_UNROLL _Pragma("clang loop unroll(full)")
#else
#define VD_UNROLL _Pragma("GCC unroll 8")
#endif
enum { VD_MAX_NV = 8 }; /* vectors of the widest tile */

#define VD_TILE static inline __attribute__((always_inline))

/* The steps that nearly every layer has, without branches: one that is left out has
 * the operand that gives back each value, bit for bit: times 1, plus -0 (+0 would turn -0 into +0), no bounds. */
struct vd_tail_avx2 {
    float scale[VD_OC_BLOCK], bias[VD_OC_BLOCK], lo, hi;
};

static inline void vd_tail_avx2_init(struct vd_tail_avx2 *t, const struct vd_conv_args *a)
{
    for (int oc = 0; oc < VD_OC_BLOCK; oc++) {
        t->scale[oc] = a->tail.scale && oc < a->n_oc ? a->tail.scale[oc] : 1.0f;
        t->bias[oc] = a->tail.bias && oc < a->n_oc ? a->tail.bias[oc] : -0.0f;
    }
    t->lo = a->tail.clamp ? a->tail.lo : -INFINITY;
    t->hi = a->tail.clamp ? a->tail.hi : INFINITY;
}

/* The lanes below n. */
static inline __m256i vd_mask_avx2(int n)
{
    static const int32_t lanes[16] = {-1, -1, -1, -1, -1, -1, -1, -1};

    return _mm256_loadu_si256((const __m256i *)(lanes + 8 - n));
}

/* maxps and minps return their second operand when either is NaN and when both
 * are zeros: with the value there, NaN and -0 pass as in the reference. */
VD_TILE __m256 vd_clamp_avx2(__m256 v, __m256 lo, __m256 hi)
{
    return _mm256_min_ps(hi, _mm256_max_ps(lo, v));
}

/* From sums (scaled, where they were integers) to the planes. at: the tile's
 * first element; n_last: pixels of the last vector that exist, 1..8. */
VD_TILE void vd_finish_avx2(const struct vd_conv_args *a, const struct vd_tail_avx2 *t, __m256 acc[VD_OC_BLOCK][VD_MAX_NV],
                            ptrdiff_t at, const int noc, const int nv, int n_last)
{
    const __m256 lo = _mm256_set1_ps(t->lo), hi = _mm256_set1_ps(t->hi);

    VD_UNROLL
    for (int oc = 0; oc < noc; oc++) {
        const __m256 bias = _mm256_set1_ps(t->bias[oc]);
        VD_UNROLL
        for (int v = 0; v < nv; v++)
            acc[oc][v] = vd_clamp_avx2(_mm256_add_ps(acc[oc][v], bias), lo, hi);
    }
    if (a->tail.residual) {
        const __m256i mask = vd_mask_avx2(n_last);
        VD_UNROLL
        for (int oc = 0; oc < noc; oc++) {
            if (oc >= a->n_oc)
                break;
            const float *r = a->tail.residual + oc * a->dst_plane + at;
            VD_UNROLL
            for (int v = 0; v < nv - 1; v++)
                acc[oc][v] = _mm256_add_ps(acc[oc][v], _mm256_loadu_ps(r + 8 * v));
            acc[oc][nv - 1] = _mm256_add_ps(acc[oc][nv - 1], _mm256_maskload_ps(r + 8 * (nv - 1), mask));
        }
    }
    if (a->tail.clamp2) {
        const __m256 lo2 = _mm256_set1_ps(a->tail.lo2), hi2 = _mm256_set1_ps(a->tail.hi2);
        VD_UNROLL
        for (int oc = 0; oc < noc; oc++)
            VD_UNROLL
            for (int v = 0; v < nv; v++)
                acc[oc][v] = vd_clamp_avx2(acc[oc][v], lo2, hi2);
    }
    VD_UNROLL
    for (int oc = 0; oc < noc; oc++) {
        if (oc >= a->n_oc)
            break;
        float *dst = (float *)a->dst + oc * a->dst_plane + at;
        VD_UNROLL
        for (int v = 0; v < nv - 1; v++)
            _mm256_storeu_ps(dst + 8 * v, acc[oc][v]);
        if (n_last == 8)
            _mm256_storeu_ps(dst + 8 * (nv - 1), acc[oc][nv - 1]);
        else
            _mm256_maskstore_ps(dst + 8 * (nv - 1), vd_mask_avx2(n_last), acc[oc][nv - 1]);
    }
}

typedef void vd_tile_avx2_fn(const struct vd_conv_args *a, const struct vd_tail_avx2 *t, int x);

/* How many of the vectors that are left the next tile takes, max at most: even
 * parts at the end, because a tile of one vector waits for its own sums. */
static inline int vd_split_avx2(int left, int max)
{
    if (left <= max)
        return left;
    return left < 2 * max ? (left + 1) / 2 : max;
}

#define VD_TILE_FN(noc, nv) \
    static __attribute__((noinline)) void tile_##noc##x##nv(const struct vd_conv_args *a, const struct vd_tail_avx2 *t, int x) \
    { \
        tile(a, t, x, noc, nv); \
    }

/* From a file's tile() the shapes of it that there are, and the kernel that cuts rows into them. */
#define VD_CONV_FROM_TILES(name) \
    VD_TILE_FN(4, 1) VD_TILE_FN(4, 2) VD_TILE_FN(4, 3) \
    VD_TILE_FN(1, 1) VD_TILE_FN(1, 2) VD_TILE_FN(1, 3) VD_TILE_FN(1, 4) \
    VD_TILE_FN(1, 5) VD_TILE_FN(1, 6) VD_TILE_FN(1, 7) VD_TILE_FN(1, 8) \
    void name(const struct vd_conv_args *a) \
    { \
        static vd_tile_avx2_fn *const one[] = {tile_1x1, tile_1x2, tile_1x3, tile_1x4, tile_1x5, tile_1x6, tile_1x7, tile_1x8}; \
        static vd_tile_avx2_fn *const four[] = {tile_4x1, tile_4x2, tile_4x3}; \
        vd_tile_avx2_fn *const *fn = a->n_oc == 1 ? one : four; \
        const int max = a->n_oc == 1 ? 8 : 3; \
        struct vd_tail_avx2 t; \
        assert(VD_CONV_ARGS_OK(a)); \
        vd_tail_avx2_init(&t, a); \
        for (int x = 0, nv; x < a->width; x += 8 * nv) { \
            nv = vd_split_avx2((a->width - x + 7) / 8, max); \
            fn[nv - 1](a, &t, x); \
        } \
    }

#endif
