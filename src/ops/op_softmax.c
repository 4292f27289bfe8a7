/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>

#include "ops/op_math.h"
#include "ops/op_util.h"

/* Operators over one axis: Softmax, LogSoftmax, Hardmax (before opset 13 over all dims from the axis on, as one) and
 * LpNormalization. Exponentials and sums are formed in float64. A NaN makes its whole line NaN, as does a line of -infinity.
 *
 * A line is a row of its own where the axis is the innermost; elsewhere a tile of lines is walked side by side. Eight partial
 * sums a row in a fixed order, whatever the threads. */
enum kind { SOFT, LOG_SOFT, HARD, L1, L2 };
enum { LANES = 8, TILE = 128 };

struct lines {
    const float *x;
    float *y;
    struct vd_along a;
    size_t tiles; /* of inner */
    enum kind kind;
};

#define GREATER(a, b) (((b) > (a)) | ((b) != (b)) ? (b) : (a))

static inline double power(double d) { return vd_exp(d < -700 ? -700 : d); }

static double lane_sum(const double v[LANES])
{
    return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

static float row_most(const float *x, size_t n)
{
    float v[LANES], most = -INFINITY;
    size_t i = 0;
    for (int k = 0; k < LANES; k++)
        v[k] = -INFINITY;
    for (; n - i >= LANES; i += LANES)
        for (int k = 0; k < LANES; k++)
            v[k] = GREATER(v[k], x[i + (size_t)k]);
    for (int k = 0; k < LANES; k++)
        most = GREATER(most, v[k]);
    for (; i < n; i++)
        most = GREATER(most, x[i]);
    return most;
}

/* y = e^(x - most), rounded; the sum before rounding. */
static double row_powers(float *y, const float *x, size_t n, double most)
{
    double v[LANES] = {0};
    size_t i = 0;
    for (; n - i >= LANES; i += LANES)
        for (int k = 0; k < LANES; k++) {
            const double e = power((double)x[i + (size_t)k] - most);
            v[k] += e;
            y[i + (size_t)k] = (float)e;
        }
    for (int k = 0; i < n; i++, k++) {
        const double e = power((double)x[i] - most);
        v[k] += e;
        y[i] = (float)e;
    }
    return lane_sum(v);
}

static double row_norm(const float *x, size_t n, bool squares)
{
    double v[LANES] = {0};
    size_t i = 0;
    for (; n - i >= LANES; i += LANES)
        for (int k = 0; k < LANES; k++) {
            const double d = (double)x[i + (size_t)k];
            v[k] += squares ? d * d : fabs(d);
        }
    for (int k = 0; i < n; i++, k++)
        v[k] += squares ? (double)x[i] * (double)x[i] : fabs((double)x[i]);
    return squares ? sqrt(lane_sum(v)) : lane_sum(v);
}

/* Index of the first of the greatest. */
static size_t row_first(const float *x, size_t n, size_t step)
{
    size_t at = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i * step] > x[at * step])
            at = i;
    return at;
}

static void rows(void *arg, size_t begin, size_t end)
{
    const struct lines *l = arg;
    const size_t n = l->a.n;
    for (size_t row = begin; row < end; row++) {
        const float *x = l->x + row * n;
        float *y = l->y + row * n;
        if (l->kind == HARD) {
            memset(y, 0, n * sizeof(*y));
            y[row_first(x, n, 1)] = 1;
        } else if (l->kind == L1 || l->kind == L2) {
            const double norm = row_norm(x, n, l->kind == L2);
            for (size_t i = 0; i < n; i++)
                y[i] = norm == 0 ? 0 : (float)((double)x[i] / norm);
        } else {
            const double most = (double)row_most(x, n), sum = row_powers(y, x, n, most);
            if (l->kind == SOFT) {
                const double by = 1 / sum;
                for (size_t i = 0; i < n; i++)
                    y[i] = (float)((double)y[i] * by);
            } else {
                const double less = most + (isnan(sum) ? sum : vd_log(sum));
                for (size_t i = 0; i < n; i++)
                    y[i] = (float)((double)x[i] - less);
            }
        }
    }
}

static void tile_powers(const struct lines *l, const float *x, float *y, size_t cols)
{
    const size_t n = l->a.n, step = l->a.inner;
    float most[TILE];
    double sum[TILE];
    for (size_t i = 0; i < cols; i++) {
        most[i] = -INFINITY;
        sum[i] = 0;
    }
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < cols; i++)
            most[i] = GREATER(most[i], x[k * step + i]);
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < cols; i++) {
            const double e = power((double)x[k * step + i] - (double)most[i]);
            sum[i] += e;
            y[k * step + i] = (float)e;
        }
    for (size_t i = 0; i < cols; i++)
        sum[i] = l->kind == SOFT ? 1 / sum[i] : (double)most[i] + (isnan(sum[i]) ? sum[i] : vd_log(sum[i]));
    for (size_t k = 0; k < n; k++)
        if (l->kind == SOFT)
            for (size_t i = 0; i < cols; i++)
                y[k * step + i] = (float)((double)y[k * step + i] * sum[i]);
        else
            for (size_t i = 0; i < cols; i++)
                y[k * step + i] = (float)((double)x[k * step + i] - sum[i]);
}

static void tile_norms(const struct lines *l, const float *x, float *y, size_t cols)
{
    const size_t n = l->a.n, step = l->a.inner;
    double sum[TILE];
    for (size_t i = 0; i < cols; i++)
        sum[i] = 0;
    for (size_t k = 0; k < n; k++)
        if (l->kind == L2)
            for (size_t i = 0; i < cols; i++)
                sum[i] += (double)x[k * step + i] * (double)x[k * step + i];
        else
            for (size_t i = 0; i < cols; i++)
                sum[i] += fabs((double)x[k * step + i]);
    for (size_t i = 0; i < cols; i++)
        sum[i] = l->kind == L2 ? sqrt(sum[i]) : sum[i];
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < cols; i++)
            y[k * step + i] = sum[i] == 0 ? 0 : (float)((double)x[k * step + i] / sum[i]);
}

static void across(void *arg, size_t begin, size_t end)
{
    const struct lines *l = arg;
    const size_t n = l->a.n, inner = l->a.inner;
    for (size_t t = begin; t < end; t++) {
        const size_t from = t % l->tiles * TILE, cols = inner - from < TILE ? inner - from : TILE, at = t / l->tiles * n * inner + from;
        const float *x = l->x + at;
        float *y = l->y + at;
        if (l->kind == L1 || l->kind == L2)
            tile_norms(l, x, y, cols);
        else if (l->kind != HARD)
            tile_powers(l, x, y, cols);
        else
            for (size_t i = 0; i < cols; i++) {
                const size_t first = row_first(x + i, n, inner);
                for (size_t k = 0; k < n; k++)
                    y[k * inner + i] = k == first;
            }
    }
}

static int line_of(const struct vd_op_call *c, enum kind kind, struct vd_along *a)
{
    const struct vd_tensor *x = c->in[0];
    const bool coerced = kind <= HARD && c->opset < 13;
    int axis;
    const int rc = vd_op_axis(c, vd_op_int(c, "axis", coerced ? 1 : -1), x->rank, &axis);
    if (rc < 0)
        return rc;
    *a = vd_along(x, axis);
    if (coerced) {
        a->n *= a->inner;
        a->inner = 1;
    }
    return 0;
}

static int infer(const struct vd_op_call *c, enum kind kind)
{
    struct vd_along a;
    const int rc = line_of(c, kind, &a);
    return rc < 0 ? rc : vd_op_set_like(c, 0, c->in[0]->type, c->in[0]);
}

static void run(const struct vd_op_call *c, enum kind kind)
{
    struct lines l = {.x = c->in[0]->data, .y = c->out[0]->data, .kind = kind};
    if (!vd_tensor_count(c->in[0]) || line_of(c, kind, &l.a) < 0)
        return; /* infer has seen that it does not fail */
    l.tiles = (l.a.inner + TILE - 1) / TILE;
    const size_t work = l.a.n * (l.a.inner < TILE ? l.a.inner : TILE) * 4;
    vd_op_split(c->workers, l.a.inner == 1 ? l.a.outer : l.a.outer * l.tiles, VD_ITER_GRAIN / work + 1, l.a.inner == 1 ? rows : across, &l);
}

int vd_infer_softmax(const struct vd_op_call *c) { return infer(c, SOFT); }
void vd_run_softmax(const struct vd_op_call *c) { run(c, SOFT); }
int vd_infer_log_softmax(const struct vd_op_call *c) { return infer(c, LOG_SOFT); }
void vd_run_log_softmax(const struct vd_op_call *c) { run(c, LOG_SOFT); }
int vd_infer_hardmax(const struct vd_op_call *c) { return infer(c, HARD); }
void vd_run_hardmax(const struct vd_op_call *c) { run(c, HARD); }

/* A line of zeros stays one. */
int vd_infer_lp_normalization(const struct vd_op_call *c)
{
    const int64_t p = vd_op_int(c, "p", 2);
    if (p != 1 && p != 2)
        return vd_op_fail(c, EBADMSG, "attribute p is %lld; it must be 1 or 2", (long long)p);
    return infer(c, L2);
}

void vd_run_lp_normalization(const struct vd_op_call *c) { run(c, vd_op_int(c, "p", 2) == 1 ? L1 : L2); }
