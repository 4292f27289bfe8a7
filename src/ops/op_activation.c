/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>

#include "ops/op_loops.h"
#include "ops/op_math.h"

/* Functions of float32 with up to two float attributes, formed in double and rounded once. A NaN stays NaN everywhere but in
 * ThresholdedRelu, as its definition says; so is x * 0 of an infinite x. lo and hi, -200 and 200: beyond them e^x is 0 or infinite
 * in float32; from memory, for the vectors' sake (op_unary.c). */
struct knobs {
    double a, b, lo, hi;
};

#define ACTIVATION_ROW(op, f) \
    static void op##_row(const struct vd_row *r) \
    { \
        float *y = r->p[0]; \
        const float *x = r->p[1]; \
        const struct knobs *k = r->arg; \
        for (size_t i = 0, n = r->n; i < n; i++) \
            y[i] = (float)f((double)x[i], k); \
    }
#define ACTIVATION(op, f, a_name, a_default, b_name, b_default) \
    ACTIVATION_ROW(op, f) \
    int vd_infer_##op(const struct vd_op_call *c) { return vd_infer_like(c); } \
    void vd_run_##op(const struct vd_op_call *c) \
    { \
        const struct knobs k = {(double)vd_op_float(c, a_name, a_default), (double)vd_op_float(c, b_name, b_default), -200, 200}; \
        vd_run_rows1(c, op##_row, &k); \
    }

static inline double at_most(double x, double hi) { return x > hi ? hi : x; }
static inline double at_least(double x, double lo) { return x < lo ? lo : x; }

static inline double leaky_relu(double x, const struct knobs *k) { return x < 0 ? k->a * x : x; }
static inline double thresholded_relu(double x, const struct knobs *k) { return x > k->a ? x : 0; }
static inline double elu(double x, const struct knobs *k) { return x < 0 ? k->a * vd_expm1(at_most(at_least(x, k->lo), k->hi)) : x; }
static inline double selu(double x, const struct knobs *k) { return k->b * elu(x, k); }

/* max(0, x) + min(0, a * (e^(x / a) - 1)): for a > 0, and for no other is it of use, the two exclude each other. */
static inline double celu(double x, const struct knobs *k)
{
    const double low = k->a * vd_expm1(at_most(at_least(x / k->a, -700), 700));
    return at_least(x, 0) + at_most(low, 0);
}

static inline double softplus(double x, const struct knobs *k)
{
    return at_least(x, 0) + vd_log1p(vd_exp(at_least(-fabs(x), k->lo)));
}

static inline double softsign(double x, const struct knobs *k)
{
    (void)k;
    return x / (1 + fabs(x));
}

static inline double hard_sigmoid(double x, const struct knobs *k) { return at_least(at_most(k->a * x + k->b, 1), 0); }

static inline double hard_swish(double x, const struct knobs *k)
{
    (void)k;
    return x * at_least(at_most((x + 3) / 6, 1), 0);
}

/* tanh(log(1 + e)) = n / (n + 2) with n = e * (e + 2), e = e^x. Below -200 it is x * 0 in float32. */
static inline double mish(double x, const struct knobs *k)
{
    const double e = vd_exp(at_most(at_least(x, k->lo), k->hi)), n = e * (e + 2);
    return x * (x < k->lo ? 0 : n / (n + 2));
}

/* x / 2 * (1 + erf(x / sqrt 2)), without the cancellation on the left. */
static inline double gelu_erf(double x, const struct knobs *k)
{
    (void)k;
    return 0.5 * x * erfc(x * -0.70710678118654752440);
}

/* x / 2 * (1 + tanh u) = x / (1 + e^(-2 u)) */
static inline double gelu_tanh(double x, const struct knobs *k)
{
    const double u = 0.79788456080286535588 * (x + 0.044715 * x * x * x);
    return x * (u < k->lo ? 0 : 1 / (1 + vd_exp(at_least(-2 * u, k->lo))));
}

ACTIVATION(leaky_relu, leaky_relu, "alpha", 0.01f, "", 0)
ACTIVATION(thresholded_relu, thresholded_relu, "alpha", 1.0f, "", 0)
ACTIVATION(elu, elu, "alpha", 1.0f, "", 0)
ACTIVATION(selu, selu, "alpha", 1.67326319217681884765625f, "gamma", 1.05070102214813232421875f)
ACTIVATION(celu, celu, "alpha", 1.0f, "", 0)
ACTIVATION(softplus, softplus, "", 0, "", 0)
ACTIVATION(softsign, softsign, "", 0, "", 0)
ACTIVATION(hard_sigmoid, hard_sigmoid, "alpha", 0.2f, "beta", 0.5f)
ACTIVATION(hard_swish, hard_swish, "", 0, "", 0)
ACTIVATION(mish, mish, "", 0, "", 0)

ACTIVATION_ROW(gelu_erf, gelu_erf)
ACTIVATION_ROW(gelu_tanh, gelu_tanh)

static const char *gelu_kind(const struct vd_op_call *c) { return vd_op_str(c, "approximate", "none"); }

int vd_infer_gelu(const struct vd_op_call *c)
{
    const char *kind = gelu_kind(c);
    if (strcmp(kind, "none") && strcmp(kind, "tanh"))
        return vd_op_fail(c, EBADMSG, "attribute approximate is '%s'; it must be 'none' or 'tanh'", kind);
    return vd_infer_like(c);
}

void vd_run_gelu(const struct vd_op_call *c)
{
    const struct knobs k = {0, 0, -200, 200};
    vd_run_rows1(c, strcmp(gelu_kind(c), "tanh") ? gelu_erf_row : gelu_tanh_row, &k);
}

/* PRelu: the slope is broadcast to x, and x never to the slope. */
#define prelu_expr(x, s, T, W) ((x) < 0 ? (T)((W)(x) * (W)(s)) : (x))
#define prelu_u_expr(x, s, T, W) ((void)(s), (x))
BINARY_LOOP(prelu, VD_F32, float, float)
BINARY_LOOP(prelu, VD_S32, int32_t, uint32_t)
BINARY_LOOP(prelu, VD_S64, int64_t, uint64_t)
BINARY_LOOP(prelu_u, VD_U32, uint32_t, uint32_t)
BINARY_LOOP(prelu_u, VD_U64, uint64_t, uint64_t)

static int infer_prelu(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    struct vd_tensor t;
    int rc = vd_op_same_type(c, 0, 1);
    if (rc < 0 || (rc = vd_op_broadcast(c, x, c->in[1], &t)) < 0)
        return rc;
    if (t.rank != x->rank || memcmp(t.dim, x->dim, (size_t)t.rank * sizeof(*t.dim)))
        return vd_op_fail(c, ERANGE, "input 1 (slope) is larger than input 0; it must be broadcast to input 0, not the reverse");
    return vd_infer_like(c);
}
BINARY_FUNCTIONS(prelu, infer_prelu, [VD_F32] = prelu_VD_F32, [VD_S32] = prelu_VD_S32, [VD_S64] = prelu_VD_S64,
                 [VD_U32] = prelu_u_VD_U32, [VD_U64] = prelu_u_VD_U64)
