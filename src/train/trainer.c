/* SPDX-License-Identifier: BSD-2-Clause */
#include "train/trainer.h"

#include <math.h>
#include <sodium.h>
#include <string.h>

#include "common/bytes.h"
#include "common/file.h"
#include "common/mem.h"

static const char MAGIC[16] = "vmaf-dnn train1";

int vd_trainer_init(struct vd_trainer *t, struct vd_net *net, const struct vd_train_opts *o)
{
    const size_t n = vd_net_count(net);
    size_t states;
    const double *state = vd_net_state(net, &states);

    *t = (struct vd_trainer){.net = net, .o = *o, .best_score = -INFINITY};
    t->mean = o->average > 0 ? vd_malloc(n * sizeof(float)) : NULL;
    t->mean_state = o->average > 0 ? vd_calloc(states + 1, sizeof(double)) : NULL;
    if (o->norm_batches && states) {
        t->put_by = vd_malloc(n * sizeof(float));
        t->put_by_state = vd_calloc(states, sizeof(double));
        t->settled = vd_calloc(states, sizeof(double));
    }
    t->m = vd_calloc(n, sizeof(float));
    t->v = vd_calloc(n, sizeof(float));
    t->best = vd_malloc(n * sizeof(float));
    t->best_state = vd_calloc(states + 1, sizeof(double));
    if (!t->m || !t->v || !t->best || !t->best_state || (o->average > 0 && (!t->mean || !t->mean_state)) ||
        (o->norm_batches && states && (!t->put_by || !t->put_by_state || !t->settled))) {
        vd_trainer_free(t);
        return vd_nomem(5 * n * sizeof(float));
    }
    if (t->settled)
        memcpy(t->settled, state, states * sizeof(double));
    for (int i = 0; i < (t->mean ? 2 : 1); i++) {
        memcpy(i ? t->mean : t->best, vd_net_params(net), n * sizeof(float));
        if (states)
            memcpy(i ? t->mean_state : t->best_state, state, states * sizeof(double));
    }
    return 0;
}

void vd_trainer_free(struct vd_trainer *t)
{
    vd_free(t->m);
    vd_free(t->v);
    vd_free(t->mean);
    vd_free(t->mean_state);
    vd_free(t->put_by);
    vd_free(t->put_by_state);
    vd_free(t->settled);
    vd_free(t->best);
    vd_free(t->best_state);
    *t = (struct vd_trainer){0};
}

double vd_trainer_rate(const struct vd_trainer *t)
{
    const struct vd_train_opts *o = &t->o;
    const double pi = 3.14159265358979323846;

    if (t->step < o->warmup)
        return o->lr * (double)(t->step + 1) / (double)o->warmup;
    const double span = o->steps > o->warmup ? (double)(o->steps - o->warmup) : 1, at = (double)(t->step - o->warmup) / span;
    return o->lr_end + (o->lr - o->lr_end) * 0.5 * (1 + cos(pi * (at < 1 ? at : 1)));
}

static void average(struct vd_trainer *t)
{
    const double stays = fmin(t->o.average, 1 - 1 / ((double)t->step + 1));
    const float *w = vd_net_params(t->net);
    const size_t n = vd_net_count(t->net);
    size_t states;
    const double *state = vd_net_state(t->net, &states);

    if (!t->mean)
        return;
    for (size_t i = 0; i < n; i++)
        t->mean[i] = (float)((double)w[i] + stays * ((double)t->mean[i] - (double)w[i]));
    for (size_t i = 0; i < states; i++)
        t->mean_state[i] = state[i] + stays * (t->mean_state[i] - state[i]);
}

int vd_trainer_settle(struct vd_trainer *t, vd_net_draw *draw, void *arg)
{
    float *w = vd_net_params(t->net);
    const size_t bytes = vd_net_count(t->net) * sizeof(float);
    size_t states;
    double *state = vd_net_state(t->net, &states);

    if (!t->settled)
        return 0;
    memcpy(t->put_by, w, bytes);
    memcpy(t->put_by_state, state, states * sizeof(double));
    if (t->mean) {
        memcpy(w, t->mean, bytes);
        memcpy(state, t->mean_state, states * sizeof(double));
    }
    const int rc = vd_net_norm_state(t->net, draw, arg, 0, t->o.norm_batches);
    memcpy(t->settled, state, states * sizeof(double));
    memcpy(w, t->put_by, bytes);
    memcpy(state, t->put_by_state, states * sizeof(double));
    return rc;
}

const float *vd_trainer_params(const struct vd_trainer *t) { return t->mean ? t->mean : vd_net_params(t->net); }

const double *vd_trainer_state(const struct vd_trainer *t)
{
    size_t states;
    return t->settled ? t->settled : t->mean_state ? t->mean_state : vd_net_state(t->net, &states);
}

int vd_trainer_step(struct vd_trainer *t, vd_net_draw *draw, void *arg, int batch, double *loss, double *grad_norm)
{
    const struct vd_train_opts *o = &t->o;
    const int rc = vd_net_step(t->net, draw, arg, t->step * (uint64_t)batch, true, loss);
    if (rc)
        return rc;
    const float *g = vd_net_grads(t->net);
    float *w = vd_net_params(t->net);
    double square = 0, ranges = 0;
    int params;
    const struct vd_net_param *p = vd_net_table(t->net, &params);
    for (int k = 0; k < params; k++)
        for (size_t i = p[k].offset; i < p[k].offset + p[k].count; i++)
            *(p[k].range ? &ranges : &square) += (double)g[i] * (double)g[i];
    *grad_norm = sqrt(square);
    if (!isfinite(*grad_norm) || !isfinite(ranges))
        return vd_fail(EDOM, "the gradient is not finite: a lower learning rate, or clip_norm");
    const double scale = o->clip_norm > 0 && *grad_norm > o->clip_norm ? o->clip_norm / *grad_norm : 1, rate = vd_trainer_rate(t);
    t->step++;
    const double c1 = 1 - pow(o->beta1, (double)t->step), c2 = 1 - pow(o->beta2, (double)t->step);
    for (int k = 0; k < params; k++)
        for (size_t i = p[k].offset; i < p[k].offset + p[k].count; i++) {
            const double gi = (p[k].range ? 1 : scale) * (double)g[i], m = o->beta1 * (double)t->m[i] + (1 - o->beta1) * gi,
                         v = o->beta2 * (double)t->v[i] + (1 - o->beta2) * gi * gi;
            t->m[i] = (float)m;
            t->v[i] = (float)v;
            const double kept = p[k].decay ? (double)w[i] * (1 - rate * o->weight_decay) : (double)w[i];
            w[i] = (float)(kept - rate * (p[k].range ? o->range_rate : 1) * (m / c1) / (sqrt(v / c2) + o->epsilon));
        }
    average(t);
    return 0;
}

bool vd_trainer_judge(struct vd_trainer *t, double score)
{
    size_t states;

    if (!(score > t->best_score))
        return false;
    (void)vd_net_state(t->net, &states);
    t->best_score = score;
    t->best_step = t->step;
    memcpy(t->best, vd_trainer_params(t), vd_net_count(t->net) * sizeof(float));
    if (states)
        memcpy(t->best_state, vd_trainer_state(t), states * sizeof(double));
    return true;
}

/* --- checkpoints: magic, identity (it says whether there are averages), counts, numbers in the machine's own order, SHA-256 of all of it --- */

struct head {
    char magic[16];
    uint8_t identity[32];
    uint64_t params, states, step, best_step;
    double best_score;
};

int vd_trainer_save(const struct vd_trainer *t, const char *path, const uint8_t identity[32])
{
    struct vd_buf b = {0};
    struct head h = {.params = vd_net_count(t->net), .step = t->step, .best_step = t->best_step, .best_score = t->best_score};
    uint8_t digest[32];
    size_t states;
    const double *state = vd_net_state(t->net, &states);
    const size_t bytes = (size_t)h.params * sizeof(float);

    memcpy(h.magic, MAGIC, sizeof(h.magic));
    memcpy(h.identity, identity, 32);
    h.states = states;
    vd_put(&b, &h, sizeof(h));
    vd_put(&b, vd_net_params(t->net), bytes);
    vd_put(&b, t->m, bytes);
    vd_put(&b, t->v, bytes);
    vd_put(&b, t->best, bytes);
    if (t->mean)
        vd_put(&b, t->mean, bytes);
    if (states) {
        vd_put(&b, state, states * sizeof(double));
        vd_put(&b, t->best_state, states * sizeof(double));
        if (t->mean)
            vd_put(&b, t->mean_state, states * sizeof(double));
    }
    int rc = b.bad ? vd_nomem(5 * bytes) : 0;
    if (!rc) {
        crypto_hash_sha256(digest, b.data, b.size);
        vd_put(&b, digest, sizeof(digest));
        rc = b.bad ? vd_nomem(5 * bytes) : vd_file_write(path, b.data, b.size);
    }
    vd_free(b.data);
    return rc;
}

int vd_trainer_load(struct vd_trainer *t, const char *path, const uint8_t identity[32])
{
    enum { CAP = 1 << 30 };
    uint8_t *data, digest[32];
    size_t size, states;
    double *state = vd_net_state(t->net, &states);
    const size_t bytes = vd_net_count(t->net) * sizeof(float), arrays = t->mean ? 5 : 4, state_arrays = t->mean ? 3 : 2;
    struct head h;
    int rc = vd_file_read(path, CAP, &data, &size);

    if (rc)
        return rc;
    if (size < sizeof(h) + sizeof(digest) || memcmp(data, MAGIC, sizeof(MAGIC))) {
        rc = vd_fail(EBADMSG, "%s is not a checkpoint of vmaf-dnn train", path);
        goto done;
    }
    crypto_hash_sha256(digest, data, size - sizeof(digest));
    if (memcmp(digest, data + size - sizeof(digest), sizeof(digest))) {
        rc = vd_fail(EBADMSG, "%s is damaged: its digest does not match", path);
        goto done;
    }
    memcpy(&h, data, sizeof(h));
    if (memcmp(h.identity, identity, sizeof(h.identity)) || h.params != vd_net_count(t->net) || h.states != states ||
        size != sizeof(h) + arrays * bytes + state_arrays * states * sizeof(double) + sizeof(digest)) {
        rc = vd_fail(EINVAL, "%s was made with another configuration, other data or another kernel set; --restart begins anew", path);
        goto done;
    }
    const uint8_t *at = data + sizeof(h);
    float *const to[5] = {vd_net_params(t->net), t->m, t->v, t->best, t->mean};
    double *const state_to[3] = {state, t->best_state, t->mean_state};
    for (size_t i = 0; i < arrays; i++, at += bytes)
        memcpy(to[i], at, bytes);
    for (size_t i = 0; states && i < state_arrays; i++, at += states * sizeof(double))
        memcpy(state_to[i], at, states * sizeof(double));
    t->step = h.step;
    t->best_step = h.best_step;
    t->best_score = h.best_score;
done:
    vd_free(data);
    return rc;
}
