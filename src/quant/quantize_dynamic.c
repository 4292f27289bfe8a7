/* SPDX-License-Identifier: BSD-2-Clause */
#include "quant/quant.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/checked.h"
#include "common/mem.h"
#include "common/names.h"
#include "common/status.h"
#include "quant/weights.h"

/* Most nodes, initialisers and names that one quantised node brings with it: Reshape comes on top for a computed bias. */
enum { NODES_EACH = 7, INITS_EACH = 4, NAMES_EACH = 16 };

struct dql { const char *q, *scale, *zero_point; };           /* of one activation */
struct packed { const char *q, *scale; size_t n; double sqnr; }; /* of one weight tensor */

struct builder {
    const struct vd_onnx_model *in;
    const struct vd_quant_opts *o;
    struct vd_onnx_model *m; /* out */
    struct vd_quant_report *rep;

    struct vd_names taken;     /* every value name, old and new */
    struct vd_names constants; /* initialiser i is i, Constant node j is n_init + j */
    const struct vd_onnx_tensor **constant;
    size_t *uses, *uses_left;  /* by constant: before, and after what was rewritten so far */

    struct vd_names dqls, weights; /* activations and weights that are done */
    struct dql *dql;           int n_dql;
    struct packed *packed;     int n_packed;

    struct vd_onnx_tensor *added; int n_added; /* new initialisers, in the order in which they came up */
    const char *zero_point;                    /* of all weights; NULL until the first */
    int rc;                                    /* sticky, so that names and nodes are built without a check at each step */
};

/* --- names, nodes and initialisers; each keeps the first failure in b->rc */

static void *arena(struct builder *b, size_t count, size_t size)
{
    void *p = vd_arena_array(&b->m->arena, count, size);
    if (!p && !b->rc)
        b->rc = vd_nomem((unsigned long long)size * count);
    return p;
}

static const char *text(struct builder *b, const char *fmt, ...) VD_PRINTF(2, 3);
static const char *text(struct builder *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    const int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *s = n < 0 ? NULL : arena(b, (size_t)n + 1, 1);
    if (s)
        vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    return s ? s : "";
}

/* want, or want_1, want_2, ... when that is a value's name already */
static const char *fresh(struct builder *b, const char *want)
{
    const char *s = want;
    for (int i = 1; !b->rc && vd_names_find(&b->taken, s) >= 0; i++)
        s = text(b, "%s_%d", want, i);
    if (!b->rc)
        vd_names_add(&b->taken, s, 0);
    return s;
}

static const char **strings(struct builder *b, const char *const *s, int n)
{
    const char **p = arena(b, (size_t)n, sizeof *p);
    if (p)
        memcpy(p, s, (size_t)n * sizeof *p);
    return p;
}

#define NAMES(...) (const char *const[]){__VA_ARGS__}, (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static struct vd_onnx_node *node(struct builder *b, const char *op, const char *name, const char *const *in, int n_in,
                                 const char *const *out, int n_out)
{
    struct vd_onnx_node *n = &b->m->node[b->m->n_node];
    *n = (struct vd_onnx_node){.name = name, .op_type = op, .in = strings(b, in, n_in), .n_in = n_in,
                               .out = strings(b, out, n_out), .n_out = n_out};
    b->m->n_node++;
    return n;
}

static const char *initialiser(struct builder *b, const char *name, int type, int rank, const int64_t *dim, const void *data)
{
    struct vd_onnx_tensor *t = &b->added[b->n_added];
    *t = (struct vd_onnx_tensor){.name = name, .type = type, .rank = rank, .count = 1, .data = data};
    for (int i = 0; i < rank; i++) {
        t->dim[i] = dim[i];
        t->count *= (size_t)dim[i]; /* of a tensor that exists: fits */
    }
    t->size = t->count * vd_type_size(type);
    b->n_added++;
    return name;
}

/* --- look-ups in the source model */

static int constant_of(const struct builder *b, const char *name) { return *name ? vd_names_find(&b->constants, name) : -1; }

static bool is_initialiser(const struct builder *b, int c) { return c >= 0 && c < b->in->n_init; }

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
    node(b, "DynamicQuantizeLinear", "", NAMES(x), NAMES(d->q, d->scale, d->zero_point));
    return *d;
}

/* What becomes of one constant operand: how it is to be read, and the name that its parts begin with. */
struct operand {
    const struct vd_onnx_tensor *t;
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
    const char *key = text(b, "%c%c%a:%s", w->conv ? 'c' : 'm', w->transposed ? 't' : 'n', (double)w->factor, w->t->name);
    if (b->rc)
        return none;
    const int known = vd_names_add(&b->weights, key, b->n_packed);
    if (known != b->n_packed)
        return b->packed[known];

    const size_t m = b->o->per_tensor ? 1 : (size_t)channels(w);
    uint8_t *q = arena(b, w->t->count, 1);
    float *scale = arena(b, m, sizeof *scale);
    float *plain = vd_calloc(w->t->count, sizeof *plain);
    if (!plain && !b->rc)
        b->rc = vd_nomem((unsigned long long)w->t->count * sizeof *plain);
    struct packed p = {.n = w->t->count};
    if (!b->rc) {
        vd_weights_load(w->t, w->transposed, w->factor, plain);
        vd_weights_quantize(plain, w->t->count, m, w->conv || b->o->per_tensor, b->o->weight_type, q, scale, &p.sqnr);
    }
    vd_free(plain);
    if (b->rc)
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
    struct vd_onnx_node *n = node(b, op, *name ? text(b, "%s_quant", name) : "", NAMES(d.q, w->q, d.zero_point, b->zero_point), NAMES(sum));
    if (attrs) {
        n->attr = attrs->attr;
        n->n_attr = attrs->n_attr;
    }
    struct vd_onnx_attr *to = arena(b, 1, sizeof *to);
    n = node(b, "Cast", "", NAMES(sum), NAMES(cast));
    if (to) {
        *to = (struct vd_onnx_attr){.name = "to", .type = VD_ATTR_INT, .v.i = VD_F32};
        n->attr = to;
        n->n_attr = 1;
    }
    node(b, "Mul", "", NAMES(d.scale, w->scale), NAMES(scales));
    node(b, "Mul", "", NAMES(cast, scales), NAMES(out));
}

static void used_up(struct builder *b, int c)
{
    if (c >= 0) {
        assert(b->uses_left[c]);
        b->uses_left[c]--;
    }
}

static struct vd_quant_layer *layer(struct builder *b, const struct vd_onnx_node *n, size_t count)
{
    struct vd_quant_layer *l = &b->rep->layer[b->rep->n_layer++];
    *l = (struct vd_quant_layer){.node = label(n), .op = n->op_type, .weights = count};
    return l;
}

static void keep(struct builder *b, const struct vd_onnx_node *n) { b->m->node[b->m->n_node++] = *n; }

static void keep_fp32(struct builder *b, const struct vd_onnx_node *n, size_t count, const char *why)
{
    layer(b, n, count)->why_fp32 = why;
    b->rep->skipped++;
    keep(b, n);
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
        node(b, "Reshape", "", NAMES(n->in[2], s), NAMES(out));
        return out;
    }
    const struct vd_onnx_tensor *t = b->constant[c];
    if (t->type != VD_F32 || t->rank != 1 || t->dim[0] != m) {
        b->rc = vd_fail(EBADMSG, "node %s (Conv): bias %s is %s of rank %d with %zu elements, but there are %lld output channels of float32",
                        label(n), n->in[2], vd_type_name(t->type), t->rank, t->count, (long long)m);
        return "";
    }
    if (is_initialiser(b, c) && b->uses[c] == 1) /* its one use: the name stays, the shape changes */
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
    const struct vd_onnx_tensor *t = b->constant[*c];
    if (t->type != VD_F32) {
        keep_fp32(b, n, t->count, t->type == VD_F16 ? "its weights are float16" : "its weights are not float32");
        return NULL;
    }
    if (t->count == 0)
        b->rc = vd_fail(EBADMSG, "node %s (%s): weights %s have no elements", label(n), n->op_type, n->in[i]);
    else if (!vd_weights_finite(t))
        b->rc = vd_fail(EBADMSG, "node %s (%s): weights %s are not all finite", label(n), n->op_type, n->in[i]);
    return b->rc ? NULL : t;
}

static void conv(struct builder *b, const struct vd_onnx_node *n)
{
    int c;
    if (n->n_in < 2 || n->n_in > 3 || n->n_out != 1) {
        b->rc = bad_node(n, "it must have 2 or 3 inputs and 1 output");
        return;
    }
    const struct vd_onnx_tensor *t = constant_operand(b, n, 1, &c);
    if (!t)
        return;
    if (t->rank < 3) {
        b->rc = bad_node(n, "its weights need at least 3 dimensions");
        return;
    }
    const struct operand w = {.t = t, .base = n->in[1], .conv = true, .factor = 1};
    const struct packed p = weights(b, &w);
    const char *y = n->out[0], *name = n->name;
    const bool bias = has_bias(n);
    const char *scaled = bias ? fresh(b, text(b, "%s_mul", y)) : y;
    product(b, "ConvInteger", name, n, n->in[0], &p, y, scaled);
    if (bias) {
        const char *shaped = channel_bias(b, n, t->dim[0], t->rank);
        node(b, "Add", "", NAMES(scaled, shaped), NAMES(y));
        used_up(b, constant_of(b, n->in[2]));
    }
    used_up(b, c);
    layer(b, n, p.n)->sqnr_db = p.sqnr;
    b->rep->conv++;
}

static void matmul(struct builder *b, const struct vd_onnx_node *n)
{
    int c;
    if (n->n_in != 2 || n->n_out != 1) {
        b->rc = bad_node(n, "it must have 2 inputs and 1 output");
        return;
    }
    const struct vd_onnx_tensor *t = constant_operand(b, n, 1, &c);
    if (!t)
        return;
    if (t->rank < 1) {
        b->rc = bad_node(n, "its weights are a scalar");
        return;
    }
    const struct operand w = {.t = t, .base = n->in[1], .factor = 1};
    const struct packed p = weights(b, &w);
    product(b, "MatMulInteger", n->name, NULL, n->in[0], &p, n->out[0], n->out[0]);
    used_up(b, c);
    layer(b, n, p.n)->sqnr_db = p.sqnr;
    b->rep->matmul++;
}

static void gemm(struct builder *b, const struct vd_onnx_node *n)
{
    int c;
    if (n->n_in < 2 || n->n_in > 3 || n->n_out != 1) {
        b->rc = bad_node(n, "it must have 2 or 3 inputs and 1 output");
        return;
    }
    const struct vd_onnx_tensor *t = constant_operand(b, n, 1, &c);
    if (!t)
        return;
    if (t->rank != 2) {
        b->rc = bad_node(n, "its weights need 2 dimensions");
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
    else if (bias && beta != 1 && (cb < 0 || b->constant[cb]->type != VD_F32 || !vd_weights_exact(b->constant[cb], beta)))
        why = cb < 0 ? "beta multiplies a computed C" : "beta does not multiply C exactly";
    if (why) {
        keep_fp32(b, n, t->count, why);
        return;
    }

    const bool transposed = attr_int(n, "transB", 0) != 0;
    const struct operand w = {.t = t, .transposed = transposed, .factor = alpha,
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
            const struct vd_onnx_tensor *ct = b->constant[cb];
            float *f = arena(b, ct->count, sizeof *f);
            if (f)
                vd_weights_load(ct, false, beta, f);
            add = initialiser(b, fresh(b, text(b, "%s_beta", n->in[2])), VD_F32, ct->rank, ct->dim, f);
            used_up(b, cb);
        }
        node(b, "Add", "", NAMES(mm, add), NAMES(y));
    } else if (has_bias(n)) {
        used_up(b, constant_of(b, n->in[2])); /* beta is 0 */
    }
    used_up(b, c);
    layer(b, n, p.n)->sqnr_db = p.sqnr;
    b->rep->gemm++;
}

/* --- the whole */

static bool is_op(const struct vd_onnx_node *n, const char *op) { return !strcmp(n->op_type, op); }

static bool is_target(const struct vd_onnx_node *n) { return is_op(n, "Conv") || is_op(n, "MatMul") || is_op(n, "Gemm"); }

static int check_source(const struct vd_onnx_model *in, size_t *targets)
{
    static const char *const integer[] = {"DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "QuantizeLinear",
                                          "DequantizeLinear", "QLinearConv", "QLinearMatMul"};
    *targets = 0;
    for (int i = 0; i < in->n_node; i++) {
        for (size_t k = 0; k < sizeof integer / sizeof *integer; k++)
            if (is_op(&in->node[i], integer[k]))
                return vd_fail(ENOTSUP, "already quantised: node %s is %s; quantise the fp32 file instead", label(&in->node[i]), integer[k]);
        *targets += is_target(&in->node[i]);
    }
    if (!*targets)
        return vd_fail(ENOTSUP, "nothing to quantise: no Conv, MatMul or Gemm in the model");
    if (in->opset < 11)
        return vd_fail(ENOTSUP, "the model's opset is %d, and DynamicQuantizeLinear came with opset 11: export it again with opset 11 or later",
                       in->opset);
    return 0;
}

static const struct vd_onnx_tensor *constant_node(const struct vd_onnx_node *n)
{
    const struct vd_onnx_attr *a = is_op(n, "Constant") && n->n_out == 1 ? vd_onnx_attr(n, "value") : NULL;
    return a && a->type == VD_ATTR_TENSOR ? a->v.t : NULL;
}

static int tables(struct builder *b, size_t targets)
{
    const struct vd_onnx_model *in = b->in;
    struct vd_onnx_model *m = b->m;
    size_t names = (size_t)in->n_init + (size_t)in->n_in, nodes, inits, fresh_names;
    const size_t constants = (size_t)in->n_init + (size_t)in->n_node;
    for (int i = 0; i < in->n_node; i++)
        names += (size_t)in->node[i].n_out;
    if (!vd_mul(targets, NODES_EACH + 1, &nodes) || !vd_add(nodes, (size_t)in->n_node, &nodes) || nodes > INT32_MAX ||
        !vd_mul(targets, INITS_EACH, &inits) || !vd_add(inits, (size_t)in->n_init + 1, &inits) || inits > INT32_MAX ||
        !vd_mul(targets, NAMES_EACH, &fresh_names) || !vd_add(names, fresh_names + 1, &names))
        return vd_fail(ENOTSUP, "too many nodes: %d", in->n_node);

    m->node = arena(b, nodes, sizeof *m->node);
    m->init = arena(b, inits, sizeof *m->init);
    m->meta = arena(b, (size_t)in->n_meta + 3, sizeof *m->meta);
    b->added = arena(b, inits, sizeof *b->added);
    b->constant = arena(b, constants, sizeof *b->constant);
    b->uses = arena(b, constants, sizeof *b->uses);
    b->uses_left = arena(b, constants, sizeof *b->uses_left);
    b->dql = arena(b, targets, sizeof *b->dql);
    b->packed = arena(b, targets, sizeof *b->packed);
    b->rep->layer = arena(b, targets, sizeof *b->rep->layer);
    struct vd_names *const table[] = {&b->taken, &b->constants, &b->dqls, &b->weights};
    const size_t room[] = {names, constants, targets, targets};
    for (size_t i = 0; !b->rc && i < sizeof table / sizeof *table; i++)
        b->rc = vd_names_init(table[i], &m->arena, room[i]);
    if (b->rc)
        return b->rc;

    for (int i = 0; i < in->n_init; i++) {
        b->constant[i] = &in->init[i];
        vd_names_add(&b->constants, in->init[i].name, i);
        vd_names_add(&b->taken, in->init[i].name, 0);
    }
    for (int i = 0; i < in->n_in; i++)
        vd_names_add(&b->taken, in->in[i].name, 0);
    for (int i = 0; i < in->n_node; i++) {
        const struct vd_onnx_node *n = &in->node[i];
        b->constant[in->n_init + i] = constant_node(n);
        if (b->constant[in->n_init + i])
            vd_names_add(&b->constants, n->out[0], in->n_init + i);
        for (int k = 0; k < n->n_out; k++)
            if (*n->out[k])
                vd_names_add(&b->taken, n->out[k], 0);
    }
    for (int i = 0; i < in->n_node + 1; i++) { /* the graph's outputs use too */
        const int n = i < in->n_node ? in->node[i].n_in : in->n_out;
        for (int k = 0; k < n; k++) {
            const int c = constant_of(b, i < in->n_node ? in->node[i].in[k] : in->out[k].name);
            if (c >= 0)
                b->uses[c]++, b->uses_left[c]++;
        }
    }
    return 0;
}

static bool gone(const struct builder *b, int c) { return b->uses[c] && !b->uses_left[c]; }

/* Source initialisers that are still used, or that were never, then the new ones. A bias that was reshaped under its own name is among
 * the new ones, and its source has lost its use. */
static void finish(struct builder *b)
{
    struct vd_onnx_model *m = b->m;
    for (int i = 0; i < b->in->n_init; i++)
        if (!gone(b, i))
            m->init[m->n_init++] = b->in->init[i];
    for (int i = 0; i < b->n_added; i++)
        m->init[m->n_init++] = b->added[i];

    int k = 0, source = 0; /* Constant nodes that lost their last use; kept nodes are in the source's order */
    for (int i = 0; i < m->n_node; i++) {
        if (is_op(&m->node[i], "Constant")) {
            while (b->in->node[source].out != m->node[i].out)
                source++;
            if (b->constant[b->in->n_init + source] && gone(b, b->in->n_init + source))
                continue;
        }
        m->node[k++] = m->node[i];
    }
    m->n_node = k;

    const struct vd_onnx_kv ours[] = {{"vmaf_dnn.quant", "dynamic"}, {"vmaf_dnn.version", VMAF_DNN_VERSION},
                                      {"vmaf_dnn.source_sha256", b->o->source_sha256}};
    for (int i = 0; i < b->in->n_meta; i++) {
        bool replaced = false;
        for (size_t j = 0; j < sizeof ours / sizeof *ours; j++)
            replaced |= !strcmp(b->in->meta[i].key, ours[j].key);
        if (!replaced)
            m->meta[m->n_meta++] = b->in->meta[i];
    }
    for (size_t j = 0; j < sizeof ours / sizeof *ours; j++)
        if (ours[j].value)
            m->meta[m->n_meta++] = (struct vd_onnx_kv){ours[j].key, text(b, "%s", ours[j].value)};
}

int vd_quantize_dynamic(const struct vd_onnx_model *in, const struct vd_quant_opts *o, struct vd_onnx_model *out, struct vd_quant_report *rep)
{
    assert(o->weight_type == VD_U8 || o->weight_type == VD_S8);
    struct builder b = {.in = in, .o = o, .m = out, .rep = rep};
    size_t targets;
    *rep = (struct vd_quant_report){0};
    *out = (struct vd_onnx_model){.ir_version = in->ir_version, .model_version = in->model_version, .opset = in->opset,
        .producer_name = in->producer_name, .producer_version = in->producer_version, .domain = in->domain, .doc = in->doc,
        .graph_name = in->graph_name, .graph_doc = in->graph_doc, .in = in->in, .n_in = in->n_in, .out = in->out, .n_out = in->n_out};

    b.rc = check_source(in, &targets);
    if (!b.rc)
        b.rc = tables(&b, targets);
    for (int i = 0; i < in->n_node && !b.rc; i++) {
        const struct vd_onnx_node *n = &in->node[i];
        if (is_op(n, "Conv"))
            conv(&b, n);
        else if (is_op(n, "MatMul"))
            matmul(&b, n);
        else if (is_op(n, "Gemm"))
            gemm(&b, n);
        else
            keep(&b, n);
    }
    if (!b.rc && !(rep->conv + rep->matmul + rep->gemm))
        b.rc = vd_fail(ENOTSUP, "nothing to quantise: node %s (%s) stays in fp32 because %s", rep->layer[0].node, rep->layer[0].op,
                       rep->layer[0].why_fp32);
    if (!b.rc)
        finish(&b);
    if (b.rc) {
        vd_onnx_free(out);
        *out = (struct vd_onnx_model){0};
        *rep = (struct vd_quant_report){0};
    }
    return b.rc;
}
