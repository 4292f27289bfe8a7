/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_BYTES_H
#define VD_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A view of bytes with a sticky error: a read past the end returns zero, moves
 * to the end and sets bad, so a whole structure is read before one check. */
struct vd_reader {
    const uint8_t *p, *end;
    bool bad;
};

static inline size_t vd_left(const struct vd_reader *r) { return (size_t)(r->end - r->p); }
uint8_t vd_get_u8(struct vd_reader *r);
uint32_t vd_get_le32(struct vd_reader *r);
uint64_t vd_get_le64(struct vd_reader *r);
uint64_t vd_get_varint(struct vd_reader *r); /* base 128, at most 10 bytes, must fit 64 bits */
const uint8_t *vd_get_bytes(struct vd_reader *r, size_t n); /* NULL and bad when fewer are left */

/* A growing buffer with a sticky error: after a failed allocation every put is
 * a no-op and bad stays set. Free data with vd_free(). */
struct vd_buf {
    uint8_t *data;
    size_t size, cap;
    bool bad;
};

void vd_put(struct vd_buf *b, const void *data, size_t n);
void vd_put_u8(struct vd_buf *b, uint8_t v);
void vd_put_le32(struct vd_buf *b, uint32_t v);
void vd_put_le64(struct vd_buf *b, uint64_t v);
void vd_put_varint(struct vd_buf *b, uint64_t v);
void vd_put_str(struct vd_buf *b, const char *s);

#endif
