/* SPDX-License-Identifier: BSD-2-Clause */
#include "onnx/onnx_parse.h"

#include <string.h>

#include "common/names.h"

static const struct vd_desc attr_fields[] = {
    [ATTR_NAME] = {"name", VD_WIRE_LEN, false},
    [ATTR_F] = {"f", VD_WIRE_I32, false},
    [ATTR_I] = {"i", VD_WIRE_VARINT, false},
    [ATTR_S] = {"s", VD_WIRE_LEN, false},
    [ATTR_T] = {"t", VD_WIRE_LEN, false},
    [ATTR_G] = {"g", VD_WIRE_LEN, false},
    [ATTR_FLOATS] = {"floats", VD_WIRE_I32, true},
    [ATTR_INTS] = {"ints", VD_WIRE_VARINT, true},
    [ATTR_STRINGS] = {"strings", VD_WIRE_LEN, true},
    [ATTR_TENSORS] = {"tensors", VD_WIRE_LEN, true},
    [ATTR_GRAPHS] = {"graphs", VD_WIRE_LEN, true},
    [ATTR_DOC] = {"doc_string", VD_WIRE_LEN, false},
    [ATTR_TP] = {"tp", VD_WIRE_LEN, false},
    [ATTR_TYPE_PROTOS] = {"type_protos", VD_WIRE_LEN, true},
    [ATTR_TYPE] = {"type", VD_WIRE_VARINT, false},
    [ATTR_REF_NAME] = {"ref_attr_name", VD_WIRE_LEN, false},
    [ATTR_SPARSE_TENSOR] = {"sparse_tensor", VD_WIRE_LEN, false},
    [ATTR_SPARSE_TENSORS] = {"sparse_tensors", VD_WIRE_LEN, true},
};
static const struct vd_desc node_fields[] = {
    [NODE_INPUT] = {"input", VD_WIRE_LEN, true},
    [NODE_OUTPUT] = {"output", VD_WIRE_LEN, true},
    [NODE_NAME] = {"name", VD_WIRE_LEN, false},
    [NODE_OP_TYPE] = {"op_type", VD_WIRE_LEN, false},
    [NODE_ATTR] = {"attribute", VD_WIRE_LEN, true},
    [NODE_DOC] = {"doc_string", VD_WIRE_LEN, false},
    [NODE_DOMAIN] = {"domain", VD_WIRE_LEN, false},
    [NODE_OVERLOAD] = {"overload", VD_WIRE_LEN, false},
    [NODE_META] = {"metadata_props", VD_WIRE_LEN, true},
    [NODE_DEVICES] = {"device_configurations", VD_WIRE_LEN, true},
};
enum { N_ATTR_FIELDS = sizeof attr_fields / sizeof *attr_fields, N_NODE_FIELDS = sizeof node_fields / sizeof *node_fields };

/* AttributeType: its name and the field that holds the value. */
static const struct {
    const char *name;
    uint8_t field;
} attr_types[] = {
    [VD_ATTR_FLOAT] = {"FLOAT", ATTR_F}, [VD_ATTR_INT] = {"INT", ATTR_I}, [VD_ATTR_STRING] = {"STRING", ATTR_S},
    [VD_ATTR_TENSOR] = {"TENSOR", ATTR_T}, [5] = {"GRAPH", ATTR_G}, [VD_ATTR_FLOATS] = {"FLOATS", ATTR_FLOATS},
    [VD_ATTR_INTS] = {"INTS", ATTR_INTS}, [8] = {"STRINGS", ATTR_STRINGS}, [9] = {"TENSORS", ATTR_TENSORS},
    [10] = {"GRAPHS", ATTR_GRAPHS}, [11] = {"SPARSE_TENSOR", ATTR_SPARSE_TENSOR}, [12] = {"SPARSE_TENSORS", ATTR_SPARSE_TENSORS},
    [13] = {"TYPE_PROTO", ATTR_TP}, [14] = {"TYPE_PROTOS", ATTR_TYPE_PROTOS},
};
enum { N_ATTR_TYPES = sizeof attr_types / sizeof *attr_types };

/* The one value that an attribute holds agrees with the type that it says. A
 * file without the type is taken at its value; a value that is left out is its
 * type's zero, as writers that know no presence do. */
static int attr_type(const struct vd_got *got, int *type)
{
    const size_t at = got[ATTR_TYPE].f.at;
    int seen = 0;
    int rc = vd_field_int32(&got[ATTR_TYPE].f, "type", type);
    if (rc < 0)
        return rc;
    if (*type < 0 || *type >= N_ATTR_TYPES)
        return vd_fail(EPERM, "byte %zu: unknown attribute type %d", at, *type);
    for (int i = 1; i < N_ATTR_TYPES; i++) {
        const struct vd_got *g = &got[attr_types[i].field];
        if (!g->n)
            continue;
        if (seen)
            return vd_fail(EBADMSG, "byte %zu: it holds a %s and a %s", g->f.at, attr_types[seen].name, attr_types[i].name);
        if (*type && *type != i)
            return vd_fail(EBADMSG, "byte %zu: its type is %s and it holds a %s", at, attr_types[*type].name, attr_types[i].name);
        seen = i;
    }
    if (!*type)
        *type = seen;
    if (!*type)
        return vd_fail(EBADMSG, "it has neither a type nor a value");
    if (*type == VD_ATTR_TENSOR && !seen)
        return vd_fail(EBADMSG, "it has no tensor");
    return 0;
}

static int floats(struct vd_onnx_model *m, const struct vd_msg *msg, size_t n, struct vd_onnx_attr *a)
{
    struct vd_msg pass = *msg;
    struct vd_field f;
    float *out;
    int rc = vd_parse_array(m, n, sizeof *out, "values in one attribute", &out);
    if (rc < 0)
        return rc;
    a->v.floats = out;
    while ((rc = vd_msg_next(&pass, &f)) > 0) {
        while (f.number == ATTR_FLOATS && vd_left(&f.body)) {
            const uint32_t bits = (uint32_t)vd_get_scalar(&f.body, VD_WIRE_I32);
            memcpy(&out[a->n++], &bits, sizeof bits);
        }
    }
    return rc;
}

static int ints(struct vd_onnx_model *m, const struct vd_msg *msg, size_t n, struct vd_onnx_attr *a)
{
    struct vd_msg pass = *msg;
    struct vd_field f;
    int64_t *out;
    int rc = vd_parse_array(m, n, sizeof *out, "values in one attribute", &out);
    if (rc < 0)
        return rc;
    a->v.ints = out;
    while ((rc = vd_msg_next(&pass, &f)) > 0)
        while (f.number == ATTR_INTS && vd_left(&f.body))
            out[a->n++] = (int64_t)vd_get_scalar(&f.body, VD_WIRE_VARINT);
    return rc;
}

static int attr_tensor(struct vd_onnx_model *m, const struct vd_msg *msg, const struct vd_field *f, struct vd_onnx_attr *a)
{
    struct vd_msg sub;
    struct vd_onnx_tensor *t;
    int rc;
    if ((rc = vd_msg_sub(msg, f, &sub)) < 0 || (rc = vd_parse_array(m, 1, sizeof *t, "tensor", &t)) < 0)
        return rc;
    a->v.t = t;
    return vd_parse_tensor(m, &sub, false, t);
}

static int attribute(struct vd_onnx_model *m, const struct vd_msg *msg, struct vd_onnx_attr *a)
{
    struct vd_got got[N_ATTR_FIELDS];
    int rc;
    if ((rc = vd_msg_scan(msg, attr_fields, N_ATTR_FIELDS, got)) < 0 ||
        (rc = vd_parse_text(m, &got[ATTR_NAME].f, VD_TEXT_NAME, "attribute's name", &a->name)) < 0)
        return rc;
    const uint32_t bits = (uint32_t)got[ATTR_F].f.v;
    if (got[ATTR_REF_NAME].n)
        rc = vd_fail(EPERM, "byte %zu: a reference to a function's attribute; functions are not supported", got[ATTR_REF_NAME].f.at);
    else if ((rc = attr_type(got, &a->type)) == 0)
        switch (a->type) {
        case VD_ATTR_FLOAT: memcpy(&a->v.f, &bits, sizeof bits); break;
        case VD_ATTR_INT: a->v.i = (int64_t)got[ATTR_I].f.v; break;
        case VD_ATTR_STRING: rc = vd_parse_text(m, &got[ATTR_S].f, VD_TEXT_FREE, "string", &a->v.s); break;
        case VD_ATTR_TENSOR: rc = attr_tensor(m, msg, &got[ATTR_T].f, a); break;
        case VD_ATTR_FLOATS: rc = floats(m, msg, got[ATTR_FLOATS].n, a); break;
        case VD_ATTR_INTS: rc = ints(m, msg, got[ATTR_INTS].n, a); break;
        default: rc = vd_fail(EPERM, "attributes of type %s are not supported", attr_types[a->type].name); break;
        }
    return vd_context(rc, "attribute " VD_NAME, a->name);
}

static int same_name(const struct vd_onnx_attr *a)
{
    return vd_fail(EBADMSG, "two attributes are named " VD_NAME, a->name);
}

static int attributes_differ(const struct vd_onnx_node *node)
{
    struct vd_arena scratch = {0};
    struct vd_names seen;
    int rc = 0;
    if (node->n_attr <= 16) { /* what real operators have */
        for (int i = 0; i < node->n_attr; i++)
            for (int k = 0; k < i; k++)
                if (!strcmp(node->attr[i].name, node->attr[k].name))
                    return same_name(&node->attr[i]);
        return 0;
    }
    rc = vd_names_init(&seen, &scratch, (size_t)node->n_attr);
    for (int i = 0; !rc && i < node->n_attr; i++)
        if (vd_names_add(&seen, node->attr[i].name, i) != i)
            rc = same_name(&node->attr[i]);
    vd_arena_free(&scratch);
    return rc;
}

static int contents(struct vd_onnx_model *m, const struct vd_msg *msg, const struct vd_got *got, struct vd_onnx_node *node)
{
    const char *domain, *overload;
    int rc;
    if ((rc = vd_parse_text(m, &got[NODE_DOMAIN].f, VD_TEXT_LABEL, "domain", &domain)) < 0 ||
        (rc = vd_parse_text(m, &got[NODE_OVERLOAD].f, VD_TEXT_LABEL, "overload", &overload)) < 0)
        return rc;
    if (strchr(node->op_type, ':'))
        return vd_fail(EBADMSG, "an op_type with a ':', which no operator's name has");
    if (*domain && strcmp(domain, "ai.onnx") && !(node->op_type = vd_arena_printf(&m->arena, "%s:%s", domain, node->op_type)))
        return vd_nomem(1);
    if (*overload)
        return vd_fail(EPERM, "overload " VD_NAME " names a model function; functions are not supported", overload);
    struct vd_onnx_attr *attr;
    if ((rc = vd_parse_array(m, got[NODE_INPUT].n, sizeof *node->in, "inputs of one node", &node->in)) < 0 ||
        (rc = vd_parse_array(m, got[NODE_OUTPUT].n, sizeof *node->out, "outputs of one node", &node->out)) < 0 ||
        (rc = vd_parse_array(m, got[NODE_ATTR].n, sizeof *attr, "attributes of one node", &attr)) < 0)
        return rc;
    node->attr = attr;
    if (!got[NODE_OUTPUT].n)
        return vd_fail(EBADMSG, "the node has no output");
    struct vd_msg pass = *msg, sub;
    struct vd_field f;
    while ((rc = vd_msg_next(&pass, &f)) > 0) {
        if (f.number == NODE_INPUT)
            rc = vd_parse_text(m, &f, VD_TEXT_LABEL, "input's name", &node->in[node->n_in++]);
        else if (f.number == NODE_OUTPUT)
            rc = vd_parse_text(m, &f, VD_TEXT_LABEL, "output's name", &node->out[node->n_out++]);
        else if (f.number == NODE_ATTR && (rc = vd_msg_sub(msg, &f, &sub)) == 0)
            rc = attribute(m, &sub, &attr[node->n_attr++]);
        if (rc < 0)
            return rc;
    }
    return rc < 0 ? rc : attributes_differ(node);
}

int vd_parse_node(struct vd_onnx_model *m, const struct vd_msg *msg, struct vd_onnx_node *node)
{
    struct vd_got got[N_NODE_FIELDS];
    int rc;
    if ((rc = vd_msg_scan(msg, node_fields, N_NODE_FIELDS, got)) < 0 ||
        (rc = vd_parse_text(m, &got[NODE_NAME].f, VD_TEXT_LABEL, "node's name", &node->name)) < 0 ||
        (rc = vd_parse_text(m, &got[NODE_OP_TYPE].f, VD_TEXT_NAME, "op_type", &node->op_type)) < 0)
        return rc;
    rc = contents(m, msg, got, node);
    return *node->name ? vd_context(rc, "%.80s " VD_NAME, node->op_type, node->name) : vd_context(rc, "%.80s", node->op_type);
}
