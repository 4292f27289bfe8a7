/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_ONNX_H
#define VD_ONNX_H

#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/bytes.h"
#include "common/names.h"

/* An ONNX file as written (onnx.proto, IR 3 to 13): structure only, no meaning.
 * Names are NUL-terminated copies in the arena, checked to be printable UTF-8 without control
 * characters, 1 to 1023 bytes; tensor bytes point into the buffer that was read (zero copy,
 * hence of any alignment) or, for typed data, into the arena. */

enum { VD_MAX_RANK = 8 };
/* Nodes, initialisers, graph inputs, graph outputs, metadata of one model; inputs, outputs, attributes of
 * one node; numbers in one attribute. Twice as many values that nodes write. */
enum { VD_ONNX_MAX_COUNT = 1 << 15 };
/* A model takes at most this much memory and twice the file's size: a node of a few bytes becomes a hundred, and a one-byte number of a
 * list eight. */
#define VD_ONNX_ROOM ((size_t)4 << 20)
enum { VD_ONNX_OPSET_MIN = 7, VD_ONNX_OPSET_MAX = 23, VD_ONNX_IR_MIN = 3, VD_ONNX_IR_MAX = 13 };

/* TensorProto.DataType */
enum vd_type {
    VD_NONE = 0, VD_F32 = 1, VD_U8 = 2, VD_S8 = 3, VD_U16 = 4, VD_S16 = 5, VD_S32 = 6, VD_S64 = 7,
    VD_STRING = 8, VD_BOOL = 9, VD_F16 = 10, VD_F64 = 11, VD_U32 = 12, VD_U64 = 13,
};

size_t vd_type_size(int type);        /* bytes an element; 0 when the type is not one of those above or is STRING */
const char *vd_type_name(int type);   /* "float32", "uint8", ... ; "type?" when unknown */

struct vd_onnx_tensor {
    const char *name; /* may be "" inside an attribute */
    int type;         /* enum vd_type, known and not STRING */
    int rank;
    int64_t dim[VD_MAX_RANK]; /* each >= 0 */
    size_t count;             /* product of dims */
    const uint8_t *data;      /* never NULL; count * vd_type_size(type) bytes, little endian; any alignment */
    size_t size;
};

enum vd_attr_type { VD_ATTR_FLOAT = 1, VD_ATTR_INT = 2, VD_ATTR_STRING = 3, VD_ATTR_TENSOR = 4, VD_ATTR_FLOATS = 6, VD_ATTR_INTS = 7 };

struct vd_onnx_attr {
    const char *name;
    int type; /* enum vd_attr_type */
    union {
        float f;
        int64_t i;
        const char *s; /* NUL-terminated copy; strings with a NUL inside are refused */
        const struct vd_onnx_tensor *t;
        const float *floats;
        const int64_t *ints;
    } v;
    int n; /* elements of floats or ints */
};

struct vd_onnx_node {
    const char *name; /* may be "" */
    const char *op_type;        /* ONNX's own: the bare name; another domain's: "DOMAIN:NAME" */
    const char **in, **out; /* "" for an omitted optional one */
    int n_in, n_out;
    const struct vd_onnx_attr *attr; /* in file order; names unique */
    int n_attr;
};

struct vd_onnx_value { /* a graph input or output: ValueInfoProto with a tensor type */
    const char *name;
    int type;
    int rank;                       /* -1: no shape given */
    int64_t dim[VD_MAX_RANK];       /* -1: symbolic or unknown */
    const char *param[VD_MAX_RANK]; /* name of a symbolic dim, else NULL */
};

struct vd_onnx_kv { const char *key, *value; };

struct vd_onnx_model {
    struct vd_arena arena; /* owns everything below but tensor bytes in the buffer */
    int64_t ir_version, model_version;
    int opset; /* of the domain "" */
    const char *producer_name, *producer_version, *domain, *doc; /* "" when absent */
    const char *graph_name, *graph_doc;
    struct vd_onnx_node *node;          int n_node;
    struct vd_onnx_tensor *init;        int n_init;  /* names unique */
    struct vd_onnx_value *in;           int n_in;    /* without those that an initialiser of the same name makes optional (IR 3) */
    struct vd_onnx_value *out;          int n_out;
    struct vd_onnx_kv *meta;            int n_meta;  /* metadata_props; keys unique */
    struct vd_names init_names; /* vd_onnx_init()'s index: of this array of this length, else it is not used */
    const struct vd_onnx_tensor *init_names_of; int init_names_n;
};

/* Parse size bytes at data, which must outlive the model. On failure the model
 * is freed and zeroed.
 * -EBADMSG: not ONNX, truncated, contradictory (the byte offset is in the reason; duplicate singular fields,
 *   duplicate names of initialisers, inputs, outputs, node outputs, attributes or metadata; tensor bytes that do not match
 *   the shape; typed values that do not fit their type; wire types 3 and 4; depth over 8; no output).
 * -EPERM, by name: external data, model functions, training info, sparse or string tensors, graphs inside attributes,
 *   segments, unknown element types, type protos other than tensor, an opset outside 7..23, an IR version outside 3..13,
 *   rank over 8.
 * -E2BIG: more than VD_ONNX_MAX_COUNT of something, more memory than VD_ONNX_ROOM allows, or 2 GiB or more. -ENOMEM.
 * An operator of a domain other than "" and "ai.onnx" is read, and is the op table's to refuse, as "DOMAIN:NAME".
 * Unknown fields are skipped by wire type. value_info, quantization_annotation and node doc strings are not kept. */
int vd_onnx_read(struct vd_onnx_model *m, const uint8_t *data, size_t size);
void vd_onnx_free(struct vd_onnx_model *m);

/* Append the model's bytes to b. Deterministic: fields in the order of their
 * numbers, tensors as raw_data, defaults left out (but for what an attribute and a dimension
 * hold), nothing from outside the model. Where the IR version is 3, each initialiser is also a
 * graph input, as that version asks. -ENOMEM. */
int vd_onnx_write(const struct vd_onnx_model *m, struct vd_buf *b);

/* Index the initialisers after m->init was set: vd_onnx_read() has done it, and
 * a model built by hand works without, slower. -EBADMSG when two share a name, -ENOMEM. */
int vd_onnx_index(struct vd_onnx_model *m);

/* Look-ups; NULL when absent. */
const struct vd_onnx_attr *vd_onnx_attr(const struct vd_onnx_node *n, const char *name);
const struct vd_onnx_tensor *vd_onnx_init(const struct vd_onnx_model *m, const char *name);

/* Element i of a tensor whatever its alignment; the caller has checked the type. */
float vd_onnx_f32(const struct vd_onnx_tensor *t, size_t i);

#endif
