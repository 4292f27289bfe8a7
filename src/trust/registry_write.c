/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/mem.h"
#include "trust/trust_priv.h"

struct place { const char *id; int row; };

static int by_id(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    int c = strcmp(x->id, y->id);

    return c ? c : x->row - y->row;
}

/* Rows by id; those without one keep their order at the end, where the check finds them. */
static int sort_rows(json_t *models)
{
    size_t n = json_array_size(models);
    struct place *e = vd_calloc(n, sizeof(*e));
    json_t *sorted = json_array();
    int rc = e && sorted ? 0 : -ENOMEM;

    for (size_t i = 0; !rc && i < n; i++) {
        const char *id = json_string_value(json_object_get(json_array_get(models, i), "id"));
        e[i] = (struct place){id ? id : "\x7f", (int)i};
    }
    if (!rc) {
        qsort(e, n, sizeof(*e), by_id);
        for (size_t i = 0; !rc && i < n; i++)
            rc = json_array_append(sorted, json_array_get(models, (size_t)e[i].row)) ? -ENOMEM : 0;
    }
    if (!rc)
        rc = json_array_clear(models) || json_array_extend(models, sorted) ? -ENOMEM : 0;
    json_decref(sorted);
    vd_free(e);
    return rc ? vd_nomem(n * sizeof(*e)) : 0;
}

static int set_string(json_t *o, const char *key, const char *value)
{
    return json_object_set_new(o, key, json_string(value)) ? vd_nomem(strlen(value)) : 0;
}

static int pin_sidecar(json_t *o, const char *sidecar)
{
    char sha256[65];
    uint8_t *data;
    size_t size;
    int rc = vd_file_read(sidecar, VD_MAX_JSON, &data, &size);

    if (rc)
        return rc;
    vd_sha256_hex(data, size, sha256);
    vd_free(data);
    return set_string(o, "sidecar_sha256", sha256);
}

static int change(json_t *json, const char *path, void *arg)
{
    const struct vd_quant *q = arg;
    json_t *models = json_object_get(json, "models"), *o;
    size_t i;

    json_array_foreach(models, i, o) {
        const char *onnx = json_string_value(json_object_get(o, "onnx"));
        if (onnx && !strcmp(onnx, q->onnx)) {
            int rc = vd_quant_put(o, q);
            if (!rc && q->calibration_set)
                rc = set_string(o, "quant_calibration_set", q->calibration_set);
            else if (!rc)
                json_object_del(o, "quant_calibration_set");
            if (!rc && q->sidecar && json_object_get(o, "sidecar_sha256"))
                rc = pin_sidecar(o, q->sidecar);
            return rc ? rc : sort_rows(models);
        }
    }
    return vd_fail(ENOENT, "%s: there is no row for %.200s", vd_shown(path), q->onnx);
}

static int check(json_t *json, const char *path, void *arg)
{
    struct vd_lint l = {.file = path, .what = "", .row = -1};
    struct vd_registry r = {.json = json};
    int rc = vd_registry_parse(&r, &l);

    (void)arg;
    vd_free(r.row);
    return rc ? rc : -l.err;
}

int vd_registry_set_quant(const char *path, const char *onnx_base, enum vd_quant_mode m, const char *int8_sha256, const char *sidecar,
                          const char *calibration_set)
{
    struct vd_quant q = {.mode = m, .int8_sha256 = int8_sha256, .onnx = onnx_base, .sidecar = sidecar, .calibration_set = calibration_set};

    return vd_json_update(path, change, check, &q, NULL, NULL);
}

struct put { const json_t *keys; const char *sidecar; };

static int change_row(json_t *json, const char *path, void *arg)
{
    const struct put *p = arg;
    json_t *models = json_object_get(json, "models"), *o, *row = NULL;
    const char *id = json_string_value(json_object_get(p->keys, "id"));
    size_t i;

    if (!json_is_array(models))
        return vd_fail(EBADMSG, "%s: has no list of models", vd_shown(path));
    json_array_foreach(models, i, o) {
        const char *have = json_string_value(json_object_get(o, "id"));
        if (have && !strcmp(have, id))
            row = o;
    }
    if (!row) {
        row = json_object();
        if (!row || json_array_append_new(models, row))
            return vd_nomem(64);
    }
    int rc = vd_json_merge(row, p->keys);
    if (!rc && p->sidecar && json_object_get(row, "sidecar_sha256"))
        rc = pin_sidecar(row, p->sidecar);
    return rc ? rc : sort_rows(models);
}

int vd_registry_put(const char *path, const json_t *keys, const char *sidecar)
{
    struct put p = {keys, sidecar};

    return vd_json_update(path, change_row, check, &p, NULL, NULL);
}

/* --- before it is signed */

/* dst = the sidecar beside the registry of a row; "": there is none. */
static int sidecar_of(const json_t *row, const char *path, char dst[VD_MAX_PATH])
{
    const char *onnx = json_string_value(json_object_get(row, "onnx"));
    char model[VD_MAX_PATH];

    dst[0] = 0;
    if (!onnx || !vd_file_name_ok(onnx))
        return 0; /* the check tells */
    int rc = vd_beside(model, path, onnx);
    if (!rc)
        rc = vd_sibling(dst, model, ".json");
    if (!rc && (rc = vd_present(dst)) == 0)
        dst[0] = 0;
    return rc < 0 ? rc : 0;
}

static int pin_sidecars(json_t *models, const char *path)
{
    char sidecar[VD_MAX_PATH];
    json_t *row;
    size_t i;

    json_array_foreach(models, i, row) {
        int rc = sidecar_of(row, path, sidecar);
        if (!rc && sidecar[0])
            rc = pin_sidecar(row, sidecar);
        else if (!rc)
            json_object_del(row, "sidecar_sha256");
        if (rc)
            return rc;
    }
    return 0;
}

static int for_signing(json_t *json, const char *path, void *arg)
{
    static const char *const first[] = {"$schema", "schema_version", "schema", "registry_version", "name"};
    json_int_t version = json_integer_value(json_object_get(json, "registry_version"));
    json_t *all = json_object();
    int bad = !all;

    (void)arg;
    if (!json_is_object(json)) {
        json_decref(all);
        return vd_fail(EBADMSG, "%s: not a JSON object", vd_shown(path));
    }
    bad |= json_object_set_new(json, "schema", json_string(VD_REGISTRY_SCHEMA));
    bad |= json_object_set_new(json, "registry_version", json_integer(version + 1));
    for (size_t i = 0; !bad && i < sizeof(first) / sizeof(first[0]); i++) {
        json_t *v = json_object_get(json, first[i]);
        bad |= v && json_object_set(all, first[i], v);
    }
    bad = bad || json_object_update_missing(all, json) || json_object_clear(json) || json_object_update(json, all);
    json_decref(all);
    return bad ? vd_nomem(64) : pin_sidecars(json_object_get(json, "models"), path);
}

static int ready(const struct vd_registry *r)
{
    char sidecar[VD_MAX_PATH], sha256[65];
    uint8_t *data;
    size_t size;

    if (!json_object_get(r->json, "schema") || !r->version)
        return vd_fail(EINVAL, "%s: has no %s, and is to be signed as it is", vd_shown(r->path), r->version ? "schema" : "registry_version");
    for (int i = 0; i < r->n; i++) {
        int rc = sidecar_of(json_array_get(json_object_get(r->json, "models"), (size_t)i), r->path, sidecar);
        if (rc)
            return rc;
        if (!sidecar[0] && !r->row[i].sidecar_sha256)
            continue;
        if (sidecar[0]) {
            if ((rc = vd_file_read(sidecar, VD_MAX_JSON, &data, &size)))
                return rc;
            vd_sha256_hex(data, size, sha256);
            vd_free(data);
        }
        if (!sidecar[0] || !r->row[i].sidecar_sha256 || strcmp(sha256, r->row[i].sidecar_sha256))
            return vd_fail(EINVAL, "%s: row %d (%s) does not have the sha256 of its sidecar, and is to be signed as it is", vd_shown(r->path),
                           i + 1, r->row[i].id);
    }
    return 0;
}

static int as_it_is(const char *path, uint8_t **data, size_t *size)
{
    struct vd_lint l = {.file = path, .what = "", .row = -1};
    struct vd_registry r = {.n = 0};

    if (strlen(path) >= VD_MAX_PATH)
        return vd_fail(ENAMETOOLONG, "...%s: over %d bytes", vd_shown(path), VD_MAX_PATH - 1);
    memcpy(r.path, path, strlen(path) + 1);
    int rc = vd_file_read(path, VD_MAX_JSON, data, size);
    if (!rc)
        rc = vd_json_parse(*data, *size, path, &r.json);
    if (!rc)
        rc = vd_registry_parse(&r, &l);
    if (!rc)
        rc = l.n ? -l.err : ready(&r);
    vd_registry_free(&r);
    return rc;
}

int vd_registry_prepare(const char *path, bool keep, uint8_t **data, size_t *size)
{
    *data = NULL;
    *size = 0;
    int rc = keep ? as_it_is(path, data, size) : vd_json_update(path, for_signing, check, NULL, (char **)data, size);
    if (rc) {
        vd_free(*data);
        *data = NULL;
    }
    return rc;
}
