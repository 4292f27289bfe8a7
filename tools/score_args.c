/* SPDX-License-Identifier: BSD-2-Clause */
#include <limits.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "score_job.h"

enum { OPT_JSON = 1, OPT_CSV, OPT_XML, OPT_TEXT, OPT_NDJSON, OPT_SUBSAMPLE, OPT_PRECISION, OPT_FRAMES, OPT_SIZE, OPT_PIX_FMT, OPT_RESIZE };
enum { MAX_PRECISION = 17, MAX_WINDOWS = 64 };

static int format_of(const char *path)
{
    const char *dot = path ? strrchr(path, '.') : NULL;
    return !dot ? VD_SCORE_TEXT : !strcasecmp(dot, ".json") ? VD_SCORE_JSON : !strcasecmp(dot, ".csv") ? VD_SCORE_CSV
         : !strcasecmp(dot, ".xml") ? VD_SCORE_XML : VD_SCORE_TEXT;
}

static int check_args(struct vd_score_job *s, int argc, char **argv)
{
    const struct vd_cmd *c = &vd_cmd_score;

    if (optind < argc)
        return vd_usage(c, "'%s' has no place here: clips are given with -d and -r", argv[optind]);
    if (!s->model)
        return vd_usage(c, "no model: give -m MODEL.onnx, or an id of the registry");
    if (!s->path[DIST])
        return vd_usage(c, "no clip: give -d CLIP, or -d - for standard input");
    if (s->path[REF] && !strcmp(s->path[REF], "-") && !strcmp(s->path[DIST], "-"))
        return vd_usage(c, "standard input cannot be both clips: name one of them");
    if (s->raw.pix_fmt && !s->raw.w)
        return vd_usage(c, "--pix-fmt is of raw samples: give --size WIDTHxHEIGHT with it");
    for (int i = DIST; i <= REF; i++)
        if (s->path[i] && !strcmp(s->path[i], "-") && isatty(STDIN_FILENO))
            return vd_usage(c, "standard input is a terminal: pipe a y4m clip in");
    if (s->out && !strcmp(s->out, "-"))
        s->out = NULL;
    if (s->ndjson && !s->out && s->format >= 0)
        return vd_usage(c, "--ndjson has standard output to itself: give -o FILE for the other format");
    if (s->format < 0)
        s->format = format_of(s->out);
    return VD_EXIT_OK;
}

int vd_score_args(int argc, char **argv, struct vd_score_job *s)
{
    static const struct option longs[] = {
        {"model", required_argument, NULL, 'm'},
        {"distorted", required_argument, NULL, 'd'},
        {"reference", required_argument, NULL, 'r'},
        {"output", required_argument, NULL, 'o'},
        {"json", no_argument, NULL, OPT_JSON},
        {"csv", no_argument, NULL, OPT_CSV},
        {"xml", no_argument, NULL, OPT_XML},
        {"text", no_argument, NULL, OPT_TEXT},
        {"ndjson", no_argument, NULL, OPT_NDJSON},
        {"subsample", required_argument, NULL, OPT_SUBSAMPLE},
        {"frames", required_argument, NULL, OPT_FRAMES},
        {"precision", required_argument, NULL, OPT_PRECISION},
        {"resize", required_argument, NULL, OPT_RESIZE},
        {"size", required_argument, NULL, OPT_SIZE},
        {"pix-fmt", required_argument, NULL, OPT_PIX_FMT},
        {"pix_fmt", required_argument, NULL, OPT_PIX_FMT}, /* as ffmpeg spells it */
        {"force", no_argument, NULL, 'f'},
        {"quiet", no_argument, NULL, 'q'},
        VD_RUN_OPTIONS,
        {NULL, 0, NULL, 0},
    };
    static const int format[] = {[OPT_JSON] = VD_SCORE_JSON, [OPT_CSV] = VD_SCORE_CSV, [OPT_XML] = VD_SCORE_XML, [OPT_TEXT] = VD_SCORE_TEXT};
    const struct vd_cmd *c = &vd_cmd_score;
    long n;
    int opt;

    while ((opt = vd_getopt(c, argc, argv, "m:d:r:o:fq", longs)) != -1)
        switch (opt) {
        case 'm': s->model = optarg; break;
        case 'd': s->path[DIST] = optarg; break;
        case 'r': s->path[REF] = optarg; break;
        case 'o': s->out = optarg; break;
        case 'f': s->force = true; break;
        case 'q': s->quiet = true; break;
        case OPT_NDJSON: s->ndjson = true; break;
        case OPT_JSON: case OPT_CSV: case OPT_XML: case OPT_TEXT:
            if (s->format >= 0 && s->format != format[opt])
                return vd_usage(c, "one of --json, --csv, --xml and --text");
            s->format = format[opt];
            break;
        case OPT_SUBSAMPLE:
            if (!vd_parse_int(optarg, 1, LONG_MAX, &s->subsample))
                return vd_usage(c, "--subsample %s: give a number from 1", optarg);
            break;
        case OPT_FRAMES:
            if (!vd_parse_int(optarg, 1, LONG_MAX, &s->max_frames))
                return vd_usage(c, "--frames %s: give a number from 1", optarg);
            break;
        case OPT_PRECISION:
            n = VD_PRECISION_MAX;
            if (strcmp(optarg, "max") && !vd_parse_int(optarg, 0, MAX_PRECISION, &n))
                return vd_usage(c, "--precision %s: 0 to %d digits behind the point, or max", optarg, MAX_PRECISION);
            s->made.precision = (int)n;
            break;
        case OPT_RESIZE:
            s->resize = optarg;
            if (!strcmp(optarg, "area") || !strcmp(optarg, "windows"))
                break;
            if (!vd_parse_size(optarg, &s->asked.cols, &s->asked.rows) || s->asked.cols > MAX_WINDOWS || s->asked.rows > MAX_WINDOWS)
                return vd_usage(c, "--resize %s: area, windows, or COLUMNSxROWS of windows, 1 to %d each", optarg, MAX_WINDOWS);
            break;
        case OPT_SIZE:
            if (!vd_parse_size(optarg, &s->raw.w, &s->raw.h))
                return vd_usage(c, "--size %s: WIDTHxHEIGHT", optarg);
            break;
        case OPT_PIX_FMT: s->raw.pix_fmt = optarg; break;
        default:
            if (opt == '?' || vd_run_option(c, opt, optarg, &s->run) < 0)
                return VD_EXIT_USAGE;
        }
    return check_args(s, argc, argv);
}
