/* SPDX-License-Identifier: BSD-2-Clause */
#include "secret_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <sodium.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/status.h"

/* As it lies in base64; numbers are little endian. What is encrypted is id to check. */
struct secret_bytes {
    uint8_t alg[2], kdf[2], check_alg[2], salt[32], ops[8], mem[8];
    uint8_t id[VD_KEY_ID], key[64], check[32];
};
_Static_assert(sizeof(struct secret_bytes) == 158, "no padding");
enum { PLAIN = sizeof(struct secret_bytes) - offsetof(struct secret_bytes, id), BASE64_MOST = 256 };
#define MEM_LEAST (16u << 20)
#define COST_MOST (1ull << 32) /* a file must not ask for hours, or for all memory */

static void put64(uint8_t b[8], uint64_t v)
{
    for (int i = 0; i < 8; i++)
        b[i] = (uint8_t)(v >> 8 * i);
}

static uint64_t get64(const uint8_t b[8])
{
    uint64_t v = 0;

    for (int i = 0; i < 8; i++)
        v |= (uint64_t)b[i] << 8 * i;
    return v;
}

static int ready(void)
{
    return sodium_init() < 0 ? vd_fail(EIO, "libsodium does not start: the system has no random numbers") : 0;
}

int vd_key_generate(struct vd_secret_key *s, struct vd_public_key *p)
{
    int rc = ready();

    if (rc)
        return rc;
    randombytes_buf(s->id, sizeof(s->id));
    crypto_sign_keypair(p->key, s->key);
    memcpy(p->id, s->id, sizeof(p->id));
    return 0;
}

static void checksum(struct secret_bytes *b, uint8_t check[32])
{
    crypto_generichash_state h;

    crypto_generichash_init(&h, NULL, 0, 32);
    crypto_generichash_update(&h, b->alg, sizeof(b->alg));
    crypto_generichash_update(&h, b->id, sizeof(b->id));
    crypto_generichash_update(&h, b->key, sizeof(b->key));
    crypto_generichash_final(&h, check, 32);
    sodium_memzero(&h, sizeof(h));
}

/* scrypt's stream over id, key and checksum; the same turns them back. */
static int crypt_bytes(struct secret_bytes *b, const char *password)
{
    uint8_t stream[PLAIN], *p = b->id;

    if (crypto_pwhash_scryptsalsa208sha256(stream, sizeof(stream), password, strlen(password), b->salt, get64(b->ops), (size_t)get64(b->mem)))
        return vd_nomem(get64(b->mem));
    for (size_t i = 0; i < sizeof(stream); i++)
        p[i] ^= stream[i];
    sodium_memzero(stream, sizeof(stream));
    return 0;
}

static size_t write_text(const char *comment, const char *id, const void *bytes, size_t size, char text[VD_KEY_TEXT])
{
    char base64[BASE64_MOST];

    sodium_bin2base64(base64, sizeof(base64), bytes, size, sodium_base64_VARIANT_ORIGINAL);
    int n = snprintf(text, VD_KEY_TEXT, "untrusted comment: %s%s\n%s\n", comment, id, base64);
    sodium_memzero(base64, sizeof(base64));
    return (size_t)n;
}

int vd_secret_key_text(const struct vd_secret_key *s, const char *password, char text[VD_KEY_TEXT], size_t *n)
{
    struct secret_bytes b = {.alg = "Ed", .check_alg = "B2"};
    int rc = ready();

    if (rc)
        return rc;
    memcpy(b.id, s->id, sizeof(b.id));
    memcpy(b.key, s->key, sizeof(b.key));
    checksum(&b, b.check);
    if (password) {
        uint64_t ops = crypto_pwhash_scryptsalsa208sha256_OPSLIMIT_SENSITIVE, mem = crypto_pwhash_scryptsalsa208sha256_MEMLIMIT_SENSITIVE;
        memcpy(b.kdf, "Sc", 2);
        randombytes_buf(b.salt, sizeof(b.salt));
        do {
            put64(b.ops, ops);
            put64(b.mem, mem);
            rc = crypt_bytes(&b, password);
            ops /= 2;
            mem /= 2;
        } while (rc && mem >= MEM_LEAST);
    }
    if (!rc)
        *n = write_text(password ? "minisign encrypted secret key" : "minisign secret key, not encrypted", "", &b, sizeof(b), text);
    sodium_memzero(&b, sizeof(b));
    return rc;
}

size_t vd_public_key_text(const struct vd_public_key *p, char text[VD_KEY_TEXT])
{
    struct { uint8_t alg[2], id[VD_KEY_ID], key[VD_PUBLIC_KEY]; } b = {.alg = "Ed"};
    char id[VD_KEY_NAME];

    memcpy(b.id, p->id, sizeof(b.id));
    memcpy(b.key, p->key, sizeof(b.key));
    vd_key_name(p->id, id);
    return write_text("minisign public key ", id, &b, sizeof(b), text);
}

static int decode(const void *text, size_t size, const char *name, struct secret_bytes *b)
{
    struct vd_lines l = {text, (const char *)text + size};
    const char *line;
    size_t n;

    if (!vd_line(&l, "untrusted comment: ", 1024, &line, &n) || !vd_line(&l, "", BASE64_MOST, &line, &n) || l.at != l.end ||
        !vd_base64(line, n, (uint8_t *)b, sizeof(*b)) || memcmp(b->alg, "Ed", 2) || memcmp(b->check_alg, "B2", 2))
        return vd_fail(EBADMSG, "%s: not a minisign secret key, which is a line 'untrusted comment: ...' and a line of 212 characters", name);
    return 0;
}

int vd_secret_key_parse(const void *text, size_t size, const char *name, const char *password, struct vd_secret_key *s)
{
    struct secret_bytes b;
    uint8_t check[32];
    int rc = decode(text, size, name, &b);

    if (!rc && !memcmp(b.kdf, "Sc", 2)) {
        if (!password)
            rc = vd_fail(EAGAIN, "%s: encrypted; give its password", name);
        else if (get64(b.ops) > COST_MOST || get64(b.mem) > COST_MOST)
            rc = vd_fail(EBADMSG, "%s: its scrypt parameters ask for more than %llu", name, COST_MOST);
        else
            rc = crypt_bytes(&b, password);
        checksum(&b, check);
        if (!rc && sodium_memcmp(check, b.check, sizeof(check)))
            rc = vd_fail(EKEYREJECTED, "%s: the password is wrong, or the file is damaged", name);
    } else if (!rc && (b.kdf[0] || b.kdf[1]))
        rc = vd_fail(EBADMSG, "%s: its key derivation is neither scrypt nor none", name);
    else if (!rc) {
        checksum(&b, check); /* minisign leaves it zero here */
        if (!sodium_is_zero(b.check, sizeof(b.check)) && sodium_memcmp(check, b.check, sizeof(check)))
            rc = vd_fail(EBADMSG, "%s: damaged: its checksum does not match", name);
    }
    if (!rc) {
        memcpy(s->id, b.id, sizeof(s->id));
        memcpy(s->key, b.key, sizeof(s->key));
    }
    sodium_memzero(&b, sizeof(b));
    return rc;
}

void vd_secret_key_wipe(struct vd_secret_key *s) { sodium_memzero(s, sizeof(*s)); }

int vd_sign(const struct vd_secret_key *s, const void *data, size_t size, const char *comment, char text[VD_SIGNATURE_TEXT], size_t *n)
{
    struct { uint8_t alg[2], id[VD_KEY_ID], sig[VD_ED25519]; } b = {.alg = "ED"};
    uint8_t hash[64], both[VD_ED25519 + 1024], global[VD_ED25519];
    char line2[128], line4[128];
    size_t len = strlen(comment);
    int rc = ready();

    for (size_t i = 0; i < len && !rc; i++)
        if (((unsigned char)comment[i] < 0x20 && comment[i] != '\t') || comment[i] == 0x7f)
            rc = vd_fail(EINVAL, "the comment has a control character");
    if (!rc && len > 1000)
        rc = vd_fail(EINVAL, "the comment has %zu bytes, of 1000 at most", len);
    if (rc)
        return rc;
    memcpy(b.id, s->id, sizeof(b.id));
    vd_signature_hash(data, size, hash);
    crypto_sign_detached(b.sig, NULL, hash, sizeof(hash), s->key);
    memcpy(both, b.sig, sizeof(b.sig));
    memcpy(both + sizeof(b.sig), comment, len);
    crypto_sign_detached(global, NULL, both, sizeof(b.sig) + len, s->key);
    sodium_bin2base64(line2, sizeof(line2), (uint8_t *)&b, sizeof(b), sodium_base64_VARIANT_ORIGINAL);
    sodium_bin2base64(line4, sizeof(line4), global, sizeof(global), sodium_base64_VARIANT_ORIGINAL);
    *n = (size_t)snprintf(text, VD_SIGNATURE_TEXT, "untrusted comment: signature of vmaf-dnn registry sign\n%s\ntrusted comment: %s\n%s\n", line2,
                          comment, line4);
    return 0;
}

/* --- passwords: never from the command line, which every process can read */

static int first_line(const char *file, char password[VD_PASSWORD_MAX])
{
    uint8_t *data = NULL;
    size_t size = 0;
    int rc = 0;

    if (!strcmp(file, "-")) {
        for (ssize_t n = 1; n > 0 && size < VD_PASSWORD_MAX && (!size || password[size - 1] != '\n');) { /* not a byte more than the line */
            n = read(STDIN_FILENO, password + size, 1);
            if (n < 0 && errno != EINTR)
                return vd_fail(EIO, "standard input: %s", strerror(errno));
            size += n > 0 ? (size_t)n : 0;
            n = n < 0 ? 1 : n;
        }
    } else {
        rc = vd_file_read(file, 1 << 16, &data, &size);
        if (rc)
            return rc;
        memcpy(password, data, size < VD_PASSWORD_MAX ? size : VD_PASSWORD_MAX);
        sodium_memzero(data, size);
        vd_free(data);
    }
    const char *end = memchr(password, '\n', size < VD_PASSWORD_MAX ? size : VD_PASSWORD_MAX);
    size_t len = end ? (size_t)(end - password) : size;
    if (len >= VD_PASSWORD_MAX || memchr(password, 0, len)) {
        sodium_memzero(password, VD_PASSWORD_MAX);
        return vd_fail(EINVAL, "%s: the password, its first line, has a zero byte or over %d bytes", file, VD_PASSWORD_MAX - 1);
    }
    password[len] = 0;
    return 0;
}

static int ask(int tty, const char *prompt, char password[VD_PASSWORD_MAX])
{
    struct termios shown, hidden;
    size_t n = 0;
    char c = 0;

    if (tcgetattr(tty, &shown))
        return vd_fail(EIO, "/dev/tty: %s", strerror(errno));
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)(ECHO | ISIG); /* a signal would leave the terminal without echo */
    tcsetattr(tty, TCSAFLUSH, &hidden);
    dprintf(tty, "%s: ", prompt);
    ssize_t got = 0;
    while (n < VD_PASSWORD_MAX && ((got = read(tty, &c, 1)) == 1 || (got < 0 && errno == EINTR))) {
        if (got < 0)
            continue;
        if (c == '\n' || c == hidden.c_cc[VINTR])
            break;
        password[n++] = c;
    }
    tcsetattr(tty, TCSAFLUSH, &shown);
    dprintf(tty, "\n");
    if (got < 1 || c != '\n' || n == VD_PASSWORD_MAX) {
        sodium_memzero(password, n);
        return vd_fail(EINVAL, n == VD_PASSWORD_MAX ? "the password is too long" : "no password was given");
    }
    password[n] = 0;
    return 0;
}

int vd_password(const char *file, const char *prompt, bool is_new, char password[VD_PASSWORD_MAX])
{
    char again[VD_PASSWORD_MAX];

    if (file)
        return first_line(file, password);
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0)
        return vd_fail(EINVAL, "no terminal to ask for the password at: give --password-file FILE, or --no-password for a key without one");
    int rc = ask(tty, prompt, password);
    if (!rc && is_new) {
        rc = ask(tty, "the same again", again);
        if (!rc && strcmp(password, again))
            rc = vd_fail(EINVAL, "these were two different passwords");
        sodium_memzero(again, sizeof(again));
    }
    close(tty);
    return rc;
}
