/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>

#include "trust_files.h"

/* Linked with --wrap=open and openat: what was opened, by file name. */
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);

static char opened[64][64];
static unsigned n_opened;

/* Not folders on the way, and not a link that was met and not followed. */
static int note(const char *path, int flags, int fd)
{
    const char *slash = strrchr(path, '/');

    if (!(flags & O_PATH) && !(fd < 0 && errno == ELOOP) && n_opened < COUNT(opened))
        snprintf(opened[n_opened++], sizeof opened[0], "%s", slash ? slash + 1 : path);
    return fd;
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list ap;

    va_start(ap, flags);
    unsigned mode = flags & O_CREAT ? va_arg(ap, unsigned) : 0;
    va_end(ap);
    return note(path, flags, __real_open(path, flags, mode));
}

int __wrap_open64(const char *path, int flags, ...)
{
    va_list ap;

    va_start(ap, flags);
    unsigned mode = flags & O_CREAT ? va_arg(ap, unsigned) : 0;
    va_end(ap);
    return note(path, flags, __real_open64(path, flags, mode));
}

int __real_openat(int at, const char *path, int flags, ...);
int __wrap_openat(int at, const char *path, int flags, ...);
int __real_openat64(int at, const char *path, int flags, ...);
int __wrap_openat64(int at, const char *path, int flags, ...);

int __wrap_openat(int at, const char *path, int flags, ...)
{
    return note(path, flags, __real_openat(at, path, flags));
}

int __wrap_openat64(int at, const char *path, int flags, ...)
{
    return note(path, flags, __real_openat64(at, path, flags));
}

static int times(const char *name)
{
    int n = 0;

    for (unsigned i = 0; i < n_opened; i++)
        n += !strcmp(opened[i], name);
    return n;
}

static const struct vd_resolved empty;
static struct vd_resolved got;
static const struct vd_resolve_how baseline = {.baseline = true};

static void opens(const char *what, const struct vd_resolve_how *how, const char *file, const char *bytes, bool pinned)
{
    n_opened = 0;
    int rc = vd_resolve(what, how, &got);
    if (rc)
        fail_msg("%s: %d: %s", what, rc, vd_reason());
    const char *slash = strrchr(got.path, '/');
    assert_string_equal(slash ? slash + 1 : got.path, file);
    assert_int_equal(got.size, strlen(bytes));
    assert_memory_equal(got.data, bytes, strlen(bytes));
    assert_string_equal(got.sha256, digest_of(bytes));
    assert_int_equal(got.pinned, pinned);
    assert_int_equal(got.is_int8, strstr(file, ".int8.") != NULL);
    assert_int_equal(got.quant_mode != VD_QUANT_FP32, got.is_int8);
    /* One open of the file that runs, and none of the other. */
    assert_int_equal(times(file), 1);
    assert_true(times("model.onnx") + times("model.int8.onnx") <= 1);
    assert_true(n_opened <= 3);
    vd_resolved_free(&got);
    assert_memory_equal(&got, &empty, sizeof got);
}

/* With that errno, that reason, and nothing in the caller's struct. */
static void refuses(const char *what, const struct vd_resolve_how *how, int err, const char *why)
{
    n_opened = 0;
    memset(&got, 0x5a, sizeof got);
    int rc = vd_resolve(what, how, &got);
    if (rc != -err)
        fail_msg("%s: %d, not %d: %s", what ? what : "NULL", rc, -err, vd_reason());
    if (!strstr(vd_reason(), why))
        fail_msg("%s: '%s' is not in: %s", what ? what : "NULL", why, vd_reason());
    assert_memory_equal(&got, &empty, sizeof got);
}

/* Said by the registry (1), the sidecar (2) or both (3). */
static void say(int who, const char *members)
{
    unlink(registry_path);
    unlink(sidecar_path);
    if (who & 1)
        put_registry(members);
    if (who & 2)
        put_sidecar(members);
}


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
    refuses(int8_path, NULL, ENOENT, "no such file");
    assert_int_equal(mkdir(int8_path, 0755), 0);
    int8_is(ENOENT, "a folder");
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
        WITH_DIR(test_names), WITH_DIR(test_ids), WITH_DIR(test_jail), WITH_DIR(test_jail_of_documents), WITH_DIR(test_jail_redirect), WITH_DIR(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
