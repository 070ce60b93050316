/*
 * tlsstaple - an OCSP response from a file, for the certificates that it speaks of
 *
 * In DER, as `openssl ocsp -respout` writes it. It goes out with the certificates whose
 * serial number is in it, and only while it is in force: a stale one does more harm than
 * none. Built on: tlserror, tlscert, mem, OpenSSL.
 */
#ifndef POSTERN_COMMON_TLSSTAPLE_H
#define POSTERN_COMMON_TLSSTAPLE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

struct tlscert;
struct tlsstaple;

/*
 * NULL with the reason in `why`: it cannot be read, is no good answer, or speaks of none of the
 * `count` certificates.
 */
struct tlsstaple *tlsstaple_load(const char *path, const struct tlscert *const *certs, size_t count, char *why,
    size_t size);
void tlsstaple_free(struct tlsstaple **staplep);

/* When it ends; 0: it says nothing about that. */
time_t tlsstaple_expiry(const struct tlsstaple *staple);

/* Has `ssl` send it, if it is for this certificate and in force. Returns whether. */
bool tlsstaple_attach(const struct tlsstaple *staple, SSL *ssl, const X509 *leaf, time_t now);

#endif
