/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_TRAIN_LOG_H
#define VD_TRAIN_LOG_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* The log of a run, JSON lines, all in memory and written whole (atomically), so that a killed run leaves a whole file:
 *     {"step":100,"loss":0.021,"rate":0.002,"grad_norm":0.4,"seconds":12.5}
 *     {"step":500,"validation":{...},"best":true}
 * Lines behind the step of the checkpoint that a run goes on from are dropped. */
struct vd_train_log {
    json_t *lines; /* array */
    char *path;
};

int vd_train_log_open(struct vd_train_log *l, const char *path, uint64_t step);
int vd_train_log_add(struct vd_train_log *l, json_t *line); /* takes line */
int vd_train_log_write(const struct vd_train_log *l);
void vd_train_log_free(struct vd_train_log *l);

/* Loss over steps on a logarithmic axis, and the validation figure `key` over it, as a picture. */
int vd_train_log_draw(const struct vd_train_log *l, const char *path, const char *title, const char *key, const char *label);

#endif
