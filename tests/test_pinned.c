/* SPDX-License-Identifier: BSD-2-Clause */
/* Pinned means these bytes: of the shipped pair, its sidecar, the registry and the signature, no byte can change and none be missing.
 * VD_PINNED_ALL=1: every other value of every byte of files to 16 KiB, every single bit of larger ones (otherwise every single bit, and
 * one bit of each byte; and of truncations of the fp32 file every eighth). VD_PINNED_STEP=N: only every Nth offset of larger files, for
 * builds that are slow. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>

#include "signed_folder.h"
#include "vmaf_dnn/vmaf_dnn.h"

enum { SMALL = 16 << 10 };

static long step, all;
static unsigned long changes, cuts, free_changes;

/* The pair's bytes are held by the registry's digests, so that the signature need not be verified again for each of them. */
static bool by_digest;

static int opens(bool baseline)
{
    static char path[700];
    vmaf_dnn_session *s;
    vmaf_dnn_settings set;

    vmaf_dnn_settings_default(&set);
    set.trusted_keys = by_digest ? NULL : keys_path;
    set.require_pinned = 1;
    set.baseline = baseline;
    set.threads = 1;
    snprintf(path, sizeof path, "%s/learned_filter_v1.onnx", dir.path);
    int rc = vmaf_dnn_session_open(&s, path, &set);
    vmaf_dnn_session_close(s);
    return rc;
}

static void must_open(bool baseline)
{
    if (opens(baseline))
        fail_msg("%s", vd_reason());
}

static void put_byte(int fd, size_t at, uint8_t v) { assert_int_equal(pwrite(fd, &v, 1, (off_t)at), 1); }

/* lo to hi: bytes that nothing signs, which may change as long as what runs is the same. */
static void sweep(const char *name, bool baseline, size_t lo, size_t hi)
{
    const char *path = temp_path(&dir, name);
    uint8_t *data;
    size_t size;

    must_open(baseline);
    assert_int_equal(vd_file_read(path, VD_MAX_MODEL, &data, &size), 0);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    const bool small = size <= SMALL;
    for (size_t at = 0; at < size; at += small ? 1 : (size_t)step) {
        for (unsigned k = 1; k < 256; k++) {
            const unsigned bit = 1u << (at % 8);
            if (small ? !all && (k & (k - 1)) : all ? (k & (k - 1)) != 0 : k != bit)
                continue;
            put_byte(fd, at, (uint8_t)(data[at] ^ k));
            int rc = opens(baseline);
            if (at >= lo && at < hi)
                free_changes++;
            else if (!rc)
                fail_msg("%s: byte %zu was %02x, is %02x, and it opens", name, at, data[at], data[at] ^ k);
            else
                changes++;
        }
        put_byte(fd, at, data[at]);
    }
    must_open(baseline);
    for (size_t n = size; n-- > 0;) {
        if (!small && n % ((size_t)step * (baseline && !all ? 8 : 1)))
            continue;
        assert_int_equal(ftruncate(fd, (off_t)n), 0);
        if (!opens(baseline))
            fail_msg("%s: its first %zu bytes of %zu open", name, n, size);
        cuts++;
    }
    assert_int_equal(pwrite(fd, data, size, 0), (ssize_t)size);
    put_byte(fd, size - 1, data[size - 1]);
    must_open(baseline);
    /* and one byte more */
    assert_int_equal(pwrite(fd, "\n", 1, (off_t)size), 1);
    assert_true(opens(baseline) < 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    close(fd);
    vd_free(data);
    print_message("%s: %zu bytes\n", name, size);
}

static void test_registry(void **state)
{
    (void)state;
    sweep("registry.json", false, 0, 0);
}

static void test_sidecar(void **state)
{
    (void)state;
    sweep("learned_filter_v1.json", false, 0, 0);
}

static void test_signature(void **state)
{
    uint8_t *data;
    size_t size;

    (void)state;
    assert_int_equal(vd_file_read(temp_path(&dir, "registry.json.minisig"), VD_SIGNATURE_MAX, &data, &size), 0);
    const size_t lo = strlen("untrusted comment: ");
    const size_t hi = (size_t)((uint8_t *)memchr(data, '\n', size) - data);
    vd_free(data);
    sweep("registry.json.minisig", false, lo, hi);
    print_message("but for the text of the untrusted comment, bytes %zu to %zu, which nothing signs\n", lo, hi - 1);
}

static void test_int8(void **state)
{
    (void)state;
    by_digest = true;
    sweep("learned_filter_v1.int8.onnx", false, 0, 0);
}

static void test_fp32(void **state)
{
    (void)state;
    by_digest = true;
    sweep("learned_filter_v1.onnx", true, 0, 0);
}

/* Counting is the point: a sweep that did nothing would pass. */
static void test_count(void **state)
{
    (void)state;
    print_message("pinned: %lu changed bytes and %lu truncations refused, 0 accepted; %lu changes of the untrusted comment's text\n", changes,
                  cuts, free_changes);
    assert_true(changes > (step == 1 ? 125000 : 25000) && cuts > (step == 1 ? 35000 : 4000) && free_changes > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registry), cmocka_unit_test(test_sidecar), cmocka_unit_test(test_signature),
        cmocka_unit_test(test_int8),     cmocka_unit_test(test_fp32),    cmocka_unit_test(test_count),
    };

    step = number("VD_PINNED_STEP", 1);
    all = number("VD_PINNED_ALL", 0);
    return cmocka_run_group_tests(tests, signed_folder, remove_folder);
}
