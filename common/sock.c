#include "common/sock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/sockfile.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* What is being bound, and how far it got. */
struct listening {
	const struct endpoint *at;
	const struct sock_options *options;
	struct sockaddr_storage sa;
	socklen_t sa_len;
	int fd;
	const char *step;
};

static int
set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

static bool
is_unix(const struct endpoint *e)
{
	return e->addr.family == AF_UNIX;
}

static int
set_buffers(int fd, const struct sock_options *o)
{
	if (o->rcvbuf > 0 && set(fd, SOL_SOCKET, SO_RCVBUF, o->rcvbuf) == -1)
		return -1;
	if (o->sndbuf > 0 && set(fd, SOL_SOCKET, SO_SNDBUF, o->sndbuf) == -1)
		return -1;
	return 0;
}

static int
set_keepalive(int fd, const struct sock_options *o)
{
	if (set(fd, SOL_SOCKET, SO_KEEPALIVE, o->keepalive == SOCK_KEEPALIVE_ON) == -1)
		return -1;
	if (o->keepalive_idle_s > 0 && set(fd, IPPROTO_TCP, TCP_KEEPIDLE, o->keepalive_idle_s) == -1)
		return -1;
	if (o->keepalive_interval_s > 0 && set(fd, IPPROTO_TCP, TCP_KEEPINTVL, o->keepalive_interval_s) == -1)
		return -1;
	if (o->keepalive_count > 0 && set(fd, IPPROTO_TCP, TCP_KEEPCNT, o->keepalive_count) == -1)
		return -1;
	return 0;
}

/* All that accepted sockets are to inherit must be set before the first of them. */
static int
prepare(const struct listening *l)
{
	const struct sock_options *o = l->options;

	if (set_buffers(l->fd, o) == -1)
		return -1;
	if (is_unix(l->at))
		return 0;
	if (set(l->fd, SOL_SOCKET, SO_REUSEADDR, 1) == -1 || set(l->fd, IPPROTO_TCP, TCP_NODELAY, 1) == -1)
		return -1;
	if (o->port_shared && sock_share_port(l->fd, true) == -1)
		return -1;
	if (l->at->addr.family == AF_INET6 && set(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, o->ipv6only) == -1)
		return -1;
	return set_keepalive(l->fd, o);
}

static int
open_socket(const struct endpoint *e, int protocol)
{
	return socket(e->addr.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}

static int
start_unix(struct listening *l)
{
	return sockfile_listen(l->fd, l->at, &l->sa, l->sa_len, l->options, &l->step);
}

static int
start_inet(struct listening *l)
{
	l->step = "bind";
	if (bind(l->fd, (const struct sockaddr *)&l->sa, l->sa_len) == -1)
		return -1;
	l->step = "listen";
	return listen(l->fd, l->options->backlog);
}

static int
start(struct listening *l)
{
	l->step = "setsockopt";
	if (prepare(l) == -1)
		return -1;
	return is_unix(l->at) ? start_unix(l) : start_inet(l);
}

int
sock_listen(const struct endpoint *at, const struct sock_options *options, const char **step)
{
	struct listening l = { .at = at, .options = options, .step = "bind" };

	*step = l.step;
	if ((l.sa_len = endpoint_sockaddr(at, &l.sa)) == 0) {
		errno = ENAMETOOLONG;
		return -1;
	}
	*step = "socket";
	l.fd = open_socket(at, options->multipath && !is_unix(at) ? IPPROTO_MPTCP : 0);
	if (l.fd == -1)
		return -1;
	if (start(&l) == -1) {
		int error = errno;

		*step = l.step;
		close(l.fd);
		errno = error;
		return -1;
	}
	return l.fd;
}

int
sock_share_port(int fd, bool shared)
{
	return set(fd, SOL_SOCKET, SO_REUSEPORT, shared);
}

int
sock_adjust(int fd, const struct endpoint *at, const struct sock_options *options)
{
	if (set_buffers(fd, options) == -1)
		return -1;
	if (is_unix(at) && at->path != NULL && sockfile_adjust(at->path, options) == -1)
		return -1;
	if (!is_unix(at) && (set(fd, IPPROTO_TCP, TCP_NODELAY, 1) == -1 || set_keepalive(fd, options) == -1))
		return -1;
	return listen(fd, options->backlog);
}

/* Binds to `from`. The system chooses the port when it connects: one can serve connections to many places. */
static int
leave_from(int fd, const struct addr *from, bool transparent, const char **step)
{
	struct endpoint at = { .addr = *from };
	bool is_v6 = from->family == AF_INET6;
	struct sockaddr_storage sa = { 0 };

	*step = "setsockopt";
	if (transparent &&
	    set(fd, is_v6 ? IPPROTO_IPV6 : IPPROTO_IP, is_v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, 1) == -1)
		return -1;
	if (set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1) == -1)
		return -1;
	*step = "bind";
	at.addr.port = 0;
	endpoint_sockaddr(&at, &sa);
	return bind(fd, (const struct sockaddr *)&sa, SOCK_BIND_LEN);
}

static int
leave_for(int fd, const struct endpoint *to, const struct sockaddr_storage *sa, socklen_t sa_len, bool *pending)
{
	if (!is_unix(to) && set(fd, IPPROTO_TCP, TCP_NODELAY, 1) == -1)
		return -1;
	if (connect(fd, (const struct sockaddr *)sa, sa_len) == 0)
		return 0;
	/* After EINTR the connection goes on being made, as after EINPROGRESS. */
	*pending = errno == EINPROGRESS || errno == EINTR;
	return *pending ? 0 : -1;
}

int
sock_connect_from(const struct addr *from, bool transparent, const struct endpoint *to, bool *pending,
    const char **step)
{
	struct sockaddr_storage sa;
	socklen_t sa_len = endpoint_sockaddr(to, &sa);
	int fd, error;

	*pending = false;
	*step = "socket";
	if (sa_len == 0) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if ((fd = open_socket(to, 0)) == -1)
		return -1;
	if (from == NULL || leave_from(fd, from, transparent, step) == 0) {
		*step = "connect";
		if (leave_for(fd, to, &sa, sa_len, pending) == 0)
			return fd;
	}
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

int
sock_try_from(const struct addr *from, bool transparent, const char **step)
{
	const struct endpoint at = { .addr = *from };
	int fd, result, error;

	*step = "socket";
	if ((fd = open_socket(&at, 0)) == -1)
		return -1;
	result = leave_from(fd, from, transparent, step);
	error = errno;
	close(fd);
	errno = error;
	return result;
}

int
sock_connect(const struct endpoint *to, bool *pending)
{
	const char *step;

	return sock_connect_from(NULL, false, to, pending, &step);
}

int
sock_error(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1 ? errno : error;
}
