#include "worker/net/resolver.h"

#include <ares.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "worker/net/dnsloop.h"
#include "worker/net/hosts.h"

#define HOSTS_PATH "/etc/hosts"
#define ADDRESSES_MAX 16        /* of one name; more would never be tried */

struct resolver {
	struct loop *loop;              /* borrowed */
	struct hosts *hosts;            /* owned */
	struct dnsloop dns;
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

struct resolver *
resolver_new(struct loop *loop, const char **why)
{
	struct resolver *resolver = mem_alloc(sizeof(*resolver));

	resolver->loop = loop;
	if (dnsloop_open(&resolver->dns, loop, &(struct ares_options){ .flags = 0 }, 0, why) == -1) {
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
	dnsloop_close(&resolver->dns);          /* ends the queries that were cancelled */
	hosts_free(&resolver->hosts);
	mem_free(resolver);
	*resolverp = NULL;
}

int
resolver_use(struct resolver *resolver, const char *servers)
{
	return ares_set_servers_ports_csv(resolver->dns.channel, servers) == ARES_SUCCESS ? 0 : -1;
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
		ares_getaddrinfo(resolver->dns.channel, name, NULL, &hints, on_answer, query);
		dnsloop_look(&resolver->dns);
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
