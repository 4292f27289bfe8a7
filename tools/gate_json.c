/* SPDX-License-Identifier: BSD-2-Clause */
#include "gate_report.h"

#include <math.h>

#include "gate/bound.h"

static bool lost;

bool vd_json_lost(void) { return lost; }

void vd_json_set(json_t *o, const char *key, json_t *v) { lost |= json_object_set_new(o, key, v) < 0; }

void vd_json_append(json_t *list, json_t *v) { lost |= json_array_append_new(list, v) < 0; }

void vd_json_number(json_t *o, const char *key, double v) { vd_json_set(o, key, isfinite(v) ? json_real(v) : json_null()); }

static const char *word(enum vd_verdict v) { return v == VD_PASS ? "pass" : v == VD_FAIL ? "fail" : "insufficient"; }

static void put_frame_name(json_t *o, const char *key, const struct vd_set *s, int i)
{
    char name[VD_FRAME_NAME];
    vd_json_set(o, key, json_string(vd_frame_name(name, s, i)));
}

static json_t *frames(const struct vd_set *s, const struct vd_cell *c)
{
    json_t *list = json_array();
    for (int i = 0; i < c->n; i++) {
        const struct vd_frame *f = &c->frame[i];
        json_t *o = json_object();
        put_frame_name(o, "name", s, i);
        vd_json_set(o, "finite", json_boolean(!f->c.nonfinite_a && !f->c.nonfinite_b));
        vd_json_number(o, "drop", 1 - vd_compare_plcc(&f->c));
        vd_json_number(o, "rmse", vd_compare_rmse(&f->c));
        vd_json_number(o, "worst_abs", f->c.worst_abs);
        if (c->picture) {
            vd_json_number(o, "psnr_db", f->psnr);
            vd_json_number(o, "ssim", f->ssim);
            vd_json_number(o, "gain_fp32_db", f->gain[0]);
            vd_json_number(o, "gain_int8_db", f->gain[1]);
        } else {
            vd_json_number(o, "mean_fp32", f->c.mean_a);
            vd_json_number(o, "mean_int8", f->c.mean_b);
        }
        vd_json_append(list, o);
    }
    return list;
}

static json_t *cell(const struct vd_set *s, const struct vd_cell *c)
{
    json_t *o = json_object();
    vd_json_set(o, "output", json_string(c->output));
    vd_json_number(o, "plcc", c->plcc);
    vd_json_number(o, "drop", c->drop);
    vd_json_number(o, "drop_upper_95", c->upper);
    vd_json_number(o, "srocc", c->srocc);
    vd_json_number(o, "rmse", c->rmse);
    vd_json_number(o, "mean_abs", c->mean_abs);
    vd_json_number(o, "worst_abs", c->all.worst_abs);
    vd_json_number(o, "slope", c->slope);
    vd_json_number(o, "offset", c->offset);
    put_frame_name(o, "worst", s, c->worst);
    if (c->bad >= 0)
        put_frame_name(o, "not_finite", s, c->bad);
    if (c->picture) {
        vd_json_number(o, "psnr_db", c->psnr);
        vd_json_number(o, "psnr_db_least", c->psnr_least);
        vd_json_number(o, "ssim", c->ssim);
        vd_json_number(o, "ssim_least", c->ssim_least);
        vd_json_number(o, "added_plcc", vd_compare_plcc(&c->added));
        vd_json_number(o, "gain_fp32_db", c->gain[0]);
        vd_json_number(o, "gain_int8_db", c->gain[1]);
        vd_json_number(o, "gain_loss_db", c->gain_loss);
        vd_json_number(o, "gain_loss_worst_db", c->gain_loss_worst);
    }
    vd_json_set(o, "frames", frames(s, c));
    return o;
}

static json_t *sets(const struct vd_gate_result *r)
{
    static const char *const kind[] = {[VD_SET_NOISE] = "noise", [VD_SET_PICTURES] = "pictures", [VD_SET_SOURCE] = "source"};
    json_t *list = json_array();
    for (int i = 0; i < r->n_set; i++) {
        const struct vd_set *s = &r->set[i];
        json_t *o = json_object(), *outputs = json_array();
        vd_json_set(o, "name", json_string(s->name));
        vd_json_set(o, "kind", json_string(kind[s->kind]));
        vd_json_set(o, "count", json_integer(s->n));
        for (size_t k = 0; s->cell && s->n && k < r->n_out; k++)
            vd_json_append(outputs, cell(s, &s->cell[k]));
        vd_json_set(o, "outputs", outputs);
        vd_json_append(list, o);
    }
    return list;
}

static json_t *rules(const struct vd_gate_result *r)
{
    static const char *const from[] = {"default", "registry", "given"};
    json_t *list = json_array();
    for (int i = 0; i < r->n_rule; i++) {
        const struct vd_rule *u = &r->rule[i];
        const struct vd_set *s = &r->set[u->set];
        json_t *o = json_object();
        vd_json_set(o, "rule", json_string(u->key));
        vd_json_set(o, "set", json_string(s->name));
        vd_json_set(o, "output", u->output < 0 ? json_null() : json_string(s->cell[u->output].output));
        vd_json_set(o, "verdict", json_string(word(u->verdict)));
        vd_json_number(o, "value", u->value);
        vd_json_number(o, "upper_95", u->upper);
        vd_json_number(o, "limit", u->limit);
        vd_json_set(o, "limit_from", isnan(u->limit) ? json_null() : json_string(from[u->from]));
        if (u->frame >= 0)
            put_frame_name(o, "frame", s, u->frame);
        if (u->verdict != VD_PASS)
            vd_json_set(o, "why", json_string(u->why));
        vd_json_append(list, o);
    }
    return list;
}

json_t *vd_gate_json(const struct vd_gate_result *r)
{
    json_t *o = json_object();

    vd_json_set(o, "id", json_string(r->id));
    vd_json_set(o, "verdict", json_string(r->skipped ? "skip" : word(r->verdict)));
    vd_json_set(o, "mode", json_string(r->mode));
    if (r->skipped)
        return o;
    if (r->verdict != VD_PASS)
        vd_json_set(o, "why", json_string(r->why));
    vd_json_set(o, "pinned", json_boolean(r->pinned));
    vd_json_set(o, "all_int8", json_boolean(r->all_int8));
    vd_json_set(o, "sha256", json_string(r->fp32_sha256));
    vd_json_set(o, "int8_sha256", json_string(r->int8_sha256));
    vd_json_set(o, "kernels", json_string(r->kernels));
    vd_json_number(o, "budget", r->budget);
    vd_json_number(o, "plcc", r->plcc);
    vd_json_number(o, "drop", r->drop);
    vd_json_number(o, "worst_abs", r->worst_abs);
    vd_json_number(o, "rmse", r->rmse);
    vd_json_set(o, "resamples", json_integer(VD_RESAMPLES));
    vd_json_set(o, "sets", sets(r));
    vd_json_set(o, "rules", rules(r));
    return o;
}
