#include "worker/net/conn.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/mem.h"
#include "common/sock.h"

int
conn_open(struct conn *c, struct loop *loop, int fd, bool connecting,
    void (*on_events)(struct loop_io *io, uint32_t events))
{
	*c = (struct conn){
		.io = { .on_events = on_events, .fd = fd }, .connecting = connecting, .writable = !connecting,
	};
	if (loop_watch(loop, &c->io, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) == -1) {
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
}

int
conn_connected(struct conn *c)
{
	c->connecting = false;
	/* A connect that went well leaves no error behind: asking for it would be a system call a login. */
	return c->failed ? sock_error(c->io.fd) : 0;
}

ssize_t
conn_recv(struct conn *c, void *room, size_t size)
{
	ssize_t len;

	do
		len = recv(c->io.fd, room, size, 0);
	while (len == -1 && errno == EINTR);
	if (len == 0 && size > 0)
		c->eof = true;
	/* Behind a hangup the end of file is still to be read, and no event will say so again. */
	if (len == 0 || (len == -1 && errno == EAGAIN) || (len > 0 && (size_t)len < size && !c->hangup))
		c->readable = false;
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

ssize_t
conn_send(struct conn *c, const void *bytes, size_t len)
{
	ssize_t sent;

	do
		sent = send(c->io.fd, bytes, len, MSG_NOSIGNAL);
	while (sent == -1 && errno == EINTR);
	if ((sent == -1 && errno == EAGAIN) || (sent >= 0 && (size_t)sent < len))
		c->writable = false;
	return sent;
}

void
conn_finish(struct conn *c)
{
	if (!c->finished)
		(void)shutdown(c->io.fd, SHUT_WR);
	c->finished = true;
}

void
conn_close(struct conn *c, struct loop *loop)
{
	if (conn_is_open(c))
		loop_close(loop, &c->io);
	c->readable = c->writable = false;
}
