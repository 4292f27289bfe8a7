/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd.h"
#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"
#include "gate/gate.h"
#include "io/stream.h"
#include "trust/trust.h"

static const char help[] =
    "Usage: vmaf-dnn gate [MODEL|ID]... [OPTION]...\n"
    "       vmaf-dnn gate --all [OPTION]...\n"
    "\n"
    "Is the int8 file as good as the fp32 file? Both run on the same samples; 1 - PLCC (Pearson's correlation of all\n"
    "their outputs) may be at most the model's budget, on each of two sets:\n"
    "  - ADR-0174's 16 samples, numpy.random.default_rng(0).random(shape, dtype=float32), one after the other\n"
    "  - 12 synthetic pictures, where the input is a picture; blurred and compressed for a filter\n"
    "For a filter also the correlation of what it adds (output - input), and the PSNR that each file gains.\n"
    "\n"
    "  --all               every model of the registry; the default when no model is named\n"
    "  --budget X          allow this drop, 0 to 1 (default: quant_accuracy_budget_plcc of the registry, else 0.01)\n"
    "  --json FILE         write the figures to FILE too\n"
    "  -f, --force         replace that FILE when it exists\n"
    "  --threads N         worker threads (default: as many as this process may use)\n"
    "  --kernels NAME      kernel set: auto, c, avx2, avx512vnni (default: the best that the CPU has)\n"
    "  --registry FILE     default: for a path, registry.json beside the model; else $VMAF_DNN_REGISTRY,\n"
    "                      model/tiny/registry.json in the current folder, or the installed one\n"
    VD_TRUST_HELP
    "\n"
    "  [PASS] ID mode=MODE PLCC=... drop=... budget=... worst_abs=...    or [FAIL], with the reason below it\n"
    "  [skip] ID, a model that is not quantised\n"
    "\n"
    "Exit code: 0 all inside their budget, 1 a model is over it, 2 anything else (no such file, a model that was\n"
    "refused, a registry that cannot be read, usage), also when another model is over it.\n"
    "\n"
    "Example:\n"
    "  vmaf-dnn gate learned_filter_v1\n";

enum { EXIT_INSIDE = 0, EXIT_OVER = 1, EXIT_OTHER = 2 };

const struct vd_cmd vd_cmd_gate;

struct job {
    struct vd_gate_opts o;
    const char *json_path;
    struct vd_run_opts run;
    bool all, over, other, force;
    json_t *list;
    bool nomem;
};

static int parse(int argc, char **argv, struct job *j)
{
    enum { OPT_ALL = 1, OPT_BUDGET, OPT_JSON };
    static const struct option longs[] = {
        {"all", no_argument, NULL, OPT_ALL},
        {"budget", required_argument, NULL, OPT_BUDGET},
        {"json", required_argument, NULL, OPT_JSON},
        {"threads", required_argument, NULL, VD_OPT_THREADS},
        {"kernels", required_argument, NULL, VD_OPT_KERNELS},
        {"force", no_argument, NULL, 'f'},
        VD_TRUST_OPTIONS,
        {NULL, 0, NULL, 0},
    };
    const struct vd_cmd *c = &vd_cmd_gate;
    char *end;
    int opt;

    while ((opt = vd_getopt(c, argc, argv, "f", longs)) != -1)
        switch (opt) {
        case OPT_ALL: j->all = true; break;
        case OPT_BUDGET:
            j->o.budget = strtod(optarg, &end);
            if (end == optarg || *end || !(j->o.budget >= 0 && j->o.budget <= 1))
                return vd_usage(c, "--budget %s: a number from 0 to 1", optarg);
            break;
        case OPT_JSON: j->json_path = optarg; break;
        case 'f': j->force = true; break;
        default:
            if (opt == '?' || vd_run_option(c, opt, optarg, &j->run) < 0)
                return EXIT_OTHER;
        }
    if (j->all && optind < argc)
        return vd_usage(c, "--all is every model, and '%s' is one: give one or the other", argv[optind]);
    j->all = optind == argc;
    j->o.kernels = j->run.kernels;
    j->o.registry = j->run.registry;
    j->o.trusted_keys = j->run.trusted_keys;
    j->o.require_pinned = j->run.require_pinned;
    return EXIT_INSIDE;
}

/* --- what came of one model */

static void print_pictures(const struct vd_gate_result *r)
{
    printf("       %d pictures: PLCC=%.6f drop=%.6f worst_abs=%.4f\n", r->pictures, r->real_plcc, r->real_drop, r->real_worst_abs);
    if (r->is_filter)
        printf("       what it adds: PLCC=%.4f; PSNR gain fp32=%+.3f dB int8=%+.3f dB (%+.3f dB)\n", r->residue_plcc, r->gain_fp32,
               r->gain_int8, r->gain_int8 - r->gain_fp32);
}

static void print_result(const struct vd_gate_result *r)
{
    static const char *const from[] = {[VD_BUDGET_DEFAULT] = " (default budget)", [VD_BUDGET_REGISTRY] = "", [VD_BUDGET_GIVEN] = " (given budget)"};

    if (r->skipped) {
        printf("[skip] %s — quant_mode=fp32, no quantised model to gate\n", r->id);
        return;
    }
    printf("[%s] %-19s mode=%s PLCC=%.6f drop=%.6f budget=%.4f worst_abs=%.4f%s%s\n", r->pass ? "PASS" : "FAIL", r->id, r->mode, r->plcc,
           r->drop, r->budget, r->worst_abs, from[r->budget_from], r->pinned ? "" : " (unpinned: no registry row or sidecar)");
    if (r->pictures)
        print_pictures(r);
    if (!r->all_int8)
        printf("       not every convolution and matrix product of the int8 file runs in integers\n");
    if (!r->pass)
        printf("       %s\n", r->why);
}

/* JSON has neither NaN nor infinity: null. */
static void put_number(json_t *o, const char *key, double v) { json_object_set_new(o, key, isfinite(v) ? json_real(v) : json_null()); }

static void put_result(struct job *j, const struct vd_gate_result *r)
{
    json_t *o = json_object();

    json_object_set_new(o, "id", json_string(r->id));
    json_object_set_new(o, "verdict", json_string(r->skipped ? "skip" : r->pass ? "pass" : "fail"));
    json_object_set_new(o, "mode", json_string(r->mode));
    if (!r->skipped) {
        if (!r->pass)
            json_object_set_new(o, "why", json_string(r->why));
        json_object_set_new(o, "pinned", json_boolean(r->pinned));
        json_object_set_new(o, "all_int8", json_boolean(r->all_int8));
        put_number(o, "budget", r->budget);
        put_number(o, "plcc", r->plcc);
        put_number(o, "drop", r->drop);
        put_number(o, "worst_abs", r->worst_abs);
        put_number(o, "rmse", r->rmse);
    }
    if (r->pictures) {
        json_t *p = json_object();
        json_object_set_new(o, "pictures", p);
        json_object_set_new(p, "count", json_integer(r->pictures));
        put_number(p, "plcc", r->real_plcc);
        put_number(p, "drop", r->real_drop);
        put_number(p, "worst_abs", r->real_worst_abs);
        put_number(p, "rmse", r->real_rmse);
        if (r->is_filter) {
            put_number(p, "added_plcc", r->residue_plcc);
            put_number(p, "psnr_gain_fp32", r->gain_fp32);
            put_number(p, "psnr_gain_int8", r->gain_int8);
        }
    }
    j->nomem |= !o || json_array_append_new(j->list, o) < 0;
}

static void put_error(struct job *j, const char *model, int rc)
{
    json_t *o = json_object();

    json_object_set_new(o, "id", json_string(model));
    json_object_set_new(o, "verdict", json_string("error"));
    json_object_set_new(o, "why", json_string(vd_reason()));
    json_object_set_new(o, "errno", json_integer(-rc));
    j->nomem |= !o || json_array_append_new(j->list, o) < 0;
}

static void gate_one(struct job *j, const char *model)
{
    struct vd_gate_result r;
    const int rc = vd_gate(model, &j->o, &r);

    if (rc) {
        fflush(stdout); /* so that lines and messages keep their order */
        put_error(j, model, rc);
        vd_report(rc);
        j->other = true;
        return;
    }
    print_result(&r);
    put_result(j, &r);
    j->over |= !r.skipped && !r.pass;
}

static int gate_all(struct job *j)
{
    struct vd_registry *g = vd_calloc(1, sizeof(*g));
    char path[VD_MAX_PATH];
    struct vd_trusted t;
    int rc = g ? vd_registry_find(j->o.registry, path) : vd_nomem(sizeof(*g));

    if (!rc)
        rc = vd_trusted_load(j->o.trusted_keys, &t);
    if (!rc)
        rc = vd_registry_load(path, &t, g);
    if (!rc) {
        j->o.registry = path;
        for (int i = 0; i < g->n; i++)
            gate_one(j, g->row[i].id);
        if (!g->n)
            rc = vd_fail(EBADMSG, "%s: no models in it, so that nothing was gated", path);
        vd_registry_free(g);
    }
    vd_free(g);
    return rc;
}

static int write_json(const struct job *j)
{
    char *text = j->nomem ? NULL : json_dumps(j->list, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    int rc = text ? 0 : vd_nomem(0);

    if (!rc) {
        const size_t n = strlen(text);
        text[n] = '\n'; /* in the place of the NUL: the length is what counts */
        rc = vd_file_write(j->json_path, text, n + 1);
    }
    free(text); /* jansson's */
    return rc;
}

/* Into what is to be written, and not into a file of a model that is gated. */
static int check_json(const struct job *j, char *const *model)
{
    struct vd_resolved *r = vd_calloc(1, sizeof(*r));
    int rc = r ? vd_sink_check(j->json_path, j->force, -1) : vd_nomem(sizeof(*r));

    for (; !rc && *model; model++) {
        const struct vd_resolve_how how = {.baseline = true, .registry = j->o.registry, .trusted_keys = j->o.trusted_keys};
        if (vd_resolve(*model, &how, r))
            continue; /* gating it says why */
        rc = vd_refuse_model_files(j->json_path, &j->run, *model, r->fp32_path);
        vd_resolved_free(r);
    }
    vd_free(r);
    return rc;
}

static int confine(struct job *j, char *const *model)
{
    struct vd_sandbox s = {0};

    if (j->all)
        vd_allow_model(&s, &j->run, NULL);
    for (; *model; model++)
        vd_allow_model(&s, &j->run, *model);
    if (j->json_path && j->run.sandbox != VD_SANDBOX_OFF)
        vd_sandbox_write(&s, j->json_path);
    int code = vd_confine(&vd_cmd_gate, &s, &j->run);
    j->o.threads = j->run.threads;
    return code;
}

static int run(int argc, char **argv)
{
    struct job j = {.o = {.budget = -1}, .list = json_array()};
    int rc = 0, code = parse(argc, argv, &j);

    if (!code)
        code = confine(&j, argv + optind);
    if (!code && j.json_path && (rc = check_json(&j, argv + optind)))
        code = vd_report_output(rc);
    if (code) {
        json_decref(j.list);
        return EXIT_OTHER;
    }
    if (!code && j.all)
        rc = gate_all(&j);
    for (int i = optind; !code && i < argc; i++)
        gate_one(&j, argv[i]);
    if (!code && !rc && j.json_path)
        rc = write_json(&j);
    json_decref(j.list);
    if (rc) {
        fflush(stdout);
        vd_report(rc);
        j.other = true;
    }
    return code ? EXIT_OTHER : j.other ? EXIT_OTHER : j.over ? EXIT_OVER : EXIT_INSIDE;
}

const struct vd_cmd vd_cmd_gate = {"gate", "is the int8 file as good as the fp32 file?", help, run};
