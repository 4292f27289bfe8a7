/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/status.h"
#include "gate/measure.h"
#include "io/resize.h"
#include "plan/plan.h"
#include "train_data.h"

struct judge {
    const struct vd_train_data *d;
    struct vd_onnx_model model;
    struct vd_graph graph;
    struct vd_plan *plan;
    float *clean, *made; /* one picture */
    double before;       /* PSNR of what the model sees */
    float *want, *got;   /* scores */
    struct vd_train_outputs *against;
    size_t at;           /* in them */
    struct vd_compare held;
};

/* n outputs, as the model gives them. */
static void hold(struct judge *j, const float *y, size_t n)
{
    struct vd_train_outputs *a = j->against;
    if (!a)
        return;
    if (a->filled)
        vd_compare_add(&j->held, a->v + j->at, y, n);
    else
        memcpy(a->v + j->at, y, n * sizeof(*y));
    j->at += n;
}

static int run_part(struct judge *j, const struct vd_train_picture *p, int left, int top, int w, int h)
{
    const struct vd_tensor shape = {.type = VD_F32, .rank = 4, .dim = {1, 1, h, w}};
    const int rc = vd_plan_shape(j->plan, &shape);
    if (rc)
        return rc;
    float *x = vd_plan_input(j->plan, 0)->data;
    for (int y = 0; y < h; y++)
        for (int i = 0; i < w; i++) {
            const size_t from = (size_t)(top + y) * (size_t)p->w + (size_t)(left + i), to = (size_t)y * (size_t)w + (size_t)i;
            x[to] = (float)p->degraded[from] / 255;
            if (p->clean)
                j->clean[to] = (float)p->clean[from] / 255;
        }
    if (p->clean)
        j->before = vd_psnr(x, j->clean, (size_t)w * (size_t)h); /* a run may write where its input was */
    return vd_plan_run(j->plan);
}

/* The middle of it. */
static int run_one(struct judge *j, const struct vd_train_picture *p, int crop, int *w, int *h)
{
    *w = crop && p->w > crop ? crop : p->w;
    *h = crop && p->h > crop ? crop : p->h;
    return run_part(j, p, (p->w - *w) / 2, (p->h - *h) / 2, *w, *h);
}

/* As the command score does: the mean over the picture's windows, which for one of the model's own size is itself. */
static int score_one(struct judge *j, const struct vd_train_picture *p, float *score)
{
    const int side = j->d->side;
    const struct vd_windows g = vd_windows_of(side, side, p->w, p->h);
    double sum = 0;
    for (int i = 0; i < g.cols * g.rows; i++) {
        int x, y;
        vd_window_at(g, i, side, side, p->w, p->h, &x, &y);
        const int rc = run_part(j, p, x, y, side, side);
        if (rc)
            return rc;
        sum += (double)*(const float *)vd_plan_output(j->plan, 0)->data;
    }
    *score = (float)(sum / (g.cols * g.rows));
    return 0;
}

static int judge_filter(struct judge *j, int crop, bool round, struct vd_train_verdict *v)
{
    v->gain_min = INFINITY;
    v->gain_max = -INFINITY;
    for (int i = 0; i < j->d->n; i++) {
        int w, h;
        const int rc = run_one(j, &j->d->picture[i], crop, &w, &h);
        if (rc)
            return rc;
        const size_t n = (size_t)w * (size_t)h;
        const float *y = vd_plan_output(j->plan, 0)->data;
        hold(j, y, n);
        for (size_t k = 0; k < n; k++)
            j->made[k] = round ? (float)(rint(fmin(1, fmax(0, (double)y[k])) * 255) / 255) : y[k];
        const double after = vd_psnr(j->made, j->clean, n), gain = after - j->before;
        v->degraded += j->before / j->d->n;
        v->filtered += after / j->d->n;
        v->gain += gain / j->d->n;
        v->gain_min = fmin(v->gain_min, gain);
        v->gain_max = fmax(v->gain_max, gain);
    }
    v->score = v->gain;
    return 0;
}

static int judge_scores(struct judge *j, struct vd_train_verdict *v)
{
    struct vd_compare c = {0};
    for (int i = 0; i < j->d->n; i++) {
        const int rc = score_one(j, &j->d->picture[i], &j->got[i]);
        if (rc)
            return rc;
        j->want[i] = j->d->picture[i].score;
        hold(j, &j->got[i], 1);
    }
    vd_compare_add(&c, j->want, j->got, (size_t)j->d->n);
    v->plcc = vd_compare_plcc(&c);
    v->rmse = vd_compare_rmse(&c);
    const int rc = vd_srocc(j->want, j->got, (size_t)j->d->n, &v->srocc);
    v->score = isfinite(v->plcc) && isfinite(v->srocc) ? (v->plcc + v->srocc) / 2 : -1;
    return rc;
}

int vd_train_judge(const struct vd_train_data *d, const uint8_t *bytes, size_t size, int crop, bool round, struct vd_workers *w,
                   struct vd_train_outputs *against, struct vd_train_verdict *v)
{
    struct judge j = {.d = d, .against = against};
    const struct vd_kernels *k;
    size_t most = 0, all = 0;
    *v = (struct vd_train_verdict){.n = d->n, .drop = -1};
    for (int i = 0; i < d->n; i++) {
        const int pw = d->picture[i].w, ph = d->picture[i].h;
        const size_t n = (size_t)pw * (size_t)ph;
        most = n > most ? n : most;
        all += d->picture[i].clean ? (size_t)(crop && pw > crop ? crop : pw) * (size_t)(crop && ph > crop ? crop : ph) : 1;
    }
    if (against && !against->v) {
        if (!(against->v = vd_malloc(all * sizeof(float))))
            return vd_nomem(all * sizeof(float));
        against->n = all;
    }
    int rc = vd_onnx_read(&j.model, bytes, size);
    if (!rc)
        rc = vd_graph_build(&j.graph, &j.model);
    if (!rc)
        rc = vd_kernels_get(NULL, &k);
    if (!rc)
        rc = vd_plan_create(&j.plan, &j.graph, k, w);
    j.clean = vd_malloc(most * sizeof(float));
    j.made = vd_malloc(most * sizeof(float));
    j.want = vd_malloc((size_t)d->n * sizeof(float));
    j.got = vd_malloc((size_t)d->n * sizeof(float));
    if (!rc && (!j.clean || !j.made || !j.want || !j.got))
        rc = vd_nomem(most * sizeof(float));
    if (!rc)
        rc = d->picture[0].clean ? judge_filter(&j, crop, round, v) : judge_scores(&j, v);
    if (!rc && against) {
        if (against->filled)
            v->drop = 1 - vd_compare_plcc(&j.held);
        against->filled = true;
    }
    vd_free(j.clean);
    vd_free(j.made);
    vd_free(j.want);
    vd_free(j.got);
    vd_plan_free(j.plan);
    vd_graph_free(&j.graph);
    vd_onnx_free(&j.model);
    return rc;
}

enum vd_train_worth vd_train_worth(const struct vd_train_verdict *v, bool filter, char *dst, size_t size)
{
    const bool known = filter ? !isnan(v->gain) : isfinite(v->plcc) && isfinite(v->srocc), rises = v->plcc > 0 && v->srocc > 0;
    if (filter ? v->gain > 0 : known && rises)
        return VD_TRAIN_HELPS;
    if (filter && known)
        snprintf(dst, size, "pictures come out no nearer to the clean ones than they went in: a gain of %+.3f dB on %d validation picture%s", v->gain, v->n, vd_s(v->n));
    else if (filter)
        snprintf(dst, size, "its gain is no number: pictures that are as clean as the clean ones, or results that are not finite");
    else if (known)
        snprintf(dst, size, "it does not rise where the scores do: PLCC %.4f, SROCC %.4f on %d validation pictures", v->plcc, v->srocc, v->n);
    else
        snprintf(dst, size, "PLCC and SROCC are no numbers: it gives every validation picture the same score, or their labels are fewer than two different ones");
    return known ? VD_TRAIN_HARMS : VD_TRAIN_UNJUDGED;
}
