/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>

#include "ops/op_groups.h"
#include "ops/op_loops.h"

/* Normalisation by a mean and a deviation that are taken from the data itself. Everything is formed in float64, the mean first
 * and then the squares around it, and rounded once. Eight partial sums a row in a fixed order, whatever the threads. */
enum { LANES = 8 };

/* A row of x is what one mean and one deviation are taken of: `channels` runs of `inner` elements. The scales of row r begin at
 * r % period * per; per is 1 (one for the whole row) or channels. */
struct norm {
    const float *x, *scale, *bias; /* NULL: 1 and 0 */
    float *y, *mean, *inverse;     /* the last two may be NULL */
    size_t channels, inner, per, period;
    double epsilon;
    bool centred; /* false: the mean is taken to be 0 */
};

static double lane_sum(const double v[LANES])
{
    return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

static double row_sum(const float *x, size_t n)
{
    double v[LANES] = {0};
    size_t i = 0;
    for (; n - i >= LANES; i += LANES)
        for (int k = 0; k < LANES; k++)
            v[k] += (double)x[i + (size_t)k];
    for (int k = 0; i < n; i++, k++)
        v[k] += (double)x[i];
    return lane_sum(v);
}

static double row_squares(const float *x, size_t n, double mean)
{
    double v[LANES] = {0};
    size_t i = 0;
    for (; n - i >= LANES; i += LANES)
        for (int k = 0; k < LANES; k++) {
            const double d = (double)x[i + (size_t)k] - mean;
            v[k] += d * d;
        }
    for (int k = 0; i < n; i++, k++) {
        const double d = (double)x[i] - mean;
        v[k] += d * d;
    }
    return lane_sum(v);
}

static void norm_rows(void *arg, size_t begin, size_t end)
{
    const struct norm *s = arg;
    const size_t n = s->channels * s->inner;
    for (size_t r = begin; r < end; r++) {
        const float *x = s->x + r * n;
        float *y = s->y + r * n;
        const double mean = s->centred ? row_sum(x, n) / (double)n : 0;
        const double inverse = 1 / sqrt(row_squares(x, n, mean) / (double)n + s->epsilon);
        const float *scale = s->scale ? s->scale + r % s->period * s->per : NULL, *bias = s->bias ? s->bias + r % s->period * s->per : NULL;
        if (s->mean)
            s->mean[r] = (float)mean;
        if (s->inverse)
            s->inverse[r] = (float)inverse;
        if (s->inner == 1 && s->per == s->channels && scale)
            for (size_t k = 0; k < n; k++)
                y[k] = (float)(((double)x[k] - mean) * inverse * (double)scale[k] + (bias ? (double)bias[k] : 0));
        else
            for (size_t k = 0; k < s->channels; k++) {
                const size_t at = s->per == 1 ? 0 : k;
                const double by = inverse * (scale ? (double)scale[at] : 1), to = bias ? (double)bias[at] : 0;
                for (size_t i = k * s->inner; i < (k + 1) * s->inner; i++)
                    y[i] = (float)(((double)x[i] - mean) * by + to);
            }
    }
}

static void normalise(const struct vd_op_call *c, struct norm *s)
{
    const size_t count = vd_tensor_count(c->in[0]), n = s->channels * s->inner;
    s->x = c->in[0]->data;
    s->y = c->out[0]->data;
    if (count)
        vd_op_split(c->workers, count / n, VD_ITER_GRAIN / n + 1, norm_rows, s);
}

/* Inputs 1 and 2 are lists of n values. */
static int need_lists(const struct vd_op_call *c, int64_t n, const char *each)
{
    for (int i = 1; i < 3; i++) {
        const struct vd_tensor *t = c->in[i];
        const int rc = vd_op_same_type(c, 0, i);
        if (rc < 0)
            return rc;
        if (t->rank != 1 || t->dim[0] != n)
            return vd_op_fail(c, ERANGE, "input %d (%s) must be a list of %lld values, one for each %s", i, i == 1 ? "scale" : "bias",
                              (long long)n, each);
    }
    return 0;
}

static size_t area(const struct vd_tensor *x)
{
    size_t n = 1;
    for (int i = 2; i < x->rank; i++)
        n *= (size_t)x->dim[i];
    return n;
}

int vd_infer_instance_normalization(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    if (x->rank < 3)
        return vd_op_fail(c, EBADMSG, "an input of rank %d; batch, channels and at least one more dim belong there", x->rank);
    const int rc = need_lists(c, x->dim[1], "channel");
    return rc < 0 ? rc : vd_op_set_like(c, 0, x->type, x);
}

void vd_run_instance_normalization(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    struct norm s = {.scale = c->in[1]->data, .bias = c->in[2]->data, .channels = 1, .inner = area(x), .per = 1,
                     .period = (size_t)x->dim[1], .epsilon = (double)vd_op_float(c, "epsilon", 1e-5f), .centred = true};
    normalise(c, &s);
}

static int check_stash(const struct vd_op_call *c)
{
    const int64_t stash = vd_op_int(c, "stash_type", VD_F32);
    return stash == VD_F32 ? 0 : vd_op_fail(c, EPERM, "attribute stash_type is %lld; only 1 (float32) is supported", (long long)stash);
}

/* Scales for each group until opset 20, for each channel from 21 on. */
int vd_infer_group_normalization(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    const int64_t groups = vd_op_int(c, "num_groups", 0);
    int rc = check_stash(c);
    if (rc < 0)
        return rc;
    if (x->rank < 3)
        return vd_op_fail(c, EBADMSG, "an input of rank %d; batch, channels and at least one more dim belong there", x->rank);
    if (groups < 1 || x->dim[1] % groups)
        return vd_op_fail(c, EBADMSG, "attribute num_groups is %lld, which does not divide the %lld channels", (long long)groups,
                          (long long)x->dim[1]);
    rc = c->opset < 21 ? need_lists(c, groups, "group") : need_lists(c, x->dim[1], "channel");
    return rc < 0 ? rc : vd_op_set_like(c, 0, x->type, x);
}

void vd_run_group_normalization(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    const size_t groups = (size_t)vd_op_int(c, "num_groups", 0), channels = (size_t)x->dim[1] / groups;
    struct norm s = {.scale = c->in[1]->data, .bias = c->in[2]->data, .channels = channels, .inner = area(x),
                     .per = c->opset < 21 ? 1 : channels, .period = groups, .epsilon = (double)vd_op_float(c, "epsilon", 1e-5f),
                     .centred = true};
    normalise(c, &s);
}

/* LayerNormalization and RMSNormalization: over all dims from the axis on. */
static int infer_layer(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    int64_t dim[VD_MAX_RANK];
    int axis, rc;
    if ((rc = vd_op_axis(c, vd_op_int(c, "axis", -1), x->rank, &axis)) < 0 || (rc = check_stash(c)) < 0)
        return rc;
    for (int i = 1; i < c->n_in && i < 3; i++) {
        const struct vd_tensor *t = c->in[i];
        if (!t)
            continue;
        if ((rc = vd_op_same_type(c, 0, i)) < 0)
            return rc;
        bool fits = t->rank <= x->rank;
        for (int k = 1; fits && k <= t->rank; k++)
            fits = t->dim[t->rank - k] == 1 || t->dim[t->rank - k] == x->dim[x->rank - k];
        if (!fits)
            return vd_op_fail(c, ERANGE, "input %d (%s) cannot be broadcast to the shape of input 0", i, i == 1 ? "scale" : "bias");
    }
    for (int d = 0; d < x->rank; d++)
        dim[d] = d < axis ? x->dim[d] : 1;
    if ((rc = vd_op_set_like(c, 0, x->type, x)) < 0 || (rc = vd_op_set(c, 1, VD_F32, x->rank, dim)) < 0)
        return rc;
    return vd_op_set(c, 2, VD_F32, x->rank, dim);
}

static void scale_row(const struct vd_row *r)
{
    float *y = r->p[0];
    const float *x = r->p[1], *scale = r->p[2], *bias = r->p[3];
    for (size_t i = 0; i < r->n; i++)
        y[i] = x[i] * scale[(ptrdiff_t)i * r->step[2]] + bias[(ptrdiff_t)i * r->step[3]];
}

/* A scale of one value for each element of a row. */
static bool whole_row(const struct vd_tensor *t, const struct vd_tensor *x, int axis)
{
    bool whole = true;
    for (int k = 1; k <= x->rank; k++)
        whole = whole && (k <= t->rank ? t->dim[t->rank - k] : 1) == (x->rank - k < axis ? 1 : x->dim[x->rank - k]);
    return whole;
}

static void run_layer(const struct vd_op_call *c, bool centred)
{
    static const float zero, one = 1;
    static const struct vd_tensor ones = {.type = VD_F32, .data = (void *)(uintptr_t)&one}, zeros = {.type = VD_F32, .data = (void *)(uintptr_t)&zero};
    const struct vd_tensor *x = c->in[0], *scale = c->in[1], *bias = vd_op_in(c, 2);
    const struct vd_tensor *mean = vd_op_out(c, 1), *inverse = vd_op_out(c, 2);
    struct norm s = {.inner = 1, .channels = 1, .period = 1, .epsilon = (double)vd_op_float(c, "epsilon", 1e-5f), .centred = centred,
                     .mean = mean ? mean->data : NULL, .inverse = inverse ? inverse->data : NULL};
    struct vd_iter it;
    int axis;
    if (!vd_tensor_count(x) || vd_op_axis(c, vd_op_int(c, "axis", -1), x->rank, &axis) < 0)
        return; /* infer has seen that it does not fail */
    for (int d = axis; d < x->rank; d++)
        s.channels *= (size_t)x->dim[d];
    s.per = s.channels;
    const bool plain = whole_row(scale, x, axis) && (!bias || whole_row(bias, x, axis));
    if (plain) {
        s.scale = scale->data;
        s.bias = bias ? bias->data : NULL;
    }
    normalise(c, &s);
    if (plain)
        return;
    vd_iter_init(&it, c->out[0]);
    vd_iter_input(&it, c->out[0]);
    vd_iter_input(&it, scale ? scale : &ones);
    vd_iter_input(&it, bias ? bias : &zeros);
    vd_iter_run(&it, c->workers, scale_row, NULL);
}

int vd_infer_layer_normalization(const struct vd_op_call *c) { return infer_layer(c); }
void vd_run_layer_normalization(const struct vd_op_call *c) { run_layer(c, true); }
int vd_infer_rms_normalization(const struct vd_op_call *c) { return infer_layer(c); }
void vd_run_rms_normalization(const struct vd_op_call *c) { run_layer(c, false); }

/* MeanVarianceNormalization: over any dims; 1e-9 is added to the deviation, as in ONNX's function. */
static int mvn_axes(const struct vd_op_call *c, bool mask[VD_MAX_RANK])
{
    int n;
    if (vd_onnx_attr(c->node, "axes"))
        return vd_op_axes(c, 0, c->in[0]->rank, mask, &n);
    memset(mask, 0, VD_MAX_RANK * sizeof(*mask));
    mask[0] = mask[2] = mask[3] = true;
    return c->in[0]->rank > 3 ? 0 : vd_op_fail(c, EBADMSG, "axis 3 is outside a tensor of rank %d", c->in[0]->rank);
}

int vd_infer_mean_variance_normalization(const struct vd_op_call *c)
{
    bool mask[VD_MAX_RANK];
    const int rc = mvn_axes(c, mask);
    return rc < 0 ? rc : vd_infer_like(c);
}

struct mvn {
    const float *x;
    float *y;
    struct vd_group in, others;
};

static void mvn_range(void *arg, size_t begin, size_t end)
{
    const struct mvn *s = arg;
    struct vd_place at = vd_place_at(&s->others, begin);
    for (size_t k = begin; k < end; k++, vd_place_next(&s->others, &at)) {
        const double n = (double)s->in.total;
        double sum = 0, squares = 0;
        struct vd_place p = {.off = 0};
        for (size_t i = 0; i < s->in.total; i++, vd_place_next(&s->in, &p))
            sum += (double)s->x[at.off + p.off];
        const double mean = sum / n;
        for (size_t i = 0; i < s->in.total; i++, vd_place_next(&s->in, &p)) { /* p has come round */
            const double d = (double)s->x[at.off + p.off] - mean;
            squares += d * d;
        }
        const double by = 1 / (sqrt(squares / n) + 1e-9);
        for (size_t i = 0; i < s->in.total; i++, vd_place_next(&s->in, &p))
            s->y[at.off + p.off] = (float)(((double)s->x[at.off + p.off] - mean) * by);
    }
}

void vd_run_mean_variance_normalization(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    bool mask[VD_MAX_RANK];
    struct mvn s = {.x = x->data, .y = c->out[0]->data};
    if (!vd_tensor_count(x) || mvn_axes(c, mask) < 0)
        return; /* infer has seen that it does not fail */
    vd_groups(x, mask, &s.in, &s.others);
    vd_op_split(c->workers, s.others.total, VD_ITER_GRAIN / s.in.total + 1, mvn_range, &s);
}
