/* SPDX-License-Identifier: BSD-2-Clause */
/* A sidecar, as the loader and as verify read it: the loader takes nothing that verify's rules refuse for what decides which bytes
 * run, and what it takes has the form that the rest of the program relies on. */
#include "fuzz.h"
#include "fuzz_file.h"

#include <stdlib.h>
#include <string.h>

#include "common/status.h"
#include "trust/trust.h"

static void say(void *arg, int row, const char *line)
{
    MUST(row == -1 && *line && strlen(line) < 512);
    ++*(int *)arg;
}

static int digest(const char *s) { return s && strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy(data, size);
    struct vd_sidecar s, twin;
    int said = 0;
    fuzz_files[0] = (struct fuzz_file){"x_v1.json", copy, size};
    fuzz_most = 4 << 20;
    fuzz_result = 0;
    vd_reason_clear();
    const int rc = vd_sidecar_load("x_v1.json", &s);
    if (rc) {
        MUST(!s.json);
        fuzz_refused(rc);
    } else {
        MUST(s.json && s.row.id && strlen(s.row.id) < 256 && s.row.kind && !strcmp(s.row.onnx, "x_v1.onnx") && digest(s.row.sha256));
        MUST((s.row.quant_mode == VD_QUANT_FP32) == !s.row.int8_sha256);
        MUST(!s.row.int8_sha256 || digest(s.row.int8_sha256));
        MUST(s.row.opset == 0 || (s.row.opset >= 7 && s.row.opset <= 23));
        MUST(s.row.size_w >= 0 && s.row.size_w <= 65535 && !s.row.size_w == !s.row.size_h);
        MUST(!s.row.input_name || (*s.row.input_name && strlen(s.row.input_name) < 256));
        MUST(!s.row.output_name || (*s.row.output_name && strlen(s.row.output_name) < 256));
    }
    const int lint = vd_sidecar_lint("x_v1.json", &twin, say, &said);
    MUST(lint < 0 ? said == 0 && rc < 0 : lint == said);
    MUST(rc == 0 || lint != 0); /* all that the loader refuses, verify says */
    if (lint == 0)
        MUST(vd_row_compare(&s.row, &twin.row, VD_COMPARE_PROSE | VD_COMPARE_QUANT, say, &said) == 0);
    vd_sidecar_free(&s);
    vd_sidecar_free(&twin);
    free(copy);
    return 0;
}
