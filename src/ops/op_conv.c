/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/op_util.h"

#include <math.h>

/* Convolutions have no plain run: the plan lowers every one to the kernels. Here are their shapes and checks. */

static int infer(const struct vd_op_call *c, const struct vd_tensor *x, const struct vd_tensor *w, int type)
{
    struct vd_window win;
    int64_t dim[VD_MAX_RANK];
    int rc;
    if ((rc = vd_window_infer(c, x, w, &win)) < 0)
        return rc;
    const int64_t group = vd_op_int(c, "group", 1);
    if (group < 1)
        return vd_op_fail(c, EBADMSG, "attribute group is %lld; it must be at least 1", (long long)group);
    if (x->dim[0] < 1 || x->dim[1] < 1 || w->dim[0] < 1 || w->dim[1] < 1)
        return vd_op_fail(c, ERANGE, "an input of %lld x %lld channels and weights of %lld x %lld: none may be 0",
                          (long long)x->dim[0], (long long)x->dim[1], (long long)w->dim[0], (long long)w->dim[1]);
    if (w->dim[0] % group)
        return vd_op_fail(c, EBADMSG, "attribute group is %lld, which does not divide the weights' %lld output channels",
                          (long long)group, (long long)w->dim[0]);
    if (x->dim[1] % group || x->dim[1] / group != w->dim[1])
        return vd_op_fail(c, ERANGE, "input 0 has %lld channel%s, but weights of %lld channel%s and group %lld ask for another number",
                          (long long)x->dim[1], vd_s(x->dim[1]), (long long)w->dim[1], vd_s(w->dim[1]), (long long)group);
    dim[0] = x->dim[0];
    dim[1] = w->dim[0];
    for (int i = 0; i < win.n; i++)
        dim[i + 2] = win.out[i];
    return vd_op_set(c, 0, type, x->rank, dim);
}

int vd_infer_conv(const struct vd_op_call *c)
{
    const struct vd_tensor *w = c->in[1], *bias = vd_op_in(c, 2);
    int rc = vd_op_same_type(c, 0, 1);
    if (rc < 0 || (bias && (rc = vd_op_same_type(c, 0, 2)) < 0))
        return rc;
    if (bias && (bias->rank != 1 || w->rank < 1 || bias->dim[0] != w->dim[0]))
        return vd_op_fail(c, EBADMSG, "input 2 (bias) must be one value for each of the weights' output channels");
    return infer(c, c->in[0], w, c->in[0]->type);
}

int vd_infer_conv_integer(const struct vd_op_call *c)
{
    const struct vd_tensor *w = c->in[1], *xz = vd_op_in(c, 2), *wz = vd_op_in(c, 3);
    int rc;
    if ((xz && (rc = vd_op_same_type(c, 0, 2)) < 0) || (wz && (rc = vd_op_same_type(c, 1, 3)) < 0))
        return rc;
    if (xz && vd_tensor_count(xz) != 1)
        return vd_op_fail(c, EBADMSG, "input 2 (x_zero_point) must be one value");
    if (wz && vd_tensor_count(wz) != 1 && (wz->rank != 1 || w->rank < 1 || wz->dim[0] != w->dim[0]))
        return vd_op_fail(c, EBADMSG, "input 3 (w_zero_point) must be one value, or one for each output channel");
    return infer(c, c->in[0], w, VD_S32);
}

/* QLinearConv-10: x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, bias (int32, scale x_scale * w_scale). */
/* What a channel's sums are multiplied with is a number: kernel sets need not agree on what is not. */
static int finite_factors(const struct vd_op_call *c)
{
    const float *x = c->in[1]->data, *w = c->in[4]->data, *y = c->in[6]->data;
    for (size_t i = 0, n = vd_tensor_count(c->in[4]); x && w && y && i < n; i++)
        if (!(*y > 0) || !isfinite(*x * w[i] / *y))
            return vd_op_fail(c, EBADMSG, "inputs 1, 4 and 6 (scales %g, %g, %g) give channel %zu no finite factor, or a scale of the output that is not "
                              "positive", (double)*x, (double)w[i], (double)*y, i);
    return 0;
}

int vd_infer_qlinear_conv(const struct vd_op_call *c)
{
    const struct vd_tensor *w = c->in[3], *bias = vd_op_in(c, 8);
    int rc;
    if ((rc = vd_op_same_type(c, 0, 2)) < 0 || (rc = vd_op_same_type(c, 3, 5)) < 0)
        return rc;
    static const int scalars[] = {1, 2, 6, 7};
    for (size_t i = 0; i < sizeof(scalars) / sizeof(*scalars); i++)
        if (vd_tensor_count(c->in[scalars[i]]) != 1)
            return vd_op_fail(c, EBADMSG, "input %d must be one value", scalars[i]);
    for (int i = 4; i <= 5; i++)
        if (vd_tensor_count(c->in[i]) != 1 && (c->in[i]->rank != 1 || w->rank < 1 || c->in[i]->dim[0] != w->dim[0]))
            return vd_op_fail(c, EBADMSG, "input %d must be one value, or one for each output channel", i);
    if (bias && (bias->rank != 1 || w->rank < 1 || bias->dim[0] != w->dim[0]))
        return vd_op_fail(c, EBADMSG, "input 8 (bias) must be one value for each of the weights' output channels");
    if ((rc = finite_factors(c)) < 0)
        return rc;
    return infer(c, c->in[0], w, c->in[7]->type);
}
