/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_OP_UTIL_H
#define VD_OP_UTIL_H

#include <string.h>

#include "ops/op.h"

/* What the families share: reading small integer lists, walking broadcast
 * shapes, splitting work. Inside src/ops only. */

/* Types that operators which only move elements take. */
#define VD_INT_T (VD_T(VD_U8) | VD_T(VD_S8) | VD_T(VD_S32) | VD_T(VD_S64))

/* Known before the run: infer may look at the elements. An empty tensor always is. */
static inline bool vd_tensor_known(const struct vd_tensor *t) { return t->data || !vd_tensor_count(t); }

static inline const struct vd_tensor *vd_op_in(const struct vd_op_call *c, int i) { return i < c->n_in ? c->in[i] : NULL; }
static inline struct vd_tensor *vd_op_out(const struct vd_op_call *c, int i) { return i < c->n_out ? c->out[i] : NULL; }

/* Set type and shape of an output (NULL: nobody asked) and check it. */
int vd_op_set(const struct vd_op_call *c, int i, int type, int rank, const int64_t *dim);
/* The same shape as tensor t. */
int vd_op_set_like(const struct vd_op_call *c, int i, int type, const struct vd_tensor *t);
/* -EBADMSG unless inputs a and b (present) have one type. */
int vd_op_same_type(const struct vd_op_call *c, int a, int b);

/* -ENOTSUP unless input i (present) is known before the run; what names it in the message. */
int vd_op_need_known(const struct vd_op_call *c, int i, const char *what);
/* Input i, a known list of at most VD_MAX_RANK integers (rank 1, or rank 0 as one of them), into v. what names it in messages.
 * -ENOTSUP when it is computed at run time. */
int vd_op_known_ints(const struct vd_op_call *c, int i, const char *what, int64_t v[VD_MAX_RANK], int *n);
/* Axes for tensors of that rank, from input i (i > 0, absent or NULL: none) or attribute "axes" (i 0), as a mask; *n: how many.
 * -EBADMSG: out of range or twice. */
int vd_op_axes(const struct vd_op_call *c, int i, int rank, bool mask[VD_MAX_RANK], int *n);

/* A dense tensor seen from one of its dims: outer * n * inner elements. Of no elements: all may be 0. */
struct vd_along {
    size_t outer, n, inner;
};
static inline struct vd_along vd_along(const struct vd_tensor *t, int axis)
{
    struct vd_along a = {1, (size_t)t->dim[axis], 1};
    for (int i = 0; i < axis; i++)
        a.outer *= (size_t)t->dim[i];
    for (int i = axis + 1; i < t->rank; i++)
        a.inner *= (size_t)t->dim[i];
    return a;
}

/* fn over [0, n) in pieces of `grain` (the last may be shorter), on the call's workers. The pieces do not depend on the
 * number of workers. */
typedef void vd_range_fn(void *arg, size_t begin, size_t end);
void vd_op_split(struct vd_workers *w, size_t n, size_t grain, vd_range_fn *fn, void *arg);

/* One walk over up to VD_ITER_MAX operands of one common shape. Operand 0 is the output and dense; the others have any element
 * step along each dim, 0 where they are broadcast. Dims of 1 go and neighbours that every operand walks alike become one,
 * so that a kernel sees the longest rows there are. */
enum { VD_ITER_MAX = 4, VD_ITER_GRAIN = 1 << 14 };

struct vd_row {
    size_t n;                    /* elements, at least 1 */
    void *p[VD_ITER_MAX];
    ptrdiff_t step[VD_ITER_MAX]; /* elements; with broadcast operands 0 or 1, output 1 */
    const void *arg;
};
typedef void vd_row_fn(const struct vd_row *r);

struct vd_iter {
    int n, rank;
    int64_t dim[VD_MAX_RANK];
    int64_t step[VD_ITER_MAX][VD_MAX_RANK];
    unsigned char *base[VD_ITER_MAX];
    int64_t size[VD_ITER_MAX]; /* bytes an element */
    size_t total;
    vd_row_fn *fn;
    const void *arg;
};

void vd_iter_init(struct vd_iter *it, const struct vd_tensor *out);
/* The next operand, broadcast to the output's shape (which infer has checked). */
void vd_iter_input(struct vd_iter *it, const struct vd_tensor *t);
/* The next operand with its own steps in elements, one for each dim of the output; data points at the first element used. */
void vd_iter_strided(struct vd_iter *it, const void *data, int type, const int64_t *step);
/* Call fn for every row. The iterator is used up. */
void vd_iter_run(struct vd_iter *it, struct vd_workers *w, vd_row_fn *fn, const void *arg);

/* y (any view of a dense output) = the elements of src from number `at` on, read with these steps in elements, one a dim of y. */
void vd_op_move(struct vd_workers *w, const struct vd_tensor *y, const void *src, int64_t at, const int64_t *step);
/* out = in, element for element: the run of every operator that only changes a shape. */
void vd_op_copy(const struct vd_op_call *c);

/* Chunks of any numeric type as double or int64 and back (op_cast.c); n at most VD_CHUNK, p of any step.
 * To bool: not zero. An int64 to a narrower integer: wraps. A double to an integer is cut towards zero; where it does not fit,
 * ONNX leaves the result open and this one is ONNX Runtime's on x86: formed in int32 (int64 for uint32 and int64) as the least
 * integer of that type, or else wrapped to the narrower one. A uint64 is an int64 of the same bits. */
enum { VD_CHUNK = 256 };
void vd_load_f64(double *dst, const void *src, int type, ptrdiff_t step, size_t n);
void vd_load_s64(int64_t *dst, const void *src, int type, ptrdiff_t step, size_t n); /* integer and bool types */
void vd_store_f64(void *dst, int type, const double *src, size_t n);
void vd_store_s64(void *dst, int type, const int64_t *src, size_t n);
bool vd_type_is_float(int type);

#endif
