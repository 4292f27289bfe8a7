/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>

#include "ops/op_math.h"
#include "ops/op_util.h"

/* LRN: x / (bias + alpha / size * squares of `size` channels around)^beta, in float64, rounded once. */
enum { TILE = 256 };

int vd_infer_lrn(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    const int64_t size = vd_op_int(c, "size", 0);
    if (x->rank < 2)
        return vd_op_fail(c, EBADMSG, "an input of rank %d; batch and channels belong there", x->rank);
    if (size < 1 || size > 1 << 20)
        return vd_op_fail(c, EBADMSG, "attribute size is %lld; it must be in 1..%d", (long long)size, 1 << 20);
    return vd_op_set_like(c, 0, x->type, x);
}

struct lrn {
    const float *x;
    float *y;
    struct vd_along a; /* along the channels */
    size_t tiles, below, above;
    double alpha, beta, bias;
};

static void tiles(void *arg, size_t begin, size_t end)
{
    const struct lrn *s = arg;
    const size_t n = s->a.n, inner = s->a.inner;
    for (size_t t = begin; t < end; t++) {
        const size_t from = t % s->tiles * TILE, cols = inner - from < TILE ? inner - from : TILE, ch = t / s->tiles % n;
        const size_t plane = t / s->tiles / n * n, lo = ch < s->below ? 0 : ch - s->below, hi = n - 1 - ch < s->above ? n - 1 : ch + s->above;
        double sum[TILE] = {0};
        for (size_t k = lo; k <= hi; k++) {
            const float *x = s->x + (plane + k) * inner + from;
            for (size_t i = 0; i < cols; i++)
                sum[i] += (double)x[i] * (double)x[i];
        }
        const float *x = s->x + (plane + ch) * inner + from;
        float *y = s->y + (plane + ch) * inner + from;
        for (size_t i = 0; i < cols; i++)
            sum[i] = s->bias + s->alpha * sum[i];
        if (s->beta == 0.75)
            for (size_t i = 0; i < cols; i++)
                y[i] = (float)((double)x[i] / (sqrt(sum[i]) * sqrt(sqrt(sum[i]))));
        else
            for (size_t i = 0; i < cols; i++)
                y[i] = (float)((double)x[i] / vd_pow(sum[i], s->beta));
    }
}

void vd_run_lrn(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    const size_t size = (size_t)vd_op_int(c, "size", 0);
    if (!vd_tensor_count(x))
        return;
    struct lrn s = {.x = x->data, .y = c->out[0]->data, .a = vd_along(x, 1), .below = (size - 1) / 2, .above = size / 2,
                    .alpha = (double)vd_op_float(c, "alpha", 0.0001f) / (double)size, .beta = (double)vd_op_float(c, "beta", 0.75f),
                    .bias = (double)vd_op_float(c, "bias", 1)};
    s.tiles = (s.a.inner + TILE - 1) / TILE;
    vd_op_split(c->workers, s.a.outer * s.a.n * s.tiles, VD_ITER_GRAIN / (4 * TILE) + 1, tiles, &s);
}
