/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/mem.h"
#include "trust/trust_priv.h"

enum { SCHEMA_VERSION = 1 };
#define VERSION_MOST (1LL << 53) /* what every JSON reader holds exactly */

static const json_t *top(struct vd_registry *r, struct vd_lint *l)
{
    const json_t *json = r->json;
    const char *key;
    json_t *v;

    if (!json_is_object(json)) {
        vd_lint_add(l, EBADMSG, "not a JSON object");
        return NULL;
    }
    json_object_foreach((json_t *)json, key, v) {
        if (!strcmp(key, "$schema")) {
            if (!json_is_string(v))
                vd_lint_add(l, EBADMSG, "$schema: not a string");
        } else if (!strcmp(key, "schema")) {
            if (!json_is_string(v) || strcmp(json_string_value(v), VD_REGISTRY_SCHEMA))
                vd_lint_add(l, EBADMSG, "schema: not \"" VD_REGISTRY_SCHEMA "\"");
        } else if (!strcmp(key, "registry_version")) {
            if (json_is_integer(v) && json_integer_value(v) >= 1 && json_integer_value(v) <= VERSION_MOST)
                r->version = json_integer_value(v);
            else
                vd_lint_add(l, EBADMSG, "registry_version: not a whole number from 1 to %lld", VERSION_MOST);
        } else if (!strcmp(key, "name")) {
            if (json_is_string(v) && vd_id_ok(json_string_value(v)))
                r->name = json_string_value(v);
            else
                vd_lint_add(l, EBADMSG, "name: not a name (a-z, 0-9 and _, at most 255)");
        } else if (l->full && strcmp(key, "schema_version") && strcmp(key, "models"))
            vd_lint_add(l, EBADMSG, "%.80s: no such key", key);
    }
    const json_t *version = json_object_get(json, "schema_version");
    if (!json_is_integer(version))
        vd_lint_add(l, EBADMSG, "schema_version: %s", version ? "not a whole number" : "there is none");
    else if (json_integer_value(version) != SCHEMA_VERSION)
        vd_lint_add(l, EBADMSG, "schema_version: %lld, and this program knows %d", (long long)json_integer_value(version),
                    SCHEMA_VERSION);
    const json_t *models = json_object_get(json, "models");
    if (json_is_array(models))
        return models;
    vd_lint_add(l, EBADMSG, "models: %s", models ? "not an array" : "there is none");
    return NULL;
}

/* "row 3 (learned_filter_v1)", rows counted from 1. */
static void name_row(char what[300], int i, const json_t *o)
{
    const char *id = json_string_value(json_object_get(o, "id"));

    if (id && vd_id_ok(id))
        snprintf(what, 300, "row %d (%s)", i + 1, id);
    else
        snprintf(what, 300, "row %d", i + 1);
}

struct entry { const char *word; int row; };

static int by_word(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int c = strcmp(x->word, y->word);

    return c ? c : x->row - y->row;
}

static void twice(const struct vd_registry *r, bool files, struct entry *e, struct vd_lint *l)
{
    char what[300];
    size_t n = 0;

    for (int i = 0; i < r->n; i++) {
        const char *word = files ? r->row[i].onnx : r->row[i].id;
        if (word)
            e[n++] = (struct entry){word, i};
    }
    qsort(e, n, sizeof(*e), by_word);
    for (size_t i = 1; i < n; i++)
        if (!strcmp(e[i - 1].word, e[i].word)) {
            snprintf(what, sizeof(what), "row %d", e[i].row + 1);
            l->what = what;
            l->row = e[i].row;
            vd_lint_add(l, EBADMSG, "%s: row %d has %.200s too", files ? "onnx" : "id", e[i - 1].row + 1, e[i].word);
        }
    l->what = "";
    l->row = -1;
}

int vd_registry_parse(struct vd_registry *r, struct vd_lint *l)
{
    const json_t *models = top(r, l);
    size_t n = json_array_size(models); /* 0 for NULL; VD_MAX_JSON bounds it */
    char what[300];

    if (!n)
        return 0;
    r->row = vd_calloc(n, sizeof(*r->row));
    struct entry *e = vd_calloc(n, sizeof(*e));
    if (!r->row || !e) {
        vd_free(e);
        return vd_nomem(n * sizeof(*r->row));
    }
    for (; r->n < (int)n; r->n++) {
        const json_t *o = json_array_get(models, (size_t)r->n);
        name_row(what, r->n, o);
        l->what = what;
        l->row = r->n;
        if (json_is_object(o))
            vd_row_parse(o, false, &r->row[r->n], l);
        else
            vd_lint_add(l, EBADMSG, "not a JSON object");
    }
    l->what = "";
    l->row = -1;
    twice(r, false, e, l);
    twice(r, true, e, l);
    for (int i = 1; l->full && i < r->n; i++) {
        const char *a = r->row[i - 1].id, *b = r->row[i].id;
        if (a && b && strcmp(a, b) > 0) {
            l->row = i;
            vd_lint_add(l, EBADMSG, "id: rows are sorted by id, and %.100s stands before it", a);
        }
    }
    vd_free(e);
    return 0;
}

static int check_signature(const char *path, const void *data, size_t size, const struct vd_trusted *t, struct vd_signed *by)
{
    char sig[VD_MAX_PATH];
    uint8_t *text;
    size_t n;

    if (strlen(path) + sizeof(".minisig") > VD_MAX_PATH)
        return vd_fail(ENAMETOOLONG, "...%s.minisig: over %d bytes", vd_shown(path), VD_MAX_PATH - 1);
    snprintf(sig, sizeof(sig), "%s.minisig", path);
    int rc = vd_file_read(sig, VD_SIGNATURE_MAX, &text, &n);
    if (rc)
        return rc == -ENOMEM ? rc : vd_fail(EKEYREJECTED, "%s is not signed, and trusted keys are set: %s", vd_shown(path), vd_reason());
    rc = vd_signature_check(data, size, text, n, sig, t, by);
    vd_free(text);
    return rc;
}

/* Of a registry with a good signature: is it a registry's, and not an older one's? */
static int check_version(const struct vd_registry *r, const struct vd_signed *by)
{
    if (!json_object_get(r->json, "schema") || !r->version)
        return vd_fail(EKEYREJECTED, "%s is signed, but has no %s, so that nothing says what it was signed for; 'vmaf-dnn registry sign' adds it",
                       vd_shown(r->path), r->version ? "schema" : "registry_version");
    return vd_seen_check(by->id, r->name, r->version);
}

/* A lint reports what is wrong with a signature and goes on. */
static int untrusted(int rc, struct vd_lint *l)
{
    char why[512];

    if (!l->say || rc != -EKEYREJECTED)
        return rc;
    snprintf(why, sizeof(why), "%s", vd_reason());
    vd_lint_add(l, EKEYREJECTED, "%s", why);
    return 0;
}

static int open_bytes(const uint8_t *data, size_t size, const struct vd_trusted *t, struct vd_registry *r, struct vd_lint *l)
{
    struct vd_signed by;
    int rc = t->n ? check_signature(r->path, data, size, t, &by) : 0;

    r->is_signed = t->n && !rc;
    if (r->is_signed)
        vd_key_name(by.id, r->key);
    rc = untrusted(rc, l);
    if (!rc)
        rc = vd_json_parse(data, size, r->path, &r->json);
    if (!rc)
        rc = vd_registry_parse(r, l);
    if (rc || !r->is_signed || l->n)
        return rc;
    rc = check_version(r, &by);
    if (!rc && !l->full)
        rc = vd_seen_keep(by.id, r->name, r->version);
    return untrusted(rc, l);
}

static int open_registry(const char *path, const struct vd_trusted *t, struct vd_registry *r, struct vd_lint *l)
{
    uint8_t *data;
    size_t size;

    memset(r, 0, sizeof(*r));
    if (strlen(path) >= VD_MAX_PATH)
        return vd_fail(ENAMETOOLONG, "...%s: over %d bytes", vd_shown(path), VD_MAX_PATH - 1);
    memcpy(r->path, path, strlen(path) + 1);
    int rc = vd_file_read(path, VD_MAX_JSON, &data, &size);
    if (!rc) {
        vd_sha256_hex(data, size, r->sha256);
        rc = open_bytes(data, size, t, r, l);
        vd_free(data);
    }
    if (rc)
        vd_registry_free(r);
    return rc;
}

int vd_registry_load(const char *path, const struct vd_trusted *t, struct vd_registry *r)
{
    struct vd_lint l = {.file = path, .what = "", .row = -1};
    int rc = open_registry(path, t, r, &l);

    if (!rc && l.n) {
        vd_registry_free(r);
        rc = -l.err;
    }
    return rc;
}

int vd_registry_lint(const char *path, const struct vd_trusted *t, struct vd_registry *r, vd_trust_say *say, void *arg)
{
    struct vd_lint l = {.file = path, .what = "", .row = -1, .full = true, .say = say, .arg = arg};
    int rc = open_registry(path, t, r, &l);

    return rc ? rc : l.n;
}

int vd_registry_digest(const char *path, char sha256[65])
{
    uint8_t *data;
    size_t size;
    int rc = vd_file_read(path, VD_MAX_JSON, &data, &size);

    if (!rc)
        vd_sha256_hex(data, size, sha256);
    vd_free(data);
    return rc;
}

void vd_registry_free(struct vd_registry *r)
{
    vd_free(r->row);
    json_decref(r->json);
    memset(r, 0, sizeof(*r));
}

const struct vd_row *vd_registry_by_id(const struct vd_registry *r, const char *id)
{
    for (int i = 0; i < r->n; i++)
        if (r->row[i].id && !strcmp(r->row[i].id, id))
            return &r->row[i];
    return NULL;
}

const struct vd_row *vd_registry_by_onnx(const struct vd_registry *r, const char *base)
{
    for (int i = 0; i < r->n; i++)
        if (r->row[i].onnx && !strcmp(r->row[i].onnx, base))
            return &r->row[i];
    return NULL;
}

int vd_registry_find(const char *given, char path[VD_MAX_PATH])
{
    static const char *const places[] = {
        "model/tiny/registry.json",
#ifdef VMAF_DNN_REGISTRY_PATH
        VMAF_DNN_REGISTRY_PATH,
#endif
    };
    const char *how = "";

    if (!given) {
        given = getenv("VMAF_DNN_REGISTRY");
        if (given && given[0])
            how = "VMAF_DNN_REGISTRY=";
        else
            given = NULL;
    }
    for (size_t i = 0; !given && i < sizeof(places) / sizeof(places[0]); i++) {
        int rc = vd_present(places[i]);
        if (rc < 0)
            return rc;
        if (rc)
            given = places[i];
    }
    if (!given)
        return vd_fail(ENOENT, "there is no registry to look in: no model/tiny/registry.json in the current folder; "
                       "name one with --registry FILE or VMAF_DNN_REGISTRY");
    if (strlen(given) >= VD_MAX_PATH)
        return vd_fail(ENAMETOOLONG, "%s...%s: over %d bytes", how, vd_shown(given), VD_MAX_PATH - 1);
    int rc = vd_present(given);
    if (!rc)
        return vd_fail(ENOENT, "%s%s: there is no such registry", how, vd_shown(given));
    if (rc < 0)
        return rc;
    memcpy(path, given, strlen(given) + 1);
    return 0;
}
