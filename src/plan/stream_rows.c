/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include <string.h>

#include "plan/steps.h"
#include "plan/row_stream.h"

unsigned char *vd_stream_row_at(const struct vd_stream_value *v, unsigned char *area, int64_t n, int64_t y)
{
    if (v->whole)
        return (unsigned char *)v->whole->data + (size_t)(n * v->h + y) * v->row;
    return area + v->at + (size_t)(y % v->height) * v->row + v->head;
}

/* Padding that readers reach, left and right of a row that was just made. */
static void pad_row(const struct vd_stream_value *v, unsigned char *row)
{
    const size_t left = (size_t)v->left * v->pixel, right = (size_t)v->right * v->pixel, width = (size_t)v->width * v->pixel;
    const int fill = v->bytes ? v->zp : 0;
    for (int b = 0; (left || right) && b < v->blocks; b++, row += v->block) {
        memset(row - left, fill, left);
        memset(row + width, fill, right);
    }
}

static size_t elements(const struct vd_stream_value *v) { return (size_t)v->width * (v->thin ? 1 : VD_LANES); }

/* --- borders --- */

/* One row of an NCHW tensor, and how far its channels are apart (elements). */
static size_t tensor_row(const struct vd_tensor *t, int64_t n, int64_t y, size_t *plane)
{
    const size_t h = (size_t)t->dim[2], w = (size_t)t->dim[3];
    *plane = h * w;
    return (size_t)n * (size_t)t->dim[1] * h * w + (size_t)y * w;
}

static void load(const struct vd_stream_job *j, const struct vd_stream_op *o, const struct vd_stream_value *v, unsigned char *dst, int64_t y)
{
    size_t plane;
    const size_t at = tensor_row(o->from, j->n, y, &plane), width = (size_t)v->width;
    if (!v->bytes) {
        const float *src = (const float *)o->from->data + at;
        if (v->thin)
            memcpy(dst, src, width * sizeof(*src));
        else
            j->p->kernels->row.block_f32((float *)(void *)dst, v->block, src, plane, v->channels, v->width);
        return;
    }
    const uint8_t *src = (const uint8_t *)o->from->data + at;
    const size_t step = v->thin ? 1 : VD_LANES;
    for (int c = 0; c < v->channels; c++, src += plane) {
        uint8_t *to = dst + (size_t)(c / VD_LANES) * v->block + c % VD_LANES;
        for (size_t x = 0; x < width; x++)
            to[x * step] = src[x] ^ o->flip;
    }
}

static void store(const struct vd_stream_job *j, const struct vd_stream_op *o, const struct vd_stream_value *v, const unsigned char *src, int64_t y)
{
    size_t plane;
    const size_t at = tensor_row(o->to, j->n, y, &plane), width = (size_t)v->width;
    if (!v->bytes) {
        float *dst = (float *)o->to->data + at;
        if (v->thin)
            memcpy(dst, src, width * sizeof(*dst));
        else
            j->p->kernels->row.plane_f32(dst, plane, (const float *)(const void *)src, v->block, v->channels, v->width);
        return;
    }
    uint8_t *dst = (uint8_t *)o->to->data + at;
    const size_t step = v->thin ? 1 : VD_LANES;
    for (int c = 0; c < v->channels; c++, dst += plane) {
        const uint8_t *from = src + (size_t)(c / VD_LANES) * v->block + c % VD_LANES;
        for (size_t x = 0; x < width; x++)
            dst[x] = from[x * step] ^ o->flip;
    }
}

/* The lowest and highest of a row's floats; lanes past the channels are 0, which a range always holds. */
static void widen_range(const struct vd_stream_job *j, const struct vd_stream_op *o, const struct vd_stream_value *v, const unsigned char *row)
{
    if (o->range < 0)
        return;
    float *range = (float *)(void *)(j->area + j->s->range_at) + 2 * o->range;
    for (int b = 0; b < v->blocks; b++)
        j->p->kernels->range_f32((const float *)(const void *)(row + (size_t)b * v->block), elements(v), &range[0], &range[1]);
}

/* Where a filter works in place, rows outside the band's own were saved. */
static void load_plane(const struct vd_stream_job *j, const struct vd_stream_value *v, float *dst, int64_t y)
{
    const struct vd_halo *h = j->p->in_place && j->s->halo ? &j->s->halo[j->band] : NULL;
    if (!h || (y >= h->begin && y < h->end)) {
        vd_plane_load(j->p->plane, j->p->kernels, dst, 0, (int)y, (size_t)v->width);
        return;
    }
    const int64_t above = h->first < h->begin ? h->begin - h->first : 0;
    vd_plane_load(&j->p->saved, j->p->kernels, dst, 0, (int)((int64_t)h->at + (y < h->begin ? y - h->first : above + y - h->end)), (size_t)v->width);
}

static void store_plane(const struct vd_stream_job *j, const struct vd_stream_value *v, const unsigned char *src, int64_t y)
{
    enum { CHUNK = 512 };
    float temp[CHUNK];
    const size_t width = (size_t)v->width;
    for (size_t x = 0; x < width; x += v->thin ? width : CHUNK) {
        const size_t n = v->thin || width - x < CHUNK ? width - x : CHUNK;
        const float *row = (const float *)(const void *)src + x;
        if (!v->thin) { /* one channel in a block */
            j->p->kernels->row.plane_f32(temp, CHUNK, (const float *)(const void *)src + x * VD_LANES, v->block, 1, (int)n);
            row = temp;
        }
        vd_plane_store(j->p->plane, j->p->kernels, row, x, (int)y, n);
    }
}

/* --- layers --- */

void vd_stream_window(const struct vd_stream_job *j, const struct vd_stream_op *o, const struct vd_stream_value *x, int64_t y, const void **src)
{
    const size_t left = x->wino ? 0 : (size_t)o->left * x->pixel;
    for (int k = 0; k < o->kh; k++) {
        const int64_t row = y * o->sy - o->top + k * o->dy;
        src[k] = (row < 0 || row >= x->h ? x->pad : vd_stream_row_at(x, j->area, j->n, row)) - left;
    }
}

static void convolve(const struct vd_stream_job *j, const struct vd_stream_op *o, unsigned char *dst, int64_t y)
{
    const struct vd_stream_value *x = &j->s->value[o->in[0]], *out = &j->s->value[o->out];
    const void **src = (const void **)(void *)(j->area + j->s->src_at);
    vd_stream_window(j, o, x, y, src);
    const struct vd_stream_value *r = o->n_in > 1 ? &j->s->value[o->in[1]] : NULL;
    const float *residual = r ? (const float *)(void *)vd_stream_row_at(r, j->area, j->n, y) : NULL;
    if (o->range < 0) {
        o->fn(&o->conv, dst, out->block, src, x->block, residual, r ? r->block : 0, out->width);
        return;
    }
    struct vd_row_conv c = o->conv;
    c.tail.range = (float *)(void *)(j->area + j->s->range_at) + 2 * o->range;
    o->fn(&c, dst, out->block, src, x->block, residual, r ? r->block : 0, out->width);
}

/* An operator of src/ops on each block of a row. */
static void run_each(const struct vd_stream_job *j, const struct vd_stream_op *o, const struct vd_stream_value *v, unsigned char *dst, int64_t y)
{
    const struct vd_each *e = o->each;
    const struct vd_tensor shape = {.type = VD_F32, .rank = v->thin ? 1 : 2, .dim = {v->width, VD_LANES}};
    struct vd_tensor in[2], out = shape, *outs[1] = {&out};
    const struct vd_tensor *ins[2] = {&in[0], &in[1]};
    const struct vd_op_call call = {.node = e->node->proto, .opset = e->opset, .n_in = e->n_in, .n_out = 1, .in = ins, .out = outs};
    assert(e->n_in <= 2);
    for (int b = 0; b < v->blocks; b++) {
        int row = 0;
        for (int i = 0; i < e->n_in; i++) {
            in[i] = shape;
            if (e->constant[i]) {
                in[i] = (struct vd_tensor){.type = VD_F32, .rank = 1, .dim = {v->thin ? 1 : VD_LANES}};
                in[i].data = (void *)(uintptr_t)(e->constant[i] + b * VD_LANES);
                continue;
            }
            const struct vd_stream_value *x = &j->s->value[o->in[row++]];
            in[i].data = vd_stream_row_at(x, j->area, j->n, y) + (size_t)b * x->block;
        }
        out.data = dst + (size_t)b * v->block;
        e->op->run(&call);
    }
    const int used = v->channels % VD_LANES;
    float *last = (float *)(void *)(dst + (size_t)(v->blocks - 1) * v->block);
    for (int x = 0; !v->thin && used && x < v->width; x++) /* lanes past the channels meet weights of 0: nothing that is not finite may be there */
        memset(last + (size_t)x * VD_LANES + used, 0, (size_t)(VD_LANES - used) * sizeof(*last));
}

/* Channel c of a row: where its first element is, and the bytes from pixel to pixel. */
static unsigned char *channel(const struct vd_stream_value *v, unsigned char *row, int c)
{
    const size_t size = v->bytes ? 1 : sizeof(float);
    return v->thin ? row : row + (size_t)(c / VD_LANES) * v->block + (size_t)(c % VD_LANES) * size;
}

/* n channels from one row to another; whole blocks at once where both lie alike. */
static void move_channels(const struct vd_stream_value *to, unsigned char *dst, int at, const struct vd_stream_value *from, unsigned char *src, int n)
{
    for (int c = 0; c < n;) {
        if (!to->thin && !from->thin && at % VD_LANES == 0 && c % VD_LANES == 0 && n - c >= VD_LANES) {
            memcpy(channel(to, dst, at + c), channel(from, src, c), (size_t)to->width * to->pixel);
            c += VD_LANES;
            continue;
        }
        unsigned char *d = channel(to, dst, at + c), *s = channel(from, src, c);
        for (int x = 0; x < to->width; x++, d += to->pixel, s += from->pixel) {
            if (to->bytes)
                *d = *s;
            else
                memcpy(d, s, sizeof(float));
        }
        c++;
    }
}

static void clear_lanes(const struct vd_stream_value *v, unsigned char *dst)
{
    if (!v->thin && v->channels % VD_LANES)
        memset(dst + (size_t)(v->blocks - 1) * v->block, 0, (size_t)v->width * v->pixel);
}

static void map_blocks(const struct vd_stream_job *j, const struct vd_stream_op *o, const struct vd_stream_value *v, unsigned char *dst, int64_t y)
{
    const struct vd_row_kernels *k = &j->p->kernels->row;
    const struct vd_stream_value *a = &j->s->value[o->in[0]], *b = &j->s->value[o->in[o->n_in - 1]];
    const unsigned char *x = vd_stream_row_at(a, j->area, j->n, y), *z = vd_stream_row_at(b, j->area, j->n, y);
    const size_t n = elements(v);
    for (int i = 0; i < v->blocks; i++, dst += v->block, x += a->block, z += b->block) {
        float *f = (float *)(void *)dst;
        const float *fx = (const float *)(const void *)x;
        switch (o->kind) {
        case VD_ROW_QUANTIZE: k->quantize_u8(dst, fx, n, o->q_scale, o->zp, o->lo, o->hi); break;
        case VD_ROW_LOOKUP_F32: k->lookup_f32(f, x, n, o->table); break;
        case VD_ROW_LOOKUP_U8: k->lookup_u8(dst, x, n, o->table); break;
        case VD_ROW_ADD_F32: k->add_f32(f, fx, (const float *)(const void *)z, n); break;
        case VD_ROW_ADD_U8: k->add_u8(dst, x, z, n, &o->add); break;
        case VD_ROW_CLAMP: k->clamp_f32(f, fx, n, o->lo_f, o->hi_f); break;
        default: memcpy(dst, x, (size_t)v->width * v->pixel); break;
        }
    }
}

void vd_stream_row(const struct vd_stream_job *j, int op, int64_t y)
{
    const struct vd_stream_op *o = &j->s->op[op];
    const struct vd_stream_value *v = o->out >= 0 ? &j->s->value[o->out] : NULL, *x = o->n_in ? &j->s->value[o->in[0]] : NULL;
    unsigned char *dst = v ? vd_stream_row_at(v, j->area, j->n, y) : NULL;
    switch (o->kind) {
    case VD_ROW_LOAD: load(j, o, v, dst, y); break;
    case VD_ROW_LOAD_PLANE: load_plane(j, v, (float *)(void *)dst, y); break;
    case VD_ROW_STORE:
    case VD_ROW_STORE_BLOCKED:
    case VD_ROW_STORE_PLANE: {
        const unsigned char *src = vd_stream_row_at(x, j->area, j->n, y);
        widen_range(j, o, x, src);
        if (o->kind == VD_ROW_STORE)
            store(j, o, x, src, y);
        else if (o->kind == VD_ROW_STORE_PLANE)
            store_plane(j, x, src, y);
        else
            for (int b = 0; b < x->blocks; b++)
                memcpy((unsigned char *)o->to->data + (size_t)(j->n * x->h + y) * o->to_row + (size_t)b * o->to_block, src + (size_t)b * x->block,
                       (size_t)x->width * x->pixel);
        return;
    }
    case VD_ROW_CONV:
        if (o->second) {
            vd_stream_two(j, o, dst, y);
            widen_range(j, o, v, dst);
        } else {
            convolve(j, o, dst, y);
        }
        break;
    case VD_ROW_REST: vd_stream_rest(j, o, dst, y); break;
    case VD_ROW_WINO:
        j->p->kernels->row.wino_row(dst, (const float *)(const void *)(vd_stream_row_at(x, j->area, j->n, y) - (size_t)o->left * x->pixel), x->block,
                                    x->channels, v->width);
        return;
    case VD_ROW_POOL: vd_stream_pool(j, o, dst, y); break;
    case VD_ROW_EACH: run_each(j, o, v, dst, y); break;
    case VD_ROW_CONCAT:
        clear_lanes(v, dst);
        for (int i = 0, at = 0; i < o->n_in; i++) {
            const struct vd_stream_value *from = &j->s->value[o->in[i]];
            move_channels(v, dst, at, from, vd_stream_row_at(from, j->area, j->n, y), from->channels);
            at += from->channels;
        }
        break;
    case VD_ROW_RELAYOUT:
        clear_lanes(v, dst);
        move_channels(v, dst, 0, x, vd_stream_row_at(x, j->area, j->n, y), v->channels);
        break;
    default: map_blocks(j, o, v, dst, y); break;
    }
    if (!v->whole)
        pad_row(v, dst);
}
