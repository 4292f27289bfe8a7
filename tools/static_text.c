/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/status.h"
#include "quantize_job.h"

void vd_static_print(const struct vd_quantize_job *j)
{
    const struct vd_static_job *st = j->st;
    const struct vd_static_report *r = &st->report;
    int wide = 5, saturating = 0;
    size_t pairs = 0;

    for (int i = 0; i < r->n_layer; i++) {
        const int n = (int)strlen(r->layer[i].name);
        wide = n > wide ? n < 48 ? n : 48 : wide;
    }
    printf("  %-*s  %-6s  %9s  %7s  %9s  %9s  %9s  %9s\n", wide, "layer", "kind", "weights", "SQNR dB", "input", "", "clipped", "bias");
    printf("  %-*s  %-6s  %9s  %7s  %9s  %9s  %9s  %9s\n", wide, "", "", "", "", "from", "to", "per cent", "shift");
    for (int i = 0; i < r->n_layer; i++) {
        const struct vd_static_layer *l = &r->layer[i];
        if (l->why_fp32) {
            printf("  %-*s  %-6s  %9zu  stays in fp32: %s\n", wide, l->name, l->op, l->weights, l->why_fp32);
            continue;
        }
        printf("  %-*s  %-6s  %9zu  %7.2f", wide, l->name, l->op, l->weights, isinf(l->sqnr_db) ? 999.99 : l->sqnr_db);
        if (l->in_lo < l->in_hi)
            printf("  %9.4f  %9.4f  %9.4f  %9.2f", (double)l->in_lo, (double)l->in_hi, 100 * l->clipped, l->bias_shift);
        else
            printf("  %9s  %9s  %9s  %9.2f", "of both", "", "", l->bias_shift);
        printf("%s\n", l->tails ? "  a byte and its tails in, float out" : l->two_bytes ? "  two bytes in, float out" : l->float_out ? "  float out" : "");
        saturating += l->pairs > 0;
        pairs += l->pairs;
    }
    printf("%d layer%s in 8 bits, %d in fp32; %d operator%s between them in 8 bits; ranges by %s", r->quantised, vd_s(r->quantised), r->skipped, r->others, vd_s(r->others),
           vd_range_method_name(st->o.method));
    if (st->o.method == VD_RANGE_PERCENTILE)
        printf(" %g", st->o.percentile);
    if (st->o.margin > 1)
        printf(", %g times as long,", st->o.margin);
    printf(" from %llu frame%s%s%s\n", (unsigned long long)st->made.c.frames, vd_s((long long)st->made.c.frames), st->made.c.n_group ? ", equalised" : "",
           st->o.no_bias_correction ? "" : ", bias corrected");
    if (!strcmp(st->target, "any") && pairs)
        printf("%zu weight pair%s of %d layer%s can leave 16 bits where vpmaddubsw adds them (other runtimes on CPUs without VNNI; here nothing "
               "saturates): there set session.x64quantprecision, or check with --target vnni that VNNI is all you need\n", pairs, vd_s((long long)pairs),
               saturating, vd_s(saturating));
    else if (!strcmp(st->target, "any"))
        printf("no weight pair leaves 16 bits: the same result with and without VNNI\n");
}
