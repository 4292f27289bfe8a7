/* SPDX-License-Identifier: BSD-2-Clause */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "common/checked.h"
#include "plan/row_stream.h"
#include "plan/stream_make.h"
#include "plan/stream_take.h"

/* --- values and operations --- */

static void set_kind(struct vd_stream_value *v)
{
    const size_t size = v->bytes ? 1 : sizeof(float);
    v->blocks = v->thin ? 1 : (v->channels + VD_LANES - 1) / VD_LANES;
    v->pixel = v->thin ? size : size * VD_LANES;
    v->slack = VD_ROW_SLACK;
}

int vd_make_value(struct vd_make *b, const struct vd_stream_value *like)
{
    struct vd_stream_value *v = &b->s->value[b->s->n_value];
    *v = *like;
    v->producer = v->source = -1;
    v->readers = 0;
    v->whole = NULL;
    v->left = v->right = 0;
    v->padded = false;
    v->pad = NULL;
    set_kind(v);
    return b->s->n_value++;
}

struct vd_stream_op *vd_make_op(struct vd_make *b, enum vd_stream_kind kind, int n_in, int out)
{
    struct vd_stream_op *o = &b->s->op[b->s->n_op];
    *o = (struct vd_stream_op){.kind = kind, .n_in = n_in, .out = out, .sy = 1, .dy = 1, .kh = 1, .range = -1, .quantize = -1, .dynamic = -1};
    o->in = vd_arena_array(&b->p->shape, (size_t)n_in + 1, sizeof(*o->in));
    if (!o->in)
        return NULL;
    if (out >= 0) {
        b->s->value[out].producer = b->s->n_op;
        o->rows = b->s->value[out].h;
    }
    b->s->n_op++;
    return o;
}

void vd_make_reads(struct vd_make *b, struct vd_stream_op *o, int i, int value)
{
    o->in[i] = value;
    b->s->value[value].readers++;
    if (o->out < 0)
        o->rows = b->s->value[value].h;
}

/* One operation from one value to a new one. */
int vd_make_map(struct vd_make *b, enum vd_stream_kind kind, int from, const struct vd_stream_value *like, struct vd_stream_op **op)
{
    const struct vd_stream_value copy = *like; /* vd_make_value may be given one of its own */
    const int out = vd_make_value(b, &copy);
    struct vd_stream_op *o = vd_make_op(b, kind, 1, out);
    if (!o)
        return vd_nomem(0);
    vd_make_reads(b, o, 0, from);
    if (op)
        *op = o;
    return out;
}

/* The value of the stream that holds graph value v, without padding: made before, or read from outside. */
int vd_make_source(struct vd_make *b, int v)
{
    if (b->of[v] >= 0)
        return b->of[v];
    const struct vd_cross *c = &b->p->cross[v];
    struct vd_tensor *t = &b->p->t[v];
    struct vd_stream_value like = {.h = t->dim[2], .channels = (int)t->dim[1], .width = (int)t->dim[3], .bytes = t->type != VD_F32,
                                   .thin = c->blocked ? c->thin : t->dim[1] == 1};
    const int value = vd_make_value(b, &like);
    if (c->blocked) {
        struct vd_stream_value *made = &b->s->value[value];
        made->whole = t;
        made->source = v;
        made->block = c->block;
        made->row = c->row;
    } else {
        struct vd_stream_op *o = vd_make_op(b, c->plane ? VD_ROW_LOAD_PLANE : VD_ROW_LOAD, 0, value);
        if (!o)
            return vd_nomem(0);
        o->from = t;
        o->flip = t->type == VD_S8 ? 0x80 : 0;
        b->s->plane_in = b->s->plane_in || c->plane;
    }
    return b->of[v] = value;
}

/* The same rows, thin or blocked as asked. */
int vd_make_layout(struct vd_make *b, int value, bool thin)
{
    struct vd_stream_value like = b->s->value[value];
    if (like.thin == thin)
        return value;
    like.thin = thin;
    return vd_make_map(b, VD_ROW_RELAYOUT, value, &like, NULL);
}

/* The same rows in a ring, where there is room for padding. */
static int in_ring(struct vd_make *b, int value)
{
    if (!b->s->value[value].whole)
        return value;
    if (b->ring_of[value] < 0)
        b->ring_of[value] = vd_make_map(b, VD_ROW_COPY, value, &b->s->value[value], NULL);
    return b->ring_of[value];
}

static int range_slot(struct vd_make *b, int v)
{
    b->p->cross[v].ranged = true;
    b->s->range_of[b->s->n_range] = v;
    return b->s->n_range++;
}

/* --- convolutions --- */

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

static bool float_tail(struct vd_make *b, const struct vd_fusion *f, const struct vd_row_weights *w, struct vd_stream_op *o)
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
    if ((value = vd_make_layout(b, value, shape->kind == VD_ROW_FIRST)) < 0 || (value = in_ring(b, value)) < 0)
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

static int make_conv(struct vd_make *b, const struct vd_step *step)
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
    const size_t before = w->bytes;
    if ((rc = vd_row_weights_pack(w, p->kernels, (int)win.stride[1], (int)win.dilation[1], &p->arena)))
        return rc;
    p->packed_bytes += w->bytes - before;

    const int from = f->dynamic ? quantised(b, f->x) : vd_make_source(b, f->x);
    const int in = from < 0 ? from : conv_input(b, from, w->shape.integer && !f->dynamic ? byte_value(constant(b, n, 2)) : 0, w, &win, (int)y->dim[3]);
    if (in < 0)
        return in;
    const bool thin = w->shape.kind == VD_ROW_LAST;
    int residual = f->residual < 0 ? -1 : vd_make_source(b, f->residual);
    if (f->residual >= 0 && (residual < 0 || (residual = vd_make_layout(b, residual, thin)) < 0))
        return residual;
    const bool to_bytes = y->type != VD_F32;
    const struct vd_stream_value like = {.h = y->dim[2], .channels = (int)y->dim[1], .width = (int)y->dim[3], .bytes = to_bytes, .thin = thin};
    const int out = vd_make_value(b, &like);
    struct vd_stream_op *o = vd_make_op(b, VD_ROW_CONV, residual >= 0 ? 2 : 1, out);
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
    if (to_bytes ? !static_tail(b, n, f, w, o) : !float_tail(b, f, w, o))
        return vd_nomem(0);
    if (to_bytes)
        b->s->value[out].zp = o->conv.tail.zp;
    else if (p->cross[f->out].want_range)
        o->range = range_slot(b, f->out);
    b->s->macs += y->dim[0] * y->dim[2] * y->dim[3] * w->shape.oc * (w->shape.kind == VD_ROW_DEPTHWISE ? 1 : w->shape.ic) * w->shape.kh * w->shape.kw;
    b->of[f->out] = out;
    return 0;
}

/* --- the end of a stream --- */

/* A value that is read outside: by the operation that makes it, straight to a blocked tensor, or by a store. */
static int make_sink(struct vd_make *b, int v)
{
    struct vd_cross *c = &b->p->cross[v];
    const int value = b->of[v];
    struct vd_stream_value *made = &b->s->value[value];
    struct vd_stream_op *maker = made->producer < 0 ? NULL : &b->s->op[made->producer];
    if (c->blocked && maker && maker->kind == VD_ROW_CONV && !made->readers && !made->whole) {
        made->whole = &b->p->t[v];
        maker->sink = true;
        c->thin = made->thin;
        if (!vd_stream_blocked_row(made->whole, c))
            return vd_fail(ERANGE, "rows of more than 2^63 bytes");
        made->block = c->block;
        made->row = c->row;
        if (maker->n_in > 1 && b->s->value[maker->in[1]].source >= 0 && b->s->value[maker->in[1]].readers == 1)
            c->alias = b->s->value[maker->in[1]].source; /* in place, if this is the last that reads it */
        return 0;
    }
    struct vd_stream_op *o = vd_make_op(b, c->plane ? VD_ROW_STORE_PLANE : c->blocked ? VD_ROW_STORE_BLOCKED : VD_ROW_STORE, 1, -1);
    if (!o)
        return vd_nomem(0);
    vd_make_reads(b, o, 0, value);
    o->sink = true;
    o->to = &b->p->t[v];
    o->flip = o->to->type == VD_S8 ? 0x80 : 0;
    c->thin = made->thin;
    if (!c->row && !vd_stream_blocked_row(o->to, c))
        return vd_fail(ERANGE, "rows of more than 2^63 bytes");
    o->to_block = c->block;
    o->to_row = c->row;
    b->s->plane_out = b->s->plane_out || c->plane;
    if (c->want_range && !c->ranged)
        o->range = range_slot(b, v);
    return 0;
}

static int make_members(struct vd_make *b, const struct vd_step *s)
{
    int rc = 0;
    for (int i = 0; !rc && i < s->n_member; i++)
        rc = s->member[i].fusion ? make_conv(b, &s->member[i]) : vd_make_each(b, &s->member[i]);
    for (int k = 0; !rc && k < s->n_writes; k++)
        if (b->p->cross[s->writes[k]].outside)
            rc = make_sink(b, s->writes[k]);
    return rc;
}

/* Two lists by value of the graph, all -1, which each stream leaves as it found them. */
static int *made_of(struct vd_plan *p)
{
    const size_t n = 2 * (size_t)p->g->n_value + 1;
    int *made = vd_arena_array(&p->shape, n, sizeof(*made));
    for (size_t i = 0; made && i < n; i++)
        made[i] = -1;
    return made;
}

int vd_stream_build(struct vd_plan *p, struct vd_step *s)
{
    struct vd_arena *a = &p->shape;
    size_t room = 8;
    for (int i = 0; i < s->n_member; i++) /* two inputs that may each be loaded, copied, laid out, quantised, transformed; or many, loaded and looked up */
        room += s->member[i].fusion ? 12 : 3 * (size_t)s->member[i].node->n_in + 3;
    struct vd_make b = {.p = p, .s = vd_arena_array(a, 1, sizeof(*b.s))};
    if (!p->made && !(p->made = made_of(p)))
        return vd_nomem(0);
    b.of = p->made;
    b.bytes_of = p->made + p->g->n_value;
    b.ring_of = vd_arena_array(a, room, sizeof(int));
    b.wino_of = vd_arena_array(a, room, sizeof(int));
    if (!b.s || !b.ring_of || !b.wino_of)
        return vd_nomem(room * sizeof(int));
    b.s->op = vd_arena_array(a, room, sizeof(*b.s->op));
    b.s->value = vd_arena_array(a, room, sizeof(*b.s->value));
    b.s->range_of = vd_arena_array(a, room, sizeof(int));
    if (!b.s->op || !b.s->value || !b.s->range_of)
        return vd_nomem(room * sizeof(*b.s->op));
    for (size_t v = 0; v < room; v++)
        b.ring_of[v] = b.wino_of[v] = -1;
    s->stream = b.s;
    b.s->node = s->node;
    b.s->max_kh = 1;
    b.s->batch = p->t[s->member[0].writes[0]].dim[0];
    int rc = make_members(&b, s);
    for (int k = 0; k < s->n_reads; k++)
        b.of[s->reads[k]] = b.bytes_of[s->reads[k]] = -1;
    for (int k = 0; k < s->n_writes; k++)
        b.of[s->writes[k]] = b.bytes_of[s->writes[k]] = -1;
    if (rc || (rc = vd_stream_schedule(p, b.s)) || (b.s->plane_out && (rc = vd_stream_halos(p, b.s))))
        return vd_context(rc, "node '%s' (%s)", s->node->proto->name, s->node->op->name);
    return 0;
}
