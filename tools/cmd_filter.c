/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "common/status.h"
#include "io/stream.h"
#include "io/y4m.h"

enum { OPT_CHROMA = 1, OPT_FRAMES, OPT_INTERLACED };

struct filter {
    /* What was asked for. */
    const char *model, *in, *out;
    struct vd_run_opts run;
    bool chroma, force, quiet, interlaced;
    long max_frames;
    /* What is open. */
    int fd;
    vmaf_dnn_session *luma;
    vmaf_dnn_session *small; /* for chroma of another size, so that neither plans anew for each plane; NULL: luma does it */
    struct vd_y4m clip;
    struct vd_sink sink;
    struct vd_progress progress;
    /* What happened. */
    int64_t written;
    bool warned;
};

static const char help[] =
    "Usage: vmaf-dnn filter -m MODEL|ID IN -o OUT [OPTION]...\n"
    "\n"
    "Filter the luma of every frame of a clip; chroma is copied byte for byte.\n"
    "IN and OUT are YUV4MPEG2 (.y4m), 8 to 16 bits, 4:2:0, 4:2:2, 4:4:4 or mono, any size;\n"
    "- is standard input and standard output. Header tags go through unchanged.\n"
    "\n"
    "  -m, --model MODEL   path of a .onnx file, or an id of the registry\n"
    "  -o, --output OUT    where the filtered clip goes\n"
    "  -f, --force         replace OUT when it exists\n"
    "  -q, --quiet         no progress and no closing line; warnings and errors stay\n"
    "  --chroma            filter U and V too (where their size is not luma's: a second copy of the\n"
    "                      model in memory)\n"
    "  --frames N          stop after N frames\n"
    "  --allow-interlaced  filter interlaced clips as if they were not: the two fields are mixed\n"
    VD_RUN_HELP
    "\n"
    "A file OUT is written under a temporary name beside it and gets its name when it is complete. A clip\n"
    "that ends or breaks inside a frame: the frames before it are written, exit code 3, and the message has\n"
    "frame and byte offset. A clip without a whole frame, or a model that is refused: OUT is not made.\n"
    "The closing line says which file ran, in which precision, and whether its digest was checked.\n"
    "\n"
    "Examples:\n"
    "  vmaf-dnn filter -m learned_filter_v1 in.y4m -o out.y4m\n"
    "  ffmpeg -i in.mkv -f yuv4mpegpipe -strict -1 - | vmaf-dnn filter -m learned_filter_v1 - -o - | ffmpeg -i - out.mkv\n"
    "\n"
    "Exit codes: 0 done, 2 usage or no such file, 3 the clip is broken, ends early, or is of a kind that is not taken,\n"
    "4 the model was refused, 5 no room, no memory, or nobody reads OUT.\n";

const struct vd_cmd vd_cmd_filter;

static int parse(int argc, char **argv, struct filter *f)
{
    static const struct option longs[] = {
        {"model", required_argument, NULL, 'm'},
        {"output", required_argument, NULL, 'o'},
        {"force", no_argument, NULL, 'f'},
        {"quiet", no_argument, NULL, 'q'},
        {"chroma", no_argument, NULL, OPT_CHROMA},
        {"frames", required_argument, NULL, OPT_FRAMES},
        {"allow-interlaced", no_argument, NULL, OPT_INTERLACED},
        VD_RUN_OPTIONS,
        {NULL, 0, NULL, 0},
    };
    const struct vd_cmd *c = &vd_cmd_filter;
    int opt;

    while ((opt = vd_getopt(c, argc, argv, "m:o:fq", longs)) != -1)
        switch (opt) {
        case 'm': f->model = optarg; break;
        case 'o': f->out = optarg; break;
        case 'f': f->force = true; break;
        case 'q': f->quiet = true; break;
        case OPT_CHROMA: f->chroma = true; break;
        case OPT_INTERLACED: f->interlaced = true; break;
        case OPT_FRAMES:
            if (!vd_parse_int(optarg, 1, LONG_MAX, &f->max_frames))
                return vd_usage(c, "--frames %s: give a number from 1", optarg);
            break;
        default:
            if (opt == '?' || vd_run_option(c, opt, optarg, &f->run) < 0)
                return VD_EXIT_USAGE;
        }
    if (!f->model)
        return vd_usage(c, "no model: give -m MODEL.onnx, or an id of the registry");
    if (optind == argc)
        return vd_usage(c, "no clip: name a .y4m file, or - for standard input");
    if (argc - optind > 1)
        return vd_usage(c, "one clip at a time, and '%s' is a second one", argv[optind + 1]);
    if (!f->out)
        return vd_usage(c, "no output: give -o OUT.y4m, or -o - for standard output");
    f->in = argv[optind];
    return VD_EXIT_OK;
}

static int open_input(struct filter *f)
{
    if (!strcmp(f->in, "-") && isatty(STDIN_FILENO))
        return vd_usage(&vd_cmd_filter, "standard input is a terminal: pipe a y4m clip in");
    f->fd = vd_clip_open(f->in);
    return f->fd < 0 ? vd_report_clip(f->fd) : VD_EXIT_OK;
}

/* Chroma planes of another size than luma's get a session of their own; it must be of the same bytes. */
static int open_small(struct filter *f)
{
    vmaf_dnn_info a, b;
    const struct vd_y4m *y = &f->clip;

    if (!f->chroma || y->planes == 1 || (y->plane_w[1] == y->width && y->plane_h[1] == y->height))
        return VD_EXIT_OK;
    int code = vd_open_session(f->model, &f->run, &f->small);
    if (code)
        return code;
    int rc = vmaf_dnn_session_info(f->luma, &a);
    if (!rc)
        rc = vmaf_dnn_session_info(f->small, &b);
    if (rc)
        return vd_report(rc);
    if (strcmp(a.sha256, b.sha256)) {
        vd_say(&vd_cmd_filter, "%s changed while it was opened: start again", a.file);
        return VD_EXIT_REFUSED;
    }
    return VD_EXIT_OK;
}

/* Samples with a bit above the depth become the largest of the depth. Were there any? */
static bool clamp_depth(uint16_t *p, size_t n, int depth)
{
    const uint16_t top = (uint16_t)((1u << depth) - 1);
    unsigned all = 0;

    for (size_t i = 0; i < n; i++)
        all |= p[i];
    if (all <= top)
        return false;
    for (size_t i = 0; i < n; i++)
        p[i] = p[i] < top ? p[i] : top;
    return true;
}

static int filter_plane(struct filter *f, int i)
{
    struct vd_y4m *y = &f->clip;
    vmaf_dnn_session *s = i && f->small ? f->small : f->luma;
    int w = y->plane_w[i], h = y->plane_h[i];
    ptrdiff_t stride = (ptrdiff_t)w * y->bytes;

    if (y->bytes == 1)
        return vmaf_dnn_session_run_luma8(s, y->plane[i], stride, w, h, y->plane[i], stride);

    uint16_t *p = (void *)y->plane[i]; /* aligned: see y4m.h */
    if (clamp_depth(p, y->plane_size[i] / 2, y->depth) && !f->warned) {
        vd_progress_clear(&f->progress);
        vd_say(&vd_cmd_filter, "warning: frame %" PRId64 " (the first is 0), plane %c: samples over %d, the largest of %d bits, "
               "are read as that; further ones are not reported", y->frames - 1, "YUV"[i], (1 << y->depth) - 1, y->depth);
        f->warned = true;
    }
    return vmaf_dnn_session_run_plane16(s, p, stride, w, h, p, stride, y->depth);
}

static int write_frame(struct filter *f)
{
    int rc = 0;

    if (!f->sink.is_open) {
        rc = vd_sink_open(&f->sink, f->out);
        if (!rc)
            rc = vd_y4m_put_header(&f->clip, &f->sink);
    }
    if (!rc)
        rc = vd_y4m_put_frame(&f->clip, &f->sink);
    if (!rc)
        f->written++;
    return rc;
}

static int64_t expected_frames(const struct filter *f)
{
    struct stat st;
    bool is_file = !fstat(f->fd, &st) && S_ISREG(st.st_mode) && st.st_size > 0;
    int64_t n = is_file ? vd_y4m_guess_frames(&f->clip, (uint64_t)st.st_size) : 0;

    return f->max_frames && (!n || n > f->max_frames) ? f->max_frames : n;
}

/* Frames until the end, an error, or enough of them. What was written so far is f->written. */
static int filter_frames(struct filter *f)
{
    int planes = f->chroma ? f->clip.planes : 1;

    while (!f->max_frames || f->written < f->max_frames) {
        int rc = vd_y4m_next(&f->clip);
        if (rc < 0) {
            vd_progress_end(&f->progress);
            return vd_report_clip(rc);
        }
        if (rc == 0)
            break;
        for (int i = 0; i < planes; i++)
            if ((rc = filter_plane(f, i)) < 0) {
                vd_progress_end(&f->progress);
                return vd_report(vd_context(rc, "frame %" PRId64, f->clip.frames - 1));
            }
        if ((rc = write_frame(f)) < 0) {
            vd_progress_end(&f->progress);
            return vd_report_output(rc);
        }
        vd_progress_step(&f->progress, (long)f->written);
    }
    vd_progress_end(&f->progress);
    return VD_EXIT_OK;
}

static void print_summary(const struct filter *f, double seconds)
{
    char what[512];

    vd_session_line(f->luma, what, sizeof(what));
    vd_say(&vd_cmd_filter, "%" PRId64 " frame%s %dx%d %s in %.2f s, %.1f fps; %s%s", f->written, vd_s(f->written),
           f->clip.width, f->clip.height, f->clip.chroma, seconds, seconds > 0 ? (double)f->written / seconds : 0.0, what,
           f->chroma && f->clip.planes > 1 ? ", chroma too" : "");
}

/* The frames that are there are whole, so a clip that broke keeps them under the final name; a
 * failed write or model does not. */
static int finish(struct filter *f, int code)
{
    if ((code == VD_EXIT_OK || code == VD_EXIT_CLIP) && f->written == 0) {
        vd_say(&vd_cmd_filter, "%s has no whole frame: nothing was written", strcmp(f->in, "-") ? f->in : "standard input");
        return VD_EXIT_CLIP;
    }
    if (code != VD_EXIT_OK && code != VD_EXIT_CLIP)
        return code;
    const char *where = f->sink.name;
    int rc = vd_sink_commit(&f->sink);
    if (rc)
        return vd_report_output(rc);
    if (code == VD_EXIT_CLIP)
        vd_say(&vd_cmd_filter, "the %" PRId64 " frame%s before that %s in %s", f->written, vd_s(f->written),
               f->written == 1 ? "is" : "are", where);
    return code;
}

/* The clip is open by now, and not a byte of it read. */
static int confine(struct filter *f)
{
    struct vd_sandbox s = {0};

    if (f->run.sandbox != VD_SANDBOX_OFF) {
        vd_allow_model(&s, &f->run, f->model);
        vd_sandbox_write(&s, f->out);
    }
    return vd_confine(&vd_cmd_filter, &s, &f->run);
}

static int filter_clip(struct filter *f)
{
    int code, rc;

    if ((code = open_input(f)))
        return code;
    if ((rc = vd_sink_check(f->out, f->force, f->fd)))
        return vd_report_output(rc);
    if ((code = confine(f)) || (code = vd_open_session(f->model, &f->run, &f->luma)))
        return code;
    vmaf_dnn_info info;
    if ((rc = vmaf_dnn_session_info(f->luma, &info)) || (rc = vd_refuse_model_files(f->out, &f->run, f->model, info.file)))
        return vd_report_output(rc);
    rc = vd_y4m_open(&f->clip, vd_read_fd, &f->fd, strcmp(f->in, "-") ? f->in : "standard input", f->interlaced);
    if (rc)
        return vd_report_clip(rc);
    if ((code = open_small(f)))
        return code;
    if (!f->quiet)
        vd_progress_start(&f->progress, "frame", (long)expected_frames(f));
    double start = vd_now();
    code = filter_frames(f);
    code = finish(f, code);
    if (!f->quiet && f->written && (code == VD_EXIT_OK || code == VD_EXIT_CLIP))
        print_summary(f, vd_now() - start);
    return code;
}

static int run(int argc, char **argv)
{
    struct filter f = {.fd = -1};
    int code = parse(argc, argv, &f);

    if (!code)
        code = filter_clip(&f);
    vd_sink_abort(&f.sink);
    vd_y4m_close(&f.clip);
    vmaf_dnn_session_close(f.small);
    vmaf_dnn_session_close(f.luma);
    if (f.fd > STDERR_FILENO)
        close(f.fd);
    return code;
}

const struct vd_cmd vd_cmd_filter = {"filter", "filter a y4m clip, frame by frame", help, run};
