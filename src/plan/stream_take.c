/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/stream_take.h"

#include <string.h>

static bool is(const struct vd_node *n, const char *name) { return !strcmp(n->op->name, name); }

static bool is_byte(int type) { return type == VD_U8 || type == VD_S8; }

/* A schedule is found by running it: what a file can make of that stays below a second. */
enum { MAX_ROWS_TIMES_NODES = 1 << 26, MAX_CONCAT = 64, MAX_POOL = 64 };

/* N, C, H, W of a size that streams carry. */
static bool picture_size(const struct vd_plan *p, int v)
{
    const struct vd_tensor *t = &p->t[v];
    if (t->rank != 4 || t->data)
        return false;
    if (t->dim[2] > MAX_ROWS_TIMES_NODES / (p->g->n_node + 1))
        return false;
    for (int i = 0; i < 4; i++)
        if (t->dim[i] < 1 || t->dim[i] > 1 << 24)
            return false;
    return true;
}

/* A tensor that streams carry: floats or bytes. */
static bool picture(const struct vd_plan *p, int v)
{
    return (p->t[v].type == VD_F32 || is_byte(p->t[v].type)) && picture_size(p, v);
}

static bool same(const struct vd_tensor *a, const struct vd_tensor *b)
{
    return a->type == b->type && a->rank == b->rank && !memcmp(a->dim, b->dim, (size_t)a->rank * sizeof(a->dim[0]));
}

static const struct vd_tensor *constant(const struct vd_plan *p, const struct vd_node *n, int i)
{
    return i < n->n_in && n->in[i] >= 0 ? p->g->value[n->in[i]].constant : NULL;
}

/* Input i is left out, or a constant; one: of one element. */
static bool known(const struct vd_plan *p, const struct vd_node *n, int i, bool one)
{
    const struct vd_tensor *c = constant(p, n, i);
    return i >= n->n_in || n->in[i] < 0 || (c && (!one || vd_tensor_count(c) == 1));
}

bool vd_stream_takes_product(const struct vd_plan *p, int i)
{
    const struct vd_node *n = &p->g->node[i];
    return p->band_rows != VD_NO_STREAMS && is(n, "ConvInteger") && p->rows[i] && is_byte(p->t[n->in[0]].type) && picture(p, n->in[0]) &&
           picture_size(p, n->out[0]) && known(p, n, 2, true);
}

static bool takes_conv(const struct vd_plan *p, const struct vd_step *s)
{
    const struct vd_fusion *f = s->fusion;
    const struct vd_tensor *x = &p->t[f->x], *y = &p->t[f->out];
    if (!p->rows[f->head] || !picture(p, f->x) || !picture(p, f->out))
        return false;
    if (!is(s->node, "QLinearConv")) {
        const struct vd_tensor *bias = f->bias < 0 ? NULL : p->g->value[f->bias].constant;
        if (f->scaled)
            return f->residual < 0 || picture(p, f->residual);
        return (f->dynamic || is(s->node, "Conv")) && x->type == VD_F32 && y->type == VD_F32 && (f->bias < 0 || (bias && bias->type == VD_F32)) &&
               (f->residual < 0 || picture(p, f->residual));
    }
    for (int i = 1; i < s->node->n_in; i++)
        if (!known(p, s->node, i, i != 3 && i != 4 && i != 5 && i != 8))
            return false;
    return is_byte(x->type) && is_byte(y->type);
}

/* Operators without a parameter that depends on the place: one input, or two that are rows or constants. */
static bool each_one(const struct vd_node *n)
{
    static const char *const names[] = {"Abs", "Neg", "Sqrt", "Exp", "Log", "Tanh", "Sigmoid", "Erf", "Floor", "Ceil", "Round", "Reciprocal", "LeakyRelu",
                                        "ThresholdedRelu", "Elu", "Selu", "Celu", "Softplus", "Softsign", "HardSigmoid", "HardSwish", "Mish", "Gelu",
                                        "Sin", "Cos", "Tan", "Sign"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (is(n, names[i]))
            return true;
    return false;
}

static bool each_two(const struct vd_node *n)
{
    return is(n, "Add") || is(n, "Sub") || is(n, "Mul") || is(n, "Div") || is(n, "Min") || is(n, "Max") || is(n, "Sum");
}

/* A float constant of one element, or one for each channel. */
static bool of_channels(const struct vd_tensor *c, int64_t channels)
{
    if (!c || c->type != VD_F32 || c->rank > 4)
        return false;
    const size_t n = vd_tensor_count(c);
    return n == 1 || (c->rank >= 3 && n == (size_t)channels && c->dim[c->rank - 3] == channels);
}

static bool takes_each(const struct vd_plan *p, const struct vd_node *n, const struct vd_tensor *y)
{
    bool rows = false;
    if (y->type != VD_F32 || n->n_in < 1 || !(n->n_in == 1 ? each_one(n) : n->n_in == 2 && each_two(n)))
        return false;
    for (int i = 0; i < n->n_in; i++) {
        if (n->in[i] < 0)
            return false;
        const bool row = picture(p, n->in[i]) && same(&p->t[n->in[i]], y);
        if (!row && !of_channels(constant(p, n, i), y->dim[1]))
            return false;
        rows = rows || row;
    }
    return rows;
}

static bool along_channels(const struct vd_node *n)
{
    const struct vd_onnx_attr *axis = vd_onnx_attr(n->proto, "axis");
    return axis && (axis->v.i == 1 || axis->v.i == -3);
}

static bool takes_concat(const struct vd_plan *p, const struct vd_node *n, const struct vd_tensor *y, int first, int step)
{
    if (n->n_in > MAX_CONCAT * step)
        return false;
    for (int i = first; i < n->n_in; i += step)
        if (n->in[i] < 0 || !picture(p, n->in[i]) || p->t[n->in[i]].type != y->type)
            return false;
    for (int i = 0; step == 3 && i < n->n_in; i++)
        if ((i < 2 || i % 3 != 2) && !known(p, n, i, true))
            return false;
    return along_channels(n);
}

/* Windows of an ordinary size: stream_pool.c looks at each tap. */
static bool takes_pool(const struct vd_plan *p, const struct vd_node *n, const struct vd_tensor *x)
{
    const struct vd_op_call call = {.node = n->proto, .opset = p->g->model->opset, .n_in = n->n_in};
    struct vd_window w;
    if (vd_window_infer(&call, x, NULL, &w))
        return false;
    for (int i = 0; i < 2; i++)
        if (w.kernel[i] > MAX_POOL || w.dilation[i] > MAX_POOL || w.stride[i] > MAX_POOL || w.pad_begin[i] > MAX_POOL * MAX_POOL)
            return false;
    return true;
}

bool vd_stream_pools_blocks(const struct vd_plan *p, const struct vd_step *s)
{
    const struct vd_tensor *x = s->fusion || !is(s->node, "GlobalAveragePool") ? NULL : &p->t[s->node->in[0]];
    return x && x->type == VD_F32 && x->rank == 4 && x->dim[1] > 1 && x->dim[2] * x->dim[3] <= VD_SMALL_PLANE;
}

enum vd_take vd_stream_take(const struct vd_plan *p, const struct vd_step *s)
{
    const struct vd_node *n = s->node;
    if (s->fusion)
        return takes_conv(p, s) ? VD_TAKE_CONV : VD_TAKE_NONE;
    if (n->n_out != 1 || n->n_in < 1 || n->in[0] < 0 || n->out[0] < 0 || !picture(p, n->out[0]))
        return VD_TAKE_NONE;
    const struct vd_tensor *x = &p->t[n->in[0]], *y = &p->t[n->out[0]];
    float lo, hi;
    if (is(n, "com.microsoft:QLinearConcat")) {
        if (!takes_concat(p, n, y, 2, 3))
            return n->n_in == 5 && n->in[2] >= 0 && picture(p, n->in[2]) && known(p, n, 0, true) && known(p, n, 1, true) && known(p, n, 3, true) && known(p, n, 4, true)
                       ? VD_TAKE_TABLE
                       : VD_TAKE_NONE;
        return n->n_in == 5 ? VD_TAKE_TABLE : VD_TAKE_CONCAT_U8;
    }
    if (is(n, "Concat"))
        return takes_concat(p, n, y, 0, 1) ? VD_TAKE_CONCAT : VD_TAKE_NONE;
    if (takes_each(p, n, y))
        return is(n, "Add") && !constant(p, n, 0) && !constant(p, n, 1) ? VD_TAKE_ADD_F32 : VD_TAKE_EACH;
    if (!picture(p, n->in[0]))
        return VD_TAKE_NONE;
    if (is(n, "Identity"))
        return VD_TAKE_ALIAS;
    if (is(n, "MaxPool") || (is(n, "AveragePool") && x->type == VD_F32))
        return takes_pool(p, n, x) ? VD_TAKE_POOL : VD_TAKE_NONE;
    if (x->type == VD_F32 && vd_lower_clamp(p->g, n, &lo, &hi))
        return VD_TAKE_CLAMP;
    if (is(n, "QuantizeLinear"))
        return x->type == VD_F32 && known(p, n, 1, true) && known(p, n, 2, true) ? VD_TAKE_QUANTIZE : VD_TAKE_NONE;
    if (is(n, "DequantizeLinear"))
        return is_byte(x->type) && known(p, n, 1, true) && known(p, n, 2, true) ? VD_TAKE_DEQUANTIZE : VD_TAKE_NONE;
    const bool table = is(n, "Clip") || is(n, "com.microsoft:QLinearSigmoid") || is(n, "com.microsoft:QLinearLeakyRelu");
    if (is_byte(x->type) && table) {
        bool all = true;
        for (int i = 1; i < n->n_in; i++)
            all = all && known(p, n, i, true);
        return all ? VD_TAKE_TABLE : VD_TAKE_NONE;
    }
    if (is(n, "com.microsoft:QLinearAdd")) {
        bool all = n->in[3] >= 0 && picture(p, n->in[3]) && same(x, y) && same(&p->t[n->in[3]], y);
        for (int i = 1; i < n->n_in; i++)
            all = all && (i == 3 || known(p, n, i, true));
        return all ? VD_TAKE_ADD_U8 : VD_TAKE_NONE;
    }
    return VD_TAKE_NONE;
}
