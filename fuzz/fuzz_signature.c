/* SPDX-License-Identifier: BSD-2-Clause */
/* The files of a signature. The first byte says which: a public key, or (odd) a signature of a fixed text by a fixed key. One signature
 * of that key is in the world, and whatever else is taken must be it in every byte but those of the untrusted comment. */
#include "fuzz.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/status.h"
#include "trust/signature.h"

static const char signed_text[] = "{\"schema_version\":1,\"models\":[]}\n";
static const char comment[] = "the one signature";
static struct vd_trusted trusted;
static char lines[512]; /* the second to the fourth, as they must be */

static void base64(char *dst, size_t room, const uint8_t *bytes, size_t n)
{
    MUST(sodium_bin2base64(dst, room, bytes, n, sodium_base64_VARIANT_ORIGINAL));
}

static void begin(void)
{
    static const uint8_t seed[crypto_sign_SEEDBYTES] = "fuzz_signature.c";
    uint8_t secret[crypto_sign_SECRETKEYBYTES], hash[64], blob[2 + 8 + 64] = "EDfuzz-key", global[64], both[64 + sizeof comment - 1];
    char a[128], b[128];
    MUST(sodium_init() >= 0);
    crypto_sign_seed_keypair(trusted.key[0].key, secret, seed);
    memcpy(trusted.key[0].id, blob + 2, VD_KEY_ID);
    trusted.n = 1;
    vd_signature_hash(signed_text, sizeof signed_text - 1, hash);
    crypto_sign_detached(blob + 10, NULL, hash, sizeof hash, secret);
    memcpy(both, blob + 10, 64);
    memcpy(both + 64, comment, sizeof comment - 1);
    crypto_sign_detached(global, NULL, both, sizeof both, secret);
    base64(a, sizeof a, blob, sizeof blob);
    base64(b, sizeof b, global, sizeof global);
    snprintf(lines, sizeof lines, "%s\ntrusted comment: %s\n%s\n", a, comment, b);
    const char *seeds = getenv("FUZZ_SIGNATURE_SEED"); /* where make_seeds.py wants the true one */
    FILE *f = seeds ? fopen(seeds, "wb") : NULL;
    if (f) {
        fprintf(f, "\x01untrusted comment: x\n%s", lines);
        fclose(f);
    }
}

static void public_key(const uint8_t *text, size_t size)
{
    struct vd_public_key k, again;
    char name[VD_KEY_NAME], copy[256];
    uint8_t blob[2 + 8 + 32] = "Ed";
    const int rc = vd_public_key_parse(text, size, "x.pub", &k);
    if (rc) {
        fuzz_refused(rc);
        return;
    }
    vd_key_name(k.id, name);
    MUST(strlen(name) == 16);
    memcpy(blob + 2, k.id, sizeof k.id);
    memcpy(blob + 10, k.key, sizeof k.key);
    memcpy(copy, "untrusted comment: x\n", 21);
    base64(copy + 21, sizeof copy - 22, blob, sizeof blob);
    strcat(copy, "\n");
    MUST(vd_public_key_parse(copy, strlen(copy), "y.pub", &again) == 0 && !memcmp(&k, &again, sizeof k));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!trusted.n)
        begin();
    if (size < 1)
        return 0;
    uint8_t *text = fuzz_copy(data + 1, size - 1);
    fuzz_result = 0;
    vd_reason_clear();
    if (data[0] & 1) {
        struct vd_signed s;
        const int rc = vd_signature_check(signed_text, sizeof signed_text - 1, text, size - 1, "registry.json.minisig", &trusted, &s);
        if (rc) {
            MUST(rc == -EKEYREJECTED);
            fuzz_refused(rc);
        } else {
            const size_t n = strlen(lines);
            MUST(size - 1 > n && !memcmp(text + (size - 1 - n), lines, n) && s.n_comment == sizeof comment - 1);
            MUST(vd_signature_check(signed_text, sizeof signed_text - 2, text, size - 1, "r", &trusted, &s) == -EKEYREJECTED);
        }
    } else {
        public_key(text, size - 1);
    }
    free(text);
    return 0;
}
