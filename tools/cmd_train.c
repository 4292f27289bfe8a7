/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd.h"
#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"
#include "io/stream.h"
#include "train_data.h"
#include "train_export.h"
#include "train_log.h"
#include "train_qat.h"

extern const struct vd_cmd vd_cmd_train;

struct job {
    struct vd_run_opts run;
    const char *config_path, *folder;
    bool restart, quiet, of_clips; /* of_clips: what went wrong is a clip's */
    struct vd_train_config config;
    struct vd_train_paths path;
    uint8_t identity[32];

    const struct vd_kernels *kernels;
    struct vd_workers *workers;
    struct vd_train_data train, validation;
    struct vd_buf begin;         /* the model to begin with, as a file */
    struct vd_buf source;        /* qat: net.from as it is */
    struct vd_train_qat qat;
    struct vd_train_outputs fp32; /* of the validation pictures */
    struct vd_onnx_model model;  /* that, read */
    struct vd_graph graph;
    struct vd_net *net;
    struct vd_trainer trainer;
    struct vd_train_log log;
    double spent;                /* seconds of the runs before this one */
    struct vd_progress progress;
};

/* --- what is trained */

static int read_model(struct job *j)
{
    uint8_t *data;
    size_t size;
    const int rc = vd_file_read(j->config.from, VD_MAX_MODEL, &data, &size);
    if (rc)
        return rc;
    vd_put(&j->begin, data, size);
    vd_free(data);
    return j->begin.bad ? vd_nomem(size) : 0;
}

static double mean_score(const struct vd_train_data *d)
{
    double sum = 0;
    for (int i = 0; i < d->n; i++)
        sum += (double)d->picture[i].score;
    return sum / d->n;
}

static int make_model(struct job *j)
{
    const struct vd_train_config *c = &j->config;
    struct vd_onnx_model m;
    int rc = c->stem ? vd_arch_separable_score(&m, c->stem, c->block, c->n_block, c->side, (float)mean_score(&j->train), c->seed)
                     : vd_arch_residual_filter(&m, c->channels, c->blocks, c->seed);
    if (rc)
        return rc;
    rc = vd_onnx_write(&m, &j->begin);
    vd_onnx_free(&m);
    return rc;
}

/* Side of a sample: a filter's crop, or what a score net takes. */
static int sample_side(struct job *j, int *side)
{
    const struct vd_onnx_value *x = j->model.n_in ? &j->model.in[0] : NULL;
    *side = j->config.crop;
    if (!strcmp(j->config.kind, "filter"))
        return 0;
    if (!x || x->rank != 4 || x->dim[2] < 8 || x->dim[2] != x->dim[3] || x->dim[2] > 4096)
        return vd_fail(EPERM, "a score net takes square pictures of one size of 8 to 4096, [N,1,S,S]; this one does not");
    *side = (int)x->dim[2];
    return 0;
}

static int begin_qat(struct job *j)
{
    vd_put(&j->source, j->begin.data, j->begin.size);
    if (j->source.bad)
        return vd_nomem(j->begin.size);
    const int rc = vd_train_check_qat(&j->path, j->config.id, j->source.data, j->source.size);
    return rc ? rc : vd_train_qat_begin(&j->qat, &j->config, &j->begin, &j->model, &j->train, j->kernels, j->workers);
}

static int load_pictures(struct job *j, struct vd_train_data *d, const struct vd_train_source *s, int n, int side, const char *label)
{
    const int rc = vd_train_data_load(d, &j->config, s, n, side, j->workers, label);
    j->of_clips = rc;
    return rc;
}

static int load(struct job *j)
{
    const struct vd_train_config *c = &j->config;
    int side = c->stem ? c->side : c->crop, rc = vd_kernels_get(j->run.kernels, &j->kernels);
    if (!rc)
        rc = vd_workers_create(j->run.threads, &j->workers);
    if (!rc && c->from && !(rc = read_model(j)) && !(rc = vd_onnx_read(&j->model, j->begin.data, j->begin.size)))
        rc = sample_side(j, &side);
    if (!rc)
        rc = load_pictures(j, &j->train, c->train, c->n_train, side, "training pictures");
    if (!rc)
        rc = load_pictures(j, &j->validation, c->validation, c->n_validation, strcmp(c->kind, "nr") ? 8 : side, "validation pictures");
    if (!rc && !c->from && !(rc = make_model(j)))
        rc = vd_onnx_read(&j->model, j->begin.data, j->begin.size);
    if (!rc && c->qat.on)
        rc = begin_qat(j);
    if (!rc)
        rc = vd_graph_build(&j->graph, &j->model);
    if (rc)
        return rc;
    if (!strcmp(c->kind, "filter") && j->model.in[0].rank == 4 && j->model.in[0].dim[1] > 1)
        return vd_fail(EPERM, "a filter is trained on luma: its input has one channel, not %lld", (long long)j->model.in[0].dim[1]);
    const struct vd_net_opts o = {.height = side, .width = side, .batch = c->batch, .loss = c->loss, .norm_momentum = c->norm_momentum,
                                  .output_scale = c->score_scale, .layout = c->qat.on ? &j->qat.layout : NULL, .ranges = c->qat.ranges,
                                  .range_momentum = c->qat.range_momentum};
    rc = vd_net_create(&j->net, &j->graph, &o, j->kernels, j->workers);
    if (!rc && vd_net_target_count(j->net) != (strcmp(c->kind, "nr") ? (size_t)side * (size_t)side : 1))
        rc = vd_fail(EPERM, "the output of a %s has %zu number%s for a picture of %dx%d", c->kind, vd_net_target_count(j->net), vd_s((long long)vd_net_target_count(j->net)), side, side);
    return rc ? rc : vd_trainer_init(&j->trainer, j->net, &c->opts);
}

/* Configuration, data, and the model to begin with. */
static void identify(struct job *j)
{
    crypto_hash_sha256_state h;
    crypto_hash_sha256_init(&h);
    crypto_hash_sha256_update(&h, j->config.identity, 32);
    crypto_hash_sha256_update(&h, j->train.digest, 32);
    crypto_hash_sha256_update(&h, j->validation.digest, 32);
    crypto_hash_sha256_update(&h, j->begin.data, j->begin.size);
    for (int i = 0; i < j->qat.layout.n_spot; i++) { /* what a calibration file said */
        const struct vd_static_spot *s = &j->qat.layout.spot[i];
        const float range[3] = {s->lo, s->hi, s->scale};
        crypto_hash_sha256_update(&h, (const unsigned char *)range, sizeof(range));
    }
    crypto_hash_sha256_update(&h, (const unsigned char *)j->kernels->name, strlen(j->kernels->name));
    crypto_hash_sha256_final(&h, j->identity);
}

static void say(const struct job *j, const char *fmt, ...) VD_PRINTF(2, 3);
static void say(const struct job *j, const char *fmt, ...)
{
    va_list ap;
    if (j->quiet)
        return;
    vd_progress_clear(&j->progress);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    fflush(stdout);
}

/* From the checkpoint, when there is one of this very run. */
static int resume(struct job *j)
{
    const int rc = j->restart ? -ENOENT : vd_trainer_load(&j->trainer, j->path.checkpoint, j->identity);
    if (rc && rc != -ENOENT)
        return rc;
    vd_reason_clear();
    if (j->trainer.step > j->config.opts.steps)
        return vd_fail(EINVAL, "%s is at step %llu, and optimiser.steps is %llu: ask for more, or begin anew with --restart", j->path.checkpoint,
                       (unsigned long long)j->trainer.step, (unsigned long long)j->config.opts.steps);
    const int rc2 = vd_train_log_open(&j->log, j->path.log, j->trainer.step);
    if (rc2)
        return rc2;
    const json_t *last = json_array_get(j->log.lines, json_array_size(j->log.lines) - 1);
    j->spent = last ? json_number_value(json_object_get(last, "seconds")) : 0;
    if (j->trainer.step)
        say(j, "go on from step %llu of %s\n", (unsigned long long)j->trainer.step, j->path.checkpoint);
    return 0;
}

/* --- training */

/* The file of the net as it is, or of its averages. */
static int net_file(struct job *j, struct vd_buf *bytes)
{
    struct vd_onnx_model m;
    const float *params = vd_trainer_params(&j->trainer);
    const double *state = vd_trainer_state(&j->trainer);
    if (j->config.qat.on)
        return vd_train_qat_file(&j->qat, j->net, params, state, bytes);
    int rc = vd_net_store(j->net, params, state, &m);
    if (!rc) {
        rc = vd_onnx_write(&m, bytes);
        vd_onnx_free(&m);
    }
    return rc;
}

/* made: what came of writing the bytes, which go. */
static int judge_bytes(struct job *j, int made, struct vd_buf *bytes, struct vd_train_verdict *v)
{
    const int rc = made ? made : vd_train_judge(&j->validation, bytes->data, bytes->size, (int)j->config.validation_crop, false, j->workers,
                                                j->config.qat.on ? &j->fp32 : NULL, v);
    vd_free(bytes->data);
    *bytes = (struct vd_buf){0};
    return rc;
}

/* On standard error, with -q too: the exit code of a run that did what it was told stays 0. */
static void warn_of_worth(const struct job *j, const struct vd_train_verdict *v)
{
    char why[256];
    const enum vd_train_worth worth = vd_train_worth(v, strcmp(j->config.kind, "nr"), why, sizeof(why));
    if (worth == VD_TRAIN_UNJUDGED)
        vd_say(&vd_cmd_train, "warning: %s%s cannot be judged: %s. Do not use it before it was measured on other data (data.validation): docs/training.md, "
               "\"When training ends in a warning\"", j->config.id, j->config.qat.on ? ".int8.onnx" : ".onnx", why);
    if (worth == VD_TRAIN_HARMS)
        vd_say(&vd_cmd_train, "warning: %s%s does harm: %s. Do not use it. Train longer (optimiser.steps is %llu), on more pictures (data.train has %d), "
               "or at another optimiser.rate: docs/training.md, \"When training ends in a warning\"", j->config.id, j->config.qat.on ? ".int8.onnx" : ".onnx",
               why, (unsigned long long)j->config.opts.steps, j->train.n);
}

/* JSON has no NaN. */
static json_t *figure(double v) { return isfinite(v) ? json_real(v) : json_null(); }

static void say_verdict(const struct job *j, const char *what, const struct vd_train_verdict *v, bool best)
{
    char drop[48] = "", plcc[VD_FIGURE], srocc[VD_FIGURE];
    if (v->drop >= 0)
        snprintf(drop, sizeof(drop), "  drop %.6f", v->drop);
    if (strcmp(j->config.kind, "nr"))
        say(j, "%s  gain %+.3f dB (%+.2f to %+.2f)%s%s\n", what, v->gain, v->gain_min, v->gain_max, drop, best ? "  best" : "");
    else
        say(j, "%s  PLCC %s  SROCC %s  RMSE %.3f%s%s\n", what, vd_figure(plcc, 4, v->plcc), vd_figure(srocc, 4, v->srocc), v->rmse, drop, best ? "  best" : "");
}

/* The fp32 model and its static form, which training is to better. */
static int judge_start(struct job *j)
{
    struct vd_train_verdict v;
    struct vd_buf bytes = {0};
    int rc = judge_bytes(j, vd_onnx_write(&j->model, &bytes), &bytes, &v);
    if (rc)
        return rc;
    say_verdict(j, "fp32        ", &v, false);
    if ((rc = judge_bytes(j, vd_train_qat_static(&j->qat, &j->model, &bytes), &bytes, &v)))
        return rc;
    say_verdict(j, "static      ", &v, false);
    return 0;
}

static int judge(struct job *j, double seconds)
{
    struct vd_buf bytes = {0};
    struct vd_train_verdict v;
    char what[32];
    int rc = vd_trainer_settle(&j->trainer, vd_train_data_draw, &j->train);
    if (!rc)
        rc = judge_bytes(j, net_file(j, &bytes), &bytes, &v);
    if (rc)
        return rc;
    const bool best = vd_trainer_judge(&j->trainer, v.score);
    json_t *figures = strcmp(j->config.kind, "nr") ? json_pack("{s:o,s:o,s:o}", "gain_db", figure(v.gain), "gain_min_db", figure(v.gain_min), "gain_max_db", figure(v.gain_max))
                                                   : json_pack("{s:o,s:o,s:o}", "plcc", figure(v.plcc), "srocc", figure(v.srocc), "rmse", figure(v.rmse));
    if (v.drop >= 0 && json_object_set_new(figures, "drop", figure(v.drop))) {
        json_decref(figures);
        return vd_nomem(0);
    }
    snprintf(what, sizeof(what), "step %7llu", (unsigned long long)j->trainer.step);
    say_verdict(j, what, &v, best);
    return vd_train_log_add(&j->log, json_pack("{s:I,s:o,s:b,s:f}", "step", (json_int_t)j->trainer.step, "validation", figures, "best", best, "seconds", seconds));
}

static int save(struct job *j)
{
    int rc = vd_train_log_write(&j->log);
    if (!rc)
        rc = vd_train_draw(&j->log, &j->config, j->path.curve);
    return rc ? rc : vd_trainer_save(&j->trainer, j->path.checkpoint, j->identity);
}

static int train(struct job *j)
{
    const struct vd_train_config *c = &j->config;
    struct vd_trainer *t = &j->trainer;
    const double start = vd_now() - j->spent;
    const uint64_t first = t->step;
    double sum = 0;
    long n = 0;
    int rc = 0;
    char label[96];
    vd_progress_start(&j->progress, "train", 0);
    if (c->qat.on)
        rc = judge_start(j);
    if (!rc && c->qat.on && !first) /* the ranges of the calibration may be the best there are */
        rc = judge(j, 0);
    while (!rc && t->step < c->opts.steps) {
        double loss, norm;
        const double rate = vd_trainer_rate(t);
        const bool teaches = c->qat.on && vd_train_qat_teaches(&j->qat);
        if (teaches && (rc = vd_train_qat_teach(&j->qat, vd_net_target_count(j->net), t->step * (uint64_t)c->batch)))
            break;
        if ((rc = vd_trainer_step(t, teaches ? vd_train_qat_draw : vd_train_data_draw, teaches ? (void *)&j->qat : (void *)&j->train, c->batch, &loss, &norm)))
            break;
        const uint64_t step = t->step;
        const bool end = step == c->opts.steps, due = step % (uint64_t)c->validate_every == 0 || end;
        sum += loss;
        n++;
        if (step % (uint64_t)c->log_every == 0 || end) {
            rc = vd_train_log_add(&j->log, json_pack("{s:I,s:f,s:f,s:f,s:f}", "step", (json_int_t)step, "loss", sum / (double)n, "rate", rate, "grad_norm",
                                                     norm, "seconds", vd_now() - start));
            sum = 0;
            n = 0;
        }
        if (!rc && due)
            rc = judge(j, vd_now() - start);
        if (!rc && (step % (uint64_t)c->save_every == 0 || end)) {
            rc = save(j);
            sum = 0; /* so that a run that goes on from here logs the same means */
            n = 0;
        }
        snprintf(label, sizeof(label), "loss %.5f, best %.4f, step", loss, t->best_score);
        j->progress.label = label;
        j->progress.total = (long)(c->opts.steps - first);
        vd_progress_step(&j->progress, (long)(step - first));
    }
    vd_progress_end(&j->progress);
    return rc;
}

/* --- the command */

static int confine(struct job *j)
{
    struct vd_sandbox s = {0};
    const struct vd_train_config *c = &j->config;
    if (j->run.sandbox != VD_SANDBOX_OFF) {
        for (int k = 0; k < 2; k++)
            for (int i = 0; i < (k ? c->n_validation : c->n_train); i++) {
                const struct vd_train_source *t = k ? &c->validation[i] : &c->train[i];
                char folder[VD_MAX_PATH];
                vd_sandbox_read(&s, t->clean);
                if (t->degraded)
                    vd_sandbox_read(&s, t->degraded);
                if (!strcmp(c->kind, "nr")) { /* clips lie beside the list */
                    const char *slash = strrchr(t->clean, '/');
                    snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - t->clean) : 1, slash ? t->clean : ".");
                    vd_sandbox_read(&s, folder);
                }
            }
        if (c->from)
            vd_sandbox_read(&s, c->from);
        if (c->qat.calibration)
            vd_sandbox_read(&s, c->qat.calibration);
        vd_sandbox_read(&s, j->folder);
        vd_sandbox_write_folder(&s, j->folder);
    }
    return vd_confine(&vd_cmd_train, &s, &j->run);
}

static int finish_qat(struct job *j, const struct vd_train_export *e)
{
    static const char *const names[VD_QAT_FORMS] = {"fp32   ", "static ", "trained"};
    struct vd_train_verdict v[VD_QAT_FORMS];
    const struct vd_train_qat_export x = {.e = e, .q = &j->qat, .fp32 = j->source.data, .fp32_size = j->source.size, .model = &j->model};
    const int rc = vd_train_export_qat(&x, v);
    if (rc)
        return vd_report_output(rc);
    say(j, "best at step %llu; whole validation pictures%s:\n", (unsigned long long)j->trainer.best_step, strcmp(j->config.kind, "nr") ? ", rounded to 8 bits" : "");
    for (int i = 0; i < VD_QAT_FORMS; i++)
        say_verdict(j, names[i], &v[i], false);
    say(j, "%s, %s, %s, %s, %s\n", j->path.int8, j->path.sidecar, j->path.card, j->path.log, j->path.curve);
    warn_of_worth(j, &v[VD_QAT_TRAINED]);
    return VD_EXIT_OK;
}

static int run_job(struct job *j)
{
    struct vd_train_verdict v;
    char plcc[VD_FIGURE], srocc[VD_FIGURE];
    struct stat st;
    int rc = vd_train_config_load(j->config_path, &j->config);
    if (rc)
        return vd_report(rc);
    const int missing = stat(j->folder, &st) ? errno : S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
    if (missing && missing != ENOENT && missing != ENOTDIR)
        return vd_report(vd_fail(missing == EACCES ? EACCES : EIO, "-o %s: %s", j->folder, strerror(missing)));
    if (missing)
        return vd_usage(&vd_cmd_train, "-o %s: there is no such folder: make it first, mkdir -p %s", j->folder, j->folder);
    if ((rc = vd_train_paths(&j->path, j->folder, j->config.id, j->config.qat.on)))
        return vd_report(rc);
    const int code = confine(j);
    if (code)
        return code;
    if ((rc = load(j)))
        return j->of_clips ? vd_report_clip(rc) : vd_report(rc);
    identify(j);
    if ((rc = resume(j)))
        return vd_report(rc);
    size_t weights = 0;
    int params;
    const struct vd_net_param *param = vd_net_table(j->net, &params);
    for (int i = 0; i < params; i++)
        weights += param[i].range ? 0 : param[i].count;
    say(j, "%s: %zu weights; %d training and %d validation picture%s%s; %llu step%s of %d; kernels %s, %d thread%s\n", j->config.id,
        weights, j->train.n, j->validation.n, vd_s(j->validation.n), j->train.too_small ? " (those smaller than a crop left out)" : "",
        (unsigned long long)j->config.opts.steps, vd_s((long long)j->config.opts.steps), j->config.batch, j->kernels->name, vd_workers_count(j->workers),
        vd_s(vd_workers_count(j->workers)));
    if ((rc = train(j)))
        return vd_report(rc);
    const struct vd_train_export e = {.config = &j->config, .path = &j->path, .net = j->net, .trainer = &j->trainer, .train = &j->train,
                                      .validation = &j->validation, .workers = j->workers, .log = &j->log};
    if (j->config.qat.on)
        return finish_qat(j, &e);
    if ((rc = vd_train_export(&e, &v)))
        return vd_report_output(rc);
    if (!strcmp(j->config.kind, "filter"))
        say(j, "best at step %llu: whole validation pictures, rounded to 8 bits: %.2f dB degraded, %.2f dB filtered, gain %+.3f dB (%+.2f to %+.2f)\n",
            (unsigned long long)j->trainer.best_step, v.degraded, v.filtered, v.gain, v.gain_min, v.gain_max);
    else
        say(j, "best at step %llu: PLCC %s, SROCC %s, RMSE %.3f on %d picture%s\n", (unsigned long long)j->trainer.best_step, vd_figure(plcc, 4, v.plcc),
            vd_figure(srocc, 4, v.srocc), v.rmse, v.n, vd_s(v.n));
    say(j, "%s, %s, %s, %s, %s\n", j->path.onnx, j->path.sidecar, j->path.card, j->path.log, j->path.curve);
    warn_of_worth(j, &v);
    return VD_EXIT_OK;
}

static void drop(struct job *j)
{
    vd_train_log_free(&j->log);
    vd_trainer_free(&j->trainer);
    vd_net_free(j->net);
    vd_graph_free(&j->graph);
    vd_onnx_free(&j->model);
    vd_free(j->begin.data);
    vd_train_qat_free(&j->qat);
    vd_free(j->source.data);
    vd_free(j->fp32.v);
    vd_train_data_free(&j->train);
    vd_train_data_free(&j->validation);
    vd_workers_free(j->workers);
    vd_train_config_free(&j->config);
}

static int run(int argc, char **argv)
{
    static const struct option longs[] = {{"output", required_argument, NULL, 'o'}, {"restart", no_argument, NULL, 'r'}, {"quiet", no_argument, NULL, 'q'},
                                          {"threads", required_argument, NULL, VD_OPT_THREADS}, {"kernels", required_argument, NULL, VD_OPT_KERNELS},
                                          {"sandbox", required_argument, NULL, VD_OPT_SANDBOX}, {NULL, 0, NULL, 0}};
    struct job *j = vd_calloc(1, sizeof(*j));
    int code = VD_EXIT_OK;
    if (!j)
        return vd_report(vd_nomem(sizeof(*j)));
    j->folder = ".";
    for (int opt; !code && (opt = vd_getopt(&vd_cmd_train, argc, argv, "o:q", longs)) != -1;)
        switch (opt) {
        case 'o': j->folder = optarg; break;
        case 'r': j->restart = true; break;
        case 'q': j->quiet = true; break;
        case '?': code = VD_EXIT_USAGE; break;
        default: code = vd_run_option(&vd_cmd_train, opt, optarg, &j->run) < 0 ? VD_EXIT_USAGE : VD_EXIT_OK;
        }
    if (!code && optind + 1 != argc)
        code = vd_usage(&vd_cmd_train, "name one configuration, a JSON file");
    if (!code) {
        j->config_path = argv[optind];
        code = run_job(j);
        drop(j);
    }
    vd_free(j);
    return code;
}

const struct vd_cmd vd_cmd_train = {
    .name = "train",
    .summary = "train a filter or a score on pictures, or its int8 form, on the CPU",
    .help = "Usage: vmaf-dnn train [OPTION]... CONFIG.json\n"
            "\n"
            "Train the net that CONFIG.json describes (docs/training.md has every key) and write ID.onnx, its sidecar\n"
            "ID.json, a model card ID.md, the log ID.train.jsonl, the curve ID.loss.svg and ID.checkpoint; where the\n"
            "folder has a registry.json, the model's row in it too. What is written is the best of all validations, not\n"
            "the last; a warning says so when even that does harm.\n"
            "A run that was stopped goes on from ID.checkpoint when the same command is given again, and ends in the\n"
            "same bytes as one that was not. The result does not depend on the number of threads. Paths in CONFIG.json\n"
            "are relative to the folder that it is in.\n"
            "\n"
            "With \"qat\": {...} the model of net.from is trained further with the roundings of the static form in its way\n"
            "(quantisation-aware), and what is written is ID.int8.onnx, pinned in sidecar and registry with quant_mode qat,\n"
            "as 'vmaf-dnn quantize' does. ID.onnx stays as it is; card, log, curve and checkpoint are ID.qat.md, .qat.jsonl,\n"
            ".qat.svg and .qat.checkpoint. Printed beside it: what fp32 and plain static quantisation give.\n"
            "\n"
            "  -o FOLDER           where all this goes (default: the current folder)\n"
            "  --restart           begin anew, although there is a checkpoint\n"
            "  --threads N         worker threads (default: as many as this process may use)\n"
            "  --kernels NAME      kernel set: auto, c, avx2, avxvnni, avx512vnni, neon, dotprod, i8mm\n"
            "                      (default: auto, the best that the CPU has)\n"
            "  --sandbox=MODE      reach no other files, programs or network: auto, require, off\n"
            "  -q, --quiet         print nothing but errors and warnings\n"
            "\n"
            "Exit codes: 0 done, also with such a warning, 2 usage, a file that is not there, or a checkpoint of another\n"
            "run, 3 a clip or a list of scores that is broken, ends early, or is of a kind that is not taken, 4 a\n"
            "configuration or a model that was refused, 5 no room or no memory.\n"
            "\n"
            "Examples:\n"
            "  vmaf-dnn train -o out train/learned_filter_v1.json\n"
            "  vmaf-dnn train -o out train/learned_filter_v1.qat.json\n",
    .run = run,
};
