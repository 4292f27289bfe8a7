/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/mem.h"
#include "common/status.h"

/* The end of a long path is what tells files apart, and what is wrong must
 * still fit the line. */
static int fail_path(int err, const char *path, const char *fmt, ...) VD_PRINTF(3, 4);
static int fail_path(int err, const char *path, const char *fmt, ...)
{
    char what[200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    size_t len = strlen(path), cut = len > 300 ? len - 297 : 0;
    return vd_fail(err, "%s%s: %s", cut ? "..." : "", path + cut, what);
}

static const char *kind_of(mode_t mode)
{
    return S_ISDIR(mode)    ? "a folder"
           : S_ISFIFO(mode) ? "a pipe"
           : S_ISSOCK(mode) ? "a socket"
           : S_ISCHR(mode) || S_ISBLK(mode) ? "a device"
                            : "not a regular file";
}

/* The system's errors in the few words of the header, for reading. */
static int fail_read(int err, const char *path)
{
    switch (err) {
    case ENOENT: return fail_path(ENOENT, path, "no such file");
    case ENOTDIR: return fail_path(ENOENT, path, "no such file: a part of the path is not a folder");
    case ELOOP: return fail_path(ENOENT, path, "no such file: symbolic links go in a circle, or one came in the way");
    case ENXIO:
    case ENODEV: return fail_path(ENOENT, path, "is a socket or a device, not a regular file");
    case EACCES:
    case EPERM: return fail_path(EACCES, path, "no permission to read it");
    case ENAMETOOLONG: return fail_path(ENAMETOOLONG, path, "the path is too long");
    case ENOMEM: return fail_path(ENOMEM, path, "out of memory in the kernel");
    case EMFILE:
    case ENFILE: return fail_path(EIO, path, "cannot be opened: too many files are open");
    default: return fail_path(EIO, path, "cannot be read: %s", strerror(err));
    }
}

#ifndef O_PATH
#define O_PATH O_RDONLY
#endif
/* O_NONBLOCK: a pipe without a writer must not hold us up */
enum { READ_FLAGS = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW };

static int open_retry(int at, const char *name, int flags)
{
    int fd;
    do
        fd = openat(at, name, flags);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* From the root down, so that a link which somebody puts on the way meanwhile is met and not followed. */
static int open_real(const char *path)
{
    char name[NAME_MAX + 1];
    int at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

    while (at >= 0) {
        path += strspn(path, "/");
        size_t n = strcspn(path, "/");
        bool last = !path[n + strspn(path + n, "/")];
        int fd = -1;
        if (n > NAME_MAX) {
            errno = ENAMETOOLONG;
        } else {
            memcpy(name, path, n);
            name[n] = 0;
            fd = open_retry(at, n ? name : ".", last ? READ_FLAGS : O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        }
        int saved = errno;
        close(at);
        errno = saved;
        if (last)
            return fd;
        path += n;
        at = fd;
    }
    return -1;
}

static int open_given(const char *path)
{
    char real[PATH_MAX];
    int fd;
    do
        fd = open(path, READ_FLAGS);
    while (fd < 0 && errno == EINTR);
    return fd < 0 && errno == ELOOP && realpath(path, real) ? open_real(real) : fd;
}

static int read_open(int fd, const char *path, size_t cap, uint8_t **data, size_t *size)
{
    uint8_t *buf = NULL;
    struct stat st;
    int rc;
    *data = NULL;
    *size = 0;

    if (fd < 0)
        return fail_read(errno, path);
    if (fstat(fd, &st) < 0) {
        rc = fail_read(errno, path);
        goto fail;
    }
    if (!S_ISREG(st.st_mode)) {
        rc = fail_path(ENOENT, path, "is %s, not a regular file", kind_of(st.st_mode));
        goto fail;
    }
    size_t want = 0, room = 0, got = 0;
    if (st.st_size < 0 || (uintmax_t)st.st_size > cap || !vd_add((size_t)st.st_size, 1, &room)) {
        rc = fail_path(E2BIG, path, "%jd bytes, and at most %zu are taken", (intmax_t)st.st_size, cap);
        goto fail;
    }
    want = (size_t)st.st_size;
    buf = vd_malloc(room);
    if (!buf) {
        rc = vd_context(vd_nomem(room), "reading a file of %zu bytes", want);
        goto fail;
    }
    while (got < room) { /* one byte more than there should be, so that growth is seen */
        ssize_t n = read(fd, buf + got, room - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            rc = fail_read(errno, path);
            goto fail;
        }
        if (n == 0)
            break;
        got += (size_t)n;
    }
    if (got != want) {
        rc = fail_path(EIO, path, "changed its size from %zu bytes while it was read: try again when nothing writes to it", want);
        goto fail;
    }
    close(fd);
    buf[want] = 0;
    *data = buf;
    *size = want;
    return 0;

fail:
    vd_free(buf);
    close(fd);
    return rc;
}

int vd_file_read(const char *path, size_t cap, uint8_t **data, size_t *size)
{
    return read_open(open_given(path), path, cap, data, size);
}

int vd_file_read_real(const char *path, size_t cap, uint8_t **data, size_t *size)
{
    return read_open(open_real(path), path, cap, data, size);
}

/* And for writing. */
static int fail_write(int err, const char *path, const char *doing)
{
    switch (err) {
    case ENOSPC: return fail_path(ENOSPC, path, "no space left on the disk (%s)", doing);
    case EDQUOT: return fail_path(ENOSPC, path, "the disk quota is used up (%s)", doing);
    case EFBIG: return fail_path(ENOSPC, path, "larger than this system lets a file be; see ulimit -f (%s)", doing);
    case ENOENT:
    case ENOTDIR:
    case ELOOP: return fail_path(ENOENT, path, "its folder does not exist (%s)", doing);
    case EACCES:
    case EPERM: return fail_path(EACCES, path, "no permission to write there (%s)", doing);
    case EROFS: return fail_path(EACCES, path, "the disk is mounted read-only (%s)", doing);
    case ENAMETOOLONG: return fail_path(ENAMETOOLONG, path, "the path is too long (%s)", doing);
    case EISDIR: return fail_path(EINVAL, path, "is a folder; name a file (%s)", doing);
    case ENOMEM: return fail_path(ENOMEM, path, "out of memory in the kernel (%s)", doing);
    case EIO: return fail_path(EIO, path, "the disk reports an error; nothing that it holds is certain (%s)", doing);
    default: return fail_path(EIO, path, "%s (%s)", strerror(err), doing);
    }
}

/* O_EXCL makes the name ours; the letters only have to differ, not to be secret. */
static void draw_letters(char *six)
{
    static const char set[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static _Atomic uint64_t turn;
    uint64_t v = 0;
    if (getrandom(&v, sizeof v, GRND_NONBLOCK) != (ssize_t)sizeof v) {
        struct timespec t = {0};
        clock_gettime(CLOCK_MONOTONIC, &t);
        v = ((uint64_t)t.tv_sec * 1000000007u + (uint64_t)t.tv_nsec) * 31 + (uint64_t)getpid();
    }
    v += atomic_fetch_add(&turn, 1) * 0x9e3779b97f4a7c15u;
    for (int i = 0; i < 6; i++, v /= 62)
        six[i] = set[v % 62];
}

/* Fill out->path and out->temp and create the latter; the descriptor, or a
 * negative errno and out still as the caller zeroed it. */
static int create_temp(struct vd_file_out *out, const char *path, bool private)
{
    *out = (struct vd_file_out){0};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t len = strlen(path), dir = (size_t)(name - path), keep = strlen(name);
    if (!*name)
        return fail_path(*path ? EINVAL : ENOENT, path, *path ? "names a folder; name a file" : "the name of the file is empty");
    if (keep > NAME_MAX || len >= PATH_MAX)
        return fail_write(ENAMETOOLONG, path, "creating it");

    /* renaming over a device would destroy it, and over a protected file take the protection away */
    struct stat st;
    bool exists = stat(path, &st) == 0;
    if (exists && !S_ISREG(st.st_mode))
        return fail_path(EINVAL, path, "is %s and cannot be replaced; name a regular file", kind_of(st.st_mode));
    if (exists && faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) < 0)
        return fail_path(EACCES, path, "is write-protected (%s)", strerror(errno));
    if (keep > NAME_MAX - 8)
        keep = NAME_MAX - 8;
    size_t size = dir + 1 + keep + 1 + 6 + 1;
    out->path = vd_strdup(path);
    char *temp = vd_malloc(size); /* out's only when there is a file that abort should remove */
    if (!out->path || !temp) {
        vd_free(temp);
        vd_file_out_abort(out);
        return vd_nomem(size + len + 1);
    }
    snprintf(temp, size, "%.*s.%.*s.", (int)dir, path, (int)keep, name);

    int fd = -1;
    for (int tries = 0; fd < 0 && tries < 100; tries++) {
        draw_letters(temp + size - 7);
        temp[size - 1] = 0;
        /* the umask, or the folder's default ACL, makes the mode of a new file */
        fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, exists || private ? 0600 : 0666);
        if (fd < 0 && errno != EEXIST && errno != EINTR)
            break;
    }
    if (fd < 0) {
        int rc = fail_write(errno, path, "creating a temporary file beside it");
        vd_free(temp);
        vd_file_out_abort(out);
        return rc;
    }
    out->temp = temp;
    if (exists && !private) {
        /* the owner only where we may, as when root runs this; the mode always, last since chown clears bits of it */
        if ((st.st_uid != geteuid() || st.st_gid != getegid()) && fchown(fd, st.st_uid, st.st_gid) < 0)
            errno = 0;
        if (fchmod(fd, st.st_mode & 0777) < 0) {
            int rc = fail_write(errno, path, "giving the new file the mode of the old one");
            close(fd);
            vd_file_out_abort(out);
            return rc;
        }
    }
    return fd;
}

/* A file system that has no such call has nothing to sync. */
static bool sync_fd(int fd)
{
    int rc;
    do
        rc = fsync(fd);
    while (rc < 0 && errno == EINTR);
    return rc == 0 || errno == EINVAL || errno == ENOTSUP || errno == ENOSYS;
}

/* A folder that may not be listed cannot be opened either; its rename is then
 * as durable as the system makes it. */
static int open_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char dir[PATH_MAX];
    int n = slash ? snprintf(dir, sizeof dir, "%.*s", slash == path ? 1 : (int)(slash - path), path)
                  : snprintf(dir, sizeof dir, ".");
    return n < 0 || n >= (int)sizeof dir ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* fsync errors are final: the pages count as clean afterwards, and a second try would lie. */
static int rename_synced(struct vd_file_out *out)
{
    int rc = 0, dir = open_folder(out->path);
    if (rename(out->temp, out->path) < 0) {
        rc = fail_write(errno, out->path, "renaming the finished file");
    } else {
        vd_free(out->temp);
        out->temp = NULL;
        if (dir >= 0 && !sync_fd(dir))
            rc = fail_path(EIO, out->path, "is in place, but its folder could not be synced (%s): it may not survive a power cut",
                           strerror(errno));
    }
    if (dir >= 0)
        close(dir);
    return rc;
}

static int write_all(const char *path, const void *data, size_t size, bool private)
{
    struct vd_file_out out;
    const uint8_t *p = data;
    int fd = create_temp(&out, path, private), rc = 0;
    if (fd < 0)
        return fd;
    for (size_t done = 0; done < size && !rc;) {
        ssize_t n = write(fd, p + done, size - done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            rc = fail_write(n == 0 ? EIO : errno, path, "writing it");
    }
    if (!rc && !sync_fd(fd))
        rc = fail_write(errno, path, "syncing it");
    if (close(fd) < 0 && !rc && errno != EINTR) /* EINTR: synced and, on Linux, closed */
        rc = fail_write(errno, path, "closing it");
    if (!rc)
        rc = rename_synced(&out);
    vd_file_out_abort(&out);
    return rc;
}

int vd_file_write(const char *path, const void *data, size_t size) { return write_all(path, data, size, false); }

int vd_file_write_private(const char *path, const void *data, size_t size) { return write_all(path, data, size, true); }

int vd_file_out_open(struct vd_file_out *out, const char *path)
{
    int fd = create_temp(out, path, false);
    if (fd < 0)
        return fd;
    out->stream = fdopen(fd, "wb");
    if (!out->stream) {
        int rc = vd_context(vd_nomem(BUFSIZ), "opening a stream");
        close(fd);
        vd_file_out_abort(out);
        return rc;
    }
    return 0;
}

int vd_file_out_commit(struct vd_file_out *out)
{
    assert(out->stream && out->path && out->temp);
    FILE *f = out->stream;
    int rc = 0;
    bool lost = ferror(f) != 0;
    if (fflush(f) != 0) {
        rc = fail_write(errno, out->path, "writing it");
    } else if (lost) { /* an earlier write failed; its errno is gone, the full disk perhaps is not */
        struct statvfs v;
        bool full = fstatvfs(fileno(f), &v) == 0 && v.f_bavail == 0;
        rc = fail_write(full ? ENOSPC : EIO, out->path, "an earlier write");
    } else if (!sync_fd(fileno(f))) {
        rc = fail_write(errno, out->path, "syncing it");
    }
    out->stream = NULL;
    if (fclose(f) != 0 && !rc && errno != EINTR)
        rc = fail_write(errno, out->path, "closing it");
    if (!rc)
        rc = rename_synced(out);
    vd_file_out_abort(out);
    return rc;
}

void vd_file_out_abort(struct vd_file_out *out)
{
    int saved = errno;
    if (out->stream)
        fclose(out->stream);
    if (out->temp)
        unlink(out->temp);
    vd_free(out->temp);
    vd_free(out->path);
    *out = (struct vd_file_out){0};
    errno = saved;
}

bool vd_file_is_regular(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

int vd_file_there(const char *path, bool *there)
{
    struct stat st;
    int rc;
    do
        rc = stat(path, &st);
    while (rc < 0 && errno == EINTR);
    *there = rc == 0 && S_ISREG(st.st_mode);
    return rc == 0 || errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : fail_read(errno, path);
}

bool vd_file_same(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}
