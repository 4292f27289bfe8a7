/* SPDX-License-Identifier: BSD-2-Clause */
#include "quant_measure.h"

#include <math.h>
#include <string.h>

#include "common/mem.h"
#include "common/status.h"
#include "gate/gate.h"
#include "quant/observe.h"

void vd_quant_measure_init(struct vd_quant_measure *m, const struct vd_onnx_model *fp32, const struct vd_kernels *k, struct vd_workers *w)
{
    *m = (struct vd_quant_measure){.fp32 = fp32, .kernels = k, .workers = w};
    vd_rng_seed(&m->rng, 0);
}

static void free_frame(struct vd_measure_frame *f, int n_in)
{
    for (int i = 0; f->in && i < n_in; i++)
        vd_free(f->in[i].data);
    vd_free(f->in);
    vd_free(f->out);
    *f = (struct vd_measure_frame){0};
}

void vd_quant_measure_free(struct vd_quant_measure *m)
{
    for (int i = 0; i < m->n; i++)
        free_frame(&m->frame[i], m->fp32->n_in);
    m->n = 0;
}

/* The middle of a picture, where the model lets its size be. */
static void cut(const struct vd_onnx_value *v, const struct vd_tensor *in, struct vd_tensor *t, int64_t at[2])
{
    const int64_t most[2] = {VD_MEASURE_MOST_H, VD_MEASURE_MOST_W};
    *t = *in;
    for (int d = 0; d < 2; d++) {
        at[d] = 0;
        if (t->rank == 4 && t->type == VD_F32 && (v->rank < 0 || v->dim[2 + d] < 0) && t->dim[2 + d] > most[d]) {
            at[d] = (t->dim[2 + d] - most[d]) / 2;
            t->dim[2 + d] = most[d];
        }
    }
}

static int copy_frame(struct vd_quant_measure *m, struct vd_measure_frame *f, const struct vd_tensor *in)
{
    f->in = vd_calloc((size_t)m->fp32->n_in + 1, sizeof(*f->in));
    if (!f->in)
        return vd_nomem(sizeof(*f->in));
    for (int i = 0; i < m->fp32->n_in; i++) {
        struct vd_tensor *t = &f->in[i];
        int64_t at[2];
        cut(&m->fp32->in[i], &in[i], t, at);
        const size_t bytes = vd_tensor_bytes(t);
        if (!(t->data = vd_aligned(bytes)))
            return vd_nomem(bytes);
        if (t->rank != 4) {
            memcpy(t->data, in[i].data, bytes);
            continue;
        }
        const size_t size = vd_type_size(t->type), row = (size_t)t->dim[3] * size;
        for (int64_t r = 0; r < t->dim[0] * t->dim[1] * t->dim[2]; r++) {
            const int64_t plane = r / t->dim[2], y = r % t->dim[2] + at[0];
            memcpy((uint8_t *)t->data + (size_t)r * row,
                   (const uint8_t *)in[i].data + (size_t)((plane * in[i].dim[2] + y) * in[i].dim[3] + at[1]) * size, row);
        }
    }
    return 0;
}

int vd_quant_measure_frame(void *arg, const struct vd_tensor *in, bool pictures)
{
    struct vd_quant_measure *m = arg;
    const uint64_t slot = m->seen < VD_MEASURE_FRAMES ? m->seen : vd_rng_u64(&m->rng) % (m->seen + 1);
    (void)pictures;
    m->seen++;
    if (slot >= VD_MEASURE_FRAMES)
        return 0;
    struct vd_measure_frame *f = &m->frame[slot];
    free_frame(f, m->fp32->n_in);
    if ((int)slot == m->n)
        m->n++;
    return copy_frame(m, f, in);
}

/* All float outputs, one after the other: their number. */
static size_t outputs(const struct vd_observer *o, float *dst)
{
    size_t n = 0;
    for (int i = 0; i < vd_observer_n_out(o); i++) {
        const struct vd_tensor *t = vd_observer_output(o, i);
        if (t->type != VD_F32)
            continue;
        if (dst)
            memcpy(dst + n, t->data, vd_tensor_bytes(t));
        n += vd_tensor_count(t);
    }
    return n;
}

int vd_quant_measure_baseline(struct vd_quant_measure *m)
{
    struct vd_observer *o;
    int rc = vd_observer_open(&o, m->fp32, NULL, m->kernels, m->workers);
    for (int i = 0; i < m->n && !rc; i++) {
        struct vd_measure_frame *f = &m->frame[i];
        if ((rc = vd_observer_run(o, f->in, false)))
            break;
        f->n_out = outputs(o, NULL);
        if (!(f->out = vd_malloc((f->n_out + 1) * sizeof(float))))
            rc = vd_nomem(f->n_out * sizeof(float));
        else
            outputs(o, f->out);
    }
    vd_observer_close(o);
    return rc;
}

int vd_quant_measure_model(struct vd_quant_measure *m, const struct vd_onnx_model *q, struct vd_quant_effect *e)
{
    struct vd_observer *o;
    struct vd_compare c = {0};
    double signal = 0, noise = 0;
    float *out = NULL;
    int rc = vd_observer_open(&o, q, NULL, m->kernels, m->workers);
    for (int i = 0; i < m->n && !rc; i++) {
        const struct vd_measure_frame *f = &m->frame[i];
        if ((rc = vd_observer_run(o, f->in, false)))
            break;
        vd_free(out);
        if (!(out = vd_malloc((f->n_out + 1) * sizeof(float)))) {
            rc = vd_nomem(f->n_out * sizeof(float));
            break;
        }
        outputs(o, out);
        vd_compare_add(&c, f->out, out, f->n_out);
        for (size_t k = 0; k < f->n_out; k++) {
            const double d = (double)f->out[k] - (double)out[k];
            signal += (double)f->out[k] * (double)f->out[k];
            noise += d * d;
        }
    }
    vd_free(out);
    vd_observer_close(o);
    e->drop = 1 - vd_compare_plcc(&c);
    e->sqnr_db = noise > 0 ? 10 * log10(signal / noise) : INFINITY;
    return rc;
}
