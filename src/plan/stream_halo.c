/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/steps.h"

/* A filter may write the plane that it reads. Inside a band that is safe when each row of the plane is loaded before it is written, or is
 * not needed any more. A window that keeps the height reaches its own row, so that this holds for chains of them; it is not
 * taken for granted but found by running the schedule. Between bands, the rows that another band writes are saved first. */

struct look {
    const struct vd_stream *s;
    const int64_t *next;
    int load;
    int64_t last; /* row of the plane that the band reads */
    bool safe;
};

static void look_at(void *arg, int op, int64_t row)
{
    struct look *l = arg;
    if (l->s->op[op].kind == VD_ROW_STORE_PLANE && l->next[l->load] <= row && row <= l->last)
        l->safe = false;
}

int vd_stream_halos(struct vd_plan *p, struct vd_stream *s)
{
    const size_t n = (size_t)s->n_op + 1;
    int64_t *next = vd_arena_array(&p->shape, n, sizeof(*next)), *last = vd_arena_array(&p->shape, n, sizeof(*last));
    int *stack = vd_arena_array(&p->shape, n, sizeof(*stack)), load = -1, store = -1;
    struct vd_halo *halo = vd_arena_array(&p->shape, (size_t)s->bands, sizeof(*halo));
    if (!next || !last || !stack || !halo)
        return vd_nomem(n * sizeof(*next));
    for (int o = 0; o < s->n_op; o++) {
        load = s->op[o].kind == VD_ROW_LOAD_PLANE ? o : load;
        store = s->op[o].kind == VD_ROW_STORE_PLANE ? o : store;
    }
    size_t at = 0;
    for (int b = 0; b < s->bands; b++) {
        struct vd_halo *h = &halo[b];
        const int64_t rows = s->op[store].rows;
        *h = (struct vd_halo){.begin = vd_band_begin(rows, b, s->bands), .end = vd_band_begin(rows, b + 1, s->bands), .at = at};
        if (h->begin == h->end)
            continue;
        vd_stream_band(s, b, next, last);
        h->first = load < 0 || next[load] == INT64_MAX ? h->begin : next[load];
        h->last = load < 0 || next[load] == INT64_MAX ? h->end - 1 : last[load];
        if (load >= 0) {
            struct look l = {.s = s, .next = next, .load = load, .last = h->last, .safe = true};
            vd_stream_walk(s, b, next, stack, look_at, &l);
            if (!l.safe)
                return 0;
        }
        at += (size_t)(h->first < h->begin ? h->begin - h->first : 0) + (size_t)(h->last >= h->end ? h->last - h->end + 1 : 0);
    }
    if (at <= (size_t)s->op[store].rows) /* there is room for a plane */
        s->halo = halo;
    return 0;
}
