/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/mem.h"
#include "common/status.h"
#include "io/y4m.h"

/* Bytes in exact heap memory, given out in pieces of at most step, with an error where asked for. */
struct source {
    uint8_t *data;
    size_t size, at, step, fail_at;
    int reads_after_end;
};

static ptrdiff_t read_source(void *ctx, void *dst, size_t n)
{
    struct source *s = ctx;
    size_t left = s->size - s->at;

    if (s->fail_at && s->at >= s->fail_at)
        return -EIO;
    if (!left)
        s->reads_after_end++;
    n = n < left ? n : left;
    n = n < s->step ? n : s->step;
    memcpy(dst, s->data + s->at, n);
    s->at += n;
    return (ptrdiff_t)n;
}

static struct source source(const void *data, size_t size, size_t step)
{
    struct source s = {.data = malloc(size ? size : 1), .size = size, .step = step};

    assert_non_null(s.data);
    memcpy(s.data, data, size);
    return s;
}

static int open_text(struct vd_y4m *y, const char *text, bool interlaced)
{
    struct source s = source(text, strlen(text), 1 << 16);
    int rc = vd_y4m_open(y, read_source, &s, "clip", interlaced);

    free(s.data);
    return rc;
}

static void assert_reason(const char *part)
{
    if (!strstr(vd_reason(), part))
        fail_msg("'%s' is not in '%s'", part, vd_reason());
}

static void refuse(const char *text, int rc, const char *part)
{
    struct vd_y4m y;
    int got = open_text(&y, text, false);

    if (got != rc)
        fail_msg("%s: %d, not %d", text, got, rc);
    assert_reason(part);
    assert_null(y.frame);
    assert_null(y.buffer);
}

static void test_formats(void **state)
{
    static const struct {
        const char *tag, *chroma;
        int planes, sx, sy, depth;
    } want[] = {
        {"", "420jpeg", 3, 1, 1, 8}, {" C420", "420", 3, 1, 1, 8}, {" C420jpeg", "420jpeg", 3, 1, 1, 8},
        {" C420mpeg2", "420mpeg2", 3, 1, 1, 8}, {" C420paldv", "420paldv", 3, 1, 1, 8}, {" C422", "422", 3, 1, 0, 8},
        {" C444", "444", 3, 0, 0, 8}, {" Cmono", "mono", 1, 0, 0, 8}, {" C420p9", "420p9", 3, 1, 1, 9}, {" C420p10", "420p10", 3, 1, 1, 10},
        {" C420p12", "420p12", 3, 1, 1, 12}, {" C420p14", "420p14", 3, 1, 1, 14}, {" C420p16", "420p16", 3, 1, 1, 16},
        {" C422p9", "422p9", 3, 1, 0, 9}, {" C422p10", "422p10", 3, 1, 0, 10}, {" C422p12", "422p12", 3, 1, 0, 12},
        {" C422p14", "422p14", 3, 1, 0, 14}, {" C422p16", "422p16", 3, 1, 0, 16}, {" C444p9", "444p9", 3, 0, 0, 9},
        {" C444p10", "444p10", 3, 0, 0, 10}, {" C444p12", "444p12", 3, 0, 0, 12}, {" C444p14", "444p14", 3, 0, 0, 14},
        {" C444p16", "444p16", 3, 0, 0, 16}, {" Cmono9", "mono9", 1, 0, 0, 9}, {" Cmono10", "mono10", 1, 0, 0, 10},
        {" Cmono12", "mono12", 1, 0, 0, 12}, {" Cmono14", "mono14", 1, 0, 0, 14}, {" Cmono16", "mono16", 1, 0, 0, 16},
    };
    char text[200];
    (void)state;

    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
        for (int w = 1; w <= 5; w++)
            for (int h = 1; h <= 5; h++) {
                struct vd_y4m y;
                snprintf(text, sizeof(text), "YUV4MPEG2 W%d H%d F30:1%s XYSCSS=4\n", w, h, want[i].tag);
                assert_int_equal(open_text(&y, text, false), 0);
                assert_string_equal(y.chroma, want[i].chroma);
                assert_int_equal(y.planes, want[i].planes);
                assert_int_equal(y.depth, want[i].depth);
                assert_int_equal(y.bytes, want[i].depth > 8 ? 2 : 1);
                size_t frame = 0;
                for (int p = 0; p < y.planes; p++) {
                    /* rounded up: (w + 1) / 2 */
                    int pw = p && want[i].sx ? w / 2 + w % 2 : w, ph = p && want[i].sy ? h / 2 + h % 2 : h;
                    assert_int_equal(y.plane_w[p], pw);
                    assert_int_equal(y.plane_h[p], ph);
                    assert_int_equal(y.plane_size[p], pw * ph * y.bytes);
                    assert_ptr_equal(y.plane[p], y.plane[0] + frame);
                    assert_int_equal((uintptr_t)y.plane[p] % (unsigned)y.bytes, 0);
                    frame += y.plane_size[p];
                }
                assert_int_equal(y.frame_size, frame);
                vd_y4m_close(&y);
            }
}

static void test_header_refusals(void **state)
{
    (void)state;
    refuse("", -EBADMSG, "empty");
    refuse("YUV4MPEG2", -EBADMSG, "ends inside the header (at byte 9)");
    refuse("YUV4MPEG2 W2 H2", -EBADMSG, "ends inside the header (at byte 15)");
    refuse("YUV4MPEG3 W2 H2\n", -EBADMSG, "not a y4m clip");
    refuse("YUV4MPEG2W2 H2\n", -EBADMSG, "not a y4m clip");
    refuse("RIFF....AVI ", -EBADMSG, "not a y4m clip");
    refuse("YUV4MPEG2\n", -EBADMSG, "no W tag");
    refuse("YUV4MPEG2 W2\n", -EBADMSG, "no H tag");
    refuse("YUV4MPEG2 H2\n", -EBADMSG, "no W tag");
    refuse("YUV4MPEG2 W H2\n", -EBADMSG, "'W'");
    refuse("YUV4MPEG2 W0 H2\n", -EBADMSG, "'W0'");
    refuse("YUV4MPEG2 W-2 H2\n", -EBADMSG, "'W-2'");
    refuse("YUV4MPEG2 W+2 H2\n", -EBADMSG, "'W+2'");
    refuse("YUV4MPEG2 W0x2 H2\n", -EBADMSG, "'W0x2'");
    refuse("YUV4MPEG2 W2.0 H2\n", -EBADMSG, "'W2.0'");
    refuse("YUV4MPEG2 W2 H65537\n", -ENOTSUP, "'H65537'");
    refuse("YUV4MPEG2 W2 H4294967298\n", -ENOTSUP, "'H4294967298'");
    refuse("YUV4MPEG2 W18446744073709551617 H2\n", -ENOTSUP, "at most 65536");
    refuse("YUV4MPEG2 W65536 H65536\n", -ENOTSUP, "65536x65536 is more than");
    refuse("YUV4MPEG2 W16384 H16385\n", -ENOTSUP, "more than 268435456 pixels");
    refuse("YUV4MPEG2 W2 W2 H2\n", -EBADMSG, "two W tags");
    refuse("YUV4MPEG2 W2 H2 H3\n", -EBADMSG, "two H tags");
    refuse("YUV4MPEG2 W2 H2 C420 C420\n", -EBADMSG, "two C tags");
    refuse("YUV4MPEG2 W2 H2 Ip Ip\n", -EBADMSG, "two I tags");
    refuse("YUV4MPEG2 W2 H2 C411\n", -ENOTSUP, "'C411' is not one of C: 420 420jpeg");
    refuse("YUV4MPEG2 W2 H2 C444alpha\n", -ENOTSUP, "'C444alpha'");
    refuse("YUV4MPEG2 W2 H2 C\n", -ENOTSUP, "'C'");
    refuse("YUV4MPEG2 W2 H2 C420p11\n", -ENOTSUP, "'C420p11'");
    refuse("YUV4MPEG2 W2 H2 C420P10\n", -ENOTSUP, "'C420P10'");
    refuse("YUV4MPEG2 W2 H2 C420jpegp10\n", -ENOTSUP, "'C420jpegp10'");
    refuse("YUV4MPEG2 W2 H2 It\n", -ENOTSUP, "'It'");
    refuse("YUV4MPEG2 W2 H2 Ib\n", -ENOTSUP, "--allow-interlaced");
    refuse("YUV4MPEG2 W2 H2 Im\n", -ENOTSUP, "'Im'");
    refuse("YUV4MPEG2 W2 H2 Iq\n", -EBADMSG, "'Iq'");
    refuse("YUV4MPEG2 W2 H2 I\n", -EBADMSG, "'I'");
    refuse("YUV4MPEG2 W2 H2 Itt\n", -EBADMSG, "'Itt'");
    refuse("YUV4MPEG2 W2 H2\r\n", -EBADMSG, "control byte 0x0d");
    refuse("YUV4MPEG2 W2\tH2\n", -EBADMSG, "control byte 0x09");
    refuse("YUV4MPEG2 W2 H2 X\x7f\n", -EBADMSG, "control byte 0x7f");

    struct vd_y4m y;
    struct source s = source("YUV4MPEG2 W2 H2 X\0\n", 19, 100);
    assert_int_equal(vd_y4m_open(&y, read_source, &s, "clip", false), -EBADMSG);
    assert_reason("control byte 0x00");
    free(s.data);
}

static void test_interlaced_allowed(void **state)
{
    static const char *const tags[] = {"It", "Ib", "Im", "Ip", "I?"};
    char text[64];
    (void)state;

    for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
        struct vd_y4m y;
        snprintf(text, sizeof(text), "YUV4MPEG2 W2 H2 %s\n", tags[i]);
        assert_int_equal(open_text(&y, text, true), 0);
        vd_y4m_close(&y);
        assert_int_equal(open_text(&y, text, false), i < 3 ? -ENOTSUP : 0);
        vd_y4m_close(&y);
    }
}

/* Up to 4096 bytes with the line end, and not one more; an endless line is given up, not read. */
static void test_header_length(void **state)
{
    (void)state;
    for (size_t size = VD_Y4M_MAX_LINE - 1; size <= VD_Y4M_MAX_LINE + 1; size++) {
        struct vd_y4m y;
        char *text = malloc(size);
        memset(text, 'x', size);
        memcpy(text, "YUV4MPEG2 W3 H1 X", 17);
        text[size - 1] = '\n';
        struct source s = source(text, size, 777);
        int rc = vd_y4m_open(&y, read_source, &s, "clip", false);
        assert_int_equal(rc, size <= VD_Y4M_MAX_LINE ? 0 : -EBADMSG);
        if (rc)
            assert_reason("longer than 4096 bytes");
        vd_y4m_close(&y);
        free(s.data);
        free(text);
    }
}

#define HEADER "YUV4MPEG2  W3 H3 F25:1 A1:1 C420jpeg Qnew XYSCSS=420JPEG XCOLORRANGE=LIMITED\n"
#define FRAME_0 "FRAME\n"
#define FRAME_1 "FRAME Ip Xabc\n"
enum { SAMPLES = 9 + 4 + 4 };

static size_t make_clip(uint8_t *dst)
{
    uint8_t *p = dst;

    p = (uint8_t *)memcpy(p, HEADER, strlen(HEADER)) + strlen(HEADER);
    for (int f = 0; f < 3; f++) {
        const char *line = f == 1 ? FRAME_1 : FRAME_0;
        p = (uint8_t *)memcpy(p, line, strlen(line)) + strlen(line);
        for (int i = 0; i < SAMPLES; i++)
            *p++ = (uint8_t)(f == 2 ? '\n' : f * 100 + i); /* samples that look like line ends, too */
    }
    return (size_t)(p - dst);
}

static void test_through(void **state)
{
    uint8_t clip[1000];
    size_t size = make_clip(clip);
    (void)state;

    for (size_t step = 1; step < 200; step = step * 2 + 1) {
        struct source s = source(clip, size, step);
        struct vd_y4m y;
        struct vd_sink out;
        uint8_t back[1000];
        int fd = memfd_create("out", 0), n = 0;
        char path[64];

        assert_true(fd >= 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        assert_int_equal(vd_sink_open(&out, path), 0);
        assert_true(out.direct);
        assert_int_equal(vd_y4m_open(&y, read_source, &s, "clip", false), 0);
        assert_int_equal(vd_y4m_put_header(&y, &out), 0);
        assert_int_equal(vd_y4m_guess_frames(&y, size), 3);
        while (vd_y4m_next(&y) == 1) {
            assert_int_equal(y.plane[1][0], n == 2 ? '\n' : n * 100 + 9);
            assert_int_equal(vd_y4m_put_frame(&y, &out), 0);
            n++;
        }
        assert_int_equal(n, 3);
        assert_int_equal(y.frames, 3);
        assert_int_equal(y.offset, size);
        assert_int_equal(vd_sink_commit(&out), 0);
        assert_int_equal(pread(fd, back, sizeof(back), 0), size);
        assert_memory_equal(back, clip, size);
        close(fd);
        vd_y4m_close(&y);
        free(s.data);
    }
}

/* Every length of the clip: which frames come, and what is said. */
static void test_truncation(void **state)
{
    uint8_t clip[1000];
    size_t size = make_clip(clip), header = strlen(HEADER);
    size_t end[4] = {header, header + strlen(FRAME_0) + SAMPLES, 0, size};
    char want[100];
    (void)state;

    end[2] = end[1] + strlen(FRAME_1) + SAMPLES;
    for (size_t n = 0; n < size; n++) {
        struct source s = source(clip, n, 5);
        struct vd_y4m y;
        int rc = vd_y4m_open(&y, read_source, &s, "clip", false);
        if (n < header) {
            assert_int_equal(rc, -EBADMSG);
            free(s.data);
            continue;
        }
        assert_int_equal(rc, 0);
        int frames = n >= end[2] ? 2 : n >= end[1] ? 1 : 0;
        for (int i = 0; i < frames; i++)
            assert_int_equal(vd_y4m_next(&y), 1);
        rc = vd_y4m_next(&y);
        assert_int_equal(y.frames, frames);
        assert_int_equal(rc, n == end[frames] ? 0 : -EBADMSG);
        if (rc) {
            const char *line = frames == 1 ? FRAME_1 : FRAME_0;
            size_t in_frame = n - end[frames];
            if (in_frame < strlen(line))
                snprintf(want, sizeof(want), "clip: ends inside the header of frame %d (at byte %zu;", frames, n);
            else
                snprintf(want, sizeof(want), "clip: ends inside frame %d (at byte %zu: %zu of its %d bytes", frames, n, in_frame - strlen(line),
                         SAMPLES);
            assert_reason(want);
        }
        vd_y4m_close(&y);
        free(s.data);
    }
}

static void test_broken_frames(void **state)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"FRAMX\n", "frame 1 does not begin with FRAME (at byte 23"},
        {"FRAME2\nabc", "frame 1 does not begin with FRAME"},
        {"frame\n", "frame 1 does not begin with FRAME"},
        {"\n", "frame 1 does not begin with FRAME"},
        {"YUV4MPEG2 W1 H1\n", "frame 1 does not begin with FRAME"},
        {"FRAME\rX\n", "frame 1 does not begin with FRAME"},
        {"FRAME X\x01\n.", "control byte 0x01"},
    };
    struct vd_y4m y;
    (void)state;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[100];
        snprintf(text, sizeof(text), "YUV4MPEG2 W1 H1\nFRAME\nabc%s", bad[i].text); /* 16 + 6 + 1 + 2 chroma bytes */
        text[22 + 1] = 'u';
        struct source s = source(text, strlen(text), 3);
        assert_int_equal(vd_y4m_open(&y, read_source, &s, "clip", false), 0);
        assert_int_equal(vd_y4m_next(&y), 1);
        assert_int_equal(vd_y4m_next(&y), -EBADMSG);
        if (i == 0)
            assert_reason("frame 1 does not begin with FRAME (at byte 25;");
        else
            assert_reason(bad[i].why);
        vd_y4m_close(&y);
        free(s.data);
    }

    char *endless = malloc(10000);
    memset(endless, 'y', 10000);
    memcpy(endless, "YUV4MPEG2 W1 H1 Cmono\nFRAME ", 28);
    struct source s = source(endless, 10000, 1000);
    assert_int_equal(vd_y4m_open(&y, read_source, &s, "clip", false), 0);
    assert_int_equal(vd_y4m_next(&y), -EBADMSG);
    assert_reason("header of frame 0 is longer than 4096 bytes (at byte 22;");
    vd_y4m_close(&y);
    free(s.data);
    free(endless);
}

/* A failing disk is not the end of the clip. */
static void test_read_errors(void **state)
{
    uint8_t clip[1000];
    size_t size = make_clip(clip);
    (void)state;

    for (size_t at = 1; at < size; at++) {
        struct source s = source(clip, size, 1);
        struct vd_y4m y;
        s.fail_at = at;
        int rc = vd_y4m_open(&y, read_source, &s, "clip", false);
        while (!rc && (rc = vd_y4m_next(&y)) == 1)
            rc = 0;
        assert_int_equal(rc, -EIO);
        assert_reason("cannot read at byte");
        vd_y4m_close(&y);
        free(s.data);
    }
}

static void test_no_memory(void **state)
{
    struct vd_y4m y;
    int rc = -ENOMEM;
    (void)state;

    for (size_t k = 1; rc == -ENOMEM; k++) {
        vd_mem_fail_at(k, 0);
        rc = open_text(&y, "YUV4MPEG2 W4 H4\n", false);
        vd_mem_fail_at(0, 0);
        assert_true(k < 10);
        if (k == 1)
            assert_int_equal(rc, -ENOMEM);
        vd_y4m_close(&y);
    }
    assert_int_equal(rc, 0);
}

/* Random damage: whatever comes, the reader ends, and what it gives out is whole frames. */
static void test_damage(void **state)
{
    uint8_t clip[1000], hurt[1000];
    size_t size = make_clip(clip);
    unsigned seed = 12345;
    (void)state;

    for (int round = 0; round < 20000; round++) {
        memcpy(hurt, clip, size);
        for (int k = 0; k < 1 + round % 4; k++) {
            seed = seed * 1664525u + 1013904223u;
            static const char likely[] = "\n \r0123456789WHCIXFRAMEpmono\x00\xff";
            hurt[(seed >> 8) % (round % 2 ? size : strlen(HEADER))] = (uint8_t)likely[(seed >> 24) % (sizeof(likely) - 1)];
        }
        struct source s = source(hurt, size, 1 + seed % 50);
        struct vd_y4m y;
        int rc = vd_y4m_open(&y, read_source, &s, "clip", round % 3 == 0);
        if (!rc) {
            assert_true(y.width >= 1 && y.height >= 1 && (int64_t)y.width * y.height <= VD_Y4M_MAX_PIXELS);
            while ((rc = vd_y4m_next(&y)) == 1)
                assert_true(y.offset <= size);
        }
        assert_true(rc == 0 || rc == -EBADMSG || rc == -ENOTSUP);
        vd_y4m_close(&y);
        free(s.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),       cmocka_unit_test(test_header_refusals), cmocka_unit_test(test_interlaced_allowed),
        cmocka_unit_test(test_header_length), cmocka_unit_test(test_through),         cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_broken_frames), cmocka_unit_test(test_read_errors),     cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
