/* SPDX-License-Identifier: BSD-2-Clause */
#include <float.h>
#include <math.h>

#include "ops/op_loops.h"
#include "ops/op_math.h"

#define add_f_expr(a, b, T, W) ((a) + (b))
#define sub_f_expr(a, b, T, W) ((a) - (b))
#define mul_f_expr(a, b, T, W) ((a) * (b))
#define div_f_expr(a, b, T, W) ((a) / (b))
#define add_expr(a, b, T, W) ((T)((W)(a) + (W)(b)))
#define sub_expr(a, b, T, W) ((T)((W)(a) - (W)(b)))
#define mul_expr(a, b, T, W) ((T)((W)(a) * (W)(b)))
/* Towards zero; x / 0 is 0, and the least integer / -1 is itself, as the wrapped negation is. */
#define div_expr(a, b, T, W) ((T)((b) == 0 ? 0 : (b) == -1 ? (T)(0 - (W)(a)) : (a) / (b)))
#define div_u_expr(a, b, T, W) ((T)((b) == 0 ? 0 : (a) / (b)))

#define WORD_OP(op) \
    FLOAT_TYPES(BINARY_LOOP, op##_f) \
    UINT_TYPES(BINARY_LOOP, op) \
    BINARY_FUNCTIONS(op, vd_infer_pair, FLOAT_TYPES(ROW_OF, op##_f) WORD_ROWS(op))
WORD_OP(add)
WORD_OP(sub)
WORD_OP(mul)
FLOAT_TYPES(BINARY_LOOP, div_f)
SINT_TYPES(BINARY_LOOP, div)
UINT_TYPES(BINARY_LOOP, div_u)
BINARY_FUNCTIONS(div, vd_infer_pair, FLOAT_TYPES(ROW_OF, div_f) SINT_TYPES(ROW_OF, div) UINT_TYPES(ROW_OF, div_u))

/* Mod: of integers with the divisor's sign (fmod 0) or the dividend's (fmod 1); x mod 0 is 0. Of floats C's fmod, which is exact. */
#define rem_expr(a, b, T, W) ((T)((b) == 0 || (b) == -1 ? 0 : (a) % (b)))
#define rem_u_expr(a, b, T, W) ((T)((b) == 0 ? 0 : (a) % (b)))
#define rem_f_expr(a, b, T, W) ((T)fmod((double)(a), (double)(b)))
#define mod_expr(a, b, T, W) ((T)(rem_expr(a, b, T, W) + (rem_expr(a, b, T, W) != 0 && ((a) < 0) != ((b) < 0) ? (b) : 0)))
SINT_TYPES(BINARY_LOOP, rem)
SINT_TYPES(BINARY_LOOP, mod)
UINT_TYPES(BINARY_LOOP, rem_u)
FLOAT_TYPES(BINARY_LOOP, rem_f)

int vd_infer_mod(const struct vd_op_call *c)
{
    if (!vd_op_int(c, "fmod", 0) && vd_type_is_float(c->in[0]->type))
        return vd_op_fail(c, EBADMSG, "attribute fmod is 0; for %s it must be 1", vd_type_name(c->in[0]->type));
    return vd_infer_pair(c);
}

void vd_run_mod(const struct vd_op_call *c)
{
    static vd_row_fn *const c_like[] = {FLOAT_TYPES(ROW_OF, rem_f) SINT_TYPES(ROW_OF, rem) UINT_TYPES(ROW_OF, rem_u)};
    static vd_row_fn *const floored[] = {SINT_TYPES(ROW_OF, mod) UINT_TYPES(ROW_OF, rem_u)};
    vd_run_rows2(c, (vd_op_int(c, "fmod", 0) ? c_like : floored)[c->in[0]->type], NULL);
}

/* A NaN is kept: the comparison fails. */
#define relu_expr(x, T, W) ((x) < 0 ? (T)0 : (x))
UNARY_LOOP(relu, VD_F32, float, float)
SINT_TYPES(UNARY_LOOP, relu)
UNARY_FUNCTIONS(relu, [VD_F32] = relu_VD_F32, SINT_TYPES(ROW_OF, relu))

/* Clip: lo and hi are tensors of one element (NULL: no bound); where lo > hi every result is hi. A NaN stays NaN. */
struct clip {
    const void *lo, *hi;
};
#define CLIP_LOOP(op, type, T, W) \
    static void op##_##type(const struct vd_row *r) \
    { \
        const struct clip *k = r->arg; \
        const T lo = *(const T *)k->lo, hi = *(const T *)k->hi, *x = r->p[1]; \
        T *y = r->p[0]; \
        for (size_t i = 0, n = r->n; i < n; i++) { \
            const T v = x[i] < lo ? lo : x[i]; \
            y[i] = v > hi ? hi : v; \
        } \
    }
FLOAT_TYPES(CLIP_LOOP, clip)
INT_TYPES(CLIP_LOOP, clip)

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
    return vd_infer_like(c);
}

void vd_run_clip(const struct vd_op_call *c)
{
    static const float f32[] = {-INFINITY, INFINITY};
    static const double f64[] = {-INFINITY, INFINITY};
    static const uint8_t u8[] = {0, UINT8_MAX};
    static const uint16_t u16[] = {0, UINT16_MAX};
    static const uint32_t u32[] = {0, UINT32_MAX};
    static const uint64_t u64[] = {0, UINT64_MAX};
    static const int8_t s8[] = {INT8_MIN, INT8_MAX};
    static const int16_t s16[] = {INT16_MIN, INT16_MAX};
    static const int32_t s32[] = {INT32_MIN, INT32_MAX};
    static const int64_t s64[] = {INT64_MIN, INT64_MAX};
    static const struct clip none[] = {
        [VD_F32] = {f32, f32 + 1}, [VD_F64] = {f64, f64 + 1}, [VD_U8] = {u8, u8 + 1}, [VD_U16] = {u16, u16 + 1},
        [VD_U32] = {u32, u32 + 1}, [VD_U64] = {u64, u64 + 1}, [VD_S8] = {s8, s8 + 1}, [VD_S16] = {s16, s16 + 1},
        [VD_S32] = {s32, s32 + 1}, [VD_S64] = {s64, s64 + 1},
    };
    static vd_row_fn *const fn[] = {FLOAT_TYPES(ROW_OF, clip) INT_TYPES(ROW_OF, clip)};
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
    vd_run_rows1(c, fn[type], &k);
}

/* Pow: the result has the base's type. An integer base with an integer exponent is exact and wraps (a negative exponent gives the
 * quotient cut towards zero); everything else goes through doubles. */
static int64_t power(int64_t x, uint64_t y, bool negative)
{
    if (negative)
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
            a[k] = power(a[k], (uint64_t)b[k], b[k] < 0 && et != VD_U64);
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

int vd_infer_pow(const struct vd_op_call *c) { return vd_infer_broadcast(c, c->in[0]->type); }

void vd_run_pow(const struct vd_op_call *c)
{
    const bool ints = !vd_type_is_float(c->in[0]->type) && !vd_type_is_float(c->in[1]->type);
    vd_run_rows2(c, ints ? pow_int_int : pow_any, c);
}
