/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/status.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { LINE = 512 };

static _Thread_local char reason[LINE];

/* Length of the UTF-8 sequence at s and its code point, 0 when it is none.
 * The NUL that ends s is no continuation byte, so nothing past it is read. */
static size_t decode(const unsigned char *s, uint32_t *cp)
{
    if (s[0] < 0x80) {
        *cp = s[0];
        return 1;
    }
    size_t len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    uint32_t v = s[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        v = v << 6 | (s[i] & 0x3fu);
    }
    if (v < least[len] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
        return 0;
    *cp = v;
    return len;
}

/* C0, DEL, C1, line and paragraph separators, and the marks that reorder text. */
static int hidden(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7f && cp <= 0x9f) || cp == 0x61c || cp == 0x200e || cp == 0x200f ||
           (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069);
}

/* Valid UTF-8 on one line, whatever came in and wherever it was cut. */
static void record(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    char *out = reason;
    while (*s) {
        uint32_t cp = 0;
        size_t len = decode(s, &cp);
        if (len && !hidden(cp)) {
            memcpy(out, s, len);
            out += len;
            s += len;
        } else {
            *out++ = '?';
            s += len ? len : 1;
        }
    }
    *out = 0;
}

int vd_fail(int err, const char *fmt, ...)
{
    int saved = errno;
    char text[LINE]; /* apart from reason, which may be among the arguments */
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(text, sizeof text, fmt, ap) < 0)
        snprintf(text, sizeof text, "%s", "failed, and the reason could not be put into words");
    va_end(ap);
    record(text);
    errno = saved;
    return -err;
}

int vd_context(int rc, const char *fmt, ...)
{
    if (rc == 0)
        return 0;
    int saved = errno;
    char head[LINE], text[LINE];
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(head, sizeof head, fmt, ap) < 0)
        head[0] = 0;
    va_end(ap);
    size_t n = strlen(head), m = strlen(reason);
    if (n > LINE - 3)
        n = LINE - 3;
    memcpy(text, head, n);
    memcpy(text + n, ": ", 2);
    n += 2;
    if (m > LINE - 1 - n)
        m = LINE - 1 - n;
    memcpy(text + n, reason, m);
    text[n + m] = 0;
    record(text);
    errno = saved;
    return rc;
}

int vd_nomem(unsigned long long bytes)
{
    return vd_fail(ENOMEM, "out of memory: %llu bytes more were needed", bytes);
}

const char *vd_reason(void) { return reason; }

void vd_reason_clear(void) { reason[0] = 0; }
