/* SPDX-License-Identifier: BSD-2-Clause */
#include <float.h>
#include <math.h>
#include <string.h>

#include "plan/row_stream.h"
#include "plan/steps.h"

/* MaxPool and AveragePool by rows: the sums and comparisons of src/ops/op_pool.c in its order, so that the bits are the same. Padding is
 * not read: each window is cut to the picture. */

/* Taps of output o that lie in lo..hi - 1 of the input: from *k0 to the result. */
static int64_t taps(const struct vd_window *w, int d, int64_t o, int64_t lo, int64_t hi, int64_t *k0)
{
    const int64_t at = o * w->stride[d] - w->pad_begin[d];
    int64_t k1 = w->kernel[d];
    *k0 = 0;
    while (*k0 < k1 && at + *k0 * w->dilation[d] < lo)
        ++*k0;
    while (k1 > *k0 && at + (k1 - 1) * w->dilation[d] >= hi)
        k1--;
    return k1;
}

static int64_t counted(const struct vd_stream_op *o, int d, int64_t at, int64_t size)
{
    const struct vd_window *w = o->win;
    int64_t k0;
    const int64_t k1 = o->count_pad ? taps(w, d, at, -w->pad_begin[d], size + w->pad_end[d], &k0) : taps(w, d, at, 0, size, &k0);
    return k1 - k0;
}

#define POOL(name, T, A, INIT, NEXT, DONE) \
    static void name(const struct vd_stream_op *o, T *dst, const T *const *src, int64_t rows, int64_t w, int64_t n, int lanes, int64_t counted_rows) \
    { \
        for (int64_t x = 0; x < n; x++, dst += lanes) { \
            A acc[VD_LANES]; \
            int64_t k0; \
            const int64_t k1 = taps(o->win, 1, x, 0, w, &k0), at = x * o->win->stride[1] - o->win->pad_begin[1]; \
            for (int i = 0; i < lanes; i++) \
                acc[i] = (INIT); \
            for (int64_t r = 0; r < rows; r++) \
                for (int64_t k = k0; k < k1; k++) { \
                    const T *v = src[r] + (at + k * o->win->dilation[1]) * lanes; \
                    for (int i = 0; i < lanes; i++) \
                        acc[i] = NEXT(acc[i], v[i]); \
                } \
            DONE \
        } \
    }

#define MAX_BYTE(a, v) ((v) > (a) ? (v) : (a))
#define MAX_FLOAT(a, v) (((v) > (a)) | ((v) != (v)) ? (v) : (a))
#define SUM(a, v) ((a) + (double)(v))
#define STORE \
    (void)counted_rows; \
    for (int i = 0; i < lanes; i++) \
        dst[i] = acc[i];
#define STORE_FLOAT \
    (void)counted_rows; \
    for (int i = 0; i < lanes; i++) \
        dst[i] = acc[i] == -INFINITY && (!rows || k0 == k1) ? -FLT_MAX : acc[i]; /* nothing of the window is inside */
#define AVERAGE \
    const int64_t inside = counted_rows * counted(o, 1, x, w); \
    for (int i = 0; i < lanes; i++) \
        dst[i] = inside ? (float)(acc[i] / (double)inside) : 0;
POOL(max_bytes, uint8_t, uint8_t, 0, MAX_BYTE, STORE)
POOL(max_floats, float, float, -INFINITY, MAX_FLOAT, STORE_FLOAT)
POOL(average_floats, float, double, 0, SUM, AVERAGE)

void vd_stream_pool(const struct vd_stream_job *j, const struct vd_stream_op *o, unsigned char *dst, int64_t y)
{
    const struct vd_stream_value *x = &j->s->value[o->in[0]], *v = &j->s->value[o->out];
    const void **src = (const void **)(void *)(j->area + j->s->src_at);
    int64_t k0;
    const int64_t k1 = taps(o->win, 0, y, 0, x->h, &k0), rows = k1 - k0;
    const int64_t counted_rows = o->average ? counted(o, 0, y, x->h) : 0;
    const int lanes = v->thin ? 1 : VD_LANES;
    for (int64_t r = 0; r < rows; r++)
        src[r] = vd_stream_row_at(x, j->area, j->n, y * o->sy - o->top + (k0 + r) * o->dy);
    for (int b = 0; b < v->blocks; b++) {
        if (v->bytes)
            max_bytes(o, dst, (const uint8_t *const *)(const void *)src, rows, x->width, v->width, lanes, 0);
        else
            (o->average ? average_floats : max_floats)(o, (float *)(void *)dst, (const float *const *)(const void *)src, rows, x->width, v->width, lanes,
                                                       counted_rows);
        dst += v->block;
        for (int64_t r = 0; r < rows; r++)
            src[r] = (const unsigned char *)src[r] + x->block;
    }
}
