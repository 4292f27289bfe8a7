/* SPDX-License-Identifier: BSD-2-Clause */
#include "onnx/onnx_parse.h"

#include <string.h>

static const struct {
    const char *name;
    uint8_t size; /* 0: known to ONNX, not to us */
} types[] = {
    [VD_F32] = {"float32", 4}, [VD_U8] = {"uint8", 1}, [VD_S8] = {"int8", 1}, [VD_U16] = {"uint16", 2},
    [VD_S16] = {"int16", 2}, [VD_S32] = {"int32", 4}, [VD_S64] = {"int64", 8}, [VD_STRING] = {"string", 0},
    [VD_BOOL] = {"bool", 1}, [VD_F16] = {"float16", 2}, [VD_F64] = {"float64", 8}, [VD_U32] = {"uint32", 4},
    [VD_U64] = {"uint64", 8}, [14] = {"complex64", 0}, [15] = {"complex128", 0}, [16] = {"bfloat16", 0},
    [17] = {"float8e4m3fn", 0}, [18] = {"float8e4m3fnuz", 0}, [19] = {"float8e5m2", 0}, [20] = {"float8e5m2fnuz", 0},
    [21] = {"uint4", 0}, [22] = {"int4", 0}, [23] = {"float4e2m1", 0}, [24] = {"float8e8m0", 0},
    [25] = {"uint2", 0}, [26] = {"int2", 0}, [27] = {"float6e2m3", 0}, [28] = {"float6e3m2", 0},
};
enum { N_TYPES = sizeof types / sizeof *types };

size_t vd_type_size(int type)
{
    return type > 0 && type < N_TYPES ? types[type].size : 0;
}

const char *vd_type_name(int type)
{
    return type > 0 && type < N_TYPES ? types[type].name : "type?";
}

int vd_parse_type(int type, size_t at)
{
    if (type == VD_NONE)
        return vd_fail(EBADMSG, "it has no element type");
    if (vd_type_size(type))
        return 0;
    if (type < 0 || type >= N_TYPES)
        return vd_fail(EPERM, "byte %zu: unknown element type %d", at, type);
    return vd_fail(EPERM, "byte %zu: %s elements are not supported", at, vd_type_name(type));
}

const struct vd_onnx_attr *vd_onnx_attr(const struct vd_onnx_node *n, const char *name)
{
    for (int i = 0; i < n->n_attr; i++)
        if (!strcmp(n->attr[i].name, name))
            return &n->attr[i];
    return NULL;
}

const struct vd_onnx_tensor *vd_onnx_init(const struct vd_onnx_model *m, const char *name)
{
    if (m->init_names.slot && m->init_names_of == m->init && m->init_names_n == m->n_init) {
        const int i = vd_names_find(&m->init_names, name);
        return i < 0 ? NULL : &m->init[i];
    }
    for (int i = 0; i < m->n_init; i++)
        if (!strcmp(m->init[i].name, name))
            return &m->init[i];
    return NULL;
}

float vd_onnx_f32(const struct vd_onnx_tensor *t, size_t i)
{
    const uint8_t *p = t->data + i * 4;
    const uint32_t bits = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}
