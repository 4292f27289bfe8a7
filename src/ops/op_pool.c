/* SPDX-License-Identifier: BSD-2-Clause */
#include <float.h>
#include <math.h>

#include "ops/op_util.h"

/* Pools of one to three spatial dims, all as three: missing ones are of size 1. An output row is made in tiles; for each
 * kernel element the part of the tile that it reaches inside the input is one plain loop. */
enum { TILE = 256 };

struct pool {
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], begin[3];
    int64_t end[3];          /* where counted padding ends, for an average that includes it */
    bool count_pad;
    const void *src;
    void *dst;
};

static int64_t ceil_div(int64_t a, int64_t b) { return a > 0 ? (a - 1) / b + 1 : -(-a / b); } /* b > 0 */
static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

/* Kernel elements of output o along dim d that lie in lo..hi of the input: from *k0 to the result. */
static int64_t taps(const struct pool *p, int d, int64_t o, int64_t lo, int64_t hi, int64_t *k0)
{
    const int64_t at = o * p->stride[d] - p->begin[d];
    *k0 = max64(0, ceil_div(lo - at, p->dilation[d]));
    return max64(*k0, min64(p->kernel[d], ceil_div(hi - at, p->dilation[d])));
}

/* Outputs of the tile t0..t1 that kernel element k reaches inside the input: from *o0 to the result. */
static int64_t reached(const struct pool *p, int64_t k, int64_t t0, int64_t t1, int64_t *o0)
{
    const int64_t at = k * p->dilation[2] - p->begin[2];
    *o0 = max64(t0, ceil_div(-at, p->stride[2]));
    return min64(t1, ceil_div(p->in[2] - at, p->stride[2]));
}

/* Elements that the average at (oz, oy, ox) divides by, along one dim. */
static int64_t counted(const struct pool *p, int d, int64_t o)
{
    const int64_t at = o * p->stride[d] - p->begin[d], lo = p->count_pad ? -p->begin[d] : 0, hi = p->count_pad ? p->end[d] : p->in[d];
    int64_t k0;
    if (at >= lo && at + (p->kernel[d] - 1) * p->dilation[d] < hi)
        return p->kernel[d];
    return taps(p, d, o, lo, hi, &k0) - k0;
}

/* The loops around an accumulator row: T elements, A accumulators. NEXT takes one element in, DONE finishes a tile. */
#define POOL(name, T, A, INIT, NEXT, DONE) \
    static void name(void *arg, size_t begin, size_t end) \
    { \
        const struct pool *p = arg; \
        const int64_t step = p->stride[2]; \
        A acc[TILE]; \
        for (size_t row = begin; row < end; row++) { \
            const int64_t oy = (int64_t)row % p->out[1], oz = (int64_t)row / p->out[1] % p->out[0]; \
            const int64_t plane = (int64_t)row / p->out[1] / p->out[0]; \
            const T *src = (const T *)p->src + plane * p->in[0] * p->in[1] * p->in[2]; \
            T *dst = (T *)p->dst + (int64_t)row * p->out[2]; \
            int64_t z0, y0, z1 = taps(p, 0, oz, 0, p->in[0], &z0), y1 = taps(p, 1, oy, 0, p->in[1], &y0); \
            for (int64_t t0 = 0; t0 < p->out[2]; t0 += TILE) { \
                const int64_t t1 = min64(t0 + TILE, p->out[2]); \
                for (int64_t i = 0; i < t1 - t0; i++) \
                    acc[i] = (INIT); \
                for (int64_t kz = z0; kz < z1; kz++) \
                    for (int64_t ky = y0; ky < y1; ky++) { \
                        const int64_t z = oz * p->stride[0] - p->begin[0] + kz * p->dilation[0]; \
                        const int64_t y = oy * p->stride[1] - p->begin[1] + ky * p->dilation[1]; \
                        for (int64_t kx = 0; kx < p->kernel[2]; kx++) { \
                            int64_t o0; \
                            const int64_t o1 = reached(p, kx, t0, t1, &o0), n = o1 - o0; \
                            if (n <= 0) \
                                continue; \
                            const T *x = src + (z * p->in[1] + y) * p->in[2] + o0 * step + kx * p->dilation[2] - p->begin[2]; \
                            A *a = acc + (o0 - t0); \
                            if (step == 1) \
                                for (int64_t i = 0; i < n; i++) \
                                    a[i] = NEXT(a[i], x[i]); \
                            else \
                                for (int64_t i = 0; i < n; i++) \
                                    a[i] = NEXT(a[i], x[i * step]); \
                        } \
                    } \
                DONE(dst, acc) \
            } \
        } \
    }

/* A NaN stays: once in, nothing compares greater. */
#define MAX_INT(a, x) ((x) > (a) ? (x) : (a))
#define MAX_FLOAT(a, x) (((x) > (a)) | ((x) != (x)) ? (x) : (a))
#define STORE(dst, acc) \
    for (int64_t i = 0; i < t1 - t0; i++) \
        (dst)[t0 + i] = (acc)[i];
/* As in ONNX Runtime, a dilated window that has no element inside the input gives the least finite number. */
#define STORE_FLOAT(dst, acc) \
    for (int64_t i = 0; i < t1 - t0; i++) \
        (dst)[t0 + i] = (acc)[i] == -INFINITY && counted(p, 0, oz) * counted(p, 1, oy) * counted(p, 2, t0 + i) == 0 ? -FLT_MAX : (acc)[i];
POOL(max_f32, float, float, -INFINITY, MAX_FLOAT, STORE_FLOAT)
POOL(max_u8, uint8_t, uint8_t, 0, MAX_INT, STORE)
POOL(max_s8, int8_t, int8_t, INT8_MIN, MAX_INT, STORE)

#define SUM(a, x) ((a) + (double)(x))
#define AVERAGE(dst, acc) \
    const int64_t rows = counted(p, 0, oz) * counted(p, 1, oy); \
    for (int64_t i = 0; i < t1 - t0; i++) { \
        const int64_t n = rows * counted(p, 2, t0 + i); \
        (dst)[t0 + i] = n ? (float)((acc)[i] / (double)n) : 0; \
    }
POOL(average_f32, float, double, 0, SUM, AVERAGE)

static int infer_pool(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    struct vd_window win;
    int64_t dim[VD_MAX_RANK];
    const int rc = vd_window_infer(c, x, NULL, &win);
    if (rc < 0)
        return rc;
    for (int i = 0; i < x->rank; i++)
        dim[i] = i < 2 ? x->dim[i] : win.out[i - 2];
    return vd_op_set(c, 0, x->type, x->rank, dim);
}

static void run_pool(const struct vd_op_call *c, vd_range_fn *fn)
{
    const struct vd_tensor *x = c->in[0];
    struct vd_window win;
    struct pool p;
    if (vd_window_infer(c, x, NULL, &win) < 0)
        return; /* infer has seen that it does not fail */
    for (int d = 0; d < 3; d++) {
        const int k = d - (3 - win.n);
        p.in[d] = k < 0 ? 1 : x->dim[k + 2];
        p.out[d] = k < 0 ? 1 : win.out[k];
        p.kernel[d] = k < 0 ? 1 : win.kernel[k];
        p.stride[d] = k < 0 ? 1 : win.stride[k];
        p.dilation[d] = k < 0 ? 1 : win.dilation[k];
        p.begin[d] = k < 0 ? 0 : win.pad_begin[k];
        p.end[d] = p.in[d] + (k < 0 ? 0 : win.pad_end[k]);
    }
    p.count_pad = vd_op_int(c, "count_include_pad", 0) != 0;
    p.src = x->data;
    p.dst = c->out[0]->data;
    const size_t rows = vd_tensor_count(c->out[0]) / (size_t)p.out[2];
    const size_t work = (size_t)(p.out[2] * p.kernel[0] * p.kernel[1] * p.kernel[2]);
    vd_op_split(c->workers, rows, VD_ITER_GRAIN / work + 1, fn, &p);
}

int vd_infer_max_pool(const struct vd_op_call *c) { return infer_pool(c); }

void vd_run_max_pool(const struct vd_op_call *c)
{
    const int type = c->in[0]->type;
    run_pool(c, type == VD_F32 ? max_f32 : type == VD_U8 ? max_u8 : max_s8);
}

int vd_infer_average_pool(const struct vd_op_call *c) { return infer_pool(c); }
void vd_run_average_pool(const struct vd_op_call *c) { run_pool(c, average_f32); }

/* Batch normalisation with the statistics of the training: x * s + t for each channel, s and t in float32 as ONNX Runtime
 * forms them. A tensor of rank 1 has one channel. */
int vd_infer_batch_normalization(const struct vd_op_call *c)
{
    static const char *const names[] = {"X", "scale", "B", "mean", "var"};
    const struct vd_tensor *x = c->in[0];
    if (vd_op_int(c, "training_mode", 0) != 0)
        return vd_op_fail(c, EPERM, "attribute training_mode is %lld; only 0 is supported", (long long)vd_op_int(c, "training_mode", 0));
    if (vd_op_int(c, "spatial", 1) != 1)
        return vd_op_fail(c, EPERM, "attribute spatial is %lld; only 1 is supported", (long long)vd_op_int(c, "spatial", 1));
    if (x->rank < 1)
        return vd_op_fail(c, EBADMSG, "input 0 (X) has no dims");
    const int64_t channels = x->rank > 1 ? x->dim[1] : 1;
    for (int i = 1; i < 5; i++)
        if (c->in[i]->rank != 1 || c->in[i]->dim[0] != channels)
            return vd_op_fail(c, ERANGE, "input %d (%s) must be a list of %lld values, one for each channel", i, names[i],
                              (long long)channels);
    return vd_op_set_like(c, 0, x->type, x);
}

struct norm {
    const float *x, *scale, *bias, *mean, *var;
    float *y, epsilon;
    size_t channels, inner;
};

static void norm_planes(void *arg, size_t begin, size_t end)
{
    const struct norm *n = arg;
    for (size_t p = begin; p < end; p++) {
        const size_t ch = p % n->channels;
        const float s = n->scale[ch] * (1.0f / sqrtf(n->var[ch] + n->epsilon)), t = n->bias[ch] - n->mean[ch] * s;
        const float *x = n->x + p * n->inner;
        float *y = n->y + p * n->inner;
        for (size_t i = 0; i < n->inner; i++)
            y[i] = x[i] * s + t;
    }
}

void vd_run_batch_normalization(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    const size_t count = vd_tensor_count(x);
    struct norm n = {.x = x->data, .scale = c->in[1]->data, .bias = c->in[2]->data, .mean = c->in[3]->data, .var = c->in[4]->data,
                     .y = c->out[0]->data, .epsilon = vd_op_float(c, "epsilon", 1e-5f), .channels = 1, .inner = 1};
    if (!count)
        return;
    if (x->rank > 1)
        n.channels = (size_t)x->dim[1];
    for (int i = 2; i < x->rank; i++)
        n.inner *= (size_t)x->dim[i];
    vd_op_split(c->workers, count / n.inner, VD_ITER_GRAIN / n.inner + 1, norm_planes, &n);
}
