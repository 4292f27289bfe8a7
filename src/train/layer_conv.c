/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include <string.h>

#include "train/net_priv.h"

enum { MAX_KERNEL = VD_TRAIN_MAX_KERNEL };

static size_t in_floats(size_t bytes) { return (bytes + 63) / 64 * 16; }

/* Rows of src through a convolution to rows of dst, whose own row is added when it holds something. */
struct pass {
    const struct vd_row_conv *conv;
    bool wino;
    const struct vd_map *src, *dst;
    float *src_data, *dst_data;
    int stride_y, dilation_y, top, left;
    bool add;
};

static void run_pass(const struct vd_kernels *k, const struct pass *p, float *scratch)
{
    const struct vd_row_shape *s = &p->conv->shape;
    vd_row_conv_fn *const fn = p->wino ? k->row.conv_wino : k->row.conv_f32[s->kind];
    const size_t lanes = p->src->lanes, wino_floats = p->wino ? in_floats(k->row.wino_bytes(s->ic, p->dst->w)) : 0;
    const void *src[MAX_KERNEL];
    int made = 0; /* rows that were transformed */

    for (int y = 0; y < p->dst->h; y++) {
        for (int ky = 0; ky < s->kh; ky++) {
            const int row = y * p->stride_y + ky * p->dilation_y;
            src[ky] = vd_map_row(p->src, p->src_data, 0, row - p->top) - (ptrdiff_t)p->left * (ptrdiff_t)lanes;
            if (!p->wino)
                continue;
            for (; made <= row; made++)
                k->row.wino_row(scratch + (size_t)(made % s->kh) * wino_floats,
                                vd_map_row(p->src, p->src_data, 0, made - p->top) - (ptrdiff_t)p->left * (ptrdiff_t)lanes,
                                p->src->block * sizeof(float), s->ic, p->dst->w);
            src[ky] = scratch + (size_t)(row % s->kh) * wino_floats;
        }
        float *dst = vd_map_row(p->dst, p->dst_data, 0, y);
        fn(p->conv, dst, p->dst->block * sizeof(float), src, p->src->block * sizeof(float), p->add ? dst : NULL,
           p->dst->block * sizeof(float), p->dst->w);
        vd_map_mend(p->dst, p->dst_data, y);
    }
}

void vd_conv_forward(const struct vd_layer_call *c)
{
    const struct vd_layer *l = c->l;
    const struct vd_net_value *x = &c->value[l->in[0]], *y = &c->value[l->out];
    const struct vd_row_conv conv = {.shape = l->shape, .weight = l->pack,
                                     .tail = {.bias = l->bias, .clamp = l->clamp, .lo_f = l->lo, .hi_f = l->hi}};
    const struct pass p = {.conv = &conv, .wino = l->wino, .src = &x->map, .dst = &y->map, .src_data = vd_value_data(x, c->w),
                           .dst_data = vd_value_data(y, c->w), .stride_y = l->stride_y, .dilation_y = l->dilation_y, .top = l->top,
                           .left = l->left};
    run_pass(c->k, &p, c->w->scratch);
}

static void weight_gradient(const struct vd_layer_call *c, const struct vd_net_value *x, const struct vd_net_value *y, bool with_bias)
{
    const struct vd_layer *l = c->l;
    const struct vd_map *in = &x->map, *out = &y->map;
    float *g = vd_value_grad(y, c->w), *data = vd_value_data(x, c->w);
    const void *src[MAX_KERNEL];

    for (int r = 0; r < out->h; r++) {
        for (int ky = 0; ky < l->shape.kh; ky++)
            src[ky] = vd_map_row(in, data, 0, r * l->stride_y + ky * l->dilation_y - l->top) - (ptrdiff_t)l->left * (ptrdiff_t)in->lanes;
        const float *row = vd_map_row(out, g, 0, r);
        c->g->weight[l->shape.kind](&l->shape, c->slot + l->slot[0], row, out->block * sizeof(float), src, in->block * sizeof(float), out->w);
        if (!with_bias)
            continue;
        for (int b = 0; b < out->blocks; b++, row += out->block) {
            float sum[VD_LANES] = {0}, *to = c->slot + l->slot[1] + (size_t)b * VD_LANES;
            for (int i = 0; i < out->w; i++)
                for (size_t k = 0; k < out->lanes; k++)
                    sum[k] += row[(size_t)i * out->lanes + k];
            for (size_t k = 0; k < out->lanes; k++)
                to[k] += sum[k];
        }
    }
}

/* The output's gradient at every stride-th place, zeros between. */
static float *spread(const struct vd_layer_call *c, const struct vd_net_value *y, float *scratch)
{
    const struct vd_layer *l = c->l;
    const struct vd_map *m = &l->spread, *from = &y->map;
    const size_t lanes = m->lanes;

    memset(scratch, 0, m->size * sizeof(float));
    for (int b = 0; b < from->blocks; b++)
        for (int r = 0; r < from->h; r++) {
            const float *g = vd_map_row(from, vd_value_grad(y, c->w), b, r);
            float *to = vd_map_row(m, scratch, b, r * l->stride_y);
            for (int x = 0; x < from->w; x++)
                memcpy(to + (size_t)x * (size_t)l->shape.stride * lanes, g + (size_t)x * lanes, lanes * sizeof(float));
        }
    return scratch;
}

static void input_gradient(const struct vd_layer_call *c, int in, const float *src)
{
    const struct vd_layer *l = c->l;
    const struct vd_net_value *x = &c->value[in], *y = &c->value[l->out];
    const bool strided = l->spread.c > 0;
    float *scratch = c->w->scratch;
    const struct vd_row_conv conv = {.shape = l->back, .weight = l->pack_back};
    const struct pass p = {.conv = &conv, .wino = l->wino_back, .src = strided ? &l->spread : &y->map, .dst = &x->map,
                           .src_data = (float *)(uintptr_t)src, .dst_data = vd_value_grad(x, c->w),
                           .stride_y = 1, .dilation_y = l->dilation_y, .top = (l->shape.kh - 1) * l->dilation_y - l->top,
                           .left = (l->shape.kw - 1) * l->shape.dilation - l->left, .add = c->w->has_grad[in]};
    run_pass(c->k, &p, strided ? scratch + l->spread.size : scratch);
    c->w->has_grad[in] = true;
}

void vd_conv_backward(const struct vd_layer_call *c)
{
    const struct vd_layer *l = c->l;
    const struct vd_net_value *y = &c->value[l->out];
    const float *src = NULL;

    if (l->clamp)
        vd_clamp_mask(c);
    for (int k = 0; k < (l->two ? 2 : 1); k++) {
        weight_gradient(c, &c->value[l->in[k]], y, l->bias && k == 0);
        if (!c->value[l->in[k]].grad)
            continue;
        if (!src)
            src = l->spread.c > 0 ? spread(c, y, c->w->scratch) : vd_value_grad(y, c->w);
        input_gradient(c, l->in[k], src);
    }
}

size_t vd_conv_scratch(const struct vd_layer *l, const struct vd_net_value *value, const struct vd_kernels *k)
{
    const size_t forward = l->wino ? (size_t)l->shape.kh * in_floats(k->row.wino_bytes(l->shape.ic, value[l->out].map.w)) : 0;
    const size_t back = l->wino_back ? (size_t)l->shape.kh * in_floats(k->row.wino_bytes(l->shape.oc, value[l->in[0]].map.w)) : 0;
    const size_t more = l->spread.c ? l->spread.size : 0;
    return (forward > back ? forward : back) + more;
}

/* The weights, and turned by half a circle with input and output channels exchanged, in the kernels' order. */
void vd_conv_pack(struct vd_layer *l, const struct vd_kernels *k, const float *w, const float *bias, float *turned)
{
    const struct vd_row_shape *s = &l->shape;
    const int window = s->kh * s->kw, ic = s->kind == VD_ROW_DEPTHWISE ? 1 : s->ic;

    assert(s->kh <= MAX_KERNEL);
    if (l->quant)
        k->row.pack_u8[s->kind](&l->shape_u8, l->q, l->pack);
    else
        (l->wino ? k->row.pack_wino : k->row.pack_f32[s->kind])(s, w, l->pack);
    if (l->bias)
        memcpy(l->bias, bias, (size_t)s->oc * sizeof(float));
    if (!l->pack_back)
        return;
    for (int o = 0; o < s->oc; o++)
        for (int i = 0; i < ic; i++)
            for (int t = 0; t < window; t++) {
                const size_t to = s->kind == VD_ROW_DEPTHWISE ? (size_t)o : (size_t)i * (size_t)s->oc + (size_t)o;
                turned[to * (size_t)window + (size_t)(window - 1 - t)] = *w++;
            }
    (l->wino_back ? k->row.pack_wino : k->row.pack_f32[l->back.kind])(&l->back, turned, l->pack_back);
}
