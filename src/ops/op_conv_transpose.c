/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/checked.h"
#include "ops/op_util.h"

/* ConvTranspose-1, 11, 22: each output row gathers what reaches it. One to three spatial dims, all as three: those that are not there
 * come first and are 1.
 * Sums are formed in float32 in ONNX Runtime's order, so that a quantiser behind them sees its bits: for each element of the kernel a
 * chain of fused multiply-adds over the channels, the chains added from the first element to the last, then the bias. A fused one is
 * formed in double and rounded to float, which differs from it once in 2^29 or so, where double lands in the middle of two floats. */

struct geometry {
    int n;
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], begin[3];
    int64_t group, ic, oc; /* channels of a group */
};

enum { ATTR_MAX = 1 << 20 };

static int list(const struct vd_op_call *c, const char *name, int n, int64_t lo, int64_t fallback, int64_t *v)
{
    const int64_t *given;
    const int count = vd_op_ints(c, name, &given);
    if (given && count != n)
        return vd_op_fail(c, EBADMSG, "attribute %s has %d values where the input's shape asks for %d", name, count, n);
    for (int i = 0; i < n; i++) {
        v[i] = given ? given[i] : fallback;
        if (v[i] < lo || v[i] > ATTR_MAX)
            return vd_op_fail(c, EBADMSG, "attribute %s[%d] is %lld; it must be in %lld..%d", name, i, (long long)v[i], (long long)lo,
                              (int)ATTR_MAX);
    }
    return 0;
}

/* Size of the output and what the padding cuts off, along the i-th spatial dim, which is dim d of the geometry. */
static int size_output(const struct vd_op_call *c, struct geometry *g, int i, int d, int64_t pads[2], int64_t output_padding)
{
    const char *mode = vd_op_str(c, "auto_pad", "NOTSET");
    const int64_t *shape;
    const int given = vd_op_ints(c, "output_shape", &shape);
    const int64_t full = g->stride[d] * (g->in[d] - 1) + output_padding + (g->kernel[d] - 1) * g->dilation[d] + 1;
    const bool upper = !strcmp(mode, "SAME_UPPER"), same = upper || !strcmp(mode, "SAME_LOWER");
    if (!same && strcmp(mode, "NOTSET") && strcmp(mode, "VALID"))
        return vd_op_fail(c, EBADMSG, "attribute auto_pad is '%.40s'; it must be NOTSET, VALID, SAME_UPPER or SAME_LOWER", mode);
    if (given || same) {
        int64_t want = g->in[d] * g->stride[d];
        if (given) {
            const int skip = given == g->n + 2 ? 2 : 0; /* with batch and channels in front, as some exporters write */
            if (given != g->n + skip)
                return vd_op_fail(c, EBADMSG, "attribute output_shape has %d values where the input's shape asks for %d", given, g->n);
            want = shape[i + skip];
            if (want < 1 || want > (int64_t)1 << 40)
                return vd_op_fail(c, EBADMSG, "attribute output_shape[%d] is %lld", i + skip, (long long)want);
        }
        const int64_t total = full > want ? full - want : 0;
        g->begin[d] = upper ? total / 2 : total - total / 2;
        g->out[d] = want;
        return 0;
    }
    g->begin[d] = strcmp(mode, "VALID") ? pads[0] : 0;
    g->out[d] = full - g->begin[d] - (strcmp(mode, "VALID") ? pads[1] : 0);
    return 0;
}

static int geometry_of(const struct vd_op_call *c, struct geometry *g)
{
    const struct vd_tensor *x = c->in[0], *w = c->in[1];
    int64_t pads[6], extra[3], kernel[3];
    int rc;
    memset(g, 0, sizeof(*g));
    if (x->rank < 3 || x->rank > 5 || w->rank != x->rank)
        return vd_op_fail(c, EBADMSG, "an input of rank %d and weights of rank %d; both must have batch or channels and 1 to 3 more dims",
                          x->rank, w->rank);
    g->n = x->rank - 2;
    const int from = 3 - g->n;
    g->group = vd_op_int(c, "group", 1);
    if (g->group < 1 || w->dim[0] != x->dim[1] || x->dim[1] < 1 || x->dim[1] % g->group || w->dim[1] < 1 || w->dim[1] > ATTR_MAX)
        return vd_op_fail(c, ERANGE, "input 0 has %lld channels, the weights are for %lld and give %lld, in %lld groups", (long long)x->dim[1],
                          (long long)w->dim[0], (long long)w->dim[1], (long long)g->group);
    g->ic = x->dim[1] / g->group;
    g->oc = w->dim[1];
    if ((rc = list(c, "kernel_shape", g->n, 1, 1, kernel)) < 0 || (rc = list(c, "strides", g->n, 1, 1, g->stride + from)) < 0 ||
        (rc = list(c, "dilations", g->n, 1, 1, g->dilation + from)) < 0 || (rc = list(c, "pads", 2 * g->n, 0, 0, pads)) < 0 ||
        (rc = list(c, "output_padding", g->n, 0, 0, extra)) < 0)
        return rc;
    for (int d = 0; d < from; d++)
        g->in[d] = g->out[d] = g->kernel[d] = g->stride[d] = g->dilation[d] = 1;
    for (int i = 0; i < g->n; i++) {
        const int d = from + i;
        g->in[d] = x->dim[i + 2];
        g->kernel[d] = w->dim[i + 2];
        if (g->in[d] < 1 || g->in[d] > (int64_t)1 << 40 || g->kernel[d] < 1 || g->kernel[d] > ATTR_MAX)
            return vd_op_fail(c, ERANGE, "spatial dim %d: %lld elements and a kernel of %lld", i, (long long)g->in[d], (long long)g->kernel[d]);
        if (vd_onnx_attr(c->node, "kernel_shape") && kernel[i] != g->kernel[d])
            return vd_op_fail(c, EBADMSG, "attribute kernel_shape[%d] is %lld but the weights' dim %d is %lld", i, (long long)kernel[i], i + 2,
                              (long long)g->kernel[d]);
        if ((rc = size_output(c, g, i, d, (int64_t[]){pads[i], pads[g->n + i]}, extra[i])) < 0)
            return rc;
        if (g->out[d] < 1)
            return vd_op_fail(c, ERANGE, "spatial dim %d of the output would be %lld", i, (long long)g->out[d]);
    }
    return 0;
}

int vd_infer_conv_transpose(const struct vd_op_call *c)
{
    const struct vd_tensor *bias = vd_op_in(c, 2);
    struct geometry g;
    int64_t dim[VD_MAX_RANK];
    int rc = geometry_of(c, &g);
    if (rc < 0)
        return rc;
    dim[0] = c->in[0]->dim[0];
    if (!vd_mul64(g.oc, g.group, &dim[1]))
        return vd_op_fail(c, ERANGE, "%lld output channels in %lld groups are too many", (long long)g.oc, (long long)g.group);
    if (bias && (bias->rank != 1 || bias->dim[0] != dim[1]))
        return vd_op_fail(c, EBADMSG, "input 2 (bias) must be one value for each of the %lld output channels", (long long)dim[1]);
    for (int i = 0; i < g.n; i++)
        dim[i + 2] = g.out[3 - g.n + i];
    return vd_op_set(c, 0, c->in[0]->type, c->in[0]->rank, dim);
}

struct job { const struct vd_op_call *c; struct geometry g; int64_t chain; };

enum { TILE = 256, CHAIN = 128 };

/* Channels of one chain; longer sums are those of chains, one after the other. ONNX Runtime's matrix product has it so. */
static int64_t chain_of(const struct geometry *g)
{
    const int64_t area = g->in[0] * g->in[1] * g->in[2];
    int64_t chain = CHAIN;
    if (area < g->ic)
        for (int64_t n = CHAIN; n > 16 && n / 2 >= area; n /= 2)
            chain *= 2;
    return chain;
}

/* One spatial dim of an output position: kernel element k comes from input *i, if from any. */
static bool source(const struct geometry *g, int d, int64_t o, int64_t k, int64_t *i)
{
    const int64_t at = o + g->begin[d] - k * g->dilation[d];
    *i = at / g->stride[d];
    return at >= 0 && at % g->stride[d] == 0 && *i < g->in[d];
}

/* n sums of products over the channels from c on: x[channel * area + i] w[channel * step]. */
static void chain(float *sum, const float *x, int64_t area, const float *w, int64_t step, int64_t channels, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        sum[i] = 0;
    for (int64_t c = 0; c < channels; c++, x += area, w += step) {
        const double v = (double)*w;
        for (int64_t i = 0; i < n; i++)
            sum[i] = (float)((double)x[i] * v + (double)sum[i]);
    }
}

/* Adds to an output row what the kernel element at w makes of an input row at x: element k2 of the last dim. */
static void add_row(const struct job *j, float *y, const float *x, const float *w, int64_t k2)
{
    const struct geometry *g = &j->g;
    const int64_t area = g->in[0] * g->in[1] * g->in[2], step = g->oc * g->kernel[0] * g->kernel[1] * g->kernel[2];
    const int64_t first = k2 * g->dilation[2] - g->begin[2]; /* where input 0 goes */
    int64_t i = first < 0 ? (-first + g->stride[2] - 1) / g->stride[2] : 0;
    int64_t end = first < g->out[2] ? (g->out[2] - first + g->stride[2] - 1) / g->stride[2] : 0;
    end = end < g->in[2] ? end : g->in[2];
    for (int64_t n; i < end; i += n) {
        float sum[TILE], more[TILE];
        n = end - i < TILE ? end - i : TILE;
        chain(sum, x + i, area, w, step, g->ic < j->chain ? g->ic : j->chain, n);
        for (int64_t c = j->chain; c < g->ic; c += j->chain) {
            chain(more, x + c * area + i, area, w + c * step, step, g->ic - c < j->chain ? g->ic - c : j->chain, n);
            for (int64_t e = 0; e < n; e++)
                sum[e] += more[e];
        }
        for (int64_t e = 0; e < n; e++)
            y[first + (i + e) * g->stride[2]] += sum[e];
    }
}

static void rows(void *arg, size_t begin, size_t end)
{
    const struct job *j = arg;
    const struct geometry *g = &j->g;
    const int64_t window = g->kernel[0] * g->kernel[1] * g->kernel[2];
    const float *x = j->c->in[0]->data, *w = j->c->in[1]->data, *bias = vd_op_in(j->c, 2) ? vd_op_in(j->c, 2)->data : NULL;
    for (size_t r = begin; r < end; r++) {
        const int64_t o1 = (int64_t)r % g->out[1], o0 = (int64_t)r / g->out[1] % g->out[0], plane = (int64_t)r / g->out[1] / g->out[0];
        const int64_t oc = plane % (g->oc * g->group), n = plane / (g->oc * g->group), group = oc / g->oc;
        const float *xg = x + (n * g->group + group) * g->ic * g->in[0] * g->in[1] * g->in[2];
        const float *wg = w + (group * g->ic * g->oc + oc % g->oc) * window;
        float *y = (float *)j->c->out[0]->data + (int64_t)r * g->out[2];
        int64_t i0, i1;
        for (int64_t o2 = 0; o2 < g->out[2]; o2++)
            y[o2] = 0;
        for (int64_t k0 = 0; k0 < g->kernel[0]; k0++)
            for (int64_t k1 = 0; k1 < g->kernel[1]; k1++)
                if (source(g, 0, o0, k0, &i0) && source(g, 1, o1, k1, &i1))
                    for (int64_t k2 = 0; k2 < g->kernel[2]; k2++)
                        add_row(j, y, xg + (i0 * g->in[1] + i1) * g->in[2], wg + (k0 * g->kernel[1] + k1) * g->kernel[2] + k2, k2);
        for (int64_t o2 = 0; bias && o2 < g->out[2]; o2++)
            y[o2] += bias[oc];
    }
}

void vd_run_conv_transpose(const struct vd_op_call *c)
{
    struct job j = {.c = c};
    if (geometry_of(c, &j.g) < 0)
        return; /* infer has accepted it */
    j.chain = chain_of(&j.g);
    vd_op_split(c->workers, vd_tensor_count(c->out[0]) / (size_t)j.g.out[2], 4, rows, &j);
}
