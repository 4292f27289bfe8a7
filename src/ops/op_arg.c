/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/op_loops.h"

/* ArgMax and ArgMin: where the greatest or least of an axis is, the first of equals or the last. */
enum { TILE = 64 };

struct arg {
    const void *x;
    int64_t *y;
    struct vd_along a;
    size_t tiles; /* of inner */
    bool last;
};

#define ARG(op, type, T, W) \
    static void op##_##type(void *p, size_t begin, size_t end) \
    { \
        const struct arg *g = p; \
        const size_t n = g->a.n, inner = g->a.inner; \
        for (size_t t = begin; t < end; t++) { \
            const size_t from = t % g->tiles * TILE, cols = inner - from < TILE ? inner - from : TILE, outer = t / g->tiles; \
            const T *x = (const T *)g->x + outer * n * inner + from; \
            int64_t *y = g->y + outer * inner + from; \
            T best[TILE]; \
            for (size_t i = 0; i < cols; i++) { \
                best[i] = x[i]; \
                y[i] = 0; \
            } \
            for (size_t k = 1; k < n; k++) \
                for (size_t i = 0; i < cols; i++) { \
                    const T v = x[k * inner + i]; \
                    if (op##_better(v, best[i]) || (g->last && v == best[i])) { \
                        best[i] = v; \
                        y[i] = (int64_t)k; \
                    } \
                } \
        } \
    }
#define most_better(a, b) ((a) > (b))
#define least_better(a, b) ((a) < (b))
INT_TYPES(ARG, most)
FLOAT_TYPES(ARG, most)
INT_TYPES(ARG, least)
FLOAT_TYPES(ARG, least)

static int infer(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    const bool keep = vd_op_int(c, "keepdims", 1) != 0;
    int64_t dim[VD_MAX_RANK];
    int axis, rank = 0;
    const int rc = vd_op_axis(c, vd_op_int(c, "axis", 0), x->rank, &axis);
    if (rc < 0)
        return rc;
    if (!x->dim[axis])
        return vd_op_fail(c, ERANGE, "dim %d of input 0 is 0; there is nothing to choose from", axis);
    for (int d = 0; d < x->rank; d++)
        if (d != axis || keep)
            dim[rank++] = d == axis ? 1 : x->dim[d];
    return vd_op_set(c, 0, VD_S64, rank, dim);
}

static void run(const struct vd_op_call *c, vd_range_fn *const *fn)
{
    const struct vd_tensor *x = c->in[0];
    struct arg g = {.x = x->data, .y = c->out[0]->data, .last = vd_op_int(c, "select_last_index", 0) != 0};
    int axis;
    if (!vd_tensor_count(x) || vd_op_axis(c, vd_op_int(c, "axis", 0), x->rank, &axis) < 0)
        return; /* infer has seen that it does not fail */
    g.a = vd_along(x, axis);
    g.tiles = (g.a.inner + TILE - 1) / TILE;
    const size_t work = g.a.n * (g.a.inner < TILE ? g.a.inner : TILE);
    vd_op_split(c->workers, g.a.outer * g.tiles, VD_ITER_GRAIN / work + 1, fn[x->type], &g);
}

int vd_infer_arg_max(const struct vd_op_call *c) { return infer(c); }
void vd_run_arg_max(const struct vd_op_call *c)
{
    static vd_range_fn *const fn[] = {INT_TYPES(ROW_OF, most) FLOAT_TYPES(ROW_OF, most)};
    run(c, fn);
}

int vd_infer_arg_min(const struct vd_op_call *c) { return infer(c); }
void vd_run_arg_min(const struct vd_op_call *c)
{
    static vd_range_fn *const fn[] = {INT_TYPES(ROW_OF, least) FLOAT_TYPES(ROW_OF, least)};
    run(c, fn);
}
