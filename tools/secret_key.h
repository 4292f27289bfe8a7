/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_SECRET_KEY_H
#define VD_SECRET_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "trust/signature.h"

/* The other half of trust/signature.h, which the library does not have: key files as minisign's -G makes them, and signatures as its -S. */

struct vd_secret_key { uint8_t id[VD_KEY_ID], key[64]; };

enum { VD_PASSWORD_MAX = 1024, VD_KEY_TEXT = 512, VD_SIGNATURE_TEXT = 2048 };

/* A new pair. -EIO: the system has no random numbers. */
int vd_key_generate(struct vd_secret_key *s, struct vd_public_key *p);
/* The text of a key file and its length. password NULL: not encrypted; else scrypt with libsodium's sensitive cost, or the highest below it
 * that there is memory for. */
int vd_secret_key_text(const struct vd_secret_key *s, const char *password, char text[VD_KEY_TEXT], size_t *n);
size_t vd_public_key_text(const struct vd_public_key *p, char text[VD_KEY_TEXT]);
/* -EBADMSG: not a secret key; -EKEYREJECTED: the password is wrong; -ENOMEM: scrypt wants more memory than there is.
 * encrypted without a password: -EAGAIN. */
int vd_secret_key_parse(const void *text, size_t size, const char *name, const char *password, struct vd_secret_key *s);
void vd_secret_key_wipe(struct vd_secret_key *s);

/* comment: the trusted comment, printable, at most 1000 bytes. */
int vd_sign(const struct vd_secret_key *s, const void *data, size_t size, const char *comment, char text[VD_SIGNATURE_TEXT], size_t *n);

/* The first line of a file (- is standard input) or, file NULL, what is typed at the terminal without being shown; twice when it is new. */
int vd_password(const char *file, const char *prompt, bool is_new, char password[VD_PASSWORD_MAX]);

#endif
