/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/row_stream.h"
#include "plan/steps.h"

/* Pools. MaxPool and AveragePool by rows: the sums and comparisons of src/ops/op_pool.c in its order, so that the bits are the same. Padding is
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

/* A block of a row: at the edges each window by itself, between them all at once. */
static void pool_block(const struct vd_stream_job *j, const struct vd_stream_op *o, unsigned char *dst, const void *const *src, struct vd_row_pool p,
                       int64_t counted_rows)
{
    const struct vd_row_kernels *k = &j->p->kernels->row;
    const struct vd_stream_value *x = &j->s->value[o->in[0]], *v = &j->s->value[o->out];
    const struct vd_window *w = o->win;
    const int64_t reach = (w->kernel[1] - 1) * w->dilation[1];
    for (int64_t at = 0, n; at < v->width; at += n) {
        int64_t k0;
        const int64_t k1 = taps(w, 1, at, 0, x->width, &k0), first = at * w->stride[1] - w->pad_begin[1];
        n = 1;
        if (k0 == 0 && k1 == w->kernel[1] && first + reach < x->width) {
            n += (x->width - 1 - reach - first) / w->stride[1];
            n = n < v->width - at ? n : v->width - at;
        }
        p.taps = (int)(k1 - k0);
        p.at = (first + k0 * w->dilation[1]) * p.lanes;
        unsigned char *to = dst + (size_t)at * v->pixel;
        if (v->bytes) {
            k->max_u8(to, (const uint8_t *const *)src, &p, (int)n);
            continue;
        }
        if (o->average)
            p.count = (double)(counted_rows * counted(o, 1, at, x->width));
        (o->average ? k->average_f32 : k->max_f32)((float *)(void *)to, (const float *const *)src, &p, (int)n);
    }
}

void vd_stream_pool(const struct vd_stream_job *j, const struct vd_stream_op *o, unsigned char *dst, int64_t y)
{
    const struct vd_stream_value *x = &j->s->value[o->in[0]], *v = &j->s->value[o->out];
    const void **src = (const void **)(void *)(j->area + j->s->src_at);
    int64_t k0;
    const int64_t k1 = taps(o->win, 0, y, 0, x->h, &k0), rows = k1 - k0;
    const int64_t counted_rows = o->average ? counted(o, 0, y, x->h) : 0;
    const int lanes = v->thin ? 1 : VD_LANES;
    const struct vd_row_pool p = {.rows = (int)rows, .lanes = lanes, .step = (ptrdiff_t)o->win->dilation[1] * lanes,
                                  .pixel = (ptrdiff_t)o->win->stride[1] * lanes};
    for (int64_t r = 0; r < rows; r++)
        src[r] = vd_stream_row_at(x, j->area, j->n, y * o->sy - o->top + (k0 + r) * o->dy);
    for (int b = 0; b < v->blocks; b++) {
        pool_block(j, o, dst, src, p, counted_rows);
        dst += v->block;
        for (int64_t r = 0; r < rows; r++)
            src[r] = (const unsigned char *)src[r] + x->block;
    }
}

/* --- GlobalAveragePool --- */

struct pool_all {
    const struct vd_tensor *x;
    float *y;
    const struct vd_cross *c;
};

/* One block of channels of one picture; four sums side by side for each channel, which is its own lane. */
static void pool_all_task(void *arg, size_t task, int worker)
{
    enum { SUMS = 4 };
    const struct pool_all *a = arg;
    const size_t channels = (size_t)a->x->dim[1], blocks = (channels + VD_LANES - 1) / VD_LANES, n = task / blocks, b = task % blocks;
    const size_t h = (size_t)a->x->dim[2], w = (size_t)a->x->dim[3], whole = h * w / SUMS * SUMS;
    float sum[SUMS][VD_LANES] = {{0}}, left[SUMS][VD_LANES] = {{0}};
    size_t i = 0;
    (void)worker;
    for (size_t y = 0; y < h; y++) {
        const float *x = (const float *)(const void *)((const unsigned char *)a->x->data + (n * h + y) * a->c->row + b * a->c->block);
        for (size_t end = i + w; i < end; i++, x += VD_LANES) {
            float *restrict to = i < whole ? sum[i % SUMS] : left[i - whole];
            for (int k = 0; k < VD_LANES; k++)
                to[k] += x[k];
        }
    }
    for (size_t k = 0; k < VD_LANES && b * VD_LANES + k < channels; k++) {
        float s = (sum[0][k] + sum[2][k]) + (sum[1][k] + sum[3][k]);
        for (size_t r = 0; r < h * w - whole; r++)
            s += left[r][k];
        a->y[n * channels + b * VD_LANES + k] = s / (float)(h * w);
    }
}

void vd_stream_pool_all(const struct vd_plan *p, const struct vd_step *s)
{
    const struct vd_tensor *x = &p->t[s->reads[0]];
    struct pool_all a = {.x = x, .y = p->t[s->writes[0]].data, .c = &p->cross[s->reads[0]]};
    const size_t tasks = (size_t)x->dim[0] * (((size_t)x->dim[1] + VD_LANES - 1) / VD_LANES);
    vd_workers_run(vd_tensor_count(x) < 1 << 16 ? NULL : p->workers, pool_all_task, &a, tasks); /* what is little is done before a worker wakes */
}
