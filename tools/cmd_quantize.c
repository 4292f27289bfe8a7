/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"
#include "io/stream.h"
#include "quantize_job.h"
#include "session.h"

static const char help[] =
    "Usage: vmaf-dnn quantize dynamic MODEL.onnx [OPTION]...\n"
    "       vmaf-dnn quantize static MODEL.onnx --calibration SOURCE... [OPTION]...\n"
    "\n"
    "Write MODEL.int8.onnx, in which every Conv, MatMul and Gemm with constant weights has products of 8-bit integers. Its\n"
    "sha256 goes into the model's sidecar and its registry row, with the quant_mode; from then on that file is what\n"
    "MODEL.onnx opens. The same input gives the same bytes.\n"
    "\n"
    "dynamic: ONNX Runtime's dynamic form. Activations are quantised over their range as they come.\n"
    "static:  ranges are fixed beforehand, from frames: clips, arrays, or a file that 'vmaf-dnn calibrate' made. A Conv reads\n"
    "         a byte of its input's range, and a second one where something lies outside; without tails what lies between\n"
    "         two layers is 8 bits too. Behind the last one everything is float.\n"
    "\n"
    "  -o FILE               write to FILE (- is standard output), and leave registry and sidecar alone\n"
    "                        (default: MODEL.int8.onnx)\n"
    "  --per-tensor          one scale for all weights of a layer (default: one for each output channel)\n"
    "  --exclude NODE        leave it in fp32, by name or by its output's ('vmaf-dnn inspect --layers' lists them);\n"
    "                        again for more\n"
    "  --registry FILE       registry.json (default: beside the model)\n"
    VD_TRUST_HELP
    "  -f, --force           replace an output that is not the model's own int8 file\n"
    "  -q, --quiet           print nothing but errors and warnings\n"
    "dynamic:\n"
    "  --weight-type TYPE    uint8 (default; zero point 128) or int8 (zero point 0; needs ONNX Runtime 1.24 there)\n"
    "static:\n"
    "  --calibration SOURCE  a clip, arrays (.npy, .npz), a .json of 'vmaf-dnn calibrate', - or synthetic; again, or several\n"
    "                        after the model, for more of them\n"
    "  --save-calibration F  write what was seen to F.json, for the next time\n"
    VD_CALIBRATE_HELP
    "  --method METHOD       range of an activation: percentile, mse, minmax, entropy, average (default: percentile, and\n"
    "                        mse where there are no tails)\n"
    "  --percentile P        of that method, for either end (default: 99.9, and 99.99 where there are no tails)\n"
    "  --bias-correction on|off  take off a bias what rounding adds to its mean (default: on)\n"
    "  --format FORM         qdq (default) or qoperator: ONNX Runtime's QLinear operators\n"
    "  --margin X            ranges X times as long at both ends, for what the calibration has not seen (default: 1)\n"
    "  --sums bytes|float    float: an Add of two activations is not rounded to 8 bits (default: float with tails or two\n"
    "                        bytes, else bytes)\n"
    "  --two-bytes NODE|sums  this Conv reads its input in two bytes, as two products (sums: each whose input an Add reads or\n"
    "                        writes); --sums is then float; again for more\n"
    "  --tails NODE|all|none  this Conv reads what lies outside the range of its input in a second byte, as a second product\n"
    "                        (all: each that can); --sums is then float; again for more (default: all; none with\n"
    "                        --two-bytes, --sums or --format qoperator)\n"
    "  --overrides FILE      JSON, {\"TENSOR\": {\"rmin\": -1, \"rmax\": 2}, ...}; also scale and zero_point, or symmetric\n"
    "  --target any|vnni     whose 16-bit pair sums to warn of (default: any; nothing saturates here)\n"
    "  --budget X            leave as few layers in fp32 as give a drop (1 - PLCC) of at most X, or fail with exit code 1\n"
    "  --keep-best FILE      when nothing meets the budget, write the best to FILE all the same\n"
    "  --effect              print what equalisation and bias correction each do to drop and SQNR\n"
    "\n"
    "Printed is a table of the layers, and the size of both files. What counts is 'vmaf-dnn gate' afterwards.\n"
    "\n"
    "Examples:\n"
    "  vmaf-dnn quantize dynamic model.onnx\n"
    "  vmaf-dnn quantize static model.onnx --calibration a.y4m --calibration b.y4m --frames 50 --budget 0.005\n"
    "\n"
    "Exit codes: 0 done, 1 nothing meets the budget, 2 usage or no such file, 3 a source is broken, ends early, or is of a\n"
    "kind that is not taken, 4 the model was refused (its digest is not the pinned one, it is quantised already, it has\n"
    "nothing to quantise, ...), 5 no room or no memory.\n";

const struct vd_cmd vd_cmd_quantize;

enum { OPT_TYPE = 1, OPT_PER_TENSOR, OPT_SAVE, OPT_METHOD, OPT_PERCENTILE, OPT_BIAS, OPT_FORMAT, OPT_EXCLUDE, OPT_OVERRIDES, OPT_TARGET, OPT_BUDGET,
       OPT_BEST, OPT_EFFECT, OPT_SUMS, OPT_TWO_BYTES, OPT_TAILS, OPT_MARGIN };

static bool parse_number(const char *s, double lo, double hi, double *out)
{
    char *end;
    *out = strtod(s, &end);
    return end != s && !*end && *out >= lo && *out <= hi;
}

/* One of two words: 1 the first, 0 the second, -1 after a message. */
static int either(const char *option, const char *arg, const char *a, const char *b)
{
    if (!strcmp(arg, a))
        return 1;
    if (!strcmp(arg, b))
        return 0;
    vd_usage(&vd_cmd_quantize, "%s %s: %s or %s", option, arg, a, b);
    return -1;
}

/* 1: taken, 0: not an option of the static form, -1: a bad value. */
static int static_option(struct vd_static_job *st, int opt, const char *arg)
{
    const struct vd_cmd *c = &vd_cmd_quantize;
    int word = 1;

    switch (opt) {
    case VD_OPT_CALIBRATION:
        if (st->calibrate.n_source == VD_MAX_SOURCES)
            return vd_usage(c, "more than %d sources of calibration", VD_MAX_SOURCES), -1;
        st->source[st->calibrate.n_source++] = arg;
        break;
    case OPT_SAVE: st->save = arg; break;
    case OPT_METHOD:
        if (!vd_range_method_parse(arg, &st->o.method))
            return vd_usage(c, "--method %s: percentile, minmax, mse, entropy or average", arg), -1;
        st->method_set = true;
        break;
    case OPT_PERCENTILE:
        if (!parse_number(arg, 50, 100, &st->o.percentile))
            return vd_usage(c, "--percentile %s: give a number from 50 to 100, as in 99.99", arg), -1;
        st->percentile_set = true;
        break;
    case OPT_BIAS: st->o.no_bias_correction = !(word = either("--bias-correction", arg, "on", "off")); break;
    case OPT_FORMAT: st->o.qoperator = (word = either("--format", arg, "qoperator", "qdq")) == 1; break;
    case OPT_SUMS:
        st->o.float_sums = (word = either("--sums", arg, "float", "bytes")) == 1;
        st->form_set = true;
        break;
    case OPT_TWO_BYTES:
        if (st->n_two_bytes == VD_MAX_NAMED)
            return vd_usage(c, "more than %d nodes with inputs of two bytes", VD_MAX_NAMED), -1;
        st->o.float_sums = st->form_set = true;
        if (!strcmp(arg, "sums"))
            st->two_bytes_sums = true;
        else
            st->two_bytes[st->n_two_bytes++] = arg;
        break;
    case OPT_TAILS:
        if (st->n_tails == VD_MAX_NAMED)
            return vd_usage(c, "more than %d nodes whose inputs have tails", VD_MAX_NAMED), -1;
        st->form_set = true;
        if (!strcmp(arg, "none")) {
            st->o.tails_all = false;
            st->n_tails = 0;
            break;
        }
        st->o.float_sums = true;
        if (!strcmp(arg, "all"))
            st->o.tails_all = true;
        else
            st->tails[st->n_tails++] = arg;
        break;
    case OPT_MARGIN:
        if (!parse_number(arg, 1, 1000, &st->o.margin))
            return vd_usage(c, "--margin %s: give a number from 1, as in 1.5", arg), -1;
        break;
    case OPT_OVERRIDES: st->overrides = arg; break;
    case OPT_TARGET:
        word = either("--target", arg, "any", "vnni");
        st->target = arg;
        break;
    case OPT_BUDGET:
        if (!parse_number(arg, 0, 2, &st->budget))
            return vd_usage(c, "--budget %s: give a number from 0, as in 0.005", arg), -1;
        break;
    case OPT_BEST: st->keep_best = arg; break;
    case OPT_EFFECT: st->effect = true; break;
    default: return 0;
    }
    return word < 0 ? -1 : 1;
}

void vd_static_form(struct vd_static_job *st, bool tails)
{
    if (!st->form_set)
        st->o.tails_all = st->o.float_sums = tails;
    tails = st->o.tails_all || st->n_tails;
    if (!st->percentile_set)
        st->o.percentile = tails ? 99.9 : 99.99;
    if (!st->method_set)
        st->o.method = tails || st->percentile_set ? VD_RANGE_PERCENTILE : VD_RANGE_MSE;
}

static int check_static(struct vd_quantize_job *j, int argc, char **argv)
{
    const struct vd_cmd *c = &vd_cmd_quantize;

    for (int i = optind + 2; i < argc; i++) {
        if (j->st->calibrate.n_source == VD_MAX_SOURCES)
            return vd_usage(c, "more than %d sources of calibration", VD_MAX_SOURCES);
        j->st->source[j->st->calibrate.n_source++] = argv[i];
    }
    if (!j->st->calibrate.n_source)
        return vd_usage(c, "nothing to calibrate with: give --calibration CLIP, .npy, .npz, RANGES.json or synthetic");
    if (j->st->keep_best && j->st->budget < 0)
        return vd_usage(c, "--keep-best goes with --budget");
    vd_static_form(j->st, !j->st->o.qoperator);
    j->st->calibrate.quiet = j->quiet;
    j->st->o.per_tensor = j->o.per_tensor;
    return VD_EXIT_OK;
}

static int parse(int argc, char **argv, struct vd_quantize_job *j)
{
    static const struct option longs[] = {
        {"output", required_argument, NULL, 'o'},
        {"weight-type", required_argument, NULL, OPT_TYPE},
        {"per-tensor", no_argument, NULL, OPT_PER_TENSOR},
        {"calibration", required_argument, NULL, VD_OPT_CALIBRATION},
        {"save-calibration", required_argument, NULL, OPT_SAVE},
        {"method", required_argument, NULL, OPT_METHOD},
        {"percentile", required_argument, NULL, OPT_PERCENTILE},
        {"bias-correction", required_argument, NULL, OPT_BIAS},
        {"format", required_argument, NULL, OPT_FORMAT},
        {"exclude", required_argument, NULL, OPT_EXCLUDE},
        {"sums", required_argument, NULL, OPT_SUMS},
        {"two-bytes", required_argument, NULL, OPT_TWO_BYTES},
        {"tails", required_argument, NULL, OPT_TAILS},
        {"margin", required_argument, NULL, OPT_MARGIN},
        {"overrides", required_argument, NULL, OPT_OVERRIDES},
        {"target", required_argument, NULL, OPT_TARGET},
        {"budget", required_argument, NULL, OPT_BUDGET},
        {"keep-best", required_argument, NULL, OPT_BEST},
        {"effect", no_argument, NULL, OPT_EFFECT},
        VD_CALIBRATE_OPTIONS,
        VD_TRUST_OPTIONS,
        {"force", no_argument, NULL, 'f'},
        {"quiet", no_argument, NULL, 'q'},
        {NULL, 0, NULL, 0},
    };
    const struct vd_cmd *c = &vd_cmd_quantize;
    int opt, taken;
    bool only_static = false, only_dynamic = false;

    j->o.weight_type = VD_U8;
    while ((opt = vd_getopt(c, argc, argv, "o:fq", longs)) != -1)
        switch (opt) {
        case 'o': j->out = optarg; break;
        case OPT_TYPE:
            only_dynamic = true;
            if ((taken = either("--weight-type", optarg, "uint8", "int8")) < 0)
                return VD_EXIT_USAGE;
            j->o.weight_type = taken ? VD_U8 : VD_S8;
            break;
        case OPT_PER_TENSOR: j->o.per_tensor = true; break;
        case OPT_EXCLUDE:
            if (j->st->n_exclude == VD_MAX_NAMED)
                return vd_usage(c, "more than %d nodes to exclude", VD_MAX_NAMED);
            j->st->exclude[j->st->n_exclude++] = optarg;
            break;
        case 'f': j->force = true; break;
        case 'q': j->quiet = true; break;
        default:
            if (opt == '?')
                return VD_EXIT_USAGE;
            if (!(taken = static_option(j->st, opt, optarg)))
                taken = vd_calibrate_option(c, opt, optarg, &j->st->calibrate);
            only_static |= taken > 0;
            if (taken < 0 || (!taken && vd_run_option(c, opt, optarg, &j->run) < 0))
                return VD_EXIT_USAGE;
        }
    if (optind == argc)
        return vd_usage(c, "which form? 'quantize dynamic MODEL.onnx' or 'quantize static MODEL.onnx --calibration ...'");
    if (strcmp(argv[optind], "dynamic") && strcmp(argv[optind], "static"))
        return vd_usage(c, "'%s' is not a form of quantisation that this version makes: dynamic and static are", argv[optind]);
    j->mode = *argv[optind] == 'd' ? VD_QUANT_DYNAMIC : VD_QUANT_STATIC;
    if (argc - optind == 1)
        return vd_usage(c, "no model: name a .onnx file");
    j->model = argv[optind + 1];
    if (j->mode == VD_QUANT_STATIC && only_dynamic)
        return vd_usage(c, "--weight-type is an option of 'quantize dynamic'");
    if (j->mode == VD_QUANT_STATIC)
        return check_static(j, argc, argv);
    if (only_static)
        return vd_usage(c, "an option of 'quantize static' was given: the dynamic form calibrates nothing");
    if (argc - optind > 2)
        return vd_usage(c, "one model at a time, and '%s' is a second one", argv[optind + 2]);
    return VD_EXIT_OK;
}

static bool ends_with(const char *s, const char *end)
{
    const size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Two paths of one name in one folder, whether there is such a file or not. */
static bool same_place(const char *a, const char *b)
{
    char x[VD_MAX_PATH + 2], y[VD_MAX_PATH + 2]; /* "" and "." for the current folder */

    if (vd_file_same(a, b))
        return true;
    if (strcmp(base_name(a), base_name(b)))
        return false;
    snprintf(x, sizeof(x), "%.*s.", (int)(base_name(a) - a), a);
    snprintf(y, sizeof(y), "%.*s.", (int)(base_name(b) - b), b);
    return vd_file_same(x, y);
}

static const struct vd_row *row_of(const struct vd_quantize_job *j)
{
    return j->file.row ? j->file.row : j->file.sidecar.json ? &j->file.sidecar.row : NULL;
}

static int open_source(struct vd_quantize_job *j)
{
    const struct vd_resolve_how how = {.baseline = true, .requantise = true, .registry = j->run.registry,
                                       .trusted_keys = j->run.trusted_keys, .require_pinned = j->run.require_pinned};

    if (ends_with(j->model, ".int8.onnx"))
        return vd_fail(ENOTSUP, "%s: already quantised by its name; quantise the fp32 file instead", j->model);
    int rc = vd_resolve(j->model, &how, &j->file);
    if (!rc)
        rc = vd_sibling(j->sidecar, j->file.fp32_path, ".json");
    if (rc)
        return rc;
    j->path = j->out ? j->out : j->file.int8_path;
    j->beside = !j->out || same_place(j->out, j->file.int8_path);
    if (strlen(j->path) >= VD_MAX_PATH)
        return vd_fail(ENAMETOOLONG, "-o: a path of over %d bytes", VD_MAX_PATH - 1);
    if (!vd_file_same(j->path, j->file.int8_path) && (rc = vd_refuse_model_files(j->path, &j->run, j->model, j->file.fp32_path)))
        return rc;
    if ((rc = vd_onnx_read(&j->source, j->file.data, j->file.size)))
        rc = vd_context(rc, "%s", j->file.fp32_path);
    return rc;
}

/* Would these bytes open? As a session reads them. */
static int read_back(const struct vd_quantize_job *j)
{
    const int rc = vd_session_try(j->bytes.data, j->bytes.size, j->file.sidecar.json ? &j->file.sidecar : NULL);

    return rc ? vd_context(rc, "the quantised model would not open, so that it is not written") : 0;
}

/* result to bytes that would open. */
static int finish(struct vd_quantize_job *j)
{
    int rc;
    if ((rc = vd_onnx_write(&j->result, &j->bytes)))
        return rc;
    if (j->bytes.size > VD_MAX_MODEL)
        return vd_fail(E2BIG, "the quantised model has %zu bytes, of %d at most", j->bytes.size, (int)VD_MAX_MODEL);
    vd_sha256_hex(j->bytes.data, j->bytes.size, j->sha256);
    return read_back(j);
}

/* File, sidecar, registry: until the last is written the digests do not agree, and nothing opens. */
static int commit(struct vd_quantize_job *j)
{
    const struct vd_row *side = j->file.sidecar.json ? &j->file.sidecar.row : NULL;
    struct vd_sink out;
    int rc = vd_sink_open(&out, j->path);

    if (!rc)
        rc = vd_sink_write(&out, j->bytes.data, j->bytes.size);
    if (!rc)
        rc = vd_sink_commit(&out);
    else
        vd_sink_abort(&out);
    if (rc || !j->beside)
        return rc;
    if (side && (rc = vd_sidecar_set_quant(j->sidecar, j->mode, j->sha256)))
        return vd_context(rc, "%s is written, but not pinned", j->path);
    if (!j->file.row)
        return 0;
    rc = vd_registry_set_quant(j->file.registry.path, j->file.row->onnx, j->mode, j->sha256, side ? j->sidecar : NULL,
                               j->mode == VD_QUANT_STATIC ? j->st->calibration_set : NULL);
    if (!rc)
        return 0;
    rc = vd_context(rc, "%s is written, but not pinned", j->path);
    if (side) { /* so that the two do not contradict each other; what went wrong first is what is said */
        char why[512];
        snprintf(why, sizeof(why), "%s", vd_reason());
        (void)vd_sidecar_set_quant(j->sidecar, side->quant_mode, side->int8_sha256);
        rc = vd_fail(-rc, "%s", why);
    }
    return rc;
}

static void print_dynamic(const struct vd_quantize_job *j)
{
    const struct vd_quant_report *r = &j->report;
    int wide = 5;

    for (int i = 0; i < r->n_layer; i++) {
        const int n = (int)strlen(r->layer[i].node);
        wide = n > wide ? n < 48 ? n : 48 : wide;
    }
    printf("  %-*s  %-6s  %9s  %7s\n", wide, "layer", "kind", "weights", "SQNR dB");
    for (int i = 0; i < r->n_layer; i++) {
        const struct vd_quant_layer *l = &r->layer[i];
        if (l->why_fp32)
            printf("  %-*s  %-6s  %9zu  stays in fp32: %s\n", wide, l->node, l->op, l->weights, l->why_fp32);
        else if (isinf(l->sqnr_db))
            printf("  %-*s  %-6s  %9zu    exact\n", wide, l->node, l->op, l->weights);
        else
            printf("  %-*s  %-6s  %9zu  %7.2f\n", wide, l->node, l->op, l->weights, l->sqnr_db);
    }
    printf("%s weights, %s\n", vd_type_name(j->o.weight_type), j->o.per_tensor ? "one scale a layer" : "one scale an output channel");
}

/* A tiny model may grow: names, scales and operators are more than its weights save. */
static void print_size(const char *path, double size, double was)
{
    if (size <= was)
        printf("%s: %.0f bytes, %.2f times smaller\n", path, size, was / size);
    else
        printf("%s: %.0f bytes, %.2f times larger: there are too few weights to save by\n", path, size, size / was);
}

static void print_report(const struct vd_quantize_job *j)
{
    if (j->mode == VD_QUANT_STATIC)
        vd_static_print(j);
    else
        print_dynamic(j);
    printf("%s: %zu bytes\n", j->file.fp32_path, j->file.size);
    print_size(j->path, (double)j->bytes.size, (double)j->file.size);
    printf("sha256 %s", j->sha256);
    if (!j->beside)
        printf("; registry and sidecar were not touched");
    else if (row_of(j))
        printf(", pinned in %s%s%s", j->file.row ? j->file.registry.path : "", j->file.row && j->file.sidecar.json ? " and " : "",
               j->file.sidecar.json ? j->sidecar : "");
    putchar('\n');
}

static int confine(struct vd_quantize_job *j)
{
    struct vd_sandbox s = {0};

    if (j->run.sandbox != VD_SANDBOX_OFF) {
        vd_allow_model(&s, &j->run, j->model);
        vd_allow_model_writes(&s, &j->run, j->model);
        if (j->out)
            vd_sandbox_write(&s, j->out);
        if (j->mode == VD_QUANT_STATIC) {
            vd_calibrate_allow(&s, &j->st->calibrate);
            if (j->st->overrides)
                vd_sandbox_read(&s, j->st->overrides);
            if (j->st->save)
                vd_sandbox_write(&s, j->st->save);
            if (j->st->keep_best)
                vd_sandbox_write(&s, j->st->keep_best);
        }
    }
    return vd_confine(&vd_cmd_quantize, &s, &j->run);
}

/* A signature is of the registry as it was. */
static void say_signature(const struct vd_quantize_job *j)
{
    char sig[VD_MAX_PATH + 10], now[65];

    snprintf(sig, sizeof(sig), "%s.minisig", j->file.registry.path);
    if (!j->beside || !j->file.row || !(j->file.registry.is_signed || vd_file_is_regular(sig)))
        return;
    if (vd_registry_digest(j->file.registry.path, now) || strcmp(now, j->file.registry.sha256)) /* the same bytes again keep their signature */
        vd_say(&vd_cmd_quantize, "%s has changed, so that its signature does not fit any more: sign it again with "
               "'vmaf-dnn registry sign -s SECRET.key %s'", j->file.registry.path, j->file.registry.path);
}

static int make(struct vd_quantize_job *j)
{
    int rc = 0;
    if (j->mode == VD_QUANT_STATIC)
        return vd_static_job(&vd_cmd_quantize, j);
    if ((rc = vd_mark_nodes(&j->source, "--exclude", j->st->exclude, j->st->n_exclude, &j->st->fp32)))
        return vd_report(rc);
    j->o.fp32 = j->st->fp32;
    j->o.source_sha256 = j->file.sha256;
    if ((rc = vd_quantize_dynamic(&j->source, &j->o, &j->result, &j->report)))
        return vd_report(vd_context(rc, "%s", j->file.fp32_path));
    return VD_EXIT_OK;
}

static int run_job(struct vd_quantize_job *j)
{
    int code = confine(j);
    if (code)
        return code;
    int rc = open_source(j);

    if (rc)
        return vd_report(rc);
    /* The model's own int8 file is what this command is there to write. */
    if (!(j->beside && row_of(j)) && (rc = vd_sink_check(j->path, j->force, -1)))
        return vd_report_output(rc);
    for (int i = 0; i < 2 && j->mode == VD_QUANT_STATIC; i++) {
        const char *extra = i ? j->st->keep_best : j->st->save;
        if (extra && ((rc = vd_sink_check(extra, j->force, -1)) || (rc = vd_refuse_model_files(extra, &j->run, j->model, j->file.fp32_path))))
            return vd_report_output(rc);
    }
    code = make(j);
    if (code && !(code == VD_EXIT_NO && j->st->best_only))
        return code;
    if ((rc = finish(j)))
        return vd_report(rc);
    if (code) {
        j->path = j->st->keep_best;
        j->beside = false;
    }
    if ((rc = commit(j)))
        return vd_report_output(rc);
    if (code) {
        vd_say(&vd_cmd_quantize, "the best is in %s; it is over the budget, and nothing is pinned", j->path);
        return code;
    }
    if (!j->quiet && strcmp(j->path, "-"))
        print_report(j);
    say_signature(j);
    if (j->beside && !row_of(j))
        vd_say(&vd_cmd_quantize, "%s has neither a registry row nor a sidecar, so that its int8 file is unpinned: %s runs by its own name alone. "
               "Pin it with a row that says quant_mode %s, sha256 %s and int8_sha256 %s", base_name(j->file.fp32_path),
               base_name(j->file.int8_path), vd_quant_mode_name(j->mode), j->file.sha256, j->sha256);
    return VD_EXIT_OK;
}

static int run(int argc, char **argv)
{
    struct vd_quantize_job *j = vd_calloc(1, sizeof(*j));

    if (!j || !(j->st = vd_calloc(1, sizeof(*j->st)))) {
        vd_free(j);
        return vd_report(vd_nomem(sizeof(*j)));
    }
    *j->st = (struct vd_static_job){.budget = -1, .target = "any"};
    j->st->calibrate = (struct vd_calibrate_args){.source = j->st->source};
    int code = parse(argc, argv, j);
    if (!code)
        code = run_job(j);
    vd_free(j->bytes.data);
    vd_onnx_free(&j->result);
    vd_static_job_free(j->st);
    vd_onnx_free(&j->source);
    vd_resolved_free(&j->file);
    vd_free(j->st);
    vd_free(j);
    return code;
}

const struct vd_cmd vd_cmd_quantize = {"quantize", "write a model's int8 file and pin it", help, run};
