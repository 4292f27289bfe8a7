/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>

#include "ops/op_loops.h"
#include "ops/op_math.h"

/* First the operators that round at most once: one expression is right for every float type, and integers wrap. */
#define neg_expr(x, T, W) ((T)(0 - (W)(x)))
#define neg_f_expr(x, T, W) (-(x))
FLOAT_TYPES(UNARY_LOOP, neg_f)
UINT_TYPES(UNARY_LOOP, neg)
UNARY_FUNCTIONS(neg, FLOAT_TYPES(ROW_OF, neg_f) WORD_ROWS(neg))

#define abs_expr(x, T, W) ((T)((x) < 0 ? 0 - (W)(x) : (W)(x)))
#define abs_f_expr(x, T, W) ((T)fabs((double)(x)))
#define abs_u_expr(x, T, W) (x)
FLOAT_TYPES(UNARY_LOOP, abs_f)
SINT_TYPES(UNARY_LOOP, abs)
UINT_TYPES(UNARY_LOOP, abs_u)
UNARY_FUNCTIONS(abs, FLOAT_TYPES(ROW_OF, abs_f) SINT_TYPES(ROW_OF, abs) UINT_TYPES(ROW_OF, abs_u))

/* A NaN has no sign: it stays. */
#define sign_expr(x, T, W) ((T)(((x) > 0) - ((x) < 0)))
#define sign_f_expr(x, T, W) ((x) > 0 ? (T)1 : (x) < 0 ? (T)-1 : (x) == 0 ? (T)0 : (x))
#define sign_u_expr(x, T, W) ((T)((x) != 0))
FLOAT_TYPES(UNARY_LOOP, sign_f)
SINT_TYPES(UNARY_LOOP, sign)
UINT_TYPES(UNARY_LOOP, sign_u)
UNARY_FUNCTIONS(sign, FLOAT_TYPES(ROW_OF, sign_f) SINT_TYPES(ROW_OF, sign) UINT_TYPES(ROW_OF, sign_u))

/* C's double functions give a float32's own whole numbers; the root of a float32 rounded from double is its rounded root. */
#define floor_expr(x, T, W) ((T)floor((double)(x)))
#define ceil_expr(x, T, W) ((T)ceil((double)(x)))
#define round_expr(x, T, W) ((T)rint((double)(x))) /* half to even */
#define sqrt_expr(x, T, W) ((T)sqrt((double)(x)))
#define reciprocal_expr(x, T, W) (1 / (x))
#define FLOAT_OP(op) \
    FLOAT_TYPES(UNARY_LOOP, op) \
    UNARY_FUNCTIONS(op, FLOAT_TYPES(ROW_OF, op))
FLOAT_OP(floor)
FLOAT_OP(ceil)
FLOAT_OP(round)
FLOAT_OP(sqrt)
FLOAT_OP(reciprocal)

/* Then functions of float32: formed in double and rounded once, so within 0.51 units in the last place wherever the C library's
 * function is right to 2^-32. exp, log and tanh are this project's own, the same bits everywhere. */
#define MATH_OP(op, f) \
    static void op##_row(const struct vd_row *r) \
    { \
        float *y = r->p[0]; \
        const float *x = r->p[1]; \
        for (size_t i = 0, n = r->n; i < n; i++) \
            y[i] = (float)f((double)x[i]); \
    } \
    UNARY_FUNCTIONS(op, [VD_F32] = op##_row)

/* The same with x brought into -200..200 before, where the result in float32 is 0, 1 or infinite long since. The bounds come by way
 * of memory: a compiler that knows them makes of each a case of its own, and then no vectors of the loop. */
#define BOUNDED_OP(op, f) \
    static void op##_row(const struct vd_row *r) \
    { \
        float *y = r->p[0]; \
        const float *x = r->p[1]; \
        const double *bounds = r->arg, lo = bounds[0], hi = bounds[1]; \
        for (size_t i = 0, n = r->n; i < n; i++) { \
            const double v = (double)x[i] < lo ? lo : (double)x[i]; \
            y[i] = (float)f(v > hi ? hi : v); \
        } \
    } \
    int vd_infer_##op(const struct vd_op_call *c) { return vd_infer_like(c); } \
    void vd_run_##op(const struct vd_op_call *c) \
    { \
        static const double bounds[] = {-200, 200}; \
        vd_run_rows1(c, op##_row, bounds); \
    }

static inline double log_of(double x)
{
    if (x > 0 && x <= (double)INFINITY) /* no float32 is subnormal as a double */
        return isinf(x) ? x : vd_log(x);
    return x == 0 ? -(double)INFINITY : (double)NAN;
}

/* 1 / (1 + e^-x) */
static inline double sigmoid_of(double x) { return 1 / (1 + vd_exp(-x)); }

BOUNDED_OP(exp, vd_exp)
BOUNDED_OP(tanh, vd_tanh)
BOUNDED_OP(sigmoid, sigmoid_of)
MATH_OP(log, log_of)
MATH_OP(erf, erf)
MATH_OP(sin, sin)
MATH_OP(cos, cos)
MATH_OP(tan, tan)
MATH_OP(asin, asin)
MATH_OP(acos, acos)
MATH_OP(atan, atan)
MATH_OP(sinh, sinh)
MATH_OP(cosh, cosh)
MATH_OP(asinh, asinh)
MATH_OP(acosh, acosh)
MATH_OP(atanh, atanh)

/* Questions: the answer is a bool. */
static int infer_bool(const struct vd_op_call *c) { return vd_op_set_like(c, 0, VD_BOOL, c->in[0]); }

#define is_nan_expr(x, T, W) ((x) != (x))
FLOAT_TYPES(UNARY_BOOL_LOOP, is_nan)
int vd_infer_is_nan(const struct vd_op_call *c) { return infer_bool(c); }
void vd_run_is_nan(const struct vd_op_call *c)
{
    static vd_row_fn *const fn[] = {FLOAT_TYPES(ROW_OF, is_nan)};
    vd_run_rows1(c, fn[c->in[0]->type], NULL);
}

/* arg: the infinities that count, as two bools: the negative, the positive. */
#define IS_INF_LOOP(op, type, T, W) \
    static void op##_##type(const struct vd_row *r) \
    { \
        uint8_t *y = r->p[0]; \
        const T *x = r->p[1]; \
        const bool *which = r->arg, low = which[0], high = which[1]; \
        for (size_t i = 0, n = r->n; i < n; i++) \
            y[i] = (low && x[i] == -(T)INFINITY) || (high && x[i] == (T)INFINITY); \
    }
FLOAT_TYPES(IS_INF_LOOP, is_inf)

int vd_infer_is_inf(const struct vd_op_call *c) { return infer_bool(c); }

void vd_run_is_inf(const struct vd_op_call *c)
{
    static vd_row_fn *const fn[] = {FLOAT_TYPES(ROW_OF, is_inf)};
    const bool which[] = {vd_op_int(c, "detect_negative", 1) != 0, vd_op_int(c, "detect_positive", 1) != 0};
    vd_run_rows1(c, fn[c->in[0]->type], which);
}
