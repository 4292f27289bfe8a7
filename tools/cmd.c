/* SPDX-License-Identifier: BSD-2-Clause */
#include "cmd.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/status.h"
#include "common/workers.h"
#include "io/stream.h"
#include "kernels/kernels.h"

enum { MAX_WORD = 64, MAX_LINE = 1024 };

char *vd_clean(char *s)
{
    for (char *p = s; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    return s;
}

static void say(const char *name, const char *fmt, va_list ap)
{
    char line[MAX_LINE];

    vsnprintf(line, sizeof(line), fmt, ap);
    fprintf(stderr, "vmaf-dnn%s%s: %s\n", name ? " " : "", name ? name : "", vd_clean(line));
}

void vd_say(const struct vd_cmd *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(c ? c->name : NULL, fmt, ap);
    va_end(ap);
}

int vd_usage(const struct vd_cmd *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(c->name, fmt, ap);
    va_end(ap);
    fprintf(stderr, "'vmaf-dnn %s --help' shows the options and an example\n", c->name);
    return VD_EXIT_USAGE;
}

int vd_exit_code(int rc)
{
    switch (-rc) {
    case 0:
        return VD_EXIT_OK;
    case ENOENT:
    case EINVAL:
    case ENAMETOOLONG:
    case EEXIST:
    case EISDIR:
    case ENOTDIR:
    case ELOOP:
        return VD_EXIT_USAGE;
    case E2BIG:
    case EBADMSG:
    case EPERM:
    case EACCES:
    case EKEYREJECTED:
    case ENOTSUP:
    case ERANGE:
        return VD_EXIT_REFUSED;
    default: /* ENOSPC, EDQUOT, EFBIG, EPIPE, EIO, EROFS, ENOMEM, EAGAIN, EMFILE, ... */
        return VD_EXIT_ROOM;
    }
}

int vd_report(int rc)
{
    const char *why = vd_reason();

    if (rc)
        fprintf(stderr, "vmaf-dnn: %s\n", why[0] ? why : strerror(-rc));
    return vd_exit_code(rc);
}

int vd_report_clip(int rc)
{
    const int code = vd_report(rc);

    return rc == -EACCES ? VD_EXIT_USAGE : code == VD_EXIT_REFUSED ? VD_EXIT_CLIP : code;
}

int vd_report_output(int rc)
{
    if (rc != -EPIPE)
        vd_report(rc);
    switch (-rc) {
    case EACCES: /* of a model it is a refusal, of a place to write it is not */
        return VD_EXIT_USAGE;
    default:
        return vd_exit_code(rc);
    }
}

/* Edits (insert, delete, replace) from a to b, both at most MAX_WORD long. */
static size_t distance(const char *a, const char *b)
{
    size_t row[MAX_WORD + 1], na = strlen(a), nb = strlen(b);

    if (na > MAX_WORD || nb > MAX_WORD)
        return SIZE_MAX;
    for (size_t j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[nb];
}

const char *vd_closest(const char *word, const char *const *list)
{
    const char *found = NULL;
    size_t best = 3; /* up to two slips of the finger, and fewer than half of the word */

    for (; *list; list++) {
        size_t d = distance(word, *list);
        if (strlen(word) >= 3 && !strncmp(word, *list, strlen(word)))
            d = 1;
        if (d < best && (d == 1 || 2 * d < strlen(*list))) {
            best = d;
            found = *list;
        }
    }
    return found;
}

static int bad_option(const struct vd_cmd *c, char **argv, const struct option *longs)
{
    const char *arg = argv[optind - 1];
    const char *names[MAX_WORD + 1] = {NULL};
    char word[MAX_WORD + 1];

    for (int i = 0; i < MAX_WORD && longs[i].name; i++) {
        names[i] = longs[i].name;
        if (optopt && longs[i].val == optopt && !strncmp(arg, "--", 2) && strchr(arg, '='))
            return vd_usage(c, "option '--%s' takes no value", longs[i].name);
    }
    if (optopt)
        return vd_usage(c, "unknown option '-%c'", optopt);
    snprintf(word, sizeof(word), "%.*s", (int)strcspn(arg + 2, "="), arg + 2);
    const char *near = vd_closest(word, names);
    if (near)
        return vd_usage(c, "unknown or ambiguous option '--%s'; did you mean '--%s'?", word, near);
    return vd_usage(c, "unknown or ambiguous option '--%s'", word);
}

int vd_getopt(const struct vd_cmd *c, int argc, char **argv, const char *shorts, const struct option *longs)
{
    char spec[MAX_WORD];

    snprintf(spec, sizeof(spec), ":%s", shorts);
    opterr = 0;
    int opt = getopt_long(argc, argv, spec, longs, NULL);
    if (opt == ':') {
        vd_usage(c, "option '%s' needs a value", argv[optind - 1]);
        return '?';
    }
    if (opt == '?')
        bad_option(c, argv, longs);
    return opt;
}

bool vd_parse_int(const char *s, long lo, long hi, long *out)
{
    char *end;

    if (!isdigit((unsigned char)s[0]) && s[0] != '-')
        return false;
    errno = 0;
    long v = strtol(s, &end, 10);
    if (errno || end == s || *end || v < lo || v > hi)
        return false;
    *out = v;
    return true;
}

int vd_run_option(const struct vd_cmd *c, int opt, const char *arg, struct vd_run_opts *o)
{
    const struct vd_kernels *k;
    long n;

    switch (opt) {
    case VD_OPT_THREADS:
        if (!vd_parse_int(arg, 0, VD_MAX_THREADS, &n)) {
            vd_usage(c, "--threads %s: give a number from 1 to %d, or 0 for as many as this process may use", arg, VD_MAX_THREADS);
            return -1;
        }
        o->threads = (int)n;
        return 1;
    case VD_OPT_KERNELS:
        if (vd_kernels_get(arg, &k) < 0) {
            vd_usage(c, "--kernels %s: %s", arg, vd_reason());
            return -1;
        }
        o->kernels = arg;
        return 1;
    case VD_OPT_REGISTRY:
        o->registry = arg;
        return 1;
    case VD_OPT_BASELINE:
        o->baseline = true;
        return 1;
    case VD_OPT_TRUSTED:
        if (!arg[0]) {
            vd_usage(c, "--trusted-keys: name a folder");
            return -1;
        }
        o->trusted_keys = arg;
        return 1;
    case VD_OPT_PINNED:
        o->require_pinned = true;
        return 1;
    case VD_OPT_SANDBOX:
        if (strcmp(arg, "auto") && strcmp(arg, "require") && strcmp(arg, "off")) {
            vd_usage(c, "--sandbox=%s: auto, require or off", arg);
            return -1;
        }
        o->sandbox = *arg == 'a' ? VD_SANDBOX_AUTO : *arg == 'r' ? VD_SANDBOX_REQUIRE : VD_SANDBOX_OFF;
        return 1;
    default:
        return 0;
    }
}

int vd_open_session(const char *model, const struct vd_run_opts *o, vmaf_dnn_session **out)
{
    vmaf_dnn_settings s;

    vmaf_dnn_settings_default(&s);
    s.threads = o->threads;
    s.kernels = o->kernels;
    s.registry = o->registry;
    s.baseline = o->baseline;
    s.trusted_keys = o->trusted_keys;
    s.require_pinned = o->require_pinned;
    vd_signals_hold(); /* the pool's threads must not take them: see stream.h */
    int rc = vmaf_dnn_session_open(out, model, &s);
    vd_signals_release();
    return vd_report(rc);
}

void vd_session_line(const vmaf_dnn_session *s, char *dst, size_t size)
{
    vmaf_dnn_info i;

    if (vmaf_dnn_session_info(s, &i) < 0) {
        snprintf(dst, size, "%s", vmaf_dnn_last_error());
        return;
    }
    snprintf(dst, size, "%s (%s%s, %s), kernels %s, %d thread%s", i.id, i.quant_mode, i.baseline ? " baseline" : "",
             i.pinned ? "pinned" : "UNPINNED", i.kernels, i.threads, vd_s(i.threads));
}

char *vd_figure(char dst[VD_FIGURE], int digits, double v)
{
    if (isnan(v))
        snprintf(dst, VD_FIGURE, "none");
    else
        snprintf(dst, VD_FIGURE, "%.*f", digits, v);
    return dst;
}

bool vd_parse_size(const char *s, int *w, int *h)
{
    char first[16];
    long a, b;
    const char *x = strchr(s, 'x');

    if (!x || (size_t)(x - s) >= sizeof(first))
        return false;
    memcpy(first, s, (size_t)(x - s));
    first[x - s] = '\0';
    if (!vd_parse_int(first, 1, VD_MAX_SIDE, &a) || !vd_parse_int(x + 1, 1, VD_MAX_SIDE, &b))
        return false;
    *w = (int)a;
    *h = (int)b;
    return true;
}

double vd_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void vd_progress_start(struct vd_progress *p, const char *label, long total)
{
    *p = (struct vd_progress){.label = label, .total = total, .on = isatty(STDERR_FILENO) == 1};
    p->start = p->last = vd_now();
}

void vd_progress_step(struct vd_progress *p, long done)
{
    double now;

    if (!p->on || ((now = vd_now()) - p->last < 0.1 && done != p->total))
        return;
    p->last = now;
    double spent = now - p->start, rate = spent > 0 ? (double)done / spent : 0;
    fprintf(stderr, "\r%s %ld", p->label, done);
    if (p->total > 0)
        fprintf(stderr, "/%ld %.0f %%", p->total, 100.0 * (double)done / (double)p->total);
    fprintf(stderr, "  %.1f fps", rate);
    if (p->total > done && rate > 0) {
        double left = (double)(p->total - done) / rate;
        if (left < 360000) {
            int sec = (int)left;
            fprintf(stderr, ", %d:%02d:%02d left", sec / 3600, sec / 60 % 60, sec % 60);
        }
    }
    fputs("\033[K", stderr);
    fflush(stderr);
}

void vd_progress_clear(const struct vd_progress *p)
{
    if (p->on)
        fputs("\r\033[K", stderr);
}

void vd_progress_end(struct vd_progress *p)
{
    vd_progress_clear(p);
    p->on = false;
}
