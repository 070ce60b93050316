/*
 * tlsbox - certificates and TLS settings for tests, made on the spot
 *
 * An authority, a server certificate for "mail.example.org" and 127.0.0.1, a client
 * certificate, and another authority that nobody trusts. In the place of tlsctx, which
 * reads files in the master, it hands out SSL_CTXs that are made by hand.
 */
#ifndef POSTERN_TEST_UNIT_TLSBOX_H
#define POSTERN_TEST_UNIT_TLSBOX_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "common/conf.h"

/* For all that it makes; freed by tlsbox_free(). `version`: TLS1_2_VERSION or TLS1_3_VERSION. */
void tlsbox_make(int version);
void tlsbox_free(void);

/* The server's side; with `verify` it asks for a certificate, and lets everybody pass. */
struct conf_tls tlsbox_server(enum ssl_verify verify);

/* The client's, which verifies; `trusting`: it knows the right authority. With or without a certificate of its own. */
struct conf_tls tlsbox_client(bool trusting, bool with_certificate);

#endif
