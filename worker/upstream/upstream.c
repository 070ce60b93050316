#include "worker/upstream/upstream.h"

#include <stdbool.h>
#include <string.h>

#include "common/mem.h"

struct upstream_request {
	struct resolver_query *query;   /* owned until it answers */
	unsigned port;
	upstream_callback *found;
	void *ctx;
};

/* Appends a copy of `peer`, with `port` if it has none of its own. */
static void
add(struct upstream_peers *peers, const struct endpoint *peer, unsigned port)
{
	struct endpoint *copy;

	peers->peers = mem_resize(peers->peers, (peers->count + 1) * sizeof(*peers->peers));
	copy = &peers->peers[peers->count++];
	*copy = (struct endpoint){ 0 };
	endpoint_copy(copy, peer);
	if (copy->addr.port == 0)
		copy->addr.port = (uint16_t)port;
}

static void
on_resolved(void *ctx, const struct addr *found, size_t count, const char *why)
{
	struct upstream_request *r = ctx;
	struct upstream_peers peers = { 0 };
	upstream_callback *callback = r->found;
	void *asker = r->ctx;

	for (size_t i = 0; i < count; i++) {
		struct endpoint peer = { .addr = found[i] };

		add(&peers, &peer, r->port);
	}
	mem_free(r);
	callback(asker, &peers, why);
}

/* The addresses that are known without asking anybody. */
static bool
known(const struct upstream_target *target, struct upstream_peers *peers)
{
	struct endpoint literal = { .addr.family = AF_UNIX, .path = NULL };

	if (target->host == NULL) {
		for (size_t i = 0; i < target->proxy_pass->found_count; i++)
			add(peers, &target->proxy_pass->found[i], target->port);
		return true;
	}
	if (target->is_unix) {
		literal.path = mem_strdup(target->host);
		add(peers, &literal, 0);
		endpoint_reset(&literal);
		return true;
	}
	if (addr_parse(&literal.addr, target->host, strlen(target->host)) == -1)
		return false;
	add(peers, &literal, target->port);
	return true;
}

void
upstream_find(struct upstream_request **requestp, struct resolver *resolver, const struct upstream_target *target,
    upstream_callback *found, void *ctx)
{
	struct upstream_peers peers = { 0 };
	struct upstream_request *r;

	*requestp = NULL;
	if (known(target, &peers)) {
		found(ctx, &peers, peers.count > 0 ? NULL : "no address");
		return;
	}
	r = mem_alloc(sizeof(*r));
	r->port = target->port;
	r->found = found;
	r->ctx = ctx;
	r->query = resolver_ask(resolver, target->host, on_resolved, r);
	*requestp = r;
}

void
upstream_cancel(struct upstream_request **requestp)
{
	struct upstream_request *r = *requestp;

	if (r == NULL)
		return;
	resolver_cancel(&r->query);
	mem_free(r);
	*requestp = NULL;
}

void
upstream_peers_reset(struct upstream_peers *peers)
{
	for (size_t i = 0; i < peers->count; i++)
		endpoint_reset(&peers->peers[i]);
	mem_free(peers->peers);
	*peers = (struct upstream_peers){ 0 };
}

char *
upstream_target_text(const struct upstream_target *target)
{
	if (target->host == NULL)
		return NULL;
	return target->is_unix ? mem_printf("unix:%s", target->host) : mem_printf("%s:%u", target->host, target->port);
}
