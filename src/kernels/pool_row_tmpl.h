/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_POOL_ROW_TMPL_H
#define VD_POOL_ROW_TMPL_H

#include <float.h>
#include <math.h>
#include <string.h>
#include "kernels/rows.h"

/* One source for every set. Before it VD_POOL_BYTES may be the size of a register: then a pixel's lanes are taken by vectors in the
 * compiler's own terms (none wider than a register: those it takes apart badly); else one by one. */

#define POOL_ONE(T, ACC, INIT, NEXT, DONE) \
    for (int x = 0; x < width; x++, at += p->pixel) \
        for (int i = 0; i < p->lanes; i++, dst++) { \
            ACC acc = INIT; \
            for (int r = 0; r < p->rows; r++) \
                for (int k = 0; k < p->taps; k++) { \
                    const T v = src[r][at + i + k * p->step]; \
                    NEXT; \
                } \
            *dst = DONE; \
        }

#define POOL_BEGIN(NONE) \
    ptrdiff_t at = p->at; \
    if (p->rows == 0 || p->taps == 0) { \
        for (ptrdiff_t i = 0; i < (ptrdiff_t)width * p->lanes; i++) \
            dst[i] = (NONE); \
        return; \
    }

#if defined(VD_POOL_BYTES)
typedef uint8_t pool_u8 __attribute__((vector_size(VD_LANES)));
typedef float pool_f32 __attribute__((vector_size(VD_POOL_BYTES)));
typedef int32_t pool_s32 __attribute__((vector_size(VD_POOL_BYTES)));
typedef double pool_f64 __attribute__((vector_size(VD_POOL_BYTES)));
typedef float pool_half __attribute__((vector_size(VD_POOL_BYTES / 2)));

#define POOL_VECTORS(V, ACC, INIT, NEXT, DONE) \
    if (p->lanes == VD_LANES) { \
        for (int x = 0; x < width; x++, at += p->pixel) \
            for (size_t i = 0; i < VD_LANES; i += sizeof(V) / sizeof(*dst), dst += sizeof(V) / sizeof(*dst)) { \
                ACC acc = INIT; \
                for (int r = 0; r < p->rows; r++) \
                    for (int k = 0; k < p->taps; k++) { \
                        V v; \
                        memcpy(&v, src[r] + at + (ptrdiff_t)i + k * p->step, sizeof(v)); \
                        NEXT; \
                    } \
                const V out = DONE; \
                memcpy(dst, &out, sizeof(out)); \
            } \
        return; \
    }
#else
#define POOL_VECTORS(V, ACC, INIT, NEXT, DONE)
#endif

static void max_u8(uint8_t *dst, const uint8_t *const *src, const struct vd_row_pool *p, int width)
{
    POOL_BEGIN(0)
    POOL_VECTORS(pool_u8, pool_u8, {0}, const pool_u8 take = (pool_u8)(v > acc); acc = (take & v) | (~take & acc), acc)
    POOL_ONE(uint8_t, uint8_t, 0, acc = v > acc ? v : acc, acc)
}

static void max_f32(float *dst, const float *const *src, const struct vd_row_pool *p, int width)
{
    POOL_BEGIN(-FLT_MAX)
    POOL_VECTORS(pool_f32, pool_f32, (pool_f32){0} - INFINITY,
                 const pool_s32 take = (v > acc) | (v != v); acc = (pool_f32)((take & (pool_s32)v) | (~take & (pool_s32)acc)), acc)
    POOL_ONE(float, float, -INFINITY, acc = v > acc || v != v ? v : acc, acc)
}

static void average_f32(float *dst, const float *const *src, const struct vd_row_pool *p, int width)
{
    POOL_BEGIN(0)
    POOL_VECTORS(pool_half, pool_f64, {0}, acc += __builtin_convertvector(v, pool_f64), __builtin_convertvector(acc / p->count, pool_half))
    POOL_ONE(float, double, 0, acc += (double)v, (float)(acc / p->count))
}

static inline void vd_pool_row_init(struct vd_row_kernels *k)
{
    k->max_u8 = max_u8;
    k->max_f32 = max_f32;
    k->average_f32 = average_f32;
}

#endif
