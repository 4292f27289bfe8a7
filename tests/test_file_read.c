/* SPDX-License-Identifier: BSD-2-Clause */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"
#include "file_shim.h"

static void refuses_to_read(const char *path, size_t cap, int rc, const char *why)
{
    uint8_t *data = (uint8_t *)"untouched";
    size_t size = 9;
    int got = vd_file_read(path, cap, &data, &size);
    if (got != rc)
        fail_msg("%s: %d instead of %d: %s", path, got, rc, vd_reason());
    assert_null(data);
    assert_int_equal(size, 0);
    assert_non_null(strstr(vd_reason(), why));
    assert_non_null(strstr(vd_reason(), path));
}

static void reads(const char *path, size_t cap, const void *want, size_t n)
{
    uint8_t *data = NULL;
    size_t size = 1;
    if (vd_file_read(path, cap, &data, &size) != 0)
        fail_msg("%s", vd_reason());
    assert_int_equal(size, n);
    assert_memory_equal(data, want, n);
    assert_int_equal(data[n], 0);
    vd_free(data);
}

static void test_read(void **state)
{
    (void)state;
    const char *p = temp_path(&dir, "f");
    int fds = open_fds();
    assert_true(temp_put(p, "a\0b\xff", 4));
    reads(p, 4, "a\0b\xff", 4);
    reads(p, SIZE_MAX, "a\0b\xff", 4);
    refuses_to_read(p, 3, -E2BIG, "4 bytes, and at most 3");
    refuses_to_read(p, 0, -E2BIG, "at most 0");
    assert_true(temp_put(p, "", 0));
    reads(p, 0, "", 0);
    reads(p, 100, "", 0);
    assert_int_equal(symlink("f", temp_path(&dir, "link")), 0);
    reads(temp_path(&dir, "link"), 100, "", 0);

    size_t before = vd_mem_count();
    assert_int_equal(truncate(p, (off_t)1 << 40), 0); /* sparse: refused before a byte is allocated */
    refuses_to_read(p, 50 << 20, -E2BIG, "1099511627776 bytes");
    assert_int_equal(vd_mem_count(), before);
    assert_int_equal(open_fds(), fds);
}

/* Part by part, and no link on the way: what resolved a path looked at it before. */
static void test_read_real(void **state)
{
    char real[PATH_MAX], path[PATH_MAX + 20];
    uint8_t *data;
    size_t size;
    int fds = open_fds();

    (void)state;
    assert_non_null(realpath(dir.path, real));
    assert_int_equal(mkdir(temp_path(&dir, "real"), 0755), 0);
    assert_true(temp_put(temp_path(&dir, "real/f"), "abc", 3));
    assert_int_equal(symlink("f", temp_path(&dir, "real/link")) | symlink("real", temp_path(&dir, "way")) |
                         symlink("circle", temp_path(&dir, "circle")), 0);
    static const struct { const char *name; int rc, rc_given; } c[] = {
        {"real/f", 0, 0},
        {"//real//f", 0, 0},
        {"real/link", -ENOENT, 0},
        {"way/f", -ENOENT, 0},
        {"way/link", -ENOENT, 0},
        {"circle", -ENOENT, -ENOENT},
        {"real/none", -ENOENT, -ENOENT},
        {"none/f", -ENOENT, -ENOENT},
        {"real/f/x", -ENOENT, -ENOENT},
        {"real", -ENOENT, -ENOENT},
    };
    for (size_t i = 0; i < sizeof c / sizeof c[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", real, c[i].name);
        int rc = vd_file_read_real(path, 10, &data, &size), given;
        if (rc != c[i].rc)
            fail_msg("%s: %d: %s", c[i].name, rc, vd_reason());
        vd_free(data);
        given = vd_file_read(path, 10, &data, &size);
        if (given != c[i].rc_given)
            fail_msg("%s: %d: %s", c[i].name, given, vd_reason());
        assert_true(given ? !data && !size : size == 3 && !memcmp(data, "abc", 4));
        vd_free(data);
    }
    memset(path, 'n', 300);
    path[0] = '/';
    path[300] = 0;
    assert_int_equal(vd_file_read_real(path, 10, &data, &size), -ENAMETOOLONG);
    assert_int_equal(vd_file_read_real("/", 10, &data, &size), -ENOENT);
    assert_int_equal(open_fds(), fds);
}

static void test_read_refusals(void **state)
{
    (void)state;
    int fds = open_fds();
    refuses_to_read(temp_path(&dir, "none"), 9, -ENOENT, "no such file");
    refuses_to_read("", 9, -ENOENT, "no such file");
    refuses_to_read(dir.path, 9, -ENOENT, "is a folder");
    assert_true(temp_put(temp_path(&dir, "f"), "x", 1));
    refuses_to_read(temp_path(&dir, "f/g"), 9, -ENOENT, "not a folder");
    assert_int_equal(symlink("loop", temp_path(&dir, "loop")), 0);
    refuses_to_read(temp_path(&dir, "loop"), 9, -ENOENT, "circle");
    assert_int_equal(symlink("nowhere", temp_path(&dir, "dangling")), 0);
    refuses_to_read(temp_path(&dir, "dangling"), 9, -ENOENT, "no such file");
    refuses_to_read("/dev/zero", 9, -ENOENT, "is a device");
    refuses_to_read("/proc/self/status", 1 << 20, -EIO, "changed its size"); /* says 0 bytes, has more */

    assert_int_equal(mkfifo(temp_path(&dir, "fifo"), 0600), 0);
    alarm(20); /* nobody writes to it: must not wait */
    refuses_to_read(temp_path(&dir, "fifo"), 9, -ENOENT, "is a pipe");
    alarm(0);

    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    const char *sock = temp_path(&dir, "s");
    assert_in_range(strlen(sock), 1, sizeof sa.sun_path - 1);
    memcpy(sa.sun_path, sock, strlen(sock) + 1);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(s, (struct sockaddr *)&sa, sizeof sa), 0);
    refuses_to_read(sa.sun_path, 9, -ENOENT, "socket");
    close(s);

    const char *p = temp_path(&dir, "f");
    assert_int_equal(chmod(p, 0), 0);
    drop_root();
    refuses_to_read(p, 9, -EACCES, "no permission");
    regain_root();

    assert_int_equal(chmod(p, 0600), 0);
    struct rlimit old, none;
    getrlimit(RLIMIT_NOFILE, &old);
    none = old;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    refuses_to_read(p, 9, -EIO, "too many files");
    setrlimit(RLIMIT_NOFILE, &old);

    uint8_t *data;
    size_t size;
    vd_mem_fail_at(1, 0);
    assert_int_equal(vd_file_read(p, 9, &data, &size), -ENOMEM);
    vd_mem_fail_at(0, 0);
    assert_null(data);

    static char longer[5000];
    memset(longer, 'a', 4999);
    assert_int_equal(vd_file_read(longer, 9, &data, &size), -ENAMETOOLONG);
    assert_non_null(strstr(vd_reason(), "aaaa: the path is too long")); /* its reason is not cut off */
    assert_int_equal(open_fds(), fds);
}

static void test_read_faults(void **state)
{
    (void)state;
    const char *p = temp_path(&dir, "f");
    static uint8_t data[3000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    assert_true(temp_put(p, data, sizeof data));

    shim_start(READ, 0, 0); /* one byte at a time */
    reads(p, sizeof data, data, sizeof data);
    assert_int_equal(shim.seen[READ], sizeof data + 1);
    for (int k = 1; k <= 2; k++) {
        shim_start(READ, k, EINTR);
        reads(p, sizeof data, data, sizeof data);
        shim_start(READ, k, EIO);
        refuses_to_read(p, sizeof data, -EIO, strerror(EIO));
        shim_start(READ, k, ENOMEM);
        refuses_to_read(p, sizeof data, -ENOMEM, "memory in the kernel");
    }
    shim_start(READ, 9, EIO);
    shim.grow = p;
    refuses_to_read(p, 1 << 20, -EIO, "changed its size from 3000");
    shim_start(READ, 9, EIO);
    shim.grow = p; /* at the cap, too */
    refuses_to_read(p, sizeof data + 1, -EIO, "changed its size from 3001");
    shim_start(READ, 9, EIO);
    shim.shrink = p;
    refuses_to_read(p, 1 << 20, -EIO, "changed its size from 3002");
    shim_stop();
}

static void test_questions(void **state)
{
    (void)state;
    const char *p = temp_path(&dir, "f"), *q = temp_path(&dir, "g"), *l = temp_path(&dir, "l");
    assert_true(temp_put(p, "x", 1) && temp_put(q, "x", 1));
    assert_int_equal(symlink("f", l), 0);
    assert_true(vd_file_is_regular(p) && vd_file_is_regular(l));
    assert_false(vd_file_is_regular(dir.path) || vd_file_is_regular("/dev/null") || vd_file_is_regular(temp_path(&dir, "no")));
    char deep[5000] = "";
    bool there;
    memset(deep, 'x', sizeof(deep) - 1);
    assert_int_equal(vd_file_there(p, &there), 0);
    assert_true(there);
    assert_int_equal(vd_file_there(l, &there), 0);
    assert_true(there);
    assert_int_equal(vd_file_there(dir.path, &there), 0);
    assert_false(there);
    assert_int_equal(vd_file_there(temp_path(&dir, "no"), &there), 0);
    assert_false(there);
    assert_int_equal(vd_file_there(temp_path(&dir, "f/no"), &there), 0);
    assert_false(there);
    assert_int_equal(vd_file_there(deep, &there), -ENAMETOOLONG); /* which says nothing about the file */
    assert_false(there);
    assert_true(vd_file_same(p, l) && vd_file_same(p, p));
    assert_false(vd_file_same(p, q) || vd_file_same(p, temp_path(&dir, "no")));
    assert_false(vd_file_same(temp_path(&dir, "no"), temp_path(&dir, "no")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DIR(test_read),
        WITH_DIR(test_read_real),
        WITH_DIR(test_read_refusals),
        WITH_DIR(test_read_faults),
        WITH_DIR(test_questions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
