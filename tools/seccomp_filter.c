/* SPDX-License-Identifier: BSD-2-Clause */
#include "sandbox.h"

#include <assert.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A list of what is denied, not of what is allowed: which calls a C library makes for malloc, threads or a clock changes with its version,
 * and a filter that must be right about all of them fails in the field. What it must keep out is a short list that does not change,
 * and calls that came after it was written are answered as a kernel without them would. docs/adr/0014. */

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__) && defined(__AARCH64EL__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

#ifdef ARCH

enum { LAST_KNOWN = 462, X32 = 0x40000000, MAX_CODE = 384 }; /* 462: mseal, Linux 6.10 */

static const int denied[] = {
    /* programs */
    SYS_execve, SYS_execveat,
#ifdef SYS_fork
    SYS_fork, SYS_vfork,
#endif
    /* sockets; without one, bind and connect have nothing to work on */
    SYS_socket, SYS_socketpair, SYS_connect, SYS_bind, SYS_listen, SYS_accept, SYS_accept4, SYS_sendmsg, SYS_recvmsg, SYS_sendmmsg, SYS_recvmmsg,
    /* other processes */
#ifndef VD_LEAK_CHECKER
    SYS_ptrace, SYS_process_vm_readv,
#endif
    SYS_process_vm_writev, SYS_kcmp, SYS_tkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, 424 /* pidfd_send_signal */, 434 /* pidfd_open */,
    438 /* pidfd_getfd */, 440 /* process_madvise */, SYS_setpriority, SYS_migrate_pages, SYS_move_pages,
    /* modes, owners, dates and lengths of files, which Landlock leaves alone; our own go through descriptors */
    SYS_fchmodat, SYS_fchownat, SYS_utimensat, SYS_truncate, SYS_setxattr, SYS_lsetxattr, SYS_removexattr, SYS_lremovexattr, 452 /* fchmodat2 */,
#ifdef SYS_chmod
    SYS_chmod, SYS_chown, SYS_lchown, SYS_utime, SYS_utimes, SYS_futimesat,
#endif
    /* what the files are */
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_unshare, SYS_setns, SYS_open_by_handle_at, SYS_name_to_handle_at,
    428 /* open_tree */, 429 /* move_mount */, 430 /* fsopen */, 431 /* fsconfig */, 432 /* fsmount */, 433 /* fspick */, 442 /* mount_setattr */,
    SYS_swapon, SYS_swapoff, SYS_quotactl, SYS_acct, SYS_fanotify_init, SYS_mknodat,
#ifdef SYS_mknod
    SYS_mknod,
#endif
    /* ways round this filter, and wide borders of the kernel */
    425 /* io_uring_setup */, 426 /* io_uring_enter */, 427 /* io_uring_register */, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd,
    SYS_keyctl, SYS_add_key, SYS_request_key, SYS_personality, SYS_vhangup, SYS_syslog,
    SYS_shmget, SYS_shmat, SYS_shmctl, SYS_msgget, SYS_semget, SYS_mq_open,
    SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_reboot, SYS_sethostname, SYS_setdomainname,
    SYS_settimeofday, SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex,
#ifdef SYS_iopl
    SYS_iopl, SYS_ioperm, SYS_modify_ldt,
#endif
    /* another user */
    SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid, SYS_setresgid, SYS_setfsuid, SYS_setfsgid, SYS_setgroups, SYS_capset,
};

struct code { struct sock_filter at[MAX_CODE]; unsigned short n; };

static void put(struct code *c, unsigned op, unsigned k, unsigned yes, unsigned no)
{
    assert(c->n < MAX_CODE && yes < 256 && no < 256);
    c->at[c->n++] = (struct sock_filter){(unsigned short)op, (unsigned char)yes, (unsigned char)no, k};
}

static void answer(struct code *c, int err) { put(c, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)err, 0, 0); }

static void load(struct code *c, size_t offset) { put(c, BPF_LD | BPF_W | BPF_ABS, (unsigned)offset, 0, 0); }

/* The low half of an argument: little endian, and what is compared fits. */
static size_t arg(int i) { return offsetof(struct seccomp_data, args) + 8 * (size_t)i; }

/* Of the call nr, only where argument i has the value (any of the bits): allowed (or else denied). The accumulator has nr. */
static void by_argument(struct code *c, int nr, int i, unsigned test, unsigned value, bool allow)
{
    put(c, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 4);
    load(c, arg(i));
    put(c, BPF_JMP | test | BPF_K, value, allow ? 1 : 0, allow ? 0 : 1);
    answer(c, EPERM);
    put(c, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
}

static void build(struct code *c)
{
    load(c, offsetof(struct seccomp_data, arch));
    put(c, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
    put(c, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0); /* numbers of another architecture mean other calls */
    load(c, offsetof(struct seccomp_data, nr));
#if defined(__x86_64__)
    put(c, BPF_JMP | BPF_JGE | BPF_K, X32, 0, 1);
    put(c, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
#endif
    put(c, BPF_JMP | BPF_JGT | BPF_K, LAST_KNOWN, 0, 1);
    answer(c, ENOSYS);
    for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++) {
        put(c, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)denied[i], 0, 1);
        answer(c, EPERM);
    }
    /* its flags lie in memory, where a filter cannot look; libraries then take clone */
    put(c, BPF_JMP | BPF_JEQ | BPF_K, 435 /* clone3 */, 0, 1);
    answer(c, ENOSYS);
#ifndef VD_LEAK_CHECKER
    by_argument(c, SYS_clone, 0, BPF_JSET, CLONE_THREAD, true);
    by_argument(c, SYS_mmap, 2, BPF_JSET, PROT_EXEC, false);
    by_argument(c, SYS_mprotect, 2, BPF_JSET, PROT_EXEC, false);
    by_argument(c, SYS_pkey_mprotect, 2, BPF_JSET, PROT_EXEC, false);
#endif
    by_argument(c, SYS_kill, 0, BPF_JEQ, (unsigned)getpid(), true);
    by_argument(c, SYS_tgkill, 0, BPF_JEQ, (unsigned)getpid(), true);
    put(c, BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 1, 0);
    put(c, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    load(c, arg(1));
    put(c, BPF_JMP | BPF_JEQ | BPF_K, TIOCSTI, 2, 0);
    put(c, BPF_JMP | BPF_JEQ | BPF_K, 0x541c /* TIOCLINUX */, 1, 0);
    put(c, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    answer(c, EPERM);
}

static_assert(sizeof(denied) / sizeof(denied[0]) * 2 + 60 < MAX_CODE, "room for every call");

int vd_sandbox_seccomp(void)
{
    struct code c = {.n = 0};

    build(&c);
    struct sock_fprog p = {.len = c.n, .filter = c.at};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p, 0, 0) ? -errno : 0;
}

#else

int vd_sandbox_seccomp(void) { return -ENOSYS; } /* no list for this architecture */

#endif
