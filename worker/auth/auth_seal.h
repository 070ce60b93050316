/*
 * auth_seal - the cryptography of auth_cache
 *
 * HMAC-SHA256 over lists of texts, and AES-256-GCM for what must not be read. The
 * contexts are made once, while OpenSSL may still load what it needs. Built on: must,
 * mem, OpenSSL.
 */
#ifndef POSTERN_WORKER_AUTH_AUTH_SEAL_H
#define POSTERN_WORKER_AUTH_AUTH_SEAL_H

#include <stdbool.h>
#include <stddef.h>

#define AUTH_SEAL_KEY 32
#define AUTH_SEAL_NONCE 12
#define AUTH_SEAL_TAG 16

struct auth_seal;

/* NULL: OpenSSL has not got these algorithms. */
struct auth_seal *auth_seal_new(void);
void auth_seal_free(struct auth_seal **sealp);

/*
 * A MAC: begun under a key of AUTH_SEAL_KEY bytes and for a purpose, fed, and ended. What
 * is fed goes in with its length, so that no two lists give the same; a text may be NULL,
 * which is another than "".
 */
void auth_seal_begin(struct auth_seal *seal, const unsigned char *key, char purpose);
void auth_seal_bytes(struct auth_seal *seal, const void *bytes, size_t len);
void auth_seal_text(struct auth_seal *seal, const char *text);
void auth_seal_end(struct auth_seal *seal, unsigned char mac[AUTH_SEAL_KEY]);

/* What is sealed: `text` in place, and with it, in the clear but not to be changed either, `label`. */
struct auth_sealed {
	void *text;
	size_t text_len;
	const void *label;
	size_t label_len;
	unsigned char *nonce, *tag;
};

/* Makes nonce and tag. */
void auth_seal_close(struct auth_seal *seal, const unsigned char key[AUTH_SEAL_KEY], const struct auth_sealed *what);

/* False: it is not what was sealed under this key, and the text is nothing. */
bool auth_seal_open(struct auth_seal *seal, const unsigned char key[AUTH_SEAL_KEY], const struct auth_sealed *what);

#endif
