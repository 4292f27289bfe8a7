/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_TRAIN_EXPORT_H
#define VD_TRAIN_EXPORT_H

#include "train_data.h"
#include "train_log.h"
#include "trust/trust.h"

/* Where the files of a run are; qat: card, log, curve and checkpoint have names of their own. */
struct vd_train_paths { char onnx[VD_MAX_PATH], int8[VD_MAX_PATH], sidecar[VD_MAX_PATH], card[VD_MAX_PATH], log[VD_MAX_PATH], curve[VD_MAX_PATH],
                        checkpoint[VD_MAX_PATH], registry[VD_MAX_PATH]; };
int vd_train_paths(struct vd_train_paths *p, const char *folder, const char *id, bool qat); /* -ENAMETOOLONG */

/* What a finished run gives: the best parameters as ID.onnx, then sidecar, card, and the row of the folder's registry.json where there is
 * one. Keys of row and sidecar that it does not own stay; quant_mode and int8_sha256 go, since the int8 file is of other weights. v: the best
 * model on the whole validation pictures. */
struct vd_train_export {
    const struct vd_train_config *config;
    const struct vd_train_paths *path;
    const struct vd_net *net;
    const struct vd_trainer *trainer;
    const struct vd_train_data *train, *validation;
    struct vd_workers *workers;
    const struct vd_train_log *log;
};
int vd_train_export(const struct vd_train_export *e, struct vd_train_verdict *v);

/* Quantisation-aware training: the model that it began with as ID.onnx, where there is none, its int8 file, quant_mode and int8_sha256 into sidecar and
 * row (all of both where there are none), and the card. v: of the fp32 model, of its static form, and of what was trained. */
struct vd_train_qat;
struct vd_onnx_model;
struct vd_train_qat_export {
    const struct vd_train_export *e;
    const struct vd_train_qat *q;
    const uint8_t *fp32; size_t fp32_size; /* the file that training began with */
    const struct vd_onnx_model *model;     /* what was quantised: that, or its equalised form */
};
enum { VD_QAT_FP32, VD_QAT_STATIC, VD_QAT_TRAINED, VD_QAT_FORMS };
int vd_train_export_qat(const struct vd_train_qat_export *x, struct vd_train_verdict v[VD_QAT_FORMS]);
/* Before training: ID.onnx is not there, or is the file that training begins with; so are those that sidecar and row speak of. -EINVAL. */
int vd_train_check_qat(const struct vd_train_paths *p, const char *id, const uint8_t *fp32, size_t size);

int vd_train_draw(const struct vd_train_log *l, const struct vd_train_config *c, const char *path);

#endif
