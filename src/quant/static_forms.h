/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_STATIC_FORMS_H
#define VD_STATIC_FORMS_H

#include <string.h>

#include "quant/static_priv.h"

/* The forms in which quantize_static.c reads and writes a value: floats, bytes, floats of bytes; each is written once, when the first asks for it. */

#define text(s, ...) vd_rewrite_text(&(s)->r, __VA_ARGS__)
#define node(s, ...) vd_rewrite_node(&(s)->r, __VA_ARGS__)
#define initialiser(s, ...) vd_rewrite_init(&(s)->r, __VA_ARGS__)

static inline void *arena(struct vd_static *s, size_t count, size_t size) { return vd_rewrite_alloc(&s->r, count, size); }
static inline const char *fresh(struct vd_static *s, const char *want) { return vd_rewrite_fresh(&s->r, want); }
static inline bool is_op(const struct vd_onnx_node *n, const char *op) { return !strcmp(n->op_type, op); }

/* A tensor of no dims. */
const char *vd_static_scalar(struct vd_static *s, const char *name, int type, const void *value, size_t size);
void vd_static_set_attr(struct vd_static *s, struct vd_onnx_node *n, const char *name, int64_t v);
/* v's root, with its scale and zero point as initialisers. */
struct vd_static_value *vd_static_params(struct vd_static *s, int v);
/* Names of v: bytes of its floats, floats of its bytes, floats in any way, and what its writer writes: floats, or bytes. */
const char *vd_static_quantize(struct vd_static *s, int v);
const char *vd_static_dequantize(struct vd_static *s, int v);
const char *vd_static_plain(struct vd_static *s, int v);
const char *vd_static_raw(struct vd_static *s, int v);
const char *vd_static_bytes(struct vd_static *s, int v);
/* v was written as floats, or as bytes: its other forms, and the clamp that its range does not do. */
void vd_static_wrote(struct vd_static *s, int v);

#endif
