/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/op_math.h"
#include "ops/op_qlinear.h"

/* QLinearWhere and QLinearSoftmax of ONNX Runtime's QOperator form: their float operators on dequantised values, requantised. */

struct tables { uint8_t to[2][256]; };

static void where_row(const struct vd_row *r)
{
    const struct tables *t = r->arg;
    uint8_t *y = r->p[0];
    const uint8_t *cond = r->p[1], *a = r->p[2], *b = r->p[3];
    for (size_t i = 0; i < r->n; i++) {
        const ptrdiff_t k = (ptrdiff_t)i;
        const uint8_t va = t->to[0][a[k * r->step[2]]], vb = t->to[1][b[k * r->step[3]]];
        y[i] = cond[k * r->step[1]] ? va : vb;
    }
}

/* condition; X, its scale and zero point; Y, its; the output's. */
int vd_infer_qlinear_where(const struct vd_op_call *c)
{
    struct vd_tensor pair, all;
    const int type = c->in[1]->type;
    int rc;
    if ((rc = vd_op_same_type(c, 1, 4)) < 0 || (rc = vd_q_triple(c, 1)) < 0 || (rc = vd_q_triple(c, 4)) < 0 || (rc = vd_q_sink(c, 7, type)) < 0 ||
        (rc = vd_op_broadcast(c, c->in[1], c->in[4], &pair)) < 0 || (rc = vd_op_broadcast(c, c->in[0], &pair, &all)) < 0)
        return rc;
    return vd_op_set(c, 0, type, all.rank, all.dim);
}

void vd_run_qlinear_where(const struct vd_op_call *c)
{
    const int type = c->in[1]->type;
    const struct vd_sink s = vd_q_to(c->in[7], vd_op_in(c, 8), type);
    struct tables t;
    struct vd_iter it;
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < 256; i++)
            t.to[k][i] = vd_q_bits(&s, vd_q_real(type, (uint8_t)i, vd_q_scale(c->in[2 + 3 * k]), vd_q_zero(vd_op_in(c, 3 + 3 * k))));
    vd_iter_init(&it, c->out[0]);
    vd_iter_input(&it, c->in[0]);
    vd_iter_input(&it, c->in[1]);
    vd_iter_input(&it, c->in[4]);
    vd_iter_run(&it, c->workers, where_row, &t);
}

struct soft {
    const uint8_t *x;
    uint8_t *y;
    struct vd_along a;
    uint8_t flip; /* makes bytes of s8 grow as their values do */
    double power[256];
    struct vd_sink s;
};

static void soft_lines(void *arg, size_t begin, size_t end)
{
    const struct soft *s = arg;
    const size_t step = s->a.inner;
    for (size_t line = begin; line < end; line++) {
        const size_t at = line / step * s->a.n * step + line % step;
        const uint8_t *x = s->x + at;
        uint8_t *y = s->y + at, most = 0;
        double sum = 0;
        for (size_t k = 0; k < s->a.n; k++)
            most = (x[k * step] ^ s->flip) > most ? x[k * step] ^ s->flip : most;
        for (size_t k = 0; k < s->a.n; k++)
            sum += s->power[most - (x[k * step] ^ s->flip)];
        for (size_t k = 0; k < s->a.n; k++)
            y[k * step] = vd_q_bits(&s->s, (float)(s->power[most - (x[k * step] ^ s->flip)] / sum));
    }
}

/* Before opset 13 (attribute opset) all dims from the axis on are one. */
static int soft_line(const struct vd_op_call *c, struct vd_along *a)
{
    const bool coerced = vd_op_int(c, "opset", c->opset) < 13;
    int axis;
    const int rc = vd_op_axis(c, vd_op_int(c, "axis", coerced ? 1 : -1), c->in[0]->rank, &axis);
    if (rc < 0)
        return rc;
    *a = vd_along(c->in[0], axis);
    if (coerced) {
        a->n *= a->inner;
        a->inner = 1;
    }
    return 0;
}

int vd_infer_qlinear_softmax(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    struct vd_along a;
    int rc;
    if ((rc = vd_q_triple(c, 0)) < 0 || (rc = vd_q_sink(c, 3, x->type)) < 0 || (rc = soft_line(c, &a)) < 0)
        return rc;
    return vd_op_set_like(c, 0, x->type, x);
}

void vd_run_qlinear_softmax(const struct vd_op_call *c)
{
    const struct vd_tensor *x = c->in[0];
    struct soft s = {.x = x->data, .y = c->out[0]->data, .flip = x->type == VD_S8 ? 0x80 : 0, .s = vd_q_to(c->in[3], vd_op_in(c, 4), x->type)};
    if (!vd_tensor_count(x) || soft_line(c, &s.a) < 0)
        return; /* infer has seen that it does not fail */
    for (int i = 0; i < 256; i++) {
        const double v = -i * (double)vd_q_scale(c->in[1]);
        s.power[i] = vd_exp(v < -700 ? -700 : v > 700 ? 700 : v);
    }
    vd_op_split(c->workers, s.a.outer * s.a.inner, VD_ITER_GRAIN / s.a.n / 4 + 1, soft_lines, &s);
}
