/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_OP_LOOPS_H
#define VD_OP_LOOPS_H

#include "ops/op_util.h"

/* Elementwise operators: one operator is one expression, and the loops around it are made here once for every type. A list of
 * types is expanded by a loop macro into row functions NAME_TYPE, and by ROW_OF into the entries of a table from type to row
 * function. T: the element. W: the unsigned type, at least as wide as int, in which sums and products are formed, so that
 * integers wrap and nothing is promoted to a signed type. Inside src/ops only. */
#define SINT_TYPES(X, op) X(op, VD_S8, int8_t, uint32_t) X(op, VD_S16, int16_t, uint32_t) X(op, VD_S32, int32_t, uint32_t) \
    X(op, VD_S64, int64_t, uint64_t)
#define UINT_TYPES(X, op) X(op, VD_U8, uint8_t, uint32_t) X(op, VD_U16, uint16_t, uint32_t) X(op, VD_U32, uint32_t, uint32_t) \
    X(op, VD_U64, uint64_t, uint64_t)
#define INT_TYPES(X, op) SINT_TYPES(X, op) UINT_TYPES(X, op)
/* float64 only where an operator rounds at most once, so that the same expression is right for it. */
#define FLOAT_TYPES(X, op) X(op, VD_F32, float, float) X(op, VD_F64, double, double)

#define ROW_OF(op, type, T, W) [type] = op##_##type,
/* One loop for the signed and the unsigned type of a width: for wrapping arithmetic and for bits. */
#define WORD_ROWS(op) [VD_U8] = op##_VD_U8, [VD_U16] = op##_VD_U16, [VD_U32] = op##_VD_U32, [VD_U64] = op##_VD_U64, \
    [VD_S8] = op##_VD_U8, [VD_S16] = op##_VD_U16, [VD_S32] = op##_VD_U32, [VD_S64] = op##_VD_U64

/* op_expr(a, b, T, W) of two operands; O: the type of the result. */
#define BINARY_LOOP_TO(O, op, type, T, W) \
    static void op##_##type(const struct vd_row *r) \
    { \
        O *y = r->p[0]; \
        const T *a = r->p[1], *b = r->p[2]; \
        if (r->step[1] && r->step[2]) \
            for (size_t i = 0, n = r->n; i < n; i++) \
                y[i] = op##_expr(a[i], b[i], T, W); \
        else if (r->step[1]) \
            for (size_t i = 0, n = r->n; i < n; i++) \
                y[i] = op##_expr(a[i], *b, T, W); \
        else if (r->step[2]) \
            for (size_t i = 0, n = r->n; i < n; i++) \
                y[i] = op##_expr(*a, b[i], T, W); \
        else /* a further operand is the wide one */ \
            for (size_t i = 0, n = r->n; i < n; i++) \
                y[i] = op##_expr(*a, *b, T, W); \
    }
#define BINARY_LOOP(op, type, T, W) BINARY_LOOP_TO(T, op, type, T, W)
#define BINARY_BOOL_LOOP(op, type, T, W) BINARY_LOOP_TO(uint8_t, op, type, T, W)

/* op_expr(x, T, W) of one operand. */
#define UNARY_LOOP_TO(O, op, type, T, W) \
    static void op##_##type(const struct vd_row *r) \
    { \
        O *y = r->p[0]; \
        const T *x = r->p[1]; \
        for (size_t i = 0, n = r->n; i < n; i++) \
            y[i] = op##_expr(x[i], T, W); \
    }
#define UNARY_LOOP(op, type, T, W) UNARY_LOOP_TO(T, op, type, T, W)
#define UNARY_BOOL_LOOP(op, type, T, W) UNARY_LOOP_TO(uint8_t, op, type, T, W)

/* Functions of an operator whose rows are in the table ROWS. */
#define BINARY_FUNCTIONS(op, INFER, ...) \
    int vd_infer_##op(const struct vd_op_call *c) { return INFER(c); } \
    void vd_run_##op(const struct vd_op_call *c) \
    { \
        static vd_row_fn *const fn[] = {__VA_ARGS__}; \
        vd_run_rows2(c, fn[c->in[0]->type], NULL); \
    }
#define UNARY_FUNCTIONS(op, ...) \
    int vd_infer_##op(const struct vd_op_call *c) { return vd_infer_like(c); } \
    void vd_run_##op(const struct vd_op_call *c) \
    { \
        static vd_row_fn *const fn[] = {__VA_ARGS__}; \
        vd_run_rows1(c, fn[c->in[0]->type], NULL); \
    }

/* Output 0 has the type and shape of input 0. */
static inline int vd_infer_like(const struct vd_op_call *c) { return vd_op_set_like(c, 0, c->in[0]->type, c->in[0]); }

/* Output 0 of that type, inputs 0 and 1 broadcast to it; they may be of two types. */
static inline int vd_infer_broadcast(const struct vd_op_call *c, int type)
{
    struct vd_tensor t;
    const int rc = vd_op_broadcast(c, c->in[0], c->in[1], &t);
    return rc < 0 ? rc : vd_op_set(c, 0, type, t.rank, t.dim);
}

/* Two inputs of one type; the result is of that type, or bool. */
static inline int vd_infer_pair(const struct vd_op_call *c)
{
    const int rc = vd_op_same_type(c, 0, 1);
    return rc < 0 ? rc : vd_infer_broadcast(c, c->in[0]->type);
}

static inline int vd_infer_pair_bool(const struct vd_op_call *c)
{
    const int rc = vd_op_same_type(c, 0, 1);
    return rc < 0 ? rc : vd_infer_broadcast(c, VD_BOOL);
}

/* fn over output 0 and the first one or two inputs, broadcast. */
static inline void vd_run_rows1(const struct vd_op_call *c, vd_row_fn *fn, const void *arg)
{
    struct vd_iter it;
    vd_iter_init(&it, c->out[0]);
    vd_iter_input(&it, c->in[0]);
    vd_iter_run(&it, c->workers, fn, arg);
}

static inline void vd_run_rows2(const struct vd_op_call *c, vd_row_fn *fn, const void *arg)
{
    struct vd_iter it;
    vd_iter_init(&it, c->out[0]);
    vd_iter_input(&it, c->in[0]);
    vd_iter_input(&it, c->in[1]);
    vd_iter_run(&it, c->workers, fn, arg);
}

#endif
