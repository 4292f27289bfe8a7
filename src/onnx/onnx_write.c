/* SPDX-License-Identifier: BSD-2-Clause */
#include "onnx/onnx.h"

#include <assert.h>
#include <string.h>

#include "common/names.h"
#include "common/status.h"
#include "onnx/onnx_proto.h"
#include "onnx/onnx_wire.h"

/* A message's length stands before it. Each message is therefore written
 * twice, the first time with b NULL, which only counts; a leaf at depth d is
 * counted d times, d <= 7, and counting a tensor's bytes takes no time. */
struct out {
    struct vd_buf *b;
    size_t n; /* counted while b is NULL */
};

typedef void body_fn(struct out *o, const void *what);

static void bytes(struct out *o, const void *p, size_t n)
{
    if (o->b)
        vd_put(o->b, p, n);
    else
        o->n += n; /* bytes that are in memory: the sum fits */
}

static void varint(struct out *o, uint64_t v)
{
    if (o->b) {
        vd_put_varint(o->b, v);
        return;
    }
    do
        o->n++;
    while (v >>= 7);
}

static void tag(struct out *o, unsigned field, int wire)
{
    varint(o, field << 3 | (unsigned)wire);
}

static void put_int(struct out *o, unsigned field, int64_t v)
{
    tag(o, field, VD_WIRE_VARINT);
    varint(o, (uint64_t)v);
}

static void put_float(struct out *o, unsigned field, float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    const uint8_t le[4] = {(uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16), (uint8_t)(bits >> 24)};
    tag(o, field, VD_WIRE_I32);
    bytes(o, le, sizeof le);
}

static void put_bytes(struct out *o, unsigned field, const void *p, size_t n)
{
    tag(o, field, VD_WIRE_LEN);
    varint(o, n);
    bytes(o, p, n);
}

static void put_str(struct out *o, unsigned field, const char *s)
{
    put_bytes(o, field, s, strlen(s));
}

static void text(struct out *o, unsigned field, const char *s) /* left out when empty; NULL in a model built by hand */
{
    if (s && *s)
        put_str(o, field, s);
}

static void sub(struct out *o, unsigned field, body_fn *fn, const void *what)
{
    struct out count = {0};
    fn(&count, what);
    tag(o, field, VD_WIRE_LEN);
    varint(o, count.n);
    if (o->b)
        fn(o, what);
    else
        o->n += count.n;
}

static void tensor(struct out *o, const void *what)
{
    const struct vd_onnx_tensor *t = what;
    assert(t->size == t->count * vd_type_size(t->type));
    for (int i = 0; i < t->rank; i++)
        put_int(o, TENSOR_DIMS, t->dim[i]);
    put_int(o, TENSOR_TYPE, t->type);
    text(o, TENSOR_NAME, t->name);
    if (t->size)
        put_bytes(o, TENSOR_RAW_DATA, t->data, t->size);
}

static void attribute(struct out *o, const void *what)
{
    const struct vd_onnx_attr *a = what;
    text(o, ATTR_NAME, a->name);
    switch (a->type) { /* zeros too: a reader may tell the type by what is present */
    case VD_ATTR_FLOAT: put_float(o, ATTR_F, a->v.f); break;
    case VD_ATTR_INT: put_int(o, ATTR_I, a->v.i); break;
    case VD_ATTR_STRING: put_str(o, ATTR_S, a->v.s); break;
    case VD_ATTR_TENSOR: sub(o, ATTR_T, tensor, a->v.t); break;
    case VD_ATTR_FLOATS:
        for (int i = 0; i < a->n; i++)
            put_float(o, ATTR_FLOATS, a->v.floats[i]);
        break;
    default:
        assert(a->type == VD_ATTR_INTS);
        for (int i = 0; i < a->n; i++)
            put_int(o, ATTR_INTS, a->v.ints[i]);
        break;
    }
    put_int(o, ATTR_TYPE, a->type);
}

/* Bytes of DOMAIN in an op_type "DOMAIN:NAME"; 0 for ONNX's own. */
static size_t domain_length(const struct vd_onnx_node *n)
{
    const char *colon = strrchr(n->op_type, ':');
    return colon ? (size_t)(colon - n->op_type) : 0;
}

static void node(struct out *o, const void *what)
{
    const struct vd_onnx_node *n = what;
    for (int i = 0; i < n->n_in; i++)
        put_str(o, NODE_INPUT, n->in[i]); /* "" stands for one that is left out */
    for (int i = 0; i < n->n_out; i++)
        put_str(o, NODE_OUTPUT, n->out[i]);
    text(o, NODE_NAME, n->name);
    const size_t domain = domain_length(n);
    text(o, NODE_OP_TYPE, n->op_type + (domain ? domain + 1 : 0));
    for (int i = 0; i < n->n_attr; i++)
        sub(o, NODE_ATTR, attribute, &n->attr[i]);
    if (domain)
        put_bytes(o, NODE_DOMAIN, n->op_type, domain);
}

struct dim { int64_t value; const char *param; };

static void dimension(struct out *o, const void *what)
{
    const struct dim *d = what;
    if (d->value >= 0)
        put_int(o, DIM_VALUE, d->value);
    else
        text(o, DIM_PARAM, d->param);
}

static void shape(struct out *o, const void *what)
{
    const struct vd_onnx_value *v = what;
    for (int i = 0; i < v->rank; i++)
        sub(o, SHAPE_DIM, dimension, &(struct dim){v->dim[i], v->param[i]});
}

static void tensor_type(struct out *o, const void *what)
{
    const struct vd_onnx_value *v = what;
    put_int(o, TYPE_TENSOR_ELEM, v->type);
    if (v->rank >= 0)
        sub(o, TYPE_TENSOR_SHAPE, shape, v);
}

static void type(struct out *o, const void *what)
{
    sub(o, TYPE_TENSOR, tensor_type, what);
}

static void value(struct out *o, const void *what)
{
    const struct vd_onnx_value *v = what;
    text(o, VALUE_NAME, v->name);
    sub(o, VALUE_TYPE, type, v);
}

static void init_as_input(struct out *o, const struct vd_onnx_tensor *t)
{
    struct vd_onnx_value v = {.name = t->name, .type = t->type, .rank = t->rank};
    memcpy(v.dim, t->dim, sizeof v.dim);
    sub(o, GRAPH_INPUT, value, &v);
}

static void graph(struct out *o, const void *what)
{
    const struct vd_onnx_model *m = what;
    for (int i = 0; i < m->n_node; i++)
        sub(o, GRAPH_NODE, node, &m->node[i]);
    text(o, GRAPH_NAME, m->graph_name);
    for (int i = 0; i < m->n_init; i++)
        sub(o, GRAPH_INIT, tensor, &m->init[i]);
    text(o, GRAPH_DOC, m->graph_doc);
    for (int i = 0; i < m->n_in; i++)
        sub(o, GRAPH_INPUT, value, &m->in[i]);
    for (int i = 0; i < m->n_init && m->ir_version < 4; i++)
        init_as_input(o, &m->init[i]);
    for (int i = 0; i < m->n_out; i++)
        sub(o, GRAPH_OUTPUT, value, &m->out[i]);
}

static void opset(struct out *o, const void *what)
{
    const struct vd_onnx_model *m = what;
    put_int(o, OPSET_VERSION, m->opset);
}

/* Another domain's operators, which all are of version 1 as far as they are known here. */
static void foreign_opset(struct out *o, const void *what)
{
    const struct vd_onnx_node *n = what;
    put_bytes(o, OPSET_DOMAIN, n->op_type, domain_length(n));
    put_int(o, OPSET_VERSION, 1);
}

/* Each domain once, where its first operator stands; by a table, since a file decides how many there are. */
static int foreign_opsets(struct out *o, const struct vd_onnx_model *m)
{
    struct vd_arena scratch = {0};
    struct vd_names seen;
    size_t n = 0;
    int rc = 0;
    for (int i = 0; i < m->n_node; i++)
        n += domain_length(&m->node[i]) > 0;
    if (n)
        rc = vd_names_init(&seen, &scratch, n);
    for (int i = 0; n && !rc && i < m->n_node; i++) {
        const size_t len = domain_length(&m->node[i]);
        const char *domain = len ? vd_arena_str(&scratch, m->node[i].op_type, len) : NULL;
        if (len && !domain)
            rc = vd_nomem(len + 1);
        else if (len && vd_names_add(&seen, domain, i) == i)
            sub(o, MODEL_OPSET, foreign_opset, &m->node[i]);
    }
    vd_arena_free(&scratch);
    return rc;
}

static void kv(struct out *o, const void *what)
{
    const struct vd_onnx_kv *e = what;
    text(o, KV_KEY, e->key);
    text(o, KV_VALUE, e->value);
}

int vd_onnx_write(const struct vd_onnx_model *m, struct vd_buf *b)
{
    struct out o = {.b = b};
    put_int(&o, MODEL_IR_VERSION, m->ir_version);
    text(&o, MODEL_PRODUCER_NAME, m->producer_name);
    text(&o, MODEL_PRODUCER_VERSION, m->producer_version);
    text(&o, MODEL_DOMAIN, m->domain);
    if (m->model_version)
        put_int(&o, MODEL_VERSION, m->model_version);
    text(&o, MODEL_DOC, m->doc);
    sub(&o, MODEL_GRAPH, graph, m);
    sub(&o, MODEL_OPSET, opset, m);
    const int rc = foreign_opsets(&o, m);
    for (int i = 0; i < m->n_meta; i++)
        sub(&o, MODEL_META, kv, &m->meta[i]);
    return rc ? rc : b->bad ? vd_nomem(b->size) : 0;
}
