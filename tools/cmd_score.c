/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"
#include "score_job.h"
#include "session.h"

static const char help[] =
    "Usage: vmaf-dnn score -m MODEL|ID -d CLIP [-r CLIP] [OPTION]...\n"
    "\n"
    "Score every frame of a clip with a model that makes numbers of pictures, and pool: mean, harmonic mean, min, max and\n"
    "the percentiles 1, 5, 10, 25 and 50. A model with one input sees the distorted clip; a model with two also the\n"
    "reference, and knows them by name (ref or reference, dist or distorted), else takes the reference first.\n"
    "\n"
    "  -m, --model MODEL   path of a .onnx file, or an id of the registry\n"
    "  -d, --distorted CLIP   what is rated: y4m (- is standard input), .npy pictures, raw with --size, what libavformat\n"
    "                      reads in builds with -Dlibav=enabled\n"
    "  -r, --reference CLIP   what it is compared with, of the same size and length\n"
    "  -o, --output FILE   where the scores go (default: standard output)\n"
    "  --json, --csv, --xml   in the shape of the vmaf tool's (default: by FILE's ending, else text for people)\n"
    "  --text              that text, whatever FILE ends in\n"
    "  --ndjson            a line of JSON for each frame on standard output as it is scored; the last has the pooled figures\n"
    "  --subsample N       score every N-th frame, beginning with the first (default: 1)\n"
    "  --frames N          stop after N frames of the clip\n"
    "  --resize HOW        how frames come to a model of one size: area (shrunk to it), windows (parts of them as they are,\n"
    "                      at most 4x3, and the score is their mean), or COLUMNSxROWS of windows\n"
    "                      (default: as the sidecar says; area)\n"
    "  --precision N|max   digits behind the point (default: 6); max: as many as bring the same number back\n"
    "  --size WxH          clips are raw samples of this size\n"
    "  --pix-fmt FORMAT    of raw samples, as ffmpeg names it: gray (default), yuv420p, yuv420p10le, ...\n"
    "  -f, --force         replace FILE when it exists\n"
    "  -q, --quiet         no progress and no closing line; warnings and errors stay\n"
    VD_RUN_HELP
    "\n"
    "Models take luma, v / (2^bits - 1), as float pictures [N,1,H,W]. Where height and width are numbers, frames are brought\n"
    "to them by area; where the sidecar names \"resize\", to its width and height, by area or cut into windows; else the\n"
    "model sees frames as they are.\n"
    "\n"
    "A clip that breaks, or ends before the other: the frames before are scored and written with \"complete\": false, exit\n"
    "code 3, and the message has frame and byte offset. Scores that are not numbers are null, and named.\n"
    "\n"
    "Examples:\n"
    "  vmaf-dnn score -m nr_metric_v1 -d out.y4m\n"
    "  ffmpeg -i out.mp4 -f yuv4mpegpipe -strict -1 - | vmaf-dnn score -m nr_metric_v1 -d - -o scores.json\n"
    "\n"
    "Exit codes: 0 done, 1 a score is not a number, 2 usage, no such file, or clips of different sizes, 3 a clip is broken,\n"
    "ends early, or is of a kind that is not taken, 4 the model was refused, 5 no room, no memory, or nobody reads the\n"
    "output.\n";

/* --- standard output */

static int print(struct vd_buf *b)
{
    int rc = b->bad ? vd_nomem(b->cap) : 0;
    if (!rc && (fwrite(b->data, 1, b->size, stdout) != b->size || fflush(stdout)))
        rc = vd_fail(errno, "standard output: %s", strerror(errno));
    b->size = 0;
    return rc;
}

static int print_line(struct vd_score_job *s, void (*put)(struct vd_buf *, const struct vd_scores *, size_t), size_t i)
{
    struct vd_buf b = {0};
    if (i == 0)
        vd_scores_put_model(&b, &s->made);
    put(&b, &s->made, i);
    const int rc = print(&b);
    vd_free(b.data);
    return rc;
}

/* --- the clip */

static const char *side_name(int i) { return i == REF ? "the reference" : "the distorted clip"; }

static int sizes_differ(const struct vd_score_job *s)
{
    const struct vd_luma_clip *d = &s->clip[DIST], *r = &s->clip[REF];
    vd_say(&vd_cmd_score, "%s%s is %dx%d and %s %dx%d%s: scale one of them first", d->frames > 1 ? "from here on, " : "", r->name, r->w, r->h, d->name, d->w, d->h,
           d->frames > 1 ? ", after frames of one size" : "");
    return s->made.n ? VD_EXIT_CLIP : VD_EXIT_USAGE;
}

/* The next picture of every clip. 1, 0 at the end of all, or -1 and *code after a message. */
static int next_pictures(struct vd_score_job *s, bool wanted, int *code)
{
    const int n = s->path[REF] ? 2 : 1;
    int got[2] = {0, 0};

    for (int i = 0; i < n; i++)
        if ((got[i] = vd_luma_next(&s->clip[i], wanted)) < 0) {
            vd_progress_end(&s->progress);
            *code = vd_report_clip(got[i]);
            return -1;
        }
    if (n == 2 && got[0] != got[1]) {
        const int ended = got[DIST] ? REF : DIST;
        vd_progress_end(&s->progress);
        vd_say(&vd_cmd_score, "%s, %s, ends at frame %" PRId64 ", byte offset %" PRIu64 ", and %s goes on", side_name(ended), s->clip[ended].name,
               s->clip[ended].frames, vd_luma_offset(&s->clip[ended]), side_name(!ended));
        *code = VD_EXIT_CLIP;
        return -1;
    }
    if (n == 2 && got[0] && wanted && (s->clip[REF].w != s->clip[DIST].w || s->clip[REF].h != s->clip[DIST].h)) {
        vd_progress_end(&s->progress);
        *code = sizes_differ(s);
        return -1;
    }
    return got[0];
}

static int score_frames(struct vd_score_job *s)
{
    const struct vd_luma_clip *c = &s->clip[DIST];
    int code = VD_EXIT_OK, rc;

    while (!s->max_frames || c->frames < s->max_frames) {
        const bool wanted = c->frames % s->subsample == 0;
        const int got = next_pictures(s, wanted, &code);
        if (got < 0)
            return code;
        if (!got)
            break;
        if (!wanted)
            continue;
        if (!s->made.n) {
            s->made.w = c->w;
            s->made.h = c->h;
        }
        if ((rc = vd_score_picture(s))) {
            vd_progress_end(&s->progress);
            return vd_report(vd_context(rc, "frame %" PRId64, c->frames - 1));
        }
        if (s->ndjson && (rc = print_line(s, vd_scores_put_frame, s->made.n - 1))) {
            vd_progress_end(&s->progress);
            return vd_report_output(rc);
        }
        vd_progress_step(&s->progress, (long)c->frames);
    }
    vd_progress_end(&s->progress);
    return VD_EXIT_OK;
}

/* --- what comes of it */

static int write_scores(struct vd_score_job *s)
{
    struct vd_buf b = {0};
    int rc = 0;

    if (s->ndjson && !(rc = vd_scores_put_end(&b, &s->made)))
        rc = print(&b);
    if (!rc && (s->out || !s->ndjson))
        rc = vd_scores_put(&b, &s->made, (enum vd_score_format)s->format);
    if (!rc && s->out) {
        rc = vd_sink_open(&s->sink, s->out);
        if (!rc)
            rc = vd_sink_write(&s->sink, b.data, b.size);
        if (!rc)
            rc = vd_sink_commit(&s->sink);
    } else if (!rc && !s->ndjson) {
        rc = print(&b);
    }
    vd_free(b.data);
    return rc ? vd_report_output(rc) : VD_EXIT_OK;
}

/* Are all numbers numbers? */
static bool name_nans(const struct vd_score_job *s)
{
    bool all = true;

    for (size_t m = 0; m < s->made.n_metric; m++) {
        size_t bad = 0, first = 0;
        for (size_t i = 0; i < s->made.n; i++)
            if (!isfinite(s->value[i * s->made.n_metric + m]) && !bad++)
                first = i;
        if (bad)
            vd_say(&vd_cmd_score, "%s is not a number on %zu of %zu frame%s, the first of them frame %" PRId64 ": there it is null, and so are its pooled figures",
                   s->metric[m], bad, s->made.n, vd_s((long long)s->made.n), s->frame[first]);
        all = all && !bad;
    }
    return all;
}

static void print_summary(const struct vd_score_job *s, double seconds)
{
    char what[512], size[64] = "";
    struct vd_pooled p;

    vd_session_line(s->session, what, sizeof(what));
    if (s->made.resize)
        snprintf(size, sizeof(size), " at %dx%d by %s", s->made.in_w, s->made.in_h, s->made.resize);
    if (vd_scores_pool(&s->made, 0, &p))
        p.mean = NAN;
    vd_say(&vd_cmd_score, "%zu frame%s %dx%d%s in %.2f s, %.1f fps; %s; mean %s %.6g", s->made.n, vd_s((long long)s->made.n), s->made.w, s->made.h, size, seconds,
           s->made.fps, what, s->metric[0], p.mean);
}

static int finish(struct vd_score_job *s, int code)
{
    const double seconds = vd_now() - s->start;

    if ((code == VD_EXIT_OK || code == VD_EXIT_CLIP) && !s->made.n) {
        vd_say(&vd_cmd_score, "%s: no frame was scored, and nothing written", s->clip[DIST].name);
        return VD_EXIT_CLIP;
    }
    if (code != VD_EXIT_OK && code != VD_EXIT_CLIP)
        return code;
    s->made.complete = code == VD_EXIT_OK;
    s->made.fps = seconds > 0 ? (double)s->made.n / seconds : NAN;
    const int written = write_scores(s);
    if (written)
        return written;
    if (code == VD_EXIT_CLIP)
        vd_say(&vd_cmd_score, "the %zu frame%s that %s scored before that %s written, marked as incomplete", s->made.n, vd_s((long long)s->made.n),
               s->made.n == 1 ? "was" : "were", s->made.n == 1 ? "is" : "are");
    const bool numbers = name_nans(s);
    if (!s->quiet)
        print_summary(s, seconds);
    return code == VD_EXIT_OK && !numbers ? VD_EXIT_NO : code;
}

/* The clips are open by now, and not a byte of them read. */
static int confine(struct vd_score_job *s)
{
    struct vd_sandbox box = {0};

    if (s->run.sandbox != VD_SANDBOX_OFF) {
        vd_allow_model(&box, &s->run, s->model);
        for (int i = DIST; i <= REF; i++)
            if (s->path[i] && strcmp(s->path[i], "-"))
                vd_sandbox_read(&box, s->path[i]); /* arrays and libavformat open them again */
        if (s->out)
            vd_sandbox_write(&box, s->out);
    }
    return vd_confine(&vd_cmd_score, &box, &s->run);
}

static int open_clips(struct vd_score_job *s)
{
    for (int i = DIST; i <= REF; i++) {
        const int rc = s->path[i] ? vd_luma_open(&s->clip[i], s->path[i]) : 0;
        if (rc)
            return vd_report_output(rc);
    }
    if (s->path[REF] && s->out && vd_file_same(s->out, s->path[REF]))
        return vd_usage(&vd_cmd_score, "%s is an input and the output: give the output another name", s->out);
    const int rc = s->out ? vd_sink_check(s->out, s->force, s->clip[DIST].fd) : 0;
    return rc ? vd_report_output(rc) : VD_EXIT_OK;
}

static int begin_clips(struct vd_score_job *s)
{
    for (int i = DIST; i <= REF; i++) {
        const int rc = s->path[i] ? vd_luma_begin(&s->clip[i], &s->raw) : 0;
        if (rc)
            return vd_report_clip(rc);
    }
    const struct vd_luma_clip *d = &s->clip[DIST], *r = &s->clip[REF];
    return s->path[REF] && d->w && r->w && (d->w != r->w || d->h != r->h) ? sizes_differ(s) : VD_EXIT_OK;
}

static int score_clip(struct vd_score_job *s)
{
    int code, rc;

    if ((code = open_clips(s)) || (code = confine(s)) || (code = vd_open_session(s->model, &s->run, &s->session)))
        return code;
    if ((rc = vmaf_dnn_session_info(s->session, &s->info)))
        return vd_report(rc);
    if (s->out && (rc = vd_refuse_model_files(s->out, &s->run, s->model, s->info.file)))
        return vd_report_output(rc);
    if ((code = vd_score_model(s)) || (code = begin_clips(s)))
        return code;
    if (!s->quiet) {
        const int64_t n = s->clip[DIST].expected;
        vd_progress_start(&s->progress, "frame", (long)(s->max_frames && (!n || n > s->max_frames) ? s->max_frames : n));
    }
    s->start = vd_now();
    return finish(s, score_frames(s));
}

static int run(int argc, char **argv)
{
    struct vd_score_job s = {.format = -1, .subsample = 1, .made = {.precision = 6}};
    int code = vd_score_args(argc, argv, &s);

    if (!code)
        code = score_clip(&s);
    vd_sink_abort(&s.sink);
    for (int i = DIST; i <= REF; i++) {
        vd_luma_close(&s.clip[i]);
        vd_free(s.plane[i]);
    }
    vd_free(s.metric);
    vd_free(s.frame);
    vd_free(s.value);
    vd_free(s.output);
    vmaf_dnn_session_close(s.session);
    return code;
}

const struct vd_cmd vd_cmd_score = {"score", "rate a clip, frame by frame, with a model that makes numbers", help, run};
