/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/stream_make.h"

/* The steps of a stream become row operations and values; what is read from outside is loaded, what is read outside is stored. */

/* --- values and operations --- */

static void set_kind(struct vd_stream_value *v)
{
    const size_t size = v->bytes ? 1 : sizeof(float);
    v->blocks = v->thin ? 1 : (v->channels + VD_LANES - 1) / VD_LANES;
    v->pixel = v->thin ? size : size * VD_LANES;
    v->slack = VD_ROW_SLACK;
}

int vd_make_value(struct vd_make *b, const struct vd_stream_value *like)
{
    struct vd_stream_value *v = &b->s->value[b->s->n_value];
    *v = *like;
    v->producer = v->source = -1;
    v->readers = 0;
    v->whole = NULL;
    v->left = v->right = 0;
    v->padded = v->segments = false;
    v->pad = NULL;
    set_kind(v);
    return b->s->n_value++;
}

struct vd_stream_op *vd_make_op(struct vd_make *b, enum vd_stream_kind kind, int n_in, int out)
{
    struct vd_stream_op *o = &b->s->op[b->s->n_op];
    *o = (struct vd_stream_op){.kind = kind, .node = b->node, .n_in = n_in, .out = out, .sy = 1, .dy = 1, .kh = 1, .range = -1, .quantize = -1, .dynamic = -1};
    o->in = vd_arena_array(&b->p->shape, (size_t)n_in + 1, sizeof(*o->in));
    if (!o->in)
        return NULL;
    if (out >= 0) {
        b->s->value[out].producer = b->s->n_op;
        o->rows = b->s->value[out].h;
    }
    b->s->n_op++;
    return o;
}

void vd_make_reads(struct vd_make *b, struct vd_stream_op *o, int i, int value)
{
    o->in[i] = value;
    b->s->value[value].readers++;
    if (o->out < 0)
        o->rows = b->s->value[value].h;
}

/* One operation from one value to a new one. */
int vd_make_map(struct vd_make *b, enum vd_stream_kind kind, int from, const struct vd_stream_value *like, struct vd_stream_op **op)
{
    const struct vd_stream_value copy = *like; /* vd_make_value may be given one of its own */
    const int out = vd_make_value(b, &copy);
    struct vd_stream_op *o = vd_make_op(b, kind, 1, out);
    if (!o)
        return vd_nomem(0);
    vd_make_reads(b, o, 0, from);
    if (op)
        *op = o;
    return out;
}

/* The value of the stream that holds graph value v, without padding: made before, or read from outside. */
int vd_make_source(struct vd_make *b, int v)
{
    if (b->of[v] >= 0)
        return b->of[v];
    const struct vd_cross *c = &b->p->cross[v];
    struct vd_tensor *t = &b->p->t[v];
    struct vd_stream_value like = {.h = t->dim[2], .channels = (int)t->dim[1], .width = (int)t->dim[3], .bytes = t->type != VD_F32,
                                   .thin = c->blocked ? c->thin : t->dim[1] == 1};
    const int value = vd_make_value(b, &like);
    if (c->blocked) {
        struct vd_stream_value *made = &b->s->value[value];
        made->whole = t;
        made->source = v;
        made->block = c->block;
        made->row = c->row;
    } else {
        struct vd_stream_op *o = vd_make_op(b, c->plane ? VD_ROW_LOAD_PLANE : VD_ROW_LOAD, 0, value);
        if (!o)
            return vd_nomem(0);
        o->from = t;
        o->flip = t->type == VD_S8 ? 0x80 : 0;
        b->s->plane_in = b->s->plane_in || c->plane;
    }
    return b->of[v] = value;
}

int vd_make_layout(struct vd_make *b, int value, bool thin)
{
    struct vd_stream_value like = b->s->value[value];
    if (like.thin == thin)
        return value;
    like.thin = thin;
    return vd_make_map(b, VD_ROW_RELAYOUT, value, &like, NULL);
}

int vd_make_ring(struct vd_make *b, int value)
{
    if (!b->s->value[value].whole)
        return value;
    if (b->ring_of[value] < 0)
        b->ring_of[value] = vd_make_map(b, VD_ROW_COPY, value, &b->s->value[value], NULL);
    return b->ring_of[value];
}

int vd_make_range(struct vd_make *b, int v)
{
    b->p->cross[v].ranged = true;
    b->s->range_of[b->s->n_range] = v;
    return b->s->n_range++;
}

/* --- the end of a stream --- */

/* A value that is read outside: by the operation that makes it, straight to a blocked tensor, or by a store. */
static int make_sink(struct vd_make *b, int v)
{
    struct vd_cross *c = &b->p->cross[v];
    const int value = b->of[v];
    struct vd_stream_value *made = &b->s->value[value];
    struct vd_stream_op *maker = made->producer < 0 ? NULL : &b->s->op[made->producer];
    if (c->blocked && maker && maker->kind == VD_ROW_CONV && !made->readers && !made->whole && !maker->second) {
        made->whole = &b->p->t[v];
        maker->sink = true;
        c->thin = made->thin;
        if (!vd_stream_blocked_row(made->whole, c))
            return vd_fail(ERANGE, "rows of more than 2^63 bytes");
        made->block = c->block;
        made->row = c->row;
        if (maker->n_in > 1 && b->s->value[maker->in[1]].source >= 0 && b->s->value[maker->in[1]].readers == 1)
            c->alias = b->s->value[maker->in[1]].source; /* in place, if this is the last that reads it */
        return 0;
    }
    struct vd_stream_op *o = vd_make_op(b, c->plane ? VD_ROW_STORE_PLANE : c->blocked ? VD_ROW_STORE_BLOCKED : VD_ROW_STORE, 1, -1);
    if (!o)
        return vd_nomem(0);
    vd_make_reads(b, o, 0, value);
    o->sink = true;
    o->to = &b->p->t[v];
    o->flip = o->to->type == VD_S8 ? 0x80 : 0;
    c->thin = made->thin;
    if (!c->row && !vd_stream_blocked_row(o->to, c))
        return vd_fail(ERANGE, "rows of more than 2^63 bytes");
    o->to_block = c->block;
    o->to_row = c->row;
    b->s->plane_out = b->s->plane_out || c->plane;
    if (c->want_range && !c->ranged)
        o->range = vd_make_range(b, v);
    return 0;
}

static int make_members(struct vd_make *b, const struct vd_step *s)
{
    int rc = 0;
    for (int i = 0; !rc && i < s->n_member; i++) {
        b->node = s->member[i].node;
        rc = s->member[i].fusion ? vd_make_conv(b, &s->member[i]) : vd_make_each(b, &s->member[i]);
    }
    for (int k = 0; !rc && k < s->n_writes; k++)
        if (b->p->cross[s->writes[k]].outside)
            rc = make_sink(b, s->writes[k]);
    return rc;
}

/* Two lists by value of the graph, all -1, which each stream leaves as it found them. */
static int *made_of(struct vd_plan *p)
{
    const size_t n = 2 * (size_t)p->g->n_value + 1;
    int *made = vd_arena_array(&p->shape, n, sizeof(*made));
    for (size_t i = 0; made && i < n; i++)
        made[i] = -1;
    return made;
}

int vd_stream_build(struct vd_plan *p, struct vd_step *s)
{
    struct vd_arena *a = &p->shape;
    size_t room = 8;
    for (int i = 0; i < s->n_member; i++) /* two inputs that may each be loaded, copied, laid out, quantised, transformed; or many, loaded and looked up */
        room += s->member[i].fusion ? 20 : 3 * (size_t)s->member[i].node->n_in + 3;
    struct vd_make b = {.p = p, .s = vd_arena_array(a, 1, sizeof(*b.s))};
    if (!p->made && !(p->made = made_of(p)))
        return vd_nomem(0);
    b.of = p->made;
    b.bytes_of = p->made + p->g->n_value;
    b.ring_of = vd_arena_array(a, room, sizeof(int));
    b.wino_of = vd_arena_array(a, room, sizeof(int));
    if (!b.s || !b.ring_of || !b.wino_of)
        return vd_nomem(room * sizeof(int));
    b.s->op = vd_arena_array(a, room, sizeof(*b.s->op));
    b.s->value = vd_arena_array(a, room, sizeof(*b.s->value));
    b.s->range_of = vd_arena_array(a, room, sizeof(int));
    if (!b.s->op || !b.s->value || !b.s->range_of)
        return vd_nomem(room * sizeof(*b.s->op));
    for (size_t v = 0; v < room; v++)
        b.ring_of[v] = b.wino_of[v] = -1;
    s->stream = b.s;
    b.s->node = s->node;
    b.s->max_kh = 1;
    b.s->batch = p->t[s->member[0].writes[0]].dim[0];
    int rc = make_members(&b, s);
    for (int i = 0; i < s->n_member; i++)
        if (s->member[i].fusion && s->member[i].fusion->second >= 0)
            b.of[s->member[i].fusion->x2] = -1;
    for (int k = 0; k < s->n_reads; k++)
        b.of[s->reads[k]] = b.bytes_of[s->reads[k]] = -1;
    for (int k = 0; k < s->n_writes; k++)
        b.of[s->writes[k]] = b.bytes_of[s->writes[k]] = -1;
    if (rc || (rc = vd_stream_schedule(p, b.s)) || (b.s->plane_out && (rc = vd_stream_halos(p, b.s))))
        return vd_context(rc, "node '%s' (%s)", s->node->proto->name, s->node->op->name);
    return 0;
}
