/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "common/status.h"
#include "quant/static_priv.h"
#include "quant/weights.h"

const char *vd_static_label(const struct vd_onnx_node *n) { return *n->name ? n->name : n->n_out ? n->out[0] : n->op_type; }

static bool is_op(const struct vd_onnx_node *n, const char *op) { return !strcmp(n->op_type, op); }

static bool one_of(const struct vd_onnx_node *n, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_op(n, list[i]))
            return true;
    return false;
}
#define ONE_OF(n, ...) one_of(n, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static bool is_clamp(const struct vd_onnx_node *n) { return ONE_OF(n, "Relu", "Clip"); }

static enum vd_static_kind kind_of(const struct vd_onnx_node *n)
{
    if (n->n_out != 1 || !*n->out[0])
        return VD_STATIC_FLOAT;
    if (is_op(n, "Conv"))
        return VD_STATIC_CONV;
    if (ONE_OF(n, "Gemm", "MatMul"))
        return VD_STATIC_PRODUCT;
    if (ONE_OF(n, "Add", "Mul"))
        return VD_STATIC_PAIR;
    if (ONE_OF(n, "Sigmoid", "LeakyRelu", "GlobalAveragePool", "AveragePool", "Relu", "Clip"))
        return VD_STATIC_ONE;
    if (ONE_OF(n, "MaxPool", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "DepthToSpace", "SpaceToDepth"))
        return VD_STATIC_MOVE;
    return is_op(n, "Concat") ? VD_STATIC_CONCAT : VD_STATIC_FLOAT;
}

/* How many of a node's inputs are activations. */
static int activations(const struct vd_onnx_node *n, enum vd_static_kind k)
{
    return k == VD_STATIC_PAIR ? 2 : k == VD_STATIC_CONCAT ? n->n_in : k == VD_STATIC_FLOAT ? 0 : 1;
}

/* --- values and who reads them */

static int add_value(struct vd_static *s, const char *name, int producer)
{
    const int v = vd_names_add(&s->values, name, s->n_value);
    if (v == s->n_value)
        s->value[s->n_value++] = (struct vd_static_value){.name = name, .producer = producer, .reader = -1, .root = v, .raw = name};
    return v;
}

static int know_values(struct vd_static *s)
{
    const struct vd_onnx_model *in = s->in;
    size_t most = (size_t)in->n_in + (size_t)in->n_init + 1;
    for (int i = 0; i < in->n_node; i++)
        most += (size_t)in->node[i].n_out;
    s->value = vd_rewrite_alloc(&s->r, most, sizeof(*s->value));
    s->node = vd_rewrite_alloc(&s->r, (size_t)in->n_node + 1, sizeof(*s->node));
    s->rep->layer = vd_rewrite_alloc(&s->r, (size_t)in->n_node + 1, sizeof(*s->rep->layer));
    if (s->r.rc || (s->r.rc = vd_names_init(&s->values, &s->r.m->arena, most)))
        return s->r.rc;
    for (int i = 0; i < in->n_in; i++)
        add_value(s, in->in[i].name, -1);
    for (int i = 0; i < in->n_init; i++)
        add_value(s, in->init[i].name, -2);
    for (int i = 0; i < in->n_node; i++) {
        const struct vd_onnx_node *n = &in->node[i];
        s->node[i] = (struct vd_static_node){.kind = kind_of(n), .result = -1, .split = -1};
        s->node[i].in = vd_rewrite_alloc(&s->r, (size_t)n->n_in + 1, sizeof(int));
        if (s->r.rc)
            return s->r.rc;
        for (int k = 0; k < n->n_in; k++) {
            const int v = s->node[i].in[k] = *n->in[k] ? vd_names_find(&s->values, n->in[k]) : -1;
            if (v < 0 && *n->in[k])
                return vd_fail(ENOTSUP, "node %s (%s) reads %s, which no node before it writes: put the nodes in order first",
                               vd_static_label(n), n->op_type, n->in[k]);
            if (v >= 0) {
                s->value[v].reader = s->value[v].uses++ ? -1 : i;
            }
        }
        for (int k = 0; k < n->n_out; k++)
            if (*n->out[k]) {
                const int v = add_value(s, n->out[k], vd_rewrite_constant(&s->r, n->out[k]) >= 0 ? -2 : i);
                if (k == 0)
                    s->node[i].result = v;
            }
    }
    for (int i = 0; i < in->n_out; i++) {
        const int v = vd_names_find(&s->values, in->out[i].name);
        if (v >= 0) {
            s->value[v].is_out = true;
            s->value[v].reader = -1;
            s->value[v].uses++;
        }
    }
    for (int v = 0; v < s->n_value; v++)
        s->value[v].seen = vd_calib_find(s->o->calibration, s->value[v].name);
    return 0;
}

struct vd_static_value *vd_static_root(struct vd_static *s, int v)
{
    while (s->value[v].root != v)
        v = s->value[v].root = s->value[s->value[v].root].root;
    return &s->value[v];
}

static void join(struct vd_static *s, int a, int b)
{
    const int x = (int)(vd_static_root(s, a) - s->value), y = (int)(vd_static_root(s, b) - s->value);
    s->value[x > y ? x : y].root = x < y ? x : y;
}

/* --- layers */

static const struct vd_onnx_tensor *weights_of(const struct vd_static *s, const struct vd_onnx_node *n)
{
    const int c = n->n_in > 1 ? vd_rewrite_constant(&s->r, n->in[1]) : -1;
    return c < 0 ? NULL : s->r.constant[c];
}

static int bad(const struct vd_onnx_node *n, const char *what)
{
    return vd_fail(EBADMSG, "node %s (%s): %s", vd_static_label(n), n->op_type, what);
}

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

/* Why layer n must stay in fp32, or NULL; what is wrong with it goes to r.rc. */
static const char *layer_why(struct vd_static *s, const struct vd_onnx_node *n, int i)
{
    const struct vd_onnx_tensor *w = weights_of(s, n);
    const bool conv = is_op(n, "Conv"), gemm = is_op(n, "Gemm");
    if (n->n_in < 2 || n->n_in > 3 || (!conv && !gemm && n->n_in != 2)) {
        s->r.rc = bad(n, "it has a wrong number of inputs");
        return "";
    }
    if (s->o->fp32 && s->o->fp32[i])
        return "it was asked for";
    if (!w)
        return "its weights are not constant";
    if (w->type != VD_F32)
        return w->type == VD_F16 ? "its weights are float16" : "its weights are not float32";
    if (w->count == 0 || !vd_weights_finite(w))
        s->r.rc = bad(n, w->count ? "its weights are not all finite" : "its weights have no elements");
    else if (conv ? w->rank < 3 : w->rank < 1 || (gemm && w->rank != 2))
        s->r.rc = bad(n, "its weights have a wrong number of dimensions");
    if (s->r.rc)
        return "";
    if (!conv && w->rank > 2)
        return "its weights have over 2 dimensions";
    const int b = n->n_in > 2 && *n->in[2] ? vd_rewrite_constant(&s->r, n->in[2]) : -2;
    if (b == -1)
        return "its bias is not constant";
    if (b >= 0) {
        const struct vd_onnx_tensor *t = s->r.constant[b];
        const int64_t m = conv || attr_int(n, "transB", 0) ? w->dim[0] : w->dim[1];
        if (t->type != VD_F32 || !vd_weights_finite(t))
            return "its bias is not finite float32";
        if (conv && (t->rank != 1 || t->dim[0] != m)) {
            s->r.rc = bad(n, "its bias has not one element for each output channel");
            return "";
        }
    }
    if (gemm && attr_int(n, "transA", 0))
        return "transA is set";
    if (gemm && !vd_weights_exact(w, attr_float(n, "alpha", 1)))
        return "alpha does not multiply its weights exactly";
    if (gemm && b >= 0 && !vd_weights_exact(s->r.constant[b], attr_float(n, "beta", 1)))
        return "beta does not multiply C exactly";
    const struct vd_static_value *x = &s->value[s->node[i].in[0]];
    if (x->producer == -2)
        return "its input is constant";
    if (!x->seen)
        s->r.rc = vd_fail(EINVAL, "the calibration has no activation %s, which node %s reads: calibrate this model again", x->name, vd_static_label(n));
    return NULL;
}

/* --- from the outputs back: what is quantised */

/* x is an Add of two tensors of its own shape, that only node i reads: node i of both is the same, since a convolution is linear. */
static int spreads_over(const struct vd_static *s, int i)
{
    const struct vd_static_value *x = &s->value[s->node[i].in[0]];
    const int add = x->producer;
    if (add < 0 || x->reader != i || !is_op(&s->in->node[add], "Add") || (s->o->fp32 && s->o->fp32[add]))
        return -1;
    const struct vd_static_value *a = &s->value[s->node[add].in[0]], *b = &s->value[s->node[add].in[1]];
    return a != b && a->seen && b->seen && a->producer != -2 && b->producer != -2 && a->seen->hist.n == x->seen->hist.n &&
           b->seen->hist.n == x->seen->hist.n && a->seen->channels == x->seen->channels && b->seen->channels == x->seen->channels ? add : -1;
}

static bool can(const struct vd_static *s, int i)
{
    const struct vd_onnx_node *n = &s->in->node[i];
    const struct vd_static_node *p = &s->node[i];
    if (p->kind == VD_STATIC_FLOAT || (s->o->fp32 && s->o->fp32[i]) || (p->kind == VD_STATIC_PAIR && n->n_in != 2) || n->n_in < 1 || p->result < 0)
        return false;
    for (int k = 0; k < activations(n, p->kind); k++)
        if (p->in[k] < 0 || s->value[p->in[k]].producer == -2 || (!s->value[p->in[k]].seen && !is_clamp(n)))
            return false;
    if ((s->o->float_sums && is_op(n, "Add")) || s->value[p->result].two_bytes)
        return false;
    return is_op(n, "MaxPool") || is_op(n, "AveragePool") ? !vd_onnx_attr(n, "dilations") : true;
}

/* Relu and Clip behind what is quantised become the end of its range: only where nobody reads the value before them. */
static bool clamp_bounds(const struct vd_static *s, const struct vd_onnx_node *n, float *lo, float *hi)
{
    *lo = is_op(n, "Relu") ? 0 : -FLT_MAX;
    *hi = FLT_MAX;
    if (is_op(n, "Clip")) {
        *lo = attr_float(n, "min", *lo);
        *hi = attr_float(n, "max", *hi);
        for (int k = 1; k < n->n_in; k++) {
            if (!*n->in[k])
                continue;
            const int c = vd_rewrite_constant(&s->r, n->in[k]);
            if (c < 0 || s->r.constant[c]->type != VD_F32 || s->r.constant[c]->count != 1)
                return false;
            *(k == 1 ? lo : hi) = vd_onnx_f32(s->r.constant[c], 0);
        }
    }
    return *lo <= 0 && *hi >= 0 && *lo < *hi; /* false for NaN */
}

static bool in_two_bytes(const struct vd_static *s, int i)
{
    return (s->o->two_bytes && s->o->two_bytes[i]) || (s->o->tails && s->o->tails[i]) ||
           (s->o->tails_all && s->node[i].kind == VD_STATIC_CONV && s->value[s->node[i].in[0]].can_tails);
}

/* Values that may have tails: a node writes them, and who reads them is a Conv, or reads floats. */
static void find_tails(struct vd_static *s)
{
    for (int v = 0; s->o->tails_all && v < s->n_value; v++)
        s->value[v].can_tails = s->value[v].producer >= 0;
    for (int i = 0; s->o->tails_all && i < s->in->n_node; i++) {
        const struct vd_onnx_node *n = &s->in->node[i];
        const enum vd_static_kind k = s->node[i].kind;
        for (int x = 0; x < n->n_in; x++)
            if (s->node[i].in[x] >= 0 && !(k == VD_STATIC_CONV && x == 0) && k != VD_STATIC_FLOAT && !is_op(n, "Add") && !is_clamp(n))
                s->value[s->node[i].in[x]].can_tails = false;
    }
}

/* v must not be rounded before it is read: a layer has it in two bytes, or sums are float and somebody reads it so. After choose(). */
static bool stays_float(const struct vd_static *s, int v)
{
    if (s->value[v].two_bytes)
        return true;
    for (int i = 0; s->o->float_sums && i < s->in->n_node; i++)
        for (int k = 0; k < s->in->node[i].n_in; k++)
            if (s->node[i].in[k] == v && !s->node[i].quantised)
                return true;
    return s->o->float_sums && s->value[v].is_out;
}

static void choose(struct vd_static *s)
{
    for (int i = s->in->n_node - 1; i >= 0 && !s->r.rc; i--) {
        const struct vd_onnx_node *n = &s->in->node[i];
        struct vd_static_node *p = &s->node[i];
        if (p->dropped)
            continue;
        const bool layer = p->kind == VD_STATIC_CONV || p->kind == VD_STATIC_PRODUCT;
        if (layer) {
            p->why = layer_why(s, n, i);
            if (!p->why && !s->r.rc && in_two_bytes(s, i) && p->kind != VD_STATIC_CONV)
                s->r.rc = vd_fail(EINVAL, "node %s (%s) cannot read its input in two bytes: only Conv can", vd_static_label(n), n->op_type);
            p->quantised = !p->why && !s->r.rc;
        } else if (can(s, i)) {
            p->quantised = s->value[p->result].wanted || s->value[p->result].through;
            s->rep->others += p->quantised;
            s->rep->others_left += !p->quantised;
        }
        if (!p->quantised) {
            if (layer)
                p->kind = VD_STATIC_FLOAT;
            continue;
        }
        float lo, hi;
        if (!is_clamp(n))
            for (int k = 0; k < activations(n, p->kind); k++) {
                s->value[p->in[k]].wanted = true;
                s->value[p->in[k]].two_bytes |= in_two_bytes(s, i);
                s->value[p->in[k]].fine |= s->o->two_bytes && s->o->two_bytes[i];
            }
        else
            s->value[p->in[0]].through = s->value[p->in[0]].reader == i && clamp_bounds(s, n, &lo, &hi);
    }
}

static void fold(struct vd_static *s)
{
    for (int i = 0; i < s->in->n_node; i++) {
        struct vd_static_node *p = &s->node[i];
        if (!p->quantised || p->dropped || p->kind == VD_STATIC_MOVE || p->kind == VD_STATIC_CONCAT)
            continue;
        for (;;) {
            const struct vd_static_value *v = &s->value[p->result];
            float lo, hi;
            const int c = v->reader;
            if (c < 0 || !is_clamp(&s->in->node[c]) || !s->node[c].quantised || s->node[c].in[0] != p->result ||
                !clamp_bounds(s, &s->in->node[c], &lo, &hi) || stays_float(s, s->node[c].result))
                break;
            struct vd_static_value *to = &s->value[s->node[c].result];
            to->clamp_lo = v->clamped ? fmaxf(v->clamp_lo, lo) : lo; /* both hold 0 */
            to->clamp_hi = v->clamped ? fminf(v->clamp_hi, hi) : hi;
            to->clamped = true;
            s->node[c].dropped = true;
            p->result = s->node[c].result;
        }
    }
    for (int i = 0; i < s->in->n_node; i++) /* a clamp by itself is an operator on floats */
        if (is_clamp(&s->in->node[i]) && s->node[i].quantised && !s->node[i].dropped) {
            s->node[i].quantised = false;
            s->rep->others--;
            s->rep->others_left++;
        }
}

static void tails(struct vd_static *s)
{
    for (int i = 0; i < s->in->n_node; i++) {
        struct vd_static_node *p = &s->node[i];
        if (!p->quantised || p->dropped)
            continue;
        if (p->kind == VD_STATIC_CONV || p->kind == VD_STATIC_PRODUCT)
            p->float_out = !s->value[p->result].wanted || stays_float(s, p->result) || s->value[p->in[0]].two_bytes;
        if (p->kind == VD_STATIC_CONV && p->float_out && !s->value[p->in[0]].two_bytes)
            p->split = spreads_over(s, i);
        if (p->split >= 0) {
            struct vd_static_node *add = &s->node[p->split];
            s->rep->others -= add->quantised;
            add->dropped = true;
            add->quantised = false;
            s->value[p->in[0]].wanted = false;
            s->value[add->in[0]].wanted = s->value[add->in[1]].wanted = true;
        }
    }
    for (int i = 0; i < s->in->n_node && !s->r.rc; i++)
        for (int k = 0; k < s->in->node[i].n_in && s->node[i].quantised && !s->node[i].dropped && s->node[i].kind != VD_STATIC_CONV; k++)
            if (s->node[i].in[k] >= 0 && s->value[s->node[i].in[k]].two_bytes)
                s->r.rc = vd_fail(EINVAL, "%s cannot be two bytes: node %s (%s) reads it in one", s->value[s->node[i].in[k]].name,
                                  vd_static_label(&s->in->node[i]), s->in->node[i].op_type);
    for (int i = 0; i < s->in->n_node; i++)
        if (s->node[i].quantised && !s->node[i].dropped && !s->node[i].float_out && s->node[i].kind != VD_STATIC_PRODUCT && !stays_float(s, s->node[i].result))
            s->value[s->node[i].result].bytes_first = true;
}

int vd_static_byte(float scale, int zp, float x)
{
    const float q = rintf(x / scale) + (float)zp;
    return q < 0 ? 0 : q > 255 ? 255 : (int)q;
}

void vd_static_range(float lo, float hi, float *scale, int *zp)
{
    *scale = (float)(((double)hi - (double)lo) / 255);
    if (!(*scale >= FLT_MIN)) /* nothing but 0 was seen */
        *scale = 1;
    *zp = (int)fminf(255, fmaxf(0, rintf(-lo / *scale)));
}

bool vd_static_must_clamp(struct vd_static *s, int v)
{
    const struct vd_static_value *x = &s->value[v], *r = vd_static_root(s, v);
    if (!x->clamped)
        return false;
    if (!x->bytes_first) {
        for (int i = 0; i < s->in->n_node; i++)
            for (int k = 0; k < s->in->node[i].n_in; k++)
                if (s->node[i].in[k] == v && !s->node[i].quantised && !s->node[i].dropped)
                    return true;
        if (x->is_out)
            return true;
    }
    return vd_static_byte(r->scale, r->zp, x->clamp_lo) > 0 || vd_static_byte(r->scale, r->zp, x->clamp_hi) < 255;
}

/* --- scales */

static int take_overrides(struct vd_static *s)
{
    for (int i = 0; i < s->o->n_override; i++) {
        const struct vd_static_override *o = &s->o->override[i];
        const int v = vd_names_find(&s->values, o->tensor);
        if (v < 0 || s->value[v].producer == -2)
            return vd_fail(EINVAL, "the overrides name %s, which is no activation of the model", o->tensor);
        if (!s->value[v].wanted)
            continue;
        struct vd_static_value *r = vd_static_root(s, v);
        if (o->has_range) {
            r->lo = o->lo;
            r->hi = o->hi;
        }
        if (o->symmetric) {
            r->hi = fmaxf(-r->lo, r->hi);
            r->lo = -r->hi;
        }
        if (o->has_scale) {
            r->forced = true;
            r->scale = o->scale;
            r->zp = o->zero_point;
            r->lo = (float)(0 - o->zero_point) * o->scale;
            r->hi = (float)(255 - o->zero_point) * o->scale;
        }
    }
    return 0;
}

static int set_scales(struct vd_static *s)
{
    for (int i = 0; i < s->in->n_node; i++) {
        const struct vd_static_node *p = &s->node[i];
        if (p->quantised && !p->dropped && (p->kind == VD_STATIC_MOVE || p->kind == VD_STATIC_CONCAT))
            for (int k = 0; k < activations(&s->in->node[i], p->kind); k++)
                join(s, p->in[k], p->result);
    }
    for (int v = 0; v < s->n_value; v++) {
        if (!s->value[v].wanted)
            continue;
        if (!s->value[v].seen)
            return vd_fail(EINVAL, "the calibration has no activation %s: calibrate this model again", s->value[v].name);
        float lo, hi;
        const struct vd_calib_tensor *seen = s->value[v].seen;
        const float more = seen->fixed ? 1 : s->value[v].fine ? VD_STATIC_ROOM : s->o->margin > 0 ? (float)s->o->margin : 1;
        vd_range(seen, s->o->calibration->frames, s->value[v].fine ? VD_RANGE_MINMAX : s->o->method, s->o->percentile, &lo, &hi);
        lo = fmaxf(lo * more, -FLT_MAX / 2);
        hi = fminf(hi * more, FLT_MAX / 2);
        struct vd_static_value *r = vd_static_root(s, v);
        r->lo = fminf(r->lo, lo);
        r->hi = fmaxf(r->hi, hi);
    }
    const int rc = take_overrides(s);
    for (int v = 0; v < s->n_value; v++) {
        struct vd_static_value *r = &s->value[v];
        if (r->root != v || r->forced)
            continue;
        vd_static_range(r->lo, r->hi, &r->scale, &r->zp);
    }
    return rc;
}

static void list_layers(struct vd_static *s)
{
    for (int i = 0; i < s->in->n_node; i++) {
        const struct vd_onnx_node *n = &s->in->node[i];
        const enum vd_static_kind k = kind_of(n);
        if (k != VD_STATIC_CONV && k != VD_STATIC_PRODUCT)
            continue;
        const struct vd_onnx_tensor *w = weights_of(s, n);
        struct vd_static_layer *l = &s->rep->layer[s->rep->n_layer++];
        *l = (struct vd_static_layer){.node = i, .name = vd_static_label(n), .op = n->op_type, .weights = w ? w->count : 0, .why_fp32 = s->node[i].why,
                                      .float_out = s->node[i].float_out, .two_bytes = s->node[i].quantised && s->value[s->node[i].in[0]].two_bytes};
        l->tails = l->two_bytes && !s->value[s->node[i].in[0]].fine;
        const struct vd_static_value *x = &s->value[s->node[i].in[0]];
        if (x->seen && s->node[i].quantised && s->node[i].split < 0) {
            const struct vd_static_value *r = vd_static_root(s, s->node[i].in[0]);
            l->in_lo = r->lo;
            l->in_hi = r->hi;
            l->clipped = vd_range_clipped(x->seen, r->lo, r->hi);
        }
        *(s->node[i].quantised ? &s->rep->quantised : &s->rep->skipped) += 1;
    }
}

int vd_static_plan(struct vd_static *s)
{
    int rc = know_values(s);
    if (rc)
        return rc;
    find_tails(s);
    choose(s);
    if ((rc = s->r.rc))
        return rc;
    fold(s);
    tails(s);
    if ((rc = s->r.rc) || (rc = set_scales(s)))
        return rc;
    list_layers(s);
    if (!s->rep->quantised)
        return vd_fail(ENOTSUP, "nothing to quantise: node %s (%s) stays in fp32 because %s", s->rep->layer[0].name, s->rep->layer[0].op,
                       s->rep->layer[0].why_fp32);
    return 0;
}
