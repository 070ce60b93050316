/*
 * wire - the ciphertext of a TLS connection, between OpenSSL and the socket
 *
 * A BIO of our own. Work on a connection is done in steps, one at a time in a process:
 * what the socket gives and what OpenSSL writes during a step stands in two buffers that
 * all connections share, and so is the BIO shared, which stands for whoever has the step. At the
 * step's end what gathered leaves in one send(2), and only what the socket did not take, or OpenSSL
 * did not ask for, is kept with the connection. So an idle connection owns no buffer here, a flight
 * of handshake messages or four records are one system call, and OpenSSL is never told "not now"
 * when it writes.
 * Built on: buf, conn's flags, OpenSSL's BIO.
 */
#ifndef POSTERN_WORKER_NET_WIRE_H
#define POSTERN_WORKER_NET_WIRE_H

#include <openssl/bio.h>
#include <stdbool.h>
#include <stddef.h>

struct buf;
struct conn;

#define WIRE_PLAIN 16384                /* bytes that a record carries */
#define WIRE_RECORD (WIRE_PLAIN + 512)  /* and its length at the most, whatever the cipher adds */

struct wire {
	struct conn *conn;      /* borrowed: the socket and what is known of it */
	struct buf *in;         /* owned: read, not yet asked for; NULL: nothing, as nearly always */
	struct buf *out;        /* owned: written, not yet sent: the socket is full, or it waits for company; or NULL */
	int error;              /* errno of the socket; 0 */
	bool waits;             /* for company: wire_hold() */
	bool readable;          /* the socket is worth a recv(2) */
	bool eof;               /* OpenSSL wanted more and met the end of file */
};

/* `early`, if any, is read ahead of the socket. */
void wire_init(struct wire *w, struct conn *conn, const void *early, size_t early_len);
void wire_reset(struct wire *w);

/* A reference to the BIO, which the caller owns. */
BIO *wire_bio(void);

/* Begins a step whose reads ask for about `want` bytes. */
void wire_begin(struct wire *w, size_t want);

/* In a step: something came of what was read. A peer that sends nothing that counts is given up after a while. */
void wire_came(void);

/* In a step: is there anything to read? Looks at the socket if it has to. */
bool wire_has_input(struct wire *w);

/* In a step: is there room for another record, so that it leaves with those before it? */
bool wire_has_room(const struct wire *w);

/* In a step that writes: what waits for company leaves with what is written. */
void wire_join(struct wire *w);

/* Ends the step: sends what gathered. 1: all went (or there was nothing); 0: the rest is kept; -1 with errno. */
int wire_end(struct wire *w);

/* Ends the step, but what gathered waits for the next one that sends. */
void wire_hold(struct wire *w);

/* Outside of a step: sends what is kept. As wire_end(). */
int wire_flush(struct wire *w);

#endif
