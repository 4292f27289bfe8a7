/* SPDX-License-Identifier: BSD-2-Clause */
#include "model_parts.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/names.h"
#include "common/status.h"

/* Inputs that are weights where they are initialisers. */
#define AT(i) (UINT32_C(1) << (i))
static const struct { const char *op; uint32_t inputs; } takes[] = {
    {"Conv", AT(1) | AT(2)}, {"ConvTranspose", AT(1) | AT(2)}, {"Gemm", AT(0) | AT(1) | AT(2)}, {"MatMul", AT(0) | AT(1)},
    {"ConvInteger", AT(1)}, {"MatMulInteger", AT(0) | AT(1)}, {"QLinearConv", AT(3) | AT(8)}, {"QLinearMatMul", AT(0) | AT(3)},
    {"com.microsoft:QGemm", AT(0) | AT(3) | AT(6)}, {"com.microsoft:QLinearAdd", AT(0) | AT(3)}, {"com.microsoft:QLinearMul", AT(0) | AT(3)},
    {"QuantizeLinear", AT(0)}, {"DequantizeLinear", AT(0)}, {"BatchNormalization", AT(1) | AT(2) | AT(3) | AT(4)},
    {"InstanceNormalization", AT(1) | AT(2)}, {"LayerNormalization", AT(1) | AT(2)}, {"GroupNormalization", AT(1) | AT(2)}, {"PRelu", AT(1)},
};
/* What only moves its input: weights, where those are more than one float. */
static const char *const moves[] = {"Identity", "Transpose", "Reshape", "Unsqueeze", "Squeeze", "Flatten", "Cast", "Gather"};
static const char *const products[] = {"Conv", "ConvTranspose", "ConvInteger", "MatMul", "MatMulInteger", "Gemm", "Mul"};

#define LENGTH(list) (sizeof(list) / sizeof((list)[0]))

struct finder {
    struct vd_parts *p;
    const struct vd_onnx_model *m;
    struct vd_names writes; /* values that nodes write: the node */
};

static bool is_one_of(const char *op, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(op, list[i]))
            return true;
    return false;
}

static const struct vd_onnx_node *writer(const struct finder *f, const char *value)
{
    const int at = vd_names_find(&f->writes, value);
    return at < 0 ? NULL : &f->m->node[at];
}

static bool of_integers(const struct finder *f, const char *value)
{
    const struct vd_onnx_node *n = writer(f, value);
    if (n && !strcmp(n->op_type, "Cast") && n->n_in)
        n = writer(f, n->in[0]);
    return n && (!strcmp(n->op_type, "ConvInteger") || !strcmp(n->op_type, "MatMulInteger"));
}

/* Addition, multiplication and their inverses with a constant: a bias or a factor for each channel; one number is a bias only behind a product, and what
 * multiplies integer sums, or the scale of an activation, is a scale. */
static bool element_weight(const struct finder *f, const struct vd_onnx_node *n, int k, const struct vd_onnx_tensor *t)
{
    const bool add = !strcmp(n->op_type, "Add"), mul = !strcmp(n->op_type, "Mul");
    if ((!add && !mul && strcmp(n->op_type, "Sub") && strcmp(n->op_type, "Div")) || n->n_in != 2)
        return false;
    const char *other = n->in[1 - k];
    const struct vd_onnx_node *w = writer(f, other);
    if (mul && (of_integers(f, other) || (w && !strcmp(w->op_type, "DynamicQuantizeLinear"))))
        return false;
    return t->count > 1 || (add && w && is_one_of(w->op_type, products, LENGTH(products)));
}

static bool is_weight(const struct finder *f, const struct vd_onnx_node *n, int k, const struct vd_onnx_tensor *t)
{
    const bool floats = t->type == VD_F32 || t->type == VD_F16 || t->type == VD_F64;
    for (size_t i = 0; i < LENGTH(takes); i++)
        if (!strcmp(n->op_type, takes[i].op))
            return k < 32 && takes[i].inputs & AT(k);
    if (!floats)
        return false;
    if (is_one_of(n->op_type, moves, LENGTH(moves)))
        return k == 0 && t->count > 1;
    return (!strcmp(n->op_type, "Concat") && t->count > 1) || element_weight(f, n, k, t);
}

static int index_names(struct finder *f)
{
    const struct vd_onnx_model *m = f->m;
    size_t outputs = 0;
    for (int i = 0; i < m->n_node; i++)
        outputs += (size_t)m->node[i].n_out;
    int rc = vd_names_init(&f->writes, &f->p->arena, outputs + 1);
    if (!rc)
        rc = vd_names_init(&f->p->init, &f->p->arena, (size_t)m->n_init + 1);
    for (int i = 0; !rc && i < m->n_node; i++)
        for (int k = 0; k < m->node[i].n_out; k++)
            vd_names_add(&f->writes, m->node[i].out[k], i);
    for (int i = 0; !rc && i < m->n_init; i++)
        vd_names_add(&f->p->init, m->init[i].name, i);
    return rc;
}

int vd_parts_find(struct vd_parts *p, const struct vd_onnx_model *m)
{
    struct finder f = {.p = p, .m = m};
    *p = (struct vd_parts){0};
    int rc = index_names(&f);
    if (!rc && !(p->weight = vd_arena_array(&p->arena, (size_t)m->n_init + 1, sizeof(*p->weight))))
        rc = vd_nomem(sizeof(*p->weight));
    for (int i = 0; !rc && i < m->n_node; i++)
        for (int k = 0; k < m->node[i].n_in; k++) {
            const int at = vd_names_find(&p->init, m->node[i].in[k]);
            if (at >= 0 && !p->weight[at])
                p->weight[at] = is_weight(&f, &m->node[i], k, &m->init[at]);
        }
    for (int i = 0; !rc && i < m->n_init; i++) {
        *(p->weight[i] ? &p->weights : &p->constants) += m->init[i].count;
        *(p->weight[i] ? &p->weight_bytes : &p->constant_bytes) += m->init[i].size;
        ++*(p->weight[i] ? &p->weight_tensors : &p->constant_tensors);
    }
    if (rc)
        vd_parts_free(p);
    return rc;
}

void vd_parts_free(struct vd_parts *p)
{
    vd_arena_free(&p->arena);
    *p = (struct vd_parts){0};
}

const char *vd_node_label(const struct vd_onnx_node *n) { return *n->name ? n->name : n->n_out ? n->out[0] : n->op_type; }

void vd_parts_print(const struct vd_parts *p, const struct vd_onnx_model *m)
{
    printf("layers     %-28s %-22s %9s\n", "name", "operator", "weights");
    for (int i = 0; i < m->n_node; i++) {
        const struct vd_onnx_node *n = &m->node[i];
        const struct vd_onnx_tensor *first = NULL;
        size_t weights = 0;
        for (int k = 0; k < n->n_in; k++) {
            const int at = vd_names_find(&p->init, n->in[k]);
            if (at < 0 || !p->weight[at])
                continue;
            weights += m->init[at].count;
            first = first ? first : &m->init[at];
        }
        if (weights)
            printf("           %-28s %-22s %9zu", vd_node_label(n), n->op_type, weights);
        else
            printf("           %-28s %s", vd_node_label(n), n->op_type);
        if (first && first->rank) {
            printf("  [");
            for (int d = 0; d < first->rank; d++)
                printf("%s%" PRId64, d ? "," : "", first->dim[d]);
            printf("]");
        }
        if (*n->name && n->n_out && strcmp(n->name, n->out[0]))
            printf("  writes %s", n->out[0]);
        printf("\n");
    }
}
