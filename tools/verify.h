/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_VERIFY_H
#define VD_VERIFY_H

#include "trust/trust.h"

/* One model and what is wrong with it: each reason is printed as it is found, "[FAIL] id: reason". */
struct vd_verdict {
    const char *id;
    int n;  /* reasons */
    int rc; /* -ENOMEM: there is no verdict */
};
void vd_verdict_add(struct vd_verdict *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What vd_reason() says of rc, after the name of the file where it does not have one. */
void vd_verdict_failed(struct vd_verdict *v, int rc, const char *file);

/* A model to be looked at; row is NULL where no registry speaks of it. */
struct vd_claim {
    char fp32_path[VD_MAX_PATH], int8_path[VD_MAX_PATH], sidecar_path[VD_MAX_PATH];
    const char *registry; /* path of the file that row is from; NULL: none */
    const char *trusted_keys;
    const struct vd_row *row;
};

/* Sidecar against schema and row, files against digests, graphs against all of them; prints the [ok] line when
 * nothing is wrong. What is wrong with the row itself is in v already. */
void vd_verify_model(const struct vd_claim *c, struct vd_verdict *v);

#endif
