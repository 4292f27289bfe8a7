/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_QUANT_BUILD_H
#define VD_QUANT_BUILD_H

/* Models made by hand for the tests of the dynamic quantiser, and what it makes of them, read as a session reads it. */
#include <errno.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/bytes.h"
#include "common/file.h"
#include "common/mem.h"
#include "common/random.h"
#include "common/status.h"
#include "plan/plan.h"
#include "quant/quant.h"
#include "quant/weights.h"
#include "trust/trust.h"

/* --- models by hand */

enum { MOST = 16 };
struct made {
    struct vd_onnx_model m;
    struct vd_onnx_node node[MOST];
    struct vd_onnx_tensor init[MOST];
    struct vd_onnx_value in[4], out[4];
    const char *name[MOST][2][5];
    struct vd_onnx_attr attr[MOST][5];
};

static inline struct made *begin(void)
{
    struct made *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->m = (struct vd_onnx_model){.ir_version = 8, .opset = 17, .producer_name = "hand", .producer_version = "", .domain = "", .doc = "",
                                  .graph_name = "g", .graph_doc = "", .node = t->node, .init = t->init, .in = t->in, .out = t->out};
    return t;
}

static inline struct vd_onnx_value picture(const char *name, int rank, int64_t channels)
{
    struct vd_onnx_value v = {.name = name, .type = VD_F32, .rank = rank};
    for (int i = 0; i < rank; i++)
        v.dim[i] = i == 0 ? 1 : i == 1 ? channels : -1;
    return v;
}

static inline void input(struct made *t, const char *name, int rank, int64_t channels) { t->in[t->m.n_in++] = picture(name, rank, channels); }
static inline void output(struct made *t, const char *name, int rank, int64_t channels) { t->out[t->m.n_out++] = picture(name, rank, channels); }

static inline void tensor(struct made *t, const char *name, int type, const void *data, int rank, int64_t d0, int64_t d1, int64_t d2, int64_t d3)
{
    const int64_t d[4] = {d0, d1, d2, d3};
    struct vd_onnx_tensor *x = &t->init[t->m.n_init++];
    *x = (struct vd_onnx_tensor){.name = name, .type = type, .rank = rank, .count = 1, .data = data};
    for (int i = 0; i < rank; i++) {
        x->dim[i] = d[i];
        x->count *= (size_t)d[i];
    }
    x->size = x->count * vd_type_size(type);
}

static inline struct vd_onnx_node *op(struct made *t, const char *type, const char *name, const char *a, const char *b, const char *c, const char *y)
{
    const int i = t->m.n_node++;
    const char **in = t->name[i][0], **out = t->name[i][1];
    in[0] = a, in[1] = b, in[2] = c, out[0] = y;
    t->node[i] = (struct vd_onnx_node){.name = name, .op_type = type, .in = in, .out = out, .n_in = c ? 3 : b ? 2 : a ? 1 : 0, .n_out = 1,
                                       .attr = t->attr[i]};
    return &t->node[i];
}

static inline void attr_i(struct made *t, struct vd_onnx_node *n, const char *name, int64_t v)
{
    t->attr[n - t->node][n->n_attr++] = (struct vd_onnx_attr){.name = name, .type = VD_ATTR_INT, .v.i = v};
}

static inline void attr_f(struct made *t, struct vd_onnx_node *n, const char *name, float v)
{
    t->attr[n - t->node][n->n_attr++] = (struct vd_onnx_attr){.name = name, .type = VD_ATTR_FLOAT, .v.f = v};
}

static const float ramp[64] = {
    0.5f, -0.25f, 0.125f, 1.0f, -0.75f, 0.3f, -0.1f, 0.05f, 0.9f, -0.4f, 0.2f, 0.7f, -0.6f, 0.35f, -0.15f, 0.45f,
    2.0f, -1.5f, 0.25f, 1.25f, -0.5f, 0.75f, -1.0f, 0.0f, 1.75f, -0.35f, 0.65f, 0.1f, -0.9f, 0.55f, -0.05f, 0.85f,
    0.01f, 0.02f, -0.03f, 0.04f, -0.05f, 0.06f, -0.07f, 0.08f, 0.09f, -0.1f, 0.11f, -0.12f, 0.13f, 0.14f, -0.15f, 0.16f,
    3.0f, -2.0f, 1.0f, -3.5f, 2.5f, 1.5f, -0.5f, 0.5f, 0.25f, -0.75f, 1.25f, -1.75f, 2.25f, -2.75f, 3.25f, -3.75f,
};

static const struct vd_quant_opts u8 = {.weight_type = VD_U8};

/* x -> Conv 2 to 4 channels, 2x2, with bias -> y */
static inline struct made *one_conv(void)
{
    struct made *t = begin();
    input(t, "x", 4, 2);
    output(t, "y", 4, 4);
    tensor(t, "w", VD_F32, ramp, 4, 4, 2, 2, 2);
    tensor(t, "b", VD_F32, ramp + 32, 1, 4, 0, 0, 0);
    op(t, "Conv", "c", "x", "w", "b", "y");
    return t;
}

/* Quantised, written, read as a session reads it. */
struct done {
    struct vd_onnx_model m;
    struct vd_quant_report rep;
    struct vd_buf bytes;
};

static inline void opens(const struct vd_buf *bytes)
{
    struct vd_onnx_model m = {0};
    struct vd_graph g = {0};
    struct vd_plan *p = NULL;
    const struct vd_kernels *k;
    if (vd_onnx_read(&m, bytes->data, bytes->size) || vd_graph_build(&g, &m) || vd_kernels_get("c", &k) || vd_plan_create(&p, &g, k, NULL))
        fail_msg("%s", vd_reason());
    vd_plan_free(p);
    vd_graph_free(&g);
    vd_onnx_free(&m);
}

static inline void quantize(struct made *t, const struct vd_quant_opts *o, struct done *d)
{
    *d = (struct done){0};
    if (vd_quantize_dynamic(&t->m, o, &d->m, &d->rep))
        fail_msg("%s", vd_reason());
    assert_int_equal(vd_onnx_write(&d->m, &d->bytes), 0);
    opens(&d->bytes);
}

static inline void finish(struct made *t, struct done *d)
{
    vd_free(d->bytes.data);
    vd_onnx_free(&d->m);
    free(t);
}

static inline void check_node(const struct vd_onnx_model *m, int i, const char *want)
{
    char have[512];
    assert_in_range(i, 0, m->n_node - 1);
    const struct vd_onnx_node *n = &m->node[i];
    size_t at = (size_t)snprintf(have, sizeof have, "%s '%s':", n->op_type, n->name);
    for (int k = 0; k < n->n_in; k++)
        at += (size_t)snprintf(have + at, sizeof have - at, " %s", n->in[k]);
    at += (size_t)snprintf(have + at, sizeof have - at, " ->");
    for (int k = 0; k < n->n_out; k++)
        at += (size_t)snprintf(have + at, sizeof have - at, " %s", n->out[k]);
    assert_string_equal(have, want);
}

static inline const struct vd_onnx_tensor *init(const struct vd_onnx_model *m, const char *name, int type, int rank)
{
    const struct vd_onnx_tensor *t = vd_onnx_init(m, name);
    if (!t)
        fail_msg("no initialiser %s", name);
    assert_int_equal(t->type, type);
    assert_int_equal(t->rank, rank);
    return t;
}

static inline int count_ops(const struct vd_onnx_model *m, const char *type)
{
    int n = 0;
    for (int i = 0; i < m->n_node; i++)
        n += !strcmp(m->node[i].op_type, type);
    return n;
}

static inline struct made *one_gemm(const char *c)
{
    struct made *t = begin();
    t->in[t->m.n_in++] = (struct vd_onnx_value){.name = "x", .type = VD_F32, .rank = 2, .dim = {-1, 4}};
    t->out[t->m.n_out++] = (struct vd_onnx_value){.name = "y", .type = VD_F32, .rank = 2, .dim = {-1, 3}};
    tensor(t, "w", VD_F32, ramp, 2, 4, 3, 0, 0);
    tensor(t, "b", VD_F32, ramp + 40, 1, 3, 0, 0, 0);
    op(t, "Gemm", "fc", "x", "w", c, "y");
    return t;
}

#endif
