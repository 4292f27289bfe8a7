/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_CONTENDERS_H
#define VD_CONTENDERS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* Two engines behind one face: a model of one float input and one float output, opened for one size, run any number of times. */
struct vd_work {
    const char *path;
    const char *in, *out; /* tensor names */
    int width, height;    /* input [1,1,height,width] */
    int threads;
    bool scalar;          /* the output is [1], not a picture */
    bool planes;          /* this project's only: 8-bit planes in and out */
    bool baseline;        /* this project's only: the fp32 file of a quantised model */
};

struct vd_engine {
    const char *name;
    void *(*open)(const struct vd_work *w); /* ends the program with a message when that fails */
    void (*run)(void *engine);
    void (*close)(void *engine);
    double (*open_s)(const void *engine); /* seconds that opening the file took, its frames apart */
};

static inline double vd_contender_now(void) /* seconds */
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

extern const struct vd_engine vd_engine_own, vd_engine_ort;

/* Load ONNX Runtime's shared library. Its version, or NULL after a message. */
const char *vd_ort_load(const char *library);

#endif
