/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_NET_BUILD_H
#define VD_NET_BUILD_H

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/arena.h"
#include "common/random.h"
#include "onnx/onnx.h"

/* A model made in memory, node by node. Values are named v0, v1, ... in the order in which they are made. */
enum { NET_MAX = 200 };

struct net {
    struct vd_arena a;
    struct vd_onnx_model m;
    struct vd_onnx_node node[NET_MAX];
    struct vd_onnx_tensor init[NET_MAX];
    struct vd_onnx_value in[2], out[8];
    int values;
};

static inline const char *net_name(struct net *n) { return vd_arena_printf(&n->a, "v%d", n->values++); }

static inline void net_begin(struct net *n, int opset)
{
    memset(n, 0, sizeof(*n));
    n->m = (struct vd_onnx_model){.opset = opset, .ir_version = 8, .node = n->node, .init = n->init, .in = n->in, .out = n->out};
}

static inline void net_end(struct net *n) { vd_arena_free(&n->a); }

static inline const char *net_input(struct net *n, int type, int rank)
{
    struct vd_onnx_value *v = &n->in[n->m.n_in++];
    *v = (struct vd_onnx_value){.name = net_name(n), .type = type, .rank = rank};
    for (int i = 0; i < rank; i++)
        v->dim[i] = -1;
    return v->name;
}

static inline void net_output(struct net *n, const char *name)
{
    n->out[n->m.n_out++] = (struct vd_onnx_value){.name = name, .rank = -1};
}

static inline const char *net_const(struct net *n, int type, int rank, const int64_t *dim, const void *data)
{
    struct vd_onnx_tensor *t = &n->init[n->m.n_init++];
    assert(n->m.n_init < NET_MAX);
    *t = (struct vd_onnx_tensor){.name = net_name(n), .type = type, .rank = rank, .count = 1};
    for (int i = 0; i < rank; i++) {
        t->dim[i] = dim[i];
        t->count *= (size_t)dim[i];
    }
    t->size = t->count * vd_type_size(type);
    t->data = vd_arena_dup(&n->a, data, t->size);
    return t->name;
}

static inline const char *net_f32(struct net *n, float v) { return net_const(n, VD_F32, 0, NULL, &v); }
static inline const char *net_byte(struct net *n, int type, int v)
{
    const uint8_t b = (uint8_t)v;
    return net_const(n, type, 0, NULL, &b);
}

/* Inputs end with NULL; the first output's name. */
static inline struct vd_onnx_node *net_node(struct net *n, const char *op, int n_out, ...)
{
    struct vd_onnx_node *p = &n->node[n->m.n_node++];
    assert(n->m.n_node < NET_MAX);
    *p = (struct vd_onnx_node){.name = vd_arena_printf(&n->a, "n%d", n->m.n_node), .op_type = op, .n_out = n_out};
    p->in = vd_arena_array(&n->a, 16, sizeof(*p->in));
    p->out = vd_arena_array(&n->a, 4, sizeof(*p->out));
    va_list ap;
    va_start(ap, n_out);
    for (const char *s; (s = va_arg(ap, const char *));)
        p->in[p->n_in++] = s;
    va_end(ap);
    for (int i = 0; i < n_out; i++)
        p->out[i] = net_name(n);
    return p;
}

static inline struct vd_onnx_attr *net_attr(struct net *n, struct vd_onnx_node *p, const char *name, int type)
{
    struct vd_onnx_attr *a = vd_arena_array(&n->a, 8, sizeof(*a));
    if (p->n_attr)
        memcpy(a, p->attr, (size_t)p->n_attr * sizeof(*a));
    p->attr = a;
    assert(p->n_attr < 8);
    a += p->n_attr++;
    *a = (struct vd_onnx_attr){.name = name, .type = type};
    return a;
}

static inline void net_int(struct net *n, struct vd_onnx_node *p, const char *name, int64_t v) { net_attr(n, p, name, VD_ATTR_INT)->v.i = v; }

static inline void net_ints(struct net *n, struct vd_onnx_node *p, const char *name, int count, const int64_t *v)
{
    struct vd_onnx_attr *a = net_attr(n, p, name, VD_ATTR_INTS);
    a->n = count;
    a->v.ints = vd_arena_dup(&n->a, v, (size_t)count * sizeof(*v));
}

#endif
