/*
 * jwks - a set of public keys that issuers publish (RFC 7517 section 5)
 *
 * Keys that are not for checking signatures are none of ours and are skipped; keys that
 * should be but cannot be used, too weak ones among them, are skipped with a word. A set
 * without a key that can be used is no set. Every key has been checked when it is here:
 * RSA of 2048 to 8192 bits (RFC 7518 section 6.3), points that lie on P-256, P-384 or P-521
 * (6.2), Ed25519 (RFC 8037). Pure. Built on: jwa, base64, mem, token (JSON), libcrypto.
 */
#ifndef POSTERN_WORKER_HELPER_JWKS_H
#define POSTERN_WORKER_HELPER_JWKS_H

#include <openssl/evp.h>
#include <stddef.h>

#include "worker/helper/jwa.h"

#define JWKS_MAX ((size_t)1 << 20)      /* bytes of a set */
#define JWKS_KEYS_MAX 256               /* keys in it */

struct jwks;

/* Hears of a key, counted from 1, about which there is something to say; `why` is static. */
typedef void jwks_listener(void *ctx, size_t number, const char *why);

/* Returns NULL and the set, or a static phrase saying why it cannot be used; *setp is NULL then. */
const char *jwks_new(struct jwks **setp, const char *text, size_t len, jwks_listener *hear, void *ctx);

/* NULL is fine; leaves NULL. */
void jwks_free(struct jwks **setp);

/* How many keys there are. */
size_t jwks_count(const struct jwks *set);

/* Is there a key that a token with this "kid" may be signed by? A key without one may be any. */
bool jwks_has(const struct jwks *set, const char *kid);

/*
 * The next key, from *at on, that may have signed with `alg` under the name `kid` (NULL:
 * under any); NULL: there is no other. *at begins as 0. The key stays the set's.
 */
EVP_PKEY *jwks_next(const struct jwks *set, size_t *at, const char *kid, const struct jwa *alg);

#endif
