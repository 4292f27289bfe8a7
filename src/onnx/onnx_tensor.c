/* SPDX-License-Identifier: BSD-2-Clause */
#include "onnx/onnx_parse.h"

#include "common/checked.h"

static const struct vd_desc tensor_fields[] = {
    [TENSOR_DIMS] = {"dims", VD_WIRE_VARINT, true},
    [TENSOR_TYPE] = {"data_type", VD_WIRE_VARINT, false},
    [TENSOR_SEGMENT] = {"segment", VD_WIRE_LEN, false},
    [TENSOR_FLOAT_DATA] = {"float_data", VD_WIRE_I32, true},
    [TENSOR_INT32_DATA] = {"int32_data", VD_WIRE_VARINT, true},
    [TENSOR_STRING_DATA] = {"string_data", VD_WIRE_LEN, true},
    [TENSOR_INT64_DATA] = {"int64_data", VD_WIRE_VARINT, true},
    [TENSOR_NAME] = {"tensor name", VD_WIRE_LEN, false},
    [TENSOR_RAW_DATA] = {"raw_data", VD_WIRE_LEN, false},
    [TENSOR_DOUBLE_DATA] = {"double_data", VD_WIRE_I64, true},
    [TENSOR_UINT64_DATA] = {"uint64_data", VD_WIRE_VARINT, true},
    [TENSOR_DOC] = {"doc_string", VD_WIRE_LEN, false},
    [TENSOR_EXTERNAL_DATA] = {"external_data", VD_WIRE_LEN, true},
    [TENSOR_LOCATION] = {"data_location", VD_WIRE_VARINT, false},
    [TENSOR_META] = {"metadata_props", VD_WIRE_LEN, true},
};
enum { N_TENSOR_FIELDS = sizeof tensor_fields / sizeof *tensor_fields };

static const uint8_t value_fields[] = {TENSOR_FLOAT_DATA, TENSOR_INT32_DATA, TENSOR_STRING_DATA, TENSOR_INT64_DATA,
                                       TENSOR_DOUBLE_DATA, TENSOR_UINT64_DATA};

/* Where a type's elements are when they are not raw, and what an integer there may be. */
static const struct {
    uint8_t field;
    int64_t lo, hi; /* both 0: every bit pattern of the field */
} homes[] = {
    [VD_F32] = {TENSOR_FLOAT_DATA, 0, 0},
    [VD_U8] = {TENSOR_INT32_DATA, 0, UINT8_MAX},
    [VD_S8] = {TENSOR_INT32_DATA, INT8_MIN, INT8_MAX},
    [VD_U16] = {TENSOR_INT32_DATA, 0, UINT16_MAX},
    [VD_S16] = {TENSOR_INT32_DATA, INT16_MIN, INT16_MAX},
    [VD_S32] = {TENSOR_INT32_DATA, INT32_MIN, INT32_MAX},
    [VD_S64] = {TENSOR_INT64_DATA, 0, 0},
    [VD_BOOL] = {TENSOR_INT32_DATA, 0, 1},
    [VD_F16] = {TENSOR_INT32_DATA, 0, UINT16_MAX}, /* the bits */
    [VD_F64] = {TENSOR_DOUBLE_DATA, 0, 0},
    [VD_U32] = {TENSOR_UINT64_DATA, 0, UINT32_MAX},
    [VD_U64] = {TENSOR_UINT64_DATA, 0, 0},
};

static int shape(const struct vd_msg *msg, const struct vd_got *dims, struct vd_onnx_tensor *t)
{
    if (dims->n > VD_MAX_RANK)
        return vd_fail(EPERM, "byte %zu: a tensor of rank %zu; at most %d is supported", dims->f.at, dims->n, VD_MAX_RANK);
    struct vd_msg pass = *msg;
    struct vd_field f;
    int64_t bytes = (int64_t)vd_type_size(t->type); /* of the shape with its zeros taken as ones: */
    int rc;                                         /* then no partial product of it wraps in any order */
    while ((rc = vd_msg_next(&pass, &f)) > 0) {
        while (f.number == TENSOR_DIMS && vd_left(&f.body)) {
            const int64_t d = (int64_t)vd_get_scalar(&f.body, VD_WIRE_VARINT);
            if (d < 0)
                return vd_fail(EBADMSG, "byte %zu: dimension %d is %lld", f.at, t->rank, (long long)d);
            if (d && !vd_mul64(bytes, d, &bytes))
                return vd_fail(EBADMSG, "byte %zu: the dimensions' product does not fit 64 bits", f.at);
            t->dim[t->rank++] = d;
        }
    }
    if (rc < 0)
        return rc;
    if (!vd_count(t->dim, t->rank, &t->count) || !vd_mul(t->count, vd_type_size(t->type), &t->size))
        return vd_fail(EBADMSG, "byte %zu: the dimensions' product does not fit", dims->f.at);
    return 0;
}

static int raw(const struct vd_field *f, struct vd_onnx_tensor *t)
{
    if (vd_left(&f->body) != t->size)
        return vd_fail(EBADMSG, "byte %zu: %zu bytes of raw_data where the shape asks for %zu", f->at, vd_left(&f->body), t->size);
    if (t->type == VD_BOOL)
        for (size_t i = 0; i < t->size; i++)
            if (f->body.p[i] > 1)
                return vd_fail(EBADMSG, "byte %zu: element %zu of a bool tensor is %d", f->at, i, f->body.p[i]);
    t->data = f->body.p;
    return 0;
}

static int typed(struct vd_onnx_model *m, const struct vd_msg *msg, const struct vd_got *got, struct vd_onnx_tensor *t)
{
    const unsigned field = homes[t->type].field;
    const int64_t lo = homes[t->type].lo, hi = homes[t->type].hi;
    const char *name = tensor_fields[field].name;
    const size_t size = vd_type_size(t->type);
    static const uint8_t nothing;
    if (!got->n && t->count)
        return vd_fail(EBADMSG, "it has no data and its shape asks for %zu values", t->count);
    if (got->n != t->count)
        return vd_fail(EBADMSG, "byte %zu: %zu values in %s where the shape asks for %zu", got->f.at, got->n, name, t->count);
    t->data = &nothing;
    if (!t->count)
        return 0;
    uint8_t *out = vd_arena_array(&m->arena, t->count, size);
    if (!out)
        return vd_nomem(t->size);
    t->data = out;
    struct vd_msg pass = *msg;
    struct vd_field f;
    int rc;
    while ((rc = vd_msg_next(&pass, &f)) > 0) {
        while (f.number == field && vd_left(&f.body)) {
            const uint64_t v = vd_get_scalar(&f.body, tensor_fields[field].wire);
            if (lo != hi && ((int64_t)v < lo || (int64_t)v > hi))
                return vd_fail(EBADMSG, "byte %zu: a value in %s is %lld, which is no %s", f.at, name, (long long)v,
                               vd_type_name(t->type));
            for (size_t i = 0; i < size; i++)
                *out++ = (uint8_t)(v >> 8 * i);
        }
    }
    return rc;
}

int vd_parse_tensor(struct vd_onnx_model *m, const struct vd_msg *msg, bool named, struct vd_onnx_tensor *t)
{
    struct vd_got got[N_TENSOR_FIELDS];
    int rc, location;
    if ((rc = vd_msg_scan(msg, tensor_fields, N_TENSOR_FIELDS, got)) < 0 ||
        (rc = vd_parse_text(m, &got[TENSOR_NAME].f, named ? VD_TEXT_NAME : VD_TEXT_LABEL, "tensor name", &t->name)) < 0)
        return rc;
    const char *name = t->name;
    if ((rc = vd_field_int32(&got[TENSOR_LOCATION].f, "data_location", &location)) < 0)
        goto fail;
    if (location == 1 || got[TENSOR_EXTERNAL_DATA].n) {
        rc = vd_fail(EPERM, "its data is in an external file, which is not supported: save the model as one file");
        goto fail;
    }
    if (location) {
        rc = vd_fail(EBADMSG, "byte %zu: data_location %d does not exist", got[TENSOR_LOCATION].f.at, location);
        goto fail;
    }
    if (got[TENSOR_SEGMENT].n) {
        rc = vd_fail(EPERM, "byte %zu: tensors in segments are not supported", got[TENSOR_SEGMENT].f.at);
        goto fail;
    }
    if ((rc = vd_field_int32(&got[TENSOR_TYPE].f, "data_type", &t->type)) < 0 ||
        (rc = vd_parse_type(t->type, got[TENSOR_TYPE].f.at)) < 0 || (rc = shape(msg, &got[TENSOR_DIMS], t)) < 0)
        goto fail;
    const struct vd_got *home = &got[homes[t->type].field];
    for (size_t i = 0; i < sizeof value_fields; i++) {
        const struct vd_got *g = &got[value_fields[i]];
        if (g->n && (g != home || got[TENSOR_RAW_DATA].n)) {
            rc = vd_fail(EBADMSG, "byte %zu: %s in a tensor of %s%s", g->f.at, tensor_fields[value_fields[i]].name,
                         vd_type_name(t->type), got[TENSOR_RAW_DATA].n ? " that has raw_data" : "");
            goto fail;
        }
    }
    rc = got[TENSOR_RAW_DATA].n ? raw(&got[TENSOR_RAW_DATA].f, t) : typed(m, msg, home, t);
fail:
    return !rc || !*name ? rc : vd_context(rc, "tensor " VD_NAME, name);
}
