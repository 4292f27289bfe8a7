/* SPDX-License-Identifier: BSD-2-Clause */
#include <float.h>
#include <math.h>
#include <string.h>

#include "plan/stream_make.h"

/* A convolution whose input is two bytes an element is two products, the second added behind the first's bias (src/quant/static.h). What
 * the second reads is often its zero point all along: where its step is much longer than the first's, it has only what lay outside
 * the first's range. Then it adds 0, and is left out, segment by segment: x + 0 is x but for x = -0, which (float)sum * scale + bias is
 * not where all scales are normal and above 0. */

enum { CHUNK = 256 };

/* --- what rounding left --- */

/* n elements. The operators one after the other: QuantizeLinear, DequantizeLinear, Sub (of the negative, an addition: the same bits), QuantizeLinear. */
static void round_rest(const struct vd_row_kernels *k, const struct vd_stream_op *o, uint8_t *dst, const float *x, size_t n)
{
    uint8_t q[CHUNK];
    float v[CHUNK];
    for (size_t at = 0; at < n; at += CHUNK) {
        const size_t m = n - at < CHUNK ? n - at : CHUNK;
        k->quantize_u8(q, x + at, m, o->q_scale, o->q_zp, 0, UINT8_MAX);
        k->dequantize_f32(v, q, m, -o->q_scale, o->q_zp);
        k->add_f32(v, x + at, v, m);
        k->quantize_u8(dst + at, v, m, o->rest_scale, o->zp, 0, UINT8_MAX);
    }
}

/* The greatest float whose rest, and that of all between 0 and it, is the zero point; sign -1: the least. What is left rises with the value
 * outside the range, and inside it is half a step or a little more, which a longer step rounds to 0. */
static float inside(const struct vd_row_kernels *k, const struct vd_stream_op *o, float sign)
{
    uint32_t lo = 0, hi = 0x7f7fffff; /* FLT_MAX; as bits positive floats are in order */
    while (lo < hi) {
        const uint32_t middle = lo + (hi - lo + 1) / 2;
        float v;
        uint8_t q;
        memcpy(&v, &middle, sizeof(v));
        v *= sign;
        round_rest(k, o, &q, &v, 1);
        if (q == o->zp)
            lo = middle;
        else
            hi = middle - 1;
    }
    float v;
    memcpy(&v, &lo, sizeof(v));
    return v * sign;
}

static int byte_value(const struct vd_tensor *t) { return t->type == VD_U8 ? *(const uint8_t *)t->data : *(const int8_t *)t->data + 128; }

int vd_make_rest(struct vd_make *b, const struct vd_fusion *f)
{
    const struct vd_graph *g = b->p->g;
    if (b->of[f->x2] >= 0)
        return b->of[f->x2];
    const int from = vd_make_source(b, f->rest);
    if (from < 0)
        return from;
    const struct vd_node *q = &g->node[f->rest_q], *dq = &g->node[f->rest_dq];
    struct vd_stream_value like = b->s->value[from];
    struct vd_stream_op *o;
    like.bytes = true;
    like.zp = byte_value(g->value[q->in[2]].constant);
    const int out = vd_make_map(b, VD_ROW_REST, from, &like, &o);
    if (out < 0)
        return out;
    b->s->value[out].segments = true;
    o->zp = like.zp;
    o->rest_scale = *(const float *)g->value[q->in[1]].constant->data;
    o->q_scale = *(const float *)g->value[dq->in[1]].constant->data;
    o->q_zp = byte_value(g->value[dq->in[2]].constant);
    o->inside[0] = 1; /* nothing */
    if (o->q_scale >= FLT_MIN && o->rest_scale >= 4 * o->q_scale && o->rest_scale < FLT_MAX) {
        o->inside[0] = inside(&b->p->kernels->row, o, -1);
        o->inside[1] = inside(&b->p->kernels->row, o, 1);
    }
    return b->of[f->x2] = out;
}

/* Behind the blocks of the row that begins at pixel 0 of block 0. */
static uint8_t *segments_of(const struct vd_stream_value *v, unsigned char *row) { return row - v->head + (size_t)v->blocks * v->block; }

void vd_stream_rest(const struct vd_stream_job *j, const struct vd_stream_op *o, unsigned char *dst, int64_t y)
{
    const struct vd_kernels *k = j->p->kernels;
    const struct vd_stream_value *v = &j->s->value[o->out], *x = &j->s->value[o->in[0]];
    const unsigned char *src = vd_stream_row_at(x, j->area, j->n, y);
    const size_t lanes = v->thin ? 1 : VD_LANES;
    uint8_t *mark = segments_of(v, dst);
    for (int at = 0; at < v->width; at += VD_STREAM_SEGMENT) {
        const size_t n = lanes * (size_t)(v->width - at < VD_STREAM_SEGMENT ? v->width - at : VD_STREAM_SEGMENT), first = lanes * (size_t)at;
        float lo = 0, hi = 0;
        for (int i = 0; i < v->blocks; i++)
            k->range_f32((const float *)(const void *)(src + (size_t)i * x->block) + first, n, &lo, &hi);
        const bool left = !(lo >= o->inside[0] && hi <= o->inside[1]); /* NaN: left */
        for (int i = 0; i < v->blocks; i++) {
            uint8_t *to = dst + (size_t)i * v->block + first;
            if (left)
                round_rest(&k->row, o, to, (const float *)(const void *)(src + (size_t)i * x->block) + first, n);
            else
                memset(to, o->zp, n);
        }
        *mark++ = left;
    }
}

/* --- the two products --- */

static bool positive(const float *scale, int n)
{
    for (int i = 0; i < n; i++)
        if (!(scale[i] >= FLT_MIN && scale[i] <= FLT_MAX))
            return false;
    return true;
}

int vd_make_second(struct vd_make *b, struct vd_stream_op *o, int value, const struct vd_row_weights *w, int zp, const float *scale)
{
    const size_t lanes = ((size_t)w->shape.oc + VD_LANES - 1) / VD_LANES * VD_LANES;
    int32_t *bias32 = vd_arena_array(&b->p->shape, lanes, sizeof(*bias32));
    if (!bias32 || !scale)
        return vd_nomem(lanes * sizeof(*bias32));
    for (int i = 0; i < w->shape.oc; i++)
        bias32[i] = (int32_t)(0 - (uint32_t)zp * (uint32_t)w->sum[i]);
    o->conv2 = (struct vd_row_conv){.shape = w->shape, .weight = w->pack, .tail = {.scale = scale, .bias32 = bias32}};
    o->fn2 = b->p->kernels->row.conv_u8[w->shape.kind];
    o->second = o->n_in - 1;
    vd_make_reads(b, o, o->second, value);
    o->skips = b->s->value[value].segments && positive(scale, w->shape.oc) && positive(o->conv.tail.scale, w->shape.oc);
    const struct vd_stream_value like = b->s->value[o->out];
    const int temp = vd_make_value(b, &like);
    o->temp = temp;
    return 0;
}

/* Marks of the segments of the input in which any of the window's rows has something. false: none has. */
static bool find_marks(const struct vd_stream_job *j, const struct vd_stream_op *o, int64_t y, uint8_t *mark, int n)
{
    const struct vd_stream_value *x = &j->s->value[o->in[o->second]];
    uint8_t any = 0;
    memset(mark, 0, (size_t)n);
    for (int k = 0; k < o->kh; k++) {
        const int64_t row = y * o->sy - o->top + k * o->dy;
        if (row < 0 || row >= x->h)
            continue;
        const uint8_t *of = segments_of(x, vd_stream_row_at(x, j->area, j->n, row));
        for (int i = 0; i < n; i++) {
            mark[i] |= of[i];
            any |= of[i];
        }
    }
    return any;
}

/* Output pixels a..b - 1 meet marked segments. */
static bool meets(const struct vd_stream_op *o, const uint8_t *mark, int n, int a, int b)
{
    const struct vd_row_shape *s = &o->conv.shape;
    const int64_t from = (int64_t)a * s->stride - o->left, to = (int64_t)(b - 1) * s->stride - o->left + (int64_t)(s->kw - 1) * s->dilation;
    for (int64_t i = from < 0 ? 0 : from / VD_STREAM_SEGMENT; i < n && i * VD_STREAM_SEGMENT <= to; i++)
        if (mark[i])
            return true;
    return false;
}

/* One row in the making: where its inputs lie. */
struct two {
    const struct vd_stream_op *o;
    const struct vd_row_kernels *k;
    const struct vd_stream_value *x, *x2, *out, *r;
    const void **src, **src2;
    unsigned char *dst, *temp, *residual;
    size_t temp_block;
    int64_t *tails;     /* pixels of second products that might have been left out; NULL: nobody counts */
};

static void shift(const void **src, int n, size_t by)
{
    for (int k = 0; k < n; k++)
        src[k] = (const unsigned char *)src[k] + by;
}

/* Pixels from a on, of both products or of the first alone. What kernels write behind the last pixel is written again by who comes next. */
static void run_pixels(struct two *t, int a, int width, bool both)
{
    const struct vd_stream_op *o = t->o;
    const size_t at = (size_t)a * t->out->pixel;
    const float *residual = t->r ? (const float *)(const void *)(t->residual + at) : NULL;
    const size_t in = (size_t)a * (size_t)o->conv.shape.stride;
    shift(t->src, o->kh, in * t->x->pixel);
    if (!both) {
        o->fn(&o->conv, t->dst + at, t->out->block, t->src, t->x->block, residual, t->r ? t->r->block : 0, width);
    } else {
        float *temp = (float *)(void *)(t->temp + at);
        if (t->tails && o->skips)
            *t->tails += width;
        struct vd_row_conv first = o->conv; /* its clamp comes behind both products */
        first.tail.clamp = false;
        first.tail.clamp2 = o->conv.tail.clamp;
        first.tail.lo2_f = o->conv.tail.lo_f;
        first.tail.hi2_f = o->conv.tail.hi_f;
        shift(t->src2, o->kh, in * t->x2->pixel);
        o->fn2(&o->conv2, temp, t->temp_block, t->src2, t->x2->block, NULL, 0, width);
        o->fn(&first, residual ? (void *)temp : t->dst + at, residual ? t->temp_block : t->out->block, t->src, t->x->block, temp, t->temp_block, width);
        const size_t n = (size_t)width * (t->out->thin ? 1 : VD_LANES);
        for (int b = 0; residual && b < t->out->blocks; b++) {
            float *to = (float *)(void *)(t->dst + at + (size_t)b * t->out->block);
            t->k->add_f32(to, (const float *)(const void *)((unsigned char *)temp + (size_t)b * t->temp_block),
                          (const float *)(const void *)((const unsigned char *)residual + (size_t)b * t->r->block), n);
            if (o->conv.tail.clamp2)
                t->k->clamp_f32(to, to, n, o->conv.tail.lo2_f, o->conv.tail.hi2_f);
        }
        for (int k = 0; k < o->kh; k++)
            t->src2[k] = (const unsigned char *)t->src2[k] - in * t->x2->pixel;
    }
    for (int k = 0; k < o->kh; k++)
        t->src[k] = (const unsigned char *)t->src[k] - in * t->x->pixel;
}

void vd_stream_two(const struct vd_stream_job *j, const struct vd_stream_op *o, unsigned char *dst, int64_t y)
{
    const struct vd_stream_value *value = j->s->value, *temp = &value[o->temp];
    struct two t = {.o = o, .k = &j->p->kernels->row, .x = &value[o->in[0]], .x2 = &value[o->in[o->second]], .out = &value[o->out], .dst = dst};
    t.tails = j->tails ? j->tails + (o - j->s->op) : NULL;
    t.r = o->n_in > 2 ? &value[o->in[1]] : NULL;
    t.residual = t.r ? vd_stream_row_at(t.r, j->area, j->n, y) : NULL;
    t.temp = vd_stream_row_at(temp, j->area, 0, 0);
    t.temp_block = temp->block;
    t.src = (const void **)(void *)(j->area + j->s->src_at);
    t.src2 = t.src + j->s->max_kh;
    vd_stream_window(j, o, t.x, y, t.src);
    vd_stream_window(j, o, t.x2, y, t.src2);
    const int width = t.out->width, n = (t.x2->width + VD_STREAM_SEGMENT - 1) / VD_STREAM_SEGMENT;
    uint8_t *mark = j->area + j->s->marks_at;
    if (!o->skips || !find_marks(j, o, y, mark, n)) {
        run_pixels(&t, 0, width, !o->skips);
        return;
    }
    for (int a = 0; a < width;) {
        int b = a + VD_STREAM_SEGMENT;
        const bool both = meets(o, mark, n, a, b < width ? b : width);
        while (b < width && meets(o, mark, n, b, b + VD_STREAM_SEGMENT < width ? b + VD_STREAM_SEGMENT : width) == both)
            b += VD_STREAM_SEGMENT;
        run_pixels(&t, a, (b < width ? b : width) - a, both);
        a = b;
    }
}
