/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_CONV_ROW_TMPL_H
#define VD_CONV_ROW_TMPL_H

#include <assert.h>
#include <string.h>
#include "kernels/kernels_impl.h"
#include "kernels/row_tail.h"

/* The C references of the row convolutions, written once for bytes and floats. The includer defines before
 *     elem_t     an element of a row          weight_t  a weight as it comes
 *     packed_t   a weight as it is kept       sum_t     a sum
 *     mul(w, x)  their product as a sum
 * Products of bytes are kept as 16 bits by 16 bits, which compilers make vectors of without any flag. */

enum { PIXELS = 4 }; /* summed side by side; the last ones may lie in the slack */

#if defined(__clang__)
#define KEEP_LOOP _Pragma("clang loop unroll(disable)")
#else
#define KEEP_LOOP
#endif

static inline int blocks(int channels) { return (channels + VD_LANES - 1) / VD_LANES; }

static inline size_t packed_bytes(size_t n) { return (n * sizeof(packed_t) + 63) & ~(size_t)63; }

/* [oc block][ky][kx][ic, to a multiple of `group`][16]: so many channels are summed before the sum in memory is touched. */
enum { GROUP = 4 };

static size_t pack_grouped(const struct vd_row_shape *s, const void *weight, void *pack, size_t group)
{
    const weight_t *w = weight;
    packed_t *out = pack;
    const size_t taps = (size_t)s->kh * (size_t)s->kw, ic = (size_t)s->ic, padded = (ic + group - 1) / group * group;
    const size_t size = packed_bytes((size_t)blocks(s->oc) * taps * padded * VD_LANES);

    if (!pack)
        return size;
    memset(pack, 0, size);
    for (size_t o = 0; o < (size_t)s->oc; o++)
        for (size_t i = 0; i < ic; i++)
            for (size_t t = 0; t < taps; t++)
                out[((o / VD_LANES * taps + t) * padded + i) * VD_LANES + o % VD_LANES] = w[(o * ic + i) * taps + t];
    return size;
}

static size_t pack_dense(const struct vd_row_shape *s, const void *weight, void *pack) { return pack_grouped(s, weight, pack, GROUP); }
static size_t pack_first(const struct vd_row_shape *s, const void *weight, void *pack) { return pack_grouped(s, weight, pack, 1); }

/* [ky][kx][ic, whole blocks] */
static size_t pack_last(const struct vd_row_shape *s, const void *weight, void *pack)
{
    const weight_t *w = weight;
    packed_t *out = pack;
    const size_t taps = (size_t)s->kh * (size_t)s->kw, lanes = (size_t)blocks(s->ic) * VD_LANES, size = packed_bytes(taps * lanes);

    if (!pack)
        return size;
    memset(pack, 0, size);
    for (size_t i = 0; i < (size_t)s->ic; i++)
        for (size_t t = 0; t < taps; t++)
            out[t * lanes + i] = w[i * taps + t];
    return size;
}

/* [block][ky][kx][16] */
static size_t pack_depthwise(const struct vd_row_shape *s, const void *weight, void *pack)
{
    const struct vd_row_shape one = {.ic = 1, .oc = s->oc, .kh = s->kh, .kw = s->kw};

    return pack_first(&one, weight, pack);
}

static inline const elem_t *row_at(const void *const *src, int ky, ptrdiff_t element) { return (const elem_t *)src[ky] + element; }

/* `group` input channels of each pixel; apart: elements between pixels. */
static inline void add_group(sum_t acc[PIXELS][VD_LANES], const packed_t *w, const elem_t *at, ptrdiff_t apart, const int group)
{
    for (int p = 0; p < PIXELS; p++) {
        const elem_t *v = at + p * apart;
        KEEP_LOOP
        for (int o = 0; o < VD_LANES; o++)
            if (group == 1)
                acc[p][o] += mul(w[o], v[0]);
            else
                acc[p][o] += (mul(w[o], v[0]) + mul(w[VD_LANES + o], v[1])) + (mul(w[2 * VD_LANES + o], v[2]) + mul(w[3 * VD_LANES + o], v[3]));
    }
}

/* Dense, and first with `lanes` 1: elements that a pixel of the input has. */
static inline void conv_dense(const struct vd_row_conv *c, void *dst, size_t dst_block, const void *const *src, size_t src_block,
                              const float *residual, size_t residual_block, int width, const int lanes)
{
    const struct vd_row_shape *s = &c->shape;
    const packed_t *w = c->weight;
    const int group = lanes == 1 ? 1 : GROUP;
    struct vd_row_range range = vd_row_range_begin(&c->tail);

    for (int ob = 0; ob < blocks(s->oc); ob++) {
        const packed_t *next = w;
        for (int x = 0; x < width; x += PIXELS) {
            sum_t acc[PIXELS][VD_LANES];

            next = w;
            for (int p = 0; p < PIXELS; p++)
                first_sums(acc[p], c, ob * VD_LANES, 1);
            for (int ky = 0; ky < s->kh; ky++)
                for (int kx = 0; kx < s->kw; kx++) {
                    const elem_t *e = row_at(src, ky, ((ptrdiff_t)x * s->stride + (ptrdiff_t)kx * s->dilation) * lanes);
                    for (int i = 0; i < s->ic; i += group, next += group * VD_LANES) /* lanes past ic: weights are 0 */
                        add_group(acc, next, (const elem_t *)((const char *)e + (size_t)(i / VD_LANES) * src_block) + i % VD_LANES,
                                  (ptrdiff_t)s->stride * lanes, group);
                }
            for (int p = 0; p < PIXELS && x + p < width; p++)
                finish_block(c, ob, acc[p], dst, dst_block, residual, residual_block, x + p, &range);
        }
        w = next;
    }
    vd_row_range_end(&c->tail, range);
}

static void conv_blocked(const struct vd_row_conv *c, void *dst, size_t dst_block, const void *const *src, size_t src_block,
                         const float *residual, size_t residual_block, int width)
{
    conv_dense(c, dst, dst_block, src, src_block, residual, residual_block, width, VD_LANES);
}

static void conv_first(const struct vd_row_conv *c, void *dst, size_t dst_block, const void *const *src, size_t src_block,
                       const float *residual, size_t residual_block, int width)
{
    assert(c->shape.ic == 1);
    conv_dense(c, dst, dst_block, src, src_block, residual, residual_block, width, 1);
}

static void conv_depthwise(const struct vd_row_conv *c, void *dst, size_t dst_block, const void *const *src, size_t src_block,
                           const float *residual, size_t residual_block, int width)
{
    const struct vd_row_shape *s = &c->shape;
    const packed_t *weight = c->weight;
    struct vd_row_range range = vd_row_range_begin(&c->tail);

    assert(s->ic == s->oc);
    for (int ob = 0; ob < blocks(s->oc); ob++)
        for (int x = 0; x < width; x++) {
            const packed_t *w = weight + (size_t)ob * (size_t)(s->kh * s->kw) * VD_LANES;
            sum_t acc[VD_LANES];

            first_sums(acc, c, ob * VD_LANES, 1);
            for (int ky = 0; ky < s->kh; ky++)
                for (int kx = 0; kx < s->kw; kx++, w += VD_LANES) {
                    const elem_t *e = row_at(src, ky, ((ptrdiff_t)x * s->stride + (ptrdiff_t)kx * s->dilation) * VD_LANES);
                    e = (const elem_t *)((const char *)e + (size_t)ob * src_block);
                    KEEP_LOOP
                    for (int o = 0; o < VD_LANES; o++)
                        acc[o] += mul(w[o], e[o]);
                }
            finish_block(c, ob, acc, dst, dst_block, residual, residual_block, x, &range);
        }
    vd_row_range_end(&c->tail, range);
}

static void conv_last(const struct vd_row_conv *c, void *dst, size_t dst_block, const void *const *src, size_t src_block,
                      const float *residual, size_t residual_block, int width)
{
    const struct vd_row_shape *s = &c->shape;
    struct vd_row_range range = vd_row_range_begin(&c->tail);

    (void)dst_block, (void)residual_block;
    assert(s->oc == 1);
    for (int x = 0; x < width; x++) {
        const packed_t *w = c->weight;
        sum_t acc[VD_LANES], first;

        memset(acc, 0, sizeof(acc));
        first_sums(&first, c, 0, 0);
        for (int ky = 0; ky < s->kh; ky++)
            for (int kx = 0; kx < s->kw; kx++) {
                const elem_t *e = row_at(src, ky, ((ptrdiff_t)x * s->stride + (ptrdiff_t)kx * s->dilation) * VD_LANES);
                for (int b = 0; b < blocks(s->ic); b++, w += VD_LANES) {
                    const elem_t *at = (const elem_t *)((const char *)e + (size_t)b * src_block);
                    KEEP_LOOP
                    for (int i = 0; i < VD_LANES; i++)
                        acc[i] += mul(w[i], at[i]);
                }
            }
        for (int half = VD_LANES / 2; half; half /= 2)
            for (int i = 0; i < half; i++)
                acc[i] += acc[i + half];
        acc[0] += first;
        finish_pixel(c, acc[0], dst, residual, x, &range);
    }
    vd_row_range_end(&c->tail, range);
}

#define CONV_ROW_INIT(k, type) \
    do { \
        (k)->pack_##type[VD_ROW_DENSE] = pack_dense; \
        (k)->pack_##type[VD_ROW_FIRST] = pack_first; \
        (k)->pack_##type[VD_ROW_LAST] = pack_last; \
        (k)->pack_##type[VD_ROW_DEPTHWISE] = pack_depthwise; \
        (k)->conv_##type[VD_ROW_DENSE] = conv_blocked; \
        (k)->conv_##type[VD_ROW_FIRST] = conv_first; \
        (k)->conv_##type[VD_ROW_LAST] = conv_last; \
        (k)->conv_##type[VD_ROW_DEPTHWISE] = conv_depthwise; \
    } while (0)

#endif
