/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/lower.h"

#include <math.h>
#include <string.h>

static const struct vd_node *node_at(const struct vd_lower *l, int i) { return &l->g->node[i]; }

static bool is(const struct vd_node *n, const char *name) { return !strcmp(n->op->name, name); }

/* The one reader of value v when it is operator name; -1. */
static int reader(const struct vd_lower *l, int v, const char *name)
{
    const int c = l->consumer[v];
    return c >= 0 && is(node_at(l, c), name) ? c : -1;
}

static int other_input(const struct vd_node *n, int v) { return n->in[0] == v ? n->in[1] : n->in[0]; }

/* A float constant with one element, or one for each channel along axis 1 of a value of that rank. */
static bool per_channel(const struct vd_lower *l, int v, int rank, int64_t channels)
{
    const struct vd_tensor *c = v < 0 ? NULL : l->g->value[v].constant;
    if (!c || c->type != VD_F32 || c->rank > rank)
        return false;
    const size_t n = vd_tensor_count(c);
    if (n == 1)
        return true;
    const int axis = c->rank - (rank - 1); /* of c, that lines up with axis 1 */
    return axis >= 0 && n == (size_t)channels && c->dim[axis] == channels;
}

static bool same_shape(const struct vd_tensor *a, const struct vd_tensor *b)
{
    return a->type == b->type && a->rank == b->rank && !memcmp(a->dim, b->dim, (size_t)a->rank * sizeof(a->dim[0]));
}

bool vd_lower_clamp(const struct vd_graph *g, const struct vd_node *n, float *lo, float *hi)
{
    *lo = is(n, "Relu") ? 0 : -INFINITY;
    *hi = INFINITY;
    if (is(n, "Relu"))
        return true;
    if (!is(n, "Clip"))
        return false;
    if (n->n_in == 1) { /* bounds are attributes until opset 10 */
        const struct vd_onnx_attr *a = vd_onnx_attr(n->proto, "min"), *b = vd_onnx_attr(n->proto, "max");
        if (a)
            *lo = a->v.f;
        if (b)
            *hi = b->v.f;
    }
    for (int i = 1; i < n->n_in; i++) {
        if (n->in[i] < 0)
            continue;
        const struct vd_tensor *c = g->value[n->in[i]].constant;
        if (!c || c->type != VD_F32 || vd_tensor_count(c) != 1)
            return false;
        *(i == 1 ? lo : hi) = *(const float *)c->data;
    }
    return *lo <= *hi; /* also false for NaN bounds, which are the operator's business */
}

/* Clip of bytes whose bounds are known. */
static bool byte_clamp(const struct vd_lower *l, const struct vd_node *n, struct vd_fusion *f)
{
    float bound[2] = {l->t[n->out[0]].type == VD_S8 ? INT8_MIN : 0, l->t[n->out[0]].type == VD_S8 ? INT8_MAX : UINT8_MAX};
    if (!is(n, "Clip"))
        return false;
    for (int i = 1; i < n->n_in; i++) {
        const struct vd_tensor *c = n->in[i] < 0 ? NULL : l->g->value[n->in[i]].constant;
        if (n->in[i] >= 0 && (!c || vd_tensor_count(c) != 1))
            return false;
        if (c)
            bound[i - 1] = c->type == VD_S8 ? *(const int8_t *)c->data : *(const uint8_t *)c->data;
    }
    f->lo = bound[0];
    f->hi = bound[1];
    return f->lo <= f->hi;
}

/* DynamicQuantizeLinear before, Cast, Mul and Mul behind; leaves f->out at the second Mul's output. */
static bool dynamic_pattern(const struct vd_lower *l, const struct vd_node *conv, struct vd_fusion *f)
{
    const struct vd_graph *g = l->g;
    const int producer = g->value[conv->in[0]].producer;
    if (producer < 0 || !is(node_at(l, producer), "DynamicQuantizeLinear"))
        return false;
    const struct vd_node *dql = node_at(l, producer);
    if (conv->in[0] != dql->out[0] || conv->n_in < 3 || conv->in[2] < 0 || conv->in[2] != dql->out[2])
        return false;
    if (l->t[dql->in[0]].type != VD_F32) /* the kernels read floats; float16 is widened for DynamicQuantizeLinear as a step of its own */
        return false;
    const int cast = reader(l, conv->out[0], "Cast");
    if (cast < 0 || l->t[node_at(l, cast)->out[0]].type != VD_F32)
        return false;
    const int v = node_at(l, cast)->out[0], mul = reader(l, v, "Mul");
    if (mul < 0)
        return false;
    const int scales = other_input(node_at(l, mul), v), scales_from = g->value[scales].producer;
    if (scales == v || scales_from < 0 || !is(node_at(l, scales_from), "Mul"))
        return false;
    const struct vd_node *sm = node_at(l, scales_from);
    if (sm->in[0] != dql->out[1] && sm->in[1] != dql->out[1])
        return false;
    const struct vd_tensor *y = &l->t[conv->out[0]];
    const int w_scale = other_input(sm, dql->out[1]), out = node_at(l, mul)->out[0];
    if (!per_channel(l, w_scale, y->rank, y->dim[1]) || !!memcmp(l->t[out].dim, y->dim, sizeof(y->dim)) || l->t[out].rank != y->rank)
        return false;
    l->covered[cast] = l->covered[mul] = true;
    f->dynamic = true;
    f->x = dql->in[0];
    f->w_scale = w_scale;
    f->out = out;
    f->last = mul;
    return true;
}

/* --- the static form of ConvInteger: Cast and Mul with constant scales behind it --- */

static int scaled_product(const struct vd_lower *l, int node, int *w_scale, int covers[2])
{
    const struct vd_node *conv = node_at(l, node);
    const int cast = l->by_rows[node] && !l->covered[node] ? reader(l, conv->out[0], "Cast") : -1;
    if (cast < 0 || l->t[node_at(l, cast)->out[0]].type != VD_F32)
        return -1;
    const int v = node_at(l, cast)->out[0], mul = reader(l, v, "Mul");
    const struct vd_tensor *y = &l->t[conv->out[0]];
    if (mul < 0 || l->covered[cast] || l->covered[mul])
        return -1;
    const int out = node_at(l, mul)->out[0];
    *w_scale = other_input(node_at(l, mul), v);
    covers[0] = cast;
    covers[1] = mul;
    return *w_scale != v && per_channel(l, *w_scale, y->rank, y->dim[1]) && l->t[out].rank == y->rank && !memcmp(l->t[out].dim, y->dim, sizeof(y->dim))
               ? out
               : -1;
}

static bool scaled_pattern(const struct vd_lower *l, int node, struct vd_fusion *f)
{
    int covers[2];
    const int out = scaled_product(l, node, &f->w_scale, covers);
    if (out < 0)
        return false;
    l->covered[covers[0]] = l->covered[covers[1]] = f->scaled = true;
    f->out = out;
    f->last = covers[1];
    return true;
}

static bool same_attr(const struct vd_onnx_attr *a, const struct vd_onnx_attr *b)
{
    if (!a || !b || a->type != b->type)
        return a == b;
    if (a->type == VD_ATTR_INTS)
        return a->n == b->n && !memcmp(a->v.ints, b->v.ints, (size_t)a->n * sizeof(*a->v.ints));
    return a->type == VD_ATTR_INT ? a->v.i == b->v.i : a->type == VD_ATTR_STRING && !strcmp(a->v.s, b->v.s);
}

static bool same_window(const struct vd_lower *l, const struct vd_node *a, const struct vd_node *b)
{
    static const char *const names[] = {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (!same_attr(vd_onnx_attr(a->proto, names[i]), vd_onnx_attr(b->proto, names[i])))
            return false;
    const struct vd_tensor *x = &l->t[a->in[0]], *y = &l->t[b->in[0]], *w = &l->t[a->in[1]], *v = &l->t[b->in[1]];
    return !memcmp(x->dim, y->dim, sizeof(x->dim)) && !memcmp(w->dim, v->dim, sizeof(w->dim));
}

static const struct vd_node *producer(const struct vd_lower *l, int v, const char *name)
{
    const int p = v < 0 ? -1 : l->g->value[v].producer;
    return p >= 0 && is(node_at(l, p), name) ? node_at(l, p) : NULL;
}

/* A pair of constants, one element each, and what is rounded with them a float or a byte. */
static bool one_pair(const struct vd_lower *l, const struct vd_node *n)
{
    if (n->n_in != 3 || n->in[1] < 0 || n->in[2] < 0)
        return false;
    const struct vd_tensor *s = l->g->value[n->in[1]].constant, *z = l->g->value[n->in[2]].constant;
    return s && z && s->type == VD_F32 && vd_tensor_count(s) == 1 && (z->type == VD_U8 || z->type == VD_S8) && vd_tensor_count(z) == 1;
}

/* x2 is QuantizeLinear(Sub(v, DequantizeLinear(x))), and x QuantizeLinear(v) with the same numbers. */
static void find_rest(const struct vd_lower *l, struct vd_fusion *f)
{
    const struct vd_node *q2 = producer(l, f->x2, "QuantizeLinear"), *q1 = producer(l, f->x, "QuantizeLinear");
    const struct vd_node *sub = q2 ? producer(l, q2->in[0], "Sub") : NULL, *dq = sub ? producer(l, sub->in[1], "DequantizeLinear") : NULL;
    if (!dq || !q1 || dq->in[0] != f->x || sub->in[0] != q1->in[0] || !one_pair(l, q1) || !one_pair(l, q2) || !one_pair(l, dq))
        return;
    const struct vd_tensor *v = &l->t[q1->in[0]];
    if (q1->in[1] != dq->in[1] || q1->in[2] != dq->in[2] || v->type != VD_F32 || v->data || l->t[sub->out[0]].type != VD_F32)
        return;
    f->rest = q1->in[0];
    f->rest_q = l->g->value[f->x2].producer;
    f->rest_dq = l->g->value[sub->in[1]].producer;
}

/* Value v, which is added to the product, is such a product itself. */
static bool second_pattern(const struct vd_lower *l, int v, struct vd_fusion *f)
{
    const struct vd_node *mul = producer(l, v, "Mul");
    if (!mul || l->g->value[v].uses != 1)
        return false;
    for (int k = 0; k < 2; k++) {
        const struct vd_node *cast = producer(l, mul->in[k], "Cast"), *conv = cast ? producer(l, cast->in[0], "ConvInteger") : NULL;
        const int node = conv ? (int)(conv - l->g->node) : -1;
        int covers[2], w_scale;
        if (node < 0 || node == f->head || scaled_product(l, node, &w_scale, covers) != v || !same_window(l, node_at(l, f->head), conv))
            continue;
        l->covered[node] = l->covered[covers[0]] = l->covered[covers[1]] = true;
        f->second = node;
        f->x2 = conv->in[0];
        f->w_scale2 = w_scale;
        find_rest(l, f);
        return true;
    }
    return false;
}

/* What comes after the sums, as far as it goes. */
static void fuse_behind(const struct vd_lower *l, struct vd_fusion *f)
{
    for (;;) {
        const int next = l->consumer[f->out];
        if (next < 0 || l->covered[next]) /* an Add of two convolutions belongs to the first */
            return;
        const struct vd_node *n = node_at(l, next);
        float lo, hi;
        if (is(n, "Add")) {
            const int other = other_input(n, f->out);
            if (!same_shape(&l->t[n->out[0]], &l->t[f->out]))
                return;
            if (f->bias < 0 && f->second < 0 && !f->clamp && f->residual < 0 && per_channel(l, other, l->t[f->out].rank, l->t[f->out].dim[1]))
                f->bias = other;
            else if (f->scaled && f->second < 0 && !f->clamp && f->residual < 0 && second_pattern(l, other, f))
                ;
            else if (f->residual < 0 && !(f->scaled && l->t[other].data) && same_shape(&l->t[other], &l->t[f->out]))
                f->residual = other;
            else
                return;
        } else if (n->in[0] == f->out && vd_lower_clamp(l->g, n, &lo, &hi)) {
            if (f->residual < 0 && !f->clamp) {
                f->clamp = true;
                f->lo = lo;
                f->hi = hi;
            } else if (f->residual >= 0 && !f->clamp2) {
                f->clamp2 = true;
                f->lo2 = lo;
                f->hi2 = hi;
            } else {
                return;
            }
        } else {
            return;
        }
        l->covered[next] = true;
        f->out = n->out[0];
        f->last = next;
    }
}

/* --- the whole --- */

void vd_lower_conv(const struct vd_lower *l, int node, struct vd_fusion *f)
{
    const struct vd_node *conv = node_at(l, node);
    *f = (struct vd_fusion){.head = node, .last = node, .out = conv->out[0], .x = conv->in[0], .w_scale = -1, .bias = -1, .residual = -1,
                            .second = -1, .x2 = -1, .w_scale2 = -1, .rest = -1, .rest_q = -1, .rest_dq = -1};
    const bool scaled = is(conv, "ConvInteger") && !l->plain && scaled_pattern(l, node, f);
    l->covered[node] = true;
    if (is(conv, "QLinearConv")) {
        const int next = l->consumer[f->out];
        if (next >= 0 && byte_clamp(l, node_at(l, next), f)) {
            f->clamp = l->covered[next] = true;
            f->out = node_at(l, next)->out[0];
            f->last = next;
        }
        return;
    }
    if (is(conv, "ConvInteger")) {
        if (l->plain || (!scaled && !dynamic_pattern(l, conv, f)))
            return;
    } else {
        f->bias = conv->n_in > 2 ? conv->in[2] : -1;
        if (l->plain || l->t[f->out].type != VD_F32 || (f->bias >= 0 && !l->g->value[f->bias].constant))
            return;
    }
    fuse_behind(l, f);
}
