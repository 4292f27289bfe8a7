/* SPDX-License-Identifier: BSD-2-Clause */
/* A registry, as the loader and as verify read it. */
#include "fuzz.h"
#include "fuzz_file.h"

#include <stdlib.h>
#include <string.h>

#include "common/status.h"
#include "trust/trust.h"

static int rows;
static const struct vd_trusted no_keys;

static void say(void *arg, int row, const char *line)
{
    MUST(row >= -1 && row < rows && *line && strlen(line) < 512);
    ++*(int *)arg;
}

static int digest(const char *s) { return s && strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64; }

static void check_row(const struct vd_registry *r, const struct vd_row *row)
{
    MUST(row->id && *row->id && strlen(row->id) < 256 && row->kind);
    MUST(row->onnx && *row->onnx && *row->onnx != '.' && !strchr(row->onnx, '/') && strlen(row->onnx) < 256);
    MUST(digest(row->sha256) && (row->quant_mode == VD_QUANT_FP32) == !row->int8_sha256);
    MUST(!row->int8_sha256 || digest(row->int8_sha256));
    MUST(!row->has_budget || (row->budget >= 0 && row->budget <= 1));
    MUST(vd_registry_by_id(r, row->id) == row && vd_registry_by_onnx(r, row->onnx) == row); /* nothing is there twice */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy(data, size);
    struct vd_registry *r = malloc(2 * sizeof *r), *twin = r + 1;
    int said = 0;
    MUST(r);
    fuzz_files[0] = (struct fuzz_file){"registry.json", copy, size};
    fuzz_most = 16 << 20;
    fuzz_result = 0;
    rows = (int)size; /* a row is a byte at least */
    vd_reason_clear();
    const int rc = vd_registry_load("registry.json", &no_keys, r);
    if (rc) {
        MUST(!r->json && !r->row && !r->n);
        fuzz_refused(rc);
    } else {
        MUST(r->json && r->n >= 0);
        for (int i = 0; i < r->n && i < 256; i++)
            check_row(r, &r->row[i]);
    }
    const int lint = vd_registry_lint("registry.json", &no_keys, twin, say, &said);
    MUST(lint < 0 ? said == 0 && rc < 0 : lint == said);
    MUST(rc == 0 || lint != 0);
    vd_registry_free(r);
    vd_registry_free(twin);
    free(r);
    free(copy);
    return 0;
}
