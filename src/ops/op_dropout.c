/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/op_util.h"

/* Dropout of a trained model drops nothing: the data again, and a mask that is true everywhere (of the data's type before
 * opset 10). Training mode drops at random, which no two engines do alike: refused, unless the ratio is 0. */
int vd_infer_dropout(const struct vd_op_call *c)
{
    const struct vd_tensor *ratio = vd_op_in(c, 1), *training = vd_op_in(c, 2);
    for (int i = 1; i < 3; i++)
        if (vd_op_in(c, i) && vd_tensor_count(c->in[i]) != 1)
            return vd_op_fail(c, EBADMSG, "input %d (%s) has %zu elements; it must have one", i, i == 1 ? "ratio" : "training_mode",
                              vd_tensor_count(c->in[i]));
    if (training && !training->data)
        return vd_op_fail(c, ENOTSUP, "input 2 (training_mode) is computed at run time; it must be a constant");
    if (training && *(const uint8_t *)training->data) {
        double p = 0.5;
        if (ratio && !ratio->data)
            return vd_op_fail(c, ENOTSUP, "input 1 (ratio) is computed at run time; in training mode it must be a constant");
        if (ratio)
            vd_load_f64(&p, ratio->data, ratio->type, 1, 1);
        if (p != 0)
            return vd_op_fail(c, EPERM, "input 2 (training_mode) is true, which is not supported; export the model for inference");
    }
    const int rc = vd_op_set_like(c, 0, c->in[0]->type, c->in[0]);
    return rc < 0 ? rc : vd_op_set_like(c, 1, c->opset < 10 ? c->in[0]->type : VD_BOOL, c->in[0]);
}

static void all_true(const struct vd_row *r)
{
    const struct vd_tensor *mask = r->arg;
    double ones[VD_CHUNK];
    for (int i = 0; i < VD_CHUNK; i++)
        ones[i] = 1;
    for (size_t i = 0, n; i < r->n; i += n) {
        n = r->n - i < VD_CHUNK ? r->n - i : VD_CHUNK;
        vd_store_f64((char *)r->p[0] + i * vd_type_size(mask->type), mask->type, ones, n);
    }
}

void vd_run_dropout(const struct vd_op_call *c)
{
    struct vd_tensor *mask = vd_op_out(c, 1);
    if (c->out[0])
        vd_op_copy(c);
    if (!mask)
        return;
    struct vd_iter it;
    vd_iter_init(&it, mask);
    vd_iter_run(&it, c->workers, all_true, mask);
}
