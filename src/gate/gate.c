/* SPDX-License-Identifier: BSD-2-Clause */
#include "gate/gate.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/random.h"
#include "common/status.h"
#include "gate/pair.h"

/* Where neither registry nor sidecar say it; the schema's default, and the size that the record's models have. */
static const double default_budget = 0.01;
enum { DEFAULT_SIZE = 224, SMALLEST_PICTURE = 16 };
enum { JPEG_QUALITY = 35 };
static const double blur_sigma = 1.2;

static void fail(struct vd_gate_result *r, const char *fmt, ...) VD_PRINTF(2, 3);
static void fail(struct vd_gate_result *r, const char *fmt, ...)
{
    va_list ap;
    r->pass = false;
    if (r->why[0]) /* the first reason is the one to act on */
        return;
    va_start(ap, fmt);
    vsnprintf(r->why, sizeof(r->why), fmt, ap);
    va_end(ap);
}

static void judge(struct vd_gate_result *r, const struct vd_compare *c, const char *set)
{
    const double drop = 1 - vd_compare_plcc(c);
    if (c->nonfinite_a || c->nonfinite_b)
        fail(r, "the %s output is not finite on %s", c->nonfinite_a ? "fp32" : "int8", set);
    else if (!(c->m2_a > 0) || !(c->m2_b > 0))
        fail(r, "the %s output is constant on %s", c->m2_a > 0 ? "int8" : "fp32", set);
    else if (!(drop <= r->budget))
        fail(r, "a drop of %.6f on %s is over the budget of %.4f", drop, set, r->budget);
}

/* The record's samples: numpy.random.default_rng(0).random(shape, dtype=float32), one after the other. */
static int record_samples(struct vd_pair *p, struct vd_gate_result *r)
{
    struct vd_compare c = {0};
    struct vd_rng rng;
    vd_rng_seed(&rng, 0);
    for (int k = 0; k < VD_RECORD_SAMPLES; k++) {
        for (size_t i = 0; i < p->n_in; i++)
            for (size_t j = 0; j < p->in[i].count; j++)
                p->sample[i][j] = vd_rng_f32(&rng);
        const int rc = vd_pair_run(p);
        if (rc)
            return rc;
        vd_compare_add(&c, p->result[VD_FP32], p->result[VD_INT8], p->n_result);
    }
    r->plcc = vd_compare_plcc(&c);
    r->drop = 1 - r->plcc;
    r->worst_abs = c.worst_abs;
    r->rmse = vd_compare_rmse(&c);
    judge(r, &c, "the record's samples");
    return 0;
}

/* What one picture adds for a filter: what is added to it, and how much nearer to clean it comes. */
struct filter_sums {
    struct vd_compare residue;
    double gain[2];
    int n;
};

static void add_filter(struct filter_sums *f, struct vd_pair *p, const float *clean)
{
    const float *in = p->sample[0];
    const size_t n = p->n_result;
    const double before = vd_psnr(in, clean, n);
    double gain[2];
    for (int side = 0; side < 2; side++) {
        float *out = p->result[side];
        gain[side] = vd_psnr(out, clean, n) - before;
        for (size_t i = 0; i < n; i++)
            out[i] -= in[i];
    }
    vd_compare_add(&f->residue, p->result[VD_FP32], p->result[VD_INT8], n);
    if (isfinite(gain[VD_FP32]) && isfinite(gain[VD_INT8])) { /* a picture that was not damaged has nothing to gain */
        f->gain[VD_FP32] += gain[VD_FP32];
        f->gain[VD_INT8] += gain[VD_INT8];
        f->n++;
    }
}

/* clean and scratch: w * h each */
static int pictures(struct vd_pair *p, struct vd_gate_result *r, int w, int h, float *clean, float *scratch)
{
    struct vd_compare c = {0};
    struct filter_sums f = {0};
    float *in = p->sample[0];
    for (int k = 0; k < VD_PICTURES; k++) {
        vd_picture(clean, w, h, k);
        if (r->is_filter || k % 2) { /* a score sees both kinds, a filter the kind that it is for */
            vd_blur(in, clean, w, h, blur_sigma, scratch); /* scratch is the half-done one, then JPEG's source */
            memcpy(scratch, in, (size_t)w * (size_t)h * sizeof(*scratch));
            vd_jpeg_loss(in, scratch, w, h, JPEG_QUALITY);
        } else {
            memcpy(in, clean, (size_t)w * (size_t)h * sizeof(*in));
        }
        const int rc = vd_pair_run(p);
        if (rc)
            return rc;
        vd_compare_add(&c, p->result[VD_FP32], p->result[VD_INT8], p->n_result);
        if (r->is_filter)
            add_filter(&f, p, clean);
    }
    r->pictures = VD_PICTURES;
    r->real_plcc = vd_compare_plcc(&c);
    r->real_drop = 1 - r->real_plcc;
    r->real_worst_abs = c.worst_abs;
    r->real_rmse = vd_compare_rmse(&c);
    judge(r, &c, "pictures");
    if (r->is_filter) {
        r->residue_plcc = vd_compare_plcc(&f.residue);
        r->gain_fp32 = f.n ? f.gain[VD_FP32] / f.n : NAN;
        r->gain_int8 = f.n ? f.gain[VD_INT8] / f.n : NAN;
        if (f.residue.m2_a > 0 && !(f.residue.m2_b > 0))
            fail(r, "the int8 file adds nothing to pictures, the fp32 file does");
    }
    return 0;
}

static int realistic(struct vd_pair *p, struct vd_gate_result *r, const char *kind)
{
    int w, h, rc = 0;
    const bool picture = vd_pair_gives_picture(p);
    r->is_filter = kind ? !strcmp(kind, "filter") : picture;
    if (r->is_filter && !picture)
        return vd_fail(EBADMSG, "%s is of kind filter, but has not one output of the shape of one input", r->id);
    if (!vd_pair_takes_picture(p, &w, &h) || w < SMALLEST_PICTURE || h < SMALLEST_PICTURE)
        return 0;
    float *clean = vd_calloc((size_t)w * (size_t)h, sizeof(*clean)), *scratch = vd_calloc((size_t)w * (size_t)h, sizeof(*scratch));
    rc = clean && scratch ? pictures(p, r, w, h, clean, scratch) : vd_nomem((unsigned long long)w * (unsigned)h * sizeof(*clean));
    vd_free(clean);
    vd_free(scratch);
    return rc;
}

static const struct vd_row *say(const struct vd_resolved *file)
{
    return file->row ? file->row : file->sidecar.json ? &file->sidecar.row : NULL;
}

static int gate(const char *path_or_id, const struct vd_resolved *file, const struct vd_gate_opts *o, struct vd_gate_result *r)
{
    const struct vd_row *row = say(file);
    snprintf(r->id, sizeof(r->id), "%s", file->id);
    r->mode = vd_quant_mode_name(file->declared);
    if (row && file->declared == VD_QUANT_FP32) {
        r->skipped = true;
        return 0;
    }
    if (!row && !vd_file_is_regular(file->int8_path))
        return vd_fail(ENOENT, "%s: no registry row or sidecar and no %s: there is nothing to compare it with; quantise it first",
                       file->fp32_path, file->int8_path);
    r->budget_from = o->budget >= 0 ? VD_BUDGET_GIVEN : row && row->has_budget ? VD_BUDGET_REGISTRY : VD_BUDGET_DEFAULT;
    r->budget = o->budget >= 0 ? o->budget : row && row->has_budget ? row->budget : default_budget;

    const struct vd_row *side = file->sidecar.json ? &file->sidecar.row : NULL;
    const bool sized = side && side->size_w > 0 && side->size_h > 0;
    const struct vd_pair_how how = {.threads = o->threads, .kernels = o->kernels, .registry = o->registry,
                                    .trusted_keys = o->trusted_keys, .require_pinned = o->require_pinned,
                                    .w = sized ? side->size_w : DEFAULT_SIZE, .h = sized ? side->size_h : DEFAULT_SIZE};
    struct vd_pair p;
    int rc = vd_pair_open(&p, path_or_id, file, &how);
    if (rc)
        return rc;
    r->pass = true;
    r->pinned = p.pinned;
    r->all_int8 = p.all_int8;
    r->mode = vd_quant_mode_name(p.mode);
    rc = record_samples(&p, r);
    if (!rc && !o->quick)
        rc = realistic(&p, r, row ? row->kind : NULL);
    vd_pair_close(&p);
    return rc;
}

int vd_gate(const char *path_or_id, const struct vd_gate_opts *o, struct vd_gate_result *r)
{
    const struct vd_resolve_how how = {.baseline = true, .registry = o->registry, .trusted_keys = o->trusted_keys,
                                       .require_pinned = o->require_pinned};
    struct vd_resolved *file = vd_calloc(1, sizeof(*file)); /* 12 KiB of paths */
    *r = (struct vd_gate_result){0};
    if (!file)
        return vd_nomem(sizeof(*file));
    int rc = vd_resolve(path_or_id, &how, file);
    if (!rc) {
        rc = gate(path_or_id, file, o, r);
        vd_resolved_free(file);
    }
    vd_free(file);
    if (rc)
        r->pass = false;
    return rc;
}
