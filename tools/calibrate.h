/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_CALIBRATE_H
#define VD_CALIBRATE_H

#include "cmd.h"
#include "frames.h"
#include "plan/plan.h"
#include "quant/calibration.h"

/* Clips, arrays and calibration files to one calibration. */

enum { VD_MAX_SOURCES = 4096 };

struct vd_calibrate_args {
    const char **source; /* paths; "synthetic"; a .json is a calibration that was made before */
    int n_source;
    struct vd_frames_opts frames;
    bool equalize;       /* of what is calibrated here; a calibration file brings its own */
    bool equalize_set;   /* it was asked for, or refused */
    bool quiet;
};

struct vd_calibrated {
    struct vd_calibration c;
    struct vd_onnx_model equalised;
    const struct vd_onnx_model *model; /* what c speaks of: equalised, or the source */
    const struct vd_kernels *kernels;
    struct vd_workers *workers;
};

/* The options that all calibrating commands share. */
enum { VD_OPT_CALIBRATION = 1100, VD_OPT_FRAMES, VD_OPT_SEED, VD_OPT_SIZE, VD_OPT_PIX_FMT, VD_OPT_EQUALIZE };
#define VD_CALIBRATE_OPTIONS \
    {"frames", required_argument, NULL, VD_OPT_FRAMES}, {"seed", required_argument, NULL, VD_OPT_SEED}, \
    {"size", required_argument, NULL, VD_OPT_SIZE}, {"pix-fmt", required_argument, NULL, VD_OPT_PIX_FMT}, {"pix_fmt", required_argument, NULL, VD_OPT_PIX_FMT}, \
    {"equalize", required_argument, NULL, VD_OPT_EQUALIZE}, {"threads", required_argument, NULL, VD_OPT_THREADS}, \
    {"kernels", required_argument, NULL, VD_OPT_KERNELS}
#define VD_CALIBRATE_HELP \
    "  --frames N            so many frames of each clip, drawn with the seed (default: all)\n" \
    "  --seed N              of that draw (default: 0)\n" \
    "  --size WxH            clips are raw samples of this size (default: y4m, .npy, .npz, and what\n" \
    "                        libavformat reads in builds with -Dlibav=enabled)\n" \
    "  --pix-fmt FORMAT      of raw samples, as ffmpeg names it: gray (default), yuv420p, yuv420p10le, ...\n" \
    "  --equalize on|off     cross-layer equalisation: channels of an activation are brought to one range by weights\n" \
    "                        before and behind it, the model stays the same function (default: off)\n" \
    "  --threads N           worker threads (default: as many as this process may use)\n" \
    "  --kernels NAME        kernel set: auto, c, avx2, avxvnni, avx512vnni, neon, dotprod, i8mm\n" \
    "                        (default: auto, the best that the CPU has)\n"
/* As vd_run_option(). */
int vd_calibrate_option(const struct vd_cmd *c, int opt, const char *arg, struct vd_calibrate_args *a);
void vd_calibrate_allow(struct vd_sandbox *s, const struct vd_calibrate_args *a);

/* 0, or the exit code after a message. also sees every frame, after it was observed; NULL: nobody. */
int vd_calibrate(const struct vd_onnx_model *m, const char *sha256, const struct vd_calibrate_args *a,
                 const struct vd_run_opts *run, vd_frame_fn *also, void *also_arg, struct vd_calibrated *out);
void vd_calibrated_free(struct vd_calibrated *c);

#endif
