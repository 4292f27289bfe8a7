/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <string.h>

#include "train/net_priv.h"

struct store {
    const struct vd_net *n;
    const float *params;
    const double *state;
    struct vd_onnx_model *out;
    int added;
};

static void *take(struct store *s, size_t count, size_t size) { return vd_arena_array(&s->out->arena, count ? count : 1, size); }

static struct vd_onnx_tensor *find(struct vd_onnx_model *m, const char *name)
{
    for (int i = 0; i < m->n_init; i++)
        if (!strcmp(m->init[i].name, name))
            return &m->init[i];
    return NULL;
}

static int copy_params(struct store *s)
{
    const struct vd_layer *scaled = vd_net_scaled(s->n);
    for (int i = 0; i < s->n->n_param; i++) {
        const struct vd_net_param *p = &s->n->param[i];
        if (p->range)
            continue;
        struct vd_onnx_tensor *t = find(s->out, p->name);
        float *data = vd_arena_dup(&s->out->arena, s->params + p->offset, p->count * sizeof(float));
        t->data = (const uint8_t *)data;
        t->size = p->count * sizeof(float);
        if (!data)
            return vd_nomem(t->size);
        const bool times = scaled && ((int64_t)p->offset == scaled->param[0] || (int64_t)p->offset == scaled->param[1]);
        for (size_t k = 0; times && k < p->count; k++)
            data[k] = (float)((double)data[k] * s->n->o.output_scale);
    }
    return 0;
}

static float *data_of(struct vd_onnx_tensor *t) { return (float *)(uintptr_t)t->data; } /* this file's own copy */

/* Readers of a value among the model's nodes and outputs. */
static int readers(const struct vd_onnx_model *m, const char *name)
{
    int n = 0;
    for (int i = 0; i < m->n_out; i++)
        n += !strcmp(m->out[i].name, name);
    for (int i = 0; i < m->n_node; i++)
        for (int k = 0; k < m->node[i].n_in; k++)
            n += !strcmp(m->node[i].in[k], name);
    return n;
}

static int producer(const struct vd_onnx_model *m, const char *name)
{
    for (int i = 0; i < m->n_node; i++)
        for (int k = 0; k < m->node[i].n_out; k++)
            if (!strcmp(m->node[i].out[k], name))
                return i;
    return -1;
}

/* y = a x + d per channel, of the running statistics. */
static void affine(const struct store *s, const struct vd_layer *l, int c, int channels, double *a, double *d)
{
    const double *running = s->state + (l->running - s->n->state);
    *a = (double)s->params[l->param[0] + c] / sqrt(running[channels + c] + l->epsilon);
    *d = (double)s->params[l->param[1] + c] - running[c] * *a;
}

/* A convolution that no one else reads takes the scale and the shift behind it; weights that are shared stay as they are. */
static bool can_fold(const struct vd_onnx_model *m, const struct vd_onnx_node *conv)
{
    return !strcmp(conv->op_type, "Conv") && readers(m, conv->out[0]) == 1 && readers(m, conv->in[1]) == 1 &&
           (conv->n_in < 3 || !conv->in[2][0] || readers(m, conv->in[2]) == 1);
}

static int fold(struct store *s, const struct vd_layer *l, struct vd_onnx_node *norm, struct vd_onnx_node *conv)
{
    struct vd_onnx_tensor *w = find(s->out, conv->in[1]), *b = conv->n_in > 2 && conv->in[2][0] ? find(s->out, conv->in[2]) : NULL;
    const int channels = (int)w->dim[0];
    const size_t each = w->count / (size_t)channels;

    if (!b) {
        b = &s->out->init[s->out->n_init++];
        *b = (struct vd_onnx_tensor){.name = vd_arena_printf(&s->out->arena, "%s_bias", norm->in[0]), .type = VD_F32, .rank = 1, .dim = {channels},
                                     .count = (size_t)channels, .size = (size_t)channels * sizeof(float)};
        b->data = take(s, (size_t)channels, sizeof(float));
        const char **in = take(s, 3, sizeof(*in));
        if (!b->name || !b->data || !in)
            return vd_nomem(b->size);
        in[0] = conv->in[0];
        in[1] = conv->in[1];
        in[2] = b->name;
        conv->in = in;
        conv->n_in = 3;
    }
    for (int c = 0; c < channels; c++) {
        double a, d;
        affine(s, l, c, channels, &a, &d);
        for (size_t i = 0; i < each; i++)
            data_of(w)[(size_t)c * each + i] = (float)((double)data_of(w)[(size_t)c * each + i] * a);
        data_of(b)[c] = (float)((double)data_of(b)[c] * a + d);
    }
    const char **out = take(s, (size_t)conv->n_out, sizeof(*out));
    if (!out)
        return vd_nomem(sizeof(*out));
    memcpy(out, conv->out, (size_t)conv->n_out * sizeof(*out));
    out[0] = norm->out[0];
    conv->out = out;
    norm->op_type = NULL; /* goes */
    return 0;
}

/* Not folded: the running statistics become the node's own. */
static int keep_norm(struct store *s, const struct vd_layer *l, const struct vd_onnx_node *norm)
{
    for (int k = 0; k < 2; k++) {
        struct vd_onnx_tensor *t = find(s->out, norm->in[3 + k]);
        float *v = take(s, t->count, sizeof(float));
        if (!v)
            return vd_nomem(t->size);
        for (size_t i = 0; i < t->count; i++)
            v[i] = (float)s->state[(size_t)(l->running - s->n->state) + (size_t)k * t->count + i];
        t->data = (const uint8_t *)v;
        t->size = t->count * sizeof(float);
    }
    return 0;
}

static void drop_unused(struct vd_onnx_model *m)
{
    int kept = 0;
    for (int i = 0; i < m->n_node; i++)
        if (m->node[i].op_type)
            m->node[kept++] = m->node[i];
    m->n_node = kept;
    kept = 0;
    for (int i = 0; i < m->n_init; i++)
        if (readers(m, m->init[i].name))
            m->init[kept++] = m->init[i];
    m->n_init = kept;
}

int vd_net_store(const struct vd_net *n, const float *params, const double *state, struct vd_onnx_model *out)
{
    const struct vd_onnx_model *m = n->g->model;
    struct store s = {.n = n, .params = params, .state = state, .out = out};

    *out = *m;
    out->arena = (struct vd_arena){0};
    memset(&out->init_names, 0, sizeof(out->init_names));
    out->init_names_of = NULL;
    out->node = take(&s, (size_t)m->n_node, sizeof(*out->node));
    out->init = take(&s, (size_t)m->n_init + (size_t)n->norms, sizeof(*out->init));
    int rc = !out->node || !out->init ? vd_nomem(0) : 0;
    if (!rc) {
        memcpy(out->node, m->node, (size_t)m->n_node * sizeof(*out->node));
        memcpy(out->init, m->init, (size_t)m->n_init * sizeof(*out->init));
        rc = copy_params(&s);
    }
    for (int i = 0; !rc && i < n->n_layer; i++) {
        const struct vd_layer *l = &n->layer[i];
        if (l->kind != VD_LAYER_NORM)
            continue;
        struct vd_onnx_node *norm = &out->node[producer(out, l->node->proto->out[0])];
        const int at = producer(out, norm->in[0]);
        rc = at >= 0 && can_fold(out, &out->node[at]) ? fold(&s, l, norm, &out->node[at]) : keep_norm(&s, l, norm);
        if (!rc && !norm->op_type)
            drop_unused(out);
    }
    if (!rc)
        rc = vd_onnx_index(out);
    if (rc)
        vd_onnx_free(out);
    return rc;
}
