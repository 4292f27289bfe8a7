/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd.h"
#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"
#include "gate/gate.h"
<<<<<<< HEAD
#include "io/stream.h"
=======
#include "gate_report.h"
#include "gate_sources.h"
>>>>>>> ef562fe (Gate: judge every output by a bound, slope, offset, ranks and what a filter loses; frames of clips as samples)
#include "trust/trust.h"

static const char help[] =
    "Usage: vmaf-dnn gate [MODEL|ID]... [OPTION]...\n"
    "       vmaf-dnn gate --all [OPTION]...\n"
    "\n"
    "Is the int8 file as good as the fp32 file? Both run on the same samples, and what comes out is compared:\n"
    "  - ADR-0174's 16 samples, numpy.random.default_rng(0).random(shape, dtype=float32), one after the other\n"
    "  - 12 synthetic pictures, where the input is a picture; blurred and compressed for a filter\n"
    "  - frames of the clips and arrays that are given\n"
    "1 - PLCC (Pearson's correlation) may be at most the model's budget on each set, and so may its upper 95 % bound: when\n"
    "the drop is inside and the bound is not, the samples are too few to tell. On pictures, clips and arrays also slope, offset\n"
    "and SROCC are held to limits; for a filter PSNR and SSIM of int8 to fp32, and the gain of PSNR that is lost; for a\n"
    "score its error. The limits are quant_gate of the registry, else the defaults of docs/formats.md.\n"
    "\n"
<<<<<<< HEAD
    "  --all               every model of the registry; the default when no model is named\n"
    "  --budget X          allow this drop, 0 to 1 (default: quant_accuracy_budget_plcc of the registry, else 0.01)\n"
    "  --json FILE         write the figures to FILE too\n"
    "  -f, --force         replace that FILE when it exists\n"
    "  --threads N         worker threads (default: as many as this process may use)\n"
    "  --kernels NAME      kernel set: auto, c, avx2, avx512vnni (default: the best that the CPU has)\n"
    "  --registry FILE     default: for a path, registry.json beside the model; else $VMAF_DNN_REGISTRY,\n"
    "                      model/tiny/registry.json in the current folder, or the installed one\n"
    VD_TRUST_HELP
=======
    "  --all            every model of the registry; the default when no model is named\n"
    "  --clip FILE      also frames of a y4m clip (- is standard input), or an .npy stack; may be given again. A filter sees\n"
    "                   them whole, a model of a fixed size a window of each\n"
    "  --array [INPUT=]FILE.npy  a stack of samples, [N,...] of the input's shape; uint8 is divided by 255. Once for each\n"
    "                   input of a model that has several\n"
    "  --frames N       how many frames of each clip or stack, drawn by --seed (default: 32; 0: all, which are held in memory)\n"
    "  --degrade        the clips are clean: damage them as the filter's sidecar says (degradation), so that there is something\n"
    "                   to gain\n"
    "  --samples N      of noise and of synthetic pictures, instead of 16 and 12; the line stays that of the first 16\n"
    "  --seed N         draws frames, windows, and the bound's samples (default: 0)\n"
    "  --budget X       allow this drop, 0 to 1 (default: quant_accuracy_budget_plcc of the registry, else 0.01)\n"
    "  --compat         ADR-0174's gate alone: its samples, its line, its exit codes\n"
    "  --json FILE      write the figures to FILE too\n"
    "  --threads N      worker threads (default: as many as this process may use)\n"
    "  --kernels NAME   kernel set: auto, c, avx2, avx512vnni (default: the best that the CPU has)\n"
    "  --registry FILE  default: for a path, registry.json beside the model; else $VMAF_DNN_REGISTRY,\n"
    "                   model/tiny/registry.json in the current folder, or the installed one\n"
>>>>>>> ef562fe (Gate: judge every output by a bound, slope, offset, ranks and what a filter loses; frames of clips as samples)
    "\n"
    "  [PASS] ID mode=MODE PLCC=... drop=... budget=... worst_abs=...    or [FAIL] or [INSUFFICIENT]: the record's figures,\n"
    "  then those of each set, then every reason against it\n"
    "  [skip] ID, a model that is not quantised\n"
    "\n"
    "Exit code: 0 every model passes, 1 one fails or its samples are too few to tell, 2 anything else (no such file, a\n"
    "model that was refused, a registry that cannot be read, usage), also when another model fails.\n"
    "\n"
    "Example:\n"
    "  vmaf-dnn gate learned_filter_v1 --clip crowd.y4m --frames 100 --degrade\n";

enum { EXIT_INSIDE = 0, EXIT_OVER = 1, EXIT_OTHER = 2 };
enum { DEFAULT_FRAMES = 32 };

const struct vd_cmd vd_cmd_gate;

struct job {
    struct vd_gate_opts o;
    struct vd_sources sources;
    const char *json_path;
    struct vd_run_opts run;
    bool all, over, other, force;
    json_t *list;
    bool nomem;
};

/* What names files: read once all options are known. */
enum { MAX_FILES = 256 };
struct files {
    const char *path[MAX_FILES];
    bool array[MAX_FILES];
    int n;
    long frames;
    bool degrade;
};

static int add_file(struct files *f, const char *path, bool array)
{
    if (f->n == MAX_FILES)
        return vd_usage(&vd_cmd_gate, "more than %d clips and arrays", MAX_FILES);
    f->path[f->n] = path;
    f->array[f->n++] = array;
    return 0;
}

static int read_files(struct job *j, const struct files *f)
{
    for (int i = 0; i < f->n; i++) {
        const int rc = f->array[i] ? vd_sources_add_array(&j->sources, f->path[i], f->frames, j->o.seed)
                                   : vd_sources_add_clip(&j->sources, f->path[i], f->frames, j->o.seed, f->degrade);
        if (rc) {
            vd_report(rc);
            return EXIT_OTHER;
        }
    }
    j->o.source = j->sources.list;
    j->o.n_source = j->sources.n;
    return EXIT_INSIDE;
}

static int parse(int argc, char **argv, struct job *j)
{
    enum { OPT_ALL = 1, OPT_BUDGET, OPT_JSON, OPT_CLIP, OPT_ARRAY, OPT_FRAMES, OPT_DEGRADE, OPT_SAMPLES, OPT_SEED, OPT_COMPAT };
    static const struct option longs[] = {
        {"all", no_argument, NULL, OPT_ALL},
        {"clip", required_argument, NULL, OPT_CLIP},
        {"array", required_argument, NULL, OPT_ARRAY},
        {"frames", required_argument, NULL, OPT_FRAMES},
        {"degrade", no_argument, NULL, OPT_DEGRADE},
        {"samples", required_argument, NULL, OPT_SAMPLES},
        {"seed", required_argument, NULL, OPT_SEED},
        {"budget", required_argument, NULL, OPT_BUDGET},
        {"compat", no_argument, NULL, OPT_COMPAT},
        {"json", required_argument, NULL, OPT_JSON},
        {"threads", required_argument, NULL, VD_OPT_THREADS},
        {"kernels", required_argument, NULL, VD_OPT_KERNELS},
        {"force", no_argument, NULL, 'f'},
        VD_TRUST_OPTIONS,
        {NULL, 0, NULL, 0},
    };
    const struct vd_cmd *c = &vd_cmd_gate;
<<<<<<< HEAD
=======
    struct vd_run_opts run = {0};
    struct files files = {.frames = DEFAULT_FRAMES};
>>>>>>> ef562fe (Gate: judge every output by a bound, slope, offset, ranks and what a filter loses; frames of clips as samples)
    char *end;
    long n;
    int opt;

    while ((opt = vd_getopt(c, argc, argv, "f", longs)) != -1)
        switch (opt) {
        case OPT_ALL: j->all = true; break;
        case OPT_CLIP:
        case OPT_ARRAY:
            if (add_file(&files, optarg, opt == OPT_ARRAY))
                return EXIT_OTHER;
            break;
        case OPT_FRAMES:
            if (!vd_parse_int(optarg, 0, VD_MAX_SAMPLES, &files.frames))
                return vd_usage(c, "--frames %s: a number from 1 to %d, or 0 for all", optarg, VD_MAX_SAMPLES);
            break;
        case OPT_SAMPLES:
            if (!vd_parse_int(optarg, VD_RECORD_SAMPLES, VD_MAX_SAMPLES, &n))
                return vd_usage(c, "--samples %s: a number from %d to %d", optarg, VD_RECORD_SAMPLES, VD_MAX_SAMPLES);
            j->o.samples = (int)n;
            break;
        case OPT_SEED:
            if (!vd_parse_int(optarg, 0, LONG_MAX, &n))
                return vd_usage(c, "--seed %s: a whole number from 0", optarg);
            j->o.seed = (uint64_t)n;
            break;
        case OPT_DEGRADE: files.degrade = true; break;
        case OPT_COMPAT: j->o.compat = true; break;
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
    if (j->o.compat && (files.n || j->o.samples))
        return vd_usage(c, "--compat is ADR-0174's samples and nothing else: no --clip, --array or --samples beside it");
    if (files.degrade && !files.n)
        return vd_usage(c, "--degrade damages the frames of clips, and there is no --clip");
    j->all = optind == argc;
<<<<<<< HEAD
    j->o.kernels = j->run.kernels;
    j->o.registry = j->run.registry;
    j->o.trusted_keys = j->run.trusted_keys;
    j->o.require_pinned = j->run.require_pinned;
    return EXIT_INSIDE;
=======
    j->o.threads = run.threads;
    j->o.kernels = run.kernels;
    j->o.registry = run.registry;
    return read_files(j, &files);
>>>>>>> ef562fe (Gate: judge every output by a bound, slope, offset, ranks and what a filter loses; frames of clips as samples)
}

/* --- what came of one model */

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
    vd_sources_rewind(&j->sources);
    const int rc = vd_gate(model, &j->o, &r);

    if (rc) {
        fflush(stdout); /* so that lines and messages keep their order */
        put_error(j, model, rc);
        vd_report(rc);
        j->other = true;
        return;
    }
    vd_gate_print(&r, j->o.compat);
    json_t *o = vd_gate_json(&r);
    j->nomem |= !o || json_array_append_new(j->list, o) < 0;
    j->over |= !r.skipped && r.verdict != VD_PASS;
    vd_gate_result_free(&r);
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
    vd_sources_free(&j.sources);
    if (rc) {
        fflush(stdout);
        vd_report(rc);
        j.other = true;
    }
    return code ? EXIT_OTHER : j.other ? EXIT_OTHER : j.over ? EXIT_OVER : EXIT_INSIDE;
}

const struct vd_cmd vd_cmd_gate = {"gate", "is the int8 file as good as the fp32 file?", help, run};
