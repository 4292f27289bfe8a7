/* SPDX-License-Identifier: BSD-2-Clause */
#include "train_export.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"
#include "model_parts.h"
#include "session.h"
#include "train_qat.h"

int vd_train_paths(struct vd_train_paths *p, const char *folder, const char *id, bool qat)
{
    static const char *const suffix[][2] = {{".onnx", ".onnx"}, {".int8.onnx", ".int8.onnx"}, {".json", ".json"}, {".md", ".qat.md"}, {".train.jsonl", ".qat.jsonl"},
                                            {".loss.svg", ".qat.svg"}, {".checkpoint", ".qat.checkpoint"}};
    char *const dst[] = {p->onnx, p->int8, p->sidecar, p->card, p->log, p->curve, p->checkpoint};
    for (size_t i = 0; i < sizeof(dst) / sizeof(dst[0]); i++)
        if (snprintf(dst[i], VD_MAX_PATH, "%s/%s%s", folder, id, suffix[i][qat]) >= VD_MAX_PATH)
            return vd_fail(ENAMETOOLONG, "%.100s...: the folder's path is too long", folder);
    return snprintf(p->registry, VD_MAX_PATH, "%s/registry.json", folder) < VD_MAX_PATH ? 0 : vd_fail(ENAMETOOLONG, "the folder's path is too long");
}

int vd_train_draw(const struct vd_train_log *l, const struct vd_train_config *c, const char *path)
{
    char title[128];
    const bool filter = strcmp(c->kind, "nr");
    snprintf(title, sizeof(title), "%s of %s", c->qat.on ? "Quantisation-aware training" : "Training", c->id);
    return vd_train_log_draw(l, path, title, filter ? "gain_db" : "srocc", filter ? "validation: PSNR gain, dB" : "validation: SROCC");
}

/* A line about the figures, for notes. */
static void figures(const struct vd_train_export *e, const struct vd_train_verdict *v, char *dst, size_t size)
{
    char plcc[VD_FIGURE], srocc[VD_FIGURE];
    if (strcmp(e->config->kind, "nr"))
        snprintf(dst, size, "Trained on %d picture%s; on %d validation picture%s PSNR %.2f dB degraded, %.2f dB filtered, mean gain %.3f dB.", e->train->n,
                 vd_s(e->train->n), v->n, vd_s(v->n), v->degraded, v->filtered, v->gain);
    else
        snprintf(dst, size, "Trained on %d picture%s; on %d validation picture%s PLCC %s, SROCC %s, RMSE %.3f.", e->train->n, vd_s(e->train->n), v->n, vd_s(v->n), vd_figure(plcc, 4, v->plcc),
                 vd_figure(srocc, 4, v->srocc), v->rmse);
}

/* NULL where there was no room for all of it. */
static json_t *whole(json_t *o, int bad)
{
    if (!bad)
        return o;
    json_decref(o);
    return NULL;
}

static json_t *contract(const struct vd_onnx_value *v, int side, bool filter, bool input, bool windows)
{
    json_t *o = json_pack("{s:s}", "name", v->name);
    int bad = !o;
    if (filter || input)
        bad |= json_object_set_new(o, "range", json_pack("[i,i]", 0, 1));
    if (input) {
        bad |= json_object_set_new(o, "width", json_integer(side));
        bad |= json_object_set_new(o, "height", json_integer(side));
    }
    if (input && !filter)
        bad |= json_object_set_new(o, "resize", json_string(windows ? "windows" : "area"));
    return whole(o, bad);
}

/* What row and sidecar both say. int8: of the int8 file; NULL: there is none. */
static json_t *common_keys(const struct vd_train_export *e, const struct vd_onnx_model *m, const char *sha256, const char *int8, const char *notes)
{
    char onnx[80];
    snprintf(onnx, sizeof(onnx), "%s.onnx", e->config->id);
    return json_pack("{s:s,s:s,s:s,s:i,s:s,s:s?,s:s?,s:s}", "id", e->config->id, "kind", e->config->kind, "onnx", onnx, "opset", m->opset, "sha256",
                     sha256, "quant_mode", int8 ? vd_quant_mode_name(VD_QUANT_QAT) : NULL, "int8_sha256", int8, "notes", notes);
}

static json_t *sidecar(const struct vd_train_export *e, const struct vd_onnx_model *m, json_t *shared)
{
    const struct vd_train_config *c = e->config;
    const bool filter = strcmp(c->kind, "nr");
    json_t *o = json_copy(shared);
    int bad = json_object_size(o) != json_object_size(shared); /* json_copy() leaves out what there is no memory for */
    bad |= json_object_set_new(o, "input", contract(&m->in[0], filter ? 224 : e->train->side, filter, true, c->windows));
    bad |= json_object_set_new(o, "output", contract(&m->out[0], 0, filter, false, false));
    if (filter && !c->train[0].degraded && (c->blur > 0 || c->jpeg)) {
        json_t *d = json_object();
        if (c->blur > 0)
            bad |= json_object_set_new(d, "blur_sigma", json_real(c->blur));
        if (c->jpeg)
            bad |= json_object_set_new(d, "jpeg_quality", json_integer(c->jpeg));
        bad |= json_object_set_new(o, "degradation", d);
    }
    return whole(o, bad);
}

/* What the row says besides. */
static int say_more(json_t *row, const struct vd_train_config *c)
{
    int bad = 0;
    if (c->license)
        bad |= json_object_set_new(row, "license", json_string(c->license));
    if (c->description)
        bad |= json_object_set_new(row, "description", json_string(c->description));
    return bad ? vd_nomem(0) : 0;
}

/* --- the card */

static void put(struct vd_buf *b, const char *fmt, ...) VD_PRINTF(2, 3);
static void put(struct vd_buf *b, const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    vd_put(b, text, n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

static void put_sources(struct vd_buf *b, const char *what, const struct vd_train_source *s, int n, int pictures)
{
    put(b, "%s, %d picture%s:\n\n", what, pictures, vd_s(pictures));
    for (int i = 0; i < n; i++)
        put(b, "* `%s`%s%s%s\n", s[i].said[0], s[i].said[1] ? " with `" : "", s[i].said[1] ? s[i].said[1] : "", s[i].said[1] ? "`" : "");
    put(b, "\n");
}

static int put_text(const char *s, size_t n, void *b)
{
    vd_put(b, s, n);
    return 0;
}

/* All that decides the weights, but the data itself. */
static void put_configuration(struct vd_buf *b, const struct vd_train_config *c)
{
    put(b, "## Configuration\n\n```json\n");
    if (json_dump_callback(c->json, put_text, b, JSON_INDENT(2) | JSON_REAL_PRECISION(9)))
        b->bad = true;
    put(b, "\n```\n\n");
}

/* Whether a validation source is a training source too, by its path. */
static const char *unseen(const struct vd_train_config *c)
{
    for (int i = 0; i < c->n_train; i++)
        for (int k = 0; k < c->n_validation; k++)
            if (!strcmp(c->train[i].clean, c->validation[k].clean))
                return "in part on data that it was trained on";
    return "on data that training has not seen";
}

static void put_worth(struct vd_buf *b, const struct vd_train_verdict *v, bool filter)
{
    char why[256];
    const enum vd_train_worth worth = vd_train_worth(v, filter, why, sizeof(why));
    if (worth != VD_TRAIN_HELPS)
        put(b, "**%s**: %s.\n\n", worth == VD_TRAIN_HARMS ? "Does harm" : "Cannot be judged", why);
}

static int write_card(const struct vd_train_export *e, const struct vd_train_verdict *v, const struct vd_onnx_model *m, const char *sha256)
{
    struct vd_parts parts;
    const int found = vd_parts_find(&parts, m);
    if (found)
        return found;
    const struct vd_train_config *c = e->config;
    struct vd_buf b = {0};
    const json_t *last = json_array_get(e->log->lines, json_array_size(e->log->lines) - 1);
    const bool filter = strcmp(c->kind, "nr");
    char plcc[VD_FIGURE], srocc[VD_FIGURE];

    put(&b, "# %s\n\n%s\n\nWritten by `vmaf-dnn train`; figures are measured, %s.\n\n", c->id,
        c->description ? c->description : filter ? "A luma filter." : "A score of a picture, without a reference.", unseen(c));
    if (!filter)
        put(&b, "Scores are those that the list of labels gives, and mean what they mean: where the labels are another metric's, this model imitates that metric, "
                "and no person's opinion is in it.\n\n");
    put(&b, "| | |\n|---|---|\n| sha256 | `%s` |\n| weights | %zu |\n| kind | %s |\n| licence | %s |\n| steps | %llu of %d sample%s; best at %llu |\n"
            "| time | %.0f s |\n| seed | %llu |\n\n",
        sha256, parts.weights, c->kind, c->license ? c->license : "not said", (unsigned long long)c->opts.steps, c->batch, vd_s(c->batch),
        (unsigned long long)e->trainer->best_step, json_number_value(json_object_get(last, "seconds")), (unsigned long long)c->seed);
    put(&b, "## Data\n\n");
    put_sources(&b, "Training", c->train, c->n_train, e->train->n);
    put_sources(&b, "Validation", c->validation, c->n_validation, e->validation->n);
    if (filter && !c->train[0].degraded)
        put(&b, "Degraded: shrink %g, blur sigma %g, noise %g, JPEG quality %d (what is 1 or 0 is not done).\n\n", c->shrink, c->blur, c->noise, c->jpeg);
    put(&b, "## Figures\n\n");
    if (filter)
        put(&b, "| whole validation pictures, 8 bits | mean | least | most |\n|---|---|---|---|\n| PSNR degraded, dB | %.2f | | |\n| PSNR filtered, dB | %.2f | | |\n"
                "| gain, dB | %.3f | %.3f | %.3f |\n\n", v->degraded, v->filtered, v->gain, v->gain_min, v->gain_max);
    else
        put(&b, "| validation | |\n|---|---|\n| PLCC | %s |\n| SROCC | %s |\n| RMSE | %.3f |\n\n", vd_figure(plcc, 4, v->plcc), vd_figure(srocc, 4, v->srocc),
            v->rmse);
    put_worth(&b, v, filter);
    put_configuration(&b, c);
    put(&b, "## Limits\n\n%s\n", filter ? "Made for the damage above: on clean pictures, and on other damage, it may do harm. Measure before use: `vmaf-dnn gate --clip`."
                     : c->windows ? "Made for clips like those above. A score is of one frame, and the mean over windows of it at its own samples."
                                  : "Made for clips like those above. A score is of one frame; frames are brought to the model's size by area.");
    const int rc = b.bad ? vd_nomem(b.size) : vd_file_write(e->path->card, b.data, b.size);
    vd_parts_free(&parts);
    vd_free(b.data);
    return rc;
}

int vd_train_export(const struct vd_train_export *e, struct vd_train_verdict *v)
{
    struct vd_onnx_model m;
    struct vd_buf bytes = {0};
    char sha256[65], notes[512];
    int rc = vd_net_store(e->net, e->trainer->best, e->trainer->best_state, &m);
    if (rc)
        return rc;
    json_t *shared = NULL, *own = NULL;
    bool listed = false;
    if ((rc = vd_onnx_write(&m, &bytes)) || (rc = vd_train_judge(e->validation, bytes.data, bytes.size, 0, true, e->workers, NULL, v)))
        goto done;
    vd_sha256_hex(bytes.data, bytes.size, sha256);
    figures(e, v, notes, sizeof(notes));
    shared = common_keys(e, &m, sha256, NULL, notes);
    own = shared ? sidecar(e, &m, shared) : NULL;
    if (!own) {
        rc = vd_nomem(0);
        goto done;
    }
    if ((rc = vd_file_write(e->path->onnx, bytes.data, bytes.size)) || (rc = vd_sidecar_put(e->path->sidecar, own)) || (rc = write_card(e, v, &m, sha256)))
        goto done;
    if (!(rc = say_more(shared, e->config)) && !(rc = vd_file_there(e->path->registry, &listed)) && listed)
        rc = vd_registry_put(e->path->registry, shared, e->path->sidecar);
done:
    json_decref(shared);
    json_decref(own);
    vd_free(bytes.data);
    vd_onnx_free(&m);
    return rc;
}

/* --- quantisation-aware */

static const struct vd_trusted nobody; /* what this command writes need not be signed yet */

static int other_digest(const char *path, const struct vd_row *row, const char *sha256)
{
    if (!row || !row->sha256 || !strcmp(row->sha256, sha256))
        return 0;
    return vd_fail(EINVAL, "%s has %s with another digest than net.from has: pin that one first, or give another folder or id", path, row->onnx);
}

int vd_train_check_qat(const struct vd_train_paths *p, const char *id, const uint8_t *fp32, size_t size)
{
    struct vd_sidecar side;
    struct vd_registry r;
    char sha256[65], have[65], onnx[80];
    uint8_t *data;
    size_t n;
    bool there;
    snprintf(onnx, sizeof(onnx), "%s.onnx", id);
    vd_sha256_hex(fp32, size, sha256);
    int rc = vd_file_there(p->onnx, &there);
    if (!rc && there && !(rc = vd_file_read(p->onnx, VD_MAX_MODEL, &data, &n))) {
        vd_sha256_hex(data, n, have);
        vd_free(data);
        if (strcmp(have, sha256))
            rc = vd_fail(EINVAL, "%s is another model than net.from, and the int8 file would be taken for its own: give another folder, another id, or that file "
                                 "as net.from", p->onnx);
    }
    if (!rc && !(rc = vd_file_there(p->sidecar, &there)) && there && !(rc = vd_sidecar_load(p->sidecar, &side))) {
        rc = other_digest(p->sidecar, &side.row, sha256);
        vd_sidecar_free(&side);
    }
    if (!rc && !(rc = vd_file_there(p->registry, &there)) && there && !(rc = vd_registry_load(p->registry, &nobody, &r))) {
        rc = other_digest(p->registry, vd_registry_by_onnx(&r, onnx), sha256);
        vd_registry_free(&r);
    }
    return rc;
}

static void put_figures(struct vd_buf *b, const struct vd_train_verdict v[VD_QAT_FORMS], bool filter)
{
    static const char *const names[VD_QAT_FORMS] = {"fp32", "static, same calibration", "trained (written)"};
    put(b, filter ? "| whole validation pictures, 8 bits | gain, dB | least | most | loss, dB | drop |\n|---|---|---|---|---|---|\n"
                  : "| validation | PLCC | SROCC | RMSE | drop |\n|---|---|---|---|---|\n");
    for (int i = 0; i < VD_QAT_FORMS; i++) {
        char x[2][VD_FIGURE];
        put(b, "| %s | %s | %s | %.3f | ", names[i], vd_figure(x[0], filter ? 3 : 4, filter ? v[i].gain : v[i].plcc),
            vd_figure(x[1], filter ? 3 : 4, filter ? v[i].gain_min : v[i].srocc), filter ? v[i].gain_max : v[i].rmse);
        if (filter)
            put(b, i ? "%.3f | " : " | ", v[0].gain - v[i].gain);
        put(b, i ? "%s |\n" : " |\n", vd_figure(x[0], 6, v[i].drop));
    }
    put(b, "\nDrop is 1 - PLCC of the output against the fp32 model's. What counts is `vmaf-dnn gate`.\n\n");
}

static int write_qat_card(const struct vd_train_qat_export *x, const struct vd_train_verdict v[VD_QAT_FORMS], const char *sha256)
{
    const struct vd_train_config *c = x->e->config;
    const json_t *lines = x->e->log->lines, *last = json_array_get(lines, json_array_size(lines) - 1);
    struct vd_buf b = {0};
    put(&b, "# %s, int8\n\nWritten by `vmaf-dnn train`, quantisation-aware: %s.onnx was trained further with the roundings of the static form in its way, and this is "
            "the int8 file of that. Figures are measured, %s.\n\n", c->id, c->id, unseen(c));
    put(&b, "| | |\n|---|---|\n| sha256 of %s.int8.onnx | `%s` |\n| of the fp32 model | `%s` |\n| steps | %llu of %d sample%s; best at %llu |\n| time | %.0f s |\n| seed | %llu |\n"
            "| ranges | %s |\n| target | %g of the fp32 model's output, %g of the data |\n| noise | %g of the samples |\n\n",
        c->id, sha256, x->q->source_sha256, (unsigned long long)c->opts.steps, c->batch, vd_s(c->batch), (unsigned long long)x->e->trainer->best_step,
        json_number_value(json_object_get(last, "seconds")), (unsigned long long)c->seed,
        c->qat.ranges == VD_RANGES_LEARNED ? "learned" : c->qat.ranges == VD_RANGES_AVERAGE ? "moving averages" : "of the calibration", c->qat.teacher,
        1 - c->qat.teacher, c->qat.noise);
    put(&b, "## Data\n\n");
    put_sources(&b, "Training", c->train, c->n_train, x->e->train->n);
    put_sources(&b, "Validation", c->validation, c->n_validation, x->e->validation->n);
    put(&b, "## Figures\n\n");
    put_figures(&b, v, strcmp(c->kind, "nr"));
    put_worth(&b, &v[VD_QAT_TRAINED], strcmp(c->kind, "nr"));
    put_configuration(&b, c);
    const int rc = b.bad ? vd_nomem(b.size) : vd_file_write(x->e->path->card, b.data, b.size);
    vd_free(b.data);
    return rc;
}

/* File, sidecar, registry, in this order: until the last is written the digests do not agree, and nothing opens. */
static int pin(const struct vd_train_qat_export *x, const char *sha256, const struct vd_train_verdict *v)
{
    const struct vd_train_paths *p = x->e->path;
    struct vd_registry r = {0};
    char notes[512], onnx[80], said[3][VD_FIGURE];
    snprintf(onnx, sizeof(onnx), "%s.onnx", x->e->config->id);
    const struct vd_train_config *c = x->e->config;
    const bool filter = strcmp(c->kind, "nr");
    snprintf(notes, sizeof(notes), "int8 by quantisation-aware training on %d picture%s; on %d validation picture%s %s %s in fp32, %s in int8, drop %s.",
             x->e->train->n, vd_s(x->e->train->n), v->n, vd_s(v->n), filter ? "mean gain dB" : "PLCC", vd_figure(said[0], 3, filter ? v[VD_QAT_FP32].gain : v[VD_QAT_FP32].plcc),
             vd_figure(said[1], 3, filter ? v[VD_QAT_TRAINED].gain : v[VD_QAT_TRAINED].plcc), vd_figure(said[2], 6, v[VD_QAT_TRAINED].drop));
    json_t *shared = common_keys(x->e, x->model, x->q->source_sha256, sha256, notes), *own = shared ? sidecar(x->e, x->model, shared) : NULL;
    bool there = false;
    int rc = own ? vd_file_there(p->sidecar, &there) : vd_nomem(0);
    if (!rc)
        rc = there ? vd_sidecar_set_quant(p->sidecar, VD_QUANT_QAT, sha256) : vd_sidecar_put(p->sidecar, own);
    if (!rc && !(rc = say_more(shared, c)) && !(rc = vd_file_there(p->registry, &there)) && there && !(rc = vd_registry_load(p->registry, &nobody, &r))) {
        const struct vd_row *row = vd_registry_by_onnx(&r, onnx);
        if (!(rc = other_digest(p->registry, row, x->q->source_sha256)))
            rc = row ? vd_registry_set_quant(p->registry, onnx, VD_QUANT_QAT, sha256, p->sidecar, NULL) : vd_registry_put(p->registry, shared, p->sidecar);
        vd_registry_free(&r);
    }
    json_decref(shared);
    json_decref(own);
    return rc ? vd_context(rc, "%s is written, but not pinned", p->int8) : 0;
}

int vd_train_export_qat(const struct vd_train_qat_export *x, struct vd_train_verdict v[VD_QAT_FORMS])
{
    const struct vd_train_export *e = x->e;
    struct vd_buf bytes[VD_QAT_FORMS] = {{0}};
    struct vd_train_outputs fp32 = {0};
    char sha256[65];
    int rc = vd_onnx_write(x->model, &bytes[VD_QAT_FP32]);
    if (!rc)
        rc = vd_train_qat_static(x->q, x->model, &bytes[VD_QAT_STATIC]);
    if (!rc)
        rc = vd_train_qat_file(x->q, e->net, e->trainer->best, e->trainer->best_state, &bytes[VD_QAT_TRAINED]);
    for (int i = 0; i < VD_QAT_FORMS && !rc; i++)
        rc = vd_train_judge(e->validation, bytes[i].data, bytes[i].size, 0, true, e->workers, &fp32, &v[i]);
    if (!rc)
        rc = vd_session_try(bytes[VD_QAT_TRAINED].data, bytes[VD_QAT_TRAINED].size, NULL);
    bool there = false;
    if (!rc && !(rc = vd_file_there(e->path->onnx, &there)) && !there)
        rc = vd_file_write(e->path->onnx, x->fp32, x->fp32_size);
    if (!rc) {
        vd_sha256_hex(bytes[VD_QAT_TRAINED].data, bytes[VD_QAT_TRAINED].size, sha256);
        rc = write_qat_card(x, v, sha256);
    }
    if (!rc)
        rc = vd_file_write(e->path->int8, bytes[VD_QAT_TRAINED].data, bytes[VD_QAT_TRAINED].size);
    if (!rc)
        rc = pin(x, sha256, v);
    for (int i = 0; i < VD_QAT_FORMS; i++)
        vd_free(bytes[i].data);
    vd_free(fp32.v);
    return rc;
}
