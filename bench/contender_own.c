/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>

#include "contenders.h"
#include "vmaf_dnn/vmaf_dnn.h"

struct engine {
    struct vd_work work;
    vmaf_dnn_session *session;
    double open_s;
    float *x, *y;
    uint8_t *plane;
};

static void fail(void)
{
    fprintf(stderr, "vmaf-dnn: %s\n", vmaf_dnn_last_error());
    exit(4);
}

static void *open_own(const struct vd_work *w)
{
    struct engine *e = calloc(1, sizeof(*e));
    const size_t n = (size_t)w->width * (size_t)w->height;
    vmaf_dnn_settings settings;

    if (!e || (w->planes ? !(e->plane = malloc(n)) : !(e->x = calloc(n, sizeof(float))) || !(e->y = calloc(w->scalar ? 1 : n, sizeof(float))))) {
        fprintf(stderr, "no memory\n");
        exit(5);
    }
    e->work = *w;
    for (size_t i = 0; i < n; i++) {
        const unsigned v = (unsigned)(i * 2654435761u >> 8 & 255);
        if (w->planes)
            e->plane[i] = (uint8_t)v;
        else
            e->x[i] = (float)v / 255;
    }
    vmaf_dnn_settings_default(&settings);
    settings.threads = w->threads;
    settings.baseline = w->baseline;
    const double begin = vd_contender_now();
    if (vmaf_dnn_session_open(&e->session, w->path, &settings) < 0)
        fail();
    e->open_s = vd_contender_now() - begin;
    return e;
}

static void run_own(void *engine)
{
    struct engine *e = engine;
    const struct vd_work *w = &e->work;
    const size_t n = (size_t)w->width * (size_t)w->height;

    if (w->planes) {
        if (vmaf_dnn_session_run_luma8(e->session, e->plane, w->width, w->width, w->height, e->plane, w->width) < 0)
            fail();
        return;
    }
    const vmaf_dnn_input in = {.name = w->in, .type = VMAF_DNN_F32, .rank = 4, .shape = {1, 1, w->height, w->width}, .data = e->x, .count = n};
    vmaf_dnn_output out = {.name = w->out, .type = VMAF_DNN_F32, .data = e->y, .capacity = w->scalar ? 1 : n};
    if (vmaf_dnn_session_run(e->session, &in, 1, &out, 1) < 0)
        fail();
}

static void close_own(void *engine)
{
    struct engine *e = engine;

    vmaf_dnn_session_close(e->session);
    free(e->x);
    free(e->y);
    free(e->plane);
    free(e);
}

static double open_s_own(const void *engine) { return ((const struct engine *)engine)->open_s; }

const struct vd_engine vd_engine_own = {"vmaf-dnn", open_own, run_own, close_own, open_s_own};
