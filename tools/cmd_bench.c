/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "common/checked.h"
#include "common/mem.h"
#include "common/status.h"
#include "gate/gate.h"
#include "ops/op.h"
#include "session.h"

extern const struct vd_cmd vd_cmd_bench;

enum { DEFAULT_RUNS = 9, MAX_RUNS = 999, TILE = 256, PICTURE = 9 };
static const double SHORT_RUN = 0.02; /* seconds: what takes less is measured several at a time */

struct bench {
    struct vd_run_opts run;
    int w, h, runs;
    bool sized, json, layers;
};

/* A model with memory for its inputs and outputs. */
struct subject {
    vmaf_dnn_session *s;
    vmaf_dnn_info info;
    vmaf_dnn_input *in;
    vmaf_dnn_output *out;
    double t[MAX_RUNS]; /* seconds a run */
    double gmac;
};

static void drop(struct subject *b)
{
    for (size_t i = 0; b->in && i < b->info.n_inputs; i++)
        vd_free((void *)(uintptr_t)b->in[i].data);
    for (size_t i = 0; b->out && i < b->info.n_outputs; i++)
        vd_free(b->out[i].data);
    vd_free(b->in);
    vd_free(b->out);
    vmaf_dnn_session_close(b->s);
    b->s = NULL;
}

/* Pictures of w x h in 0..1, one after the other: a layer with tails takes longer where much lies outside its range, as in noise, so that what is timed
 * must look like something. One picture of the gate's, again and again. */
static int fill_pictures(float *data, int64_t w, int64_t h, size_t n)
{
    const size_t bytes = (size_t)TILE * TILE * sizeof(float);
    float *tile = vd_malloc(bytes); /* also for smaller ones: a picture has 16 samples a side at least */

    if (!tile)
        return vd_nomem(bytes);
    vd_picture(tile, TILE, TILE, PICTURE);
    for (size_t i = 0; i < n; i++)
        data[i] = tile[i / (size_t)w % (size_t)h % TILE * TILE + i % (size_t)w % TILE];
    vd_free(tile);
    return 0;
}

/* Element i of any other input, in 0..1 for floats. */
static void fill(void *data, int type, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t v = (uint32_t)i * 2654435761u >> 24;
        switch (type) {
        case VMAF_DNN_F32:
            ((float *)data)[i] = (float)v / 255;
            break;
        case VMAF_DNN_F16:
            ((uint16_t *)data)[i] = (uint16_t)(v << 6); /* 0 to just under 2, in float16 */
            break;
        case VMAF_DNN_U8:
        case VMAF_DNN_S8:
            ((uint8_t *)data)[i] = (uint8_t)v;
            break;
        default: /* bool, and integers whose meaning is not known: zero is an index and a size that most take */
            break;
        }
    }
}

/* Inputs of the model's shape; where that is open, the last two dims of a picture are the asked size and the rest 1. */
static int make_inputs(struct subject *b, const struct bench *o)
{
    if (!(b->in = vd_calloc(b->info.n_inputs + 1, sizeof(*b->in))))
        return vd_nomem(sizeof(*b->in));
    for (size_t i = 0; i < b->info.n_inputs; i++) {
        vmaf_dnn_slot slot;
        vmaf_dnn_input *in = &b->in[i];
        size_t bytes;
        int rc = vmaf_dnn_session_input(b->s, i, &slot);
        if (rc)
            return rc;
        *in = (vmaf_dnn_input){.name = slot.name, .type = slot.type, .rank = slot.rank < 0 ? 4 : slot.rank};
        for (int d = 0; d < in->rank; d++) {
            const int64_t have = slot.rank < 0 ? -1 : slot.shape[d];
            const bool picture = in->rank >= 3, width = picture && d == in->rank - 1, height = in->rank == 4 && d == 2;
            in->shape[d] = (have < 0 || o->sized) && width ? o->w : (have < 0 || o->sized) && height ? o->h : have < 0 ? 1 : have;
        }
        if (!vd_count(in->shape, in->rank, &in->count) || !vd_mul(in->count, 8, &bytes))
            return vd_fail(ERANGE, "input '%s' would be too large at that size", slot.name);
        void *data = vd_calloc(bytes ? bytes : 1, 1);
        if (!data)
            return vd_nomem(bytes);
        in->data = data;
        if (in->type == VMAF_DNN_F32 && in->rank == 4 && in->count) {
            if ((rc = fill_pictures(data, in->shape[3], in->shape[2], in->count)))
                return rc;
        } else
            fill(data, in->type, in->count);
    }
    return 0;
}

/* Runs once to find what the outputs need, then once with room for them. */
static int make_outputs(struct subject *b)
{
    if (!(b->out = vd_calloc(b->info.n_outputs + 1, sizeof(*b->out))))
        return vd_nomem(sizeof(*b->out));
    for (size_t i = 0; i < b->info.n_outputs; i++) {
        vmaf_dnn_slot slot;
        const int rc = vmaf_dnn_session_output(b->s, i, &slot);
        if (rc)
            return rc;
        b->out[i] = (vmaf_dnn_output){.name = slot.name, .type = slot.type};
    }
    int rc = vmaf_dnn_session_run(b->s, b->in, b->info.n_inputs, b->out, b->info.n_outputs);
    if (rc != -ENOSPC)
        return rc;
    for (size_t i = 0; i < b->info.n_outputs; i++) {
        b->out[i].capacity = b->out[i].written;
        if (!(b->out[i].data = vd_calloc(b->out[i].written + 1, 8)))
            return vd_nomem(b->out[i].written * 8);
    }
    return vmaf_dnn_session_run(b->s, b->in, b->info.n_inputs, b->out, b->info.n_outputs);
}

/* 0, or the exit code after a message. */
static int make(struct subject *b, const char *model, const struct bench *o, bool baseline)
{
    struct vd_run_opts run = o->run;
    run.baseline = baseline;
    const int code = vd_open_session(model, &run, &b->s);
    if (code)
        return code;
    vmaf_dnn_session_info(b->s, &b->info);
    if (o->layers)
        vd_plan_profile(b->s->plan);
    int rc = make_inputs(b, o);
    if (!rc)
        rc = make_outputs(b);
    if (rc)
        return vd_report(rc);
    struct vd_plan_info info;
    vd_plan_info(b->s->plan, &info);
    b->gmac = (double)info.macs * 1e-9;
    return 0;
}

static int measure(struct subject *b, int run, int repeat)
{
    const double begin = vd_now();
    for (int i = 0; i < repeat; i++) {
        const int rc = vmaf_dnn_session_run(b->s, b->in, b->info.n_inputs, b->out, b->info.n_outputs);
        if (rc)
            return rc;
    }
    b->t[run] = (vd_now() - begin) / repeat;
    return 0;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts t. */
static double median(double *t, int n)
{
    qsort(t, (size_t)n, sizeof(*t), by_value);
    return n % 2 ? t[n / 2] : (t[n / 2 - 1] + t[n / 2]) / 2;
}

/* Print and release all, which is NULL, or ok false, where memory was not enough for it. */
static int dump(json_t *all, bool ok)
{
    ok = ok && all && !json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(all);
    if (!ok)
        return vd_nomem(1);
    printf("\n");
    return 0;
}

static int print_json(struct subject *b, int n, const struct bench *o, double faster)
{
    json_t *shape = json_array(), *forms = json_array();
    bool ok = shape && forms;
    for (int d = 0; d < b->in[0].rank; d++)
        ok &= !json_array_append_new(shape, json_integer(b->in[0].shape[d]));
    for (int k = 0; k < n; k++) {
        const double mid = median(b[k].t, o->runs);
        ok &= !json_array_append_new(forms, json_pack("{s:s,s:f,s:f,s:f}", "quant_mode", b[k].info.quant_mode, "median_s", mid, "min_s", b[k].t[0],
                                                      "gmac_per_s", b->gmac / mid));
    }
    json_t *all = json_pack("{s:s,s:o,s:s,s:i,s:f,s:i,s:o}", "id", b->info.id, "input", shape, "kernels", b->info.kernels, "threads",
                            b->info.threads, "gmac", b->gmac, "runs", o->runs, "forms", forms);
    if (n == 2)
        ok &= !json_object_set_new(all, "int8_times_as_fast", json_real(faster));
    return dump(all, ok);
}

static void print_table(struct subject *b, int n, const struct bench *o, double faster)
{
    printf("%s at [", b->info.id);
    for (int d = 0; d < b->in[0].rank; d++)
        printf("%s%" PRId64, d ? "," : "", b->in[0].shape[d]);
    printf("], %.3f GMAC a run; kernels %s, %d thread%s; %d run%s%s\n\n", b->gmac, b->info.kernels, b->info.threads,
           vd_s(b->info.threads), o->runs, vd_s(o->runs), n == 2 ? ", in turn" : "");
    printf("           median ms     min ms     runs/s     GMAC/s\n");
    for (int k = 0; k < n; k++) {
        const double mid = median(b[k].t, o->runs);
        printf("%-9s %10.2f %10.2f %10.1f %10.1f\n", b[k].info.quant_mode, mid * 1e3, b[k].t[0] * 1e3, 1 / mid, b->gmac / mid);
    }
    if (n == 2)
        printf("\nint8 is %.2f times as fast as fp32 (median of the ratios, run by run)\n", faster);
}

/* --- --layers --- */

/* The caller's; n, or a negative errno. */
static int collect(const struct subject *b, struct vd_plan_part **parts)
{
    int n = 0, room = 0;
    struct vd_plan_part part;
    for (*parts = NULL; vd_plan_part(b->s->plan, n, &part); n++) {
        struct vd_plan_part *more = n < room ? *parts : vd_realloc(*parts, (size_t)(room = 2 * room + 32), sizeof(*more));
        if (!more)
            return vd_nomem((size_t)room * sizeof(*more));
        *parts = more;
        more[n] = part;
    }
    return n;
}

static int print_layers(struct subject *b, const struct bench *o, const struct vd_plan_part *part, int n)
{
    double sum = 0, wall = 0, tails = 0;
    for (int i = 0; i < o->runs; i++)
        wall += b->t[i] / o->runs;
    for (int i = 0; i < n; i++)
        sum += part[i].seconds;
    if (o->json) {
        json_t *list = json_array();
        bool ok = list;
        for (int i = 0; i < n; i++)
            ok &= !json_array_append_new(list, json_pack("{s:s,s:s,s:I,s:I,s:I,s:f}", "node", part[i].node, "what", part[i].what, "macs", (json_int_t)part[i].macs,
                                                         "tail_macs", (json_int_t)part[i].tail_macs, "bytes", (json_int_t)part[i].bytes, "seconds",
                                                         part[i].seconds));
        json_t *all = json_pack("{s:s,s:s,s:s,s:i,s:f,s:f,s:o}", "id", b->info.id, "quant_mode", b->info.quant_mode, "kernels", b->info.kernels, "threads",
                                b->info.threads, "gmac", b->gmac, "seconds", wall, "layers", list);
        return dump(all, ok);
    }
    printf("%s, %s: %.2f ms a run, %.3f GMAC; kernels %s, %d thread%s, mean of %d run%s\n\n", b->info.id, b->info.quant_mode, wall * 1e3, b->gmac,
           b->info.kernels, b->info.threads, vd_s(b->info.threads), o->runs, vd_s(o->runs));
    printf("%-24s %-22s %8s %8s %8s %7s %8s %7s\n", "node", "", "MMAC", "MB", "ms", "share", "GMAC/s", "GB/s");
    for (int i = 0; i < n; i++) {
        char rate[32] = "";
        const char *domain = strrchr(part[i].what, ':'), *op = domain ? domain + 1 : part[i].what;
        const double s = part[i].seconds > 0 ? part[i].seconds : 1e-12, macs = (double)(part[i].macs + part[i].tail_macs);
        if (macs > 0)
            snprintf(rate, sizeof(rate), "%.1f", macs * 1e-9 / s);
        tails += (double)part[i].tail_macs;
        printf("%-24.24s %-22.22s %8.1f %8.2f %8.3f %6.1f%% %8s %7.1f\n", part[i].node, op, macs * 1e-6,
               (double)part[i].bytes * 1e-6, s * 1e3, 100 * s / (sum > 0 ? sum : 1), rate, (double)part[i].bytes * 1e-9 / s);
    }
    printf("\nms: of all workers together. MB: what is read and written once, most of it in the caches; rows that two bands make are\nin ms and not in MMAC.\n");
    if (tails > 0)
        printf("%.3f GMAC are second products, of tails, where something of this picture lies outside a layer's range, or of two bytes (also\n"
               "rows that two bands make): they are in MMAC, and not in the GMAC above.\n", tails * 1e-9);
    return 0;
}

static int layers(struct subject *b, const struct bench *o)
{
    struct vd_progress p;
    struct vd_plan_part *before = NULL, *after = NULL;
    int n = collect(b, &before), rc = n < 0 ? n : 0;
    vd_progress_start(&p, "bench", o->runs);
    for (int i = 0; i < o->runs && !rc; i++) {
        rc = measure(b, i, 1);
        vd_progress_step(&p, i + 1);
    }
    vd_progress_end(&p);
    if (!rc && (n = collect(b, &after)) < 0)
        rc = n;
    for (int i = 0; i < n && !rc; i++) {
        after[i].seconds = (after[i].seconds - before[i].seconds) / o->runs;
        after[i].tail_macs = (after[i].tail_macs - before[i].tail_macs) / o->runs;
    }
    if (!rc)
        rc = print_layers(b, o, after, n);
    vd_free(before);
    vd_free(after);
    return rc ? vd_report(rc) : VD_EXIT_OK;
}

static int compare(struct subject *b, int n, const struct bench *o)
{
    struct vd_progress p;
    double ratio[MAX_RUNS];
    int rc = 0, repeat[2] = {1, 1};
    for (int k = 0; k < n && !rc; k++) {
        rc = measure(&b[k], 0, 1);
        if (!rc && b[k].t[0] < SHORT_RUN)
            repeat[k] = (int)(SHORT_RUN / (b[k].t[0] + 1e-6)) + 1;
    }
    vd_progress_start(&p, "bench", o->runs);
    for (int i = 0; i < o->runs && !rc; i++) {
        for (int k = 0; k < n && !rc; k++) /* in turn, so that a drift of the machine falls on both */
            rc = measure(&b[k], i, repeat[k]);
        ratio[i] = n == 2 ? b[1].t[i] / b[0].t[i] : 1;
        vd_progress_step(&p, i + 1);
    }
    vd_progress_end(&p);
    if (rc)
        return vd_report(rc);
    const double faster = median(ratio, o->runs);
    if (!o->json)
        print_table(b, n, o, faster);
    else if ((rc = print_json(b, n, o, faster)))
        return vd_report(rc);
    if (n == 2 && faster < 1)
        vd_say(&vd_cmd_bench, "warning: int8 is slower than fp32 here (%.2f times as fast); --baseline runs the fp32 file", faster);
    return VD_EXIT_OK;
}

static int run(int argc, char **argv)
{
    enum { OPT_SIZE = 1, OPT_RUNS, OPT_JSON, OPT_LAYERS };
    static const struct option longs[] = {{"size", required_argument, NULL, OPT_SIZE}, {"runs", required_argument, NULL, OPT_RUNS},
                                          {"json", no_argument, NULL, OPT_JSON},
                                          {"layers", no_argument, NULL, OPT_LAYERS}, VD_RUN_OPTIONS, {NULL, 0, NULL, 0}};
    struct bench o = {.w = 1280, .h = 720, .runs = DEFAULT_RUNS};
    long runs;
    for (int opt; (opt = vd_getopt(&vd_cmd_bench, argc, argv, "", longs)) != -1;) {
        if (opt == '?')
            return VD_EXIT_USAGE;
        if (opt == OPT_SIZE && !(o.sized = vd_parse_size(optarg, &o.w, &o.h)))
            return vd_usage(&vd_cmd_bench, "--size %s: give WIDTHxHEIGHT, each 1 to %d, as in 1920x1080", optarg, VD_MAX_SIDE);
        if (opt == OPT_RUNS && !vd_parse_int(optarg, 1, MAX_RUNS, &runs))
            return vd_usage(&vd_cmd_bench, "--runs %s: give a number of 1 to %d", optarg, MAX_RUNS);
        if (opt == OPT_RUNS)
            o.runs = (int)runs;
        if (opt == OPT_JSON)
            o.json = true;
        if (opt == OPT_LAYERS)
            o.layers = true;
        if (opt >= VD_OPT_THREADS && vd_run_option(&vd_cmd_bench, opt, optarg, &o.run) < 0)
            return VD_EXIT_USAGE;
    }
    if (optind + 1 != argc)
        return vd_usage(&vd_cmd_bench, "name one model: a path, or a registry id");
    struct vd_sandbox box = {0};
    vd_allow_model(&box, &o.run, argv[optind]);
    int code = vd_confine(&vd_cmd_bench, &box, &o.run);
    if (code)
        return code;
    struct subject *b = vd_calloc(2, sizeof(*b));
    if (!b)
        return vd_report(vd_nomem(2 * sizeof(*b)));
    int n = 1;
    code = make(&b[0], argv[optind], &o, o.run.baseline);
    if (!code && !o.layers && !o.run.baseline && strcmp(b[0].info.quant_mode, "fp32") && b[0].info.pinned) {
        code = make(&b[1], argv[optind], &o, true);
        n = 2;
    }
    if (!code)
        code = o.layers ? layers(&b[0], &o) : compare(b, n, &o);
    drop(&b[0]);
    drop(&b[1]);
    vd_free(b);
    return code;
}

const struct vd_cmd vd_cmd_bench = {
    .name = "bench",
    .summary = "time a model on this machine, int8 against fp32",
    .help = "Usage: vmaf-dnn bench [OPTION]... MODEL\n"
            "\n"
            "Run a model on a made-up picture and print the time of a run, runs a second, and multiplications\n"
            "a second. For a model that opens as int8 the fp32 file runs in turn with it, A B A B, and the\n"
            "ratio of the two is printed; a warning says so when int8 is the slower one on this machine.\n"
            "\n"
            "  --size WxH          picture size, where the model's is not fixed (1280x720)\n"
            "  --runs N            measurements of each (9); what takes less than 20 ms runs several times in one\n"
            "  --layers            where the time goes: each layer of the model as it opens (with --baseline: of the fp32 file)\n"
            "  --json              print JSON\n"
            VD_RUN_HELP
            "\n"
            "Exit codes: 0 done (also when int8 is slower), 2 usage or no such file, 4 the model was refused, 5 no room or no memory.\n"
            "\n"
            "Example:\n"
            "  vmaf-dnn bench --size 1920x1080 learned_filter_v1\n",
    .run = run,
};
