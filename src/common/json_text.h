/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_JSON_TEXT_H
#define VD_JSON_TEXT_H

#include <stddef.h>

#include <jansson.h>

/* What a text may ask for: what jansson makes of a byte can be two hundred ("{}," is a hash table). */
struct vd_json_room { int depth, objects, values; }; /* levels; objects and arrays; values of every kind */

/* JSON (RFC 8259, UTF-8, an object or an array at the top) to jansson's values. Keys that are there twice, integers of over 64 bits, numbers that
 * no float64 holds, and \u0000 are refused.
 * -EBADMSG "path:line:column: not JSON: ..." , -E2BIG over room, -ENOMEM. On failure *json is NULL.
 * It stands in for json_loadb(), which does not look whether its buffer could grow: a character that there was no room for is left out, and
 * where that is the closing quote it reads and writes on behind the end (lex_save() and lex_scan_string() of 2.14). */
int vd_json_text(const void *data, size_t size, const char *path, const struct vd_json_room *room, json_t **json);

#endif
