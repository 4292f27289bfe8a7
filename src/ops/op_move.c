/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/checked.h"
#include "ops/op_util.h"

/* Operators that put elements at other places: each is one walk over its output that reads the input in steps. */
#define COPY_ROW(bits) \
    static void copy_##bits(const struct vd_row *r) \
    { \
        uint##bits##_t *y = r->p[0]; \
        const uint##bits##_t *x = r->p[1]; \
        const ptrdiff_t step = r->step[1]; \
        if (step == 1) \
            memcpy(y, x, r->n * sizeof(*y)); \
        else \
            for (size_t i = 0; i < r->n; i++) \
                y[i] = x[(ptrdiff_t)i * step]; \
    }
COPY_ROW(8)
COPY_ROW(16)
COPY_ROW(32)
COPY_ROW(64)

void vd_op_move(struct vd_workers *w, const struct vd_tensor *y, const void *src, int64_t at, const int64_t *step)
{
    static vd_row_fn *const fn[] = {[1] = copy_8, [2] = copy_16, [4] = copy_32, [8] = copy_64};
    const size_t size = vd_type_size(y->type);
    struct vd_iter it;
    if (!vd_tensor_count(y))
        return;
    vd_iter_init(&it, y);
    vd_iter_strided(&it, (const char *)src + at * (int64_t)size, y->type, step);
    vd_iter_run(&it, w, fn[size], NULL);
}

/* Steps in elements along the dims of a dense tensor. */
static void dense_steps(const int64_t *dim, int rank, int64_t *step)
{
    int64_t s = 1;
    for (int i = rank - 1; i >= 0; i--) {
        step[i] = s;
        s *= dim[i];
    }
}

/* src seen as a tensor of these dims, put into y (seen so too) with its dims in the order of perm. */
static void permute(const struct vd_op_call *c, int rank, const int64_t *dim, const int *perm)
{
    struct vd_tensor y = *c->out[0];
    int64_t dense[VD_MAX_RANK], step[VD_MAX_RANK];
    dense_steps(dim, rank, dense);
    y.rank = rank;
    for (int i = 0; i < rank; i++) {
        y.dim[i] = dim[perm[i]];
        step[i] = dense[perm[i]];
    }
    vd_op_move(c->workers, &y, c->in[0]->data, 0, step);
}

static int perm_of(const struct vd_op_call *c, int perm[VD_MAX_RANK])
{
    const int rank = c->in[0]->rank;
    const int64_t *given;
    const int n = vd_op_ints(c, "perm", &given);
    bool seen[VD_MAX_RANK] = {false};
    if (!vd_onnx_attr(c->node, "perm")) {
        for (int i = 0; i < rank; i++)
            perm[i] = rank - 1 - i;
        return 0;
    }
    if (n != rank)
        return vd_op_fail(c, EBADMSG, "attribute perm has %d values for an input of rank %d", n, rank);
    for (int i = 0; i < n; i++) {
        if (given[i] < 0 || given[i] >= rank || seen[given[i]])
            return vd_op_fail(c, EBADMSG, "attribute perm[%d] is %lld; each of 0..%d must be there once", i, (long long)given[i],
                              rank - 1);
        perm[i] = (int)given[i];
        seen[perm[i]] = true;
    }
    return 0;
}

int vd_infer_transpose(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    int perm[VD_MAX_RANK];
    int64_t dim[VD_MAX_RANK];
    const int rc = perm_of(c, perm);
    if (rc < 0)
        return rc;
    for (int i = 0; i < x->rank; i++)
        dim[i] = x->dim[perm[i]];
    return vd_op_set(c, 0, x->type, x->rank, dim);
}

void vd_run_transpose(const struct vd_op_call *c)
{
    int perm[VD_MAX_RANK];
    if (!perm_of(c, perm)) /* infer has seen that it does not fail */
        permute(c, c->in[0]->rank, c->in[0]->dim, perm);
}

/* DepthToSpace and SpaceToDepth: blocks of b by b pixels against b * b channels. */
static int block_of(const struct vd_op_call *c, int64_t *b)
{
    const struct vd_tensor *x = c->in[0];
    *b = vd_op_int(c, "blocksize", 0);
    if (x->rank != 4)
        return vd_op_fail(c, EBADMSG, "an input of rank %d; it must be of rank 4", x->rank);
    if (*b < 1 || *b > 1 << 20)
        return vd_op_fail(c, EBADMSG, "attribute blocksize is %lld; it must be in 1..%d", (long long)*b, 1 << 20);
    return 0;
}

int vd_infer_depth_to_space(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    const char *mode = vd_op_str(c, "mode", "DCR");
    int64_t b, dim[4];
    const int rc = block_of(c, &b);
    if (rc < 0)
        return rc;
    if (strcmp(mode, "DCR") && strcmp(mode, "CRD"))
        return vd_op_fail(c, EBADMSG, "attribute mode is '%.40s'; it must be DCR or CRD", mode);
    if (x->dim[1] % (b * b))
        return vd_op_fail(c, ERANGE, "%lld channels cannot be shared out to blocks of %lld by %lld", (long long)x->dim[1], (long long)b,
                          (long long)b);
    dim[0] = x->dim[0];
    dim[1] = x->dim[1] / (b * b);
    if (!vd_mul64(x->dim[2], b, &dim[2]) || !vd_mul64(x->dim[3], b, &dim[3]))
        return vd_op_fail(c, ERANGE, "the result would be larger than 2^40 bytes");
    return vd_op_set(c, 0, x->type, 4, dim);
}

void vd_run_depth_to_space(const struct vd_op_call *c)
{
    const int64_t *d = c->in[0]->dim, b = vd_op_int(c, "blocksize", 0), channels = d[1] / (b * b);
    if (!strcmp(vd_op_str(c, "mode", "DCR"), "DCR"))
        permute(c, 6, (int64_t[]){d[0], b, b, channels, d[2], d[3]}, (int[]){0, 3, 4, 1, 5, 2});
    else
        permute(c, 6, (int64_t[]){d[0], channels, b, b, d[2], d[3]}, (int[]){0, 1, 4, 2, 5, 3});
}

int vd_infer_space_to_depth(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    int64_t b, dim[4];
    const int rc = block_of(c, &b);
    if (rc < 0)
        return rc;
    if (x->dim[2] % b || x->dim[3] % b)
        return vd_op_fail(c, ERANGE, "%lld by %lld pixels are not whole blocks of %lld by %lld", (long long)x->dim[2],
                          (long long)x->dim[3], (long long)b, (long long)b);
    dim[0] = x->dim[0];
    dim[2] = x->dim[2] / b;
    dim[3] = x->dim[3] / b;
    if (!vd_mul64(x->dim[1], b * b, &dim[1]))
        return vd_op_fail(c, ERANGE, "the result would be larger than 2^40 bytes");
    return vd_op_set(c, 0, x->type, 4, dim);
}

void vd_run_space_to_depth(const struct vd_op_call *c)
{
    const int64_t *d = c->in[0]->dim, b = vd_op_int(c, "blocksize", 0);
    permute(c, 6, (int64_t[]){d[0], d[1], d[2] / b, b, d[3] / b, b}, (int[]){0, 3, 5, 1, 2, 4});
}

/* NumPy's broadcasting, in both directions, against a list of dims. */
int vd_infer_expand(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    struct vd_tensor want, t;
    int rc;
    if (c->in[1]->rank != 1)
        return vd_op_fail(c, EBADMSG, "input 1 (shape) is of rank %d; it must be a list", c->in[1]->rank);
    if ((rc = vd_op_known_ints(c, 1, "shape", want.dim, &want.rank)) < 0)
        return rc;
    for (int i = 0; i < want.rank; i++)
        if (want.dim[i] < 0)
            return vd_op_fail(c, EBADMSG, "input 1 (shape) has %lld as dim %d", (long long)want.dim[i], i);
    if ((rc = vd_op_broadcast(c, x, &want, &t)) < 0)
        return rc;
    return vd_op_set(c, 0, x->type, t.rank, t.dim);
}

void vd_run_expand(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0], *y = c->out[0];
    int64_t dense[VD_MAX_RANK], step[VD_MAX_RANK] = {0};
    dense_steps(x->dim, x->rank, dense);
    for (int i = 0; i < x->rank; i++)
        if (x->dim[i] != 1)
            step[y->rank - x->rank + i] = dense[i];
    vd_op_move(c->workers, y, x->data, 0, step);
}

/* Size of part k of a Split. The parts are given, or else equal; from opset 18 on the last of equal ones may be smaller. */
static int64_t split_size(const struct vd_op_call *c, int64_t dim, int k)
{
    const struct vd_tensor *given = vd_op_in(c, 1);
    const int64_t *attr;
    if (given)
        return vd_tensor_int(given, (size_t)k);
    if (vd_op_ints(c, "split", &attr))
        return attr[k];
    const int64_t part = (dim + c->n_out - 1) / c->n_out;
    return k < c->n_out - 1 ? part : dim - part * (c->n_out - 1);
}

int vd_infer_split(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0], *given = vd_op_in(c, 1);
    const int64_t *attr, parts = vd_op_int(c, "num_outputs", c->n_out);
    int64_t dim[VD_MAX_RANK], sum = 0;
    int axis, rc = vd_op_axis(c, vd_op_int(c, "axis", 0), x->rank, &axis);
    if (rc < 0 || (given && (rc = vd_op_need_known(c, 1, "split")) < 0))
        return rc;
    if (given && given->rank != 1)
        return vd_op_fail(c, EBADMSG, "input 1 (split) is of rank %d; it must be a list", given->rank);
    const bool attr_given = vd_onnx_attr(c->node, "split") != NULL, equal = !given && !attr_given;
    const size_t n = given ? vd_tensor_count(given) : attr_given ? (size_t)vd_op_ints(c, "split", &attr) : (size_t)c->n_out;
    if (n != (size_t)c->n_out)
        return vd_op_fail(c, EBADMSG, "split has %zu sizes for %d outputs", n, c->n_out);
    if (parts != c->n_out)
        return vd_op_fail(c, EBADMSG, "attribute num_outputs is %lld; there are %d outputs", (long long)parts, c->n_out);
    if (given && vd_onnx_attr(c->node, "num_outputs"))
        return vd_op_fail(c, EBADMSG, "both input 1 (split) and attribute num_outputs are given");
    const int64_t whole = x->dim[axis];
    if (equal && c->opset < 18 && whole % c->n_out)
        return vd_op_fail(c, ERANGE, "axis %d of size %lld cannot be split into %d equal parts", axis, (long long)whole, c->n_out);
    memcpy(dim, x->dim, sizeof(dim));
    for (int k = 0; k < c->n_out; k++) {
        dim[axis] = split_size(c, whole, k);
        if (dim[axis] < 0)
            return vd_op_fail(c, equal ? ERANGE : EBADMSG, "part %d of axis %d, of size %lld, would have size %lld", k, axis,
                              (long long)whole, (long long)dim[axis]);
        if (!vd_add64(sum, dim[axis], &sum))
            return vd_op_fail(c, ERANGE, "the sizes of split do not fit in 64 bits");
        if ((rc = vd_op_set(c, k, x->type, x->rank, dim)) < 0)
            return rc;
    }
    if (sum != whole)
        return vd_op_fail(c, ERANGE, "the sizes of split add up to %lld; axis %d is of size %lld", (long long)sum, axis,
                          (long long)whole);
    return 0;
}

void vd_run_split(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    int64_t step[VD_MAX_RANK], at = 0;
    int axis = (int)vd_op_int(c, "axis", 0);
    axis += axis < 0 ? x->rank : 0;
    dense_steps(x->dim, x->rank, step);
    for (int k = 0; k < c->n_out; k++) {
        if (c->out[k])
            vd_op_move(c->workers, c->out[k], x->data, at * step[axis], step);
        at += split_size(c, x->dim[axis], k);
    }
}

/* Where a slice begins, its step and how many elements it has, along every dim. */
struct slice {
    int64_t start[VD_MAX_RANK], step[VD_MAX_RANK], count[VD_MAX_RANK];
};

static int slice_list(const struct vd_op_call *c, int input, const char *name, int64_t v[VD_MAX_RANK], int *n)
{
    const int64_t *attr;
    if (c->opset >= 10)
        return vd_op_in(c, input) ? vd_op_known_ints(c, input, name, v, n) : (*n = 0);
    *n = vd_op_ints(c, name, &attr);
    if (*n > VD_MAX_RANK)
        return vd_op_fail(c, EBADMSG, "attribute %s has %d values; at most %d dims are supported", name, *n, (int)VD_MAX_RANK);
    if (*n)
        memcpy(v, attr, (size_t)*n * sizeof(*v));
    return 0;
}

static int64_t clamp(int64_t v, int64_t lo, int64_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

static int slice_of(const struct vd_op_call *c, struct slice *s)
{
    const struct vd_tensor *x = c->in[0];
    int64_t start[VD_MAX_RANK], end[VD_MAX_RANK], axes[VD_MAX_RANK], step[VD_MAX_RANK];
    bool seen[VD_MAX_RANK] = {false};
    int n, n_end, n_axes, n_step, rc, axis;
    for (int i = 0; i < x->rank; i++) {
        s->start[i] = 0;
        s->step[i] = 1;
        s->count[i] = x->dim[i];
    }
    if ((rc = slice_list(c, 1, "starts", start, &n)) < 0 || (rc = slice_list(c, 2, "ends", end, &n_end)) < 0 ||
        (rc = slice_list(c, 3, "axes", axes, &n_axes)) < 0 || (rc = slice_list(c, 4, "steps", step, &n_step)) < 0)
        return rc;
    const bool has_axes = c->opset >= 10 ? vd_op_in(c, 3) != NULL : vd_onnx_attr(c->node, "axes") != NULL;
    if (n_end != n || (has_axes ? n_axes != n : n > x->rank) || (vd_op_in(c, 4) && n_step != n))
        return vd_op_fail(c, EBADMSG, "starts, ends, axes and steps have %d, %d, %d and %d values for a tensor of rank %d", n, n_end,
                          n_axes, n_step, x->rank);
    for (int i = 0; i < n; i++) {
        if ((rc = vd_op_axis(c, has_axes ? axes[i] : i, x->rank, &axis)) < 0)
            return rc;
        if (seen[axis])
            return vd_op_fail(c, EBADMSG, "axis %d is given twice", axis);
        seen[axis] = true;
        const int64_t dim = x->dim[axis];
        /* A step longer than the dim takes one element, however long it is. */
        const int64_t by = n_step ? clamp(step[i], -dim - 1, dim + 1) : 1;
        if (!by)
            return vd_op_fail(c, EBADMSG, "input 4 (steps) has 0");
        int64_t from = start[i] < 0 ? (start[i] < -dim ? -1 : start[i] + dim) : start[i];
        int64_t to = end[i] < 0 ? (end[i] < -dim ? -1 : end[i] + dim) : end[i];
        /* The largest integers mean "to the end" in both directions, as in ONNX Runtime. */
        if (by < 0 && (end[i] == INT32_MAX || end[i] == INT64_MAX))
            to = -1;
        from = by > 0 ? clamp(from, 0, dim) : clamp(from, 0, dim - 1);
        to = by > 0 ? clamp(to, 0, dim) : clamp(to, -1, dim - 1);
        s->start[axis] = from;
        s->step[axis] = by;
        s->count[axis] = !dim ? 0 : by > 0 ? (to > from ? (to - from - 1) / by + 1 : 0) : from > to ? (from - to - 1) / -by + 1 : 0;
    }
    return 0;
}

int vd_infer_slice(const struct vd_op_call *c)
{
    struct slice s;
    int rc;
    for (int i = 1; i < c->n_in; i++)
        if (c->in[i] && (rc = vd_op_same_type(c, 1, i)) < 0)
            return rc;
    if ((rc = slice_of(c, &s)) < 0)
        return rc;
    return vd_op_set(c, 0, c->in[0]->type, c->in[0]->rank, s.count);
}

void vd_run_slice(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    struct slice s;
    int64_t dense[VD_MAX_RANK], at = 0;
    if (!vd_tensor_count(c->out[0]) || slice_of(c, &s) < 0)
        return; /* infer has seen that it does not fail */
    dense_steps(x->dim, x->rank, dense);
    for (int i = 0; i < x->rank; i++) {
        at += s.start[i] * dense[i];
        s.step[i] *= dense[i];
    }
    vd_op_move(c->workers, c->out[0], x->data, at, s.step);
}
