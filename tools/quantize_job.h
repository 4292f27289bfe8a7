/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_QUANTIZE_JOB_H
#define VD_QUANTIZE_JOB_H

#include "calibrate.h"
#include "cmd.h"
#include "quant/quant.h"
#include "quant/static.h"
#include "trust/trust.h"

/* One run of 'quantize'. cmd_quantize.c reads the options, opens and writes; static_job.c makes the static form. */

enum { VD_MAX_NAMED = 256 };

struct vd_static_job {
    const char *source[VD_MAX_SOURCES];    /* of the calibration */
    struct vd_calibrate_args calibrate;
    struct vd_static_opts o;
    const char *exclude[VD_MAX_NAMED]; int n_exclude; /* of the dynamic form too */
    const char *two_bytes[VD_MAX_NAMED]; int n_two_bytes;
    bool two_bytes_sums;   /* of every Conv that reads what an Add reads or writes */
    const char *tails[VD_MAX_NAMED]; int n_tails;
    bool form_set;         /* tails, two bytes or sums were asked for, or refused: else tails wherever they have a place */
    bool method_set, percentile_set;
    const char *overrides, *save, *target, *keep_best;
    double budget; /* < 0: none */
    bool effect;   /* the table of equalisation and bias correction */
    /* What came of it. */
    struct vd_calibrated made;
    struct vd_static_override *override;
    struct vd_static_report report;
    bool *fp32, *wide, *tail; /* by node: fp32 of the form's options, o.two_bytes and o.tails */
    char calibration_set[256]; /* of the registry row: a name, and the sha256 of what was seen as a file */
    bool best_only; /* the budget was not met: the result goes to keep_best */
};

struct vd_quantize_job {
    const char *model, *out;
    struct vd_run_opts run; /* registry, trusted keys, sandbox; threads and kernels of the calibration */
    enum vd_quant_mode mode;
    struct vd_quant_opts o;
    struct vd_static_job *st;
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

/* Nodes by their names, or by that of their first output, as one flag for each node, which the caller frees also after an error. -EINVAL: no
 * such node. */
int vd_mark_nodes(const struct vd_onnx_model *m, const char *option, const char *const *name, int n, bool **out);

/* Method, percentile, tails and sums where they were not asked for: with tails in every Conv that can have them, or in bytes alone. */
void vd_static_form(struct vd_static_job *st, bool tails);

/* result, from source: 0, or the exit code after a message. VD_EXIT_NO: nothing meets the budget; st->best_only then says whether
 * there is a result all the same. */
int vd_static_job(const struct vd_cmd *c, struct vd_quantize_job *j);
void vd_static_print(const struct vd_quantize_job *j);
void vd_static_job_free(struct vd_static_job *st);

#endif
