/* SPDX-License-Identifier: BSD-2-Clause */
#include <pthread.h>
#include <string.h>

#include <sodium.h>

#include "trust/trust_priv.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* SHA-256 is portable C there and works even where no random source lets sodium_init() succeed. */
static void init(void)
{
    (void)!sodium_init();
}

void vd_sha256_hex(const void *data, size_t size, char hex[65])
{
    unsigned char digest[crypto_hash_sha256_BYTES];

    pthread_once(&once, init);
    crypto_hash_sha256(digest, data, size);
    sodium_bin2hex(hex, 65, digest, sizeof(digest));
}

bool vd_digest_ok(const char *s)
{
    return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}
