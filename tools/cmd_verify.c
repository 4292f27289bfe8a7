/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"
#include "verify.h"

static const char help[] =
    "Usage: vmaf-dnn verify [MODEL|ID]... [OPTION]...\n"
    "       vmaf-dnn verify --all [OPTION]...\n"
    "\n"
    "Is every model what registry and sidecar say it is? Checked are the digests of the fp32 and of the int8\n"
    "file, every rule of registry.schema.json and sidecar.schema.json, registry against sidecar, and the graphs\n"
    "against both: tensor names, shapes, opset, quantised or not, and that every operator is supported. With trusted\n"
    "keys, also the registry's signature.\n"
    "\n"
    "  --all               every model of the registry; the default when no model is named\n"
    "  --registry FILE     default: for a path, registry.json beside the model; else $VMAF_DNN_REGISTRY,\n"
    "                      model/tiny/registry.json in the current folder, or the installed one\n"
    VD_TRUST_HELP
    "\n"
    "One line for a model that is right, and one for each thing that is wrong:\n"
    "  [ok]   ID mode=MODE sha256=... int8_sha256=...\n"
    "  [FAIL] ID: REASON\n"
    "\n"
    "Exit code: 0 all right, 1 something is not, 2 usage, no registry, or no such model, 4 trusted keys that are none.\n"
    "\n"
    "Example:\n"
    "  vmaf-dnn verify learned_filter_v1\n";

const struct vd_cmd vd_cmd_verify;

/* The registry of the last model looked at, and what is wrong in it. */
struct book {
    struct vd_registry r; /* path "": none yet */
    struct problem { int row; char *line; } *problem;
    int n, cap;
    bool nomem, wrong;
    const char *trusted_keys;
    struct vd_trusted keys;
};

static void note(void *arg, int row, const char *line)
{
    struct book *b = arg;
    char *copy = vd_strdup(line);

    if (b->n == b->cap) {
        int cap = b->cap ? 2 * b->cap : 16; /* a file of 1 MiB breaks fewer rules than an int counts */
        struct problem *p = vd_realloc(b->problem, (size_t)cap, sizeof(*p));
        if (p) {
            b->problem = p;
            b->cap = cap;
        }
    }
    if (!copy || b->n == b->cap) {
        b->nomem = true;
        vd_free(copy);
        return;
    }
    b->problem[b->n++] = (struct problem){row, copy};
}

static void close_book(struct book *b)
{
    for (int i = 0; i < b->n; i++)
        vd_free(b->problem[i].line);
    vd_free(b->problem);
    vd_registry_free(&b->r);
    b->problem = NULL;
    b->n = b->cap = 0;
}

/* Read a registry with all that is wrong in it. What concerns no single row is printed here, once. -EBADMSG has been
 * printed too; another error is the caller's. */
static int open_book(struct book *b, const char *path)
{
    struct vd_verdict v = {.id = "registry"};

    if (!strcmp(b->r.path, path))
        return 0;
    close_book(b);
    b->nomem = false;
    int rc = vd_registry_lint(path, &b->keys, &b->r, note, b);
    if (rc >= 0 && b->nomem)
        rc = vd_nomem(sizeof(struct problem));
    if (rc == -EBADMSG)
        vd_verdict_failed(&v, rc, "");
    for (int i = 0; rc >= 0 && i < b->n; i++)
        if (b->problem[i].row < 0)
            vd_verdict_add(&v, "%s: %s", path, b->problem[i].line);
    b->wrong |= v.n > 0;
    return rc < 0 ? rc : 0;
}

static int fill(struct vd_claim *c, const char *model)
{
    int rc = vd_sibling(c->fp32_path, model, ".onnx");

    if (!rc)
        rc = vd_sibling(c->int8_path, model, ".int8.onnx");
    return rc ? rc : vd_sibling(c->sidecar_path, model, ".json");
}

/* dst = folder of path, with its slash, and name. */
static int beside(char dst[VD_MAX_PATH], const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    int n = snprintf(dst, VD_MAX_PATH, "%.*s%s", slash ? (int)(slash + 1 - path) : 0, path, name);

    return n < VD_MAX_PATH ? 0 : vd_fail(ENAMETOOLONG, "...%.60s: a path of over %d bytes", name, VD_MAX_PATH - 1);
}

static int verify_row(struct book *b, int i)
{
    const struct vd_row *row = &b->r.row[i];
    struct vd_claim c = {.registry = b->r.path, .row = row, .trusted_keys = b->trusted_keys};
    char number[32], path[VD_MAX_PATH];
    int rc = 0;

    snprintf(number, sizeof(number), "row %d", i + 1);
    struct vd_verdict v = {.id = row->id ? row->id : row->onnx ? row->onnx : number};
    for (int k = 0; k < b->n; k++)
        if (b->problem[k].row == i)
            vd_verdict_add(&v, "%s", b->problem[k].line);
    if (row->onnx) {
        rc = beside(path, b->r.path, row->onnx);
        if (!rc)
            rc = fill(&c, path);
        if (!rc)
            vd_verify_model(&c, &v);
    }
    b->wrong |= v.n > 0;
    return rc ? rc : v.rc;
}

static int verify_path(struct book *b, const char *model, const char *registry)
{
    char beside_it[VD_MAX_PATH];
    struct vd_claim c = {.trusted_keys = b->trusted_keys};
    int rc = fill(&c, model);

    if (!rc && !registry) {
        bool there = false;
        rc = beside(beside_it, model, "registry.json");
        if (!rc)
            rc = vd_file_there(beside_it, &there);
        if (!rc && there)
            registry = beside_it;
    }
    if (!rc && registry)
        rc = open_book(b, registry);
    if (rc)
        return rc == -EBADMSG ? 0 : rc;

    const char *slash = strrchr(c.fp32_path, '/');
    const char *file = slash ? slash + 1 : c.fp32_path;
    struct vd_verdict v = {.id = file};
    for (int i = 0; registry && i < b->r.n; i++)
        if (b->r.row[i].onnx && !strcmp(b->r.row[i].onnx, file)) {
            c.row = &b->r.row[i];
            c.registry = b->r.path;
            if (c.row->id)
                v.id = c.row->id;
            for (int k = 0; k < b->n; k++)
                if (b->problem[k].row == i)
                    vd_verdict_add(&v, "%s", b->problem[k].line);
        }
    if (!c.row && !vd_file_is_regular(model))
        return vd_fail(ENOENT, "%s: no such file", model);
    vd_verify_model(&c, &v);
    b->wrong |= v.n > 0;
    return v.rc;
}

static int verify_id(struct book *b, const char *id, const char *registry)
{
    char path[VD_MAX_PATH];
    int rc = vd_registry_find(registry, path);

    if (!rc)
        rc = open_book(b, path);
    if (rc)
        return rc == -EBADMSG ? 0 : rc;
    const struct vd_row *row = vd_registry_by_id(&b->r, id);
    return row ? verify_row(b, (int)(row - b->r.row)) : vd_fail(ENOENT, "%.80s: no such id in %s", id, path);
}

static int verify_all(struct book *b, const char *registry)
{
    char path[VD_MAX_PATH];
    int rc = vd_registry_find(registry, path);

    if (!rc)
        rc = open_book(b, path);
    if (rc)
        return rc == -EBADMSG ? 0 : rc;
    for (int i = 0; !rc && i < b->r.n; i++)
        rc = verify_row(b, i);
    if (!b->r.n && !b->wrong)
        printf("%s: no models\n", path);
    return rc;
}

static int confine(struct vd_run_opts *o, int n, char **model)
{
    struct vd_sandbox s = {0};

    if (!n)
        vd_allow_model(&s, o, NULL);
    for (int i = 0; i < n; i++)
        vd_allow_model(&s, o, model[i]);
    return vd_confine(&vd_cmd_verify, &s, o);
}

static int run(int argc, char **argv)
{
    enum { OPT_ALL = 1 };
    static const struct option longs[] = {{"all", no_argument, NULL, OPT_ALL}, VD_TRUST_OPTIONS, {0}};
    struct vd_run_opts o = {0};
    struct book b = {0};
    bool all = false;
    int opt, rc = 0;

    while ((opt = vd_getopt(&vd_cmd_verify, argc, argv, "", longs)) != -1)
        if (opt == OPT_ALL)
            all = true;
        else if (opt == '?' || vd_run_option(&vd_cmd_verify, opt, optarg, &o) < 0)
            return VD_EXIT_USAGE;
    if (all && optind < argc)
        return vd_usage(&vd_cmd_verify, "--all takes no model");
    int code = confine(&o, argc - optind, argv + optind);
    if (code)
        return code;
    const char *registry = o.registry;
    b.trusted_keys = o.trusted_keys;
    rc = vd_trusted_load(o.trusted_keys, &b.keys);
    if (!rc && optind == argc)
        rc = verify_all(&b, registry);
    for (int i = optind; !rc && i < argc; i++) {
        const char *m = argv[i];
        size_t n = strlen(m);
        bool path = strchr(m, '/') || (n >= 5 && !strcmp(m + n - 5, ".onnx"));
        rc = path ? verify_path(&b, m, registry) : verify_id(&b, m, registry);
    }
    close_book(&b);
    if (rc)
        return vd_report(rc);
    return b.wrong ? VD_EXIT_NO : VD_EXIT_OK;
}

const struct vd_cmd vd_cmd_verify = {"verify", "hold models against registry, sidecar and digests", help, run};
