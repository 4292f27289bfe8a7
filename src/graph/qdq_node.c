/* SPDX-License-Identifier: BSD-2-Clause */
#include "graph/qdq_node.h"

#include <math.h>

static bool is_byte(int type) { return type == VD_U8 || type == VD_S8; }

static int byte_of(const struct vd_tensor *t)
{
    return t->type == VD_U8 ? *(const uint8_t *)t->data : *(const int8_t *)t->data;
}

bool vd_qdq_quant_of(const struct vd_qdq *p, const struct vd_node *n, struct vd_qdq_quant *q)
{
    const struct vd_tensor *s = vd_qdq_constant(p, n, 1), *z = vd_qdq_constant(p, n, 2);
    if (!s || !z || vd_tensor_count(s) != 1 || vd_tensor_count(z) != 1 || s->type != VD_F32 || !is_byte(z->type))
        return false;
    *q = (struct vd_qdq_quant){.scale = n->in[1], .zp = n->in[2], .type = z->type, .s = *(const float *)s->data, .z = byte_of(z)};
    return isfinite(q->s) && q->s > 0;
}

/* Value v is bytes made into floats: which bytes, and how. */
static bool from_bytes(const struct vd_qdq *p, int v, int *bytes, struct vd_qdq_quant *q)
{
    const struct vd_node *n = vd_qdq_producer(p, v);
    if (!vd_qdq_is(n, "DequantizeLinear") || !vd_qdq_quant_of(p, n, q))
        return false;
    *bytes = n->in[0];
    return true;
}

static bool same_quant(const struct vd_qdq_quant *a, const struct vd_qdq_quant *b)
{
    return a->type == b->type && a->s == b->s && a->z == b->z;
}

int vd_qdq_value(struct vd_qdq *p, const char *name, const struct vd_tensor *constant)
{
    struct vd_graph *g = p->g;
    if (g->n_value >= p->cap)
        return -1;
    g->value[g->n_value] = (struct vd_value){.name = name, .constant = constant, .producer = -1};
    return g->n_value++;
}

int vd_qdq_byte(struct vd_qdq *p, int type, int v)
{
    struct vd_tensor *t = vd_arena_array(&p->g->arena, 1, sizeof(*t));
    if (!t || !(t->data = vd_arena_array(&p->g->arena, 1, 1))) {
        p->no_memory = true;
        return -1;
    }
    t->type = type;
    *(uint8_t *)t->data = (uint8_t)v;
    return vd_qdq_value(p, "", t);
}

bool vd_qdq_inputs(struct vd_qdq *p, struct vd_qdq_node *l, int n)
{
    l->n_in = n;
    l->in = vd_arena_array(&p->g->arena, (size_t)n, sizeof(int));
    p->no_memory = p->no_memory || !l->in;
    return l->in != NULL;
}

/* Weights through DequantizeLinear, into inputs 3 to 5: one scale, or one for each output channel, which are along axis `channels_at`. */
static bool lower_weight(struct vd_qdq *p, int v, int channels_at, struct vd_qdq_node *l, const struct vd_tensor **scales)
{
    const struct vd_node *n = vd_qdq_producer(p, v);
    const struct vd_tensor *w = vd_qdq_is(n, "DequantizeLinear") ? vd_qdq_constant(p, n, 0) : NULL, *s = w ? vd_qdq_constant(p, n, 1) : NULL;
    if (!w || !s || !is_byte(w->type) || s->type != VD_F32 || w->rank <= channels_at)
        return false;
    const size_t count = vd_tensor_count(s), channels = (size_t)w->dim[channels_at];
    const struct vd_onnx_attr *axis = vd_onnx_attr(n->proto, "axis"), *block = vd_onnx_attr(n->proto, "block_size");
    const int64_t along = axis ? axis->v.i + (axis->v.i < 0 ? w->rank : 0) : 1;
    if ((block && block->v.i) || (count != 1 && (s->rank != 1 || count != channels || along != channels_at)))
        return false;
    const struct vd_tensor *z = vd_qdq_constant(p, n, 2);
    if (n->n_in > 2 && n->in[2] >= 0 && (!z || z->type != w->type || vd_tensor_count(z) != count))
        return false;
    l->in[3] = n->in[0];
    l->in[4] = n->in[1];
    l->in[5] = z ? n->in[2] : vd_qdq_byte(p, w->type, 0);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(((const float *)s->data)[i]))
            return false;
    *scales = s;
    return l->in[5] >= 0;
}

/* The bias is int32 in steps of x_scale * w_scale, as QLinearConv has it. */
static bool lower_bias(const struct vd_qdq *p, int v, const struct vd_qdq_quant *x, const struct vd_tensor *w_scale, int *bias)
{
    const struct vd_node *n = vd_qdq_producer(p, v);
    const struct vd_tensor *b = vd_qdq_is(n, "DequantizeLinear") ? vd_qdq_constant(p, n, 0) : NULL, *s = b ? vd_qdq_constant(p, n, 1) : NULL, *z;
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
        if (!(z = vd_qdq_constant(p, n, 2)) || z->type != VD_S32)
            return false;
        for (size_t i = 0, m = vd_tensor_count(z); i < m; i++)
            if (((const int32_t *)z->data)[i])
                return false;
    }
    *bias = n->in[0];
    return true;
}

static bool lower_conv(struct vd_qdq *p, const struct vd_node *n, const struct vd_qdq_quant *y, struct vd_qdq_node *l)
{
    struct vd_qdq_quant x;
    const struct vd_tensor *w_scale;
    const bool bias = n->n_in > 2 && n->in[2] >= 0;
    if (!vd_qdq_inputs(p, l, bias ? 9 : 8) || !from_bytes(p, n->in[0], &l->in[0], &x) || !lower_weight(p, n->in[1], 0, l, &w_scale) ||
        (bias && !lower_bias(p, n->in[2], &x, w_scale, &l->in[8])))
        return false;
    l->in[1] = x.scale;
    l->in[2] = x.zp;
    l->in[6] = y->scale;
    l->in[7] = y->zp;
    l->op = vd_op_find("QLinearConv", p->g->model->opset);
    return l->op != NULL;
}

static bool is_one(const struct vd_node *n, const char *name)
{
    const struct vd_onnx_attr *a = vd_onnx_attr(n->proto, name);
    return !a || a->v.f == 1;
}

/* MatMul or Gemm with constant weights of two dims. */
static bool lower_product(struct vd_qdq *p, const struct vd_node *n, const struct vd_qdq_quant *y, struct vd_qdq_node *l)
{
    const bool gemm = vd_qdq_is(n, "Gemm"), bias = gemm && n->n_in > 2 && n->in[2] >= 0;
    const struct vd_onnx_attr *turned = vd_onnx_attr(n->proto, "transB");
    const struct vd_tensor *w_scale, *w;
    struct vd_qdq_quant x;
    if (!vd_qdq_inputs(p, l, gemm ? 9 : 8) || !from_bytes(p, n->in[0], &l->in[0], &x) || !is_one(n, "alpha") || !is_one(n, "beta") ||
        !lower_weight(p, n->in[1], gemm && turned && turned->v.i ? 0 : 1, l, &w_scale) || !(w = p->g->value[l->in[3]].constant) || w->rank != 2)
        return false;
    l->in[1] = x.scale;
    l->in[2] = x.zp;
    l->in[6] = -1;
    if (bias && !lower_bias(p, n->in[2], &x, w_scale, &l->in[6]))
        return false;
    l->in[gemm ? 7 : 6] = y->scale;
    l->in[gemm ? 8 : 7] = y->zp;
    l->op = vd_op_find(gemm ? "com.microsoft:QGemm" : "QLinearMatMul", p->g->model->opset);
    return l->op != NULL;
}

static bool lower_pair(struct vd_qdq *p, const struct vd_node *n, const struct vd_qdq_quant *y, struct vd_qdq_node *l, const char *name)
{
    struct vd_qdq_quant a, b;
    if (!vd_qdq_inputs(p, l, 8) || !from_bytes(p, n->in[0], &l->in[0], &a) || !from_bytes(p, n->in[1], &l->in[3], &b) || a.type != y->type ||
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
static bool lower_one(struct vd_qdq *p, int v, const struct vd_qdq_quant *y, struct vd_qdq_node *l, const char *name)
{
    struct vd_qdq_quant x;
    if (!vd_qdq_inputs(p, l, 5) || !from_bytes(p, v, &l->in[0], &x) || x.type != y->type)
        return false;
    l->in[1] = x.scale;
    l->in[2] = x.zp;
    l->in[3] = y->scale;
    l->in[4] = y->zp;
    l->op = vd_op_find(name, p->g->model->opset);
    return l->op != NULL;
}

/* in: n values to be joined; one alone is requantised. */
bool vd_qdq_concat(struct vd_qdq *p, const int *in, int n, const struct vd_qdq_quant *y, struct vd_qdq_node *l)
{
    struct vd_qdq_quant x;
    if (n < 1 || !vd_qdq_inputs(p, l, 2 + 3 * n))
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
        if (vd_qdq_is(n, names[i]) && n->n_out == 1)
            return true;
    return false;
}

static bool lower_move(struct vd_qdq *p, const struct vd_node *n, const struct vd_qdq_quant *y, struct vd_qdq_node *l)
{
    struct vd_qdq_quant x;
    if (n->n_in < 1 || !vd_qdq_inputs(p, l, n->n_in))
        return false;
    memcpy(l->in, n->in, (size_t)n->n_in * sizeof(*n->in));
    if (!from_bytes(p, n->in[0], &l->in[0], &x) || !same_quant(&x, y))
        return false;
    /* MaxPool has bytes since 12, and meant the same before */
    l->op = vd_qdq_is(n, "MaxPool") ? vd_op_find("MaxPool", p->g->model->opset < 12 ? 12 : p->g->model->opset) : n->op;
    return l->op != NULL;
}

bool vd_qdq_lower(struct vd_qdq *p, const struct vd_node *n, const struct vd_qdq_quant *y, struct vd_qdq_node *l)
{
    l->proto = n->proto;
    if (vd_qdq_is(n, "Conv"))
        return lower_conv(p, n, y, l);
    if (vd_qdq_is(n, "MatMul") || vd_qdq_is(n, "Gemm"))
        return lower_product(p, n, y, l);
    if (vd_qdq_is(n, "Add"))
        return lower_pair(p, n, y, l, "com.microsoft:QLinearAdd");
    if (vd_qdq_is(n, "Mul"))
        return lower_pair(p, n, y, l, "com.microsoft:QLinearMul");
    if (vd_qdq_is(n, "Sigmoid"))
        return lower_one(p, n->in[0], y, l, "com.microsoft:QLinearSigmoid");
    if (vd_qdq_is(n, "LeakyRelu"))
        return lower_one(p, n->in[0], y, l, "com.microsoft:QLinearLeakyRelu");
    if (vd_qdq_is(n, "GlobalAveragePool"))
        return lower_one(p, n->in[0], y, l, "com.microsoft:QLinearGlobalAveragePool");
    if (vd_qdq_is(n, "AveragePool") && !vd_onnx_attr(n->proto, "dilations"))
        return lower_one(p, n->in[0], y, l, "com.microsoft:QLinearAveragePool");
    if (vd_qdq_is(n, "Concat"))
        return vd_qdq_concat(p, n->in, n->n_in, y, l);
    return moves(n) && lower_move(p, n, y, l);
}
