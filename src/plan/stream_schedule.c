/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include <string.h>

#include "common/checked.h"
#include "plan/row_stream.h"
#include "plan/steps.h"

/* The schedule. Rows are asked for from the sinks back: before an operation makes row y, each of its inputs makes rows until the
 * last one that row y needs is there; one row at a time, the deepest first. So an operation never runs further ahead
 * than its neediest reader asks, and the invariant is
 *
 *     a row of a value is kept from when it is made until no reader's next row needs it,
 *
 * where a reader's need begins at its window's first row. The height of each ring is the largest number of rows that this keeps at
 * once; it is found by running the very schedule on integers, for each band. */

static int64_t clamp64(int64_t v, int64_t lo, int64_t hi) { return v < lo ? lo : v > hi ? hi : v; }

/* First and last row of input i that row y of the result needs; last < first where it needs none. */
static bool windowed(const struct vd_stream_op *o, int i) { return i == 0 || i == o->second; }

static int64_t first_needed(const struct vd_stream_op *o, int i, int64_t y, int64_t h)
{
    return !windowed(o, i) ? y : clamp64(y * o->sy - o->top, 0, h);
}

static int64_t last_needed(const struct vd_stream_op *o, int i, int64_t y, int64_t h)
{
    const int64_t last = y * o->sy - o->top + (o->kh - 1) * o->dy;
    return !windowed(o, i) ? y : last < h - 1 ? last : h - 1;
}

void vd_stream_band(const struct vd_stream *s, int band, int64_t *first, int64_t *last)
{
    for (int o = 0; o < s->n_op; o++) {
        first[o] = INT64_MAX;
        if (last)
            last[o] = -1;
    }
    for (int o = s->n_op - 1; o >= 0; o--) {
        const struct vd_stream_op *op = &s->op[o];
        if (op->sink) {
            const int64_t begin = vd_band_begin(op->rows, band, s->bands), end = vd_band_begin(op->rows, band + 1, s->bands);
            if (end > begin) {
                first[o] = begin < first[o] ? begin : first[o];
                if (last && end - 1 > last[o])
                    last[o] = end - 1;
            }
        }
        if (first[o] == INT64_MAX)
            continue;
        for (int i = 0; i < op->n_in; i++) {
            const struct vd_stream_value *v = &s->value[op->in[i]];
            if (v->producer < 0)
                continue;
            const int64_t a = first_needed(op, i, first[o], v->h);
            if (a < first[v->producer])
                first[v->producer] = a;
            if (last) {
                const int64_t b = last_needed(op, i, last[o], v->h);
                if (b > last[v->producer])
                    last[v->producer] = b;
            }
        }
    }
}

/* Make rows of operation `wanted` until row y is there. */
static void make_row(const struct vd_stream *s, int wanted, int64_t y, int64_t *next, int *stack, vd_stream_fn *fn, void *arg)
{
    while (next[wanted] <= y) {
        int top = 0;
        stack[top++] = wanted;
        while (top) {
            const int o = stack[top - 1];
            const struct vd_stream_op *op = &s->op[o];
            int lacks = -1;
            for (int i = 0; i < op->n_in && lacks < 0; i++) {
                const struct vd_stream_value *v = &s->value[op->in[i]];
                if (v->producer >= 0 && next[v->producer] <= last_needed(op, i, next[o], v->h))
                    lacks = v->producer;
            }
            if (lacks >= 0) {
                stack[top++] = lacks; /* earlier in order than o: at most n_op deep */
                continue;
            }
            fn(arg, o, next[o]);
            next[o]++;
            top--;
        }
    }
}

void vd_stream_walk(const struct vd_stream *s, int band, int64_t *next, int *stack, vd_stream_fn *fn, void *arg)
{
    vd_stream_band(s, band, next, NULL);
    if (s->order) {
        for (size_t i = s->order_at[band]; i < s->order_at[band + 1]; i++) {
            fn(arg, s->order[i], next[s->order[i]]);
            next[s->order[i]]++;
        }
        return;
    }
    int64_t ticks = 0;
    for (int o = 0; o < s->n_op; o++)
        if (s->op[o].sink) {
            const int64_t n = vd_band_begin(s->op[o].rows, band + 1, s->bands) - vd_band_begin(s->op[o].rows, band, s->bands);
            ticks = n > ticks ? n : ticks;
        }
    for (int64_t t = 1; t <= ticks; t++) /* sinks of different heights go side by side */
        for (int o = 0; o < s->n_op; o++) {
            if (!s->op[o].sink)
                continue;
            const int64_t begin = vd_band_begin(s->op[o].rows, band, s->bands), n = vd_band_begin(s->op[o].rows, band + 1, s->bands) - begin;
            if (n > 0)
                make_row(s, o, begin + n * t / ticks - 1, next, stack, fn, arg);
        }
}

/* --- heights of rings --- */

struct reader { int op, input, after; }; /* after: the next one of the same value; -1 */

struct simulation {
    struct vd_stream *s;
    const struct reader *reader;
    const int *first; /* by value */
    const int64_t *next;
};

static void simulate_row(void *arg, int o, int64_t y)
{
    const struct simulation *m = arg;
    const int out = m->s->op[o].out;
    if (out < 0)
        return;
    struct vd_stream_value *v = &m->s->value[out];
    int64_t keep = y;
    for (int r = m->first[out]; r >= 0; r = m->reader[r].after) {
        const struct vd_stream_op *op = &m->s->op[m->reader[r].op];
        const int64_t next = m->next[m->reader[r].op];
        if (next == INT64_MAX)
            continue; /* not part of this band */
        const int64_t low = first_needed(op, m->reader[r].input, next, v->h);
        keep = low < keep ? low : keep;
    }
    v->height = y - keep + 1 > v->height ? y - keep + 1 : v->height;
}

static int find_heights(struct vd_plan *p, struct vd_stream *s, int64_t *next, int *stack)
{
    struct vd_arena *a = &p->shape;
    size_t n = 0;
    for (int o = 0; o < s->n_op; o++)
        n += (size_t)s->op[o].n_in;
    struct reader *reader = vd_arena_array(a, n + 1, sizeof(*reader));
    int *first = vd_arena_array(a, (size_t)s->n_value + 1, sizeof(*first));
    if (!reader || !first)
        return vd_nomem(n * sizeof(*reader));
    for (int v = 0; v < s->n_value; v++) {
        first[v] = -1;
        s->value[v].height = 1;
    }
    n = 0;
    for (int o = 0; o < s->n_op; o++)
        for (int i = 0; i < s->op[o].n_in; i++, n++) {
            reader[n] = (struct reader){.op = o, .input = i, .after = first[s->op[o].in[i]]};
            first[s->op[o].in[i]] = (int)n;
        }
    struct simulation m = {.s = s, .reader = reader, .first = first, .next = next};
    for (int b = 0; b < s->bands; b++)
        vd_stream_walk(s, b, next, stack, simulate_row, &m);
    return 0;
}

/* --- the order of a small picture, whose rows are made in less time than it takes to see what is lacking --- */

enum { MAX_ORDER = 1 << 14 };

struct order { size_t n; uint16_t *op; };

static void count_row(void *arg, int o, int64_t y)
{
    struct order *r = arg;
    (void)y;
    if (r->op)
        r->op[r->n] = (uint16_t)o;
    r->n++;
}

static int keep_order(struct vd_plan *p, struct vd_stream *s, int64_t *next, int *stack)
{
    struct order r = {0, NULL};
    int64_t rows = 0;
    for (int o = 0; o < s->n_op; o++)
        rows += s->op[o].rows;
    if (rows > MAX_ORDER || s->bands > MAX_ORDER || s->n_op > UINT16_MAX)
        return 0;
    size_t *at = vd_arena_array(&p->shape, (size_t)s->bands + 1, sizeof(*at));
    for (int b = 0; at && b < s->bands; b++) {
        vd_stream_walk(s, b, next, stack, count_row, &r);
        at[b + 1] = r.n;
    }
    if (r.n > MAX_ORDER)
        return 0;
    r.op = vd_arena_array(&p->shape, r.n + 1, sizeof(*r.op));
    if (!at || !r.op)
        return vd_nomem(r.n * sizeof(*r.op));
    r.n = 0;
    for (int b = 0; b < s->bands; b++)
        vd_stream_walk(s, b, next, stack, count_row, &r);
    s->order_at = at;
    s->order = r.op;
    return 0;
}

/* --- bands --- */

static int64_t weight_of(const struct vd_stream *s, const struct vd_stream_op *o)
{
    const struct vd_stream_value *v = &s->value[o->out >= 0 ? o->out : o->in[0]];
    const struct vd_row_shape *c = &o->conv.shape;
    const int64_t elements = (int64_t)v->width * v->channels;
    return o->kind == VD_ROW_CONV ? elements * (c->kind == VD_ROW_DEPTHWISE ? 1 : c->ic) * c->kh * c->kw : elements;
}

/* What the dearest band costs, with the rows that its neighbours make as well. */
static double band_cost(struct vd_stream *s, int bands, int64_t *first, int64_t *last)
{
    double most = 0;
    s->bands = bands;
    for (int b = 0; b < bands; b += bands > 2 ? bands / 2 : 1) { /* the middle is dearest */
        double cost = 0;
        vd_stream_band(s, b, first, last);
        for (int o = 0; o < s->n_op; o++)
            if (first[o] != INT64_MAX && last[o] >= first[o])
                cost += (double)(last[o] - first[o] + 1) * (double)weight_of(s, &s->op[o]);
        most = cost > most ? cost : most;
    }
    return most;
}

static void choose_bands(const struct vd_plan *p, struct vd_stream *s, int64_t *first, int64_t *last)
{
    int64_t rows = 1;
    for (int o = 0; o < s->n_op; o++)
        if (s->op[o].sink && s->op[o].rows > rows)
            rows = s->op[o].rows;
    if (p->band_rows > 0) {
        s->bands = (int)((rows + p->band_rows - 1) / p->band_rows);
        return;
    }
    const int threads = vd_workers_count(p->workers);
    double best = 0;
    int bands = 1;
    for (int times = 0; times <= 4; times = times ? times * 2 : 1) {
        const int n = times ? threads * times : 1;
        if (n > rows)
            break;
        const int64_t tasks = s->batch * n, rounds = (tasks + threads - 1) / threads;
        const double cost = (double)rounds * band_cost(s, n, first, last);
        if (!times || cost < best * (n > threads ? 1.02 : 1)) { /* small tasks even out what the system takes away */
            best = cost < best || !times ? cost : best;
            bands = n;
        }
        if (threads == 1)
            break;
    }
    s->bands = bands;
}

/* --- memory --- */

static bool up(size_t v, size_t to, size_t *out) { return vd_add(v, to - 1, out) && (*out -= *out % to, true); }

/* Bytes of a row in a ring. Pixel 0 is 64-byte aligned, and so are blocks. */
static bool row_geometry(struct vd_stream_value *v)
{
    if (v->wino) {
        v->head = 0;
        return up(v->block, 64, &v->block) && (v->row = v->block, true);
    }
    const size_t pixels = (size_t)v->width + (size_t)v->slack + (size_t)v->right; /* each is below 2^31 */
    size_t marks = v->segments ? (size_t)v->width / VD_STREAM_SEGMENT + 1 : 0;
    return up((size_t)v->left * v->pixel, 64, &v->head) && vd_mul(pixels, v->pixel, &v->block) && vd_add(v->block, v->head, &v->block) && up(v->block, 64, &v->block) &&
           vd_mul(v->block, (size_t)v->blocks, &v->row) && up(marks, 64, &marks) && vd_add(v->row, marks, &v->row);
}

bool vd_stream_blocked_row(const struct vd_tensor *t, struct vd_cross *c)
{
    const size_t size = t->type == VD_F32 ? sizeof(float) : 1, blocks = c->thin ? 1 : ((size_t)t->dim[1] + VD_LANES - 1) / VD_LANES;
    return vd_mul((size_t)t->dim[3] + VD_ROW_SLACK, size * (c->thin ? 1 : VD_LANES), &c->block) && up(c->block, 64, &c->block) &&
           vd_mul(c->block, blocks, &c->row);
}

static bool reserve(struct vd_stream *s, size_t bytes, size_t *at)
{
    *at = s->area;
    return vd_add(s->area, bytes, &s->area) && up(s->area, 64, &s->area);
}

int vd_stream_schedule(struct vd_plan *p, struct vd_stream *s)
{
    const size_t n = (size_t)s->n_op + 1;
    int64_t *next = vd_arena_array(&p->shape, n, sizeof(*next)), *last = vd_arena_array(&p->shape, n, sizeof(*last));
    int *stack = vd_arena_array(&p->shape, n, sizeof(*stack));
    if (!next || !last || !stack)
        return vd_nomem(n * sizeof(*next));
    choose_bands(p, s, next, last);
    int rc = find_heights(p, s, next, stack);
    if (rc || (rc = keep_order(p, s, next, stack)))
        return rc;

    const size_t workers = (size_t)vd_workers_count(p->workers);
    if (p->profile && (!(s->seconds = vd_arena_array(&p->shape, workers * n, sizeof(*s->seconds))) ||
                       !(s->tails = vd_arena_array(&p->shape, workers * n, sizeof(*s->tails)))))
        return vd_nomem(workers * n * sizeof(*s->seconds));
    s->area = 0;
    bool fits = reserve(s, n * sizeof(int64_t), &s->next_at) && reserve(s, n * sizeof(int), &s->stack_at) &&
                reserve(s, 2 * (size_t)s->max_kh * sizeof(void *), &s->src_at) && reserve(s, (size_t)s->n_range * 2 * sizeof(float), &s->range_at);
    size_t marks = 0;
    for (int i = 0; i < s->n_value; i++)
        if (s->value[i].segments && (size_t)s->value[i].width / VD_STREAM_SEGMENT + 1 > marks)
            marks = (size_t)s->value[i].width / VD_STREAM_SEGMENT + 1;
    fits = fits && reserve(s, marks, &s->marks_at);
    for (int i = 0; fits && i < s->n_value; i++) {
        struct vd_stream_value *v = &s->value[i];
        if (v->whole) /* as vd_stream_blocked_row() laid it out */
            continue;
        size_t ring;
        fits = row_geometry(v) && vd_mul(v->row, (size_t)v->height, &ring) && reserve(s, ring, &v->at);
    }
    if (!fits || s->area > (size_t)64 << 30)
        return vd_fail(ERANGE, "the model needs rows of more than 64 GiB at this size");
    for (int i = 0; i < 2 * s->n_op; i++) { /* rows above or below the picture */
        const struct vd_stream_op *op = &s->op[i / 2];
        struct vd_stream_value *v = op->n_in ? &s->value[op->in[i % 2 ? op->second : 0]] : NULL;
        if (op->kind != VD_ROW_CONV || v->pad || (op->top <= 0 && (op->rows - 1) * op->sy - op->top + (op->kh - 1) * op->dy <= v->h - 1))
            continue;
        unsigned char *pad = vd_arena_array(&p->shape, v->row, 1);
        if (!pad)
            return vd_nomem(v->row);
        v->pad = pad + v->head;
        if (v->bytes)
            memset(pad, v->zp, v->row);
    }
    return 0;
}
