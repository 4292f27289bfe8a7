/* SPDX-License-Identifier: BSD-2-Clause */
/* An archive of arrays: what is taken is read alike in pieces of any size, and has its checksum. The first byte says how large they are. */
#include "fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/status.h"
#include "io/zip.h"

enum { MOST = 1 << 14 }; /* of a member: what a few bytes inflate to is without end */

/* Bytes that could be read of a member, and what stopped it. */
static size_t member(const struct vd_zip *z, const struct vd_zip_member *m, size_t piece, uint8_t *dst, int *rc)
{
    struct vd_zip_stream *s;
    size_t done = 0;
    const size_t size = m->size < MOST ? (size_t)m->size : MOST;
    *rc = vd_zip_stream_open(&s, z, m);
    while (!*rc && done < size) {
        const size_t n = size - done < piece ? size - done : piece;
        *rc = vd_zip_read(s, dst + done, n);
        done += *rc ? 0 : n;
    }
    if (!*rc && size == m->size) {
        uint8_t more;
        MUST(vd_zip_read(s, &more, 1) == -EBADMSG); /* no byte behind the last */
    }
    vd_zip_stream_close(s);
    return done;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t first[MOST], again[MOST];
    struct vd_zip z;
    fuzz_result = 0;
    vd_reason_clear();
    if (!size)
        return 0;
    const size_t piece = 1 + (data[0] & 15) * 97u;
    const int fd = memfd_create("archive", MFD_CLOEXEC);
    MUST(fd >= 0 && write(fd, data + 1, size - 1) == (ssize_t)size - 1);
    int rc = vd_zip_open(&z, fd, "arrays.npz");
    if (rc) {
        MUST(!z.member && !z.n);
        fuzz_refused(rc);
    }
    for (int i = 0; !rc && i < z.n && i < 8; i++) {
        const struct vd_zip_member *m = &z.member[i];
        MUST(memchr(m->name, 0, sizeof m->name) && m->name[0]);
        int twin;
        const size_t n = member(&z, m, MOST, first, &rc), k = member(&z, m, piece, again, &twin);
        MUST(rc ? n == 0 : n == k && !twin && !memcmp(first, again, n));
        if (rc) {
            MUST(twin); /* also in pieces, perhaps after some of them */
            fuzz_refused(rc);
        }
    }
    vd_zip_close(&z);
    close(fd);
    return 0;
}
