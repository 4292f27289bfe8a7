/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_FUZZ_FILE_H
#define VD_FUZZ_FILE_H

#include <stddef.h>
#include <stdint.h>

/* vd_file_read() as the trust layer sees it: the files are these, and nothing is read from a disk. */
struct fuzz_file { const char *path; const uint8_t *data; size_t size; };
extern struct fuzz_file fuzz_files[4];

#endif
