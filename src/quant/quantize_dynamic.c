/* SPDX-License-Identifier: BSD-2-Clause */
#include "quant/quant.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "common/mem.h"
#include "common/status.h"
#include "quant/rewrite.h"
#include "quant/weights.h"

/* Most nodes, initialisers and names that one quantised node brings with it. */
enum { NODES_EACH = 8, INITS_EACH = 5, NAMES_EACH = 16 };

struct dql { const char *q, *scale, *zero_point; };              /* of one activation */
struct packed { const char *q, *scale; size_t n; double sqnr; }; /* of one weight tensor */

struct builder {
    struct vd_rewrite r;
    const struct vd_quant_opts *o;
    struct vd_quant_report *rep;
    struct vd_names dqls, weights; /* activations and weights that are done: indices of the next two */
    struct dql *dql;       int n_dql;
    struct packed *packed; int n_packed;
    const char *zero_point;        /* of all weights; NULL until the first */
};

#define text(b, ...) vd_rewrite_text(&(b)->r, __VA_ARGS__)
#define node(b, ...) vd_rewrite_node(&(b)->r, __VA_ARGS__)
#define initialiser(b, ...) vd_rewrite_init(&(b)->r, __VA_ARGS__)

static void *arena(struct builder *b, size_t count, size_t size) { return vd_rewrite_alloc(&b->r, count, size); }
static const char *fresh(struct builder *b, const char *want) { return vd_rewrite_fresh(&b->r, want); }
static int constant_of(const struct builder *b, const char *name) { return vd_rewrite_constant(&b->r, name); }

/* --- the source's nodes */

static const char *label(const struct vd_onnx_node *n) { return *n->name ? n->name : n->n_out ? n->out[0] : n->op_type; }

static int64_t attr_int(const struct vd_onnx_node *n, const char *name, int64_t fallback)
{
    const struct vd_onnx_attr *a = vd_onnx_attr(n, name);
    return a && a->type == VD_ATTR_INT ? a->v.i : fallback;
}

static float attr_float(const struct vd_onnx_node *n, const char *name, float fallback)
{
    const struct vd_onnx_attr *a = vd_onnx_attr(n, name);
    return a && a->type == VD_ATTR_FLOAT ? a->v.f : fallback;
}

/* --- the parts of the pattern */

/* DynamicQuantizeLinear of activation x, made where x is first needed. */
static struct dql quantized(struct builder *b, const char *x)
{
    const int known = vd_names_add(&b->dqls, x, b->n_dql);
    if (known != b->n_dql)
        return b->dql[known];
    struct dql *d = &b->dql[b->n_dql++];
    d->q = fresh(b, text(b, "%s_quantized", x));
    d->scale = fresh(b, text(b, "%s_scale", x));
    d->zero_point = fresh(b, text(b, "%s_zero_point", x));
    node(b, "DynamicQuantizeLinear", "", VD_NAMES(x), VD_NAMES(d->q, d->scale, d->zero_point));
    return *d;
}

/* What becomes of one constant operand: how it is to be read, and the name that its parts begin with. */
struct operand {
    const struct vd_onnx_tensor *t;
    const char *name; /* of the value */
    const char *base;
    bool conv;       /* output channels are dim 0, else the last dim */
    bool transposed; /* Gemm's transB, rank 2 */
    float factor;    /* Gemm's alpha */
};

static int64_t channels(const struct operand *w)
{
    if (w->conv)
        return w->t->dim[0];
    if (w->t->rank == 1)
        return 1;
    return w->transposed ? w->t->dim[0] : w->t->dim[w->t->rank - 1];
}

static struct packed weights(struct builder *b, const struct operand *w)
{
    static const uint8_t zero_u8 = 128;
    static const int8_t zero_s8 = 0;
    const struct packed none = {"", "", 0, 0};
    const char *key = text(b, "%c%c%a:%s", w->conv ? 'c' : 'm', w->transposed ? 't' : 'n', (double)w->factor, w->name);
    if (b->r.rc)
        return none;
    const int known = vd_names_add(&b->weights, key, b->n_packed);
    if (known != b->n_packed)
        return b->packed[known];

    const size_t m = b->o->per_tensor ? 1 : (size_t)channels(w);
    uint8_t *q = arena(b, w->t->count, 1);
    float *scale = arena(b, m, sizeof *scale);
    float *plain = vd_calloc(w->t->count, sizeof *plain);
    if (!plain && !b->r.rc)
        b->r.rc = vd_nomem((unsigned long long)w->t->count * sizeof *plain);
    struct packed p = {.n = w->t->count};
    if (!b->r.rc) {
        vd_weights_load(w->t, w->transposed, w->factor, plain);
        vd_weights_quantize(plain, w->t->count, m, w->conv || b->o->per_tensor, b->o->weight_type, q, scale, &p.sqnr);
    }
    vd_free(plain);
    if (b->r.rc)
        return none;

    int64_t dim[VD_MAX_RANK], scale_dim[VD_MAX_RANK];
    memcpy(dim, w->t->dim, sizeof dim);
    if (w->transposed)
        dim[0] = w->t->dim[1], dim[1] = w->t->dim[0];
    int scale_rank = 0; /* a scalar, or what broadcasts along the channels of the product */
    if (!b->o->per_tensor && w->conv) {
        for (scale_rank = 0; scale_rank < w->t->rank; scale_rank++)
            scale_dim[scale_rank] = scale_rank == 1 ? (int64_t)m : 1;
    } else if (!b->o->per_tensor && w->t->rank > 1) {
        scale_dim[scale_rank++] = (int64_t)m;
    }
    p.q = initialiser(b, fresh(b, text(b, "%s_quantized", w->base)), b->o->weight_type, w->t->rank, dim, q);
    p.scale = initialiser(b, fresh(b, text(b, "%s_scale", w->base)), VD_F32, scale_rank, scale_dim, scale);
    if (!b->zero_point)
        b->zero_point = initialiser(b, fresh(b, "weight_zero_point"), b->o->weight_type, 0, NULL,
                                    b->o->weight_type == VD_U8 ? (const void *)&zero_u8 : (const void *)&zero_s8);
    b->packed[b->n_packed++] = p;
    return p;
}

/* Product in integers, Cast, Mul, Mul; the result is out, and the names on the way begin with result. */
static void product(struct builder *b, const char *op, const char *name, const struct vd_onnx_node *attrs, const char *x,
                    const struct packed *w, const char *result, const char *out)
{
    const struct dql d = quantized(b, x);
    const char *sum = fresh(b, text(b, "%s_sum", result)), *cast = fresh(b, text(b, "%s_float", result));
    const char *scales = fresh(b, text(b, "%s_scales", result));
    struct vd_onnx_node *n = node(b, op, *name ? text(b, "%s_quant", name) : "", VD_NAMES(d.q, w->q, d.zero_point, b->zero_point), VD_NAMES(sum));
    if (attrs) {
        n->attr = attrs->attr;
        n->n_attr = attrs->n_attr;
    }
    struct vd_onnx_attr *to = arena(b, 1, sizeof *to);
    n = node(b, "Cast", "", VD_NAMES(sum), VD_NAMES(cast));
    if (to) {
        *to = (struct vd_onnx_attr){.name = "to", .type = VD_ATTR_INT, .v.i = VD_F32};
        n->attr = to;
        n->n_attr = 1;
    }
    node(b, "Mul", "", VD_NAMES(d.scale, w->scale), VD_NAMES(scales));
    node(b, "Mul", "", VD_NAMES(cast, scales), VD_NAMES(out));
}

static struct vd_quant_layer *layer(struct builder *b, const struct vd_onnx_node *n, size_t count)
{
    struct vd_quant_layer *l = &b->rep->layer[b->rep->n_layer++];
    *l = (struct vd_quant_layer){.node = label(n), .op = n->op_type, .weights = count};
    return l;
}

static void keep_fp32(struct builder *b, const struct vd_onnx_node *n, size_t count, const char *why)
{
    layer(b, n, count)->why_fp32 = why;
    b->rep->skipped++;
    vd_rewrite_keep(&b->r, n);
}

/* The bias of a Conv, as something that broadcasts along its channels. */
static const char *channel_bias(struct builder *b, const struct vd_onnx_node *n, int64_t m, int rank)
{
    const char *y = n->out[0];
    const int c = constant_of(b, n->in[2]);
    int64_t dim[VD_MAX_RANK];
    for (int i = 0; i < rank; i++)
        dim[i] = i == 1 ? m : 1;
    if (c < 0) { /* computed: reshaped by a node, as ONNX Runtime does it */
        int64_t *shape = arena(b, (size_t)rank, sizeof *shape);
        for (int i = 0; shape && i < rank; i++)
            shape[i] = i == 1 ? -1 : 1;
        const int64_t shape_dim = rank;
        const char *s = initialiser(b, fresh(b, text(b, "%s_bias_reshape_shape", y)), VD_S64, 1, &shape_dim, shape);
        const char *out = fresh(b, text(b, "%s_bias_reshape_output", y));
        node(b, "Reshape", "", VD_NAMES(n->in[2], s), VD_NAMES(out));
        return out;
    }
    const struct vd_onnx_tensor *t = b->r.constant[c];
    if (t->type != VD_F32 || t->rank != 1 || t->dim[0] != m) {
        b->r.rc = vd_fail(EBADMSG, "node %s (Conv): bias %s is %s of rank %d with %zu elements, but there are %lld output channels of float32",
                        label(n), n->in[2], vd_type_name(t->type), t->rank, t->count, (long long)m);
        return "";
    }
    if (c < b->r.in->n_init && b->r.uses[c] == 1) /* its one use: the name stays, the shape changes */
        return initialiser(b, t->name, VD_F32, rank, dim, t->data);
    return initialiser(b, fresh(b, text(b, "%s_bias_reshape_output", y)), VD_F32, rank, dim, t->data);
}

/* --- one source node each */

static bool has_bias(const struct vd_onnx_node *n) { return n->n_in > 2 && *n->in[2]; }

static int bad_node(const struct vd_onnx_node *n, const char *what)
{
    return vd_fail(EBADMSG, "node %s (%s): %s", label(n), n->op_type, what);
}

/* The constant operand i of n; NULL when the node is to stay in fp32, and then it has been kept. */
static const struct vd_onnx_tensor *constant_operand(struct builder *b, const struct vd_onnx_node *n, int i, int *c)
{
    *c = constant_of(b, n->in[i]);
    if (*c < 0) {
        keep_fp32(b, n, 0, "its weights are not constant");
        return NULL;
    }
    const struct vd_onnx_tensor *t = b->r.constant[*c];
    if (t->type != VD_F32) {
        keep_fp32(b, n, t->count, t->type == VD_F16 ? "its weights are float16" : "its weights are not float32");
        return NULL;
    }
    if (t->count == 0)
        b->r.rc = vd_fail(EBADMSG, "node %s (%s): weights %s have no elements", label(n), n->op_type, n->in[i]);
    else if (!vd_weights_finite(t))
        b->r.rc = vd_fail(EBADMSG, "node %s (%s): weights %s are not all finite", label(n), n->op_type, n->in[i]);
    return b->r.rc ? NULL : t;
}

static void conv(struct builder *b, const struct vd_onnx_node *n)
{
    int c;
    if (n->n_in < 2 || n->n_in > 3 || n->n_out != 1) {
        b->r.rc = bad_node(n, "it must have 2 or 3 inputs and 1 output");
        return;
    }
    const struct vd_onnx_tensor *t = constant_operand(b, n, 1, &c);
    if (!t)
        return;
    if (t->rank < 3) {
        b->r.rc = bad_node(n, "its weights need at least 3 dimensions");
        return;
    }
    const struct operand w = {.t = t, .name = n->in[1], .base = n->in[1], .conv = true, .factor = 1};
    const struct packed p = weights(b, &w);
    const char *y = n->out[0], *name = n->name;
    const bool bias = has_bias(n);
    const char *scaled = bias ? fresh(b, text(b, "%s_mul", y)) : y;
    product(b, "ConvInteger", name, n, n->in[0], &p, y, scaled);
    if (bias) {
        const char *shaped = channel_bias(b, n, t->dim[0], t->rank);
        node(b, "Add", "", VD_NAMES(scaled, shaped), VD_NAMES(y));
        vd_rewrite_unuse(&b->r, constant_of(b, n->in[2]));
    }
    vd_rewrite_unuse(&b->r, c);
    layer(b, n, p.n)->sqnr_db = p.sqnr;
    b->rep->conv++;
}

static void matmul(struct builder *b, const struct vd_onnx_node *n)
{
    int c;
    if (n->n_in != 2 || n->n_out != 1) {
        b->r.rc = bad_node(n, "it must have 2 inputs and 1 output");
        return;
    }
    const struct vd_onnx_tensor *t = constant_operand(b, n, 1, &c);
    if (!t)
        return;
    if (t->rank < 1) {
        b->r.rc = bad_node(n, "its weights are a scalar");
        return;
    }
    const struct operand w = {.t = t, .name = n->in[1], .base = n->in[1], .factor = 1};
    const struct packed p = weights(b, &w);
    product(b, "MatMulInteger", n->name, NULL, n->in[0], &p, n->out[0], n->out[0]);
    vd_rewrite_unuse(&b->r, c);
    layer(b, n, p.n)->sqnr_db = p.sqnr;
    b->rep->matmul++;
}

static void gemm(struct builder *b, const struct vd_onnx_node *n)
{
    int c;
    if (n->n_in < 2 || n->n_in > 3 || n->n_out != 1) {
        b->r.rc = bad_node(n, "it must have 2 or 3 inputs and 1 output");
        return;
    }
    const struct vd_onnx_tensor *t = constant_operand(b, n, 1, &c);
    if (!t)
        return;
    if (t->rank != 2) {
        b->r.rc = bad_node(n, "its weights need 2 dimensions");
        return;
    }
    const float alpha = attr_float(n, "alpha", 1), beta = attr_float(n, "beta", 1);
    const bool bias = has_bias(n) && beta != 0;
    const int cb = bias ? constant_of(b, n->in[2]) : -1;
    const char *why = NULL;
    if (attr_int(n, "transA", 0))
        why = "transA is set";
    else if (!vd_weights_exact(t, alpha))
        why = "alpha does not multiply its weights exactly";
    else if (bias && beta != 1 && (cb < 0 || b->r.constant[cb]->type != VD_F32 || !vd_weights_exact(b->r.constant[cb], beta)))
        why = cb < 0 ? "beta multiplies a computed C" : "beta does not multiply C exactly";
    if (why) {
        keep_fp32(b, n, t->count, why);
        return;
    }

    const bool transposed = attr_int(n, "transB", 0) != 0;
    const struct operand w = {.t = t, .name = n->in[1], .transposed = transposed, .factor = alpha,
                              .base = transposed || alpha != 1 ? text(b, "%s%s%s", n->in[1], transposed ? "_Transposed" : "",
                                                                      alpha != 1 ? "_alpha" : "") : n->in[1]};
    const struct packed p = weights(b, &w);
    const char *y = n->out[0];
    const char *name = *n->name && bias ? text(b, "%s_MatMul", n->name) : n->name;
    const char *mm = bias ? fresh(b, text(b, "%s_MatMul", y)) : y;
    product(b, "MatMulInteger", name, NULL, n->in[0], &p, mm, mm);
    if (bias) {
        const char *add = n->in[2];
        if (beta != 1) {
            const struct vd_onnx_tensor *ct = b->r.constant[cb];
            float *f = arena(b, ct->count, sizeof *f);
            if (f)
                vd_weights_load(ct, false, beta, f);
            add = initialiser(b, fresh(b, text(b, "%s_beta", n->in[2])), VD_F32, ct->rank, ct->dim, f);
            vd_rewrite_unuse(&b->r, cb);
        }
        node(b, "Add", "", VD_NAMES(mm, add), VD_NAMES(y));
    } else if (has_bias(n)) {
        vd_rewrite_unuse(&b->r, constant_of(b, n->in[2])); /* beta is 0 */
    }
    vd_rewrite_unuse(&b->r, c);
    layer(b, n, p.n)->sqnr_db = p.sqnr;
    b->rep->gemm++;
}

/* --- the whole */

static bool is_op(const struct vd_onnx_node *n, const char *op) { return !strcmp(n->op_type, op); }

static bool is_target(const struct vd_onnx_node *n) { return is_op(n, "Conv") || is_op(n, "MatMul") || is_op(n, "Gemm"); }

static size_t excluded_weights(const struct builder *b, const struct vd_onnx_node *n)
{
    const int c = n->n_in > 1 ? constant_of(b, n->in[1]) : -1;
    return c < 0 ? 0 : b->r.constant[c]->count;
}

/* Of ONNX or of ONNX Runtime's own domain. */
static bool is_integer(const struct vd_onnx_node *n)
{
    static const char *const integer[] = {"DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "QuantizeLinear", "DequantizeLinear",
                                          "ConvTransposeInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"};
    const char *colon = strrchr(n->op_type, ':'), *op = colon ? colon + 1 : n->op_type;
    for (size_t k = 0; k < sizeof integer / sizeof *integer; k++)
        if (!strcmp(op, integer[k]))
            return true;
    return !strncmp(op, "QLinear", 7);
}

static int check_source(const struct vd_onnx_model *in, size_t *targets)
{
    *targets = 0;
    for (int i = 0; i < in->n_node; i++) {
        const struct vd_onnx_node *n = &in->node[i];
        if (is_integer(n))
            return vd_fail(ENOTSUP, "already quantised: node %s is %s; quantise the fp32 file instead", label(n), n->op_type);
        *targets += is_target(n);
    }
    if (!*targets)
        return vd_fail(ENOTSUP, "nothing to quantise: no Conv, MatMul or Gemm in the model");
    if (in->opset < 11)
        return vd_fail(ENOTSUP, "the model's opset is %d, and DynamicQuantizeLinear came with opset 11: export it again with opset 11 or later",
                       in->opset);
    return 0;
}

static int begin(struct builder *b, const struct vd_onnx_model *in, struct vd_onnx_model *out)
{
    size_t targets;
    int rc = check_source(in, &targets);
    if (rc)
        return rc;
    /* targets <= nodes <= INT_MAX: no product below overflows */
    if ((rc = vd_rewrite_begin(&b->r, in, out, targets * NODES_EACH, targets * INITS_EACH, targets * NAMES_EACH)))
        return rc;
    b->dql = arena(b, targets, sizeof *b->dql);
    b->packed = arena(b, targets, sizeof *b->packed);
    b->rep->layer = arena(b, targets, sizeof *b->rep->layer);
    if (!b->r.rc)
        b->r.rc = vd_names_init(&b->dqls, &out->arena, targets);
    if (!b->r.rc)
        b->r.rc = vd_names_init(&b->weights, &out->arena, targets);
    return 0;
}

int vd_quantize_dynamic(const struct vd_onnx_model *in, const struct vd_quant_opts *o, struct vd_onnx_model *out, struct vd_quant_report *rep)
{
    assert(o->weight_type == VD_U8 || o->weight_type == VD_S8);
    struct builder b = {.o = o, .rep = rep};
    *rep = (struct vd_quant_report){0};
    *out = (struct vd_onnx_model){0};
    int rc = begin(&b, in, out);
    if (rc)
        return rc;
    for (int i = 0; i < in->n_node && !b.r.rc; i++) {
        const struct vd_onnx_node *n = &in->node[i];
        if (o->fp32 && o->fp32[i] && is_target(n))
            keep_fp32(&b, n, excluded_weights(&b, n), "it is excluded");
        else if (is_op(n, "Conv"))
            conv(&b, n);
        else if (is_op(n, "MatMul"))
            matmul(&b, n);
        else if (is_op(n, "Gemm"))
            gemm(&b, n);
        else
            vd_rewrite_keep(&b.r, n);
    }
    if (!b.r.rc && !(rep->conv + rep->matmul + rep->gemm))
        b.r.rc = vd_fail(ENOTSUP, "nothing to quantise: node %s (%s) stays in fp32 because %s", rep->layer[0].node, rep->layer[0].op,
                         rep->layer[0].why_fp32);
    const struct vd_onnx_kv meta[] = {{"vmaf_dnn.quant", "dynamic"}, {"vmaf_dnn.version", VMAF_DNN_VERSION},
                                      {"vmaf_dnn.source_sha256", o->source_sha256}};
    rc = vd_rewrite_end(&b.r, meta, sizeof meta / sizeof *meta);
    if (rc)
        *rep = (struct vd_quant_report){0};
    return rc;
}
