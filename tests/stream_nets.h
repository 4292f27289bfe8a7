/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef STREAM_NETS_H
#define STREAM_NETS_H

/* Random nets of everything that streams take, in each form, and plans of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <math.h>

#include "common/mem.h"
#include "net_build.h"
#include "plan/steps.h"

static uint64_t seed = 20261125;
static struct vd_rng rng;

static inline int below(int n) { return (int)(vd_rng_u64(&rng) % (uint64_t)n); }
static inline float real(float lo, float hi) { return lo + (hi - lo) * vd_rng_f32(&rng); }
static inline int pick(const int *from, int n) { return from[below(n)]; }
#define PICK(...) pick((const int[]){__VA_ARGS__}, (int)(sizeof((const int[]){__VA_ARGS__}) / sizeof(int)))

/* --- random nets --- */

enum form { F32, STATIC, DYNAMIC, SCALED };

struct value {
    const char *name;
    int64_t c, h, w;
    const char *scale, *zp; /* bytes */
};

struct maker {
    struct net *n;
    enum form form;
    int type; /* of bytes */
    struct value v[40];
    int n_v;
};

static inline void set_quant(struct maker *m, struct value *v, float scale)
{
    v->scale = net_f32(m->n, scale);
    v->zp = net_byte(m->n, m->type, below(256));
}

static inline struct value *add_value(struct maker *m, const char *name, int64_t c, int64_t h, int64_t w)
{
    struct value *v = &m->v[m->n_v++];
    *v = (struct value){.name = name, .c = c, .h = h, .w = w};
    if (m->form == STATIC)
        set_quant(m, v, real(0.01f, 0.04f));
    return v;
}

static inline const float *random_floats(struct net *n, size_t count, float lo, float hi)
{
    float *v = vd_arena_array(&n->a, count, sizeof(*v));
    for (size_t i = 0; i < count; i++)
        v[i] = real(lo, hi);
    return v;
}

static inline const char *dynamic_conv(struct maker *m, const struct value *x, int64_t oc, int64_t ic, const int64_t *dim, struct vd_onnx_node **conv)
{
    struct net *n = m->n;
    const size_t count = (size_t)(oc * ic * dim[2] * dim[3]);
    uint8_t *w = vd_arena_array(&n->a, count, 1);
    for (size_t i = 0; i < count; i++)
        w[i] = (uint8_t)(1 + below(255));
    const struct vd_onnx_node *q = net_node(n, "DynamicQuantizeLinear", 3, x->name, NULL);
    *conv = net_node(n, "ConvInteger", 1, q->out[0], net_const(n, VD_U8, 4, dim, w), q->out[2], net_byte(n, VD_U8, 128), NULL);
    struct vd_onnx_node *cast = net_node(n, "Cast", 1, (*conv)->out[0], NULL);
    net_int(n, cast, "to", VD_F32);
    const int64_t per[3] = {oc, 1, 1};
    const char *ws = net_const(n, VD_F32, 3, per, random_floats(n, (size_t)oc, 0.002f, 0.01f));
    const struct vd_onnx_node *scales = net_node(n, "Mul", 1, q->out[1], ws, NULL);
    const struct vd_onnx_node *y = net_node(n, "Mul", 1, cast->out[0], scales->out[0], NULL);
    return net_node(n, "Add", 1, y->out[0], net_const(n, VD_F32, 3, per, random_floats(n, (size_t)oc, -1, 1)), NULL)->out[0];
}

/* ConvInteger of bytes q, Cast, Mul by the scales of the channels. */
static inline const char *scaled_product(struct maker *m, const char *q, const char *zp, const char *w, const char *w_zp, int64_t oc, float scale,
                                  struct vd_onnx_node **conv)
{
    struct net *n = m->n;
    const int64_t per[3] = {oc, 1, 1};
    float *scales = vd_arena_array(&n->a, (size_t)oc, sizeof(*scales));
    for (int64_t i = 0; i < oc; i++)
        scales[i] = scale * real(0.5f, 1);
    *conv = net_node(n, "ConvInteger", 1, q, w, zp, w_zp, NULL);
    struct vd_onnx_node *cast = net_node(n, "Cast", 1, (*conv)->out[0], NULL);
    net_int(n, cast, "to", VD_F32);
    return net_node(n, "Mul", 1, cast->out[0], net_const(n, VD_F32, 3, per, scales), NULL)->out[0];
}

/* The static form of ConvInteger: one product; or two, of x in bytes and of what that rounding left (in steps that are finer, or so much
 * coarser that often nothing is left), or of two tensors. */
static inline const char *scaled_conv(struct maker *m, const struct value *x, const struct value *other, int64_t oc, const int64_t *dim, struct vd_onnx_node **conv)
{
    struct net *n = m->n;
    const int64_t per[3] = {oc, 1, 1};
    const size_t count = (size_t)(dim[0] * dim[1] * dim[2] * dim[3]);
    int8_t *w = vd_arena_array(&n->a, count, 1);
    for (size_t i = 0; i < count; i++)
        w[i] = (int8_t)(below(255) - 127);
    const float step = real(0.005f, 0.04f), size = 0.02f / sqrtf((float)(count / (size_t)oc)), again = PICK(16, 16, 16, 4, 1, 0) ? (float)PICK(16, 16, 64, 4) : 1.0f / 255;
    const char *weight = net_const(n, VD_S8, 4, dim, w), *w_zp = net_byte(n, VD_S8, 0), *scale = net_f32(n, step), *zp = net_byte(n, m->type, below(256));
    const char *q = net_node(n, "QuantizeLinear", 1, x->name, scale, zp, NULL)->out[0];
    const char *y = scaled_product(m, q, zp, weight, w_zp, oc, step * size, &conv[0]);
    if (below(3))
        y = net_node(n, "Add", 1, y, net_const(n, VD_F32, 3, per, random_floats(n, (size_t)oc, -1, 1)), NULL)->out[0];
    if (!below(4))
        return y;
    const char *rest = other ? other->name : NULL, *zp2 = net_byte(n, m->type, below(4) ? 128 - 128 * (m->type == VD_S8) : below(256)), *scale2 = net_f32(n, step * again);
    if (!rest)
        rest = net_node(n, "Sub", 1, x->name, net_node(n, "DequantizeLinear", 1, q, scale, zp, NULL)->out[0], NULL)->out[0];
    const char *q2 = net_node(n, "QuantizeLinear", 1, rest, scale2, zp2, NULL)->out[0];
    const char *y2 = scaled_product(m, q2, zp2, below(3) ? weight : net_const(n, VD_S8, 4, dim, w), w_zp, oc, step * again * (below(6) ? size : -size), &conv[1]);
    return (below(2) ? net_node(n, "Add", 1, y, y2, NULL) : net_node(n, "Add", 1, y2, y, NULL))->out[0];
}

static inline struct value *other_like(struct maker *m, const struct value *x, bool same_channels);

static inline void make_conv(struct maker *m, const struct value *x, int64_t oc)
{
    struct net *n = m->n;
    const int64_t k[2] = {PICK(1, 3, 3, 3, 2, 5), PICK(1, 3, 3, 3, 4)}, s[2] = {PICK(1, 1, 1, 2, 3), PICK(1, 1, 1, 2)}, d[2] = {PICK(1, 1, 1, 2), PICK(1, 1, 2)};
    int64_t pads[4], out[2], groups = 1;
    const int64_t in[2] = {x->h, x->w};
    const bool same = below(3);
    for (int i = 0; i < 2; i++) {
        const int64_t reach = (k[i] - 1) * d[i];
        pads[i] = same ? reach / 2 : below(4);
        pads[i + 2] = same ? reach - reach / 2 : below(4);
        if (in[i] + pads[i] + pads[i + 2] < reach + 1)
            pads[i + 2] += reach + 1 - (in[i] + pads[i] + pads[i + 2]);
        out[i] = (in[i] + pads[i] + pads[i + 2] - reach - 1) / s[i] + 1;
    }
    if (!below(4))
        groups = oc = x->c;
    const int64_t ic = x->c / groups, dim[4] = {oc, ic, k[0], k[1]};
    const size_t count = (size_t)(oc * ic * k[0] * k[1]);
    const float size = 1.5f / sqrtf((float)(ic * k[0] * k[1]));
    struct vd_onnx_node *conv, *both[2] = {NULL, NULL};
    struct value y = {.c = oc, .h = out[0], .w = out[1]};
    if (m->form == F32) {
        const int64_t per[1] = {oc};
        const char *w = net_const(n, VD_F32, 4, dim, random_floats(n, count, -size, size));
        conv = below(3) ? net_node(n, "Conv", 1, x->name, w, net_const(n, VD_F32, 1, per, random_floats(n, (size_t)oc, -1, 1)), NULL)
                        : net_node(n, "Conv", 1, x->name, w, NULL);
        y.name = conv->out[0];
    } else if (m->form == DYNAMIC) {
        y.name = dynamic_conv(m, x, oc, ic, dim, &conv);
    } else if (m->form == SCALED) {
        y.name = scaled_conv(m, x, below(4) ? NULL : other_like(m, x, true), oc, dim, both);
        conv = both[0];
    } else {
        int8_t *w = vd_arena_array(&n->a, count, 1);
        const int64_t per[1] = {oc};
        int32_t *bias = vd_arena_array(&n->a, (size_t)oc, sizeof(*bias));
        for (size_t i = 0; i < count; i++)
            w[i] = (int8_t)(below(255) - 127);
        for (int64_t i = 0; i < oc; i++)
            bias[i] = below(4000) - 2000;
        const bool unsigned_w = !below(3);
        const int type = unsigned_w ? VD_U8 : VD_S8;
        for (size_t i = 0; unsigned_w && i < count; i++)
            w[i] = (int8_t)(w[i] ^ 0x80);
        set_quant(m, &y, real(0.01f, 0.04f));
        conv = net_node(n, "QLinearConv", 1, x->name, x->scale, x->zp, net_const(n, type, 4, dim, w),
                        net_const(n, VD_F32, 1, per, random_floats(n, (size_t)oc, 0.5f * size / 127, size / 127)), net_byte(n, type, unsigned_w ? 128 : 0),
                        y.scale, y.zp, net_const(n, VD_S32, 1, per, bias), NULL);
        y.name = conv->out[0];
    }
    for (; conv; conv = conv == both[1] ? NULL : both[1]) {
        net_ints(n, conv, "kernel_shape", 2, k);
        net_ints(n, conv, "strides", 2, s);
        net_ints(n, conv, "dilations", 2, d);
        net_ints(n, conv, "pads", 4, pads);
        net_int(n, conv, "group", groups);
    }
    m->v[m->n_v++] = y;
}

static inline struct value *other_like(struct maker *m, const struct value *x, bool same_channels)
{
    for (int tries = 0; tries < 20; tries++) {
        struct value *y = &m->v[below(m->n_v)];
        if (y->h == x->h && y->w == x->w && (!same_channels || y->c == x->c))
            return y;
    }
    return NULL;
}

static inline void make_pool(struct maker *m, const struct value *x)
{
    const int64_t k[2] = {1 + below(3), 1 + below(3)}, s[2] = {1 + below(2), 1 + below(2)}, in[2] = {x->h, x->w};
    int64_t pads[4], out[2];
    const bool average = m->form != STATIC && below(2);
    struct vd_onnx_node *node = net_node(m->n, average ? "AveragePool" : "MaxPool", 1, x->name, NULL);
    for (int i = 0; i < 2; i++) {
        pads[i] = below((int)k[i]);
        pads[i + 2] = below((int)k[i]);
        if (in[i] + pads[i] + pads[i + 2] < k[i])
            pads[i] = k[i] - 1, pads[i + 2] = 0;
        out[i] = (in[i] + pads[i] + pads[i + 2] - k[i]) / s[i] + 1;
    }
    net_ints(m->n, node, "kernel_shape", 2, k);
    net_ints(m->n, node, "strides", 2, s);
    net_ints(m->n, node, "pads", 4, pads);
    if (average)
        net_int(m->n, node, "count_include_pad", below(2));
    struct value *y = add_value(m, node->out[0], x->c, out[0], out[1]);
    y->scale = x->scale;
    y->zp = x->zp;
}

static inline void make_other(struct maker *m, const struct value *x)
{
    struct net *n = m->n;
    const bool bytes = m->form == STATIC;
    const struct value *y = NULL;
    struct value *out;
    struct vd_onnx_node *node = NULL;
    const int64_t per[3] = {x->c, 1, 1};
    switch (below(7)) {
    case 6:
        make_pool(m, x);
        return;
    case 0:
        if (bytes) {
            node = net_node(n, "Clip", 1, x->name, net_byte(n, m->type, m->type == VD_S8 ? -100 + below(80) : below(80)), net_byte(n, m->type, m->type == VD_S8 ? below(120) : 100 + below(150)), NULL);
            out = add_value(m, node->out[0], x->c, x->h, x->w);
            out->scale = x->scale;
            out->zp = x->zp;
            return;
        }
        node = below(2) ? net_node(n, "Relu", 1, x->name, NULL) : net_node(n, "Clip", 1, x->name, net_f32(n, -0.5f), net_f32(n, 0.75f), NULL);
        break;
    case 1:
    case 2:
        if (!(y = other_like(m, x, true)))
            return;
        out = add_value(m, "", x->c, x->h, x->w);
        node = bytes ? net_node(n, "com.microsoft:QLinearAdd", 1, x->name, x->scale, x->zp, y->name, y->scale, y->zp, out->scale, out->zp, NULL)
                     : net_node(n, "Add", 1, x->name, y->name, NULL);
        out->name = node->out[0];
        return;
    case 3:
        if (!(y = other_like(m, x, false)) || x->c + y->c > 80)
            return;
        out = add_value(m, "", x->c + y->c, x->h, x->w);
        node = bytes ? net_node(n, "com.microsoft:QLinearConcat", 1, out->scale, out->zp, x->name, x->scale, x->zp, y->name, y->scale, y->zp, NULL)
                     : net_node(n, "Concat", 1, x->name, y->name, NULL);
        net_int(n, node, "axis", 1);
        out->name = node->out[0];
        return;
    case 4:
        if (bytes) {
            out = add_value(m, "", x->c, x->h, x->w);
            out->name = net_node(n, "com.microsoft:QLinearSigmoid", 1, x->name, x->scale, x->zp, out->scale, out->zp, NULL)->out[0];
            return;
        }
        node = net_node(n, "Sigmoid", 1, x->name, NULL);
        if (m->form == F32 && below(2)) /* infinite where a lane holds 0: lanes past the channels must not get into sums */
            node = net_node(n, "Reciprocal", 1, node->out[0], NULL);
        break;
    default:
        if (bytes)
            return;
        node = net_node(n, below(2) ? "Mul" : "Sub", 1, x->name, net_const(n, VD_F32, 3, per, random_floats(n, (size_t)x->c, 0.5f, 1.5f)), NULL);
        break;
    }
    add_value(m, node->out[0], x->c, x->h, x->w);
}

static inline void make_net(struct net *n, enum form form, int64_t c, int64_t h, int64_t w)
{
    struct maker m = {.n = n, .form = form, .type = below(2) ? VD_U8 : VD_S8};
    net_begin(n, 17);
    const char *x = net_input(n, VD_F32, 4);
    struct value *first = add_value(&m, x, c, h, w);
    if (form == STATIC)
        first->name = net_node(n, "QuantizeLinear", 1, x, first->scale, first->zp, NULL)->out[0];
    const int steps = 4 + below(8);
    make_conv(&m, &m.v[0], PICK(1, 16, 16, 20));
    for (int i = 0; i < steps; i++) {
        const struct value from = m.v[m.n_v - 1 - below(m.n_v < 3 ? m.n_v : 3)];
        if (below(5) < 3)
            make_conv(&m, &from, PICK(1, 3, 16, 16, 17, 32));
        else
            make_other(&m, &from);
    }
    make_conv(&m, &m.v[m.n_v - 1], PICK(1, 5, 16));
    for (int i = 0; i < 3; i++) {
        const struct value *v = &m.v[i ? below(m.n_v) : m.n_v - 1];
        const bool pool = form != STATIC && i == 2; /* reads a stream's blocks */
        const struct vd_onnx_node *out = form == STATIC && below(2) ? net_node(n, "DequantizeLinear", 1, v->name, v->scale, v->zp, NULL)
                                                                   : net_node(n, pool ? "GlobalAveragePool" : "Identity", 1, v->name, NULL);
        net_output(n, out->out[0]);
    }
}

/* --- running one --- */

struct run {
    const char *kernels;
    int threads, band_rows;
};

static inline void open_plan(struct vd_plan **p, struct vd_graph *g, const struct net *n, const struct run *how, struct vd_workers **w)
{
    const struct vd_kernels *k;
    assert_int_equal(vd_graph_build(g, &n->m), 0);
    assert_int_equal(vd_kernels_get(how->kernels, &k), 0);
    assert_int_equal(vd_workers_create(how->threads, w), 0);
    assert_int_equal(vd_plan_create(p, g, k, *w), 0);
    vd_plan_set_band_rows(*p, how->band_rows);
}

static inline void close_plan(struct vd_plan *p, struct vd_graph *g, struct vd_workers *w)
{
    vd_plan_free(p);
    vd_graph_free(g);
    vd_workers_free(w);
}

/* Outputs one behind the other; *size: bytes. */
static inline unsigned char *outputs_of(const struct net *n, const struct vd_tensor *x, const struct run *how, size_t *size, int *streams)
{
    struct vd_graph g;
    struct vd_plan *p;
    struct vd_workers *w;
    struct vd_tensor shape = *x;
    shape.data = NULL;
    open_plan(&p, &g, n, how, &w);
    if (vd_plan_shape(p, &shape))
        fail_msg("seed %llu: %s", (unsigned long long)seed, vd_reason());
    memcpy(vd_plan_input(p, 0)->data, x->data, vd_tensor_bytes(x));
    assert_int_equal(vd_plan_run(p), 0);
    *size = 0;
    for (int o = 0; o < g.n_out; o++)
        *size += vd_tensor_bytes(vd_plan_output(p, o));
    unsigned char *all = vd_malloc(*size), *at = all;
    for (int o = 0; o < g.n_out; o++) {
        const struct vd_tensor *t = vd_plan_output(p, o);
        memcpy(at, t->data, vd_tensor_bytes(t));
        at += vd_tensor_bytes(t);
    }
    *streams = 0;
    for (int i = 0; i < p->n_step; i++)
        *streams += p->step[i].stream != NULL;
    close_plan(p, &g, w);
    return all;
}

#endif
