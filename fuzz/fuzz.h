/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_FUZZ_H
#define VD_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* What a target, fuzz_NAME.c, is made of: LLVMFuzzerTestOneInput() and these. With -Dfuzz=enabled libFuzzer calls it, else replay.c does. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the last input came to: 0 taken, a negative errno when it was refused. replay.c wants all of regression/ refused, but for
 * names that begin with "ok". */
extern int fuzz_result;

/* What cannot happen is a crash, in every build. */
#define MUST(what) ((what) ? (void)0 : fuzz_die(#what, __FILE__, __LINE__))
_Noreturn void fuzz_die(const char *what, const char *file, int line);

/* A copy that ends where its heap block ends, so that AddressSanitizer sees the first byte read behind it. */
uint8_t *fuzz_copy(const uint8_t *data, size_t size);
/* rc is a negative errno of the list that the target's header gives, and there is a line about it that fits a terminal. */
void fuzz_refused(int rc);
uint64_t fuzz_hash(const void *data, size_t size, uint64_t seed);
/* Numbers that depend on the input alone. */
uint32_t fuzz_random(uint64_t *state);

/* While it is not 0, an allocation of more bytes in the code under test fails (fuzz.c wraps common/mem.h): no input may make the
 * fuzzer slow by what it only asks for. */
extern size_t fuzz_most;
/* What that memory holds before it is used; below 0: what malloc gives. */
extern int fuzz_fill;

#endif
