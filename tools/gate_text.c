/* SPDX-License-Identifier: BSD-2-Clause */
#include "gate_report.h"

#include <math.h>
#include <stdio.h>

enum { MOST_REASONS = 12 };

static void print_filter(const struct vd_set *s, const struct vd_cell *c)
{
    char name[VD_FRAME_NAME];
    printf("         int8 to fp32: PSNR=%.2f dB (least %.2f, %s)", c->psnr, c->psnr_least, vd_frame_name(name, s, c->psnr_frame));
    if (!isnan(c->ssim))
        printf(" SSIM=%.5f (least %.5f, %s)", c->ssim, c->ssim_least, vd_frame_name(name, s, c->ssim_frame));
    printf("\n         what it adds: PLCC=%.4f", vd_compare_plcc(&c->added));
    if (c->n_gain)
        printf("; PSNR gain fp32=%+.3f dB int8=%+.3f dB (%+.3f dB; worst %+.3f, %s)", c->gain[0], c->gain[1], -c->gain_loss,
               -c->gain_loss_worst, vd_frame_name(name, s, c->gain_frame));
    putchar('\n');
}

static void print_cell(const struct vd_gate_result *r, const struct vd_set *s, const struct vd_cell *c)
{
    char name[VD_FRAME_NAME];
    if (s->kind == VD_SET_SOURCE)
        printf("       %d of %s", s->n, s->name);
    else
        printf("       %d %s", s->n, s->kind == VD_SET_NOISE ? "noise" : s->name);
    if (r->n_out > 1)
        printf(", output %s", c->output);
    printf(": PLCC=%.6f drop=%.6f bound=%.6f worst_abs=%.4f\n", c->plcc, c->drop, c->upper, c->all.worst_abs);
    printf("         SROCC=%.6f RMSE=%.6f slope=%.4f offset=%+.6f; worst is %s\n", c->srocc, c->rmse, c->slope, c->offset,
           vd_frame_name(name, s, c->worst));
    if (c->picture)
        print_filter(s, c);
    else if (s->realistic)
        printf("         error: mean %.6f, most %.6f (%s)\n", c->mean_abs, c->all.worst_abs, vd_frame_name(name, s, c->abs_frame));
}

static void print_reasons(const struct vd_gate_result *r)
{
    int said = 0;
    for (int v = VD_FAIL; v > VD_PASS; v--)
        for (int i = 0; i < r->n_rule; i++) {
            if ((int)r->rule[i].verdict != v)
                continue;
            if (said++ < MOST_REASONS)
                printf("       %s\n", r->rule[i].why);
        }
    if (said > MOST_REASONS)
        printf("       and %d reasons more; --json FILE has them all\n", said - MOST_REASONS);
}

void vd_gate_print(const struct vd_gate_result *r, bool compat)
{
    static const char *const from[] = {[VD_BUDGET_DEFAULT] = " (default budget)", [VD_BUDGET_REGISTRY] = "", [VD_BUDGET_GIVEN] = " (given budget)"};

    if (r->skipped) {
        printf("[skip] %s — quant_mode=fp32, no quantised model to gate\n", r->id);
        return;
    }
    printf("[%s] %-19s mode=%s PLCC=%.6f drop=%.6f budget=%.4f worst_abs=%.4f", vd_verdict_name(r->verdict), r->id, r->mode, r->plcc, r->drop,
           r->budget, r->worst_abs);
    if (compat) {
        putchar('\n');
        return;
    }
    printf("%s%s\n", from[r->budget_from], r->pinned ? "" : " (unpinned: no registry row or sidecar)");
    for (int i = 0; i < r->n_set; i++)
        for (size_t k = 0; r->set[i].n && k < r->n_out; k++)
            print_cell(r, &r->set[i], &r->set[i].cell[k]);
    if (!r->all_int8)
        printf("       not every convolution and matrix product of the int8 file runs in integers\n");
    print_reasons(r);
}
