/* SPDX-License-Identifier: BSD-2-Clause */
#include "quant/budget.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "common/mem.h"
#include "common/status.h"

struct search {
    int layers;
    double budget;
    vd_budget_fn *measure;
    void *arg;
    struct vd_budget *b;
    bool *set; /* the one at hand */
};

/* A drop that is not a number counts as all of it. */
static int measure(struct search *s, double *drop)
{
    const int rc = s->measure(s->arg, s->set, drop);
    s->b->measurements++;
    if (!(*drop < INFINITY))
        *drop = INFINITY;
    if (!rc && *drop < s->b->drop) {
        s->b->drop = *drop;
        memcpy(s->b->fp32, s->set, (size_t)s->layers * sizeof(*s->set));
    }
    return rc;
}

/* Every set of n layers, in the order of their indices. */
static int all_of_size(struct search *s, int n)
{
    int at[VD_BUDGET_EXHAUSTIVE];
    for (int i = 0; i < n; i++)
        at[i] = i;
    for (;;) {
        double drop;
        memset(s->set, 0, (size_t)s->layers * sizeof(*s->set));
        for (int i = 0; i < n; i++)
            s->set[at[i]] = true;
        const int rc = measure(s, &drop);
        if (rc)
            return rc;
        int k = n - 1;
        while (k >= 0 && at[k] == s->layers - n + k)
            k--;
        if (k < 0)
            return 0;
        at[k]++;
        for (int i = k + 1; i < n; i++)
            at[i] = at[i - 1] + 1;
    }
}

static int exhaustive(struct search *s)
{
    for (int n = 2; n < s->layers; n++) {
        const int rc = all_of_size(s, n);
        if (rc || s->b->drop <= s->budget)
            return rc;
    }
    return 0;
}

static int greedy(struct search *s)
{
    int rc = 0, best;
    double drop;
    int *order = vd_calloc((size_t)s->layers, sizeof(*order));
    int n = 0;
    if (!order)
        return vd_nomem((size_t)s->layers * sizeof(*order));
    memset(s->set, 0, (size_t)s->layers * sizeof(*s->set));
    while (!rc && n < s->layers - 1 && !(n && s->b->drop <= s->budget)) {
        double least = INFINITY;
        best = -1;
        for (int i = 0; i < s->layers && !rc; i++) {
            if (s->set[i])
                continue;
            if (!n) {
                drop = s->b->alone[i];
            } else {
                s->set[i] = true;
                rc = measure(s, &drop);
                s->set[i] = false;
            }
            if (drop < least || best < 0) {
                least = drop;
                best = i;
            }
        }
        s->set[best] = true;
        order[n++] = best;
    }
    if (!rc && s->b->drop <= s->budget) { /* what was found is the set at hand: the last measured drop was the least that met it */
        memcpy(s->set, s->b->fp32, (size_t)s->layers * sizeof(*s->set));
        for (int i = n - 1; i >= 0 && !rc; i--) {
            if (!s->set[order[i]])
                continue;
            s->set[order[i]] = false;
            rc = s->measure(s->arg, s->set, &drop);
            s->b->measurements++;
            if (!rc && drop <= s->budget) {
                s->b->drop = drop;
                memcpy(s->b->fp32, s->set, (size_t)s->layers * sizeof(*s->set));
            } else {
                s->set[order[i]] = true;
            }
        }
    }
    vd_free(order);
    return rc;
}

int vd_budget_search(int layers, double budget, vd_budget_fn *fn, void *arg, struct vd_budget *b)
{
    struct search s = {.layers = layers, .budget = budget, .measure = fn, .arg = arg, .b = b};
    *b = (struct vd_budget){.drop = INFINITY};
    const size_t room = (size_t)layers + 1;
    b->fp32 = vd_calloc(room, sizeof(*b->fp32));
    b->alone = vd_calloc(room, sizeof(*b->alone));
    s.set = vd_calloc(room, sizeof(*s.set));
    int rc = b->fp32 && b->alone && s.set ? measure(&s, &b->without) : vd_nomem(room * sizeof(*b->alone));
    if (!rc && !(b->without <= budget)) {
        for (int i = 0; i < layers && !rc && layers > 1; i++) {
            s.set[i] = true;
            rc = measure(&s, &b->alone[i]);
            s.set[i] = false;
        }
        if (!rc && !(b->drop <= budget))
            rc = layers <= VD_BUDGET_EXHAUSTIVE ? exhaustive(&s) : greedy(&s);
    }
    b->met = !rc && b->drop <= budget;
    vd_free(s.set);
    if (rc)
        vd_budget_free(b);
    return rc;
}

void vd_budget_free(struct vd_budget *b)
{
    vd_free(b->fp32);
    vd_free(b->alone);
    *b = (struct vd_budget){0};
}
