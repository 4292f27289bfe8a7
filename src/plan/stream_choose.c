/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "plan/row_stream.h"
#include "plan/stream_take.h"
#include "plan/steps.h"

/* Which steps become streams. A step that can be done by rows gets the level of what it reads; a step that needs whole tensors ends
 * a stream, so that what reads it by rows is one level up:
 *
 *     by rows:  max over what it reads of (level if that is done by rows too, else level + 1); a graph input's level is 0
 *     other:    max over what it reads of level
 *
 * Steps of one level that are joined by rows are a stream. There is no way out of a stream and back into it, because any way through a
 * step of the other kind, or through a range, leads to a higher level. Levels in order, streams before the rest in each, is an order in which
 * producers come first. */

struct choice {
    int step, level, root; /* root: of the stream's steps, the first */
    bool by_rows;
};

static int by_order(const void *a, const void *b)
{
    const struct choice *x = a, *y = b;
    if (x->level != y->level)
        return x->level < y->level ? -1 : 1;
    if (x->by_rows != y->by_rows)
        return x->by_rows ? -1 : 1;
    if (x->root != y->root)
        return x->root < y->root ? -1 : 1;
    return (x->step > y->step) - (x->step < y->step);
}

static int root_of(struct choice *c, int i)
{
    while (c[i].root != i)
        i = c[i].root = c[c[i].root].root;
    return i;
}

static void join(struct choice *c, int a, int b)
{
    a = root_of(c, a);
    b = root_of(c, b);
    c[a > b ? a : b].root = a < b ? a : b;
}

/* It needs the range of this value, and so the whole of it, before its first row. */
static bool needs_range(const struct vd_step *s, int v) { return s->fusion && s->fusion->dynamic && s->fusion->x == v; }

static int find_streams(struct vd_plan *p, struct choice *c)
{
    const size_t values = (size_t)p->g->n_value + 1;
    int *producer = vd_arena_array(&p->shape, values, sizeof(*producer));
    bool *with_conv = vd_arena_array(&p->shape, (size_t)p->n_step + 1, sizeof(*with_conv));
    if (!producer || !with_conv)
        return vd_nomem(values * sizeof(*producer));
    for (size_t v = 0; v < values; v++)
        producer[v] = -1;
    for (int i = 0; i < p->n_step; i++) {
        const struct vd_step *s = &p->step[i];
        c[i] = (struct choice){.step = i, .root = i, .by_rows = p->band_rows != VD_NO_STREAMS && vd_stream_takes(p, s)};
        for (int k = 0; k < s->n_reads; k++) {
            const int q = producer[s->reads[k]];
            if (q < 0)
                continue;
            const bool up = c[i].by_rows && (!c[q].by_rows || needs_range(s, s->reads[k]));
            if (c[q].level + up > c[i].level)
                c[i].level = c[q].level + up;
        }
        for (int k = 0; c[i].by_rows && k < s->n_reads; k++) {
            const int q = producer[s->reads[k]];
            if (q >= 0 && c[q].by_rows && c[q].level == c[i].level)
                join(c, q, i);
        }
        for (int k = 0; k < s->n_writes; k++)
            producer[s->writes[k]] = i;
    }
    for (int i = 0; i < p->n_step; i++)
        with_conv[root_of(c, i)] |= p->step[i].fusion != NULL;
    for (int i = 0; i < p->n_step; i++) {
        const int root = root_of(c, i);
        c[i].by_rows = c[i].by_rows && with_conv[root]; /* without a convolution the operators are as good on whole tensors */
        c[i].root = c[i].by_rows ? root : i;
    }
    return 0;
}

/* The values that a group of steps reads from outside and writes. inside: by value, all false before and after. */
static int union_of(struct vd_plan *p, struct vd_step *s, bool *inside)
{
    size_t n_reads = 0, n_writes = 0;
    for (int i = 0; i < s->n_member; i++) {
        n_reads += (size_t)s->member[i].n_reads;
        n_writes += (size_t)s->member[i].n_writes;
    }
    s->reads = vd_arena_array(&p->shape, n_reads + 1, sizeof(int));
    s->writes = vd_arena_array(&p->shape, n_writes + 1, sizeof(int));
    if (!s->reads || !s->writes)
        return vd_nomem(0);
    for (int i = 0; i < s->n_member; i++) {
        for (int k = 0; k < s->member[i].n_reads; k++)
            if (!inside[s->member[i].reads[k]]) {
                inside[s->member[i].reads[k]] = true;
                s->reads[s->n_reads++] = s->member[i].reads[k];
            }
        for (int k = 0; k < s->member[i].n_writes; k++) {
            inside[s->member[i].writes[k]] = true;
            s->writes[s->n_writes++] = s->member[i].writes[k];
        }
    }
    for (int k = 0; k < s->n_reads; k++)
        inside[s->reads[k]] = false;
    for (int k = 0; k < s->n_writes; k++)
        inside[s->writes[k]] = false;
    return 0;
}

/* Values between streams alone are blocked tensors; values inside one stream are none. */
static void decide_crossings(struct vd_plan *p)
{
    const struct vd_graph *g = p->g;
    for (int v = 0; v < g->n_value; v++)
        p->cross[v] = (struct vd_cross){.alias = -1};
    for (int i = 0; i < p->n_step; i++)
        for (int k = 0; k < p->step[i].n_writes; k++)
            p->cross[p->step[i].writes[k]].blocked = p->step[i].n_member > 0;
    for (int i = 0; i < p->n_step; i++) {
        const struct vd_step *s = &p->step[i];
        for (int k = 0; k < s->n_reads; k++) {
            p->cross[s->reads[k]].blocked &= s->n_member > 0 || vd_stream_pools_blocks(p, s);
            p->cross[s->reads[k]].outside = true;
        }
        for (int m = 0; m < s->n_member; m++)
            if (s->member[m].fusion && s->member[m].fusion->dynamic)
                p->cross[s->member[m].fusion->x].want_range = true;
    }
    for (int o = 0; o < g->n_out; o++) {
        p->cross[g->out[o]].blocked = false;
        p->cross[g->out[o]].outside = true;
    }
    if (!p->planes) {
        for (int i = 0; i < g->n_in; i++)
            p->cross[i].lends = true;
        for (int i = 0; i < p->n_step; i++)
            for (int k = 0; k < p->step[i].n_reads; k++)
                p->cross[p->step[i].reads[k]].lends &= p->step[i].n_member > 0;
        for (int o = 0; o < g->n_out; o++)
            p->cross[g->out[o]].lends = false;
        return;
    }
    /* the filter's input and output, where streams alone see them */
    bool in = p->t[0].type == VD_F32, out = g->n_out == 1 && g->out[0] != 0 && p->t[g->out[0]].type == VD_F32 && p->t[g->out[0]].rank == 4, written = false;
    for (int i = 0; i < p->n_step; i++) {
        const struct vd_step *s = &p->step[i];
        for (int k = 0; k < s->n_reads; k++) {
            in = in && (s->reads[k] != 0 || s->n_member > 0);
            out = out && s->reads[k] != g->out[0];
        }
        for (int k = 0; k < s->n_writes; k++)
            written = written || (s->writes[k] == g->out[0] && s->n_member > 0);
    }
    for (int o = 0; o < g->n_out; o++)
        in = in && g->out[o] != 0;
    p->cross[0].plane = in;
    p->cross[g->out[0]].plane = out && written;
}

int vd_streams_choose(struct vd_plan *p)
{
    struct vd_arena *a = &p->shape;
    const size_t n = (size_t)p->n_step + 1;
    struct choice *c = vd_arena_array(a, n, sizeof(*c));
    struct vd_step *step = vd_arena_array(a, n, sizeof(*step)), *member = vd_arena_array(a, n, sizeof(*member));
    p->cross = vd_arena_array(a, (size_t)p->g->n_value + 1, sizeof(*p->cross));
    bool *inside = vd_arena_array(a, (size_t)p->g->n_value + 1, sizeof(*inside));
    if (!c || !step || !member || !p->cross || !inside)
        return vd_nomem(n * sizeof(*step));
    if (p->saw) /* every value is to be seen whole */
        return 0;
    int rc = find_streams(p, c);
    if (rc)
        return rc;
    qsort(c, (size_t)p->n_step, sizeof(*c), by_order);
    int n_step = 0;
    for (int i = 0; i < p->n_step; i++) {
        member[i] = p->step[c[i].step];
        if (!c[i].by_rows) {
            step[n_step++] = member[i];
        } else if (i && c[i - 1].by_rows && c[i - 1].root == c[i].root) {
            step[n_step - 1].n_member++;
        } else {
            step[n_step++] = (struct vd_step){.node = member[i].node, .member = &member[i], .n_member = 1};
        }
    }
    p->step = step;
    p->n_step = n_step;
    for (int i = 0; !rc && i < n_step; i++)
        if (step[i].n_member)
            rc = union_of(p, &step[i], inside);
    if (!rc)
        decide_crossings(p);
    return rc;
}
