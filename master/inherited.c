#include "master/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/sock.h"
#include "master/leftover.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

struct inherited {
	struct conf_listen *sockets;    /* owned array; of each no more than the kernel knows: at, options, fd, lent */
	size_t count;
};

struct inherited *
inherited_new(void)
{
	struct inherited *inherited = mem_alloc(sizeof(*inherited));

	*inherited = (struct inherited){ 0 };
	return inherited;
}

/* An option's value, or -1 with errno. */
static int
ask(int fd, int level, int option)
{
	int value;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, option, &value, &len) == -1 ? -1 : value;
}

static const char *
learn_path(struct endpoint *at, const struct sockaddr_storage *sa, socklen_t len)
{
	const char *path = ((const struct sockaddr_un *)sa)->sun_path;
	size_t room = len > offsetof(struct sockaddr_un, sun_path) ? len - offsetof(struct sockaddr_un, sun_path) : 0;

	/* A name that begins with NUL is of the abstract kind, which no configuration can have. */
	if (room == 0 || path[0] == '\0')
		return "has no path";
	at->path = mem_strndup(path, strnlen(path, room));
	return NULL;
}

static const char *
learn_address(struct conf_listen *learnt)
{
	struct sockaddr_storage sa = { 0 };
	socklen_t len = sizeof(sa);

	if (getsockname(learnt->fd, (struct sockaddr *)&sa, &len) == -1)
		return "has no address";
	addr_from_sockaddr(&learnt->at.addr, &sa);
	if (sa.ss_family == AF_UNIX)
		return learn_path(&learnt->at, &sa, len);
	if (sa.ss_family == AF_INET6)
		learnt->options.ipv6only = ask(learnt->fd, IPPROTO_IPV6, IPV6_V6ONLY) == 1;
	/* An IPv4 address on an IPv6 socket would be taken for what it is not. */
	if (addr_width(&learnt->at.addr) == 0 || learnt->at.addr.family != sa.ss_family)
		return "is of an address family that nothing can listen on";
	return NULL;
}

static const char *
learn(struct conf_listen *learnt)
{
	int type = ask(learnt->fd, SOL_SOCKET, SO_TYPE);

	if (type == -1)
		return errno == EBADF ? "is not open" : "is not a socket";
	if (type != SOCK_STREAM || ask(learnt->fd, SOL_SOCKET, SO_ACCEPTCONN) != 1)
		return "is not a listening stream socket";
	learnt->options.multipath = ask(learnt->fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_MPTCP;
	return learn_address(learnt);
}

static bool
has(const struct inherited *inherited, int fd)
{
	for (size_t i = 0; i < inherited->count; i++)
		if (inherited->sockets[i].fd == fd)
			return true;
	return false;
}

const char *
inherited_add(struct inherited *inherited, int fd, bool lent)
{
	struct conf_listen learnt = { .fd = fd, .lent = lent };
	const char *why = has(inherited, fd) ? "was given before" : learn(&learnt);

	if (why != NULL)
		return why;
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) == -1) {
		endpoint_reset(&learnt.at);
		return "cannot be kept to ourselves";
	}
	inherited->sockets = mem_resize(inherited->sockets, (inherited->count + 1) * sizeof(learnt));
	inherited->sockets[inherited->count++] = learnt;
	return NULL;
}

int *
inherited_fds(const struct inherited *inherited, size_t *count)
{
	int *fds = mem_array(inherited->count, sizeof(*fds));

	for (size_t i = 0; i < inherited->count; i++)
		fds[i] = inherited->sockets[i].fd;
	*count = inherited->count;
	return fds;
}

static int
set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags == -1 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

bool
inherited_claim(struct inherited *inherited, struct conf_listen *listen)
{
	for (size_t i = 0; i < inherited->count; i++) {
		struct conf_listen *socket = &inherited->sockets[i];

		if (!conf_listen_is_same(socket, listen) || set_nonblocking(socket->fd) == -1)
			continue;
		listen->fd = socket->fd;
		listen->lent = socket->lent;
		endpoint_reset(&socket->at);
		*socket = inherited->sockets[--inherited->count];
		return true;
	}
	return false;
}

size_t
inherited_share_port(const struct inherited *inherited, const struct conf_listen *listen, bool shared)
{
	size_t count = 0;

	for (size_t i = 0; inherited != NULL && i < inherited->count; i++) {
		const struct conf_listen *socket = &inherited->sockets[i];

		if (socket->at.addr.family == listen->at.addr.family && socket->at.addr.port == listen->at.addr.port)
			count += sock_share_port(socket->fd, shared) == 0;
	}
	return count;
}

static void
say_unclaimed(const struct conf_listen *socket)
{
	char text[ADDR_TEXT + sizeof(struct sockaddr_un)], shown[4 * sizeof(text)];

	endpoint_format(text, sizeof(text), &socket->at);
	log_say(LOG_NOTICE, "inherited socket %s%s is not in the configuration, closed",
	    log_text(shown, sizeof(shown), text, strlen(text)),
	    socket->at.addr.family == AF_INET6 && !socket->options.ipv6only ? " ipv6only=off" : "");
}

void
inherited_close(struct inherited **inheritedp)
{
	for (size_t i = 0; *inheritedp != NULL && i < (*inheritedp)->count; i++) {
		const struct conf_listen *socket = &(*inheritedp)->sockets[i];

		say_unclaimed(socket);
		if (socket->at.addr.family == AF_UNIX && !socket->lent)
			leftover_remove(socket->at.path);
	}
	inherited_free(inheritedp);
}

void
inherited_free(struct inherited **inheritedp)
{
	struct inherited *inherited = *inheritedp;

	if (inherited == NULL)
		return;
	for (size_t i = 0; i < inherited->count; i++) {
		close(inherited->sockets[i].fd);
		endpoint_reset(&inherited->sockets[i].at);
	}
	mem_free(inherited->sockets);
	mem_free(inherited);
	*inheritedp = NULL;
}
