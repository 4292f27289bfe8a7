/* SPDX-License-Identifier: BSD-2-Clause */
#include "quant/rewrite.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/checked.h"

void *vd_rewrite_alloc(struct vd_rewrite *r, size_t count, size_t size)
{
    void *p = vd_arena_array(&r->m->arena, count, size);
    if (!p && !r->rc)
        r->rc = vd_nomem((unsigned long long)size * count);
    return p;
}

const char *vd_rewrite_text(struct vd_rewrite *r, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    const int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *s = n < 0 ? NULL : vd_rewrite_alloc(r, (size_t)n + 1, 1);
    if (s)
        vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    return s ? s : "";
}

const char *vd_rewrite_fresh(struct vd_rewrite *r, const char *want)
{
    const char *s = want;
    for (int i = 1; !r->rc && vd_names_find(&r->taken, s) >= 0; i++)
        s = vd_rewrite_text(r, "%s_%d", want, i);
    if (!r->rc)
        vd_names_add(&r->taken, s, 0);
    return s;
}

static const char **strings(struct vd_rewrite *r, const char *const *s, int n)
{
    const char **p = vd_rewrite_alloc(r, (size_t)n, sizeof *p);
    if (p)
        memcpy(p, s, (size_t)n * sizeof *p);
    return p;
}

struct vd_onnx_node *vd_rewrite_node(struct vd_rewrite *r, const char *op, const char *name, const char *const *in, int n_in,
                                     const char *const *out, int n_out)
{
    struct vd_onnx_node *n = &r->m->node[r->m->n_node];
    *n = (struct vd_onnx_node){.name = name, .op_type = op, .in = strings(r, in, n_in), .n_in = n_in,
                               .out = strings(r, out, n_out), .n_out = n_out};
    r->m->n_node++;
    return n;
}

void vd_rewrite_keep(struct vd_rewrite *r, const struct vd_onnx_node *n) { r->m->node[r->m->n_node++] = *n; }

const char *vd_rewrite_init(struct vd_rewrite *r, const char *name, int type, int rank, const int64_t *dim, const void *data)
{
    struct vd_onnx_tensor *t = &r->added[r->n_added];
    *t = (struct vd_onnx_tensor){.name = name, .type = type, .rank = rank, .count = 1, .data = data};
    for (int i = 0; i < rank; i++) {
        t->dim[i] = dim[i];
        t->count *= (size_t)dim[i]; /* as many as data has: fits */
    }
    t->size = t->count * vd_type_size(type);
    r->n_added++;
    return name;
}

int vd_rewrite_constant(const struct vd_rewrite *r, const char *name) { return *name ? vd_names_find(&r->constants, name) : -1; }

void vd_rewrite_unuse(struct vd_rewrite *r, int c)
{
    if (c >= 0) {
        assert(r->uses_left[c]);
        r->uses_left[c]--;
    }
}

/* --- begin */

static const struct vd_onnx_tensor *constant_node(const struct vd_onnx_node *n)
{
    const struct vd_onnx_attr *a = !strcmp(n->op_type, "Constant") && n->n_out == 1 ? vd_onnx_attr(n, "value") : NULL;
    return a && a->type == VD_ATTR_TENSOR ? a->v.t : NULL;
}

static void know_names(struct vd_rewrite *r)
{
    const struct vd_onnx_model *in = r->in;
    for (int i = 0; i < in->n_init; i++) {
        r->constant[i] = &in->init[i];
        vd_names_add(&r->constants, in->init[i].name, i);
        vd_names_add(&r->taken, in->init[i].name, 0);
    }
    for (int i = 0; i < in->n_in; i++)
        vd_names_add(&r->taken, in->in[i].name, 0);
    for (int i = 0; i < in->n_node; i++) {
        const struct vd_onnx_node *n = &in->node[i];
        r->constant[in->n_init + i] = constant_node(n);
        if (r->constant[in->n_init + i])
            vd_names_add(&r->constants, n->out[0], in->n_init + i);
        for (int k = 0; k < n->n_out; k++)
            if (*n->out[k])
                vd_names_add(&r->taken, n->out[k], 0);
    }
}

static void count_uses(struct vd_rewrite *r)
{
    const struct vd_onnx_model *in = r->in;
    for (int i = 0; i <= in->n_node; i++) { /* the last is the graph, which uses what it gives out */
        const bool graph = i == in->n_node;
        for (int k = 0; k < (graph ? in->n_out : in->node[i].n_in); k++) {
            const int c = vd_rewrite_constant(r, graph ? in->out[k].name : in->node[i].in[k]);
            if (c >= 0)
                r->uses[c]++, r->uses_left[c]++;
        }
    }
}

static int room(struct vd_rewrite *r, size_t nodes, size_t inits, size_t names)
{
    const struct vd_onnx_model *in = r->in;
    struct vd_onnx_model *m = r->m;
    const size_t constants = (size_t)in->n_init + (size_t)in->n_node;
    size_t values = (size_t)in->n_init + (size_t)in->n_in + 1;
    for (int i = 0; i < in->n_node; i++)
        values += (size_t)in->node[i].n_out;
    if (!vd_add(nodes, (size_t)in->n_node, &nodes) || nodes > INT32_MAX || !vd_add(inits, (size_t)in->n_init, &inits) || inits > INT32_MAX ||
        !vd_add(names, values, &names))
        return vd_fail(E2BIG, "too many nodes to rewrite: %d", in->n_node);
    m->node = vd_rewrite_alloc(r, nodes + 1, sizeof *m->node);
    m->init = vd_rewrite_alloc(r, inits + 1, sizeof *m->init);
    r->added = vd_rewrite_alloc(r, inits + 1, sizeof *r->added);
    r->constant = vd_rewrite_alloc(r, constants + 1, sizeof *r->constant);
    r->uses = vd_rewrite_alloc(r, constants + 1, sizeof *r->uses);
    r->uses_left = vd_rewrite_alloc(r, constants + 1, sizeof *r->uses_left);
    if (!r->rc)
        r->rc = vd_names_init(&r->taken, &m->arena, names);
    if (!r->rc)
        r->rc = vd_names_init(&r->constants, &m->arena, constants);
    return r->rc;
}

static int failed(struct vd_rewrite *r)
{
    vd_onnx_free(r->m);
    *r->m = (struct vd_onnx_model){0};
    return r->rc;
}

int vd_rewrite_begin(struct vd_rewrite *r, const struct vd_onnx_model *in, struct vd_onnx_model *m, size_t nodes, size_t inits, size_t names)
{
    *r = (struct vd_rewrite){.in = in, .m = m};
    *m = (struct vd_onnx_model){.ir_version = in->ir_version, .model_version = in->model_version, .opset = in->opset,
        .producer_name = in->producer_name, .producer_version = in->producer_version, .domain = in->domain, .doc = in->doc,
        .graph_name = in->graph_name, .graph_doc = in->graph_doc, .in = in->in, .n_in = in->n_in, .out = in->out, .n_out = in->n_out};
    if ((r->rc = room(r, nodes, inits, names)))
        return failed(r);
    know_names(r);
    count_uses(r);
    return 0;
}

/* --- end */

static bool gone(const struct vd_rewrite *r, int c) { return r->uses[c] && !r->uses_left[c]; }

static void drop_constant_nodes(struct vd_rewrite *r)
{
    struct vd_onnx_model *m = r->m;
    int kept = 0, source = 0; /* kept nodes are in the source's order, and share its list of outputs */
    for (int i = 0; i < m->n_node; i++) {
        if (!strcmp(m->node[i].op_type, "Constant")) {
            while (r->in->node[source].out != m->node[i].out)
                source++;
            if (r->constant[r->in->n_init + source] && gone(r, r->in->n_init + source))
                continue;
        }
        m->node[kept++] = m->node[i];
    }
    m->n_node = kept;
}

static void set_meta(struct vd_rewrite *r, const struct vd_onnx_kv *meta, int n_meta)
{
    struct vd_onnx_model *m = r->m;
    m->meta = vd_rewrite_alloc(r, (size_t)r->in->n_meta + (size_t)n_meta + 1, sizeof *m->meta);
    if (!m->meta)
        return;
    for (int i = 0; i < r->in->n_meta; i++) {
        bool replaced = false;
        for (int k = 0; k < n_meta; k++)
            replaced |= !strcmp(r->in->meta[i].key, meta[k].key);
        if (!replaced)
            m->meta[m->n_meta++] = r->in->meta[i];
    }
    for (int k = 0; k < n_meta; k++)
        if (meta[k].value)
            m->meta[m->n_meta++] = (struct vd_onnx_kv){vd_rewrite_text(r, "%s", meta[k].key), vd_rewrite_text(r, "%s", meta[k].value)};
}

int vd_rewrite_end(struct vd_rewrite *r, const struct vd_onnx_kv *meta, int n_meta)
{
    struct vd_onnx_model *m = r->m;
    if (r->rc)
        return failed(r);
    for (int i = 0; i < r->in->n_init; i++)
        if (!gone(r, i))
            m->init[m->n_init++] = r->in->init[i];
    for (int i = 0; i < r->n_added; i++)
        m->init[m->n_init++] = r->added[i];
    drop_constant_nodes(r);
    set_meta(r, meta, n_meta);
    return r->rc ? failed(r) : 0;
}
