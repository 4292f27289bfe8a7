/* SPDX-License-Identifier: BSD-2-Clause */
/* The one way from a name to bytes: what runs, and each thing that is refused. */
#include "resolve_harness.h"

static void test_unpinned(void **state)
{
    (void)state;
    put_models();
    opens(fp32_path, NULL, "model.onnx", fp32_bytes, false);
    opens(fp32_path, &baseline, "model.onnx", fp32_bytes, false);
    opens(int8_path, NULL, "model.int8.onnx", int8_bytes, false);
    opens(int8_path, &baseline, "model.onnx", fp32_bytes, false);
    assert_int_equal(vd_resolve(int8_path, NULL, &got), 0);
    assert_string_equal(got.id, "model");
    assert_int_equal(got.declared, VD_QUANT_FP32);
    assert_int_equal(got.quant_mode, VD_QUANT_DYNAMIC);
    assert_null(got.row);
    assert_null(got.sidecar.json);
    vd_resolved_free(&got);
    /* A registry that speaks of others alone. */
    put_registry(with(shared(NULL), "model.onnx", "other.onnx"));
    opens(fp32_path, NULL, "model.onnx", fp32_bytes, false);
    /* In the current folder, without a slash. */
    assert_int_equal(chdir(dir.path), 0);
    opens("model.onnx", NULL, "model.onnx", fp32_bytes, false);
}

static void test_fp32(void **state)
{
    (void)state;
    put_models();
    for (int who = 1; who <= 3; who++)
        for (int explicit = 0; explicit < 2; explicit++) {
            say(who, shared(explicit ? "fp32" : NULL));
            opens(fp32_path, NULL, "model.onnx", fp32_bytes, true);
            opens(fp32_path, &baseline, "model.onnx", fp32_bytes, true);
            opens(int8_path, &baseline, "model.onnx", fp32_bytes, true);
            refuses(int8_path, NULL, EKEYREJECTED, "quant_mode fp32 of model_v1 and has no int8_sha256");
            assert_int_equal(times("model.onnx") + times("model.int8.onnx"), 0);
            put("model.onnx", "the fp32 modeL");
            refuses(fp32_path, NULL, EKEYREJECTED, who & 1 ? "but the registry says" : "but the sidecar says");
            refuses(fp32_path, &baseline, EKEYREJECTED, digest_of(fp32_bytes));
            refuses(fp32_path, NULL, EKEYREJECTED, digest_of("the fp32 modeL"));
            put("model.onnx", fp32_bytes);
        }
}

static void test_redirect(void **state)
{
    static const char *const modes[] = {"dynamic", "static", "qat"};

    (void)state;
    put_models();
    for (int who = 1; who <= 3; who++)
        for (size_t m = 0; m < COUNT(modes); m++) {
            const struct vd_resolve_how how = {.registry = who & 1 ? registry_path : NULL};
            say(who, shared(modes[m]));
            opens(fp32_path, NULL, "model.int8.onnx", int8_bytes, true);
            opens(int8_path, NULL, "model.int8.onnx", int8_bytes, true);
            opens(fp32_path, &baseline, "model.onnx", fp32_bytes, true);
            opens(int8_path, &baseline, "model.onnx", fp32_bytes, true);
            opens(fp32_path, &how, "model.int8.onnx", int8_bytes, true);
            assert_int_equal(vd_resolve(fp32_path, NULL, &got), 0);
            assert_string_equal(vd_quant_mode_name(got.quant_mode), modes[m]);
            assert_int_equal(got.declared, got.quant_mode);
            assert_string_equal(got.id, "model_v1");
            assert_string_equal(got.fp32_path, fp32_path);
            assert_string_equal(got.int8_path, int8_path);
            assert_int_equal(got.row != NULL, who & 1);
            assert_int_equal(got.sidecar.json != NULL, who >> 1);
            vd_resolved_free(&got);
            assert_int_equal(vd_resolve(int8_path, &baseline, &got), 0);
            assert_int_equal(got.quant_mode, VD_QUANT_FP32);
            assert_string_equal(vd_quant_mode_name(got.declared), modes[m]);
            vd_resolved_free(&got);
        }
}

/* What is wrong with the int8 file is an error of its own, by whichever name the model is opened, and the fp32 file is left alone. */
static void int8_is(int err, const char *why)
{
    struct vd_resolve_how how = {.registry = registry_path};

    for (int who = 1; who <= 3; who++) {
        say(who, shared("dynamic"));
        refuses(fp32_path, NULL, err, why);
        assert_int_equal(times("model.onnx"), 0);
        if (err != EKEYREJECTED)
            assert_non_null(strstr(vd_reason(), "says quant_mode dynamic of model_v1, so that its int8 file runs and no other"));
        assert_non_null(strstr(vd_reason(), "model.int8.onnx"));
        if (who & 1) {
            refuses("model_v1", &how, err, why);
            assert_int_equal(times("model.onnx"), 0);
        }
        opens(fp32_path, &baseline, "model.onnx", fp32_bytes, true);
    }
}

static void test_int8_wrong(void **state)
{
    (void)state;
    put_models();
    unlink(int8_path);
    int8_is(ENOENT, "no such file");
    say(1, shared("dynamic"));
    refuses(int8_path, NULL, ENOENT, "no such file; 'vmaf-dnn quantize dynamic ");
    /* The way out, by the form that it is in. */
    static const struct { const char *mode, *way; } out[] = {
        {"dynamic", "model.onnx' makes it, --baseline (settings.baseline) runs the fp32 file"}, {"dynamic", "; 'vmaf-dnn quantize dynamic "},
        {"static", "; 'vmaf-dnn quantize static "}, {"static", "model.onnx --calibration CLIP' makes it"}, {"qat", "; 'vmaf-dnn train' with \"qat\" makes it"},
    };
    for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++)
        for (int who = 1; who <= 3; who++) {
            say(who, shared(out[i].mode));
            refuses(fp32_path, NULL, ENOENT, out[i].way);
        }
    say(1, shared("dynamic"));
    assert_int_equal(mkdir(int8_path, 0755), 0);
    int8_is(ENOENT, "a folder");
    assert_null(strstr(vd_reason(), "makes it")); /* which is another trouble */
    assert_int_equal(rmdir(int8_path), 0);
    assert_int_equal(mkfifo(int8_path, 0644), 0);
    int8_is(ENOENT, "a pipe");
    unlink(int8_path);
    assert_int_equal(symlink("nowhere", int8_path), 0);
    int8_is(ENOENT, "no such file");
    unlink(int8_path);
    put("model.int8.onnx", "");
    int8_is(EBADMSG, "empty");
    assert_int_equal(truncate(int8_path, VD_MAX_MODEL), 0);
    int8_is(EKEYREJECTED, "but the ");
    assert_int_equal(truncate(int8_path, VD_MAX_MODEL + 1), 0);
    int8_is(E2BIG, "at most 52428800");
    unlink(int8_path);
    put("model.int8.onnx", fp32_bytes); /* a copy of the fp32 file is not the int8 file */
    int8_is(EKEYREJECTED, digest_of(fp32_bytes));
    put("model.int8.onnx", int8_bytes);
    assert_int_equal(chmod(int8_path, 0), 0);
    bool root = geteuid() == 0;
    for (int who = 1; who <= 3; who++) {
        say(who, shared("dynamic"));
        if (root)
            assert_int_equal(seteuid(65534), 0);
        refuses(fp32_path, NULL, EACCES, "no permission");
        if (root)
            assert_int_equal(seteuid(0), 0);
        assert_int_equal(times("model.onnx"), 0);
    }
}

static void test_no_digest(void **state)
{
    char members[700];

    (void)state;
    put_models();
    for (int who = 1; who <= 3; who++) {
        snprintf(members, sizeof members, "%s,\"quant_mode\":\"dynamic\"", shared(NULL));
        say(who, members);
        refuses(fp32_path, NULL, EKEYREJECTED, "there is no int8_sha256");
        refuses(int8_path, NULL, EKEYREJECTED, "there is no int8_sha256");
        refuses(fp32_path, &baseline, EKEYREJECTED, "there is no int8_sha256");
        say(who, with(shared(NULL), "\"sha256\"", "\"sha255\""));
        refuses(fp32_path, NULL, EKEYREJECTED, "there is no sha256");
        assert_int_equal(times("model.onnx") + times("model.int8.onnx"), 0);
        /* A digest that no mode runs. */
        snprintf(members, sizeof members, "%s,\"int8_sha256\":\"%s\"", shared(NULL), digest_of(int8_bytes));
        say(who, members);
        refuses(int8_path, NULL, EBADMSG, "quant_mode is fp32, which runs no int8 file");
    }
}

static void test_named_file(void **state)
{
    struct vd_resolve_how how = {.registry = registry_path};

    (void)state;
    put_models();
    say(3, shared("dynamic"));
    unlink(fp32_path);
    /* A path that is named must be there, though another file runs; an id and the int8 file's own name do not need it. */
    refuses(fp32_path, NULL, ENOENT, "model.onnx: no such file");
    assert_int_equal(n_opened, 0);
    opens(int8_path, NULL, "model.int8.onnx", int8_bytes, true);
    opens("model_v1", &how, "model.int8.onnx", int8_bytes, true);
    how.baseline = true;
    refuses("model_v1", &how, ENOENT, "model.onnx: no such file");
    refuses(int8_path, &baseline, ENOENT, "model.onnx: no such file");
    assert_int_equal(mkdir(fp32_path, 0755), 0);
    refuses(fp32_path, NULL, ENOENT, "a folder, not a regular file");
    assert_int_equal(rmdir(fp32_path), 0);
    assert_int_equal(mkfifo(fp32_path, 0644), 0);
    refuses(fp32_path, NULL, ENOENT, "not a regular file");
    unlink(fp32_path);
    assert_int_equal(symlink("model.onnx", fp32_path), 0);
    refuses(fp32_path, NULL, ENOENT, "round in a circle");
    unlink(fp32_path);
    say(0, "");
    put("model.onnx", "");
    refuses(fp32_path, NULL, EBADMSG, "model.onnx: empty");
    assert_int_equal(truncate(fp32_path, VD_MAX_MODEL + 1), 0);
    refuses(fp32_path, NULL, E2BIG, "at most 52428800");
}

static void test_contradictions(void **state)
{
    static const struct { const char *key, *a, *b, *why; } c[] = {
        {"id", "\"model_v1\"", "\"model_v2\"", "id: the registry says model_v1, the sidecar model_v2"},
        {"kind", "\"filter\"", "\"nr\"", "kind: the registry says filter, the sidecar nr"},
        {"opset", ":17", ":18", "opset: the registry says 17, the sidecar 18"},
        {"quant_mode", "\"dynamic\"", "\"static\"", "quant_mode: the registry says dynamic, the sidecar static"},
    };
    char row[600], side[700];

    (void)state;
    put_models();
    snprintf(row, sizeof row, "%s", shared("dynamic"));
    put_registry(row);
    for (size_t i = 0; i < COUNT(c); i++) {
        put_sidecar(with(row, c[i].a, c[i].b));
        refuses(fp32_path, NULL, EBADMSG, c[i].why);
        refuses(int8_path, &baseline, EBADMSG, "contradict each other");
        assert_int_equal(times("model.onnx") + times("model.int8.onnx"), 0);
    }
    put_sidecar(with(row, digest_of(fp32_bytes), digest_of("x")));
    refuses(fp32_path, NULL, EBADMSG, "contradict each other: sha256: the registry says");
    assert_non_null(strstr(vd_reason(), digest_of("x")));
    put_sidecar(with(row, digest_of(int8_bytes), digest_of("x")));
    refuses(fp32_path, NULL, EBADMSG, "int8_sha256: the registry says");
    /* Neither is believed more than the other. */
    put_sidecar(shared("fp32"));
    refuses(fp32_path, NULL, EBADMSG, "quant_mode: the registry says dynamic, the sidecar fp32");
    put_sidecar(row);
    put_registry(shared(NULL));
    refuses(fp32_path, NULL, EBADMSG, "quant_mode: the registry says fp32, the sidecar dynamic");
    /* Prose may differ. */
    snprintf(side, sizeof side, "%s,\"notes\":\"a\"", row);
    put_sidecar(side);
    snprintf(side, sizeof side, "%s,\"notes\":\"b\"", row);
    put_registry(side);
    opens(fp32_path, NULL, "model.int8.onnx", int8_bytes, true);
    /* A sidecar that was copied along with another model's name. */
    say(2, with(row, "model.onnx", "other.onnx"));
    refuses(fp32_path, NULL, EBADMSG, "it is about other.onnx");
}

static void test_malformed(void **state)
{
    static const char *const bad[] = {"", "{", "[]", "{\"id\":1,\"id\":2}", "\xff\xfe", "{} {}", "null"};

    (void)state;
    put_models();
    for (size_t i = 0; i < COUNT(bad); i++) {
        say(1, shared(NULL));
        put("model.json", bad[i]);
        refuses(fp32_path, NULL, EBADMSG, "model.json");
        say(2, shared(NULL));
        put("registry.json", bad[i]);
        refuses(fp32_path, NULL, EBADMSG, "registry.json");
        assert_int_equal(times("model.onnx"), 0);
    }
    /* What is there but cannot be read as a sidecar or registry is not the same as nothing there. */
    static const char *const names[] = {"model.json", "registry.json"};
    for (size_t i = 0; i < 2; i++) {
        say(2 - (int)i, shared(NULL));
        unlink(temp_path(&dir, names[i]));
        assert_int_equal(symlink("nowhere", temp_path(&dir, names[i])), 0);
        refuses(fp32_path, NULL, ENOENT, names[i]);
        unlink(temp_path(&dir, names[i]));
        assert_int_equal(mkdir(temp_path(&dir, names[i]), 0755), 0);
        refuses(fp32_path, NULL, ENOENT, names[i]);
        assert_int_equal(rmdir(temp_path(&dir, names[i])), 0);
        put(names[i], "");
        assert_int_equal(truncate(temp_path(&dir, names[i]), VD_MAX_JSON + 1), 0);
        refuses(fp32_path, NULL, E2BIG, names[i]);
        unlink(temp_path(&dir, names[i]));
    }
    put("registry.onnx", fp32_bytes);
    refuses(temp_path(&dir, "registry.onnx"), NULL, EINVAL, "cannot be its sidecar");
}

/* dir/././.../name of exactly n bytes. */
static void padded(char *dst, size_t n, const char *name)
{
    size_t at = strlen(dir.path), m = strlen(name);

    memcpy(dst, dir.path, at);
    while (at < n - m)
        dst[at++] = '/';
    memcpy(dst + at, name, m + 1);
}

static void test_lengths(void **state)
{
    static char path[2 * VD_MAX_PATH], out[VD_MAX_PATH];

    (void)state;
    put_models();
    say(3, shared("dynamic"));
    padded(path, VD_MAX_PATH - 6, "model.onnx"); /* with .int8 and the NUL exactly 4096 */
    opens(path, NULL, "model.int8.onnx", int8_bytes, true);
    padded(path, VD_MAX_PATH - 5, "model.onnx");
    refuses(path, NULL, ENAMETOOLONG, "with .int8.onnx this path has 4096 bytes, of 4095 at most");
    padded(path, VD_MAX_PATH - 1, "model.int8.onnx");
    opens(path, NULL, "model.int8.onnx", int8_bytes, true);
    padded(path, VD_MAX_PATH, "model.int8.onnx");
    refuses(path, NULL, ENAMETOOLONG, "4095 at most");
    padded(path, 2 * VD_MAX_PATH - 1, "model.onnx");
    refuses(path, NULL, ENAMETOOLONG, "4095 at most");
    memset(path, 'a', 2000);
    path[2000] = '\0';
    refuses(path, NULL, EINVAL, "neither a model's path");
    memcpy(path + 300, ".onnx", 6);
    refuses(path, NULL, ENAMETOOLONG, "more than 255");
    assert_int_equal(vd_sibling(out, "a/b.int8.onnx", ".json"), 0);
    assert_string_equal(out, "a/b.json");
    assert_int_equal(vd_sibling(out, "b.onnx", ".int8.onnx"), 0);
    assert_string_equal(out, "b.int8.onnx");
}

static void test_names(void **state)
{
    static const char *const no_path[] = {"./model", "/", "dir/", "./model.ONNX", "./.onnx", "x/.int8.onnx", ".onnx", ".int8.onnx",
                                          "model.int8.int8.onnx", "./model.onnx.json"};
    static const char *const no_id[] = {"model.json", "Model", "model-v1", "model v1", "\xc3\xa9", "model.int8", "\x1b[2J"};

    (void)state;
    put_models();
    put("model.int8.int8.onnx", int8_bytes);
    assert_int_equal(chdir(dir.path), 0);
    refuses(NULL, NULL, EINVAL, "no model is named");
    refuses("", NULL, EINVAL, "no model is named");
    for (size_t i = 0; i < COUNT(no_path); i++)
        refuses(no_path[i], NULL, EINVAL, "not a model's file name");
    for (size_t i = 0; i < COUNT(no_id); i++)
        refuses(no_id[i], NULL, EINVAL, "nor an id");
    assert_null(strchr(vd_reason(), '\x1b'));
}

static void test_ids(void **state)
{
    struct vd_resolve_how how = {0};
    char elsewhere[600];

    (void)state;
    put_models();
    say(3, shared("dynamic"));
    assert_int_equal(chdir(dir.path), 0);
    refuses("model_v1", NULL, ENOENT, "there is no registry to look in");

    /* In order: what is given, the environment, the current folder. */
    assert_int_equal(mkdir("model", 0755) | mkdir("model/tiny", 0755), 0);
    snprintf(elsewhere, sizeof elsewhere, "{%s}", with(shared(NULL), "model_v1", "tiny_v1"));
    put("model/tiny/registry.json", registry_of(elsewhere));
    put("model/tiny/model.onnx", fp32_bytes);
    opens("tiny_v1", NULL, "model.onnx", fp32_bytes, true);
    refuses("model_v1", NULL, ENOENT, "no such id in model/tiny/registry.json, which has tiny_v1");
    setenv("VMAF_DNN_REGISTRY", "registry.json", 1);
    opens("model_v1", NULL, "model.int8.onnx", int8_bytes, true);
    refuses("tiny_v1", NULL, ENOENT, "no such id in registry.json");
    how.registry = "model/tiny/registry.json";
    opens("tiny_v1", &how, "model.onnx", fp32_bytes, true);
    setenv("VMAF_DNN_REGISTRY", "nowhere.json", 1);
    refuses("model_v1", NULL, ENOENT, "VMAF_DNN_REGISTRY=nowhere.json: there is no such registry");
    setenv("VMAF_DNN_REGISTRY", "", 1);
    opens("tiny_v1", NULL, "model.onnx", fp32_bytes, true);
    how.registry = "nowhere.json";
    refuses("model_v1", &how, ENOENT, "nowhere.json");
    refuses("./model.onnx", &how, ENOENT, "nowhere.json");

    /* For a path the environment is not asked, and a registry elsewhere only when it is given. */
    setenv("VMAF_DNN_REGISTRY", "nowhere.json", 1);
    opens("./model.onnx", NULL, "model.int8.onnx", int8_bytes, true);
    say(0, "");
    opens("./model.onnx", NULL, "model.onnx", fp32_bytes, false);
    how.registry = "model/tiny/registry.json";
    opens("./model.onnx", &how, "model.onnx", fp32_bytes, true);
    put("model.onnx", "changed");
    refuses("./model.onnx", &how, EKEYREJECTED, "not the file that was pinned");
}

static void test_no_memory(void **state)
{
    struct vd_resolve_how how = {.registry = registry_path};

    (void)state;
    put_models();
    say(3, shared("dynamic"));
    for (int persist = 0; persist < 2; persist++) {
        size_t k = 0;
        int rc;
        do {
            vd_mem_fail_at(++k, persist);
            rc = vd_resolve("model_v1", &how, &got);
            vd_mem_fail_at(0, 0);
            if (rc)
                assert_memory_equal(&got, &empty, sizeof got);
            if (rc && rc != -ENOMEM)
                fail_msg("allocation %zu: %d: %s", k, rc, vd_reason());
        } while (rc && k < 10000);
        assert_int_equal(rc, 0);
        assert_true(k > 5);
        vd_resolved_free(&got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DIR(test_unpinned), WITH_DIR(test_fp32), WITH_DIR(test_redirect), WITH_DIR(test_int8_wrong), WITH_DIR(test_no_digest),
        WITH_DIR(test_named_file), WITH_DIR(test_contradictions), WITH_DIR(test_malformed), WITH_DIR(test_lengths),
        WITH_DIR(test_names), WITH_DIR(test_ids), WITH_DIR(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
