/* SPDX-License-Identifier: BSD-2-Clause */
#include "trust/signature.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "trust/trust_priv.h"

static const char untrusted[] = "untrusted comment: ", trusted[] = "trusted comment: ";
enum { UNTRUSTED_MOST = 1024, TRUSTED_MOST = 8192, BASE64_MOST = 128 };

/* Little structures without padding, as they lie in base64. */
struct key_bytes { uint8_t alg[2], id[VD_KEY_ID], key[VD_PUBLIC_KEY]; };
struct signature_bytes { uint8_t alg[2], id[VD_KEY_ID], sig[VD_ED25519]; };
_Static_assert(sizeof(struct key_bytes) == 42 && sizeof(struct signature_bytes) == 74, "no padding");

bool vd_line(struct vd_lines *l, const char *prefix, size_t most, const char **line, size_t *n)
{
    size_t skip = strlen(prefix), left = (size_t)(l->end - l->at);
    const char *newline = left ? memchr(l->at, '\n', left) : NULL;

    if (!newline)
        return false;
    size_t len = (size_t)(newline - l->at);
    if (len < skip || len - skip > most || memcmp(l->at, prefix, skip))
        return false;
    for (const char *p = l->at; p < newline; p++)
        if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
            return false;
    *line = l->at + skip;
    *n = len - skip;
    l->at = newline + 1;
    return true;
}

/* libsodium 1.0.18 takes some bytes from 128 for a letter (0xaf for /), and others take bits behind the last byte: what is encoded again
 * must be what was there. */
bool vd_base64(const char *text, size_t n, uint8_t *bytes, size_t size)
{
    char again[256];
    size_t got, want = sodium_base64_ENCODED_LEN(size, sodium_base64_VARIANT_ORIGINAL);

    if (n + 1 != want || want > sizeof(again))
        return false;
    if (sodium_base642bin(bytes, size, text, n, NULL, &got, NULL, sodium_base64_VARIANT_ORIGINAL) || got != size)
        return false;
    sodium_bin2base64(again, want, bytes, size, sodium_base64_VARIANT_ORIGINAL);
    return !memcmp(again, text, n);
}

void vd_key_name(const uint8_t id[VD_KEY_ID], char hex[VD_KEY_NAME])
{
    for (int i = 0; i < VD_KEY_ID; i++)
        snprintf(hex + 2 * i, 3, "%02X", id[VD_KEY_ID - 1 - i]);
}

int vd_public_key_parse(const void *text, size_t size, const char *name, struct vd_public_key *k)
{
    struct vd_lines l = {text, (const char *)text + size};
    struct key_bytes b;
    const char *line;
    size_t n;

    if (!vd_line(&l, untrusted, UNTRUSTED_MOST, &line, &n) || !vd_line(&l, "", BASE64_MOST, &line, &n) || l.at != l.end ||
        !vd_base64(line, n, (uint8_t *)&b, sizeof(b)) || memcmp(b.alg, "Ed", 2))
        return vd_fail(EBADMSG, "%s: not a minisign public key, which is a line 'untrusted comment: ...' and a line of 56 characters 'RW...'",
                       vd_shown(name));
    memcpy(k->id, b.id, sizeof(k->id));
    memcpy(k->key, b.key, sizeof(k->key));
    return 0;
}

void vd_signature_hash(const void *data, size_t size, uint8_t hash[64])
{
    crypto_generichash(hash, 64, data, size, NULL, 0);
}

static int not_one(const char *name, const char *what)
{
    return vd_fail(EKEYREJECTED, "%s: not a minisign signature: %s", vd_shown(name), what);
}

static int untrusted_key(const struct signature_bytes *b, const char *name)
{
    char hex[VD_KEY_NAME];

    vd_key_name(b->id, hex);
    return vd_fail(EKEYREJECTED, "%s: made with key %s, which is not among the trusted keys", vd_shown(name), hex);
}

int vd_signature_check(const void *data, size_t size, const void *text, size_t n, const char *name, const struct vd_trusted *t,
                       struct vd_signed *s)
{
    struct vd_lines l = {text, (const char *)text + n};
    uint8_t hash[64], global[VD_ED25519], both[VD_ED25519 + TRUSTED_MOST];
    struct signature_bytes b;
    const char *line;
    size_t len;
    bool known = false;

    if (!vd_line(&l, untrusted, UNTRUSTED_MOST, &line, &len))
        return not_one(name, "its first line is not 'untrusted comment: ...'");
    if (!vd_line(&l, "", BASE64_MOST, &line, &len) || !vd_base64(line, len, (uint8_t *)&b, sizeof(b)))
        return not_one(name, "its second line is not base64 of 74 bytes");
    if (!memcmp(b.alg, "Ed", 2))
        return not_one(name, "it has the legacy form, which hashes nothing first; sign again without -l");
    if (memcmp(b.alg, "ED", 2))
        return not_one(name, "its algorithm is not ED");
    if (!vd_line(&l, trusted, TRUSTED_MOST, &s->comment, &s->n_comment))
        return not_one(name, "its third line is not 'trusted comment: ...'");
    if (!vd_line(&l, "", BASE64_MOST, &line, &len) || !vd_base64(line, len, global, sizeof(global)))
        return not_one(name, "its fourth line is not base64 of 64 bytes");
    if (l.at != l.end)
        return not_one(name, "something follows its four lines");

    vd_signature_hash(data, size, hash);
    memcpy(both, b.sig, sizeof(b.sig));
    memcpy(both + sizeof(b.sig), s->comment, s->n_comment);
    for (size_t i = 0; i < t->n; i++) {
        if (memcmp(t->key[i].id, b.id, sizeof(b.id)))
            continue;
        known = true;
        if (!crypto_sign_verify_detached(b.sig, hash, sizeof(hash), t->key[i].key) &&
            !crypto_sign_verify_detached(global, both, sizeof(b.sig) + s->n_comment, t->key[i].key)) {
            memcpy(s->id, b.id, sizeof(s->id));
            return 0;
        }
    }
    if (!known)
        return untrusted_key(&b, name);
    return vd_fail(EKEYREJECTED, "%s: does not fit the file that it lies beside: one of the two was changed after it was signed", vd_shown(name));
}
