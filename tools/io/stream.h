/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_STREAM_H
#define VD_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/file.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "y4m samples over 8 bits and .npy arrays are used as they lie in the file: little endian"
#endif

/* Where bytes come from: at most n of them to dst. Their number, 0 at the end, or a negative errno. */
typedef ptrdiff_t vd_read_fn(void *ctx, void *dst, size_t n);
/* ctx: int *, a descriptor. Interrupted reads go on, non-blocking ones wait. */
ptrdiff_t vd_read_fd(void *ctx, void *dst, size_t n);

/* The way in of a clip, which may be a pipe and is read as it comes: - is standard input. The descriptor, or -ENOENT, -EACCES, -EISDIR, ... */
int vd_clip_open(const char *path);

/* Where a result goes.
 *
 *   a path       a temporary file in the same folder, renamed over the path by commit; removed by
 *                abort and by SIGINT, SIGTERM and SIGHUP. A symbolic link there is replaced, not followed.
 *   -            standard output
 *   anything else that is not a regular file (a pipe, a device), and /dev/stdout, /dev/fd/N, /proc/...
 *                written directly
 *
 * The struct must stay where it is while it is open. A zeroed struct may be aborted. */
struct vd_sink {
    const char *name; /* for messages; the caller's path, or "standard output" */
    int fd;
    bool is_open, direct, own_fd;
    struct vd_file_out file;
    struct vd_sink *next;
};

/* Could path be opened? -EEXIST: a file is there and force is off; -EISDIR; -EINVAL: it is the same file as from_fd (< 0: none), or
 * standard output is a terminal. Creates nothing. */
int vd_sink_check(const char *path, bool force, int from_fd);
bool vd_sink_is_direct(const char *path); /* is written to as it is, not replaced */
int vd_sink_open(struct vd_sink *s, const char *path);
/* All n bytes, or a negative errno; -EPIPE when nobody reads. */
int vd_sink_write(struct vd_sink *s, const void *data, size_t n);
/* Ends the sink either way; after a failure the path is as it was. */
int vd_sink_commit(struct vd_sink *s);
void vd_sink_abort(struct vd_sink *s);

/* Keep the signals that remove temporary files from this thread, and from the threads that it starts meanwhile. Nests. */
void vd_signals_hold(void);
void vd_signals_release(void);

#endif
