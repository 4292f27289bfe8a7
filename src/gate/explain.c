/* SPDX-License-Identifier: BSD-2-Clause */
#include "gate/explain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/random.h"
#include "common/status.h"
#include "gate/pair.h"

enum { DEFAULT_SIZE = 224 };

double vd_sqnr(const struct vd_compare *c)
{
    const double signal = c->m2_a + (double)c->n * c->mean_a * c->mean_a;
    if (!c->n || c->nonfinite_a || c->nonfinite_b)
        return NAN;
    return c->sum_sq > 0 ? 10 * log10(signal / c->sum_sq) : INFINITY;
}

/* --- samples */

static int shown_size(const struct vd_gate_result *r, bool height)
{
    for (int i = 0; i < r->n_set; i++)
        if (r->set[i].kind == VD_SET_PICTURES && r->set[i].w)
            return height ? r->set[i].h : r->set[i].w;
    return DEFAULT_SIZE;
}

/* Where a window of w x h begins that has the largest difference in its middle, as far as the picture goes. */
static void window(const struct vd_kept *k, int w, int h, size_t *x, size_t *y)
{
    size_t at = (size_t)(k->h / 2) * (size_t)k->w + (size_t)k->w / 2;
    double worst = -1;
    for (size_t i = 0; k->n_result == (size_t)k->w * (size_t)k->h && i < k->n_result; i++) {
        const double d = fabs((double)k->result[0][i] - (double)k->result[1][i]);
        if (!(d <= worst))
            worst = isnan(d) ? INFINITY : d, at = i;
    }
    const int cx = (int)(at % (size_t)k->w) - w / 2, cy = (int)(at / (size_t)k->w) - h / 2;
    *x = (size_t)(cx < 0 ? 0 : cx > k->w - w ? k->w - w : cx);
    *y = (size_t)(cy < 0 ? 0 : cy > k->h - h ? k->h - h : cy);
}

int vd_explain_sample(const struct vd_gate_result *r, int kept, struct vd_arena *a, struct vd_tensor **out)
{
    const struct vd_kept *k = &r->kept[kept];
    const int w = shown_size(r, false) < k->w ? shown_size(r, false) : k->w, h = shown_size(r, true) < k->h ? shown_size(r, true) : k->h;
    struct vd_tensor *in = *out = vd_arena_array(a, r->n_in + 1, sizeof(*in));
    size_t x0 = 0, y0 = 0;
    if (!in)
        return vd_nomem(sizeof(*in));
    if (k->w)
        window(k, w, h, &x0, &y0);
    for (size_t i = 0; i < r->n_in; i++) {
        const vmaf_dnn_input *from = &k->in[i];
        struct vd_tensor *t = &in[i];
        *t = (struct vd_tensor){.type = VD_F32, .rank = from->rank};
        memcpy(t->dim, from->shape, (size_t)from->rank * sizeof(*t->dim));
        const bool cut = k->w && (w < k->w || h < k->h);
        if (cut)
            t->dim[2] = h, t->dim[3] = w;
        t->data = vd_arena_array(a, vd_tensor_count(t) + 1, sizeof(float));
        if (!t->data)
            return vd_nomem(vd_tensor_bytes(t));
        if (!cut) {
            memcpy(t->data, from->data, vd_tensor_bytes(t));
            continue;
        }
        for (size_t y = 0; y < (size_t)h; y++)
            memcpy((float *)t->data + y * (size_t)w, (const float *)from->data + (y0 + y) * (size_t)k->w + x0, (size_t)w * sizeof(float));
    }
    return 0;
}

/* --- one sample through all probes */

struct bench {
    struct vd_explain *e;
    const struct vd_kernels *k;
    struct vd_workers *w;
    struct vd_probe fp32, int8;
    struct vd_probe_value *fp32_in;     /* the model's inputs, and room for one more */
    struct vd_probe_value *fp32_out;    /* by point that is no input, then the model's outputs */
    int n_points_out;
    int *out_of;                        /* by point: output of the fp32 probe; -1 - i: the model's input i */
    const struct vd_tensor **feed;      /* room for all points */
    struct vd_probe_value *feed_value;
    struct vd_tensor *in;               /* the sample */
};

static const struct vd_tensor *value(const struct bench *b, int point)
{
    const int at = b->out_of[point];
    return at < 0 ? &b->in[-1 - at] : vd_probe_output(&b->fp32, at);
}

static bool comparable(const struct vd_tensor *a, const struct vd_tensor *b)
{
    return a->type == VD_F32 && b->type == VD_F32 && vd_tensor_count(a) == vd_tensor_count(b);
}

static void compare(struct vd_compare *c, const struct vd_tensor *a, const struct vd_tensor *b)
{
    vd_compare_add(c, a->data, b->data, vd_tensor_count(a));
}

/* What a probe said where it would not run; a shortage of memory is one of the whole. */
static int say_why(struct bench *b, struct vd_cost *c, int rc)
{
    if (rc == -ENOMEM)
        return rc;
    if (!c->why) {
        c->why = vd_arena_str(&b->e->arena, vd_reason(), strlen(vd_reason()));
        if (!c->why)
            return vd_nomem(0);
    }
    return 0;
}

/* The model's outputs when layer c alone is int8: the fp32 graph goes on from what came of it. */
static int effect(struct bench *b, struct vd_cost *c, const struct vd_tensor *made)
{
    const struct vd_onnx_model *m = &b->e->model[VD_FP32];
    struct vd_probe p;
    b->fp32_in[m->n_in] = (struct vd_probe_value){.name = b->e->layers.point[c->layer->out].fp32};
    int rc = vd_probe_open(&p, m, b->fp32_in, m->n_in + 1, b->fp32_out + b->n_points_out, m->n_out, b->k, b->w);
    if (rc)
        return say_why(b, c, rc);
    for (int i = 0; i < m->n_in; i++)
        b->feed[i] = &b->in[i];
    b->feed[m->n_in] = made;
    if (!(rc = vd_probe_run(&p, b->feed))) {
        c->has_effect = true;
        for (int i = 0; i < m->n_out; i++) {
            const struct vd_tensor *x = vd_probe_output(&b->fp32, b->n_points_out + i), *y = vd_probe_output(&p, i);
            if (comparable(x, y))
                compare(&c->effect, x, y);
        }
    }
    vd_probe_close(&p);
    return rc ? say_why(b, c, rc) : 0;
}

static int alone(struct bench *b, struct vd_cost *c)
{
    const struct vd_layer *l = c->layer;
    const struct vd_tensor *want = value(b, l->out);
    struct vd_probe p;
    if (want->type != VD_F32)
        return 0;
    for (int i = 0; i < l->n_in; i++) {
        b->feed[i] = value(b, l->in[i]);
        b->feed_value[i] = b->e->layers.point[l->in[i]].int8;
        b->feed_value[i].type = b->feed[i]->type;
    }
    int rc = vd_probe_open(&p, &b->e->model[VD_INT8], b->feed_value, l->n_in, &b->e->layers.point[l->out].int8, 1, b->k, b->w);
    if (rc)
        return say_why(b, c, rc);
    rc = vd_probe_run(&p, b->feed);
    const struct vd_tensor *made = rc ? NULL : vd_probe_output(&p, 0);
    if (rc)
        rc = say_why(b, c, rc);
    else if (comparable(want, made)) {
        c->elements = vd_tensor_count(want);
        c->has_alone = true;
        compare(&c->alone, want, made);
        rc = effect(b, c, made);
    }
    vd_probe_close(&p);
    return rc;
}

static int cumulative(struct bench *b)
{
    const struct vd_onnx_model *m = &b->e->model[VD_INT8];
    for (int i = 0; i < m->n_in; i++)
        b->feed[i] = &b->in[i];
    const int rc = vd_probe_run(&b->int8, b->feed);
    for (int i = 0; i < b->e->n_cost; i++) {
        struct vd_cost *c = &b->e->cost[i];
        if (rc) {
            const int failed = say_why(b, c, rc);
            if (failed)
                return failed;
            continue;
        }
        const struct vd_tensor *want = value(b, c->layer->out), *made = vd_probe_output(&b->int8, i);
        if (comparable(want, made)) {
            c->has_cumulative = true;
            compare(&c->cumulative, want, made);
        }
    }
    return 0;
}

static const struct vd_tensor *range_value(const struct bench *b, const struct vd_range *r)
{
    for (int p = 0; p < b->e->layers.n_point; p++)
        if (!strcmp(b->e->layers.point[p].fp32, r->rounded->fp32))
            return value(b, p);
    return NULL;
}

static void widen(struct vd_range *r, const struct vd_tensor *t)
{
    const float *v = t->data;
    const size_t n = vd_tensor_count(t);
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(v[i]))
            continue;
        if (!r->n || (double)v[i] < r->lo)
            r->lo = (double)v[i];
        if (!r->n || (double)v[i] > r->hi)
            r->hi = (double)v[i];
        r->n++;
    }
}

/* Half a step beyond the ends still rounds to them. */
static bool is_outside(const struct vd_range *r, double v)
{
    const double step = (r->rounded->hi - r->rounded->lo) / 255;
    return !r->rounded->dynamic && (v < r->rounded->lo - step / 2 || v > r->rounded->hi + step / 2);
}

static void count_noise(struct vd_range *r, const struct vd_tensor *t)
{
    const float *v = t->data;
    const size_t n = vd_tensor_count(t);
    for (size_t i = 0; i < n; i++)
        if (isfinite(v[i])) {
            r->noise_n++;
            r->noise_outside += is_outside(r, (double)v[i]);
        }
}

static void count(struct vd_range *r, const struct vd_tensor *t)
{
    const float *v = t->data;
    const size_t n = vd_tensor_count(t);
    const double per = VD_BINS / (r->bin_hi - r->bin_lo);
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(v[i]))
            continue;
        const int k = (int)(((double)v[i] - r->bin_lo) * per);
        r->bin[k < 0 ? 0 : k >= VD_BINS ? VD_BINS - 1 : k]++;
        r->outside += is_outside(r, (double)v[i]);
    }
}

static int run_fp32(struct bench *b, const struct vd_gate_result *r, int kept, struct vd_arena *a)
{
    int rc = vd_explain_sample(r, kept, a, &b->in);
    for (int i = 0; !rc && i < b->e->model[VD_FP32].n_in; i++)
        b->feed[i] = &b->in[i];
    return rc ? rc : vd_probe_run(&b->fp32, b->feed);
}

/* Noise as the record's, numpy.random.default_rng(0).random(), in the shapes of the first sample. */
static int measure_noise(struct bench *b, const struct vd_gate_result *r)
{
    struct vd_explain *e = b->e;
    struct vd_arena a = {0};
    struct vd_rng rng;
    vd_rng_seed(&rng, 0);
    int rc = r->n_kept ? vd_explain_sample(r, 0, &a, &b->in) : 0;
    for (int s = 0; !rc && r->n_kept && s < VD_EXPLAIN_NOISE; s++) {
        for (int i = 0; i < e->model[VD_FP32].n_in; i++) {
            b->feed[i] = &b->in[i];
            for (size_t k = 0; k < vd_tensor_count(&b->in[i]); k++)
                ((float *)b->in[i].data)[k] = vd_rng_f32(&rng);
        }
        if ((rc = vd_probe_run(&b->fp32, b->feed)))
            break;
        for (int i = 0; i < e->n_range; i++) {
            const struct vd_tensor *t = range_value(b, &e->range[i]);
            if (t && t->type == VD_F32)
                count_noise(&e->range[i], t);
        }
    }
    vd_arena_free(&a);
    return rc;
}

static int measure(struct bench *b, const struct vd_gate_result *r)
{
    struct vd_explain *e = b->e;
    int rc = 0;
    for (int pass = 0; !rc && pass < 2; pass++) {
        for (int s = 0; !rc && s < r->n_kept; s++) {
            struct vd_arena a = {0};
            rc = run_fp32(b, r, s, &a);
            for (int i = 0; !rc && i < e->n_range; i++) {
                const struct vd_tensor *t = range_value(b, &e->range[i]);
                if (t && t->type == VD_F32)
                    (pass ? count : widen)(&e->range[i], t);
            }
            if (!rc && !pass)
                rc = cumulative(b);
            for (int i = 0; !rc && !pass && i < e->n_cost; i++)
                rc = alone(b, &e->cost[i]);
            vd_arena_free(&a);
        }
        for (int i = 0; i < e->n_range; i++) {
            struct vd_range *g = &e->range[i];
            const bool fixed = !g->rounded->dynamic;
            g->bin_lo = fixed ? fmin(g->lo, g->rounded->lo) : g->lo;
            g->bin_hi = fixed ? fmax(g->hi, g->rounded->hi) : g->hi;
            if (!(g->bin_hi > g->bin_lo))
                g->bin_hi = g->bin_lo + 1;
        }
    }
    return rc;
}

/* --- preparing */

static int load(struct vd_explain *e, int side, const char *path, const char *sha256)
{
    char have[65];
    size_t size;
    int rc = vd_file_read(path, VD_MAX_MODEL, &e->data[side], &size);
    if (rc)
        return rc;
    vd_sha256_hex(e->data[side], size, have);
    if (strcmp(have, sha256))
        return vd_fail(EKEYREJECTED, "%s: the file was changed while it was gated", path);
    return vd_onnx_read(&e->model[side], e->data[side], size);
}

static bool is_needed(const struct vd_explain *e, int point)
{
    bool needed = false;
    for (int i = 0; i < e->n_cost; i++) {
        const struct vd_layer *l = e->cost[i].layer;
        needed |= l->out == point;
        for (int k = 0; k < l->n_in; k++)
            needed |= l->in[k] == point;
    }
    for (int i = 0; i < e->n_range; i++)
        needed |= !strcmp(e->range[i].rounded->fp32, e->layers.point[point].fp32);
    return needed;
}

static int plan_probes(struct bench *b)
{
    struct vd_explain *e = b->e;
    const struct vd_layers *l = &e->layers;
    const struct vd_onnx_model *m = &e->model[VD_FP32], *q = &e->model[VD_INT8];
    const size_t n = (size_t)l->n_point + (size_t)m->n_in + (size_t)m->n_out + (size_t)q->n_in + (size_t)e->n_cost + 1;
    struct vd_probe_value *int8_in = vd_arena_array(&e->arena, n, sizeof(*int8_in)), *int8_out = vd_arena_array(&e->arena, n, sizeof(*int8_out));
    b->fp32_in = vd_arena_array(&e->arena, n, sizeof(*b->fp32_in));
    b->fp32_out = vd_arena_array(&e->arena, n, sizeof(*b->fp32_out));
    b->out_of = vd_arena_array(&e->arena, n, sizeof(*b->out_of));
    b->feed = vd_arena_array(&e->arena, n, sizeof(*b->feed));
    b->feed_value = vd_arena_array(&e->arena, n, sizeof(*b->feed_value));
    if (!int8_in || !int8_out || !b->fp32_in || !b->fp32_out || !b->out_of || !b->feed || !b->feed_value)
        return vd_nomem(n * sizeof(*int8_in));
    for (int i = 0; i < m->n_in; i++)
        b->fp32_in[i].name = m->in[i].name;
    for (int p = 0; p < l->n_point; p++) {
        int input = 0;
        if (!is_needed(e, p))
            continue;
        while (input < m->n_in && strcmp(m->in[input].name, l->point[p].fp32))
            input++;
        b->out_of[p] = input < m->n_in ? -1 - input : b->n_points_out;
        if (input == m->n_in)
            b->fp32_out[b->n_points_out++].name = l->point[p].fp32;
    }
    for (int i = 0; i < m->n_out; i++)
        b->fp32_out[b->n_points_out + i].name = m->out[i].name;
    for (int i = 0; i < q->n_in; i++)
        int8_in[i].name = q->in[i].name;
    for (int i = 0; i < e->n_cost; i++)
        int8_out[i] = l->point[e->cost[i].layer->out].int8;
    int rc = vd_probe_open(&b->fp32, m, b->fp32_in, m->n_in, b->fp32_out, b->n_points_out + m->n_out, b->k, b->w);
    return rc ? rc : vd_probe_open(&b->int8, q, int8_in, q->n_in, int8_out, e->n_cost, b->k, b->w);
}

static int list_costs(struct vd_explain *e)
{
    const struct vd_layers *l = &e->layers;
    e->cost = vd_arena_array(&e->arena, (size_t)l->n_layer + 1, sizeof(*e->cost));
    e->range = vd_arena_array(&e->arena, (size_t)l->n_rounded + 1, sizeof(*e->range));
    e->order = vd_arena_array(&e->arena, (size_t)l->n_layer + 1, sizeof(*e->order));
    if (!e->cost || !e->range || !e->order)
        return vd_nomem((size_t)l->n_layer * sizeof(*e->cost));
    for (int i = 0; i < l->n_layer; i++)
        if (l->layer[i].quantised)
            e->cost[e->n_cost++].layer = &l->layer[i];
    for (int i = 0; i < l->n_rounded; i++)
        e->range[e->n_range++].rounded = &l->rounded[i];
    return e->n_cost ? 0 : vd_fail(EBADMSG, "no value of the int8 graph lies behind a quantised one under the name that it has in the fp32 graph");
}

double vd_cost_drop(const struct vd_cost *c)
{
    const struct vd_compare *e = &c->effect;
    if (!c->has_effect || e->nonfinite_a || !(e->m2_a > 0))
        return NAN;
    return e->nonfinite_b || !(e->m2_b > 0) ? INFINITY : fmax(0, 1 - vd_compare_plcc(e));
}

/* Larger is dearer. */
static double dear(const struct vd_cost *c)
{
    const double drop = vd_cost_drop(c), sqnr = c->has_alone ? vd_sqnr(&c->alone) : NAN;
    return !isnan(drop) ? drop : isnan(sqnr) ? INFINITY : -sqnr * 1e-9;
}

static void sort(struct vd_explain *e)
{
    for (int i = 0; i < e->n_cost; i++) {
        int k = i;
        for (; k > 0 && dear(&e->cost[e->order[k - 1]]) < dear(&e->cost[i]); k--)
            e->order[k] = e->order[k - 1];
        e->order[k] = i;
    }
}

int vd_explain(const struct vd_gate_result *r, const struct vd_gate_opts *o, struct vd_explain *e)
{
    struct bench b = {.e = e};
    *e = (struct vd_explain){.n_sample = r->n_kept};
    int rc = load(e, VD_FP32, r->fp32_path, r->fp32_sha256);
    if (!rc)
        rc = load(e, VD_INT8, r->int8_path, r->int8_sha256);
    if (!rc)
        rc = vd_layers_match(&e->layers, &e->model[VD_FP32], &e->model[VD_INT8]);
    if (!rc)
        rc = list_costs(e);
    if (!rc)
        rc = vd_kernels_get(o->kernels, &b.k);
    if (!rc)
        rc = vd_workers_create(o->threads, &b.w);
    if (!rc)
        rc = plan_probes(&b);
    if (!rc)
        rc = measure(&b, r);
    if (!rc)
        rc = measure_noise(&b, r);
    vd_probe_close(&b.fp32);
    vd_probe_close(&b.int8);
    vd_workers_free(b.w);
    if (rc)
        vd_explain_free(e);
    else
        sort(e);
    return rc;
}

void vd_explain_free(struct vd_explain *e)
{
    vd_layers_free(&e->layers);
    for (int side = 0; side < 2; side++) {
        vd_onnx_free(&e->model[side]);
        vd_free(e->data[side]);
    }
    vd_arena_free(&e->arena);
    *e = (struct vd_explain){0};
}
