/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_ONNX_BUILD_H
#define VD_ONNX_BUILD_H

#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/mem.h"
#include "onnx/onnx.h"
#include "onnx/onnx_proto.h"

/* ONNX files by hand, right and wrong ones. A message is a vd_buf; every put_* appends a field. What takes a
 * message by value frees it. */

static inline void put_tag(struct vd_buf *b, unsigned field, unsigned wire) { vd_put_varint(b, field << 3 | wire); }

static inline void put_int(struct vd_buf *b, unsigned field, int64_t v)
{
    put_tag(b, field, 0);
    vd_put_varint(b, (uint64_t)v);
}

static inline void put_bytes(struct vd_buf *b, unsigned field, const void *p, size_t n)
{
    put_tag(b, field, 2);
    vd_put_varint(b, n);
    vd_put(b, p, n);
}

static inline void put_str(struct vd_buf *b, unsigned field, const char *s) { put_bytes(b, field, s, strlen(s)); }

static inline void put_msg(struct vd_buf *b, unsigned field, struct vd_buf m)
{
    put_bytes(b, field, m.data, m.size);
    vd_free(m.data);
}

/* A tensor's head: no values yet. */
static inline struct vd_buf tensor_of(const char *name, int type, const int64_t *dim, int rank)
{
    struct vd_buf t = {0};
    for (int i = 0; i < rank; i++)
        put_int(&t, TENSOR_DIMS, dim[i]);
    put_int(&t, TENSOR_TYPE, type);
    put_str(&t, TENSOR_NAME, name);
    return t;
}

static inline struct vd_buf attr_of(const char *name, int type) /* 0: does not say */
{
    struct vd_buf a = {0};
    put_str(&a, ATTR_NAME, name);
    if (type)
        put_int(&a, ATTR_TYPE, type);
    return a;
}

static inline struct vd_buf value_of(const char *name)
{
    struct vd_buf v = {0}, type = {0}, tensor = {0}, shape = {0}, d0 = {0}, d1 = {0};
    put_str(&d0, DIM_PARAM, "n");
    put_int(&d1, DIM_VALUE, 2);
    put_msg(&shape, SHAPE_DIM, d0);
    put_msg(&shape, SHAPE_DIM, d1);
    put_int(&tensor, TYPE_TENSOR_ELEM, VD_F32);
    put_msg(&tensor, TYPE_TENSOR_SHAPE, shape);
    put_msg(&type, TYPE_TENSOR, tensor);
    put_str(&v, VALUE_NAME, name);
    put_msg(&v, VALUE_TYPE, type);
    return v;
}

static inline struct vd_buf node_of(const char *op, const char *in, const char *out)
{
    struct vd_buf n = {0};
    put_str(&n, NODE_INPUT, in);
    put_str(&n, NODE_OUTPUT, out);
    put_str(&n, NODE_OP_TYPE, op);
    return n;
}

/* x -> Relu -> y; more fields may follow. */
static inline struct vd_buf graph_of(void)
{
    struct vd_buf g = {0};
    put_msg(&g, GRAPH_NODE, node_of("Relu", "x", "y"));
    put_str(&g, GRAPH_NAME, "g");
    put_msg(&g, GRAPH_INPUT, value_of("x"));
    put_msg(&g, GRAPH_OUTPUT, value_of("y"));
    return g;
}

static inline struct vd_buf opset_of(const char *domain, int64_t version)
{
    struct vd_buf o = {0};
    if (*domain)
        put_str(&o, OPSET_DOMAIN, domain);
    put_int(&o, OPSET_VERSION, version);
    return o;
}

static inline struct vd_buf model_of(struct vd_buf graph)
{
    struct vd_buf m = {0};
    put_int(&m, MODEL_IR_VERSION, 8);
    put_msg(&m, MODEL_OPSET, opset_of("", 13));
    put_msg(&m, MODEL_GRAPH, graph);
    return m;
}

/* graph_of() with one field more. */
static inline struct vd_buf with(unsigned field, struct vd_buf part)
{
    struct vd_buf g = graph_of();
    put_msg(&g, field, part);
    return model_of(g);
}

static inline struct vd_buf with_init(struct vd_buf tensor) { return with(GRAPH_INIT, tensor); }

static inline struct vd_buf with_attr(struct vd_buf attr)
{
    struct vd_buf n = node_of("Elu", "y", "z");
    put_msg(&n, NODE_ATTR, attr);
    return with(GRAPH_NODE, n);
}

/* A copy that ends where its heap block ends, so that AddressSanitizer sees the first byte read behind it. */
static inline uint8_t *exact_copy(const void *data, size_t size)
{
    uint8_t *p = malloc(size ? size : 1);
    if (!p)
        abort();
    return size ? memcpy(p, data, size) : p;
}

#endif
