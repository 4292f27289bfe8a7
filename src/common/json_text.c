/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/json_text.h"

#include <errno.h>
#include <string.h>

#include "common/json_lex.h"
#include "common/mem.h"
#include "common/status.h"

struct text {
    struct vd_json_lex lex;
    int depth, objects; /* what is left of them */
};

static int value(struct text *t, json_t **out);

/* One member or element after another; the opening bracket is behind us. */
static int members(struct text *t, json_t *o)
{
    struct vd_json_lex *x = &t->lex;
    int more;

    for (bool first = true; (more = vd_json_lex_next(x, json_is_object(o) ? '}' : ']', first)) == 1; first = false) {
        char *key = NULL;
        json_t *v = NULL;
        int rc = json_is_object(o) ? vd_json_lex_key(x, &key) : 0;
        if (!rc && key && json_object_get(o, key))
            rc = vd_json_lex_bad(x, "a key that was there before");
        if (!rc)
            rc = value(t, &v);
        if (!rc && (key ? json_object_set_new_nocheck(o, key, v) : json_array_append_new(o, v)))
            rc = vd_nomem(1);
        vd_free(key);
        if (rc)
            return rc;
    }
    return more;
}

static int value(struct text *t, json_t **out)
{
    struct vd_json_lex *x = &t->lex;
    struct vd_json_number n;
    char *s;
    int rc = vd_json_lex_value(x);

    *out = NULL;
    if (rc)
        return rc;
    const bool object = vd_json_lex_take(x, "{");
    if (object || vd_json_lex_take(x, "[")) {
        if (t->depth-- <= 0)
            return vd_json_lex_bad(x, "more levels deep than anything here is");
        if (t->objects-- <= 0)
            return vd_fail(E2BIG, "%s: more objects and arrays than are read", x->path);
        json_t *o = object ? json_object() : json_array();
        rc = o ? members(t, o) : vd_nomem(sizeof(json_t));
        t->depth++;
        if (rc)
            json_decref(o);
        else
            *out = o;
        return rc;
    }
    if (vd_json_lex_take(x, "\"")) {
        if (!(rc = vd_json_lex_string(x, &s)) && !(*out = json_string_nocheck(s)))
            rc = vd_nomem(strlen(s));
        vd_free(s);
        return rc;
    }
    if (vd_json_lex_take(x, "true") || vd_json_lex_take(x, "false"))
        *out = x->p[-2] == 'u' ? json_true() : json_false();
    else if (vd_json_lex_take(x, "null"))
        *out = json_null();
    else if ((rc = vd_json_lex_number(x, &n)))
        return rc;
    else
        *out = n.whole ? json_integer(n.i) : json_real(n.d);
    return *out ? 0 : vd_nomem(sizeof(json_t));
}

int vd_json_text(const void *data, size_t size, const char *path, const struct vd_json_room *room, json_t **json)
{
    struct text t = {.depth = room->depth, .objects = room->objects};

    *json = NULL;
    vd_json_lex_open(&t.lex, data, size, path, room->values);
    vd_json_lex_spaces(&t.lex);
    if (t.lex.p == t.lex.end || (*t.lex.p != '{' && *t.lex.p != '['))
        return vd_json_lex_bad(&t.lex, "'{' is wanted");
    int rc = value(&t, json);
    if (!rc && (rc = vd_json_lex_end(&t.lex))) {
        json_decref(*json);
        *json = NULL;
    }
    return rc;
}
