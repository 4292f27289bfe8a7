/* SPDX-License-Identifier: BSD-2-Clause */
#include "gate_charts.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void vd_html(struct vd_buf *b, const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    vd_put_str(b, text);
}

void vd_html_text(struct vd_buf *b, const char *s)
{
    for (; *s; s++)
        switch (*s) {
        case '&': vd_put_str(b, "&amp;"); break;
        case '<': vd_put_str(b, "&lt;"); break;
        case '>': vd_put_str(b, "&gt;"); break;
        case '"': vd_put_str(b, "&quot;"); break;
        default: vd_put_u8(b, (uint8_t)*s); break;
        }
}

enum { WIDTH = 420 };

/* A name as far as it fits, in characters; the whole of it is in a title. */
static void label(struct vd_buf *b, double x, double y, const char *class, const char *name, size_t most)
{
    char text[256];
    const size_t n = strlen(name);
    if (n <= most)
        snprintf(text, sizeof text, "%s", name);
    else /* names are told apart by their ends as often as by their beginnings */
        snprintf(text, sizeof text, "%.*s\xe2\x80\xa6%s", (int)(most / 2), name, name + n - most / 2 + 1);
    vd_html(b, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", class, x, y);
    vd_html_text(b, text);
    vd_put_str(b, "<title>");
    vd_html_text(b, name);
    vd_put_str(b, "</title></text>");
}

static void begin(struct vd_buf *b, const char *id, int height, const char *title, const char *description)
{
    vd_html(b, "<svg id=\"%s\" class=\"chart\" role=\"img\" viewBox=\"0 0 %d %d\" aria-labelledby=\"%s-t %s-d\"><title id=\"%s-t\">", id, WIDTH, height,
            id, id, id);
    vd_html_text(b, title);
    vd_html(b, "</title><desc id=\"%s-d\">", id);
    vd_html_text(b, description);
    vd_put_str(b, "</desc>");
}

/* 1, 2 or 5 times a power of ten: about n steps for a span. */
static double step_for(double span, int n)
{
    if (!(span > 0) || !isfinite(span))
        return 1;
    const double raw = span / n, power = pow(10, floor(log10(raw))), m = raw / power;
    return power * (m <= 1 ? 1 : m <= 2 ? 2 : m <= 5 ? 5 : 10);
}

/* --- SQNR by layer */

static void bar(struct vd_buf *b, const char *class, double x, double y, double per_db, bool has, double db, const char *word)
{
    const double shown = isinf(db) ? 100 : fmax(0, db), w = has && !isnan(db) ? fmax(1, shown * per_db) : 0;
    if (w > 0)
        vd_html(b, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"8\" rx=\"1\"/>", class, x, y, w);
    if (!has || isnan(db))
        vd_html(b, "<text class=\"v\" x=\"%.1f\" y=\"%.1f\">%s: none</text>", x + 3, y + 7.5, word);
    else if (isinf(db))
        vd_html(b, "<text class=\"v\" x=\"%.1f\" y=\"%.1f\">exact</text>", x + w + 3, y + 7.5);
    else
        vd_html(b, "<text class=\"v\" x=\"%.1f\" y=\"%.1f\">%.1f</text>", x + w + 3, y + 7.5, db);
}

void vd_chart_sqnr(struct vd_buf *b, const struct vd_explain *e)
{
    enum { LEFT = 120, RIGHT = 34, ROW = 26, TOP = 24 };
    double most = 20;
    char text[300];
    for (int i = 0; i < e->n_cost; i++) {
        const struct vd_cost *c = &e->cost[i];
        const double a = c->has_alone ? vd_sqnr(&c->alone) : 0, d = c->has_cumulative ? vd_sqnr(&c->cumulative) : 0;
        most = fmax(most, fmax(isfinite(a) ? a : 0, isfinite(d) ? d : 0));
    }
    const double per_db = (WIDTH - LEFT - RIGHT) / most, step = step_for(most, 4);
    snprintf(text, sizeof text, "Two bars for each of %d quantised layers, in the order of the graph: alone, given fp32 inputs, and in the int8 model as it runs. "
             "Longer is better; the table below has the numbers.", e->n_cost);
    begin(b, "sqnr", TOP + e->n_cost * ROW + 4, "Signal to quantisation noise of each layer, in dB", text);
    for (double v = 0; v <= most; v += step)
        vd_html(b, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/><text class=\"tick mid\" x=\"%.1f\" y=\"%d\">%g%s</text>",
                LEFT + v * per_db, LEFT + v * per_db, TOP - 6, TOP + e->n_cost * ROW, LEFT + v * per_db, TOP - 10, v, v > 0 ? "" : " dB");
    for (int i = 0; i < e->n_cost; i++) {
        const struct vd_cost *c = &e->cost[i];
        const double y = TOP + i * ROW;
        label(b, LEFT - 6, y + 9, "name end", c->layer->name, 18);
        vd_html(b, "<text class=\"tick end\" x=\"%d\" y=\"%.1f\">", LEFT - 6, y + 19);
        vd_html_text(b, c->layer->int8_op);
        vd_put_str(b, "</text>");
        bar(b, "alone", LEFT, y, per_db, c->has_alone, vd_sqnr(&c->alone), "alone");
        bar(b, "runs", LEFT, y + 11, per_db, c->has_cumulative, vd_sqnr(&c->cumulative), "as it runs");
    }
    vd_put_str(b, "</svg>");
}

/* --- int8 against fp32 */

/* A square of SIZE with ticks and names on both axes. */
struct plot { double x_lo, x_hi, y_lo, y_hi; };
enum { SIZE = 420, PLOT_LEFT = 58, PLOT_BOTTOM = 44, PLOT_TOP = 10, PLOT_RIGHT = 12, PLOT_POINTS = 1600 };

static double px(const struct plot *p, double v) { return PLOT_LEFT + (v - p->x_lo) / (p->x_hi - p->x_lo) * (SIZE - PLOT_LEFT - PLOT_RIGHT); }
static double py(const struct plot *p, double v) { return PLOT_TOP + (p->y_hi - v) / (p->y_hi - p->y_lo) * (SIZE - PLOT_TOP - PLOT_BOTTOM); }

static void widen(double *lo, double *hi)
{
    if (*hi > *lo)
        return;
    *lo = isfinite(*lo) ? *lo - 0.5 : 0;
    *hi = *lo + 1;
}

static void axes(struct vd_buf *b, const struct plot *p, const char *y_name)
{
    const double xs = step_for(p->x_hi - p->x_lo, 5), ys = step_for(p->y_hi - p->y_lo, 5);
    const double right = SIZE - PLOT_RIGHT, bottom = SIZE - PLOT_BOTTOM;
    for (double v = ceil(p->x_lo / xs) * xs; v <= p->x_hi; v += xs)
        vd_html(b, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%.1f\"/><text class=\"tick mid\" x=\"%.1f\" y=\"%.1f\">%.4g</text>", px(p, v),
                px(p, v), PLOT_TOP, bottom, px(p, v), bottom + 14, fabs(v) < xs / 1e6 ? 0 : v);
    for (double v = ceil(p->y_lo / ys) * ys; v <= p->y_hi; v += ys)
        vd_html(b, "<line class=\"grid\" x1=\"%d\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/><text class=\"tick end\" x=\"%d\" y=\"%.1f\">%.4g</text>", PLOT_LEFT, right,
                py(p, v), py(p, v), PLOT_LEFT - 5, py(p, v) + 3, fabs(v) < ys / 1e6 ? 0 : v);
    vd_html(b, "<text class=\"axis mid\" x=\"%.1f\" y=\"%d\">fp32</text><text class=\"axis mid\" transform=\"translate(13 %.1f) rotate(-90)\">%s</text>",
            (PLOT_LEFT + right) / 2, SIZE - 8, (PLOT_TOP + bottom) / 2, y_name);
}

static void points(struct vd_buf *b, const struct plot *p, const struct vd_cell *c, bool difference)
{
    const size_t every = c->n_kept / PLOT_POINTS + 1;
    const double r = c->n_kept <= 200 ? 2.5 : 0.9;
    vd_put_str(b, "<path class=\"points\" d=\"");
    for (size_t i = 0; i < c->n_kept; i += every) {
        const double a = (double)c->kept[0][i], v = (double)c->kept[1][i], x = px(p, a), y = py(p, difference ? v - a : v);
        vd_html(b, "M%.1f %.1fh%.1fv%.1fh-%.1fz", x - r, y - r, 2 * r, 2 * r, 2 * r);
    }
    vd_put_str(b, "\"/>");
}

static void line(struct vd_buf *b, const struct plot *p, const char *class, double x1, double y1, double x2, double y2)
{
    vd_html(b, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", class, px(p, x1), py(p, y1), px(p, x2), py(p, y2));
}

/* a x + b, as far as it is inside the plot. */
static void straight(struct vd_buf *b, const struct plot *p, const char *class, double slope, double at)
{
    double x1 = p->x_lo, x2 = p->x_hi;
    if (!isfinite(slope) || !isfinite(at))
        return;
    if (slope != 0) {
        const double u = (p->y_lo - at) / slope, v = (p->y_hi - at) / slope;
        x1 = fmax(x1, fmin(u, v));
        x2 = fmin(x2, fmax(u, v));
    }
    if (x2 > x1 && (slope != 0 || (at >= p->y_lo && at <= p->y_hi)))
        line(b, p, class, x1, at + slope * x1, x2, at + slope * x2);
}

void vd_chart_scatter(struct vd_buf *b, const struct vd_cell *c, int id)
{
    struct plot p = {INFINITY, -INFINITY, 0, 0};
    char text[300], name[32];
    for (size_t i = 0; i < c->n_kept; i++) {
        p.x_lo = fmin(p.x_lo, fmin((double)c->kept[0][i], (double)c->kept[1][i]));
        p.x_hi = fmax(p.x_hi, fmax((double)c->kept[0][i], (double)c->kept[1][i]));
    }
    widen(&p.x_lo, &p.x_hi);
    p.y_lo = p.x_lo;
    p.y_hi = p.x_hi;
    snprintf(name, sizeof name, "scatter%d", id);
    if (isnan(c->plcc))
        snprintf(text, sizeof text, "An output is constant, or not finite. The closer the points to the dashed line, where int8 is fp32, the better.");
    else
        snprintf(text, sizeof text, "PLCC %.6f, slope %.4f, offset %+.4g. The closer the points to the dashed line, where int8 is fp32, the better.", c->plcc,
                 c->slope, c->offset);
    begin(b, name, SIZE, "int8 output against fp32 output", text);
    axes(b, &p, "int8");
    points(b, &p, c, false);
    straight(b, &p, "same", 1, 0);
    straight(b, &p, "fit", c->slope, c->all.mean_b - c->slope * c->all.mean_a);
    vd_put_str(b, "</svg>");
}

void vd_chart_difference(struct vd_buf *b, const struct vd_cell *c, int id)
{
    struct plot p = {INFINITY, -INFINITY, 0, 0};
    char text[300], name[32];
    for (size_t i = 0; i < c->n_kept; i++) {
        const double a = (double)c->kept[0][i], d = (double)c->kept[1][i] - a;
        p.x_lo = fmin(p.x_lo, a);
        p.x_hi = fmax(p.x_hi, a);
        p.y_hi = fmax(p.y_hi, fabs(d));
    }
    widen(&p.x_lo, &p.x_hi);
    p.y_lo = -p.y_hi;
    widen(&p.y_lo, &p.y_hi);
    snprintf(name, sizeof name, "difference%d", id);
    snprintf(text, sizeof text, "Largest difference shown %.4g, mean %+.4g. A slope is a gain, a distance from the dashed line of no difference an offset.", p.y_hi,
             c->offset);
    begin(b, name, SIZE, "int8 minus fp32, against fp32", text);
    axes(b, &p, "int8 - fp32");
    points(b, &p, c, true);
    straight(b, &p, "same", 0, 0);
    straight(b, &p, "fit", c->slope - 1, c->all.mean_b - c->slope * c->all.mean_a);
    vd_put_str(b, "</svg>");
}

/* --- activations */

void vd_chart_histogram(struct vd_buf *b, const struct vd_range *r, int id)
{
    enum { W = 210, H = 116, LEFT = 6, TOP = 22, BASE = 92 };
    const double span = r->bin_hi - r->bin_lo, pw = W - 2 * LEFT, each = pw / VD_BINS, share = r->n ? 100 * (double)r->outside / (double)r->n : 0;
    const double noise = r->noise_n ? 100 * (double)r->noise_outside / (double)r->noise_n : 0;
    uint64_t most = 1;
    for (int i = 0; i < VD_BINS; i++)
        most = r->bin[i] > most ? r->bin[i] : most;
    vd_html(b, "<svg class=\"hist\" role=\"img\" viewBox=\"0 0 %d %d\" aria-labelledby=\"h%d-t h%d-d\"><title id=\"h%d-t\">Histogram of ", W, H, id, id, id);
    vd_html_text(b, r->rounded->fp32);
    if (r->rounded->dynamic)
        vd_html(b, "</title><desc id=\"h%d-d\">Values from %.4g to %.4g; rounded in their own range, so that none is clipped. Heights are square roots.</desc>", id,
                r->lo, r->hi);
    else
        vd_html(b, "</title><desc id=\"h%d-d\">Values from %.4g to %.4g; rounded in %.4g to %.4g, %.3f %% outside, %.3f %% of noise. Heights are square roots.</desc>", id, r->lo,
                r->hi, r->rounded->lo, r->rounded->hi, share, noise);
    label(b, LEFT, 12, "name", r->rounded->fp32, 26);
    for (int i = 0; i < VD_BINS; i++) {
        const double middle = r->bin_lo + (i + 0.5) * span / VD_BINS, h = r->bin[i] ? fmax(1, (BASE - TOP) * sqrt((double)r->bin[i] / (double)most)) : 0;
        const bool out = !r->rounded->dynamic && (middle < r->rounded->lo || middle > r->rounded->hi);
        if (h > 0)
            vd_html(b, "<rect class=\"%s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"/>", out ? "clipped" : "alone", LEFT + i * each, BASE - h,
                    each * 0.9, h);
    }
    vd_html(b, "<line class=\"base\" x1=\"%d\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", LEFT, LEFT + pw, BASE, BASE);
    for (int k = 0; k < 2 && !r->rounded->dynamic; k++) {
        const double x = LEFT + ((k ? r->rounded->hi : r->rounded->lo) - r->bin_lo) / span * pw;
        vd_html(b, "<line class=\"edge\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", x, x, TOP - 3, BASE + 4);
    }
    vd_html(b, "<text class=\"tick\" x=\"%d\" y=\"%d\">%.4g</text><text class=\"tick end\" x=\"%.1f\" y=\"%d\">%.4g</text>", LEFT, BASE + 12, r->bin_lo, LEFT + pw,
            BASE + 12, r->bin_hi);
    if (r->rounded->dynamic)
        vd_html(b, "<text class=\"tick mid\" x=\"%d\" y=\"%d\">own range</text>", W / 2, BASE + 12);
    else
        vd_html(b, "<text class=\"tick mid\" x=\"%d\" y=\"%d\">%.3g %% outside, %.3g %% of noise</text>", W / 2, BASE + 12, share, noise);
    vd_put_str(b, "</svg>");
}
