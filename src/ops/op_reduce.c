/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>

#include "ops/op_groups.h"
#include "ops/op_math.h"

/* Reductions over any set of dims. Floats are summed and multiplied in float64 and rounded once at the end; integers in 64 bits,
 * which wrap, and are cut to their type. A mean, a root or a logarithm of integers is cut towards zero. What is left of nothing is
 * what the operator starts from; a mean of nothing is 0, as in ONNX Runtime. A NaN stays, whatever the order.
 *
 * The dims become alternating groups of kept and reduced ones, so the innermost loop runs either along a reduced group
 * (one output element) or along a kept one (a row of output elements). */
enum kind { SUM, ABS, SQUARE, PROD, MAX, MIN, EXP, KINDS };
enum finish { PLAIN, MEAN, ROOT, LOG };

struct reduce {
    struct vd_group kept, gone; /* without the innermost group */
    bool along;                 /* the innermost group is reduced */
    size_t len;                 /* elements of the innermost group */
    const void *src;
    void *dst;
    size_t count;               /* elements of one result */
    enum finish finish;
};

static void plan(struct reduce *r, const struct vd_tensor *x, const bool mask[VD_MAX_RANK])
{
    int d = x->rank;
    struct vd_tensor rest = *x;
    memset(r, 0, sizeof(*r));
    r->count = r->len = 1;
    for (int i = 0; i < x->rank; i++)
        r->count *= mask[i] ? (size_t)x->dim[i] : 1;
    /* The innermost group: its dims become 1 and so take no part in the others. */
    while (d > 0 && x->dim[d - 1] == 1)
        d--;
    r->along = d > 0 && mask[d - 1];
    for (; d > 0 && (mask[d - 1] == r->along || x->dim[d - 1] == 1); d--)
        r->len *= (size_t)x->dim[d - 1];
    rest.rank = d;
    vd_groups(&rest, mask, &r->gone, &r->kept);
    for (int k = 0; k < r->gone.n; k++)
        r->gone.step[k] *= (int64_t)r->len;
    for (int k = 0; k < r->kept.n; k++)
        r->kept.step[k] *= (int64_t)r->len;
}

static double log_of(double v)
{
    if (v > 0)
        return isinf(v) ? v : vd_log(v);
    return v == 0 ? -(double)INFINITY : (double)NAN;
}

static double finish_float(const struct reduce *r, double v)
{
    switch (r->finish) {
    case MEAN: return r->count ? v / (double)r->count : v;
    case ROOT: return sqrt(v);
    case LOG: return log_of(v);
    default: return v;
    }
}

static int64_t finish_int(const struct reduce *r, uint64_t v, int64_t least)
{
    switch (r->finish) {
    case MEAN: return r->count ? (int64_t)v / (int64_t)r->count : (int64_t)v;
    case ROOT: return (int64_t)sqrt((double)v);
    case LOG: return (int64_t)v > 0 ? (int64_t)vd_log((double)(int64_t)v) : least;
    default: return (int64_t)v;
    }
}

enum { LANES = 8, TILE = 256 };

/* T elements, A what is carried along, from INIT on; NEXT takes an element in, JOIN another part; FINISH makes the result of acc,
 * and may use what the result's place held before. Eight parts a row in a fixed order, whatever the threads. */
#define REDUCE(name, T, A, INIT, NEXT, JOIN, FINISH) \
    static A row_##name(const T *x, size_t n, double was) \
    { \
        A lane[LANES]; \
        size_t i = 0; \
        (void)was; \
        for (int k = 0; k < LANES; k++) \
            lane[k] = INIT; \
        for (; n - i >= LANES; i += LANES) \
            for (int k = 0; k < LANES; k++) \
                lane[k] = NEXT(lane[k], x[i + (size_t)k], was); \
        for (int k = 0; i < n; i++, k++) \
            lane[k] = NEXT(lane[k], x[i], was); \
        for (int half = LANES / 2; half; half /= 2) \
            for (int k = 0; k < half; k++) \
                lane[k] = JOIN(lane[k], lane[k + half]); \
        return lane[0]; \
    } \
    /* Reduced innermost: output elements begin..end. */ \
    static void along_##name(void *arg, size_t begin, size_t end) \
    { \
        const struct reduce *r = arg; \
        struct vd_place kept = vd_place_at(&r->kept, begin); \
        for (size_t i = begin; i < end; i++, vd_place_next(&r->kept, &kept)) { \
            struct vd_place gone = {.off = 0}; \
            T *dst = (T *)r->dst + i; \
            A acc = INIT; \
            for (size_t k = 0; k < r->gone.total; k++, vd_place_next(&r->gone, &gone)) \
                acc = JOIN(acc, row_##name((const T *)r->src + kept.off + gone.off, r->len, (double)*dst)); \
            *dst = FINISH(T, acc, r, (double)*dst); \
        } \
    } \
    /* Kept innermost: tiles of output rows begin..end. */ \
    static void across_##name(void *arg, size_t begin, size_t end) \
    { \
        const struct reduce *r = arg; \
        const size_t tiles = (r->len + TILE - 1) / TILE; \
        for (size_t t = begin; t < end; t++) { \
            const size_t row = t / tiles, from = t % tiles * TILE, n = r->len - from < TILE ? r->len - from : TILE; \
            const T *src = (const T *)r->src + vd_place_at(&r->kept, row).off + from; \
            T *dst = (T *)r->dst + row * r->len + from; \
            struct vd_place gone = {.off = 0}; \
            A acc[TILE]; \
            for (size_t i = 0; i < n; i++) \
                acc[i] = INIT; \
            for (size_t k = 0; k < r->gone.total; k++, vd_place_next(&r->gone, &gone)) \
                for (size_t i = 0; i < n; i++) \
                    acc[i] = NEXT(acc[i], src[(size_t)gone.off + i], (double)dst[i]); \
            for (size_t i = 0; i < n; i++) \
                dst[i] = FINISH(T, acc[i], r, (double)dst[i]); \
        } \
    }

#define ADD(a, b) ((a) + (b))
#define TIMES(a, b) ((a) * (b))
#define NEXT_ADD_f64(a, x, was) ((a) + (double)(x))
#define NEXT_ADD_u64(a, x, was) ((a) + (uint64_t)(x))
#define NEXT_ABS_f64(a, x, was) ((a) + fabs((double)(x)))
#define NEXT_ABS_u64(a, x, was) ((a) + ((x) < 0 ? 0 - (uint64_t)(x) : (uint64_t)(x)))
#define NEXT_SQUARE_f64(a, x, was) ((a) + (double)(x) * (double)(x))
#define NEXT_SQUARE_u64(a, x, was) ((a) + (uint64_t)(x) * (uint64_t)(x))
#define NEXT_TIMES_f64(a, x, was) ((a) * (double)(x))
#define NEXT_TIMES_u64(a, x, was) ((a) * (uint64_t)(x))
#define FINISH_f64(T, a, r, was) (T)finish_float(r, a)
#define FINISH_u64(T, a, r, was) (T)finish_int(r, a, sizeof(T) == 4 ? INT32_MIN : INT64_MIN)

#define GREATER(a, b) (((b) > (a)) | ((b) != (b)) ? (b) : (a))
#define LESS(a, b) (((b) < (a)) | ((b) != (b)) ? (b) : (a))
#define NEXT_GREATER(a, x, was) GREATER(a, x)
#define NEXT_LESS(a, x, was) LESS(a, x)
#define TAKE(T, a, r, was) (a)

/* The logarithm of a sum of exponentials: `was` is the maximum, which an earlier walk left in the result's place. One that is not
 * finite is the result. Of integers: beyond the greatest is the greatest. */
#define NEXT_EXP(a, x, was) ((a) + vd_exp((double)(x) - (was) < -700 ? -700 : (double)(x) - (was)))
#define FINISH_EXP(T, a, r, was) (isfinite(was) && (a) > 0 ? (T)((was) + vd_log(a)) : (T)(was))
#define FINISH_EXP_s32(T, a, r, was) ((a) > 0 ? (T)fmin((was) + vd_log(a), INT32_MAX) : INT32_MIN)
#define FINISH_EXP_s64(T, a, r, was) ((a) > 0 && (was) < 0x1p63 - 1024 ? (T)((was) + vd_log(a)) : (was) < 0 ? INT64_MIN : INT64_MAX)

#define FOR_NUMBERS(X, name, INIT, OP, JOIN) \
    X(name##_f32, float, double, INIT, OP##_f64, JOIN, FINISH_f64) \
    X(name##_f64, double, double, INIT, OP##_f64, JOIN, FINISH_f64) \
    X(name##_s32, int32_t, uint64_t, INIT, OP##_u64, JOIN, FINISH_u64) \
    X(name##_s64, int64_t, uint64_t, INIT, OP##_u64, JOIN, FINISH_u64)
FOR_NUMBERS(REDUCE, sum, 0, NEXT_ADD, ADD)
FOR_NUMBERS(REDUCE, abs, 0, NEXT_ABS, ADD)
FOR_NUMBERS(REDUCE, square, 0, NEXT_SQUARE, ADD)
FOR_NUMBERS(REDUCE, prod, 1, NEXT_TIMES, TIMES)
REDUCE(exp_f32, float, double, 0, NEXT_EXP, ADD, FINISH_EXP)
REDUCE(exp_f64, double, double, 0, NEXT_EXP, ADD, FINISH_EXP)
REDUCE(exp_s32, int32_t, double, 0, NEXT_EXP, ADD, FINISH_EXP_s32)
REDUCE(exp_s64, int64_t, double, 0, NEXT_EXP, ADD, FINISH_EXP_s64)
#define EXTREME(name, T, LEAST, GREATEST) \
    REDUCE(max_##name, T, T, LEAST, NEXT_GREATER, GREATER, TAKE) \
    REDUCE(min_##name, T, T, GREATEST, NEXT_LESS, LESS, TAKE)
EXTREME(f32, float, -INFINITY, INFINITY)
EXTREME(f64, double, -(double)INFINITY, (double)INFINITY)
EXTREME(u8, uint8_t, 0, UINT8_MAX)
EXTREME(s8, int8_t, INT8_MIN, INT8_MAX)
EXTREME(s32, int32_t, INT32_MIN, INT32_MAX)
EXTREME(s64, int64_t, INT64_MIN, INT64_MAX)
EXTREME(bool, uint8_t, 0, 1)

struct loops {
    vd_range_fn *along, *across;
};
#define LOOPS(name) {along_##name, across_##name}
#define NUMBERS(name) [VD_F32] = LOOPS(name##_f32), [VD_F64] = LOOPS(name##_f64), [VD_S32] = LOOPS(name##_s32), [VD_S64] = LOOPS(name##_s64)
#define ALL(name) NUMBERS(name), [VD_U8] = LOOPS(name##_u8), [VD_S8] = LOOPS(name##_s8), [VD_BOOL] = LOOPS(name##_bool)
static const struct loops table[KINDS][VD_F64 + 1] = {
    [SUM] = {NUMBERS(sum)}, [ABS] = {NUMBERS(abs)}, [SQUARE] = {NUMBERS(square)}, [PROD] = {NUMBERS(prod)},
    [MAX] = {ALL(max)}, [MIN] = {ALL(min)}, [EXP] = {NUMBERS(exp)},
};

static void run(const struct vd_op_call *c, const bool mask[VD_MAX_RANK], enum kind kind, enum finish finish)
{
    struct reduce r;
    const struct vd_tensor *x = c->in[0];
    const size_t outs = vd_tensor_count(c->out[0]);
    if (!outs)
        return;
    plan(&r, x, mask);
    if (!vd_tensor_count(x)) /* what is reduced has a dim of 0: there is nothing to walk, however large its other dims are */
        r.gone.total = 0;
    r.src = x->data;
    r.dst = c->out[0]->data;
    r.finish = finish;
    const struct loops *loops = &table[kind][x->type];
    if (r.along || r.len == 1) {
        vd_op_split(c->workers, outs, VD_ITER_GRAIN / (r.count + 1) + 1, loops->along, &r);
    } else {
        const size_t tile = r.len < TILE ? r.len : TILE;
        vd_op_split(c->workers, outs / r.len * ((r.len + TILE - 1) / TILE), VD_ITER_GRAIN / (r.gone.total * tile + 1) + 1,
                    loops->across, &r);
    }
}

/* Axes are an input from opset `moved` on, an attribute before. */
static int reduced(const struct vd_op_call *c, int moved, bool mask[VD_MAX_RANK])
{
    const int rank = c->in[0]->rank;
    int n, rc = vd_op_axes(c, c->opset >= moved, rank, mask, &n);
    if (rc < 0 || n)
        return rc;
    const bool all = c->opset < moved || vd_op_int(c, "noop_with_empty_axes", 0) == 0;
    for (int i = 0; i < rank; i++)
        mask[i] = all;
    return 0;
}

static int infer(const struct vd_op_call *c, int moved)
{
    const struct vd_tensor *x = c->in[0];
    bool mask[VD_MAX_RANK];
    int64_t dim[VD_MAX_RANK];
    int rank = 0, rc = reduced(c, moved, mask);
    if (rc < 0)
        return rc;
    const bool keep = vd_op_int(c, "keepdims", 1) != 0;
    for (int i = 0; i < x->rank; i++)
        if (!mask[i] || keep)
            dim[rank++] = mask[i] ? 1 : x->dim[i];
    return vd_op_set(c, 0, x->type, rank, dim);
}

static void run_axes(const struct vd_op_call *c, int moved, enum kind kind, enum finish finish)
{
    bool mask[VD_MAX_RANK];
    if (reduced(c, moved, mask) < 0)
        return; /* infer has seen that it does not fail */
    if (kind == EXP)
        run(c, mask, MAX, PLAIN);
    run(c, mask, kind, finish);
}

enum { SUM_MOVED = 13, MOVED = 18 };
#define OPERATOR(op, MOVED_AT, KIND, FINISH) \
    int vd_infer_reduce_##op(const struct vd_op_call *c) { return infer(c, MOVED_AT); } \
    void vd_run_reduce_##op(const struct vd_op_call *c) { run_axes(c, MOVED_AT, KIND, FINISH); }
OPERATOR(sum, SUM_MOVED, SUM, PLAIN)
OPERATOR(mean, MOVED, SUM, MEAN)
OPERATOR(l1, MOVED, ABS, PLAIN)
OPERATOR(l2, MOVED, SQUARE, ROOT)
OPERATOR(sum_square, MOVED, SQUARE, PLAIN)
OPERATOR(prod, MOVED, PROD, PLAIN)
OPERATOR(max, MOVED, MAX, PLAIN)
OPERATOR(min, MOVED, MIN, PLAIN)
OPERATOR(log_sum, MOVED, SUM, LOG)
OPERATOR(log_sum_exp, MOVED, EXP, PLAIN)

/* Pools over everything but batch and channels. */
static int infer_global(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    int64_t dim[VD_MAX_RANK];
    if (x->rank < 3)
        return vd_op_fail(c, EBADMSG, "an input of rank %d; batch, channels and at least one more dim are needed", x->rank);
    for (int i = 0; i < x->rank; i++) {
        dim[i] = i < 2 ? x->dim[i] : 1;
        if (i >= 2 && x->dim[i] < 1)
            return vd_op_fail(c, ERANGE, "the input's dim %d is 0", i);
    }
    return vd_op_set(c, 0, x->type, x->rank, dim);
}

static const bool spatial[VD_MAX_RANK] = {false, false, true, true, true, true, true, true};

int vd_infer_global_average_pool(const struct vd_op_call *c) { return infer_global(c); }

/* ONNX Runtime sums a plane in float32, in four lanes. A quantiser behind the pool sees every bit of the mean: planes that float32 holds
 * well are summed the same way (op.h), larger ones in float64. */
struct planes { const float *x; float *y; size_t area; };

static void small_planes(void *arg, size_t begin, size_t end)
{
    const struct planes *p = arg;
    const size_t whole = p->area & ~(size_t)3;
    for (size_t at = begin; at < end; at++) {
        const float *x = p->x + at * p->area;
        float lane[4] = {0, 0, 0, 0};
        for (size_t i = 0; i < whole; i += 4)
            for (size_t k = 0; k < 4; k++)
                lane[k] += x[i + k];
        float sum = (lane[0] + lane[2]) + (lane[1] + lane[3]);
        for (size_t i = whole; i < p->area; i++)
            sum += x[i];
        p->y[at] = sum / (float)p->area;
    }
}

void vd_run_global_average_pool(const struct vd_op_call *c)
{
    const size_t outs = vd_tensor_count(c->out[0]);
    struct planes p = {.x = c->in[0]->data, .y = c->out[0]->data, .area = outs ? vd_tensor_count(c->in[0]) / outs : 0};
    if (c->in[0]->type != VD_F32 || p.area > VD_SMALL_PLANE)
        run(c, spatial, SUM, MEAN);
    else if (outs)
        vd_op_split(c->workers, outs, VD_ITER_GRAIN / (p.area + 1) + 1, small_planes, &p);
}

int vd_infer_global_max_pool(const struct vd_op_call *c) { return infer_global(c); }
void vd_run_global_max_pool(const struct vd_op_call *c) { run(c, spatial, MAX, PLAIN); }

int vd_infer_global_lp_pool(const struct vd_op_call *c)
{
    const int64_t p = vd_op_int(c, "p", 2);
    if (p != 1 && p != 2)
        return vd_op_fail(c, EPERM, "attribute p is %lld; 1 and 2 are supported", (long long)p);
    return infer_global(c);
}

void vd_run_global_lp_pool(const struct vd_op_call *c)
{
    const bool one = vd_op_int(c, "p", 2) == 1;
    run(c, spatial, one ? ABS : SQUARE, one ? PLAIN : ROOT);
}
