/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_ONNX_WIRE_H
#define VD_ONNX_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"

/* Protobuf's wire format, as much of it as ONNX uses, and stricter: groups, a
 * second occurrence of a singular field (protobuf would merge it) and a known field of
 * another wire type are refused. Every function here returns 0 (or what it
 * says) or -EBADMSG with the byte offset in the reason; nothing allocates. */

enum { VD_WIRE_VARINT = 0, VD_WIRE_I64 = 1, VD_WIRE_LEN = 2, VD_WIRE_I32 = 5 };
enum { VD_WIRE_MAX_DEPTH = 8 };

struct vd_msg { /* the bytes of one message */
    struct vd_reader r;
    const uint8_t *file; /* where offsets count from */
    int depth;           /* 1 for the outermost */
};

struct vd_field {
    unsigned number; /* 0: no field */
    int wire;
    size_t at;             /* offset of the tag */
    uint64_t v;            /* VARINT, I64, I32 */
    struct vd_reader body; /* the bytes of the value, whatever its wire type */
};

void vd_msg_open(struct vd_msg *m, const uint8_t *data, size_t size);
int vd_msg_sub(const struct vd_msg *m, const struct vd_field *f, struct vd_msg *sub);
int vd_msg_next(struct vd_msg *m, struct vd_field *f); /* 1: a field, 0: the end */

/* What a message may hold, indexed by field number; name NULL: an unknown
 * field, skipped. A repeated number (many, wire not LEN) may come packed too. */
struct vd_desc {
    const char *name;
    int wire;
    bool many;
};

struct vd_got {
    size_t n;          /* occurrences; for repeated numbers, the numbers in all occurrences */
    struct vd_field f; /* the last occurrence */
};

/* Check every field of m against desc[0..n-1] and fill got[0..n-1]. m stays where it is, for a second pass with vd_msg_next(). */
int vd_msg_scan(const struct vd_msg *m, const struct vd_desc *desc, unsigned n, struct vd_got *got);

/* The next number in the body of a field that vd_msg_scan() has accepted; call while vd_left(body). */
uint64_t vd_get_scalar(struct vd_reader *body, int wire);

/* The field's value as int32: -EBADMSG when it does not fit. 0 for an absent field. */
int vd_field_int32(const struct vd_field *f, const char *name, int *out);

#endif
