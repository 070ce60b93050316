/*
 * jwtbox - an issuer for tests: keys, their public halves as JSON, and tokens
 *
 * What it returns is the caller's to free.
 */
#ifndef POSTERN_TEST_UNIT_JWTBOX_H
#define POSTERN_TEST_UNIT_JWTBOX_H

#include <openssl/evp.h>
#include <stddef.h>

/* base64url without padding. */
char *jwtbox_encode(const void *bytes, size_t len);

/* The public half as a JWK; `more` is put in front of its members: "\"kid\":\"1\",". */
char *jwtbox_jwk(EVP_PKEY *key, const char *more);

/*
 * A token with these two parts, as they are, signed with `key` as `alg` (as its name says, whatever
 * the header does).
 */
char *jwtbox_token(EVP_PKEY *key, const char *alg, const char *header, const char *claims);

/* The same with another signature. */
char *jwtbox_resign(const char *token, const void *signature, size_t len);

#endif
