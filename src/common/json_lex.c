/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/json_lex.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/status.h"
#include "common/utf8.h"

enum { MAX_NUMBER = 128, SHOWN = 120 };

void vd_json_lex_open(struct vd_json_lex *t, const void *data, size_t size, const char *path, int values)
{
    const size_t n = strlen(path); /* the end of a long path is what tells files apart */

    *t = (struct vd_json_lex){.p = data, .begin = data, .path = path + (n > SHOWN ? n - SHOWN : 0), .values = values};
    t->end = t->p + size;
}

int vd_json_lex_bad(const struct vd_json_lex *t, const char *what)
{
    int line = 1, column = 1;

    for (const char *p = t->begin; p < t->p; p++, column++)
        if (*p == '\n') {
            line++;
            column = 0;
        }
    return vd_fail(EBADMSG, "%s:%d:%d: not JSON: %s", t->path, line, column, what);
}

void vd_json_lex_spaces(struct vd_json_lex *t)
{
    while (t->p < t->end && (*t->p == ' ' || *t->p == '\n' || *t->p == '\t' || *t->p == '\r'))
        t->p++;
}

bool vd_json_lex_take(struct vd_json_lex *t, const char *word)
{
    const size_t n = strlen(word);

    if ((size_t)(t->end - t->p) < n || memcmp(t->p, word, n))
        return false;
    t->p += n;
    return true;
}

static bool hex4(struct vd_json_lex *t, unsigned *v)
{
    static const char all[] = "0123456789abcdefABCDEF";

    *v = 0;
    for (int i = 0; i < 4; i++, t->p++) {
        const char *digit = t->p < t->end && *t->p ? strchr(all, *t->p) : NULL;
        if (!digit)
            return false;
        const unsigned at = (unsigned)(digit - all);
        *v = *v << 4 | (at < 16 ? at : at - 6);
    }
    return true;
}

/* A code point after \u; both halves of a pair. */
static bool escape(struct vd_json_lex *t, unsigned *c)
{
    unsigned low;

    if (!hex4(t, c))
        return false;
    if (*c < 0xd800 || *c > 0xdfff)
        return *c != 0; /* C strings end there */
    if (*c > 0xdbff || !vd_json_lex_take(t, "\\u") || !hex4(t, &low) || low < 0xdc00 || low > 0xdfff)
        return false;
    *c = 0x10000 + ((*c - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

static size_t put_utf8(char *d, unsigned c)
{
    if (c < 0x80) {
        d[0] = (char)c;
        return 1;
    }
    const size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        d[i] = (char)(0x80 | (c & 0x3f));
    d[0] = (char)((0xf00u >> n & 0xffu & ~(0xffu >> (n + 1))) | c);
    return n;
}

/* What an escape becomes is shorter than it. */
int vd_json_lex_string(struct vd_json_lex *t, char **s)
{
    const char *q = t->p;

    *s = NULL;
    while (q < t->end && *q != '"')
        q += *q == '\\' && q + 1 < t->end ? 2 : 1;
    if (q >= t->end)
        return vd_json_lex_bad(t, "a string without an end");
    char *d = vd_malloc((size_t)(q - t->p) + 1);
    if (!d)
        return vd_nomem((size_t)(q - t->p) + 1);
    *s = d;
    while (t->p < q) {
        size_t n = 0;
        while (n < (size_t)(q - t->p) && t->p[n] >= 0x20 && t->p[n] < 0x7f && t->p[n] != '\\')
            n++;
        if (n) { /* ASCII, as nearly everything is */
            memcpy(d, t->p, n);
            d += n;
            t->p += n;
            continue;
        }
        vd_utf8(t->p, q, &n);
        if (!n || (uint8_t)*t->p < 0x20)
            return vd_json_lex_bad(t, n ? "a control character in a string" : "a string that is not UTF-8");
        if (*t->p != '\\') {
            memcpy(d, t->p, n);
            d += n;
            t->p += n;
            continue;
        }
        static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
        const char ch = t->p[1], *known = ch ? strchr(from, ch) : NULL; /* q is behind it */
        unsigned c;
        t->p += 2;
        if (known)
            *d++ = to[known - from];
        else if (ch == 'u' && escape(t, &c) && t->p <= q)
            d += put_utf8(d, c);
        else
            return vd_json_lex_bad(t, "an escape that means nothing");
    }
    *d = 0;
    t->p = q + 1;
    return 0;
}

static size_t digits(struct vd_json_lex *t)
{
    const char *from = t->p;

    while (t->p < t->end && *t->p >= '0' && *t->p <= '9')
        t->p++;
    return (size_t)(t->p - from);
}

int vd_json_lex_number(struct vd_json_lex *t, struct vd_json_number *out)
{
    char s[MAX_NUMBER + 1];
    const char *from = t->p;
    bool real = false;

    vd_json_lex_take(t, "-");
    const bool zero = t->p < t->end && *t->p == '0';
    const size_t whole = digits(t);
    if (!whole || (zero && whole > 1))
        return vd_json_lex_bad(t, "neither a value nor a number");
    if (vd_json_lex_take(t, ".")) {
        real = true;
        if (!digits(t))
            return vd_json_lex_bad(t, "a number without digits behind its point");
    }
    if (vd_json_lex_take(t, "e") || vd_json_lex_take(t, "E")) {
        real = true;
        if (!vd_json_lex_take(t, "-"))
            vd_json_lex_take(t, "+");
        if (!digits(t))
            return vd_json_lex_bad(t, "an exponent without digits");
    }
    const size_t n = (size_t)(t->p - from);
    if (n > MAX_NUMBER)
        return vd_json_lex_bad(t, "a number of over 128 characters");
    memcpy(s, from, n);
    s[n] = 0;
    if (!real) {
        errno = 0;
        const long long v = strtoll(s, NULL, 10);
        if (errno)
            return vd_json_lex_bad(t, "an integer of over 64 bits");
        *out = (struct vd_json_number){.whole = true, .i = v, .d = (double)v};
    } else {
        locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* the point is a point wherever this runs */
        if (!c)
            return vd_nomem(1);
        const double v = strtod_l(s, NULL, c);
        freelocale(c);
        if (!isfinite(v))
            return vd_json_lex_bad(t, "a number that no float64 holds");
        *out = (struct vd_json_number){.d = v};
    }
    return 0;
}

int vd_json_lex_value(struct vd_json_lex *t)
{
    if (t->values-- <= 0)
        return vd_fail(E2BIG, "%s: more values than are read", t->path);
    vd_json_lex_spaces(t);
    return 0;
}

int vd_json_lex_next(struct vd_json_lex *t, char close, bool first)
{
    const char word[] = {close, 0};

    vd_json_lex_spaces(t);
    if (vd_json_lex_take(t, word))
        return 0;
    if (!first && !vd_json_lex_take(t, ","))
        return vd_json_lex_bad(t, close == '}' ? "',' or '}' is wanted" : "',' or ']' is wanted");
    vd_json_lex_spaces(t);
    return 1;
}

int vd_json_lex_key(struct vd_json_lex *t, char **key)
{
    *key = NULL;
    if (!vd_json_lex_take(t, "\""))
        return vd_json_lex_bad(t, "a key in quotes is wanted");
    const int rc = vd_json_lex_string(t, key);
    if (rc)
        return rc;
    vd_json_lex_spaces(t);
    return vd_json_lex_take(t, ":") ? 0 : vd_json_lex_bad(t, "':' is wanted");
}

int vd_json_lex_end(struct vd_json_lex *t)
{
    vd_json_lex_spaces(t);
    return t->p == t->end ? 0 : vd_json_lex_bad(t, "something behind the end");
}
