/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>
#include <time.h>

#include "common/mem.h"
#include "common/status.h"
#include "gate/explain.h"
#include "gate/pair.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

/* The shortest of some: the first one shapes it and touches its memory, and others may be held up by whatever else runs. */
static int timed(struct vd_probe *p, const struct vd_tensor *const *in, double *start, double *duration)
{
    enum { TIMES = 7 };
    int rc = vd_probe_run(p, in);
    *duration = 0;
    for (int k = 0; !rc && k < TIMES; k++) {
        const double began = now();
        rc = vd_plan_run(p->plan);
        const double took = now() - began;
        if (!k || took < *duration)
            *start = began, *duration = took;
    }
    return rc;
}

struct tracer {
    const struct vd_explain *e;
    struct vd_trace *t;
    const struct vd_kernels *k;
    struct vd_workers *w;
    struct vd_probe all;          /* every point, from the int8 graph itself */
    int *out_of;                  /* by point: output of all; -1 - i: input i */
    const struct vd_tensor *in;
};

static const struct vd_tensor *value(const struct tracer *r, int point)
{
    const int at = r->out_of[point];
    return at < 0 ? &r->in[-1 - at] : vd_probe_output(&r->all, at);
}

/* Constants that the layer's main node reads. */
static size_t weight_bytes(const struct vd_onnx_model *m, const struct vd_onnx_node *n)
{
    size_t bytes = 0;
    for (int k = 0; k < n->n_in; k++) {
        const struct vd_onnx_tensor *t = vd_onnx_init(m, n->in[k]);
        bytes += t ? t->size : 0;
    }
    return bytes;
}

static int layer_event(struct tracer *r, const struct vd_layer *l)
{
    enum { MOST = sizeof(((struct vd_trace_event *)0)->in) / sizeof(((struct vd_trace_event *)0)->in[0]) };
    const struct vd_onnx_model *q = &r->e->model[VD_INT8];
    struct vd_trace_event *ev = &r->t->event[r->t->n_event];
    struct vd_arena a = {0};
    struct vd_probe_value *name = vd_arena_array(&a, (size_t)l->n_in + 1, sizeof(*name));
    const struct vd_tensor **in = vd_arena_array(&a, (size_t)l->n_in + 1, sizeof(*in));
    struct vd_probe p = {0};
    int rc = name && in ? 0 : vd_nomem(sizeof(*in));
    *ev = (struct vd_trace_event){.name = l->int8_name, .op = l->int8_op, .index = l->int8_index, .layer = l};
    for (int i = 0; !rc && i < l->n_in; i++) {
        in[i] = value(r, l->in[i]);
        name[i] = r->e->layers.point[l->in[i]].int8;
        name[i].type = in[i]->type;
        ev->in_bytes += vd_tensor_bytes(in[i]);
        if (i < MOST) {
            ev->in[ev->n_in].type = in[i]->type;
            ev->in[ev->n_in].rank = in[i]->rank;
            memcpy(ev->in[ev->n_in++].dim, in[i]->dim, sizeof(in[i]->dim));
        }
    }
    if (!rc)
        rc = vd_probe_open(&p, q, name, l->n_in, &r->e->layers.point[l->out].int8, 1, r->k, r->w);
    if (!rc)
        rc = timed(&p, in, &ev->start, &ev->duration);
    if (!rc) {
        const struct vd_tensor *out = vd_probe_output(&p, 0);
        ev->out.type = out->type;
        ev->out.rank = out->rank;
        memcpy(ev->out.dim, out->dim, sizeof(out->dim));
        ev->out_bytes = vd_tensor_bytes(out);
        ev->weight_bytes = weight_bytes(q, &q->node[l->int8_index]);
        r->t->n_event++;
    }
    vd_probe_close(&p);
    vd_arena_free(&a);
    return rc;
}

/* The model as it runs. */
static int whole(struct tracer *r, const struct vd_tensor *const *in)
{
    const struct vd_onnx_model *q = &r->e->model[VD_INT8];
    struct vd_arena a = {0};
    struct vd_probe_value *name_in = vd_arena_array(&a, (size_t)q->n_in + 1, sizeof(*name_in)), *name_out = vd_arena_array(&a, (size_t)q->n_out + 1, sizeof(*name_out));
    struct vd_probe p = {0};
    int rc = name_in && name_out ? 0 : vd_nomem(sizeof(*name_in));
    for (int i = 0; !rc && i < q->n_in; i++)
        name_in[i].name = q->in[i].name;
    for (int i = 0; !rc && i < q->n_out; i++)
        name_out[i].name = q->out[i].name;
    if (!rc)
        rc = vd_probe_open(&p, q, name_in, q->n_in, name_out, q->n_out, r->k, r->w);
    if (!rc)
        rc = timed(&p, in, &r->t->run_start, &r->t->run_duration);
    vd_probe_close(&p);
    vd_arena_free(&a);
    return rc;
}

static int open_all(struct tracer *r, struct vd_arena *a)
{
    const struct vd_layers *l = &r->e->layers;
    const struct vd_onnx_model *q = &r->e->model[VD_INT8];
    struct vd_probe_value *in = vd_arena_array(a, (size_t)q->n_in + 1, sizeof(*in)), *out = vd_arena_array(a, (size_t)l->n_point + 1, sizeof(*out));
    r->out_of = vd_arena_array(a, (size_t)l->n_point + 1, sizeof(*r->out_of));
    int n = 0;
    if (!in || !out || !r->out_of)
        return vd_nomem(sizeof(*out));
    for (int i = 0; i < q->n_in; i++)
        in[i].name = q->in[i].name;
    for (int p = 0; p < l->n_point; p++) {
        int input = 0;
        while (input < q->n_in && strcmp(q->in[input].name, l->point[p].int8.name))
            input++;
        r->out_of[p] = input < q->n_in ? -1 - input : n;
        if (input == q->n_in)
            out[n++] = l->point[p].int8;
    }
    return vd_probe_open(&r->all, q, in, q->n_in, out, n, r->k, r->w);
}

int vd_trace(const struct vd_gate_result *res, const struct vd_gate_opts *o, const struct vd_explain *e, struct vd_trace *t)
{
    struct tracer r = {.e = e, .t = t};
    struct vd_arena a = {0};
    struct vd_tensor *in = NULL;
    const struct vd_tensor **feed = vd_arena_array(&a, res->n_in + 1, sizeof(*feed));
    *t = (struct vd_trace){.n_event = 0};
    t->event = vd_arena_array(&t->arena, (size_t)e->layers.n_layer + 1, sizeof(*t->event));
    int rc = feed && t->event ? vd_explain_sample(res, 0, &a, &in) : vd_nomem(sizeof(*t->event));
    for (size_t i = 0; !rc && i < res->n_in; i++)
        feed[i] = &in[i];
    r.in = in;
    if (!rc)
        rc = vd_kernels_get(o->kernels, &r.k);
    if (!rc)
        rc = vd_workers_create(o->threads, &r.w);
    if (!rc)
        rc = whole(&r, feed);
    if (!rc)
        rc = open_all(&r, &a);
    if (!rc)
        rc = vd_probe_run(&r.all, feed);
    for (int i = 0; !rc && i < e->layers.n_layer; i++)
        rc = layer_event(&r, &e->layers.layer[i]);
    vd_probe_close(&r.all);
    vd_workers_free(r.w);
    vd_arena_free(&a);
    if (rc)
        vd_trace_free(t);
    return rc;
}

void vd_trace_free(struct vd_trace *t)
{
    vd_arena_free(&t->arena);
    *t = (struct vd_trace){0};
}
