/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "trust/trust_priv.h"

/* X.json speaks of X.onnx and of nothing else. */
static void about(const char *path, const struct vd_row *row, struct vd_lint *l)
{
    const char *base = vd_base_name(path);
    size_t n = strlen(base), stem;
    bool is_int8;

    if (!row->onnx || !vd_model_stem(row->onnx, &stem, &is_int8))
        return;
    if (n != stem + 5 || memcmp(base, row->onnx, stem) || strcmp(base + stem, ".json"))
        vd_lint_add(l, EBADMSG, "onnx: it is about %.120s, whose sidecar is called %.*s.json", row->onnx,
                    (int)(stem > 100 ? 100 : stem), row->onnx);
}

static void parse(const json_t *json, const char *path, struct vd_row *row, struct vd_lint *l)
{
    if (!json_is_object(json)) {
        vd_lint_add(l, EBADMSG, "not a JSON object");
        return;
    }
    vd_row_parse(json, true, row, l);
    about(path, row, l);
}

int vd_sidecar_load(const char *path, struct vd_sidecar *s)
{
    struct vd_lint l = {.file = path, .what = "", .row = -1};

    memset(s, 0, sizeof(*s));
    int rc = vd_json_read(path, true, &s->json, s->sha256);
    if (rc)
        return rc;
    parse(s->json, path, &s->row, &l);
    if (l.n)
        vd_sidecar_free(s);
    return -l.err;
}

int vd_sidecar_lint(const char *path, struct vd_sidecar *s, vd_trust_say *say, void *arg)
{
    struct vd_lint l = {.file = path, .what = "", .row = -1, .full = true, .say = say, .arg = arg};

    memset(s, 0, sizeof(*s));
    int rc = vd_json_read(path, true, &s->json, s->sha256);
    if (rc)
        return rc;
    parse(s->json, path, &s->row, &l);
    return l.n;
}

void vd_sidecar_free(struct vd_sidecar *s)
{
    json_decref(s->json);
    memset(s, 0, sizeof(*s));
}

static int change(json_t *json, const char *path, void *arg)
{
    if (!json_is_object(json))
        return vd_fail(EBADMSG, "%s: not a JSON object", vd_shown(path));
    return vd_quant_put(json, arg);
}

static int check(json_t *json, const char *path, void *arg)
{
    struct vd_lint l = {.file = path, .what = "", .row = -1};
    struct vd_row row;

    (void)arg;
    parse(json, path, &row, &l);
    return -l.err;
}

int vd_sidecar_set_quant(const char *path, enum vd_quant_mode m, const char *int8_sha256)
{
    struct vd_quant q = {.mode = m, .int8_sha256 = int8_sha256};

    return vd_json_update(path, change, check, &q, NULL, NULL);
}

static int merge(json_t *json, const char *path, void *arg)
{
    if (!json_is_object(json))
        return vd_fail(EBADMSG, "%s: not a JSON object", vd_shown(path));
    return vd_json_merge(json, arg);
}

int vd_sidecar_put(const char *path, const json_t *keys)
{
    const int there = vd_present(path);
    void *arg = (void *)(uintptr_t)keys;

    if (there < 0)
        return there;
    return there ? vd_json_update(path, merge, check, arg, NULL, NULL)
                 : vd_json_create(path, json_pack("{s:s}", "$schema", "./sidecar.schema.json"), merge, check, arg);
}
