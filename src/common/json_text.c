/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/json_text.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/status.h"
#include "common/utf8.h"

enum { MAX_NUMBER = 128, SHOWN = 120 };

struct text {
    const char *p, *end, *begin, *path;
    struct vd_json_room room; /* what is left of it */
};

static int bad(const struct text *t, const char *what)
{
    int line = 1, column = 1;

    for (const char *p = t->begin; p < t->p; p++, column++)
        if (*p == '\n') {
            line++;
            column = 0;
        }
    return vd_fail(EBADMSG, "%s:%d:%d: not JSON: %s", t->path, line, column, what);
}

static void spaces(struct text *t)
{
    while (t->p < t->end && (*t->p == ' ' || *t->p == '\n' || *t->p == '\t' || *t->p == '\r'))
        t->p++;
}

static bool take(struct text *t, const char *word)
{
    const size_t n = strlen(word);

    if ((size_t)(t->end - t->p) < n || memcmp(t->p, word, n))
        return false;
    t->p += n;
    return true;
}

static bool hex4(struct text *t, unsigned *v)
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
static bool escape(struct text *t, unsigned *c)
{
    unsigned low;

    if (!hex4(t, c))
        return false;
    if (*c < 0xd800 || *c > 0xdfff)
        return *c != 0; /* C strings end there */
    if (*c > 0xdbff || !take(t, "\\u") || !hex4(t, &low) || low < 0xdc00 || low > 0xdfff)
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

/* After the opening quote. *s is freed by the caller. What an escape becomes is shorter than it. */
static int string(struct text *t, char **s)
{
    const char *q = t->p;

    *s = NULL;
    while (q < t->end && *q != '"')
        q += *q == '\\' && q + 1 < t->end ? 2 : 1;
    if (q >= t->end)
        return bad(t, "a string without an end");
    char *d = vd_malloc((size_t)(q - t->p) + 1);
    if (!d)
        return vd_nomem((size_t)(q - t->p) + 1);
    *s = d;
    while (t->p < q) {
        size_t n;
        vd_utf8(t->p, q, &n);
        if (!n || (uint8_t)*t->p < 0x20)
            return bad(t, n ? "a control character in a string" : "a string that is not UTF-8");
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
            return bad(t, "an escape that means nothing");
    }
    *d = 0;
    t->p = q + 1;
    return 0;
}

static size_t digits(struct text *t)
{
    const char *from = t->p;

    while (t->p < t->end && *t->p >= '0' && *t->p <= '9')
        t->p++;
    return (size_t)(t->p - from);
}

static int number(struct text *t, json_t **out)
{
    char s[MAX_NUMBER + 1];
    const char *from = t->p;
    bool real = false;

    take(t, "-");
    const bool zero = t->p < t->end && *t->p == '0';
    const size_t whole = digits(t);
    if (!whole || (zero && whole > 1))
        return bad(t, "neither a value nor a number");
    if (take(t, ".")) {
        real = true;
        if (!digits(t))
            return bad(t, "a number without digits behind its point");
    }
    if (take(t, "e") || take(t, "E")) {
        real = true;
        if (!take(t, "-"))
            take(t, "+");
        if (!digits(t))
            return bad(t, "an exponent without digits");
    }
    const size_t n = (size_t)(t->p - from);
    if (n > MAX_NUMBER)
        return bad(t, "a number of over 128 characters");
    memcpy(s, from, n);
    s[n] = 0;
    if (!real) {
        errno = 0;
        const long long v = strtoll(s, NULL, 10);
        if (errno)
            return bad(t, "an integer of over 64 bits");
        *out = json_integer(v);
    } else {
        locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* the point is a point wherever this runs */
        if (!c)
            return vd_nomem(1);
        const double v = strtod_l(s, NULL, c);
        freelocale(c);
        if (!isfinite(v))
            return bad(t, "a number that no float64 holds");
        *out = json_real(v);
    }
    return *out ? 0 : vd_nomem(sizeof(json_t));
}

static int value(struct text *t, json_t **out);

/* One member or element after another; the opening bracket is behind us. */
static int members(struct text *t, json_t *o)
{
    const char *close = json_is_object(o) ? "}" : "]";
    bool first = true;

    for (spaces(t); !take(t, close); first = false, spaces(t)) {
        char *key = NULL;
        json_t *v = NULL;
        int rc = 0;
        if (!first && !take(t, ","))
            return bad(t, json_is_object(o) ? "',' or '}' is wanted" : "',' or ']' is wanted");
        spaces(t);
        if (json_is_object(o)) {
            if (!take(t, "\""))
                return bad(t, "a key in quotes is wanted");
            rc = string(t, &key);
            spaces(t);
            if (!rc && json_object_get(o, key))
                rc = bad(t, "a key that was there before");
            if (!rc && !take(t, ":"))
                rc = bad(t, "':' is wanted");
        }
        if (!rc)
            rc = value(t, &v);
        if (!rc && (key ? json_object_set_new_nocheck(o, key, v) : json_array_append_new(o, v)))
            rc = vd_nomem(1);
        vd_free(key);
        if (rc)
            return rc;
    }
    return 0;
}

static int value(struct text *t, json_t **out)
{
    char *s;
    int rc;

    *out = NULL;
    if (t->room.values-- <= 0)
        return vd_fail(E2BIG, "%s: more values than are read", t->path);
    spaces(t);
    const bool object = take(t, "{");
    if (object || take(t, "[")) {
        if (t->room.depth-- <= 0)
            return bad(t, "more levels deep than anything here is");
        if (t->room.objects-- <= 0)
            return vd_fail(E2BIG, "%s: more objects and arrays than are read", t->path);
        json_t *o = object ? json_object() : json_array();
        rc = o ? members(t, o) : vd_nomem(sizeof(json_t));
        t->room.depth++;
        if (rc)
            json_decref(o);
        else
            *out = o;
        return rc;
    }
    if (take(t, "\"")) {
        if (!(rc = string(t, &s)) && !(*out = json_string_nocheck(s)))
            rc = vd_nomem(strlen(s));
        vd_free(s);
        return rc;
    }
    if (take(t, "true") || take(t, "false"))
        *out = t->p[-2] == 'u' ? json_true() : json_false();
    else if (take(t, "null"))
        *out = json_null();
    else
        return number(t, out);
    return 0;
}

int vd_json_text(const void *data, size_t size, const char *path, const struct vd_json_room *room, json_t **json)
{
    const size_t n = strlen(path); /* the end of a long path is what tells files apart */
    struct text t = {.p = data, .begin = data, .path = path + (n > SHOWN ? n - SHOWN : 0), .room = *room};

    *json = NULL;
    t.end = t.p + size;
    spaces(&t);
    if (t.p == t.end || (*t.p != '{' && *t.p != '['))
        return bad(&t, "'{' is wanted");
    int rc = value(&t, json);
    spaces(&t);
    if (!rc && t.p != t.end) {
        rc = bad(&t, "something behind the end");
        json_decref(*json);
        *json = NULL;
    }
    return rc;
}
