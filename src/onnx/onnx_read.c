/* SPDX-License-Identifier: BSD-2-Clause */
#include "onnx/onnx_parse.h"

#include <string.h>

static const struct vd_desc model_fields[] = {
    [MODEL_IR_VERSION] = {"ir_version", VD_WIRE_VARINT, false},
    [MODEL_PRODUCER_NAME] = {"producer_name", VD_WIRE_LEN, false},
    [MODEL_PRODUCER_VERSION] = {"producer_version", VD_WIRE_LEN, false},
    [MODEL_DOMAIN] = {"domain", VD_WIRE_LEN, false},
    [MODEL_VERSION] = {"model_version", VD_WIRE_VARINT, false},
    [MODEL_DOC] = {"doc_string", VD_WIRE_LEN, false},
    [MODEL_GRAPH] = {"graph", VD_WIRE_LEN, false},
    [MODEL_OPSET] = {"opset_import", VD_WIRE_LEN, true},
    [MODEL_META] = {"metadata_props", VD_WIRE_LEN, true},
    [MODEL_TRAINING] = {"training_info", VD_WIRE_LEN, true},
    [MODEL_FUNCTIONS] = {"functions", VD_WIRE_LEN, true},
    [MODEL_CONFIGURATION] = {"configuration", VD_WIRE_LEN, true},
};
static const struct vd_desc opset_fields[] = {
    [OPSET_DOMAIN] = {"domain", VD_WIRE_LEN, false},
    [OPSET_VERSION] = {"version", VD_WIRE_VARINT, false},
};
static const struct vd_desc kv_fields[] = {
    [KV_KEY] = {"key", VD_WIRE_LEN, false},
    [KV_VALUE] = {"value", VD_WIRE_LEN, false},
};
#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Other domains may be imported: exporters do so whether they use them or not. */
static int opsets(struct vd_onnx_model *m, const struct vd_msg *msg)
{
    struct vd_got got[COUNT(opset_fields)];
    struct vd_msg pass = *msg, sub;
    struct vd_field f;
    bool have = false;
    int64_t version = 0;
    int rc;
    while ((rc = vd_msg_next(&pass, &f)) > 0) {
        const char *domain;
        if (f.number != MODEL_OPSET)
            continue;
        if ((rc = vd_msg_sub(msg, &f, &sub)) < 0 || (rc = vd_msg_scan(&sub, opset_fields, COUNT(opset_fields), got)) < 0 ||
            (rc = vd_parse_text(m, &got[OPSET_DOMAIN].f, VD_TEXT_LABEL, "domain", &domain)) < 0)
            return vd_context(rc, "opset_import");
        if (*domain && strcmp(domain, "ai.onnx"))
            continue;
        if (have)
            return vd_fail(EBADMSG, "byte %zu: ONNX's operator set is imported twice", f.at);
        have = true;
        version = (int64_t)got[OPSET_VERSION].f.v;
    }
    if (rc < 0)
        return rc;
    if (!have)
        return vd_fail(EBADMSG, "ONNX's operator set is not imported (no opset_import of the default domain)");
    if (version < VD_ONNX_OPSET_MIN || version > VD_ONNX_OPSET_MAX)
        return vd_fail(EPERM, "opset %lld is not supported, %d to %d are: convert the model (onnx.version_converter)",
                       (long long)version, VD_ONNX_OPSET_MIN, VD_ONNX_OPSET_MAX);
    m->opset = (int)version;
    return 0;
}

static int metadata(struct vd_onnx_model *m, const struct vd_msg *msg, size_t n)
{
    struct vd_got got[COUNT(kv_fields)];
    struct vd_msg pass = *msg, sub;
    struct vd_field f;
    struct vd_arena scratch = {0};
    struct vd_names seen;
    int rc;
    if ((rc = vd_parse_array(m, n, sizeof *m->meta, "metadata_props", &m->meta)) < 0 || (rc = vd_names_init(&seen, &scratch, n)) < 0)
        goto fail;
    while ((rc = vd_msg_next(&pass, &f)) > 0) {
        if (f.number != MODEL_META)
            continue;
        struct vd_onnx_kv *kv = &m->meta[m->n_meta];
        if ((rc = vd_msg_sub(msg, &f, &sub)) < 0 || (rc = vd_msg_scan(&sub, kv_fields, COUNT(kv_fields), got)) < 0 ||
            (rc = vd_parse_text(m, &got[KV_KEY].f, VD_TEXT_NAME, "key", &kv->key)) < 0 ||
            (rc = vd_parse_text(m, &got[KV_VALUE].f, VD_TEXT_FREE, "value", &kv->value)) < 0)
            break;
        if (vd_names_add(&seen, kv->key, m->n_meta) != m->n_meta) {
            rc = vd_fail(EBADMSG, "byte %zu: the key " VD_NAME " is there twice", f.at, kv->key);
            break;
        }
        m->n_meta++;
    }
fail:
    vd_arena_free(&scratch);
    return vd_context(rc, "metadata_props");
}

static int model(struct vd_onnx_model *m, const struct vd_msg *msg)
{
    struct vd_got got[COUNT(model_fields)];
    struct vd_msg graph;
    int rc;
    if ((rc = vd_msg_scan(msg, model_fields, COUNT(model_fields), got)) < 0)
        return vd_context(rc, "not an ONNX model, or a damaged one");
    m->ir_version = (int64_t)got[MODEL_IR_VERSION].f.v;
    m->model_version = (int64_t)got[MODEL_VERSION].f.v;
    if (!got[MODEL_IR_VERSION].n || !got[MODEL_GRAPH].n)
        return vd_fail(EBADMSG, "not an ONNX model: it has no %s", got[MODEL_GRAPH].n ? "ir_version" : "graph");
    if (m->ir_version < VD_ONNX_IR_MIN || m->ir_version > VD_ONNX_IR_MAX)
        return vd_fail(EPERM, "IR version %lld is not supported, %d to %d are", (long long)m->ir_version, VD_ONNX_IR_MIN,
                       VD_ONNX_IR_MAX);
    if (got[MODEL_FUNCTIONS].n)
        return vd_fail(EPERM, "byte %zu: model functions are not supported: inline them (onnx.inliner)", got[MODEL_FUNCTIONS].f.at);
    if (got[MODEL_TRAINING].n)
        return vd_fail(EPERM, "byte %zu: training_info is not supported: export the model for inference", got[MODEL_TRAINING].f.at);
    if ((rc = vd_parse_text(m, &got[MODEL_PRODUCER_NAME].f, VD_TEXT_LABEL, "producer_name", &m->producer_name)) < 0 ||
        (rc = vd_parse_text(m, &got[MODEL_PRODUCER_VERSION].f, VD_TEXT_LABEL, "producer_version", &m->producer_version)) < 0 ||
        (rc = vd_parse_text(m, &got[MODEL_DOMAIN].f, VD_TEXT_LABEL, "model's domain", &m->domain)) < 0 ||
        (rc = vd_parse_text(m, &got[MODEL_DOC].f, VD_TEXT_FREE, "model's doc_string", &m->doc)) < 0 || (rc = opsets(m, msg)) < 0 ||
        (rc = metadata(m, msg, got[MODEL_META].n)) < 0 || (rc = vd_msg_sub(msg, &got[MODEL_GRAPH].f, &graph)) < 0)
        return rc;
    return vd_parse_graph(m, &graph);
}

int vd_onnx_read(struct vd_onnx_model *m, const uint8_t *data, size_t size)
{
    static const char lfs[] = "version https://git-lfs";
    struct vd_msg msg;
    int rc;
    *m = (struct vd_onnx_model){0};
    if (!size)
        return vd_fail(EBADMSG, "not an ONNX model: it is empty");
    if (size > INT32_MAX) /* protobuf's own limit; below it every count of things in the file is an int */
        return vd_fail(E2BIG, "a model of %zu bytes; at most 2147483647 are read", size);
    if (size > sizeof lfs && !memcmp(data, lfs, sizeof lfs - 1))
        return vd_fail(EBADMSG, "not an ONNX model but a Git LFS pointer to one: fetch it with git lfs pull");
    vd_msg_open(&msg, data, size);
    vd_arena_limit(&m->arena, VD_ONNX_ROOM + 2 * size);
    rc = model(m, &msg);
    if (rc == -ENOMEM && m->arena.over)
        rc = vd_fail(E2BIG, "its %zu bytes would take over %zu bytes of memory: too many nodes, names or numbers", size, VD_ONNX_ROOM + 2 * size);
    m->arena.limited = false; /* who works on the model adds to it */
    if (rc < 0)
        vd_onnx_free(m);
    return rc;
}

void vd_onnx_free(struct vd_onnx_model *m)
{
    vd_arena_free(&m->arena);
    *m = (struct vd_onnx_model){0};
}

int vd_onnx_index(struct vd_onnx_model *m)
{
    m->init_names = (struct vd_names){0};
    int rc = vd_names_init(&m->init_names, &m->arena, (size_t)m->n_init);
    for (int i = 0; !rc && i < m->n_init; i++)
        if (vd_names_add(&m->init_names, m->init[i].name, i) != i)
            rc = vd_fail(EBADMSG, "two initializers are named " VD_NAME, m->init[i].name);
    if (rc < 0) {
        m->init_names = (struct vd_names){0};
        return rc;
    }
    m->init_names_of = m->init;
    m->init_names_n = m->n_init;
    return 0;
}
