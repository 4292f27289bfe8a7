/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_QDQ_NODE_H
#define VD_QDQ_NODE_H

#include <string.h>

#include "graph/graph.h"

/* Inside the lowering of the QDQ form (qdq.c finds the places, qdq_node.c says what an operator there becomes). */
struct vd_qdq {
    struct vd_graph *g;
    int *uses;      /* of each value, by nodes and graph outputs */
    int cap;        /* values that there is room for */
    bool no_memory; /* a node was not lowered for lack of it */
};

/* One value to quantise with: scale and zero point are values of the graph, constant and of one element. */
struct vd_qdq_quant {
    int scale, zp, type;
    float s;
    int z;
};

struct vd_qdq_node {
    const struct vd_op *op;
    const struct vd_onnx_node *proto;
    int *in, n_in;
};


static inline const struct vd_node *vd_qdq_producer(const struct vd_qdq *p, int v)
{
    return v < 0 || p->g->value[v].producer < 0 ? NULL : &p->g->node[p->g->value[v].producer];
}

static inline bool vd_qdq_is(const struct vd_node *n, const char *name) { return n && !strcmp(n->op->name, name); }

static inline const struct vd_tensor *vd_qdq_constant(const struct vd_qdq *p, const struct vd_node *n, int i)
{
    return i < n->n_in && n->in[i] >= 0 ? p->g->value[n->in[i]].constant : NULL;
}

/* Scale and zero point of a QuantizeLinear or DequantizeLinear, when they are one constant each. */
bool vd_qdq_quant_of(const struct vd_qdq *p, const struct vd_node *n, struct vd_qdq_quant *q);
/* A new value; -1: no room (counted beforehand). */
int vd_qdq_value(struct vd_qdq *p, const char *name, const struct vd_tensor *constant);
/* A constant byte; -1: no memory. */
int vd_qdq_byte(struct vd_qdq *p, int type, int v);
bool vd_qdq_inputs(struct vd_qdq *p, struct vd_qdq_node *l, int n);

/* What float operator n becomes when its result is quantised to y: false: it stays. Concat also of one value, which is requantised. */
bool vd_qdq_lower(struct vd_qdq *p, const struct vd_node *n, const struct vd_qdq_quant *y, struct vd_qdq_node *l);
bool vd_qdq_concat(struct vd_qdq *p, const int *in, int n, const struct vd_qdq_quant *y, struct vd_qdq_node *l);

#endif
