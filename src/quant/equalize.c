/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <string.h>

#include "common/mem.h"
#include "common/status.h"
#include "quant/rewrite.h"
#include "quant/static.h"
#include "quant/weights.h"

/* A group is a set of values that must have one scale for each channel. Every node ties its values together or bars them. */

struct finder {
    const struct vd_onnx_model *m;
    struct vd_rewrite r; /* for names and constants; the model that it begins is thrown away, or is the result */
    struct vd_names values;
    const char **name;
    int *root, n_value;
    bool *barred;
    int *channels;       /* of a root: as many as its writers have; 0: no writer yet */
    bool *read;          /* of a root: some Conv reads it */
};

static bool is_op(const struct vd_onnx_node *n, const char *op) { return !strcmp(n->op_type, op); }

static int value_of(struct finder *f, const char *name)
{
    const int v = vd_names_add(&f->values, name, f->n_value);
    if (v == f->n_value) {
        f->name[v] = name;
        f->root[v] = v;
        f->n_value++;
    }
    return v;
}

static int root_of(struct finder *f, int v)
{
    while (f->root[v] != v)
        v = f->root[v] = f->root[f->root[v]];
    return v;
}

static void bar(struct finder *f, const char *name)
{
    if (*name)
        f->barred[root_of(f, value_of(f, name))] = true;
}

static int join(struct finder *f, const char *a, const char *b)
{
    const int x = root_of(f, value_of(f, a)), y = root_of(f, value_of(f, b)), first = x < y ? x : y, second = x < y ? y : x;
    if (first == second)
        return first;
    f->root[second] = first;
    f->barred[first] |= f->barred[second] || (f->channels[first] && f->channels[second] && f->channels[first] != f->channels[second]);
    if (!f->channels[first])
        f->channels[first] = f->channels[second];
    f->read[first] |= f->read[second];
    return first;
}

static const struct vd_onnx_tensor *constant(const struct finder *f, const char *name)
{
    const int c = vd_rewrite_constant(&f->r, name);
    return c < 0 ? NULL : f->r.constant[c];
}

/* Weights and bias that this Conv alone uses, finite float32. */
static bool own(const struct finder *f, const char *name, int rank)
{
    const int c = vd_rewrite_constant(&f->r, name);
    const struct vd_onnx_tensor *t = c < 0 ? NULL : f->r.constant[c];
    return t && c < f->m->n_init && f->r.uses[c] == 1 && t->type == VD_F32 && (rank ? t->rank == rank : t->rank >= 3) && t->count && vd_weights_finite(t);
}

static int64_t group_of(const struct vd_onnx_node *n)
{
    const struct vd_onnx_attr *a = vd_onnx_attr(n, "group");
    return a && a->type == VD_ATTR_INT && a->v.i > 0 ? a->v.i : 1;
}

static bool movable(const struct finder *f, const struct vd_onnx_node *n)
{
    if (!is_op(n, "Conv") || n->n_out != 1 || n->n_in < 2 || n->n_in > 3 || !own(f, n->in[1], 0) || (n->n_in > 2 && *n->in[2] && !own(f, n->in[2], 1)))
        return false;
    const struct vd_onnx_tensor *w = constant(f, n->in[1]), *b = n->n_in > 2 && *n->in[2] ? constant(f, n->in[2]) : NULL;
    return w->dim[0] % group_of(n) == 0 && w->dim[0] <= VD_CALIB_CHANNELS && (!b || b->dim[0] == w->dim[0]);
}

static void tie(struct finder *f, const struct vd_onnx_node *n)
{
    static const char *const passing[] = {"Relu", "LeakyRelu", "Identity", "MaxPool", "AveragePool", "GlobalAveragePool"};
    if (movable(f, n)) {
        const struct vd_onnx_tensor *w = constant(f, n->in[1]);
        const int x = root_of(f, value_of(f, n->in[0])), y = root_of(f, value_of(f, n->out[0]));
        const int64_t read = w->dim[1] * group_of(n);
        f->barred[y] |= f->channels[y] && f->channels[y] != w->dim[0];
        f->channels[y] = (int)w->dim[0];
        f->barred[x] |= (f->channels[x] && f->channels[x] != read) || read > VD_CALIB_CHANNELS;
        if (!f->channels[x])
            f->channels[x] = (int)read;
        f->read[x] = true;
        return;
    }
    for (size_t i = 0; i < sizeof(passing) / sizeof(*passing); i++)
        if (is_op(n, passing[i]) && n->n_in == 1 && n->n_out == 1) {
            join(f, n->in[0], n->out[0]);
            return;
        }
    if (is_op(n, "Add") && n->n_in == 2 && n->n_out == 1 && !constant(f, n->in[0]) && !constant(f, n->in[1])) {
        join(f, n->in[0], n->in[1]);
        join(f, n->in[0], n->out[0]);
        return;
    }
    for (int k = 0; k < n->n_in; k++)
        bar(f, n->in[k]);
    for (int k = 0; k < n->n_out; k++)
        bar(f, n->out[k]);
}

static int find(struct finder *f, const struct vd_onnx_model *m, struct vd_onnx_model *out)
{
    size_t most = (size_t)m->n_in + (size_t)m->n_out + 1;
    for (int i = 0; i < m->n_node; i++)
        most += (size_t)m->node[i].n_in + (size_t)m->node[i].n_out;
    f->m = m;
    int rc = vd_rewrite_begin(&f->r, m, out, 0, 2 * (size_t)m->n_node, 0);
    if (rc)
        return rc;
    f->name = vd_rewrite_alloc(&f->r, most, sizeof(*f->name));
    f->root = vd_rewrite_alloc(&f->r, most, sizeof(*f->root));
    f->barred = vd_rewrite_alloc(&f->r, most, sizeof(*f->barred));
    f->channels = vd_rewrite_alloc(&f->r, most, sizeof(*f->channels));
    f->read = vd_rewrite_alloc(&f->r, most, sizeof(*f->read));
    if (f->r.rc || (f->r.rc = vd_names_init(&f->values, &out->arena, most)))
        return f->r.rc;
    for (int i = 0; i < m->n_in; i++)
        bar(f, m->in[i].name);
    for (int i = 0; i < m->n_out; i++)
        bar(f, m->out[i].name);
    for (int i = 0; i < m->n_node; i++)
        tie(f, &m->node[i]);
    return 0;
}

/* --- scales */

/* Eight bits of significand: enough, and the same where the last bits of fp32 sums differ, but for a rare tie. */
static float coarse(double v)
{
    int e;
    const double s = frexp(v, &e);
    return (float)ldexp(rint(s * 256) / 256, e);
}

/* Each channel's range, as a share of its tensor's widest, the greatest over the group's tensors. Not under 1/64 and unseen ones 1: a dead
 * channel must not be blown up. */
static int set_scale(struct vd_calibration *c, struct vd_calib_group *g)
{
    double mean = 0;
    double *share = vd_arena_array(&c->arena, (size_t)g->channels, sizeof(*share));
    g->scale = vd_arena_array(&c->arena, (size_t)g->channels, sizeof(*g->scale));
    if (!share || !g->scale)
        return vd_nomem((size_t)g->channels * sizeof(*share));
    for (int k = 0; k < g->n_tensor; k++) {
        const struct vd_calib_tensor *t = vd_calib_find(c, g->tensor[k]);
        double widest = 0;
        if (!t || t->channels != g->channels)
            continue;
        for (int i = 0; i < t->channels; i++)
            widest = fmax(widest, fmax(-(double)t->channel[i].min, (double)t->channel[i].max));
        for (int i = 0; i < t->channels && widest > 0; i++)
            share[i] = fmax(share[i], fmax(-(double)t->channel[i].min, (double)t->channel[i].max) / widest);
    }
    for (int i = 0; i < g->channels; i++) {
        share[i] = share[i] > 0 ? fmax(share[i], 1.0 / 64) : 1;
        mean += log(share[i]) / g->channels;
    }
    for (int i = 0; i < g->channels; i++)
        g->scale[i] = coarse(exp(mean) / share[i]);
    return 0;
}

int vd_equalize(const struct vd_onnx_model *m, struct vd_calibration *c)
{
    struct finder f = {0};
    struct vd_onnx_model out = {0};
    int rc = find(&f, m, &out);
    c->n_group = 0;
    if (!rc && !(c->group = vd_arena_array(&c->arena, (size_t)f.n_value + 1, sizeof(*c->group))))
        rc = vd_nomem((size_t)f.n_value * sizeof(*c->group));
    for (int v = 0; !rc && v < f.n_value; v++) {
        if (root_of(&f, v) != v || f.barred[v] || !f.read[v] || !f.channels[v])
            continue;
        struct vd_calib_group *g = &c->group[c->n_group];
        *g = (struct vd_calib_group){.channels = f.channels[v], .tensor = vd_arena_array(&c->arena, (size_t)f.n_value, sizeof(*g->tensor))};
        if (!g->tensor) {
            rc = vd_nomem((size_t)f.n_value * sizeof(*g->tensor));
            break;
        }
        for (int k = v; k < f.n_value && !rc; k++)
            if (root_of(&f, k) == v && !(g->tensor[g->n_tensor++] = vd_arena_str(&c->arena, f.name[k], strlen(f.name[k]))))
                rc = vd_nomem(strlen(f.name[k]));
        if (!rc)
            rc = set_scale(c, g);
        c->n_group++;
    }
    vd_onnx_free(&out);
    return rc;
}

/* --- the equalised model */

/* The scale of a value's channels, NULL where there is none. */
static const float *scale_of(const struct vd_calibration *c, const char *name, int64_t channels)
{
    for (int i = 0; i < c->n_group; i++)
        for (int k = 0; k < c->group[i].n_tensor; k++)
            if (!strcmp(c->group[i].tensor[k], name) && c->group[i].channels == channels)
                return c->group[i].scale;
    return NULL;
}

static int check_groups(struct finder *f, const struct vd_calibration *c)
{
    for (int i = 0; i < c->n_group; i++)
        for (int k = 0; k < c->group[i].n_tensor; k++) {
            const int v = vd_names_find(&f->values, c->group[i].tensor[k]), root = v < 0 ? -1 : root_of(f, v);
            bool same = root >= 0 && !f->barred[root] && f->read[root] && f->channels[root] == c->group[i].channels;
            int members = 0;
            for (int j = 0; same && j < f->n_value; j++)
                members += root_of(f, j) == root;
            same = same && members == c->group[i].n_tensor && root == root_of(f, vd_names_find(&f->values, c->group[i].tensor[0]));
            if (!same)
                return vd_fail(EINVAL, "the calibration's equalisation of %s is not one of this model", c->group[i].tensor[k]);
        }
    return 0;
}

static void scale_conv(struct finder *f, const struct vd_onnx_node *n, const struct vd_calibration *c)
{
    const struct vd_onnx_tensor *w = constant(f, n->in[1]), *b = n->n_in > 2 && *n->in[2] ? constant(f, n->in[2]) : NULL;
    const size_t m = (size_t)w->dim[0], ic = (size_t)w->dim[1], taps = w->count / m / ic, per_group = m / (size_t)group_of(n);
    const float *sy = scale_of(c, n->out[0], w->dim[0]), *sx = scale_of(c, n->in[0], w->dim[1] * group_of(n));
    if (!sy && !sx)
        return;
    float *v = vd_rewrite_alloc(&f->r, w->count, sizeof(*v)), *bv = sy && b ? vd_rewrite_alloc(&f->r, m, sizeof(*bv)) : NULL;
    if (f->r.rc)
        return;
    for (size_t o = 0; o < m; o++)
        for (size_t i = 0; i < ic; i++)
            for (size_t k = 0; k < taps; k++) {
                const size_t at = (o * ic + i) * taps + k;
                v[at] = (float)((double)vd_onnx_f32(w, at) * (sy ? (double)sy[o] : 1) / (sx ? (double)sx[o / per_group * ic + i] : 1));
            }
    vd_rewrite_init(&f->r, w->name, VD_F32, w->rank, w->dim, v);
    vd_rewrite_unuse(&f->r, vd_rewrite_constant(&f->r, n->in[1]));
    if (!bv)
        return;
    for (size_t o = 0; o < m; o++)
        bv[o] = (float)((double)vd_onnx_f32(b, o) * (double)sy[o]);
    vd_rewrite_init(&f->r, b->name, VD_F32, 1, b->dim, bv);
    vd_rewrite_unuse(&f->r, vd_rewrite_constant(&f->r, n->in[2]));
}

int vd_equalized(const struct vd_onnx_model *m, const struct vd_calibration *c, struct vd_onnx_model *out)
{
    struct finder f = {0};
    *out = (struct vd_onnx_model){0};
    int rc = find(&f, m, out);
    if (!rc)
        rc = check_groups(&f, c);
    if (rc) {
        vd_onnx_free(out);
        *out = (struct vd_onnx_model){0};
        return rc;
    }
    for (int i = 0; i < m->n_node && !f.r.rc; i++) {
        if (movable(&f, &m->node[i]))
            scale_conv(&f, &m->node[i], c);
        vd_rewrite_keep(&f.r, &m->node[i]);
    }
    return vd_rewrite_end(&f.r, NULL, 0);
}
