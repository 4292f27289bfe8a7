/* SPDX-License-Identifier: BSD-2-Clause */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/status.h"

/* Linux moves at most 0x7ffff000 bytes in one call; a round number below it. */
enum { CHUNK = 1 << 30 };

static void wait_for(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};

    poll(&p, 1, -1); /* whatever it says, the next read or write tells more */
}

ptrdiff_t vd_read_fd(void *ctx, void *dst, size_t n)
{
    int fd = *(const int *)ctx;

    if (n > CHUNK)
        n = CHUNK;
    for (;;) {
        ssize_t got = read(fd, dst, n);
        if (got >= 0)
            return got;
        if (errno == EAGAIN)
            wait_for(fd, POLLIN);
        else if (errno != EINTR)
            return -errno;
    }
}

int vd_clip_open(const char *path)
{
    struct stat st;
    int fd;

    if (!strcmp(path, "-"))
        return STDIN_FILENO;
    do
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return vd_fail(errno, "cannot read %s: %s", path, strerror(errno));
    if (!fstat(fd, &st) && S_ISDIR(st.st_mode)) {
        close(fd);
        return vd_fail(EISDIR, "%s is a folder: name a .y4m file", path);
    }
    return fd;
}

/* Only the thread that writes takes the signals (the pool's threads start while they are held), so
 * the list is never half changed when the handler walks it. */
static struct vd_sink *volatile open_sinks;
static int held;
static sigset_t mask_before;

static void signal_set(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
}

void vd_signals_hold(void)
{
    sigset_t set;

    if (held++)
        return;
    signal_set(&set);
    pthread_sigmask(SIG_BLOCK, &set, &mask_before);
}

void vd_signals_release(void)
{
    if (--held == 0)
        pthread_sigmask(SIG_SETMASK, &mask_before, NULL);
}

static void on_signal(int sig)
{
    for (struct vd_sink *s = open_sinks; s; s = s->next)
        if (s->file.temp)
            unlink(s->file.temp);
    raise(sig); /* the default action again (SA_RESETHAND), as soon as this returns */
}

static void watch_signals(void)
{
    static const int sigs[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND}, old;

    signal_set(&sa.sa_mask);
    for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
        if (!sigaction(sigs[i], NULL, &old) && old.sa_handler == SIG_DFL) /* nohup's SIG_IGN stays */
            sigaction(sigs[i], &sa, NULL);
}

static bool is_stdout(const char *path) { return !strcmp(path, "-"); }

/* Names of open descriptors: what they show may be a regular file, but a rename would replace the name. */
static bool is_descriptor_name(const char *path)
{
    return !strcmp(path, "/dev/stdout") || !strcmp(path, "/dev/stderr") || !strncmp(path, "/dev/fd/", 8) ||
           !strncmp(path, "/proc/", 6);
}

int vd_sink_check(const char *path, bool force, int from_fd)
{
    struct stat to, from, link;
    bool is_there = is_stdout(path) ? !fstat(STDOUT_FILENO, &to) : !stat(path, &to);

    if (is_stdout(path) && isatty(STDOUT_FILENO))
        return vd_fail(EINVAL, "standard output is a terminal: send it to a file or a pipe");
    if (is_there && from_fd >= 0 && S_ISREG(to.st_mode) && !fstat(from_fd, &from) && from.st_dev == to.st_dev &&
        from.st_ino == to.st_ino)
        return vd_fail(EINVAL, "input and output are the same file: give the output another name");
    if (is_stdout(path) || is_descriptor_name(path))
        return 0;
    if (is_there && S_ISDIR(to.st_mode))
        return vd_fail(EISDIR, "%s is a folder: name a file in it", path);
    if (!force && ((is_there && (S_ISREG(to.st_mode) || S_ISBLK(to.st_mode))) || (!is_there && !lstat(path, &link))))
        return vd_fail(EEXIST, "%s is there already: -f replaces it", path);
    return 0;
}

bool vd_sink_is_direct(const char *path)
{
    struct stat st;

    return is_stdout(path) || is_descriptor_name(path) || (!stat(path, &st) && !S_ISREG(st.st_mode));
}

int vd_sink_open(struct vd_sink *s, const char *path)
{
    int rc = 0;

    *s = (struct vd_sink){.name = path, .fd = -1};
    if (is_stdout(path)) {
        s->name = "standard output";
        s->fd = STDOUT_FILENO;
        s->direct = s->is_open = true;
        return 0;
    }
    if (vd_sink_is_direct(path)) {
        do
            s->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        while (s->fd < 0 && errno == EINTR);
        if (s->fd < 0)
            return vd_fail(errno, "cannot write %s: %s", path, strerror(errno));
        s->direct = s->own_fd = s->is_open = true;
        return 0;
    }
    vd_signals_hold();
    rc = vd_file_out_open(&s->file, path);
    if (!rc) {
        s->fd = fileno(s->file.stream);
        s->is_open = true;
        s->next = open_sinks;
        open_sinks = s;
        watch_signals();
    }
    vd_signals_release();
    return rc;
}

int vd_sink_write(struct vd_sink *s, const void *data, size_t n)
{
    const uint8_t *p = data;

    while (n) {
        ssize_t put = write(s->fd, p, n < CHUNK ? n : CHUNK);
        if (put < 0 && errno == EAGAIN)
            wait_for(s->fd, POLLOUT);
        else if (put < 0 && errno != EINTR)
            return vd_fail(errno, "cannot write %s: %s", s->name, strerror(errno));
        else if (put > 0) {
            p += put;
            n -= (size_t)put;
        }
    }
    return 0;
}

static void forget(struct vd_sink *s)
{
    struct vd_sink *volatile *at = &open_sinks;

    while (*at && *at != s)
        at = &(*at)->next;
    if (*at)
        *at = s->next;
    *s = (struct vd_sink){.fd = -1};
}

int vd_sink_commit(struct vd_sink *s)
{
    int rc = 0;

    if (!s->is_open)
        return 0;
    vd_signals_hold();
    if (!s->direct)
        rc = vd_file_out_commit(&s->file);
    else if (s->own_fd && close(s->fd))
        rc = vd_fail(errno, "cannot write %s: %s", s->name, strerror(errno));
    forget(s);
    vd_signals_release();
    return rc;
}

void vd_sink_abort(struct vd_sink *s)
{
    if (!s->is_open)
        return;
    vd_signals_hold();
    if (!s->direct)
        vd_file_out_abort(&s->file);
    else if (s->own_fd)
        close(s->fd);
    forget(s);
    vd_signals_release();
}
