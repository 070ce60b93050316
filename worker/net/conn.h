/*
 * conn - one connected socket, edge-triggered
 *
 * A conn is registered once for both directions. Its owner tries first and waits only
 * after EAGAIN; `readable` and `writable` remember what the last tries and the events
 * since said, so a step that stopped in the middle knows what is worth a system call.
 * A short read means that nothing more is there, or that the end of file is next where a
 * hangup was seen before, and spares the read that would say so.
 * Only this module reads and writes the socket: TLS will stand behind the same
 * functions. Built on: loop, mem, sock.
 */
#ifndef POSTERN_WORKER_NET_CONN_H
#define POSTERN_WORKER_NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/loop.h"

struct conn {
	struct loop_io io;              /* io.fd is -1 when closed */
	struct tlsio *tls;              /* owned; NULL in the clear */
	bool hangup;                    /* the peer has finished sending (EPOLLRDHUP): read until the 0 */
	bool drained : 1;               /* and all that it sent has been read: that 0 is all there is */
	bool eof : 1;                   /* that 0 has been read */
	bool urgent : 1;                /* something urgent came (EPOLLPRI): there reads are short, too */
	bool readable : 1, writable : 1;        /* worth trying */
	bool connecting : 1;            /* connect(2) has not ended yet */
	bool failed : 1;                /* the socket has an error (EPOLLERR) */
	bool finished : 1;              /* conn_finish() was called */
};

/* Takes `fd` over and registers it. Returns 0, or -1 with errno, then `fd` is closed. */
int conn_open(struct conn *c, struct loop *loop, int fd, bool connecting,
    void (*on_events)(struct loop_io *io, uint32_t events));

/* Notes what the events say; the owner's on_events calls it first. */
void conn_events(struct conn *c, uint32_t events);

/* The outcome of a pending connect, once events came: 0, or an errno. Clears `connecting`. */
int conn_connected(struct conn *c);

/* Bytes read; 0 at the end of file (and eof is set); -1 with errno, EAGAIN for "nothing now". */
ssize_t conn_recv(struct conn *c, void *room, size_t size);

/* The same, but the bytes stay, and the next call has them again. Only in the clear. */
ssize_t conn_peek(struct conn *c, void *room, size_t size);

/* The same for bytes that nobody wants: they pass through `scratch`, which is wiped, for they may be a password. */
ssize_t conn_discard(struct conn *c, char *scratch, size_t size);

/* Bytes written, perhaps fewer than asked; -1 with errno, EAGAIN for "not now". */
ssize_t conn_send(struct conn *c, const void *bytes, size_t len);

/*
 * The same for the last bytes, where conn_finish() or conn_close() follows as soon as all of them
 * went: in the clear they leave with the FIN, in one segment.
 */
ssize_t conn_send_last(struct conn *c, const void *bytes, size_t len);

/* Says that nothing more will be sent: the half-close. */
void conn_finish(struct conn *c);

/*
 * TLS. After conn_secure() the functions above speak through it, and the same promises
 * hold: `readable` stays true while decrypted bytes wait, conn_finish() sends
 * close_notify before the FIN, an end of file without close_notify is noted
 * (conn_truncated) but is an end of file. What is written gathers until conn_send()
 * returns, so the ticket of a handshake leaves with the greeting behind it. Bytes that
 * were read in the clear beforehand are never taken for TLS, but `early` (a ClientHello that
 * came behind something else), if given, is read first.
 *
 * One thing more is asked of the caller: bytes for which conn_send() said EAGAIN, or that it
 * did not count, may be encrypted and half gone already. They come first in the next call.
 * What a server has to say last in its handshake waits for the first conn_send() behind
 * HANDSHAKE_DONE, for conn_flush(), or for a conn_recv() that finds nothing.
 */
struct conf_tls;
struct tls_choice;      /* common/tlsctx.h */
struct tlsio;

/*
 * Puts TLS on it, as the server with `tls` (then `choice` may pick other settings by SNI; NULL
 * for no choice; borrowed until the handshake ends) or as the client.
 */
void conn_secure_server(struct conn *c, const struct conf_tls *tls, struct tls_choice *choice, const char *alpn,
    const void *early, size_t early_len);
void conn_secure_client(struct conn *c, const struct conf_tls *tls, const char *host, const char *alpn);

enum conn_handshake { HANDSHAKE_DONE, HANDSHAKE_MORE, HANDSHAKE_FAILED };

/* Goes on with the handshake; call it again at each event while it says MORE. */
enum conn_handshake conn_handshake(struct conn *c);

/* Why it failed, or why a connection broke, in OpenSSL's words; lives until the conn is closed. */
const char *conn_tls_error(const struct conn *c);

bool conn_is_secure(const struct conn *c);
bool conn_truncated(const struct conn *c);

/*
 * What is wrong with the certificate that the peer of a finished handshake gave, as
 * "(18:self-signed certificate)"; NULL when nothing is, or it gave none. Static until the
 * next call. What ssl_verify_client optional_no_ca overlooks is not wrong.
 */
const char *conn_verify_error(const struct conn *c);

/* Did it give one? */
bool conn_has_certificate(const struct conn *c);

/* Sends what gathered when nothing follows it. 1: all went; 0: later; -1 with errno. */
int conn_flush(struct conn *c);

/* Fills in *facts with strings that live until the conn is closed; `pem`: the certificate, too. */
struct tls_facts;
void conn_tls_facts(struct conn *c, struct tls_facts *facts, bool pem);

/* Closes it, if open. */
void conn_close(struct conn *c, struct loop *loop);

static inline bool
conn_is_open(const struct conn *c)
{
	return c->io.fd != -1;
}

#endif
