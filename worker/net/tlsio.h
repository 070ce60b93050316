/*
 * tlsio - TLS on one connection, as conn's second way to move bytes
 *
 * Keeps conn.h's promises for a connection that speaks TLS: OpenSSL does the records,
 * wire the ciphertext on both sides of them. On the server's side there is no SSL before
 * the client's first byte. What conn_send() has encrypted but the socket did not take
 * is not sent yet for the caller, who is told EAGAIN and comes again with the same bytes
 * (and perhaps more behind them): `owed` remembers that they need no second encryption.
 * So nobody has to ask whether a connection still holds something before it closes it.
 * Sessions towards peers are used again (tlspeer). OpenSSL's queue of errors is empty
 * before each call and after it. Only conn calls this. Built on: wire, tlsctx, tlspeer.
 */
#ifndef POSTERN_WORKER_NET_TLSIO_H
#define POSTERN_WORKER_NET_TLSIO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/tlsctx.h"
#include "worker/net/conn.h"
#include "worker/net/wire.h"

struct tlsfacts;

/* How the incoming side ended. */
enum tlsio_end { TLSIO_OPEN, TLSIO_CLOSED, TLSIO_TRUNCATED, TLSIO_BROKEN };

struct tlsio {
	struct wire wire;
	SSL *ssl;                       /* owned; NULL before a client's first byte */
	const struct conf_tls *tls;     /* borrowed */
	struct tls_choice choice;       /* notes the SNI, then asks `next` */
	struct tls_choice *next;        /* borrowed until the handshake ends; NULL: nobody */
	const char *alpn;               /* borrowed */
	char *name;                     /* owned: the server's side: SNI; the client's: whose sessions are kept */
	char *error;                    /* owned: why it broke; NULL: it did not */
	struct tlsfacts *facts;         /* owned; NULL until somebody asks */
	uint32_t received;              /* counted while it matters: CLEANSED */
	uint32_t owed;                  /* bytes at the front of the next conn_send() that are encrypted already */
	enum tlsio_end end;
	int broken;                     /* TLSIO_BROKEN: errno */
	bool is_client, established;
	bool fin_due;                   /* once all has left */
};

void tlsio_secure_server(struct conn *c, const struct conf_tls *tls, struct tls_choice *choice, const char *alpn,
    const void *early, size_t early_len);
void tlsio_secure_client(struct conn *c, const struct conf_tls *tls, const char *host, const char *alpn);
enum conn_handshake tlsio_handshake(struct conn *c);

/* conn's functions of the same names. */
void tlsio_events(struct conn *c, uint32_t events);
ssize_t tlsio_recv(struct conn *c, void *room, size_t size);
ssize_t tlsio_send(struct conn *c, const void *bytes, size_t len);
int tlsio_flush(struct conn *c);
void tlsio_finish(struct conn *c);

/* Says close_notify, if that is possible at once, and frees it. */
void tlsio_close(struct conn *c);

#endif
