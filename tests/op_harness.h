/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef OP_HARNESS_H
#define OP_HARNESS_H

/* Rows of the op table called directly: tensors from C arrays, a node that is only attributes, infer, then run. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/mem.h"
#include "common/random.h"
#include "common/status.h"
#include "graph/graph.h"

enum { MOST_IN = 12, MOST_OUT = 3, MOST_ATTR = 10 };

struct trial {
    struct vd_onnx_node node;
    struct vd_onnx_attr attr[MOST_ATTR];
    const char *in_name[MOST_IN], *out_name[MOST_OUT];
    struct vd_tensor in[MOST_IN], out[MOST_OUT];
    const struct vd_tensor *in_p[MOST_IN];
    struct vd_tensor *out_p[MOST_OUT];
    struct vd_op_call call;
    const struct vd_op *op;
};

#define DIMS(...) (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]){__VA_ARGS__}
#define SCALAR 0, NULL

static inline struct trial *trial_new(const char *op, int opset)
{
    struct trial *t = vd_calloc(1, sizeof(*t));
    assert_non_null(t);
    t->op = vd_op_find(op, opset);
    assert_non_null(t->op);
    t->node = (struct vd_onnx_node){.name = "n1", .op_type = op, .in = t->in_name, .out = t->out_name, .n_out = 1, .attr = t->attr};
    t->out_name[0] = "y0";
    t->out_p[0] = &t->out[0];
    t->call = (struct vd_op_call){.node = &t->node, .opset = opset, .n_out = 1, .in = t->in_p, .out = t->out_p};
    return t;
}

/* The next input; data NULL: not known before the run (or empty). Not copied. */
static inline struct vd_tensor *trial_in(struct trial *t, int type, int rank, const int64_t *dim, const void *data)
{
    struct vd_tensor *v = &t->in[t->call.n_in];
    assert_true(t->call.n_in < MOST_IN);
    v->type = type;
    v->rank = rank;
    if (rank)
        memcpy(v->dim, dim, (size_t)rank * sizeof(*dim));
    v->data = (void *)(uintptr_t)data;
    t->in_name[t->call.n_in] = "x";
    t->in_p[t->call.n_in++] = v;
    t->node.n_in = t->call.n_in;
    return v;
}

static inline void trial_no_in(struct trial *t)
{
    t->in_name[t->call.n_in] = "";
    t->in_p[t->call.n_in++] = NULL;
    t->node.n_in = t->call.n_in;
}

static inline void trial_outputs(struct trial *t, int n)
{
    static const char *const names[MOST_OUT] = {"y0", "y1", "y2"};
    for (int i = 0; i < n; i++) {
        t->out_name[i] = names[i];
        t->out_p[i] = &t->out[i];
    }
    t->node.n_out = t->call.n_out = n;
}

static inline struct vd_onnx_attr *trial_attr(struct trial *t, const char *name, int type)
{
    struct vd_onnx_attr *a = &t->attr[t->node.n_attr++];
    assert_true(t->node.n_attr <= MOST_ATTR);
    a->name = name;
    a->type = type;
    return a;
}

static inline void set_int(struct trial *t, const char *name, int64_t v) { trial_attr(t, name, VD_ATTR_INT)->v.i = v; }
static inline void set_float(struct trial *t, const char *name, float v) { trial_attr(t, name, VD_ATTR_FLOAT)->v.f = v; }
static inline void set_str(struct trial *t, const char *name, const char *v) { trial_attr(t, name, VD_ATTR_STRING)->v.s = v; }
static inline void set_ints(struct trial *t, const char *name, int n, const int64_t *v)
{
    struct vd_onnx_attr *a = trial_attr(t, name, VD_ATTR_INTS);
    a->v.ints = v;
    a->n = n;
}

static inline void trial_free(struct trial *t)
{
    for (int i = 0; i < MOST_OUT; i++)
        vd_free(t->out[i].data);
    vd_free(t);
}

static inline int trial_infer(struct trial *t)
{
    vd_reason_clear();
    int rc = vd_op_check_node(t->op, &t->node, t->call.opset);
    if (!rc)
        rc = t->op->infer(&t->call);
    if (rc)
        assert_true(vd_reason()[0]);
    return rc;
}

enum { CANARY = 64 };

/* infer and run; the outputs have canaries behind them, and nothing is allocated meanwhile. */
static inline void trial_run(struct trial *t, struct vd_workers *w)
{
    if (trial_infer(t))
        fail_msg("%s: %s", t->node.op_type, vd_reason());
    t->call.workers = w;
    size_t size[MOST_OUT] = {0};
    for (int i = 0; i < t->call.n_out; i++) {
        if (!t->out_p[i])
            continue;
        size[i] = vd_tensor_bytes(&t->out[i]);
        vd_free(t->out[i].data);
        t->out[i].data = vd_aligned(size[i] + CANARY);
        assert_non_null(t->out[i].data);
        memset(t->out[i].data, 0xa5, size[i] + CANARY);
    }
    const size_t before = vd_mem_count();
    t->op->run(&t->call);
    assert_int_equal(vd_mem_count(), before);
    for (int i = 0; i < t->call.n_out; i++)
        for (int k = 0; t->out_p[i] && k < CANARY; k++)
            assert_int_equal(((uint8_t *)t->out[i].data)[size[i] + (size_t)k], 0xa5);
}

/* infer fails with that errno and a reason that has the node, the operator and the text in it. */
static inline void trial_refuses(struct trial *t, int err, const char *text)
{
    const int rc = trial_infer(t);
    if (rc != -err || !strstr(vd_reason(), text) || !strstr(vd_reason(), t->node.op_type) || !strstr(vd_reason(), "n1"))
        fail_msg("%s: %d '%s', not %d '%s'", t->node.op_type, rc, rc ? vd_reason() : "", -err, text);
    trial_free(t);
}

static inline void check_shape(const struct vd_tensor *t, int type, int rank, const int64_t *dim)
{
    assert_int_equal(t->type, type);
    assert_int_equal(t->rank, rank);
    for (int i = 0; i < rank; i++)
        assert_int_equal(t->dim[i], dim[i]);
}

/* Equal in every bit but a NaN's. */
static inline void check_floats(const struct vd_tensor *t, const float *want, size_t n)
{
    assert_int_equal(t->type, VD_F32);
    assert_int_equal(vd_tensor_count(t), n);
    for (size_t i = 0; i < n; i++) {
        const float got = ((const float *)t->data)[i];
        if (isnan(want[i]) ? !isnan(got) : memcmp(&got, &want[i], sizeof(got)) != 0)
            fail_msg("element %zu is %a, not %a", i, (double)got, (double)want[i]);
    }
}

static inline void check_data(const struct vd_tensor *t, const void *want, size_t bytes)
{
    assert_int_equal(vd_tensor_bytes(t), bytes);
    assert_memory_equal(t->data, want, bytes);
}

#endif
