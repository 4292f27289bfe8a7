/* SPDX-License-Identifier: BSD-2-Clause */
#include "onnx/onnx_parse.h"

#include <stdbool.h>

static const struct vd_desc graph_fields[] = {
    [GRAPH_NODE] = {"node", VD_WIRE_LEN, true},
    [GRAPH_NAME] = {"graph name", VD_WIRE_LEN, false},
    [GRAPH_INIT] = {"initializer", VD_WIRE_LEN, true},
    [GRAPH_DOC] = {"graph doc_string", VD_WIRE_LEN, false},
    [GRAPH_INPUT] = {"input", VD_WIRE_LEN, true},
    [GRAPH_OUTPUT] = {"output", VD_WIRE_LEN, true},
    [GRAPH_VALUE_INFO] = {"value_info", VD_WIRE_LEN, true},
    [GRAPH_QUANT_ANNOTATION] = {"quantization_annotation", VD_WIRE_LEN, true},
    [GRAPH_SPARSE_INIT] = {"sparse_initializer", VD_WIRE_LEN, true},
    [GRAPH_META] = {"graph metadata_props", VD_WIRE_LEN, true},
};
enum { N_GRAPH_FIELDS = sizeof graph_fields / sizeof *graph_fields };

/* Initialisers differ by name; a graph input that an initialiser makes optional goes. */
static int inputs(struct vd_onnx_model *m)
{
    int rc = vd_onnx_index(m), kept = 0;
    if (rc < 0)
        return rc;
    for (int i = 0; i < m->n_in; i++) {
        const struct vd_onnx_tensor *t = vd_onnx_init(m, m->in[i].name);
        if (!t)
            m->in[kept++] = m->in[i];
        else if (t->type != m->in[i].type)
            return vd_fail(EBADMSG, "graph input " VD_NAME " is %s and its initializer %s", t->name, vd_type_name(m->in[i].type),
                           vd_type_name(t->type));
    }
    m->n_in = kept;
    return 0;
}

/* The node that writes output number k, all nodes' outputs counted through. */
static int writer(const struct vd_onnx_model *m, int k)
{
    int i = 0;
    while (k >= m->node[i].n_out)
        k -= m->node[i++].n_out;
    return i;
}

/* Every value has one source: an initialiser, a graph input or one output of
 * one node. */
static int one_source(const struct vd_onnx_model *m, struct vd_arena *scratch)
{
    struct vd_names seen;
    size_t room = (size_t)m->n_in;
    for (int i = 0; i < m->n_node; i++)
        room += (size_t)m->node[i].n_out; /* each took bytes of the file */
    if (room > 2 * (size_t)VD_ONNX_MAX_COUNT)
        return vd_fail(E2BIG, "%zu graph inputs and outputs of nodes; at most %d are read", room, 2 * VD_ONNX_MAX_COUNT);
    int rc = vd_names_init(&seen, scratch, room);
    if (rc < 0)
        return rc;
    int id = m->n_in;
    for (int i = 0; i < m->n_in; i++)
        if (vd_names_add(&seen, m->in[i].name, i) != i)
            return vd_fail(EBADMSG, "two graph inputs are named " VD_NAME, m->in[i].name);
    for (int i = 0; i < m->n_node; i++) {
        const struct vd_onnx_node *node = &m->node[i];
        for (int k = 0; k < node->n_out; k++, id++) {
            const char *name = node->out[k];
            if (!*name)
                continue;
            const int first = vd_names_add(&seen, name, id);
            const bool init = vd_onnx_init(m, name);
            if (init || first < m->n_in)
                return vd_fail(EBADMSG, "node %d (%.80s) writes " VD_NAME ", which is %s", i, node->op_type, name,
                               init ? "an initializer" : "a graph input");
            if (first != id)
                return vd_fail(EBADMSG, "node %d (%.80s) writes " VD_NAME ", which node %d (%.80s) writes too", i, node->op_type,
                               name, writer(m, first - m->n_in), m->node[writer(m, first - m->n_in)].op_type);
        }
    }
    return 0;
}

static int outputs_differ(const struct vd_onnx_model *m, struct vd_arena *scratch)
{
    struct vd_names seen;
    int rc = vd_names_init(&seen, scratch, (size_t)m->n_out);
    for (int i = 0; !rc && i < m->n_out; i++)
        if (vd_names_add(&seen, m->out[i].name, i) != i)
            return vd_fail(EBADMSG, "two graph outputs are named " VD_NAME, m->out[i].name);
    return rc;
}

static int member(struct vd_onnx_model *m, const struct vd_msg *msg, const struct vd_field *f)
{
    struct vd_msg sub;
    int rc = 0;
    switch (f->number) {
    case GRAPH_NODE:
        if ((rc = vd_msg_sub(msg, f, &sub)) == 0)
            rc = vd_parse_node(m, &sub, &m->node[m->n_node]);
        return vd_context(rc, "node %d", m->n_node++);
    case GRAPH_INIT:
        if ((rc = vd_msg_sub(msg, f, &sub)) == 0)
            rc = vd_parse_tensor(m, &sub, true, &m->init[m->n_init]);
        return vd_context(rc, "initializer %d", m->n_init++);
    case GRAPH_INPUT:
        if ((rc = vd_msg_sub(msg, f, &sub)) == 0)
            rc = vd_parse_value(m, &sub, &m->in[m->n_in]);
        return vd_context(rc, "graph input %d", m->n_in++);
    case GRAPH_OUTPUT:
        if ((rc = vd_msg_sub(msg, f, &sub)) == 0)
            rc = vd_parse_value(m, &sub, &m->out[m->n_out]);
        return vd_context(rc, "graph output %d", m->n_out++);
    default: return 0;
    }
}

int vd_parse_graph(struct vd_onnx_model *m, const struct vd_msg *msg)
{
    struct vd_got got[N_GRAPH_FIELDS];
    int rc;
    if ((rc = vd_msg_scan(msg, graph_fields, N_GRAPH_FIELDS, got)) < 0 ||
        (rc = vd_parse_text(m, &got[GRAPH_NAME].f, VD_TEXT_LABEL, "graph's name", &m->graph_name)) < 0 ||
        (rc = vd_parse_text(m, &got[GRAPH_DOC].f, VD_TEXT_FREE, "graph's doc_string", &m->graph_doc)) < 0)
        return rc;
    if (got[GRAPH_SPARSE_INIT].n)
        return vd_fail(EPERM, "byte %zu: sparse initializers are not supported", got[GRAPH_SPARSE_INIT].f.at);
    if (!got[GRAPH_OUTPUT].n)
        return vd_fail(EBADMSG, "the graph has no output");
    if ((rc = vd_parse_array(m, got[GRAPH_NODE].n, sizeof *m->node, "nodes", &m->node)) < 0 ||
        (rc = vd_parse_array(m, got[GRAPH_INIT].n, sizeof *m->init, "initializers", &m->init)) < 0 ||
        (rc = vd_parse_array(m, got[GRAPH_INPUT].n, sizeof *m->in, "graph inputs", &m->in)) < 0 ||
        (rc = vd_parse_array(m, got[GRAPH_OUTPUT].n, sizeof *m->out, "graph outputs", &m->out)) < 0)
        return rc;
    struct vd_msg pass = *msg;
    struct vd_field f;
    while ((rc = vd_msg_next(&pass, &f)) > 0)
        if ((rc = member(m, msg, &f)) < 0)
            return rc;
    struct vd_arena scratch = {0};
    if (rc == 0 && (rc = inputs(m)) == 0 && (rc = one_source(m, &scratch)) == 0)
        rc = outputs_differ(m, &scratch);
    vd_arena_free(&scratch);
    return rc;
}
