/* SPDX-License-Identifier: BSD-2-Clause */
#include <float.h>
#include <math.h>

#include "ops/op_math.h"
#include "ops/op_util.h"

/* One operator is one expression; the loops around it are made here once for every type. Integers wrap: sums and products
 * are formed in the unsigned type W (at least as wide as int, so that nothing is promoted to a signed type) and cut. */
#define INT_TYPES(X, op) X(op, VD_U8, uint8_t, uint32_t) X(op, VD_S8, int8_t, uint32_t) X(op, VD_S32, int32_t, uint32_t) \
    X(op, VD_S64, int64_t, uint64_t)

#define BINARY_LOOP(op, type, T, W) \
    static void op##_##type(const struct vd_row *r) \
    { \
        T *y = r->p[0]; \
        const T *a = r->p[1], *b = r->p[2]; \
        if (r->step[1] && r->step[2]) \
            for (size_t i = 0; i < r->n; i++) \
                y[i] = op##_expr(a[i], b[i], T, W); \
        else if (r->step[1]) \
            for (size_t i = 0, n = r->n; i < n; i++) \
                y[i] = op##_expr(a[i], *b, T, W); \
        else \
            for (size_t i = 0, n = r->n; i < n; i++) \
                y[i] = op##_expr(*a, b[i], T, W); \
    }
#define F32_LOOP(op) BINARY_LOOP(op##_f, VD_F32, float, float)
#define ROW_OF(op, type, T, W) [type] = op##_##type,

#define add_f_expr(a, b, T, W) ((a) + (b))
#define sub_f_expr(a, b, T, W) ((a) - (b))
#define mul_f_expr(a, b, T, W) ((a) * (b))
#define div_f_expr(a, b, T, W) ((a) / (b))
#define add_expr(a, b, T, W) ((T)((W)(a) + (W)(b)))
#define sub_expr(a, b, T, W) ((T)((W)(a) - (W)(b)))
#define mul_expr(a, b, T, W) ((T)((W)(a) * (W)(b)))
/* Towards zero; x / 0 is 0, and the least integer / -1 is itself, as the wrapped negation is. */
#define div_expr(a, b, T, W) ((b) == 0 ? (T)0 : (b) == (T)-1 && (T)-1 < 0 ? (T)(0 - (W)(a)) : (T)((a) / ((b) == 0 ? (T)1 : (b))))

#define BINARY_OP(op) \
    F32_LOOP(op) \
    INT_TYPES(BINARY_LOOP, op) \
    void vd_run_##op(const struct vd_op_call *c) \
    { \
        static vd_row_fn *const fn[] = {[VD_F32] = op##_f_VD_F32, INT_TYPES(ROW_OF, op)}; \
        run_binary(c, fn[c->out[0]->type]); \
    } \
    int vd_infer_##op(const struct vd_op_call *c) { return infer_binary(c); }

static void run_binary(const struct vd_op_call *c, vd_row_fn *fn)
{
    struct vd_iter it;
    vd_iter_init(&it, c->out[0]);
    vd_iter_input(&it, c->in[0]);
    vd_iter_input(&it, c->in[1]);
    vd_iter_run(&it, c->workers, fn, NULL);
}

static int infer_broadcast(const struct vd_op_call *c)
{
    struct vd_tensor t;
    const int rc = vd_op_broadcast(c, c->in[0], c->in[1], &t);
    return rc < 0 ? rc : vd_op_set(c, 0, c->in[0]->type, t.rank, t.dim);
}

static int infer_binary(const struct vd_op_call *c)
{
    const int rc = vd_op_same_type(c, 0, 1);
    return rc < 0 ? rc : infer_broadcast(c);
}

BINARY_OP(add)
BINARY_OP(sub)
BINARY_OP(mul)
BINARY_OP(div)

/* Unary operators: the expression of one element, with what the whole tensor shares in `arg`. */
#define UNARY_LOOP(op, type, T, W) \
    static void op##_##type(const struct vd_row *r) \
    { \
        T *y = r->p[0]; \
        const T *x = r->p[1]; \
        op##_setup(T) \
        for (size_t i = 0, n = r->n; i < n; i++) \
            y[i] = op##_expr(x[i], T); \
    }

static void run_unary(const struct vd_op_call *c, vd_row_fn *fn, const void *arg)
{
    struct vd_iter it;
    vd_iter_init(&it, c->out[0]);
    vd_iter_input(&it, c->in[0]);
    vd_iter_run(&it, c->workers, fn, arg);
}

static int infer_unary(const struct vd_op_call *c)
{
    return vd_op_set_like(c, 0, c->in[0]->type, c->in[0]);
}

/* A NaN is kept: the comparison fails. */
#define relu_setup(T)
#define relu_expr(x, T) ((x) < 0 ? (T)0 : (x))
UNARY_LOOP(relu, VD_F32, float, float)
UNARY_LOOP(relu, VD_S8, int8_t, uint32_t)
UNARY_LOOP(relu, VD_S32, int32_t, uint32_t)
UNARY_LOOP(relu, VD_S64, int64_t, uint64_t)

int vd_infer_relu(const struct vd_op_call *c) { return infer_unary(c); }

void vd_run_relu(const struct vd_op_call *c)
{
    static vd_row_fn *const fn[] = {[VD_F32] = relu_VD_F32, [VD_S8] = relu_VD_S8, [VD_S32] = relu_VD_S32, [VD_S64] = relu_VD_S64};
    run_unary(c, fn[c->out[0]->type], NULL);
}

#define sqrt_setup(T)
#define sqrt_expr(x, T) sqrtf(x)
UNARY_LOOP(sqrt, VD_F32, float, float)

int vd_infer_sqrt(const struct vd_op_call *c) { return infer_unary(c); }
void vd_run_sqrt(const struct vd_op_call *c) { run_unary(c, sqrt_VD_F32, NULL); }

/* 1 / (1 + e^-x), rounded once; the bounds are far beyond where a float is 0 or 1. */
static inline float sigmoid(float x)
{
    double t = -(double)x;
    t = t < -200 ? -200 : t;
    t = t > 200 ? 200 : t;
    return (float)(1.0 / (1.0 + vd_exp(t)));
}
#define sigmoid_setup(T)
#define sigmoid_expr(x, T) sigmoid(x)
UNARY_LOOP(sigmoid, VD_F32, float, float)

int vd_infer_sigmoid(const struct vd_op_call *c) { return infer_unary(c); }
void vd_run_sigmoid(const struct vd_op_call *c) { run_unary(c, sigmoid_VD_F32, NULL); }

/* Clip: lo and hi are tensors of one element (NULL: no bound); where lo > hi every result is hi. A NaN stays NaN. */
struct clip {
    const void *lo, *hi;
};
#define clip_setup(T) const struct clip *k = r->arg; const T lo = *(const T *)k->lo, hi = *(const T *)k->hi;
#define clip_low(x) ((x) < lo ? lo : (x))
#define clip_expr(x, T) (clip_low(x) > hi ? hi : clip_low(x))
UNARY_LOOP(clip, VD_F32, float, float)
INT_TYPES(UNARY_LOOP, clip)

int vd_infer_clip(const struct vd_op_call *c)
{
    for (int i = 1; i < 3; i++) {
        const struct vd_tensor *t = vd_op_in(c, i);
        if (!t)
            continue;
        const int rc = vd_op_same_type(c, 0, i);
        if (rc < 0)
            return rc;
        if (vd_tensor_count(t) != 1)
            return vd_op_fail(c, EBADMSG, "input %d (%s) has %zu elements; it must have one", i, i == 1 ? "min" : "max",
                              vd_tensor_count(t));
    }
    return infer_unary(c);
}

void vd_run_clip(const struct vd_op_call *c)
{
    static const float f32[] = {-INFINITY, INFINITY};
    static const uint8_t u8[] = {0, UINT8_MAX};
    static const int8_t s8[] = {INT8_MIN, INT8_MAX};
    static const int32_t s32[] = {INT32_MIN, INT32_MAX};
    static const int64_t s64[] = {INT64_MIN, INT64_MAX};
    static const struct clip none[] = {
        [VD_F32] = {f32, f32 + 1}, [VD_U8] = {u8, u8 + 1}, [VD_S8] = {s8, s8 + 1}, [VD_S32] = {s32, s32 + 1}, [VD_S64] = {s64, s64 + 1},
    };
    static vd_row_fn *const fn[] = {[VD_F32] = clip_VD_F32, INT_TYPES(ROW_OF, clip)};
    const int type = c->out[0]->type;
    const struct vd_tensor *lo = vd_op_in(c, 1), *hi = vd_op_in(c, 2);
    struct clip k = none[type];
    const float attr[] = {vd_op_float(c, "min", -INFINITY), vd_op_float(c, "max", INFINITY)};
    if (c->opset < 11)
        k = (struct clip){attr, attr + 1};
    if (lo)
        k.lo = lo->data;
    if (hi)
        k.hi = hi->data;
    run_unary(c, fn[type], &k);
}

/* Pow: the result has the base's type. An integer base with an integer exponent is exact and wraps (a negative exponent gives the
 * quotient cut towards zero); everything else goes through doubles. */
static int64_t power(int64_t x, int64_t y)
{
    if (y < 0)
        return x == 1 ? 1 : x == -1 ? (y % 2 ? -1 : 1) : 0;
    uint64_t r = 1, b = (uint64_t)x;
    for (; y; y >>= 1, b *= b)
        if (y & 1)
            r *= b;
    return (int64_t)r;
}

static void pow_int_int(const struct vd_row *r)
{
    const struct vd_op_call *c = r->arg;
    const int bt = c->in[0]->type, et = c->in[1]->type;
    unsigned char *y = r->p[0];
    int64_t a[VD_CHUNK], b[VD_CHUNK];
    for (size_t i = 0, n; i < r->n; i += n) {
        n = r->n - i < VD_CHUNK ? r->n - i : VD_CHUNK;
        vd_load_s64(a, (const char *)r->p[1] + (ptrdiff_t)i * r->step[1] * (ptrdiff_t)vd_type_size(bt), bt, r->step[1], n);
        vd_load_s64(b, (const char *)r->p[2] + (ptrdiff_t)i * r->step[2] * (ptrdiff_t)vd_type_size(et), et, r->step[2], n);
        for (size_t k = 0; k < n; k++)
            a[k] = power(a[k], b[k]);
        vd_store_s64(y + i * vd_type_size(bt), bt, a, n);
    }
}

static double pow_one(double x, double y, bool to_int)
{
    const double v = vd_pow(x, y), near = rint(v);
    /* Cutting would turn 4^0.5 = 2 - 2^-50 into 1. */
    return to_int && fabs(v - near) <= 0x1p-40 * fabs(v) ? near : v;
}

static void pow_any(const struct vd_row *r)
{
    const struct vd_op_call *c = r->arg;
    const int bt = c->in[0]->type, et = c->in[1]->type;
    const bool to_int = !vd_type_is_float(bt);
    unsigned char *y = r->p[0];
    double a[VD_CHUNK], b[VD_CHUNK];
    for (size_t i = 0, n; i < r->n; i += n) {
        n = r->n - i < VD_CHUNK ? r->n - i : VD_CHUNK;
        vd_load_f64(a, (const char *)r->p[1] + (ptrdiff_t)i * r->step[1] * (ptrdiff_t)vd_type_size(bt), bt, r->step[1], n);
        vd_load_f64(b, (const char *)r->p[2] + (ptrdiff_t)i * r->step[2] * (ptrdiff_t)vd_type_size(et), et, r->step[2], n);
        if (!r->step[2] && b[0] == 2) /* exact in double for a float32 base: one rounding, as pow's */
            for (size_t k = 0; k < n; k++)
                a[k] *= a[k];
        else
            for (size_t k = 0; k < n; k++)
                a[k] = pow_one(a[k], b[k], to_int);
        vd_store_f64(y + i * vd_type_size(bt), bt, a, n);
    }
}

int vd_infer_pow(const struct vd_op_call *c) { return infer_broadcast(c); }

void vd_run_pow(const struct vd_op_call *c)
{
    const bool ints = !vd_type_is_float(c->in[0]->type) && !vd_type_is_float(c->in[1]->type);
    struct vd_iter it;
    vd_iter_init(&it, c->out[0]);
    vd_iter_input(&it, c->in[0]);
    vd_iter_input(&it, c->in[1]);
    vd_iter_run(&it, c->workers, ints ? pow_int_int : pow_any, c);
}
