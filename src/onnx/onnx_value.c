/* SPDX-License-Identifier: BSD-2-Clause */
#include "onnx/onnx_parse.h"

static const struct vd_desc value_fields[] = {
    [VALUE_NAME] = {"name", VD_WIRE_LEN, false},
    [VALUE_TYPE] = {"type", VD_WIRE_LEN, false},
    [VALUE_DOC] = {"doc_string", VD_WIRE_LEN, false},
    [VALUE_META] = {"metadata_props", VD_WIRE_LEN, true},
};
static const struct vd_desc type_fields[] = {
    [TYPE_TENSOR] = {"tensor type", VD_WIRE_LEN, false},
    [TYPE_SEQUENCE] = {"sequence type", VD_WIRE_LEN, false},
    [TYPE_MAP] = {"map type", VD_WIRE_LEN, false},
    [TYPE_DENOTATION] = {"denotation", VD_WIRE_LEN, false},
    [TYPE_OPAQUE] = {"opaque type", VD_WIRE_LEN, false},
    [TYPE_SPARSE] = {"sparse tensor type", VD_WIRE_LEN, false},
    [TYPE_OPTIONAL] = {"optional type", VD_WIRE_LEN, false},
};
static const struct vd_desc tensor_fields[] = {
    [TYPE_TENSOR_ELEM] = {"elem_type", VD_WIRE_VARINT, false},
    [TYPE_TENSOR_SHAPE] = {"shape", VD_WIRE_LEN, false},
};
static const struct vd_desc shape_fields[] = {
    [SHAPE_DIM] = {"dim", VD_WIRE_LEN, true},
};
static const struct vd_desc dim_fields[] = {
    [DIM_VALUE] = {"dim_value", VD_WIRE_VARINT, false},
    [DIM_PARAM] = {"dim_param", VD_WIRE_LEN, false},
    [DIM_DENOTATION] = {"denotation", VD_WIRE_LEN, false},
};
#define COUNT(a) (sizeof(a) / sizeof *(a))

static int dimension(struct vd_onnx_model *m, const struct vd_msg *msg, int64_t *dim, const char **param)
{
    struct vd_got got[COUNT(dim_fields)];
    int rc = vd_msg_scan(msg, dim_fields, COUNT(dim_fields), got);
    if (rc < 0)
        return rc;
    *dim = -1;
    if (got[DIM_VALUE].n && got[DIM_PARAM].n)
        return vd_fail(EBADMSG, "byte %zu: a dimension with a value and a name", got[DIM_PARAM].f.at);
    if (got[DIM_VALUE].n) {
        *dim = (int64_t)got[DIM_VALUE].f.v;
        if (*dim < 0)
            return vd_fail(EBADMSG, "byte %zu: dimension %lld; an unknown one has a name (dim_param) or nothing",
                           got[DIM_VALUE].f.at, (long long)*dim);
    } else if (vd_left(&got[DIM_PARAM].f.body)) {
        return vd_parse_text(m, &got[DIM_PARAM].f, VD_TEXT_NAME, "dim_param", param);
    }
    return 0;
}

static int shape(struct vd_onnx_model *m, const struct vd_msg *msg, struct vd_onnx_value *v)
{
    struct vd_got got[COUNT(shape_fields)];
    struct vd_msg pass = *msg, dim;
    struct vd_field f;
    int rc = vd_msg_scan(msg, shape_fields, COUNT(shape_fields), got);
    if (rc < 0)
        return rc;
    if (got[SHAPE_DIM].n > VD_MAX_RANK)
        return vd_fail(EPERM, "byte %zu: rank %zu; at most %d is supported", got[SHAPE_DIM].f.at, got[SHAPE_DIM].n, VD_MAX_RANK);
    v->rank = 0;
    while ((rc = vd_msg_next(&pass, &f)) > 0) {
        if (f.number != SHAPE_DIM)
            continue;
        if ((rc = vd_msg_sub(msg, &f, &dim)) < 0 || (rc = dimension(m, &dim, &v->dim[v->rank], &v->param[v->rank])) < 0)
            return rc;
        v->rank++;
    }
    return rc;
}

static int tensor_type(struct vd_onnx_model *m, const struct vd_msg *msg, struct vd_onnx_value *v)
{
    struct vd_got got[COUNT(tensor_fields)];
    struct vd_msg sub;
    int rc;
    if ((rc = vd_msg_scan(msg, tensor_fields, COUNT(tensor_fields), got)) < 0 ||
        (rc = vd_field_int32(&got[TYPE_TENSOR_ELEM].f, "elem_type", &v->type)) < 0 ||
        (rc = vd_parse_type(v->type, got[TYPE_TENSOR_ELEM].f.at)) < 0)
        return rc;
    v->rank = -1;
    if (!got[TYPE_TENSOR_SHAPE].n)
        return 0;
    if ((rc = vd_msg_sub(msg, &got[TYPE_TENSOR_SHAPE].f, &sub)) < 0)
        return rc;
    return shape(m, &sub, v);
}

static int type(struct vd_onnx_model *m, const struct vd_msg *msg, struct vd_onnx_value *v)
{
    static const uint8_t kinds[] = {TYPE_TENSOR, TYPE_SEQUENCE, TYPE_MAP, TYPE_OPAQUE, TYPE_SPARSE, TYPE_OPTIONAL};
    struct vd_got got[COUNT(type_fields)];
    struct vd_msg sub;
    unsigned kind = 0;
    int rc = vd_msg_scan(msg, type_fields, COUNT(type_fields), got);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < sizeof kinds; i++) {
        if (!got[kinds[i]].n)
            continue;
        if (kind)
            return vd_fail(EBADMSG, "byte %zu: a %s and a %s at once", got[kinds[i]].f.at, type_fields[kind].name,
                           type_fields[kinds[i]].name);
        kind = kinds[i];
    }
    if (!kind)
        return vd_fail(EBADMSG, "its type is empty");
    if (kind != TYPE_TENSOR)
        return vd_fail(EPERM, "byte %zu: a %s; only tensors are supported", got[kind].f.at, type_fields[kind].name);
    if ((rc = vd_msg_sub(msg, &got[TYPE_TENSOR].f, &sub)) < 0)
        return rc;
    return tensor_type(m, &sub, v);
}

int vd_parse_value(struct vd_onnx_model *m, const struct vd_msg *msg, struct vd_onnx_value *v)
{
    struct vd_got got[COUNT(value_fields)];
    struct vd_msg sub;
    int rc;
    if ((rc = vd_msg_scan(msg, value_fields, COUNT(value_fields), got)) < 0 ||
        (rc = vd_parse_text(m, &got[VALUE_NAME].f, VD_TEXT_NAME, "name", &v->name)) < 0)
        return rc;
    if (!got[VALUE_TYPE].n)
        rc = vd_fail(EBADMSG, "it has no type");
    else if ((rc = vd_msg_sub(msg, &got[VALUE_TYPE].f, &sub)) == 0)
        rc = type(m, &sub, v);
    return vd_context(rc, VD_NAME, v->name);
}
