/* SPDX-License-Identifier: BSD-2-Clause */
/* A build that embeds a release and a recovery key: this program has its own trusted_keys.c, compiled with the keys of meson.build. */
#include <errno.h>

#include "signed_folder.h"

static struct vd_resolved r;

static int opens(const char *keys)
{
    struct vd_resolve_how how = {.trusted_keys = keys};
    int rc = vd_resolve(temp_path(&dir, "learned_filter_v1.onnx"), &how, &r);

    vd_resolved_free(&r);
    return rc;
}

/* The secret keys of the two that are embedded; they sign nothing else in the world. */
static void use(const char *base64)
{
    char text[VD_KEY_TEXT];
    int n = snprintf(text, sizeof text, "untrusted comment: for tests\n%s\n", base64);

    assert_int_equal(vd_secret_key_parse(text, (size_t)n, "test.key", NULL, &secret), 0);
}

static void test_embedded(void **state)
{
    struct vd_trusted t;

    (void)state;
    assert_int_equal(vd_trusted_load(NULL, &t), 0);
    assert_int_equal(t.n, 2);
    /* signed with a key of a folder that nobody names */
    assert_int_equal(opens(NULL), -EKEYREJECTED);
    assert_non_null(strstr(vd_reason(), "not among the trusted keys"));
    assert_int_equal(opens(keys_path), 0);
    /* with the release key, and with the recovery key, each counting its own versions */
    use(TEST_RELEASE_SECRET);
    sign_registry();
    assert_int_equal(opens(NULL), 0);
    assert_int_equal(opens(keys_path), -EKEYREJECTED); /* a folder is the whole list */
    use(TEST_RECOVERY_SECRET);
    sign_registry();
    assert_int_equal(opens(NULL), 0);
    /* the environment's folder takes their place too */
    setenv("VMAF_DNN_TRUSTED_KEYS", keys_path, 1);
    assert_int_equal(opens(NULL), -EKEYREJECTED);
    unsetenv("VMAF_DNN_TRUSTED_KEYS");
    assert_int_equal(unlink(temp_path(&dir, "registry.json.minisig")), 0);
    assert_int_equal(opens(NULL), -EKEYREJECTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_embedded, signed_folder, remove_folder)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
