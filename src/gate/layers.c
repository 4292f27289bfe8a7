/* SPDX-License-Identifier: BSD-2-Clause */
#include "gate/layers.h"

#include <string.h>

#include "common/mem.h"
#include "common/names.h"
#include "common/status.h"

struct match {
    struct vd_layers *l;
    const struct vd_onnx_model *a, *b; /* fp32, int8 */
    struct vd_graph g;                 /* of a: what is computed, in order */
    struct vd_names made;              /* value of b: the node that computes it, or -1 - i: graph input i */
    struct vd_names points;            /* value of b: the point that it is */
    struct vd_names fp32_points;
    int *stack;                        /* nodes of b */
    bool *seen;                        /* by node of b */
    bool *is_in;                       /* by point */
};

enum { NOTHING = -1 };

static int maker(const struct match *m, const char *name) { return vd_names_find(&m->made, name) - 1; }
/* Stored with 1 more, since names have no negative indices: node i is i + 1, any graph input 0. */
static bool computed(const struct match *m, const char *name) { return vd_names_find(&m->made, name) >= 0; }

static const struct vd_onnx_tensor *scalar(const struct match *m, const char *name)
{
    const struct vd_onnx_tensor *t = vd_onnx_init(m->b, name);
    return t && t->count == 1 ? t : NULL;
}

/* The int8 graph's value of y; name NULL: it has none. As ONNX Runtime's quantiser names what it rounds, or this project's. A value whose rounding
 * left a rest that is read as well is that value. */
static int realise(struct match *m, const char *y, struct vd_probe_value *v)
{
    static const char *const words[2][3] = {{"_DequantizeLinear_Output", "_quantized", "_zero_point"}, {"_dq", "_q", "_zp"}};
    struct vd_arena *a = &m->l->arena;
    *v = (struct vd_probe_value){NULL, NULL, NULL, 0};
    const char *rest = vd_arena_printf(a, "%s_rest_q", y), *scale = vd_arena_printf(a, "%s_scale", y);
    for (int i = 0; i < 2 && !v->name; i++) {
        const char *seen = vd_arena_printf(a, "%s%s", y, words[i][0]), *bytes = vd_arena_printf(a, "%s%s", y, words[i][1]);
        const char *zero = vd_arena_printf(a, "%s%s", y, words[i][2]);
        if (!rest || !scale || !seen || !bytes || !zero)
            return vd_nomem(strlen(y));
        if (computed(m, seen) && !computed(m, rest))
            v->name = seen;
        else if (computed(m, bytes) && !computed(m, y) && scalar(m, scale) && scalar(m, zero))
            *v = (struct vd_probe_value){bytes, scale, zero, 0};
    }
    if (!v->name && computed(m, y))
        v->name = y;
    return 0;
}

static bool one_of(const char *op, const char *const *list)
{
    const char *colon = strrchr(op, ':');
    for (op = colon ? colon + 1 : op; *list; list++)
        if (!strcmp(op, *list))
            return true;
    return false;
}

static bool is_integer(const char *op)
{
    static const char *const list[] = {"DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "QuantizeLinear", "DequantizeLinear", "QGemm", NULL};
    const char *colon = strrchr(op, ':');
    return one_of(op, list) || !strncmp(colon ? colon + 1 : op, "QLinear", 7);
}

/* How much of a layer's work an operator is: the node that is named for it. */
static int weight_of(const char *op)
{
    static const char *const heavy[] = {"ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul", "QGemm", "Conv", "MatMul", "Gemm",
                                        "ConvTranspose", NULL};
    static const char *const light[] = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Cast", "Mul", "Add", NULL};
    return one_of(op, heavy) ? 3 : one_of(op, light) ? 1 : 2;
}

/* --- values that both have */

static int index_int8(struct match *m)
{
    size_t n = (size_t)m->b->n_in + 1;
    for (int i = 0; i < m->b->n_node; i++)
        n += (size_t)m->b->node[i].n_out;
    int rc = vd_names_init(&m->made, &m->l->arena, n);
    for (int i = 0; !rc && i < m->b->n_in; i++)
        vd_names_add(&m->made, m->b->in[i].name, 0);
    for (int i = 0; !rc && i < m->b->n_node; i++)
        for (int k = 0; k < m->b->node[i].n_out; k++)
            if (*m->b->node[i].out[k])
                vd_names_add(&m->made, m->b->node[i].out[k], i + 1);
    return rc;
}

static int add_point(struct match *m, const char *name)
{
    struct vd_layers *l = m->l;
    struct vd_probe_value v;
    const int rc = realise(m, name, &v);
    if (rc || !v.name)
        return rc;
    vd_names_add(&m->points, v.name, l->n_point);
    vd_names_add(&m->fp32_points, name, l->n_point);
    l->point[l->n_point++] = (struct vd_point){name, v};
    return 0;
}

/* A Relu or Clip that was folded into the rounding of what it reads: that value of the int8 graph is what it gives in the fp32 graph. */
static void follow_folded(struct match *m)
{
    for (int i = 0; i < m->g.n_node; i++) {
        const struct vd_node *n = &m->g.node[i];
        if ((strcmp(n->op->name, "Relu") && strcmp(n->op->name, "Clip")) || n->in[0] < 0 || n->out[0] < 0)
            continue;
        const struct vd_value *x = &m->g.value[n->in[0]], *y = &m->g.value[n->out[0]];
        const int p = vd_names_find(&m->fp32_points, x->name);
        if (p < 0 || x->producer < 0 || x->uses != 1 || vd_names_find(&m->fp32_points, y->name) >= 0)
            continue;
        m->l->point[p].fp32 = y->name;
        vd_names_add(&m->fp32_points, y->name, p);
    }
}

static int find_points(struct match *m)
{
    struct vd_layers *l = m->l;
    size_t n = (size_t)m->g.n_in + 1;
    for (int i = 0; i < m->g.n_node; i++)
        n += (size_t)m->g.node[i].n_out;
    l->point = vd_arena_array(&l->arena, n, sizeof(*l->point));
    l->layer = vd_arena_array(&l->arena, n, sizeof(*l->layer));
    m->is_in = vd_arena_array(&l->arena, n, sizeof(*m->is_in));
    m->stack = vd_arena_array(&l->arena, (size_t)m->b->n_node + 1, sizeof(*m->stack));
    m->seen = vd_arena_array(&l->arena, (size_t)m->b->n_node + 1, sizeof(*m->seen));
    if (!l->point || !l->layer || !m->is_in || !m->stack || !m->seen)
        return vd_nomem(n * sizeof(*l->layer));
    int rc = vd_names_init(&m->points, &l->arena, n);
    if (!rc)
        rc = vd_names_init(&m->fp32_points, &l->arena, 2 * n);
    for (int i = 0; !rc && i < m->g.n_in; i++) /* an input stays what the caller gives: its rounding is the first layer's */
        if (computed(m, m->g.value[i].name)) {
            vd_names_add(&m->points, m->g.value[i].name, l->n_point);
            vd_names_add(&m->fp32_points, m->g.value[i].name, l->n_point);
            l->point[l->n_point++] = (struct vd_point){m->g.value[i].name, {m->g.value[i].name, NULL, NULL, 0}};
        }
    for (int i = 0; !rc && i < m->g.n_node; i++)
        for (int k = 0; !rc && k < m->g.node[i].n_out; k++)
            if (m->g.node[i].out[k] >= 0)
                rc = add_point(m, m->g.value[m->g.node[i].out[k]].name);
    if (!rc)
        follow_folded(m);
    return rc;
}

/* --- what lies between them */

static bool other_weights(const struct match *m, const struct vd_onnx_node *n)
{
    for (int k = 0; k < n->n_in; k++) {
        const struct vd_onnx_tensor *t = vd_onnx_init(m->b, n->in[k]), *u = t ? vd_onnx_init(m->a, n->in[k]) : NULL;
        if (t && (!u || t->size != u->size || memcmp(t->data, u->data, t->size)))
            return true;
    }
    return false;
}

/* Back from a point to those before it. */
static int walk(struct match *m, struct vd_layer *y)
{
    struct vd_layers *l = m->l;
    const struct vd_onnx_model *b = m->b;
    int n = 0, best = 0;
    memset(m->seen, 0, (size_t)b->n_node * sizeof(*m->seen));
    memset(m->is_in, 0, (size_t)l->n_point * sizeof(*m->is_in));
    y->int8_index = NOTHING;
    const int first = maker(m, l->point[y->out].int8.name);
    if (first < 0)
        return 0; /* a graph input */
    m->stack[n++] = first;
    m->seen[first] = true;
    while (n) {
        const int at = m->stack[--n];
        const struct vd_onnx_node *node = &b->node[at];
        const int weight = weight_of(node->op_type);
        if (weight > best)
            best = weight, y->int8_index = at;
        y->quantised |= is_integer(node->op_type) || other_weights(m, node);
        for (int k = 0; k < node->n_in; k++) {
            if (!*node->in[k] || !computed(m, node->in[k]))
                continue;
            const int p = vd_names_find(&m->points, node->in[k]), before = maker(m, node->in[k]);
            if (p >= 0) {
                y->n_in += !m->is_in[p];
                m->is_in[p] = true;
            } else if (before >= 0 && !m->seen[before]) {
                m->seen[before] = true;
                m->stack[n++] = before;
            }
        }
    }
    y->in = vd_arena_array(&l->arena, (size_t)y->n_in + 1, sizeof(*y->in));
    if (!y->in)
        return vd_nomem((size_t)y->n_in * sizeof(*y->in));
    for (int p = 0, i = 0; p < l->n_point; p++)
        if (m->is_in[p])
            y->in[i++] = p;
    y->int8_op = b->node[y->int8_index].op_type;
    y->int8_name = *b->node[y->int8_index].name ? b->node[y->int8_index].name : b->node[y->int8_index].out[0];
    return 0;
}

/* The node that a layer is named for: what computes its value, or the heavier one that it finishes (Relu after Conv), as far as that gives no
 * value that both have. */
static const struct vd_onnx_node *main_node(const struct match *m, const struct vd_node *n)
{
    while (weight_of(n->proto->op_type) < 3) {
        const struct vd_node *before = NULL;
        for (int k = 0; k < n->n_in; k++) {
            const struct vd_value *v = n->in[k] < 0 ? NULL : &m->g.value[n->in[k]];
            if (!v || v->constant)
                continue;
            if (before || v->producer < 0 || vd_names_find(&m->fp32_points, v->name) >= 0)
                return n->proto;
            before = &m->g.node[v->producer];
        }
        if (!before)
            break;
        n = before;
    }
    return n->proto;
}

static int find_layers(struct match *m)
{
    struct vd_layers *l = m->l;
    bool *done = vd_arena_array(&l->arena, (size_t)l->n_point + 1, sizeof(*done));
    int rc = done ? 0 : vd_nomem((unsigned long long)l->n_point);
    for (int i = 0; !rc && i < m->g.n_node; i++)
        for (int k = 0; !rc && k < m->g.node[i].n_out; k++) {
            const char *name = m->g.node[i].out[k] >= 0 ? m->g.value[m->g.node[i].out[k]].name : "";
            const int p = vd_names_find(&m->fp32_points, name);
            if (p < 0 || done[p])
                continue;
            const struct vd_onnx_node *proto = main_node(m, &m->g.node[i]);
            struct vd_layer *y = &l->layer[l->n_layer];
            done[p] = true;
            *y = (struct vd_layer){.name = *proto->name ? proto->name : name, .op = proto->op_type, .out = p};
            rc = walk(m, y);
            l->n_layer += y->int8_index >= 0;
        }
    return rc;
}

/* --- activations that are rounded */

static bool limits(const struct vd_onnx_tensor *scale, const struct vd_onnx_tensor *zero, double *lo, double *hi)
{
    if (scale->type != VD_F32)
        return false;
    const double s = (double)vd_onnx_f32(scale, 0);
    const int type = zero ? zero->type : VD_U8;
    const double z = !zero ? 0 : type == VD_S8 ? (double)(int8_t)zero->data[0] : type == VD_U8 ? zero->data[0] : 0;
    if (type != VD_S8 && type != VD_U8)
        return false;
    *lo = s * ((type == VD_S8 ? -128 : 0) - z);
    *hi = s * ((type == VD_S8 ? 127 : 255) - z);
    return true;
}

/* The fp32 graph's value behind a name of the int8 graph, NULL: none. */
static const char *fp32_name(const struct match *m, const char *name)
{
    static const char suffix[] = "_QuantizeLinear_Input";
    const size_t n = strlen(name), cut = sizeof suffix - 1;
    int p = vd_names_find(&m->fp32_points, name);
    if (p < 0 && n > cut && !strcmp(name + n - cut, suffix)) {
        for (int i = 0; i < m->l->n_point; i++)
            if (strlen(m->l->point[i].fp32) == n - cut && !memcmp(m->l->point[i].fp32, name, n - cut))
                p = i;
    }
    return p < 0 ? NULL : m->l->point[p].fp32;
}

static void add_rounded(struct match *m, const struct vd_rounded *r)
{
    for (int i = 0; i < m->l->n_rounded; i++)
        if (!strcmp(m->l->rounded[i].fp32, r->fp32))
            return;
    m->l->rounded[m->l->n_rounded++] = *r;
}

static int find_rounded(struct match *m)
{
    struct vd_layers *l = m->l;
    l->rounded = vd_arena_array(&l->arena, (size_t)l->n_point + 1, sizeof(*l->rounded));
    if (!l->rounded)
        return vd_nomem((size_t)l->n_point * sizeof(*l->rounded));
    for (int i = 0; i < m->b->n_node; i++) {
        const struct vd_onnx_node *n = &m->b->node[i];
        struct vd_rounded r = {.dynamic = !strcmp(n->op_type, "DynamicQuantizeLinear")};
        if ((!r.dynamic && strcmp(n->op_type, "QuantizeLinear")) || n->n_in < 1 || !(r.fp32 = fp32_name(m, n->in[0])))
            continue;
        if (!r.dynamic) {
            const struct vd_onnx_tensor *s = n->n_in > 1 ? scalar(m, n->in[1]) : NULL, *z = n->n_in > 2 ? scalar(m, n->in[2]) : NULL;
            if (!s || !limits(s, z, &r.lo, &r.hi))
                continue;
        }
        add_rounded(m, &r);
    }
    for (int p = 0; p < l->n_point; p++) {
        const struct vd_probe_value *v = &l->point[p].int8;
        struct vd_rounded r = {.fp32 = l->point[p].fp32};
        if (v->scale && limits(scalar(m, v->scale), scalar(m, v->zero_point), &r.lo, &r.hi))
            add_rounded(m, &r);
    }
    return 0;
}

int vd_layers_match(struct vd_layers *l, const struct vd_onnx_model *fp32, const struct vd_onnx_model *int8)
{
    struct match m = {.l = l, .a = fp32, .b = int8};
    *l = (struct vd_layers){0};
    int rc = vd_graph_build(&m.g, fp32);
    if (!rc) {
        rc = index_int8(&m);
        if (!rc)
            rc = find_points(&m);
        if (!rc)
            rc = find_layers(&m);
        if (!rc)
            rc = find_rounded(&m);
        /* Names of values lie in the models, not in the graph that is freed here. */
        vd_graph_free(&m.g);
    }
    if (!rc && !l->n_layer)
        rc = vd_fail(EBADMSG, "the fp32 and the int8 graph have no value of one name, so that their layers cannot be told apart");
    if (rc)
        vd_layers_free(l);
    return rc;
}

void vd_layers_free(struct vd_layers *l)
{
    vd_arena_free(&l->arena);
    *l = (struct vd_layers){0};
}
