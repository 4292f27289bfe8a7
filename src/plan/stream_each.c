/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "plan/stream_make.h"
#include "plan/stream_take.h"

static const struct vd_tensor *constant(const struct vd_make *b, const struct vd_node *n, int i)
{
    return i < n->n_in && n->in[i] >= 0 ? b->p->g->value[n->in[i]].constant : NULL;
}

static int byte_value(const struct vd_tensor *t) { return !t ? 0 : t->type == VD_U8 ? *(const uint8_t *)t->data : *(const int8_t *)t->data + 128; }

/* What the node makes of each of the 256 bytes, found by running it on them: its other inputs are constants. Input x of it is the bytes;
 * three > 0: it is QLinearConcat, of which only tensor number three is looked at. Bytes are unsigned as streams have them. */
static void *table_of(struct vd_make *b, const struct vd_node *n, int x, int in_type)
{
    struct vd_arena *a = &b->p->shape;
    const int first = x >= 2 && x % 3 == 2 && !strcmp(n->op->name, "com.microsoft:QLinearConcat") ? x - 2 : 0;
    uint8_t bytes[256];
    struct vd_tensor from = {.type = in_type, .rank = 4, .dim = {1, 256, 1, 1}, .data = bytes};
    struct vd_tensor *to = vd_arena_array(a, 1, sizeof(*to)), *outs[1] = {to};
    const struct vd_tensor **in = vd_arena_array(a, (size_t)n->n_in + 1, sizeof(*in));
    if (!to || !in)
        return NULL;
    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)(in_type == VD_S8 ? i ^ 0x80 : i);
    struct vd_node one = *n;
    for (int i = 0; i < n->n_in; i++)
        in[i] = i == x ? &from : constant(b, n, i);
    if (first) { /* the output's pair, then this tensor's three */
        in[2] = &from;
        in[3] = constant(b, n, x + 1);
        in[4] = constant(b, n, x + 2);
    }
    if (!strcmp(n->op->name, "com.microsoft:QLinearConcat"))
        one.n_in = 5;
    if (vd_node_eval(&one, b->p->g->model->opset, in, outs, a))
        return NULL;
    if (to->type == VD_S8)
        for (int i = 0; i < 256; i++)
            ((uint8_t *)to->data)[i] ^= 0x80;
    return to->data;
}

static bool is_identity(const uint8_t *table)
{
    for (int i = 0; i < 256; i++)
        if (table[i] != i)
            return false;
    return true;
}

/* Value `from` of the stream through the node's table. */
static int make_table(struct vd_make *b, const struct vd_node *n, int x, int from, bool to_float)
{
    void *table = table_of(b, n, x, b->p->t[n->in[x]].type);
    if (!table)
        return vd_nomem(256);
    if (!to_float && is_identity(table))
        return from;
    struct vd_stream_value like = b->s->value[from];
    struct vd_stream_op *o;
    like.bytes = !to_float;
    like.zp = 0;
    const int out = vd_make_map(b, to_float ? VD_ROW_LOOKUP_F32 : VD_ROW_LOOKUP_U8, from, &like, &o);
    if (out >= 0)
        o->table = table;
    return out;
}

static int make_quantize(struct vd_make *b, const struct vd_node *n, int from)
{
    struct vd_stream_value like = b->s->value[from];
    struct vd_stream_op *o;
    like.bytes = true;
    like.zp = byte_value(constant(b, n, 2));
    const int out = vd_make_map(b, VD_ROW_QUANTIZE, from, &like, &o);
    if (out < 0)
        return out;
    o->q_scale = *(const float *)constant(b, n, 1)->data;
    o->zp = like.zp;
    o->hi = UINT8_MAX;
    if (b->p->t[n->out[0]].type == VD_S8 && !constant(b, n, 2))
        o->zp = 128;
    return out;
}

static int make_clamp(struct vd_make *b, const struct vd_node *n, int from)
{
    struct vd_stream_op *o;
    const int out = vd_make_map(b, VD_ROW_CLAMP, from, &b->s->value[from], &o);
    if (out >= 0)
        vd_lower_clamp(b->p->g, n, &o->lo_f, &o->hi_f);
    return out;
}

/* Two rows of one shape. */
static int make_add(struct vd_make *b, const struct vd_node *n, int second, bool bytes)
{
    int x = vd_make_source(b, n->in[0]), y = x < 0 ? x : vd_make_source(b, n->in[second]);
    if (y < 0 || (y = vd_make_layout(b, y, b->s->value[x].thin)) < 0)
        return y;
    struct vd_stream_value like = b->s->value[x];
    struct vd_stream_op *o;
    const int out = vd_make_value(b, &like);
    if (!(o = vd_make_op(b, bytes ? VD_ROW_ADD_U8 : VD_ROW_ADD_F32, 2, out)))
        return vd_nomem(0);
    vd_make_reads(b, o, 0, x);
    vd_make_reads(b, o, 1, y);
    if (!bytes)
        return out;
    const struct vd_tensor *in[8];
    for (int i = 0; i < n->n_in; i++)
        in[i] = i == 0 || i == 3 ? &b->p->t[n->in[i]] : constant(b, n, i);
    const struct vd_op_call call = {.node = n->proto, .opset = b->p->g->model->opset, .n_in = n->n_in, .in = in};
    const struct vd_qlinear_add add = vd_qlinear_add(&call);
    o->add = (struct vd_row_add){.ra = add.ra, .rb = add.rb, .fixed = add.fixed, .off = add.off, .lo = -add.off, .hi = UINT8_MAX - add.off};
    return out;
}

/* An operator of src/ops on a block of a row at a time: constants of channels in the order of lanes, the lanes past them 1 (nothing is
 * divided by 0; what comes out there is cleared). */
static int make_operator(struct vd_make *b, const struct vd_node *n)
{
    struct vd_arena *a = &b->p->shape;
    const struct vd_tensor *y = &b->p->t[n->out[0]];
    const size_t channels = (size_t)y->dim[1], lanes = (channels + VD_LANES - 1) / VD_LANES * VD_LANES;
    struct vd_each *each = vd_arena_array(a, 1, sizeof(*each));
    const float **constants = vd_arena_array(a, (size_t)n->n_in, sizeof(*constants));
    int value[2], n_rows = 0;
    if (!each || !constants)
        return vd_nomem(sizeof(*each));
    for (int i = 0; i < n->n_in; i++) {
        const struct vd_tensor *c = constant(b, n, i);
        if (!c) {
            if ((value[n_rows] = vd_make_source(b, n->in[i])) < 0 ||
                (n_rows && (value[1] = vd_make_layout(b, value[1], b->s->value[value[0]].thin)) < 0))
                return value[n_rows];
            n_rows++;
            continue;
        }
        float *v = vd_arena_array(a, lanes, sizeof(*v));
        if (!v)
            return vd_nomem(lanes * sizeof(*v));
        const bool one = vd_tensor_count(c) == 1;
        for (size_t k = 0; k < lanes; k++)
            v[k] = k < channels ? ((const float *)c->data)[one ? 0 : k] : 1;
        constants[i] = v;
    }
    *each = (struct vd_each){.node = n, .op = n->op, .opset = b->p->g->model->opset, .n_in = n->n_in, .constant = constants};
    const struct vd_stream_value like = b->s->value[value[0]];
    const int out = vd_make_value(b, &like);
    struct vd_stream_op *o = vd_make_op(b, VD_ROW_EACH, n_rows, out);
    if (!o)
        return vd_nomem(0);
    for (int i = 0; i < n_rows; i++)
        vd_make_reads(b, o, i, value[i]);
    o->each = each;
    return out;
}

static int make_concat(struct vd_make *b, const struct vd_node *n, int first, int step)
{
    const struct vd_tensor *y = &b->p->t[n->out[0]];
    const int count = (n->n_in - first + step - 1) / step;
    int *value = vd_arena_array(&b->p->shape, (size_t)count, sizeof(*value));
    if (!value)
        return vd_nomem((size_t)count * sizeof(*value));
    for (int i = 0; i < count; i++) {
        const int x = first + i * step;
        if ((value[i] = vd_make_source(b, n->in[x])) < 0 || (step == 3 && (value[i] = make_table(b, n, x, value[i], false)) < 0))
            return value[i];
    }
    const struct vd_stream_value like = {.h = y->dim[2], .channels = (int)y->dim[1], .width = (int)y->dim[3], .bytes = y->type != VD_F32,
                                         .thin = y->dim[1] == 1};
    const int out = vd_make_value(b, &like);
    struct vd_stream_op *o = vd_make_op(b, VD_ROW_CONCAT, count, out);
    if (!o)
        return vd_nomem(0);
    for (int i = 0; i < count; i++)
        vd_make_reads(b, o, i, value[i]);
    return out;
}

static int make_pool(struct vd_make *b, const struct vd_node *n)
{
    const struct vd_tensor *x = &b->p->t[n->in[0]], *y = &b->p->t[n->out[0]];
    const struct vd_op_call call = {.node = n->proto, .opset = b->p->g->model->opset, .n_in = n->n_in};
    struct vd_window *win = vd_arena_array(&b->p->shape, 1, sizeof(*win));
    if (!win)
        return vd_nomem(sizeof(*win));
    int rc = vd_window_infer(&call, x, NULL, win);
    if (rc)
        return rc;
    const int from = vd_make_source(b, n->in[0]);
    if (from < 0)
        return from;
    struct vd_stream_value like = b->s->value[from];
    struct vd_stream_op *o;
    like.h = y->dim[2];
    like.width = (int)y->dim[3];
    const int out = vd_make_map(b, VD_ROW_POOL, from, &like, &o);
    if (out < 0)
        return out;
    o->sy = win->stride[0];
    o->dy = win->dilation[0];
    o->top = win->pad_begin[0];
    o->kh = (int)win->kernel[0];
    o->win = win;
    o->average = !strcmp(n->op->name, "AveragePool");
    o->count_pad = vd_op_int(&call, "count_include_pad", 0) != 0;
    b->s->max_kh = o->kh > b->s->max_kh ? o->kh : b->s->max_kh;
    return out;
}

int vd_make_each(struct vd_make *b, const struct vd_step *step)
{
    const struct vd_node *n = step->node;
    int out = 0;
    switch (vd_stream_take(b->p, step)) {
    case VD_TAKE_ADD_F32: out = make_add(b, n, 1, false); break;
    case VD_TAKE_ADD_U8: out = make_add(b, n, 3, true); break;
    case VD_TAKE_EACH: out = make_operator(b, n); break;
    case VD_TAKE_POOL: out = make_pool(b, n); break;
    case VD_TAKE_CONCAT: out = make_concat(b, n, 0, 1); break;
    case VD_TAKE_CONCAT_U8: out = make_concat(b, n, 2, 3); break;
    case VD_TAKE_NONE:
    case VD_TAKE_CONV: return vd_fail(EINVAL, "operator %s is not done by rows", n->op->name);
    case VD_TAKE_CLAMP:
    case VD_TAKE_QUANTIZE:
    case VD_TAKE_DEQUANTIZE:
    case VD_TAKE_TABLE:
    case VD_TAKE_ALIAS: {
        const int x = !strcmp(n->op->name, "com.microsoft:QLinearConcat") ? 2 : 0, from = vd_make_source(b, n->in[x]);
        const enum vd_take take = vd_stream_take(b->p, step);
        if (from < 0)
            return from;
        out = take == VD_TAKE_CLAMP      ? make_clamp(b, n, from)
              : take == VD_TAKE_QUANTIZE ? make_quantize(b, n, from)
              : take == VD_TAKE_ALIAS    ? from
                                         : make_table(b, n, x, from, take == VD_TAKE_DEQUANTIZE);
        break;
    }
    }
    if (out < 0)
        return out;
    b->of[n->out[0]] = out;
    return 0;
}
