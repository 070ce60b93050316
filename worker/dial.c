#include "worker/dial.h"

#include <errno.h>
#include <string.h>

#include "common/sock.h"
#include "worker/session.h"

/* Can a connection between these come from `from`? */
static bool
fits(const struct addr *from, const struct endpoint *peer)
{
	return from->family == peer->addr.family && from->family != AF_UNIX;
}

/* Where a connection to `peer` is to come from; NULL: the system chooses. False: it may not be made at all. */
static bool
choose(const struct session *s, const struct endpoint *peer, const struct addr **from)
{
	const struct conf_bind *bind = session_server(s)->proxy_bind;
	bool is_client = bind != NULL && bind->addr.family == AF_UNSPEC;

	*from = is_client ? &s->addr : bind != NULL ? &bind->addr : NULL;
	if (*from == NULL || fits(*from, peer))
		return true;
	*from = NULL;
	return !is_client;
}

int
dial_begin(const struct session *s, const struct endpoint *peer, bool *pending)
{
	const struct conf_bind *bind = session_server(s)->proxy_bind;
	const struct addr *from;
	char text[ADDR_TEXT] = "";
	const char *step;
	int fd;

	if (!choose(s, peer, &from)) {
		session_log(s, LOG_ERROR, "upstream cannot be connected from the client's address");
		return -1;
	}
	fd = sock_connect_from(from, from != NULL && bind->transparent, peer, pending, &step);
	if (fd == -1) {
		int error = errno;

		if (strcmp(step, "bind") == 0)
			addr_format(text, from);
		session_log(s, LOG_ERROR, "%s(%s) failed %s", step, text, log_errno(error));
	}
	return fd;
}
