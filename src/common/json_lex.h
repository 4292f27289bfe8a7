/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_JSON_LEX_H
#define VD_JSON_LEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* JSON (RFC 8259, UTF-8) piece by piece, for common/json_text.h, which makes a tree of it, and for files whose tree would be many times their
 * size. Nothing is kept: a number is read where it stands, a string is a copy. Every function that fails returns -errno and says
 * "path:line:column: not JSON: ...", -EBADMSG; -ENOMEM. */
struct vd_json_lex {
    const char *p, *end, *begin, *path; /* what is not read yet, all of it, and what it is called */
    int values;                         /* how many may still come */
};

void vd_json_lex_open(struct vd_json_lex *t, const void *data, size_t size, const char *path, int values);
int vd_json_lex_bad(const struct vd_json_lex *t, const char *what);
void vd_json_lex_spaces(struct vd_json_lex *t);
bool vd_json_lex_take(struct vd_json_lex *t, const char *word); /* and goes behind it, when it is next */
/* A value begins: spaces, and -E2BIG over `values`. */
int vd_json_lex_value(struct vd_json_lex *t);
/* Within a list or an object, behind its bracket or an item: 1 before the next item, 0 behind the closing bracket. first: no comma yet. */
int vd_json_lex_next(struct vd_json_lex *t, char close, bool first);
/* Before a member of an object: its key, and goes behind the colon. *key is freed by the caller, after a failure too. */
int vd_json_lex_key(struct vd_json_lex *t, char **key);
/* Behind the opening quote. The same for *s. \u0000 is refused. */
int vd_json_lex_string(struct vd_json_lex *t, char **s);
/* Integers of over 64 bits, and what no float64 holds, are refused. */
struct vd_json_number { bool whole; int64_t i; double d; }; /* d: of whole ones too */
int vd_json_lex_number(struct vd_json_lex *t, struct vd_json_number *n);
/* Only spaces are left. */
int vd_json_lex_end(struct vd_json_lex *t);

#endif
