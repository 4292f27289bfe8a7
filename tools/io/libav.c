/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>

#include "common/status.h"
#include "frames.h"

#ifdef VD_HAVE_LIBAV
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

struct clip {
    struct vd_frames_job *j;
    AVFormatContext *format;
    AVCodecContext *codec;
    struct SwsContext *scale;
    AVPacket *packet;
    AVFrame *frame, *grey;
    int stream;
    bool counting;
    uint64_t total;
    struct vd_draw draw;
};

static int failed(const struct clip *c, const char *what, int err)
{
    char text[AV_ERROR_MAX_STRING_SIZE] = "";
    av_strerror(err, text, sizeof(text));
    return vd_fail(err == AVERROR(ENOMEM) ? ENOMEM : EBADMSG, "%s: %s: %s", c->j->path, what, text);
}

static int open_clip(struct clip *c)
{
    const AVCodec *decoder = NULL;
    int err = avformat_open_input(&c->format, c->j->path, NULL, NULL);
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

static void close_clip(struct clip *c)
{
    sws_freeContext(c->scale);
    av_frame_free(&c->grey);
    av_frame_free(&c->frame);
    av_packet_free(&c->packet);
    avcodec_free_context(&c->codec);
    avformat_close_input(&c->format);
    c->scale = NULL;
}

/* Luma as it is where the format has it as a plane of its own, else by swscale. */
static int give(struct clip *c)
{
    const AVFrame *f = c->frame;
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->format);
    if (c->counting) {
        c->total++;
        return 0;
    }
    if (c->j->o->frames && !vd_draw_next(&c->draw))
        return 0;
    const uint64_t odd = AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BE | AV_PIX_FMT_FLAG_FLOAT | AV_PIX_FMT_FLAG_BITSTREAM |
                         AV_PIX_FMT_FLAG_HWACCEL;
    if (d && !(d->flags & odd) && d->comp[0].plane == 0 && d->comp[0].shift == 0 && d->comp[0].offset == 0 &&
        d->comp[0].step == (d->comp[0].depth > 8 ? 2 : 1) && d->comp[0].depth >= 8)
        return vd_frames_give_picture(c->j, f->data[0], f->linesize[0], f->width, f->height, d->comp[0].depth);
    c->scale = sws_getCachedContext(c->scale, f->width, f->height, f->format, f->width, f->height, AV_PIX_FMT_GRAY8, SWS_BICUBIC, NULL, NULL, NULL);
    av_frame_unref(c->grey);
    c->grey->format = AV_PIX_FMT_GRAY8;
    c->grey->width = f->width;
    c->grey->height = f->height;
    const int err = c->scale ? av_frame_get_buffer(c->grey, 0) : AVERROR(EINVAL);
    if (err < 0)
        return failed(c, "its pixels do not become grey", err);
    sws_scale(c->scale, (const uint8_t *const *)f->data, f->linesize, 0, f->height, c->grey->data, c->grey->linesize);
    return vd_frames_give_picture(c->j, c->grey->data[0], c->grey->linesize[0], f->width, f->height, 8);
}

static int decode(struct clip *c)
{
    int err = 0, rc = 0;
    bool ended = false;
    while (!rc) {
        err = avcodec_receive_frame(c->codec, c->frame);
        if (err >= 0) {
            rc = give(c);
            av_frame_unref(c->frame);
            continue;
        }
        if (err == AVERROR_EOF)
            return 0;
        if (err != AVERROR(EAGAIN))
            return failed(c, "it does not decode", err);
        if (!ended && (err = av_read_frame(c->format, c->packet)) < 0) {
            if (err != AVERROR_EOF)
                return failed(c, "it cannot be read on", err);
            ended = true;
        }
        if (ended || c->packet->stream_index == c->stream) {
            err = avcodec_send_packet(c->codec, ended ? NULL : c->packet);
            if (err < 0 && err != AVERROR_EOF && err != AVERROR_INVALIDDATA)
                rc = failed(c, "it does not decode", err);
        }
        if (!ended)
            av_packet_unref(c->packet);
    }
    return rc;
}

int vd_frames_libav(struct vd_frames_job *j)
{
    struct clip c = {.j = j};
    int rc = vd_frames_want_picture(j);
    av_log_set_level(AV_LOG_ERROR);
    for (int pass = j->o->frames ? 0 : 1; pass < 2 && !rc; pass++) { /* the first counts */
        c.counting = pass == 0;
        if (pass && j->o->frames)
            vd_draw_begin(&c.draw, j->o, c.total);
        rc = open_clip(&c);
        if (!rc)
            rc = decode(&c);
        close_clip(&c);
    }
    return rc;
}

#else

int vd_frames_libav(struct vd_frames_job *j)
{
    return vd_fail(ENOTSUP, "%s: neither y4m nor .npy nor .npz, and this build has no libavformat: pipe it through ffmpeg -i %s -f yuv4mpegpipe -strict -1 -, "
                   "or give --size for raw samples", j->path, j->path);
}

#endif
