/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd.h"
#include "common/mem.h"
#include "common/status.h"
#include "gate/gate.h"
#include "gate_report.h"
#include "gate_sources.h"
#include "io/stream.h"
#include "trust/trust.h"

static const char help[] =
    "Usage: vmaf-dnn gate [MODEL|ID]... [OPTION]...\n"
    "       vmaf-dnn gate --all [OPTION]...\n"
    "\n"
    "Is the int8 file as good as the fp32 file? Both run on the same samples, and what comes out is compared:\n"
    "  - 16 samples of noise, numpy.random.default_rng(0).random(shape, dtype=float32), one after the other: those of\n"
    "    ADR-0174, the decision record that this gate goes back to (docs/adr/README.md), and in what is printed the record's\n"
    "  - 12 synthetic pictures, where the input is a picture; blurred and compressed for a filter\n"
    "  - frames of the clips and arrays that are given\n"
    "1 - PLCC (Pearson's correlation) may be at most the model's budget on each set, and so may its upper 95 % bound: when\n"
    "the drop is inside and the bound is not, the samples are too few to tell. On pictures, clips and arrays also slope,\n"
    "offset and SROCC are held to limits; for a filter PSNR and SSIM of int8 to fp32, and the gain of PSNR that is lost;\n"
    "for a score its error. The limits are quant_gate of the registry, else the defaults of docs/formats.md.\n"
    "\n"
    "  --all               every model of the registry; the default when no model is named\n"
    "  --clip FILE         also frames of a clip: y4m (- is standard input), raw with --size, what libav decodes where the\n"
    "                      build has it, or an .npy stack; may be given again. A filter sees them whole, a model of a fixed\n"
    "                      size a window of each\n"
    "  --array [INPUT=]FILE  an .npy stack of samples, [N,...] of the input's shape; uint8 is divided by 255. Once for each\n"
    "                      input of a model that has several\n"
    "  --frames N          how many frames of each clip or stack, drawn by --seed (default: 32; 0: all). They are held in\n"
    "                      memory\n"
    "  --size WxH          of raw clips; --pix-fmt FORMAT their samples: gray (default), gray10le, yuv420p, yuv420p10le, ...\n"
    "  --degrade           the clips are clean: damage them as the filter's sidecar says (degradation), so that there is\n"
    "                      something to gain\n"
    "  --samples N         of noise and of synthetic pictures, instead of 16 and 12; the line stays that of the first 16\n"
    "  --seed N            draws frames, windows, and the bound's samples (default: 0)\n"
    "  --budget X          allow this drop, 0 to 1 (default: quant_accuracy_budget_plcc of the registry, else 0.01)\n"
    "  --compat            ADR-0174's gate alone: its samples, its line, its exit codes\n"
    "  --explain           what each layer costs, alone and as it runs, and what range its activations have; the dearest five\n"
    "                      are named anyway where a model fails\n"
    "  --json FILE         write the figures to FILE too (-: to standard output, and the lines to standard error)\n"
    "  --html FILE         and a page with charts and the worst picture, which needs nothing else\n"
    "  --node-data FILE    and SQNR by layer for Model Explorer\n"
    "  --trace FILE        and how long each layer of the int8 file takes, for Perfetto or chrome://tracing\n"
    "  -f, --force         replace FILE when it exists\n"
    "  --threads N         worker threads (default: as many as this process may use)\n"
    "  --kernels NAME      kernel set: auto, c, avx2, avxvnni, avx512vnni, neon, dotprod, i8mm\n"
    "                      (default: auto, the best that the CPU has)\n"
    "  --registry FILE     default: for a path, registry.json beside the model; else $VMAF_DNN_REGISTRY,\n"
    "                      model/tiny/registry.json in the current folder, or the installed one\n"
    VD_TRUST_HELP
    "\n"
    "  [PASS] ID mode=MODE PLCC=... drop=... budget=... worst_abs=...    or [FAIL] or [INSUFFICIENT]: ADR-0174's figures,\n"
    "  then those of each set, then every reason against it\n"
    "  [skip] ID, a model that is not quantised; it must open all the same\n"
    "\n"
    "Exit code: 0 every model passes, 1 one fails or its samples are too few to tell, 2 anything else (no such file, a\n"
    "model that was refused, a registry that cannot be read, usage), also when another model fails.\n"
    "\n"
    "Example:\n"
    "  vmaf-dnn gate learned_filter_v1 --clip crowd.y4m --frames 100 --degrade\n";

enum { EXIT_INSIDE = 0, EXIT_OVER = 1, EXIT_OTHER = 2 };
enum { DEFAULT_FRAMES = 32 };

const struct vd_cmd vd_cmd_gate;

/* What is written besides the lines. */
enum { OUT_JSON, OUT_HTML, OUT_NODE_DATA, OUT_TRACE, N_OUT };

/* What names files: they are read once the process is confined. */
enum { MAX_FILES = 256 };

struct job {
    struct vd_gate_opts o;
    struct vd_sources sources;
    struct vd_run_opts run;
    FILE *lines;            /* standard output, unless something else is written there */
    const char *out[N_OUT]; /* NULL: not asked for */
    struct { const char *path; bool array; } file[MAX_FILES];
    int n_file;
    struct vd_clip_opts clip;
    bool all, over, other, force, explain;
    json_t *list;
};

static int add_file(struct job *j, const char *path, bool array)
{
    if (j->n_file == MAX_FILES)
        return vd_usage(&vd_cmd_gate, "more than %d clips and arrays", MAX_FILES);
    j->file[j->n_file].path = path;
    j->file[j->n_file++].array = array;
    return 0;
}

static bool one_page(const struct job *j) { return j->out[OUT_HTML] || j->out[OUT_NODE_DATA] || j->out[OUT_TRACE]; }

static int sound(const struct job *j, char *const *model)
{
    const struct vd_cmd *c = &vd_cmd_gate;
    const char *first = model[0];
    int to_stdout = 0;

    for (int i = 0; i < N_OUT; i++)
        to_stdout += j->out[i] && !strcmp(j->out[i], "-");
    if (to_stdout > 1)
        return vd_usage(c, "standard output can take one of --json, --html, --node-data and --trace");
    if (one_page(j) && (!first || model[1]))
        return vd_usage(c, "--html, --node-data and --trace are about one model: name it");
    if (j->o.compat && (j->explain || one_page(j)))
        return vd_usage(c, "--compat explains nothing");

    if (j->all && first)
        return vd_usage(c, "--all is every model, and '%s' is one: give one or the other", first);
    if (j->o.compat && (j->n_file || j->o.samples))
        return vd_usage(c, "--compat is ADR-0174's samples and nothing else: no --clip, --array or --samples beside it");
    if (j->clip.degrade && !j->n_file)
        return vd_usage(c, "--degrade damages the frames of clips, and there is no --clip");
    return 0;
}

static int parse(int argc, char **argv, struct job *j)
{
    enum { OPT_ALL = 1, OPT_BUDGET, OPT_CLIP, OPT_ARRAY, OPT_FRAMES, OPT_DEGRADE, OPT_SAMPLES, OPT_SEED, OPT_COMPAT, OPT_SIZE, OPT_PIX_FMT, OPT_EXPLAIN, OPT_OUT = 200 };
    static const struct option longs[] = {
        {"all", no_argument, NULL, OPT_ALL},
        {"clip", required_argument, NULL, OPT_CLIP},
        {"array", required_argument, NULL, OPT_ARRAY},
        {"frames", required_argument, NULL, OPT_FRAMES},
        {"degrade", no_argument, NULL, OPT_DEGRADE},
        {"size", required_argument, NULL, OPT_SIZE},
        {"pix-fmt", required_argument, NULL, OPT_PIX_FMT},
        {"pix_fmt", required_argument, NULL, OPT_PIX_FMT},
        {"samples", required_argument, NULL, OPT_SAMPLES},
        {"seed", required_argument, NULL, OPT_SEED},
        {"budget", required_argument, NULL, OPT_BUDGET},
        {"compat", no_argument, NULL, OPT_COMPAT},
        {"explain", no_argument, NULL, OPT_EXPLAIN},
        {"json", required_argument, NULL, OPT_OUT + OUT_JSON},
        {"html", required_argument, NULL, OPT_OUT + OUT_HTML},
        {"node-data", required_argument, NULL, OPT_OUT + OUT_NODE_DATA},
        {"trace", required_argument, NULL, OPT_OUT + OUT_TRACE},
        {"threads", required_argument, NULL, VD_OPT_THREADS},
        {"kernels", required_argument, NULL, VD_OPT_KERNELS},
        {"force", no_argument, NULL, 'f'},
        VD_TRUST_OPTIONS,
        {NULL, 0, NULL, 0},
    };
    const struct vd_cmd *c = &vd_cmd_gate;
    char *end;
    long n;
    int opt;

    while ((opt = vd_getopt(c, argc, argv, "f", longs)) != -1)
        switch (opt) {
        case OPT_ALL: j->all = true; break;
        case OPT_CLIP:
        case OPT_ARRAY:
            if (add_file(j, optarg, opt == OPT_ARRAY))
                return EXIT_OTHER;
            break;
        case OPT_FRAMES:
            if (!vd_parse_int(optarg, 0, VD_MAX_SAMPLES, &j->clip.frames))
                return vd_usage(c, "--frames %s: a number from 1 to %d, or 0 for all", optarg, VD_MAX_SAMPLES);
            break;
        case OPT_SIZE:
            if (!vd_parse_size(optarg, &j->clip.w, &j->clip.h))
                return vd_usage(c, "--size %s: WIDTHxHEIGHT", optarg);
            break;
        case OPT_PIX_FMT: j->clip.pix_fmt = optarg; break;
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
        case OPT_DEGRADE: j->clip.degrade = true; break;
        case OPT_COMPAT: j->o.compat = true; break;
        case OPT_EXPLAIN: j->explain = true; break;
        case OPT_BUDGET:
            j->o.budget = strtod(optarg, &end);
            if (end == optarg || *end || !(j->o.budget >= 0 && j->o.budget <= 1))
                return vd_usage(c, "--budget %s: a number from 0 to 1", optarg);
            break;
        case OPT_OUT + OUT_JSON:
        case OPT_OUT + OUT_HTML:
        case OPT_OUT + OUT_NODE_DATA:
        case OPT_OUT + OUT_TRACE:
            j->out[opt - OPT_OUT] = optarg;
            if (!strcmp(optarg, "-"))
                j->lines = stderr;
            break;
        case 'f': j->force = true; break;
        default:
            if (opt == '?' || vd_run_option(c, opt, optarg, &j->run) < 0)
                return EXIT_OTHER;
        }
    if (sound(j, argv + optind))
        return EXIT_OTHER;
    j->all = optind == argc;
    j->o.kernels = j->run.kernels;
    j->o.registry = j->run.registry;
    j->o.trusted_keys = j->run.trusted_keys;
    j->o.require_pinned = j->run.require_pinned;
    j->o.keep = !j->o.compat;
    return EXIT_INSIDE;
}

/* --- what came of one model */

static void put_error(struct job *j, const char *model, int rc)
{
    json_t *o = json_object();

    vd_json_set(o, "id", json_string(model));
    vd_json_set(o, "verdict", json_string("error"));
    vd_json_set(o, "why", json_string(vd_reason()));
    vd_json_set(o, "errno", json_integer(-rc));
    vd_json_append(j->list, o);
}

/* What explains a verdict: asked for, or worth the time since the model did not pass. */
static int explain(struct job *j, const struct vd_gate_result *r, json_t *o)
{
    enum { FIRST = 5 };
    const bool asked = j->explain || one_page(j);
    struct vd_explain e;
    struct vd_trace t;
    int rc;

    if (r->skipped || (!asked && r->verdict != VD_FAIL) || j->o.compat) {
        return asked && r->skipped ? vd_fail(ENOENT, "%s: quant_mode is fp32, so that there is nothing to explain", r->id) : 0;
    }
    if ((rc = vd_explain(r, &j->o, &e))) {
        if (asked || rc == -ENOMEM)
            return rc;
        fprintf(j->lines, "       its layers could not be told apart: %s\n", vd_reason());
        return 0;
    }
    vd_explain_print(j->lines, &e, j->explain ? e.n_cost : FIRST, j->explain);
    if (o)
        vd_explain_json(o, &e);
    if (j->out[OUT_HTML])
        rc = vd_report_html(j->out[OUT_HTML], r, &e);
    if (!rc && j->out[OUT_NODE_DATA])
        rc = vd_report_json(j->out[OUT_NODE_DATA], vd_node_data(r, &e));
    if (!rc && j->out[OUT_TRACE] && !(rc = vd_trace(r, &j->o, &e, &t))) {
        rc = vd_report_json(j->out[OUT_TRACE], vd_trace_json(&t));
        vd_trace_free(&t);
    }
    vd_explain_free(&e);
    return rc;
}

static void gate_one(struct job *j, const char *model)
{
    struct vd_gate_result r;
    vd_sources_rewind(&j->sources);
    int rc = vd_gate(model, &j->o, &r);

    if (rc) {
        fflush(j->lines); /* so that lines and messages keep their order */
        put_error(j, model, rc);
        vd_report(rc);
        j->other = true;
        return;
    }
    vd_gate_print(j->lines, &r, j->o.compat);
    json_t *o = vd_gate_json(&r);
    if ((rc = explain(j, &r, o))) {
        fflush(j->lines);
        vd_report(rc);
        j->other = true;
    }
    vd_json_append(j->list, o);
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

/* --- the files around it */

static const char *file_of(const char *arg)
{
    const char *equals = strchr(arg, '=');
    return equals ? equals + 1 : arg;
}

/* No file of the registry's models. */
static int check_rows(const struct job *j, const char *path)
{
    struct vd_registry *g = vd_calloc(1, sizeof(*g));
    char file[VD_MAX_PATH + 300];
    struct vd_trusted t;
    int rc = 0;

    if (!g)
        return vd_nomem(sizeof(*g));
    if (!vd_registry_find(j->o.registry, file) && !vd_trusted_load(j->o.trusted_keys, &t) && !vd_registry_load(file, &t, g)) {
        const char *slash = strrchr(g->path, '/');
        const int folder = slash ? (int)(slash + 1 - g->path) : 0;
        for (int i = 0; !rc && i < g->n; i++) {
            snprintf(file, sizeof(file), "%.*s%s", folder, g->path, g->row[i].onnx);
            rc = vd_refuse_model_files(path, &j->run, g->row[i].id, file);
        }
        vd_registry_free(g);
    }
    vd_free(g);
    return rc;
}

/* Into what is to be written, and not into a file that is read. */
static int check_out(const struct job *j, const char *path, char *const *model)
{
    struct vd_resolved *r = vd_calloc(1, sizeof(*r));
    int rc = r ? vd_sink_check(path, j->force, -1) : vd_nomem(sizeof(*r));

    for (int i = 0; !rc && i < j->n_file; i++)
        if (vd_file_same(path, j->file[i].array ? file_of(j->file[i].path) : j->file[i].path))
            rc = vd_fail(EINVAL, "%s: input and output are the same file: give the output another name", path);
    if (!rc && j->all)
        rc = check_rows(j, path);
    for (; !rc && *model; model++) {
        const struct vd_resolve_how how = {.baseline = true, .registry = j->o.registry, .trusted_keys = j->o.trusted_keys};
        if (vd_resolve(*model, &how, r))
            continue; /* gating it says why */
        rc = vd_refuse_model_files(path, &j->run, *model, r->fp32_path);
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
    for (int i = 0; i < j->n_file; i++)
        if (j->file[i].array || strcmp(j->file[i].path, "-"))
            vd_sandbox_read(&s, j->file[i].array ? file_of(j->file[i].path) : j->file[i].path);
    for (int i = 0; i < N_OUT && j->run.sandbox != VD_SANDBOX_OFF; i++)
        if (j->out[i])
            vd_sandbox_write(&s, j->out[i]);
    int code = vd_confine(&vd_cmd_gate, &s, &j->run);
    j->o.threads = j->run.threads;
    return code;
}

static int read_files(struct job *j)
{
    int rc = 0;

    j->clip.seed = j->o.seed;
    for (int i = 0; !rc && i < j->n_file; i++)
        rc = j->file[i].array ? vd_sources_add_array(&j->sources, j->file[i].path, j->clip.frames, j->o.seed)
                              : vd_sources_add_clip(&j->sources, j->file[i].path, &j->clip);
    j->o.source = j->sources.list;
    j->o.n_source = j->sources.n;
    return vd_report(rc);
}

static int prepare(struct job *j, int argc, char **argv)
{
    int rc, code = parse(argc, argv, j);

    if (!code)
        code = confine(j, argv + optind);
    for (int i = 0; !code && i < N_OUT; i++)
        if (j->out[i] && (rc = check_out(j, j->out[i], argv + optind)))
            code = vd_report_output(rc);
    return code ? code : read_files(j);
}

static int run(int argc, char **argv)
{
    struct job j = {.o = {.budget = -1}, .clip = {.frames = DEFAULT_FRAMES}, .lines = stdout, .list = json_array()};
    int rc = 0, code = prepare(&j, argc, argv);

    if (!code && j.all)
        rc = gate_all(&j);
    for (int i = optind; !code && i < argc; i++)
        gate_one(&j, argv[i]);
    if (!code && !rc && j.out[OUT_JSON])
        rc = vd_report_json(j.out[OUT_JSON], json_incref(j.list));
    json_decref(j.list);
    vd_sources_free(&j.sources);
    if (rc) {
        fflush(j.lines);
        vd_report(rc);
    }
    return code || rc || j.other ? EXIT_OTHER : j.over ? EXIT_OVER : EXIT_INSIDE;
}

const struct vd_cmd vd_cmd_gate = {"gate", "is the int8 file as good as the fp32 file?", help, run};
