/* SPDX-License-Identifier: BSD-2-Clause */
/* onnx_roundtrip FILE: the model as this project reads it, written to standard output. A refused file: its reason
 * on standard error and its errno as the exit status. */
#include <stdio.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"
#include "onnx/onnx.h"

int main(int argc, char **argv)
{
    struct vd_onnx_model m = {0};
    struct vd_buf out = {0};
    uint8_t *data = NULL;
    size_t size;
    if (argc != 2) {
        fprintf(stderr, "usage: onnx_roundtrip FILE\n");
        return EINVAL;
    }
    int rc = vd_file_read(argv[1], (size_t)1 << 30, &data, &size);
    if (!rc)
        rc = vd_onnx_read(&m, data, size);
    if (!rc)
        rc = vd_onnx_write(&m, &out);
    if (!rc && (fwrite(out.data, 1, out.size, stdout) != out.size || fflush(stdout)))
        rc = vd_fail(EIO, "standard output cannot be written");
    if (rc)
        fprintf(stderr, "%s\n", vd_reason());
    vd_free(out.data);
    vd_onnx_free(&m);
    vd_free(data);
    return -rc;
}
