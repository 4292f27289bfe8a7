/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_UTF8_H
#define VD_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Code point of the well-formed UTF-8 sequence at s (Unicode 15, table 3-7), -1 when it is none; its bytes in *len, 0 then. Nothing from end on
 * is read, and end is behind s. */
int32_t vd_utf8(const void *s, const void *end, size_t *len);

/* C0, DEL, C1, line and paragraph separators, and the marks that reorder text on a terminal. */
bool vd_utf8_hidden(int32_t c);

#endif
