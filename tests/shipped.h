/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_SHIPPED_H
#define VD_SHIPPED_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>

#include <cmocka.h>

/* The path of a file of model/tiny, good until the next call. */
static inline const char *shipped(const char *name)
{
    static char path[4096];
    const char *root = getenv("VMAF_DNN_SOURCE");
    assert_non_null(root);
    snprintf(path, sizeof(path), "%s/model/tiny/%s", root, name);
    return path;
}

#endif
