/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_CMD_H
#define VD_CMD_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

#include "sandbox.h"
#include "vmaf_dnn/vmaf_dnn.h"

/* Exit codes of every subcommand but gate (which has ADR-0174's 0, 1 and 2). */
enum {
    VD_EXIT_OK = 0,
    VD_EXIT_NO = 1,      /* a verdict said no */
    VD_EXIT_USAGE = 2,   /* usage, or a file that is not there */
    VD_EXIT_CLIP = 3,    /* a clip, an array or a calibration that is broken, ends early, or is of a kind that is not taken */
    VD_EXIT_REFUSED = 4, /* a model that was refused */
    VD_EXIT_ROOM = 5,    /* no room or no memory, a read or write that failed, or nobody reads the output (no message then) */
};

/* One subcommand: cmd_NAME.c defines `const struct vd_cmd vd_cmd_NAME`, and
 * commands.h lists it. argv[0] is the subcommand's name. --help is answered before run. */
struct vd_cmd {
    const char *name;
    const char *summary; /* one line for the list */
    const char *help;    /* the whole text of --help */
    int (*run)(int argc, char **argv);
};

/* "vmaf-dnn NAME: text" on standard error, and VD_EXIT_USAGE with a hint at --help. */
int vd_usage(const struct vd_cmd *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "vmaf-dnn: REASON" from vd_reason() on standard error, and the exit code that belongs to rc (a negative errno). */
int vd_report(int rc);
int vd_exit_code(int rc);
/* The same for what came of opening or reading a clip: what is wrong with it is the clip's, and not the model's. */
int vd_report_clip(int rc);
/* The same for an output that cannot be made or written; says nothing when nobody reads it (-EPIPE). */
int vd_report_output(int rc);
/* "vmaf-dnn NAME: text" on standard error (a warning, a summary, a reason of its own); c NULL: without a name.
 * Control bytes become '?'. */
void vd_say(const struct vd_cmd *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *vd_clean(char *s); /* control bytes to '?', in place; returns s */
/* getopt_long() whose messages are vd_usage()'s: the next option, -1 after the last, '?' when vd_usage() has spoken.
 * shorts without a leading ':' or '+'. */
int vd_getopt(const struct vd_cmd *c, int argc, char **argv, const char *shorts, const struct option *longs);
/* The word of list (NULL at its end) that was probably meant, or NULL. */
const char *vd_closest(const char *word, const char *const *list);

/* The options of everything that opens a model, and of everything that runs one. */
struct vd_run_opts {
    int threads;
    const char *kernels, *registry, *trusted_keys;
    bool baseline, require_pinned;
    enum vd_sandbox_mode sandbox;
};
enum { VD_OPT_THREADS = 1000, VD_OPT_KERNELS, VD_OPT_REGISTRY, VD_OPT_BASELINE, VD_OPT_TRUSTED, VD_OPT_PINNED, VD_OPT_SANDBOX };
#define VD_TRUST_OPTIONS \
    {"registry", required_argument, NULL, VD_OPT_REGISTRY}, {"trusted-keys", required_argument, NULL, VD_OPT_TRUSTED}, \
    {"require-pinned", no_argument, NULL, VD_OPT_PINNED}, {"sandbox", required_argument, NULL, VD_OPT_SANDBOX}
#define VD_RUN_OPTIONS \
    {"threads", required_argument, NULL, VD_OPT_THREADS}, {"kernels", required_argument, NULL, VD_OPT_KERNELS}, \
    {"baseline", no_argument, NULL, VD_OPT_BASELINE}, VD_TRUST_OPTIONS
#define VD_TRUST_HELP \
    "  --trusted-keys DIR  refuse models unless a key of DIR signed the registry (default: $VMAF_DNN_TRUSTED_KEYS)\n" \
    "  --require-pinned    refuse models that neither registry nor sidecar has a digest of\n" \
    "  --sandbox=MODE      reach no other files, programs or network: auto (default: as far as the system can),\n" \
    "                      require (or fail), off\n"
#define VD_RUN_HELP \
    "  --threads N         worker threads (default: as many as this process may use)\n" \
    "  --kernels NAME      kernel set: auto, c, avx2, avxvnni, avx512vnni, neon, dotprod, i8mm\n" \
    "                      (default: auto, the best that the CPU has)\n" \
    "  --baseline          run the fp32 file of a quantised model\n" \
    "  --registry FILE     registry.json (default: beside the model)\n" \
    VD_TRUST_HELP
/* 1: opt was one of them and taken; 0: not one of them; -1: a bad value, and vd_usage() has said so. */
int vd_run_option(const struct vd_cmd *c, int opt, const char *arg, struct vd_run_opts *o);
/* Open a model as the options say: 0 and *out, or the exit code after a message, and *out NULL. */
int vd_open_session(const char *model, const struct vd_run_opts *o, vmaf_dnn_session **out);

/* confine.c: what a command may reach. It says what it will need, and enters before it reads a byte of a clip, array or model. */
void vd_allow_model(struct vd_sandbox *s, const struct vd_run_opts *o, const char *model /* NULL: every one of the registry */);
void vd_allow_model_writes(struct vd_sandbox *s, const struct vd_run_opts *o, const char *model); /* int8 file, sidecar, registry; NULL: that alone */
/* As o->sandbox says; frees s, and sets o->threads. 0, or the exit code after a message. */
int vd_confine(const struct vd_cmd *c, struct vd_sandbox *s, struct vd_run_opts *o);
/* out must not be one of the files that belong to the model, as named and as opened (any of its .onnx files). -EINVAL. */
int vd_refuse_model_files(const char *out, const struct vd_run_opts *o, const char *model, const char *file);

/* What is open, for a report: "learned_filter_v1 (dynamic, pinned), kernels avx2, 2 threads". */
void vd_session_line(const vmaf_dnn_session *s, char *dst, size_t size);
/* Decimal integer in lo..hi, nothing after it. */
bool vd_parse_int(const char *s, long lo, long hi, long *out);
/* v with so many digits behind the point, or "none" where it is not a number. Returns dst. */
enum { VD_FIGURE = 32 };
char *vd_figure(char dst[VD_FIGURE], int digits, double v);
/* WIDTHxHEIGHT, each 1 to VD_MAX_SIDE. */
enum { VD_MAX_SIDE = 1 << 16 };
bool vd_parse_size(const char *s, int *w, int *h);

/* Progress on standard error, only when that is a terminal: "label 12/280 4 %  3.1 fps, 0:01:22 left". Wall clock. */
struct vd_progress { const char *label; long total; double start, last; bool on; };
void vd_progress_start(struct vd_progress *p, const char *label, long total /* 0: unknown */);
void vd_progress_step(struct vd_progress *p, long done);
void vd_progress_clear(const struct vd_progress *p); /* before another line; the next step shows it again */
void vd_progress_end(struct vd_progress *p);
double vd_now(void); /* seconds, monotonic */

#endif
