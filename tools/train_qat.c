/* SPDX-License-Identifier: BSD-2-Clause */
#include "train_qat.h"

#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "common/file.h"
#include "common/mem.h"
#include "common/random.h"
#include "common/status.h"
#include "plan/plan.h"
#include "quant/observe.h"
#include "trust/trust.h"

/* --- ranges to begin with */

static int observe(struct vd_train_qat *q, const struct vd_onnx_model *m, const struct vd_train_data *train, const struct vd_kernels *k, struct vd_workers *w)
{
    struct vd_observer *o;
    struct vd_progress progress;
    const size_t side = (size_t)train->side;
    float *x = vd_malloc(side * side * sizeof(float)), *target = vd_malloc(side * side * sizeof(float));
    struct vd_tensor in = {.type = VD_F32, .rank = 4, .dim = {1, 1, train->side, train->side}, .data = x};
    int rc = x && target ? vd_observer_open(&o, m, &q->c, k, w) : vd_nomem(2 * side * side * sizeof(float));
    if (!rc) {
        vd_progress_start(&progress, "calibrate: sample", q->config->qat.samples);
        for (long i = 0; !rc && i < q->config->qat.samples; i++) {
            vd_train_data_draw((void *)(uintptr_t)train, (uint64_t)i, x, target);
            rc = vd_observer_run(o, &in, true);
            vd_progress_step(&progress, i + 1);
        }
        vd_progress_end(&progress);
        vd_observer_close(o);
        vd_calib_trim(&q->c);
    }
    vd_free(x);
    vd_free(target);
    return rc;
}

static int read_calibration(struct vd_train_qat *q)
{
    const char *path = q->config->qat.calibration;
    uint8_t *data;
    size_t size;
    int rc = vd_file_read(path, VD_CALIB_MAX_FILE, &data, &size);
    if (rc)
        return rc;
    rc = vd_calib_read(&q->c, data, size, path);
    vd_free(data);
    if (!rc && strcmp(q->c.model_sha256, q->source_sha256))
        rc = vd_fail(EINVAL, "%s: is of another model (sha256 %.16s..., and net.from's is %.16s...): 'vmaf-dnn calibrate' that one", path,
                     q->c.model_sha256, q->source_sha256);
    return rc;
}

/* m becomes its equalised form. */
static int equalise(struct vd_train_qat *q, struct vd_buf *begin, struct vd_onnx_model *m)
{
    struct vd_onnx_model e;
    struct vd_buf b = {0};
    int rc = vd_equalized(m, &q->c, &e);
    if (rc)
        return rc;
    rc = vd_onnx_write(&e, &b);
    vd_onnx_free(&e);
    if (!rc) {
        vd_onnx_free(m);
        vd_free(begin->data);
        *begin = b;
        return vd_onnx_read(m, b.data, b.size);
    }
    vd_free(b.data);
    return rc;
}

static int calibrate(struct vd_train_qat *q, struct vd_buf *begin, struct vd_onnx_model *m, const struct vd_train_data *train, const struct vd_kernels *k,
                     struct vd_workers *w)
{
    int rc;
    memcpy(q->c.model_sha256, q->source_sha256, sizeof(q->source_sha256));
    if (q->config->qat.calibration)
        return (rc = read_calibration(q)) || !q->c.n_group ? rc : equalise(q, begin, m);
    if (q->config->qat.equalize) {
        if ((rc = observe(q, m, train, k, w)) || (rc = vd_equalize(m, &q->c)))
            return rc;
        q->c.tensor = NULL;
        q->c.n_tensor = 0;
        q->c.frames = 0;
        if (q->c.n_group && (rc = equalise(q, begin, m)))
            return rc;
    }
    return observe(q, m, train, k, w);
}

static int exclude(struct vd_train_qat *q, const struct vd_onnx_model *m)
{
    const struct vd_train_qat_config *c = &q->config->qat;
    if (!c->n_exclude)
        return 0;
    if (!(q->fp32 = vd_calloc((size_t)m->n_node, sizeof(bool))))
        return vd_nomem((unsigned long long)m->n_node);
    for (int i = 0; i < c->n_exclude; i++) {
        bool found = false;
        for (int k = 0; k < m->n_node; k++)
            if (!strcmp(m->node[k].name, c->exclude[i]) || (m->node[k].n_out && !strcmp(m->node[k].out[0], c->exclude[i])))
                q->fp32[k] = found = true;
        if (!found)
            return vd_fail(EPERM, "qat.exclude: no node of the model is called %s, nor what it writes: 'vmaf-dnn inspect --layers MODEL' lists them", c->exclude[i]);
    }
    return 0;
}

static int hire_teacher(struct vd_train_qat *q, const struct vd_onnx_model *m, int batch, const struct vd_kernels *k, struct vd_workers *w)
{
    const int side = q->train->side;
    int rc = vd_graph_build(&q->graph, m);
    if (rc || (rc = vd_plan_create(&q->plan, &q->graph, k, w)))
        return rc;
    q->each = m->in[0].dim[0] > 0 ? 1 : (size_t)batch;
    const struct vd_tensor shape = {.type = VD_F32, .rank = 4, .dim = {(int64_t)q->each, 1, side, side}};
    if ((rc = vd_plan_shape(q->plan, &shape)))
        return rc;
    q->n_x = (size_t)side * (size_t)side;
    q->x = vd_malloc((size_t)batch * q->n_x * sizeof(float));
    q->target = vd_malloc((size_t)batch * q->n_x * sizeof(float));
    return q->x && q->target ? 0 : vd_nomem(2 * (size_t)batch * q->n_x * sizeof(float));
}

int vd_train_qat_begin(struct vd_train_qat *q, const struct vd_train_config *c, struct vd_buf *begin, struct vd_onnx_model *m,
                       const struct vd_train_data *train, const struct vd_kernels *k, struct vd_workers *w)
{
    *q = (struct vd_train_qat){.config = c, .train = train};
    vd_sha256_hex(begin->data, begin->size, q->source_sha256);
    int rc = calibrate(q, begin, m, train, k, w);
    if (!rc)
        rc = exclude(q, m);
    q->so = (struct vd_static_opts){.calibration = &q->c, .method = c->qat.method, .percentile = c->qat.percentile, .per_tensor = c->qat.per_tensor,
                                    .margin = c->qat.margin, .fp32 = q->fp32, .source_sha256 = q->source_sha256};
    if (!rc)
        rc = vd_static_layout(m, &q->so, &q->layout);
    if (!rc && vd_train_qat_teaches(q))
        rc = hire_teacher(q, m, c->batch, k, w);
    return rc;
}

void vd_train_qat_free(struct vd_train_qat *q)
{
    vd_plan_free(q->plan);
    vd_graph_free(&q->graph);
    vd_static_layout_free(&q->layout);
    vd_calibration_free(&q->c);
    vd_free(q->fp32);
    vd_free(q->x);
    vd_free(q->target);
    *q = (struct vd_train_qat){0};
}

/* --- the teacher */

bool vd_train_qat_teaches(const struct vd_train_qat *q) { return q->config->qat.teacher > 0 || q->config->qat.noise > 0; }

/* Whether this sample is noise, and then its pixels: of number and seed alone. */
static bool noise(const struct vd_train_qat *q, uint64_t sample, float *x)
{
    struct vd_rng rng;
    vd_rng_seed(&rng, (q->config->seed << 40) + sample + ((uint64_t)1 << 39));
    if (!((double)vd_rng_f32(&rng) < q->config->qat.noise))
        return false;
    for (size_t i = 0; i < q->n_x; i++)
        x[i] = vd_rng_f32(&rng);
    return true;
}

int vd_train_qat_teach(struct vd_train_qat *q, size_t targets, uint64_t first)
{
    const size_t batch = (size_t)q->config->batch;
    q->first = first;
    q->n_target = targets;
    for (size_t i = 0; i < batch; i += q->each) {
        for (size_t k = i; k < i + q->each; k++)
            vd_train_data_draw((void *)(uintptr_t)q->train, first + k, q->x + k * q->n_x, q->target + k * targets);
        float *in = vd_plan_input(q->plan, 0)->data;
        bool is_noise[1024] = {0}; /* batch is at most that */
        for (size_t k = i; k < i + q->each; k++)
            is_noise[k] = noise(q, first + k, q->x + k * q->n_x);
        memcpy(in, q->x + i * q->n_x, q->each * q->n_x * sizeof(float));
        const int rc = vd_plan_run(q->plan);
        if (rc)
            return rc;
        const float *y = vd_plan_output(q->plan, 0)->data;
        for (size_t k = i; k < i + q->each; k++)
            for (size_t e = 0; e < targets; e++) {
                float *t = q->target + k * targets + e;
                const double share = is_noise[k] ? 1 : q->config->qat.teacher, taught = (double)*y++ / q->config->score_scale;
                *t = (float)((1 - share) * (double)*t + share * taught);
            }
    }
    return 0;
}

void vd_train_qat_draw(void *arg, uint64_t sample, float *x, float *target)
{
    const struct vd_train_qat *q = arg;
    const size_t k = (size_t)(sample - q->first);
    memcpy(x, q->x + k * q->n_x, q->n_x * sizeof(float));
    memcpy(target, q->target + k * q->n_target, q->n_target * sizeof(float));
}

/* --- files */

int vd_train_qat_file(const struct vd_train_qat *q, const struct vd_net *net, const float *params, const double *state, struct vd_buf *b)
{
    struct vd_static_opts so = q->so;
    struct vd_static_report rep;
    struct vd_onnx_model stored, out;
    const int n = vd_net_ranges(net, params, state, NULL);
    struct vd_static_override *range = vd_calloc((size_t)n + 1, sizeof(*range));
    int rc = range ? vd_net_store(net, params, state, &stored) : vd_nomem((size_t)n * sizeof(*range));
    if (!rc) {
        vd_net_ranges(net, params, state, range);
        so.override = range;
        so.n_override = n;
        so.no_bias_correction = so.qat = true;
        rc = vd_quantize_static(&stored, &so, &out, &rep);
        if (!rc) {
            rc = vd_onnx_write(&out, b);
            vd_onnx_free(&out);
        }
        vd_onnx_free(&stored);
    }
    vd_free(range);
    return rc;
}

int vd_train_qat_static(const struct vd_train_qat *q, const struct vd_onnx_model *m, struct vd_buf *b)
{
    struct vd_static_report rep;
    struct vd_onnx_model out;
    int rc = vd_quantize_static(m, &q->so, &out, &rep);
    if (!rc) {
        rc = vd_onnx_write(&out, b);
        vd_onnx_free(&out);
    }
    return rc;
}
