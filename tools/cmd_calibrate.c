/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "calibrate.h"
#include "common/mem.h"
#include "common/status.h"
#include "io/stream.h"
#include "trust/trust.h"

static const char help[] =
    "Usage: vmaf-dnn calibrate MODEL SOURCE... -o RANGES.json [OPTION]...\n"
    "\n"
    "Run the fp32 model on frames and write what its activations were: ranges and histograms, some 40 kilobytes that stand\n"
    "for the clips in 'quantize static --calibration RANGES.json'. A SOURCE is a clip (y4m, .npy and .npz arrays, raw\n"
    "samples, - for standard input), the word synthetic, or such a file that was made before: several are merged, and the\n"
    "result is what one run over all their clips gives, byte for byte. Memory does not grow with the number of frames.\n"
    "\n"
    "  -o FILE               where the result goes (- is standard output)\n"
    VD_CALIBRATE_HELP
    "  --registry FILE       registry.json (default: beside the model)\n"
    VD_TRUST_HELP
    "  -f, --force           replace FILE when it exists\n"
    "  -q, --quiet           print nothing but errors\n"
    "\n"
    "Examples:\n"
    "  vmaf-dnn calibrate model.onnx a.y4m b.y4m --frames 50 -o ranges.json\n"
    "  vmaf-dnn calibrate model.onnx monday.json tuesday.json -o both.json\n"
    "\n"
    "Exit codes: 0 done, 2 usage or no such file, 3 a source is broken, ends early, or is of a kind that is not taken, 4 the\n"
    "model was refused, 5 no room or no memory.\n";

const struct vd_cmd vd_cmd_calibrate;

struct job {
    const char *model, *out, *source[VD_MAX_SOURCES];
    struct vd_run_opts run;
    struct vd_calibrate_args a;
    bool force;
    struct vd_resolved file;
    struct vd_onnx_model m;
    struct vd_calibrated made;
    struct vd_buf bytes;
};

static int parse(int argc, char **argv, struct job *j)
{
    static const struct option longs[] = {
        {"output", required_argument, NULL, 'o'},
        VD_CALIBRATE_OPTIONS,
        VD_TRUST_OPTIONS,
        {"force", no_argument, NULL, 'f'},
        {"quiet", no_argument, NULL, 'q'},
        {NULL, 0, NULL, 0},
    };
    const struct vd_cmd *c = &vd_cmd_calibrate;
    int opt, taken;

    j->a = (struct vd_calibrate_args){.source = j->source, .equalize = false};
    while ((opt = vd_getopt(c, argc, argv, "o:fq", longs)) != -1)
        switch (opt) {
        case 'o': j->out = optarg; break;
        case 'f': j->force = true; break;
        case 'q': j->a.quiet = true; break;
        default:
            if (opt == '?' || (taken = vd_calibrate_option(c, opt, optarg, &j->a)) < 0 || (!taken && vd_run_option(c, opt, optarg, &j->run) < 0))
                return VD_EXIT_USAGE;
        }
    if (optind == argc)
        return vd_usage(c, "no model: name a .onnx file, or an id of the registry");
    j->model = argv[optind++];
    if (optind == argc)
        return vd_usage(c, "nothing to calibrate with: name clips, arrays, calibration files, or synthetic");
    if (argc - optind > VD_MAX_SOURCES)
        return vd_usage(c, "more than %d sources", VD_MAX_SOURCES);
    if (!j->out)
        return vd_usage(c, "no output: give -o RANGES.json");
    for (; optind < argc; optind++)
        j->source[j->a.n_source++] = argv[optind];
    return VD_EXIT_OK;
}

static int write_out(struct job *j)
{
    struct vd_sink s;
    int rc = vd_calib_write(&j->made.c, &j->bytes);
    if (rc)
        return vd_report(rc);
    rc = vd_sink_open(&s, j->out);
    if (!rc)
        rc = vd_sink_write(&s, j->bytes.data, j->bytes.size);
    if (!rc)
        rc = vd_sink_commit(&s);
    else
        vd_sink_abort(&s);
    return rc ? vd_report_output(rc) : VD_EXIT_OK;
}

static int run_job(struct job *j)
{
    struct vd_sandbox s = {0};
    if (j->run.sandbox != VD_SANDBOX_OFF) {
        vd_allow_model(&s, &j->run, j->model);
        vd_calibrate_allow(&s, &j->a);
        vd_sandbox_write(&s, j->out);
    }
    int code = vd_confine(&vd_cmd_calibrate, &s, &j->run), rc;
    if (code)
        return code;
    const struct vd_resolve_how how = {.baseline = true, .requantise = true, .registry = j->run.registry, .trusted_keys = j->run.trusted_keys,
                                       .require_pinned = j->run.require_pinned};
    if ((rc = vd_resolve(j->model, &how, &j->file)))
        return vd_report(rc);
    if ((rc = vd_sink_check(j->out, j->force, -1)) || (rc = vd_refuse_model_files(j->out, &j->run, j->model, j->file.fp32_path)))
        return vd_report_output(rc);
    if ((rc = vd_onnx_read(&j->m, j->file.data, j->file.size)))
        return vd_report(vd_context(rc, "%s", j->file.fp32_path));
    if (j->file.sidecar.json) {
        j->a.frames.synthetic_w = j->file.sidecar.row.size_w;
        j->a.frames.synthetic_h = j->file.sidecar.row.size_h;
    }
    if ((code = vd_calibrate(&j->m, j->file.sha256, &j->a, &j->run, NULL, NULL, &j->made)) || (code = write_out(j)))
        return code;
    if (!j->a.quiet && strcmp(j->out, "-"))
        printf("%s: %zu bytes; %llu frame%s of %d source%s, %d activation%s%s\n", j->out, j->bytes.size, (unsigned long long)j->made.c.frames,
               vd_s((long long)j->made.c.frames), j->made.c.n_source, vd_s(j->made.c.n_source), j->made.c.n_tensor, vd_s(j->made.c.n_tensor),
               j->made.c.n_group ? ", equalised" : "");
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
    vd_calibrated_free(&j->made);
    vd_free(j->bytes.data);
    vd_onnx_free(&j->m);
    vd_resolved_free(&j->file);
    vd_free(j);
    return code;
}

const struct vd_cmd vd_cmd_calibrate = {"calibrate", "what a model's activations are on clips, for quantize static", help, run};
