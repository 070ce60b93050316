/*
 * tlsfacts - what a TLS connection can tell: its peer's certificate, and why it broke
 *
 * Texts are made when somebody asks and live with the connection. Built on: tlsio, tlsctx,
 * proto's struct tls_facts.
 */
#ifndef POSTERN_WORKER_NET_TLSFACTS_H
#define POSTERN_WORKER_NET_TLSFACTS_H

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdbool.h>

struct tls_facts;
struct tlsfacts;
struct tlsio;

/* Fills in *facts; the certificate itself only if `pem`. After the handshake. */
void tlsfacts_fill(struct tlsio *t, struct tls_facts *facts, bool pem);
void tlsfacts_free(struct tlsfacts **factsp);

/*
 * The common name of a subject, which the caller owns: UTF-8 without control characters and no
 * longer than one may be. NULL if it is no such text, if there is none, and if there are
 * several, of which nobody could tell which is meant.
 */
char *tlsfacts_common_name(const X509_NAME *name);

/* conn_verify_error() */
const char *tlsfacts_verify_error(const struct tlsio *t);

/*
 * Why a connection broke, for the log and in parentheses: what OpenSSL's queue of errors
 * says, which is emptied, else `error`. The caller owns it. `ssl` may be NULL.
 */
char *tlsfacts_error(SSL *ssl, int error);

#endif
