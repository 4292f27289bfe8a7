/* SPDX-License-Identifier: BSD-2-Clause */
#include "gate/gate.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/status.h"
#include "gate/bound.h"

/* What holds where quant_gate says nothing; docs/formats.md has this table. */
static const double slope_error = 0.05, srocc_drop = 0.05;
static const double filter_offset = 1 / 255.0, filter_psnr = 35, filter_ssim = 0.95, filter_gain_loss = 0.1, filter_gain_loss_worst = 0.5;
static const double other_offset = 0.25;                      /* of the standard deviation of fp32's */
static const double score_error = 0.02, score_error_worst = 0.05; /* of the width of the sidecar's output.range */

static void set_limit(struct vd_gate_limits *l, enum vd_limit i, double v)
{
    l->limit[i] = v;
    l->has[i] = true;
}

void vd_gate_limits(struct vd_gate_limits *l, const struct vd_row *row, const struct vd_row *sidecar, bool filter)
{
    *l = (struct vd_gate_limits){{0}, {0}, {0}};
    set_limit(l, VD_LIMIT_SLOPE, slope_error);
    set_limit(l, VD_LIMIT_SROCC_DROP, srocc_drop);
    if (filter) {
        set_limit(l, VD_LIMIT_OFFSET, filter_offset);
        set_limit(l, VD_LIMIT_PSNR, filter_psnr);
        set_limit(l, VD_LIMIT_SSIM, filter_ssim);
        set_limit(l, VD_LIMIT_GAIN_LOSS, filter_gain_loss);
        set_limit(l, VD_LIMIT_GAIN_LOSS_WORST, filter_gain_loss_worst);
    } else if (sidecar && sidecar->output_hi > sidecar->output_lo) {
        const double width = sidecar->output_hi - sidecar->output_lo;
        set_limit(l, VD_LIMIT_SCORE_ERROR, score_error * width);
        set_limit(l, VD_LIMIT_SCORE_ERROR_WORST, score_error_worst * width);
    }
    for (int i = 0; row && i < VD_N_LIMITS; i++)
        if (row->has_limit[i]) {
            set_limit(l, (enum vd_limit)i, row->limit[i]);
            l->from[i] = VD_LIMIT_REGISTRY;
        }
}

const char *vd_verdict_name(enum vd_verdict v)
{
    return v == VD_PASS ? "PASS" : v == VD_FAIL ? "FAIL" : "INSUFFICIENT";
}

char *vd_frame_name(char dst[VD_FRAME_NAME], const struct vd_set *s, int i)
{
    const int64_t n = i >= 0 && i < s->n ? s->number[i] : i;
    if (s->kind == VD_SET_PICTURES)
        snprintf(dst, VD_FRAME_NAME, "picture %lld (%s)", (long long)n, vd_picture_name((int)(n % VD_PICTURES)));
    else
        snprintf(dst, VD_FRAME_NAME, "%s %lld", s->kind == VD_SET_NOISE ? "sample" : "frame", (long long)n);
    return dst;
}

/* --- the list */

static struct vd_rule *add(struct vd_gate_result *r, int *rc, const struct vd_rule *rule)
{
    static struct vd_rule nowhere;
    enum { STEP = 64 };
    if (*rc)
        return &nowhere;
    if (r->n_rule % STEP == 0) {
        struct vd_rule *more = vd_arena_array(&r->arena, (size_t)r->n_rule + STEP, sizeof(*more));
        if (!more) {
            *rc = vd_nomem((size_t)(r->n_rule + STEP) * sizeof(*more));
            return &nowhere;
        }
        if (r->n_rule)
            memcpy(more, r->rule, (size_t)r->n_rule * sizeof(*more));
        r->rule = more;
    }
    struct vd_rule *at = &r->rule[r->n_rule++];
    *at = *rule;
    at->why = "";
    return at;
}

static void decide(struct vd_gate_result *r, int *rc, struct vd_rule *rule, enum vd_verdict v, const char *fmt, ...) VD_PRINTF(5, 6);
static void decide(struct vd_gate_result *r, int *rc, struct vd_rule *rule, enum vd_verdict v, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    rule->verdict = v;
    const char *kept = *rc ? "" : vd_arena_str(&r->arena, text, strlen(text));
    if (!kept)
        *rc = vd_nomem(strlen(text));
    rule->why = kept ? kept : "";
    if (v > r->verdict) { /* the first reason of the worst kind is the one to act on */
        r->verdict = v;
        snprintf(r->why, sizeof r->why, "%.255s", text);
    }
}

int vd_gate_note(struct vd_gate_result *r, const char *key, int set, int frame, const char *why)
{
    int rc = 0;
    const struct vd_rule rule = {.key = key, .set = set, .output = -1, .value = NAN, .upper = NAN, .limit = NAN, .frame = frame};
    struct vd_rule *at = add(r, &rc, &rule);
    decide(r, &rc, at, VD_FAIL, "%s", why);
    return rc;
}

/* --- one output of one set */

struct judge {
    struct vd_gate_result *r;
    const struct vd_gate_limits *l;
    const struct vd_set *s;
    const struct vd_cell *c;
    int set, output;
    char which[300]; /* " 'name'" where there are several outputs, else "" */
    int rc;
};

/* value against the limit: at most it, or at least it. what: "%s of %.4f on %s". */
static void against(struct judge *j, enum vd_limit key, double value, bool at_least, int frame, const char *what, const char *unit)
{
    if (!j->l->has[key] || isnan(value))
        return;
    const double limit = j->l->limit[key];
    const struct vd_rule rule = {.key = vd_limit_key(key), .set = j->set, .output = j->output, .value = value, .upper = NAN, .limit = limit,
                                 .from = j->l->from[key], .frame = frame};
    struct vd_rule *at = add(j->r, &j->rc, &rule);
    if (at_least ? value >= limit : value <= limit)
        return;
    char name[VD_FRAME_NAME] = "", where[VD_FRAME_NAME + 8] = "";
    if (frame >= 0)
        snprintf(where, sizeof where, ", %s", vd_frame_name(name, j->s, frame));
    decide(j->r, &j->rc, at, VD_FAIL, "%s%s of %.6g%s on %s%s is %s %s of %.6g%s", what, j->which, value, unit, j->s->name, where,
           at_least ? "under" : "over", vd_limit_key(key), limit, unit);
}

/* False: there are no figures to judge. */
static bool sound(struct judge *j)
{
    const struct vd_cell *c = j->c;
    const bool fp32_bad = c->all.nonfinite_a, constant_a = !(c->all.m2_a > 0), constant_b = !(c->all.m2_b > 0);
    struct vd_rule rule = {.key = "finite", .set = j->set, .output = j->output, .value = NAN, .upper = NAN, .limit = NAN, .frame = c->bad};
    char name[VD_FRAME_NAME];
    struct vd_rule *at = add(j->r, &j->rc, &rule);
    if (c->bad >= 0) {
        decide(j->r, &j->rc, at, VD_FAIL, "the %s output%s is not finite on %s: first in %s", fp32_bad ? "fp32" : "int8", j->which, j->s->name,
               vd_frame_name(name, j->s, c->bad));
        return false;
    }
    rule.key = "constant";
    rule.frame = -1;
    at = add(j->r, &j->rc, &rule);
    if (!constant_a && !constant_b)
        return true;
    if (constant_a && constant_b && c->all.worst_abs <= 0 && j->r->n_out > 1)
        return false; /* one of several, and the same number everywhere: nothing to hold against anything */
    decide(j->r, &j->rc, at, VD_FAIL, "the %s output%s is constant on %s%s", constant_a ? "fp32" : "int8", j->which, j->s->name,
           c->all.n == 1 ? ", which is a single number" : "");
    return false;
}

static const char record_name[] = "the record's samples";

static const char *how_more(const struct vd_set *s) { return s->kind == VD_SET_SOURCE ? "--frames N" : "--samples N"; }

/* The distance from drop to bound falls with the root of the number of samples, so that about n ((bound - drop) / (budget - drop))^2 decide. */
static const char *how_many(char *dst, size_t size, int n, double value, double upper, double budget)
{
    enum { FAR = 50, BEGIN = 10, NEAR = 20 }; /* times as many: so far a guess from n does not reach; what to begin with then; drops of 1 - 1/NEAR of a budget are next to it */
    const double wanted = ceil(n * pow((upper - value) / (budget - value), 2));
    if (wanted <= (double)FAR * n)
        snprintf(dst, size, ": about %.0f, by the spread of these", fmax(wanted, n + 1));
    else
        snprintf(dst, size, ": %s; begin with %d", value > budget * (1 - 1.0 / NEAR) ? "the drop of these is next to the budget" : "these are too few to say how many",
                 BEGIN * n);
    return dst;
}

static void drop(struct judge *j, double value, double upper, int frame)
{
    const double budget = j->r->budget;
    const struct vd_rule rule = {.key = "quant_accuracy_budget_plcc", .set = j->set, .output = j->output, .value = value, .upper = upper,
                                 .limit = budget, .from = (int)j->r->budget_from, .frame = frame};
    struct vd_rule *at = add(j->r, &j->rc, &rule);
    char name[VD_FRAME_NAME];
    if (!(value <= budget)) {
        if (j->s->kind == VD_SET_NOISE)
            decide(j->r, &j->rc, at, VD_FAIL, "a drop%s of %.6f on %s is over the budget of %.4f", j->which, value,
                   j->output < 0 ? record_name : j->s->name, budget);
        else
            decide(j->r, &j->rc, at, VD_FAIL, "a drop%s of %.6f on %s is over the budget of %.4f; worst is %s", j->which, value, j->s->name,
                   budget, vd_frame_name(name, j->s, frame));
    } else if (j->output >= 0 && isnan(upper)) {
        decide(j->r, &j->rc, at, VD_INSUFFICIENT, "a drop%s of %.6f on %s: %d sample%s cannot bound it; %d are the least, and %d a good number: measure more "
               "(%s)", j->which, value, j->s->name, j->s->n, vd_s(j->s->n), VD_BOUND_LEAST, VD_PICTURES, how_more(j->s));
    } else if (upper > budget) {
        char some[96];
        decide(j->r, &j->rc, at, VD_INSUFFICIENT, "a drop%s of %.6f on %s is inside the budget of %.4f, but its 95 %% bound of %.6f is not: %d "
               "samples cannot decide; measure more (%s)%s", j->which, value, j->s->name, budget, upper, j->s->n, how_more(j->s),
               how_many(some, sizeof some, j->s->n, value, upper, budget));
    }
}

static void judge_output(struct judge *j)
{
    const struct vd_cell *c = j->c;
    if (!sound(j))
        return;
    drop(j, c->drop, c->upper, c->worst);
    if (!j->s->realistic)
        return;
    struct vd_gate_limits l = *j->l;
    if (!l.has[VD_LIMIT_OFFSET])
        set_limit(&l, VD_LIMIT_OFFSET, other_offset * sqrt(c->all.m2_a / (double)c->all.n));
    j->l = &l;
    char what[64];
    snprintf(what, sizeof what, "a slope of %.4f, an error", c->slope);
    against(j, VD_LIMIT_SLOPE, fabs(c->slope - 1), false, -1, what, "");
    snprintf(what, sizeof what, "an offset of %+.4g, an error", c->offset);
    against(j, VD_LIMIT_OFFSET, fabs(c->offset), false, -1, what, "");
    against(j, VD_LIMIT_SROCC_DROP, 1 - c->srocc, false, -1, "a drop of SROCC", "");
    against(j, VD_LIMIT_RMSE, c->rmse, false, c->worst, "an RMSE", "");
    against(j, VD_LIMIT_ABS_ERROR, c->all.worst_abs, false, c->abs_frame, "a difference", "");
    if (c->picture) {
        if (j->r->is_filter && c->added.m2_a > 0 && !(c->added.m2_b > 0)) {
            const struct vd_rule rule = {.key = "adds_nothing", .set = j->set, .output = j->output, .value = NAN, .upper = NAN, .limit = NAN, .frame = -1};
            struct vd_rule *at = add(j->r, &j->rc, &rule);
            decide(j->r, &j->rc, at, VD_FAIL, "the int8 file adds nothing to %s, the fp32 file does", j->s->name);
        }
        against(j, VD_LIMIT_PSNR, c->psnr_least, true, c->psnr_frame, "a PSNR of int8 to fp32", " dB");
        against(j, VD_LIMIT_SSIM, c->ssim_least, true, c->ssim_frame, "an SSIM of int8 to fp32", "");
        against(j, VD_LIMIT_GAIN_LOSS, c->gain_loss, false, -1, "a loss of gain", " dB");
        against(j, VD_LIMIT_GAIN_LOSS_WORST, c->gain_loss_worst, false, c->gain_frame, "a loss of gain", " dB");
    } else {
        against(j, VD_LIMIT_SCORE_ERROR, c->mean_abs, false, -1, "a mean error", "");
        against(j, VD_LIMIT_SCORE_ERROR_WORST, c->all.worst_abs, false, c->abs_frame, "an error", "");
    }
}

/* The record's rule: all outputs of its samples, one after the other. */
static void judge_record(struct judge *j, const struct vd_compare *record)
{
    const struct vd_rule rule = {.key = record->nonfinite_a || record->nonfinite_b ? "finite" : "constant", .set = 0, .output = -1, .value = NAN,
                                 .upper = NAN, .limit = NAN, .frame = -1};
    const bool bad = record->nonfinite_a || record->nonfinite_b;
    if (!bad && record->m2_a > 0 && record->m2_b > 0) {
        drop(j, j->r->drop, NAN, -1);
        return;
    }
    struct vd_rule *at = add(j->r, &j->rc, &rule);
    if (bad)
        decide(j->r, &j->rc, at, VD_FAIL, "the %s output is not finite on %s", record->nonfinite_a ? "fp32" : "int8", record_name);
    else
        decide(j->r, &j->rc, at, VD_FAIL, "the %s output is constant on %s", record->m2_a > 0 ? "int8" : "fp32", record_name);
}

int vd_gate_judge(struct vd_gate_result *r, const struct vd_gate_limits *l, const struct vd_compare *record)
{
    int rc = 0;
    const struct vd_set *noise = &r->set[0];
    if (!noise->cell || noise->n != VD_RECORD_SAMPLES || r->n_out > 1) { /* else its one output says it below, with a bound */
        struct judge j = {.r = r, .l = l, .s = noise, .set = 0, .output = -1};
        judge_record(&j, record);
        rc = j.rc;
    }
    for (int s = 0; !rc && s < r->n_set; s++)
        for (size_t i = 0; !rc && r->set[s].cell && i < r->n_out; i++) {
            struct judge j = {.r = r, .l = l, .s = &r->set[s], .c = &r->set[s].cell[i], .set = s, .output = (int)i};
            if (r->n_out > 1)
                snprintf(j.which, sizeof j.which, " '%.250s'", j.c->output);
            if (j.s->n)
                judge_output(&j);
            rc = j.rc;
        }
    return rc;
}
