/* SPDX-License-Identifier: BSD-2-Clause */
#include "train_export.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"

int vd_train_paths(struct vd_train_paths *p, const char *folder, const char *id)
{
    static const char *const suffix[] = {".onnx", ".json", ".md", ".train.jsonl", ".loss.svg", ".checkpoint"};
    char *const dst[] = {p->onnx, p->sidecar, p->card, p->log, p->curve, p->checkpoint};
    for (size_t i = 0; i < sizeof(dst) / sizeof(dst[0]); i++)
        if (snprintf(dst[i], VD_MAX_PATH, "%s/%s%s", folder, id, suffix[i]) >= VD_MAX_PATH)
            return vd_fail(ENAMETOOLONG, "%.100s...: the folder's path is too long", folder);
    return snprintf(p->registry, VD_MAX_PATH, "%s/registry.json", folder) < VD_MAX_PATH ? 0 : vd_fail(ENAMETOOLONG, "the folder's path is too long");
}

int vd_train_draw(const struct vd_train_log *l, const struct vd_train_config *c, const char *path)
{
    char title[128];
    const bool filter = strcmp(c->kind, "nr");
    snprintf(title, sizeof(title), "Training of %s", c->id);
    return vd_train_log_draw(l, path, title, filter ? "gain_db" : "srocc", filter ? "validation: PSNR gain, dB" : "validation: SROCC");
}

/* A line about the figures, for notes. */
static void figures(const struct vd_train_export *e, const struct vd_train_verdict *v, char *dst, size_t size)
{
    if (strcmp(e->config->kind, "nr"))
        snprintf(dst, size, "Trained on %d pictures; on %d validation pictures PSNR %.2f dB degraded, %.2f dB filtered, mean gain %.3f dB.", e->train->n,
                 v->n, v->degraded, v->filtered, v->gain);
    else
        snprintf(dst, size, "Trained on %d pictures; on %d validation pictures PLCC %.4f, SROCC %.4f, RMSE %.3f.", e->train->n, v->n, v->plcc, v->srocc,
                 v->rmse);
}

static json_t *contract(const struct vd_onnx_value *v, int side, bool filter, bool input)
{
    json_t *o = json_pack("{s:s}", "name", v->name);
    if (filter || input)
        json_object_set_new(o, "range", json_pack("[i,i]", 0, 1));
    if (input) {
        json_object_set_new(o, "width", json_integer(side));
        json_object_set_new(o, "height", json_integer(side));
    }
    if (input && !filter)
        json_object_set_new(o, "resize", json_string("area"));
    return o;
}

/* What row and sidecar both say. */
static json_t *common_keys(const struct vd_train_export *e, const struct vd_onnx_model *m, const char *sha256, const char *notes)
{
    char onnx[80];
    snprintf(onnx, sizeof(onnx), "%s.onnx", e->config->id);
    return json_pack("{s:s,s:s,s:s,s:i,s:s,s:n,s:n,s:s}", "id", e->config->id, "kind", e->config->kind, "onnx", onnx, "opset", m->opset, "sha256",
                     sha256, "quant_mode", "int8_sha256", "notes", notes);
}

static json_t *sidecar(const struct vd_train_export *e, const struct vd_onnx_model *m, json_t *shared)
{
    const struct vd_train_config *c = e->config;
    const bool filter = strcmp(c->kind, "nr");
    json_t *o = json_copy(shared);
    json_object_set_new(o, "input", contract(&m->in[0], filter ? 224 : e->train->side, filter, true));
    json_object_set_new(o, "output", contract(&m->out[0], 0, filter, false));
    if (filter && !c->train[0].degraded && (c->blur > 0 || c->jpeg)) {
        json_t *d = json_object();
        if (c->blur > 0)
            json_object_set_new(d, "blur_sigma", json_real(c->blur));
        if (c->jpeg)
            json_object_set_new(d, "jpeg_quality", json_integer(c->jpeg));
        json_object_set_new(o, "degradation", d);
    }
    return o;
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
    put(b, "%s, %d pictures:\n\n", what, pictures);
    for (int i = 0; i < n; i++)
        put(b, "* `%s`%s%s%s\n", s[i].said[0], s[i].said[1] ? " with `" : "", s[i].said[1] ? s[i].said[1] : "", s[i].said[1] ? "`" : "");
    put(b, "\n");
}

static int write_card(const struct vd_train_export *e, const struct vd_train_verdict *v, const char *sha256)
{
    const struct vd_train_config *c = e->config;
    struct vd_buf b = {0};
    const json_t *last = json_array_get(e->log->lines, json_array_size(e->log->lines) - 1);
    const bool filter = strcmp(c->kind, "nr");

    put(&b, "# %s\n\n%s\n\nWritten by `vmaf-dnn train`; figures are measured, on data that training has not seen.\n\n", c->id,
        c->description ? c->description : filter ? "A luma filter." : "A score of a picture, without a reference.");
    if (!filter)
        put(&b, "Scores are those that the list of labels gives, and mean what they mean: where the labels are another metric's, this model imitates that metric, "
                "and no person's opinion is in it.\n\n");
    put(&b, "| | |\n|---|---|\n| sha256 | `%s` |\n| weights | %zu |\n| kind | %s |\n| licence | %s |\n| steps | %llu of %d samples; best at %llu |\n"
            "| time | %.0f s |\n| seed | %llu |\n\n",
        sha256, vd_net_count(e->net), c->kind, c->license ? c->license : "not said", (unsigned long long)c->opts.steps, c->batch,
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
        put(&b, "| validation | |\n|---|---|\n| PLCC | %.4f |\n| SROCC | %.4f |\n| RMSE | %.3f |\n\n", v->plcc, v->srocc, v->rmse);
    put(&b, "## Limits\n\n%s\n", filter ? "Made for the damage above: on clean pictures, and on other damage, it may do harm. Measure before use: `vmaf-dnn gate --clip`."
                                      : "Made for clips like those above. A score is of one frame; frames are brought to the model's size by area.");
    const int rc = b.bad ? vd_nomem(b.size) : vd_file_write(e->path->card, b.data, b.size);
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
    if ((rc = vd_onnx_write(&m, &bytes)) || (rc = vd_train_judge(e->validation, bytes.data, bytes.size, 0, true, e->workers, v)))
        goto done;
    vd_sha256_hex(bytes.data, bytes.size, sha256);
    figures(e, v, notes, sizeof(notes));
    shared = common_keys(e, &m, sha256, notes);
    own = shared ? sidecar(e, &m, shared) : NULL;
    if (!own) {
        rc = vd_nomem(0);
        goto done;
    }
    if ((rc = vd_file_write(e->path->onnx, bytes.data, bytes.size)) || (rc = vd_sidecar_put(e->path->sidecar, own)) || (rc = write_card(e, v, sha256)))
        goto done;
    if (e->config->license)
        json_object_set_new(shared, "license", json_string(e->config->license));
    if (e->config->description)
        json_object_set_new(shared, "description", json_string(e->config->description));
    if (vd_file_is_regular(e->path->registry))
        rc = vd_registry_put(e->path->registry, shared, e->path->sidecar);
done:
    json_decref(shared);
    json_decref(own);
    vd_free(bytes.data);
    vd_onnx_free(&m);
    return rc;
}
