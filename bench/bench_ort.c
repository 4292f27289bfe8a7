/* SPDX-License-Identifier: BSD-2-Clause */
/* This library against ONNX Runtime: the same files, sizes and threads, in turn, A B A B, in one process; then each
 * alone in a process of its own, for peak memory and the time to open. A table to standard output, JSON to a file. */
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cpu.h"
#include "contenders.h"
#include "kernels/kernels.h"

static const char help[] =
    "Usage: bench_ort --ort LIBRARY [OPTION]...\n"
    "  --ort LIBRARY   ONNX Runtime's shared library\n"
    "  --made FOLDER   what bench/make_models.py made (default: build/bench-models)\n"
    "  --tiny FOLDER   the shipped models (default: model/tiny)\n"
    "  --size WxH      of the filter's frame (default: 1920x1080)\n"
    "  --pairs N       runs of each in a pair of contenders (default: 7)\n"
    "  --only WORD     lines whose name has WORD in it\n"
    "  --json FILE     the figures as JSON\n";

enum { MAX_PAIRS = 100, MAX_PATH = 4096 };

struct options {
    const char *ort, *made, *tiny, *only, *json;
    int width, height, pairs;
};

/* One row: a file in a form. frame 0: the size that was asked for. */
struct line {
    const char *name, *folder, *file, *in, *out;
    int side;
    bool baseline;
};
static const struct line lines[] = {
    {"filter static", "made", "filter.static.onnx", "degraded", "filtered", 0, false},
    {"filter dynamic", "made", "filter.dynamic.onnx", "degraded", "filtered", 0, false},
    {"filter fp32", "tiny", "learned_filter_v1.onnx", "degraded", "filtered", 0, true},
    {"nr dynamic", "tiny", "nr_metric_v1.int8.onnx", "frame", "score", 224, false},
    {"nr fp32", "tiny", "nr_metric_v1.onnx", "frame", "score", 224, true},
};
enum { N_LINES = sizeof(lines) / sizeof(lines[0]) };

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct spread { double min, median, max; };

static struct spread spread_of(const double *v, int n)
{
    double s[MAX_PAIRS];

    memcpy(s, v, sizeof(*s) * (size_t)n);
    qsort(s, (size_t)n, sizeof(*s), by_value);
    return (struct spread){s[0], n % 2 ? s[n / 2] : (s[n / 2 - 1] + s[n / 2]) / 2, s[n - 1]};
}

static struct vd_work work_of(const struct line *l, const struct options *o, int threads, char path[MAX_PATH])
{
    snprintf(path, MAX_PATH, "%s/%s", strcmp(l->folder, "made") ? o->tiny : o->made, l->file);
    return (struct vd_work){.path = path, .in = l->in, .out = l->out, .width = l->side ? l->side : o->width,
                            .height = l->side ? l->side : o->height, .threads = threads, .scalar = l->side > 0, .baseline = l->baseline};
}

/* Seconds a run: enough runs in one measurement that the clock's grain is nothing. After a rest: ONNX Runtime's workers spin on for a while
 * when a run is over, and would take a core from whoever comes next. */
static double timed(const struct vd_engine *e, void *engine, int repeat)
{
    nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
    const double begin = vd_contender_now();

    for (int i = 0; i < repeat; i++)
        e->run(engine);
    return (vd_contender_now() - begin) / repeat;
}

static json_t *spread_json(struct spread s) { return json_pack("{s:f,s:f,s:f}", "min", s.min, "median", s.median, "max", s.max); }

static void duel(const struct line *l, const struct options *o, int threads, json_t *rows)
{
    const struct vd_engine *const both[2] = {&vd_engine_own, &vd_engine_ort};
    double t[2][MAX_PAIRS], ratio[MAX_PAIRS];
    void *engine[2];
    char path[MAX_PATH];
    const struct vd_work w = work_of(l, o, threads, path);

    for (int k = 0; k < 2; k++) {
        engine[k] = both[k]->open(&w);
        both[k]->run(engine[k]);
    }
    const double once = timed(both[0], engine[0], 1);
    const int repeat = once > 0.05 ? 1 : (int)(0.05 / once) + 1;
    for (int i = 0; i < o->pairs; i++) {
        for (int k = 0; k < 2; k++)
            t[k][i] = timed(both[k], engine[k], repeat);
        ratio[i] = t[1][i] / t[0][i];
    }
    for (int k = 0; k < 2; k++)
        both[k]->close(engine[k]);
    const struct spread own = spread_of(t[0], o->pairs), ort = spread_of(t[1], o->pairs), r = spread_of(ratio, o->pairs);
    printf("%-16s %d  %9.2f %9.2f  %9.2f %9.2f  %6.2f  (%.2f to %.2f)\n", l->name, threads, own.median * 1e3, own.min * 1e3,
           ort.median * 1e3, ort.min * 1e3, r.median, r.min, r.max);
    fflush(stdout);
    json_array_append_new(rows, json_pack("{s:s,s:i,s:i,s:i,s:o,s:o,s:o}", "line", l->name, "threads", threads, "width", w.width, "height",
                                          w.height, "own_s", spread_json(own), "onnxruntime_s", spread_json(ort), "ratio", spread_json(r)));
}

/* --- alone in a process --- */

struct alone { double open_s; long peak_kib; };

/* Of this program's image alone: getrusage() would count what the process was before exec, too. */
static long peak_kib(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char row[256];
    long kib = 0;

    while (f && fgets(row, sizeof(row), f))
        if (sscanf(row, "VmHWM: %ld", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib;
}

static int child_main(char **argv)
{
    const struct line *l = &lines[atoi(argv[3])];
    const struct options o = {.made = argv[5], .tiny = argv[6], .width = atoi(argv[7]), .height = atoi(argv[8])};
    const bool own = !strcmp(argv[2], "own");
    const struct vd_engine *e = own ? &vd_engine_own : &vd_engine_ort;
    char path[MAX_PATH];
    struct vd_work w = work_of(l, &o, atoi(argv[4]), path);

    w.planes = own && !l->side;
    if (!own && !vd_ort_load(argv[9]))
        return 2;
    void *engine = e->open(&w);
    const double open_s = e->open_s(engine);
    e->run(engine);
    e->run(engine);
    e->close(engine);
    printf("%.9f %ld\n", open_s, peak_kib());
    return 0;
}

/* Which line by which engine; the least time to open and the least peak of three processes. */
static struct alone run_alone(const struct options *o, int line, const char *engine, int threads, int width, int height)
{
    struct alone best = {1e9, 1L << 60};
    char number[4][16];

    snprintf(number[0], 16, "%d", line);
    snprintf(number[1], 16, "%d", threads);
    snprintf(number[2], 16, "%d", width);
    snprintf(number[3], 16, "%d", height);
    for (int i = 0; i < 3; i++) {
        int fd[2];
        if (pipe(fd)) {
            perror("pipe");
            exit(5);
        }
        const pid_t pid = fork();
        if (!pid) {
            dup2(fd[1], 1);
            execl("/proc/self/exe", "bench_ort", "--alone", engine, number[0], number[1], o->made, o->tiny, number[2], number[3], o->ort, (char *)NULL);
            _exit(127);
        }
        close(fd[1]);
        FILE *f = fdopen(fd[0], "r");
        struct alone a = {0};
        int status = 1;
        const int got = f ? fscanf(f, "%lf %ld", &a.open_s, &a.peak_kib) : 0;
        if (f)
            fclose(f);
        waitpid(pid, &status, 0);
        if (got != 2 || status) {
            fprintf(stderr, "bench_ort: the process of %s by %s failed\n", lines[line].name, engine);
            exit(4);
        }
        best.open_s = a.open_s < best.open_s ? a.open_s : best.open_s;
        best.peak_kib = a.peak_kib < best.peak_kib ? a.peak_kib : best.peak_kib;
    }
    return best;
}

static void alone_table(const struct options *o, json_t *rows)
{
    static const int scale[] = {1, 2};

    printf("\nEach alone in a process, 1 thread; the filter on 8-bit planes here, on float tensors there\n"
           "%-16s %-10s  peak MB here, there  open ms here, there\n", "", "frame");
    for (int i = 0; i < N_LINES; i++) {
        if (o->only && !strstr(lines[i].name, o->only))
            continue;
        for (size_t k = 0; k < (lines[i].side ? 1 : 2); k++) {
            const int w = lines[i].side ? lines[i].side : o->width * scale[k], h = lines[i].side ? lines[i].side : o->height * scale[k];
            const struct alone own = run_alone(o, i, "own", 1, w, h), ort = run_alone(o, i, "ort", 1, w, h);
            printf("%-16s %4dx%-5d  %8.1f %8.1f    %7.2f %7.2f\n", lines[i].name, w, h, (double)own.peak_kib * 1024e-6,
                   (double)ort.peak_kib * 1024e-6, own.open_s * 1e3, ort.open_s * 1e3);
            fflush(stdout);
            json_array_append_new(rows, json_pack("{s:s,s:i,s:i,s:f,s:f,s:f,s:f}", "line", lines[i].name, "width", w, "height", h, "own_peak_bytes",
                                                  (double)own.peak_kib * 1024, "onnxruntime_peak_bytes", (double)ort.peak_kib * 1024,
                                                  "own_open_s", own.open_s, "onnxruntime_open_s", ort.open_s));
        }
    }
}

static void cpu_name(char name[128])
{
    FILE *f = fopen("/proc/cpuinfo", "r");
    char row[512];

    snprintf(name, 128, "unknown CPU");
    while (f && fgets(row, sizeof(row), f))
        if (sscanf(row, "model name : %127[^\n]", name) == 1)
            break;
    if (f)
        fclose(f);
}

static bool parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {
        {"ort", required_argument, NULL, 'o'}, {"made", required_argument, NULL, 'm'}, {"tiny", required_argument, NULL, 't'},
        {"size", required_argument, NULL, 's'}, {"pairs", required_argument, NULL, 'p'}, {"only", required_argument, NULL, 'y'},
        {"json", required_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0},
    };
    int opt;

    *o = (struct options){.made = "build/bench-models", .tiny = "model/tiny", .width = 1920, .height = 1080, .pairs = 7};
    while ((opt = getopt_long(argc, argv, "", longs, NULL)) != -1)
        switch (opt) {
        case 'o': o->ort = optarg; break;
        case 'm': o->made = optarg; break;
        case 't': o->tiny = optarg; break;
        case 's':
            if (sscanf(optarg, "%dx%d", &o->width, &o->height) != 2)
                return false;
            break;
        case 'p': o->pairs = atoi(optarg); break;
        case 'y': o->only = optarg; break;
        case 'j': o->json = optarg; break;
        default: return false;
        }
    return o->ort && optind == argc && o->width > 0 && o->height > 0 && o->pairs > 0 && o->pairs <= MAX_PAIRS;
}

int main(int argc, char **argv)
{
    struct options o;
    char cpu[128];

    if (argc == 10 && !strcmp(argv[1], "--alone"))
        return child_main(argv);
    if (!parse(argc, argv, &o)) {
        fputs(help, stderr);
        return 2;
    }
    const char *version = vd_ort_load(o.ort);
    if (!version)
        return 2;
    const struct vd_kernels *k;
    if (vd_kernels_get(NULL, &k) < 0)
        return 2;
    cpu_name(cpu);
    const int cpus = vd_cpu_count();
    printf("%s, %d CPUs; kernels %s; ONNX Runtime %s; filter at %dx%d, nr at 224x224; %d pairs, in turn\n\n", cpu, cpus, k->name, version, o.width,
           o.height, o.pairs);
    printf("ms a frame       threads  here med       min   there med       min   there / here, median of pairs\n");
    json_t *duels = json_array(), *solos = json_array();
    for (int threads = 1; threads <= 2 && threads <= cpus; threads++)
        for (int i = 0; i < N_LINES; i++)
            if (!o.only || strstr(lines[i].name, o.only))
                duel(&lines[i], &o, threads, duels);
    alone_table(&o, solos);
    json_t *all = json_pack("{s:s,s:i,s:s,s:s,s:o,s:o}", "cpu", cpu, "cpus", cpus, "kernels", k->name, "onnxruntime", version, "times", duels,
                            "alone", solos);
    int rc = 0;
    if (o.json && (!all || json_dump_file(all, o.json, JSON_INDENT(2)))) {
        fprintf(stderr, "bench_ort: cannot write %s\n", o.json);
        rc = 5;
    }
    json_decref(all);
    return rc;
}
