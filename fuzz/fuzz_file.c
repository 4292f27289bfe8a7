/* SPDX-License-Identifier: BSD-2-Clause */
#include "fuzz_file.h"

#include <errno.h>
#include <string.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"

struct fuzz_file fuzz_files[4];

int __wrap_vd_file_read(const char *path, size_t cap, uint8_t **data, size_t *size);
int __wrap_vd_file_read(const char *path, size_t cap, uint8_t **data, size_t *size)
{
    for (size_t i = 0; i < sizeof fuzz_files / sizeof fuzz_files[0]; i++) {
        const struct fuzz_file *f = &fuzz_files[i];
        if (!f->path || strcmp(f->path, path))
            continue;
        if (f->size > cap)
            return vd_fail(E2BIG, "%s: %zu bytes, %zu at most", path, f->size, cap);
        if (!(*data = vd_malloc(f->size + 1)))
            return vd_nomem(f->size);
        if (f->size)
            memcpy(*data, f->data, f->size);
        (*data)[f->size] = 0;
        *size = f->size;
        return 0;
    }
    return vd_fail(ENOENT, "%s: no such file", path);
}
