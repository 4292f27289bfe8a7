/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_ONNX_CHECK_H
#define VD_ONNX_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/status.h"
#include "onnx_build.h"

/* Read a file that was built by hand, from an exactly sized block, and say what is to come of it. Each takes the buffer. */

/* A file that was read: the model points into data. */
struct read_file {
    struct vd_onnx_model m;
    uint8_t *data;
};

static inline int read_buf(struct read_file *r, struct vd_buf file)
{
    assert_false(file.bad);
    r->data = exact_copy(file.data, file.size);
    int rc = vd_onnx_read(&r->m, r->data, file.size);
    vd_free(file.data);
    return rc;
}

static inline void done(struct read_file *r)
{
    vd_onnx_free(&r->m);
    free(r->data);
}

static inline struct read_file accept(struct vd_buf file)
{
    struct read_file r;
    vd_reason_clear();
    if (read_buf(&r, file))
        fail_msg("refused: %s", vd_reason());
    return r;
}

/* Refused with err, word in the reason, and the model zeroed. */
#define refuse(err, word, file) refuse_(err, word, file, __LINE__)
static inline void refuse_(int err, const char *word, struct vd_buf file, int line)
{
    static const struct vd_onnx_model zero;
    struct read_file r;
    vd_reason_clear();
    int rc = read_buf(&r, file);
    if (rc != -err || !strstr(vd_reason(), word))
        fail_msg("line %d: got %d \"%s\", wanted %d and \"%s\"", line, rc, vd_reason(), -err, word);
    assert_memory_equal(&r.m, &zero, sizeof zero);
    done(&r);
}

#endif
