/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_TRUST_FILES_H
#define VD_TRUST_FILES_H

/* Models, registries and sidecars in a folder of the test's own. The trust layer does not look into a
 * model, so that any bytes will do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/mem.h"
#include "common/status.h"
#include "temp_dir.h"
#include "trust/trust.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const char fp32_bytes[] = "the fp32 model", int8_bytes[] = "the int8 model";

static struct temp_dir dir;
static char fp32_path[600], int8_path[600], registry_path[600], sidecar_path[600]; /* of the test's folder */

static inline void put(const char *name, const char *text)
{
    assert_true(temp_put(temp_path(&dir, name), text, strlen(text)));
}

static inline void put_models(void)
{
    put("model.onnx", fp32_bytes);
    put("model.int8.onnx", int8_bytes);
}

static inline const char *digest_of(const char *bytes)
{
    static char hex[4][65];
    static unsigned turn;
    char *h = hex[turn++ % 4];

    vd_sha256_hex(bytes, strlen(bytes), h);
    return h;
}

/* The members that row and sidecar of model.onnx share; quant_mode NULL leaves both keys of quantisation out. */
static inline const char *shared(const char *quant_mode)
{
    static char s[500];
    int n = snprintf(s, sizeof s, "\"id\":\"model_v1\",\"kind\":\"filter\",\"onnx\":\"model.onnx\",\"opset\":17,\"sha256\":\"%s\"",
                     digest_of(fp32_bytes));

    if (quant_mode)
        n += snprintf(s + n, sizeof s - (size_t)n, ",\"quant_mode\":\"%s\"", quant_mode);
    if (quant_mode && strcmp(quant_mode, "fp32"))
        snprintf(s + n, sizeof s - (size_t)n, ",\"int8_sha256\":\"%s\"", digest_of(int8_bytes));
    return s;
}

/* s with the first a replaced by b. */
static inline const char *with(const char *s, const char *a, const char *b)
{
    static char buf[4][8192];
    static unsigned turn;
    char *d = buf[turn++ % 4];
    const char *at = strstr(s, a);

    assert_non_null(at);
    assert_true(strlen(s) + strlen(b) < sizeof buf[0]);
    size_t head = (size_t)(at - s), n = strlen(b);
    memcpy(d, s, head);
    memcpy(d + head, b, n);
    memcpy(d + head + n, at + strlen(a), strlen(at + strlen(a)) + 1);
    return d;
}

static inline const char *registry_of(const char *rows)
{
    static char s[8192];

    snprintf(s, sizeof s, "{\"schema_version\":1,\"models\":[%s]}", rows);
    return s;
}

static inline void put_registry(const char *row)
{
    char s[1200];

    snprintf(s, sizeof s, "{%s}", row);
    put("registry.json", registry_of(s));
}

static inline void put_sidecar(const char *members)
{
    char s[1200];

    snprintf(s, sizeof s, "{%s,\"input\":{\"name\":\"x\"},\"output\":{\"name\":\"y\"}}", members);
    put("model.json", s);
}

static int setup(void **state)
{
    (void)state;
    unsetenv("VMAF_TINY_MODEL_DIR");
    unsetenv("VMAF_DNN_REGISTRY");
    unsetenv("VMAF_DNN_TRUSTED_KEYS");
    if (!temp_dir_make(&dir))
        return -1;
    snprintf(fp32_path, sizeof fp32_path, "%s/model.onnx", dir.path);
    snprintf(int8_path, sizeof int8_path, "%s/model.int8.onnx", dir.path);
    snprintf(registry_path, sizeof registry_path, "%s/registry.json", dir.path);
    snprintf(sidecar_path, sizeof sidecar_path, "%s/model.json", dir.path);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vd_mem_fail_at(0, 0);
    temp_dir_remove(&dir);
    return 0;
}

#define WITH_DIR(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

#endif
