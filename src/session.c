/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmaf_dnn/vmaf_dnn.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/checked.h"
#include "common/file.h"
#include "common/mem.h"
#include "graph/graph.h"
#include "plan/plan.h"
#include "trust/trust.h"

/* Size at which a model with symbolic height and width is tried at open when no sidecar names one. */
enum { PROBE_SIZE = 224 };

struct vmaf_dnn_session {
    struct vd_resolved file;
    struct vd_onnx_model model; /* points into file.data */
    struct vd_graph graph;      /* points into model */
    struct vd_plan *plan;
    struct vd_workers *workers;
    const struct vd_kernels *kernels;
    bool baseline;
    bool any_size;              /* height and width of the file do not bind: convolution-only */
    struct vd_tensor *shape;    /* one per input: the request that is being made */
};

static char version[] = VMAF_DNN_VERSION;

const char *vmaf_dnn_version(void) { return version; }

const char *vmaf_dnn_last_error(void) { return vd_reason(); }

void vmaf_dnn_settings_default(vmaf_dnn_settings *s)
{
    if (s)
        *s = (vmaf_dnn_settings){0};
}

/* Operators that give each output pixel from its neighbourhood alone, the same everywhere. */
static bool is_local(const struct vd_node *n)
{
    static const char *const local[] = {"Conv", "ConvInteger", "Relu", "Clip", "Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Sigmoid", "Identity",
                                        "Cast", "BatchNormalization", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"};
    for (size_t i = 0; i < sizeof(local) / sizeof(*local); i++)
        if (!strcmp(n->op->name, local[i]))
            return true;
    return false;
}

static bool convolution_only(const struct vd_graph *g)
{
    for (int i = 0; i < g->n_node; i++)
        if (!is_local(&g->node[i]))
            return false;
    return g->n_node > 0;
}

static void input_shape(const struct vmaf_dnn_session *s, int i, struct vd_tensor *t)
{
    const struct vd_onnx_value *v = &s->model.in[i];
    *t = (struct vd_tensor){.type = v->type, .rank = v->rank};
    for (int k = 0; k < v->rank; k++)
        t->dim[k] = v->dim[k];
}

/* Plan once at open, so that what cannot run is refused now: symbolic dims are 1, but height and width. */
static int probe(struct vmaf_dnn_session *s)
{
    const struct vd_sidecar *side = &s->file.sidecar;
    const int h = side->json && side->row.size_h ? side->row.size_h : PROBE_SIZE, w = side->json && side->row.size_w ? side->row.size_w : PROBE_SIZE;
    for (int i = 0; i < s->model.n_in; i++) {
        struct vd_tensor *t = &s->shape[i];
        input_shape(s, i, t);
        if (t->rank < 0)
            return 0; /* no shape in the file: only a run can tell */
        for (int k = 0; k < t->rank; k++)
            if (t->dim[k] < 0)
                t->dim[k] = t->rank >= 3 && k == t->rank - 1 ? w : t->rank == 4 && k == 2 ? h : 1;
    }
    return vd_plan_shape(s->plan, s->shape);
}

static int load(struct vmaf_dnn_session *s, const vmaf_dnn_settings *set)
{
    if (!s->file.size)
        return vd_fail(EBADMSG, "the file is empty");
    int rc = vd_onnx_read(&s->model, s->file.data, s->file.size);
    if (!rc)
        rc = vd_graph_build(&s->graph, &s->model);
    if (!rc)
        rc = vd_kernels_get(set->kernels, &s->kernels);
    if (!rc)
        rc = vd_workers_create(set->threads, &s->workers);
    if (!rc)
        rc = vd_plan_create(&s->plan, &s->graph, s->kernels, s->workers);
    if (rc)
        return rc;
    s->any_size = convolution_only(&s->graph);
    s->shape = vd_calloc((size_t)s->model.n_in + 1, sizeof(*s->shape));
    return s->shape ? probe(s) : vd_nomem((size_t)s->model.n_in * sizeof(*s->shape));
}

int vmaf_dnn_session_open(vmaf_dnn_session **out, const char *path_or_id, const vmaf_dnn_settings *settings)
{
    vmaf_dnn_settings defaults;
    if (out)
        *out = NULL;
    if (!out || !path_or_id)
        return vd_fail(EINVAL, "vmaf_dnn_session_open: %s is NULL", out ? "path_or_id" : "out");
    if (!settings) {
        vmaf_dnn_settings_default(&defaults);
        settings = &defaults;
    }
    vd_reason_clear();
    struct vmaf_dnn_session *s = vd_calloc(1, sizeof(*s));
    if (!s)
        return vd_nomem(sizeof(*s));
    const struct vd_resolve_how how = {.baseline = settings->baseline != 0, .registry = settings->registry};
    int rc = vd_resolve(path_or_id, &how, &s->file);
    if (!rc) {
        s->baseline = settings->baseline && !s->file.is_int8;
        if ((rc = load(s, settings)))
            rc = vd_context(rc, "%s", s->file.path);
    }
    if (rc) {
        vmaf_dnn_session_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

void vmaf_dnn_session_close(vmaf_dnn_session *s)
{
    if (!s)
        return;
    vd_plan_free(s->plan);
    vd_workers_free(s->workers);
    vd_graph_free(&s->graph);
    vd_onnx_free(&s->model);
    vd_resolved_free(&s->file);
    vd_free(s->shape);
    vd_free(s);
}

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
        return vd_fail(EINVAL, "input '%s': %zu elements were given, its shape has %zu", v->name, in->count, count);
    if (!in->data)
        return vd_fail(EINVAL, "input '%s': data is NULL", v->name);
    return 0;
}

static int shape_inputs(struct vmaf_dnn_session *s, const vmaf_dnn_input *in, size_t n_in)
{
    if (n_in != (size_t)s->model.n_in)
        return vd_fail(EINVAL, "the model has %d inputs, %zu were given", s->model.n_in, n_in);
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
                               : vd_fail(EINVAL, "the model has %d outputs, %zu were asked for", s->model.n_out, n_out);
        const struct vd_tensor *t = vd_plan_output(s->plan, k);
        if (out[i].type != t->type && !(out[i].type == VMAF_DNN_F32 && t->type == VD_F16))
            return vd_fail(EINVAL, "output '%s' is %s, not %s", s->model.out[k].name, vd_type_name(t->type), vd_type_name(out[i].type));
        out[i].written = vd_tensor_count(t);
        out[i].rank = t->rank;
        memcpy(out[i].shape, t->dim, sizeof(out[i].shape));
        if (out[i].capacity < out[i].written)
            rc = vd_fail(ENOSPC, "output '%s' needs room for %zu elements, there is room for %zu", s->model.out[k].name, out[i].written,
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
    const int rc = vd_plan_shape(s->plan, s->shape);
    if (rc)
        return rc;
    const struct vd_tensor *y = vd_plan_output(s->plan, 0);
    if ((y->type != VD_F32 && y->type != VD_F16) || vd_tensor_count(y) != (size_t)w * (size_t)h || y->rank < 2 || y->dim[y->rank - 1] != w ||
        y->dim[y->rank - 2] != h)
        return vd_fail(ENOTSUP, "output '%s' is not a picture of the input's size: the model is not a filter", s->model.out[0].name);
    return 0;
}

struct plane {
    const unsigned char *in;
    unsigned char *out;
    ptrdiff_t in_stride, out_stride;
    int w, h, bpc;
};

/* Rows through the model. A float16 model's row goes through f32_row, which then is the model's own buffer's neighbour. */
static int run_plane(struct vmaf_dnn_session *s, const struct plane *p)
{
    int rc = shape_plane(s, p->w, p->h);
    if (rc)
        return rc;
    const struct vd_kernels *k = s->kernels;
    struct vd_tensor *x = vd_plan_input(s->plan, 0);
    const struct vd_tensor *y = vd_plan_output(s->plan, 0);
    const int max = (1 << p->bpc) - 1;
    const size_t w = (size_t)p->w;
    enum { CHUNK = 512 };
    float temp[CHUNK]; /* only where the model stores float16 */
    for (int r = 0; r < p->h; r++)
        for (size_t at = 0; at < w; at += x->type == VD_F32 ? w : CHUNK) {
            const size_t n = x->type == VD_F32 || w - at < CHUNK ? w - at : CHUNK;
            float *dst = x->type == VD_F32 ? (float *)x->data + (size_t)r * w : temp;
            const unsigned char *src = p->in + r * p->in_stride;
            if (p->bpc == 8)
                k->u8_to_f32(dst, src + at, n);
            else
                k->u16_to_f32(dst, (const uint16_t *)(const void *)src + at, n, max);
            for (size_t i = 0; dst == temp && i < n; i++)
                ((uint16_t *)x->data)[(size_t)r * w + at + i] = vd_f16_from_f32(temp[i]);
        }
    if ((rc = vd_plan_run(s->plan)))
        return rc;
    for (int r = 0; r < p->h; r++)
        for (size_t at = 0; at < w; at += y->type == VD_F32 ? w : CHUNK) {
            const size_t n = y->type == VD_F32 || w - at < CHUNK ? w - at : CHUNK;
            const float *src = y->type == VD_F32 ? (const float *)y->data + (size_t)r * w : temp;
            for (size_t i = 0; src == temp && i < n; i++)
                temp[i] = vd_f32_from_f16(((const uint16_t *)y->data)[(size_t)r * w + at + i]);
            unsigned char *dst = p->out + r * p->out_stride;
            if (p->bpc == 8)
                k->f32_to_u8(dst + at, src, n);
            else
                k->f32_to_u16((uint16_t *)(void *)dst + at, src, n, max);
        }
    return 0;
}

static int check_plane(const struct vmaf_dnn_session *s, const struct plane *p)
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
    const struct plane p = {in, out, in_stride, out_stride, w, h, 8};
    const int rc = check_plane(s, &p);
    return rc ? rc : run_plane(s, &p);
}

int vmaf_dnn_session_run_plane16(vmaf_dnn_session *s, const uint16_t *in, ptrdiff_t in_stride, int w, int h, uint16_t *out, ptrdiff_t out_stride,
                                 int bpc)
{
    if (bpc < 9 || bpc > 16)
        return vd_fail(EINVAL, "%d bits a sample are not in 9..16", bpc);
    const struct plane p = {(const unsigned char *)in, (unsigned char *)out, in_stride, out_stride, w, h, bpc};
    const int rc = check_plane(s, &p);
    return rc ? rc : run_plane(s, &p);
}

/* --- what is open --- */

int vmaf_dnn_session_info(const vmaf_dnn_session *s, vmaf_dnn_info *info)
{
    if (!s || !info)
        return vd_fail(EINVAL, "%s is NULL", s ? "info" : "session");
    struct vd_plan_info p;
    vd_plan_info(s->plan, &p);
    *info = (vmaf_dnn_info){
        .id = s->file.id,
        .file = s->file.path,
        .sha256 = s->file.sha256,
        .pinned = s->file.pinned,
        .quant_mode = vd_quant_mode_name(s->file.quant_mode),
        .baseline = s->baseline,
        .all_int8 = p.convs > 0 && p.convs == p.convs_int8,
        .kernels = s->kernels->name,
        .threads = vd_workers_count(s->workers),
        .n_inputs = (size_t)s->model.n_in,
        .n_outputs = (size_t)s->model.n_out,
    };
    return 0;
}

static void fill_slot(const vmaf_dnn_session *s, const struct vd_onnx_value *v, vmaf_dnn_slot *slot)
{
    *slot = (vmaf_dnn_slot){.name = v->name, .type = v->type, .rank = v->rank};
    for (int k = 0; k < v->rank; k++)
        slot->shape[k] = s->any_size && v->rank == 4 && k >= 2 ? -1 : v->dim[k];
}

int vmaf_dnn_session_input(const vmaf_dnn_session *s, size_t i, vmaf_dnn_slot *slot)
{
    if (!s || !slot)
        return vd_fail(EINVAL, "%s is NULL", s ? "slot" : "session");
    if (i >= (size_t)s->model.n_in)
        return vd_fail(ERANGE, "the model has %d inputs", s->model.n_in);
    fill_slot(s, &s->model.in[i], slot);
    return 0;
}

int vmaf_dnn_session_output(const vmaf_dnn_session *s, size_t i, vmaf_dnn_slot *slot)
{
    if (!s || !slot)
        return vd_fail(EINVAL, "%s is NULL", s ? "slot" : "session");
    if (i >= (size_t)s->model.n_out)
        return vd_fail(ERANGE, "the model has %d outputs", s->model.n_out);
    fill_slot(s, &s->model.out[i], slot);
    return 0;
}

const char *vmaf_dnn_session_attached_ep(const vmaf_dnn_session *s) { return s ? "CPU" : NULL; }

/* --- files --- */

static void copy_str(char *dst, size_t size, const char *src) { snprintf(dst, size, "%s", src ? src : ""); }

int vmaf_dnn_sidecar_load(const char *onnx_path, vmaf_dnn_sidecar *out)
{
    if (!onnx_path || !out)
        return vd_fail(EINVAL, "%s is NULL", out ? "onnx_path" : "out");
    *out = (vmaf_dnn_sidecar){0};
    char path[VD_MAX_PATH];
    struct vd_sidecar s;
    int rc = vd_sibling(path, onnx_path, ".json");
    if (rc || (rc = vd_sidecar_load(path, &s)))
        return rc;
    copy_str(out->id, sizeof(out->id), s.row.id);
    copy_str(out->kind, sizeof(out->kind), s.row.kind);
    copy_str(out->input_name, sizeof(out->input_name), s.row.input_name);
    copy_str(out->output_name, sizeof(out->output_name), s.row.output_name);
    copy_str(out->quant_mode, sizeof(out->quant_mode), vd_quant_mode_name(s.row.quant_mode));
    copy_str(out->sha256, sizeof(out->sha256), s.row.sha256);
    copy_str(out->int8_sha256, sizeof(out->int8_sha256), s.row.int8_sha256);
    out->opset = s.row.opset;
    out->input_width = s.row.size_w;
    out->input_height = s.row.size_h;
    vd_sidecar_free(&s);
    return 0;
}

int vmaf_dnn_validate_onnx(const char *path)
{
    if (!path)
        return vd_fail(EINVAL, "path is NULL");
    vmaf_dnn_settings set;
    vmaf_dnn_settings_default(&set);
    set.threads = 1;
    struct vmaf_dnn_session *s = vd_calloc(1, sizeof(*s));
    if (!s)
        return vd_nomem(sizeof(*s));
    int rc = vd_file_read(path, VD_MAX_MODEL, &s->file.data, &s->file.size);
    if (!rc && (rc = load(s, &set)))
        rc = vd_context(rc, "%s", path);
    vmaf_dnn_session_close(s);
    return rc;
}
