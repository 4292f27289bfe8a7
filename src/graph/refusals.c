/* SPDX-License-Identifier: BSD-2-Clause */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/checked.h"
#include "common/names.h"
#include "graph/graph.h"

/* What is known before the run is computed here too, as far as shapes need it. */
enum { KNOWN_CAP = 4 << 20 };

struct walk {
    const struct vd_onnx_model *m;
    struct vd_arena a;
    struct vd_names said, values;
    struct vd_tensor *t; /* of each value */
    bool *sure;          /* its type and shape are known: nothing before it was refused */
    size_t known;
    double room;
    int found;
    void (*say)(void *arg, const char *line);
    void *arg;
};

static void say_once(struct walk *w, int node, const char *line)
{
    char *copy = vd_arena_printf(&w->a, "%s", line);
    if (copy && vd_names_add(&w->said, copy, node) != node)
        return;
    w->say(w->arg, copy ? copy : "no memory");
    w->found++;
}

static void add_value(struct walk *w, int *n, const char *name, const struct vd_tensor *t)
{
    if (!*name || vd_names_add(&w->values, name, *n) != *n)
        return;
    if (t)
        w->t[*n] = *t;
    w->sure[*n] = t != NULL;
    ++*n;
}

/* What operators rely on, of an input: rank, dims, and bytes that fit in 2^40, a dim of 0 not excusing the others. */
static bool sane(const struct vd_tensor *t)
{
    size_t n = vd_type_size(t->type);
    bool fits = n && t->rank >= 0 && t->rank <= VD_MAX_RANK;
    for (int i = 0; fits && i < t->rank; i++)
        fits = t->dim[i] >= 0 && vd_mul(n, t->dim[i] ? (size_t)t->dim[i] : 1, &n) && n <= (size_t)1 << 40;
    return fits;
}

static bool start(struct walk *w, const struct vd_tensor *in)
{
    const struct vd_onnx_model *m = w->m;
    size_t count = (size_t)m->n_in + (size_t)m->n_init;
    int n = 0;
    for (int i = 0; i < m->n_node; i++)
        if (!vd_add(count, (size_t)m->node[i].n_out, &count))
            return false;
    if (count > INT_MAX || vd_names_init(&w->values, &w->a, count))
        return false;
    w->t = vd_arena_array(&w->a, count + 1, sizeof(*w->t));
    w->sure = vd_arena_array(&w->a, count + 1, sizeof(*w->sure));
    if (!w->t || !w->sure)
        return false;
    for (int i = 0; i < m->n_in; i++)
        add_value(w, &n, m->in[i].name, sane(&in[i]) ? &in[i] : NULL);
    for (int i = 0; i < m->n_init; i++) {
        const struct vd_onnx_tensor *x = &m->init[i];
        struct vd_tensor t = {.type = x->type, .rank = x->rank, .data = (void *)(uintptr_t)x->data};
        memcpy(t.dim, x->dim, sizeof(t.dim));
        if (x->size && (uintptr_t)x->data % vd_type_size(x->type)) { /* an odd place in the file */
            if (!(t.data = vd_arena_array(&w->a, x->size, 1)))
                return false;
            memcpy(t.data, x->data, x->size);
        }
        add_value(w, &n, x->name, &t);
    }
    for (int i = 0; i < m->n_node; i++)
        for (int k = 0; k < m->node[i].n_out; k++)
            add_value(w, &n, m->node[i].out[k], NULL);
    return true;
}

/* Types and shapes of one node's results, where all that it reads is sure. */
static void walk_node(struct walk *w, int i, const struct vd_op *op)
{
    const struct vd_onnx_node *p = &w->m->node[i];
    const struct vd_node n = {.op = op, .proto = p, .n_in = p->n_in, .n_out = p->n_out};
    const struct vd_tensor **in = vd_arena_array(&w->a, (size_t)p->n_in + 1, sizeof(*in));
    struct vd_tensor **out = vd_arena_array(&w->a, (size_t)p->n_out + 1, sizeof(*out));
    bool known = op->run != NULL;
    const bool of_shape = !strcmp(op->name, "Shape") || !strcmp(op->name, "Size");
    if (!in || !out)
        return;
    for (int k = 0; k < p->n_in; k++) {
        const int v = *p->in[k] ? vd_names_find(&w->values, p->in[k]) : -1;
        if (*p->in[k] && (v < 0 || !w->sure[v]))
            return;
        in[k] = v < 0 ? NULL : &w->t[v];
        known = known && (v < 0 || in[k]->data || of_shape);
    }
    bool asked = false;
    for (int k = 0; k < p->n_out; k++) {
        out[k] = *p->out[k] ? &w->t[vd_names_find(&w->values, p->out[k])] : NULL;
        asked = asked || out[k];
    }
    if (!asked) /* a graph drops it: operators rely on one output at least */
        return;
    vd_reason_clear();
    if (vd_node_infer(&n, w->m->opset, in, out, &w->a)) {
        say_once(w, i, vd_reason());
        return;
    }
    for (int k = 0; k < p->n_out; k++)
        known = known && (!out[k] || (vd_add(w->known, vd_tensor_bytes(out[k]), &w->known) && w->known <= KNOWN_CAP));
    if (known && vd_node_affords(&n, in, out, &w->room) && vd_node_eval(&n, w->m->opset, in, out, &w->a))
        return;
    for (int k = 0; k < p->n_out; k++)
        if (out[k])
            w->sure[out[k] - w->t] = true;
}

int vd_graph_refusals(const struct vd_onnx_model *m, const struct vd_tensor *in, void (*say)(void *arg, const char *line), void *arg)
{
    struct walk w = {.m = m, .room = VD_EVAL_ROOM, .say = say, .arg = arg};
    if (vd_names_init(&w.said, &w.a, (size_t)m->n_node)) {
        say(arg, vd_reason());
        return 1;
    }
    const bool walks = in && start(&w, in);
    for (int i = 0; i < m->n_node; i++) {
        const struct vd_onnx_node *p = &m->node[i];
        const struct vd_op *op = vd_op_find(p->op_type, m->opset);
        char line[160];
        if (!op) {
            if (vd_op_known(p->op_type))
                snprintf(line, sizeof(line), "operator %.100s is not supported at opset %d", p->op_type, m->opset);
            else
                snprintf(line, sizeof(line), "operator %.100s is not supported", p->op_type);
            say_once(&w, i, line);
        } else if (vd_op_check_node(op, p, m->opset))
            say_once(&w, i, vd_reason());
        else if (walks)
            walk_node(&w, i, op);
    }
    vd_reason_clear();
    vd_arena_free(&w.a);
    return w.found;
}
