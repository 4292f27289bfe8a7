/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/status.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/utf8.h"

enum { LINE = 512 };

static _Thread_local char reason[LINE];

/* Valid UTF-8 on one line, whatever came in and wherever it was cut. */
static void record(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    char *out = reason;
    while (*s) {
        size_t len;
        const int32_t c = vd_utf8(s, s + strnlen((const char *)s, 4), &len);
        if (len && !vd_utf8_hidden(c)) {
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
    if (!bytes) /* somebody else asked for them */
        return vd_fail(ENOMEM, "out of memory");
    return vd_fail(ENOMEM, "out of memory: %llu bytes more were needed", bytes);
}

const char *vd_reason(void) { return reason; }

void vd_reason_clear(void) { reason[0] = 0; }
