/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/checked.h"
#include "ops/op_util.h"

int vd_infer_identity(const struct vd_op_call *c) { return vd_op_set_like(c, 0, c->in[0]->type, c->in[0]); }
void vd_run_identity(const struct vd_op_call *c) { vd_op_copy(c); }

int vd_infer_reshape(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    int64_t dim[VD_MAX_RANK];
    int n, rc, open = -1;
    bool zero = false;
    size_t fixed = 1;
    const size_t count = vd_tensor_count(x);
    if (c->in[1]->rank != 1)
        return vd_op_fail(c, EBADMSG, "input 1 (shape) is of rank %d; it must be a list", c->in[1]->rank);
    if ((rc = vd_op_known_ints(c, 1, "shape", dim, &n)) < 0)
        return rc;
    const bool allow_zero = vd_op_int(c, "allowzero", 0) != 0;
    for (int i = 0; i < n; i++) {
        if (dim[i] == -1) {
            if (open >= 0)
                return vd_op_fail(c, EBADMSG, "input 1 (shape) has more than one -1");
            open = i;
            continue;
        }
        if (dim[i] == 0 && !allow_zero) {
            if (i >= x->rank)
                return vd_op_fail(c, EBADMSG, "input 1 (shape) copies dim %d of a tensor of rank %d", i, x->rank);
            dim[i] = x->dim[i];
        }
        if (dim[i] < 0)
            return vd_op_fail(c, EBADMSG, "input 1 (shape) has %lld as dim %d", (long long)dim[i], i);
        zero |= dim[i] == 0;
        if (!vd_mul(fixed, (size_t)dim[i], &fixed))
            return vd_op_fail(c, ERANGE, "the result would be larger than 2^40 bytes");
    }
    if (open >= 0) {
        if (zero || count % fixed)
            return vd_op_fail(c, zero ? EBADMSG : ERANGE, "%zu elements cannot be shaped so that the dim given as -1 is a number", count);
        dim[open] = (int64_t)(count / fixed);
    } else if (fixed != count)
        return vd_op_fail(c, ERANGE, "%zu elements cannot be shaped into %zu", count, fixed);
    return vd_op_set(c, 0, x->type, n, dim);
}

void vd_run_reshape(const struct vd_op_call *c) { vd_op_copy(c); }

int vd_infer_flatten(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    const int64_t axis = vd_op_int(c, "axis", 1);
    int64_t dim[2] = {1, 1};
    if (axis < -x->rank || axis > x->rank)
        return vd_op_fail(c, EBADMSG, "axis %lld is outside a tensor of rank %d", (long long)axis, x->rank);
    for (int i = 0; i < x->rank; i++) {
        int64_t *d = &dim[i >= (axis < 0 ? axis + x->rank : axis)];
        if (!vd_mul64(*d, x->dim[i], d))
            return vd_op_fail(c, ERANGE, "the result would be larger than 2^40 bytes");
    }
    return vd_op_set(c, 0, x->type, 2, dim);
}

void vd_run_flatten(const struct vd_op_call *c) { vd_op_copy(c); }

int vd_infer_squeeze(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    bool mask[VD_MAX_RANK];
    int64_t dim[VD_MAX_RANK];
    int n, rank = 0, rc = vd_op_axes(c, c->opset >= 13, x->rank, mask, &n);
    if (rc < 0)
        return rc;
    const bool all = !n; /* without axes every dim of 1 goes; an empty list is none, as in ONNX Runtime */
    for (int i = 0; i < x->rank; i++) {
        if (mask[i] && x->dim[i] != 1)
            return vd_op_fail(c, ERANGE, "axis %d cannot be squeezed: it has size %lld", i, (long long)x->dim[i]);
        if (!(mask[i] || (all && x->dim[i] == 1)))
            dim[rank++] = x->dim[i];
    }
    return vd_op_set(c, 0, x->type, rank, dim);
}

void vd_run_squeeze(const struct vd_op_call *c) { vd_op_copy(c); }

int vd_infer_unsqueeze(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0], *axes = vd_op_in(c, 1);
    const int64_t *attr;
    const size_t count = axes ? vd_tensor_count(axes) : (size_t)vd_op_ints(c, "axes", &attr);
    bool mask[VD_MAX_RANK];
    int64_t dim[VD_MAX_RANK];
    int n, rc;
    if (count > (size_t)(VD_MAX_RANK - x->rank))
        return vd_op_fail(c, ENOTSUP, "%zu axes more than rank %d; at most %d dims are supported", count, x->rank, (int)VD_MAX_RANK);
    const int rank = x->rank + (int)count;
    if ((rc = vd_op_axes(c, c->opset >= 13, rank, mask, &n)) < 0)
        return rc;
    for (int i = 0, k = 0; i < rank; i++)
        dim[i] = mask[i] ? 1 : x->dim[k++];
    return vd_op_set(c, 0, x->type, rank, dim);
}

void vd_run_unsqueeze(const struct vd_op_call *c) { vd_op_copy(c); }

int vd_infer_concat(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    int64_t dim[VD_MAX_RANK];
    int axis, rc = vd_op_axis(c, vd_op_int(c, "axis", 0), x->rank, &axis);
    if (rc < 0)
        return rc;
    memcpy(dim, x->dim, sizeof(dim));
    for (int k = 1; k < c->n_in; k++) {
        const struct vd_tensor *t = c->in[k];
        if ((rc = vd_op_same_type(c, 0, k)) < 0)
            return rc;
        if (t->rank != x->rank)
            return vd_op_fail(c, EBADMSG, "input %d is of rank %d and input 0 of rank %d", k, t->rank, x->rank);
        for (int i = 0; i < x->rank; i++)
            if (i != axis && t->dim[i] != x->dim[i])
                return vd_op_fail(c, ERANGE, "dim %d of input %d is %lld, but of input 0 it is %lld", i, k, (long long)t->dim[i],
                                  (long long)x->dim[i]);
        if (!vd_add64(dim[axis], t->dim[axis], &dim[axis]))
            return vd_op_fail(c, ERANGE, "the result would be larger than 2^40 bytes");
    }
    return vd_op_set(c, 0, x->type, x->rank, dim);
}

void vd_run_concat(const struct vd_op_call *c)
{
    const struct vd_tensor *y = c->out[0];
    size_t outer = 1, inner = vd_type_size(y->type), row = 0, at = 0;
    int axis = (int)vd_op_int(c, "axis", 0);
    if (axis < 0)
        axis += y->rank;
    for (int i = 0; i < axis; i++)
        outer *= (size_t)y->dim[i];
    for (int i = axis + 1; i < y->rank; i++)
        inner *= (size_t)y->dim[i];
    row = (size_t)y->dim[axis] * inner;
    for (int k = 0; k < c->n_in; k++) {
        const size_t part = (size_t)c->in[k]->dim[axis] * inner;
        if (part)
            for (size_t o = 0; o < outer; o++)
                memcpy((char *)y->data + o * row + at, (const char *)c->in[k]->data + o * part, part);
        at += part;
    }
}

/* Shape(start, end): the part of the dims, from..to. */
static void shape_part(const struct vd_op_call *c, int *from, int *to)
{
    const int rank = c->in[0]->rank;
    int64_t v[2] = {vd_op_int(c, "start", 0), vd_op_int(c, "end", rank)};
    for (int i = 0; i < 2; i++) {
        v[i] = v[i] > rank ? rank : v[i] < -rank ? -rank : v[i];
        v[i] += v[i] < 0 ? rank : 0;
    }
    *from = (int)v[0];
    *to = (int)(v[1] < v[0] ? v[0] : v[1]);
}

int vd_infer_shape(const struct vd_op_call *c)
{
    int from, to;
    shape_part(c, &from, &to);
    const int64_t n = to - from;
    return vd_op_set(c, 0, VD_S64, 1, &n);
}

void vd_run_shape(const struct vd_op_call *c)
{
    int from, to;
    shape_part(c, &from, &to);
    if (to > from)
        memcpy(c->out[0]->data, c->in[0]->dim + from, (size_t)(to - from) * sizeof(int64_t));
}

int vd_infer_gather(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0], *index = c->in[1];
    int64_t dim[2 * VD_MAX_RANK];
    int axis, rank = 0, rc = vd_op_axis(c, vd_op_int(c, "axis", 0), x->rank, &axis);
    if (rc < 0)
        return rc;
    if (index->data)
        for (size_t i = 0, n = vd_tensor_count(index); i < n; i++) {
            const int64_t v = vd_tensor_int(index, i);
            if (v < -x->dim[axis] || v >= x->dim[axis])
                return vd_op_fail(c, ERANGE, "input 1 (indices) has %lld, which is outside dim %d of size %lld", (long long)v, axis,
                                  (long long)x->dim[axis]);
        }
    for (int i = 0; i < axis; i++)
        dim[rank++] = x->dim[i];
    for (int i = 0; i < index->rank; i++)
        dim[rank++] = index->dim[i];
    for (int i = axis + 1; i < x->rank; i++)
        dim[rank++] = x->dim[i];
    return vd_op_set(c, 0, x->type, rank, dim);
}

/* An index that was computed at run time and is out of range reads zeros. */
void vd_run_gather(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0], *index = c->in[1];
    size_t outer = 1, block = vd_type_size(x->type);
    const size_t n = vd_tensor_count(index);
    int axis = (int)vd_op_int(c, "axis", 0);
    if (axis < 0)
        axis += x->rank;
    for (int i = 0; i < axis; i++)
        outer *= (size_t)x->dim[i];
    for (int i = axis + 1; i < x->rank; i++)
        block *= (size_t)x->dim[i];
    const int64_t size = x->dim[axis];
    char *dst = c->out[0]->data;
    if (!vd_tensor_count(c->out[0]))
        return;
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < n; i++, dst += block) {
            int64_t v = vd_tensor_int(index, i);
            v += v < 0 ? size : 0;
            if (v >= 0 && v < size)
                memcpy(dst, (const char *)x->data + (o * (size_t)size + (size_t)v) * block, block);
            else
                memset(dst, 0, block);
        }
}

/* The attribute that a Constant holds; exactly one. */
static const struct vd_onnx_attr *constant_of(const struct vd_op_call *c)
{
    return c->node->n_attr == 1 ? &c->node->attr[0] : NULL;
}

int vd_infer_constant(const struct vd_op_call *c)
{
    const struct vd_onnx_attr *a = constant_of(c);
    if (!a)
        return vd_op_fail(c, EBADMSG, "%d attributes; it must have one of value, value_int, value_ints, value_float, value_floats",
                          c->node->n_attr);
    const int64_t n = a->n;
    switch (a->type) {
    case VD_ATTR_TENSOR: return vd_op_set(c, 0, a->v.t->type, a->v.t->rank, a->v.t->dim);
    case VD_ATTR_INT: return vd_op_set(c, 0, VD_S64, 0, NULL);
    case VD_ATTR_FLOAT: return vd_op_set(c, 0, VD_F32, 0, NULL);
    case VD_ATTR_INTS: return vd_op_set(c, 0, VD_S64, 1, &n);
    default: return vd_op_set(c, 0, VD_F32, 1, &n);
    }
}

void vd_run_constant(const struct vd_op_call *c)
{
    const struct vd_onnx_attr *a = constant_of(c);
    const void *src;
    switch (a->type) {
    case VD_ATTR_TENSOR: src = a->v.t->data; break;
    case VD_ATTR_INT: src = &a->v.i; break;
    case VD_ATTR_FLOAT: src = &a->v.f; break;
    case VD_ATTR_INTS: src = a->v.ints; break;
    default: src = a->v.floats; break;
    }
    const size_t size = vd_tensor_bytes(c->out[0]);
    if (size)
        memcpy(c->out[0]->data, src, size);
}
