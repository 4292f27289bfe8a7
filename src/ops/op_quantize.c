/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>

#include "ops/dynamic_range.h"
#include "ops/op_util.h"

/* Adding and taking away 1.5 * 2^23 rounds half to even wherever |v| <= 2^22, without a call. */
static inline float round_small(float v)
{
    return (v + 0x1.8p23f) - 0x1.8p23f;
}

/* saturate(rint(x / scale) + zp) in 0..255 or -128..127: bounded before it is rounded, so that the sum is a small integer.
 * A NaN gives the lower bound, as in ONNX Runtime. */
static inline float quantized(float x, float scale, float lo, float hi)
{
    float v = x / scale;
    v = v > lo ? v : lo;
    v = v < hi ? v : hi;
    return round_small(v);
}

/* One scale and zero point for a run of `inner` elements; runs repeat over `channels`. */
struct quant {
    const void *x, *zp;
    const float *scale;
    void *y;
    size_t channels, inner;
};

#define QUANTIZE(name, X, T, LO, HI) \
    static void name(const struct quant *q, size_t ch, size_t at, size_t n) \
    { \
        const X *x = (const X *)q->x + at; \
        T *y = (T *)q->y + at; \
        const float scale = q->scale[ch]; \
        const int zp = q->zp ? ((const T *)q->zp)[ch] : 0; \
        const float lo = (float)((LO) - zp), hi = (float)((HI) - zp); \
        for (size_t i = 0; i < n; i++) \
            y[i] = (T)((int)quantized((float)x[i], scale, lo, hi) + zp); \
    }
QUANTIZE(q_f32_u8, float, uint8_t, 0, UINT8_MAX)
QUANTIZE(q_f32_s8, float, int8_t, INT8_MIN, INT8_MAX)
QUANTIZE(q_s32_u8, int32_t, uint8_t, 0, UINT8_MAX)
QUANTIZE(q_s32_s8, int32_t, int8_t, INT8_MIN, INT8_MAX)

#define DEQUANTIZE(name, T) \
    static void name(const struct quant *q, size_t ch, size_t at, size_t n) \
    { \
        const T *x = (const T *)q->x + at; \
        float *y = (float *)q->y + at; \
        const float scale = q->scale[ch]; \
        const uint32_t zp = q->zp ? (uint32_t)((const T *)q->zp)[ch] : 0; \
        for (size_t i = 0; i < n; i++) \
            y[i] = (float)(int32_t)((uint32_t)x[i] - zp) * scale; \
    }
DEQUANTIZE(dq_u8, uint8_t)
DEQUANTIZE(dq_s8, int8_t)
DEQUANTIZE(dq_s32, int32_t)

struct job {
    struct quant q;
    void (*fn)(const struct quant *q, size_t ch, size_t at, size_t n);
};

static void range(void *arg, size_t begin, size_t end)
{
    const struct job *j = arg;
    while (begin < end) {
        const size_t run = begin / j->q.inner, left = (run + 1) * j->q.inner - begin, n = left < end - begin ? left : end - begin;
        j->fn(&j->q, run % j->q.channels, begin, n);
        begin += n;
    }
}

static void run(const struct vd_op_call *c, struct job *j)
{
    const struct vd_tensor *x = c->in[0], *scale = c->in[1], *zp = vd_op_in(c, 2);
    const size_t count = vd_tensor_count(x);
    if (!count)
        return;
    j->q = (struct quant){.x = x->data, .zp = zp ? zp->data : NULL, .scale = scale->data, .y = c->out[0]->data, .channels = 1,
                          .inner = count};
    if (vd_tensor_count(scale) > 1) {
        int axis = (int)vd_op_int(c, "axis", 1);
        axis += axis < 0 ? x->rank : 0;
        j->q.channels = (size_t)x->dim[axis];
        j->q.inner = 1;
        for (int i = axis + 1; i < x->rank; i++)
            j->q.inner *= (size_t)x->dim[i];
    }
    vd_op_split(c->workers, count, VD_ITER_GRAIN, range, j);
}

/* Scale and zero point: one value each, or one for each index of the axis. A known scale must be one that can be used. */
static int infer(const struct vd_op_call *c, bool divides, int *axis_out)
{
    const struct vd_tensor *x = c->in[0], *scale = c->in[1], *zp = vd_op_in(c, 2);
    const size_t n = vd_tensor_count(scale);
    int axis = 0, rc;
    *axis_out = 0;
    if (vd_op_int(c, "block_size", 0) != 0)
        return vd_op_fail(c, EPERM, "attribute block_size is %lld; only 0 is supported", (long long)vd_op_int(c, "block_size", 0));
    if (scale->rank > 1 || (scale->rank == 1 && n != 1)) {
        if (scale->rank != 1)
            return vd_op_fail(c, EBADMSG, "input 1 (scale) is of rank %d; it must be one value or a list", scale->rank);
        if ((rc = vd_op_axis(c, vd_op_int(c, "axis", 1), x->rank, &axis)) < 0)
            return rc;
        if (scale->dim[0] != x->dim[axis])
            return vd_op_fail(c, ERANGE, "input 1 (scale) has %zu values for the %lld of axis %d", n, (long long)x->dim[axis], axis);
    }
    if (zp && (vd_tensor_count(zp) != n || zp->rank > 1))
        return vd_op_fail(c, EBADMSG, "input 2 (zero point) has %zu values and input 1 (scale) %zu; there must be as many",
                          vd_tensor_count(zp), n);
    if (scale->data)
        for (size_t i = 0; i < n; i++) {
            const float s = ((const float *)scale->data)[i];
            if (!isfinite(s) || (divides && !(s > 0)))
                return vd_op_fail(c, EBADMSG, "input 1 (scale) has %g at %zu; it must be finite%s", (double)s, i,
                                  divides ? " and positive" : "");
        }
    *axis_out = axis;
    return 0;
}

int vd_infer_quantize_linear(const struct vd_op_call *c)
{
    const struct vd_tensor *zp = vd_op_in(c, 2);
    const int64_t given = vd_op_int(c, "output_dtype", 0), precision = vd_op_int(c, "precision", 0);
    const int type = zp ? zp->type : given ? (int)given : VD_U8;
    int axis;
    if (given && given != VD_U8 && given != VD_S8)
        return vd_op_fail(c, EPERM, "attribute output_dtype is %lld; uint8 (2) and int8 (3) are supported", (long long)given);
    if (given && given != type)
        return vd_op_fail(c, EBADMSG, "attribute output_dtype is %lld, but the zero point is %s", (long long)given, vd_type_name(type));
    if (precision && precision != VD_F32)
        return vd_op_fail(c, EPERM, "attribute precision is %lld; only float32 (1) is supported", (long long)precision);
    const int rc = infer(c, true, &axis);
    return rc < 0 ? rc : vd_op_set_like(c, 0, type, c->in[0]);
}

void vd_run_quantize_linear(const struct vd_op_call *c)
{
    const bool u8 = c->out[0]->type == VD_U8;
    struct job j = {.fn = c->in[0]->type == VD_F32 ? (u8 ? q_f32_u8 : q_f32_s8) : u8 ? q_s32_u8 : q_s32_s8};
    run(c, &j);
}

int vd_infer_dequantize_linear(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0], *zp = vd_op_in(c, 2);
    const int64_t given = vd_op_int(c, "output_dtype", 0);
    int axis, rc;
    if (given && given != VD_F32)
        return vd_op_fail(c, EPERM, "attribute output_dtype is %lld; only float32 (1) is supported", (long long)given);
    if (zp && (rc = vd_op_same_type(c, 0, 2)) < 0)
        return rc;
    rc = infer(c, false, &axis);
    return rc < 0 ? rc : vd_op_set_like(c, 0, VD_F32, x);
}

void vd_run_dequantize_linear(const struct vd_op_call *c)
{
    const int type = c->in[0]->type;
    struct job j = {.fn = type == VD_U8 ? dq_u8 : type == VD_S8 ? dq_s8 : dq_s32};
    run(c, &j);
}

int vd_infer_dynamic_quantize_linear(const struct vd_op_call *c)
{
    int rc;
    if ((rc = vd_op_set_like(c, 0, VD_U8, c->in[0])) < 0 || (rc = vd_op_set(c, 1, VD_F32, 0, NULL)) < 0)
        return rc;
    return vd_op_set(c, 2, VD_U8, 0, NULL);
}

enum { PARTS = 64, LANES = 8 };

struct span {
    const float *x;
    size_t part;
    struct { float lo, hi; } found[PARTS];
};

static void span_range(void *arg, size_t begin, size_t end)
{
    struct span *s = arg;
    float lo[LANES] = {0}, hi[LANES] = {0};
    size_t i = begin;
    for (; end - i >= LANES; i += LANES)
        for (size_t k = 0; k < LANES; k++) {
            const float v = s->x[i + k];
            lo[k] = v < lo[k] ? v : lo[k];
            hi[k] = v > hi[k] ? v : hi[k];
        }
    for (; i < end; i++) {
        lo[0] = s->x[i] < lo[0] ? s->x[i] : lo[0];
        hi[0] = s->x[i] > hi[0] ? s->x[i] : hi[0];
    }
    for (size_t k = 1; k < LANES; k++) {
        lo[0] = lo[k] < lo[0] ? lo[k] : lo[0];
        hi[0] = hi[k] > hi[0] ? hi[k] : hi[0];
    }
    s->found[begin / s->part].lo = lo[0];
    s->found[begin / s->part].hi = hi[0];
}

/* A NaN takes no part in the range and is quantised to 0. Where no scale stands for the range, scale is what the formula gives
 * (infinite, so that what is dequantised is NaN, or 0) and the zero point 0: a caller for whom that matters looks at the input
 * first. */
void vd_run_dynamic_quantize_linear(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0], *scale = vd_op_out(c, 1), *zero = vd_op_out(c, 2);
    struct span s = {.x = x->data};
    const size_t n = vd_tensor_count(x);
    float lo = 0, hi = 0, y_scale;
    uint8_t zp = 0;
    s.part = n / PARTS + 1;
    if (s.part < VD_ITER_GRAIN)
        s.part = VD_ITER_GRAIN;
    vd_op_split(c->workers, n, s.part, span_range, &s);
    for (size_t i = 0; i * s.part < n; i++) {
        lo = s.found[i].lo < lo ? s.found[i].lo : lo;
        hi = s.found[i].hi > hi ? s.found[i].hi : hi;
    }
    if (!vd_dynamic_range(lo, hi, &y_scale, &zp))
        zp = 0;
    if (scale)
        *(float *)scale->data = y_scale;
    if (zero)
        *(uint8_t *)zero->data = zp;
    if (vd_op_out(c, 0) && n) {
        struct job j = {.fn = q_f32_u8, .q = {.x = x->data, .zp = &zp, .scale = &y_scale, .y = c->out[0]->data, .channels = 1,
                                              .inner = n}};
        vd_op_split(c->workers, n, VD_ITER_GRAIN, range, &j);
    }
}
