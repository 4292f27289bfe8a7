/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/plan.h"

#include <limits.h>
#include <string.h>

#include "common/checked.h"
#include "common/mem.h"
#include "plan/conv.h"
#include "plan/layout.h"
#include "plan/lower.h"
#include "plan/steps.h"
#include "plan/stream_take.h"

/* Values that are known before the run (shapes and what is made of them) stay below this in all. */
enum { KNOWN_CAP = 1 << 20 };

static bool is_conv(const struct vd_node *n) { return n->op->run == NULL; }

struct vd_conv_inputs vd_conv_inputs(const struct vd_node *n)
{
    if (!strcmp(n->op->name, "ConvInteger"))
        return (struct vd_conv_inputs){.w = 1, .x_zp = 2, .w_zp = 3, .source = VD_FROM_8BIT};
    if (!strcmp(n->op->name, "QLinearConv"))
        return (struct vd_conv_inputs){.w = 3, .x_zp = 2, .w_zp = 5, .source = VD_FROM_QLINEAR};
    return (struct vd_conv_inputs){.w = 1, .x_zp = -1, .w_zp = -1, .source = VD_FROM_F32};
}

int vd_plan_create(struct vd_plan **out, struct vd_graph *g, const struct vd_kernels *k, struct vd_workers *w)
{
    *out = NULL;
    struct vd_plan *p = vd_calloc(1, sizeof(*p));
    if (!p)
        return vd_nomem(sizeof(*p));
    p->g = g;
    p->kernels = k;
    p->workers = w;
    int rc = 0;
    p->packed = vd_arena_array(&p->arena, (size_t)g->n_node + 1, sizeof(*p->packed));
    p->rows = vd_arena_array(&p->arena, (size_t)g->n_node + 1, sizeof(*p->rows));
    p->shape_in = vd_arena_array(&p->arena, (size_t)g->n_in + 1, sizeof(*p->shape_in));
    if (!p->packed || !p->rows || !p->shape_in)
        rc = vd_nomem((size_t)g->n_node * sizeof(*p->packed));
    for (int i = 0; !rc && i < g->n_node; i++)
        if (is_conv(&g->node[i]))
            rc = vd_plan_weights(p, i);
    if (rc) {
        vd_plan_free(p);
        return rc;
    }
    *out = p;
    return 0;
}

static void forget_shape(struct vd_plan *p)
{
    p->shaped = false;
    vd_arena_free(&p->shape);
    vd_free(p->memory);
    vd_free(p->plane_copy);
    p->memory = NULL;
    p->plane_copy = NULL;
    p->cross = NULL;
    p->made = NULL;
    p->t = NULL;
    p->step = NULL;
    p->n_step = 0;
}

void vd_plan_free(struct vd_plan *p)
{
    if (!p)
        return;
    forget_shape(p);
    vd_arena_free(&p->arena);
    vd_free(p);
}

/* Types and shapes of all values; values that can be known before the run get their data here, and their nodes are marked. */
static int infer_all(struct vd_plan *p, const struct vd_tensor *shapes, bool *known)
{
    const struct vd_graph *g = p->g;
    struct vd_arena *a = &p->shape;
    size_t known_bytes = 0;
    double room = VD_EVAL_ROOM;
    for (int i = 0; i < g->n_value; i++)
        if (g->value[i].constant)
            p->t[i] = *g->value[i].constant;
    for (int i = 0; i < g->n_in; i++) {
        p->t[i] = shapes[i];
        p->t[i].data = NULL;
    }
    for (int i = 0; i < g->n_node; i++) {
        const struct vd_node *n = &g->node[i];
        const struct vd_tensor **in = vd_arena_array(a, (size_t)n->n_in + 1, sizeof(*in));
        struct vd_tensor **out = vd_arena_array(a, (size_t)n->n_out + 1, sizeof(*out));
        if (!in || !out)
            return vd_nomem(0);
        bool all = n->op->run != NULL;
        const bool of_shape = !strcmp(n->op->name, "Shape") || !strcmp(n->op->name, "Size");
        for (int k = 0; k < n->n_in; k++) {
            in[k] = n->in[k] < 0 ? NULL : &p->t[n->in[k]];
            all = all && (!in[k] || in[k]->data || of_shape);
        }
        for (int k = 0; k < n->n_out; k++)
            out[k] = n->out[k] < 0 ? NULL : &p->t[n->out[k]];
        int rc = vd_node_infer(n, g->model->opset, in, out, a);
        if (rc)
            return rc;
        size_t bytes = known_bytes;
        for (int k = 0; all && k < n->n_out; k++)
            if (out[k] && (!vd_add(bytes, vd_tensor_bytes(out[k]), &bytes) || bytes > KNOWN_CAP))
                all = false;
        if (!all || !vd_node_affords(n, in, out, &room))
            continue;
        known_bytes = bytes;
        known[i] = true;
        if ((rc = vd_node_eval(n, g->model->opset, in, out, a)))
            return rc;
    }
    return 0;
}

static void find_consumers(const struct vd_graph *g, int *consumer)
{
    for (int i = 0; i < g->n_value; i++)
        consumer[i] = -1;
    for (int i = 0; i < g->n_node; i++)
        for (int k = 0; k < g->node[i].n_in; k++)
            if (g->node[i].in[k] >= 0 && g->value[g->node[i].in[k]].uses == 1)
                consumer[g->node[i].in[k]] = i;
}

/* The values that a step of one node or one fusion reads and writes. */
static bool list_values(struct vd_plan *p, struct vd_step *s)
{
    const struct vd_node *n = s->node;
    const struct vd_fusion *f = s->fusion;
    s->reads = vd_arena_array(&p->shape, (size_t)n->n_in + 3, sizeof(int));
    s->writes = vd_arena_array(&p->shape, (size_t)n->n_out + 1, sizeof(int));
    if (!s->reads || !s->writes)
        return false;
    if (f)
        s->reads[s->n_reads++] = f->x;
    for (int i = f ? 1 : 0; i < n->n_in; i++)
        if (n->in[i] >= 0 && !(f && f->dynamic && i == 2))
            s->reads[s->n_reads++] = n->in[i];
    if (f && f->residual >= 0)
        s->reads[s->n_reads++] = f->residual;
    if (f && f->second >= 0)
        s->reads[s->n_reads++] = f->rest >= 0 ? f->rest : f->x2;
    if (f)
        s->writes[s->n_writes++] = f->out;
    for (int i = 0; !f && i < n->n_out; i++)
        if (n->out[i] >= 0)
            s->writes[s->n_writes++] = n->out[i];
    return true;
}

/* Choose the steps: fusions first, then from the outputs back what is needed. */
static int choose_steps(struct vd_plan *p, const bool *known)
{
    const struct vd_graph *g = p->g;
    struct vd_arena *a = &p->shape;
    const size_t nodes = (size_t)g->n_node + 1, values = (size_t)g->n_value + 1;
    int *consumer = vd_arena_array(a, values, sizeof(*consumer)), *fusion_at = vd_arena_array(a, nodes, sizeof(*fusion_at));
    bool *covered = vd_arena_array(a, nodes, sizeof(*covered)), *need = vd_arena_array(a, values, sizeof(*need));
    bool *by_rows = vd_arena_array(a, nodes, sizeof(*by_rows));
    struct vd_fusion *fusion = vd_arena_array(a, nodes, sizeof(*fusion));
    p->step = vd_arena_array(a, nodes, sizeof(*p->step));
    if (!consumer || !fusion_at || !covered || !by_rows || !need || !fusion || !p->step)
        return vd_nomem(nodes * sizeof(*p->step));
    find_consumers(g, consumer);
    const struct vd_lower l = {.g = g, .t = p->t, .consumer = consumer, .plain = p->saw != NULL, .by_rows = by_rows, .covered = covered};
    for (int i = 0; i < g->n_node; i++)
        fusion_at[i] = -1;
    for (int i = 0; i < g->n_node; i++)
        by_rows[i] = is_conv(&g->node[i]) && vd_stream_takes_product(p, i);
    for (int i = 0; i < g->n_node; i++)
        if (is_conv(&g->node[i]) && !covered[i]) {
            vd_lower_conv(&l, i, &fusion[i]);
            fusion_at[fusion[i].last] = i;
        }

    for (int o = 0; o < g->n_out; o++)
        need[g->out[o]] = true;
    int at = (int)nodes; /* filled from the end */
    for (int i = g->n_node - 1; i >= 0; i--) {
        const struct vd_node *n = &g->node[i];
        if (fusion_at[i] >= 0) {
            const struct vd_fusion *f = &fusion[fusion_at[i]];
            if (!need[f->out])
                continue;
            p->step[--at] = (struct vd_step){.node = &g->node[f->head], .fusion = f};
            const struct vd_node *head = &g->node[f->head];
            need[f->x] = true;
            for (int k = 1; k < head->n_in; k++)
                if (head->in[k] >= 0 && !(f->dynamic && k == 2))
                    need[head->in[k]] = true;
            if (f->residual >= 0)
                need[f->residual] = true;
            if (f->second >= 0)
                need[f->rest >= 0 ? f->rest : f->x2] = true;
            continue;
        }
        bool wanted = false;
        for (int k = 0; k < n->n_out; k++)
            wanted = wanted || (n->out[k] >= 0 && need[n->out[k]]);
        if (covered[i] || known[i] || !wanted)
            continue;
        p->step[--at] = (struct vd_step){.node = n};
        for (int k = 0; k < n->n_in; k++)
            if (n->in[k] >= 0)
                need[n->in[k]] = true;
    }
    p->step += at;
    p->n_step = (int)nodes - at;
    for (int i = 0; i < p->n_step; i++)
        if (!list_values(p, &p->step[i]))
            return vd_nomem(nodes * sizeof(int));
    return vd_streams_choose(p);
}

static int shape(struct vd_plan *p, const struct vd_tensor *in, bool planes)
{
    bool same = p->shaped && p->planes == planes;
    for (int i = 0; same && i < p->g->n_in; i++)
        same = in[i].type == p->shape_in[i].type && in[i].rank == p->shape_in[i].rank &&
               !memcmp(in[i].dim, p->shape_in[i].dim, (size_t)in[i].rank * sizeof(in[i].dim[0]));
    if (same)
        return 0;
    forget_shape(p);
    p->planes = planes;
    int rc = -ENOMEM;
    p->t = vd_arena_array(&p->shape, (size_t)p->g->n_value + 1, sizeof(*p->t));
    bool *known = vd_arena_array(&p->shape, (size_t)p->g->n_node + 1, sizeof(*known));
    if (!p->t || !known)
        rc = vd_nomem((size_t)p->g->n_value * sizeof(*p->t));
    else if (!(rc = infer_all(p, in, known)) && !(rc = choose_steps(p, known)))
        rc = vd_steps_place(p);
    /* touched only when a filter works in place */
    if (!rc && planes && !(p->plane_copy = vd_aligned(vd_tensor_count(&p->t[0]) * sizeof(uint16_t))))
        rc = vd_nomem(vd_tensor_count(&p->t[0]) * sizeof(uint16_t));
    if (rc) {
        forget_shape(p);
        return rc;
    }
    memcpy(p->shape_in, in, (size_t)p->g->n_in * sizeof(*in));
    p->shaped = true;
    return 0;
}

int vd_plan_shape(struct vd_plan *p, const struct vd_tensor *in) { return shape(p, in, false); }

int vd_plan_shape_plane(struct vd_plan *p, const struct vd_tensor *in) { return shape(p, in, true); }

void vd_plan_set_band_rows(struct vd_plan *p, int rows)
{
    p->band_rows = rows;
    p->shaped = false;
}

struct vd_tensor *vd_plan_input(struct vd_plan *p, int i) { return &p->t[i]; }

const struct vd_tensor *vd_plan_output(const struct vd_plan *p, int i) { return &p->t[p->g->out[i]]; }

bool vd_plan_lend(struct vd_plan *p, int i, const void *data)
{
    struct vd_cross *c = &p->cross[i];
    if (!c->lends || (uintptr_t)data % vd_type_size(p->t[i].type))
        return false;
    c->own = p->t[i].data;
    p->t[i].data = (void *)(uintptr_t)data; /* only read */
    return true;
}

void vd_plan_observe(struct vd_plan *p, vd_plan_saw *saw, void *arg)
{
    p->saw = saw;
    p->saw_arg = arg;
}

static int show_outputs(struct vd_plan *p, const struct vd_step *s)
{
    int rc = 0;
    for (int k = 0; !rc && k < s->node->n_out; k++)
        if (s->node->out[k] >= 0)
            rc = p->saw(p->saw_arg, s->node->out[k], &p->t[s->node->out[k]]);
    return rc;
}

int vd_plan_run(struct vd_plan *p)
{
    int rc = 0;
    for (int i = 0; !rc && p->saw && i < p->g->n_in; i++)
        rc = p->saw(p->saw_arg, i, &p->t[i]);
    for (int i = 0; !rc && i < p->n_step; i++)
        if (!(rc = p->profile ? vd_step_timed(p, &p->step[i]) : vd_step_run(p, &p->step[i])) && p->saw)
            rc = show_outputs(p, &p->step[i]);
    for (int i = 0; i < p->g->n_in; i++)
        if (p->cross[i].own) {
            p->t[i].data = p->cross[i].own;
            p->cross[i].own = NULL;
        }
    return rc;
}

int64_t vd_step_macs(const struct vd_plan *p, const struct vd_step *s)
{
    if (s->stream)
        return s->stream->macs;
    if (s->conv.w)
        return s->conv.batch * s->conv.oh * s->conv.ow * s->conv.w->groups * s->conv.w->oc * s->conv.w->ic * s->conv.w->kh * s->conv.w->kw;
    const char *op = s->node->op->name;
    if (strcmp(op, "MatMul") && strcmp(op, "Gemm") && strcmp(op, "MatMulInteger") && strcmp(op, "QLinearMatMul") && strcmp(op, "com.microsoft:QGemm"))
        return 0;
    const struct vd_tensor *a = &p->t[s->node->in[0]], *y = &p->t[s->node->out[0]];
    const struct vd_onnx_attr *ta = vd_onnx_attr(s->node->proto, "transA");
    return (int64_t)vd_tensor_count(y) * (a->rank ? a->dim[ta && ta->v.i ? 0 : a->rank - 1] : 1);
}

void vd_plan_info(const struct vd_plan *p, struct vd_plan_info *info)
{
    *info = (struct vd_plan_info){.arena_bytes = p->memory_bytes, .packed_bytes = p->packed_bytes, .scratch_bytes = p->scratch_bytes,
                                  .steps = p->n_step};
    for (int i = 0; i < p->g->n_node; i++) {
        const char *op = p->g->node[i].op->name;
        const bool integer = !strcmp(op, "ConvInteger") || !strcmp(op, "MatMulInteger") || !strcmp(op, "QLinearConv") || !strcmp(op, "QLinearMatMul") ||
                             !strcmp(op, "com.microsoft:QGemm");
        info->convs_int8 += integer;
        info->convs += integer || !strcmp(op, "Conv") || !strcmp(op, "MatMul") || !strcmp(op, "Gemm");
    }
    for (int i = 0; i < p->n_step; i++)
        info->macs += vd_step_macs(p, &p->step[i]);
}
