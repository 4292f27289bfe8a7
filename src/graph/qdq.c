/* SPDX-License-Identifier: BSD-2-Clause */
#include "graph/qdq.h"

#include <math.h>

#include "graph/qdq_node.h"

/* The static form in its QDQ shape: DequantizeLinear before and QuantizeLinear behind a float operator. Each such operator becomes the
 * 8-bit operator that it stands for, in the place of the QuantizeLinear (or of a clamp before it), so that the order of
 * nodes stays good. What the old nodes wrote and nobody reads any more is dropped by the caller. */

/* Relu, or Clip with known bounds. */
static bool clamp_of(const struct vd_qdq *p, const struct vd_node *n, float *lo, float *hi)
{
    *lo = vd_qdq_is(n, "Relu") ? 0 : -INFINITY;
    *hi = INFINITY;
    if (vd_qdq_is(n, "Relu"))
        return true;
    if (!vd_qdq_is(n, "Clip"))
        return false;
    const struct vd_onnx_attr *a = vd_onnx_attr(n->proto, "min"), *b = vd_onnx_attr(n->proto, "max");
    if (a)
        *lo = a->v.f;
    if (b)
        *hi = b->v.f;
    for (int i = 1; i < n->n_in; i++) {
        if (n->in[i] < 0)
            continue;
        const struct vd_tensor *c = vd_qdq_constant(p, n, i);
        if (!c || c->type != VD_F32 || vd_tensor_count(c) != 1)
            return false;
        *(i == 1 ? lo : hi) = *(const float *)c->data;
    }
    return *lo <= *hi;
}

static int quantised(float v, const struct vd_qdq_quant *q)
{
    const float lo = (float)((q->type == VD_S8 ? INT8_MIN : 0) - q->z), hi = (float)((q->type == VD_S8 ? INT8_MAX : UINT8_MAX) - q->z);
    v /= q->s;
    v = v > lo ? v : lo;
    v = v < hi ? v : hi;
    return (int)rintf(v) + q->z;
}

static int replace(struct vd_qdq *p, int at, const struct vd_qdq_node *l, int out)
{
    struct vd_graph *g = p->g;
    struct vd_node *n = &g->node[at];
    int *outs = vd_arena_array(&g->arena, 1, sizeof(*outs));
    if (!outs)
        return vd_nomem(sizeof(*outs));
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] >= 0 && n->out[i] != out)
            g->value[n->out[i]].producer = -1;
    *n = (struct vd_node){.op = l->op, .proto = l->proto, .in = l->in, .out = outs, .n_in = l->n_in, .n_out = 1};
    outs[0] = out;
    g->value[out].producer = at;
    return 0;
}

/* Quantising is monotonic, so that a clamp before it is a clamp of bytes behind it, exactly. */
static int lower(struct vd_qdq *p, int at)
{
    struct vd_graph *g = p->g;
    const struct vd_node *quantize = &g->node[at];
    struct vd_qdq_quant y;
    float lo = -INFINITY, hi = INFINITY;
    int v = quantize->in[0], clamp_at = -1;
    if (!vd_qdq_quant_of(p, quantize, &y))
        return 0;
    const struct vd_node *core;
    for (;;) {
        float a, b;
        core = vd_qdq_producer(p, v);
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
    struct vd_qdq_node l = {0};
    const int bytes_lo = quantised(lo, &y), bytes_hi = quantised(hi, &y);
    const bool clamps = bytes_lo > (y.type == VD_S8 ? INT8_MIN : 0) || bytes_hi < (y.type == VD_S8 ? INT8_MAX : UINT8_MAX);
    const bool bare = vd_qdq_is(core, "DequantizeLinear") && clamp_at >= 0; /* a clamp alone */
    if (bare ? !vd_qdq_concat(p, &v, 1, &y, &l) : !core || p->uses[v] != 1 || !vd_qdq_lower(p, core, &y, &l))
        return p->no_memory ? vd_nomem(0) : 0;
    if (bare)
        l.proto = g->node[clamp_at].proto;
    const int out = quantize->out[0];
    if (!clamps)
        return replace(p, at, &l, out);
    struct vd_qdq_node c = {.op = vd_op_find("Clip", 13), .proto = quantize->proto};
    const int wide = vd_qdq_value(p, g->value[out].name, NULL), first = vd_qdq_byte(p, y.type, bytes_lo);
    const int second = vd_qdq_byte(p, y.type, bytes_hi);
    if (wide < 0 || first < 0 || second < 0 || !vd_qdq_inputs(p, &c, 3))
        return vd_nomem(0);
    c.in[0] = wide;
    c.in[1] = first;
    c.in[2] = second;
    const int rc = replace(p, clamp_at, &l, wide);
    return rc ? rc : replace(p, at, &c, out);
}

int vd_graph_lower_qdq(struct vd_graph *g)
{
    int wanted = 0;
    for (int i = 0; i < g->n_node; i++)
        wanted += vd_qdq_is(&g->node[i], "QuantizeLinear");
    if (!wanted)
        return 0;
    /* at most a zero point, a value between and two bounds for each */
    struct vd_qdq p = {.g = g, .cap = g->n_value + 4 * wanted};
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
        if (vd_qdq_is(&g->node[i], "QuantizeLinear")) {
            const int rc = lower(&p, i);
            if (rc)
                return rc;
        }
    return 0;
}
