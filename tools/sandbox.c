/* SPDX-License-Identifier: BSD-2-Clause */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/status.h"
#include "io/stream.h"

/* Landlock's interface as linux/landlock.h of a current kernel has it; distributions' headers are older than their kernels. */
enum {
    LL_EXECUTE = 1 << 0, LL_WRITE_FILE = 1 << 1, LL_READ_FILE = 1 << 2, LL_READ_DIR = 1 << 3, LL_REMOVE_FILE = 1 << 5, LL_MAKE_REG = 1 << 8,
    LL_V1 = (1 << 13) - 1, LL_REFER = 1 << 13, LL_TRUNCATE = 1 << 14, LL_IOCTL_DEV = 1 << 15,
    LL_NET_TCP = 3,    /* bind and connect */
    LL_SCOPE_ALL = 3,  /* abstract sockets and signals */
    LL_VERSION = 1,    /* flag of create_ruleset */
    LL_PATH_BENEATH = 1,
};
struct ll_ruleset { uint64_t fs, net, scoped; };
struct ll_path { uint64_t access; int32_t fd; } __attribute__((packed));

#ifndef O_PATH
#define O_PATH O_RDONLY
#endif
#ifndef SYS_landlock_create_ruleset /* one number on every architecture */
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

static void add(struct vd_sandbox *s, int fd, uint64_t access)
{
    if (fd < 0)
        return;
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 16;
        struct vd_sandbox_rule *r = vd_realloc(s->rule, cap, sizeof(*r));
        if (!r) {
            s->nomem = true;
            close(fd);
            return;
        }
        s->rule = r;
        s->cap = cap;
    }
    s->rule[s->n++] = (struct vd_sandbox_rule){fd, access};
}

void vd_sandbox_read(struct vd_sandbox *s, const char *path)
{
    add(s, open(path, O_PATH | O_CLOEXEC), LL_READ_FILE | LL_READ_DIR);
}

void vd_sandbox_write_folder(struct vd_sandbox *s, const char *folder)
{
    add(s, open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC), LL_READ_DIR | LL_WRITE_FILE | LL_REMOVE_FILE | LL_MAKE_REG | LL_TRUNCATE);
}

void vd_sandbox_write(struct vd_sandbox *s, const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[PATH_MAX];

    if (!strcmp(path, "-"))
        return;
    if (vd_sink_is_direct(path)) {
        add(s, open(path, O_PATH | O_CLOEXEC), LL_WRITE_FILE | LL_TRUNCATE);
        return;
    }
    int n = slash ? snprintf(folder, sizeof(folder), "%.*s", slash == path ? 1 : (int)(slash - path), path) : snprintf(folder, sizeof(folder), ".");
    if (n > 0 && n < (int)sizeof(folder))
        vd_sandbox_write_folder(s, folder);
}

void vd_sandbox_terminal(struct vd_sandbox *s)
{
    add(s, open("/dev/tty", O_PATH | O_CLOEXEC), LL_READ_FILE | LL_WRITE_FILE | LL_IOCTL_DEV);
}

void vd_sandbox_free(struct vd_sandbox *s)
{
    for (size_t i = 0; i < s->n; i++)
        close(s->rule[i].fd);
    vd_free(s->rule);
    *s = (struct vd_sandbox){0};
}

/* 0 or an errno. */
static int add_rules(const struct vd_sandbox *s, int ruleset, uint64_t handled)
{
    for (size_t i = 0; i < s->n; i++) {
        struct ll_path p = {.access = s->rule[i].access & handled, .fd = s->rule[i].fd};
        struct stat st;
        if (fstat(p.fd, &st))
            return errno;
        if (!S_ISDIR(st.st_mode))
            p.access &= LL_READ_FILE | LL_WRITE_FILE | LL_TRUNCATE | LL_IOCTL_DEV; /* a file has no others */
        /* EBADFD: a pipe or the like, that no path leads to and that Landlock leaves alone */
        if (p.access && syscall(SYS_landlock_add_rule, ruleset, LL_PATH_BENEATH, &p, 0) && errno != EBADFD)
            return errno;
    }
    return 0;
}

static int landlock(const struct vd_sandbox *s)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LL_VERSION);
    if (abi < 1)
        return errno ? errno : ENOSYS;
    struct ll_ruleset r = {.fs = LL_V1 | (abi >= 2 ? LL_REFER : 0) | (abi >= 3 ? LL_TRUNCATE : 0) | (abi >= 5 ? LL_IOCTL_DEV : 0),
                           .net = LL_NET_TCP, .scoped = LL_SCOPE_ALL};
    size_t size = abi < 4 ? 8 : abi < 6 ? 16 : 24;
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &r, size, 0);
    if (ruleset < 0)
        return errno;
    int err = add_rules(s, ruleset, r.fs);
    if (!err && syscall(SYS_landlock_restrict_self, ruleset, 0))
        err = errno;
    close(ruleset);
    return err;
}

static void say_missing(int files, int calls)
{
    if (files)
        vd_fail(ENOTSUP, "the kernel does not confine files (Landlock: %s%s)", strerror(files),
                files == ENOSYS ? "; it came with Linux 5.13" : files == EOPNOTSUPP ? ", it is turned off at boot" : "");
    else
        vd_fail(ENOTSUP, "the kernel does not confine system calls (seccomp: %s)", strerror(calls));
}

int vd_sandbox_enter(struct vd_sandbox *s)
{
#ifdef VD_LEAK_CHECKER
    vd_sandbox_read(s, "/proc");
#endif
#ifdef VD_COVERAGE /* make coverage: what was counted is written when the process ends */
    vd_sandbox_read(s, "/");
    vd_sandbox_write_folder(s, "/");
#endif
    if (s->nomem) {
        vd_sandbox_free(s);
        return vd_nomem(s->cap);
    }
    int files, calls;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        files = calls = errno;
    else {
        files = landlock(s);
        calls = -vd_sandbox_seccomp();
    }
    vd_sandbox_free(s);
    if (!files && !calls)
        return 0;
    say_missing(files, calls);
    return -ENOTSUP;
}
