/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_FILE_SHIM_H
#define VD_FILE_SHIM_H

/* For the tests of common/file.h: the system calls that matter go through these
 * functions, which take precedence over libc's, so that each occurrence of each
 * can be made to fail in turn. libc's own streams call past them. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "common/mem.h"
#include "temp_dir.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

enum call { READ, WRITE, FSYNC, FCHMOD, CLOSE, RENAME, RANDOM, CALLS };

static struct {
    bool on;
    enum call which;
    int nth, err; /* the nth of which fails with err; 0: it moves at most one byte */
    int seen[CALLS];
    const char *grow; /* at the first read, this file gets one byte more */
    const char *shrink;
    bool fsync_folder; /* whether an fsync of a folder was seen after the rename */
} shim;

static bool hit(enum call c)
{
    return shim.on && ++shim.seen[c] == shim.nth && shim.which == c && shim.err;
}

static bool slow(enum call c) { return shim.on && shim.which == c && !shim.err; }

ssize_t read(int fd, void *buf, size_t n)
{
    if (hit(READ)) {
        errno = shim.err;
        return -1;
    }
    if (shim.on && shim.seen[READ] == 1 && shim.grow) {
        FILE *f = fopen(shim.grow, "ab");
        if (f) {
            putc('+', f);
            fclose(f);
        }
    }
    if (shim.on && shim.seen[READ] == 1 && shim.shrink && truncate(shim.shrink, 1) != 0)
        abort();
    return syscall(SYS_read, fd, buf, n && slow(READ) ? 1 : n);
}

ssize_t write(int fd, const void *buf, size_t n)
{
    if (hit(WRITE)) {
        errno = shim.err;
        return -1;
    }
    return syscall(SYS_write, fd, buf, n && slow(WRITE) ? 1 : n);
}

int fsync(int fd)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && shim.seen[RENAME])
        shim.fsync_folder = true;
    if (hit(FSYNC)) {
        errno = shim.err;
        return -1;
    }
    return 0; /* no power cut follows, and tests should not wait for disks */
}

int fchmod(int fd, mode_t mode)
{
    if (hit(FCHMOD)) {
        errno = shim.err;
        return -1;
    }
    return (int)syscall(SYS_fchmod, fd, mode);
}

int close(int fd)
{
    int rc = (int)syscall(SYS_close, fd);
    if (hit(CLOSE)) {
        errno = shim.err;
        return -1;
    }
    return rc;
}

int rename(const char *from, const char *to)
{
    if (hit(RENAME)) {
        errno = shim.err;
        return -1;
    }
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

ssize_t getrandom(void *buf, size_t n, unsigned flags)
{
    if (hit(RANDOM)) {
        errno = shim.err;
        return -1;
    }
    return syscall(SYS_getrandom, buf, n, flags);
}

static void shim_start(enum call which, int nth, int err)
{
    memset(&shim, 0, sizeof shim);
    shim.which = which;
    shim.nth = nth;
    shim.err = err;
    shim.on = true;
}

static void shim_stop(void) { shim.on = false; }

static struct temp_dir dir;

static int setup(void **state)
{
    (void)state;
    memset(&shim, 0, sizeof shim);
    return temp_dir_make(&dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    shim_stop();
    vd_mem_fail_at(0, 0);
    temp_dir_remove(&dir);
    return 0;
}

/* Permissions are for others than root. */
static void drop_root(void)
{
    if (geteuid() == 0)
        assert_int_equal(seteuid(65534), 0);
}

static void regain_root(void)
{
    if (getuid() == 0)
        assert_int_equal(seteuid(0), 0);
}

static int open_fds(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

#define WITH_DIR(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

#endif
