/* SPDX-License-Identifier: BSD-2-Clause */
#include <limits.h>

#include "plan/stream_make.h"

/* Convolutions of a stream: what their input must be, and what follows the sums. */

/* n floats from one element or n, zero up to whole blocks. */
static float *per_lane(struct vd_make *b, const struct vd_tensor *c, size_t n)
{
    float *v = vd_arena_array(&b->p->shape, (n + VD_LANES - 1) / VD_LANES * VD_LANES, sizeof(*v));
    const bool one = vd_tensor_count(c) == 1;
    for (size_t i = 0; v && i < n; i++)
        v[i] = ((const float *)c->data)[one ? 0 : i];
    return v;
}

static int byte_value(const struct vd_tensor *t) { return t->type == VD_U8 ? *(const uint8_t *)t->data : *(const int8_t *)t->data + 128; }

static const struct vd_tensor *constant(const struct vd_make *b, const struct vd_node *n, int i)
{
    return i < n->n_in && n->in[i] >= 0 ? b->p->g->value[n->in[i]].constant : NULL;
}

/* Zero point of the input of a convolution of bytes, which ConvInteger may leave out; as streams have them. */
static int input_zero(const struct vd_make *b, const struct vd_node *n)
{
    const struct vd_tensor *zp = constant(b, n, 2);
    return zp ? byte_value(zp) : b->p->t[n->in[0]].type == VD_S8 ? 128 : 0;
}

/* The bytes of a dynamic convolution's input. */
static int quantised(struct vd_make *b, int x)
{
    if (b->bytes_of[x] >= 0)
        return b->bytes_of[x];
    const int from = vd_make_source(b, x);
    if (from < 0)
        return from;
    struct vd_stream_value like = b->s->value[from];
    struct vd_stream_op *o;
    like.bytes = true;
    like.zp = 0;
    const int out = vd_make_map(b, VD_ROW_QUANTIZE, from, &like, &o);
    if (out < 0)
        return out;
    o->dynamic = x;
    o->hi = UINT8_MAX;
    return b->bytes_of[x] = out;
}

/* Scale, bias and bounds of QLinearConv, as ONNX Runtime forms them. */
static bool static_tail(struct vd_make *b, const struct vd_node *n, const struct vd_fusion *f, const struct vd_row_weights *w, struct vd_stream_op *o)
{
    struct vd_row_tail *tail = &o->conv.tail;
    const size_t oc = (size_t)w->shape.oc, lanes = (oc + VD_LANES - 1) / VD_LANES * VD_LANES;
    const struct vd_tensor *bias = constant(b, n, 8);
    const float sx = *(const float *)constant(b, n, 1)->data, sy = *(const float *)constant(b, n, 6)->data;
    float *scale = per_lane(b, constant(b, n, 4), oc);
    int32_t *bias32 = vd_arena_array(&b->p->shape, lanes, sizeof(*bias32));
    if (!scale || !bias32)
        return false;
    const uint32_t zx = (uint32_t)byte_value(constant(b, n, 2));
    for (size_t i = 0; i < oc; i++) {
        scale[i] = sx * scale[i] / sy;
        bias32[i] = (int32_t)((bias ? ((const uint32_t *)bias->data)[i] : 0) - zx * (uint32_t)w->sum[i]); /* may wrap, as in ONNX Runtime */
    }
    const struct vd_tensor *zp = constant(b, n, 7);
    const int shift = zp->type == VD_S8 ? 128 : 0;
    tail->to_bytes = true;
    tail->scale = scale;
    tail->bias32 = bias32;
    tail->zp = byte_value(zp);
    tail->lo = f->clamp ? (int)f->lo + shift : 0;
    tail->hi = f->clamp ? (int)f->hi + shift : UINT8_MAX;
    return true;
}

static bool float_tail(struct vd_make *b, const struct vd_node *n, const struct vd_fusion *f, const struct vd_row_weights *w, struct vd_stream_op *o)
{
    struct vd_row_tail *tail = &o->conv.tail;
    const size_t oc = (size_t)w->shape.oc, lanes = (oc + VD_LANES - 1) / VD_LANES * VD_LANES;
    const struct vd_graph *g = b->p->g;
    if (f->bias >= 0 && !(tail->bias = per_lane(b, g->value[f->bias].constant, oc)))
        return false;
    tail->clamp = f->clamp;
    tail->lo_f = f->lo;
    tail->hi_f = f->hi;
    tail->clamp2 = f->clamp2;
    tail->lo2_f = f->lo2;
    tail->hi2_f = f->hi2;
    if (f->scaled) {
        const uint32_t zx = (uint32_t)input_zero(b, n);
        int32_t *bias32 = vd_arena_array(&b->p->shape, lanes, sizeof(*bias32));
        for (size_t i = 0; bias32 && i < oc; i++)
            bias32[i] = (int32_t)(0 - zx * (uint32_t)w->sum[i]);
        tail->bias32 = bias32;
        tail->scale = per_lane(b, g->value[f->w_scale].constant, oc);
        return tail->bias32 && tail->scale;
    }
    if (!f->dynamic)
        return true;
    o->w_scale = per_lane(b, g->value[f->w_scale].constant, oc);
    o->w_sum = w->sum;
    o->scale = vd_arena_array(&b->p->shape, lanes, sizeof(float));
    o->bias32 = vd_arena_array(&b->p->shape, lanes, sizeof(int32_t));
    tail->scale = o->scale;
    tail->bias32 = o->bias32;
    return o->w_scale && o->scale && o->bias32;
}

/* zp: of integer weights, what padding holds. The input as the kernel wants it, with room for the window's padding; Winograd's transform of it where the weights are for that. */
static int conv_input(struct vd_make *b, int value, int zp, const struct vd_row_weights *w, const struct vd_window *win, int ow)
{
    const struct vd_row_shape *shape = &w->shape;
    if ((value = vd_make_layout(b, value, shape->kind == VD_ROW_FIRST)) < 0 || (value = vd_make_ring(b, value)) < 0)
        return value;
    if (b->s->value[value].padded && b->s->value[value].zp != zp && (value = vd_make_map(b, VD_ROW_COPY, value, &b->s->value[value], NULL)) < 0)
        return value; /* read with two zero points: its padding is not the same */
    struct vd_stream_value *v = &b->s->value[value];
    v->padded = true;
    v->zp = zp;
    const int64_t reach = (int64_t)(ow - 1) * shape->stride + (int64_t)(shape->kw - 1) * shape->dilation - win->pad_begin[1] - (v->width - 1);
    v->left = (int)win->pad_begin[1] > v->left ? (int)win->pad_begin[1] : v->left;
    v->right = (int)reach > v->right ? (int)reach : v->right;
    v->slack = VD_ROW_SLACK * shape->stride > v->slack ? VD_ROW_SLACK * shape->stride : v->slack;
    if (!w->wino)
        return value;
    const int made = b->wino_of[value];
    if (made >= 0 && b->s->op[b->s->value[made].producer].left == (int)win->pad_begin[1] && b->s->value[made].width == ow)
        return made;
    struct vd_stream_value like = *v;
    struct vd_stream_op *o;
    like.width = ow;
    const int out = vd_make_map(b, VD_ROW_WINO, value, &like, &o);
    if (out < 0)
        return out;
    o->left = (int)win->pad_begin[1];
    b->s->value[out].wino = true;
    b->s->value[out].block = b->p->kernels->row.wino_bytes(like.channels, ow);
    b->wino_of[value] = out;
    return out;
}

/* The weights of node `node`, packed for these strides. */
static int packed(struct vd_plan *p, int node, const struct vd_window *win)
{
    struct vd_row_weights *w = p->rows[node];
    const size_t before = w->bytes;
    const int rc = vd_row_weights_pack(w, p->kernels, (int)win->stride[1], (int)win->dilation[1], &p->arena);
    p->packed_bytes += w->bytes - before;
    return rc;
}

/* The input of the second product, and its weights: the first's where the file has them once. */
static int second_input(struct vd_make *b, const struct vd_fusion *f, const struct vd_window *win, int ow, const struct vd_row_weights **w)
{
    struct vd_plan *p = b->p;
    const struct vd_node *n = &p->g->node[f->second], *first = &p->g->node[f->head];
    const bool same = n->in[1] == first->in[1] && (n->n_in > 3 ? n->in[3] : -1) == (first->n_in > 3 ? first->in[3] : -1);
    const int at = same ? f->head : f->second, rc = packed(p, at, win);
    if (rc)
        return rc;
    const int from = f->rest >= 0 ? vd_make_rest(b, f) : vd_make_source(b, f->x2);
    *w = p->rows[at];
    return from < 0 ? from : conv_input(b, from, input_zero(b, n), *w, win, ow);
}

int vd_make_conv(struct vd_make *b, const struct vd_step *step)
{
    const struct vd_fusion *f = step->fusion;
    const struct vd_node *n = step->node;
    struct vd_plan *p = b->p;
    struct vd_row_weights *w = p->rows[f->head];
    const struct vd_tensor *x = &p->t[f->x], *y = &p->t[f->out];
    struct vd_window win;
    const struct vd_op_call call = {.node = n->proto, .opset = p->g->model->opset, .n_in = n->n_in};
    int rc = vd_window_infer(&call, x, w->w, &win);
    if (rc)
        return rc;
    const int64_t limit = 1 << 24; /* far below where a sum of a few of these would not fit an int */
    for (int i = 0; i < 2; i++)
        if (win.stride[i] > limit || win.dilation[i] > limit || win.pad_begin[i] > limit || win.dilation[i] * win.kernel[i] > limit ||
            win.stride[i] * win.out[i] > INT_MAX / 2)
            return vd_op_fail(&call, ERANGE, "a window of %lld x %lld with these strides, dilations and pads is too large", (long long)win.kernel[1],
                              (long long)win.kernel[0]);
    if ((rc = packed(p, f->head, &win)))
        return rc;
    const int from = f->dynamic ? quantised(b, f->x) : vd_make_source(b, f->x);
    const int in = from < 0 ? from : conv_input(b, from, w->shape.integer && !f->dynamic ? input_zero(b, n) : 0, w, &win, (int)y->dim[3]);
    if (in < 0)
        return in;
    const bool thin = w->shape.kind == VD_ROW_LAST;
    int residual = f->residual < 0 ? -1 : vd_make_source(b, f->residual);
    if (f->residual >= 0 && (residual < 0 || (residual = vd_make_layout(b, residual, thin)) < 0))
        return residual;
    const struct vd_row_weights *w2 = NULL;
    const int in2 = f->second < 0 ? 0 : second_input(b, f, &win, (int)y->dim[3], &w2);
    if (in2 < 0)
        return in2;
    const bool to_bytes = y->type != VD_F32;
    const struct vd_stream_value like = {.h = y->dim[2], .channels = (int)y->dim[1], .width = (int)y->dim[3], .bytes = to_bytes, .thin = thin};
    const int out = vd_make_value(b, &like);
    struct vd_stream_op *o = vd_make_op(b, VD_ROW_CONV, 1 + (residual >= 0) + (f->second >= 0), out);
    if (!o)
        return vd_nomem(0);
    vd_make_reads(b, o, 0, in);
    if (residual >= 0)
        vd_make_reads(b, o, 1, residual);
    o->sy = win.stride[0];
    o->dy = win.dilation[0];
    o->top = win.pad_begin[0];
    o->kh = w->shape.kh;
    o->left = (int)win.pad_begin[1];
    o->conv = (struct vd_row_conv){.shape = w->shape, .weight = w->pack};
    o->fn = w->wino ? p->kernels->row.conv_wino : w->shape.integer ? p->kernels->row.conv_u8[w->shape.kind] : p->kernels->row.conv_f32[w->shape.kind];
    b->s->max_kh = o->kh > b->s->max_kh ? o->kh : b->s->max_kh;
    if (f->dynamic)
        o->quantize = b->s->value[b->bytes_of[f->x]].producer;
    if (to_bytes ? !static_tail(b, n, f, w, o) : !float_tail(b, n, f, w, o))
        return vd_nomem(0);
    if (to_bytes)
        b->s->value[out].zp = o->conv.tail.zp;
    else if (p->cross[f->out].want_range)
        o->range = vd_make_range(b, f->out);
    b->s->macs += vd_stream_macs(b->s, o);
    b->of[f->out] = out;
    if (f->second < 0)
        return 0;
    const struct vd_tensor *scale = p->g->value[f->w_scale2].constant;
    const int64_t macs = vd_stream_macs(b->s, o);
    const int made = vd_make_second(b, o, in2, w2, input_zero(b, &p->g->node[f->second]), per_lane(b, scale, (size_t)w2->shape.oc));
    if (!made)
        b->s->macs += vd_stream_macs(b->s, o) - macs;
    return made;
}
