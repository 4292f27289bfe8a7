/* SPDX-License-Identifier: BSD-2-Clause */
/* VMAF_TINY_MODEL_DIR: nothing outside that folder is opened, by whatever name. */
#include "resolve_harness.h"

static void jailed(const char *jail) { setenv("VMAF_TINY_MODEL_DIR", jail, 1); }

static void test_jail(void **state)
{
    (void)state;
    assert_int_equal(mkdir(temp_path(&dir, "jail"), 0755) | mkdir(temp_path(&dir, "jail-evil"), 0755) |
                         mkdir(temp_path(&dir, "jail/sub"), 0755) | mkdir(temp_path(&dir, "evil"), 0755), 0);
    put("evil/model.onnx", fp32_bytes);
    put("jail/model.onnx", fp32_bytes);
    put("jail/sub/model.onnx", fp32_bytes);
    put("jail-evil/model.onnx", fp32_bytes);
    put("jailed.onnx", fp32_bytes);
    const char *evil = "outside VMAF_TINY_MODEL_DIR";
    char jail[600];
    snprintf(jail, sizeof jail, "%s", temp_path(&dir, "jail"));

    jailed(""); /* 1: empty is off */
    opens(temp_path(&dir, "jail-evil/model.onnx"), NULL, "model.onnx", fp32_bytes, false);
    jailed(jail); /* 2: below it */
    opens(temp_path(&dir, "jail/model.onnx"), NULL, "model.onnx", fp32_bytes, false);
    opens(temp_path(&dir, "jail/sub/model.onnx"), NULL, "model.onnx", fp32_bytes, false);
    opens(temp_path(&dir, "jail-evil/../jail/model.onnx"), NULL, "model.onnx", fp32_bytes, false);
    /* 3: the sibling whose name begins like it, 4: elsewhere, 5: out by .. */
    refuses(temp_path(&dir, "jail-evil/model.onnx"), NULL, EACCES, evil);
    refuses(temp_path(&dir, "jailed.onnx"), NULL, EACCES, evil);
    refuses(temp_path(&dir, "evil/model.onnx"), NULL, EACCES, evil);
    refuses(temp_path(&dir, "jail/../jail-evil/model.onnx"), NULL, EACCES, evil);
    assert_int_equal(n_opened, 0);
    /* 6: out by a link, of the file and of a folder */
    assert_int_equal(symlink("../jail-evil/model.onnx", temp_path(&dir, "jail/link.onnx")), 0);
    assert_int_equal(symlink("../jail-evil", temp_path(&dir, "jail/out")), 0);
    refuses(temp_path(&dir, "jail/link.onnx"), NULL, EACCES, evil);
    refuses(temp_path(&dir, "jail/out/model.onnx"), NULL, EACCES, evil);
    assert_int_equal(n_opened, 0);
    /* a link that stays inside, and the jail named through a link and relatively */
    assert_int_equal(symlink("sub/model.onnx", temp_path(&dir, "jail/in.onnx")), 0);
    assert_int_equal(vd_resolve(temp_path(&dir, "jail/in.onnx"), NULL, &got), 0);
    assert_string_equal(got.path, temp_path(&dir, "jail/in.onnx"));
    vd_resolved_free(&got);
    assert_int_equal(symlink("jail", temp_path(&dir, "alias")), 0);
    snprintf(jail, sizeof jail, "%s", temp_path(&dir, "alias"));
    jailed(jail);
    opens(temp_path(&dir, "jail/model.onnx"), NULL, "model.onnx", fp32_bytes, false);
    refuses(temp_path(&dir, "jail-evil/model.onnx"), NULL, EACCES, evil);
    assert_int_equal(chdir(dir.path), 0);
    jailed("jail/");
    opens("alias/model.onnx", NULL, "model.onnx", fp32_bytes, false);
    refuses("jailed.onnx", NULL, EACCES, evil);
    jailed("/");
    opens("jailed.onnx", NULL, "jailed.onnx", fp32_bytes, false);
    /* 7: a jail that is not there, 8: one that is no folder; then nothing opens */
    jailed(temp_path(&dir, "nowhere"));
    refuses(temp_path(&dir, "jail/model.onnx"), NULL, EACCES, "so that no model may be opened");
    jailed(temp_path(&dir, "jail/model.onnx"));
    refuses(temp_path(&dir, "jail/model.onnx"), NULL, EACCES, "not a folder");
    jailed("jail");
    refuses(temp_path(&dir, "jail/none.onnx"), NULL, ENOENT, "no such file");
}

/* Nor do registry and sidecar come from outside, and what cannot be looked at is not taken for absent. */
static void test_jail_of_documents(void **state)
{
    static char longer[VD_MAX_PATH + 600], path[600];
    struct vd_resolve_how how = {0};
    char s[1200];

    (void)state;
    assert_int_equal(mkdir(temp_path(&dir, "jail"), 0755) | mkdir(temp_path(&dir, "evil"), 0755), 0);
    put("jail/model.onnx", fp32_bytes);
    snprintf(s, sizeof s, "{%s}", shared(NULL));
    put("evil/registry.json", registry_of(s));
    snprintf(s, sizeof s, "{%s,\"input\":{\"name\":\"x\"},\"output\":{\"name\":\"y\"}}", shared(NULL));
    put("evil/model.json", s);
    static const char *const names[] = {"registry.json", "model.json"};
    snprintf(path, sizeof path, "%s", temp_path(&dir, "jail/model.onnx"));
    for (size_t i = 0; i < COUNT(names); i++) {
        char to[100], from[100];
        snprintf(to, sizeof to, "../evil/%s", names[i]);
        snprintf(from, sizeof from, "jail/%s", names[i]);
        assert_int_equal(symlink(to, temp_path(&dir, from)), 0);
        unsetenv("VMAF_TINY_MODEL_DIR");
        opens(path, NULL, "model.onnx", fp32_bytes, true);
        jailed(temp_path(&dir, "jail"));
        refuses(path, NULL, EACCES, "outside VMAF_TINY_MODEL_DIR");
        assert_int_equal(times(names[i]) + times("model.onnx"), 0);
        /* in a circle, and too long a way */
        assert_int_equal(unlink(temp_path(&dir, from)), 0);
        assert_int_equal(symlink(names[i], temp_path(&dir, from)), 0);
        refuses(path, NULL, ENOENT, "circle");
        assert_int_equal(unlink(temp_path(&dir, from)), 0);
    }
    jailed(temp_path(&dir, "jail"));
    snprintf(longer, sizeof longer, "%s/jail/", dir.path);
    memset(longer + strlen(longer), 'n', 300);
    strcat(longer, "/model.onnx");
    refuses(longer, NULL, ENAMETOOLONG, "name too long");
    unsetenv("VMAF_TINY_MODEL_DIR");
    refuses(longer, NULL, ENAMETOOLONG, "name too long");

    /* A folder that may not be searched. */
    assert_int_equal(mkdir(temp_path(&dir, "shut"), 0755), 0);
    put("shut/model.onnx", fp32_bytes);
    snprintf(path, sizeof path, "%s", temp_path(&dir, "shut/model.onnx"));
    assert_int_equal(chmod(temp_path(&dir, "shut"), 0), 0);
    if (geteuid() == 0)
        assert_int_equal(seteuid(65534), 0);
    refuses(path, NULL, EACCES, "may not be searched");
    how.registry = temp_path(&dir, "shut/registry.json");
    refuses("model_v1", &how, EACCES, "registry.json");
    if (getuid() == 0)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(temp_path(&dir, "shut"), 0755), 0);

    /* Paths of registries that no path can be. */
    memset(longer, 'r', sizeof longer - 1);
    how.registry = longer;
    refuses("model_v1", &how, ENAMETOOLONG, "over 4095 bytes");
    setenv("VMAF_DNN_REGISTRY", longer, 1);
    refuses("model_v1", NULL, ENAMETOOLONG, "VMAF_DNN_REGISTRY=");
    static struct vd_registry r;
    static const struct vd_trusted none;
    assert_int_equal(vd_registry_load(longer, &none, &r), -ENAMETOOLONG);
}

/* The jail holds for the file that runs, not only for the one that was named. */
static void test_jail_redirect(void **state)
{
    struct vd_resolve_how how = {.registry = registry_path};

    (void)state;
    assert_int_equal(mkdir(temp_path(&dir, "out"), 0755) | mkdir(temp_path(&dir, "in"), 0755), 0);
    put("out/model.int8.onnx", int8_bytes);
    put("in/model.onnx", fp32_bytes);
    assert_int_equal(symlink("../out/model.int8.onnx", temp_path(&dir, "in/model.int8.onnx")), 0);
    put_registry(shared("dynamic"));
    opens(temp_path(&dir, "in/model.onnx"), &how, "model.int8.onnx", int8_bytes, true);
    jailed(temp_path(&dir, "in"));
    refuses(temp_path(&dir, "in/model.onnx"), &how, EACCES, "outside VMAF_TINY_MODEL_DIR");
    refuses(temp_path(&dir, "in/model.int8.onnx"), &how, EACCES, "outside VMAF_TINY_MODEL_DIR");
    assert_int_equal(times("model.onnx") + times("model.int8.onnx"), 0);
    /* Nor is it enough that the file that runs is inside. */
    jailed(temp_path(&dir, "out"));
    assert_int_equal(symlink("../in/model.onnx", temp_path(&dir, "out/model.onnx")), 0);
    refuses(temp_path(&dir, "out/model.onnx"), &how, EACCES, "outside VMAF_TINY_MODEL_DIR");
    assert_int_equal(n_opened, 0);
    opens(temp_path(&dir, "out/model.int8.onnx"), &how, "model.int8.onnx", int8_bytes, true);
    jailed(temp_path(&dir, "in"));
    /* An id goes no other way. */
    put("model.onnx", fp32_bytes);
    put("model.int8.onnx", int8_bytes);
    refuses("model_v1", &how, EACCES, "outside VMAF_TINY_MODEL_DIR");
    jailed(dir.path);
    opens("model_v1", &how, "model.int8.onnx", int8_bytes, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {WITH_DIR(test_jail), WITH_DIR(test_jail_of_documents), WITH_DIR(test_jail_redirect)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
