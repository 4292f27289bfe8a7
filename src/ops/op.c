/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/op.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/checked.h"
#include "ops/op_util.h"

size_t vd_tensor_count(const struct vd_tensor *t)
{
    size_t n = 1;
    for (int i = 0; i < t->rank; i++)
        n *= (size_t)t->dim[i];
    return n;
}

size_t vd_tensor_bytes(const struct vd_tensor *t)
{
    return vd_tensor_count(t) * vd_type_size(t->type);
}

int64_t vd_tensor_int(const struct vd_tensor *t, size_t i)
{
    assert(t->type == VD_S64 || t->type == VD_S32);
    return t->type == VD_S64 ? ((const int64_t *)t->data)[i] : ((const int32_t *)t->data)[i];
}

int vd_op_fail(const struct vd_op_call *c, int err, const char *fmt, ...)
{
    const struct vd_onnx_node *n = c->node;
    const char *name = n->name && n->name[0] ? n->name : n->n_out > 0 ? n->out[0] : "?";
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return vd_fail(err, "node %s (%s): %s", name, n->op_type, text);
}

int64_t vd_op_int(const struct vd_op_call *c, const char *name, int64_t fallback)
{
    const struct vd_onnx_attr *a = vd_onnx_attr(c->node, name);
    assert(!a || a->type == VD_ATTR_INT);
    return a ? a->v.i : fallback;
}

float vd_op_float(const struct vd_op_call *c, const char *name, float fallback)
{
    const struct vd_onnx_attr *a = vd_onnx_attr(c->node, name);
    assert(!a || a->type == VD_ATTR_FLOAT);
    return a ? a->v.f : fallback;
}

const char *vd_op_str(const struct vd_op_call *c, const char *name, const char *fallback)
{
    const struct vd_onnx_attr *a = vd_onnx_attr(c->node, name);
    assert(!a || a->type == VD_ATTR_STRING);
    return a ? a->v.s : fallback;
}

int vd_op_ints(const struct vd_op_call *c, const char *name, const int64_t **v)
{
    const struct vd_onnx_attr *a = vd_onnx_attr(c->node, name);
    assert(!a || a->type == VD_ATTR_INTS);
    *v = a ? a->v.ints : NULL;
    return a ? a->n : 0;
}

int vd_op_axis(const struct vd_op_call *c, int64_t axis, int rank, int *out)
{
    if (axis < -rank || axis >= rank)
        return vd_op_fail(c, EBADMSG, "axis %lld is outside a tensor of rank %d", (long long)axis, rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return 0;
}

int vd_op_broadcast(const struct vd_op_call *c, const struct vd_tensor *a, const struct vd_tensor *b, struct vd_tensor *out)
{
    out->rank = a->rank > b->rank ? a->rank : b->rank;
    for (int i = 1; i <= out->rank; i++) {
        const int64_t da = i <= a->rank ? a->dim[a->rank - i] : 1, db = i <= b->rank ? b->dim[b->rank - i] : 1;
        if (da != db && da != 1 && db != 1)
            return vd_op_fail(c, ERANGE, "sizes %lld and %lld of dim %d from the end cannot be broadcast together",
                              (long long)da, (long long)db, i);
        out->dim[out->rank - i] = da == 1 ? db : da;
    }
    return 0;
}

int vd_tensor_check(const struct vd_op_call *c, const struct vd_tensor *t)
{
    size_t n = vd_type_size(t->type);
    bool fits = true;
    if (t->rank < 0 || t->rank > VD_MAX_RANK)
        return vd_op_fail(c, ENOTSUP, "a result of rank %d; at most %d dims are supported", t->rank, (int)VD_MAX_RANK);
    /* A dim of 0 does not excuse the others: steps are products of some dims only. */
    for (int i = 0; i < t->rank; i++)
        fits = fits && t->dim[i] >= 0 && vd_mul(n, t->dim[i] ? (size_t)t->dim[i] : 1, &n);
    if (!fits || n > (size_t)1 << 40)
        return vd_op_fail(c, ERANGE, "the result would be larger than 2^40 bytes");
    return 0;
}

int vd_op_set(const struct vd_op_call *c, int i, int type, int rank, const int64_t *dim)
{
    struct vd_tensor *t = vd_op_out(c, i);
    if (!t)
        return 0;
    if (rank > VD_MAX_RANK)
        return vd_op_fail(c, ENOTSUP, "a result of rank %d; at most %d dims are supported", rank, (int)VD_MAX_RANK);
    t->type = type;
    t->rank = rank;
    if (rank)
        memmove(t->dim, dim, (size_t)rank * sizeof(*dim));
    return vd_tensor_check(c, t);
}

int vd_op_set_like(const struct vd_op_call *c, int i, int type, const struct vd_tensor *t)
{
    return vd_op_set(c, i, type, t->rank, t->dim);
}

int vd_op_same_type(const struct vd_op_call *c, int a, int b)
{
    if (c->in[a]->type == c->in[b]->type)
        return 0;
    return vd_op_fail(c, EBADMSG, "input %d is %s and input %d is %s; they must be of one type", a, vd_type_name(c->in[a]->type),
                      b, vd_type_name(c->in[b]->type));
}

int vd_op_need_known(const struct vd_op_call *c, int i, const char *what)
{
    if (vd_tensor_known(c->in[i]))
        return 0;
    return vd_op_fail(c, ENOTSUP, "input %d (%s) is computed at run time; it must be a constant or come from shapes", i, what);
}

int vd_op_known_ints(const struct vd_op_call *c, int i, const char *what, int64_t v[VD_MAX_RANK], int *n)
{
    const struct vd_tensor *t = c->in[i];
    if (t->rank > 1 || (t->rank == 1 && t->dim[0] > VD_MAX_RANK))
        return vd_op_fail(c, EBADMSG, "input %d (%s) must be a list of at most %d integers", i, what, (int)VD_MAX_RANK);
    const int rc = vd_op_need_known(c, i, what);
    if (rc < 0)
        return rc;
    *n = (int)vd_tensor_count(t);
    for (int k = 0; k < *n; k++)
        v[k] = vd_tensor_int(t, (size_t)k);
    return 0;
}

int vd_op_axes(const struct vd_op_call *c, int i, int rank, bool mask[VD_MAX_RANK], int *n)
{
    int64_t known[VD_MAX_RANK];
    const int64_t *v = known;
    int rc, axis = 0;
    *n = 0;
    memset(mask, 0, VD_MAX_RANK * sizeof(*mask));
    if (!i)
        *n = vd_op_ints(c, "axes", &v);
    else if (vd_op_in(c, i) && (rc = vd_op_known_ints(c, i, "axes", known, n)) < 0)
        return rc;
    for (int k = 0; k < *n; k++) {
        if ((rc = vd_op_axis(c, v[k], rank, &axis)) < 0)
            return rc;
        if (mask[axis])
            return vd_op_fail(c, EBADMSG, "axis %lld is given twice", (long long)v[k]);
        mask[axis] = true;
    }
    return 0;
}

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof(u));
    return u;
}

static float float_of(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof(f));
    return f;
}

uint16_t vd_f16_from_f32(float f)
{
    const uint32_t u = bits_of(f), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    if (a > 0x7f800000)
        return (uint16_t)(sign | 0x7e00);
    if (a >= 0x47800000) /* 2^16 and more */
        return (uint16_t)(sign | 0x7c00);
    if (a < 0x38800000) /* below 2^-14: one step is 2^-24, and so is that of floats in [0.5, 1), where the addition rounds */
        return (uint16_t)(sign | (bits_of(float_of(a) + 0.5f) - 0x3f000000));
    /* 13 bits go, half to even; a carry runs on into the exponent, up to infinity */
    return (uint16_t)(sign | (a - 0x38000000 + 0xfff + (a >> 13 & 1)) >> 13);
}

float vd_f32_from_f16(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 0x3ff;
    if (e == 31)
        return float_of(sign | 0x7f800000 | m << 13);
    if (e == 0)
        return (sign ? -0x1p-24f : 0x1p-24f) * (float)m;
    return float_of(sign | (e + 112) << 23 | m << 13);
}
