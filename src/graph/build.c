/* SPDX-License-Identifier: BSD-2-Clause */
#include <limits.h>
#include <string.h>

#include "common/checked.h"
#include "common/names.h"
#include "graph/graph.h"
#include "graph/qdq.h"

/* Constants computed from constants stay below this and twice the bytes of the file's own, in all, and computing them below so much work;
 * what is over it is computed in each run instead. Bounds what a small hostile file can make of itself when it is opened. */
enum { FOLD_ROOM = 4 << 20, WORK_EACH = 16 };

struct room { size_t bytes; double work; };

static struct room fold_room(const struct vd_onnx_model *m)
{
    size_t own = 0; /* each is a part of the file, but for what was read of typed data */
    for (int i = 0; i < m->n_init; i++)
        own += m->init[i].size;
    return (struct room){FOLD_ROOM + 2 * own, VD_EVAL_ROOM + WORK_EACH * (double)own};
}

struct build {
    struct vd_graph *g;
    const struct vd_onnx_model *m;
    struct vd_names names;
};

static void *take(struct vd_graph *g, size_t count, size_t size) { return vd_arena_array(&g->arena, count ? count : 1, size); }

/* The file's bytes, or an aligned copy where the file has them at an odd place. */
static const struct vd_tensor *constant_of(struct vd_graph *g, const struct vd_onnx_tensor *t)
{
    struct vd_tensor *c = take(g, 1, sizeof(*c));
    if (!c)
        return NULL;
    c->type = t->type;
    c->rank = t->rank;
    memcpy(c->dim, t->dim, sizeof(c->dim));
    if ((uintptr_t)t->data % vd_type_size(t->type) == 0 && t->size) {
        c->data = (void *)(uintptr_t)t->data; /* never written: constants are inputs only */
        return c;
    }
    c->data = take(g, t->size + 1, 1);
    if (c->data && t->size)
        memcpy(c->data, t->data, t->size);
    return c->data ? c : NULL;
}

static int collect_values(struct build *b)
{
    struct vd_graph *g = b->g;
    const struct vd_onnx_model *m = b->m;
    size_t count = (size_t)m->n_in + (size_t)m->n_init;
    for (int i = 0; i < m->n_node; i++)
        if (!vd_add(count, (size_t)m->node[i].n_out, &count))
            return vd_nomem(SIZE_MAX);
    if (count > INT_MAX)
        return vd_fail(ERANGE, "%zu values in the graph are more than %d", count, INT_MAX);
    int rc = vd_names_init(&b->names, &g->arena, count);
    if (rc)
        return rc;
    g->value = take(g, count, sizeof(*g->value));
    if (!g->value)
        return vd_nomem(count * sizeof(*g->value));

    for (int i = 0; i < m->n_in; i++) {
        g->value[g->n_value] = (struct vd_value){.name = m->in[i].name, .producer = -1};
        if (vd_names_add(&b->names, m->in[i].name, g->n_value) != g->n_value)
            return vd_fail(EBADMSG, "two graph inputs are named '%s'", m->in[i].name);
        g->n_value++;
    }
    g->n_in = m->n_in;
    for (int i = 0; i < m->n_init; i++) {
        const struct vd_tensor *c = constant_of(g, &m->init[i]);
        if (!c)
            return vd_nomem(m->init[i].size);
        g->value[g->n_value] = (struct vd_value){.name = m->init[i].name, .constant = c, .producer = -1};
        if (vd_names_add(&b->names, m->init[i].name, g->n_value) != g->n_value)
            return vd_fail(EBADMSG, "'%s' is written twice", m->init[i].name);
        g->n_value++;
    }
    for (int i = 0; i < m->n_node; i++)
        for (int o = 0; o < m->node[i].n_out; o++) {
            const char *name = m->node[i].out[o];
            if (!*name)
                continue;
            g->value[g->n_value] = (struct vd_value){.name = name, .producer = i};
            if (vd_names_add(&b->names, name, g->n_value) != g->n_value)
                return vd_fail(EBADMSG, "'%s' is written twice", name);
            g->n_value++;
        }
    return 0;
}

/* The allowlist comes first: what it refuses costs nothing more. */
static int check_operators(const struct vd_onnx_model *m)
{
    int rc = 0;
    for (int i = 0; !rc && i < m->n_node; i++) {
        const struct vd_onnx_node *p = &m->node[i];
        const struct vd_op *op = vd_op_find(p->op_type, m->opset);
        if (!op)
            return vd_op_known(p->op_type) ? vd_fail(EPERM, "operator %s is not supported at opset %d", p->op_type, m->opset)
                                           : vd_fail(EPERM, "operator %s is not supported", p->op_type);
        rc = vd_op_check_node(op, p, m->opset);
    }
    return rc;
}

static int resolve_node(struct build *b, struct vd_node *n, const struct vd_onnx_node *p)
{
    n->op = vd_op_find(p->op_type, b->m->opset);
    n->proto = p;
    n->n_in = p->n_in;
    n->n_out = p->n_out;
    n->in = take(b->g, (size_t)p->n_in, sizeof(*n->in));
    n->out = take(b->g, (size_t)p->n_out, sizeof(*n->out));
    if (!n->in || !n->out)
        return vd_nomem(((size_t)p->n_in + (size_t)p->n_out) * sizeof(int));
    for (int i = 0; i < p->n_in; i++) {
        n->in[i] = *p->in[i] ? vd_names_find(&b->names, p->in[i]) : -1;
        if (*p->in[i] && n->in[i] < 0)
            return vd_fail(EBADMSG, "node '%s' (%s) reads '%s', which nothing writes", p->name, p->op_type, p->in[i]);
        if (n->in[i] < 0 && i < n->op->in_min)
            return vd_fail(EBADMSG, "node '%s' (%s) leaves out input %d, which it needs", p->name, p->op_type, i);
    }
    for (int i = 0; i < p->n_out; i++)
        n->out[i] = *p->out[i] ? vd_names_find(&b->names, p->out[i]) : -1;
    return 0;
}

/* Mark what the outputs need and put it in an order in which producers come
 * first: depth first with an explicit stack, so that depth is not the C stack's.
 * Where the file is in order already, the order stays the file's. */
static int order_nodes(struct build *b, struct vd_node *all)
{
    enum { NEW, OPEN, DONE };
    struct vd_graph *g = b->g;
    const int n = b->m->n_node;
    unsigned char *state = take(g, (size_t)n, 1);
    int *stack = take(g, (size_t)n, sizeof(*stack)), *next = take(g, (size_t)n, sizeof(*next));
    unsigned char *needed = take(g, (size_t)n, 1);
    int *order = take(g, (size_t)n, sizeof(*order)), n_order = 0;
    if (!state || !stack || !next || !needed || !order)
        return vd_nomem((size_t)n * sizeof(int) * 4);

    for (int o = 0; o < g->n_out; o++)
        if (g->value[g->out[o]].producer >= 0)
            needed[g->value[g->out[o]].producer] = 1;
    /* Two walks: the first from the outputs finds what is needed, the second over needed nodes in file order orders them. */
    int top = 0;
    for (int i = 0; i < n; i++)
        if (needed[i])
            stack[top++] = i;
    while (top) {
        const struct vd_node *v = &all[stack[--top]];
        for (int i = 0; i < v->n_in; i++) {
            const int p = v->in[i] < 0 ? -1 : g->value[v->in[i]].producer;
            if (p >= 0 && !needed[p]) {
                needed[p] = 1;
                stack[top++] = p;
            }
        }
    }
    for (int root = 0; root < n; root++) {
        if (!needed[root] || state[root] != NEW)
            continue;
        stack[0] = root;
        top = 1;
        state[root] = OPEN;
        while (top) {
            const int at = stack[top - 1];
            if (next[at] == all[at].n_in) {
                state[at] = DONE;
                order[n_order++] = at;
                top--;
                continue;
            }
            const int v = all[at].in[next[at]++];
            const int p = v < 0 ? -1 : g->value[v].producer;
            if (p < 0 || state[p] == DONE)
                continue;
            if (state[p] == OPEN)
                return vd_fail(EBADMSG, "the graph has a cycle through '%s'", g->value[v].name);
            state[p] = OPEN;
            stack[top++] = p;
        }
    }
    g->node = take(g, (size_t)n_order, sizeof(*g->node));
    if (!g->node)
        return vd_nomem((size_t)n_order * sizeof(*g->node));
    g->n_node = n_order;
    int *place = next; /* old index to new */
    for (int i = 0; i < n; i++)
        place[i] = -1;
    for (int i = 0; i < n_order; i++) {
        g->node[i] = all[order[i]];
        place[order[i]] = i;
    }
    for (int i = 0; i < g->n_value; i++)
        if (g->value[i].producer >= 0)
            g->value[i].producer = place[g->value[i].producer];
    return 0;
}

/* Compute a node whose inputs are all constant. Leaves it alone, without an error, when it does not pay or cannot be. */
static int fold_node(struct vd_graph *g, const struct vd_node *n, struct room *room, bool *folded)
{
    *folded = false;
    if (!n->op->run)
        return 0;
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] >= 0 && !g->value[n->in[i]].constant)
            return 0;
    const struct vd_tensor **in = take(g, (size_t)n->n_in, sizeof(*in));
    struct vd_tensor *t = take(g, (size_t)n->n_out, sizeof(*t)), **out = take(g, (size_t)n->n_out, sizeof(*out));
    if (!in || !t || !out)
        return vd_nomem(0);
    for (int i = 0; i < n->n_in; i++)
        in[i] = n->in[i] < 0 ? NULL : g->value[n->in[i]].constant;
    for (int i = 0; i < n->n_out; i++)
        out[i] = n->out[i] < 0 ? NULL : &t[i];
    int rc = vd_node_infer(n, g->model->opset, in, out, &g->arena);
    if (rc)
        return rc;
    size_t bytes = 0;
    for (int i = 0; i < n->n_out; i++)
        if (out[i] && !vd_add(bytes, vd_tensor_bytes(out[i]), &bytes))
            return 0;
    if (bytes > room->bytes || !vd_node_affords(n, in, out, &room->work))
        return 0;
    room->bytes -= bytes;
    if ((rc = vd_node_eval(n, g->model->opset, in, out, &g->arena)))
        return rc;
    for (int i = 0; i < n->n_out; i++)
        if (out[i])
            g->value[n->out[i]].constant = out[i];
    *folded = true;
    return 0;
}

/* weights: also those that come out of DequantizeLinear. *room: what folding may still make. */
static int fold(struct vd_graph *g, bool weights, struct room *room)
{
    int live = 0, *place = take(g, (size_t)g->n_node, sizeof(*place));
    if (!place)
        return vd_nomem((size_t)g->n_node * sizeof(*place));
    for (int i = 0; i < g->n_node; i++) {
        bool folded = false;
        const int rc = weights || strcmp(g->node[i].op->name, "DequantizeLinear") ? fold_node(g, &g->node[i], room, &folded) : 0;
        if (rc)
            return rc;
        place[i] = folded ? -1 : live;
        if (!folded)
            g->node[live++] = g->node[i];
    }
    g->n_node = live;
    for (int i = 0; i < g->n_value; i++)
        if (g->value[i].producer >= 0)
            g->value[i].producer = place[g->value[i].producer];
    return 0;
}

/* Nodes that no output needs any more. */
static int drop_dead(struct vd_graph *g)
{
    unsigned char *needed = take(g, (size_t)g->n_value, 1);
    int live = 0, *place = take(g, (size_t)g->n_node, sizeof(*place));
    if (!needed || !place)
        return vd_nomem((size_t)g->n_node * sizeof(*place));
    for (int o = 0; o < g->n_out; o++)
        needed[g->out[o]] = 1;
    for (int i = g->n_node - 1; i >= 0; i--) {
        const struct vd_node *n = &g->node[i];
        for (int k = 0; k < n->n_out; k++)
            place[i] |= n->out[k] >= 0 && needed[n->out[k]];
        for (int k = 0; place[i] && k < n->n_in; k++)
            if (n->in[k] >= 0)
                needed[n->in[k]] = 1;
    }
    for (int i = 0; i < g->n_node; i++) {
        const bool keep = place[i];
        place[i] = keep ? live : -1;
        if (keep)
            g->node[live++] = g->node[i];
    }
    g->n_node = live;
    for (int i = 0; i < g->n_value; i++)
        if (g->value[i].producer >= 0)
            g->value[i].producer = place[g->value[i].producer];
    return 0;
}

static void count_uses(struct vd_graph *g)
{
    for (int i = 0; i < g->n_node; i++)
        for (int k = 0; k < g->node[i].n_in; k++)
            if (g->node[i].in[k] >= 0)
                g->value[g->node[i].in[k]].uses++;
    for (int o = 0; o < g->n_out; o++)
        g->value[g->out[o]].uses++;
}

int vd_graph_build(struct vd_graph *g, const struct vd_onnx_model *m)
{
    *g = (struct vd_graph){.model = m};
    struct build b = {.g = g, .m = m};
    int rc = check_operators(m);
    if (rc || (rc = collect_values(&b)))
        goto fail;
    struct vd_node *all = take(g, (size_t)m->n_node, sizeof(*all));
    g->out = take(g, (size_t)m->n_out, sizeof(*g->out));
    if (!all || !g->out) {
        rc = vd_nomem((size_t)m->n_node * sizeof(*all));
        goto fail;
    }
    for (int i = 0; i < m->n_node; i++)
        if ((rc = resolve_node(&b, &all[i], &m->node[i])))
            goto fail;
    for (int i = 0; i < m->n_out; i++) {
        const int v = vd_names_find(&b.names, m->out[i].name);
        if (v < 0) {
            rc = vd_fail(EBADMSG, "nothing writes the graph output '%s'", m->out[i].name);
            goto fail;
        }
        g->out[g->n_out++] = v;
    }
    struct room room = fold_room(m);
    if ((rc = order_nodes(&b, all)) || (rc = fold(g, false, &room)) || (rc = vd_graph_lower_qdq(g)) || (rc = drop_dead(g)) ||
        (rc = fold(g, true, &room)))
        goto fail;
    count_uses(g);
    return 0;
fail:
    vd_graph_free(g);
    return rc;
}

void vd_graph_free(struct vd_graph *g)
{
    vd_arena_free(&g->arena);
    *g = (struct vd_graph){0};
}
