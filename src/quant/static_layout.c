/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/status.h"
#include "quant/static_priv.h"

static int copy_spots(struct vd_static *s, struct vd_static_layout *l)
{
    int *at = vd_arena_array(&l->arena, (size_t)s->n_value + 1, sizeof(*at));
    l->spot = vd_arena_array(&l->arena, (size_t)s->n_value + 1, sizeof(*l->spot));
    if (!at || !l->spot)
        return vd_nomem((size_t)s->n_value * sizeof(*l->spot));
    for (int v = 0; v < s->n_value; v++) {
        const struct vd_static_value *x = &s->value[v], *r = vd_static_root(s, v);
        if (!x->wanted)
            continue;
        at[v] = l->n_spot;
        l->spot[l->n_spot++] = (struct vd_static_spot){.tensor = x->name, .root = (int)(r - s->value), .fixed = r->seen && r->seen->fixed, .lo = r->lo, .hi = r->hi,
                                                       .scale = r->scale, .zp = r->zp, .clamped = x->clamped, .clamp_lo = x->clamp_lo, .clamp_hi = x->clamp_hi};
    }
    for (int i = 0; i < l->n_spot; i++) {
        const int root = l->spot[i].root; /* a value that is wanted itself, or one whose copies alone are: the first of them then */
        if (!s->value[root].wanted)
            for (int v = s->n_value - 1; v >= 0; v--)
                if (s->value[v].wanted && vd_static_root(s, v) == &s->value[root])
                    at[root] = at[v];
        l->spot[i].root = at[root];
    }
    return 0;
}

/* A clamp behind what writes float is a node of its own for whoever reads that float. */
static void restore_clamps(struct vd_static *s, struct vd_static_layout *l)
{
    for (int i = 0; i < s->in->n_node; i++) {
        const struct vd_static_node *p = &s->node[i];
        if (!p->quantised || p->dropped || s->value[p->result].bytes_first)
            continue;
        for (int v = vd_names_find(&s->values, s->in->node[i].out[0]); v != p->result; v = s->node[s->value[v].reader].result)
            l->step[s->value[v].reader].dropped = false;
    }
    for (int k = 0; k < l->n_spot; k++)
        if (!s->value[vd_names_find(&s->values, l->spot[k].tensor)].bytes_first)
            l->spot[k].clamped = false;
}

int vd_static_layout(const struct vd_onnx_model *in, const struct vd_static_opts *o, struct vd_static_layout *l)
{
    struct vd_onnx_model scratch;
    struct vd_static_report rep = {0};
    struct vd_static s = {.in = in, .o = o, .rep = &rep};
    *l = (struct vd_static_layout){.per_tensor = o->per_tensor};
    int rc = vd_static_check(in, o);
    if (rc || (rc = vd_rewrite_begin(&s.r, in, &scratch, 0, 0, 0)))
        return rc;
    rc = vd_static_plan(&s);
    if (!rc && !(l->step = vd_arena_array(&l->arena, (size_t)in->n_node + 1, sizeof(*l->step))))
        rc = vd_nomem((size_t)in->n_node * sizeof(*l->step));
    for (int i = 0; !rc && i < in->n_node; i++) {
        const struct vd_static_node *p = &s.node[i];
        l->step[i] = (struct vd_static_step){.quantised = p->quantised && !p->dropped, .dropped = p->dropped, .float_out = p->float_out, .split = p->split};
    }
    if (!rc)
        rc = copy_spots(&s, l);
    if (!rc)
        restore_clamps(&s, l);
    vd_onnx_free(&scratch);
    if (rc)
        vd_static_layout_free(l);
    return rc;
}

void vd_static_layout_free(struct vd_static_layout *l)
{
    vd_arena_free(&l->arena);
    *l = (struct vd_static_layout){0};
}
