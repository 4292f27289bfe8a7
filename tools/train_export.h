/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_TRAIN_EXPORT_H
#define VD_TRAIN_EXPORT_H

#include "train_data.h"
#include "train_log.h"
#include "trust/trust.h"

/* Where the files of a run are. */
struct vd_train_paths { char onnx[VD_MAX_PATH], sidecar[VD_MAX_PATH], card[VD_MAX_PATH], log[VD_MAX_PATH], curve[VD_MAX_PATH], checkpoint[VD_MAX_PATH],
                        registry[VD_MAX_PATH]; };
int vd_train_paths(struct vd_train_paths *p, const char *folder, const char *id); /* -ENAMETOOLONG */

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

int vd_train_draw(const struct vd_train_log *l, const struct vd_train_config *c, const char *path);

#endif
