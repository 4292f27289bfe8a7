/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include <math.h>

#include "ops/op_util.h"

/* Every type to every type with one loader and one storer each: floats go through double, which holds every float
 * exactly, integers through int64. A new type is one line. float16 is rounded from float32. */
#define INT_TYPES(X) X(VD_U8, uint8_t, int32_t, INT32_MIN) X(VD_S8, int8_t, int32_t, INT32_MIN) \
    X(VD_U16, uint16_t, int32_t, INT32_MIN) X(VD_S16, int16_t, int32_t, INT32_MIN) X(VD_S32, int32_t, int32_t, INT32_MIN) \
    X(VD_U32, uint32_t, int64_t, INT64_MIN) X(VD_S64, int64_t, int64_t, INT64_MIN)
#define FLOAT_TYPES(X) X(VD_F32, float) X(VD_F64, double)

bool vd_type_is_float(int type)
{
    return type == VD_F32 || type == VD_F16 || type == VD_F64;
}

#define LOAD(vtype, T, ...) \
    case vtype: \
        for (size_t i = 0; i < n; i++) \
            dst[i] = (load_t)((const T *)src)[(ptrdiff_t)i * step]; \
        return;

void vd_load_f64(double *dst, const void *src, int type, ptrdiff_t step, size_t n)
{
    typedef double load_t;
    assert(n <= VD_CHUNK);
    switch (type) {
    FLOAT_TYPES(LOAD)
    INT_TYPES(LOAD)
    case VD_F16:
        for (size_t i = 0; i < n; i++)
            dst[i] = (double)vd_f32_from_f16(((const uint16_t *)src)[(ptrdiff_t)i * step]);
        return;
    LOAD(VD_U64, uint64_t)
    case VD_BOOL:
        for (size_t i = 0; i < n; i++)
            dst[i] = ((const uint8_t *)src)[(ptrdiff_t)i * step] != 0;
        return;
    default: assert(0);
    }
}

void vd_load_s64(int64_t *dst, const void *src, int type, ptrdiff_t step, size_t n)
{
    typedef int64_t load_t;
    assert(n <= VD_CHUNK);
    switch (type) {
    INT_TYPES(LOAD)
    LOAD(VD_U64, uint64_t)
    case VD_BOOL:
        for (size_t i = 0; i < n; i++)
            dst[i] = ((const uint8_t *)src)[(ptrdiff_t)i * step] != 0;
        return;
    default: assert(0);
    }
}

/* W: the type that a double is cut to first; LEAST: its least value, whose negation as a double is one more than its greatest. */
#define STORE_CUT(vtype, T, W, LEAST) \
    case vtype: \
        for (size_t i = 0; i < n; i++) \
            ((T *)dst)[i] = (T)(src[i] >= (double)(LEAST) && src[i] < -(double)(LEAST) ? (W)src[i] : (LEAST)); \
        return;
#define STORE(vtype, T, ...) \
    case vtype: \
        for (size_t i = 0; i < n; i++) \
            ((T *)dst)[i] = (T)src[i]; \
        return;
#define STORE_ODD \
    case VD_F16: \
        for (size_t i = 0; i < n; i++) \
            ((uint16_t *)dst)[i] = vd_f16_from_f32((float)src[i]); \
        return; \
    case VD_BOOL: \
        for (size_t i = 0; i < n; i++) \
            ((uint8_t *)dst)[i] = src[i] != 0; \
        return;

static int64_t cut_s64(double x)
{
    return x >= -0x1p63 && x < 0x1p63 ? (int64_t)x : INT64_MIN;
}

void vd_store_f64(void *dst, int type, const double *src, size_t n)
{
    switch (type) {
    FLOAT_TYPES(STORE)
    INT_TYPES(STORE_CUT)
    case VD_U64: /* the upper half of its range, and below that as int64 */
        for (size_t i = 0; i < n; i++)
            ((uint64_t *)dst)[i] = src[i] >= 0x1p63 && src[i] < 0x1p64 ? (uint64_t)src[i] : (uint64_t)cut_s64(src[i]);
        return;
    STORE_ODD
    default: assert(0);
    }
}

void vd_store_s64(void *dst, int type, const int64_t *src, size_t n)
{
    switch (type) {
    FLOAT_TYPES(STORE)
    INT_TYPES(STORE)
    STORE(VD_U64, uint64_t)
    STORE_ODD
    default: assert(0);
    }
}

static void cast_row(const struct vd_row *r)
{
    const struct vd_op_call *c = r->arg;
    const int from = c->in[0]->type, to = c->out[0]->type;
    const size_t in_size = vd_type_size(from), out_size = vd_type_size(to);
    union { double f[VD_CHUNK]; int64_t i[VD_CHUNK]; } t;
    for (size_t i = 0, n; i < r->n; i += n) {
        n = r->n - i < VD_CHUNK ? r->n - i : VD_CHUNK;
        const char *src = (const char *)r->p[1] + i * in_size;
        char *dst = (char *)r->p[0] + i * out_size;
        if (from == VD_U64 && to == VD_F32) { /* through double it would round twice */
            for (size_t k = 0; k < n; k++)
                ((float *)(void *)dst)[k] = (float)((const uint64_t *)(const void *)src)[k];
        } else if (vd_type_is_float(from) || (from == VD_U64 && vd_type_is_float(to))) {
            vd_load_f64(t.f, src, from, 1, n);
            vd_store_f64(dst, to, t.f, n);
        } else {
            vd_load_s64(t.i, src, from, 1, n);
            vd_store_s64(dst, to, t.i, n);
        }
    }
}

int vd_infer_cast(const struct vd_op_call *c)
{
    const int64_t to = vd_op_int(c, "to", 0);
    switch (to) {
    case VD_F32: case VD_F16: case VD_F64: case VD_U8: case VD_S8: case VD_U16: case VD_S16: case VD_U32: case VD_S32:
    case VD_S64: case VD_U64: case VD_BOOL:
        return vd_op_set_like(c, 0, (int)to, c->in[0]);
    default:
        return vd_op_fail(c, EPERM, "attribute to is %lld (%s), which is not supported", (long long)to,
                          to > 0 && to < 64 ? vd_type_name((int)to) : "type?");
    }
}

int vd_infer_cast_like(const struct vd_op_call *c) { return vd_op_set_like(c, 0, c->in[1]->type, c->in[0]); }

void vd_run_cast_like(const struct vd_op_call *c) { vd_run_cast(c); }

void vd_run_cast(const struct vd_op_call *c)
{
    if (c->in[0]->type == c->out[0]->type && c->in[0]->type != VD_BOOL) {
        vd_op_copy(c);
        return;
    }
    struct vd_iter it;
    vd_iter_init(&it, c->out[0]);
    vd_iter_input(&it, c->in[0]);
    vd_iter_run(&it, c->workers, cast_row, c);
}
