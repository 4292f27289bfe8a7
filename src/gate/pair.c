/* SPDX-License-Identifier: BSD-2-Clause */
#include "gate/pair.h"

#include <string.h>

#include "common/checked.h"
#include "common/mem.h"
#include "common/status.h"
#include "onnx/onnx.h"

/* --- opening, and what is open */

static int open_side(struct vd_pair *p, int side, const char *model, const struct vd_pair_how *how)
{
    vmaf_dnn_settings s;
    vmaf_dnn_settings_default(&s);
    s.threads = how->threads;
    s.kernels = how->kernels;
    s.registry = how->registry;
    s.trusted_keys = how->trusted_keys;
    s.require_pinned = how->require_pinned;
    s.baseline = side == VD_FP32;
    return vmaf_dnn_session_open(&p->session[side], model, &s);
}

static int check_sides(struct vd_pair *p, const struct vd_resolved *file)
{
    const bool declared = file->declared != VD_QUANT_FP32;
    vmaf_dnn_info a, b;
    int rc = vmaf_dnn_session_info(p->session[VD_FP32], &a);
    if (!rc)
        rc = vmaf_dnn_session_info(p->session[VD_INT8], &b);
    if (rc)
        return rc;
    if (strcmp(a.file, file->fp32_path) || strcmp(a.quant_mode, "fp32") || strcmp(a.sha256, file->sha256) || a.baseline != declared)
        return vd_fail(EKEYREJECTED, "%s: asked for the fp32 baseline, and %s of quant_mode %s is open", file->fp32_path, a.file, a.quant_mode);
    if (strcmp(b.file, file->int8_path) || !strcmp(b.quant_mode, "fp32") || b.baseline || !strcmp(b.sha256, a.sha256))
        return vd_fail(EKEYREJECTED, "%s: asked for the int8 file, and %s of quant_mode %s is open", file->int8_path, b.file, b.quant_mode);
    if (a.n_inputs != b.n_inputs || a.n_outputs != b.n_outputs)
        return vd_fail(EBADMSG, "%s has %zu input%s and %zu output%s, %s %zu and %zu: they are not one model", a.file, a.n_inputs, vd_s((long long)a.n_inputs), a.n_outputs,
                       vd_s((long long)a.n_outputs), b.file, b.n_inputs, b.n_outputs);
    p->pinned = a.pinned && b.pinned;
    p->all_int8 = b.all_int8;
    rc = vd_quant_mode_parse(b.quant_mode, &p->mode);
    if (rc)
        return rc;
    p->n_in = a.n_inputs;
    p->n_out = a.n_outputs;
    return 0;
}

static int same_slot(const vmaf_dnn_slot *a, const vmaf_dnn_slot *b, const char *what)
{
    bool same = !strcmp(a->name, b->name) && a->type == b->type && a->rank == b->rank;
    for (int i = 0; same && i < a->rank; i++)
        same = a->shape[i] == b->shape[i];
    return same ? 0 : vd_fail(EBADMSG, "%sput '%s' of the fp32 file is not %sput '%s' of the int8 file", what, a->name, what, b->name);
}

/* --- samples in, results out */

/* A shape to run at: batch 1, height and width as the sidecar says. */
static int concrete(vmaf_dnn_input *in, const vmaf_dnn_slot *s, const struct vd_pair_how *how)
{
    if (s->type != VMAF_DNN_F32 && s->type != VMAF_DNN_F16)
        return vd_fail(ENOTSUP, "input '%s' is %s, and the gate's samples are floating-point", s->name, vd_type_name(s->type));
    if (s->rank < 0)
        return vd_fail(ENOTSUP, "input '%s' has no shape in the file, so that there is none to draw samples of", s->name);
    *in = (vmaf_dnn_input){.name = s->name, .type = VMAF_DNN_F32, .rank = s->rank};
    for (int i = 0; i < s->rank; i++) {
        in->shape[i] = s->shape[i];
        if (in->shape[i] >= 0)
            continue;
        if (i == 0)
            in->shape[i] = 1;
        else if (s->rank >= 3 && i >= s->rank - 2)
            in->shape[i] = i == s->rank - 1 ? how->w : how->h;
        else
            return vd_fail(ENOTSUP, "input '%s': dimension %d is symbolic, and neither batch, height nor width", s->name, i);
    }
    return 0;
}

static int make_inputs(struct vd_pair *p, const struct vd_pair_how *how)
{
    p->in = vd_calloc(p->n_in + 1, sizeof(*p->in));
    p->natural = vd_calloc(p->n_in + 1, sizeof(*p->natural));
    p->sample = vd_calloc(p->n_in + 1, sizeof(*p->sample));
    if (!p->in || !p->natural || !p->sample)
        return vd_nomem(p->n_in * sizeof(*p->in));
    for (size_t i = 0; i < p->n_in; i++) {
        vmaf_dnn_slot a, b;
        int rc = vmaf_dnn_session_input(p->session[VD_FP32], i, &a);
        if (!rc)
            rc = vmaf_dnn_session_input(p->session[VD_INT8], i, &b);
        if (!rc)
            rc = same_slot(&a, &b, "in");
        if (!rc)
            rc = concrete(&p->in[i], &a, how);
        if (rc)
            return rc;
        p->natural[i] = p->in[i];
    }
    return 0;
}

static int name_outputs(struct vd_pair *p, int side)
{
    vmaf_dnn_output *out = p->out[side] = vd_calloc(p->n_out + 1, sizeof(*out));
    if (!out)
        return vd_nomem(p->n_out * sizeof(*out));
    for (size_t i = 0; i < p->n_out; i++) {
        vmaf_dnn_slot slot;
        int rc = vmaf_dnn_session_output(p->session[side], i, &slot);
        if (rc)
            return rc;
        out[i] = (vmaf_dnn_output){.name = slot.name, .type = slot.type == VMAF_DNN_F16 ? VMAF_DNN_F32 : slot.type};
    }
    return 0;
}

static int make_samples(struct vd_pair *p)
{
    for (size_t i = 0; i < p->n_in; i++) {
        vmaf_dnn_input *in = &p->in[i];
        size_t bytes;
        if (!vd_count(in->shape, in->rank, &in->count) || !vd_mul(in->count, 8, &bytes))
            return vd_fail(ERANGE, "input '%s': the product of its dimensions overflows", in->name);
        vd_free(p->sample[i]);
        in->data = p->sample[i] = vd_calloc(in->count + 1, sizeof(float));
        if (!p->sample[i])
            return vd_nomem((unsigned long long)in->count * sizeof(float));
    }
    return 0;
}

static int make_outputs(struct vd_pair *p, int side)
{
    vmaf_dnn_output *out = p->out[side];
    for (size_t i = 0; i < p->n_out; i++) {
        vd_free(out[i].data);
        out[i].data = NULL;
        out[i].capacity = 0;
    }
    /* Without room nothing runs, and `written` is what each needs. */
    int rc = vmaf_dnn_session_run(p->session[side], p->in, p->n_in, out, p->n_out);
    if (rc && rc != -ENOSPC)
        return rc;
    size_t all = 0, bytes;
    for (size_t i = 0; i < p->n_out; i++) {
        if (!vd_mul(out[i].written, 8, &bytes) || !vd_add(all, out[i].written, &all) || !(out[i].data = vd_malloc(bytes + 1)))
            return vd_nomem(out[i].written);
        out[i].capacity = out[i].written;
    }
    p->n_result = all;
    vd_free(p->result[side]);
    p->result[side] = vd_calloc(all + 1, sizeof(float));
    return p->result[side] ? 0 : vd_nomem((unsigned long long)all * sizeof(float));
}

static int same_outputs(const struct vd_pair *p)
{
    for (size_t i = 0; i < p->n_out; i++) {
        const vmaf_dnn_output *a = &p->out[VD_FP32][i], *b = &p->out[VD_INT8][i];
        bool same = !strcmp(a->name, b->name) && a->type == b->type && a->rank == b->rank;
        for (int k = 0; same && k < a->rank; k++)
            same = a->shape[k] == b->shape[k];
        if (!same)
            return vd_fail(EBADMSG, "output '%s' of the fp32 file is not output '%s' of the int8 file, in name, type or shape", a->name, b->name);
    }
    return p->n_result ? 0 : vd_fail(ENOTSUP, "the model's outputs have no elements");
}

int vd_pair_shape(struct vd_pair *p)
{
    int rc = make_samples(p);
    for (int side = 0; !rc && side < 2; side++)
        rc = make_outputs(p, side);
    return rc ? rc : same_outputs(p);
}

int vd_pair_opens(const char *path_or_id, const struct vd_pair_how *how)
{
    struct vd_pair p = {0};
    int rc = open_side(&p, VD_FP32, path_or_id, how);
    vd_pair_close(&p);
    return rc;
}

int vd_pair_open(struct vd_pair *p, const char *path_or_id, const struct vd_resolved *file, const struct vd_pair_how *how)
{
    *p = (struct vd_pair){0};
    const bool declared = file->declared != VD_QUANT_FP32;
    int rc = open_side(p, VD_FP32, path_or_id, how);
    if (!rc) /* where nothing says quant_mode, only its own name opens the int8 file */
        rc = open_side(p, VD_INT8, declared ? path_or_id : file->int8_path, how);
    if (!rc)
        rc = check_sides(p, file);
    if (!rc)
        rc = make_inputs(p, how);
    for (int side = 0; !rc && side < 2; side++)
        rc = name_outputs(p, side);
    if (!rc)
        rc = vd_pair_shape(p);
    if (rc)
        vd_pair_close(p);
    return rc;
}

void vd_pair_close(struct vd_pair *p)
{
    for (size_t i = 0; p->sample && i < p->n_in; i++)
        vd_free(p->sample[i]);
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; p->out[side] && i < p->n_out; i++)
            vd_free(p->out[side][i].data);
        vd_free(p->out[side]);
        vd_free(p->result[side]);
        vmaf_dnn_session_close(p->session[side]);
    }
    vd_free(p->sample);
    vd_free(p->natural);
    vd_free(p->in);
    *p = (struct vd_pair){0};
}

/* --- running */

static void to_float(float *dst, const vmaf_dnn_output *o)
{
    for (size_t i = 0; i < o->written; i++)
        switch (o->type) {
        case VMAF_DNN_F32: dst[i] = ((const float *)o->data)[i]; break;
        case VMAF_DNN_S8: dst[i] = ((const int8_t *)o->data)[i]; break;
        case VMAF_DNN_S32: dst[i] = (float)((const int32_t *)o->data)[i]; break;
        case VMAF_DNN_S64: dst[i] = (float)((const int64_t *)o->data)[i]; break;
        default: dst[i] = ((const uint8_t *)o->data)[i]; break; /* uint8 and bool */
        }
}

int vd_pair_run(struct vd_pair *p, int *failed)
{
    for (int side = 0; side < 2; side++) {
        *failed = side;
        const int rc = vmaf_dnn_session_run(p->session[side], p->in, p->n_in, p->out[side], p->n_out);
        if (rc)
            return vd_context(rc, "the %s file", side == VD_FP32 ? "fp32" : "int8");
        size_t at = 0;
        for (size_t i = 0; i < p->n_out; i++) {
            to_float(p->result[side] + at, &p->out[side][i]);
            at += p->out[side][i].written;
        }
    }
    return 0;
}

const float *vd_pair_result(const struct vd_pair *p, int side, size_t i, size_t *n)
{
    size_t at = 0;
    for (size_t k = 0; k < i; k++)
        at += p->out[side][k].written;
    *n = p->out[side][i].written;
    return p->result[side] + at;
}

static bool is_picture(const vmaf_dnn_input *in)
{
    return in->rank == 4 && in->shape[0] == 1 && in->shape[1] == 1 && in->shape[2] <= 65536 && in->shape[3] <= 65536;
}

bool vd_pair_takes_picture(const struct vd_pair *p, int *w, int *h)
{
    if (p->n_in != 1 || !is_picture(p->in))
        return false;
    *h = (int)p->in->shape[2];
    *w = (int)p->in->shape[3];
    return true;
}

bool vd_pair_takes_two(const struct vd_pair *p, int *w, int *h)
{
    if (p->n_in != 2 || !is_picture(&p->in[0]) || memcmp(p->in[0].shape, p->in[1].shape, sizeof(p->in[0].shape)) || p->in[1].rank != 4)
        return false;
    *h = (int)p->in->shape[2];
    *w = (int)p->in->shape[3];
    return true;
}

bool vd_pair_gives_picture(const struct vd_pair *p, size_t i)
{
    const vmaf_dnn_output *out = &p->out[VD_FP32][i];
    return p->n_in == 1 && out->rank == p->in->rank && out->type == VMAF_DNN_F32 &&
           !memcmp(out->shape, p->in->shape, (size_t)out->rank * sizeof(out->shape[0]));
}
