/* SPDX-License-Identifier: BSD-2-Clause */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "cmd.h"
#include "common/cpu.h"
#include "common/file.h"
#include "common/status.h"
#include "trust/trust.h"

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);

    return n > m && !strcmp(s + n - m, end);
}

static bool is_path(const char *model) { return strchr(model, '/') || ends_with(model, ".onnx"); }

/* dst = the folder of path. */
static bool folder_of(char dst[VD_MAX_PATH], const char *path)
{
    const char *slash = strrchr(path, '/');
    int n = slash ? snprintf(dst, VD_MAX_PATH, "%.*s", slash == path ? 1 : (int)(slash - path), path) : snprintf(dst, VD_MAX_PATH, ".");

    return n > 0 && n < VD_MAX_PATH;
}

/* A folder of models, and what the links in it that have names of models' files lead to. */
static void allow_folder_of(struct vd_sandbox *s, const char *path)
{
    char folder[VD_MAX_PATH], link[VD_MAX_PATH + 300];
    struct dirent *e;
    struct stat st;

    if (!folder_of(folder, path))
        return;
    vd_sandbox_read(s, folder);
    DIR *d = opendir(folder);
    while (d && (e = readdir(d))) {
        if (!ends_with(e->d_name, ".onnx") && !ends_with(e->d_name, ".json") && !ends_with(e->d_name, ".minisig"))
            continue;
        snprintf(link, sizeof(link), "%s/%s", folder, e->d_name);
        if (!lstat(link, &st) && S_ISLNK(st.st_mode) && vd_file_is_regular(link))
            vd_sandbox_read(s, link);
    }
    if (d)
        closedir(d);
}

/* The registry and its signature, where they lie themselves when they are links. */
static void allow_registry(struct vd_sandbox *s, const char *path)
{
    char sig[VD_MAX_PATH + 10];

    snprintf(sig, sizeof(sig), "%s.minisig", path);
    vd_sandbox_read(s, path);
    vd_sandbox_read(s, sig);
}

void vd_allow_model(struct vd_sandbox *s, const struct vd_run_opts *o, const char *model)
{
    char path[VD_MAX_PATH];

    if (o->sandbox == VD_SANDBOX_OFF)
        return;
    if (model && is_path(model)) {
        allow_folder_of(s, model);
        if (o->registry)
            allow_registry(s, o->registry);
    } else if (!vd_registry_find(o->registry, path)) { /* what it cannot find is said by the one who looks again */
        allow_folder_of(s, path);
        allow_registry(s, path);
    }
}

static void allow_write(struct vd_sandbox *s, const char *path)
{
    char *real = realpath(path, NULL); /* the file behind a link is what is replaced */

    vd_sandbox_write(s, real ? real : path);
    free(real);
}

void vd_allow_model_writes(struct vd_sandbox *s, const struct vd_run_opts *o, const char *model)
{
    char path[VD_MAX_PATH], folder[VD_MAX_PATH];

    if (o->sandbox == VD_SANDBOX_OFF)
        return;
    if (model && is_path(model)) {
        vd_sandbox_write(s, model);
        if (!vd_sibling(path, model, ".json"))
            allow_write(s, path);
        if (folder_of(folder, model) && snprintf(path, sizeof(path), "%s/registry.json", folder) < (int)sizeof(path))
            allow_write(s, path);
        if (o->registry)
            allow_write(s, o->registry);
    } else if (!vd_registry_find(o->registry, path)) {
        vd_sandbox_write(s, path);
        allow_write(s, path);
    }
}

/* Keys to read, and where the highest version of their registries is kept. */
static void allow_keys(struct vd_sandbox *s, const struct vd_run_opts *o)
{
    const char *dir = o->trusted_keys ? o->trusted_keys : getenv("VMAF_DNN_TRUSTED_KEYS");
    char path[VD_MAX_PATH + 300];
    struct vd_trusted t;
    struct dirent *e;
    struct stat st;

    if (dir && dir[0]) { /* also where they are wrong: opening the model says in what */
        vd_sandbox_read(s, dir);
        DIR *d = opendir(dir);
        while (d && (e = readdir(d))) {
            snprintf(path, sizeof(path), "%.4095s/%s", dir, e->d_name);
            if (ends_with(e->d_name, ".pub") && !lstat(path, &st) && S_ISLNK(st.st_mode))
                vd_sandbox_read(s, path);
        }
        if (d)
            closedir(d);
    }
    if (!vd_trusted_load(o->trusted_keys, &t) && t.n && !vd_seen_make(path)) {
        vd_sandbox_write_folder(s, path);
        vd_sandbox_read(s, path);
    }
}

int vd_confine(const struct vd_cmd *c, struct vd_sandbox *s, struct vd_run_opts *o)
{
    if (o->sandbox == VD_SANDBOX_OFF) {
        vd_sandbox_free(s);
        return VD_EXIT_OK;
    }
    /* What reads files of the system on its own, and would be told that they are not there: the quota, and the seed of JSON's hash. */
    if (!o->threads)
        o->threads = vd_cpu_count();
    json_object_seed(0);
    allow_keys(s, o);
    int rc = vd_sandbox_enter(s);
    if (rc == -ENOMEM)
        return vd_report(rc);
    if (rc && o->sandbox == VD_SANDBOX_REQUIRE) {
        vd_say(c, "--sandbox=require: %s", vd_reason());
        return VD_EXIT_USAGE;
    }
    vd_reason_clear();
    return VD_EXIT_OK;
}

int vd_refuse_model_files(const char *out, const struct vd_run_opts *o, const char *model, const char *file)
{
    static const char *const suffix[] = {".onnx", ".int8.onnx", ".json"};
    char path[VD_MAX_PATH + 20], sig[VD_MAX_PATH + 40];

    if (!vd_file_is_regular(out))
        return 0;
    bool same = vd_file_same(out, file);
    for (size_t i = 0; !same && i < sizeof(suffix) / sizeof(suffix[0]); i++)
        same = !vd_sibling(path, file, suffix[i]) && vd_file_same(out, path);
    bool found = true;
    if (o->registry || !is_path(model))
        found = !vd_registry_find(o->registry, path);
    else if ((found = folder_of(path, model)))
        strcat(path, "/registry.json");
    if (!same && found) {
        snprintf(sig, sizeof(sig), "%s.minisig", path);
        same = vd_file_same(out, path) || vd_file_same(out, sig);
    }
    return same ? vd_fail(EINVAL, "%s: belongs to the model; give the output another name", out) : 0;
}
