/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/steps.h"

#include <stdlib.h>
#include <string.h>

#include "common/checked.h"
#include "common/mem.h"
#include "plan/layout.h"

/* A tensor that needs memory, and when: position 0 is before the first step, step i is i + 1. */
struct tenant {
    struct vd_tensor *t;
    struct vd_slot slot;
};

struct place {
    struct vd_plan *p;
    struct tenant *tenant;
    int n, cap;
    int *home; /* by value: the value whose memory it has, itself but where a stream works in place */
};

static void *take(struct vd_plan *p, size_t count, size_t size) { return vd_arena_array(&p->shape, count ? count : 1, size); }

static void lodge(struct place *pl, struct vd_tensor *t, int first, int last)
{
    pl->tenant[pl->n++] = (struct tenant){.t = t, .slot = {.size = vd_tensor_bytes(t), .first = first, .last = last}};
}

/* float16 tensors that the step computes in float32 get a temporary, filled before (inputs) or read after (outputs). */
static int make_views(struct place *pl, struct vd_step *s, int at)
{
    struct vd_plan *p = pl->p;
    const struct vd_node *n = s->node;
    const struct vd_tensor **in = take(p, (size_t)n->n_in, sizeof(*in));
    struct vd_tensor **out = take(p, (size_t)n->n_out, sizeof(*out));
    if (!in || !out)
        return vd_nomem(0);
    for (int i = 0; i < n->n_in; i++)
        in[i] = n->in[i] < 0 ? NULL : &p->t[n->in[i]];
    for (int i = 0; i < n->n_out; i++)
        out[i] = n->out[i] < 0 ? NULL : &p->t[n->out[i]];
    s->call = (struct vd_op_call){.node = n->proto, .opset = p->g->model->opset, .n_in = n->n_in, .n_out = n->n_out, .in = in, .out = out,
                                  .workers = p->workers};
    if (!vd_node_widens(n, in))
        return 0;
    struct vd_tensor *wide = take(p, (size_t)n->n_in + (size_t)n->n_out, sizeof(*wide));
    s->widen = take(p, (size_t)n->n_in, sizeof(*s->widen));
    s->narrow = take(p, (size_t)n->n_out, sizeof(*s->narrow));
    if (!wide || !s->widen || !s->narrow)
        return vd_nomem(0);
    for (int i = 0; i < n->n_in; i++) {
        if (!in[i] || in[i]->type != VD_F16)
            continue;
        *wide = *in[i];
        wide->type = VD_F32;
        wide->data = NULL;
        lodge(pl, wide, at, at);
        s->widen[s->n_widen++] = (struct vd_pair){wide, in[i]};
        in[i] = wide++;
    }
    for (int i = 0; i < n->n_out; i++) {
        if (!out[i] || out[i]->type != VD_F16)
            continue;
        *wide = *out[i];
        wide->type = VD_F32;
        wide->data = NULL;
        lodge(pl, wide, at, at);
        s->narrow[s->n_narrow++] = (struct vd_pair){out[i], wide};
        out[i] = wide++;
    }
    return 0;
}

/* One element, or one a channel, to one a channel. */
static const float *spread_constant(struct vd_plan *p, int value, size_t channels)
{
    const struct vd_tensor *c = p->g->value[value].constant;
    const size_t n = vd_tensor_count(c);
    float *v = take(p, channels, sizeof(*v));
    for (size_t i = 0; v && i < channels; i++)
        v[i] = ((const float *)c->data)[n == 1 ? 0 : i];
    return v;
}

static int place_conv(struct vd_plan *p, struct vd_step *s)
{
    const struct vd_fusion *f = s->fusion;
    const struct vd_op_call *c = &s->call;
    const size_t node = (size_t)(s->node - p->g->node);
    struct vd_conv *v = &s->conv;
    int rc = vd_plan_pack(p, (int)node, true);
    if (rc)
        return rc;
    v->w = p->packed[node];
    const struct vd_conv_inputs at = vd_conv_inputs(s->node);
    v->source = at.source == VD_FROM_8BIT && f->dynamic ? VD_FROM_DYNAMIC : at.source;
    const struct vd_tensor *w_zp = vd_conv_input(c, at.w_zp);
    struct vd_window win;
    rc = vd_window_infer(c, c->in[0], c->in[at.w], &win);
    if (rc)
        return rc;
    if (win.n > 2)
        return vd_op_fail(c, EPERM, "a convolution over %d spatial dimensions is not supported (1 or 2 are)", win.n);
    if (!v->w) {
        s->repack = take(p, 1, sizeof(*s->repack));
        if (!s->repack)
            return vd_nomem(sizeof(*s->repack));
        if ((rc = vd_packed_init(s->repack, c->in[at.w], w_zp, vd_op_int(c, "group", 1))))
            return vd_context(rc, "node '%s' (%s)", s->node->proto->name, s->node->op->name);
        if (!(s->repack->weight = take(p, s->repack->bytes, 1)))
            return vd_nomem(s->repack->bytes);
        v->w = s->repack;
    }
    const size_t channels = (size_t)v->w->groups * (size_t)v->w->oc;
    v->x = f->dynamic ? &p->t[f->x] : c->in[0];
    v->x_zp = f->dynamic ? NULL : vd_conv_input(c, at.x_zp);
    v->residual = f->residual < 0 ? NULL : &p->t[f->residual];
    v->out = s->n_narrow ? c->out[0] : &p->t[f->out];
    v->tail = (struct vd_conv_tail){.clamp = f->clamp, .lo = f->lo, .hi = f->hi, .clamp2 = f->clamp2, .lo2 = f->lo2, .hi2 = f->hi2};
    if (f->dynamic) {
        v->w_scale = spread_constant(p, f->w_scale, channels);
        v->scale = take(p, channels, sizeof(*v->scale));
        if (!v->w_scale || !v->scale)
            return vd_nomem(channels * sizeof(float));
    }
    if (v->source == VD_FROM_QLINEAR) {
        v->q[0] = c->in[1];
        v->q[1] = c->in[4];
        v->q[2] = c->in[6];
        v->q[3] = c->in[7];
        v->bias32 = vd_conv_input(c, 8);
        if (!(v->scale = take(p, channels, sizeof(*v->scale))))
            return vd_nomem(channels * sizeof(float));
    }
    if (f->bias >= 0 && p->g->value[f->bias].constant && p->g->value[f->bias].constant->type == VD_F32 &&
        !(v->bias = spread_constant(p, f->bias, channels)))
        return vd_nomem(channels * sizeof(float));
    rc = vd_conv_place(v, &win, vd_workers_count(p->workers), &p->shape);
    return rc ? vd_context(rc, "node '%s' (%s)", s->node->proto->name, s->node->op->name) : 0;
}

/* When each value is written and last read. What one stream both writes and reads needs no memory; a convolution that adds its last
 * reader's tensor to its own result may write it there. */
static int lodge_values(struct place *pl)
{
    struct vd_plan *p = pl->p;
    const struct vd_graph *g = p->g;
    int *first = take(p, (size_t)g->n_value, sizeof(*first)), *last = take(p, (size_t)g->n_value, sizeof(*last));
    int *end = take(p, (size_t)g->n_value, sizeof(*end));
    if (!first || !last || !end)
        return vd_nomem((size_t)g->n_value * 3 * sizeof(*first));
    for (int i = 0; i < g->n_value; i++) {
        first[i] = i < g->n_in ? 0 : -1;
        last[i] = i < g->n_in ? 0 : -1;
    }
    for (int i = 0; i < p->n_step; i++) {
        const struct vd_step *s = &p->step[i];
        for (int k = 0; k < s->n_reads; k++)
            last[s->reads[k]] = i + 1;
        for (int k = 0; k < s->n_writes; k++) {
            first[s->writes[k]] = i + 1;
            if (!s->stream)
                last[s->writes[k]] = i + 1;
        }
    }
    for (int o = 0; o < g->n_out; o++)
        last[g->out[o]] = p->n_step + 1;
    pl->home = take(p, (size_t)g->n_value, sizeof(*pl->home));
    if (!pl->home)
        return vd_nomem((size_t)g->n_value * sizeof(*pl->home));
    for (int i = 0; i < g->n_value; i++) {
        pl->home[i] = i;
        end[i] = last[i];
    }
    for (int i = 0; i < p->n_step; i++)
        for (int k = 0; p->step[i].stream && k < p->step[i].n_writes; k++) {
            const int v = p->step[i].writes[k], r = p->cross[v].alias;
            if (r < 0 || last[v] < 0 || last[r] != i + 1 || !p->cross[r].blocked || p->cross[r].row != p->cross[v].row)
                continue;
            pl->home[v] = pl->home[r]; /* r's own was settled before: it is written earlier */
            end[pl->home[v]] = last[v] > end[pl->home[v]] ? last[v] : end[pl->home[v]];
        }
    for (int i = 0; i < g->n_value; i++)
        if (first[i] >= 0 && last[i] >= 0 && !p->t[i].data && pl->home[i] == i && !p->cross[i].plane) {
            lodge(pl, &p->t[i], first[i], end[i]);
            const struct vd_cross *c = &p->cross[i];
            size_t rows;
            if (c->blocked && (!vd_mul((size_t)p->t[i].dim[0] * (size_t)p->t[i].dim[2], c->row, &rows) || rows > SIZE_MAX / 4))
                return vd_nomem(SIZE_MAX);
            if (c->blocked)
                pl->tenant[pl->n - 1].slot.size = rows;
        }
    return 0;
}

static int by_first(const void *a, const void *b)
{
    const struct tenant *x = a, *y = b;
    return x->slot.first != y->slot.first ? (x->slot.first > y->slot.first) - (x->slot.first < y->slot.first) : (x->t > y->t) - (x->t < y->t);
}

static int assign_memory(struct place *pl)
{
    struct vd_plan *p = pl->p;
    qsort(pl->tenant, (size_t)pl->n, sizeof(*pl->tenant), by_first);
    struct vd_slot *slot = take(p, (size_t)pl->n, sizeof(*slot));
    if (!slot)
        return vd_nomem((size_t)pl->n * sizeof(*slot));
    for (int i = 0; i < pl->n; i++)
        slot[i] = pl->tenant[i].slot;
    size_t total, scratch;
    const int rc = vd_layout(slot, pl->n, &total, &p->shape);
    if (rc)
        return rc;
    p->scratch_step = 0;
    for (int i = 0; i < p->n_step; i++)
        for (size_t want = p->step[i].stream ? p->step[i].stream->area : p->step[i].conv.scratch; want > p->scratch_step;)
            p->scratch_step = want;
    p->scratch_step = (p->scratch_step + 127) & ~(size_t)63; /* no line shared by two workers */
    if (!vd_mul(p->scratch_step, (size_t)vd_workers_count(p->workers), &scratch) || !vd_add(total, scratch, &p->memory_bytes))
        return vd_nomem(SIZE_MAX);
    p->scratch_bytes = scratch;
    p->memory = vd_aligned(p->memory_bytes + 64);
    if (!p->memory)
        return vd_nomem(p->memory_bytes);
    for (int i = 0; i < pl->n; i++)
        pl->tenant[i].t->data = p->memory + slot[i].offset;
    for (int v = 0; v < p->g->n_value; v++)
        if (pl->home[v] != v)
            p->t[v].data = p->t[pl->home[v]].data;
    p->scratch = p->memory + total;
    memset(p->scratch, 0, scratch);
    return 0;
}

int vd_steps_place(struct vd_plan *p)
{
    struct place pl = {.p = p};
    size_t cap = (size_t)p->g->n_value + 1;
    for (int i = 0; i < p->n_step; i++)
        cap += (size_t)p->step[i].node->n_in + (size_t)p->step[i].node->n_out;
    pl.tenant = take(p, cap, sizeof(*pl.tenant));
    if (!pl.tenant)
        return vd_nomem(cap * sizeof(*pl.tenant));
    int rc = 0;
    for (int i = 0; !rc && i < p->n_step; i++) {
        if (p->step[i].n_member) {
            rc = vd_stream_build(p, &p->step[i]);
            continue;
        }
        rc = make_views(&pl, &p->step[i], i + 1);
        if (!rc && p->step[i].fusion)
            rc = place_conv(p, &p->step[i]);
    }
    if (rc || (rc = lodge_values(&pl)) || (rc = assign_memory(&pl)))
        return rc;
    for (int i = 0; i < p->n_step; i++) {
        struct vd_step *s = &p->step[i];
        if (s->fusion && !s->conv.bias && s->fusion->bias >= 0)
            s->conv.bias = s->call.in[2]->data; /* not constant, or float16: one a channel, as infer checked */
    }
    return 0;
}

int vd_step_run(struct vd_plan *p, const struct vd_step *s)
{
    if (s->stream) {
        const int rc = vd_stream_run(p, s->stream);
        return rc ? vd_context(rc, "node '%s' (%s)", s->node->proto->name, s->node->op->name) : 0;
    }
    if (!s->fusion && s->n_reads && p->cross[s->reads[0]].blocked) { /* vd_stream_pools_blocks() */
        vd_stream_pool_all(p, s);
        return 0;
    }
    for (int i = 0; i < s->n_widen; i++)
        vd_widen_f16(s->widen[i].to, s->widen[i].from);
    if (s->fusion) {
        const struct vd_conv_inputs at = vd_conv_inputs(s->node);
        if (s->repack)
            vd_packed_fill(s->repack, s->call.in[at.w], vd_conv_input(&s->call, at.w_zp));
        const int rc = vd_conv_run(&s->conv, p->kernels, p->workers, p->scratch, p->scratch_step);
        if (rc)
            return vd_context(rc, "node '%s' (%s)", s->node->proto->name, s->node->op->name);
    } else {
        s->node->op->run(&s->call);
    }
    for (int i = 0; i < s->n_narrow; i++)
        vd_narrow_f16(s->narrow[i].to, s->narrow[i].from);
    return 0;
}
