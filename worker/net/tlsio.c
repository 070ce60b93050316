#include "worker/net/tlsio.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/mem.h"
#include "worker/net/tlsfacts.h"
#include "worker/net/tlspeer.h"

#define CLEANSED 131072         /* so many received bytes OpenSSL wipes behind us: credentials come first */

/* ---- beginning ---- */

static const struct conf_tls *
choose(struct tls_choice *choice, const char *sni)
{
	struct tlsio *t = LIST_ENTRY(choice, struct tlsio, choice);

	mem_free(t->name);
	t->name = mem_strdup(sni);
	return t->next != NULL ? t->next->choose(t->next, sni) : t->tls;
}

static struct tlsio *
attach(struct conn *c, const struct conf_tls *tls, const char *alpn)
{
	struct tlsio *t = mem_alloc(sizeof(*t));

	t->tls = tls;
	t->alpn = alpn;
	t->choice.choose = choose;
	c->tls = t;
	return t;
}

/* It ends here. `end` is what a reader is told, once. */
static void
end_with(struct tlsio *t, enum tlsio_end end, int error)
{
	t->end = end;
	t->broken = error;
	if (end == TLSIO_BROKEN && t->error == NULL)
		t->error = tlsfacts_error(t->ssl, error);
}

/* Joins OpenSSL and the wire. */
static void
join(struct tlsio *t, SSL *ssl)
{
	BIO *bio = wire_bio();

	t->ssl = ssl;
	SSL_set_bio(ssl, bio, bio);
	SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
	    SSL_MODE_RELEASE_BUFFERS);
	SSL_set_options(ssl, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION);
}

void
tlsio_secure_server(struct conn *c, const struct conf_tls *tls, struct tls_choice *choice, const char *alpn,
    const void *early, size_t early_len)
{
	struct tlsio *t = attach(c, tls, alpn);

	t->next = choice;
	wire_init(&t->wire, c, early, early_len);
	c->readable |= early_len > 0;
}

void
tlsio_secure_client(struct conn *c, const struct conf_tls *tls, const char *host, const char *alpn)
{
	struct tlsio *t = attach(c, tls, alpn);

	t->is_client = true;
	wire_init(&t->wire, c, NULL, 0);
	ERR_clear_error();
	join(t, tlsctx_new_client(tls, host, alpn));
	t->name = mem_strdup(host != NULL ? host : "");
	if (tls->session_reuse)
		tlspeer_offer(t->ssl, tls, t->name);
}

/* ---- steps ---- */

/* What OpenSSL's refusal to go on means. */
static void
judge(struct tlsio *t, int result)
{
	switch (SSL_get_error(t->ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		break;
	case SSL_ERROR_ZERO_RETURN:
		end_with(t, t->wire.eof ? TLSIO_TRUNCATED : TLSIO_CLOSED, 0);
		break;
	default:
		if (t->wire.eof && t->wire.error == 0 && t->established)
			end_with(t, TLSIO_TRUNCATED, 0);
		else
			end_with(t, TLSIO_BROKEN, t->wire.error != 0 ? t->wire.error : EPROTO);
	}
	ERR_clear_error();
}

/* What the caller may still find here: bytes, or how it ended. */
static void
note_readable(struct conn *c)
{
	struct tlsio *t = c->tls;

	if (t->end != TLSIO_OPEN)
		c->readable = !c->eof;
	else    /* an end that was met while looking for more has not been told yet */
		c->readable = t->wire.readable || t->wire.in != NULL || t->wire.eof || t->wire.error != 0 ||
		    (t->ssl != NULL && SSL_pending(t->ssl) > 0);
}

/* Ends a step in which nothing was sent for the caller: an alert, a flight, a key update. */
static void
end_step(struct conn *c, bool hold)
{
	struct tlsio *t = c->tls;

	if (hold)
		wire_hold(&t->wire);
	else if (wire_end(&t->wire) == -1 && t->end == TLSIO_OPEN)
		end_with(t, TLSIO_BROKEN, errno);
	note_readable(c);
}

void
tlsio_events(struct conn *c, uint32_t events)
{
	struct tlsio *t = c->tls;

	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		t->wire.readable = true;
	/* The caller may know nothing of it: a key update, or close_notify with the FIN behind it. */
	if (!c->writable || t->wire.waits || t->wire.out == NULL || wire_flush(&t->wire) != 1)
		return;
	if (t->fin_due)
		(void)shutdown(c->io.fd, SHUT_WR);
	t->fin_due = false;
}

/* ---- the handshake ---- */

static enum conn_handshake
shake_hands(struct conn *c)
{
	struct tlsio *t = c->tls;
	int result;

	ERR_clear_error();
	result = SSL_do_handshake(t->ssl);
	if (result != 1) {
		judge(t, result);
		/* An end of file, with or without close_notify, is no handshake. */
		if (t->end != TLSIO_OPEN)
			end_with(t, TLSIO_BROKEN, t->broken != 0 ? t->broken : ECONNABORTED);
		return t->end == TLSIO_OPEN ? HANDSHAKE_MORE : HANDSHAKE_FAILED;
	}
	t->established = true;
	t->next = NULL;
	/* Only now: the choice of a server may have put others in the place of the options. */
	SSL_set_options(t->ssl, SSL_OP_CLEANSE_PLAINTEXT);
	return HANDSHAKE_DONE;
}

/* Nothing of OpenSSL's is made for a client that is silent. */
static bool
has_spoken(struct tlsio *t)
{
	if (t->ssl != NULL)
		return true;
	if (!wire_has_input(&t->wire)) {
		if (t->wire.eof || t->wire.error != 0)
			end_with(t, TLSIO_BROKEN, t->wire.error != 0 ? t->wire.error : ECONNABORTED);
		return false;
	}
	ERR_clear_error();
	join(t, tlsctx_new_server(t->tls, &t->choice, t->alpn));
	return true;
}

enum conn_handshake
tlsio_handshake(struct conn *c)
{
	struct tlsio *t = c->tls;
	enum conn_handshake result = HANDSHAKE_MORE;

	if (t->established)
		return HANDSHAKE_DONE;
	if (t->end != TLSIO_OPEN)
		return HANDSHAKE_FAILED;
	wire_begin(&t->wire, WIRE_RECORD);
	if (has_spoken(t))
		result = shake_hands(c);
	/* The server's last words wait for the greeting. */
	end_step(c, result == HANDSHAKE_DONE && !t->is_client);
	if (t->end == TLSIO_OPEN)
		return result;
	if (t->is_client && t->ssl != NULL)
		tlspeer_forget(t->tls, t->name);
	return HANDSHAKE_FAILED;
}

/* ---- moving bytes ---- */

/* In bulk wiping would cost a tenth of the work. */
static void
count_received(struct tlsio *t, size_t len)
{
	if (t->received > CLEANSED)
		return;
	t->received += (uint32_t)len;
	if (t->received > CLEANSED)
		SSL_clear_options(t->ssl, SSL_OP_CLEANSE_PLAINTEXT);
}

/* Reads record after record while there is room and something to read. */
static size_t
read_records(struct tlsio *t, char *room, size_t size)
{
	size_t len = 0;

	do {
		int want = size - len < INT_MAX ? (int)(size - len) : INT_MAX, got;

		ERR_clear_error();
		got = SSL_read(t->ssl, room + len, want);
		if (got <= 0) {
			judge(t, got);
			break;
		}
		len += (size_t)got;
		wire_came();
	} while (len < size && (SSL_pending(t->ssl) > 0 || wire_has_input(&t->wire)));
	return len;
}

/* Tells how it ended, once everything before that was read. */
static ssize_t
tell_end(struct conn *c)
{
	struct tlsio *t = c->tls;

	if (t->end == TLSIO_OPEN) {
		errno = EAGAIN;
		return -1;
	}
	c->readable = false;
	if (t->end == TLSIO_BROKEN) {
		errno = t->broken;
		return -1;
	}
	c->eof = true;
	return 0;
}

ssize_t
tlsio_recv(struct conn *c, void *room, size_t size)
{
	struct tlsio *t = c->tls;
	size_t len;

	if (t->end == TLSIO_OPEN && !t->established)
		end_with(t, TLSIO_BROKEN, ENOTCONN);
	if (t->end != TLSIO_OPEN)
		return tell_end(c);
	if (size == 0)
		return 0;
	wire_begin(&t->wire, size);
	len = read_records(t, room, size);
	count_received(t, len);
	/* Whoever waits for the peer's words has none to add to what waits for company. */
	end_step(c, t->wire.waits && len > 0);
	return len > 0 ? (ssize_t)len : tell_end(c);
}

/* Encrypts as much as leaves at once; returns how much that is. */
static size_t
write_records(struct tlsio *t, const char *bytes, size_t len)
{
	size_t done = 0;

	wire_join(&t->wire);
	while (done < len && t->end != TLSIO_BROKEN && wire_has_room(&t->wire)) {
		int want = len - done < WIRE_PLAIN ? (int)(len - done) : WIRE_PLAIN, sent;

		ERR_clear_error();
		sent = SSL_write(t->ssl, bytes + done, want);
		if (sent <= 0) {
			judge(t, sent);
			break;
		}
		done += (size_t)sent;
	}
	return done;
}

/* Sends what was encrypted in an earlier call. 1: all of it went; 0, -1: as wire_flush(). */
static int
pay(struct conn *c)
{
	struct tlsio *t = c->tls;

	if (t->wire.waits || t->wire.out == NULL)
		return 1;
	return wire_flush(&t->wire);
}

/* One step's worth. 1: *donep bytes more are gone; 0: the socket is full; -1 with errno. */
static int
send_some(struct conn *c, const char *bytes, size_t len, size_t *donep)
{
	struct tlsio *t = c->tls;
	size_t done;
	int ended;

	wire_begin(&t->wire, 0);
	done = write_records(t, bytes, len);
	ended = wire_end(&t->wire);
	if (ended == -1 || t->end == TLSIO_BROKEN || done == 0) {
		if (t->end != TLSIO_BROKEN)
			end_with(t, TLSIO_BROKEN, ended == -1 ? errno : EPROTO);
		note_readable(c);
		errno = t->broken;
		return -1;
	}
	if (ended == 1)
		*donep += done;
	else
		t->owed = (uint32_t)done;
	return ended;
}

ssize_t
tlsio_send(struct conn *c, const void *bytes, size_t len)
{
	struct tlsio *t = c->tls;
	size_t done;
	int more;

	if (!t->established || t->end == TLSIO_BROKEN || c->finished) {
		errno = t->end == TLSIO_BROKEN ? t->broken : EPIPE;
		return -1;
	}
	if ((more = pay(c)) == -1)
		return -1;
	done = more == 1 && t->owed < len ? t->owed : more == 1 ? len : 0;
	if (more == 1)
		t->owed -= (uint32_t)done;
	while (more == 1 && done < len)
		if ((more = send_some(c, (const char *)bytes + done, len - done, &done)) == -1)
			return -1;
	if (more == 1 || done > 0)
		return (ssize_t)done;
	errno = EAGAIN;
	return -1;
}

int
tlsio_flush(struct conn *c)
{
	return wire_flush(&c->tls->wire);
}

/* ---- ending ---- */

/* Adds close_notify to what is to leave. 1: all has left. */
static int
say_goodbye(struct conn *c)
{
	struct tlsio *t = c->tls;
	int ended;

	if (!t->established || t->end == TLSIO_BROKEN)
		return 1;
	wire_begin(&t->wire, 0);
	wire_join(&t->wire);
	ERR_clear_error();
	(void)SSL_shutdown(t->ssl);
	ERR_clear_error();
	ended = wire_end(&t->wire);
	note_readable(c);
	return ended;
}

void
tlsio_finish(struct conn *c)
{
	if (say_goodbye(c) == 0)
		c->tls->fin_due = true;
	else
		(void)shutdown(c->io.fd, SHUT_WR);
}

void
tlsio_close(struct conn *c)
{
	struct tlsio *t = c->tls;

	if (!c->finished && !c->failed)
		(void)say_goodbye(c);
	/* Otherwise OpenSSL takes the session for one that must not be resumed. */
	if (t->established && t->end != TLSIO_BROKEN)
		SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(t->ssl);
	ERR_clear_error();
	wire_reset(&t->wire);
	tlsfacts_free(&t->facts);
	mem_free(t->name);
	mem_free(t->error);
	mem_free(t);
	c->tls = NULL;
}
