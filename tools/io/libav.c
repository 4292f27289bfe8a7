/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/libav.h"

#include <errno.h>

#include "common/mem.h"
#include "common/status.h"
#include "frames.h"

#ifdef VD_HAVE_LIBAV
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

struct vd_libav {
    const char *path;
    bool strict, ended;
    AVFormatContext *format;
    AVCodecContext *codec;
    struct SwsContext *scale;
    AVPacket *packet;
    AVFrame *frame, *grey;
    int stream;
    int64_t packets, pictures;
};

static int failed(const struct vd_libav *c, const char *what, int err)
{
    char text[AV_ERROR_MAX_STRING_SIZE] = "";
    av_strerror(err, text, sizeof(text));
    if (c->packets)
        return vd_fail(err == AVERROR(ENOMEM) ? ENOMEM : EBADMSG, "%s: frame %lld, byte offset %llu: %s: %s", c->path, (long long)c->pictures,
                       (unsigned long long)vd_libav_offset(c), what, text);
    return vd_fail(err == AVERROR(ENOMEM) ? ENOMEM : EBADMSG, "%s: %s: %s", c->path, what, text);
}

uint64_t vd_libav_offset(const struct vd_libav *c)
{
    const int64_t at = c->format && c->format->pb ? avio_tell(c->format->pb) : 0;
    return at > 0 ? (uint64_t)at : 0;
}

static int open_clip(struct vd_libav *c)
{
    const AVCodec *decoder = NULL;
    int err = avformat_open_input(&c->format, c->path, NULL, NULL);
    if (err >= 0)
        err = avformat_find_stream_info(c->format, NULL);
    if (err < 0)
        return failed(c, "libavformat does not read it", err);
    c->stream = av_find_best_stream(c->format, AVMEDIA_TYPE_VIDEO, -1, -1, &decoder, 0);
    if (c->stream < 0)
        return failed(c, "no video in it", c->stream);
    c->codec = avcodec_alloc_context3(decoder);
    c->packet = av_packet_alloc();
    c->frame = av_frame_alloc();
    c->grey = av_frame_alloc();
    if (!c->codec || !c->packet || !c->frame || !c->grey)
        return vd_nomem(sizeof(AVFrame));
    err = avcodec_parameters_to_context(c->codec, c->format->streams[c->stream]->codecpar);
    c->codec->thread_count = 1; /* the same frames either way, and less memory */
    if (err >= 0)
        err = avcodec_open2(c->codec, decoder, NULL);
    return err < 0 ? failed(c, "its decoder does not open", err) : 0;
}

void vd_libav_close(struct vd_libav *c)
{
    if (!c)
        return;
    sws_freeContext(c->scale);
    av_frame_free(&c->grey);
    av_frame_free(&c->frame);
    av_packet_free(&c->packet);
    avcodec_free_context(&c->codec);
    avformat_close_input(&c->format);
    vd_free(c);
}

int vd_libav_open(struct vd_libav **out, const char *path, bool strict)
{
    *out = NULL;
    struct vd_libav *c = vd_calloc(1, sizeof(*c));
    if (!c)
        return vd_nomem(sizeof(*c));
    c->path = path;
    c->strict = strict;
    av_log_set_level(strict ? AV_LOG_FATAL : AV_LOG_ERROR); /* strict says itself what is wrong */
    const int rc = open_clip(c);
    if (rc)
        vd_libav_close(c);
    else
        *out = c;
    return rc;
}

/* Luma as it is where the format has it as a plane of its own, else by swscale. */
static int take(struct vd_libav *c, struct vd_libav_picture *p)
{
    const AVFrame *f = c->frame;
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->format);
    const uint64_t odd = AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BE | AV_PIX_FMT_FLAG_FLOAT | AV_PIX_FMT_FLAG_BITSTREAM |
                         AV_PIX_FMT_FLAG_HWACCEL;
    if (d && !(d->flags & odd) && d->comp[0].plane == 0 && d->comp[0].shift == 0 && d->comp[0].offset == 0 &&
        d->comp[0].step == (d->comp[0].depth > 8 ? 2 : 1) && d->comp[0].depth >= 8) {
        *p = (struct vd_libav_picture){f->data[0], f->linesize[0], f->width, f->height, d->comp[0].depth};
        return 1;
    }
    if (c->strict)
        return vd_fail(ENOTSUP, "%s: its pixels are %s, without a plane of luma: pipe it through ffmpeg -i %s -pix_fmt yuv420p -f yuv4mpegpipe -",
                       c->path, d ? d->name : "unknown", c->path);
    c->scale = sws_getCachedContext(c->scale, f->width, f->height, f->format, f->width, f->height, AV_PIX_FMT_GRAY8, SWS_BICUBIC, NULL, NULL, NULL);
    av_frame_unref(c->grey);
    c->grey->format = AV_PIX_FMT_GRAY8;
    c->grey->width = f->width;
    c->grey->height = f->height;
    const int err = c->scale ? av_frame_get_buffer(c->grey, 0) : AVERROR(EINVAL);
    if (err < 0)
        return failed(c, "its pixels do not become grey", err);
    sws_scale(c->scale, (const uint8_t *const *)f->data, f->linesize, 0, f->height, c->grey->data, c->grey->linesize);
    *p = (struct vd_libav_picture){c->grey->data[0], c->grey->linesize[0], f->width, f->height, 8};
    return 1;
}

/* The index has every packet of mp4 and avi, and some of others: a file that ends before it was cut. */
static bool ends_early(const struct vd_libav *c)
{
    return c->strict && c->packets < avformat_index_get_entries_count(c->format->streams[c->stream]);
}

/* One more packet to the decoder, or the news that there are no more. */
static int feed(struct vd_libav *c)
{
    int err = av_read_frame(c->format, c->packet);
    if (err < 0 && err != AVERROR_EOF)
        return failed(c, "it cannot be read on", err);
    c->ended = err < 0;
    if (c->ended && ends_early(c)) /* what the decoder still holds may lack pictures in between, so it is not asked for it */
        return failed(c, "it ends before its index does", AVERROR_EOF);
    if (!c->ended && c->packet->stream_index != c->stream) {
        av_packet_unref(c->packet);
        return 0;
    }
    c->packets += !c->ended;
    const bool torn = !c->ended && (c->packet->flags & AV_PKT_FLAG_CORRUPT);
    err = avcodec_send_packet(c->codec, c->ended ? NULL : c->packet);
    av_packet_unref(c->packet);
    if (c->strict && torn)
        return failed(c, "a packet is damaged or cut", AVERROR_INVALIDDATA);
    if (err < 0 && err != AVERROR_EOF && (c->strict || err != AVERROR_INVALIDDATA))
        return failed(c, "it does not decode", err);
    return 0;
}

int vd_libav_next(struct vd_libav *c, struct vd_libav_picture *p)
{
    int err, rc;
    av_frame_unref(c->frame);
    while ((err = avcodec_receive_frame(c->codec, c->frame)) == AVERROR(EAGAIN))
        if ((rc = feed(c)))
            return rc;
    if (err == AVERROR_EOF)
        return 0;
    if (err < 0)
        return failed(c, "it does not decode", err);
    if (c->strict && ((c->frame->flags & AV_FRAME_FLAG_CORRUPT) || c->frame->decode_error_flags))
        return failed(c, "the picture is damaged", AVERROR_INVALIDDATA);
    rc = p ? take(c, p) : 1;
    c->pictures += rc == 1;
    return rc;
}

#else

int vd_libav_open(struct vd_libav **out, const char *path, bool strict)
{
    (void)strict;
    *out = NULL;
    return vd_fail(ENOTSUP, "%s: neither y4m nor .npy nor .npz, and this build has no libavformat: pipe it through ffmpeg -i %s -f yuv4mpegpipe -strict -1 -, "
                   "or give --size for raw samples", path, path);
}

int vd_libav_next(struct vd_libav *c, struct vd_libav_picture *p)
{
    (void)c;
    (void)p;
    return 0;
}

void vd_libav_close(struct vd_libav *c) { (void)c; }

uint64_t vd_libav_offset(const struct vd_libav *c)
{
    (void)c;
    return 0;
}

#endif

int vd_frames_libav(struct vd_frames_job *j)
{
    struct vd_draw draw = {0};
    struct vd_libav_picture p;
    struct vd_libav *c;
    uint64_t total = 0;
    int rc = vd_frames_want_picture(j);
    for (int pass = j->o->frames ? 0 : 1; pass < 2 && !rc; pass++) { /* the first counts */
        if (pass && j->o->frames)
            vd_draw_begin(&draw, j->o, total);
        if ((rc = vd_libav_open(&c, j->path, false)))
            break;
        for (bool wanted; !rc; ) {
            wanted = pass && (!j->o->frames || vd_draw_next(&draw));
            const int got = vd_libav_next(c, wanted ? &p : NULL);
            if (got <= 0) {
                rc = got;
                break;
            }
            total += !pass;
            if (wanted)
                rc = vd_frames_give_picture(j, p.data, p.stride, p.w, p.h, p.depth);
        }
        vd_libav_close(c);
    }
    return rc;
}
