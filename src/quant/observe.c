/* SPDX-License-Identifier: BSD-2-Clause */
#include "quant/observe.h"

#include <math.h>
#include <string.h>

#include "common/checked.h"
#include "common/mem.h"
#include "common/status.h"

enum { CHUNK = 1 << 16 };
static const float most = 0x1p40f; /* sums of 2^16 of them fit an exact sum */

struct part { float min, max; double sum; };

struct vd_observer {
    struct vd_calibration *c;
    struct vd_buf bytes;
    struct vd_onnx_model model; /* of bytes */
    struct vd_graph graph;
    struct vd_plan *plan;
    struct vd_workers *workers;
    int *tensor_of;             /* by value of the graph: index in c->tensor, or -1 */
    bool pictures;
    struct part *part; size_t n_part;          /* of the chunks of the tensor at hand */
    uint64_t *count;                           /* VD_HIST_BINS of each worker */
};

/* --- which tensors */


static int list_tensors(struct vd_observer *o)
{
    const struct vd_graph *g = &o->graph;
    struct vd_calibration *c = o->c;
    bool *wanted = vd_calloc((size_t)g->n_value + 1, sizeof(*wanted));
    o->tensor_of = vd_arena_array(&o->graph.arena, (size_t)g->n_value + 1, sizeof(*o->tensor_of));
    c->tensor = vd_arena_array(&c->arena, (size_t)g->n_value + 1, sizeof(*c->tensor));
    if (!wanted || !o->tensor_of || !c->tensor) {
        vd_free(wanted);
        return vd_nomem((size_t)g->n_value * sizeof(*c->tensor));
    }
    for (int i = 0; i < g->n_in; i++)
        wanted[i] = g->value[i].uses > 0;
    for (int i = 0; i < g->n_node; i++) {
        const struct vd_node *n = &g->node[i];
        for (int k = 0; k < n->n_out; k++)
            if (n->out[k] >= 0)
                wanted[n->out[k]] = true;
    }
    /* What only Relu or Clip reads is folded into its range wherever it is quantised. */
    for (int i = 0; i < g->n_node; i++) {
        const struct vd_node *n = &g->node[i];
        if ((!strcmp(n->op->name, "Relu") || !strcmp(n->op->name, "Clip")) && n->in[0] >= g->n_in && g->value[n->in[0]].uses == 1)
            wanted[n->in[0]] = false;
    }
    for (int i = 0; i < g->n_out; i++)
        if (g->value[g->out[i]].uses == 1)
            wanted[g->out[i]] = false; /* nobody computes with it */
    for (int i = 0; i < g->n_value; i++) {
        o->tensor_of[i] = -1;
        if (!wanted[i] || g->value[i].constant || c->n_tensor >= VD_CALIB_TENSORS)
            continue;
        const char *name = vd_arena_str(&c->arena, g->value[i].name, strlen(g->value[i].name));
        if (!name) {
            vd_free(wanted);
            return vd_nomem(strlen(g->value[i].name));
        }
        o->tensor_of[i] = c->n_tensor;
        c->tensor[c->n_tensor++].name = name;
    }
    vd_free(wanted);
    return 0;
}

/* --- one tensor of one frame */

struct job {
    struct vd_observer *o;
    const float *v;
    size_t plane, per_plane; /* elements of a channel's plane; chunks of it */
    struct vd_hist *hist;
};

/* Eight sums side by side, joined in one order: the same for any thread. */
static void range_task(void *arg, size_t task, int worker)
{
    const struct job *j = arg;
    const size_t at = task % j->per_plane * CHUNK, n = j->plane - at < CHUNK ? j->plane - at : CHUNK;
    const float *v = j->v + task / j->per_plane * j->plane + at;
    struct part *p = &j->o->part[task];
    float lo[8], hi[8];
    double sum[8] = {0};
    (void)worker;
    for (int k = 0; k < 8; k++)
        lo[k] = hi[k] = v[0];
    bool finite = true;
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t k = 0; k < 8; k++) {
            const float x = v[i + k];
            lo[k] = x < lo[k] ? x : lo[k];
            hi[k] = x > hi[k] ? x : hi[k];
            sum[k] += (double)x;
            finite &= fabsf(x) <= most; /* false for NaN */
        }
    for (; i < n; i++) {
        lo[0] = v[i] < lo[0] ? v[i] : lo[0];
        hi[0] = v[i] > hi[0] ? v[i] : hi[0];
        sum[0] += (double)v[i];
        finite &= fabsf(v[i]) <= most;
    }
    for (int k = 1; k < 8; k++) {
        lo[0] = lo[k] < lo[0] ? lo[k] : lo[0];
        hi[0] = hi[k] > hi[0] ? hi[k] : hi[0];
        sum[0] += sum[k];
    }
    *p = (struct part){lo[0], finite ? hi[0] : NAN, sum[0]};
}

static void count_task(void *arg, size_t task, int worker)
{
    const struct job *j = arg;
    const size_t at = task % j->per_plane * CHUNK, n = j->plane - at < CHUNK ? j->plane - at : CHUNK;
    vd_hist_count(j->hist, j->v + task / j->per_plane * j->plane + at, n, j->o->count + (size_t)worker * VD_HIST_BINS);
}

static int room_for(struct vd_observer *o, size_t parts)
{
    if (parts <= o->n_part)
        return 0;
    struct part *p = vd_realloc(o->part, parts, sizeof(*p));
    if (!p)
        return vd_nomem(parts * sizeof(*p));
    o->part = p;
    o->n_part = parts;
    return 0;
}

static int saw(void *arg, int value, const struct vd_tensor *t)
{
    struct vd_observer *o = arg;
    if (o->tensor_of[value] < 0 || t->type != VD_F32 || !vd_tensor_count(t))
        return 0;
    struct vd_calib_tensor *c = &o->c->tensor[o->tensor_of[value]];
    const size_t count = vd_tensor_count(t);
    const bool by_channel = t->rank >= 2 && t->dim[1] <= VD_CALIB_CHANNELS;
    const size_t channels = by_channel ? (size_t)t->dim[1] : 1, batch = by_channel ? (size_t)t->dim[0] : 1;
    struct job j = {.o = o, .v = t->data, .plane = count / (channels * batch), .hist = &c->hist};
    j.per_plane = (j.plane + CHUNK - 1) / CHUNK;
    const size_t tasks = j.per_plane * channels * batch;
    int rc = room_for(o, tasks);
    if (rc)
        return rc;
    if (c->hist.n && by_channel != (c->channels > 0))
        return vd_fail(ENOTSUP, "activation %s changes its rank from frame to frame", c->name);
    if (by_channel && (size_t)c->channels != channels) {
        if (c->hist.n)
            return vd_fail(ENOTSUP, "activation %s changes its number of channels from frame to frame", c->name);
        if (!(c->channel = vd_arena_array(&o->c->arena, channels, sizeof(*c->channel))))
            return vd_nomem(channels * sizeof(*c->channel));
        c->channels = (int)channels;
    }
    vd_workers_run(o->workers, range_task, &j, tasks);
    float lo = o->part[0].min, hi = o->part[0].max;
    for (size_t i = 0; i < tasks; i++) {
        const struct part *p = &o->part[i];
        if (isnan(p->max))
            return vd_fail(ERANGE, "activation %s has a value that is not finite, or over 2^40", c->name);
        lo = p->min < lo ? p->min : lo;
        hi = p->max > hi ? p->max : hi;
        if (!by_channel)
            continue;
        struct vd_calib_channel *ch = &c->channel[i / j.per_plane % channels];
        const bool first = !c->hist.n && i / j.per_plane < channels && i % j.per_plane == 0;
        ch->min = first || p->min < ch->min ? p->min : ch->min;
        ch->max = first || p->max > ch->max ? p->max : ch->max;
        vd_exact_add(&ch->sum, p->sum);
    }
    if (o->pictures && value < o->graph.n_in) {
        c->fixed = true;
        lo = lo < 0 ? lo : 0;
        hi = hi > 1 ? hi : 1;
    }
    if ((rc = vd_calib_counts(o->c, c)))
        return rc;
    vd_exact_add(&c->frame_min, (double)lo);
    vd_exact_add(&c->frame_max, (double)hi);
    vd_hist_cover(&c->hist, lo, hi);
    const size_t bins = (size_t)vd_workers_count(o->workers) * VD_HIST_BINS;
    memset(o->count, 0, bins * sizeof(*o->count));
    vd_workers_run(o->workers, count_task, &j, tasks);
    for (size_t w = 0; w < bins; w += VD_HIST_BINS)
        vd_hist_add(&c->hist, o->count + w);
    return 0;
}

/* --- the whole */

int vd_observer_open(struct vd_observer **out, const struct vd_onnx_model *m, struct vd_calibration *c, const struct vd_kernels *k,
                     struct vd_workers *w)
{
    struct vd_observer *o = vd_calloc(1, sizeof(*o));
    *out = NULL;
    if (!o)
        return vd_nomem(sizeof(*o));
    o->c = c;
    o->workers = w;
    int rc = vd_onnx_write(m, &o->bytes);
    if (!rc)
        rc = vd_onnx_read(&o->model, o->bytes.data, o->bytes.size);
    if (!rc)
        rc = vd_graph_build(&o->graph, &o->model);
    if (!rc && c)
        rc = list_tensors(o);
    if (!rc && c && !c->n_tensor)
        rc = vd_fail(ENOTSUP, "the model has no activation that could be quantised");
    if (!rc)
        rc = vd_plan_create(&o->plan, &o->graph, k, w);
    if (!rc && c && !(o->count = vd_calloc((size_t)vd_workers_count(w) * VD_HIST_BINS, sizeof(*o->count))))
        rc = vd_nomem(VD_HIST_BINS * sizeof(*o->count));
    if (rc) {
        vd_observer_close(o);
        return rc;
    }
    if (c)
        vd_plan_observe(o->plan, saw, o);
    *out = o;
    return 0;
}

void vd_observer_close(struct vd_observer *o)
{
    if (!o)
        return;
    vd_plan_free(o->plan);
    vd_graph_free(&o->graph);
    vd_onnx_free(&o->model);
    vd_free(o->bytes.data);
    vd_free(o->part);
    vd_free(o->count);
    vd_free(o);
}

int vd_observer_run(struct vd_observer *o, const struct vd_tensor *in, bool pictures)
{
    int rc = vd_plan_shape(o->plan, in);
    if (rc)
        return rc;
    for (int i = 0; i < o->graph.n_in; i++)
        memcpy(vd_plan_input(o->plan, i)->data, in[i].data, vd_tensor_bytes(&in[i]));
    o->pictures = pictures;
    rc = vd_plan_run(o->plan);
    if (!rc && o->c)
        o->c->frames++;
    return rc;
}

int vd_observer_n_out(const struct vd_observer *o) { return o->graph.n_out; }
const struct vd_tensor *vd_observer_output(const struct vd_observer *o, int i) { return vd_plan_output(o->plan, i); }
