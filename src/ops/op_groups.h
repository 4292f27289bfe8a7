/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_OP_GROUPS_H
#define VD_OP_GROUPS_H

#include "ops/op_util.h"

/* Some dims of a dense tensor, walked by themselves. dim[0] is the innermost; neighbours in memory may be one. */
struct vd_group {
    int n;
    int64_t dim[VD_MAX_RANK], step[VD_MAX_RANK]; /* steps in elements */
    size_t total;
};

/* A place in a group: offset of element number i, and the step to the next. */
struct vd_place {
    int64_t at[VD_MAX_RANK], off;
};

static inline struct vd_place vd_place_at(const struct vd_group *g, size_t i)
{
    struct vd_place p = {.off = 0};
    for (int k = 0; k < g->n; k++) {
        p.at[k] = (int64_t)(i % (size_t)g->dim[k]);
        p.off += p.at[k] * g->step[k];
        i /= (size_t)g->dim[k];
    }
    return p;
}

static inline void vd_place_next(const struct vd_group *g, struct vd_place *p)
{
    for (int k = 0; k < g->n; k++) {
        p->off += g->step[k];
        if (++p->at[k] < g->dim[k])
            return;
        p->off -= g->dim[k] * g->step[k];
        p->at[k] = 0;
    }
}

/* The dims of t in two groups: those in the mask and the others. */
static inline void vd_groups(const struct vd_tensor *t, const bool mask[VD_MAX_RANK], struct vd_group *in, struct vd_group *others)
{
    int64_t step = 1;
    *in = (struct vd_group){.total = 1};
    *others = (struct vd_group){.total = 1};
    for (int d = t->rank - 1; d >= 0; step *= t->dim[d], d--) {
        struct vd_group *g = mask[d] ? in : others;
        g->total *= (size_t)t->dim[d];
        if (t->dim[d] == 1)
            continue;
        if (g->n && g->step[g->n - 1] * g->dim[g->n - 1] == step)
            g->dim[g->n - 1] *= t->dim[d];
        else {
            g->dim[g->n] = t->dim[d];
            g->step[g->n++] = step;
        }
    }
}

#endif
