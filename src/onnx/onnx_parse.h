/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_ONNX_PARSE_H
#define VD_ONNX_PARSE_H

#include <stddef.h>

#include "common/status.h"
#include "onnx/onnx.h"
#include "onnx/onnx_proto.h"
#include "onnx/onnx_wire.h"

/* The reader's parts. Each takes one message of onnx.proto, allocates in the
 * model's arena, and returns 0 or a negative errno with the reason; whoever calls
 * puts the name of what was being read before it (vd_context). */

/* A name in a message of ours: long enough to find it, short enough to leave room. */
#define VD_NAME "\"%.80s\""

enum vd_text {
    VD_TEXT_NAME,  /* 1 to 1023 bytes, no control characters, nothing that reorders text */
    VD_TEXT_LABEL, /* the same, or empty */
    VD_TEXT_FREE,  /* any length; tab, line feed and carriage return besides */
};

/* A NUL-terminated copy of a string field; f absent (number 0) is empty. */
int vd_parse_text(struct vd_onnx_model *m, const struct vd_field *f, enum vd_text kind, const char *what, const char **out);

/* A zeroed array for things counted in the file, *out NULL for none. -E2BIG over VD_ONNX_MAX_COUNT. */
int vd_parse_array(struct vd_onnx_model *m, size_t count, size_t size, const char *what, void *out);

/* -EBADMSG, -EPERM when type is not one that has a size; at is the field's offset. */
int vd_parse_type(int type, size_t at);

int vd_parse_tensor(struct vd_onnx_model *m, const struct vd_msg *msg, bool named, struct vd_onnx_tensor *t);
int vd_parse_value(struct vd_onnx_model *m, const struct vd_msg *msg, struct vd_onnx_value *v);
int vd_parse_node(struct vd_onnx_model *m, const struct vd_msg *msg, struct vd_onnx_node *node);
int vd_parse_graph(struct vd_onnx_model *m, const struct vd_msg *msg);

#endif
