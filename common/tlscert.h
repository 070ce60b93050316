/*
 * tlscert - a certificate, its chain and its key
 *
 * Read once by the master and shared by every context that names the same files, in this
 * configuration and the next. The key may be encrypted, with its password in a file of
 * passwords, one a line, each of which is tried; or it may be in a store of one of
 * OpenSSL's providers: `store:SCHEME:ID`. Nobody is ever asked at a terminal.
 * Built on: tlserror, mem, OpenSSL.
 */
#ifndef POSTERN_COMMON_TLSCERT_H
#define POSTERN_COMMON_TLSCERT_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

struct tlscert;

/*
 * `path` has the certificate in PEM and behind it those that lead to its CA. `passwords`
 * may be NULL. NULL with the reason in `why`.
 */
struct tlscert *tlscert_load(const char *path, const char *key, const char *passwords, char *why, size_t size);
void tlscert_free(struct tlscert **certp);

/* Gives it to one connection, beside those of other key types. Returns 0, or -1 with OpenSSL's error queue. */
int tlscert_attach(const struct tlscert *cert, SSL *ssl);

const char *tlscert_path(const struct tlscert *cert);
const X509 *tlscert_leaf(const struct tlscert *cert);
time_t tlscert_expiry(const struct tlscert *cert);      /* notAfter */

/* Does it say where its key is by a provider's name for it? Then no file tells whether it has changed. */
bool tlscert_key_is_stored(const char *key);

#endif
