/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_TRAIN_REFERENCE_H
#define VD_TRAIN_REFERENCE_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/loss.h"
#include "onnx/onnx.h"

/* The loss of a model over a batch, in long double and in the plainest loops, for the operators of src/train: what the gradients are
 * differences of: steps may then be so small that hardly one crosses the kink of a Relu. Weights are read from `weight` when the initialiser's name is found there. A final Clip is left out. */

typedef long double real;

struct ref_weight { const char *name; real *v; size_t n; };

struct ref_tensor { const char *name; int n, c, h, w; real *v; };

struct ref {
    const struct vd_onnx_model *m;
    struct ref_weight *weight;
    int n_weight;
    struct ref_tensor t[256];
    int n;
    /* Quantisation-aware: made is called for each value, which it may change or make another of; read says which tensor a node reads. NULL: neither. */
    void (*made)(struct ref *r, int tensor);
    const char *(*read)(struct ref *r, const struct vd_onnx_node *n, const char *name);
    void *arg;
};

static inline real *ref_get(const struct ref *r, const char *name)
{
    for (int i = 0; i < r->n_weight; i++)
        if (!strcmp(r->weight[i].name, name))
            return r->weight[i].v;
    abort();
}

static inline const struct ref_tensor *ref_value(const struct ref *r, const char *name)
{
    for (int i = r->n - 1; i >= 0; i--)
        if (!strcmp(r->t[i].name, name))
            return &r->t[i];
    abort();
}

static inline struct ref_tensor *ref_new(struct ref *r, const char *name, int n, int c, int h, int w)
{
    struct ref_tensor *t = &r->t[r->n++];
    *t = (struct ref_tensor){name, n, c, h, w, calloc((size_t)(n * c * h * w), sizeof(real))};
    if (!t->v || r->n > 250)
        abort();
    return t;
}

static inline int64_t ref_attr(const struct vd_onnx_node *n, const char *name, int i, int64_t fallback)
{
    const struct vd_onnx_attr *a = vd_onnx_attr(n, name);
    return !a ? fallback : a->type == VD_ATTR_INTS ? a->v.ints[i] : a->v.i;
}

#define REF_AT(t, n_, c_, y_, x_) (t)->v[(((n_) * (t)->c + (c_)) * (t)->h + (y_)) * (t)->w + (x_)]

static inline const struct ref_tensor *ref_input(struct ref *r, const struct vd_onnx_node *n, int i)
{
    return ref_value(r, r->read ? r->read(r, n, n->in[i]) : n->in[i]);
}

static inline void ref_conv(struct ref *r, const struct vd_onnx_node *n)
{
    const struct ref_tensor *x = ref_input(r, n, 0);
    const struct vd_onnx_tensor *shape = vd_onnx_init(r->m, n->in[1]);
    const real *w = ref_get(r, n->in[1]), *b = n->n_in > 2 ? ref_get(r, n->in[2]) : NULL;
    const int oc = (int)shape->dim[0], ic = (int)shape->dim[1], kh = (int)shape->dim[2], kw = (int)shape->dim[3];
    const int group = (int)ref_attr(n, "group", 0, 1), s = (int)ref_attr(n, "strides", 0, 1), d = (int)ref_attr(n, "dilations", 0, 1);
    const int top = (int)ref_attr(n, "pads", 0, 0), left = (int)ref_attr(n, "pads", 1, 0), bottom = (int)ref_attr(n, "pads", 2, 0),
              right = (int)ref_attr(n, "pads", 3, 0);
    const int oh = (x->h + top + bottom - (kh - 1) * d - 1) / s + 1, ow = (x->w + left + right - (kw - 1) * d - 1) / s + 1;
    struct ref_tensor *y = ref_new(r, n->out[0], x->n, oc, oh, ow);
    for (int i = 0; i < x->n; i++)
        for (int o = 0; o < oc; o++)
            for (int yy = 0; yy < oh; yy++)
                for (int xx = 0; xx < ow; xx++) {
                    real sum = b ? b[o] : 0;
                    for (int c = 0; c < ic; c++)
                        for (int ky = 0; ky < kh; ky++)
                            for (int kx = 0; kx < kw; kx++) {
                                const int sy = yy * s + ky * d - top, sx = xx * s + kx * d - left, ch = o / (oc / group) * ic + c;
                                if (sy >= 0 && sy < x->h && sx >= 0 && sx < x->w)
                                    sum += REF_AT(x, i, ch, sy, sx) * w[((o * ic + c) * kh + ky) * kw + kx];
                            }
                    REF_AT(y, i, o, yy, xx) = sum;
                }
}

static inline void ref_norm(struct ref *r, const struct vd_onnx_node *n)
{
    const struct ref_tensor *x = ref_value(r, n->in[0]);
    const real *scale = ref_get(r, n->in[1]), *shift = ref_get(r, n->in[2]);
    struct ref_tensor *y = ref_new(r, n->out[0], x->n, x->c, x->h, x->w);
    const int area = x->h * x->w;
    for (int c = 0; c < x->c; c++) {
        real mean = 0, var = 0;
        for (int i = 0; i < x->n; i++)
            for (int k = 0; k < area; k++)
                mean += x->v[(i * x->c + c) * area + k] / (x->n * area);
        for (int i = 0; i < x->n; i++)
            for (int k = 0; k < area; k++)
                var += powl(x->v[(i * x->c + c) * area + k] - mean, 2) / (x->n * area);
        for (int i = 0; i < x->n; i++)
            for (int k = 0; k < area; k++)
                y->v[(i * x->c + c) * area + k] = (x->v[(i * x->c + c) * area + k] - mean) / sqrtl(var + (real)1e-5f) * scale[c] + shift[c];
    }
}

static inline void ref_node(struct ref *r, const struct vd_onnx_node *n, bool last)
{
    const char *op = n->op_type;
    const struct ref_tensor *x = ref_input(r, n, 0);
    if (!strcmp(op, "Conv")) {
        ref_conv(r, n);
    } else if (!strcmp(op, "BatchNormalization")) {
        ref_norm(r, n);
    } else if (!strcmp(op, "GlobalAveragePool")) {
        struct ref_tensor *y = ref_new(r, n->out[0], x->n, x->c, 1, 1);
        for (int i = 0; i < x->n * x->c * x->h * x->w; i++)
            y->v[i / (x->h * x->w)] += x->v[i] / (x->h * x->w);
    } else if (!strcmp(op, "Gemm")) {
        const real *w = ref_get(r, n->in[1]), *b = ref_get(r, n->in[2]);
        const int oc = (int)vd_onnx_init(r->m, n->in[1])->dim[0];
        struct ref_tensor *y = ref_new(r, n->out[0], x->n, oc, 1, 1);
        for (int i = 0; i < x->n * oc; i++) {
            y->v[i] = b[i % oc];
            for (int c = 0; c < x->c; c++)
                y->v[i] += x->v[i / oc * x->c + c] * w[i % oc * x->c + c];
        }
    } else {
        const struct ref_tensor *b = !strcmp(op, "Add") ? ref_input(r, n, 1) : NULL;
        const real lo = !strcmp(op, "Relu") ? 0 : !strcmp(op, "Clip") && !last ? (real)vd_onnx_f32(vd_onnx_init(r->m, n->in[1]), 0) : -INFINITY;
        const real hi = !strcmp(op, "Clip") && !last ? (real)vd_onnx_f32(vd_onnx_init(r->m, n->in[2]), 0) : INFINITY;
        struct ref_tensor *y = ref_new(r, n->out[0], x->n, x->c, x->h, x->w);
        for (int i = 0; i < x->n * x->c * x->h * x->w; i++)
            y->v[i] = fminl(hi, fmaxl(lo, b ? x->v[i] + b->v[i] : x->v[i]));
    }
}

/* x: [batch][c][h][w]; target: [batch][outputs]. */
static inline real ref_loss(struct ref *r, const struct vd_loss *l, const float *x, int batch, int c, int h, int w, const float *target)
{
    real loss = 0;
    struct ref_tensor *in = ref_new(r, r->m->in[0].name, batch, c, h, w);
    for (int i = 0; i < batch * c * h * w; i++)
        in->v[i] = (real)x[i];
    if (r->made)
        r->made(r, r->n - 1);
    for (int i = 0; i < r->m->n_node; i++) {
        ref_node(r, &r->m->node[i], i == r->m->n_node - 1);
        if (r->made)
            r->made(r, r->n - 1);
    }
    const struct ref_tensor *y = ref_value(r, r->m->out[0].name);
    const int count = y->n * y->c * y->h * y->w;
    for (int i = 0; i < count; i++) {
        const real d = y->v[i] - (real)target[i];
        loss += ((real)l->l1 * fabsl(d) + (real)l->l2 * d * d + (l->charbonnier != 0 ? (real)l->charbonnier * sqrtl(d * d + (real)l->eps * (real)l->eps) : 0)) / count;
    }
    int pairs = 0;
    real rank = 0;
    for (int i = 0; l->rank != 0 && i < batch; i++)
        for (int j = 0; j < i; j++) {
            const real t = (real)target[i] - (real)target[j];
            if (fabsl(t) > (real)l->margin) {
                pairs++;
                rank += logl(1 + expl(-(t > 0 ? 1 : -1) * (y->v[i] - y->v[j]) / (real)l->scale));
            }
        }
    for (int i = 0; i < r->n; i++)
        free(r->t[i].v);
    r->n = 0;
    return loss + (pairs ? (real)l->rank * rank / pairs : 0);
}

#endif
