/* SPDX-License-Identifier: BSD-2-Clause */
/* Loads while another process renames, truncates, rewrites and links the file: what opens is the pinned bytes, each time.
 * VD_LOADS: how many. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "signed_folder.h"
#include "vmaf_dnn/vmaf_dnn.h"

static uint8_t *good, *evil;
static size_t size;
static char model[700], path[700], other[700], evil_path[700];

static int prepare(void **state)
{
    if (signed_folder(state))
        return -1;
    snprintf(model, sizeof model, "%s/learned_filter_v1.onnx", dir.path);
    snprintf(path, sizeof path, "%s/learned_filter_v1.int8.onnx", dir.path);
    snprintf(other, sizeof other, "%s/other", dir.path);
    snprintf(evil_path, sizeof evil_path, "%s/evil.onnx", dir.path);
    if (vd_file_read(path, VD_MAX_MODEL, &good, &size) || !(evil = vd_malloc(size)))
        return -1;
    memcpy(evil, good, size);
    evil[size / 2] ^= 1; /* inside weights: as good a model as the other */
    return temp_put(evil_path, evil, size) ? 0 : -1;
}

static int clean(void **state)
{
    vd_free(good);
    vd_free(evil);
    return remove_folder(state);
}

static void in_place(const uint8_t *data, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    if (fd < 0 || write(fd, data, n) != (ssize_t)n)
        _exit(2);
    close(fd);
}

static void replace(const uint8_t *data)
{
    if (!temp_put(other, data, size) || rename(other, path))
        _exit(3);
}

/* Whatever can happen to a file, and the good one again, so that some loads succeed. */
static void swap_for_ever(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (unsigned turn = 0;; turn++) {
        switch (turn % 6) {
        case 0: replace(evil); break;
        case 1: in_place(evil, size); break;
        case 2:
            if (truncate(path, (off_t)(size / 3)))
                _exit(4);
            break;
        case 3:
            if (symlink(evil_path, other) || rename(other, path))
                _exit(5);
            break;
        case 4: unlink(path); break;
        case 5: in_place(evil, size / 2); break;
        }
        usleep(turn % 50);
        if (turn % 2)
            replace(good);
        else { /* a link must not be written through */
            unlink(path);
            in_place(good, size);
        }
        usleep(turn % 70);
    }
}

static void test_race(void **state)
{
    const long loads = number("VD_LOADS", 4000);
    const struct vd_resolve_how how = {.trusted_keys = keys_path};
    unsigned long fine = 0, refused = 0, ran = 0, errors[256] = {0};
    struct vd_resolved *r = vd_calloc(1, sizeof *r);

    (void)state;
    pid_t child = fork();
    if (!child)
        swap_for_ever();
    assert_true(child > 0 && r);
    for (long i = 0; i < loads || !fine || !refused || !ran; i++) {
        if (i % 100 == 99) { /* all the way */
            const vmaf_dnn_settings set = {.threads = 1, .trusted_keys = keys_path};
            vmaf_dnn_session *s;
            if (!vmaf_dnn_session_open(&s, model, &set)) {
                char want[65];
                vmaf_dnn_info info;
                vd_sha256_hex(good, size, want);
                assert_int_equal(vmaf_dnn_session_info(s, &info), 0);
                assert_string_equal(info.sha256, want);
                assert_true(info.pinned && info.all_int8);
                ran++;
            }
            vmaf_dnn_session_close(s);
        }
        int rc = vd_resolve(model, &how, r);
        if (rc) {
            assert_true(rc == -ENOENT || rc == -EKEYREJECTED || rc == -EIO || rc == -EBADMSG); /* gone, other bytes, changing, empty */
            errors[-rc]++;
            refused++;
            continue;
        }
        fine++;
        assert_int_equal(r->size, size);
        assert_memory_equal(r->data, good, size);
        assert_true(r->pinned && r->is_int8);
        vd_resolved_free(r);
    }
    kill(child, SIGKILL);
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); /* it was swapping until the end */
    print_message("swap race: %lu loads, %lu opened and each the pinned bytes, %lu refused (%lu gone, %lu other bytes, %lu changing, %lu empty); "
                  "%lu sessions\n", fine + refused, fine, refused, errors[ENOENT], errors[EKEYREJECTED], errors[EIO], errors[EBADMSG], ran);
    vd_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_race)};

    return cmocka_run_group_tests(tests, prepare, clean);
}
