/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_SIGNED_FOLDER_H
#define VD_SIGNED_FOLDER_H

/* The shipped models in a folder of the test's own, in memory where the system has /dev/shm, their registry signed with a key made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"
#include "secret_key.h"
#include "temp_dir.h"
#include "trust/trust.h"

static struct temp_dir dir;
static char keys_path[600];        /* folder of trusted keys */
static struct vd_secret_key secret;

static const char *const shipped[] = {"learned_filter_v1.onnx", "learned_filter_v1.int8.onnx", "learned_filter_v1.json", "registry.json",
                                      "smoke_v0.onnx", "smoke_v0.json", "smoke_fp16_v0.onnx", "smoke_fp16_v0.json"};

static inline void sign_registry(void)
{
    char text[VD_SIGNATURE_TEXT];
    uint8_t *data;
    size_t size, n;

    assert_int_equal(vd_registry_prepare(temp_path(&dir, "registry.json"), false, &data, &size), 0);
    assert_int_equal(vd_sign(&secret, data, size, "for a test", text, &n), 0);
    assert_true(temp_put(temp_path(&dir, "registry.json.minisig"), text, n));
    vd_free(data);
}

static inline int signed_folder(void **state)
{
    const char *source = getenv("VMAF_DNN_SOURCE");
    char text[VD_KEY_TEXT], path[700];
    struct vd_public_key p;
    uint8_t *data;
    size_t size;

    (void)state;
    if (!getenv("TMPDIR") && access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
    unsetenv("VMAF_TINY_MODEL_DIR");
    unsetenv("VMAF_DNN_REGISTRY");
    unsetenv("VMAF_DNN_TRUSTED_KEYS");
    if (!source || !temp_dir_make(&dir))
        return -1;
    for (size_t i = 0; i < sizeof shipped / sizeof shipped[0]; i++) {
        snprintf(path, sizeof path, "%s/model/tiny/%s", source, shipped[i]);
        if (vd_file_read(path, VD_MAX_MODEL, &data, &size) || !temp_put(temp_path(&dir, shipped[i]), data, size))
            return -1;
        vd_free(data);
    }
    setenv("XDG_STATE_HOME", temp_path(&dir, "state"), 1);
    snprintf(keys_path, sizeof keys_path, "%s/keys", dir.path);
    if (mkdir(keys_path, 0755) || vd_key_generate(&secret, &p))
        return -1;
    size = vd_public_key_text(&p, text);
    if (!temp_put(temp_path(&dir, "keys/test.pub"), text, size))
        return -1;
    sign_registry();
    return 0;
}

static inline int remove_folder(void **state)
{
    (void)state;
    vd_mem_fail_at(0, 0);
    temp_dir_remove(&dir);
    return 0;
}

/* Of an environment variable; otherwise when it is not set. */
static inline long number(const char *name, long otherwise)
{
    const char *s = getenv(name);

    return s && *s ? atol(s) : otherwise;
}

#endif
