/* SPDX-License-Identifier: BSD-2-Clause */
#include "graph/qdq.h"

#include <math.h>
#include <string.h>

/* The static form in its QDQ shape: DequantizeLinear before and QuantizeLinear behind a float operator. Each such operator becomes the
 * 8-bit operator that it stands for, in the place of the QuantizeLinear (or of a clamp before it), so that the order of
 * nodes stays good. What the old nodes wrote and nobody reads any more is dropped by the caller. */

struct pass {
    struct vd_graph *g;
    int *uses;      /* of each value, by nodes and graph outputs */
    int cap;        /* values that there is room for */
};

/* One value to quantise with: scale and zero point are values of the graph, constant and of one element. */
struct quant {
    int scale, zp, type;
    float s;
    int z;
};

static const struct vd_node *producer(const struct pass *p, int v)
{
    return v < 0 || p->g->value[v].producer < 0 ? NULL : &p->g->node[p->g->value[v].producer];
}

static bool is(const struct vd_node *n, const char *name) { return n && !strcmp(n->op->name, name); }

static const struct vd_tensor *constant(const struct pass *p, const struct vd_node *n, int i)
{
    return i < n->n_in && n->in[i] >= 0 ? p->g->value[n->in[i]].constant : NULL;
}

static bool is_byte(int type) { return type == VD_U8 || type == VD_S8; }

static int byte_of(const struct vd_tensor *t)
{
    return t->type == VD_U8 ? *(const uint8_t *)t->data : *(const int8_t *)t->data;
}

/* Scale and zero point of a QuantizeLinear or DequantizeLinear, when they are one constant each. */
static bool quant_of(const struct pass *p, const struct vd_node *n, struct quant *q)
{
    const struct vd_tensor *s = constant(p, n, 1), *z = constant(p, n, 2);
    if (!s || !z || vd_tensor_count(s) != 1 || vd_tensor_count(z) != 1 || s->type != VD_F32 || !is_byte(z->type))
        return false;
    *q = (struct quant){.scale = n->in[1], .zp = n->in[2], .type = z->type, .s = *(const float *)s->data, .z = byte_of(z)};
    return isfinite(q->s) && q->s > 0;
}

/* Value v is bytes made into floats: which bytes, and how. */
static bool from_bytes(const struct pass *p, int v, int *bytes, struct quant *q)
{
    const struct vd_node *n = producer(p, v);
    if (!is(n, "DequantizeLinear") || !quant_of(p, n, q))
        return false;
    *bytes = n->in[0];
    return true;
}

static bool same_quant(const struct quant *a, const struct quant *b)
{
    return a->type == b->type && a->s == b->s && a->z == b->z;
}

static int new_value(struct pass *p, const char *name, const struct vd_tensor *constant)
{
    struct vd_graph *g = p->g;
    if (g->n_value >= p->cap)
        return -1;
    g->value[g->n_value] = (struct vd_value){.name = name, .constant = constant, .producer = -1};
    return g->n_value++;
}

/* A constant of n equal bytes, shape [n] or none (n 0). */
static int byte_constant(struct pass *p, int type, int v, int64_t n)
{
    struct vd_tensor *t = vd_arena_array(&p->g->arena, 1, sizeof(*t));
    if (!t)
        return -1;
    *t = (struct vd_tensor){.type = type, .rank = n > 0, .dim = {n}};
    if (!(t->data = vd_arena_array(&p->g->arena, n > 0 ? (size_t)n : 1, 1)))
        return -1;
    memset(t->data, v, n > 0 ? (size_t)n : 1);
    return new_value(p, "", t);
}

/* --- what a node becomes --- */

struct lowered {
    const struct vd_op *op;
    const struct vd_onnx_node *proto;
    int *in, n_in;
};

static bool take_inputs(struct pass *p, struct lowered *l, int n)
{
    l->n_in = n;
    return (l->in = vd_arena_array(&p->g->arena, (size_t)n, sizeof(int))) != NULL;
}

/* Weights through DequantizeLinear: one scale, or one for each output channel. */
static bool lower_weight(struct pass *p, int v, struct lowered *l, const struct vd_tensor **scales)
{
    const struct vd_node *n = producer(p, v);
    const struct vd_tensor *w = is(n, "DequantizeLinear") ? constant(p, n, 0) : NULL, *s = w ? constant(p, n, 1) : NULL;
    if (!w || !s || !is_byte(w->type) || s->type != VD_F32 || w->rank < 3)
        return false;
    const size_t count = vd_tensor_count(s), channels = (size_t)w->dim[0];
    const struct vd_onnx_attr *axis = vd_onnx_attr(n->proto, "axis"), *block = vd_onnx_attr(n->proto, "block_size");
    if ((block && block->v.i) || (count != 1 && (s->rank != 1 || count != channels || !axis || (axis->v.i != 0 && axis->v.i != -w->rank))))
        return false;
    const struct vd_tensor *z = constant(p, n, 2);
    if (n->n_in > 2 && n->in[2] >= 0 && (!z || z->type != w->type || vd_tensor_count(z) != count))
        return false;
    l->in[3] = n->in[0];
    l->in[4] = n->in[1];
    l->in[5] = z ? n->in[2] : byte_constant(p, w->type, 0, 0);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(((const float *)s->data)[i]))
            return false;
    *scales = s;
    return l->in[5] >= 0;
}

/* The bias is int32 in steps of x_scale * w_scale, as QLinearConv has it. */
static bool lower_bias(const struct pass *p, int v, const struct quant *x, const struct vd_tensor *w_scale, int *bias)
{
    const struct vd_node *n = producer(p, v);
    const struct vd_tensor *b = is(n, "DequantizeLinear") ? constant(p, n, 0) : NULL, *s = b ? constant(p, n, 1) : NULL, *z;
    if (!b || !s || b->type != VD_S32 || b->rank != 1 || s->type != VD_F32)
        return false;
    const size_t count = vd_tensor_count(b), n_s = vd_tensor_count(s), n_w = vd_tensor_count(w_scale);
    if ((n_s != 1 && n_s != count) || (n_w != 1 && n_w != count))
        return false;
    for (size_t i = 0; i < count; i++) {
        const float want = x->s * ((const float *)w_scale->data)[n_w == 1 ? 0 : i], have = ((const float *)s->data)[n_s == 1 ? 0 : i];
        if (!(fabsf(want - have) <= 1e-4f * fabsf(want)))
            return false;
    }
    if (n->n_in > 2 && n->in[2] >= 0) {
        if (!(z = constant(p, n, 2)) || z->type != VD_S32)
            return false;
        for (size_t i = 0, m = vd_tensor_count(z); i < m; i++)
            if (((const int32_t *)z->data)[i])
                return false;
    }
    *bias = n->in[0];
    return true;
}

static bool lower_conv(struct pass *p, const struct vd_node *n, const struct quant *y, struct lowered *l)
{
    struct quant x;
    const struct vd_tensor *w_scale;
    const bool bias = n->n_in > 2 && n->in[2] >= 0;
    if (!take_inputs(p, l, bias ? 9 : 8) || !from_bytes(p, n->in[0], &l->in[0], &x) || !lower_weight(p, n->in[1], l, &w_scale) ||
        (bias && !lower_bias(p, n->in[2], &x, w_scale, &l->in[8])))
        return false;
    l->in[1] = x.scale;
    l->in[2] = x.zp;
    l->in[6] = y->scale;
    l->in[7] = y->zp;
    l->op = vd_op_find("QLinearConv", p->g->model->opset);
    return l->op != NULL;
}

static bool lower_pair(struct pass *p, const struct vd_node *n, const struct quant *y, struct lowered *l, const char *name)
{
    struct quant a, b;
    if (!take_inputs(p, l, 8) || !from_bytes(p, n->in[0], &l->in[0], &a) || !from_bytes(p, n->in[1], &l->in[3], &b) || a.type != y->type ||
        b.type != y->type)
        return false;
    l->in[1] = a.scale;
    l->in[2] = a.zp;
    l->in[4] = b.scale;
    l->in[5] = b.zp;
    l->in[6] = y->scale;
    l->in[7] = y->zp;
    l->op = vd_op_find(name, p->g->model->opset);
    return l->op != NULL;
}

/* One tensor, its scale and zero point, the output's. */
static bool lower_one(struct pass *p, int v, const struct quant *y, struct lowered *l, const char *name)
{
    struct quant x;
    if (!take_inputs(p, l, 5) || !from_bytes(p, v, &l->in[0], &x) || x.type != y->type)
        return false;
    l->in[1] = x.scale;
    l->in[2] = x.zp;
    l->in[3] = y->scale;
    l->in[4] = y->zp;
    l->op = vd_op_find(name, p->g->model->opset);
    return l->op != NULL;
}

/* in: n values to be joined; one alone is requantised. */
static bool lower_concat(struct pass *p, const int *in, int n, const struct quant *y, struct lowered *l)
{
    struct quant x;
    if (n < 1 || !take_inputs(p, l, 2 + 3 * n))
        return false;
    l->in[0] = y->scale;
    l->in[1] = y->zp;
    for (int i = 0; i < n; i++) {
        if (!from_bytes(p, in[i], &l->in[2 + 3 * i], &x) || x.type != y->type)
            return false;
        l->in[3 + 3 * i] = x.scale;
        l->in[4 + 3 * i] = x.zp;
    }
    l->op = vd_op_find("com.microsoft:QLinearConcat", p->g->model->opset);
    return l->op != NULL;
}

/* Operators that give some of their input's elements: on bytes they are the same, where both sides have one scale. */
static bool moves(const struct vd_node *n)
{
    static const char *const names[] = {"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "DepthToSpace", "SpaceToDepth", "Slice",
                                        "Gather", "Expand", "Tile", "MaxPool"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (is(n, names[i]) && n->n_out == 1)
            return true;
    return false;
}

static bool lower_move(struct pass *p, const struct vd_node *n, const struct quant *y, struct lowered *l)
{
    struct quant x;
    if (n->n_in < 1 || !take_inputs(p, l, n->n_in))
        return false;
    memcpy(l->in, n->in, (size_t)n->n_in * sizeof(*n->in));
    if (!from_bytes(p, n->in[0], &l->in[0], &x) || !same_quant(&x, y))
        return false;
    /* MaxPool has bytes since 12, and meant the same before */
    l->op = is(n, "MaxPool") ? vd_op_find("MaxPool", p->g->model->opset < 12 ? 12 : p->g->model->opset) : n->op;
    return l->op != NULL;
}

static bool lower_core(struct pass *p, const struct vd_node *n, const struct quant *y, struct lowered *l)
{
    l->proto = n->proto;
    if (is(n, "Conv"))
        return lower_conv(p, n, y, l);
    if (is(n, "Add"))
        return lower_pair(p, n, y, l, "com.microsoft:QLinearAdd");
    if (is(n, "Mul"))
        return lower_pair(p, n, y, l, "com.microsoft:QLinearMul");
    if (is(n, "Sigmoid"))
        return lower_one(p, n->in[0], y, l, "com.microsoft:QLinearSigmoid");
    if (is(n, "LeakyRelu"))
        return lower_one(p, n->in[0], y, l, "com.microsoft:QLinearLeakyRelu");
    if (is(n, "GlobalAveragePool"))
        return lower_one(p, n->in[0], y, l, "com.microsoft:QLinearGlobalAveragePool");
    if (is(n, "AveragePool") && !vd_onnx_attr(n->proto, "dilations"))
        return lower_one(p, n->in[0], y, l, "com.microsoft:QLinearAveragePool");
    if (is(n, "Concat"))
        return lower_concat(p, n->in, n->n_in, y, l);
    return moves(n) && lower_move(p, n, y, l);
}

/* --- one QuantizeLinear and what stands before it --- */

/* Relu, or Clip with known bounds. */
static bool clamp_of(const struct pass *p, const struct vd_node *n, float *lo, float *hi)
{
    *lo = is(n, "Relu") ? 0 : -INFINITY;
    *hi = INFINITY;
    if (is(n, "Relu"))
        return true;
    if (!is(n, "Clip"))
        return false;
    const struct vd_onnx_attr *a = vd_onnx_attr(n->proto, "min"), *b = vd_onnx_attr(n->proto, "max");
    if (a)
        *lo = a->v.f;
    if (b)
        *hi = b->v.f;
    for (int i = 1; i < n->n_in; i++) {
        if (n->in[i] < 0)
            continue;
        const struct vd_tensor *c = constant(p, n, i);
        if (!c || c->type != VD_F32 || vd_tensor_count(c) != 1)
            return false;
        *(i == 1 ? lo : hi) = *(const float *)c->data;
    }
    return *lo <= *hi;
}

static int quantised(float v, const struct quant *q)
{
    const float lo = (float)((q->type == VD_S8 ? INT8_MIN : 0) - q->z), hi = (float)((q->type == VD_S8 ? INT8_MAX : UINT8_MAX) - q->z);
    v /= q->s;
    v = v > lo ? v : lo;
    v = v < hi ? v : hi;
    return (int)rintf(v) + q->z;
}

static void replace(struct pass *p, int at, const struct lowered *l, int out)
{
    struct vd_graph *g = p->g;
    struct vd_node *n = &g->node[at];
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] >= 0 && n->out[i] != out)
            g->value[n->out[i]].producer = -1;
    *n = (struct vd_node){.op = l->op, .proto = l->proto, .in = l->in, .out = vd_arena_array(&g->arena, 1, sizeof(int)), .n_in = l->n_in, .n_out = 1};
    n->out[0] = out;
    g->value[out].producer = at;
}

/* Quantising is monotonic, so that a clamp before it is a clamp of bytes behind it, exactly. */
static int lower(struct pass *p, int at)
{
    struct vd_graph *g = p->g;
    const struct vd_node *quantize = &g->node[at];
    struct quant y;
    float lo = -INFINITY, hi = INFINITY;
    int v = quantize->in[0], clamp_at = -1;
    if (!quant_of(p, quantize, &y))
        return 0;
    const struct vd_node *core;
    for (;;) {
        float a, b;
        core = producer(p, v);
        if (!core || !clamp_of(p, core, &a, &b))
            break;
        if (p->uses[v] != 1)
            return 0;
        /* this one comes first: clamp(clamp(x, a, b), lo, hi) */
        const float na = a < lo ? lo : a > hi ? hi : a, nb = b < lo ? lo : b > hi ? hi : b;
        lo = na;
        hi = nb;
        clamp_at = g->value[v].producer;
        v = core->in[0];
    }
    struct lowered l = {0};
    const int bytes_lo = quantised(lo, &y), bytes_hi = quantised(hi, &y);
    const bool clamps = bytes_lo > (y.type == VD_S8 ? INT8_MIN : 0) || bytes_hi < (y.type == VD_S8 ? INT8_MAX : UINT8_MAX);
    const bool bare = is(core, "DequantizeLinear") && clamp_at >= 0; /* a clamp alone */
    if (bare ? !lower_concat(p, &v, 1, &y, &l) : !core || p->uses[v] != 1 || !lower_core(p, core, &y, &l))
        return 0;
    if (bare)
        l.proto = g->node[clamp_at].proto;
    const int out = quantize->out[0];
    if (!clamps) {
        replace(p, at, &l, out);
        return 0;
    }
    struct lowered c = {.op = vd_op_find("Clip", 13), .proto = quantize->proto};
    const int wide = new_value(p, g->value[out].name, NULL), first = byte_constant(p, y.type, bytes_lo, 0);
    const int second = byte_constant(p, y.type, bytes_hi, 0);
    if (wide < 0 || first < 0 || second < 0 || !take_inputs(p, &c, 3))
        return vd_nomem(0);
    c.in[0] = wide;
    c.in[1] = first;
    c.in[2] = second;
    replace(p, clamp_at, &l, wide);
    replace(p, at, &c, out);
    return 0;
}

int vd_graph_lower_qdq(struct vd_graph *g)
{
    int wanted = 0;
    for (int i = 0; i < g->n_node; i++)
        wanted += is(&g->node[i], "QuantizeLinear");
    if (!wanted)
        return 0;
    /* at most a zero point, a value between and two bounds for each */
    struct pass p = {.g = g, .cap = g->n_value + 4 * wanted};
    struct vd_value *value = vd_arena_array(&g->arena, (size_t)p.cap, sizeof(*value));
    p.uses = vd_arena_array(&g->arena, (size_t)g->n_value, sizeof(*p.uses));
    if (!value || !p.uses)
        return vd_nomem((size_t)p.cap * sizeof(*value));
    memcpy(value, g->value, (size_t)g->n_value * sizeof(*value));
    g->value = value;
    for (int i = 0; i < g->n_node; i++)
        for (int k = 0; k < g->node[i].n_in; k++)
            if (g->node[i].in[k] >= 0)
                p.uses[g->node[i].in[k]]++;
    for (int o = 0; o < g->n_out; o++)
        p.uses[g->out[o]]++;
    for (int i = 0; i < g->n_node; i++)
        if (is(&g->node[i], "QuantizeLinear")) {
            const int rc = lower(&p, i);
            if (rc)
                return rc;
        }
    return 0;
}
