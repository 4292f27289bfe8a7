/* SPDX-License-Identifier: BSD-2-Clause */
#include <time.h>

#include "plan/row_stream.h"
#include "plan/steps.h"

double vd_profile_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void vd_plan_profile(struct vd_plan *p)
{
    p->profile = true;
    p->shaped = false;
}

int vd_step_timed(struct vd_plan *p, struct vd_step *s)
{
    const double begin = vd_profile_now();
    const int rc = vd_step_run(p, s);
    s->seconds += vd_profile_now() - begin;
    return rc;
}

/* Of a pixel. */
static int64_t pixel_macs(const struct vd_row_shape *c) { return (int64_t)c->oc * (c->kind == VD_ROW_DEPTHWISE ? 1 : c->ic) * c->kh * c->kw; }

int64_t vd_stream_macs(const struct vd_stream *s, const struct vd_stream_op *o)
{
    if (o->kind != VD_ROW_CONV)
        return 0;
    return s->batch * o->rows * s->value[o->out].width * pixel_macs(&o->conv.shape) * (o->second && !o->skips ? 2 : 1);
}

static int64_t value_bytes(const struct vd_stream *s, int v)
{
    const struct vd_stream_value *x = &s->value[v];
    return s->batch * x->h * x->blocks * (x->wino ? (int64_t)x->block : (int64_t)x->pixel * x->width);
}

static int64_t tensor_bytes(const struct vd_tensor *t) { return t ? (int64_t)(vd_tensor_count(t) * vd_type_size(t->type)) : 0; }

static const char *what(const struct vd_stream_op *o)
{
    switch (o->kind) {
    case VD_ROW_LOAD:
    case VD_ROW_LOAD_PLANE: return "load";
    case VD_ROW_STORE:
    case VD_ROW_STORE_PLANE:
    case VD_ROW_STORE_BLOCKED: return "store";
    case VD_ROW_COPY:
    case VD_ROW_RELAYOUT: return "copy";
    case VD_ROW_WINO: return "Winograd transform";
    case VD_ROW_QUANTIZE: return "quantize";
    case VD_ROW_REST: return "quantize rest";
    default: return o->node->op->name;
    }
}

static const char *name(const struct vd_node *n) { return *n->proto->name || !n->proto->n_out ? n->proto->name : n->proto->out[0]; }

static void stream_part(const struct vd_plan *p, const struct vd_stream *s, int op, struct vd_plan_part *part)
{
    const struct vd_stream_op *o = &s->op[op];
    *part = (struct vd_plan_part){.node = name(o->node), .what = what(o), .macs = vd_stream_macs(s, o)};
    for (int i = 0; i < o->n_in; i++)
        part->bytes += value_bytes(s, o->in[i]);
    if (o->out >= 0)
        part->bytes += value_bytes(s, o->out);
    part->bytes += tensor_bytes(o->from) + tensor_bytes(o->to);
    for (int w = 0; w < vd_workers_count(p->workers); w++) {
        part->seconds += s->seconds[(size_t)w * (size_t)s->n_op + (size_t)op];
        part->tail_macs += s->tails[(size_t)w * (size_t)s->n_op + (size_t)op] * pixel_macs(&o->conv.shape);
    }
}

bool vd_plan_part(const struct vd_plan *p, int i, struct vd_plan_part *part)
{
    int k = 0;
    if (!p->profile || !p->shaped)
        return false;
    for (; k < p->n_step; i -= p->step[k].stream ? p->step[k].stream->n_op : 1, k++)
        if (i < (p->step[k].stream ? p->step[k].stream->n_op : 1))
            break;
    if (k == p->n_step)
        return false;
    const struct vd_step *s = &p->step[k];
    if (s->stream) {
        stream_part(p, s->stream, i, part);
        return true;
    }
    *part = (struct vd_plan_part){.node = name(s->node), .what = s->node->op->name, .macs = vd_step_macs(p, s), .seconds = s->seconds};
    for (int r = 0; r < s->n_reads; r++)
        part->bytes += tensor_bytes(&p->t[s->reads[r]]);
    for (int w = 0; w < s->n_writes; w++)
        part->bytes += tensor_bytes(&p->t[s->writes[w]]);
    return true;
}
