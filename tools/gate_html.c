/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "common/mem.h"
#include "common/status.h"
#include "gate/bound.h"
#include "gate_charts.h"
#include "gate_report.h"
#include "gate_style.h"

static const char *class_of(enum vd_verdict v) { return v == VD_PASS ? "pass" : v == VD_FAIL ? "fail" : "insufficient"; }

static const char *mark_of(enum vd_verdict v) { return v == VD_PASS ? "\xe2\x9c\x93" : v == VD_FAIL ? "\xe2\x9c\x97" : "?"; }

static void cell_number(struct vd_buf *b, const char *fmt, double v)
{
    char text[64];
    if (isnan(v))
        vd_put_str(b, "<td>\xe2\x80\x93</td>");
    else if (isinf(v))
        vd_put_str(b, v > 0 ? "<td>\xe2\x88\x9e</td>" : "<td>-\xe2\x88\x9e</td>");
    else {
        snprintf(text, sizeof text, fmt, v);
        vd_html(b, "<td>%s</td>", text);
    }
}

static void cell_text(struct vd_buf *b, const char *s)
{
    vd_put_str(b, "<td class=\"left\">");
    vd_html_text(b, s);
    vd_put_str(b, "</td>");
}

static void head(struct vd_buf *b, const char *caption, const char *const *columns)
{
    vd_put_str(b, "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"");
    vd_html_text(b, caption);
    vd_put_str(b, "\"><table><thead><tr>");
    for (int i = 0; columns[i]; i++)
        vd_html(b, "<th scope=\"col\"%s>%s</th>", columns[i][0] == '<' ? " class=\"left\"" : "", columns[i] + (columns[i][0] == '<'));
    vd_put_str(b, "</tr></thead><tbody>");
}

static void foot(struct vd_buf *b) { vd_put_str(b, "</tbody></table></div>"); }

/* --- top */

static void top(struct vd_buf *b, const struct vd_gate_result *r)
{
    char x[2][VD_FIGURE];
    vd_put_str(b, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
                  "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
                  "<meta name=\"color-scheme\" content=\"light dark\"><link rel=\"icon\" href=\"data:,\"><title>");
    vd_html_text(b, r->id);
    vd_html(b, ": %s</title><style>", vd_verdict_name(r->verdict));
    vd_put_str(b, vd_gate_style);
    vd_put_str(b, "</style></head><body><svg width=\"0\" height=\"0\" style=\"position:absolute\" aria-hidden=\"true\"><defs>"
                  "<pattern id=\"hatch\" width=\"4\" height=\"4\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">"
                  "<line class=\"hatch\" x1=\"0\" y1=\"0\" x2=\"0\" y2=\"4\"/></pattern></defs></svg><main><header><h1>");
    vd_html_text(b, r->id);
    vd_html(b, "</h1><span class=\"verdict %s\">%s %s</span>", class_of(r->verdict), mark_of(r->verdict), vd_verdict_name(r->verdict));
    vd_html(b, "<p class=\"soft\">Is the int8 file (quant_mode %s) as good as the fp32 file? On ADR-0174\xe2\x80\x99s 16 samples PLCC is %s: a drop of %s, "
            "of %.4g that are allowed.</p>", r->mode, vd_figure(x[0], 6, r->plcc), vd_figure(x[1], 6, r->drop), r->budget);
    bool list = false;
    for (int v = VD_FAIL; v > VD_PASS; v--)
        for (int i = 0; i < r->n_rule; i++) {
            if ((int)r->rule[i].verdict != v)
                continue;
            vd_put_str(b, list ? "<li>" : "<ul class=\"why\"><li>");
            list = true;
            vd_html_text(b, r->rule[i].why);
            vd_put_str(b, "</li>");
        }
    vd_put_str(b, list ? "</ul></header>" : "</header>");
}

/* --- the worst sample */

static int picture(struct vd_buf *b, const float *v, int w, int h, const char *alt, const char *caption)
{
    vd_put_str(b, "<figure class=\"card\">");
    const int rc = vd_html_picture(b, v, w, h, alt);
    vd_put_str(b, "<figcaption>");
    vd_html_text(b, caption);
    vd_put_str(b, "</figcaption></figure>");
    return rc;
}

enum { SHOWN = 384 };

/* The part of a plane that is shown: about the largest difference. */
struct part { int w, h; size_t x, y, stride; };

static struct part part_of(const struct vd_kept *k)
{
    struct part p = {.w = k->w < SHOWN ? k->w : SHOWN, .h = k->h < SHOWN ? k->h : SHOWN, .stride = (size_t)k->w};
    size_t at = 0;
    double worst = -1;
    for (size_t i = 0; i < k->n_result; i++) {
        const double d = fabs((double)k->result[0][i] - (double)k->result[1][i]);
        if (!(d <= worst))
            worst = isnan(d) ? INFINITY : d, at = i;
    }
    const int x = (int)(at % (size_t)k->w) - p.w / 2, y = (int)(at / (size_t)k->w) - p.h / 2;
    p.x = (size_t)(x < 0 ? 0 : x > k->w - p.w ? k->w - p.w : x);
    p.y = (size_t)(y < 0 ? 0 : y > k->h - p.h ? k->h - p.h : y);
    return p;
}

static void cut(float *dst, const float *src, const struct part *p)
{
    for (size_t y = 0; y < (size_t)p->h; y++)
        memcpy(dst + y * (size_t)p->w, src + (p->y + y) * p->stride + p->x, (size_t)p->w * sizeof(*dst));
}

/* What came of it, where that is no picture: its first outputs. */
static void worst_numbers(struct vd_buf *b, const struct vd_kept *k)
{
    static const char *const columns[] = {"<element", "fp32", "int8", "difference", NULL};
    enum { MOST = 16 };
    head(b, "Outputs of the worst sample", columns);
    for (size_t i = 0; i < k->n_result && i < MOST; i++) {
        vd_html(b, "<tr><td class=\"left\">%zu</td>", i);
        cell_number(b, "%.6g", (double)k->result[0][i]);
        cell_number(b, "%.6g", (double)k->result[1][i]);
        cell_number(b, "%+.4g", (double)k->result[1][i] - (double)k->result[0][i]);
        vd_put_str(b, "</tr>");
    }
    foot(b);
}

static int worst_picture(struct vd_buf *b, const struct vd_gate_result *r, const struct vd_kept *k)
{
    const struct part p = part_of(k);
    const size_t n = (size_t)p.w * (size_t)p.h;
    const bool picture_out = k->n_result == (size_t)k->w * (size_t)k->h;
    float *v = vd_malloc(3 * n * sizeof(*v));
    char alt[200], caption[300];
    if (!v)
        return vd_nomem(3 * n * sizeof(*v));
    vd_html(b, "<h2>The worst sample</h2><p class=\"soft\">");
    vd_html_text(b, k->name);
    vd_put_str(b, " of ");
    vd_html_text(b, r->set[k->set].name);
    vd_put_str(b, p.w < k->w || p.h < k->h ? ", the part around its largest difference.</p><div class=\"cols\" id=\"worst\">" : ".</p><div class=\"cols\" id=\"worst\">");
    cut(v, k->in[r->n_in - 1].data, &p);
    snprintf(alt, sizeof alt, "What the model saw: %s", k->name);
    int rc = picture(b, v, p.w, p.h, alt, "before: what the model saw");
    if (!rc && picture_out) {
        double most = 0;
        float *fp32 = v, *int8 = v + n, *difference = v + 2 * n;
        cut(fp32, k->result[0], &p);
        cut(int8, k->result[1], &p);
        for (size_t i = 0; i < n; i++)
            most = fmax(most, fabs((double)int8[i] - (double)fp32[i]));
        double gain = 1;
        while (gain < 1024 && most * gain * 2 <= 0.5)
            gain *= 2;
        for (size_t i = 0; i < n; i++)
            difference[i] = (float)(0.5 + gain * ((double)int8[i] - (double)fp32[i]));
        rc = picture(b, fp32, p.w, p.h, "What fp32 made of it", "fp32");
        if (!rc)
            rc = picture(b, int8, p.w, p.h, "What int8 made of it", "after: int8");
        snprintf(alt, sizeof alt, "int8 minus fp32, %g times; mid grey where they agree; the largest difference is %.4f", gain, most);
        snprintf(caption, sizeof caption, "difference: int8 - fp32, \xc3\x97%g; mid grey is none, the largest is %.4f", gain, most);
        if (!rc)
            rc = picture(b, difference, p.w, p.h, alt, caption);
    } else if (!rc) {
        worst_numbers(b, k);
    }
    vd_put_str(b, "</div>");
    vd_free(v);
    return rc;
}

/* --- tables */

static void sets(struct vd_buf *b, const struct vd_gate_result *r)
{
    static const char *const columns[] = {"<samples", "<output", "drop", "95 % bound", "SROCC", "RMSE", "largest", "slope", "offset", "PSNR", "SSIM", "gain lost", "<worst", NULL};
    char name[VD_FRAME_NAME], text[300];
    vd_put_str(b, "<h2>Sets of samples</h2>");
    vd_html(b, "<p class=\"soft\">The bound is what the drop is under in 19 of 20 cases, from frames drawn again %d times. PSNR and SSIM are of int8 against fp32, in the "
            "mean; gain lost is in dB of PSNR against the clean picture.</p>", VD_RESAMPLES);
    head(b, "Figures of each set", columns);
    for (int i = 0; i < r->n_set; i++)
        for (size_t k = 0; r->set[i].cell && r->set[i].n && k < r->n_out; k++) {
            const struct vd_cell *c = &r->set[i].cell[k];
            vd_put_str(b, "<tr>");
            snprintf(text, sizeof text, "%d: %.250s", r->set[i].n, r->set[i].name);
            cell_text(b, text);
            cell_text(b, c->output);
            cell_number(b, "%.6f", c->drop);
            cell_number(b, "%.6f", c->upper);
            cell_number(b, "%.6f", c->srocc);
            cell_number(b, "%.4g", c->rmse);
            cell_number(b, "%.4g", c->all.worst_abs);
            cell_number(b, "%.4f", c->slope);
            cell_number(b, "%+.4g", c->offset);
            cell_number(b, "%.2f", c->picture ? c->psnr : NAN);
            cell_number(b, "%.5f", c->picture ? c->ssim : NAN);
            cell_number(b, "%.3f", c->picture ? c->gain_loss : NAN);
            cell_text(b, vd_frame_name(name, &r->set[i], c->worst));
            vd_put_str(b, "</tr>");
        }
    foot(b);
}

static void rules(struct vd_buf *b, const struct vd_gate_result *r)
{
    static const char *const columns[] = {"<rule", "<verdict", "<samples", "value", "bound", "limit", "<limit from", NULL};
    static const char *const from[] = {"default", "registry", "given"};
    vd_put_str(b, "<h2>Rules</h2>");
    head(b, "Rules and what they found", columns);
    for (int i = 0; i < r->n_rule; i++) {
        const struct vd_rule *u = &r->rule[i];
        vd_put_str(b, "<tr><td class=\"left\"><code>");
        vd_html_text(b, u->key);
        vd_html(b, "</code></td><td class=\"left %s\">%s %s</td>", class_of(u->verdict), mark_of(u->verdict), vd_verdict_name(u->verdict));
        cell_text(b, r->set[u->set].name);
        cell_number(b, "%.4g", u->value);
        cell_number(b, "%.4g", u->upper);
        cell_number(b, "%.4g", u->limit);
        cell_text(b, isnan(u->limit) ? "" : from[u->from]);
        vd_put_str(b, "</tr>");
    }
    foot(b);
}

static void frames(struct vd_buf *b, const struct vd_set *s, const struct vd_cell *c)
{
    static const char *const columns[] = {"<frame", "drop", "RMSE", "largest", "mean fp32", "mean int8", "PSNR", "SSIM", "gain fp32", "gain int8", NULL};
    enum { MOST = 10 };
    bool said[4096] = {false};
    char name[VD_FRAME_NAME];
    vd_put_str(b, "<h2>The worst frames of ");
    vd_html_text(b, s->name);
    vd_put_str(b, "</h2>");
    head(b, "The worst frames", columns);
    for (int k = 0; k < MOST && k < c->n; k++) {
        int at = -1;
        double worst = -1;
        for (int i = 0; i < c->n && i < (int)sizeof said; i++) {
            const struct vd_compare *f = &c->frame[i].c;
            const double error = f->nonfinite_a || f->nonfinite_b ? INFINITY : f->sum_sq / (double)(f->n ? f->n : 1);
            if (!said[i] && error > worst)
                worst = error, at = i;
        }
        if (at < 0)
            break;
        said[at] = true;
        const struct vd_frame *f = &c->frame[at];
        vd_put_str(b, "<tr>");
        cell_text(b, vd_frame_name(name, s, at));
        cell_number(b, "%.6f", 1 - vd_compare_plcc(&f->c));
        cell_number(b, "%.4g", vd_compare_rmse(&f->c));
        cell_number(b, "%.4g", f->c.worst_abs);
        cell_number(b, "%.5g", f->c.mean_a);
        cell_number(b, "%.5g", f->c.mean_b);
        cell_number(b, "%.2f", f->psnr);
        cell_number(b, "%.5f", f->ssim);
        cell_number(b, "%+.3f", f->gain[0]);
        cell_number(b, "%+.3f", f->gain[1]);
        vd_put_str(b, "</tr>");
    }
    foot(b);
}

static void layers(struct vd_buf *b, const struct vd_explain *e)
{
    static const char *const columns[] = {"<layer", "<int8 operator", "drop of output", "SQNR alone", "SQNR as it runs", "drop alone", "drop as it runs", "elements", NULL};
    vd_html(b, "<h2>What each layer costs</h2><p class=\"soft\">Measured on %d sample%s. Alone: the layer gets what the fp32 graph gives it, so that the error is its own. As it "
            "runs: in the int8 model, with the errors of all before it. The longer a bar, the better.</p><div class=\"card\">"
            "<ul class=\"key\"><li><svg viewBox=\"0 0 30 14\" aria-hidden=\"true\"><rect class=\"alone\" width=\"30\" height=\"14\" rx=\"2\"/></svg>alone (solid)</li>"
            "<li><svg viewBox=\"0 0 30 14\" aria-hidden=\"true\"><rect class=\"runs\" x=\"1\" y=\"1\" width=\"28\" height=\"12\" rx=\"2\"/></svg>as it runs (hatched)</li></ul>",
            e->n_sample, vd_s(e->n_sample));
    vd_chart_sqnr(b, e);
    vd_put_str(b, "</div><p class=\"soft\">Dearest first. Drop of output: 1 - PLCC of the model\xe2\x80\x99s outputs when this layer alone is int8 and everything else fp32.</p>");
    head(b, "Layers, dearest first", columns);
    for (int i = 0; i < e->n_cost; i++) {
        const struct vd_cost *c = &e->cost[e->order[i]];
        vd_put_str(b, "<tr>");
        cell_text(b, c->layer->name);
        cell_text(b, c->layer->int8_op);
        if (isinf(vd_cost_drop(c)))
            vd_html(b, "<td>%s</td>", c->effect.nonfinite_b ? "not finite" : "constant");
        else
            cell_number(b, "%.6f", vd_cost_drop(c));
        cell_number(b, "%.2f", c->has_alone ? vd_sqnr(&c->alone) : NAN);
        cell_number(b, "%.2f", c->has_cumulative ? vd_sqnr(&c->cumulative) : NAN);
        cell_number(b, "%.6f", c->has_alone ? 1 - vd_compare_plcc(&c->alone) : NAN);
        cell_number(b, "%.6f", c->has_cumulative ? 1 - vd_compare_plcc(&c->cumulative) : NAN);
        cell_number(b, "%.0f", (double)c->elements);
        vd_put_str(b, "</tr>");
    }
    foot(b);
}

static void activations(struct vd_buf *b, const struct vd_explain *e)
{
    if (!e->n_range)
        return;
    vd_put_str(b, "<h2>Activations</h2><p class=\"soft\">What the fp32 graph has where the int8 graph rounds to 8 bits. Dashed lines are the ends of the range that it rounds in; what "
                  "lies outside is hatched, and is clipped. Dynamic quantisation takes the range from the values, so that nothing is clipped, and a few large "
                  "values make every step large.</p><div class=\"grid\" id=\"activations\">");
    for (int i = 0; i < e->n_range; i++) {
        vd_put_str(b, "<div class=\"card\">");
        vd_chart_histogram(b, &e->range[i], i);
        vd_put_str(b, "</div>");
    }
    vd_put_str(b, "</div>");
}

static void scatter(struct vd_buf *b, const struct vd_set *s, const struct vd_cell *c, int id)
{
    vd_put_str(b, "<h2>int8 against fp32</h2><p class=\"soft\">Output <code>");
    vd_html_text(b, c->output);
    vd_put_str(b, "</code> on ");
    vd_html_text(b, s->name);
    if (isnan(c->plcc))
        vd_put_str(b, ". There is no line through the points: an output is constant, or not finite.</p>");
    else
        vd_html(b, ". PLCC %.6f sees how near the points are to a line; slope %.4f and offset %+.4g say which line it is.</p>", c->plcc, c->slope, c->offset);
    vd_put_str(b, "<div class=\"card\"><ul class=\"key\"><li><svg viewBox=\"0 0 30 14\" aria-hidden=\"true\"><line class=\"same\" x1=\"0\" x2=\"30\" y1=\"8\" y2=\"8\"/></svg>"
                  "int8 is fp32 (dashed)</li><li><svg viewBox=\"0 0 30 14\" aria-hidden=\"true\"><line class=\"fit\" x1=\"0\" x2=\"30\" y1=\"8\" y2=\"8\"/></svg>least squares (solid)</li></ul>");
    vd_put_str(b, "<div class=\"cols\">");
    vd_chart_scatter(b, c, id);
    vd_chart_difference(b, c, id);
    vd_put_str(b, "</div></div>");
}

int vd_gate_html(struct vd_buf *b, const struct vd_gate_result *r, const struct vd_explain *e)
{
    const struct vd_kept *k = r->n_kept ? &r->kept[0] : NULL;
    const struct vd_set *s = &r->set[k ? k->set : 0];
    int rc = 0;
    top(b, r);
    rules(b, r);
    sets(b, r);
    layers(b, e);
    if (k && k->w)
        rc = worst_picture(b, r, k);
    else if (k) {
        vd_put_str(b, "<h2>The worst sample</h2><p class=\"soft\">");
        vd_html_text(b, k->name);
        vd_put_str(b, "</p>");
        worst_numbers(b, k);
    }
    for (size_t i = 0; s->cell && s->n && i < r->n_out && i < 4; i++)
        scatter(b, s, &s->cell[i], (int)i);
    activations(b, e);
    if (s->cell && s->n)
        frames(b, s, &s->cell[0]);
    vd_put_str(b, "<h2>Files</h2><p class=\"soft\">fp32 <code>");
    vd_html_text(b, r->fp32_sha256);
    vd_put_str(b, "</code><br>int8 <code>");
    vd_html_text(b, r->int8_sha256);
    vd_html(b, "</code><br>vmaf-dnn %s, kernels %s%s</p></main></body></html>\n", VMAF_DNN_VERSION, r->kernels,
            r->pinned ? ", both files pinned" : ", UNPINNED");
    return rc ? rc : b->bad ? vd_nomem(b->size) : 0;
}
