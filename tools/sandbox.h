/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_SANDBOX_H
#define VD_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The leak checker of a sanitizer build starts, traces and reads its own process when this one ends. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VD_LEAK_CHECKER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define VD_LEAK_CHECKER 1
#endif

/* What a process may still reach, from vd_sandbox_enter() on, for good, in this thread and those that it starts later.
 *
 *   Landlock (Linux 5.13)   files: those that were named before, and nothing else; no TCP (6.7); no signals to and no abstract sockets of
 *                           processes outside (6.12)
 *   seccomp                 no new programs or processes, sockets, tracing, mounts, namespaces, io_uring, keys, kernel modules, executable
 *                           memory, typing into the terminal, and no system call that is newer than this list
 *   no_new_privs            set-user-ID programs give nothing
 *
 * Descriptors that are open stay open. */

enum vd_sandbox_mode { VD_SANDBOX_AUTO, VD_SANDBOX_REQUIRE, VD_SANDBOX_OFF };

struct vd_sandbox {
    struct vd_sandbox_rule { int fd; uint64_t access; } *rule;
    size_t n, cap;
    bool nomem;
};

/* Files to read: path itself, or everything below it when it is a folder. Links are followed now. What is not there needs no rule. */
void vd_sandbox_read(struct vd_sandbox *s, const char *path);
/* A file to make: everything may be written in its folder; where path is a pipe, a device or the name of a descriptor, that alone. */
void vd_sandbox_write(struct vd_sandbox *s, const char *path);
void vd_sandbox_write_folder(struct vd_sandbox *s, const char *folder);
void vd_sandbox_terminal(struct vd_sandbox *s); /* /dev/tty, to ask for a password at */
void vd_sandbox_free(struct vd_sandbox *s);

/* As much as the system has; frees s. 0: all of it; -ENOTSUP: not all, and the reason says what is missing; -ENOMEM. */
int vd_sandbox_enter(struct vd_sandbox *s);
int vd_sandbox_seccomp(void); /* the filter alone: 0 or a negative errno */

#endif
