/* SPDX-License-Identifier: BSD-2-Clause */
/* A clip: header and frames. The first byte says how the bytes come, a few at a time or all at once; what is read must not
 * depend on it. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "common/status.h"
#include "io/y4m.h"

struct source { const uint8_t *p, *end; size_t step; };

static ptrdiff_t give(void *ctx, void *dst, size_t n)
{
    struct source *s = ctx;
    size_t left = (size_t)(s->end - s->p);
    n = n < left ? n : left;
    n = n < s->step ? n : s->step;
    if (n)
        memcpy(dst, s->p, n);
    s->p += n;
    return (ptrdiff_t)n;
}

struct outcome { int rc; int64_t frames; uint64_t hash, offset; };

static struct outcome read_all(const uint8_t *data, size_t size, size_t step, bool interlaced)
{
    struct source s = {data, data + size, step};
    struct outcome o = {0};
    struct vd_y4m y;
    vd_reason_clear();
    o.rc = vd_y4m_open(&y, give, &s, "clip", interlaced);
    if (o.rc) {
        fuzz_refused(o.rc);
        return o;
    }
    MUST(y.width > 0 && y.height > 0 && y.depth >= 8 && y.depth <= 16 && (y.planes == 1 || y.planes == 3));
    MUST(y.header_size >= 10 && y.header[y.header_size - 1] == '\n' && !memcmp(y.header, data, y.header_size));
    size_t sum = 0;
    for (int i = 0; i < y.planes; i++)
        sum += y.plane_size[i];
    MUST(sum == y.frame_size && y.plane_size[0] == (size_t)y.width * (size_t)y.height * (size_t)y.bytes);
    size_t at = y.header_size;
    while ((o.rc = vd_y4m_next(&y)) == 1) {
        const size_t n = y.line_size + y.frame_size;
        MUST(n <= size - at && !memcmp(y.plane[0] - y.line_size, data + at, n)); /* what goes out again is what came in */
        for (int i = 0; i < y.planes; i++)
            o.hash = fuzz_hash(y.plane[i], y.plane_size[i], o.hash);
        at += n;
    }
    MUST(o.rc <= 0 && (o.rc < 0 || at == size)); /* the end is the end, or an error */
    MUST(y.offset <= size && y.frames >= 0 && vd_y4m_guess_frames(&y, size) >= 0);
    o.frames = y.frames;
    o.offset = y.offset;
    if (o.rc)
        fuzz_refused(o.rc);
    vd_y4m_close(&y);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const size_t step = 1 + (data[0] & 63);
    const bool interlaced = data[0] & 64;
    uint8_t *clip = fuzz_copy(data + 1, size - 1);
    fuzz_most = 1 << 20;
    fuzz_result = 0;
    struct outcome a = read_all(clip, size - 1, SIZE_MAX, interlaced), b = read_all(clip, size - 1, step, interlaced);
    MUST(a.rc == b.rc && a.frames == b.frames && a.hash == b.hash && a.offset == b.offset);
    free(clip);
    return 0;
}
