/*
 * tlsctx - one TLS context a distinct setting
 *
 * The master builds contexts from struct conf_tls while it is root and can read keys;
 * workers inherit them by fork and open nothing. Equal settings over unchanged files
 * give the same context, within a configuration and over reloads. Certificates are
 * objects of their own (tlscert) that a connection gets in the certificate callback,
 * because an SSL_CTX that holds its certificate costs 0.7 ms and 22 KB: servers that
 * differ in nothing else share one. Tickets (tlsticket) and sessions (tlscache) are
 * shared by all workers.
 *
 * Here too is what a connection must know beyond its SSL: whose settings hold, which
 * ALPN it may agree to, what its peer's certificate was found to be.
 * Built on: conf, tlscert, tlstrust, tlsstaple, tlsticket, tlscache, OpenSSL.
 */
#ifndef POSTERN_COMMON_TLSCTX_H
#define POSTERN_COMMON_TLSCTX_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "common/board.h"
#include "common/conf.h"

struct bequest;
struct tlscert;
struct tlsctx;
struct tlspool;
struct tlsticket_keys;

/* ---- in the worker ---- */

/*
 * Who chooses among the servers that share a listen: called once, while the ClientHello
 * is read. Embed it.
 */
struct tls_choice {
	/* The settings of the server that this name (lower case, NULL: none was sent) stands for; never NULL. */
	const struct conf_tls *(*choose)(struct tls_choice *choice, const char *sni);
};

/*
 * A new server's or client's side, owned by the caller, without a BIO. `tls` has a context
 * and outlives the SSL. The server's: `choice` (NULL: none) may name other settings while
 * the ClientHello is read and is borrowed until the handshake ends; a client that offers
 * ALPN without `alpn` (borrowed for ever; NULL: no opinion) gets a fatal alert. The
 * client's: verifies, and says in SNI, `host`; without one tls->name, at last "localhost".
 */
SSL *tlsctx_new_server(const struct conf_tls *tls, struct tls_choice *choice, const char *alpn);
SSL *tlsctx_new_client(const struct conf_tls *tls, const char *host, const char *alpn);

/* The settings in force for it: those of tlsctx_new_*(), or what `choice` made of them. */
const struct conf_tls *tlsctx_settings(const SSL *ssl);

/* After a server's handshake: what is to be done with the client, by ssl_verify_client. */
enum tls_verdict {
	TLS_WELCOME,            /* verified, or not asked for, or let through by `optional_no_ca` */
	TLS_BAD_CERTIFICATE,    /* "client SSL certificate verify error: (N:text)" */
	TLS_NO_CERTIFICATE,     /* "client sent no required SSL certificate" */
};

/* *errorp becomes N, an X509_V_ERR_*; X509_V_OK when there is none. X509_verify_cert_error_string() has the text. */
enum tls_verdict tlsctx_verdict(const SSL *ssl, long *errorp);

/*
 * "SUCCESS", "NONE" or "FAILED:reason" for struct tls_facts; NULL where certificates are not
 * asked for. `room` keeps the text.
 */
const char *tlsctx_verify_text(const SSL *ssl, char *room, size_t size);

/* This worker's place on the board, with which it locks session caches. Before its first connection. */
void tlsctx_use_slot(uint32_t slot);

/* ---- in the master ---- */

/* What is kept from one configuration to the next: contexts, certificates, ticket keys, session caches. */
struct tlspool *tlspool_new(void);
void tlspool_free(struct tlspool **poolp);

/*
 * From now on the children of this process can read its ticket keys but never write them.
 * A process that forks to leave its work to the child calls it in the child.
 */
void tlspool_settle(struct tlspool *pool);

/*
 * Session caches are looked for in what the master before has left, borrowed until NULL is
 * given, and left to the one that follows, as far as they can be; and so are our own ticket keys.
 */
void tlspool_inherit(struct tlspool *pool, struct bequest *left);
void tlspool_leave_to(const struct tlspool *pool, struct bequest *bequest);
void tlspool_import_tickets(struct tlspool *pool, const struct tlsticket_keys *keys);
void tlspool_export_tickets(const struct tlspool *pool, struct tlsticket_keys *keys);

/* The next contexts belong to a new load. Unless `inherit`, they are read afresh, whatever older loads know. */
void tlspool_load(struct tlspool *pool, bool inherit);

/*
 * A context for the settings, to be given back by tlsctx_release(). NULL with the reason,
 * one line, in `why`. Reads files.
 */
struct tlsctx *tlsctx_server(struct tlspool *pool, const struct conf_tls *tls, char *why, size_t size);
struct tlsctx *tlsctx_peer(struct tlspool *pool, const struct conf_tls *tls, char *why, size_t size);
void tlsctx_release(struct tlsctx **contextp);

/* The certificates of a context in the order of the configuration, and NULL behind the last. */
const struct tlscert *tlsctx_certificate(const struct tlsctx *context, size_t index);

/* When its OCSP response ends; 0: it has none, or one without an end. */
time_t tlsctx_staple_expiry(const struct tlsctx *context);

/*
 * Ticket keys of our own: new ones after this many seconds, the longest life of a session now in
 * use, by this function.
 */
unsigned tlspool_ticket_period(const struct tlspool *pool);
void tlspool_rotate_tickets(struct tlspool *pool);

/* Frees what dead children had locked in the session caches. */
void tlspool_unlock_dead(struct tlspool *pool, struct board_span dead);

/* ---- both ---- */

/* The SSL_CTX to make connections from; borrowed. */
SSL_CTX *tlsctx_ssl(const struct tlsctx *context);

#endif
