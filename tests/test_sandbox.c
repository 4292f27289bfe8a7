/* SPDX-License-Identifier: BSD-2-Clause */
/* What a confined process can and cannot do, asked of the kernel. Where that lacks Landlock or seccomp, the test says so and is skipped. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"
#include "sandbox.h"
#include "temp_dir.h"

static struct temp_dir dir;
static char in_path[600], out_path[600], secret_path[600], parent_path[600];

static int setup(void **state)
{
    (void)state;
    if (!temp_dir_make(&dir) || mkdir(temp_path(&dir, "in"), 0755) || mkdir(temp_path(&dir, "out"), 0755))
        return -1;
    snprintf(in_path, sizeof in_path, "%s/in/model", dir.path);
    snprintf(out_path, sizeof out_path, "%s/out/made", dir.path);
    snprintf(secret_path, sizeof secret_path, "%s/secret", dir.path);
    snprintf(parent_path, sizeof parent_path, "%s/elsewhere", dir.path);
    return temp_put(in_path, "in", 2) && temp_put(secret_path, "secret", 6) && symlink(secret_path, temp_path(&dir, "in/link")) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

/* Runs in a process of its own, confined; its exit code is the number of the line that was wrong. */
#define CHECK(x) do { if (!(x)) { dprintf(2, "line %d: %s: errno %d\n", __LINE__, #x, errno); _exit(1); } } while (0)
#define DENIED(call, err) do { errno = 0; long r_ = (long)(call); if (r_ >= 0 || errno != (err)) { \
    dprintf(2, "line %d: %s: %ld, errno %d\n", __LINE__, #call, r_, errno); _exit(1); } } while (0)

static void confine(void)
{
    struct vd_sandbox s = {0};

    vd_sandbox_read(&s, temp_path(&dir, "in"));
    vd_sandbox_write(&s, out_path);
    vd_sandbox_write(&s, "-");
    vd_sandbox_write(&s, "/dev/null");
    if (vd_sandbox_enter(&s)) {
        dprintf(2, "SKIP, this kernel lacks it: %s\n", vd_reason());
        _exit(77);
    }
}

static void in_child(void (*body)(void))
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    if (!child) {
        confine();
        body();
        _exit(0);
    }
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        fail_msg("status %x", (unsigned)status);
}

static void files(void)
{
    uint8_t *data;
    size_t size;

    CHECK(!vd_file_read(in_path, 100, &data, &size) && size == 2);
    vd_free(data);
    CHECK(!vd_file_write(out_path, "made", 4));
    CHECK(!vd_file_write(out_path, "again", 5));
    CHECK(!vd_file_write_private(out_path, "third", 5));
    struct vd_file_out out;
    CHECK(!vd_file_out_open(&out, out_path));
    vd_file_out_abort(&out);
    int fd = open("/dev/null", O_WRONLY);
    CHECK(fd >= 0 && write(fd, "x", 1) == 1 && !close(fd));

    CHECK(vd_file_read(secret_path, 100, &data, &size) == -EACCES);
    CHECK(vd_file_read(temp_path(&dir, "in/link"), 100, &data, &size) == -EACCES);
    DENIED(open("/etc/passwd", O_RDONLY), EACCES);
    DENIED(open("/", O_RDONLY | O_DIRECTORY), EACCES);
    DENIED(open(secret_path, O_WRONLY), EACCES);
    DENIED(open(in_path, O_WRONLY), EACCES);
    DENIED(open(parent_path, O_WRONLY | O_CREAT, 0600), EACCES);
    DENIED(unlink(in_path), EACCES);
    DENIED(rename(out_path, parent_path), EACCES);
    CHECK(link(secret_path, temp_path(&dir, "out/link")) && (errno == EXDEV || errno == EACCES)); /* EXDEV: Landlock's word for another folder */
    DENIED(symlink("/etc", temp_path(&dir, "out/s")), EACCES);
    DENIED(mkdir(temp_path(&dir, "out/d"), 0700), EACCES);
    DENIED(mkfifo(temp_path(&dir, "out/f"), 0600), EPERM);
    DENIED(chmod(secret_path, 0777), EPERM);
    DENIED(truncate(secret_path, 0), EPERM);
    DENIED(syscall(SYS_fchmodat, AT_FDCWD, secret_path, 0777), EPERM);
    DENIED(utimensat(AT_FDCWD, secret_path, NULL, 0), EPERM);
}

static void calls(void)
{
    char *argv[] = {"/bin/true", NULL};
    int zero = 0;

    CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 && prctl(PR_GET_SECCOMP) == 2);
    DENIED(execve(argv[0], argv, argv + 1), EPERM);
    DENIED(syscall(SYS_execveat, AT_FDCWD, argv[0], argv, argv + 1, 0), EPERM);
    DENIED(socket(AF_INET, SOCK_STREAM, 0), EPERM);
    DENIED(socket(AF_UNIX, SOCK_STREAM, 0), EPERM);
    DENIED(socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){0}), EPERM);
    DENIED(syscall(425, 1, NULL), EPERM); /* io_uring_setup */
    DENIED(syscall(SYS_bpf, 0, NULL, 0), EPERM);
    DENIED(syscall(SYS_unshare, CLONE_NEWUSER), EPERM);
    DENIED(syscall(SYS_mount, "a", "b", "c", 0, NULL), EPERM);
    DENIED(syscall(SYS_keyctl, 0, 0), EPERM);
    DENIED(syscall(SYS_userfaultfd, 0), EPERM);
    DENIED(syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0), EPERM);
    DENIED(kill(getppid(), 0), EPERM);
    DENIED(syscall(SYS_tgkill, getppid(), getppid(), SIGTERM), EPERM);
    DENIED(syscall(434, getppid(), 0), EPERM); /* pidfd_open */
    DENIED(ioctl(0, TIOCSTI, "x"), EPERM);
    DENIED(syscall(435, NULL, 0), ENOSYS); /* clone3 */
    DENIED(syscall(4000), ENOSYS);
    CHECK(kill(getpid(), 0) == 0 && raise(SIGCONT) == 0);
    CHECK(ioctl(0, FIONREAD, &zero) == 0 || errno != EPERM);
#ifndef VD_LEAK_CHECKER
    DENIED(ptrace(PTRACE_TRACEME, 0, 0, 0), EPERM);
    DENIED(fork(), EPERM);
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED && mprotect(p, 4096, PROT_READ) == 0);
    DENIED(mprotect(p, 4096, PROT_READ | PROT_EXEC), EPERM);
    CHECK(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EPERM);
#endif
}

static void *thread_body(void *arg)
{
    (void)arg;
    DENIED(open("/etc/passwd", O_RDONLY), EACCES);
    DENIED(socket(AF_INET, SOCK_DGRAM, 0), EPERM);
    free(malloc(1 << 20));
    return NULL;
}

static void threads(void)
{
    pthread_t t[4];

    for (int i = 0; i < 4; i++)
        CHECK(!pthread_create(&t[i], NULL, thread_body, NULL));
    for (int i = 0; i < 4; i++)
        CHECK(!pthread_join(t[i], NULL));
    CHECK(poll(NULL, 0, 1) == 0);
}

static void test_files(void **state)
{
    (void)state;
    in_child(files);
    assert_true(temp_holds(secret_path, "secret", 6) && temp_holds(out_path, "third", 5));
}

static void test_calls(void **state)
{
    (void)state;
    in_child(calls);
}

static void test_threads(void **state)
{
    (void)state;
    in_child(threads);
}

#if defined(__x86_64__) && !defined(VD_LEAK_CHECKER)
/* Another architecture's entry into the kernel, where numbers mean other calls: the end. */
static void test_other_numbers(void **state)
{
    int status;
    (void)state;
    pid_t child = fork();
    if (!child) {
        confine();
        syscall(0x40000000 | SYS_getpid);
        _exit(0);
    }
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
#if defined(__x86_64__) && !defined(VD_LEAK_CHECKER)
        cmocka_unit_test_setup_teardown(test_other_numbers, setup, teardown),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
