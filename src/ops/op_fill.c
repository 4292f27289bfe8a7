/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>

#include "ops/op_util.h"

/* Operators whose results are made rather than moved: from shapes, numbers and indices. */
int vd_infer_size(const struct vd_op_call *c) { return vd_op_set(c, 0, VD_S64, 0, NULL); }
void vd_run_size(const struct vd_op_call *c) { *(int64_t *)c->out[0]->data = (int64_t)vd_tensor_count(c->in[0]); }

struct fill {
    unsigned char *dst;
    size_t unit;
    unsigned char value[8];
};

static void fill_range(void *arg, size_t begin, size_t end)
{
    const struct fill *f = arg;
    for (size_t i = begin; i < end; i++)
        memcpy(f->dst + i * f->unit, f->value, f->unit);
}

/* Every element of output 0 = value, an element of its type; NULL: zero. */
static void fill(const struct vd_op_call *c, const void *value)
{
    struct fill f = {.dst = c->out[0]->data, .unit = vd_type_size(c->out[0]->type)};
    if (value)
        memcpy(f.value, value, f.unit);
    vd_op_split(c->workers, vd_tensor_count(c->out[0]), VD_ITER_GRAIN, fill_range, &f);
}

int vd_infer_constant_of_shape(const struct vd_op_call *c)
{
    const struct vd_onnx_attr *value = vd_onnx_attr(c->node, "value");
    int64_t dim[VD_MAX_RANK];
    int n, rc;
    if (c->in[0]->rank != 1)
        return vd_op_fail(c, EBADMSG, "input 0 (shape) is of rank %d; it must be a list", c->in[0]->rank);
    if ((rc = vd_op_known_ints(c, 0, "shape", dim, &n)) < 0)
        return rc;
    for (int i = 0; i < n; i++)
        if (dim[i] < 0)
            return vd_op_fail(c, EBADMSG, "input 0 (shape) has %lld as dim %d", (long long)dim[i], i);
    if (value && value->v.t->count != 1)
        return vd_op_fail(c, EBADMSG, "attribute value has %zu elements; it must have one", value->v.t->count);
    return vd_op_set(c, 0, value ? value->v.t->type : VD_F32, n, dim);
}

void vd_run_constant_of_shape(const struct vd_op_call *c)
{
    const struct vd_onnx_attr *value = vd_onnx_attr(c->node, "value");
    fill(c, value ? value->v.t->data : NULL);
}

/* Range: start + i * delta, rounded once. */
static double number(const struct vd_tensor *t)
{
    double v;
    vd_load_f64(&v, t->data, t->type, 1, 1);
    return v;
}

int vd_infer_range(const struct vd_op_call *c)
{
    static const char *const names[] = {"start", "limit", "delta"};
    int64_t n = 0;
    for (int i = 0; i < 3; i++) {
        int rc = vd_op_same_type(c, 0, i);
        if (rc < 0 || (rc = vd_op_need_known(c, i, names[i])) < 0)
            return rc;
        if (vd_tensor_count(c->in[i]) != 1)
            return vd_op_fail(c, EBADMSG, "input %d (%s) has %zu elements; it must have one", i, names[i], vd_tensor_count(c->in[i]));
    }
    const double start = number(c->in[0]), limit = number(c->in[1]), delta = number(c->in[2]);
    if (delta == 0 || !isfinite(delta) || !isfinite(start) || !isfinite(limit))
        return vd_op_fail(c, EBADMSG, "a range from %g to %g in steps of %g; the step must not be 0, and all must be finite", start,
                          limit, delta);
    if (vd_type_is_float(c->in[0]->type)) {
        const double count = ceil((limit - start) / delta);
        if (count > 0x1p40)
            return vd_op_fail(c, ERANGE, "a range from %g to %g in steps of %g has more than 2^40 elements", start, limit, delta);
        n = count > 0 ? (int64_t)count : 0;
    } else {
        int64_t v[3];
        for (int i = 0; i < 3; i++)
            vd_load_s64(&v[i], c->in[i]->data, c->in[i]->type, 1, 1);
        /* The distance and the step as unsigned numbers: their difference always fits. */
        const bool up = v[2] > 0, some = up ? v[1] > v[0] : v[1] < v[0];
        const uint64_t way = up ? (uint64_t)v[1] - (uint64_t)v[0] : (uint64_t)v[0] - (uint64_t)v[1];
        const uint64_t by = up ? (uint64_t)v[2] : 0 - (uint64_t)v[2], count = some ? (way - 1) / by + 1 : 0;
        if (count > (uint64_t)1 << 40)
            return vd_op_fail(c, ERANGE, "a range from %lld to %lld in steps of %lld has more than 2^40 elements", (long long)v[0],
                              (long long)v[1], (long long)v[2]);
        n = (int64_t)count;
    }
    return vd_op_set(c, 0, c->in[0]->type, 1, &n);
}

void vd_run_range(const struct vd_op_call *c)
{
    struct vd_tensor *y = c->out[0];
    const size_t n = vd_tensor_count(y), unit = vd_type_size(y->type);
    for (size_t i = 0; i < n; i++) {
        char *dst = (char *)y->data + i * unit;
        if (vd_type_is_float(y->type)) {
            const double v = number(c->in[0]) + (double)i * number(c->in[2]);
            vd_store_f64(dst, y->type, &v, 1);
        } else {
            int64_t start, delta, v;
            vd_load_s64(&start, c->in[0]->data, y->type, 1, 1);
            vd_load_s64(&delta, c->in[2]->data, y->type, 1, 1);
            v = (int64_t)((uint64_t)start + i * (uint64_t)delta);
            vd_store_s64(dst, y->type, &v, 1);
        }
    }
}

int vd_infer_eye_like(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    const int64_t type = vd_op_int(c, "dtype", x->type);
    if (x->rank != 2)
        return vd_op_fail(c, EBADMSG, "an input of rank %d; it must be of rank 2", x->rank);
    if (type < 0 || type > VD_U64 || !vd_type_size((int)type))
        return vd_op_fail(c, EPERM, "attribute dtype is %lld, a type that is not supported", (long long)type);
    return vd_op_set_like(c, 0, (int)type, x);
}

void vd_run_eye_like(const struct vd_op_call *c)
{
    const struct vd_tensor *y = c->out[0];
    const int64_t k = vd_op_int(c, "k", 0), one = 1;
    const double one_f = 1;
    const size_t unit = vd_type_size(y->type);
    fill(c, NULL);
    for (int64_t i = k < 0 ? (k < -y->dim[0] ? y->dim[0] : -k) : 0; i < y->dim[0] && k < y->dim[1] - i; i++) {
        char *dst = (char *)y->data + (size_t)(i * y->dim[1] + i + k) * unit;
        if (vd_type_is_float(y->type))
            vd_store_f64(dst, y->type, &one_f, 1);
        else
            vd_store_s64(dst, y->type, &one, 1);
    }
}

/* Trilu: a triangle of the last two dims, zeros for the rest. k may be computed at run time. */
int vd_infer_trilu(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0], *k = vd_op_in(c, 1);
    if (x->rank < 2)
        return vd_op_fail(c, EBADMSG, "an input of rank %d; at least 2 dims are needed", x->rank);
    if (k && vd_tensor_count(k) != 1)
        return vd_op_fail(c, EBADMSG, "input 1 (k) has %zu elements; it must have one", vd_tensor_count(k));
    return vd_op_set_like(c, 0, x->type, x);
}

struct triangle {
    const char *src;
    char *dst;
    size_t unit;
    int64_t rows, columns, k;
    bool upper;
};

static void triangle_rows(void *arg, size_t begin, size_t end)
{
    const struct triangle *t = arg;
    for (size_t row = begin; row < end; row++) {
        /* Column `edge` is the first of the upper triangle, or the first after the lower one. */
        const int64_t i = (int64_t)row % t->rows, first = t->upper ? 0 : 1, low = -i - first, high = t->columns - i - first;
        const int64_t k = t->k < low ? low : t->k > high ? high : t->k;
        const size_t edge = (size_t)(i + k + first) * t->unit, bytes = (size_t)t->columns * t->unit, at = row * bytes;
        memcpy(t->dst + at, t->src + at, bytes);
        memset(t->dst + at + (t->upper ? 0 : edge), 0, t->upper ? edge : bytes - edge);
    }
}

void vd_run_trilu(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0], *k = vd_op_in(c, 1);
    const size_t count = vd_tensor_count(x);
    struct triangle t = {.src = x->data, .dst = c->out[0]->data, .unit = vd_type_size(x->type), .rows = x->dim[x->rank - 2],
                         .columns = x->dim[x->rank - 1], .k = k ? vd_tensor_int(k, 0) : 0, .upper = vd_op_int(c, "upper", 1) != 0};
    if (count)
        vd_op_split(c->workers, count / (size_t)t.columns, VD_ITER_GRAIN / (size_t)t.columns + 1, triangle_rows, &t);
}

/* CumSum: running sums along an axis; floats in double, each result rounded once; integers wrap. */
static int cumsum_axis(const struct vd_op_call *c, int *axis)
{
    const int rc = vd_op_need_known(c, 1, "axis");
    if (rc < 0)
        return rc;
    if (vd_tensor_count(c->in[1]) != 1)
        return vd_op_fail(c, EBADMSG, "input 1 (axis) has %zu elements; it must have one", vd_tensor_count(c->in[1]));
    return vd_op_axis(c, vd_tensor_int(c->in[1], 0), c->in[0]->rank, axis);
}

int vd_infer_cum_sum(const struct vd_op_call *c)
{
    int axis;
    const int rc = cumsum_axis(c, &axis);
    return rc < 0 ? rc : vd_op_set_like(c, 0, c->in[0]->type, c->in[0]);
}

struct cumsum {
    const void *src;
    void *dst;
    struct vd_along a;
    bool exclusive, reverse;
};

#define CUMSUM(type, T, A) \
    static void cumsum_##type(void *arg, size_t begin, size_t end) \
    { \
        const struct cumsum *s = arg; \
        for (size_t line = begin; line < end; line++) { \
            const size_t at = line / s->a.inner * s->a.n * s->a.inner + line % s->a.inner; \
            const T *x = (const T *)s->src + at; \
            T *y = (T *)s->dst + at; \
            A sum = 0; \
            for (size_t k = 0; k < s->a.n; k++) { \
                const size_t i = (s->reverse ? s->a.n - 1 - k : k) * s->a.inner; \
                const A next = sum + (A)x[i]; \
                y[i] = (T)(s->exclusive ? sum : next); \
                sum = next; \
            } \
        } \
    }
CUMSUM(f32, float, double)
CUMSUM(f64, double, double)
CUMSUM(s32, int32_t, uint32_t)
CUMSUM(s64, int64_t, uint64_t)

void vd_run_cum_sum(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    int axis;
    if (!vd_tensor_count(x) || cumsum_axis(c, &axis) < 0)
        return; /* infer has seen that it does not fail */
    struct cumsum s = {.src = x->data, .dst = c->out[0]->data, .a = vd_along(x, axis), .exclusive = vd_op_int(c, "exclusive", 0) != 0,
                       .reverse = vd_op_int(c, "reverse", 0) != 0};
    vd_op_split(c->workers, s.a.outer * s.a.inner, VD_ITER_GRAIN / s.a.n + 1,
                x->type == VD_F32 ? cumsum_f32 : x->type == VD_F64 ? cumsum_f64 : x->type == VD_S32 ? cumsum_s32 : cumsum_s64, &s);
}

/* OneHot: an index outside -depth..depth - 1 is nowhere on. Numbers that are not whole are cut towards zero. */
static int64_t index_of(const struct vd_tensor *t, size_t i)
{
    const char *p = (const char *)t->data + i * vd_type_size(t->type);
    int64_t v;
    double f;
    if (!vd_type_is_float(t->type)) {
        vd_load_s64(&v, p, t->type, 1, 1);
        return v;
    }
    vd_load_f64(&f, p, t->type, 1, 1);
    return f > -0x1p62 && f < 0x1p62 ? (int64_t)f : INT64_MAX;
}

static int one_hot_of(const struct vd_op_call *c, int64_t *depth, int *axis)
{
    const struct vd_tensor *x = c->in[0];
    int rc = vd_op_need_known(c, 1, "depth");
    if (rc < 0)
        return rc;
    if (vd_tensor_count(c->in[1]) != 1)
        return vd_op_fail(c, EBADMSG, "input 1 (depth) has %zu elements; it must have one", vd_tensor_count(c->in[1]));
    *depth = index_of(c->in[1], 0);
    if (*depth < 1 || *depth > (int64_t)1 << 40)
        return vd_op_fail(c, ERANGE, "input 1 (depth) is %lld; it must be at least 1", (long long)*depth);
    if (c->in[2]->rank != 1 || c->in[2]->dim[0] != 2)
        return vd_op_fail(c, EBADMSG, "input 2 (values) has %zu elements; it must be a list of two, off and on",
                          vd_tensor_count(c->in[2]));
    return vd_op_axis(c, vd_op_int(c, "axis", -1), x->rank + 1, axis);
}

int vd_infer_one_hot(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    int64_t depth, dim[VD_MAX_RANK + 1];
    int axis;
    const int rc = one_hot_of(c, &depth, &axis);
    if (rc < 0)
        return rc;
    for (int i = 0; i <= x->rank; i++)
        dim[i] = i < axis ? x->dim[i] : i > axis ? x->dim[i - 1] : depth;
    return vd_op_set(c, 0, c->in[2]->type, x->rank + 1, dim);
}

void vd_run_one_hot(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0], *y = c->out[0];
    const size_t unit = vd_type_size(y->type);
    int64_t depth;
    int axis;
    if (!vd_tensor_count(y) || one_hot_of(c, &depth, &axis) < 0)
        return; /* infer has seen that it does not fail */
    const struct vd_along a = vd_along(y, axis);
    fill(c, c->in[2]->data);
    for (size_t o = 0; o < a.outer; o++)
        for (size_t i = 0; i < a.inner; i++) {
            int64_t k = index_of(x, o * a.inner + i);
            k += k < 0 ? depth : 0;
            if (k >= 0 && k < depth)
                memcpy((char *)y->data + ((o * a.n + (size_t)k) * a.inner + i) * unit, (const char *)c->in[2]->data + unit, unit);
        }
}
