/*
 * tlspeer - TLS sessions with peers, to be resumed
 *
 * One session for each of a worker's peers, newest first and last; there is a fixed
 * number of places, and peers that share one push each other out. A peer is the settings
 * and the name it is known by, so that no session is resumed under laxer rules than it
 * was made under. Built on: conf, mem, must, OpenSSL.
 */
#ifndef POSTERN_WORKER_NET_TLSPEER_H
#define POSTERN_WORKER_NET_TLSPEER_H

#include <openssl/ssl.h>

#include "common/conf.h"

/* Offers this peer the session it left, if any, and keeps those that it gives. `tls` and `name` outlive `ssl`. */
void tlspeer_offer(SSL *ssl, const struct conf_tls *tls, const char *name);

/* Drops what is kept for this peer. */
void tlspeer_forget(const struct conf_tls *tls, const char *name);

/* Drops everything. */
void tlspeer_clear(void);

#endif
