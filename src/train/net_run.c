/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <string.h>

#include "common/checked.h"
#include "common/mem.h"
#include "train/net_priv.h"

static void add_todo(struct vd_net *n, enum vd_net_op op, int layer) { n->todo[n->n_todo++] = (struct vd_net_todo){op, layer}; }

static void write_todo(struct vd_net *n)
{
    add_todo(n, VD_DO_BEGIN, 0);
    for (int i = 0; i < n->n_layer; i++)
        if (n->layer[i].kind == VD_LAYER_NORM) {
            add_todo(n, VD_DO_NORM_SUM, i);
            add_todo(n, VD_MEET_NORM, i);
            add_todo(n, VD_DO_NORM_APPLY, i);
        } else {
            add_todo(n, VD_DO_FORWARD, i);
        }
    add_todo(n, VD_DO_LOSS, 0);
    if (n->batch_loss)
        add_todo(n, VD_MEET_LOSS, 0);
    n->n_forward = n->n_todo;
    add_todo(n, VD_DO_LOSS_BACK, 0);
    for (int i = n->n_layer - 1; i >= 0; i--)
        if (n->layer[i].kind == VD_LAYER_NORM) {
            add_todo(n, VD_DO_NORM_BACK_SUM, i);
            add_todo(n, VD_MEET_NORM_BACK, i);
            add_todo(n, VD_DO_NORM_BACK_APPLY, i);
        } else {
            add_todo(n, VD_DO_BACKWARD, i);
        }
}

/* Memory of the samples under way: zeros, so that borders are. */
static int make_works(struct vd_net *n)
{
    const size_t in = vd_net_input_count(n), out = vd_net_target_count(n), bytes = (n->work_bytes + 63) / 64 * 16; /* in floats */
    size_t each = n->work_floats, all;

    n->works = n->norms || n->batch_loss ? n->o.batch : vd_workers_count(n->workers);
    each += bytes + n->scratch_floats + (in + 3 * out) + 5 * VD_LANES;
    each = (each + VD_LANES - 1) / VD_LANES * VD_LANES;
    if (!vd_mul(each, (size_t)n->works, &all) || !vd_mul(all, sizeof(float), &all))
        return vd_nomem(SIZE_MAX);
    n->work = vd_net_take(n, (size_t)n->works, sizeof(*n->work));
    if (!n->work || !(n->memory = vd_aligned(all)))
        return vd_nomem(all);
    memset(n->memory, 0, all);
    for (int i = 0; i < n->works; i++) {
        struct vd_work *w = &n->work[i];
        w->data = n->memory + (size_t)i * each;
        w->bytes = (uint8_t *)(w->data + n->work_floats);
        w->scratch = w->data + n->work_floats + bytes;
        w->x = w->scratch + (n->scratch_floats + VD_LANES - 1) / VD_LANES * VD_LANES;
        w->target = w->x + (in + VD_LANES - 1) / VD_LANES * VD_LANES;
        w->y = w->target + out;
        w->grad = w->y + out;
        w->has_grad = vd_net_take(n, (size_t)n->n_value, sizeof(bool));
        w->border = vd_net_take(n, (size_t)n->n_value, sizeof(int));
        if (!w->has_grad || !w->border)
            return vd_nomem((unsigned long long)n->n_value);
        for (int v = 0; v < n->n_value; v++)
            w->border[v] = -1;
    }
    return 0;
}

int vd_net_create(struct vd_net **out, const struct vd_graph *g, const struct vd_net_opts *o, const struct vd_kernels *k, struct vd_workers *w)
{
    *out = NULL;
    struct vd_net *n = vd_calloc(1, sizeof(*n));
    size_t slots;
    if (!n)
        return vd_nomem(sizeof(*n));
    n->g = g;
    n->k = k;
    n->gk = vd_grad_kernels(k->name);
    n->workers = w;
    n->o = *o;
    n->batch_loss = o->loss.rank != 0;
    int rc = vd_net_build(n);
    if (!rc && n->batch_loss && vd_net_target_count(n) != 1)
        rc = vd_fail(EINVAL, "a rank loss is for models whose output is one number; this one's has %zu", vd_net_target_count(n));
    if (!rc)
        rc = make_works(n);
    if (rc)
        goto fail;
    n->todo = vd_net_take(n, (size_t)n->n_layer * 6 + 8, sizeof(*n->todo));
    n->losses = vd_net_take(n, (size_t)o->batch, sizeof(*n->losses));
    n->seen = vd_net_take(n, (size_t)o->batch * 2 * (size_t)n->n_range, sizeof(float));
    n->scores = vd_net_take(n, (size_t)o->batch, sizeof(float));
    n->score_targets = vd_net_take(n, (size_t)o->batch, sizeof(float));
    n->score_grads = vd_net_take(n, (size_t)o->batch, sizeof(float));
    if (!vd_mul(n->slot, (size_t)o->batch, &slots) || !(n->slots = vd_net_take(n, slots, sizeof(float))) || !n->todo || !n->losses || !n->scores || !n->seen ||
        !n->score_targets || !n->score_grads) {
        rc = vd_nomem(0);
        goto fail;
    }
    write_todo(n);
    *out = n;
    return 0;
fail:
    vd_net_free(n);
    return rc;
}

void vd_net_free(struct vd_net *n)
{
    if (!n)
        return;
    vd_free(n->memory);
    vd_arena_free(&n->arena);
    vd_free(n);
}

size_t vd_net_count(const struct vd_net *n) { return n->count; }
float *vd_net_params(struct vd_net *n) { return n->params; }
const float *vd_net_grads(const struct vd_net *n) { return n->grads; }

const struct vd_net_param *vd_net_table(const struct vd_net *n, int *count)
{
    *count = n->n_param;
    return n->param;
}

double *vd_net_state(struct vd_net *n, size_t *count)
{
    *count = n->n_state;
    return n->state;
}

static size_t elements(const struct vd_map *m) { return (size_t)m->c * (size_t)m->h * (size_t)m->w; }
size_t vd_net_input_count(const struct vd_net *n) { return elements(&n->value[n->input].map); }
size_t vd_net_target_count(const struct vd_net *n) { return elements(&n->value[n->output].map); }

/* --- a step --- */

struct step {
    struct vd_net *n;
    vd_net_draw *draw;
    void *arg;
    uint64_t first;
    int from, to; /* todo items without a meeting */
    bool one_work_each;
    bool see; /* what ranges the values have */
};

static void forward(const struct vd_layer_call *c)
{
    const bool quant = c->l->quant;
    switch (c->l->kind) {
    case VD_LAYER_CONV: (quant ? vd_quant_conv_forward : vd_conv_forward)(c); break;
    case VD_LAYER_CLAMP: vd_clamp_forward(c); break;
    case VD_LAYER_ADD: (quant ? vd_quant_add_forward : vd_add_forward)(c); break;
    case VD_LAYER_MEAN: (quant ? vd_quant_mean_forward : vd_mean_forward)(c); break;
    case VD_LAYER_ROUND: vd_round_forward(c); break;
    case VD_LAYER_NORM: break; /* has its own */
    }
}

static void backward(const struct vd_layer_call *c)
{
    if (c->value[c->l->out].range != VD_NONE_AT)
        vd_quant_mask(c);
    switch (c->l->kind) {
    case VD_LAYER_CONV: vd_conv_backward(c); break;
    case VD_LAYER_CLAMP: vd_clamp_backward(c); break;
    case VD_LAYER_ADD: vd_add_backward(c); break;
    case VD_LAYER_MEAN: vd_mean_backward(c); break;
    case VD_LAYER_ROUND: vd_round_backward(c); break;
    case VD_LAYER_NORM: break;
    }
}

static void do_item(const struct step *s, const struct vd_net_todo *t, int sample, struct vd_work *w)
{
    struct vd_net *n = s->n;
    float *slot = n->slots + (size_t)sample * n->slot;
    const struct vd_layer_call c = {.l = &n->layer[t->layer], .value = n->value, .k = n->k, .g = n->gk, .w = w, .range = n->range, .slot = slot, .sample = sample,
                                    .seen = s->see ? n->seen + 2 * (size_t)sample * (size_t)n->n_range : NULL};
    const struct vd_net_value *in = &n->value[n->input], *out = &n->value[n->output];
    /* A layer whose output has no gradient has nothing to give: no loss depends on it. */
    const bool scaled = n->o.layout && n->o.output_scale != 0; /* weights as they are in the file, since rounding sees them */
    const bool idle = t->op >= VD_DO_BACKWARD && !w->has_grad[c.l->out];

    if (idle && t->op != VD_DO_LOSS_BACK)
        return;
    switch (t->op) {
    case VD_DO_BEGIN:
        s->draw(s->arg, s->first + (uint64_t)sample, w->x, w->target);
        vd_map_load(&in->map, vd_value_data(in, w), w->x);
        memset(slot, 0, n->slot * sizeof(float));
        memset(w->has_grad, 0, (size_t)n->n_value * sizeof(bool));
        for (int i = 0; i < n->n_range && c.seen; i++) {
            c.seen[2 * i] = INFINITY;
            c.seen[2 * i + 1] = -INFINITY;
        }
        break;
    case VD_DO_FORWARD: forward(&c); break;
    case VD_DO_NORM_SUM: vd_norm_sum(&c); break;
    case VD_DO_NORM_APPLY: vd_norm_apply(&c, n->params); break;
    case VD_DO_LOSS:
        vd_map_store(&out->map, vd_value_data(out, w), w->y);
        for (size_t i = 0; scaled && i < elements(&out->map); i++)
            w->y[i] = (float)((double)w->y[i] / n->o.output_scale);
        n->losses[sample] = vd_loss_sample(&n->o.loss, w->y, w->target, elements(&out->map), n->o.batch, w->grad);
        if (n->batch_loss) {
            n->scores[sample] = w->y[0];
            n->score_targets[sample] = w->target[0];
            n->score_grads[sample] = w->grad[0];
        }
        break;
    case VD_DO_LOSS_BACK:
        if (n->batch_loss)
            w->grad[0] = n->score_grads[sample];
        for (size_t i = 0; scaled && i < elements(&out->map); i++)
            w->grad[i] = (float)((double)w->grad[i] / n->o.output_scale);
        vd_map_load(&out->map, vd_value_grad(out, w), w->grad);
        w->has_grad[n->output] = true;
        break;
    case VD_DO_BACKWARD: backward(&c); break;
    case VD_DO_NORM_BACK_SUM: vd_norm_back_sum(&c); break;
    case VD_DO_NORM_BACK_APPLY: vd_norm_back_apply(&c, n->params); break;
    case VD_MEET_NORM:
    case VD_MEET_LOSS:
    case VD_MEET_NORM_BACK: break;
    }
}

static void sample_task(void *arg, size_t task, int worker)
{
    const struct step *s = arg;
    struct vd_work *w = &s->n->work[s->one_work_each ? task : (size_t)worker];
    for (int i = s->from; i < s->to; i++)
        do_item(s, &s->n->todo[i], (int)task, w);
}

static bool meets(enum vd_net_op op) { return op == VD_MEET_NORM || op == VD_MEET_LOSS || op == VD_MEET_NORM_BACK; }

static void meet(struct vd_net *n, const struct vd_net_todo *t, double *rank)
{
    struct vd_layer *l = &n->layer[t->layer];
    if (t->op == VD_MEET_NORM)
        vd_norm_join(l, &n->value[l->out].map, n->o.batch, n->o.norm_momentum);
    else if (t->op == VD_MEET_NORM_BACK)
        vd_norm_back_join(l, &n->value[l->out].map, n->o.batch);
    else
        *rank = vd_loss_rank(&n->o.loss, n->scores, n->score_targets, n->o.batch, n->score_grads);
}

/* Gradients of one layer: the samples' slots added in order, then into the parameters' own order. */
static void reduce_task(void *arg, size_t task, int worker)
{
    struct vd_net *n = arg;
    const struct vd_layer *l = &n->layer[task];
    (void)worker;
    float *sum = n->slots;
    for (int b = 1; b < n->o.batch; b++) {
        const float *more = n->slots + (size_t)b * n->slot;
        for (size_t i = l->slot[0]; i < l->slot_end; i++)
            sum[i] += more[i];
    }
}

static void collect_gradients(struct vd_net *n)
{
    vd_workers_run(n->workers, reduce_task, n, (size_t)n->n_layer);
    memset(n->grads, 0, n->count * sizeof(float));
    for (int i = 0; i < n->n_layer; i++) {
        const struct vd_layer *l = &n->layer[i];
        if (l->kind == VD_LAYER_CONV)
            vd_row_grad_add(&l->shape, n->grads + l->param[0], n->slots + l->slot[0]);
        const int range = n->value[l->out].range;
        for (size_t k = 0; range != VD_NONE_AT && n->range[range].param != VD_NONE_AT && k < 2; k++)
            n->grads[(size_t)n->range[range].param + k] += n->slots[l->slot_range + k];
        const size_t channels = (size_t)n->value[l->out].map.c;
        for (int p = l->kind == VD_LAYER_NORM ? 0 : 1; p < 2 && (l->kind == VD_LAYER_CONV || l->kind == VD_LAYER_NORM); p++)
            for (size_t c = 0; l->param[p] != VD_NONE_AT && c < channels; c++)
                n->grads[(size_t)l->param[p] + c] += n->slots[l->slot[p] + c];
    }
}

/* Weights as the kernels want them. */
static void pack(struct vd_net *n)
{
    if (n->o.layout)
        vd_net_set_ranges(n);
    for (int i = 0; i < n->n_layer; i++) {
        struct vd_layer *l = &n->layer[i];
        if (l->kind != VD_LAYER_CONV)
            continue;
        if (l->quant)
            vd_conv_round_weights(n, l);
        vd_conv_pack(l, n->k, l->quant ? l->w_dq : n->params + l->param[0], l->bias ? n->params + l->param[1] : NULL, n->turned);
    }
}

int vd_net_step(struct vd_net *n, vd_net_draw *draw, void *arg, uint64_t first, bool backward, double *loss)
{
    struct step s = {.n = n, .draw = draw, .arg = arg, .first = first, .one_work_each = n->norms || n->batch_loss,
                     .see = backward && n->o.layout && n->o.ranges == VD_RANGES_AVERAGE};
    const int end = backward ? n->n_todo : n->n_forward;
    double sum = 0, rank = 0;

    pack(n);
    for (int i = 0; i < end;) {
        if (meets(n->todo[i].op)) {
            meet(n, &n->todo[i++], &rank);
            continue;
        }
        s.from = i;
        while (i < end && !meets(n->todo[i].op))
            i++;
        s.to = i;
        vd_workers_run(n->workers, sample_task, &s, (size_t)n->o.batch);
    }
    for (int i = 0; i < n->o.batch; i++)
        sum += n->losses[i];
    *loss = sum / n->o.batch + rank;
    if (!isfinite(*loss))
        return vd_fail(EDOM, "the loss is not finite: a lower learning rate, or look at the data");
    if (backward)
        collect_gradients(n);
    if (s.see)
        vd_net_see_ranges(n);
    return 0;
}

int vd_net_norm_state(struct vd_net *n, vd_net_draw *draw, void *arg, uint64_t first, int batches)
{
    const double momentum = n->o.norm_momentum;
    double loss;
    int rc = 0;

    for (int i = 0; n->norms && i < batches && !rc; i++) {
        n->o.norm_momentum = 1.0 / (i + 1); /* the first replaces what was there */
        rc = vd_net_step(n, draw, arg, first + (uint64_t)i * (uint64_t)n->o.batch, false, &loss);
    }
    n->o.norm_momentum = momentum;
    return rc;
}

int vd_net_forward(struct vd_net *n, const float *x, float *y)
{
    struct vd_work *w = &n->work[0];
    const struct vd_net_value *in = &n->value[n->input], *out = &n->value[n->output];
    if (n->norms || n->batch_loss)
        return vd_fail(EINVAL, "one sample alone has no statistics of a batch");
    pack(n);
    vd_map_load(&in->map, vd_value_data(in, w), x);
    for (int i = 0; i < n->n_layer; i++) {
        const struct vd_layer_call c = {.l = &n->layer[i], .value = n->value, .k = n->k, .g = n->gk, .w = w, .range = n->range};
        forward(&c);
    }
    vd_map_store(&out->map, vd_value_data(out, w), y);
    return 0;
}
