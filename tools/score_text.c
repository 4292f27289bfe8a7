/* SPDX-License-Identifier: BSD-2-Clause */
#include "score_text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/status.h"
#include "common/utf8.h"

const int vd_percentile[VD_PERCENTILES] = {1, 5, 10, 25, 50};

/* --- pooling */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int vd_scores_pool(const struct vd_scores *s, size_t metric, struct vd_pooled *p)
{
    *p = (struct vd_pooled){NAN, NAN, NAN, NAN, {NAN, NAN, NAN, NAN, NAN}};
    double sum = 0, inverse = 0, *sorted = vd_malloc((s->n + 1) * sizeof(*sorted));
    bool finite = s->n > 0, positive = true;
    if (!sorted)
        return vd_nomem((s->n + 1) * sizeof(*sorted));
    for (size_t i = 0; i < s->n; i++) {
        const double v = sorted[i] = s->value[i * s->n_metric + metric];
        finite = finite && isfinite(v);
        positive = positive && v > -1;
        sum += v;
        inverse += 1 / (v + 1);
    }
    if (finite) {
        const double n = (double)s->n;
        qsort(sorted, s->n, sizeof(*sorted), by_value);
        p->min = sorted[0];
        p->max = sorted[s->n - 1];
        p->mean = sum / n;
        p->harmonic_mean = positive ? n / inverse - 1 : NAN;
        for (int k = 0; k < VD_PERCENTILES; k++) {
            const double at = (n - 1) * vd_percentile[k] / 100;
            const size_t i = (size_t)at, next = i + 1 < s->n ? i + 1 : i;
            p->percentile[k] = sorted[i] + (at - (double)i) * (sorted[next] - sorted[i]);
        }
    }
    vd_free(sorted);
    return 0;
}

/* --- pieces */

static void put(struct vd_buf *b, const char *fmt, ...) VD_PRINTF(2, 3);
static void put(struct vd_buf *b, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    vd_put(b, text, n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

/* Names come from files: quoted for the format, and what is no UTF-8 is '?'. */
static void put_name(struct vd_buf *b, const char *name, enum vd_score_format f)
{
    for (const unsigned char *s = (const unsigned char *)name; *s;) {
        size_t n;
        vd_utf8(s, s + strnlen((const char *)s, 4), &n);
        if (!n)
            vd_put_u8(b, '?');
        else if (f == VD_SCORE_JSON && (*s == '"' || *s == '\\'))
            put(b, "\\%c", *s);
        else if (f == VD_SCORE_JSON && *s < 0x20)
            put(b, "\\u%04x", *s);
        else if (*s < 0x20 || *s == 0x7f)
            vd_put_u8(b, '?');
        else if (f == VD_SCORE_XML && strchr("<>&\"'", *s))
            put(b, "&#%d;", *s);
        else if (f == VD_SCORE_CSV && *s == '"')
            vd_put(b, "\"\"", 2);
        else
            vd_put(b, s, n);
        s += n ? n : 1;
    }
}

static void put_json(struct vd_buf *b, const char *name)
{
    vd_put_u8(b, '"');
    put_name(b, name, VD_SCORE_JSON);
    vd_put_u8(b, '"');
}

static void put_number(struct vd_buf *b, const struct vd_scores *s, double v, const char *none)
{
    if (!isfinite(v))
        put(b, "%s", none);
    else if (s->precision == VD_PRECISION_MAX)
        put(b, "%.17g", v);
    else
        put(b, "%.*f", s->precision, v);
}

enum { FIELDS = 4 + VD_PERCENTILES };

struct field { char name[24]; double v; };

static void fields(const struct vd_pooled *p, struct field f[FIELDS])
{
    f[0] = (struct field){"min", p->min};
    f[1] = (struct field){"max", p->max};
    f[2] = (struct field){"mean", p->mean};
    f[3] = (struct field){"harmonic_mean", p->harmonic_mean};
    for (int k = 0; k < VD_PERCENTILES; k++) {
        snprintf(f[4 + k].name, sizeof(f->name), "percentile_%d", vd_percentile[k]);
        f[4 + k].v = p->percentile[k];
    }
}

/* --- JSON; gap: what stands between members */

static void put_metrics(struct vd_buf *b, const struct vd_scores *s, size_t i, const char *gap)
{
    for (size_t m = 0; m < s->n_metric; m++) {
        put(b, "%s%s", m ? "," : "", gap);
        put_json(b, s->metric[m]);
        put(b, ": ");
        put_number(b, s, s->value[i * s->n_metric + m], "null");
    }
}

static int put_pooled(struct vd_buf *b, const struct vd_scores *s, const char *gap, const char *inner)
{
    struct vd_pooled p;
    struct field f[FIELDS];
    for (size_t m = 0; m < s->n_metric; m++) {
        const int rc = vd_scores_pool(s, m, &p);
        if (rc)
            return rc;
        fields(&p, f);
        put(b, "%s%s", m ? "," : "", gap);
        put_json(b, s->metric[m]);
        put(b, ": {");
        for (int k = 0; k < FIELDS; k++) {
            put(b, "%s%s\"%s\": ", k ? "," : "", inner, f[k].name);
            put_number(b, s, f[k].v, "null");
        }
        put(b, "%s}", gap);
    }
    return 0;
}

static void put_tiny_model(struct vd_buf *b, const struct vd_scores *s, const char *gap)
{
    const vmaf_dnn_info *i = s->model;
    put(b, "{%s\"id\": ", gap);
    put_json(b, i->id);
    put(b, ",%s\"file\": ", gap);
    put_json(b, i->file);
    put(b, ",%s\"sha256\": \"%s\",%s\"quant_mode\": \"%s\",%s\"baseline\": %s,%s\"pinned\": %s,%s\"kernels\": \"%s\",%s\"threads\": %d", gap, i->sha256,
        gap, i->quant_mode, gap, i->baseline ? "true" : "false", gap, i->pinned ? "true" : "false", gap, i->kernels, gap, i->threads);
    put(b, ",%s\"width\": %d,%s\"height\": %d,%s\"resize\": ", gap, s->in_w, gap, s->in_h, gap);
    if (s->resize)
        put_json(b, s->resize);
    else
        put(b, "null");
}

static int put_json_file(struct vd_buf *b, const struct vd_scores *s)
{
    put(b, "{\n  \"version\": \"%s\",\n  \"fps\": ", vmaf_dnn_version());
    if (isfinite(s->fps))
        put(b, "%.2f", s->fps);
    else
        put(b, "null");
    put(b, ",\n  \"complete\": %s,\n  \"tiny_model\": ", s->complete ? "true" : "false");
    put_tiny_model(b, s, "\n    ");
    put(b, "\n  },\n  \"frames\": [");
    for (size_t i = 0; i < s->n; i++) {
        put(b, "%s\n    {\n      \"frameNum\": %lld,\n      \"metrics\": {", i ? "," : "", (long long)s->frame[i]);
        put_metrics(b, s, i, "\n        ");
        put(b, "\n      }\n    }");
    }
    put(b, "\n  ],\n  \"pooled_metrics\": {");
    const int rc = put_pooled(b, s, "\n    ", "\n      ");
    put(b, "\n  },\n  \"aggregate_metrics\": {\n  }\n}\n");
    return rc;
}

void vd_scores_put_model(struct vd_buf *b, const struct vd_scores *s)
{
    put(b, "{\"type\": \"model\", \"version\": \"%s\", \"tiny_model\": ", vmaf_dnn_version());
    put_tiny_model(b, s, " ");
    put(b, "}}\n");
}

void vd_scores_put_frame(struct vd_buf *b, const struct vd_scores *s, size_t i)
{
    put(b, "{\"type\": \"frame\", \"frameNum\": %lld, \"metrics\": {", (long long)s->frame[i]);
    put_metrics(b, s, i, " ");
    put(b, "}}\n");
}

int vd_scores_put_end(struct vd_buf *b, const struct vd_scores *s)
{
    put(b, "{\"type\": \"pooled\", \"frames\": %zu, \"complete\": %s, \"pooled_metrics\": {", s->n, s->complete ? "true" : "false");
    const int rc = put_pooled(b, s, " ", " ");
    put(b, "}}\n");
    return rc;
}

/* --- CSV: a column for each metric, a comma behind each value, as the vmaf tool; a score that is no number is an empty field */

static void put_csv(struct vd_buf *b, const struct vd_scores *s)
{
    put(b, "Frame,");
    for (size_t m = 0; m < s->n_metric; m++) {
        const char *quote = strpbrk(s->metric[m], ",\"") ? "\"" : "";
        put(b, "%s", quote);
        put_name(b, s->metric[m], VD_SCORE_CSV);
        put(b, "%s,", quote);
    }
    for (size_t i = 0; i < s->n; i++) {
        put(b, "\n%lld,", (long long)s->frame[i]);
        for (size_t m = 0; m < s->n_metric; m++) {
            put_number(b, s, s->value[i * s->n_metric + m], "");
            put(b, ",");
        }
    }
    put(b, "\n");
}

/* --- XML */

static bool is_name_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c == '.' || c == '-';
}

static bool needs_lead(const char *name) { return !name[0] || (name[0] >= '0' && name[0] <= '9') || name[0] == '.' || name[0] == '-'; }

static bool same_attribute(const char *a, const char *b)
{
    if (needs_lead(a) != needs_lead(b))
        return false;
    for (; *a && *b; a++, b++)
        if ((is_name_byte(*a) ? *a : '_') != (is_name_byte(*b) ? *b : '_'))
            return false;
    return *a == *b;
}

/* An attribute's name: what XML does not take is '_', and a name that is taken by then has its number behind. */
static void put_attribute(struct vd_buf *b, const struct vd_scores *s, size_t metric)
{
    const char *name = s->metric[metric];
    bool taken = same_attribute(name, "frameNum");
    for (size_t m = 0; m < metric && !taken; m++)
        taken = same_attribute(name, s->metric[m]);
    if (needs_lead(name))
        vd_put_u8(b, '_');
    for (const char *c = name; *c; c++)
        vd_put_u8(b, (uint8_t)(is_name_byte(*c) ? *c : '_'));
    if (taken)
        put(b, ".%zu", metric);
}

static int put_xml(struct vd_buf *b, const struct vd_scores *s)
{
    const vmaf_dnn_info *i = s->model;
    put(b, "<VMAF version=\"%s\" complete=\"%s\">\n  <params qualityWidth=\"%d\" qualityHeight=\"%d\" />\n  <fyi fps=\"%.2f\" />\n  <tiny_model id=\"",
        vmaf_dnn_version(), s->complete ? "true" : "false", s->w, s->h, isfinite(s->fps) ? s->fps : 0);
    put_name(b, i->id, VD_SCORE_XML);
    put(b, "\" file=\"");
    put_name(b, i->file, VD_SCORE_XML);
    put(b, "\" sha256=\"%s\" quant_mode=\"%s\" baseline=\"%s\" pinned=\"%s\" kernels=\"%s\" threads=\"%d\" width=\"%d\" height=\"%d\" resize=\"%s\" />\n",
        i->sha256, i->quant_mode, i->baseline ? "true" : "false", i->pinned ? "true" : "false", i->kernels, i->threads, s->in_w, s->in_h,
        s->resize ? s->resize : "");
    put(b, "  <frames>\n");
    for (size_t k = 0; k < s->n; k++) {
        put(b, "    <frame frameNum=\"%lld\" ", (long long)s->frame[k]);
        for (size_t m = 0; m < s->n_metric; m++) {
            put_attribute(b, s, m);
            put(b, "=\"");
            put_number(b, s, s->value[k * s->n_metric + m], "null");
            put(b, "\" ");
        }
        put(b, "/>\n");
    }
    put(b, "  </frames>\n  <pooled_metrics>\n");
    for (size_t m = 0; m < s->n_metric; m++) {
        struct vd_pooled p;
        struct field f[FIELDS];
        const int rc = vd_scores_pool(s, m, &p);
        if (rc)
            return rc;
        fields(&p, f);
        put(b, "    <metric name=\"");
        put_attribute(b, s, m);
        put(b, "\" ");
        for (int k = 0; k < FIELDS; k++) {
            put(b, "%s=\"", f[k].name);
            put_number(b, s, f[k].v, "null");
            put(b, "\" ");
        }
        put(b, "/>\n");
    }
    put(b, "  </pooled_metrics>\n  <aggregate_metrics />\n</VMAF>\n");
    return 0;
}

/* --- for people: the pooled figures last */

static int put_text(struct vd_buf *b, const struct vd_scores *s)
{
    const vmaf_dnn_info *i = s->model;
    put(b, "frame");
    for (size_t m = 0; m < s->n_metric; m++) {
        put(b, "  ");
        put_name(b, s->metric[m], VD_SCORE_TEXT);
    }
    for (size_t k = 0; k < s->n; k++) {
        put(b, "\n%5lld", (long long)s->frame[k]);
        for (size_t m = 0; m < s->n_metric; m++) {
            put(b, "  ");
            put_number(b, s, s->value[k * s->n_metric + m], "nan");
        }
    }
    put(b, "\n\nmodel ");
    put_name(b, i->id, VD_SCORE_TEXT);
    put(b, " (%s%s, %s), sha256 %s\nfile ", i->quant_mode, i->baseline ? " baseline" : "", i->pinned ? "pinned" : "UNPINNED", i->sha256);
    put_name(b, i->file, VD_SCORE_TEXT);
    put(b, "\nkernels %s, %d thread%s\npictures %dx%d", i->kernels, i->threads, vd_s(i->threads), s->w, s->h);
    if (s->resize)
        put(b, ", scored at %dx%d by %s", s->in_w, s->in_h, s->resize);
    put(b, "\nframes %zu%s\n", s->n, s->complete ? "" : ", INCOMPLETE: a clip ended early");
    for (size_t m = 0; m < s->n_metric; m++) {
        struct vd_pooled p;
        struct field f[FIELDS];
        const int rc = vd_scores_pool(s, m, &p);
        if (rc)
            return rc;
        fields(&p, f);
        put(b, "\n");
        for (int k = 0; k < FIELDS; k++) {
            put_name(b, s->metric[m], VD_SCORE_TEXT);
            put(b, " %s ", f[k].name);
            put_number(b, s, f[k].v, "nan");
            put(b, "\n");
        }
    }
    return 0;
}

int vd_scores_put(struct vd_buf *b, const struct vd_scores *s, enum vd_score_format f)
{
    int rc = 0;
    switch (f) {
    case VD_SCORE_JSON: rc = put_json_file(b, s); break;
    case VD_SCORE_XML: rc = put_xml(b, s); break;
    case VD_SCORE_CSV: put_csv(b, s); break;
    default: rc = put_text(b, s);
    }
    return rc ? rc : b->bad ? vd_nomem(b->cap) : 0;
}
