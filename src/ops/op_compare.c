/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/op_loops.h"

/* Comparison, logic, choice. A bool is true where its byte is not 0; results are 0 or 1. */
#define greater_expr(a, b, T, W) ((a) > (b))
#define less_expr(a, b, T, W) ((a) < (b))
#define greater_or_equal_expr(a, b, T, W) ((a) >= (b))
#define less_or_equal_expr(a, b, T, W) ((a) <= (b))
#define ORDER_OP(op) \
    FLOAT_TYPES(BINARY_BOOL_LOOP, op) \
    INT_TYPES(BINARY_BOOL_LOOP, op) \
    BINARY_FUNCTIONS(op, vd_infer_pair_bool, FLOAT_TYPES(ROW_OF, op) INT_TYPES(ROW_OF, op))
ORDER_OP(greater)
ORDER_OP(less)
ORDER_OP(greater_or_equal)
ORDER_OP(less_or_equal)

#define and_expr(a, b, T, W) ((a) && (b))
#define or_expr(a, b, T, W) ((a) || (b))
#define xor_expr(a, b, T, W) (!(a) != !(b))
#define same_expr(a, b, T, W) (!(a) == !(b))
#define LOGIC_OP(op) \
    BINARY_BOOL_LOOP(op, VD_BOOL, uint8_t, uint32_t) \
    BINARY_FUNCTIONS(op, vd_infer_pair_bool, [VD_BOOL] = op##_VD_BOOL)
LOGIC_OP(and)
LOGIC_OP(or)
LOGIC_OP(xor)

#define not_expr(x, T, W) (!(x))
UNARY_LOOP(not, VD_BOOL, uint8_t, uint32_t)
UNARY_FUNCTIONS(not, [VD_BOOL] = not_VD_BOOL)

#define equal_expr(a, b, T, W) ((a) == (b))
FLOAT_TYPES(BINARY_BOOL_LOOP, equal)
UINT_TYPES(BINARY_BOOL_LOOP, equal)
BINARY_BOOL_LOOP(same, VD_BOOL, uint8_t, uint32_t)
BINARY_FUNCTIONS(equal, vd_infer_pair_bool, FLOAT_TYPES(ROW_OF, equal) WORD_ROWS(equal), [VD_BOOL] = same_VD_BOOL)

/* Where moves elements: one loop for each size. */
#define WHERE_LOOP(op, type, T, W) \
    static void op##_##type(const struct vd_row *r) \
    { \
        T *y = r->p[0]; \
        const uint8_t *pick = r->p[1]; \
        const T *a = r->p[2], *b = r->p[3]; \
        const ptrdiff_t sp = r->step[1], sa = r->step[2], sb = r->step[3]; \
        if (sp && sa && sb) \
            for (size_t i = 0, n = r->n; i < n; i++) \
                y[i] = pick[i] ? a[i] : b[i]; \
        else \
            for (ptrdiff_t i = 0, n = (ptrdiff_t)r->n; i < n; i++) \
                y[i] = pick[i * sp] ? a[i * sa] : b[i * sb]; \
    }
UINT_TYPES(WHERE_LOOP, where)

int vd_infer_where(const struct vd_op_call *c)
{
    struct vd_tensor t, all;
    int rc = vd_op_same_type(c, 1, 2);
    if (rc < 0 || (rc = vd_op_broadcast(c, c->in[1], c->in[2], &t)) < 0 || (rc = vd_op_broadcast(c, c->in[0], &t, &all)) < 0)
        return rc;
    return vd_op_set(c, 0, c->in[1]->type, all.rank, all.dim);
}

void vd_run_where(const struct vd_op_call *c)
{
    static vd_row_fn *const fn[] = {[1] = where_VD_U8, [2] = where_VD_U16, [4] = where_VD_U32, [8] = where_VD_U64};
    struct vd_iter it;
    vd_iter_init(&it, c->out[0]);
    for (int i = 0; i < 3; i++)
        vd_iter_input(&it, c->in[i]);
    vd_iter_run(&it, c->workers, fn[vd_type_size(c->out[0]->type)], NULL);
}
