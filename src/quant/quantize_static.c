/* SPDX-License-Identifier: BSD-2-Clause */
#include "quant/static.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "common/mem.h"
#include "common/status.h"
#include "quant/static_forms.h"
#include "quant/weights.h"

/* Most nodes, initialisers and names that one node brings with it: two convolutions of 5 nodes, or a layer with its input and output. */
enum { NODES_EACH = 19, INITS_EACH = 16, NAMES_EACH = 52 };

/* --- weights */

struct layer {
    const struct vd_onnx_node *n;
    struct vd_static_layer *rep;
    const struct vd_onnx_tensor *t;
    const float *bias; /* m, corrected; NULL */
    float *w;          /* plain weights, channel by channel: [m][k] */
    size_t m, k;
    int64_t group;
    bool transposed;   /* w is the file's weights turned */
    bool named;        /* its node has a name, and no new one has it yet */
};

static const struct vd_onnx_tensor *constant(const struct vd_static *s, const struct vd_onnx_node *n, int i)
{
    const int c = n->n_in > i ? vd_rewrite_constant(&s->r, n->in[i]) : -1;
    return c < 0 ? NULL : s->r.constant[c];
}

static float attr_float(const struct vd_onnx_node *n, const char *name, float fallback)
{
    const struct vd_onnx_attr *a = vd_onnx_attr(n, name);
    return a && a->type == VD_ATTR_FLOAT ? a->v.f : fallback;
}

static float *weight_scales(struct vd_static *s, const struct layer *l, float sx, bool int_bias)
{
    float *scale = arena(s, l->m, sizeof(*scale));
    if (scale)
        vd_weights_scales(l->w, l->m, l->k, int_bias ? l->bias : NULL, sx, s->o->per_tensor, scale);
    return scale;
}

/* The bias, less what rounding the weights adds to the mean of each channel. */
static void correct_bias(struct vd_static *s, struct layer *l, const struct vd_calib_tensor *x, const uint8_t *q, const float *scale, bool once)
{
    const size_t taps = l->t->rank > 2 ? l->k / (size_t)l->t->dim[1] : 1, per_group = l->m / (size_t)l->group, ic = l->k / taps;
    if (s->o->no_bias_correction || !x || (size_t)x->channels != ic * (size_t)l->group)
        return;
    float *b = arena(s, l->m, sizeof(*b));
    if (!b)
        return;
    const double count = (double)x->hist.n / (double)x->channels;
    for (size_t c = 0; c < l->m; c++) {
        double shift = 0;
        for (size_t i = 0; i < ic; i++) {
            const double mean = vd_exact_value(x->channel[c / per_group * ic + i].sum) / count;
            double d = 0;
            for (size_t k = 0; k < taps; k++) {
                const size_t at = c * l->k + i * taps + k;
                d += (double)(int8_t)q[at] * (double)scale[c] - (double)l->w[at];
            }
            shift += d * mean;
        }
        b[c] = (float)((l->bias ? (double)l->bias[c] : 0) - shift);
        const double size = fabs(shift) / (double)scale[c];
        if (once && size > l->rep->bias_shift)
            l->rep->bias_shift = size;
    }
    l->bias = b;
}

static bool load(struct vd_static *s, int i, struct layer *l)
{
    const struct vd_onnx_node *n = l->n;
    const bool conv = is_op(n, "Conv");
    const struct vd_onnx_attr *group = vd_onnx_attr(n, "group"), *trans = vd_onnx_attr(n, "transB");
    l->t = constant(s, n, 1);
    l->group = conv && group && group->type == VD_ATTR_INT ? group->v.i : 1;
    const bool outer = conv || l->t->rank == 1 || (trans && trans->type == VD_ATTR_INT && trans->v.i);
    l->m = conv ? (size_t)l->t->dim[0] : l->t->rank == 1 ? 1 : (size_t)l->t->dim[outer ? 0 : 1];
    l->k = l->t->count / l->m;
    l->transposed = !outer;
    if (conv && (l->group < 1 || l->m % (size_t)l->group)) {
        s->r.rc = vd_fail(EBADMSG, "node %s (Conv): %zu output channels are not a multiple of group %lld", vd_static_label(n), l->m, (long long)l->group);
        return false;
    }
    for (int k = 0; k < s->rep->n_layer; k++)
        if (s->rep->layer[k].node == i)
            l->rep = &s->rep->layer[k];
    l->w = arena(s, l->t->count, sizeof(*l->w));
    if (!l->w)
        return false;
    vd_weights_load(l->t, l->transposed, is_op(n, "Gemm") ? attr_float(n, "alpha", 1) : 1, l->w);
    const struct vd_onnx_tensor *b = n->n_in > 2 && *n->in[2] ? constant(s, n, 2) : NULL;
    if (b && conv) {
        float *f = arena(s, l->m, sizeof(*f));
        if (!f)
            return false;
        vd_weights_load(b, false, 1, f);
        l->bias = f;
    }
    return true;
}

static void unuse(struct vd_static *s, const struct vd_onnx_node *n)
{
    for (int k = 1; k < n->n_in; k++)
        vd_rewrite_unuse(&s->r, vd_rewrite_constant(&s->r, n->in[k]));
}

static const char *scales_of(struct vd_static *s, const char *name, const struct layer *l, const float *scale, int rank, bool last)
{
    int64_t dim[VD_MAX_RANK];
    if (s->o->per_tensor)
        return initialiser(s, fresh(s, name), VD_F32, 0, NULL, scale);
    for (int i = 0; i < rank; i++)
        dim[i] = i == (last ? rank - 1 : rank > 1) ? (int64_t)l->m : 1;
    return initialiser(s, fresh(s, name), VD_F32, rank, dim, scale);
}

/* int32 bias in steps of x_scale * w_scale; NULL: none. */
static const char *int_bias(struct vd_static *s, const struct layer *l, float sx, const float *scale, float **steps)
{
    if (!l->bias)
        return NULL;
    int32_t *q = arena(s, l->m, sizeof(*q));
    *steps = arena(s, l->m, sizeof(**steps));
    if (q && *steps)
        vd_weights_bias(l->bias, l->m, sx, scale, *steps, q);
    const int64_t dim = (int64_t)l->m;
    return initialiser(s, fresh(s, text(s, "%s_bq", l->n->out[0])), VD_S32, 1, &dim, q);
}

/* --- the layers */

static void conv_bytes(struct vd_static *s, int i, struct layer *l)
{
    const struct vd_onnx_node *n = l->n;
    const struct vd_static_node *p = &s->node[i];
    const struct vd_static_value *x = vd_static_params(s, p->in[0]);
    float *scale = weight_scales(s, l, x->scale, true), *steps = NULL;
    uint8_t *q = arena(s, l->t->count, 1);
    if (!scale || !q)
        return;
    vd_weights_round(l->w, l->t->count, l->m, true, VD_S8, scale, q, &l->rep->sqnr_db);
    l->rep->pairs = vd_weights_pairs((const int8_t *)q, l->m, l->k, &l->rep->worst_pair);
    correct_bias(s, l, s->value[p->in[0]].seen, q, scale, true);
    const char *base = n->in[1];
    const char *w = initialiser(s, fresh(s, text(s, "%s_q", base)), VD_S8, l->t->rank, l->t->dim, q);
    const char *w_scale = scales_of(s, text(s, "%s_scale", base), l, scale, 1, false);
    const char *b = int_bias(s, l, x->scale, scale, &steps), *in;
    const char *name = n->name;
    struct vd_onnx_node *made;
    if (s->o->qoperator) {
        static const int8_t zero;
        in = vd_static_quantize(s, p->in[0]);
        const struct vd_static_value *y = vd_static_params(s, p->result);
        const char *w_zp = s->w_zp ? s->w_zp : (s->w_zp = vd_static_scalar(s, "weight_zp", VD_S8, &zero, 1));
        if (!s->o->per_tensor) { /* ONNX Runtime wants as many zero points as scales */
            const int64_t dim = (int64_t)l->m;
            w_zp = initialiser(s, fresh(s, text(s, "%s_zp", base)), VD_S8, 1, &dim, arena(s, l->m, 1));
        }
        const char *out = vd_static_bytes(s, p->result);
        if (b)
            made = node(s, "QLinearConv", name, VD_NAMES(in, x->scale_name, x->zp_name, w, w_scale, w_zp, y->scale_name, y->zp_name, b), VD_NAMES(out));
        else
            made = node(s, "QLinearConv", name, VD_NAMES(in, x->scale_name, x->zp_name, w, w_scale, w_zp, y->scale_name, y->zp_name), VD_NAMES(out));
    } else {
        const char *w_dq = fresh(s, text(s, "%s_dq", base)), *b_dq = NULL;
        in = vd_static_dequantize(s, p->in[0]);
        made = node(s, "DequantizeLinear", "", VD_NAMES(w, w_scale), VD_NAMES(w_dq));
        if (!s->o->per_tensor)
            vd_static_set_attr(s, made, "axis", 0);
        if (b) {
            const char *b_scale = initialiser(s, fresh(s, text(s, "%s_bs", n->out[0])), VD_F32, s->o->per_tensor ? 0 : 1,
                                              (const int64_t[]){(int64_t)l->m}, steps);
            b_dq = fresh(s, text(s, "%s_b", n->out[0]));
            made = node(s, "DequantizeLinear", "", VD_NAMES(b, b_scale), VD_NAMES(b_dq));
            if (!s->o->per_tensor)
                vd_static_set_attr(s, made, "axis", 0);
        }
        const char *out = vd_static_raw(s, p->result);
        if (b)
            made = node(s, "Conv", name, VD_NAMES(in, w_dq, b_dq), VD_NAMES(out));
        else
            made = node(s, "Conv", name, VD_NAMES(in, w_dq), VD_NAMES(out));
    }
    made->attr = n->attr;
    made->n_attr = n->n_attr;
}

/* Of a value between the nodes of one layer: short, since there are nine of them in a layer with tails. */
static const char *numbered(struct vd_static *s, const char *what) { return text(s, "%s_%d", what, s->r.m->n_node); }

struct bytes { const char *name, *zp; float scale; };

static struct bytes bytes_of(struct vd_static *s, int v)
{
    const struct vd_static_value *p = vd_static_params(s, v);
    return (struct bytes){vd_static_quantize(s, v), p->zp_name, p->scale};
}

/* What rounding v to bytes left, which is half a step of them at most, in bytes of its own. */
static struct bytes rest_of(struct vd_static *s, int v)
{
    static const uint8_t middle = 128;
    struct vd_static_value *x = &s->value[v];
    const float scale = x->fine ? fmaxf(vd_static_params(s, v)->scale / 255, FLT_MIN) : fminf(vd_static_params(s, v)->scale * VD_STATIC_TAIL, FLT_MAX / 256);
    if (!s->rest_zp)
        s->rest_zp = vd_static_scalar(s, "rest_zp", VD_U8, &middle, 1);
    if (!x->rest) {
        const char *rest = fresh(s, numbered(s, "rest"));
        node(s, "Sub", "", VD_NAMES(x->raw, vd_static_dequantize(s, v)), VD_NAMES(rest));
        x->rest = fresh(s, text(s, "%s_rest_q", x->name));
        node(s, "QuantizeLinear", "", VD_NAMES(rest, vd_static_scalar(s, text(s, "%s_rest_scale", x->name), VD_F32, &scale, sizeof(scale)), s->rest_zp), VD_NAMES(x->rest));
    }
    return (struct bytes){x->rest, s->rest_zp, scale};
}

/* Those of a Conv that are not their defaults: 20 bytes each. */
static void conv_attrs(struct vd_static *s, struct vd_onnx_node *to, const struct vd_onnx_node *from)
{
    struct vd_onnx_attr *a = arena(s, (size_t)from->n_attr, sizeof(*a));
    to->attr = a;
    for (int i = 0; a && i < from->n_attr; i++) {
        const struct vd_onnx_attr *f = &from->attr[i];
        bool plain = !strcmp(f->name, "group") && f->type == VD_ATTR_INT && f->v.i == 1;
        if ((!strcmp(f->name, "strides") || !strcmp(f->name, "dilations")) && f->type == VD_ATTR_INTS) {
            plain = true;
            for (int k = 0; k < f->n; k++)
                plain &= f->v.ints[k] == 1;
        }
        if (!plain)
            a[to->n_attr++] = *f;
    }
}

/* A product of integers made float: sum, Cast, times the scales. */
static const char *float_product(struct vd_static *s, const char *op, struct layer *l, struct bytes x, const char *w, const char *w_zp, const char *out,
                                 const float *scale, int rank, bool last)
{
    float *both = arena(s, l->m, sizeof(*both));
    for (size_t c = 0; both && c < l->m; c++)
        both[c] = x.scale * scale[c];
    const char *sum = fresh(s, numbered(s, "sum")), *cast = fresh(s, numbered(s, "float"));
    const char *scales = scales_of(s, numbered(s, "scales"), l, both, rank, last);
    struct vd_onnx_node *n = node(s, op, l->named ? text(s, "%s_quant", l->n->name) : "", VD_NAMES(x.name, w, x.zp, w_zp), VD_NAMES(sum));
    l->named = false;
    if (is_op(l->n, "Conv"))
        conv_attrs(s, n, l->n);
    vd_static_set_attr(s, node(s, "Cast", "", VD_NAMES(sum), VD_NAMES(cast)), "to", VD_F32);
    node(s, "Mul", "", VD_NAMES(cast, scales), VD_NAMES(out));
    return out;
}

static void conv_float(struct vd_static *s, int i, struct layer *l)
{
    static const uint8_t middle = 128;
    const struct vd_onnx_node *n = l->n;
    const struct vd_static_node *p = &s->node[i], *add = p->split >= 0 ? &s->node[p->split] : NULL;
    const bool two = add || s->value[p->in[0]].two_bytes;
    float *scale = weight_scales(s, l, 1, false);
    uint8_t *q = arena(s, l->t->count, 1);
    if (!scale || !q)
        return;
    vd_weights_round(l->w, l->t->count, l->m, true, VD_S8, scale, q, &l->rep->sqnr_db);
    correct_bias(s, l, s->value[p->in[0]].seen, q, scale, true);
    for (size_t k = 0; k < l->t->count; k++)
        q[k] ^= 0x80; /* + 128 */
    const char *w = initialiser(s, fresh(s, text(s, "%s_q", n->in[1])), VD_U8, l->t->rank, l->t->dim, q);
    const char *zp = s->w_zp_u8 ? s->w_zp_u8 : (s->w_zp_u8 = vd_static_scalar(s, "weight_zp_u8", VD_U8, &middle, 1));
    const char *out = vd_static_raw(s, p->result), *y = l->bias || two ? fresh(s, numbered(s, "mul")) : out;
    float_product(s, "ConvInteger", l, bytes_of(s, add ? add->in[0] : p->in[0]), w, zp, y, scale, l->t->rank, false);
    if (l->bias) {
        int64_t dim[VD_MAX_RANK];
        const char *sum = two ? fresh(s, numbered(s, "first")) : out;
        for (int k = 0; k < l->t->rank; k++)
            dim[k] = k == 1 ? (int64_t)l->m : 1;
        node(s, "Add", "", VD_NAMES(y, initialiser(s, fresh(s, text(s, "%s_bias", out)), VD_F32, l->t->rank, dim, l->bias)), VD_NAMES(sum));
        y = sum;
    }
    if (two) {
        const struct bytes x = add ? bytes_of(s, add->in[1]) : rest_of(s, p->in[0]);
        const char *second = float_product(s, "ConvInteger", l, x, w, zp, fresh(s, numbered(s, "mul")), scale, l->t->rank, false);
        node(s, "Add", "", VD_NAMES(y, second), VD_NAMES(out));
    }
}

/* MatMulInteger takes its weights [k, m] and has no bias. */
static void product(struct vd_static *s, int i, struct layer *l)
{
    static const int8_t zero;
    const struct vd_onnx_node *n = l->n;
    const struct vd_static_node *p = &s->node[i];
    float *scale = weight_scales(s, l, 1, false);
    uint8_t *q = arena(s, l->t->count, 1), *turned = arena(s, l->t->count, 1);
    if (!scale || !q || !turned)
        return;
    vd_weights_round(l->w, l->t->count, l->m, true, VD_S8, scale, q, &l->rep->sqnr_db);
    l->rep->pairs = vd_weights_pairs((const int8_t *)q, l->m, l->k, &l->rep->worst_pair);
    for (size_t c = 0; c < l->m; c++)
        for (size_t k = 0; k < l->k; k++)
            turned[k * l->m + c] = q[c * l->k + k];
    const int64_t dim[2] = {(int64_t)l->k, (int64_t)l->m};
    const struct vd_calib_tensor *x = s->value[p->in[0]].seen;
    const bool flat = x && (size_t)x->channels == l->k; /* [N, K]: the mean of each of K is known */
    if (flat)
        correct_bias(s, l, x, q, scale, true);
    const char *w = initialiser(s, fresh(s, text(s, "%s_q", n->in[1])), VD_S8, l->t->rank == 1 ? 1 : 2, dim, turned);
    const char *zp = s->w_zp ? s->w_zp : (s->w_zp = vd_static_scalar(s, "weight_zp", VD_S8, &zero, 1));
    const float beta = attr_float(n, "beta", 1);
    const struct vd_onnx_tensor *c = n->n_in > 2 && *n->in[2] && beta != 0 ? constant(s, n, 2) : NULL;
    const char *out = vd_static_raw(s, p->result), *first = c || l->bias ? fresh(s, numbered(s, "mul")) : out;
    float_product(s, "MatMulInteger", l, bytes_of(s, p->in[0]), w, zp, first, scale, 1, true);
    if (l->bias) {
        const char *sum = c ? fresh(s, numbered(s, "shift")) : out;
        node(s, "Add", "", VD_NAMES(first, initialiser(s, fresh(s, text(s, "%s_correction", out)), VD_F32, 1, &dim[1], l->bias)), VD_NAMES(sum));
        first = sum;
    }
    if (c) {
        float *f = arena(s, c->count, sizeof(*f));
        if (f)
            vd_weights_load(c, false, beta, f);
        node(s, "Add", "", VD_NAMES(first, initialiser(s, fresh(s, text(s, "%s_c", out)), VD_F32, c->rank, c->dim, f)), VD_NAMES(out));
    }
}

static void layer(struct vd_static *s, int i)
{
    struct layer l = {.n = &s->in->node[i], .named = *s->in->node[i].name != 0};
    if (!load(s, i, &l))
        return;
    if (s->node[i].kind == VD_STATIC_PRODUCT)
        product(s, i, &l);
    else if (s->node[i].float_out)
        conv_float(s, i, &l);
    else
        conv_bytes(s, i, &l);
    unuse(s, l.n);
    vd_static_wrote(s, s->node[i].result);
}

/* --- the others */

/* ONNX Runtime's operator on bytes; NULL: there is none, and the float one stands between DequantizeLinear and QuantizeLinear. */
static const char *on_bytes(const struct vd_static *s, const struct vd_onnx_node *n)
{
    static const char *const names[][2] = {
        {"Add", "com.microsoft:QLinearAdd"}, {"Mul", "com.microsoft:QLinearMul"}, {"Concat", "com.microsoft:QLinearConcat"},
        {"Sigmoid", "com.microsoft:QLinearSigmoid"}, {"LeakyRelu", "com.microsoft:QLinearLeakyRelu"},
        {"AveragePool", "com.microsoft:QLinearAveragePool"}, {"GlobalAveragePool", "com.microsoft:QLinearGlobalAveragePool"},
    };
    if (!s->o->qoperator)
        return NULL;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (is_op(n, names[i][0]))
            return names[i][1];
    return NULL;
}

static void other_on_bytes(struct vd_static *s, int i, const char *op)
{
    const struct vd_onnx_node *n = &s->in->node[i];
    const struct vd_static_node *p = &s->node[i];
    const bool concat = p->kind == VD_STATIC_CONCAT;
    const int tensors = concat ? n->n_in : p->kind == VD_STATIC_PAIR ? 2 : 1;
    const struct vd_static_value *y = vd_static_params(s, p->result);
    const char **in = arena(s, 3 * (size_t)tensors + 2, sizeof(*in));
    int n_in = 0;
    if (!in)
        return;
    for (int k = 0; k < 2 && concat; k++)
        in[n_in++] = k ? y->zp_name : y->scale_name;
    for (int k = 0; k < tensors; k++) {
        in[n_in++] = vd_static_quantize(s, p->in[k]);
        in[n_in++] = vd_static_params(s, p->in[k])->scale_name;
        in[n_in++] = vd_static_params(s, p->in[k])->zp_name;
    }
    for (int k = 0; k < 2 && !concat; k++)
        in[n_in++] = k ? y->zp_name : y->scale_name;
    struct vd_onnx_node *made = node(s, op, n->name, in, n_in, (const char *const[]){vd_static_bytes(s, p->result)}, 1);
    made->attr = n->attr;
    made->n_attr = n->n_attr;
}

/* The source's node with its activations (all inputs) read in another form. */
static struct vd_onnx_node *copied(struct vd_static *s, int i, const char *(*form)(struct vd_static *, int), int activations)
{
    const struct vd_onnx_node *n = &s->in->node[i];
    const char **in = arena(s, (size_t)n->n_in + 1, sizeof(*in));
    if (!in)
        return NULL;
    for (int k = 0; k < n->n_in; k++) {
        const int v = s->node[i].in[k];
        in[k] = v >= 0 && s->value[v].producer != -2 && k < activations ? form(s, v) : n->in[k];
    }
    struct vd_onnx_node *made = node(s, n->op_type, n->name, in, n->n_in, n->out, n->n_out);
    made->attr = n->attr;
    made->n_attr = n->n_attr;
    return made;
}

static void set_output(struct vd_static *s, struct vd_onnx_node *n, const char *name)
{
    const char **out = arena(s, 1, sizeof(*out));
    if (n && out) {
        *out = name;
        n->out = out;
        n->n_out = 1;
    }
}

static void other(struct vd_static *s, int i)
{
    const struct vd_onnx_node *n = &s->in->node[i];
    const struct vd_static_node *p = &s->node[i];
    const char *op = on_bytes(s, n);
    const bool moves = s->o->qoperator && p->kind == VD_STATIC_MOVE && (!is_op(n, "MaxPool") || s->in->opset >= 12);
    if (op)
        other_on_bytes(s, i, op);
    else if (moves)
        set_output(s, copied(s, i, vd_static_quantize, 1), vd_static_bytes(s, p->result));
    else
        set_output(s, copied(s, i, vd_static_dequantize, p->kind == VD_STATIC_CONCAT || p->kind == VD_STATIC_PAIR ? n->n_in : 1), vd_static_raw(s, p->result));
    vd_static_wrote(s, p->result);
}

static bool reads_bytes_first(const struct vd_static *s, int i)
{
    for (int k = 0; k < s->in->node[i].n_in; k++)
        if (s->node[i].in[k] >= 0 && s->value[s->node[i].in[k]].bytes_first)
            return true;
    return false;
}

/* --- the whole */

int vd_static_check(const struct vd_onnx_model *in, const struct vd_static_opts *o)
{
    for (int i = 0; i < in->n_node; i++) {
        const char *op = in->node[i].op_type, *colon = strrchr(op, ':');
        if (strstr(op, "QuantizeLinear") || strstr(op, "DequantizeLinear") || strstr(op, "Integer") || !strncmp(colon ? colon + 1 : op, "QLinear", 7))
            return vd_fail(ENOTSUP, "already quantised: node %s is %s; quantise the fp32 file instead", vd_static_label(&in->node[i]), op);
    }
    if (o->qoperator && (o->float_sums || o->two_bytes || o->tails || o->tails_all))
        return vd_fail(EINVAL, "float sums and inputs of two bytes are written in the QDQ form: leave out --format qoperator, or them");
    if (in->opset < (o->per_tensor ? 10 : 13))
        return vd_fail(ENOTSUP, "the model's opset is %d, and %s came with opset %d: export it again with opset 13 or later%s", in->opset,
                       o->per_tensor ? "QuantizeLinear" : "one scale for each channel", o->per_tensor ? 10 : 13,
                       o->per_tensor || in->opset < 10 ? "" : ", or take --per-tensor");
    return 0;
}

int vd_quantize_static(const struct vd_onnx_model *in, const struct vd_static_opts *o, struct vd_onnx_model *out, struct vd_static_report *rep)
{
    struct vd_static s = {.in = in, .o = o, .rep = rep};
    const size_t nodes = (size_t)in->n_node;
    *rep = (struct vd_static_report){0};
    *out = (struct vd_onnx_model){0};
    int rc = vd_static_check(in, o);
    if (rc)
        return rc;
    /* nodes <= VD_ONNX_MAX_COUNT: no product overflows */
    if ((rc = vd_rewrite_begin(&s.r, in, out, nodes * NODES_EACH, nodes * INITS_EACH, nodes * NAMES_EACH)))
        return rc;
    s.r.rc = vd_static_plan(&s);
    for (int i = 0; i < in->n_node && !s.r.rc; i++) {
        const struct vd_static_node *p = &s.node[i];
        if (p->dropped) {
            unuse(&s, &in->node[i]);
        } else if (p->quantised) {
            if (p->kind == VD_STATIC_CONV || p->kind == VD_STATIC_PRODUCT)
                layer(&s, i);
            else
                other(&s, i);
        } else if (reads_bytes_first(&s, i)) {
            copied(&s, i, vd_static_plain, in->node[i].n_in);
        } else {
            vd_rewrite_keep(&s.r, &in->node[i]);
        }
    }
    const struct vd_onnx_kv meta[] = {{"vmaf_dnn.quant", o->qat ? "qat" : "static"}, {"vmaf_dnn.version", VMAF_DNN_VERSION}, {"vmaf_dnn.source_sha256", o->source_sha256}};
    rc = vd_rewrite_end(&s.r, meta, sizeof(meta) / sizeof(*meta));
    if (rc)
        *rep = (struct vd_static_report){0};
    return rc;
}
