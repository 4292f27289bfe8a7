/* SPDX-License-Identifier: BSD-2-Clause */
#include "verify.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"
#include "graph/graph.h"
#include "onnx/onnx.h"
#include "vmaf_dnn/vmaf_dnn.h"

/* What registry and sidecar together claim; 0 and NULL: nobody says. */
struct claimed {
    const char *id, *sha256, *int8_sha256, *input, *output;
    enum vd_quant_mode mode;
    int opset, w, h;
};

struct file {
    const char *path;
    uint8_t *data;
    size_t size;
    char sha256[65];
    struct vd_onnx_model model;
    bool parsed;
};

void vd_verdict_add(struct vd_verdict *v, const char *fmt, ...)
{
    char line[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    vd_fail(EBADMSG, "%.120s: %s", v->id, line); /* takes control bytes away */
    printf("[FAIL] %s\n", vd_reason());
    v->n++;
}

void vd_verdict_failed(struct vd_verdict *v, int rc, const char *file)
{
    char why[512];

    if (rc == -ENOMEM) {
        v->rc = rc;
        return;
    }
    snprintf(why, sizeof(why), "%s", vd_reason());
    vd_verdict_add(v, "%s%s%s", file, file[0] ? ": " : "", why);
}

static const char *base(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

struct where { struct vd_verdict *v; const char *file; };

static void say_at(void *arg, int row, const char *line)
{
    struct where *w = arg;

    (void)row;
    vd_verdict_add(w->v, "%s: %s", w->file, line);
}

static void say_operator(void *arg, const char *line)
{
    say_at(arg, 0, line);
}

static const char *either(const char *a, const char *b)
{
    return a ? a : b;
}

static bool is_any(const char *op, const char *a, const char *b)
{
    return !strcmp(op, a) || !strcmp(op, b);
}

/* The operators of both forms of quantisation against quant_mode; mode FP32 for the fp32 file of any model. */
static void check_form(const struct file *f, enum vd_quant_mode mode, struct vd_verdict *v)
{
    const char *integer = NULL, *qdq = NULL, *ranges = NULL;

    for (int i = 0; i < f->model.n_node; i++) {
        const char *op = f->model.node[i].op_type;
        if (is_any(op, "ConvInteger", "MatMulInteger"))
            integer = op;
        else if (is_any(op, "QuantizeLinear", "DequantizeLinear"))
            qdq = op;
        else if (!strcmp(op, "DynamicQuantizeLinear"))
            ranges = op;
    }
    const char *any = either(integer, either(qdq, ranges));
    if (mode == VD_QUANT_FP32 && any)
        vd_verdict_add(v, "%s: the graph is quantised (it has %s), and this file is the fp32 one", base(f->path), any);
    else if (mode == VD_QUANT_DYNAMIC && !(integer && ranges))
        vd_verdict_add(v, "%s: quant_mode is dynamic, and the graph has no %s", base(f->path),
                       integer ? "DynamicQuantizeLinear" : "ConvInteger or MatMulInteger");
    else if ((mode == VD_QUANT_STATIC || mode == VD_QUANT_QAT) && !qdq)
        vd_verdict_add(v, "%s: quant_mode is %s, and the graph has no QuantizeLinear or DequantizeLinear", base(f->path),
                       vd_quant_mode_name(mode));
}

/* "degraded, reference" of a list of tensors. */
static void list_names(const struct vd_onnx_value *t, int n, char *dst, size_t size)
{
    size_t used = 0;

    dst[0] = '\0';
    for (int i = 0; i < n && used < size; i++)
        used += (size_t)snprintf(dst + used, size - used, "%s%.60s", i ? ", " : "", t[i].name);
}

static const struct vd_onnx_value *named(const struct file *f, const char *key, const char *name, const struct vd_onnx_value *t,
                                         int n, struct vd_verdict *v)
{
    char list[160];

    for (int i = 0; name && i < n; i++)
        if (!strcmp(t[i].name, name))
            return &t[i];
    if (name) {
        list_names(t, n, list, sizeof(list));
        vd_verdict_add(v, "%s: %s.name is %.80s in the sidecar, and the graph has %s", base(f->path), key, name, list);
    }
    return NULL;
}

static void check_side(const struct file *f, const char *key, int claimed, int64_t has, struct vd_verdict *v)
{
    if (has >= 0 && claimed != has)
        vd_verdict_add(v, "%s: %s is %d in the sidecar, and %lld in the graph", base(f->path), key, claimed, (long long)has);
}

static void check_tensors(const struct file *f, const struct claimed *c, struct vd_verdict *v)
{
    const struct vd_onnx_value *in = named(f, "input", c->input, f->model.in, f->model.n_in, v);

    named(f, "output", c->output, f->model.out, f->model.n_out, v);
    if (!in || !c->w || in->rank < 0)
        return;
    if (in->rank < 2) {
        vd_verdict_add(v, "%s: the sidecar gives a width and a height, and input %.80s has %d dimension%s", base(f->path), in->name,
                       in->rank, vd_s(in->rank));
        return;
    }
    check_side(f, "input.width", c->w, in->dim[in->rank - 1], v);
    check_side(f, "input.height", c->h, in->dim[in->rank - 2], v);
}

static void check_file(struct file *f, const char *path, const char *digest, const char *key, enum vd_quant_mode mode,
                       const struct claimed *c, struct vd_verdict *v)
{
    struct where w = {v, base(path)};
    struct vd_graph g;

    f->path = path;
    int rc = vd_read_jailed(path, VD_MAX_MODEL, &f->data, &f->size);
    if (rc) {
        vd_verdict_failed(v, rc, "");
        return;
    }
    if (!f->size) {
        vd_verdict_add(v, "%s: empty", base(path));
        return;
    }
    vd_sha256_hex(f->data, f->size, f->sha256);
    if (digest && strcmp(digest, f->sha256))
        vd_verdict_add(v, "%s: its sha256 is %s, and the recorded %s is %s", base(path), f->sha256, key, digest);
    rc = vd_onnx_read(&f->model, f->data, f->size);
    if (rc) {
        vd_verdict_failed(v, rc, base(path));
        return;
    }
    f->parsed = true;
    if (!vd_graph_refusals(&f->model, NULL, say_operator, &w)) {
        rc = vd_graph_build(&g, &f->model);
        if (rc)
            vd_verdict_failed(v, rc, base(path));
        else
            vd_graph_free(&g);
    }
    /* Quantising may need a later opset than the fp32 file has; it never goes back. */
    if (c->opset && (mode == VD_QUANT_FP32 ? f->model.opset != c->opset : f->model.opset < c->opset))
        vd_verdict_add(v, "%s: opset is %d in registry or sidecar, and %d in the graph", base(path), c->opset, f->model.opset);
    check_form(f, mode, v);
    check_tensors(f, c, v);
}

static bool same_tensor(const struct vd_onnx_value *a, const struct vd_onnx_value *b)
{
    if (strcmp(a->name, b->name) || a->type != b->type || a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}

static void check_twins(const struct vd_onnx_value *a, int na, const struct vd_onnx_value *b, int nb, const char *what,
                        struct vd_verdict *v)
{
    bool same = na == nb;

    for (int i = 0; same && i < na; i++)
        same = same_tensor(&a[i], &b[i]);
    if (!same)
        vd_verdict_add(v, "the %s of the fp32 and of the int8 file differ in number, name, type or shape", what);
}

static void close_file(struct file *f)
{
    if (f->parsed)
        vd_onnx_free(&f->model);
    vd_free(f->data);
}

/* Last, that what the checks above saw is what opens. */
static void check_open(const struct vd_claim *c, struct vd_verdict *v)
{
    for (int baseline = 0; baseline < 2; baseline++) {
        const vmaf_dnn_settings set = {.threads = 1, .baseline = baseline, .registry = c->row ? c->registry : NULL,
                                       .trusted_keys = c->trusted_keys};
        vmaf_dnn_session *s;
        char path[VD_MAX_PATH + 2];

        snprintf(path, sizeof(path), "%s%s", strchr(c->fp32_path, '/') ? "" : "./", c->fp32_path);
        int rc = vmaf_dnn_session_open(&s, path, &set);
        vmaf_dnn_session_close(s);
        if (rc) {
            vd_verdict_failed(v, rc, "");
            return;
        }
    }
}

void vd_verify_model(const struct vd_claim *c, struct vd_verdict *v)
{
    struct where at_sidecar = {v, base(c->sidecar_path)};
    struct vd_sidecar side = {0};
    struct file fp32 = {0}, int8 = {0};
    struct stat st;

    if (!lstat(c->sidecar_path, &st)) {
        int rc = vd_sidecar_lint(c->sidecar_path, &side, say_at, &at_sidecar);
        if (rc < 0)
            vd_verdict_failed(v, rc, "");
    }
    if (c->row && c->row->sidecar_sha256 && side.json && strcmp(c->row->sidecar_sha256, side.sha256))
        vd_verdict_add(v, "%s: its sha256 is %s, and the recorded sidecar_sha256 is %s", base(c->sidecar_path), side.sha256,
                       c->row->sidecar_sha256);
    if (c->row && side.json)
        vd_row_compare(c->row, &side.row, VD_COMPARE_PROSE | VD_COMPARE_QUANT, say_at, &at_sidecar);
    if (!c->row && !side.json && !v->n)
        vd_verdict_add(v, "neither a registry nor a sidecar speaks of it, so that there is nothing to hold it against");

    static const struct vd_row nothing;
    const struct vd_row *a = c->row ? c->row : &nothing, *b = &side.row;
    const struct claimed all = {
        .sha256 = either(a->sha256, b->sha256),
        .int8_sha256 = either(a->int8_sha256, b->int8_sha256),
        .mode = a->quant_mode != VD_QUANT_FP32 ? a->quant_mode : b->quant_mode,
        .opset = a->opset ? a->opset : b->opset,
        .input = b->input_name,
        .output = b->output_name,
        .w = b->size_w,
        .h = b->size_h,
    };
    check_file(&fp32, c->fp32_path, all.sha256, "sha256", VD_QUANT_FP32, &all, v);
    if (all.mode != VD_QUANT_FP32) {
        check_file(&int8, c->int8_path, all.int8_sha256, "int8_sha256", all.mode, &all, v);
        if (fp32.parsed && int8.parsed) {
            check_twins(fp32.model.in, fp32.model.n_in, int8.model.in, int8.model.n_in, "inputs", v);
            check_twins(fp32.model.out, fp32.model.n_out, int8.model.out, int8.model.n_out, "outputs", v);
        }
    }
    if (!v->n && !v->rc)
        check_open(c, v);
    if (!v->n && !v->rc) {
        printf("[ok]   %s mode=%s sha256=%s", v->id, vd_quant_mode_name(all.mode), fp32.sha256);
        if (int8.parsed)
            printf(" int8_sha256=%s", int8.sha256);
        putchar('\n');
    }
    close_file(&fp32);
    close_file(&int8);
    vd_sidecar_free(&side);
}
