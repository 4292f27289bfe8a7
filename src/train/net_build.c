/* SPDX-License-Identifier: BSD-2-Clause */
/* From a graph to layers: shapes, parameters, maps. */
#include <math.h>
#include <string.h>

#include "common/checked.h"
#include "common/mem.h"
#include "train/net_priv.h"

static bool is(const struct vd_node *n, const char *name) { return !strcmp(n->op->name, name); }

int vd_net_refuse(const struct vd_node *n, const char *why)
{
    return vd_fail(EPERM, "node '%s' (%s) cannot be trained: %s", n->proto->name[0] ? n->proto->name : n->proto->out[0], n->op->name, why);
}

/* --- parameters --- */

static int64_t find_param(const struct vd_net *n, const char *name)
{
    for (int i = 0; i < n->n_param; i++)
        if (!strcmp(n->param[i].name, name))
            return (int64_t)n->param[i].offset;
    return VD_NONE_AT;
}

/* Input i of a node as a parameter of that many elements; added when it is new. */
static int take_param(struct vd_net *n, const struct vd_node *node, int i, size_t count, bool decay, int64_t *at)
{
    const struct vd_value *v = &n->g->value[node->in[i]];
    if (!v->constant || v->constant->type != VD_F32)
        return vd_net_refuse(node, "its weights are not float32 initialisers");
    if (vd_tensor_count(v->constant) != count)
        return vd_net_refuse(node, "its weights do not have the size that its input asks for");
    if (!vd_onnx_init(n->g->model, v->name))
        return vd_net_refuse(node, "its weights are computed from others");
    if ((*at = find_param(n, v->name)) != VD_NONE_AT)
        return 0;
    n->param[n->n_param++] = (struct vd_net_param){.name = v->name, .offset = n->count, .count = count, .decay = decay};
    *at = (int64_t)n->count;
    return vd_add(n->count, count, &n->count) && n->count <= INT32_MAX ? 0 : vd_fail(ERANGE, "too many parameters");
}

/* --- operators --- */

static bool constant_scalar(const struct vd_net *n, int v, float *out)
{
    const struct vd_tensor *t = n->g->value[v].constant;
    if (!t || t->type != VD_F32 || vd_tensor_count(t) != 1)
        return false;
    *out = *(const float *)t->data;
    return true;
}

static int clamp_bounds(const struct vd_net *n, const struct vd_node *node, float *lo, float *hi)
{
    *lo = is(node, "Relu") ? 0 : -INFINITY;
    *hi = INFINITY;
    const struct vd_onnx_attr *a = vd_onnx_attr(node->proto, "min"), *b = vd_onnx_attr(node->proto, "max");
    if (a)
        *lo = a->v.f;
    if (b)
        *hi = b->v.f;
    if ((node->n_in > 1 && node->in[1] >= 0 && !constant_scalar(n, node->in[1], lo)) ||
        (node->n_in > 2 && node->in[2] >= 0 && !constant_scalar(n, node->in[2], hi)) || !(*lo <= *hi))
        return vd_net_refuse(node, "its bounds are not constant numbers in order");
    return 0;
}

static int add_conv(const struct vd_op_call *c, const struct vd_node *node, struct vd_layer *l)
{
    const struct vd_tensor *x = c->in[0], *w = c->in[1], *y = c->out[0];
    struct vd_window win;
    int rc = vd_window_infer(c, x, w, &win);
    if (rc)
        return rc;
    const int64_t groups = vd_op_int(c, "group", 1);
    if (win.n != 2 || w->rank != 4)
        return vd_net_refuse(node, "it is not over two spatial dimensions");
    const bool depthwise = groups > 1 && groups == x->dim[1] && groups == y->dim[1];
    if (groups != 1 && !depthwise)
        return vd_net_refuse(node, "its groups are neither one nor one a channel with as many outputs");
    if (x->dim[1] == 1 && y->dim[1] == 1)
        return vd_net_refuse(node, "it goes from one channel to one");
    if (w->dim[2] > VD_TRAIN_MAX_KERNEL || w->dim[3] > VD_TRAIN_MAX_KERNEL || x->dim[1] > 4096 || y->dim[1] > 4096)
        return vd_net_refuse(node, "its kernel or its channels are too many");
    l->kind = VD_LAYER_CONV;
    l->shape = (struct vd_row_shape){
        .kind = depthwise ? VD_ROW_DEPTHWISE : x->dim[1] == 1 ? VD_ROW_FIRST : y->dim[1] == 1 ? VD_ROW_LAST : VD_ROW_DENSE,
        .ic = (int)x->dim[1], .oc = (int)y->dim[1], .kh = (int)w->dim[2], .kw = (int)w->dim[3], .stride = (int)win.stride[1],
        .dilation = (int)win.dilation[1],
    };
    l->stride_y = (int)win.stride[0];
    l->dilation_y = (int)win.dilation[0];
    l->top = (int)win.pad_begin[0];
    l->left = (int)win.pad_begin[1];
    const int64_t reach_y = (w->dim[2] - 1) * l->dilation_y, reach_x = (w->dim[3] - 1) * l->shape.dilation;
    if (l->stride_y != l->shape.stride)
        return vd_net_refuse(node, "its strides differ");
    if (l->top > reach_y || l->left > reach_x || reach_y > 255 || reach_x > 255)
        return vd_net_refuse(node, "its padding or its reach is too large");
    return 0;
}

static int add_layer(struct vd_net *n, const struct vd_op_call *c, const struct vd_node *node)
{
    struct vd_layer *l = &n->layer[n->n_layer];
    const struct vd_tensor *x = c->in[0], *y = c->out[0];
    int rc;

    *l = (struct vd_layer){.node = node, .in = {vd_net_root(n, node->in[0]), 0}, .out = node->out[0], .param = {VD_NONE_AT, VD_NONE_AT}};
    if (is(node, "Identity") || is(node, "Dropout") || is(node, "Flatten") || is(node, "Squeeze") || is(node, "Reshape")) {
        const bool vector = x->rank == 2 || (x->rank == 4 && x->dim[2] == 1 && x->dim[3] == 1);
        if (is(node, "Dropout"))
            return vd_net_refuse(node, "take it out of the graph");
        if (!is(node, "Identity") && (!vector || y->rank > 2 || (int64_t)vd_tensor_count(y) != x->dim[0] * x->dim[1]))
            return vd_net_refuse(node, "only a vector of channels, [N,C,1,1] to [N,C], can be reshaped");
        n->same[node->out[0]] = vd_net_root(n, node->in[0]);
        return 0;
    }
    if (is(node, "Conv")) {
        const struct vd_tensor *w = c->in[1];
        if ((rc = add_conv(c, node, l)) || (rc = take_param(n, node, 1, vd_tensor_count(w), true, &l->param[0])))
            return rc;
        if (node->n_in > 2 && node->in[2] >= 0 && (rc = take_param(n, node, 2, (size_t)l->shape.oc, false, &l->param[1])))
            return rc;
    } else if (is(node, "Gemm")) {
        const struct vd_tensor *w = c->in[1];
        if (vd_op_int(c, "transA", 0) || !vd_op_int(c, "transB", 0) || vd_op_float(c, "alpha", 1) != 1 || vd_op_float(c, "beta", 1) != 1)
            return vd_net_refuse(node, "transA 0, transB 1, alpha 1 and beta 1 are what is supported");
        if (w->dim[1] == 1 && w->dim[0] == 1)
            return vd_net_refuse(node, "it goes from one number to one");
        l->kind = VD_LAYER_CONV;
        l->shape = (struct vd_row_shape){.kind = w->dim[1] == 1 ? VD_ROW_FIRST : w->dim[0] == 1 ? VD_ROW_LAST : VD_ROW_DENSE, .ic = (int)w->dim[1],
                                         .oc = (int)w->dim[0], .kh = 1, .kw = 1, .stride = 1, .dilation = 1};
        l->stride_y = l->dilation_y = 1;
        if ((rc = take_param(n, node, 1, vd_tensor_count(w), true, &l->param[0])))
            return rc;
        if (node->n_in > 2 && node->in[2] >= 0 && (rc = take_param(n, node, 2, (size_t)l->shape.oc, false, &l->param[1])))
            return rc;
    } else if (is(node, "Relu") || is(node, "Clip")) {
        l->kind = VD_LAYER_CLAMP;
        l->clamp = true;
        if ((rc = clamp_bounds(n, node, &l->lo, &l->hi)))
            return rc;
    } else if (is(node, "Add")) {
        l->kind = VD_LAYER_ADD;
        l->in[1] = vd_net_root(n, node->in[1]);
        l->two = true;
        if (n->g->value[node->in[0]].constant || n->g->value[node->in[1]].constant || memcmp(c->in[0]->dim, c->in[1]->dim, sizeof(x->dim)) ||
            c->in[0]->rank != c->in[1]->rank)
            return vd_net_refuse(node, "its operands are not two computed tensors of one shape");
    } else if (is(node, "GlobalAveragePool") || is(node, "ReduceMean")) {
        l->kind = VD_LAYER_MEAN;
        if (x->rank != 4 || (int64_t)vd_tensor_count(y) != x->dim[0] * x->dim[1] || y->dim[1] != x->dim[1])
            return vd_net_refuse(node, "it is not a mean over height and width");
    } else if (is(node, "BatchNormalization")) {
        const size_t channels = (size_t)x->dim[1];
        l->kind = VD_LAYER_NORM;
        l->epsilon = (double)vd_op_float(c, "epsilon", 1e-5f);
        for (int i = 1; i < 5; i++)
            if (!c->in[i]->data || c->in[i]->type != VD_F32 || vd_tensor_count(c->in[i]) != channels)
                return vd_net_refuse(node, "its scale, shift, mean and variance are not float32 initialisers");
        for (int i = 0; i < 2; i++)
            if ((rc = take_param(n, node, 1 + i, channels, false, &l->param[i])))
                return rc;
        n->n_state += 2 * channels;
    } else {
        return vd_net_refuse(node, "its gradient is not known here");
    }
    n->n_layer++;
    return 0;
}

static int infer_layers(struct vd_net *n, struct vd_tensor *t)
{
    const struct vd_graph *g = n->g;
    for (int i = 0; i < g->n_value; i++) {
        n->same[i] = i;
        if (g->value[i].constant)
            t[i] = *g->value[i].constant;
    }
    for (int i = 0; i < g->n_node; i++) {
        const struct vd_node *node = &g->node[i];
        const struct vd_tensor **in = vd_net_take(n, (size_t)node->n_in, sizeof(*in));
        struct vd_tensor **out = vd_net_take(n, (size_t)node->n_out, sizeof(*out));
        if (!in || !out)
            return vd_nomem(0);
        for (int k = 0; k < node->n_in; k++)
            in[k] = node->in[k] < 0 ? NULL : &t[node->in[k]];
        for (int k = 0; k < node->n_out; k++)
            out[k] = node->out[k] < 0 ? NULL : &t[node->out[k]];
        int rc = vd_node_infer(node, g->model->opset, in, out, &n->arena);
        const struct vd_op_call c = {.node = node->proto, .opset = g->model->opset, .n_in = node->n_in, .n_out = node->n_out, .in = in, .out = out};
        if (rc || (rc = add_layer(n, &c, node)))
            return rc;
    }
    return 0;
}

/* A clamp behind a convolution that nobody else reads becomes part of it; one that makes the output goes. */
static void join_clamps(struct vd_net *n)
{
    int *readers = vd_net_take(n, (size_t)n->g->n_value, sizeof(*readers)), kept = 0;
    if (!readers)
        return; /* a saving, no need */
    for (int i = 0; i < n->n_layer; i++)
        for (int k = 0; k < (n->layer[i].kind == VD_LAYER_ADD ? 2 : 1); k++)
            readers[n->layer[i].in[k]]++;
    for (int i = 0; i < n->n_layer; i++) {
        struct vd_layer *l = &n->layer[i];
        bool joined = false;
        l->in[0] = vd_net_root(n, l->in[0]);
        l->in[1] = l->kind == VD_LAYER_ADD ? vd_net_root(n, l->in[1]) : 0;
        if (l->kind == VD_LAYER_CLAMP && vd_net_root(n, n->output) == l->out) {
            n->same[l->out] = l->in[0];
            continue;
        }
        for (int k = 0; k < kept && l->kind == VD_LAYER_CLAMP; k++) {
            struct vd_layer *conv = &n->layer[k];
            if (conv->out != l->in[0] || conv->kind != VD_LAYER_CONV || conv->clamp || readers[conv->out] != 1)
                continue;
            conv->clamp = joined = true;
            conv->lo = l->lo;
            conv->hi = l->hi;
            n->same[l->out] = conv->out;
        }
        if (!joined)
            n->layer[kept++] = *l;
    }
    n->n_layer = kept;
    n->output = vd_net_root(n, n->output);
}

/* --- maps --- */

static int border_of(const struct vd_layer *l)
{
    /* forwards the padding reaches out; backwards what the turned kernel reaches */
    const int ry = (l->shape.kh - 1) * l->dilation_y, rx = (l->shape.kw - 1) * l->shape.dilation;
    const int reach = ry > rx ? ry : rx;
    return reach;
}

static int make_map(struct vd_net *n, const struct vd_tensor *t, int v)
{
    const struct vd_tensor *s = &t[v];
    const bool picture = s->rank == 4;
    int border = 0, stride = 1;
    if ((s->rank != 4 && s->rank != 2 && s->rank != 1) || s->dim[0] != 1)
        return vd_fail(EPERM, "a tensor of rank %d is not one that can be trained through: [N,C,H,W] and [N,C] are", s->rank);
    for (int i = 0; i < n->n_layer; i++) {
        const struct vd_layer *l = &n->layer[i];
        if (l->kind != VD_LAYER_CONV || (l->in[0] != v && l->out != v && !(l->two && l->in[1] == v)))
            continue;
        border = border_of(l) > border ? border_of(l) : border;
        stride = l->out != v && l->shape.stride > stride ? l->shape.stride : stride;
    }
    const int64_t c = s->rank == 1 ? 1 : s->dim[1], h = picture ? s->dim[2] : 1, w = picture ? s->dim[3] : 1;
    if (c > 4096 || h > 65536 || w > 65536)
        return vd_fail(ERANGE, "a tensor of %lldx%lldx%lld is too large to train on", (long long)c, (long long)h, (long long)w);
    return vd_map_init(&n->value[v].map, (int)c, (int)h, (int)w, c == 1, border, VD_ROW_SLACK * stride);
}

static int make_maps(struct vd_net *n, const struct vd_tensor *t)
{
    size_t at = 0;
    int rc;
    for (int i = -1; i < n->n_layer; i++) {
        const int v = i < 0 ? n->input : n->layer[i].out;
        struct vd_net_value *value = &n->value[v];
        if ((rc = make_map(n, t, v)))
            return rc;
        value->grad = i >= 0; /* every layer here has parameters or reads what has */
        if (i >= 0 && n->layer[i].kind != VD_LAYER_CONV && n->layer[i].kind != VD_LAYER_NORM) {
            value->grad = n->value[n->layer[i].in[0]].grad || (n->layer[i].two && n->value[n->layer[i].in[1]].grad) ||
                          (value->range != VD_NONE_AT && n->range[value->range].param != VD_NONE_AT);
        }
        value->data_at = at;
        value->grad_at = at + value->map.size;
        value->steps_at = at + 2 * value->map.size;
        if (!vd_add(at, (value->range == VD_NONE_AT ? 2 : 3) * value->map.size, &at) || at > (size_t)1 << 33)
            return vd_fail(ERANGE, "the tensors of one sample are too large to train on");
    }
    n->work_floats = at;
    return 0;
}

/* The gradient of the range of what l writes has a place in a sample's slot. */
static void place_range(struct vd_net *n, struct vd_layer *l)
{
    if (n->value[l->out].range == VD_NONE_AT)
        return;
    l->slot_range = n->slot;
    if (!l->slot_end)
        l->slot[0] = n->slot;
    n->slot = l->slot_end = n->slot + VD_LANES;
}

/* --- convolutions placed --- */

static int place_conv(struct vd_net *n, struct vd_layer *l)
{
    static const enum vd_row_conv_kind turned[VD_ROW_KINDS] = {[VD_ROW_DENSE] = VD_ROW_DENSE, [VD_ROW_FIRST] = VD_ROW_LAST,
                                                                [VD_ROW_LAST] = VD_ROW_FIRST, [VD_ROW_DEPTHWISE] = VD_ROW_DEPTHWISE};
    const struct vd_row_kernels *k = &n->k->row;
    const struct vd_row_shape *s = &l->shape;
    const struct vd_net_value *x = &n->value[l->in[0]], *y = &n->value[l->out];
    int rc;

    l->back = *s;
    l->back.kind = turned[s->kind];
    l->back.ic = s->oc;
    l->back.oc = s->ic;
    l->back.stride = 1;
    const bool can = k->conv_wino && s->kind == VD_ROW_DENSE && s->kw == 3 && s->dilation == 1;
    const bool grad = x->grad || (l->two && n->value[l->in[1]].grad);
    l->wino = can && s->stride == 1 && l->dilation_y == 1 && !l->quant;
    l->wino_back = can && l->dilation_y == 1;
    const int bt = (s->kh - 1) * l->dilation_y - l->top, bl = (s->kw - 1) * s->dilation - l->left;
    if (s->stride > 1 && grad &&
        (rc = vd_map_init(&l->spread, y->map.c, x->map.h + l->top, x->map.w + l->left, y->map.thin, bt > bl ? bt : bl, VD_ROW_SLACK)))
        return rc;
    if (!l->quant)
        l->pack = vd_net_take(n, (l->wino ? k->pack_wino : k->pack_f32[s->kind])(s, NULL, NULL) + 64, 1);
    else if ((rc = vd_net_place_quant(n, l)))
        return rc;
    if (grad)
        l->pack_back = vd_net_take(n, (l->wino_back ? k->pack_wino : k->pack_f32[l->back.kind])(&l->back, NULL, NULL) + 64, 1);
    if (l->param[1] != VD_NONE_AT)
        l->bias = vd_net_take(n, ((size_t)s->oc + 2 * VD_LANES - 1) / VD_LANES * VD_LANES, sizeof(float));
    if (!l->pack || (grad && !l->pack_back) || (l->param[1] != VD_NONE_AT && !l->bias))
        return vd_nomem(0);
    l->slot[0] = n->slot;
    l->slot[1] = n->slot + vd_row_grad_size(s);
    n->slot = l->slot_end = l->slot[1] + ((size_t)s->oc + VD_LANES - 1) / VD_LANES * VD_LANES;
    place_range(n, l);
    const size_t scratch = vd_conv_scratch(l, n->value, n->k);
    n->scratch_floats = scratch > n->scratch_floats ? scratch : n->scratch_floats;
    return 0;
}

static int place_norm(struct vd_net *n, struct vd_layer *l, size_t *state)
{
    const size_t c = (size_t)n->value[l->out].map.c;
    l->mean = vd_net_take(n, c, sizeof(double));
    l->inv_std = vd_net_take(n, c, sizeof(double));
    l->back_mean = vd_net_take(n, 2 * c, sizeof(double));
    l->sum = vd_net_take(n, (size_t)n->o.batch * 2 * c, sizeof(double));
    if (!l->mean || !l->inv_std || !l->back_mean || !l->sum)
        return vd_nomem(0);
    l->running = n->state + *state;
    *state += 2 * c;
    for (size_t i = 0; i < c; i++) {
        l->running[i] = (double)((const float *)n->g->value[l->node->in[3]].constant->data)[i];
        l->running[c + i] = (double)((const float *)n->g->value[l->node->in[4]].constant->data)[i];
    }
    l->slot[0] = n->slot;
    l->slot[1] = n->slot + (c + VD_LANES - 1) / VD_LANES * VD_LANES;
    n->slot = l->slot_end = l->slot[1] + (c + VD_LANES - 1) / VD_LANES * VD_LANES;
    return 0;
}

/* The layer that makes the output, when that is to be scaled. */
const struct vd_layer *vd_net_scaled(const struct vd_net *n)
{
    for (int i = 0; i < n->n_layer && n->o.output_scale != 0 && n->o.output_scale != 1 && !n->o.layout; i++)
        if (n->layer[i].out == n->output)
            return &n->layer[i];
    return NULL;
}

static int scale_output(struct vd_net *n, double factor)
{
    const struct vd_layer *l = vd_net_scaled(n);
    if (!l)
        return 0;
    if (l->kind != VD_LAYER_CONV || l->clamp)
        return vd_net_refuse(l->node, "an output that is scaled must come from a Conv or a Gemm");
    for (int i = 0; i < n->n_param; i++)
        if ((int64_t)n->param[i].offset == l->param[0] || (int64_t)n->param[i].offset == l->param[1])
            for (size_t k = 0; k < n->param[i].count; k++) {
                float *w = n->params + n->param[i].offset + k;
                *w = (float)((double)*w * factor);
            }
    return 0;
}

int vd_net_build(struct vd_net *n)
{
    const struct vd_graph *g = n->g;
    const size_t values = (size_t)g->n_value + 2 * (size_t)g->n_node, spots = n->o.layout ? (size_t)n->o.layout->n_spot : 0; /* ROUND layers: an input each */
    struct vd_tensor *t = vd_net_take(n, values, sizeof(*t));
    const struct vd_onnx_value *x = g->n_in == 1 ? &g->model->in[0] : NULL;
    n->layer = vd_net_take(n, 3 * (size_t)g->n_node, sizeof(*n->layer));
    n->value = vd_net_take(n, values, sizeof(*n->value));
    n->same = vd_net_take(n, values, sizeof(*n->same));
    n->param = vd_net_take(n, (size_t)g->n_value + spots, sizeof(*n->param));
    n->n_value = g->n_value;
    for (size_t i = 0; n->value && i < values; i++)
        n->value[i].range = VD_NONE_AT;
    if (!t || !n->layer || !n->value || !n->same || !n->param)
        return vd_nomem(0);
    if (!x || g->n_out != 1 || x->type != VD_F32 || x->rank != 4 || x->dim[1] < 1)
        return vd_fail(EPERM, "a model with one float32 input [N,C,H,W] and one output can be trained; this one has %d inputs, %d outputs",
                       g->n_in, g->n_out);
    t[0] = (struct vd_tensor){.type = VD_F32, .rank = 4, .dim = {1, x->dim[1], n->o.height, n->o.width}};
    n->output = g->out[0];
    int rc = infer_layers(n, t);
    if (rc)
        return rc;
    if (n->o.layout && (rc = vd_net_quantise(n, t)))
        return rc;
    if (!n->o.layout)
        join_clamps(n);
    if (!n->n_layer || !n->count)
        return vd_fail(EPERM, "there is nothing in the model to train");
    if ((rc = make_maps(n, t)) || (rc = vd_net_place_bytes(n)))
        return rc;
    n->params = vd_net_take(n, n->count, sizeof(float));
    n->grads = vd_net_take(n, n->count, sizeof(float));
    n->turned = vd_net_take(n, n->count, sizeof(float));
    n->state = n->n_state ? vd_net_take(n, n->n_state, sizeof(double)) : NULL;
    if (!n->params || !n->grads || !n->turned || (n->n_state && !n->state))
        return vd_nomem(n->count * 3 * sizeof(float));
    for (int i = 0; i < n->n_param && !n->param[i].range; i++) {
        const struct vd_onnx_tensor *w = vd_onnx_init(g->model, n->param[i].name);
        for (size_t k = 0; k < n->param[i].count; k++)
            n->params[n->param[i].offset + k] = vd_onnx_f32(w, k);
    }
    if ((rc = scale_output(n, 1 / n->o.output_scale)))
        return rc;
    size_t state = 0;
    for (int i = 0; !rc && i < n->n_layer; i++) {
        n->norms += n->layer[i].kind == VD_LAYER_NORM;
        if (n->layer[i].kind == VD_LAYER_CONV)
            rc = place_conv(n, &n->layer[i]);
        else if (n->layer[i].kind == VD_LAYER_NORM)
            rc = place_norm(n, &n->layer[i], &state);
        else
            place_range(n, &n->layer[i]);
    }
    if (!rc && n->n_range)
        vd_net_begin_ranges(n, &state);
    return rc;
}
