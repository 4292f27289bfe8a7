/* SPDX-License-Identifier: BSD-2-Clause */
/* onnx_roundtrip FILE: the model as this project reads it, written to standard output. A refused file: its reason
 * on standard error and its errno as the exit status. EILSEQ: what was written does not read and write as itself. */
#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"
#include "onnx/onnx.h"

static int through(const uint8_t *data, size_t size, struct vd_buf *out)
{
    struct vd_onnx_model m;
    int rc = vd_onnx_read(&m, data, size);
    if (!rc)
        rc = vd_onnx_write(&m, out);
    vd_onnx_free(&m);
    return rc;
}

int main(int argc, char **argv)
{
    struct vd_buf out = {0}, again = {0};
    uint8_t *data = NULL;
    size_t size;
    if (argc != 2) {
        fprintf(stderr, "usage: onnx_roundtrip FILE\n");
        return EINVAL;
    }
    int rc = vd_file_read(argv[1], (size_t)1 << 30, &data, &size);
    if (!rc)
        rc = through(data, size, &out);
    if (!rc && (through(out.data, out.size, &again) || again.size != out.size || memcmp(again.data, out.data, out.size)))
        rc = vd_fail(EILSEQ, "a second round trip gives other bytes");
    if (!rc && (fwrite(out.data, 1, out.size, stdout) != out.size || fflush(stdout)))
        rc = vd_fail(EIO, "standard output cannot be written");
    if (rc)
        fprintf(stderr, "%s\n", vd_reason());
    vd_free(again.data);
    vd_free(out.data);
    vd_free(data);
    return -rc;
}
