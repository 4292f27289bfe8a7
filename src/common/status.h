/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_STATUS_H
#define VD_STATUS_H

#include <errno.h>

#if defined(__GNUC__)
#define VD_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define VD_PRINTF(f, a)
#endif

/* Every function that can fail returns 0 or a negative errno. The line that a
 * person can act on is kept beside it, one per thread, and is what
 * vmaf_dnn_last_error() returns. */

/* Record the reason and return -err (err is a positive errno). The line is cut
 * at 511 bytes and is always valid UTF-8 on one line: names come from hostile
 * files, so control characters, marks that reorder text and bytes that are not
 * UTF-8 become '?'. errno is kept, and vd_reason() may be an argument. */
int vd_fail(int err, const char *fmt, ...) VD_PRINTF(2, 3);

/* Put "text: " before the recorded reason, unless rc is 0, and return rc. */
int vd_context(int rc, const char *fmt, ...) VD_PRINTF(2, 3);

/* -ENOMEM with the usual line; bytes is what was asked for; 0: not known. */
int vd_nomem(unsigned long long bytes);

/* Of a plural: "%d frame%s", n, vd_s(n). */
static inline const char *vd_s(long long n) { return n == 1 ? "" : "s"; }

const char *vd_reason(void); /* "" when nothing failed on this thread */
void vd_reason_clear(void);

#endif
