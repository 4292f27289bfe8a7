/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "common/file.h"
#include "common/json_text.h"
#include "common/mem.h"
#include "common/status.h"
#include "io/stream.h"
#include "model_parts.h"
#include "quant/budget.h"
#include "quant_measure.h"
#include "quantize_job.h"

/* --- what the options name */

int vd_mark_nodes(const struct vd_onnx_model *m, const char *option, const char *const *name, int n, bool **out)
{
    if (!(*out = vd_calloc((size_t)m->n_node + 1, sizeof(**out))))
        return vd_nomem(sizeof(**out));
    for (int i = 0; i < n; i++) {
        bool found = false;
        for (int k = 0; k < m->n_node; k++)
            if (!strcmp(vd_node_label(&m->node[k]), name[i]) || (m->node[k].n_out && !strcmp(m->node[k].out[0], name[i])))
                (*out)[k] = found = true;
        if (!found)
            return vd_fail(EINVAL, "%s %s: the model has no such node; 'vmaf-dnn inspect --layers MODEL' lists them", option, name[i]);
    }
    return 0;
}

/* An Add of two activations reads value, or writes it. */
static bool of_a_sum(const struct vd_onnx_model *m, const char *value)
{
    for (int i = 0; i < m->n_node; i++) {
        const struct vd_onnx_node *n = &m->node[i];
        bool constant = false;
        if (strcmp(n->op_type, "Add") || n->n_in != 2 || n->n_out != 1)
            continue;
        for (int k = 0; k < m->n_init; k++)
            constant |= !strcmp(m->init[k].name, n->in[0]) || !strcmp(m->init[k].name, n->in[1]);
        for (int k = 0; k < m->n_in; k++) /* pictures are bytes already */
            constant |= !strcmp(m->in[k].name, value);
        if (!constant && (!strcmp(n->in[0], value) || !strcmp(n->in[1], value) || !strcmp(n->out[0], value)))
            return true;
    }
    return false;
}

static int mark_nodes(struct vd_static_job *st, const struct vd_onnx_model *m)
{
    int rc = vd_mark_nodes(m, "--exclude", st->exclude, st->n_exclude, &st->fp32);
    st->o.fp32 = st->fp32;
    if (!rc && (st->n_two_bytes || st->two_bytes_sums)) {
        rc = vd_mark_nodes(m, "--two-bytes", st->two_bytes, st->n_two_bytes, &st->wide);
        st->o.two_bytes = st->wide;
    }
    if (!rc && st->n_tails) {
        rc = vd_mark_nodes(m, "--tails", st->tails, st->n_tails, &st->tail);
        st->o.tails = st->tail;
    }
    if (rc || !st->two_bytes_sums)
        return rc;
    for (int i = 0; i < m->n_node; i++)
        if (!strcmp(m->node[i].op_type, "Conv") && m->node[i].n_in && !st->fp32[i])
            st->wide[i] |= of_a_sum(m, m->node[i].in[0]);
    return 0;
}

static int take_override(struct vd_static_override *o, const char *file, const char *name, const json_t *v)
{
    const char *key;
    json_t *x;
    bool lo = false, hi = false, zp = false;
    if (json_is_array(v) && json_array_size(v) == 1) /* as ONNX Runtime's TensorQuantOverrides */
        v = json_array_get(v, 0);
    *o = (struct vd_static_override){.tensor = name};
    if (!json_is_object(v))
        return vd_fail(EBADMSG, "%s: %s: an object with rmin and rmax, or scale and zero_point, or symmetric is wanted", file, name);
    json_object_foreach((json_t *)(uintptr_t)v, key, x) {
        bool ok = json_is_number(x);
        const double d = json_number_value(x);
        if (!strcmp(key, "rmin"))
            o->lo = (float)d, lo = true, ok = ok && d <= 0;
        else if (!strcmp(key, "rmax"))
            o->hi = (float)d, hi = true, ok = ok && d >= 0;
        else if (!strcmp(key, "scale"))
            o->scale = (float)d, o->has_scale = true, ok = ok && o->scale >= 0x1p-126f;
        else if (!strcmp(key, "zero_point"))
            o->zero_point = (int)d, zp = true, ok = json_is_integer(x) && d >= 0 && d <= 255;
        else if (!strcmp(key, "symmetric"))
            o->symmetric = json_is_true(x), ok = json_is_boolean(x);
        else
            return vd_fail(EBADMSG, "%s: %s: unknown key %.40s; known are rmin, rmax, scale, zero_point, symmetric", file, name, key);
        if (!ok || !isfinite(d))
            return vd_fail(EBADMSG, "%s: %s: a value of %s that it cannot have (rmin <= 0 <= rmax, scale > 0, zero_point 0..255)", file, name, key);
    }
    o->has_range = lo && hi;
    if (lo != hi || o->has_scale != zp || (o->has_range && (o->has_scale || !(o->lo < o->hi))))
        return vd_fail(EBADMSG, "%s: %s: rmin goes with rmax (and is less), scale with zero_point, and one pair is enough", file, name);
    return 0;
}

static int read_overrides(struct vd_static_job *st, json_t **json)
{
    uint8_t *data;
    size_t size;
    static const struct vd_json_room room = {.depth = 16, .objects = 8192, .values = 65536};
    const char *name;
    json_t *v;
    int rc = vd_file_read(st->overrides, VD_MAX_JSON, &data, &size);
    if (rc)
        return rc;
    rc = vd_json_text(data, size, st->overrides, &room, json);
    vd_free(data);
    if (rc)
        return rc;
    if (!json_is_object(*json))
        return vd_fail(EBADMSG, "%s: not a JSON object of tensors", st->overrides);
    if (!(st->override = vd_calloc(json_object_size(*json) + 1, sizeof(*st->override))))
        return vd_nomem(sizeof(*st->override));
    json_object_foreach(*json, name, v) {
        if ((rc = take_override(&st->override[st->o.n_override], st->overrides, name, v)))
            return rc;
        st->o.n_override++;
    }
    st->o.override = st->override;
    return 0;
}

/* --- measuring */

struct searching {
    struct vd_quantize_job *j;
    struct vd_quant_measure *measure;
    const int *layer; /* node of each */
    bool *fp32;       /* by node */
    int layers, done;
    struct vd_progress progress;
};

static int try_set(void *arg, const bool *set, double *drop)
{
    struct searching *s = arg;
    struct vd_onnx_model q;
    struct vd_static_report rep;
    struct vd_quant_effect e;
    struct vd_static_opts o = s->j->st->o;
    for (int i = 0; i < s->layers; i++)
        s->fp32[s->layer[i]] = set[i];
    o.fp32 = s->fp32;
    int rc = vd_quantize_static(s->j->st->made.model, &o, &q, &rep);
    if (!rc) {
        rc = vd_quant_measure_model(s->measure, &q, &e);
        vd_onnx_free(&q);
    }
    *drop = rc ? INFINITY : e.drop;
    vd_progress_step(&s->progress, ++s->done);
    return rc;
}

static void print_budget(const struct searching *s, const struct vd_budget *b, const struct vd_static_report *all)
{
    FILE *f = b->met ? stdout : stderr;
    int k = 0;
    fprintf(f, "drop %.6f with every layer in 8 bits, budget %.6f; %d measurement%s on %d frame%s\n", b->without, s->j->st->budget, b->measurements,
            vd_s(b->measurements), s->measure->n, vd_s(s->measure->n));
    if (b->without <= s->j->st->budget)
        return;
    fprintf(f, "  %-32s  %14s  %s\n", "layer", "drop, it alone", "");
    fprintf(f, "  %-32s  %14s\n", "", "in fp32");
    for (int i = 0; i < all->n_layer; i++)
        if (!all->layer[i].why_fp32) {
            fprintf(f, "  %-32.32s  %14.6f  %s\n", all->layer[i].name, b->alone[k], b->fp32[k] ? "fp32" : "");
            k++;
        }
    fprintf(f, "%s drop %.6f with the layers marked fp32\n", b->met ? "" : "the least:", b->drop);
}

/* Which layers stay in fp32, into st->fp32. 0, VD_EXIT_NO, or another exit code after a message. */
static int search(struct vd_quantize_job *j, struct vd_quant_measure *measure)
{
    struct vd_static_job *st = j->st;
    struct vd_onnx_model q;
    struct vd_static_report all;
    struct vd_budget b = {0};
    struct searching s = {.j = j, .measure = measure, .fp32 = st->fp32};
    int rc = vd_quantize_static(st->made.model, &st->o, &q, &all), code = VD_EXIT_OK;
    if (rc)
        return vd_report(rc);
    int *layer = vd_calloc((size_t)all.n_layer + 1, sizeof(*layer));
    if (!layer)
        rc = vd_nomem(sizeof(*layer));
    for (int i = 0; layer && i < all.n_layer; i++)
        if (!all.layer[i].why_fp32)
            layer[s.layers++] = all.layer[i].node;
    s.layer = layer;
    vd_progress_start(&s.progress, "budget: measurement", 0);
    if (j->quiet)
        s.progress.on = false;
    if (!rc)
        rc = vd_budget_search(s.layers, st->budget, try_set, &s, &b);
    vd_progress_end(&s.progress);
    if (!rc) {
        for (int i = 0; i < s.layers; i++)
            st->fp32[layer[i]] = b.fp32[i];
        if (!b.met || !j->quiet)
            print_budget(&s, &b, &all);
        if (!b.met) {
            vd_report(vd_fail(ERANGE, "nothing meets the budget of %g: no model is written", st->budget));
            st->best_only = st->keep_best != NULL;
            code = VD_EXIT_NO;
        }
    }
    vd_budget_free(&b);
    vd_free(layer);
    vd_onnx_free(&q);
    return rc ? vd_report(rc) : code;
}

static bool is_json(const char *path)
{
    const size_t n = strlen(path);
    return n > 5 && !strcmp(path + n - 5, ".json");
}

/* What equalisation and bias correction each do. The form that is not made, with equalisation or without, is calibrated too, from the same sources. */
static int show_effect(struct vd_quantize_job *j, struct vd_quant_measure *measure)
{
    struct vd_static_job *st = j->st;
    struct vd_calibrated other = {0};
    struct vd_calibrate_args a = st->calibrate;
    const bool equalised = st->made.c.n_group > 0;
    bool have_other = true;
    int rc = 0;
    for (int i = 0; i < a.n_source; i++) {
        if (is_json(a.source[i]) || !strcmp(a.source[i], "-"))
            have_other = false; /* there is nothing to calibrate it with */
    }
    if (have_other) {
        a.equalize = !equalised;
        a.equalize_set = false;
        const int code = vd_calibrate(&j->source, j->file.sha256, &a, &j->run, NULL, NULL, &other);
        if (code) {
            vd_calibrated_free(&other);
            return code;
        }
    }
    printf("  %-14s  %-15s  %10s  %8s\n", "equalisation", "bias correction", "drop", "SQNR dB");
    for (int k = 0; k < 4 && !rc; k++) {
        struct vd_static_opts o = st->o;
        struct vd_onnx_model q;
        struct vd_static_report rep;
        struct vd_quant_effect e;
        const bool equal = k & 1, corrected = k & 2;
        const struct vd_calibrated *from = equal == equalised ? &st->made : &other;
        if (from == &other && (!have_other || equal != (other.c.n_group > 0)))
            continue;
        o.calibration = &from->c;
        o.no_bias_correction = !corrected;
        if (!(rc = vd_quantize_static(from->model, &o, &q, &rep))) {
            rc = vd_quant_measure_model(measure, &q, &e);
            vd_onnx_free(&q);
        }
        if (!rc)
            printf("  %-14s  %-15s  %10.6f  %8.2f\n", equal ? "yes" : "no", corrected ? "yes" : "no", e.drop, e.sqnr_db);
    }
    vd_calibrated_free(&other);
    return rc ? vd_report(rc) : VD_EXIT_OK;
}

/* --- the whole */

/* What was seen, as a file if it is to be kept, and named for the registry in any case: the file's name, or that of the only source, or how
 * many there were. */
static int save(struct vd_static_job *st)
{
    struct vd_buf b = {0};
    char sha256[65];
    int rc = vd_calib_write(&st->made.c, &b);
    if (!rc && st->save)
        rc = vd_file_write(st->save, b.data, b.size);
    if (!rc) {
        const struct vd_calibrate_args *a = &st->calibrate;
        const char *path = st->save ? st->save : a->n_source == 1 ? a->source[0] : NULL, *slash = path ? strrchr(path, '/') : NULL;
        vd_sha256_hex(b.data, b.size, sha256);
        if (path)
            snprintf(st->calibration_set, sizeof(st->calibration_set), "%.160s sha256:%s", slash ? slash + 1 : path, sha256);
        else
            snprintf(st->calibration_set, sizeof(st->calibration_set), "%d source%s sha256:%s", a->n_source, vd_s(a->n_source), sha256);
    }
    vd_free(b.data);
    return rc ? vd_report_output(rc) : VD_EXIT_OK;
}

static int measured(struct vd_quantize_job *j, struct vd_quant_measure *m)
{
    struct vd_static_job *st = j->st;
    int rc = 0, code = VD_EXIT_OK;
    m->kernels = st->made.kernels;
    m->workers = st->made.workers;
    if (!m->n) { /* calibrated from a file */
        struct vd_frames_done done;
        rc = vd_frames_read("synthetic", &j->source, &st->calibrate.frames, vd_quant_measure_frame, m, &done);
        if (rc)
            return vd_report(vd_context(rc, "there are no frames to measure on, give clips besides the calibration file"));
    }
    if ((rc = vd_quant_measure_baseline(m)))
        return vd_report(rc);
    if (st->budget >= 0)
        code = search(j, m);
    if ((!code || (code == VD_EXIT_NO && st->best_only)) && st->effect) {
        const int shown = show_effect(j, m);
        code = shown ? shown : code;
    }
    return code;
}

/* Tails that nobody asked for, and no layer of this model can have: bytes alone then, as where they are refused. */
static int settle_tails(const struct vd_cmd *c, struct vd_quantize_job *j)
{
    struct vd_static_job *st = j->st;
    struct vd_onnx_model q;
    struct vd_static_report rep;
    if (st->form_set || !st->o.tails_all)
        return 0;
    const int rc = vd_quantize_static(st->made.model, &st->o, &q, &rep);
    bool any = rc != 0;
    for (int i = 0; !rc && i < rep.n_layer; i++)
        any |= rep.layer[i].tails;
    if (!rc)
        vd_onnx_free(&q);
    if (any)
        return rc;
    vd_static_form(st, false);
    if (!j->quiet)
        vd_say(c, "no layer of this model can read tails: bytes alone, ranges by %s", vd_range_method_name(st->o.method));
    return 0;
}

int vd_static_job(const struct vd_cmd *c, struct vd_quantize_job *j)
{
    struct vd_static_job *st = j->st;
    struct vd_quant_measure m;
    json_t *json = NULL;
    int rc = mark_nodes(st, &j->source);
    if (!rc && st->overrides)
        rc = read_overrides(st, &json);
    if (rc) {
        json_decref(json);
        return vd_report(rc);
    }
    if (j->file.sidecar.json) {
        st->calibrate.frames.synthetic_w = j->file.sidecar.row.size_w;
        st->calibrate.frames.synthetic_h = j->file.sidecar.row.size_h;
    }
    vd_quant_measure_init(&m, &j->source, NULL, NULL);
    const bool measures = st->budget >= 0 || st->effect;
    int code = vd_calibrate(&j->source, j->file.sha256, &st->calibrate, &j->run, measures ? vd_quant_measure_frame : NULL, &m, &st->made);
    st->o.calibration = &st->made.c;
    st->o.source_sha256 = j->file.sha256;
    if (!code)
        code = save(st);
    if (!code && (rc = settle_tails(c, j)))
        code = vd_report(vd_context(rc, "%s", j->file.fp32_path));
    if (!code && measures)
        code = measured(j, &m);
    if (!code || (code == VD_EXIT_NO && st->best_only)) {
        rc = vd_quantize_static(st->made.model, &st->o, &j->result, &st->report);
        if (rc)
            code = vd_report(vd_context(rc, "%s", j->file.fp32_path));
    }
    vd_quant_measure_free(&m);
    json_decref(json);
    return code;
}

void vd_static_job_free(struct vd_static_job *st)
{
    vd_calibrated_free(&st->made);
    vd_free(st->override);
    vd_free(st->fp32);
    vd_free(st->wide);
    vd_free(st->tail);
}
