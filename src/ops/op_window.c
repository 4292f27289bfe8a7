/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "ops/op_util.h"

/* Bound of every attribute here, so that sums and products of a few of them and a dim (at most 2^40) stay inside int64. */
enum { ATTR_MAX = 1 << 20 };

/* A list of n values in lo..ATTR_MAX into v, fallback where the attribute is absent. */
static int list(const struct vd_op_call *c, const char *name, int n, int64_t lo, int64_t fallback, int64_t *v)
{
    const int64_t *given;
    const int count = vd_op_ints(c, name, &given);
    if (given && count != n)
        return vd_op_fail(c, EBADMSG, "attribute %s has %d values where the input's shape asks for %d", name, count, n);
    for (int i = 0; i < n; i++) {
        v[i] = given ? given[i] : fallback;
        if (v[i] < lo || v[i] > ATTR_MAX)
            return vd_op_fail(c, EBADMSG, "attribute %s[%d] is %lld; it must be in %lld..%d", name, i, (long long)v[i],
                              (long long)lo, (int)ATTR_MAX);
    }
    return 0;
}

static int kernel_sizes(const struct vd_op_call *c, const struct vd_tensor *w, struct vd_window *win)
{
    int rc;
    if (!w) {
        if (!vd_onnx_attr(c->node, "kernel_shape"))
            return vd_op_fail(c, EBADMSG, "attribute kernel_shape is missing");
        return list(c, "kernel_shape", win->n, 1, 1, win->kernel);
    }
    if ((rc = list(c, "kernel_shape", win->n, 1, 1, win->kernel)) < 0)
        return rc;
    const bool given = vd_onnx_attr(c->node, "kernel_shape");
    for (int i = 0; i < win->n; i++) {
        const int64_t k = w->dim[i + 2];
        if (k < 1 || k > ATTR_MAX)
            return vd_op_fail(c, EBADMSG, "the kernel's dim %d is %lld; it must be in 1..%d", i, (long long)k, (int)ATTR_MAX);
        if (given && win->kernel[i] != k)
            return vd_op_fail(c, EBADMSG, "attribute kernel_shape[%d] is %lld but the weights' dim %d is %lld", i,
                              (long long)win->kernel[i], i + 2, (long long)k);
        win->kernel[i] = k;
    }
    return 0;
}

int vd_window_infer(const struct vd_op_call *c, const struct vd_tensor *x, const struct vd_tensor *w, struct vd_window *win)
{
    enum { NOTSET, VALID, SAME_UPPER, SAME_LOWER, MODES };
    static const char *const names[MODES] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"};
    int rc, mode = NOTSET;
    memset(win, 0, sizeof(*win));
    if (x->rank < 3 || x->rank > 5)
        return vd_op_fail(c, ENOTSUP, "an input of rank %d; batch, channels and 1 to 3 more dims are supported", x->rank);
    if (w && w->rank != x->rank)
        return vd_op_fail(c, EBADMSG, "weights of rank %d for an input of rank %d", w->rank, x->rank);
    win->n = x->rank - 2;
    const char *pad_name = vd_op_str(c, "auto_pad", "NOTSET");
    while (mode < MODES && strcmp(pad_name, names[mode]))
        mode++;
    if (mode == MODES)
        return vd_op_fail(c, EBADMSG, "attribute auto_pad is '%.40s'; it must be NOTSET, VALID, SAME_UPPER or SAME_LOWER", pad_name);
    const int64_t ceil_mode = vd_op_int(c, "ceil_mode", 0);
    if (ceil_mode != 0 && ceil_mode != 1)
        return vd_op_fail(c, EBADMSG, "attribute ceil_mode is %lld; it must be 0 or 1", (long long)ceil_mode);
    int64_t pads[6] = {0};
    if ((rc = kernel_sizes(c, w, win)) < 0 || (rc = list(c, "strides", win->n, 1, 1, win->stride)) < 0 ||
        (rc = list(c, "dilations", win->n, 1, 1, win->dilation)) < 0 || (rc = list(c, "pads", 2 * win->n, 0, 0, pads)) < 0)
        return rc;
    for (int i = 0; i < win->n; i++) {
        const int64_t size = x->dim[i + 2], stride = win->stride[i], reach = win->dilation[i] * (win->kernel[i] - 1) + 1;
        if (size < 1 || size > (int64_t)1 << 40)
            return vd_op_fail(c, ERANGE, "the input's dim %d is %lld", i + 2, (long long)size);
        if (mode == NOTSET) {
            win->pad_begin[i] = pads[i];
            win->pad_end[i] = pads[win->n + i];
            /* A pool's window must not lie in the padding altogether. */
            if (!w && (pads[i] >= win->kernel[i] || pads[win->n + i] >= win->kernel[i]))
                return vd_op_fail(c, EBADMSG, "pads %lld and %lld of dim %d must be smaller than kernel_shape[%d], %lld",
                                  (long long)pads[i], (long long)pads[win->n + i], i, i, (long long)win->kernel[i]);
        } else if (mode != VALID) {
            /* ONNX and ONNX Runtime give results of different sizes. */
            if (!w && win->dilation[i] != 1)
                return vd_op_fail(c, EPERM, "attribute auto_pad is %s with dilations[%d] of %lld; only 1 is supported there", pad_name,
                                  i, (long long)win->dilation[i]);
            const int64_t need = ((size + stride - 1) / stride - 1) * stride + reach - size;
            const int64_t total = need > 0 ? need : 0;
            win->pad_begin[i] = mode == SAME_LOWER ? (total + 1) / 2 : total / 2;
            win->pad_end[i] = total - win->pad_begin[i];
        }
        const int64_t room = size + win->pad_begin[i] + win->pad_end[i] - reach;
        if (room < 0)
            return vd_op_fail(c, ERANGE, "the kernel reaches over %lld elements of dim %d, but the padded input has only %lld",
                              (long long)reach, i + 2, (long long)(room + reach));
        win->out[i] = room / stride + 1;
        /* Rounded up, unless the last window would begin beyond the input, in the end padding. */
        if (ceil_mode && room % stride && win->out[i] * stride < size + win->pad_begin[i])
            win->out[i]++;
    }
    return 0;
}
