/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_REGISTRY_FILES_H
#define VD_REGISTRY_FILES_H

/* For tests of what is written into registries and sidecars. */
#include <unistd.h>

#include "trust_files.h"

int fsync(int fd);

/* Takes precedence over libc's: no power cut follows, and tests should not wait for disks. */
int fsync(int fd)
{
    (void)fd;
    return 0;
}

static struct vd_registry reg;
static const struct vd_trusted no_keys;
static struct vd_sidecar side;

/* A file as text, good until the call after the next. */
static inline char *slurp(const char *path)
{
    static char buf[2][2 << 20];
    static unsigned turn;
    char *b = buf[turn++ % 2];
    FILE *f = fopen(path, "rb");

    assert_non_null(f);
    b[fread(b, 1, sizeof buf[0] - 1, f)] = '\0';
    fclose(f);
    return b;
}

#endif
