/* SPDX-License-Identifier: BSD-2-Clause */
/* A net whose activations and weights are rounded where the static form's are: layers, ranges, the numbers of a step. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "quant/weights.h"
#include "train/net_priv.h"

enum { MAX_TERMS = 33000 }; /* of a sum: 255 * 127 each, and a bias of 2^30, fit 32 bits */

static int value_by_name(const struct vd_net *n, const char *name)
{
    for (int v = 0; v < n->g->n_value; v++)
        if (!strcmp(n->g->value[v].name, name))
            return v;
    return -1;
}

static const struct vd_static_step *step_of(const struct vd_net *n, const struct vd_layer *l)
{
    return &n->o.layout->step[l->node->proto - n->g->model->node];
}

/* --- layers */

/* Layers that the form has as parts of others go; a convolution that is spread over an Add reads both of its inputs. */
static int fold_layers(struct vd_net *n)
{
    struct vd_layer *gone = vd_net_take(n, (size_t)n->n_layer, sizeof(*gone));
    int n_gone = 0, kept = 0;
    if (!gone)
        return vd_nomem(0);
    for (int i = 0; i < n->n_layer; i++) {
        struct vd_layer *l = &n->layer[i];
        const struct vd_static_step *step = step_of(n, l);
        l->in[0] = vd_net_root(n, l->in[0]);
        l->in[1] = l->two ? vd_net_root(n, l->in[1]) : 0;
        if (l->kind == VD_LAYER_NORM)
            return vd_net_refuse(l->node, "training with qat begins with a model in which it is folded: train without qat first, and begin with what that writes");
        if (l->kind == VD_LAYER_CLAMP && (step->dropped || vd_net_root(n, n->output) == l->out)) {
            n->same[l->out] = l->in[0];
            continue;
        }
        if (step->dropped) {
            gone[n_gone++] = *l;
            continue;
        }
        l->quant = step->quantised && l->kind != VD_LAYER_CLAMP;
        for (int k = 0; k < n_gone && l->kind == VD_LAYER_CONV && l->quant && step->split >= 0; k++)
            if (gone[k].node->proto == &n->g->model->node[step->split]) {
                l->in[0] = gone[k].in[0];
                l->in[1] = gone[k].in[1];
                l->two = true;
            }
        n->layer[kept++] = *l;
    }
    n->n_layer = kept;
    n->output = vd_net_root(n, n->output);
    return 0;
}

/* --- ranges */

static int add_ranges(struct vd_net *n)
{
    const struct vd_static_layout *layout = n->o.layout;
    int *range = vd_net_take(n, (size_t)layout->n_spot, sizeof(*range));
    n->range = vd_net_take(n, (size_t)layout->n_spot, sizeof(*n->range));
    if (!range || !n->range)
        return vd_nomem(0);
    for (int i = 0; i < layout->n_spot; i++) {
        const struct vd_static_spot *s = &layout->spot[i];
        if (s->root != i)
            continue;
        struct vd_net_range *r = &n->range[n->n_range];
        range[i] = n->n_range++;
        *r = (struct vd_net_range){.spot = s, .param = VD_NONE_AT, .from_zero = s->lo >= 0};
        if (s->fixed)
            continue;
        if (n->o.ranges == VD_RANGES_LEARNED) {
            n->param[n->n_param++] = (struct vd_net_param){.name = s->tensor, .offset = n->count, .count = 2, .range = true};
            r->param = (int64_t)n->count;
            n->count += 2;
        } else if (n->o.ranges == VD_RANGES_AVERAGE) {
            n->n_state += 2;
        }
    }
    for (int i = 0; i < layout->n_spot; i++) {
        const struct vd_static_spot *s = &layout->spot[i];
        const int v = value_by_name(n, s->tensor);
        if (v < 0)
            continue;
        struct vd_net_value *x = &n->value[vd_net_root(n, v)];
        x->range = range[s->root];
        if (s->clamped) {
            x->clamp_lo = x->clamped ? fmaxf(x->clamp_lo, s->clamp_lo) : s->clamp_lo;
            x->clamp_hi = x->clamped ? fminf(x->clamp_hi, s->clamp_hi) : s->clamp_hi;
            x->clamped = true;
        }
    }
    return 0;
}

static bool writes_bytes(const struct vd_net *n, const struct vd_layer *l)
{
    return l->quant && !(l->kind == VD_LAYER_CONV && step_of(n, l)->float_out);
}

/* The value whose bytes l reads instead of v: v, or what a new layer before l rounds it to. */
static int in_bytes(struct vd_net *n, int v, const struct vd_layer *l, int *rounded, struct vd_tensor *t)
{
    for (int i = 0; i < n->n_layer; i++)
        if (n->layer[i].out == v && n->layer[i].kind != VD_LAYER_ROUND && writes_bytes(n, &n->layer[i]))
            return v;
    if (rounded[v] >= 0)
        return rounded[v];
    const int made = rounded[v] = n->n_value++;
    n->same[made] = made;
    t[made] = t[v];
    n->value[made] = n->value[v];
    n->layer[n->n_layer++] = (struct vd_layer){.kind = VD_LAYER_ROUND, .node = l->node, .in = {v, 0}, .out = made, .param = {VD_NONE_AT, VD_NONE_AT}};
    return made;
}

static int add_roundings(struct vd_net *n, struct vd_tensor *t)
{
    const int layers = n->n_layer;
    struct vd_layer *from = vd_net_take(n, (size_t)layers, sizeof(*from));
    int *rounded = vd_net_take(n, (size_t)n->n_value, sizeof(*rounded));
    if (!from || !rounded)
        return vd_nomem(0);
    memcpy(from, n->layer, (size_t)layers * sizeof(*from));
    for (int v = 0; v < n->n_value; v++)
        rounded[v] = -1;
    n->n_layer = 0;
    for (int i = 0; i < layers; i++) {
        struct vd_layer l = from[i];
        for (int k = 0; k < (l.two ? 2 : 1) && l.quant; k++) {
            if (n->value[l.in[k]].range == VD_NONE_AT)
                return vd_net_refuse(l.node, "the static form has no range for what it reads");
            l.in[k] = in_bytes(n, l.in[k], &from[i], rounded, t);
        }
        n->layer[n->n_layer++] = l;
    }
    for (int v = 0; v < n->g->n_value; v++) { /* what is float keeps no range: that is its rounded copy's */
        bool bytes = false;
        for (int i = 0; i < n->n_layer; i++)
            bytes |= n->layer[i].out == v && n->layer[i].kind != VD_LAYER_ROUND && writes_bytes(n, &n->layer[i]);
        if (!bytes)
            n->value[v].range = VD_NONE_AT;
    }
    return 0;
}

int vd_net_quantise(struct vd_net *n, struct vd_tensor *t)
{
    int rc = fold_layers(n);
    if (!rc)
        rc = add_ranges(n);
    return rc ? rc : add_roundings(n, t);
}

/* --- places */

int vd_net_place_bytes(struct vd_net *n)
{
    size_t at = 0;
    for (int v = 0; v < n->n_value; v++) {
        struct vd_net_value *x = &n->value[v];
        int stride = 1;
        if (x->range == VD_NONE_AT || !x->map.c)
            continue;
        for (int i = 0; i < n->n_layer; i++)
            if (n->layer[i].kind == VD_LAYER_CONV && n->layer[i].quant && n->layer[i].shape.stride > stride)
                stride = n->layer[i].shape.stride;
        const int rc = vd_map_init_bytes(&x->bytes, x->map.c, x->map.h, x->map.w, x->map.thin, x->map.border, VD_ROW_SLACK * stride + 4);
        if (rc)
            return rc;
        x->bytes_at = at;
        at += x->bytes.size;
    }
    n->work_bytes = at;
    return 0;
}

int vd_net_place_quant(struct vd_net *n, struct vd_layer *l)
{
    const struct vd_row_shape *s = &l->shape;
    const size_t oc = (size_t)s->oc, lanes = (oc + VD_LANES - 1) / VD_LANES * VD_LANES, ic = s->kind == VD_ROW_DEPTHWISE ? 1 : (size_t)s->ic,
                 terms = ic * (size_t)s->kh * (size_t)s->kw, count = oc * terms;
    if (terms > MAX_TERMS)
        return vd_net_refuse(l->node, "a sum of its products does not fit 32 bits");
    l->shape_u8 = *s;
    l->shape_u8.integer = true;
    l->pack = vd_net_take(n, n->k->row.pack_u8[s->kind](&l->shape_u8, NULL, NULL) + 64, 1);
    l->q = vd_net_take(n, count, 1);
    l->w_scale = vd_net_take(n, lanes, sizeof(float));
    l->w_dq = vd_net_take(n, count, sizeof(float));
    l->bias_q = vd_net_take(n, lanes, sizeof(int32_t));
    bool whole = l->pack && l->q && l->w_scale && l->w_dq && l->bias_q;
    for (int k = 0; k < 2; k++) {
        l->tail_scale[k] = vd_net_take(n, lanes, sizeof(float));
        l->bias32[k] = vd_net_take(n, lanes, sizeof(int32_t));
        whole = whole && l->tail_scale[k] && l->bias32[k];
    }
    return whole ? 0 : vd_nomem(count);
}

void vd_net_begin_ranges(struct vd_net *n, size_t *state)
{
    for (int i = 0; i < n->n_range; i++) {
        struct vd_net_range *r = &n->range[i];
        if (r->param != VD_NONE_AT) {
            n->params[r->param] = logf(r->spot->scale);
            n->params[r->param + 1] = (float)r->spot->zp / 255;
        } else if (n->o.ranges == VD_RANGES_AVERAGE && !r->spot->fixed) {
            r->seen = n->state + *state;
            *state += 2;
            r->seen[0] = (double)r->spot->lo;
            r->seen[1] = (double)r->spot->hi;
        }
    }
}

/* --- the numbers of a step */

static void range_of(const struct vd_net *n, const struct vd_net_range *r, const float *params, const double *state, float *scale, int *zp)
{
    *scale = r->spot->scale;
    *zp = r->spot->zp;
    if (r->param != VD_NONE_AT) {
        *scale = fminf(FLT_MAX / 512, fmaxf(FLT_MIN, expf(params[r->param])));
        *zp = r->from_zero ? 0 : (int)rintf(255 * fminf(1, fmaxf(0, params[r->param + 1])));
    } else if (r->seen) {
        const double *seen = state + (r->seen - n->state);
        vd_static_range((float)fmin(0, seen[0]), (float)fmax(0, seen[1]), scale, zp);
    }
}

void vd_net_set_ranges(struct vd_net *n)
{
    for (int i = 0; i < n->n_range; i++)
        range_of(n, &n->range[i], n->params, n->state, &n->range[i].scale, &n->range[i].zp);
    for (int v = 0; v < n->n_value; v++) {
        struct vd_net_value *x = &n->value[v];
        if (x->range == VD_NONE_AT)
            continue;
        const struct vd_net_range *r = &n->range[x->range];
        x->lo = x->clamped ? vd_static_byte(r->scale, r->zp, x->clamp_lo) : 0;
        x->hi = x->clamped ? vd_static_byte(r->scale, r->zp, x->clamp_hi) : 255;
    }
}

int vd_net_ranges(const struct vd_net *n, const float *params, const double *state, struct vd_static_override *out)
{
    for (int i = 0; i < n->n_range && out; i++) {
        out[i] = (struct vd_static_override){.tensor = n->range[i].spot->tensor, .has_scale = true};
        range_of(n, &n->range[i], params, state, &out[i].scale, &out[i].zero_point);
    }
    return n->n_range;
}

void vd_conv_round_weights(struct vd_net *n, struct vd_layer *l)
{
    const struct vd_row_shape *s = &l->shape;
    const size_t oc = (size_t)s->oc, k = (s->kind == VD_ROW_DEPTHWISE ? 1 : (size_t)s->ic) * (size_t)s->kh * (size_t)s->kw;
    const struct vd_net_value *y = &n->value[l->out];
    const bool bytes = y->range != VD_NONE_AT;
    const float *w = n->params + l->param[0], *bias = l->param[1] != VD_NONE_AT && bytes ? n->params + l->param[1] : NULL;
    double sqnr;
    vd_weights_scales(w, oc, k, bias, n->range[n->value[l->in[0]].range].scale, n->o.layout->per_tensor, l->w_scale);
    vd_weights_round(w, oc * k, oc, true, VD_S8, l->w_scale, (uint8_t *)l->q, &sqnr);
    for (size_t i = 0; i < oc * k; i++)
        l->w_dq[i] = (float)l->q[i] * l->w_scale[i / k];
    if (bias)
        vd_weights_bias(bias, oc, n->range[n->value[l->in[0]].range].scale, l->w_scale, l->tail_scale[0], l->bias_q);
    for (int in = 0; in < (l->two ? 2 : 1); in++) {
        const struct vd_net_range *x = &n->range[n->value[l->in[in]].range];
        for (size_t c = 0; c < oc; c++) {
            int32_t sum = 0;
            for (size_t i = 0; i < k; i++)
                sum += l->q[c * k + i];
            l->bias32[in][c] = (int32_t)((uint32_t)(bias ? l->bias_q[c] : 0) - (uint32_t)x->zp * (uint32_t)sum); /* may wrap, as in the plan */
            l->tail_scale[in][c] = bytes ? x->scale * l->w_scale[c] / n->range[y->range].scale : x->scale * l->w_scale[c];
        }
    }
}

void vd_net_see_ranges(struct vd_net *n)
{
    for (int i = 0; i < n->n_range; i++) {
        struct vd_net_range *r = &n->range[i];
        float lo = INFINITY, hi = -INFINITY;
        for (int b = 0; b < n->o.batch && r->seen; b++) {
            const float *seen = n->seen + 2 * ((size_t)b * (size_t)n->n_range + (size_t)i);
            lo = fminf(lo, seen[0]);
            hi = fmaxf(hi, seen[1]);
        }
        if (!(lo <= hi))
            continue;
        r->seen[0] += n->o.range_momentum * ((double)lo - r->seen[0]);
        r->seen[1] += n->o.range_momentum * ((double)hi - r->seen[1]);
    }
}
