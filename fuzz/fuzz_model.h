/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_FUZZ_MODEL_H
#define VD_FUZZ_MODEL_H

#include <stdbool.h>

#include "fuzz.h"
#include "plan/plan.h"

/* A model from bytes to a plan, as a session builds it. Everything is made from the bytes alone. */
struct fuzz_model {
    struct vd_onnx_model onnx;
    struct vd_graph graph;
    struct vd_plan *plan;
};

/* Threads of the next model that is opened; NULL: none but this one. */
extern struct vd_workers *fuzz_workers;

/* kernels NULL: the best set. On failure nothing is left. */
int fuzz_model_open(struct fuzz_model *m, const uint8_t *data, size_t size, const char *kernels);
void fuzz_model_close(struct fuzz_model *m);

/* Shape the plan: what the file gives where that is at most 16, else a number from 1 to most (of a rank over 4: to 3). */
int fuzz_model_shape(struct fuzz_model *m, uint64_t seed, int most);
/* Fill the inputs: finite floats, small integers. */
void fuzz_model_fill(struct fuzz_model *m, uint64_t seed);
/* One run is a matter of milliseconds, times scale. */
bool fuzz_model_small(const struct fuzz_model *m, int scale);
/* Type, shape and bytes of all outputs; of floats every NaN counts as the same. */
uint64_t fuzz_model_hash(const struct fuzz_model *m);

#endif
