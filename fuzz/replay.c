/* SPDX-License-Identifier: BSD-2-Clause */
/* A target without libFuzzer: each file of the folders once. Inputs of a folder called regression are attacks, and must be refused,
 * but for those whose name begins with "ok". Prints how many there were. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

static size_t files, refused, failed;

static void one(const char *path, int attack)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f || fstat(fileno(f), &st)) {
        perror(path);
        failed++;
        if (f)
            fclose(f);
        return;
    }
    const size_t size = (size_t)st.st_size;
    uint8_t *data = malloc(size ? size : 1); /* as large as the input and no larger */
    MUST(data && fread(data, 1, size, f) == size);
    fclose(f);
    setenv("FUZZ_INPUT", path, 1); /* for who looks at a core */
    fuzz_result = 0;
    LLVMFuzzerTestOneInput(data, size);
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    if (attack && fuzz_result == 0 && strncmp(base, "ok", 2)) {
        fprintf(stderr, "%s: was taken, and is to be refused\n", path);
        failed++;
    }
    files++;
    refused += fuzz_result < 0;
    free(data);
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static void walk(const char *path)
{
    struct dirent **entry;
    const int attack = strstr(path, "fuzz/regression/") != NULL, n = scandir(path, &entry, NULL, by_name);
    if (n < 0) { /* a file */
        one(path, attack);
        return;
    }
    for (int i = 0; i < n; i++) {
        char name[4096];
        if (entry[i]->d_name[0] != '.' && snprintf(name, sizeof name, "%s/%s", path, entry[i]->d_name) < (int)sizeof name)
            one(name, attack);
        free(entry[i]);
    }
    free(entry);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        walk(argv[i]);
    printf("%zu inputs, %zu refused, %zu wrong\n", files, refused, failed);
    return failed || !files;
}
