/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <string.h>

#include "ops/dynamic_range.h"
#include "plan/steps.h"
#include "plan/row_stream.h"

/* --- the range of what no stream wrote: a graph's input, or the result of another step --- */

struct range_job {
    const struct vd_plan *p;
    const float *x; /* NULL: the plane */
    size_t n;
    float lo[VD_MAX_THREADS], hi[VD_MAX_THREADS];
};

enum { RANGE_CHUNK = 1 << 16 };

static void tensor_task(void *arg, size_t task, int worker)
{
    struct range_job *j = arg;
    const size_t at = task * RANGE_CHUNK;
    j->p->kernels->range_f32(j->x + at, j->n - at < RANGE_CHUNK ? j->n - at : RANGE_CHUNK, &j->lo[worker], &j->hi[worker]);
}

/* Samples rise with what they stand for: the range is that of the lowest and the highest sample. */
static void plane_task(void *arg, size_t task, int worker)
{
    struct range_job *j = arg;
    float range[2];
    vd_plane_range(j->p->plane, j->p->kernels, (int)task, range);
    j->lo[worker] = range[0] < j->lo[worker] ? range[0] : j->lo[worker];
    j->hi[worker] = range[1] > j->hi[worker] ? range[1] : j->hi[worker];
}

static void find_range(struct vd_plan *p, int v)
{
    struct range_job j = {.p = p, .x = p->t[v].data};
    struct vd_cross *c = &p->cross[v];
    if (c->plane) {
        vd_workers_run(p->workers, plane_task, &j, (size_t)p->plane->h);
    } else {
        j.n = vd_tensor_count(&p->t[v]);
        vd_workers_run(p->workers, tensor_task, &j, (j.n + RANGE_CHUNK - 1) / RANGE_CHUNK);
    }
    c->range[0] = c->range[1] = 0;
    for (int i = 0; i < vd_workers_count(p->workers); i++)
        p->kernels->range_f32((const float[]){j.lo[i], j.hi[i]}, 2, &c->range[0], &c->range[1]);
}

/* --- what a run sets before its rows --- */

static int set_quantise(struct vd_plan *p, struct vd_stream *s, struct vd_stream_op *o)
{
    struct vd_cross *c = &p->cross[o->dynamic];
    if (!c->ranged)
        find_range(p, o->dynamic);
    if (!isfinite(c->range[0]) || !isfinite(c->range[1]))
        return vd_fail(ERANGE, "an activation that is to be quantised is not finite");
    uint8_t zp;
    if (!vd_dynamic_range(c->range[0], c->range[1], &o->q_scale, &zp))
        return vd_fail(ERANGE, "activations from %g to %g are too far apart to be quantised", (double)c->range[0], (double)c->range[1]);
    o->zp = zp;
    for (int v = 0; v < s->n_value; v++) { /* the value itself, and its copies in other layouts */
        struct vd_stream_value *x = &s->value[v];
        const struct vd_stream_op *maker = x->producer < 0 ? NULL : &s->op[x->producer];
        if (v != o->out && !(maker && (maker->kind == VD_ROW_RELAYOUT || maker->kind == VD_ROW_COPY) && maker->in[0] == o->out))
            continue;
        x->zp = zp;
        if (x->pad)
            memset(x->pad - x->head, zp, x->row);
    }
    return 0;
}

static int set_dynamic(struct vd_plan *p, struct vd_stream *s)
{
    for (int i = 0; i < s->n_op; i++) {
        struct vd_stream_op *o = &s->op[i];
        if (o->kind == VD_ROW_QUANTIZE && o->dynamic >= 0) {
            const int rc = set_quantise(p, s, o);
            if (rc)
                return rc;
        }
        if (o->kind != VD_ROW_CONV || o->quantize < 0)
            continue;
        const struct vd_stream_op *q = &s->op[o->quantize];
        for (int c = 0; c < o->conv.shape.oc; c++) {
            o->scale[c] = q->q_scale * o->w_scale[c];
            o->bias32[c] = (int32_t)(0 - (uint32_t)q->zp * (uint32_t)o->w_sum[c]);
        }
    }
    return 0;
}

/* --- bands --- */

struct band_job {
    struct vd_plan *p;
    struct vd_stream *s;
};

static unsigned char *area_of(const struct vd_plan *p, int worker) { return p->scratch + (size_t)worker * p->scratch_step; }

static void make_row(void *arg, int op, int64_t row)
{
    const struct vd_stream_job *j = arg;
    const double begin = j->seconds ? vd_profile_now() : 0;
    vd_stream_row(j, op, row);
    if (j->seconds)
        j->seconds[op] += vd_profile_now() - begin;
}

static void band_task(void *arg, size_t task, int worker)
{
    const struct band_job *b = arg;
    unsigned char *area = area_of(b->p, worker);
    struct vd_stream_job j = {.p = b->p, .s = b->s, .n = (int64_t)(task / (size_t)b->s->bands), .band = (int)(task % (size_t)b->s->bands), .area = area,
                              .seconds = b->s->seconds ? b->s->seconds + (size_t)worker * (size_t)b->s->n_op : NULL,
                              .tails = b->s->tails ? b->s->tails + (size_t)worker * (size_t)b->s->n_op : NULL};
    vd_stream_walk(b->s, j.band, (int64_t *)(void *)(area + b->s->next_at), (int *)(void *)(area + b->s->stack_at), make_row, &j);
}

int vd_stream_run(struct vd_plan *p, struct vd_stream *s)
{
    struct band_job j = {p, s};
    const int threads = vd_workers_count(p->workers);
    const int rc = set_dynamic(p, s);
    if (rc)
        return rc;
    for (int i = 0; i < threads && s->n_range; i++)
        memset(area_of(p, i) + s->range_at, 0, (size_t)s->n_range * 2 * sizeof(float));
    vd_workers_run(p->workers, band_task, &j, (size_t)s->batch * (size_t)s->bands);
    for (int r = 0; r < s->n_range; r++) {
        float *range = p->cross[s->range_of[r]].range;
        range[0] = range[1] = 0;
        for (int i = 0; i < threads; i++) /* exact in any order; NaN stays */
            p->kernels->range_f32((const float *)(void *)(area_of(p, i) + s->range_at) + 2 * r, 2, &range[0], &range[1]);
    }
    return 0;
}
