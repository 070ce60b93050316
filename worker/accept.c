#include "worker/accept.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mem.h"
#include "worker/arrival.h"
#include "worker/session.h"
#include "worker/shift.h"

#define BATCH 16                /* clients from one socket in one turn */
#define BATCH_MULTI 256         /* the same with multi_accept */
#define RETRY_MS 500            /* after the kernel had no descriptor or memory for us */
#define COMPLAIN_MS 1000        /* between two lines about the same shortage */
#define AHEAD(mean) ((mean) + (mean) / 64)              /* who holds more lets the others go first */
#define FAR_AHEAD(mean) ((mean) + (mean) / 8 + 8)       /* who holds more leaves the door for a moment */
#define MOMENT_MS 1

/* One listening socket. */
struct door {
	struct loop_io io;
	struct accept *accept;
	const struct conf_listen *listen;
	struct loop_timer away; /* from the door, until then */
	unsigned streak;        /* clients in a row at which more were waiting */
	bool given_up;          /* nobody else will take who waits here when it is closed */
};

struct accept {
	struct shift *shift;
	struct door *doors;     /* owned */
	size_t count;
	struct loop_io bell;
	struct loop_timer retry;
	uint64_t complained_ms;
	bool open, closed;
};

static void
watch(struct accept *a, struct door *d)
{
	if (loop_watch(a->shift->loop, &d->io, EPOLLIN | EPOLLEXCLUSIVE) == -1)
		log_say(LOG_ALERT, "epoll_ctl() on %s failed %s", d->listen->text, log_errno(errno));
}

static void
leave(struct accept *a, struct door *d)
{
	loop_timer_stop(&d->away);
	loop_unwatch(a->shift->loop, &d->io);
}

static void
on_moment(struct loop_timer *timer)
{
	struct door *d = LIST_ENTRY(timer, struct door, away);

	watch(d->accept, d);
}

/*
 * To the end of the kernel's queue of those who wait at the door. When a crowd comes that is not enough:
 * who is awake would have let in all of them before the others are.
 */
static void
step_back_if_ahead(struct accept *a, struct door *d)
{
	struct shift *shift = a->shift;
	uint32_t workers, mean = board_mean_sessions(shift->board, shift->conf->generation, &workers);

	if (workers < 2 || shift->session_count <= AHEAD(mean))
		return;
	leave(a, d);
	if (shift->session_count <= FAR_AHEAD(mean))
		watch(a, d);
	else
		loop_timer_set(shift->loop, &d->away, MOMENT_MS);
}

static void
complain(struct accept *a, const char *what, const char *why)
{
	uint64_t now_ms = loop_now_ms(a->shift->loop);

	if (a->complained_ms != 0 && now_ms - a->complained_ms < COMPLAIN_MS)
		return;
	a->complained_ms = now_ms;
	log_say(LOG_ALERT, "%s%s: accepting pauses until one is free", what, why);
}

static void
step_aside(struct accept *a)
{
	uint64_t one = 1;

	if (!a->open)
		return;
	a->open = false;
	atomic_store_explicit(&a->shift->slot->paused, 1, memory_order_relaxed);
	for (size_t i = 0; i < a->count; i++)
		leave(a, &a->doors[i]);
	/* A full counter has rung loud enough. */
	if (a->bell.fd != -1 && write(a->bell.fd, &one, sizeof(one)) == -1)
		(void)0;
}

static void
on_retry(struct loop_timer *timer)
{
	accept_resume(LIST_ENTRY(timer, struct accept, retry));
}

/* The kernel refused a descriptor. Waiting is all that helps; spinning would not. */
static void
starve(struct accept *a, int error)
{
	complain(a, "accept4() failed ", log_errno(error));
	auth_shed(a->shift->auth);
	step_aside(a);
	a->retry.on_time = on_retry;
	loop_timer_set(a->shift->loop, &a->retry, RETRY_MS);
}

/* Which address did a client of a shared wildcard socket really come to? */
static const struct conf_listen *
true_listen(const struct accept *a, const struct conf_listen *wildcard, int fd)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct addr addr;

	if (!wildcard->shared || getsockname(fd, (struct sockaddr *)&sa, &len) == -1)
		return wildcard;
	addr_from_sockaddr(&addr, &sa);
	for (size_t i = 0; i < a->shift->conf->listen_count; i++) {
		const struct conf_listen *l = a->shift->conf->listens[i];

		if (l->wildcard == wildcard && addr_equal(&l->at.addr, &addr))
			return l;
	}
	return wildcard;
}

/* Is there room for a client's whole login? Connections kept for later questions are the first to go. */
static bool
has_room(struct accept *a)
{
	struct shift *shift = a->shift;

	if (shift->seats.limit - shift->seats.used < SEAT_LOGIN + auth_idle_descriptors(shift->auth))
		auth_shed(shift->auth);
	return seats_free(&shift->seats);
}

/* The socket is no listening one any more: somebody who has it, too, has shut it down. It would say so without end. */
static void
give_up(struct accept *a, struct door *d, int error)
{
	log_say(LOG_ALERT, "accept4() on %s failed %s: nobody comes in there any more", d->listen->text,
	    log_errno(error));
	leave(a, d);
}

/* Takes one client. Returns 1; 0 when none waits; -1 when this worker steps aside. */
static int
take(struct accept *a, struct door *d)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct session *s;
	struct addr addr;
	int fd;

	if (!has_room(a)) {
		complain(a, "worker_connections are not enough", "");
		step_aside(a);
		return -1;
	}
	fd = accept4(d->io.fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd == -1 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
		starve(a, errno);
		return -1;
	}
	if (fd == -1 && (errno == EINVAL || errno == EBADF || errno == ENOTSOCK)) {
		give_up(a, d, errno);
		return 0;
	}
	if (fd == -1)   /* ECONNABORTED and its kin concern a client that has gone already */
		return errno == EAGAIN ? 0 : 1;
	addr_from_sockaddr(&addr, &sa);
	if ((s = session_new(a->shift, true_listen(a, d->listen, fd), fd, &addr)) != NULL)
		arrival_begin(s);
	return 1;
}

static void
on_client(struct loop_io *io, uint32_t events)
{
	struct door *d = LIST_ENTRY(io, struct door, io);
	struct accept *a = d->accept;
	unsigned most = a->shift->conf->multi_accept ? BATCH_MULTI : BATCH, taken = 0;
	int got = 1;

	(void)events;
	/* One a turn while they come one by one: the call that says "no more" would cost as much as a client. */
	if (!a->shift->conf->multi_accept && (1u << d->streak) < most)
		most = 1u << d->streak;
	while (taken < most && (got = take(a, d)) == 1)
		taken++;
	if (got == 1)
		d->streak += d->streak < 8;
	else
		d->streak = 0;
	if (a->open && taken > 0)
		step_back_if_ahead(a, d);
}

/* A sibling has stepped aside: whoever waits at its doors is ours. */
static void
on_bell(struct loop_io *io, uint32_t events)
{
	struct accept *a = LIST_ENTRY(io, struct accept, bell);

	(void)events;
	for (size_t i = 0; a->open && i < a->count; i++)
		on_client(&a->doors[i].io, EPOLLIN);
}

struct accept *
accept_new(struct shift *shift, int bell)
{
	struct accept *a = mem_alloc(sizeof(*a));

	a->shift = shift;
	a->bell = (struct loop_io){ .fd = bell, .on_events = on_bell };
	a->doors = mem_array(shift->conf->listen_count, sizeof(*a->doors));
	for (size_t i = 0; i < shift->conf->listen_count; i++) {
		const struct conf_listen *listen = shift->conf->listens[i];

		if (listen->wildcard == NULL)
			a->doors[a->count++] = (struct door){
				.io = { .fd = listen->fd, .on_events = on_client },
				.away = { .on_time = on_moment },
				.accept = a,
				.listen = listen,
			};
	}
	return a;
}

int
accept_open(struct accept *a)
{
	/* Edge-triggered: one ring wakes each sibling once, and nobody has to take it back. */
	if (a->bell.fd != -1 && loop_watch(a->shift->loop, &a->bell, EPOLLIN | EPOLLET) == -1)
		return -1;
	for (size_t i = 0; i < a->count; i++)
		watch(a, &a->doors[i]);
	a->open = true;
	return 0;
}

void
accept_resume(struct accept *a)
{
	if (a->open || a->closed || !seats_free(&a->shift->seats))
		return;
	loop_timer_stop(&a->retry);
	a->open = true;
	atomic_store_explicit(&a->shift->slot->paused, 0, memory_order_relaxed);
	for (size_t i = 0; i < a->count; i++)
		watch(a, &a->doors[i]);
}

/* Within its limits; no more than can have waited, for others go on coming until the last of us has closed. */
static void
take_the_last(struct accept *a, struct door *d)
{
	for (int left = d->listen->options.backlog; left > 0 && take(a, d) == 1; left--)
		continue;
}

void
accept_give_up(struct accept *a, size_t first, size_t count)
{
	const struct conf *conf = a->shift->conf;

	for (size_t i = 0; i < a->count; i++)
		for (size_t at = first; at < conf->listen_count && at - first < count; at++)
			a->doors[i].given_up |= a->doors[i].listen == conf->listens[at];
}

void
accept_close(struct accept *a)
{
	if (a->closed)
		return;
	a->closed = true;
	a->open = false;
	loop_timer_stop(&a->retry);
	/* The master has these sockets, too: closing ours alone would leave them on the epoll set. */
	for (size_t i = 0; i < a->count; i++) {
		leave(a, &a->doors[i]);
		if (a->doors[i].given_up)
			take_the_last(a, &a->doors[i]);
		close(a->doors[i].io.fd);
	}
}

void
accept_free(struct accept **acceptp)
{
	accept_close(*acceptp);
	mem_free((*acceptp)->doors);
	mem_free(*acceptp);
	*acceptp = NULL;
}
