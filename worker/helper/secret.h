/*
 * secret - a stored password, and whether what a client says fits it
 *
 * A stored secret reads as Dovecot writes it: "{SCHEME}text", "{SCHEME.b64}text" or
 * "{SCHEME.hex}text", or just the hash of crypt(3). A struct secret points into that
 * text and owns nothing. Schemes: the password itself, digests with and without salt,
 * and whatever crypt(3) knows. Comparing takes a time that does not depend on where two
 * secrets differ; what a whole verification costs depends on the scheme alone and can
 * be asked for. Built on: base64, mem, crypthash, libcrypto.
 */
#ifndef POSTERN_WORKER_HELPER_SECRET_H
#define POSTERN_WORKER_HELPER_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECRET_MAX 1024         /* bytes of a password, and of a stored text; longer ones are refused unhashed */

struct secret_scheme;

enum secret_encoding { SECRET_AS_IS, SECRET_BASE64, SECRET_HEX };

struct secret {
	const struct secret_scheme *scheme;     /* static; NULL: no password fits */
	enum secret_encoding encoding;          /* of the text */
	const char *text;                       /* borrowed: what stands behind the scheme */
	size_t len;
};

/*
 * Reads a stored secret and proves that it can be verified. The empty one, "*" and
 * whatever begins with "!" lock: no password fits. Returns NULL, or a static phrase
 * that says what is wrong.
 */
const char *secret_parse(struct secret *s, const char *text, size_t len);

/* The scheme as Dovecot calls it; NULL when locked. */
const char *secret_scheme_name(const struct secret *s);

/* Is the password itself stored? Only then do the methods with a challenge work. */
bool secret_is_plain(const struct secret *s);

/* That password, fresh and the caller's to mem_free_secret(); NULL if it is not stored. */
char *secret_reveal(const struct secret *s);

/* Is `pass` the password? */
bool secret_fits(const struct secret *s, const char *pass, size_t len);

/*
 * Is `hex` what somebody who knows the password answers to `salt`: MD5(salt, password)
 * for APOP (RFC 1939 section 7), HMAC-MD5(password, salt) for CRAM-MD5 (RFC 2195)? False
 * for a secret that is not plain, at the same price.
 */
bool secret_answers_apop(const struct secret *s, const char *salt, const char *hex);
bool secret_answers_cram_md5(const struct secret *s, const char *salt, const char *hex);

/* What secret_fits() costs, in very rough microseconds: good for telling cheap from costly. 0 when locked. */
uint64_t secret_cost(const struct secret *s);

/* Loads what the libraries load at first use, while files can still be opened. */
void secret_prepare(void);

#endif
