/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_NPY_H
#define VD_NPY_H

#include <stddef.h>
#include <stdint.h>

#include "vmaf_dnn/vmaf_dnn.h"

/* NumPy's .npy, versions 1.0 to 3.0: the element types of enum vmaf_dnn_type (<f4 <f2 |u1 |i1 <i4 <i8 |b1), C order.
 * The header is a Python dictionary; it is read with a grammar of its own, never evaluated:
 *
 *     { 'descr': 'TYPE', 'fortran_order': False, 'shape': (N, N, ...), }
 *
 * three keys, each once, in any order, spaces between words, a comma at the end or not. */
enum { VD_NPY_MAX_HEADER = 65535 };
#define VD_NPY_MAX_FILE ((size_t)1 << (sizeof(size_t) > 4 ? 33 : 30))

struct vd_npy {
    int type; /* enum vmaf_dnn_type */
    int rank;
    int64_t shape[VMAF_DNN_MAX_RANK];
    size_t count;
    void *data;      /* aligned for its type */
    uint8_t *memory; /* the file; freed by vd_npy_free() */
};

/* -EBADMSG: not .npy, or contradictory (a size that is not what the shape says, a bool that is neither 0 nor 1); -ENOTSUP: an
 * array that is well formed and not for us, with what to do in NumPy; and those of vd_file_read(). On failure *a is zeroed. */
int vd_npy_load(const char *path, struct vd_npy *a);
/* The same from size bytes in memory, which a->data then points into (moved to its beginning when misaligned);
 * name is for messages. */
int vd_npy_parse(uint8_t *bytes, size_t size, const char *name, struct vd_npy *a);
/* The header alone, from the first bytes of a file (VD_NPY_MAX_HEADER + 16 are always enough): type, rank, shape and count, no data.
 * *header: where the elements begin. */
int vd_npy_head(const uint8_t *bytes, size_t size, const char *name, struct vd_npy *a, size_t *header);
void vd_npy_free(struct vd_npy *a);

/* The header that numpy.save() of NumPy 1.24 and later writes: magic, dictionary, padding to 64. Its length. */
enum { VD_NPY_HEADER_ROOM = 384 };
size_t vd_npy_header(char dst[VD_NPY_HEADER_ROOM], int type, int rank, const int64_t *shape);

const char *vd_npy_descr(int type); /* "<f4"; NULL: not one of enum vmaf_dnn_type */
/* "[1,1,?,?]", and "[any]" for rank < 0. Returns dst. */
enum { VD_SHAPE_TEXT = 192 };
char *vd_shape_text(char dst[VD_SHAPE_TEXT], int rank, const int64_t *shape);

#endif
