/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"
#include "io/stream.h"
#include "quant/quant.h"
#include "session.h"
#include "trust/trust.h"

static const char help[] =
    "Usage: vmaf-dnn quantize dynamic MODEL.onnx [OPTION]...\n"
    "\n"
    "Write MODEL.int8.onnx, in which every Conv, MatMul and Gemm with constant weights is in ONNX Runtime's dynamic\n"
    "form: activations are quantised to uint8 over their range as they come, weights are stored in 8 bits, sums are\n"
    "integers. Its sha256 goes into the model's sidecar and its registry row, with quant_mode dynamic; from then on\n"
    "that file is what MODEL.onnx opens. The same input gives the same bytes on every machine.\n"
    "\n"
    "  -o FILE             write to FILE (- is standard output), and leave registry and sidecar alone\n"
    "                      (default: MODEL.int8.onnx)\n"
    "  --weight-type TYPE  uint8 (default; zero point 128) or int8 (zero point 0; needs ONNX Runtime 1.24 there)\n"
    "  --per-tensor        one scale for all weights of a layer (default: one for each output channel)\n"
    "  --registry FILE     registry.json (default: beside the model)\n"
    VD_TRUST_HELP
    "  -f, --force         replace an output that is not the model's own int8 file\n"
    "  -q, --quiet         print nothing but errors and warnings\n"
    "\n"
    "Printed is a table: layer, kind, weights, and the weights' signal to quantisation noise; and the size of both\n"
    "files. What counts is 'vmaf-dnn gate' afterwards.\n"
    "\n"
    "Example:\n"
    "  vmaf-dnn quantize dynamic model/tiny/learned_filter_v1.onnx\n"
    "  vmaf-dnn gate model/tiny/learned_filter_v1.onnx\n"
    "\n"
    "Exit codes: 0 done, 2 usage or no such file, 4 the model was refused (its digest is not the pinned one, it is\n"
    "quantised already, it has nothing to quantise, ...), 5 no room or no memory.\n";

const struct vd_cmd vd_cmd_quantize;

struct job {
    const char *model, *out;
    struct vd_run_opts run; /* registry, trusted keys, sandbox */
    struct vd_quant_opts o;
    bool force, quiet;
    /* What came of it. */
    struct vd_resolved file;
    char sidecar[VD_MAX_PATH];
    const char *path;   /* of the output */
    bool beside;        /* path is the model's int8 file, so that row and sidecar speak of it */
    struct vd_onnx_model source, result;
    struct vd_quant_report report;
    struct vd_buf bytes;
    char sha256[65];
};

static int parse(int argc, char **argv, struct job *j)
{
    enum { OPT_TYPE = 1, OPT_PER_TENSOR };
    static const struct option longs[] = {
        {"output", required_argument, NULL, 'o'},
        {"weight-type", required_argument, NULL, OPT_TYPE},
        {"per-tensor", no_argument, NULL, OPT_PER_TENSOR},
        VD_TRUST_OPTIONS,
        {"force", no_argument, NULL, 'f'},
        {"quiet", no_argument, NULL, 'q'},
        {NULL, 0, NULL, 0},
    };
    const struct vd_cmd *c = &vd_cmd_quantize;
    int opt;

    j->o.weight_type = VD_U8;
    while ((opt = vd_getopt(c, argc, argv, "o:fq", longs)) != -1)
        switch (opt) {
        case 'o': j->out = optarg; break;
        case OPT_TYPE:
            if (!strcmp(optarg, "uint8"))
                j->o.weight_type = VD_U8;
            else if (!strcmp(optarg, "int8"))
                j->o.weight_type = VD_S8;
            else
                return vd_usage(c, "--weight-type %s: uint8 or int8", optarg);
            break;
        case OPT_PER_TENSOR: j->o.per_tensor = true; break;
        case 'f': j->force = true; break;
        case 'q': j->quiet = true; break;
        default:
            if (opt == '?' || vd_run_option(c, opt, optarg, &j->run) < 0)
                return VD_EXIT_USAGE;
        }
    if (optind == argc)
        return vd_usage(c, "which form? 'quantize dynamic MODEL.onnx'");
    if (strcmp(argv[optind], "dynamic"))
        return vd_usage(c, "'%s' is not a form of quantisation that this version makes: dynamic", argv[optind]);
    if (argc - optind == 1)
        return vd_usage(c, "no model: name a .onnx file");
    if (argc - optind > 2)
        return vd_usage(c, "one model at a time, and '%s' is a second one", argv[optind + 2]);
    j->model = argv[optind + 1];
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

static const struct vd_row *row_of(const struct job *j)
{
    return j->file.row ? j->file.row : j->file.sidecar.json ? &j->file.sidecar.row : NULL;
}

static int open_source(struct job *j)
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
static int read_back(const struct job *j)
{
    const int rc = vd_session_try(j->bytes.data, j->bytes.size, j->file.sidecar.json ? &j->file.sidecar : NULL);

    return rc ? vd_context(rc, "the quantised model would not open, so that it is not written") : 0;
}

static int quantize(struct job *j)
{
    j->o.source_sha256 = j->file.sha256;
    int rc = vd_quantize_dynamic(&j->source, &j->o, &j->result, &j->report);
    if (rc)
        return vd_context(rc, "%s", j->file.fp32_path);
    if ((rc = vd_onnx_write(&j->result, &j->bytes)))
        return rc;
    if (j->bytes.size > VD_MAX_MODEL)
        return vd_fail(E2BIG, "the quantised model has %zu bytes, of %d at most", j->bytes.size, (int)VD_MAX_MODEL);
    vd_sha256_hex(j->bytes.data, j->bytes.size, j->sha256);
    return read_back(j);
}

/* File, sidecar, registry: until the last is written the digests do not agree, and nothing opens. */
static int commit(struct job *j)
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
    if (side && (rc = vd_sidecar_set_quant(j->sidecar, VD_QUANT_DYNAMIC, j->sha256)))
        return vd_context(rc, "%s is written, but not pinned", j->path);
    if (!j->file.row)
        return 0;
    rc = vd_registry_set_quant(j->file.registry.path, j->file.row->onnx, VD_QUANT_DYNAMIC, j->sha256, side ? j->sidecar : NULL);
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

static void print_report(const struct job *j)
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
    printf("%s: %zu bytes\n", j->file.fp32_path, j->file.size);
    printf("%s: %zu bytes, %.2f times smaller\n", j->path, j->bytes.size, (double)j->file.size / (double)j->bytes.size);
    printf("sha256 %s", j->sha256);
    if (!j->beside)
        printf("; registry and sidecar were not touched");
    else if (row_of(j))
        printf(", pinned in %s%s%s", j->file.row ? j->file.registry.path : "", j->file.row && j->file.sidecar.json ? " and " : "",
               j->file.sidecar.json ? j->sidecar : "");
    putchar('\n');
}

static int confine(struct job *j)
{
    struct vd_sandbox s = {0};

    if (j->run.sandbox != VD_SANDBOX_OFF) {
        vd_allow_model(&s, &j->run, j->model);
        vd_allow_model_writes(&s, &j->run, j->model);
        if (j->out)
            vd_sandbox_write(&s, j->out);
    }
    return vd_confine(&vd_cmd_quantize, &s, &j->run);
}

/* A signature is of the registry as it was. */
static void say_signature(const struct job *j)
{
    char sig[VD_MAX_PATH + 10], now[65];

    snprintf(sig, sizeof(sig), "%s.minisig", j->file.registry.path);
    if (!j->beside || !j->file.row || !(j->file.registry.is_signed || vd_file_is_regular(sig)))
        return;
    if (vd_registry_digest(j->file.registry.path, now) || strcmp(now, j->file.registry.sha256)) /* the same bytes again keep their signature */
        vd_say(&vd_cmd_quantize, "%s has changed, so that its signature does not fit any more: sign it again with "
               "'vmaf-dnn registry sign -s SECRET.key %s'", j->file.registry.path, j->file.registry.path);
}

static int run_job(struct job *j)
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
    if ((rc = quantize(j)))
        return vd_report(rc);
    if ((rc = commit(j)))
        return vd_report_output(rc);
    if (!j->quiet && strcmp(j->path, "-"))
        print_report(j);
    say_signature(j);
    if (j->beside && !row_of(j))
        vd_say(&vd_cmd_quantize, "%s has neither a registry row nor a sidecar, so that its int8 file is unpinned: any %s would be opened. "
               "Pin it with a row that says quant_mode dynamic, sha256 %s and int8_sha256 %s", base_name(j->file.fp32_path),
               base_name(j->file.int8_path), j->file.sha256, j->sha256);
    return VD_EXIT_OK;
}

static int run(int argc, char **argv)
{
    struct job *j = vd_calloc(1, sizeof(*j));

    if (!j)
        return vd_report(vd_nomem(sizeof(*j)));
    int code = parse(argc, argv, j);
    if (!code)
        code = run_job(j);
    vd_free(j->bytes.data);
    vd_onnx_free(&j->result);
    vd_onnx_free(&j->source);
    vd_resolved_free(&j->file);
    vd_free(j);
    return code;
}

const struct vd_cmd vd_cmd_quantize = {"quantize", "write a model's int8 file and pin it", help, run};
