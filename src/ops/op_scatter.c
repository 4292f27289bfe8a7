/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/op_loops.h"

/* Operators that read or write at places that a tensor of indices names. Known indices are checked by infer. One that was computed
 * at run time and is out of range reads zeros and writes nothing. */

/* v, or v + size where it is negative; -1: outside. */
static int64_t place(int64_t v, int64_t size)
{
    v += v < 0 ? size : 0;
    return v >= 0 && v < size ? v : -1;
}

static int check_index(const struct vd_op_call *c, int64_t v, int64_t size, int dim)
{
    if (place(v, size) >= 0)
        return 0;
    return vd_op_fail(c, ERANGE, "input 1 (indices) has %lld, which is outside dim %d of size %lld", (long long)v, dim, (long long)size);
}

/* A walk over the elements of `shape`, with the offset of each in a dense tensor of other dims; dim `axis` (or none) takes no part. */
struct walk {
    int rank;
    int64_t dim[VD_MAX_RANK], step[VD_MAX_RANK], at[VD_MAX_RANK], off;
};

static void walk_init(struct walk *w, const struct vd_tensor *shape, const struct vd_tensor *dense, int axis)
{
    int64_t step = 1;
    *w = (struct walk){.rank = shape->rank};
    for (int d = shape->rank - 1; d >= 0; d--) {
        w->dim[d] = shape->dim[d];
        w->step[d] = d == axis ? 0 : step;
        step *= dense->dim[d];
    }
}

static void walk_next(struct walk *w)
{
    for (int d = w->rank - 1; d >= 0; d--) {
        w->off += w->step[d];
        if (++w->at[d] < w->dim[d])
            return;
        w->off -= w->dim[d] * w->step[d];
        w->at[d] = 0;
    }
}

/* --- reductions of what is written into what is there --- */

enum how { NONE, ADD, MUL, MAX, MIN, HOWS };
static const char *const how_name[HOWS] = {"none", "add", "mul", "max", "min"};
typedef void put_fn(void *dst, const void *src, size_t n);

static enum how how_of(const struct vd_op_call *c)
{
    const char *name = vd_op_str(c, "reduction", how_name[NONE]);
    int how = NONE;
    while (how < HOWS && strcmp(name, how_name[how]))
        how++;
    return (enum how)how;
}

static int check_how(const struct vd_op_call *c)
{
    const enum how how = how_of(c);
    const bool some = c->opset >= 18;
    if (how == HOWS || (how > MUL && !some))
        return vd_op_fail(c, EBADMSG, "attribute reduction is '%.40s'; it must be none, add%s", vd_op_str(c, "reduction", ""),
                          some ? ", mul, max or min" : " or mul");
    if (how != NONE && c->in[0]->type == VD_BOOL)
        return vd_op_fail(c, EPERM, "attribute reduction is %s, which is not supported for %s", how_name[how], vd_type_name(VD_BOOL));
    return 0;
}

#define PUT(op, type, T, W) \
    static void op##_##type(void *dst, const void *src, size_t n) \
    { \
        T *y = dst; \
        const T *x = src; \
        for (size_t i = 0; i < n; i++) \
            y[i] = op##_expr(y[i], x[i], T, W); \
    }
#define add_expr(a, b, T, W) (T)((W)(a) + (W)(b))
#define mul_expr(a, b, T, W) (T)((W)(a) * (W)(b))
#define max_expr(a, b, T, W) (((b) > (a)) | ((b) != (b)) ? (b) : (a))
#define min_expr(a, b, T, W) (((b) < (a)) | ((b) != (b)) ? (b) : (a))
#define EVERY(X, op) INT_TYPES(X, op) FLOAT_TYPES(X, op)
EVERY(PUT, add)
EVERY(PUT, mul)
EVERY(PUT, max)
EVERY(PUT, min)
static put_fn *const put_table[HOWS][VD_U64 + 1] = {
    [ADD] = {EVERY(ROW_OF, add)}, [MUL] = {EVERY(ROW_OF, mul)}, [MAX] = {EVERY(ROW_OF, max)}, [MIN] = {EVERY(ROW_OF, min)},
};

/* --- GatherElements, ScatterElements: the index replaces one coordinate of its own place --- */

/* Input i has the rank of input 0 and is no longer along any dim but the axis. */
static int check_shape(const struct vd_op_call *c, int axis)
{
    const struct vd_tensor *x = c->in[0], *index = c->in[1];
    if (index->rank != x->rank)
        return vd_op_fail(c, EBADMSG, "input 1 (indices) is of rank %d and input 0 of rank %d; they must be the same", index->rank, x->rank);
    for (int d = 0; d < x->rank; d++)
        if (d != axis && index->dim[d] > x->dim[d])
            return vd_op_fail(c, ERANGE, "dim %d of input 1 (indices) is %lld and that of input 0 only %lld", d, (long long)index->dim[d],
                              (long long)x->dim[d]);
    for (size_t i = 0, n = index->data ? vd_tensor_count(index) : 0; i < n; i++) {
        const int rc = check_index(c, vd_tensor_int(index, i), x->dim[axis], axis);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int64_t step_of(const struct vd_tensor *t, int axis)
{
    int64_t step = 1;
    for (int d = axis + 1; d < t->rank; d++)
        step *= t->dim[d];
    return step;
}

int vd_infer_gather_elements(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    int axis, rc;
    if ((rc = vd_op_axis(c, vd_op_int(c, "axis", 0), x->rank, &axis)) < 0 || (rc = check_shape(c, axis)) < 0)
        return rc;
    return vd_op_set_like(c, 0, x->type, c->in[1]);
}

void vd_run_gather_elements(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0], *index = c->in[1];
    const size_t unit = vd_type_size(x->type), n = vd_tensor_count(index);
    char *dst = c->out[0]->data;
    struct walk w;
    int axis;
    if (!n || vd_op_axis(c, vd_op_int(c, "axis", 0), x->rank, &axis) < 0)
        return; /* infer has seen that it does not fail */
    const int64_t step = step_of(x, axis);
    walk_init(&w, index, x, axis);
    for (size_t i = 0; i < n; i++, dst += unit, walk_next(&w)) {
        const int64_t at = place(vd_tensor_int(index, i), x->dim[axis]);
        if (at >= 0)
            memcpy(dst, (const char *)x->data + (size_t)(w.off + at * step) * unit, unit);
        else
            memset(dst, 0, unit);
    }
}

int vd_infer_scatter_elements(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0], *index = c->in[1], *from = c->in[2];
    int axis, rc;
    if ((rc = vd_op_same_type(c, 0, 2)) < 0 || (rc = vd_op_axis(c, vd_op_int(c, "axis", 0), x->rank, &axis)) < 0 ||
        (rc = check_how(c)) < 0 || (rc = check_shape(c, axis)) < 0)
        return rc;
    bool same = from->rank == index->rank;
    for (int d = 0; same && d < index->rank; d++)
        same = from->dim[d] == index->dim[d];
    if (!same)
        return vd_op_fail(c, ERANGE, "inputs 1 (indices) and 2 (updates) must be of one shape");
    return vd_op_set_like(c, 0, x->type, x);
}

/* One after the other, in the order of the updates: a place that is named twice has the last, or all of them reduced in order. */
void vd_run_scatter_elements(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0], *index = c->in[1], *from = c->in[2];
    const size_t unit = vd_type_size(x->type), n = vd_tensor_count(index);
    const enum how how = how_of(c);
    struct walk w;
    int axis;
    vd_op_copy(c);
    if (!n || vd_op_axis(c, vd_op_int(c, "axis", 0), x->rank, &axis) < 0)
        return; /* infer has seen that it does not fail */
    const int64_t step = step_of(x, axis);
    put_fn *put = put_table[how][x->type];
    walk_init(&w, index, x, axis);
    for (size_t i = 0; i < n; i++, walk_next(&w)) {
        const int64_t at = place(vd_tensor_int(index, i), x->dim[axis]);
        if (at < 0)
            continue;
        char *dst = (char *)c->out[0]->data + (size_t)(w.off + at * step) * unit;
        const char *src = (const char *)from->data + i * unit;
        if (how == NONE)
            memcpy(dst, src, unit);
        else
            put(dst, src, 1);
    }
}

/* --- GatherND, ScatterND: the last dim of the indices is a place, what is there a block --- */

struct nd {
    int batch, depth;    /* leading dims in common; coordinates of a place */
    size_t places, per;  /* how many; how many in each batch */
    size_t block, batch_step; /* elements of a block, and of the data of one batch */
    int64_t size[VD_MAX_RANK], step[VD_MAX_RANK];
};

static int nd_of(const struct vd_op_call *c, int64_t batch, struct nd *g)
{
    const struct vd_tensor *x = c->in[0], *index = c->in[1];
    *g = (struct nd){.places = 1, .per = 1, .block = 1};
    if (x->rank < 1 || index->rank < 1)
        return vd_op_fail(c, EBADMSG, "input %d has no dims", x->rank < 1 ? 0 : 1);
    if (batch < 0 || batch >= x->rank || batch >= index->rank)
        return vd_op_fail(c, EBADMSG, "attribute batch_dims is %lld; it must be less than the ranks, %d and %d", (long long)batch, x->rank,
                          index->rank);
    for (int d = 0; d < batch; d++)
        if (x->dim[d] != index->dim[d])
            return vd_op_fail(c, ERANGE, "dim %d is %lld in input 0 and %lld in input 1 (indices); batch dims must be the same", d,
                              (long long)x->dim[d], (long long)index->dim[d]);
    const int64_t depth = index->dim[index->rank - 1];
    if (depth < 1 || depth > x->rank - batch)
        return vd_op_fail(c, ERANGE, "the last dim of input 1 (indices) is %lld; it must be in 1..%d", (long long)depth, x->rank - (int)batch);
    g->batch = (int)batch;
    g->depth = (int)depth;
    for (int d = 0; d < index->rank - 1; d++) {
        g->places *= (size_t)index->dim[d];
        g->per *= d < batch ? 1 : (size_t)index->dim[d];
    }
    for (int d = x->rank - 1; d >= batch + depth; d--)
        g->block *= (size_t)x->dim[d];
    int64_t step = (int64_t)g->block;
    for (int k = g->depth - 1; k >= 0; step *= g->size[k--]) {
        g->size[k] = x->dim[batch + k];
        g->step[k] = step;
    }
    g->batch_step = (size_t)step;
    return 0;
}

static int check_places(const struct vd_op_call *c, const struct nd *g)
{
    const struct vd_tensor *index = c->in[1];
    for (size_t i = 0, n = index->data ? vd_tensor_count(index) : 0; i < n; i++) {
        const int k = (int)(i % (size_t)g->depth), rc = check_index(c, vd_tensor_int(index, i), g->size[k], g->batch + k);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Where block i begins, in elements, or -1. */
static int64_t nd_at(const struct nd *g, const struct vd_tensor *index, size_t i)
{
    int64_t at = g->per ? (int64_t)(i / g->per * g->batch_step) : 0;
    for (int k = 0; k < g->depth; k++) {
        const int64_t v = place(vd_tensor_int(index, i * (size_t)g->depth + (size_t)k), g->size[k]);
        if (v < 0)
            return -1;
        at += v * g->step[k];
    }
    return at;
}

int vd_infer_gather_nd(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0], *index = c->in[1];
    struct nd g;
    int64_t dim[2 * VD_MAX_RANK];
    int rank = 0;
    int rc = nd_of(c, vd_op_int(c, "batch_dims", 0), &g);
    if (rc < 0 || (rc = check_places(c, &g)) < 0)
        return rc;
    for (int d = 0; d < index->rank - 1; d++)
        dim[rank++] = index->dim[d];
    for (int d = g.batch + g.depth; d < x->rank; d++)
        dim[rank++] = x->dim[d];
    return vd_op_set(c, 0, x->type, rank, dim);
}

struct gather {
    struct nd g;
    const struct vd_op_call *c;
};

static void gather_range(void *arg, size_t begin, size_t end)
{
    const struct gather *s = arg;
    const struct vd_tensor *x = s->c->in[0];
    const size_t unit = vd_type_size(x->type), bytes = s->g.block * unit;
    for (size_t i = begin; i < end; i++) {
        const int64_t at = nd_at(&s->g, s->c->in[1], i);
        char *dst = (char *)s->c->out[0]->data + i * bytes;
        if (at >= 0)
            memcpy(dst, (const char *)x->data + (size_t)at * unit, bytes);
        else
            memset(dst, 0, bytes);
    }
}

void vd_run_gather_nd(const struct vd_op_call *c)
{
    struct gather s = {.c = c};
    if (!vd_tensor_count(c->out[0]) || nd_of(c, vd_op_int(c, "batch_dims", 0), &s.g) < 0)
        return; /* infer has seen that it does not fail */
    vd_op_split(c->workers, s.g.places, VD_ITER_GRAIN / s.g.block + 1, gather_range, &s);
}

int vd_infer_scatter_nd(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0], *index = c->in[1], *from = c->in[2];
    struct nd g;
    int rc;
    if ((rc = vd_op_same_type(c, 0, 2)) < 0 || (rc = check_how(c)) < 0 || (rc = nd_of(c, 0, &g)) < 0 || (rc = check_places(c, &g)) < 0)
        return rc;
    bool fits = from->rank == index->rank - 1 + x->rank - g.depth;
    for (int d = 0; fits && d < from->rank; d++)
        fits = from->dim[d] == (d < index->rank - 1 ? index->dim[d] : x->dim[g.depth + d - (index->rank - 1)]);
    if (!fits)
        return vd_op_fail(c, ERANGE, "input 2 (updates) must have the dims of input 1 (indices) but the last, then those of input 0 from %d on",
                          g.depth);
    return vd_op_set_like(c, 0, x->type, x);
}

void vd_run_scatter_nd(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0], *from = c->in[2];
    const size_t unit = vd_type_size(x->type);
    const enum how how = how_of(c);
    struct nd g;
    vd_op_copy(c);
    if (!vd_tensor_count(from) || nd_of(c, 0, &g) < 0)
        return; /* infer has seen that it does not fail */
    put_fn *put = put_table[how][x->type];
    for (size_t i = 0; i < g.places; i++) {
        const int64_t at = nd_at(&g, c->in[1], i);
        if (at < 0)
            continue;
        char *dst = (char *)c->out[0]->data + (size_t)at * unit;
        const char *src = (const char *)from->data + i * g.block * unit;
        if (how == NONE)
            memcpy(dst, src, g.block * unit);
        else
            put(dst, src, g.block);
    }
}

/* --- ReverseSequence: the first so many of each line along the time axis, backwards --- */

int vd_infer_reverse_sequence(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0], *lens = c->in[1];
    const int64_t time = vd_op_int(c, "time_axis", 0), batch = vd_op_int(c, "batch_axis", 1);
    if (x->rank < 2)
        return vd_op_fail(c, EBADMSG, "an input of rank %d; at least 2 dims are needed", x->rank);
    if (time < 0 || time > 1 || batch < 0 || batch > 1 || time == batch)
        return vd_op_fail(c, EBADMSG, "attributes time_axis and batch_axis are %lld and %lld; one must be 0 and the other 1", (long long)time,
                          (long long)batch);
    if (lens->rank != 1 || lens->dim[0] != x->dim[batch])
        return vd_op_fail(c, ERANGE, "input 1 (sequence_lens) must be a list of %lld numbers", (long long)x->dim[batch]);
    for (size_t i = 0; lens->data && i < (size_t)lens->dim[0]; i++)
        if (vd_tensor_int(lens, i) < 0 || vd_tensor_int(lens, i) > x->dim[time])
            return vd_op_fail(c, ERANGE, "input 1 (sequence_lens) has %lld; dim %lld is %lld", (long long)vd_tensor_int(lens, i),
                              (long long)time, (long long)x->dim[time]);
    return vd_op_set_like(c, 0, x->type, x);
}

void vd_run_reverse_sequence(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    const bool time_first = vd_op_int(c, "time_axis", 0) == 0;
    const int64_t steps = x->dim[!time_first], lines = x->dim[time_first];
    size_t block = vd_type_size(x->type);
    for (int d = 2; d < x->rank; d++)
        block *= (size_t)x->dim[d];
    if (!vd_tensor_count(x))
        return;
    for (int64_t b = 0; b < lines; b++) {
        int64_t len = vd_tensor_int(c->in[1], (size_t)b);
        len = len > steps ? steps : len;
        for (int64_t t = 0; t < steps; t++) {
            const int64_t from = t < len ? len - 1 - t : t;
            memcpy((char *)c->out[0]->data + (size_t)(time_first ? t * lines + b : b * steps + t) * block,
                   (const char *)x->data + (size_t)(time_first ? from * lines + b : b * steps + from) * block, block);
        }
    }
}
