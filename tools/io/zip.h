/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_ZIP_H
#define VD_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Members of a ZIP archive (APPNOTE 6.3, with ZIP64 sizes): stored or deflated, as numpy.savez() writes them. */
enum { VD_ZIP_MAX_MEMBERS = 1024, VD_ZIP_MAX_NAME = 255 };

struct vd_zip_member { char name[VD_ZIP_MAX_NAME + 1]; int method; uint32_t crc; uint64_t at, packed, size; }; /* at: of the local header */
struct vd_zip { int fd; const char *name; struct vd_zip_member *member; int n; };

/* name is for messages, and stays. -EBADMSG: not an archive, or a broken one; -ENOTSUP: encrypted, or another method than 0 and 8. */
int vd_zip_open(struct vd_zip *z, int fd, const char *name);
void vd_zip_close(struct vd_zip *z); /* not fd */

/* One member's bytes from its beginning. Several may be open at a time. */
struct vd_zip_stream;
int vd_zip_stream_open(struct vd_zip_stream **s, const struct vd_zip *z, const struct vd_zip_member *m);
/* Exactly n bytes. -EBADMSG: there are fewer, or they do not have the member's CRC-32, which is seen with its last byte. */
int vd_zip_read(struct vd_zip_stream *s, void *dst, size_t n);
void vd_zip_stream_close(struct vd_zip_stream *s);

#endif
