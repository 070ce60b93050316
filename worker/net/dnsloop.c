#include "worker/net/dnsloop.h"

#include <sys/epoll.h>

#include "common/mem.h"

struct watch {
	struct list node;
	struct dnsloop *owner;
	struct loop_io io;
};

void
dnsloop_look(struct dnsloop *d)
{
	struct timeval room, *next = ares_timeout(d->channel, NULL, &room);

	if (next == NULL)
		loop_timer_stop(&d->timer);
	else
		loop_timer_set(d->loop, &d->timer, (uint64_t)next->tv_sec * 1000 + (uint64_t)next->tv_usec / 1000 + 1);
}

static void
on_time(struct loop_timer *timer)
{
	struct dnsloop *d = LIST_ENTRY(timer, struct dnsloop, timer);

	ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	dnsloop_look(d);
}

/* c-ares may close the socket, and so free the watch, on the way. */
static void
on_events(struct loop_io *io, uint32_t events)
{
	struct dnsloop *d = LIST_ENTRY(io, struct watch, io)->owner;
	bool in = events & (EPOLLIN | EPOLLERR | EPOLLHUP), out = events & (EPOLLOUT | EPOLLERR | EPOLLHUP);

	ares_process_fd(d->channel, in ? io->fd : ARES_SOCKET_BAD, out ? io->fd : ARES_SOCKET_BAD);
	dnsloop_look(d);
}

static struct watch *
watch_find(struct dnsloop *d, int fd)
{
	LIST_EACH(node, &d->watches) {
		struct watch *watch = LIST_ENTRY(node, struct watch, node);

		if (watch->io.fd == fd)
			return watch;
	}
	return NULL;
}

static void
watch_free(struct watch *watch)
{
	loop_unwatch(watch->owner->loop, &watch->io);
	list_remove(&watch->node);
	mem_free(watch);
}

/* If the kernel refuses to watch a socket, its query runs into c-ares' timeout. */
static void
watch_new(struct dnsloop *d, int fd, uint32_t events)
{
	struct watch *watch = mem_alloc(sizeof(*watch));

	*watch = (struct watch){ .owner = d, .io = { .on_events = on_events, .fd = fd } };
	if (loop_watch(d->loop, &watch->io, events) == 0)
		list_add(&d->watches, &watch->node);
	else
		mem_free(watch);
}

/* c-ares says what it waits for on a socket; nothing: it is about to close it. */
static void
on_socket_state(void *data, ares_socket_t fd, int readable, int writable)
{
	struct dnsloop *d = data;
	struct watch *watch = watch_find(d, fd);
	uint32_t events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u);

	if (watch == NULL && events != 0)
		watch_new(d, fd, events);
	else if (watch != NULL && (events == 0 || loop_rewatch(d->loop, &watch->io, events) == -1))
		watch_free(watch);
}

/* The hosts file is not for c-ares to look at, since it would open it each time: "b" leaves it DNS alone. */
static int
open_channel(struct dnsloop *d, const struct ares_options *given, int mask)
{
	char lookups[] = "b";
	struct ares_options options = *given;

	options.flags |= ARES_FLAG_NOALIASES;   /* HOSTALIASES names a file */
	options.lookups = lookups;
	options.sock_state_cb = on_socket_state;
	options.sock_state_cb_data = d;
	mask |= ARES_OPT_FLAGS | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;
#ifdef ARES_OPT_QUERY_CACHE
	options.qcache_max_ttl = 0;
	mask |= ARES_OPT_QUERY_CACHE;
#endif
	return ares_init_options(&d->channel, &options, mask);
}

int
dnsloop_open(struct dnsloop *d, struct loop *loop, const struct ares_options *options, int mask, const char **why)
{
	int status = ares_library_init(ARES_LIB_INIT_ALL);

	*d = (struct dnsloop){ .loop = loop, .timer.on_time = on_time };
	list_init(&d->watches);
	if (status == ARES_SUCCESS && (status = open_channel(d, options, mask)) != ARES_SUCCESS)
		ares_library_cleanup();
	if (status == ARES_SUCCESS)
		return 0;
	*why = ares_strerror(status);
	return -1;
}

void
dnsloop_close(struct dnsloop *d)
{
	ares_destroy(d->channel);
	ares_library_cleanup();
	loop_timer_stop(&d->timer);
	LIST_EACH(node, &d->watches)
		watch_free(LIST_ENTRY(node, struct watch, node));
}
