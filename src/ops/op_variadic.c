/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/op_loops.h"

/* Min, Max, Sum, Mean of any number of tensors: the first two into the output, then the output and each further one, in their
 * order. A NaN anywhere is the result of Min and Max. */
#define min_expr(a, b, T, W) ((a) < (b) ? (a) : (b))
#define max_expr(a, b, T, W) ((a) > (b) ? (a) : (b))
#define min_f_expr(a, b, T, W) ((a) < (b) || (a) != (a) ? (a) : (b))
#define max_f_expr(a, b, T, W) ((a) > (b) || (a) != (a) ? (a) : (b))
#define sum_expr(a, b, T, W) ((a) + (b))

static int infer_variadic(const struct vd_op_call *c)
{
    struct vd_tensor t = *c->in[0], wider;
    for (int i = 1, rc; i < c->n_in; i++) {
        if ((rc = vd_op_same_type(c, 0, i)) < 0 || (rc = vd_op_broadcast(c, &t, c->in[i], &wider)) < 0)
            return rc;
        if (c->opset < 8 && (c->in[i]->rank != t.rank || memcmp(c->in[i]->dim, t.dim, (size_t)t.rank * sizeof(*t.dim))))
            return vd_op_fail(c, ERANGE, "input %d has another shape than input 0; before opset 8 nothing is broadcast", i);
        wider.type = t.type;
        t = wider;
    }
    return vd_op_set_like(c, 0, t.type, &t);
}

static void add_input(const struct vd_op_call *c, const struct vd_tensor *first, int i, vd_row_fn *fn)
{
    struct vd_iter it;
    vd_iter_init(&it, c->out[0]);
    vd_iter_input(&it, first);
    vd_iter_input(&it, c->in[i]);
    vd_iter_run(&it, c->workers, fn, NULL);
}

static void run_variadic(const struct vd_op_call *c, vd_row_fn *fn)
{
    if (c->n_in == 1)
        vd_op_copy(c);
    else
        add_input(c, c->in[0], 1, fn);
    for (int i = 2; i < c->n_in; i++)
        add_input(c, c->out[0], i, fn); /* in place: element i of the output is read only for element i */
}

#define VARIADIC_OP(op, ...) \
    int vd_infer_##op(const struct vd_op_call *c) { return infer_variadic(c); } \
    void vd_run_##op(const struct vd_op_call *c) \
    { \
        static vd_row_fn *const fn[] = {__VA_ARGS__}; \
        run_variadic(c, fn[c->out[0]->type]); \
    }
FLOAT_TYPES(BINARY_LOOP, min_f)
INT_TYPES(BINARY_LOOP, min)
VARIADIC_OP(min, FLOAT_TYPES(ROW_OF, min_f) INT_TYPES(ROW_OF, min))
FLOAT_TYPES(BINARY_LOOP, max_f)
INT_TYPES(BINARY_LOOP, max)
VARIADIC_OP(max, FLOAT_TYPES(ROW_OF, max_f) INT_TYPES(ROW_OF, max))
FLOAT_TYPES(BINARY_LOOP, sum)
VARIADIC_OP(sum, FLOAT_TYPES(ROW_OF, sum))

#define SHARE_LOOP(op, type, T, W) \
    static void op##_##type(const struct vd_row *r) \
    { \
        T *y = r->p[0]; \
        const T *x = r->p[1], by = (T)*(const int *)r->arg; \
        for (size_t i = 0, n = r->n; i < n; i++) \
            y[i] = x[i] / by; \
    }
FLOAT_TYPES(SHARE_LOOP, share)

int vd_infer_mean(const struct vd_op_call *c) { return infer_variadic(c); }

void vd_run_mean(const struct vd_op_call *c)
{
    static vd_row_fn *const fn[] = {FLOAT_TYPES(ROW_OF, share)};
    vd_run_sum(c);
    struct vd_iter it;
    vd_iter_init(&it, c->out[0]);
    vd_iter_input(&it, c->out[0]);
    vd_iter_run(&it, c->workers, fn[c->out[0]->type], &c->n_in);
}
