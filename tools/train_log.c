/* SPDX-License-Identifier: BSD-2-Clause */
#include "train_log.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/file.h"
#include "common/json_text.h"
#include "common/mem.h"
#include "common/status.h"

enum { MAX_LOG = 256 << 20 };

static uint64_t step_of(const json_t *line) { return (uint64_t)json_integer_value(json_object_get(line, "step")); }

int vd_train_log_open(struct vd_train_log *l, const char *path, uint64_t step)
{
    static const struct vd_json_room room = {.depth = 16, .objects = 256, .values = 4096};
    uint8_t *data;
    size_t size;
    *l = (struct vd_train_log){.lines = json_array(), .path = vd_strdup(path)};
    if (!l->lines || !l->path) {
        vd_train_log_free(l);
        return vd_nomem(0);
    }
    if (!step)
        return 0;
    const int rc = vd_file_read(path, MAX_LOG, &data, &size);
    if (rc == -ENOENT)
        return 0;
    if (rc)
        return rc;
    for (const char *at = (const char *)data; *at;) {
        const size_t n = strcspn(at, "\n");
        json_t *line;
        const int bad = vd_json_text(at, n, path, &room, &line); /* a line that is none was cut when the process was killed */
        if (bad == -ENOMEM || (line && step_of(line) <= step && json_array_append(l->lines, line))) {
            json_decref(line);
            vd_free(data);
            vd_train_log_free(l);
            return vd_nomem(n);
        }
        json_decref(line);
        at += n + (at[n] == '\n');
    }
    vd_free(data);
    return 0;
}

int vd_train_log_add(struct vd_train_log *l, json_t *line)
{
    return !line || json_array_append_new(l->lines, line) ? vd_nomem(0) : 0;
}

int vd_train_log_write(const struct vd_train_log *l)
{
    struct vd_file_out out;
    size_t i;
    json_t *line;
    int rc = vd_file_out_open(&out, l->path);
    if (rc)
        return rc;
    json_array_foreach(l->lines, i, line) {
        if (json_dumpf(line, out.stream, JSON_COMPACT | JSON_REAL_PRECISION(9)) && !ferror(out.stream)) { /* errors of the stream are commit's */
            vd_file_out_abort(&out);
            return vd_nomem(0);
        }
        fputc('\n', out.stream);
    }
    return vd_file_out_commit(&out);
}

void vd_train_log_free(struct vd_train_log *l)
{
    json_decref(l->lines);
    vd_free(l->path);
    *l = (struct vd_train_log){0};
}

/* --- the curve */

enum { WIDTH = 840, HEIGHT = 420, LEFT = 70, RIGHT = 70, TOP = 46, BOTTOM = 46 };

struct axes {
    double steps, loss_lo, loss_hi, score_lo, score_hi;
    struct vd_buf svg;
};

static void put(struct axes *a, const char *fmt, ...) VD_PRINTF(2, 3);
static void put(struct axes *a, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    vd_put(&a->svg, text, n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

static double x_of(const struct axes *a, double step) { return LEFT + (WIDTH - LEFT - RIGHT) * step / a->steps; }
static double y_of(double v, double lo, double hi) { return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (v - lo) / (hi - lo); }

static void widen(double *lo, double *hi, double v)
{
    if (!isfinite(v))
        return;
    *lo = v < *lo ? v : *lo;
    *hi = v > *hi ? v : *hi;
}

static void find_ranges(struct axes *a, const struct vd_train_log *l, const char *key)
{
    size_t i;
    json_t *line;
    json_array_foreach(l->lines, i, line) {
        const json_t *loss = json_object_get(line, "loss"), *v = json_object_get(json_object_get(line, "validation"), key);
        a->steps = fmax(a->steps, (double)step_of(line));
        if (json_number_value(loss) > 0)
            widen(&a->loss_lo, &a->loss_hi, log10(json_number_value(loss)));
        if (json_is_number(v))
            widen(&a->score_lo, &a->score_hi, json_number_value(v));
    }
    if (!(a->loss_lo < a->loss_hi)) {
        a->loss_lo = isfinite(a->loss_lo) ? a->loss_lo - 0.5 : -1;
        a->loss_hi = a->loss_lo + 1;
    }
    if (!(a->score_lo < a->score_hi)) {
        a->score_lo = isfinite(a->score_lo) ? a->score_lo - 0.5 : 0;
        a->score_hi = a->score_lo + 1;
    }
}

static void put_xml(struct axes *a, const char *s)
{
    for (; *s; s++)
        put(a, *s == '<' ? "&lt;" : *s == '&' ? "&amp;" : *s == '"' ? "&quot;" : "%c", *s);
}

int vd_train_log_draw(const struct vd_train_log *l, const char *path, const char *title, const char *key, const char *label)
{
    struct axes a = {.steps = 1, .loss_lo = INFINITY, .loss_hi = -INFINITY, .score_lo = INFINITY, .score_hi = -INFINITY};
    size_t i;
    json_t *line;
    find_ranges(&a, l, key);
    put(&a, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n<title>", WIDTH, HEIGHT);
    put_xml(&a, title);
    put(&a, "</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n<text x=\"%d\" y=\"22\" font-size=\"15\">", LEFT);
    put_xml(&a, title);
    put(&a, "</text>\n<g stroke=\"#ddd\" fill=\"#444\">\n");
    for (int k = 0; k <= 4; k++) {
        const double y = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * k / 4.0, x = LEFT + (WIDTH - LEFT - RIGHT) * k / 4.0;
        put(&a, "<path d=\"M%d %.1fH%d\"/>", LEFT, y, WIDTH - RIGHT);
        put(&a, "<text stroke=\"none\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.3g</text>", LEFT - 6, y + 4, pow(10, a.loss_lo + (a.loss_hi - a.loss_lo) * k / 4));
        put(&a, "<text stroke=\"none\" x=\"%d\" y=\"%.1f\" fill=\"#b03a00\">%.4g</text>", WIDTH - RIGHT + 6, y + 4, a.score_lo + (a.score_hi - a.score_lo) * k / 4);
        put(&a, "<text stroke=\"none\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.0f</text>\n", x, HEIGHT - BOTTOM + 18, a.steps * k / 4);
    }
    put(&a, "</g>\n<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" fill=\"#444\">step</text>\n", WIDTH / 2, HEIGHT - 8);
    put(&a, "<text x=\"%d\" y=\"%d\" fill=\"#1a56a0\">loss (left, logarithmic)</text>\n<text x=\"%d\" y=\"%d\" text-anchor=\"end\" fill=\"#b03a00\">", LEFT, TOP - 8,
        WIDTH - RIGHT, TOP - 8);
    put_xml(&a, label);
    put(&a, " (right, dots)</text>\n<polyline fill=\"none\" stroke=\"#1a56a0\" stroke-width=\"1.2\" points=\"");
    json_array_foreach(l->lines, i, line) {
        const double loss = json_number_value(json_object_get(line, "loss"));
        if (loss > 0)
            put(&a, "%.1f,%.1f ", x_of(&a, (double)step_of(line)), y_of(log10(loss), a.loss_lo, a.loss_hi));
    }
    put(&a, "\"/>\n<g fill=\"#b03a00\">\n");
    json_array_foreach(l->lines, i, line) {
        const json_t *v = json_object_get(json_object_get(line, "validation"), key);
        if (json_is_number(v))
            put(&a, "<circle r=\"2.6\" cx=\"%.1f\" cy=\"%.1f\"><title>step %llu: %.4f</title></circle>\n", x_of(&a, (double)step_of(line)),
                y_of(json_number_value(v), a.score_lo, a.score_hi), (unsigned long long)step_of(line), json_number_value(v));
    }
    put(&a, "</g>\n</svg>\n");
    const int rc = a.svg.bad ? vd_nomem(a.svg.size) : vd_file_write(path, a.svg.data, a.svg.size);
    vd_free(a.svg.data);
    return rc;
}
