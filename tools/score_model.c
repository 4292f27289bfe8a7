/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/status.h"
#include "io/resize.h"
#include "ops/op.h" /* float16 */
#include "score_job.h"
#include "session.h"

static int refuse(const struct vd_score_job *s, const char *why) { return vd_report(vd_fail(ENOTSUP, "%s: %s", s->info.file, why)); }

static bool named(const char *name, const char *a, const char *b) { return !strcasecmp(name, a) || !strcasecmp(name, b); }

static int take_inputs(struct vd_score_job *s)
{
    const struct vd_onnx_model *m = &s->session->model;

    if (m->n_in == 1 && s->path[REF])
        return refuse(s, "scores without a reference: leave -r out");
    if (m->n_in == 2 && !s->path[REF])
        return refuse(s, "compares with a reference: give -r CLIP");
    if (m->n_in != 1 && m->n_in != 2)
        return refuse(s, "has neither one input (a clip) nor two (reference and distorted)");
    for (int i = 0; i < m->n_in; i++) {
        const struct vd_onnx_value *v = &m->in[i];
        if (v->rank == 4 && v->dim[1] == 3)
            return refuse(s, "takes RGB pictures [N,3,H,W]; score gives luma, [N,1,H,W]");
        if ((v->type != VD_F32 && v->type != VD_F16) || (v->rank >= 0 && v->rank != 4) || (v->rank == 4 && (v->dim[0] > 1 || v->dim[1] > 1)))
            return refuse(s, "an input is no float picture [N,1,H,W] of luma ('vmaf-dnn inspect' lists inputs)");
        if (v->rank == 4 && (v->dim[2] < 0) != (v->dim[3] < 0))
            return refuse(s, "has a fixed height and an open width, or the other way");
        if (i && (v->rank != m->in[0].rank || (v->rank == 4 && (v->dim[2] != m->in[0].dim[2] || v->dim[3] != m->in[0].dim[3]))))
            return refuse(s, "takes pictures of two different sizes");
    }
    s->slot_of[REF] = 0;
    s->slot_of[DIST] = m->n_in == 2;
    if (m->n_in == 2 && (named(m->in[0].name, "dist", "distorted") || named(m->in[1].name, "ref", "reference"))) {
        s->slot_of[REF] = 1;
        s->slot_of[DIST] = 0;
    }
    return VD_EXIT_OK;
}

/* The size that the model sees, by what it is and what its sidecar says. */
static int take_size(struct vd_score_job *s)
{
    const struct vd_onnx_value *v = s->session->model.in;
    const struct vd_sidecar *side = &s->session->file.sidecar;
    const char *kernel = side->json ? side->row.resize : NULL;

    if (kernel && strcmp(kernel, "area") && strcmp(kernel, "windows"))
        return vd_report(vd_fail(ENOTSUP, "%s: its sidecar says that pictures are resized by '%s', and this version knows area and windows: other kernels give "
                                 "other scores", s->info.file, kernel));
    if (v->rank == 4 && v->dim[2] > 0) {
        if (v->dim[2] > VD_MAX_SIDE || v->dim[3] > VD_MAX_SIDE)
            return refuse(s, "takes pictures that are too large");
        s->model_h = (int)v->dim[2];
        s->model_w = (int)v->dim[3];
    } else if (kernel && side->row.size_w) {
        s->model_w = side->row.size_w;
        s->model_h = side->row.size_h;
    }
    if (s->resize && !s->model_w)
        return vd_usage(&vd_cmd_score, "--resize %s: %s sees frames of any size as they are", s->resize, s->info.file);
    s->cut = s->resize ? strcmp(s->resize, "area") != 0 : kernel && !strcmp(kernel, "windows");
    return VD_EXIT_OK;
}

static int take_outputs(struct vd_score_job *s)
{
    const size_t n = s->info.n_outputs;
    const struct vd_row *row = s->session->file.row ? s->session->file.row : s->session->file.sidecar.json ? &s->session->file.sidecar.row : NULL;

    if (row && row->kind && !strcmp(row->kind, "filter"))
        return refuse(s, "makes pictures, not scores: that is vmaf-dnn filter");
    s->metric = vd_calloc(n, sizeof(*s->metric));
    s->output = vd_calloc(n, sizeof(*s->output));
    if (!s->metric || !s->output)
        return vd_report(vd_nomem(n * sizeof(*s->output)));
    for (size_t i = 0; i < n; i++) {
        vmaf_dnn_slot slot;
        const int rc = vmaf_dnn_session_output(s->session, i, &slot);
        if (rc)
            return vd_report(rc);
        const struct vd_onnx_value *v = &s->session->model.out[i]; /* the file's own size, also where the session takes others */
        for (int k = 0; k < v->rank; k++)
            if (v->dim[k] > 1)
                return vd_report(vd_fail(ENOTSUP, "%s: output '%s' is more than one number: score is for models whose outputs are single numbers", s->info.file,
                                         slot.name));
        if (!vd_npy_descr(slot.type))
            return vd_report(vd_fail(ENOTSUP, "%s: output '%s' is of a type that is no score", s->info.file, slot.name));
        s->metric[i] = slot.name;
        s->output[i] = (vmaf_dnn_output){.name = slot.name, .type = slot.type == VMAF_DNN_F16 ? VMAF_DNN_F32 : slot.type};
    }
    s->made.metric = s->metric;
    s->made.n_metric = n;
    s->made.model = &s->info;
    return VD_EXIT_OK;
}

int vd_score_model(struct vd_score_job *s)
{
    int code;
    if ((code = take_outputs(s)) || (code = take_inputs(s)))
        return code;
    return take_size(s);
}

static double number(const vmaf_dnn_output *o, const void *p)
{
    switch (o->type) {
    case VMAF_DNN_F32: return *(const float *)p;
    case VMAF_DNN_S8: return *(const int8_t *)p;
    case VMAF_DNN_S32: return *(const int32_t *)p;
    case VMAF_DNN_S64: return (double)*(const int64_t *)p;
    default: return *(const uint8_t *)p; /* uint8 and bool */
    }
}

/* How many pictures the model sees of a frame. */
static int count_windows(struct vd_score_job *s, int *n)
{
    const struct vd_luma_clip *c = &s->clip[DIST];
    *n = 1;
    if (!s->cut || (c->w == s->model_w && c->h == s->model_h))
        return 0;
    const struct vd_windows fit = vd_windows_of(s->model_w, s->model_h, c->w, c->h);
    if (!fit.cols)
        return vd_fail(EINVAL, "%s is %dx%d, smaller than the windows of %dx%d that %s sees: --resize area enlarges it", c->name, c->w, c->h, s->model_w,
                       s->model_h, s->info.file);
    s->windows = s->asked.cols ? s->asked : fit;
    *n = s->windows.cols * s->windows.rows;
    snprintf(s->resize_name, sizeof(s->resize_name), "windows %dx%d", s->windows.cols, s->windows.rows);
    return 0;
}

/* The picture in clip i at the model's size; of windows, number part. */
static int sized(struct vd_score_job *s, int i, int part, vmaf_dnn_input *in)
{
    const struct vd_luma_clip *c = &s->clip[i];
    const bool resize = s->model_w && (s->model_w != c->w || s->model_h != c->h);
    const int w = resize ? s->model_w : c->w, h = resize ? s->model_h : c->h;
    const size_t n = (size_t)w * (size_t)h;

    if (resize && !s->plane[i] && !(s->plane[i] = vd_aligned(n * sizeof(float))))
        return vd_nomem(n * sizeof(float));
    if (resize && s->cut) {
        int x, y;
        vd_window_at(s->windows, part, w, h, c->w, c->h, &x, &y);
        for (int row = 0; row < h; row++)
            memcpy(s->plane[i] + (size_t)row * (size_t)w, c->luma + (size_t)(y + row) * (size_t)c->w + (size_t)x, (size_t)w * sizeof(float));
    } else if (resize) {
        vd_resize_area(s->plane[i], w, h, c->luma, c->w, c->h);
    }
    if (i == DIST) {
        s->made.in_w = w;
        s->made.in_h = h;
        if (resize)
            s->made.resize = s->cut ? s->resize_name : "area";
    }
    *in = (vmaf_dnn_input){.name = s->session->model.in[s->slot_of[i]].name, .type = VMAF_DNN_F32, .rank = 4, .shape = {1, 1, h, w},
                           .data = resize ? s->plane[i] : c->luma, .count = n};
    return 0;
}

static int room(struct vd_score_job *s)
{
    if (s->made.n < s->room)
        return 0;
    const size_t more = s->room ? 2 * s->room : 256;
    int64_t *frame = vd_realloc(s->frame, more, sizeof(*frame));
    if (frame)
        s->frame = frame;
    double *value = frame ? vd_realloc(s->value, more, s->made.n_metric * sizeof(*value)) : NULL;
    if (!value)
        return vd_nomem(more * sizeof(*value));
    s->value = value;
    s->room = more;
    s->made.frame = frame;
    s->made.value = value;
    return 0;
}

/* What the model says of one picture of the frame is added to value. */
static int add_picture(struct vd_score_job *s, int part, double *value)
{
    const size_t n_in = s->path[REF] ? 2 : 1, n_out = s->info.n_outputs;
    vmaf_dnn_input in[2];
    uint64_t one[64]; /* an element of each of so many outputs at a time */
    int rc = 0;

    for (size_t i = 0; i < n_in && !rc; i++)
        rc = sized(s, (int)i, part, &in[i]);
    if (rc)
        return rc;
    for (size_t from = 0; from < n_out; from += 64) {
        const size_t n = n_out - from < 64 ? n_out - from : 64;
        vmaf_dnn_output *o = s->output + from;
        for (size_t k = 0; k < n; k++) {
            o[k].data = &one[k];
            o[k].capacity = 1;
        }
        rc = vmaf_dnn_session_run(s->session, in, n_in, o, n);
        for (size_t k = 0; k < n && (!rc || rc == -ENOSPC); k++) {
            if (o[k].written != 1)
                return vd_fail(ENOTSUP, "%s: output '%s' has %zu elements: score is for models whose outputs are single numbers", s->info.file, o[k].name,
                               o[k].written);
            value[from + k] += rc ? 0 : number(&o[k], &one[k]);
        }
        if (rc)
            return rc;
    }
    return 0;
}

int vd_score_picture(struct vd_score_job *s)
{
    const size_t n_out = s->info.n_outputs;
    int n, rc = room(s);

    if (rc || (rc = count_windows(s, &n)))
        return rc;
    double *value = s->value + s->made.n * n_out;
    for (size_t k = 0; k < n_out; k++)
        value[k] = 0;
    for (int part = 0; part < n; part++)
        if ((rc = add_picture(s, part, value)))
            return rc;
    for (size_t k = 0; k < n_out; k++)
        value[k] /= n;
    s->frame[s->made.n++] = s->clip[DIST].frames - 1;
    return 0;
}
