/* SPDX-License-Identifier: BSD-2-Clause */
/* What opens by the name of an fp32 model whose row says int8, and each way in which that is refused. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "common/file.h"
#include "common/mem.h"
#include "shipped.h"
#include "temp_dir.h"
#include "trust/trust.h"
#include "vmaf_dnn/vmaf_dnn.h"

#define STEM "learned_filter_v1"

static struct temp_dir dir;
static int fp32_opens; /* of STEM.onnx, by whatever call */

static void count_open(const char *path)
{
    const char *base = strrchr(path, '/');
    fp32_opens += !strcmp(base ? base + 1 : path, STEM ".onnx");
}

/* These take precedence over libc's. */
int open(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    const int mode = va_arg(ap, int);
    va_end(ap);
    count_open(path);
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int openat(int fd, const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    const int mode = va_arg(ap, int);
    va_end(ap);
    count_open(path);
    return (int)syscall(SYS_openat, fd, path, flags, mode);
}

__attribute__((noinline)) static char *slurp(const char *path, size_t *size)
{
    uint8_t *data;
    assert_int_equal(vd_file_read(path, VD_MAX_MODEL, &data, size), 0);
    return (char *)data;
}

static void copy_here(const char *name)
{
    size_t size;
    char *data = slurp(shipped(name), &size);
    assert_true(temp_put(temp_path(&dir, name), data, size));
    vd_free(data);
}

static int setup(void **state)
{
    (void)state;
    if (!temp_dir_make(&dir))
        return -1;
    copy_here("registry.json");
    copy_here(STEM ".json");
    copy_here(STEM ".onnx");
    copy_here(STEM ".int8.onnx");
    fp32_opens = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

static void replace(const char *file, const char *from, const char *to)
{
    size_t size, n = strlen(from);
    char *data = slurp(temp_path(&dir, file), &size);
    const char *found = strstr(data, from);
    assert_non_null(found);
    const size_t at = (size_t)(found - data);
    FILE *f = fopen(temp_path(&dir, file), "wb");
    assert_non_null(f);
    fwrite(data, 1, at, f);
    fputs(to, f);
    fwrite(data + at + n, 1, size - at - n, f);
    assert_int_equal(fclose(f), 0);
    vd_free(data);
}

/* Change the int8 file and record the digest of what it is now. */
static void put_int8(const void *data, size_t size)
{
    size_t old_size;
    char was[65], is[65];
    char *old = slurp(shipped(STEM ".int8.onnx"), &old_size);
    vd_sha256_hex(old, old_size, was);
    vd_sha256_hex(data, size, is);
    vd_free(old);
    assert_true(temp_put(temp_path(&dir, STEM ".int8.onnx"), data, size));
    replace("registry.json", was, is);
    replace(STEM ".json", was, is);
}

/* Both names of the model are refused, with that errno and a reason that has that text; the fp32 file stays shut. */
static void refused(int err, const char *text)
{
    static const char *const names[] = {STEM ".onnx", STEM ".int8.onnx"};
    for (int i = 0; i < 2; i++) {
        vmaf_dnn_session *s = (vmaf_dnn_session *)&dir;
        fp32_opens = 0;
        const int rc = vmaf_dnn_session_open(&s, temp_path(&dir, names[i]), NULL);
        if (rc != -err || !strstr(vmaf_dnn_last_error(), text))
            fail_msg("%s: %d '%s', not %d '%s'", names[i], rc, vmaf_dnn_last_error(), -err, text);
        assert_null(s);
        assert_int_equal(fp32_opens, 0);
    }
}

static void test_redirect(void **state)
{
    (void)state;
    vmaf_dnn_session *a, *b, *c;
    vmaf_dnn_info ia, ib, ic;
    assert_int_equal(vmaf_dnn_session_open(&a, temp_path(&dir, STEM ".onnx"), NULL), 0);
    assert_int_equal(vmaf_dnn_session_open(&b, temp_path(&dir, STEM ".int8.onnx"), NULL), 0);
    assert_int_equal(fp32_opens, 0);
    vmaf_dnn_session_info(a, &ia);
    vmaf_dnn_session_info(b, &ib);
    assert_string_equal(ia.file, ib.file);
    assert_non_null(strstr(ia.file, STEM ".int8.onnx"));
    assert_null(strstr(ia.file, ".int8.int8."));
    assert_string_equal(ia.sha256, ib.sha256);
    assert_string_equal(ia.quant_mode, "static");
    assert_string_equal(ia.id, STEM);
    assert_int_equal(ia.pinned, 1);
    assert_int_equal(ia.all_int8, 1);
    assert_int_equal(ia.baseline, 0);
    assert_string_equal(vmaf_dnn_session_attached_ep(a), "CPU");
    vmaf_dnn_settings set;
    vmaf_dnn_settings_default(&set);
    set.baseline = 1;
    assert_int_equal(vmaf_dnn_session_open(&c, temp_path(&dir, STEM ".int8.onnx"), &set), 0);
    assert_int_equal(fp32_opens, 1);
    vmaf_dnn_session_info(c, &ic);
    assert_string_equal(ic.quant_mode, "fp32");
    assert_int_equal(ic.baseline, 1);
    assert_int_equal(ic.all_int8, 0);
    assert_string_not_equal(ia.sha256, ic.sha256);
    vmaf_dnn_session_close(a);
    vmaf_dnn_session_close(b);
    vmaf_dnn_session_close(c);
}

static void test_sidecar_alone_redirects(void **state)
{
    (void)state;
    vmaf_dnn_session *s;
    vmaf_dnn_info info;
    assert_int_equal(unlink(temp_path(&dir, "registry.json")), 0);
    assert_int_equal(vmaf_dnn_session_open(&s, temp_path(&dir, STEM ".onnx"), NULL), 0);
    vmaf_dnn_session_info(s, &info);
    assert_string_equal(info.quant_mode, "static");
    assert_int_equal(info.pinned, 1);
    vmaf_dnn_session_close(s);
    replace(STEM ".json", "int8_sha256", "int8_sha512");
    refused(EKEYREJECTED, "int8_sha256");
}

static void test_registry_alone_redirects(void **state)
{
    (void)state;
    vmaf_dnn_session *s;
    vmaf_dnn_info info;
    assert_int_equal(unlink(temp_path(&dir, STEM ".json")), 0);
    assert_int_equal(vmaf_dnn_session_open(&s, temp_path(&dir, STEM ".onnx"), NULL), 0);
    vmaf_dnn_session_info(s, &info);
    assert_string_equal(info.quant_mode, "static");
    vmaf_dnn_session_close(s);
}

static void test_int8_missing(void **state)
{
    (void)state;
    unlink(temp_path(&dir, STEM ".int8.onnx"));
    refused(ENOENT, STEM ".int8.onnx");
}

static void test_int8_empty(void **state)
{
    (void)state;
    assert_true(temp_put(temp_path(&dir, STEM ".int8.onnx"), "", 0));
    refused(EBADMSG, "empty");
}

static void test_int8_folder(void **state)
{
    (void)state;
    unlink(temp_path(&dir, STEM ".int8.onnx"));
    assert_int_equal(mkdir(temp_path(&dir, STEM ".int8.onnx"), 0755), 0);
    refused(ENOENT, STEM ".int8.onnx");
}

static void test_int8_unreadable(void **state)
{
    (void)state;
    assert_int_equal(chmod(temp_path(&dir, STEM ".int8.onnx"), 0), 0);
    if (geteuid() == 0) /* permissions are for others than root */
        assert_int_equal(seteuid(65534), 0);
    refused(EACCES, STEM ".int8.onnx");
    if (getuid() == 0)
        assert_int_equal(seteuid(0), 0);
}

static void test_int8_too_large(void **state)
{
    (void)state;
    assert_int_equal(truncate(temp_path(&dir, STEM ".int8.onnx"), VD_MAX_MODEL + 1), 0);
    refused(E2BIG, STEM ".int8.onnx");
}

static void test_int8_malformed(void **state)
{
    (void)state;
    size_t size;
    char *data = slurp(shipped(STEM ".int8.onnx"), &size);
    put_int8(data, size / 2);
    vd_free(data);
    refused(EBADMSG, STEM ".int8.onnx");
}

static void test_int8_wrong_digest(void **state)
{
    (void)state;
    size_t size;
    char *data = slurp(shipped(STEM ".int8.onnx"), &size);
    data[size / 2] ^= 1; /* a weight: still a valid model */
    assert_true(temp_put(temp_path(&dir, STEM ".int8.onnx"), data, size));
    vd_free(data);
    refused(EKEYREJECTED, "sha256");
}

static void test_int8_no_digest(void **state)
{
    (void)state;
    replace("registry.json", "int8_sha256", "int8_sha512");
    refused(EKEYREJECTED, "int8_sha256");
}

static void test_int8_operator(void **state)
{
    (void)state;
    size_t size;
    char *data = slurp(shipped(STEM ".int8.onnx"), &size);
    int found = 0;
    for (size_t i = 0; i + 13 < size; i++)
        if (!memcmp(data + i, "\x22\x0b" "ConvInteger", 13)) { /* op_type, 11 bytes */
            memcpy(data + i + 2, "ConvIntrnet", 11);
            found = 1;
            break;
        }
    assert_true(found);
    put_int8(data, size);
    vd_free(data);
    refused(EPERM, "ConvIntrnet");
}

/* The fp32 file under the int8 file's name, with its own digest on record. */
static void test_int8_is_fp32(void **state)
{
    (void)state;
    size_t size;
    char *data = slurp(shipped(STEM ".onnx"), &size);
    put_int8(data, size);
    vd_free(data);
    refused(EBADMSG, "not quantised");
}

static void test_contradiction(void **state)
{
    (void)state;
    replace(STEM ".json", "\"static\"", "\"dynamic\"");
    refused(EBADMSG, "quant_mode");
}

static void test_unknown_mode(void **state)
{
    (void)state;
    replace("registry.json", "\"static\"", "\"ecstatic\"");
    refused(EBADMSG, "ecstatic");
}

static void test_jail(void **state)
{
    (void)state;
    assert_int_equal(mkdir(temp_path(&dir, "jail"), 0755), 0);
    setenv("VMAF_TINY_MODEL_DIR", temp_path(&dir, "jail"), 1);
    refused(EACCES, "VMAF_TINY_MODEL_DIR");
    setenv("VMAF_TINY_MODEL_DIR", dir.path, 1);
    vmaf_dnn_session *s;
    assert_int_equal(vmaf_dnn_session_open(&s, temp_path(&dir, STEM ".onnx"), NULL), 0);
    vmaf_dnn_session_close(s);
    unsetenv("VMAF_TINY_MODEL_DIR");
}

#define IN_COPY(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_COPY(test_redirect), IN_COPY(test_sidecar_alone_redirects), IN_COPY(test_registry_alone_redirects),
        IN_COPY(test_int8_missing), IN_COPY(test_int8_empty), IN_COPY(test_int8_folder),
        IN_COPY(test_int8_unreadable), IN_COPY(test_int8_too_large), IN_COPY(test_int8_malformed),
        IN_COPY(test_int8_wrong_digest), IN_COPY(test_int8_no_digest), IN_COPY(test_int8_operator),
        IN_COPY(test_int8_is_fp32), IN_COPY(test_contradiction), IN_COPY(test_unknown_mode), IN_COPY(test_jail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
