#include "worker/net/resolver.h"

#include <ares.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>

#include "common/mem.h"
#include "worker/net/hosts.h"

#define HOSTS_PATH "/etc/hosts"
#define ADDRESSES_MAX 16        /* of one name; more would never be tried */

struct resolver {
	struct loop *loop;              /* borrowed */
	struct hosts *hosts;            /* owned */
	ares_channel channel;
	struct loop_timer timer;        /* when c-ares wants to look after its queries */
	struct list watches;            /* one a socket of c-ares */
};

struct watch {
	struct list node;
	struct resolver *resolver;
	struct loop_io io;
};

/*
 * c-ares holds a query until its callback, and cancelling others' from inside that one
 * corrupts it; so a cancelled query is only marked and goes when its answer comes. The
 * asker hears in the next turn, outside of c-ares, and may do there what it likes.
 */
struct resolver_query {
	struct resolver *resolver;
	resolver_callback *done;        /* NULL: cancelled */
	void *ctx;
	bool asked;                     /* c-ares holds it */
	struct loop_task tell;
	struct addr found[ADDRESSES_MAX];
	size_t count;
	const char *why;
};

static void
look_after_timeouts(struct resolver *resolver)
{
	struct timeval room, *next = ares_timeout(resolver->channel, NULL, &room);

	if (next == NULL)
		loop_timer_stop(&resolver->timer);
	else
		loop_timer_set(resolver->loop, &resolver->timer,
		    (uint64_t)next->tv_sec * 1000 + (uint64_t)next->tv_usec / 1000 + 1);
}

static void
on_time(struct loop_timer *timer)
{
	struct resolver *resolver = LIST_ENTRY(timer, struct resolver, timer);

	ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	look_after_timeouts(resolver);
}

/* c-ares may close the socket, and so free the watch, on the way. */
static void
on_events(struct loop_io *io, uint32_t events)
{
	struct resolver *resolver = LIST_ENTRY(io, struct watch, io)->resolver;
	bool in = events & (EPOLLIN | EPOLLERR | EPOLLHUP), out = events & (EPOLLOUT | EPOLLERR | EPOLLHUP);

	ares_process_fd(resolver->channel, in ? io->fd : ARES_SOCKET_BAD, out ? io->fd : ARES_SOCKET_BAD);
	look_after_timeouts(resolver);
}

static struct watch *
watch_find(struct resolver *resolver, int fd)
{
	LIST_EACH(node, &resolver->watches) {
		struct watch *watch = LIST_ENTRY(node, struct watch, node);

		if (watch->io.fd == fd)
			return watch;
	}
	return NULL;
}

static void
watch_free(struct watch *watch)
{
	loop_unwatch(watch->resolver->loop, &watch->io);
	list_remove(&watch->node);
	mem_free(watch);
}

/* If the kernel refuses to watch a socket, its query runs into c-ares' timeout. */
static void
watch_new(struct resolver *resolver, int fd, uint32_t events)
{
	struct watch *watch = mem_alloc(sizeof(*watch));

	*watch = (struct watch){ .resolver = resolver, .io = { .on_events = on_events, .fd = fd } };
	if (loop_watch(resolver->loop, &watch->io, events) == 0)
		list_add(&resolver->watches, &watch->node);
	else
		mem_free(watch);
}

/* c-ares says what it waits for on a socket; nothing: it is about to close it. */
static void
on_socket_state(void *data, ares_socket_t fd, int readable, int writable)
{
	struct resolver *resolver = data;
	struct watch *watch = watch_find(resolver, fd);
	uint32_t events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u);

	if (watch == NULL && events != 0)
		watch_new(resolver, fd, events);
	else if (watch != NULL && (events == 0 || loop_rewatch(resolver->loop, &watch->io, events) == -1))
		watch_free(watch);
}

/* Hosts are ours to look up, since c-ares would open the file each time: "b" leaves it DNS alone. */
static int
channel_open(struct resolver *resolver)
{
	char lookups[] = "b";
	struct ares_options options = {
		.flags = ARES_FLAG_NOALIASES,   /* HOSTALIASES names a file */
		.lookups = lookups,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = resolver,
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;

#ifdef ARES_OPT_QUERY_CACHE
	mask |= ARES_OPT_QUERY_CACHE;   /* of no entries */
#endif
	return ares_init_options(&resolver->channel, &options, mask);
}

struct resolver *
resolver_new(struct loop *loop, const char **why)
{
	struct resolver *resolver = mem_alloc(sizeof(*resolver));
	int status = ares_library_init(ARES_LIB_INIT_ALL);

	*resolver = (struct resolver){ .loop = loop, .timer.on_time = on_time };
	list_init(&resolver->watches);
	if (status == ARES_SUCCESS && (status = channel_open(resolver)) != ARES_SUCCESS)
		ares_library_cleanup();
	if (status != ARES_SUCCESS) {
		*why = ares_strerror(status);
		mem_free(resolver);
		return NULL;
	}
	resolver->hosts = hosts_read(HOSTS_PATH);
	return resolver;
}

void
resolver_free(struct resolver **resolverp)
{
	struct resolver *resolver = *resolverp;

	if (resolver == NULL)
		return;
	ares_destroy(resolver->channel);        /* ends the queries that were cancelled */
	ares_library_cleanup();
	loop_timer_stop(&resolver->timer);
	LIST_EACH(node, &resolver->watches)
		watch_free(LIST_ENTRY(node, struct watch, node));
	hosts_free(&resolver->hosts);
	mem_free(resolver);
	*resolverp = NULL;
}

int
resolver_use(struct resolver *resolver, const char *servers)
{
	return ares_set_servers_ports_csv(resolver->channel, servers) == ARES_SUCCESS ? 0 : -1;
}

static void
tell(struct loop_task *task)
{
	struct resolver_query *query = LIST_ENTRY(task, struct resolver_query, tell);

	query->done(query->ctx, query->found, query->count, query->why);
	mem_free(query);
}

static void
take_addresses(struct resolver_query *query, const struct ares_addrinfo *info)
{
	for (const struct ares_addrinfo_node *node = info->nodes; node != NULL; node = node->ai_next) {
		struct sockaddr_storage sa = { 0 };

		if (query->count == ADDRESSES_MAX || node->ai_addrlen > sizeof(sa))
			return;
		memcpy(&sa, node->ai_addr, node->ai_addrlen);
		addr_from_sockaddr(&query->found[query->count++], &sa);
	}
}

static void
on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct resolver_query *query = arg;

	(void)timeouts;
	query->asked = false;
	if (info != NULL) {
		take_addresses(query, info);
		ares_freeaddrinfo(info);
	}
	if (query->count == 0)
		query->why = ares_strerror(status == ARES_SUCCESS ? ARES_ENODATA : status);
	if (query->done == NULL)
		mem_free(query);
	else
		loop_again(query->resolver->loop, &query->tell);
}

/* The two addresses of this machine, and no others (RFC 6761 section 6.3). */
static size_t
find_localhost(const char *name, struct addr *found)
{
	static const char localhost[] = "localhost";
	const size_t len = strlen(name), tail = sizeof(localhost) - 1;

	if (len < tail || strcasecmp(name + len - tail, localhost) != 0 || (len > tail && name[len - tail - 1] != '.'))
		return 0;
	found[0] = (struct addr){ .ip = { 127, 0, 0, 1 }, .family = AF_INET };
	found[1] = (struct addr){ .ip = { [15] = 1 }, .family = AF_INET6 };
	return 2;
}

/* What can be said without asking anyone. */
static void
find_here(struct resolver_query *query, const char *name)
{
	if (addr_parse(&query->found[0], name, strlen(name)) == 0)
		query->count = 1;
	else if ((query->count = find_localhost(name, query->found)) == 0)
		query->count = hosts_find(query->resolver->hosts, name, query->found, ADDRESSES_MAX);
}

struct resolver_query *
resolver_ask(struct resolver *resolver, const char *name, resolver_callback *done, void *ctx)
{
	const struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct resolver_query *query = mem_alloc(sizeof(*query));
	size_t len = strlen(name);
	char *plain = mem_strndup(name, len > 0 && name[len - 1] == '.' ? len - 1 : len);

	*query = (struct resolver_query){ .resolver = resolver, .done = done, .ctx = ctx, .tell.run = tell };
	find_here(query, plain);
	if (query->count > 0 || *plain == '\0') {
		query->why = query->count > 0 ? NULL : "empty name";
		loop_again(resolver->loop, &query->tell);
	} else {
		query->asked = true;
		ares_getaddrinfo(resolver->channel, name, NULL, &hints, on_answer, query);
		look_after_timeouts(resolver);
	}
	mem_free(plain);
	return query;
}

void
resolver_cancel(struct resolver_query **queryp)
{
	struct resolver_query *query = *queryp;

	*queryp = NULL;
	if (query == NULL)
		return;
	if (query->asked) {
		query->done = NULL;
		return;
	}
	loop_drop(&query->tell);
	mem_free(query);
}
