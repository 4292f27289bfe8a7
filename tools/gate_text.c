/* SPDX-License-Identifier: BSD-2-Clause */
#include "gate_report.h"

#include <math.h>

#include "cmd.h"
#include "common/status.h"
#include "gate/bound.h"

enum { MOST_REASONS = 12 };

static void print_filter(FILE *f, const struct vd_set *s, const struct vd_cell *c)
{
    char name[VD_FRAME_NAME], x[2][VD_FIGURE];
    fprintf(f, "         int8 to fp32: PSNR=%s dB (least %s, %s)", vd_figure(x[0], 2, c->psnr), vd_figure(x[1], 2, c->psnr_least), vd_frame_name(name, s, c->psnr_frame));
    if (!isnan(c->ssim))
        fprintf(f, " SSIM=%.5f (least %.5f, %s)", c->ssim, c->ssim_least, vd_frame_name(name, s, c->ssim_frame));
    fprintf(f, "\n         what it adds: PLCC=%s", vd_figure(x[0], 4, vd_compare_plcc(&c->added)));
    if (c->n_gain)
        fprintf(f, "; PSNR gain fp32=%+.3f dB int8=%+.3f dB (%+.3f dB; worst %+.3f, %s)", c->gain[0], c->gain[1], -c->gain_loss,
               -c->gain_loss_worst, vd_frame_name(name, s, c->gain_frame));
    fputc('\n', f);
}

static void print_cell(FILE *f, const struct vd_gate_result *r, const struct vd_set *s, const struct vd_cell *c)
{
    char name[VD_FRAME_NAME], x[3][VD_FIGURE];
    if (s->kind == VD_SET_SOURCE)
        fprintf(f, "       %d of %s", s->n, s->name);
    else
        fprintf(f, "       %d %s", s->n, s->kind == VD_SET_NOISE ? "noise" : s->name);
    if (r->n_out > 1)
        fprintf(f, ", output %s", c->output);
    fprintf(f, ": PLCC=%s drop=%s bound=%s", vd_figure(x[0], 6, c->plcc), vd_figure(x[1], 6, c->drop), vd_figure(x[2], 6, c->upper));
    if (c->n < VD_BOUND_LEAST)
        fprintf(f, " (INSUFFICIENT: %d sample%s, and %d are the least)", c->n, vd_s(c->n), VD_BOUND_LEAST);
    fprintf(f, " worst_abs=%.4f\n         SROCC=%s RMSE=%s slope=%s", c->all.worst_abs, vd_figure(x[0], 6, c->srocc), vd_figure(x[1], 6, c->rmse),
            vd_figure(x[2], 4, c->slope));
    fprintf(f, " offset=%s%s; worst is %s\n", isnan(c->offset) || signbit(c->offset) ? "" : "+", vd_figure(x[0], 6, c->offset), vd_frame_name(name, s, c->worst));
    if (c->picture)
        print_filter(f, s, c);
    else if (s->realistic)
        fprintf(f, "         error: mean %s, most %.6f (%s)\n", vd_figure(x[0], 6, c->mean_abs), c->all.worst_abs, vd_frame_name(name, s, c->abs_frame));
}

static void print_reasons(FILE *f, const struct vd_gate_result *r)
{
    int said = 0;
    for (int v = VD_FAIL; v > VD_PASS; v--)
        for (int i = 0; i < r->n_rule; i++) {
            if ((int)r->rule[i].verdict != v)
                continue;
            if (said++ < MOST_REASONS)
                fprintf(f, "       %s\n", r->rule[i].why);
        }
    if (said > MOST_REASONS)
        fprintf(f, "       and %d reason%s more; --json FILE has them all\n", said - MOST_REASONS, vd_s(said - MOST_REASONS));
}

void vd_gate_print(FILE *f, const struct vd_gate_result *r, bool compat)
{
    static const char *const from[] = {[VD_BUDGET_DEFAULT] = " (default budget)", [VD_BUDGET_REGISTRY] = "", [VD_BUDGET_GIVEN] = " (given budget)"};
    char x[2][VD_FIGURE];

    if (r->skipped) {
        fprintf(f, "[skip] %s — quant_mode=fp32, no quantised model to gate\n", r->id);
        return;
    }
    fprintf(f, "[%s] %-19s mode=%s PLCC=%s drop=%s budget=%.4f worst_abs=%.4f", vd_verdict_name(r->verdict), r->id, r->mode,
            isnan(r->plcc) && compat ? "nan" : vd_figure(x[0], 6, r->plcc), isnan(r->drop) && compat ? "nan" : vd_figure(x[1], 6, r->drop), r->budget, r->worst_abs);
    if (compat) {
        fputc('\n', f);
        return;
    }
    fprintf(f, "%s%s\n", from[r->budget_from], r->pinned ? "" : " (UNPINNED: no registry row or sidecar)");
    for (int i = 0; i < r->n_set; i++)
        for (size_t k = 0; r->set[i].n && k < r->n_out; k++)
            print_cell(f, r, &r->set[i], &r->set[i].cell[k]);
    if (!r->all_int8)
        fprintf(f, "       not every convolution and matrix product of the int8 file runs in integers\n");
    print_reasons(f, r);
}

static void decibels(FILE *f, bool has, double v)
{
    if (!has || isnan(v))
        fprintf(f, "  %9s", "-");
    else if (isinf(v))
        fprintf(f, "  %9s", "exact");
    else
        fprintf(f, "  %6.2f dB", v);
}

static void print_layers(FILE *f, const struct vd_explain *e, int most)
{
    fprintf(f, "       layers, dearest first: drop of the output when the layer alone is int8, SQNR of the layer alone, SQNR as it runs\n");
    for (int i = 0; i < e->n_cost && i < most; i++) {
        const struct vd_cost *c = &e->cost[e->order[i]];
        const double drop = vd_cost_drop(c);
        if (isfinite(drop))
            fprintf(f, "         %9.6f", drop);
        else
            fprintf(f, "         %9s", isnan(drop) ? "-" : c->effect.nonfinite_b ? "not fin." : "constant");
        decibels(f, c->has_alone, vd_sqnr(&c->alone));
        decibels(f, c->has_cumulative, vd_sqnr(&c->cumulative));
        fprintf(f, "  %s (%s)%s%s\n", c->layer->name, c->layer->op, c->why ? ": " : "", c->why ? c->why : "");
    }
    if (e->n_cost > most)
        fprintf(f, "         and %d more; --explain has them all\n", e->n_cost - most);
}

static void print_activations(FILE *f, const struct vd_explain *e)
{
    fprintf(f, "       activations: values of fp32, the range that they are rounded in, and how many lie outside; of noise\n");
    for (int i = 0; i < e->n_range; i++) {
        const struct vd_range *r = &e->range[i];
        fprintf(f, "         %10.4g to %-10.4g", r->lo, r->hi);
        if (r->rounded->dynamic)
            fprintf(f, "  %-24s %9s %9s", "their own", "0 %", "0 %");
        else
            fprintf(f, "  %10.4g to %-10.4g %7.3f %% %7.3f %%", r->rounded->lo, r->rounded->hi, r->n ? 100 * (double)r->outside / (double)r->n : 0,
                    r->noise_n ? 100 * (double)r->noise_outside / (double)r->noise_n : 0);
        fprintf(f, "  %s\n", r->rounded->fp32);
    }
}

void vd_explain_print(FILE *f, const struct vd_explain *e, int most, bool all)
{
    if (all)
        fprintf(f, "       explained on %d sample%s:\n", e->n_sample, vd_s(e->n_sample));
    print_layers(f, e, most);
    if (all)
        print_activations(f, e);
}
