/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_PAIR_H
#define VD_PAIR_H

#include <stdbool.h>
#include <stddef.h>

#include "trust/trust.h"
#include "vmaf_dnn/vmaf_dnn.h"

/* The fp32 file and the int8 file of one model, open side by side and run on the same samples. */

enum { VD_FP32, VD_INT8 };

struct vd_pair {
    vmaf_dnn_session *session[2];
    bool pinned, all_int8;
    enum vd_quant_mode mode;  /* of the int8 file */
    size_t n_in, n_out;
    vmaf_dnn_input *in;       /* shapes are set, data is sample[i] */
    float **sample;           /* by input: the caller fills in[i].count floats */
    vmaf_dnn_output *out[2];  /* by output */
    float *result[2];         /* all outputs of one side, one after the other */
    size_t n_result;
    vmaf_dnn_input *natural;  /* by input: the shape that it was opened with */
};

struct vd_pair_how {
    int threads;
    const char *kernels, *registry, *trusted_keys;
    bool require_pinned;
    int w, h; /* for symbolic width and height */
};

/* file: the fp32 file as resolved with baseline set. Opens both sides as every user opens them, and holds what is open against
 * that: -EKEYREJECTED when it is something else. Errors as vd_gate(). On failure p is empty. */
int vd_pair_open(struct vd_pair *p, const char *path_or_id, const struct vd_resolved *file, const struct vd_pair_how *how);
/* Whether the fp32 file opens, where there is nothing to hold it against. Errors as vmaf_dnn_session_open(). */
int vd_pair_opens(const char *path_or_id, const struct vd_pair_how *how);
void vd_pair_close(struct vd_pair *p);
/* Other shapes: in[].rank and in[].shape are set, and samples, outputs and results get room for them. -ENOTSUP or -ERANGE: the model does not
 * take them; a shape that was taken before may be set again then. */
int vd_pair_shape(struct vd_pair *p);
/* Both sides on the samples, into result. *side is the one that failed. */
int vd_pair_run(struct vd_pair *p, int *side);
/* Output i of one side, in result. */
const float *vd_pair_result(const struct vd_pair *p, int side, size_t i, size_t *n);
/* The one input is a picture [N,1,H,W] with N 1 here. */
bool vd_pair_takes_picture(const struct vd_pair *p, int *w, int *h);
/* Two inputs are pictures of one size: a reference and what became of it. */
bool vd_pair_takes_two(const struct vd_pair *p, int *w, int *h);
/* Output i has the shape of the one input. */
bool vd_pair_gives_picture(const struct vd_pair *p, size_t i);

#endif
