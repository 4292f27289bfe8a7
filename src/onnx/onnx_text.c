/* SPDX-License-Identifier: BSD-2-Clause */
#include "onnx/onnx_parse.h"

#include <stdbool.h>
#include <string.h>

#include "common/utf8.h"

enum { NAME_MAX_BYTES = 1023 };

/* Past the printable ASCII, which is nearly all of any text, eight bytes at a time: a byte below 0x20, above 0x7e or with its top bit set sets a
 * top bit below. What is borrowed or carried into the byte above comes from one that has set its own. */
static const uint8_t *plain(const uint8_t *p, const uint8_t *end)
{
    for (uint64_t w; end - p >= 8; p += 8) {
        memcpy(&w, p, 8);
        if (((w - UINT64_C(0x2020202020202020)) | (w + UINT64_C(0x0101010101010101)) | w) & UINT64_C(0x8080808080808080))
            break;
    }
    return p;
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
    while ((p = plain(p, end)) < end) {
        const size_t at = f->at + (size_t)(p - f->body.p);
        size_t n;
        const int32_t c = vd_utf8(p, end, &n);
        if (c < 0)
            return vd_fail(EBADMSG, "byte %zu: the %s is not UTF-8 (%zu bytes in)", f->at, what, at - f->at);
        if (c == 0 || (kind != VD_TEXT_FREE ? vd_utf8_hidden(c) : vd_utf8_hidden(c) && c < 0xa0 && c != '\t' && c != '\n' && c != '\r'))
            return vd_fail(EBADMSG, "byte %zu: the %s holds the control character U+%04X", f->at, what, (unsigned)c);
        p += n;
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
