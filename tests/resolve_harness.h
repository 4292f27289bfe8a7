/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_RESOLVE_HARNESS_H
#define VD_RESOLVE_HARNESS_H

/* What vd_resolve() opens, and what it refuses, with every open counted. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>

#include "trust_files.h"

/* Linked with --wrap=open and openat: what was opened, by file name. */
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);

static char opened[64][64];
static unsigned n_opened;

/* Not folders on the way, and not a link that was met and not followed. */
static inline int note(const char *path, int flags, int fd)
{
    const char *slash = strrchr(path, '/');

    if (!(flags & O_PATH) && !(fd < 0 && errno == ELOOP) && n_opened < COUNT(opened))
        snprintf(opened[n_opened++], sizeof opened[0], "%s", slash ? slash + 1 : path);
    return fd;
}

#define WRAP(open) \
    int __wrap_##open(const char *path, int flags, ...) \
    { \
        va_list ap; \
        va_start(ap, flags); \
        const unsigned mode = flags & O_CREAT ? va_arg(ap, unsigned) : 0; \
        va_end(ap); \
        return note(path, flags, __real_##open(path, flags, mode)); \
    }
WRAP(open)
WRAP(open64)

int __real_openat(int at, const char *path, int flags, ...);
int __wrap_openat(int at, const char *path, int flags, ...);
int __real_openat64(int at, const char *path, int flags, ...);
int __wrap_openat64(int at, const char *path, int flags, ...);

int __wrap_openat(int at, const char *path, int flags, ...)
{
    return note(path, flags, __real_openat(at, path, flags));
}

int __wrap_openat64(int at, const char *path, int flags, ...)
{
    return note(path, flags, __real_openat64(at, path, flags));
}

static inline int times(const char *name)
{
    int n = 0;

    for (unsigned i = 0; i < n_opened; i++)
        n += !strcmp(opened[i], name);
    return n;
}

static const struct vd_resolved empty;
static struct vd_resolved got;
static const struct vd_resolve_how baseline = {.baseline = true};

static inline void opens(const char *what, const struct vd_resolve_how *how, const char *file, const char *bytes, bool pinned)
{
    n_opened = 0;
    int rc = vd_resolve(what, how, &got);
    if (rc)
        fail_msg("%s: %d: %s", what, rc, vd_reason());
    const char *slash = strrchr(got.path, '/');
    assert_string_equal(slash ? slash + 1 : got.path, file);
    assert_int_equal(got.size, strlen(bytes));
    assert_memory_equal(got.data, bytes, strlen(bytes));
    assert_string_equal(got.sha256, digest_of(bytes));
    assert_int_equal(got.pinned, pinned);
    assert_int_equal(got.is_int8, strstr(file, ".int8.") != NULL);
    assert_int_equal(got.quant_mode != VD_QUANT_FP32, got.is_int8);
    /* One open of the file that runs, and none of the other. */
    assert_int_equal(times(file), 1);
    assert_true(times("model.onnx") + times("model.int8.onnx") <= 1);
    assert_true(n_opened <= 3);
    vd_resolved_free(&got);
    assert_memory_equal(&got, &empty, sizeof got);
}

/* With that errno, that reason, and nothing in the caller's struct. */
static inline void refuses(const char *what, const struct vd_resolve_how *how, int err, const char *why)
{
    n_opened = 0;
    memset(&got, 0x5a, sizeof got);
    int rc = vd_resolve(what, how, &got);
    if (rc != -err)
        fail_msg("%s: %d, not %d: %s", what ? what : "NULL", rc, -err, vd_reason());
    if (!strstr(vd_reason(), why))
        fail_msg("%s: '%s' is not in: %s", what ? what : "NULL", why, vd_reason());
    assert_memory_equal(&got, &empty, sizeof got);
}

/* Said by the registry (1), the sidecar (2) or both (3). */
static inline void say(int who, const char *members)
{
    unlink(registry_path);
    unlink(sidecar_path);
    if (who & 1)
        put_registry(members);
    if (who & 2)
        put_sidecar(members);
}

#endif
