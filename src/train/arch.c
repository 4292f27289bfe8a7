/* SPDX-License-Identifier: BSD-2-Clause */
#include "train/arch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/random.h"

enum { OPSET = 17, IR_VERSION = 8, MAX_NODES = 8 + 6 * VD_ARCH_MAX_BLOCKS, MAX_INITS = 16 + 16 * VD_ARCH_MAX_BLOCKS };

struct build {
    struct vd_onnx_model *m;
    struct vd_rng rng;
    int rc;
};

static void *take(struct build *b, size_t count, size_t size)
{
    void *p = vd_arena_array(&b->m->arena, count ? count : 1, size);
    if (!p && !b->rc)
        b->rc = vd_nomem(count * size);
    return p;
}

static const char *name(struct build *b, const char *first, const char *second)
{
    const char *s = vd_arena_printf(&b->m->arena, "%s%s", first, second);
    if (!s && !b->rc)
        b->rc = vd_nomem(0);
    return s ? s : "";
}

static const char *block_name(struct build *b, int i, const char *part)
{
    char block[16];
    snprintf(block, sizeof(block), "block%d", i);
    return name(b, block, part);
}

static void begin(struct build *b, struct vd_onnx_model *m, const char *graph, uint64_t seed)
{
    *m = (struct vd_onnx_model){.ir_version = IR_VERSION, .opset = OPSET, .producer_name = "vmaf-dnn", .producer_version = "", .domain = "", .doc = "",
                                .graph_name = graph, .graph_doc = ""};
    *b = (struct build){.m = m};
    m->node = take(b, MAX_NODES, sizeof(*m->node));
    m->init = take(b, MAX_INITS, sizeof(*m->init));
    m->in = take(b, 1, sizeof(*m->in));
    m->out = take(b, 1, sizeof(*m->out));
    vd_rng_seed(&b->rng, seed);
}

static int end(struct build *b)
{
    if (!b->rc)
        b->rc = vd_onnx_index(b->m);
    if (b->rc)
        vd_onnx_free(b->m);
    return b->rc;
}

/* A tensor of count floats to be filled. */
static float *init(struct build *b, const char *what, int rank, const int64_t *dim)
{
    size_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= (size_t)dim[i]; /* sizes are bounded by the public functions */
    float *data = take(b, count, sizeof(*data));
    if (b->rc)
        return NULL;
    struct vd_onnx_tensor *t = &b->m->init[b->m->n_init++];
    *t = (struct vd_onnx_tensor){.name = what, .type = VD_F32, .rank = rank, .count = count, .data = (const uint8_t *)data, .size = count * sizeof(float)};
    if (rank) /* a scalar has no dims to copy, and its dim is NULL */
        memcpy(t->dim, dim, (size_t)rank * sizeof(*dim));
    return data;
}

/* Sum of twelve uniform numbers: near enough to normal, and without libm, so that it is the same everywhere. */
static float normal(struct build *b)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += vd_rng_f64(&b->rng);
    return (float)sum;
}

static struct vd_onnx_node *node(struct build *b, const char *op, const char *out, int n_in, const char *const *in)
{
    const char **ins = take(b, (size_t)n_in, sizeof(*ins)), **outs = take(b, 1, sizeof(*outs));
    static struct vd_onnx_node lost;
    if (b->rc)
        return &lost;
    memcpy(ins, in, (size_t)n_in * sizeof(*ins));
    outs[0] = out;
    struct vd_onnx_node *n = &b->m->node[b->m->n_node++];
    *n = (struct vd_onnx_node){.name = out, .op_type = op, .in = ins, .n_in = n_in, .out = outs, .n_out = 1};
    return n;
}

static void ints(struct build *b, struct vd_onnx_node *n, const char *key, int count, int64_t value)
{
    struct vd_onnx_attr *a = take(b, (size_t)n->n_attr + 1, sizeof(*a));
    int64_t *v = take(b, (size_t)(count ? count : 1), sizeof(*v));
    if (b->rc)
        return;
    if (n->n_attr)
        memcpy(a, n->attr, (size_t)n->n_attr * sizeof(*a));
    for (int i = 0; i < count; i++)
        v[i] = value;
    a[n->n_attr] = (struct vd_onnx_attr){.name = key, .type = count ? VD_ATTR_INTS : VD_ATTR_INT};
    if (count) {
        a[n->n_attr].v.ints = v;
        a[n->n_attr].n = count;
    } else {
        a[n->n_attr].v.i = value;
    }
    n->attr = a;
    n->n_attr++;
}

static const char *add_conv(struct build *b, const char *x, const char *out, int ic, int oc, int kernel, int stride, int group, bool bias, double gain)
{
    const char *w_name = name(b, out, ".weight"), *b_name = bias ? name(b, out, ".bias") : "";
    const int64_t dim[4] = {oc, ic / group, kernel, kernel}, channels = oc;
    const int fan = ic / group * kernel * kernel;
    float *w = init(b, w_name, 4, dim);
    const double deviation = gain * sqrt(2.0 / fan);
    for (int i = 0; w && i < oc * fan; i++)
        w[i] = (float)(deviation * (double)normal(b));
    if (bias)
        init(b, b_name, 1, &channels);
    struct vd_onnx_node *n = node(b, "Conv", out, bias ? 3 : 2, (const char *const[]){x, w_name, b_name});
    ints(b, n, "group", 0, group);
    ints(b, n, "kernel_shape", 2, kernel);
    ints(b, n, "pads", 4, kernel / 2);
    ints(b, n, "strides", 2, stride);
    return out;
}

static void scalar(struct build *b, const char *what, float value)
{
    float *v = init(b, what, 0, NULL);
    if (v)
        *v = value;
}

static void io(struct build *b, struct vd_onnx_value *v, const char *what, int rank, const int64_t dim[4], const char *const param[4])
{
    if (b->rc)
        return;
    *v = (struct vd_onnx_value){.name = what, .type = VD_F32, .rank = rank};
    for (int i = 0; i < rank; i++) {
        v->dim[i] = dim[i];
        v->param[i] = dim[i] < 0 ? param[i] : NULL;
    }
}

int vd_arch_residual_filter(struct vd_onnx_model *m, int channels, int blocks, uint64_t seed)
{
    struct build b;
    if (channels < 2 || channels > VD_ARCH_MAX_CHANNELS || blocks < 0 || blocks > VD_ARCH_MAX_BLOCKS)
        return vd_fail(EINVAL, "a filter has 2 to %d channels and 0 to %d blocks, not %d and %d", VD_ARCH_MAX_CHANNELS, VD_ARCH_MAX_BLOCKS,
                       channels, blocks);
    begin(&b, m, "residual_filter", seed);
    const int64_t any[4] = {-1, 1, -1, -1};
    const char *const param[4] = {"N", NULL, "H", "W"};
    io(&b, m->in, "degraded", 4, any, param);
    io(&b, m->out, "filtered", 4, any, param);
    m->n_in = m->n_out = 1;
    const char *x = add_conv(&b, "degraded", "entry", 1, channels, 3, 1, 1, true, 1);
    for (int i = 0; i < blocks && !b.rc; i++) {
        const char *first = block_name(&b, i, ".conv1"), *relu = block_name(&b, i, ".relu"), *second = block_name(&b, i, ".conv2"),
                   *sum = block_name(&b, i, "");
        add_conv(&b, x, first, channels, channels, 3, 1, 1, true, 1);
        node(&b, "Relu", relu, 1, &first);
        add_conv(&b, relu, second, channels, channels, 3, 1, 1, true, 0.1);
        node(&b, "Add", sum, 2, (const char *const[]){x, second});
        x = sum;
    }
    const char *last = add_conv(&b, x, "exit", channels, 1, 3, 1, 1, true, 0.1);
    node(&b, "Add", "sum", 2, (const char *const[]){"degraded", last});
    scalar(&b, "zero", 0);
    scalar(&b, "one", 1);
    node(&b, "Clip", "filtered", 3, (const char *const[]){"sum", "zero", "one"});
    return end(&b);
}

static const char *norm_relu6(struct build *b, const char *x, int channels)
{
    static const char *const what[4] = {".scale", ".shift", ".mean", ".var"};
    const int64_t dim = channels;
    const char *in[5] = {x};
    for (int i = 0; i < 4; i++) {
        float *v = init(b, in[i + 1] = name(b, x, what[i]), 1, &dim);
        for (int c = 0; v && c < channels; c++)
            v[c] = i == 0 || i == 3 ? 1 : 0;
    }
    const char *norm = name(b, x, ".norm"), *relu = name(b, x, ".relu6");
    node(b, "BatchNormalization", norm, 5, in);
    node(b, "Clip", relu, 3, (const char *const[]){norm, "zero", "six"});
    return relu;
}

int vd_arch_separable_score(struct vd_onnx_model *m, int stem, const struct vd_arch_block *block, int n, int side, float bias, uint64_t seed)
{
    struct build b;
    bool right = stem >= 2 && stem <= VD_ARCH_MAX_CHANNELS && n >= 0 && n <= VD_ARCH_MAX_BLOCKS && side >= 8 && side <= 4096;
    for (int i = 0; right && i < n; i++)
        right = (block[i].stride == 1 || block[i].stride == 2) && block[i].channels >= 2 && block[i].channels <= VD_ARCH_MAX_CHANNELS;
    if (!right)
        return vd_fail(EINVAL, "a score net has 2 to %d channels, at most %d blocks of stride 1 or 2, and a side of 8 to 4096", VD_ARCH_MAX_CHANNELS,
                       VD_ARCH_MAX_BLOCKS);
    begin(&b, m, "separable_score", seed);
    const int64_t in[4] = {-1, 1, side, side};
    const char *const param[4] = {"N"};
    io(&b, m->in, "frame", 4, in, param);
    io(&b, m->out, "score", 1, in, param);
    m->n_in = m->n_out = 1;
    scalar(&b, "zero", 0);
    scalar(&b, "six", 6);
    const char *x = norm_relu6(&b, add_conv(&b, "frame", "stem", 1, stem, 3, 2, 1, false, 1), stem);
    int channels = stem;
    for (int i = 0; i < n && !b.rc; i++) {
        const char *deep = block_name(&b, i, ".depthwise"), *point = block_name(&b, i, ".pointwise");
        x = norm_relu6(&b, add_conv(&b, x, deep, channels, channels, 3, block[i].stride, channels, false, 1), channels);
        x = norm_relu6(&b, add_conv(&b, x, point, channels, block[i].channels, 1, 1, 1, false, 1), block[i].channels);
        channels = block[i].channels;
    }
    node(&b, "GlobalAveragePool", "pool", 1, &x);
    ints(&b, node(&b, "Flatten", "flat", 1, (const char *const[]){"pool"}), "axis", 0, 1);
    const int64_t head[2] = {1, channels}, one = 1;
    float *w = init(&b, "head.weight", 2, head), *c = init(&b, "head.bias", 1, &one);
    for (int i = 0; w && i < channels; i++)
        w[i] = (float)(sqrt(1.0 / channels) * (double)normal(&b));
    if (c)
        *c = bias;
    ints(&b, node(&b, "Gemm", "head", 3, (const char *const[]){"flat", "head.weight", "head.bias"}), "transB", 0, 1);
    int64_t *axes = take(&b, 1, sizeof(*axes));
    if (!b.rc) {
        *axes = 1;
        m->init[m->n_init++] = (struct vd_onnx_tensor){.name = "last", .type = VD_S64, .rank = 1, .dim = {1}, .count = 1, .data = (const uint8_t *)axes,
                                                       .size = sizeof(*axes)};
    }
    node(&b, "Squeeze", "score", 2, (const char *const[]){"head", "last"});
    return end(&b);
}
