#include "master/listener.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/log.h"
#include "common/sock.h"
#include "master/inherited.h"
#include "master/leftover.h"

#define TRIES 5                 /* of a start, as in nginx: workers of a master that was killed are about to go */
#define PAUSE_MS 500

/* Whose sockets there are while those of a configuration are opened. */
struct opening {
	struct conf *conf;
	const struct conf *old;                 /* NULL: there is none */
	/* what it does not want, the master before may go on to; NULL: nothing */
	const struct inherited *inherited;
};

/* The socket in `conf`, if it has one, that is the one `listen` wants. */
static struct conf_listen *
find(const struct conf *conf, const struct conf_listen *listen)
{
	if (conf == NULL || listen->fd == -1)
		return NULL;
	for (size_t i = 0; i < conf->listen_count; i++)
		if (conf->listens[i]->fd == listen->fd)
			return conf->listens[i];
	return NULL;
}

/* Takes over the socket that `old` has for the same address. */
static bool
claim(const struct conf *old, struct conf_listen *listen)
{
	for (size_t i = 0; old != NULL && i < old->listen_count; i++)
		if (old->listens[i]->fd != -1 && conf_listen_is_same(old->listens[i], listen)) {
			listen->fd = old->listens[i]->fd;
			listen->lent = old->listens[i]->lent;
			return true;
		}
	return false;
}

/* Tells the sockets of `conf` on the port of `listen`. Returns how many there are. */
static size_t
share_port(const struct conf *conf, const struct conf_listen *listen, bool shared)
{
	size_t count = 0;

	for (size_t i = 0; conf != NULL && i < conf->listen_count; i++) {
		const struct conf_listen *l = conf->listens[i];

		if (l->fd != -1 && l->at.addr.family == listen->at.addr.family &&
		    l->at.addr.port == listen->at.addr.port)
			count += sock_share_port(l->fd, shared) == 0;
	}
	return count;
}

static size_t
share_ours(const struct opening *o, const struct conf_listen *listen, bool shared)
{
	return share_port(o->conf, listen, shared) + share_port(o->old, listen, shared) +
	    inherited_share_port(o->inherited, listen, shared);
}

/*
 * A wildcard and a specific address with a socket of its own, or the one that follows the
 * other in a reload or an upgrade, can listen side by side if they agree to it. They do for
 * this moment only: the port of a stranger is never shared, nor is ours with it.
 */
static int
open_beside_ours(const struct opening *o, const struct conf_listen *listen, const char **step)
{
	struct sock_options options = listen->options;
	size_t ours = share_ours(o, listen, true);
	int fd = -1, error = EADDRINUSE;

	options.port_shared = true;
	if (ours > 0) {
		fd = sock_listen(&listen->at, &options, step);
		error = errno;
	}
	share_ours(o, listen, false);
	if (fd != -1)
		sock_share_port(fd, false);
	errno = error;
	return fd;
}

static int
open_one(const struct opening *o, struct conf_listen *listen, bool again)
{
	const char *step = "";

	if (listen->wildcard != NULL || listen->fd != -1 || claim(o->old, listen))
		return 0;
	listen->fd = sock_listen(&listen->at, &listen->options, &step);
	if (listen->fd == -1 && errno == EADDRINUSE && listen->at.addr.family != AF_UNIX)
		listen->fd = open_beside_ours(o, listen, &step);
	if (listen->fd != -1)
		return 0;
	log_say(again && errno == EADDRINUSE ? LOG_NOTICE : LOG_EMERG, "%s() %s%s failed %s", step,
	    strcmp(step, "bind") == 0 || strcmp(step, "listen") == 0 ? "to " : "", listen->text, log_errno(errno));
	return -1;
}

/* Returns 0, or -1 with errno: that of the last that cannot be had, and only EADDRINUSE if there may be another try. */
static int
open_all(const struct opening *o, bool again)
{
	int result = 0, error = 0;

	for (size_t i = 0; i < o->conf->listen_count; i++)
		if (open_one(o, o->conf->listens[i], again) == -1) {
			error = errno;
			result = -1;
			if (!again || error != EADDRINUSE)
				break;
		}
	errno = error;
	return result;
}

/* A start may wait for what is taken; whoever serves may not. */
static int
open_patiently(const struct opening *o)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };

	for (int left = TRIES - 1; open_all(o, left > 0) == -1; left--) {
		if (left == 0 || errno != EADDRINUSE)
			return -1;
		log_say(LOG_NOTICE, "try again to bind() after %d ms", PAUSE_MS);
		nanosleep(&pause, NULL);
	}
	return 0;
}

static void
adjust(const struct conf_listen *listen)
{
	struct endpoint at = listen->at;

	if (listen->lent)
		at.path = NULL;
	if (sock_adjust(listen->fd, &at, &listen->options) == -1)
		log_say(LOG_ALERT, "adjusting %s failed %s, ignored", listen->text, log_errno(errno));
}

/* Ours already: nobody else waits for what becomes of the configuration. */
static void
claim_inherited(struct inherited *inherited, struct conf_listen *listen)
{
	if (listen->wildcard == NULL && inherited_claim(inherited, listen))
		adjust(listen);
}

int
listener_open(struct conf *conf, const struct conf *old, struct inherited *inherited)
{
	const struct opening o = { conf, old, inherited };

	for (size_t i = 0; i < conf->listen_count; i++) {
		conf->listens[i]->fd = -1;
		if (inherited != NULL)
			claim_inherited(inherited, conf->listens[i]);
	}
	if ((old == NULL ? open_patiently(&o) : open_all(&o, false)) == 0)
		return 0;
	listener_rollback(conf, old);
	return -1;
}

static void
close_one(struct conf_listen *listen)
{
	if (listen->fd == -1)
		return;
	close(listen->fd);
	listen->fd = -1;
	if (listen->at.addr.family == AF_UNIX && !listen->lent)
		leftover_remove(listen->at.path);
}

void
listener_rollback(struct conf *conf, const struct conf *old)
{
	for (size_t i = 0; i < conf->listen_count; i++) {
		if (find(old, conf->listens[i]) == NULL)
			close_one(conf->listens[i]);
		conf->listens[i]->fd = -1;
	}
}

bool
listener_keeps(const struct conf *conf, const struct conf_listen *listen)
{
	return listen->fd == -1 || find(conf, listen) != NULL;
}

void
listener_commit(const struct conf *conf, struct conf *old)
{
	for (size_t i = 0; i < conf->listen_count; i++)
		if (find(old, conf->listens[i]) != NULL)
			adjust(conf->listens[i]);
	for (size_t i = 0; i < old->listen_count; i++)
		if (find(conf, old->listens[i]) != NULL)
			old->listens[i]->fd = -1;
		else
			close_one(old->listens[i]);
}

void
listener_adjust(const struct conf *conf)
{
	for (size_t i = 0; i < conf->listen_count; i++)
		if (conf->listens[i]->fd != -1)
			adjust(conf->listens[i]);
}

void
listener_close(struct conf *conf)
{
	for (size_t i = 0; i < conf->listen_count; i++)
		close_one(conf->listens[i]);
}
