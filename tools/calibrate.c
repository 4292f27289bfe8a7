/* SPDX-License-Identifier: BSD-2-Clause */
#include "calibrate.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"
#include "io/stream.h"
#include "quant/observe.h"
#include "quant/static.h"

int vd_calibrate_option(const struct vd_cmd *c, int opt, const char *arg, struct vd_calibrate_args *a)
{
    long n;
    switch (opt) {
    case VD_OPT_FRAMES:
        if (!vd_parse_int(arg, 1, 1 << 20, &a->frames.frames)) {
            vd_usage(c, "--frames %s: give a number from 1 to %d", arg, 1 << 20);
            return -1;
        }
        return 1;
    case VD_OPT_SEED:
        if (!vd_parse_int(arg, 0, LONG_MAX, &n)) {
            vd_usage(c, "--seed %s: give a number from 0", arg);
            return -1;
        }
        a->frames.seed = (uint64_t)n;
        return 1;
    case VD_OPT_SIZE:
        if (!vd_parse_size(arg, &a->frames.w, &a->frames.h)) {
            vd_usage(c, "--size %s: WIDTHxHEIGHT, as in 1280x720", arg);
            return -1;
        }
        return 1;
    case VD_OPT_PIX_FMT: a->frames.pix_fmt = arg; return 1;
    case VD_OPT_EQUALIZE:
        a->equalize = !strcmp(arg, "on");
        a->equalize_set = true;
        if (!a->equalize && strcmp(arg, "off")) {
            vd_usage(c, "--equalize %s: on or off", arg);
            return -1;
        }
        return 1;
    default: return 0;
    }
}

static bool is_json(const char *path)
{
    const size_t n = strlen(path);
    return n > 5 && !strcmp(path + n - 5, ".json");
}

void vd_calibrate_allow(struct vd_sandbox *s, const struct vd_calibrate_args *a)
{
    for (int i = 0; i < a->n_source; i++)
        if (strcmp(a->source[i], "-") && strcmp(a->source[i], "synthetic"))
            vd_sandbox_read(s, a->source[i]);
}

struct run {
    struct vd_observer *o;
    vd_frame_fn *also;
    void *also_arg;
    struct vd_progress progress;
    long done;
    bool of_model; /* what went wrong is the model's, and not a source's */
};

static int one_frame(void *arg, const struct vd_tensor *in, bool pictures)
{
    struct run *r = arg;
    int rc = vd_observer_run(r->o, in, pictures);
    if (!rc && r->also)
        rc = r->also(r->also_arg, in, pictures);
    r->of_model = rc;
    vd_progress_step(&r->progress, ++r->done);
    return rc;
}

static int read_json(struct vd_calibrated *out, const char *path, const char *sha256, bool *first)
{
    struct vd_calibration c;
    uint8_t *data;
    size_t size;
    int rc = vd_file_read(path, VD_CALIB_MAX_FILE, &data, &size);
    if (rc)
        return rc;
    rc = vd_calib_read(&c, data, size, path);
    vd_free(data);
    if (rc)
        return rc;
    if (strcmp(c.model_sha256, sha256)) {
        rc = vd_fail(EINVAL, "%s: is of another model (sha256 %.16s..., and this one's is %.16s...): calibrate this one", path, c.model_sha256, sha256);
        vd_calibration_free(&c);
        return rc;
    }
    if (*first) {
        out->c = c;
        *first = false;
        return 0;
    }
    rc = vd_calib_merge(&out->c, &c);
    if (rc)
        rc = vd_context(rc, "%s", path);
    vd_calibration_free(&c);
    return rc;
}

/* The equalised model, with the groups that c has, or that the synthetic pictures give. */
static int equalise(const struct vd_onnx_model *m, const struct vd_calibrate_args *a, bool from_file, struct vd_calibrated *out)
{
    struct vd_calibration *c = &out->c;
    int rc = 0;
    if (!from_file && a->equalize) {
        struct vd_frames_opts o = {.synthetic_w = a->frames.synthetic_w, .synthetic_h = a->frames.synthetic_h};
        struct vd_frames_done done;
        struct run r = {0};
        rc = vd_observer_open(&r.o, m, c, out->kernels, out->workers);
        if (!rc)
            rc = vd_frames_read("synthetic", m, &o, one_frame, &r, &done);
        vd_observer_close(r.o);
        if (rc == -ENOTSUP && !a->equalize_set) { /* not a model of pictures: there is nothing to equalise by */
            vd_reason_clear();
            rc = 0;
        } else if (!rc) {
            vd_calib_trim(c);
            rc = vd_equalize(m, c);
        }
        c->tensor = NULL;
        c->n_tensor = 0;
        c->frames = 0;
    }
    if (rc || !c->n_group)
        return rc;
    rc = vd_equalized(m, c, &out->equalised);
    if (!rc)
        out->model = &out->equalised;
    return rc;
}

/* 0, or the exit code after a message. */
static int observe(const struct vd_calibrate_args *a, struct vd_calibrated *out, struct vd_calibration *into, vd_frame_fn *also, void *also_arg)
{
    struct run r = {.also = also, .also_arg = also_arg};
    int rc = vd_observer_open(&r.o, out->model, into, out->kernels, out->workers);
    r.of_model = rc;
    vd_progress_start(&r.progress, "calibrate: frame", 0);
    if (a->quiet)
        r.progress.on = false;
    for (int i = 0; i < a->n_source && !rc; i++) {
        struct vd_frames_done done;
        if (is_json(a->source[i]))
            continue;
        const char *slash = strrchr(a->source[i], '/'), *name = slash ? slash + 1 : a->source[i];
        rc = vd_frames_read(a->source[i], out->model, &a->frames, one_frame, &r, &done);
        if (!rc)
            rc = vd_calib_add_source(into, strcmp(name, "-") ? name : "standard input", done.sha256, done.frames);
    }
    vd_progress_end(&r.progress);
    vd_observer_close(r.o);
    vd_calib_trim(into);
    return r.of_model ? vd_report(rc) : vd_report_clip(rc);
}

int vd_calibrate(const struct vd_onnx_model *m, const char *sha256, const struct vd_calibrate_args *a,
                 const struct vd_run_opts *run, vd_frame_fn *also, void *also_arg, struct vd_calibrated *out)
{
    bool clips = false, first = true;
    *out = (struct vd_calibrated){.model = m};
    int rc = vd_kernels_get(run->kernels, &out->kernels);
    vd_signals_hold();
    if (!rc)
        rc = vd_workers_create(run->threads, &out->workers);
    vd_signals_release();
    for (int i = 0; i < a->n_source && !rc; i++) {
        if (is_json(a->source[i]))
            rc = read_json(out, a->source[i], sha256, &first);
        else
            clips = true;
    }
    if (rc)
        return vd_report_clip(rc);
    if (!first && a->equalize_set && a->equalize != (out->c.n_group > 0))
        return vd_report(vd_fail(EINVAL, "the calibration was made with%s equalisation: make it again with --equalize %s, or leave the option out",
                                 a->equalize ? "out" : "", a->equalize ? "on" : "off"));
    memcpy(out->c.model_sha256, sha256, sizeof(out->c.model_sha256));
    if ((rc = equalise(m, a, !first, out)))
        return vd_report(rc);
    if (!clips)
        return VD_EXIT_OK;
    if (first)
        return observe(a, out, &out->c, also, also_arg);
    struct vd_calibration more = {.group = out->c.group, .n_group = out->c.n_group};
    memcpy(more.model_sha256, sha256, sizeof(more.model_sha256));
    const int code = observe(a, out, &more, also, also_arg);
    if (!code)
        rc = vd_calib_merge(&out->c, &more);
    vd_calibration_free(&more);
    return code ? code : vd_report_clip(rc);
}

void vd_calibrated_free(struct vd_calibrated *c)
{
    if (c->model == &c->equalised)
        vd_onnx_free(&c->equalised);
    vd_calibration_free(&c->c);
    vd_workers_free(c->workers);
    *c = (struct vd_calibrated){0};
}
