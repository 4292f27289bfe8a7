/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/op_util.h"

/* Sums over any set of dims. float32 is summed in float64 and rounded once at the end; integers in 64 bits, which wrap, and are cut
 * to their type. A mean of integers is cut towards zero; sum and mean of nothing are 0, as in ONNX Runtime.
 *
 * The dims become alternating groups of kept and reduced ones, so the innermost loop runs either along a reduced group
 * (one output element) or along a kept one (a row of output elements). */
struct group {
    int n;
    int64_t dim[VD_MAX_RANK], step[VD_MAX_RANK];
    size_t total;
};

struct reduce {
    struct group kept, gone; /* without the innermost group */
    bool along;              /* the innermost group is reduced */
    size_t len;              /* elements of the innermost group */
    const void *src;
    void *dst;
    size_t count;            /* elements of one sum */
    bool mean;
};

static void plan(struct reduce *r, const struct vd_tensor *x, const bool mask[VD_MAX_RANK])
{
    int64_t step = 1;
    bool first = true, last = false;
    memset(r, 0, sizeof(*r));
    r->kept.total = r->gone.total = r->count = r->len = 1;
    for (int d = x->rank - 1; d >= 0; step *= x->dim[d], d--) {
        if (mask[d])
            r->count *= (size_t)x->dim[d];
        if (x->dim[d] == 1)
            continue;
        struct group *g = mask[d] ? &r->gone : &r->kept;
        if (first || (!r->kept.n && !r->gone.n && mask[d] == last)) {
            r->along = mask[d];
            r->len *= (size_t)x->dim[d];
        } else if (g->n && mask[d] == last)
            g->dim[g->n - 1] *= x->dim[d];
        else {
            g->dim[g->n] = x->dim[d];
            g->step[g->n++] = step;
        }
        first = false;
        last = mask[d];
    }
    for (int k = 0; k < r->kept.n; k++)
        r->kept.total *= (size_t)r->kept.dim[k];
    for (int k = 0; k < r->gone.n; k++)
        r->gone.total *= (size_t)r->gone.dim[k];
}

/* A place in a group: offset of element number i, and the step to the next. dim[0] is the innermost. */
struct place {
    int64_t at[VD_MAX_RANK], off;
};

static struct place place_at(const struct group *g, size_t i)
{
    struct place p = {.off = 0};
    for (int k = 0; k < g->n; k++) {
        p.at[k] = (int64_t)(i % (size_t)g->dim[k]);
        p.off += p.at[k] * g->step[k];
        i /= (size_t)g->dim[k];
    }
    return p;
}

static void place_next(const struct group *g, struct place *p)
{
    for (int k = 0; k < g->n; k++) {
        p->off += g->step[k];
        if (++p->at[k] < g->dim[k])
            return;
        p->off -= g->dim[k] * g->step[k];
        p->at[k] = 0;
    }
}

enum { LANES = 8, TILE = 256 };

/* T elements, A the type of the sum. Eight partial sums a row in a fixed order, whatever the threads. */
#define REDUCE(name, T, A, FINISH) \
    static A row_##name(const T *x, size_t n) \
    { \
        A lane[LANES] = {0}; \
        size_t i = 0; \
        for (; n - i >= LANES; i += LANES) \
            for (int k = 0; k < LANES; k++) \
                lane[k] += (A)x[i + (size_t)k]; \
        for (int k = 0; i < n; i++, k++) \
            lane[k] += (A)x[i]; \
        return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7])); \
    } \
    /* Reduced innermost: output elements begin..end. */ \
    static void along_##name(void *arg, size_t begin, size_t end) \
    { \
        const struct reduce *r = arg; \
        struct place kept = place_at(&r->kept, begin); \
        for (size_t i = begin; i < end; i++, place_next(&r->kept, &kept)) { \
            struct place gone = {.off = 0}; \
            A sum = 0; \
            for (size_t k = 0; k < r->gone.total; k++, place_next(&r->gone, &gone)) \
                sum += row_##name((const T *)r->src + kept.off + gone.off, r->len); \
            ((T *)r->dst)[i] = FINISH(T, sum, r); \
        } \
    } \
    /* Kept innermost: tiles of output rows begin..end. */ \
    static void across_##name(void *arg, size_t begin, size_t end) \
    { \
        const struct reduce *r = arg; \
        const size_t tiles = (r->len + TILE - 1) / TILE; \
        for (size_t t = begin; t < end; t++) { \
            const size_t row = t / tiles, from = t % tiles * TILE, n = r->len - from < TILE ? r->len - from : TILE; \
            const T *src = (const T *)r->src + place_at(&r->kept, row).off + from; \
            T *dst = (T *)r->dst + row * r->len + from; \
            struct place gone = {.off = 0}; \
            A sum[TILE] = {0}; \
            for (size_t k = 0; k < r->gone.total; k++, place_next(&r->gone, &gone)) \
                for (size_t i = 0; i < n; i++) \
                    sum[i] += (A)src[(size_t)gone.off + i]; \
            for (size_t i = 0; i < n; i++) \
                dst[i] = FINISH(T, sum[i], r); \
        } \
    }
#define FINISH_FLOAT(T, sum, r) (T)((r)->mean ? (sum) / (double)(r)->count : (sum))
#define FINISH_INT(T, sum, r) (T)((r)->mean ? (int64_t)(sum) / (int64_t)(r)->count : (int64_t)(sum))

REDUCE(f32, float, double, FINISH_FLOAT)
REDUCE(s32, int32_t, uint64_t, FINISH_INT)
REDUCE(s64, int64_t, uint64_t, FINISH_INT)

static void run(const struct vd_op_call *c, const bool mask[VD_MAX_RANK], bool mean)
{
    struct reduce r;
    size_t grain;
    const struct vd_tensor *x = c->in[0];
    const size_t outs = vd_tensor_count(c->out[0]);
    if (!vd_tensor_count(x)) { /* no outputs, or sums of nothing */
        if (outs)
            memset(c->out[0]->data, 0, vd_tensor_bytes(c->out[0]));
        return;
    }
    plan(&r, x, mask);
    r.src = x->data;
    r.dst = c->out[0]->data;
    r.mean = mean;
    vd_range_fn *fn;
    size_t units;
    if (r.along || r.len == 1) {
        fn = x->type == VD_F32 ? along_f32 : x->type == VD_S32 ? along_s32 : along_s64;
        units = outs;
        grain = VD_ITER_GRAIN / r.count + 1;
    } else {
        fn = x->type == VD_F32 ? across_f32 : x->type == VD_S32 ? across_s32 : across_s64;
        units = outs / r.len * ((r.len + TILE - 1) / TILE);
        const size_t work = r.gone.total * (r.len < TILE ? r.len : TILE);
        grain = VD_ITER_GRAIN / work + 1;
    }
    vd_op_split(c->workers, units, grain, fn, &r);
}

/* What ReduceSum and ReduceMean share: axes as an input from opset `moved` on, an attribute before. */
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

static void run_axes(const struct vd_op_call *c, int moved, bool mean)
{
    bool mask[VD_MAX_RANK];
    if (!reduced(c, moved, mask)) /* infer has seen that it does not fail */
        run(c, mask, mean);
}

enum { SUM_MOVED = 13, MEAN_MOVED = 18 };

int vd_infer_reduce_sum(const struct vd_op_call *c) { return infer(c, SUM_MOVED); }
void vd_run_reduce_sum(const struct vd_op_call *c) { run_axes(c, SUM_MOVED, false); }
int vd_infer_reduce_mean(const struct vd_op_call *c) { return infer(c, MEAN_MOVED); }
void vd_run_reduce_mean(const struct vd_op_call *c) { run_axes(c, MEAN_MOVED, true); }

int vd_infer_global_average_pool(const struct vd_op_call *c)
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

void vd_run_global_average_pool(const struct vd_op_call *c)
{
    const bool mask[VD_MAX_RANK] = {false, false, true, true, true, true, true, true};
    run(c, mask, true);
}
