/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_FILE_H
#define VD_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The one way in: open once, fstat, read all of it into memory of our own.
 * *data has one zero byte after size and is freed with vd_free().
 * A symbolic link as the last part of path is resolved to a canonical path, and that is opened without following any link.
 * -ENOENT absent or not a regular file, -EACCES not readable, -E2BIG over cap,
 * -EIO read failed or the file changed its size meanwhile, -ENOMEM.
 * An empty file is size 0 and no error: what it means is the caller's. */
int vd_file_read(const char *path, size_t cap, uint8_t **data, size_t *size);
/* The same for a canonical path, as realpath() gives it: opened part by part, and -ENOENT where one of them is a link by now. */
int vd_file_read_real(const char *path, size_t cap, uint8_t **data, size_t *size);

/* The one way out: a temporary file in the same folder, written, fsynced,
 * renamed over path, folder fsynced. On failure path is as it was and the
 * temporary file is gone; the one exception is a folder whose fsync fails,
 * where the new file is in place and the reason says so.
 * An existing file's mode is kept; a symbolic link at path is replaced, not
 * followed; what is not a regular file or is write-protected is refused.
 * -ENOENT no such folder, -EACCES may not write there, -EINVAL not a regular
 * file, -ENOSPC disk, quota or size limit, -EIO, -ENOMEM, -ENAMETOOLONG. */
int vd_file_write(const char *path, const void *data, size_t size);
int vd_file_write_private(const char *path, const void *data, size_t size); /* mode 0600, whatever it replaces */

/* The same for streams: the temporary file's FILE is out->stream; commit
 * renames, abort removes. Both close and zero the struct, and so does a failed
 * open; a zeroed struct may be aborted. Commit sees every earlier write error. */
struct vd_file_out {
    void *stream; /* FILE * */
    char *path, *temp;
};
int vd_file_out_open(struct vd_file_out *out, const char *path);
int vd_file_out_commit(struct vd_file_out *out);
void vd_file_out_abort(struct vd_file_out *out);

bool vd_file_is_regular(const char *path); /* follows links, opens nothing */
/* The same where "no" has consequences: what cannot be found out is an error, -EACCES or -EIO, and not a file that is not there. */
int vd_file_there(const char *path, bool *there);
bool vd_file_same(const char *a, const char *b); /* both exist and are one file */

#endif
