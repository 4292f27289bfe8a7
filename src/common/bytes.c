/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/bytes.h"

#include <string.h>

#include "common/checked.h"
#include "common/mem.h"

static uint64_t spoil(struct vd_reader *r)
{
    r->p = r->end;
    r->bad = true;
    return 0;
}

const uint8_t *vd_get_bytes(struct vd_reader *r, size_t n)
{
    if (r->bad || n > vd_left(r)) {
        spoil(r);
        return NULL;
    }
    const uint8_t *p = r->p;
    if (n)
        r->p += n;
    return p;
}

static uint64_t get_le(struct vd_reader *r, size_t n)
{
    const uint8_t *p = vd_get_bytes(r, n);
    uint64_t v = 0;
    for (size_t i = 0; p && i < n; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return v;
}

uint8_t vd_get_u8(struct vd_reader *r) { return (uint8_t)get_le(r, 1); }
uint32_t vd_get_le32(struct vd_reader *r) { return (uint32_t)get_le(r, 4); }
uint64_t vd_get_le64(struct vd_reader *r) { return get_le(r, 8); }

uint64_t vd_get_varint(struct vd_reader *r)
{
    if (r->bad)
        return 0;
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70 && r->p < r->end; shift += 7) {
        uint8_t b = *r->p++;
        if (shift == 63 && b > 1) /* the tenth byte has one bit to give */
            break;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80)
            return v;
    }
    return spoil(r);
}

/* Room for n more bytes; false and bad when there is none. */
static bool room(struct vd_buf *b, size_t n)
{
    size_t need, cap;
    if (b->bad)
        return false;
    if (n <= b->cap - b->size)
        return true;
    if (vd_add(b->size, n, &need)) {
        if (!vd_mul(b->cap, 2, &cap) || cap < need)
            cap = need < 256 ? 256 : need;
        uint8_t *p = vd_realloc(b->data, cap, 1);
        if (p) {
            b->data = p;
            b->cap = cap;
            return true;
        }
    }
    b->bad = true;
    return false;
}

void vd_put(struct vd_buf *b, const void *data, size_t n)
{
    if (n && room(b, n)) {
        memcpy(b->data + b->size, data, n);
        b->size += n;
    }
}

static void put_le(struct vd_buf *b, uint64_t v, size_t n)
{
    uint8_t raw[8];
    for (size_t i = 0; i < n; i++)
        raw[i] = (uint8_t)(v >> 8 * i);
    vd_put(b, raw, n);
}

void vd_put_u8(struct vd_buf *b, uint8_t v) { vd_put(b, &v, 1); }
void vd_put_le32(struct vd_buf *b, uint32_t v) { put_le(b, v, 4); }
void vd_put_le64(struct vd_buf *b, uint64_t v) { put_le(b, v, 8); }

void vd_put_varint(struct vd_buf *b, uint64_t v)
{
    uint8_t raw[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        raw[n++] = (uint8_t)(v | 0x80);
    raw[n++] = (uint8_t)v;
    vd_put(b, raw, n);
}

void vd_put_str(struct vd_buf *b, const char *s) { vd_put(b, s, strlen(s)); }
