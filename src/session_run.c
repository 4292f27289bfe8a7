/* SPDX-License-Identifier: BSD-2-Clause */
#include "session.h"

#include <string.h>

#include "common/checked.h"

/* --- tensors --- */

static bool dim_fits(const struct vmaf_dnn_session *s, const struct vd_onnx_value *v, int k, int64_t have)
{
    return v->dim[k] < 0 || v->dim[k] == have || (s->any_size && v->rank == 4 && k >= 2);
}

static int input_index(const struct vmaf_dnn_session *s, const vmaf_dnn_input *in, size_t i)
{
    if (!in->name)
        return (int)i;
    for (int k = 0; k < s->model.n_in; k++)
        if (!strcmp(s->model.in[k].name, in->name))
            return k;
    return -1;
}

static int check_input(const struct vmaf_dnn_session *s, const vmaf_dnn_input *in, int k)
{
    const struct vd_onnx_value *v = &s->model.in[k];
    if (in->type != v->type && !(in->type == VMAF_DNN_F32 && v->type == VD_F16))
        return vd_fail(EINVAL, "input '%s' is %s, not %s", v->name, vd_type_name(v->type), vd_type_name(in->type));
    if (in->rank < 0 || in->rank > VMAF_DNN_MAX_RANK)
        return vd_fail(EINVAL, "input '%s': a rank of %d is not in 0..%d", v->name, in->rank, VMAF_DNN_MAX_RANK);
    if (v->rank >= 0 && in->rank != v->rank)
        return vd_fail(ERANGE, "input '%s' has rank %d, not %d", v->name, v->rank, in->rank);
    for (int d = 0; d < in->rank; d++) {
        if (in->shape[d] < 1)
            return vd_fail(EINVAL, "input '%s': dimension %d is %lld", v->name, d, (long long)in->shape[d]);
        if (v->rank >= 0 && !dim_fits(s, v, d, in->shape[d]))
            return vd_fail(ERANGE, "input '%s': dimension %d is %lld, not %lld", v->name, d, (long long)v->dim[d], (long long)in->shape[d]);
    }
    size_t count, bytes;
    if (!vd_count(in->shape, in->rank, &count) || !vd_mul(count, 8, &bytes))
        return vd_fail(ERANGE, "input '%s': the product of its dimensions overflows", v->name);
    if (in->count != count)
        return vd_fail(EINVAL, "input '%s': %zu element%s given, its shape has %zu", v->name, in->count, in->count == 1 ? " was" : "s were", count);
    if (!in->data)
        return vd_fail(EINVAL, "input '%s': data is NULL", v->name);
    return 0;
}

static int shape_inputs(struct vmaf_dnn_session *s, const vmaf_dnn_input *in, size_t n_in)
{
    if (n_in != (size_t)s->model.n_in)
        return vd_fail(EINVAL, "the model has %d input%s, %zu were given", s->model.n_in, vd_s(s->model.n_in), n_in);
    for (int k = 0; k < s->model.n_in; k++)
        s->shape[k].type = VD_NONE;
    for (size_t i = 0; i < n_in; i++) {
        const int k = input_index(s, &in[i], i);
        if (k < 0)
            return vd_fail(EINVAL, "the model has no input '%s' (its first is '%s')", in[i].name, s->model.in[0].name);
        if (s->shape[k].type != VD_NONE)
            return vd_fail(EINVAL, "input '%s' was given twice", s->model.in[k].name);
        const int rc = check_input(s, &in[i], k);
        if (rc)
            return rc;
        s->shape[k] = (struct vd_tensor){.type = s->model.in[k].type, .rank = in[i].rank};
        memcpy(s->shape[k].dim, in[i].shape, (size_t)in[i].rank * sizeof(in[i].shape[0]));
    }
    return vd_plan_shape(s->plan, s->shape);
}

static void store_input(struct vmaf_dnn_session *s, int k, int type, const void *data)
{
    struct vd_tensor *t = vd_plan_input(s->plan, k);
    if (type == t->type) {
        if (!vd_plan_lend(s->plan, k, data))
            memcpy(t->data, data, vd_tensor_bytes(t));
    } else {
        const struct vd_tensor from = {.type = VD_F32, .rank = t->rank, .data = (void *)(uintptr_t)data};
        struct vd_tensor f32 = from;
        memcpy(f32.dim, t->dim, sizeof(f32.dim));
        vd_narrow_f16(t, &f32);
    }
}

static int output_index(const struct vmaf_dnn_session *s, const vmaf_dnn_output *out, size_t i)
{
    if (!out->name)
        return i < (size_t)s->model.n_out ? (int)i : -1;
    for (int k = 0; k < s->model.n_out; k++)
        if (!strcmp(s->model.out[k].name, out->name))
            return k;
    return -1;
}

static int check_outputs(const struct vmaf_dnn_session *s, vmaf_dnn_output *out, size_t n_out)
{
    int rc = 0;
    for (size_t i = 0; i < n_out; i++) {
        out[i].written = 0;
        out[i].rank = 0;
        const int k = output_index(s, &out[i], i);
        if (k < 0)
            return out[i].name ? vd_fail(EINVAL, "the model has no output '%s' (its first is '%s')", out[i].name, s->model.out[0].name)
                               : vd_fail(EINVAL, "the model has %d output%s, %zu were asked for", s->model.n_out, vd_s(s->model.n_out), n_out);
        const struct vd_tensor *t = vd_plan_output(s->plan, k);
        if (out[i].type != t->type && !(out[i].type == VMAF_DNN_F32 && t->type == VD_F16))
            return vd_fail(EINVAL, "output '%s' is %s, not %s", s->model.out[k].name, vd_type_name(t->type), vd_type_name(out[i].type));
        out[i].written = vd_tensor_count(t);
        out[i].rank = t->rank;
        memcpy(out[i].shape, t->dim, sizeof(out[i].shape));
        if (out[i].capacity < out[i].written)
            rc = vd_fail(ENOSPC, "output '%s' needs room for %zu element%s, there is room for %zu", s->model.out[k].name, out[i].written, vd_s((long long)out[i].written),
                         out[i].capacity);
        else if (out[i].written && !out[i].data)
            rc = rc ? rc : vd_fail(EINVAL, "output '%s': data is NULL", s->model.out[k].name);
    }
    return rc;
}

static void fetch_output(const struct vmaf_dnn_session *s, vmaf_dnn_output *out, int k)
{
    const struct vd_tensor *t = vd_plan_output(s->plan, k);
    if (out->type == t->type) {
        if (out->written)
            memcpy(out->data, t->data, vd_tensor_bytes(t));
    } else {
        struct vd_tensor f32 = *t;
        f32.type = VD_F32;
        f32.data = out->data;
        vd_widen_f16(&f32, t);
    }
}

int vmaf_dnn_session_run(vmaf_dnn_session *s, const vmaf_dnn_input *in, size_t n_in, vmaf_dnn_output *out, size_t n_out)
{
    if (!s || (!in && n_in) || (!out && n_out))
        return vd_fail(EINVAL, "vmaf_dnn_session_run: %s is NULL", !s ? "session" : !in && n_in ? "in" : "out");
    int rc = shape_inputs(s, in, n_in);
    if (rc || (rc = check_outputs(s, out, n_out)))
        return rc;
    for (size_t i = 0; i < n_in; i++)
        store_input(s, input_index(s, &in[i], i), in[i].type, in[i].data);
    if ((rc = vd_plan_run(s->plan)))
        return rc;
    for (size_t i = 0; i < n_out; i++)
        fetch_output(s, &out[i], output_index(s, &out[i], i));
    return 0;
}

/* --- planes --- */

/* Plan for a w x h plane and check that the model is a filter: one picture in, one picture of the same size out. */
static int shape_plane(struct vmaf_dnn_session *s, int w, int h)
{
    if (s->model.n_in != 1)
        return vd_fail(ENOTSUP, "the model has %d inputs: planes go to models with one (use vmaf_dnn_session_run)", s->model.n_in);
    const struct vd_onnx_value *v = &s->model.in[0];
    const int64_t want[4] = {1, 1, h, w};
    if ((v->type != VD_F32 && v->type != VD_F16) || (v->rank >= 0 && v->rank != 4))
        return vd_fail(ENOTSUP, "input '%s' is not a float picture [N,1,H,W]", v->name);
    for (int k = 0; k < v->rank; k++)
        if (!dim_fits(s, v, k, want[k]))
            return k < 2 ? vd_fail(ENOTSUP, "input '%s': dimension %d is %lld, a plane has 1", v->name, k, (long long)v->dim[k])
                         : vd_fail(ERANGE, "the model takes %lldx%lld, the plane is %dx%d", (long long)v->dim[3], (long long)v->dim[2], w, h);
    s->shape[0] = (struct vd_tensor){.type = v->type, .rank = 4, .dim = {1, 1, h, w}};
    const int rc = vd_plan_shape_plane(s->plan, s->shape);
    if (rc)
        return rc;
    const struct vd_tensor *y = vd_plan_output(s->plan, 0);
    if ((y->type != VD_F32 && y->type != VD_F16) || vd_tensor_count(y) != (size_t)w * (size_t)h || y->rank < 2 || y->dim[y->rank - 1] != w ||
        y->dim[y->rank - 2] != h)
        return vd_fail(ENOTSUP, "output '%s' is not a picture of the input's size: the model is not a filter", s->model.out[0].name);
    return 0;
}

static int run_plane(struct vmaf_dnn_session *s, const struct vd_plane *p)
{
    const int rc = shape_plane(s, p->w, p->h);
    return rc ? rc : vd_plan_run_plane(s->plan, p);
}

static int check_plane(const struct vmaf_dnn_session *s, const struct vd_plane *p)
{
    const int64_t row = (int64_t)p->w * (p->bpc > 8 ? 2 : 1);
    if (!s || !p->in || !p->out)
        return vd_fail(EINVAL, "%s is NULL", !s ? "session" : !p->in ? "in" : "out");
    if (p->w < 1 || p->h < 1 || p->w > 1 << 20 || p->h > 1 << 20)
        return vd_fail(EINVAL, "a plane of %dx%d is not in 1x1 to %dx%d", p->w, p->h, 1 << 20, 1 << 20);
    if (p->h > 1 && ((p->in_stride < 0 ? -p->in_stride : p->in_stride) < row || (p->out_stride < 0 ? -p->out_stride : p->out_stride) < row))
        return vd_fail(EINVAL, "a stride of %td or %td bytes is less than a row of %lld", p->in_stride, p->out_stride, (long long)row);
    if (p->bpc > 8 && (p->in_stride % 2 || p->out_stride % 2 || (uintptr_t)p->in % 2 || (uintptr_t)p->out % 2))
        return vd_fail(EINVAL, "16-bit planes and their strides must be even");
    return 0;
}

int vmaf_dnn_session_run_luma8(vmaf_dnn_session *s, const uint8_t *in, ptrdiff_t in_stride, int w, int h, uint8_t *out, ptrdiff_t out_stride)
{
    const struct vd_plane p = {in, out, in_stride, out_stride, w, h, 8};
    const int rc = check_plane(s, &p);
    return rc ? rc : run_plane(s, &p);
}

int vmaf_dnn_session_run_plane16(vmaf_dnn_session *s, const uint16_t *in, ptrdiff_t in_stride, int w, int h, uint16_t *out, ptrdiff_t out_stride,
                                 int bpc)
{
    if (bpc < 9 || bpc > 16)
        return vd_fail(EINVAL, "%d bits a sample are not in 9..16", bpc);
    const struct vd_plane p = {in, out, in_stride, out_stride, w, h, bpc};
    const int rc = check_plane(s, &p);
    return rc ? rc : run_plane(s, &p);
}
