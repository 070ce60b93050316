#include "worker/net/conn.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/mem.h"
#include "common/must.h"
#include "common/sock.h"
#include "worker/net/tlsfacts.h"
#include "worker/net/tlsio.h"

/* The two ways to move bytes. A conn with a tlsio goes the second one. */
struct way {
	ssize_t (*recv)(struct conn *c, void *room, size_t size);
	ssize_t (*send)(struct conn *c, const void *bytes, size_t len);
	void (*finish)(struct conn *c);
};

static const struct way plain, secure;

static const struct way *
way_of(const struct conn *c)
{
	return c->tls == NULL ? &plain : &secure;
}

int
conn_open(struct conn *c, struct loop *loop, int fd, bool connecting,
    void (*on_events)(struct loop_io *io, uint32_t events))
{
	*c = (struct conn){
		.io = { .on_events = on_events, .fd = fd }, .connecting = connecting, .writable = !connecting,
	};
	if (loop_watch(loop, &c->io, EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET) == -1) {
		int error = errno;

		loop_close(loop, &c->io);
		errno = error;
		return -1;
	}
	return 0;
}

/* An error is found by whoever tries next, so it makes both directions worth trying. */
void
conn_events(struct conn *c, uint32_t events)
{
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		c->readable = true;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		c->writable = true;
	if (events & (EPOLLRDHUP | EPOLLHUP))
		c->hangup = true;
	if (events & EPOLLERR)
		c->failed = true;
	if (events & EPOLLPRI)
		c->urgent = true;
	if (c->tls != NULL)
		tlsio_events(c, events);
}

int
conn_connected(struct conn *c)
{
	c->connecting = false;
	/* A connect that went well leaves no error behind: asking for it would be a system call a login. */
	return c->failed ? sock_error(c->io.fd) : 0;
}

/* A short read: nothing is left in the socket. Behind a hangup nothing will be, but the end is still to be told. */
static void
note_empty(struct conn *c)
{
	if (!c->hangup)
		c->readable = false;
	else    /* an error stands behind what came, and only a recv(2) tells of it */
		c->drained = !c->failed;
}

static ssize_t
plain_recv(struct conn *c, void *room, size_t size)
{
	ssize_t len = 0;

	if (!c->drained)
		do
			len = recv(c->io.fd, room, size, 0);
		while (len == -1 && errno == EINTR);
	if (len == 0 && size > 0)
		c->eof = true;
	if (len == 0 || (len == -1 && errno == EAGAIN))
		c->readable = false;
	else if (len > 0 && (size_t)len < size && !c->urgent)
		note_empty(c);
	return len;
}

ssize_t
conn_peek(struct conn *c, void *room, size_t size)
{
	ssize_t len;

	MUST(c->tls == NULL);
	do
		len = recv(c->io.fd, room, size, MSG_PEEK);
	while (len == -1 && errno == EINTR);
	return len;
}

ssize_t
conn_discard(struct conn *c, char *scratch, size_t size)
{
	ssize_t len = conn_recv(c, scratch, size);

	if (len > 0)
		mem_wipe(scratch, (size_t)len);
	return len;
}

static ssize_t
put(struct conn *c, const void *bytes, size_t len, int flags)
{
	ssize_t sent;

	do
		sent = send(c->io.fd, bytes, len, MSG_NOSIGNAL | flags);
	while (sent == -1 && errno == EINTR);
	if ((sent == -1 && errno == EAGAIN) || (sent >= 0 && (size_t)sent < len))
		c->writable = false;
	return sent;
}

static ssize_t
plain_send(struct conn *c, const void *bytes, size_t len)
{
	return put(c, bytes, len, 0);
}

static void
plain_finish(struct conn *c)
{
	(void)shutdown(c->io.fd, SHUT_WR);
}

static const struct way plain = { plain_recv, plain_send, plain_finish };
static const struct way secure = { tlsio_recv, tlsio_send, tlsio_finish };

ssize_t
conn_recv(struct conn *c, void *room, size_t size)
{
	return way_of(c)->recv(c, room, size);
}

ssize_t
conn_send(struct conn *c, const void *bytes, size_t len)
{
	return way_of(c)->send(c, bytes, len);
}

ssize_t
conn_send_last(struct conn *c, const void *bytes, size_t len)
{
	return c->tls == NULL ? put(c, bytes, len, MSG_MORE) : tlsio_send(c, bytes, len);
}

void
conn_finish(struct conn *c)
{
	if (!c->finished)
		way_of(c)->finish(c);
	c->finished = true;
}

int
conn_flush(struct conn *c)
{
	return c->tls == NULL ? 1 : tlsio_flush(c);
}

void
conn_secure_server(struct conn *c, const struct conf_tls *tls, struct tls_choice *choice, const char *alpn,
    const void *early, size_t early_len)
{
	MUST(c->tls == NULL);
	tlsio_secure_server(c, tls, choice, alpn, early, early_len);
}

void
conn_secure_client(struct conn *c, const struct conf_tls *tls, const char *host, const char *alpn)
{
	MUST(c->tls == NULL);
	tlsio_secure_client(c, tls, host, alpn);
}

enum conn_handshake
conn_handshake(struct conn *c)
{
	return tlsio_handshake(c);
}

const char *
conn_tls_error(const struct conn *c)
{
	return c->tls == NULL || c->tls->error == NULL ? "(no error)" : c->tls->error;
}

bool
conn_is_secure(const struct conn *c)
{
	return c->tls != NULL && c->tls->established;
}

bool
conn_truncated(const struct conn *c)
{
	return c->tls != NULL && c->tls->end == TLSIO_TRUNCATED;
}

const char *
conn_verify_error(const struct conn *c)
{
	return conn_is_secure(c) ? tlsfacts_verify_error(c->tls) : NULL;
}

bool
conn_has_certificate(const struct conn *c)
{
	return conn_is_secure(c) && SSL_get0_peer_certificate(c->tls->ssl) != NULL;
}

void
conn_tls_facts(struct conn *c, struct tls_facts *facts, bool pem)
{
	MUST(conn_is_secure(c));
	tlsfacts_fill(c->tls, facts, pem);
}

void
conn_close(struct conn *c, struct loop *loop)
{
	if (conn_is_open(c) && c->tls != NULL)
		tlsio_close(c);
	if (conn_is_open(c))
		loop_close(loop, &c->io);
	c->readable = c->writable = false;
}
