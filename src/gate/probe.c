/* SPDX-License-Identifier: BSD-2-Clause */
#include "gate/probe.h"

#include <string.h>

#include "common/mem.h"
#include "common/status.h"

static const char *text(struct vd_probe *p, const char *name, const char *suffix)
{
    return vd_arena_printf(&p->arena, "%s%s", name, suffix);
}

/* Suffixes with a space and a slash: exporters do not write such names; where one does, the graph refuses the double. */
static const char fed[] = " /fed", seen[] = " /seen", cut_off[] = " /cut";

static bool set_node(struct vd_probe *p, struct vd_onnx_node *n, const char *op, const char *x, const struct vd_probe_value *v, const char *y)
{
    const char **in = vd_arena_array(&p->arena, 3, sizeof(*in)), **out = vd_arena_array(&p->arena, 1, sizeof(*out));
    if (!in || !out || !x || !y)
        return false;
    in[0] = x;
    in[1] = v->scale;
    in[2] = v->zero_point;
    out[0] = y;
    *n = (struct vd_onnx_node){.name = "", .op_type = op, .in = in, .out = out, .n_in = 3, .n_out = 1};
    return true;
}

/* What the file computes under the name of an input goes by another one. */
static int rename_outputs(struct vd_probe *p, const struct vd_probe_value *in, int n_in)
{
    for (int i = 0; i < p->model.n_node; i++) {
        struct vd_onnx_node *n = &p->model.node[i];
        bool own = false; /* n->out is not the source's */
        for (int k = 0; k < n->n_out; k++)
            for (int v = 0; v < n_in; v++) {
                if (!*n->out[k] || strcmp(n->out[k], in[v].name))
                    continue;
                if (!own) {
                    const char **copy = vd_arena_dup(&p->arena, n->out, (size_t)n->n_out * sizeof(*copy));
                    if (!copy)
                        return vd_nomem(sizeof(*copy));
                    n->out = copy;
                    own = true;
                }
                n->out[k] = text(p, in[v].name, cut_off);
                if (!n->out[k])
                    return vd_nomem(strlen(in[v].name));
                break;
            }
    }
    return 0;
}

static int build_model(struct vd_probe *p, const struct vd_onnx_model *m, const struct vd_probe_value *in, int n_in,
                       const struct vd_probe_value *out, int n_out)
{
    p->model = *m;
    p->model.arena = (struct vd_arena){0};
    const size_t nodes = (size_t)m->n_node + (size_t)n_in + (size_t)n_out;
    struct vd_onnx_node *node = p->model.node = vd_arena_array(&p->arena, nodes + 1, sizeof(*node));
    struct vd_onnx_value *vin = p->model.in = vd_arena_array(&p->arena, (size_t)n_in + 1, sizeof(*vin));
    struct vd_onnx_value *vout = p->model.out = vd_arena_array(&p->arena, (size_t)n_out + 1, sizeof(*vout));
    p->shape = vd_arena_array(&p->arena, (size_t)n_in + 1, sizeof(*p->shape));
    if (!node || !vin || !vout || !p->shape)
        return vd_nomem(nodes * sizeof(*node));
    memcpy(node, m->node, (size_t)m->n_node * sizeof(*node));
    const int rc = rename_outputs(p, in, n_in);
    if (rc)
        return rc;
    p->model.n_in = n_in;
    p->model.n_out = n_out;
    for (int i = 0; i < n_in; i++) {
        vin[i] = (struct vd_onnx_value){.name = in[i].scale ? text(p, in[i].name, fed) : in[i].name, .type = in[i].type ? in[i].type : VD_F32, .rank = -1};
        if (!vin[i].name || (in[i].scale && !set_node(p, &node[p->model.n_node++], "QuantizeLinear", vin[i].name, &in[i], in[i].name)))
            return vd_nomem(strlen(in[i].name));
    }
    for (int i = 0; i < n_out; i++) {
        vout[i] = (struct vd_onnx_value){.name = out[i].scale ? text(p, out[i].name, seen) : out[i].name, .type = VD_F32, .rank = -1};
        if (!vout[i].name || (out[i].scale && !set_node(p, &node[p->model.n_node++], "DequantizeLinear", out[i].name, &out[i], vout[i].name)))
            return vd_nomem(strlen(out[i].name));
    }
    return 0;
}

/* Only what the outputs need: what is before the cut may read inputs that are not there any more. */
static int prune(struct vd_probe *p)
{
    struct vd_onnx_model *m = &p->model;
    struct vd_arena a = {0};
    struct vd_names made;
    size_t names = 1;
    int n = 0, kept = 0;
    for (int i = 0; i < m->n_node; i++)
        names += (size_t)m->node[i].n_out;
    bool *needed = vd_arena_array(&a, (size_t)m->n_node + 1, sizeof(*needed));
    int *stack = vd_arena_array(&a, (size_t)m->n_node + 1, sizeof(*stack));
    int rc = needed && stack ? vd_names_init(&made, &a, names) : vd_nomem(names);
    for (int i = 0; !rc && i < m->n_node; i++)
        for (int k = 0; k < m->node[i].n_out; k++)
            if (*m->node[i].out[k])
                vd_names_add(&made, m->node[i].out[k], i);
    for (int i = 0; !rc && i < m->n_out; i++) {
        const int at = vd_names_find(&made, m->out[i].name);
        if (at >= 0 && !needed[at])
            needed[at] = true, stack[n++] = at;
    }
    while (!rc && n) {
        const struct vd_onnx_node *node = &m->node[stack[--n]];
        for (int k = 0; k < node->n_in; k++) {
            const int at = *node->in[k] ? vd_names_find(&made, node->in[k]) : -1;
            if (at >= 0 && !needed[at])
                needed[at] = true, stack[n++] = at;
        }
    }
    for (int i = 0; !rc && i < m->n_node; i++)
        if (needed[i])
            m->node[kept++] = m->node[i];
    m->n_node = rc ? m->n_node : kept;
    vd_arena_free(&a);
    return rc;
}

int vd_probe_open(struct vd_probe *p, const struct vd_onnx_model *m, const struct vd_probe_value *in, int n_in, const struct vd_probe_value *out,
                  int n_out, const struct vd_kernels *k, struct vd_workers *w)
{
    *p = (struct vd_probe){0};
    int rc = build_model(p, m, in, n_in, out, n_out);
    if (!rc)
        rc = prune(p);
    if (!rc)
        rc = vd_graph_build(&p->graph, &p->model);
    if (!rc)
        rc = vd_plan_create(&p->plan, &p->graph, k, w);
    if (rc)
        vd_probe_close(p);
    return rc;
}

int vd_probe_run(struct vd_probe *p, const struct vd_tensor *const *in)
{
    for (int i = 0; i < p->model.n_in; i++) {
        p->shape[i] = *in[i];
        p->shape[i].data = NULL;
    }
    const int rc = vd_plan_shape(p->plan, p->shape);
    if (rc)
        return rc;
    for (int i = 0; i < p->model.n_in; i++) {
        struct vd_tensor *t = vd_plan_input(p->plan, i);
        if (t->data && vd_tensor_bytes(t)) /* NULL: nothing needs it */
            memcpy(t->data, in[i]->data, vd_tensor_bytes(t));
    }
    return vd_plan_run(p->plan);
}

const struct vd_tensor *vd_probe_output(const struct vd_probe *p, int i) { return vd_plan_output(p->plan, i); }

void vd_probe_close(struct vd_probe *p)
{
    vd_plan_free(p->plan);
    vd_graph_free(&p->graph);
    vd_arena_free(&p->arena);
    *p = (struct vd_probe){0};
}
