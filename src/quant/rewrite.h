/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_REWRITE_H
#define VD_REWRITE_H

#include "common/names.h"
#include "common/status.h"
#include "onnx/onnx.h"

/* A model that is made from another: nodes are kept or replaced in the source's order, new initialisers go behind the source's, and
 * constants that lose their last use go. Names, nodes and initialisers are made without a check at each step: the first failure
 * stays in rc, and nothing after it does harm. */
struct vd_rewrite {
    const struct vd_onnx_model *in;
    struct vd_onnx_model *m; /* shares in's strings and bytes; its arena owns what is new */
    int rc;
    /* A constant is an initialiser (its index) or a Constant node with a tensor (n_init + its index). */
    const struct vd_onnx_tensor **constant;
    size_t *uses; /* by constant, in the source */
    /* inside */
    size_t *uses_left;
    struct vd_names taken, constants;
    struct vd_onnx_tensor *added;
    int n_added;
};

/* Room for so many new nodes, initialisers and names besides all that in has. On failure m is empty. */
int vd_rewrite_begin(struct vd_rewrite *r, const struct vd_onnx_model *in, struct vd_onnx_model *m, size_t nodes, size_t inits, size_t names);
/* n_meta pairs replace those of the same key; a value NULL leaves the pair out. Returns rc; on failure m is empty. */
int vd_rewrite_end(struct vd_rewrite *r, const struct vd_onnx_kv *meta, int n_meta);

void *vd_rewrite_alloc(struct vd_rewrite *r, size_t count, size_t size); /* NULL on failure */
const char *vd_rewrite_text(struct vd_rewrite *r, const char *fmt, ...) VD_PRINTF(2, 3); /* "" on failure */
/* A value name that nobody has yet: want, else want_1, want_2, ... */
const char *vd_rewrite_fresh(struct vd_rewrite *r, const char *want);

/* VD_NAMES("a", "b") is a list of names and its length. */
#define VD_NAMES(...) (const char *const[]){__VA_ARGS__}, (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))
struct vd_onnx_node *vd_rewrite_node(struct vd_rewrite *r, const char *op, const char *name, const char *const *in, int n_in,
                                     const char *const *out, int n_out);
void vd_rewrite_keep(struct vd_rewrite *r, const struct vd_onnx_node *n);
/* Returns name. data is count * size of type bytes that outlive m. */
const char *vd_rewrite_init(struct vd_rewrite *r, const char *name, int type, int rank, const int64_t *dim, const void *data);

/* The constant behind a value's name, -1: there is none. */
int vd_rewrite_constant(const struct vd_rewrite *r, const char *name);
/* One of the source's uses of constant c (may be -1) is not in m. */
void vd_rewrite_unuse(struct vd_rewrite *r, int c);

#endif
