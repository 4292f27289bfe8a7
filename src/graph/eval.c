/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <string.h>

#include "graph/graph.h"

/* What infer looks into are scales, sizes and bounds: a few numbers. Weights are not copied for each node that has them. */
enum { INFER_MOST = 64 };

static bool type_allowed(const struct vd_op *op, int i, int type)
{
    uint32_t mask = 0;
    for (int k = 0; k <= i && k < VD_OP_MAX_IN && op->types[k]; k++)
        mask = op->types[k];
    if (type == VD_F16 && !op->has_f16)
        type = VD_F32;
    return mask & VD_T(type);
}

bool vd_node_widens(const struct vd_node *n, const struct vd_tensor *const *in)
{
    if (n->op->has_f16)
        return false;
    for (int i = 0; i < n->n_in; i++)
        if (in[i] && in[i]->type == VD_F16)
            return true;
    return false;
}

/* A result is stored as the first float input is: Pow's exponent may be of another type than its base. */
static bool stores_f16(const struct vd_node *n, const struct vd_tensor *const *in)
{
    for (int i = 0; i < n->n_in; i++)
        if (in[i] && (in[i]->type == VD_F16 || in[i]->type == VD_F32))
            return in[i]->type == VD_F16;
    return false;
}

void vd_widen_f16(struct vd_tensor *f32, const struct vd_tensor *f16)
{
    float *d = f32->data;
    const uint16_t *s = f16->data;
    for (size_t i = 0, n = vd_tensor_count(f16); i < n; i++)
        d[i] = vd_f32_from_f16(s[i]);
}

void vd_narrow_f16(struct vd_tensor *f16, const struct vd_tensor *f32)
{
    uint16_t *d = f16->data;
    const float *s = f32->data;
    for (size_t i = 0, n = vd_tensor_count(f32); i < n; i++)
        d[i] = vd_f16_from_f32(s[i]);
}

/* Inputs as the operator wants to see them: float16 ones as float32, with data where there is some and of most elements at most. */
static const struct vd_tensor *const *widened(const struct vd_node *n, const struct vd_tensor *const *in, size_t most, struct vd_arena *a)
{
    const struct vd_tensor **wide = vd_arena_array(a, (size_t)n->n_in, sizeof(*wide));
    struct vd_tensor *t = vd_arena_array(a, (size_t)n->n_in, sizeof(*t));
    if (!wide || !t)
        return NULL;
    for (int i = 0; i < n->n_in; i++) {
        wide[i] = in[i];
        if (!in[i] || in[i]->type != VD_F16)
            continue;
        t[i] = *in[i];
        t[i].type = VD_F32;
        t[i].data = NULL;
        if (in[i]->data && vd_tensor_count(in[i]) <= most) {
            t[i].data = vd_arena_array(a, vd_tensor_count(in[i]), sizeof(float));
            if (!t[i].data)
                return NULL;
            vd_widen_f16(&t[i], in[i]);
        }
        wide[i] = &t[i];
    }
    return wide;
}

int vd_node_infer(const struct vd_node *n, int opset, const struct vd_tensor *const *in, struct vd_tensor *const *out,
                  struct vd_arena *scratch)
{
    struct vd_op_call c = {.node = n->proto, .opset = opset, .n_in = n->n_in, .n_out = n->n_out, .in = in, .out = out};
    for (int i = 0; i < n->n_in; i++)
        if (in[i] && !type_allowed(n->op, i, in[i]->type))
            return vd_op_fail(&c, EPERM, "input %d '%s' of type %s is not supported", i, i < n->proto->n_in ? n->proto->in[i] : "",
                              vd_type_name(in[i]->type)); /* a lowered node may have more inputs than the file's */
    const bool wide = vd_node_widens(n, in), narrow = wide && stores_f16(n, in);
    if (wide && !(c.in = widened(n, in, INFER_MOST, scratch)))
        return vd_nomem(0);
    int rc = n->op->infer(&c);
    for (int i = 0; !rc && i < n->n_out; i++) {
        if (!out[i])
            continue;
        rc = vd_tensor_check(&c, out[i]);
        if (narrow && out[i]->type == VD_F32 && !(i < 8 && n->op->f32_out >> i & 1))
            out[i]->type = VD_F16;
    }
    return rc;
}

static double extent(const struct vd_tensor *t)
{
    double n = 1;
    for (int i = 0; t && i < t->rank; i++)
        n *= t->dim[i] ? (double)t->dim[i] : 1;
    return t ? n : 0;
}

bool vd_node_affords(const struct vd_node *n, const struct vd_tensor *const *in, struct vd_tensor *const *out, double *room)
{
    static const char *const products[] = {"MatMul", "Gemm", "MatMulInteger", "QLinearMatMul", "com.microsoft:QGemm", "ConvTranspose"};
    static const char *const windows[] = {"AveragePool", "MaxPool", "com.microsoft:QLinearAveragePool", "LRN"};
    const char *name = n->op->name;
    double ins = 0, outs = 0, factors = 1;
    if (!strcmp(name, "Shape") || !strcmp(name, "Size"))
        return true; /* dims, whatever the data */
    for (int i = 0; i < n->n_in; i++) {
        const double x = extent(in[i]);
        ins += x;
        factors *= x > 0 ? x : 1; /* a scale is one factor, a bias one too many */
    }
    for (int i = 0; i < n->n_out; i++)
        outs += extent(out[i]);
    double work = ins + outs;
    for (size_t i = 0; i < sizeof(products) / sizeof(*products); i++)
        if (!strcmp(name, products[i]))
            work += sqrt(factors * outs); /* of [m,k] and [k,n] to [m,n] exactly their m * k * n */
    for (size_t i = 0; i < sizeof(windows) / sizeof(*windows); i++)
        if (!strcmp(name, windows[i]))
            work += ins * outs;
    if (!(work <= *room))
        return false;
    *room -= work;
    return true;
}

int vd_node_eval(const struct vd_node *n, int opset, const struct vd_tensor *const *in, struct vd_tensor *const *out,
                 struct vd_arena *arena)
{
    struct vd_op_call c = {.node = n->proto, .opset = opset, .n_in = n->n_in, .n_out = n->n_out, .in = in, .out = out};
    int rc = vd_node_infer(n, opset, in, out, arena);
    if (rc)
        return rc;
    const bool wide = vd_node_widens(n, in);
    struct vd_tensor *temp = vd_arena_array(arena, (size_t)n->n_out, sizeof(*temp));
    struct vd_tensor **view = vd_arena_array(arena, (size_t)n->n_out, sizeof(*view));
    if (!temp || !view || (wide && !(c.in = widened(n, in, SIZE_MAX, arena))))
        return vd_nomem(0);
    c.out = view;
    for (int i = 0; i < n->n_out; i++) {
        if (!out[i])
            continue;
        if (!(out[i]->data = vd_arena_array(arena, vd_tensor_bytes(out[i]) + 1, 1)))
            return vd_nomem(vd_tensor_bytes(out[i]));
        view[i] = out[i];
        if (wide && out[i]->type == VD_F16) {
            temp[i] = *out[i];
            temp[i].type = VD_F32;
            if (!(temp[i].data = vd_arena_array(arena, vd_tensor_count(out[i]) + 1, sizeof(float))))
                return vd_nomem(vd_tensor_count(out[i]) * sizeof(float));
            view[i] = &temp[i];
        }
    }
    n->op->run(&c);
    for (int i = 0; i < n->n_out; i++)
        if (out[i] && view[i] != out[i])
            vd_narrow_f16(out[i], &temp[i]);
    return 0;
}
