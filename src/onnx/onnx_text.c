/* SPDX-License-Identifier: BSD-2-Clause */
#include "onnx/onnx_parse.h"

#include <stdbool.h>
#include <string.h>

enum { NAME_MAX_BYTES = 1023 };

/* Code point of the well-formed UTF-8 sequence at *p, which moves behind it; -1 when it is none. */
static int32_t next(const uint8_t **p, const uint8_t *end)
{
    static const int32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *s = *p;
    if (s[0] < 0x80) {
        *p = s + 1;
        return s[0];
    }
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return -1;
    const int len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (end - s < len)
        return -1;
    int32_t c = s[0] & (0x7f >> len);
    for (int i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return -1;
        c = (int32_t)((uint32_t)c << 6 | (s[i] & 0x3fu));
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return -1;
    *p = s + len;
    return c;
}

/* C0, DEL, C1, line and paragraph separators, and the marks that reorder text on a terminal. */
static bool hidden(int32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x61c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

int vd_parse_text(struct vd_onnx_model *m, const struct vd_field *f, enum vd_text kind, const char *what, const char **out)
{
    const uint8_t *p = f->body.p, *end = f->body.end;
    const size_t len = vd_left(&f->body);
    *out = "";
    if (!len && kind != VD_TEXT_NAME)
        return 0;
    if (!len)
        return f->number ? vd_fail(EBADMSG, "byte %zu: the %s is empty", f->at, what) : vd_fail(EBADMSG, "the %s is missing", what);
    if (kind != VD_TEXT_FREE && len > NAME_MAX_BYTES)
        return vd_fail(EBADMSG, "byte %zu: the %s has %zu bytes, at most %d are read", f->at, what, len, NAME_MAX_BYTES);
    while (p < end) {
        const size_t at = f->at + (size_t)(p - f->body.p);
        const int32_t c = next(&p, end);
        if (c < 0)
            return vd_fail(EBADMSG, "byte %zu: the %s is not UTF-8 (%zu bytes in)", f->at, what, at - f->at);
        if (c == 0 || (kind != VD_TEXT_FREE ? hidden(c) : hidden(c) && c < 0xa0 && c != '\t' && c != '\n' && c != '\r'))
            return vd_fail(EBADMSG, "byte %zu: the %s holds the control character U+%04X", f->at, what, (unsigned)c);
    }
    char *copy = vd_arena_str(&m->arena, (const char *)f->body.p, len);
    if (!copy)
        return vd_nomem(len + 1ULL);
    *out = copy;
    return 0;
}

int vd_parse_array(struct vd_onnx_model *m, size_t count, size_t size, const char *what, void *out)
{
    void *p = NULL;
    if (count > VD_ONNX_MAX_COUNT)
        return vd_fail(E2BIG, "%zu %s; at most %d are read", count, what, VD_ONNX_MAX_COUNT);
    if (count && !(p = vd_arena_array(&m->arena, count, size)))
        return vd_nomem((unsigned long long)count * size);
    memcpy(out, &p, sizeof p);
    return 0;
}
