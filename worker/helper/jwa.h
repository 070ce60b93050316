/*
 * jwa - the signature algorithms that a token may use
 *
 * RFC 7518 sections 3.3 to 3.5 and RFC 8037: RSA, RSA-PSS, ECDSA and Ed25519, each bound
 * to one type of key, so that a key is never used as what it is not. There is no "none",
 * and nothing symmetric: who could check a token could make one. Built on: libcrypto.
 */
#ifndef POSTERN_WORKER_HELPER_JWA_H
#define POSTERN_WORKER_HELPER_JWA_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>

struct jwa;

enum jwa_key { JWA_RSA, JWA_P256, JWA_P384, JWA_P521, JWA_ED25519 };

/* The algorithm of that name, in the case of the RFCs; NULL: it is unknown, or none that is taken. */
const struct jwa *jwa_find(const char *name);

/* The keys that it works with. */
enum jwa_key jwa_key(const struct jwa *alg);

struct jwa_signed {
	const char *text;
	size_t len;
	const unsigned char *signature;
	size_t signature_len;
};

/* Did the owner of `key`, which is of the algorithm's type, sign the text? */
bool jwa_verify(const struct jwa *alg, EVP_PKEY *key, const struct jwa_signed *what);

/* Loads what libcrypto loads at first use, while files can still be opened. */
void jwa_prepare(void);

#endif
