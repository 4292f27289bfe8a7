/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_SIGNATURE_H
#define VD_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Signatures in minisign's format (jedisct1.github.io/minisign), prehashed form "ED": Ed25519 over the 64 bytes of the file's BLAKE2b-512,
 * and a global signature over that signature and the trusted comment. This is not Ed25519ph.
 * Readers are stricter than minisign: exactly the lines of the format, each with its newline, base64 in its one canonical spelling, no
 * control characters in comments, and no legacy form "Ed". So no byte of a signature file can change but in the text of its first line,
 * which nothing signs. */

enum { VD_SIGNATURE_MAX = 10240, VD_KEY_FILE_MAX = 4096, VD_KEYS_MAX = 64, VD_KEY_NAME = 17 };
enum { VD_KEY_ID = 8, VD_PUBLIC_KEY = 32, VD_ED25519 = 64 };

struct vd_public_key { uint8_t id[VD_KEY_ID], key[VD_PUBLIC_KEY]; };

/* Keys that a registry may be signed with; n 0: nothing is configured, and registries need no signature. */
struct vd_trusted {
    struct vd_public_key key[VD_KEYS_MAX];
    size_t n;
};

/* The keys of folder dir, each file in it that is called X.pub; dir NULL: of $VMAF_DNN_TRUSTED_KEYS; that unset or empty: the release and the
 * recovery key that the build embeds, if any. A folder is the whole list, it adds nothing to the embedded ones.
 * -ENOENT, -EACCES: the folder cannot be read; -EKEYREJECTED: it has no key, more than VD_KEYS_MAX, or a file that is no public key. */
int vd_trusted_load(const char *dir, struct vd_trusted *t);

/* The two lines of a public key file. -EBADMSG, with name and what is wrong. */
int vd_public_key_parse(const void *text, size_t size, const char *name, struct vd_public_key *k);
void vd_key_name(const uint8_t id[VD_KEY_ID], char hex[VD_KEY_NAME]); /* as minisign prints it */

struct vd_signed {
    uint8_t id[VD_KEY_ID];                 /* of the key */
    const char *comment; size_t n_comment; /* the trusted comment, within the signature's bytes */
};
/* Is text, the bytes of the signature file name, a signature of data by one of the keys? -EKEYREJECTED and why not. */
int vd_signature_check(const void *data, size_t size, const void *text, size_t n, const char *name, const struct vd_trusted *t,
                       struct vd_signed *s);

/* The BLAKE2b-512 that is signed. */
void vd_signature_hash(const void *data, size_t size, uint8_t hash[64]);

/* What readers of such files share. One line, its newline taken off: false when there is none, it has over most bytes, or a control
 * character. line is set to what follows prefix. */
struct vd_lines { const char *at, *end; };
bool vd_line(struct vd_lines *l, const char *prefix, size_t most, const char **line, size_t *n);
/* Exactly size bytes, in canonical base64. */
bool vd_base64(const char *text, size_t n, uint8_t *bytes, size_t size);

/* seen.c: the highest registry_version that was opened under a key, kept in $XDG_STATE_HOME/vmaf-dnn, or ~/.local/state/vmaf-dnn.
 * -EKEYREJECTED: version is below it, or it cannot be kept. name: the registry's, NULL without one. */
int vd_seen_check(const uint8_t id[VD_KEY_ID], const char *name, int64_t version);
int vd_seen_keep(const uint8_t id[VD_KEY_ID], const char *name, int64_t version); /* the same, and version is the highest then */
int vd_seen_folder(char dst[4096]); /* -EKEYREJECTED when neither variable says where */
int vd_seen_make(char dst[4096]);   /* and make it */

#endif
