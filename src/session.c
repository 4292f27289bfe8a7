/* SPDX-License-Identifier: BSD-2-Clause */
#include "session.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "common/mem.h"

/* Size at which a model with symbolic height and width is tried at open when no sidecar names one. */
enum { PROBE_SIZE = 224 };

_Static_assert(offsetof(vmaf_dnn_settings, reserved) + sizeof(((vmaf_dnn_settings *)0)->reserved) == sizeof(vmaf_dnn_settings) &&
               sizeof(vmaf_dnn_settings) == offsetof(vmaf_dnn_settings, registry) + sizeof(char *) + 64, "programs were built with this size");

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
                                        "Cast", "BatchNormalization", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv",
                                        "com.microsoft:QLinearAdd", "com.microsoft:QLinearMul", "com.microsoft:QLinearSigmoid",
                                        "com.microsoft:QLinearLeakyRelu"};
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

/* What the graph itself is. */
static enum vd_quant_mode form_of(const struct vd_onnx_model *m)
{
    enum vd_quant_mode form = VD_QUANT_FP32;
    for (int i = 0; i < m->n_node; i++) {
        const char *op = m->node[i].op_type;
        if (!strcmp(op, "ConvInteger") || !strcmp(op, "MatMulInteger") || !strcmp(op, "DynamicQuantizeLinear"))
            return VD_QUANT_DYNAMIC;
        if (!strcmp(op, "QuantizeLinear") || !strcmp(op, "DequantizeLinear"))
            form = VD_QUANT_STATIC;
    }
    return form;
}

/* A pinned file is what its row says, or is refused; of an unpinned one the graph tells. */
static int check_form(struct vmaf_dnn_session *s)
{
    const enum vd_quant_mode form = form_of(&s->model), said = s->file.quant_mode;
    if (!s->file.pinned)
        s->file.quant_mode = form;
    else if ((form == VD_QUANT_FP32) != (said == VD_QUANT_FP32))
        return vd_fail(EBADMSG, "its record says quant_mode %s, and the graph is %s", vd_quant_mode_name(said),
                       form == VD_QUANT_FP32 ? "not quantised" : "quantised");
    return 0;
}

static int load(struct vmaf_dnn_session *s, const vmaf_dnn_settings *set)
{
    if (!s->file.size)
        return vd_fail(EBADMSG, "the file is empty");
    int rc = vd_onnx_read(&s->model, s->file.data, s->file.size);
    if (!rc)
        rc = check_form(s);
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
    const struct vd_resolve_how how = {.baseline = settings->baseline != 0, .registry = settings->registry,
                                       .trusted_keys = settings->trusted_keys, .require_pinned = settings->require_pinned != 0};
    int rc = vd_resolve(path_or_id, &how, &s->file);
    if (!rc) {
        s->baseline = settings->baseline && s->file.declared != VD_QUANT_FP32;
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
        return vd_fail(ERANGE, "the model has %d input%s", s->model.n_in, vd_s(s->model.n_in));
    fill_slot(s, &s->model.in[i], slot);
    return 0;
}

int vmaf_dnn_session_output(const vmaf_dnn_session *s, size_t i, vmaf_dnn_slot *slot)
{
    if (!s || !slot)
        return vd_fail(EINVAL, "%s is NULL", s ? "slot" : "session");
    if (i >= (size_t)s->model.n_out)
        return vd_fail(ERANGE, "the model has %d output%s", s->model.n_out, vd_s(s->model.n_out));
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

int vd_session_try(const uint8_t *data, size_t size, const struct vd_sidecar *side)
{
    vmaf_dnn_settings set;
    vmaf_dnn_settings_default(&set);
    set.threads = 1;
    struct vmaf_dnn_session *s = vd_calloc(1, sizeof(*s));
    if (!s)
        return vd_nomem(sizeof(*s));
    s->file.data = (uint8_t *)(uintptr_t)data; /* lent: given back below */
    s->file.size = size;
    if (side)
        s->file.sidecar = *side;
    const int rc = load(s, &set);
    s->file.data = NULL;
    s->file.sidecar = (struct vd_sidecar){0};
    vmaf_dnn_session_close(s);
    return rc;
}

int vmaf_dnn_validate_onnx(const char *path)
{
    uint8_t *data = NULL;
    size_t size;
    if (!path)
        return vd_fail(EINVAL, "path is NULL");
    int rc = vd_file_read(path, VD_MAX_MODEL, &data, &size);
    if (!rc && (rc = vd_session_try(data, size, NULL)))
        rc = vd_context(rc, "%s", path);
    vd_free(data);
    return rc;
}
