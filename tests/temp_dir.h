/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_TEMP_DIR_H
#define VD_TEMP_DIR_H

#include <dirent.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder of one test's own, under TMPDIR or /tmp. */
struct temp_dir {
    char path[512];
    char joined[8][4608]; /* what temp_path() last returned */
    unsigned turn;
};

static inline bool temp_dir_make(struct temp_dir *d)
{
    const char *base = getenv("TMPDIR");
    snprintf(d->path, sizeof d->path, "%s/vd-test-XXXXXX", base && *base ? base : "/tmp");
    d->turn = 0;
    return mkdtemp(d->path) && chmod(d->path, 0755) == 0;
}

/* dir/name; the eight last results stay valid. */
static inline const char *temp_path(struct temp_dir *d, const char *name)
{
    char *p = d->joined[d->turn++ % 8];
    size_t n = strlen(d->path), m = strlen(name);
    if (n + 1 + m >= sizeof d->joined[0])
        abort();
    memcpy(p, d->path, n);
    p[n] = '/';
    memcpy(p + n + 1, name, m + 1);
    return p;
}

/* Entries in the folder, "." and ".." not counted. */
static inline int temp_dir_count(const struct temp_dir *d)
{
    int n = -2;
    DIR *dir = opendir(d->path);
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

static inline int temp_remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline void temp_dir_remove(struct temp_dir *d) { nftw(d->path, temp_remove_one, 16, FTW_DEPTH | FTW_PHYS); }

/* Plain stdio, so that what is tested does not write its own test data. */
static inline bool temp_put(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    return f && fwrite(data, 1, n, f) == n && fclose(f) == 0;
}

static inline bool temp_holds(const char *path, const void *data, size_t n)
{
    char *buf = malloc(n + 1);
    FILE *f = fopen(path, "rb");
    bool same = buf && f && fread(buf, 1, n + 1, f) == n && (n == 0 || memcmp(buf, data, n) == 0);
    if (f)
        fclose(f);
    free(buf);
    return same;
}

#endif
