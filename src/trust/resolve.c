/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "common/mem.h"
#include "trust/trust_priv.h"

/* What the argument is about, before a model's byte is read. */
struct asked {
    const struct vd_resolve_how *how;
    const char *path;    /* as named; NULL for an id */
    bool int8;           /* path is X.int8.onnx */
    struct vd_trusted keys;
    char sidecar[VD_MAX_PATH];
};

static int names(struct vd_resolved *r, struct asked *a, const char *path)
{
    size_t stem;
    int rc = vd_sibling(r->fp32_path, path, ".onnx");

    if (!rc)
        rc = vd_sibling(r->int8_path, path, ".int8.onnx");
    if (!rc)
        rc = vd_sibling(a->sidecar, path, ".json");
    if (rc)
        return rc;
    vd_model_stem(path, &stem, &a->int8);
    const char *base = vd_base_name(r->fp32_path);
    size_t n = strlen(base) - 5;
    if (n >= sizeof(r->id))
        return vd_fail(ENAMETOOLONG, "...%s: a file name of more than 255 bytes", vd_shown(path));
    memcpy(r->id, base, n);
    r->id[n] = '\0';
    return 0;
}

/* An int8 file did not open. Where it is not there at all: how it comes to be. */
static int no_int8(int rc, const struct vd_resolved *r, enum vd_quant_mode mode)
{
    const char *clips = mode == VD_QUANT_STATIC ? " --calibration CLIP" : "";

    if (rc != -ENOENT || vd_present(r->int8_path) || vd_present(r->fp32_path) <= 0)
        return rc;
    if (mode == VD_QUANT_QAT)
        return vd_fail(ENOENT, "%s; 'vmaf-dnn train' with \"qat\" makes it, --baseline (settings.baseline) runs the fp32 file", vd_reason());
    return vd_fail(ENOENT, "%s; 'vmaf-dnn quantize %s %s%s' makes it, --baseline (settings.baseline) runs the fp32 file", vd_reason(),
                   vd_quant_mode_name(mode), vd_shown(r->fp32_path), clips);
}

static int from_path(struct vd_resolved *r, struct asked *a)
{
    char registry[VD_MAX_PATH], real[VD_MAX_PATH];
    int rc = names(r, a, a->path);

    if (!rc)
        rc = vd_beside(registry, a->path, "registry.json");
    if (!rc)
        rc = vd_jail(a->path, real);
    if (!rc)
        rc = vd_regular(real);
    if (rc)
        return a->int8 ? no_int8(rc, r, VD_QUANT_DYNAMIC) : rc;
    if (!strcmp(registry, a->sidecar))
        return vd_fail(EINVAL, "%s: registry.json beside it is the registry and cannot be its sidecar; give the model another name",
                       vd_shown(a->path));

    const char *file = a->how->registry;
    if (!file) {
        rc = vd_present(registry);
        if (rc <= 0)
            return rc;
        file = registry;
        rc = vd_jail(registry, real);
        if (rc)
            return vd_context(rc, "the registry that goes with %s", vd_base_name(a->path));
    }
    rc = vd_registry_load(file, &a->keys, &r->registry);
    if (rc)
        return vd_context(rc, "the registry that goes with %s", vd_base_name(a->path));
    r->row = vd_registry_by_onnx(&r->registry, vd_base_name(r->fp32_path));
    return 0;
}

static int unknown_id(const struct vd_registry *g, const char *id)
{
    char list[200] = "";
    size_t n = 0;

    for (int i = 0; i < g->n && n < sizeof(list); i++)
        n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "", g->row[i].id);
    return vd_fail(ENOENT, "%.80s: no such id in %s, which has %s%s; a path has a '/' or ends in .onnx", id, vd_shown(g->path),
                   g->n ? list : "none", n < sizeof(list) ? "" : "...");
}

static int from_id(struct vd_resolved *r, struct asked *a, const char *id)
{
    char path[VD_MAX_PATH];

    if (!vd_id_ok(id))
        return vd_fail(EINVAL, "'%s': neither a model's path, which ends in .onnx, nor an id, which has a-z, 0-9 and _ only",
                       vd_shown(id));
    int rc = vd_registry_find(a->how->registry, path);
    if (!rc)
        rc = vd_registry_load(path, &a->keys, &r->registry);
    if (rc)
        return vd_context(rc, "model id %.80s", id);
    r->row = vd_registry_by_id(&r->registry, id);
    if (!r->row)
        return unknown_id(&r->registry, id);
    rc = vd_beside(path, r->registry.path, r->row->onnx);
    return rc ? rc : names(r, a, path);
}

struct first { char line[512]; };

static void keep_first(void *arg, int row, const char *line)
{
    struct first *f = arg;

    (void)row;
    if (!f->line[0])
        snprintf(f->line, sizeof(f->line), "%s", line);
}

static int load_sidecar(struct vd_resolved *r, const struct asked *a)
{
    const char *want = r->row ? r->row->sidecar_sha256 : NULL;
    struct first f = {""};
    int rc = vd_present(a->sidecar);

    if (rc < 0)
        return rc;
    if (!rc)
        return want && !a->how->requantise ? vd_fail(EKEYREJECTED, "%s: is not there, and the registry has a sidecar_sha256 for it", vd_shown(a->sidecar)) : 0;
    rc = vd_sidecar_load(a->sidecar, &r->sidecar);
    if (rc)
        return vd_context(rc, "the sidecar of %s", vd_base_name(r->fp32_path));
    if (a->keys.n && !want && r->row)
        return vd_fail(EKEYREJECTED, "%s: the signed registry has no sidecar_sha256 for it, so that nobody signed it; 'vmaf-dnn registry sign' "
                       "adds it", vd_shown(a->sidecar));
    /* requantise: a writer that was killed has changed the sidecar, and not yet the registry */
    if (want && !a->how->requantise && strcmp(want, r->sidecar.sha256))
        return vd_fail(EKEYREJECTED, "%s: its sha256 is %s, but the registry says %s: this is not the sidecar that was pinned", vd_shown(a->sidecar),
                       r->sidecar.sha256, want);
    if (r->row && vd_row_compare(r->row, &r->sidecar.row, a->how->requantise ? 0 : VD_COMPARE_QUANT, keep_first, &f))
        return vd_fail(EBADMSG, "%s and %s contradict each other: %s", vd_shown(r->registry.path), vd_shown(a->sidecar), f.line);
    return 0;
}

static const char *speaker(const struct vd_resolved *r, const struct vd_row *say)
{
    return say == r->row ? "the registry" : "the sidecar";
}

static int read_model(struct vd_resolved *r, const struct vd_row *say)
{
    int rc = vd_read_jailed(r->path, VD_MAX_MODEL, &r->data, &r->size);

    if (!rc && !r->size)
        rc = vd_fail(EBADMSG, "%s: empty", vd_shown(r->path));
    if (rc && r->is_int8 && say)
        rc = vd_context(rc, "%s says quant_mode %s of %.80s, so that its int8 file runs and no other", speaker(r, say),
                        vd_quant_mode_name(say->quant_mode), r->id);
    return r->is_int8 && say ? no_int8(rc, r, say->quant_mode) : rc;
}

static int check_digest(struct vd_resolved *r, const struct vd_row *say)
{
    const char *want = r->is_int8 ? say->int8_sha256 : say->sha256;

    assert(want); /* the loaders' rule */
    if (strcmp(want, r->sha256))
        return vd_fail(EKEYREJECTED, "%s: its sha256 is %s, but %s says %s: this is not the file that was pinned; restore that, or "
                       "record this one", vd_shown(r->path), r->sha256, speaker(r, say), want);
    r->pinned = true;
    return 0;
}

static int resolve(const char *path_or_id, struct vd_resolved *r, struct asked *a)
{
    int rc = vd_trusted_load(a->how->trusted_keys, &a->keys);

    if (!rc)
        rc = a->path ? from_path(r, a) : from_id(r, a, path_or_id);
    if (!rc && a->keys.n && !r->row)
        rc = vd_fail(EKEYREJECTED, "%s: no signed registry has a row for it, and trusted keys are set", vd_shown(path_or_id));
    if (!rc)
        rc = load_sidecar(r, a);
    if (rc)
        return rc;
    const struct vd_row *say = r->row ? r->row : r->sidecar.json ? &r->sidecar.row : NULL;
    if (say) {
        memcpy(r->id, say->id, strlen(say->id) + 1); /* vd_id_ok(): at most 255 */
        r->declared = say->quant_mode;
    }
    if (!say && a->how->require_pinned)
        return vd_fail(EKEYREJECTED, "%s: neither registry nor sidecar has its digest, and only pinned models are to open", vd_shown(path_or_id));
    r->is_int8 = !a->how->baseline && (a->int8 || r->declared != VD_QUANT_FP32);
    if (r->is_int8) {
        r->quant_mode = r->declared == VD_QUANT_FP32 ? VD_QUANT_DYNAMIC : r->declared;
        if (say && say->quant_mode == VD_QUANT_FP32)
            return vd_fail(EKEYREJECTED, "%s: %s says quant_mode fp32 of %.80s and has no int8_sha256, so that no int8 file is trusted; "
                           "quantise the model to record one", vd_shown(r->int8_path), speaker(r, say), r->id);
    }
    memcpy(r->path, r->is_int8 ? r->int8_path : r->fp32_path, VD_MAX_PATH);
    rc = read_model(r, say);
    if (rc)
        return rc;
    vd_sha256_hex(r->data, r->size, r->sha256);
    return say ? check_digest(r, say) : 0;
}

int vd_resolve(const char *path_or_id, const struct vd_resolve_how *how, struct vd_resolved *r)
{
    static const struct vd_resolve_how plain;
    struct asked a = {.how = how ? how : &plain};

    memset(r, 0, sizeof(*r));
    if (!path_or_id || !path_or_id[0])
        return vd_fail(EINVAL, "no model is named");
    size_t n = strlen(path_or_id);
    if (strchr(path_or_id, '/') || (n >= 5 && !strcmp(path_or_id + n - 5, ".onnx")))
        a.path = path_or_id;
    int rc = resolve(path_or_id, r, &a);
    if (rc)
        vd_resolved_free(r);
    return rc;
}

void vd_resolved_free(struct vd_resolved *r)
{
    vd_free(r->data);
    vd_registry_free(&r->registry);
    vd_sidecar_free(&r->sidecar);
    memset(r, 0, sizeof(*r));
}
