/* SPDX-License-Identifier: BSD-2-Clause */
/* bench_train [THREADS [STEPS]]: speed of training, in crops a second, of learned_filter_v1's net on 32 crops of 64x64; and, since machines are
 * shared, in crops a second of processor time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/random.h"
#include "train/arch.h"
#include "train/trainer.h"

enum { SIDE = 64, BATCH = 32 };

static double seconds(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void draw(void *arg, uint64_t sample, float *x, float *target)
{
    (void)arg;
    for (int i = 0; i < SIDE * SIDE; i++) {
        const uint32_t v = (uint32_t)(i + (int)sample) * 2654435761u >> 24;
        target[i] = (float)v / 255;
        x[i] = 0.9f * target[i] + 0.05f;
    }
}

int main(int argc, char **argv)
{
    const int threads = argc > 1 ? atoi(argv[1]) : 0, steps = argc > 2 ? atoi(argv[2]) : 20;
    const struct vd_net_opts o = {.height = SIDE, .width = SIDE, .batch = BATCH, .loss = {.l1 = 1}};
    const struct vd_train_opts t = {.steps = 1000, .lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
    struct vd_onnx_model model, read;
    struct vd_buf bytes = {0};
    struct vd_graph graph;
    struct vd_workers *workers;
    const struct vd_kernels *k;
    struct vd_net *net;
    struct vd_trainer trainer;
    double loss, norm;

    if (vd_arch_residual_filter(&model, 16, 4, 1) || vd_onnx_write(&model, &bytes) || vd_onnx_read(&read, bytes.data, bytes.size) ||
        vd_graph_build(&graph, &read) || vd_kernels_get(NULL, &k) || vd_workers_create(threads, &workers) ||
        vd_net_create(&net, &graph, &o, k, workers) || vd_trainer_init(&trainer, net, &t) ||
        vd_trainer_step(&trainer, draw, NULL, BATCH, &loss, &norm)) {
        fprintf(stderr, "bench_train: %s\n", vd_reason());
        return 2;
    }
    const double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < steps; i++)
        if (vd_trainer_step(&trainer, draw, NULL, BATCH, &loss, &norm))
            return 2;
    const double n = (double)steps * BATCH;
    printf("kernels %s, %d threads: %.1f crops/s, %.1f crops a second of processor time, loss %.4f\n", k->name, vd_workers_count(workers),
           n / (seconds(CLOCK_MONOTONIC) - wall), n / (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu), loss);
    return 0;
}
