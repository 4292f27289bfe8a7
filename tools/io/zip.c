/* SPDX-License-Identifier: BSD-2-Clause */
#include "zip.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>

#include "common/bytes.h"
#include "common/mem.h"
#include "common/status.h"

enum { END_SIZE = 22, END64_LOCATOR = 20, END64_SIZE = 56, MAX_COMMENT = 65535, CENTRAL_SIZE = 46, LOCAL_SIZE = 30, MAX_DIRECTORY = 16 << 20, PIECE = 1 << 30 };
enum { SIGN_LOCAL = 0x04034b50, SIGN_CENTRAL = 0x02014b50, SIGN_END = 0x06054b50, SIGN_END64 = 0x06064b50, SIGN_LOCATOR = 0x07064b50 };

static int broken(const char *name, const char *what) { return vd_fail(EBADMSG, "%s: broken .npz archive: %s", name, what); }

/* n bytes at offset, or fewer at the end of the file: their number. */
static ptrdiff_t read_at(int fd, uint64_t at, void *dst, size_t n)
{
    size_t have = 0;
    if (at > INT64_MAX)
        return 0;
    while (have < n) {
        const ssize_t got = pread(fd, (uint8_t *)dst + have, n - have, (off_t)(at + have));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (!got)
            break;
        have += (size_t)got;
    }
    return (ptrdiff_t)have;
}

static uint16_t le16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static uint32_t le32(const uint8_t *p) { return (uint32_t)le16(p) | (uint32_t)le16(p + 2) << 16; }
static uint64_t le64(const uint8_t *p) { return (uint64_t)le32(p) | (uint64_t)le32(p + 4) << 32; }

/* Where the central directory is. */
static int find_directory(const struct vd_zip *z, uint64_t file_size, uint64_t *at, uint64_t *size, uint64_t *count)
{
    uint8_t *tail = vd_malloc(END_SIZE + MAX_COMMENT);
    const uint64_t n = file_size < END_SIZE + MAX_COMMENT ? file_size : END_SIZE + MAX_COMMENT;
    int rc = broken(z->name, "no end of the directory");
    if (!tail)
        return vd_nomem(END_SIZE + MAX_COMMENT);
    if (read_at(z->fd, file_size - n, tail, (size_t)n) == (ptrdiff_t)n)
        for (ptrdiff_t i = (ptrdiff_t)n - END_SIZE; i >= 0; i--)
            if (le32(tail + i) == SIGN_END && le16(tail + i + 20) == n - (uint64_t)i - END_SIZE) {
                uint8_t e[END64_SIZE];
                *count = le16(tail + i + 10);
                *size = le32(tail + i + 12);
                *at = le32(tail + i + 16);
                rc = 0;
                if ((*count == 0xffff || *size == UINT32_MAX || *at == UINT32_MAX) && i >= END64_LOCATOR &&
                    le32(tail + i - END64_LOCATOR) == SIGN_LOCATOR) {
                    if (read_at(z->fd, le64(tail + i - END64_LOCATOR + 8), e, END64_SIZE) != END64_SIZE || le32(e) != SIGN_END64) {
                        rc = broken(z->name, "no ZIP64 directory");
                        break;
                    }
                    *count = le64(e + 32);
                    *size = le64(e + 40);
                    *at = le64(e + 48);
                }
                break;
            }
    vd_free(tail);
    return rc;
}

static void take_zip64(struct vd_zip_member *m, const uint8_t *extra, size_t n)
{
    while (n >= 4) {
        const size_t len = le16(extra + 2);
        if (len + 4 > n)
            return;
        if (le16(extra) == 1) {
            const uint8_t *p = extra + 4, *end = p + len;
            uint64_t *const want[] = {&m->size, &m->packed, &m->at};
            for (int i = 0; i < 3; i++)
                if (*want[i] == UINT32_MAX && end - p >= 8) {
                    *want[i] = le64(p);
                    p += 8;
                }
        }
        extra += len + 4;
        n -= len + 4;
    }
}

static int read_directory(struct vd_zip *z, const uint8_t *p, size_t size, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct vd_zip_member *m = &z->member[z->n];
        if (size < CENTRAL_SIZE || le32(p) != SIGN_CENTRAL)
            return broken(z->name, "the directory ends early");
        const size_t name = le16(p + 28), extra = le16(p + 30), comment = le16(p + 32), all = CENTRAL_SIZE + name + extra + comment;
        if (all > size)
            return broken(z->name, "the directory ends early");
        if (name == 0 || name > VD_ZIP_MAX_NAME || memchr(p + CENTRAL_SIZE, 0, name))
            return broken(z->name, "a member without a good name");
        memcpy(m->name, p + CENTRAL_SIZE, name);
        m->method = le16(p + 10);
        m->crc = le32(p + 16);
        m->packed = le32(p + 20);
        m->size = le32(p + 24);
        m->at = le32(p + 42);
        take_zip64(m, p + CENTRAL_SIZE + name, extra);
        if (le16(p + 8) & 1 || (m->method != 0 && m->method != 8))
            return vd_fail(ENOTSUP, "%s: member %s is encrypted or compressed in an unknown way; write it with numpy.savez()", z->name, m->name);
        z->n++;
        p += all;
        size -= all;
    }
    return 0;
}

int vd_zip_open(struct vd_zip *z, int fd, const char *name)
{
    struct stat st;
    uint64_t at = 0, size = 0, count = 0;
    *z = (struct vd_zip){.fd = fd, .name = name};
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size < END_SIZE)
        return broken(name, "it is no file, or too short");
    int rc = find_directory(z, (uint64_t)st.st_size, &at, &size, &count);
    if (rc)
        return rc;
    if (count > VD_ZIP_MAX_MEMBERS || size > MAX_DIRECTORY || at > (uint64_t)st.st_size || size > (uint64_t)st.st_size - at)
        return broken(name, "the directory is too large, or not where it should be");
    uint8_t *p = vd_malloc((size_t)size + 1);
    z->member = vd_calloc((size_t)count + 1, sizeof(*z->member));
    if (!p || !z->member)
        rc = vd_nomem(size);
    else if (read_at(fd, at, p, (size_t)size) != (ptrdiff_t)size)
        rc = broken(name, "the directory cannot be read");
    else
        rc = read_directory(z, p, (size_t)size, count);
    vd_free(p);
    if (rc)
        vd_zip_close(z);
    return rc;
}

void vd_zip_close(struct vd_zip *z)
{
    vd_free(z->member);
    *z = (struct vd_zip){.fd = -1};
}

struct vd_zip_stream {
    const struct vd_zip *z;
    const struct vd_zip_member *m;
    uint64_t at, left; /* packed bytes that were not read */
    uint64_t done;     /* bytes that were given */
    uLong crc;         /* of them */
    z_stream inflate;
    bool inflating;
    uint8_t in[1 << 14];
};

int vd_zip_stream_open(struct vd_zip_stream **out, const struct vd_zip *z, const struct vd_zip_member *m)
{
    uint8_t head[LOCAL_SIZE];
    struct vd_zip_stream *s = vd_calloc(1, sizeof(*s));
    *out = NULL;
    if (!s)
        return vd_nomem(sizeof(*s));
    s->z = z;
    s->m = m;
    s->crc = crc32(0, NULL, 0);
    int rc = 0;
    if (read_at(z->fd, m->at, head, sizeof(head)) != sizeof(head) || le32(head) != SIGN_LOCAL)
        rc = broken(z->name, "a member is not where the directory says");
    else if (m->method && inflateInit2(&s->inflate, -MAX_WBITS) != Z_OK)
        rc = vd_nomem(1 << 16);
    else
        s->inflating = m->method != 0;
    if (rc) {
        vd_free(s);
        return rc;
    }
    s->at = m->at + LOCAL_SIZE + (uint64_t)le16(head + 26) + (uint64_t)le16(head + 28);
    s->left = m->packed;
    *out = s;
    return 0;
}

static int read_stored(struct vd_zip_stream *s, void *dst, size_t n)
{
    if (n > s->left || read_at(s->z->fd, s->at, dst, n) != (ptrdiff_t)n)
        return broken(s->z->name, "a member ends early");
    s->at += n;
    s->left -= n;
    return 0;
}

static int read_deflated(struct vd_zip_stream *s, uint8_t *p, size_t n)
{
    while (n > 0) {
        if (!s->inflate.avail_in && s->left) {
            const size_t want = s->left < sizeof(s->in) ? (size_t)s->left : sizeof(s->in);
            const int rc = read_stored(s, s->in, want);
            if (rc)
                return rc;
            s->inflate.next_in = s->in;
            s->inflate.avail_in = (uInt)want;
        }
        const size_t room = n < PIECE ? n : PIECE;
        s->inflate.next_out = p;
        s->inflate.avail_out = (uInt)room;
        const int rc = inflate(&s->inflate, Z_NO_FLUSH);
        const size_t got = room - s->inflate.avail_out;
        p += got;
        n -= got;
        if (n && rc != Z_OK) /* Z_BUF_ERROR: no byte of it is left */
            return broken(s->z->name, rc == Z_STREAM_END || rc == Z_BUF_ERROR ? "a member ends early" : "a member does not inflate");
    }
    return 0;
}

int vd_zip_read(struct vd_zip_stream *s, void *dst, size_t n)
{
    if (n > s->m->size - s->done)
        return broken(s->z->name, "a member ends early");
    const int rc = s->inflating ? read_deflated(s, dst, n) : read_stored(s, dst, n);
    if (rc)
        return rc;
    for (size_t at = 0; at < n; at += PIECE)
        s->crc = crc32(s->crc, (const uint8_t *)dst + at, (uInt)(n - at < PIECE ? n - at : PIECE));
    s->done += n;
    if (n && s->done == s->m->size && s->crc != s->m->crc)
        return broken(s->z->name, "a member does not have its checksum: copy the file again");
    return 0;
}

void vd_zip_stream_close(struct vd_zip_stream *s)
{
    if (!s)
        return;
    if (s->inflating)
        inflateEnd(&s->inflate);
    vd_free(s);
}
