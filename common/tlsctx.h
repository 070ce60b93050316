/*
 * tlsctx - one TLS context a distinct setting
 *
 * The master builds contexts from struct conf_tls while it is root and can read keys;
 * workers inherit them by fork and open nothing. Equal settings give the same context,
 * and certificates are objects of their own, kept by inode, mtime and size over reloads
 * and attached in the certificate callback, because a context with its certificate costs
 * 0.7 ms and 22 KB. Built on: conf, zone, mem, OpenSSL.
 */
#ifndef POSTERN_COMMON_TLSCTX_H
#define POSTERN_COMMON_TLSCTX_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "common/conf.h"

struct tlsctx;

/* The SSL_CTX to make connections from; borrowed. */
SSL_CTX *tlsctx_ssl(const struct tlsctx *context);

#endif
