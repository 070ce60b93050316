#include "worker/net/http_client.h"

#include "common/mem.h"
#include "common/must.h"
#include "worker/net/http_link.h"

#define REFRESH_MS 60000        /* between two look-ups of the server's name */

static void
on_addresses(void *ctx, const struct addr *found, size_t count, const char *why)
{
	struct http_client *client = ctx;

	(void)why;              /* the old addresses are better than none */
	client->query = NULL;
	if (count == 0)
		return;
	for (size_t i = 0; i < client->address_count; i++)
		endpoint_reset(&client->addresses[i]);
	client->addresses = mem_resize(client->addresses, count * sizeof(client->addresses[0]));
	for (size_t i = 0; i < count; i++) {
		client->addresses[i] = (struct endpoint){ .addr = found[i] };
		client->addresses[i].addr.port = (uint16_t)client->server->port;
	}
	client->address_count = count;
	client->preferred = 0;
}

static void
refresh_addresses(struct http_client *client)
{
	uint64_t now = loop_now_ms(client->loop);

	if (client->server->host == NULL || client->query != NULL || now < client->refresh_at_ms)
		return;
	client->refresh_at_ms = now + REFRESH_MS;
	client->query = resolver_ask(client->resolver, client->server->host, on_addresses, client);
}

struct http_client *
http_client_new(const struct conf_name *server, const struct http_keep *keep, struct loop *loop,
    struct resolver *resolver)
{
	struct http_client *client = mem_alloc(sizeof(*client));

	MUST(server->found_count > 0);
	*client = (struct http_client){
		.server = server, .keep = *keep, .loop = loop, .resolver = resolver,
		.addresses = mem_array(server->found_count, sizeof(client->addresses[0])),
		.address_count = server->found_count,
	};
	for (size_t i = 0; i < server->found_count; i++)
		endpoint_copy(&client->addresses[i], &server->found[i]);
	list_init(&client->busy);
	list_init(&client->idle);
	return client;
}

static void
close_spare(struct list *row)
{
	LIST_EACH(node, row) {
		struct http_link *link = LIST_ENTRY(node, struct http_link, node);

		if (link->spare)
			http_link_close(link);
	}
}

void
http_client_free(struct http_client **clientp)
{
	struct http_client *client = *clientp;

	if (client == NULL)
		return;
	http_client_shed(client);
	MUST(list_is_empty(&client->busy));
	resolver_cancel(&client->query);
	for (size_t i = 0; i < client->address_count; i++)
		endpoint_reset(&client->addresses[i]);
	mem_free(client->addresses);
	mem_free(client);
	*clientp = NULL;
}

void
http_client_start(struct http_client *client, struct http_call *call)
{
	call->tried = 0;
	if (list_is_empty(&client->idle)) {
		refresh_addresses(client);
		http_link_begin(client, call);
	} else {
		http_link_reuse(LIST_ENTRY(client->idle.prev, struct http_link, node), call);
	}
}

void
http_client_cancel(struct http_call *call)
{
	struct http_link *link = call->link;

	if (link == NULL)
		return;
	link->call = NULL;
	call->link = NULL;
	http_link_close(link);
}

unsigned
http_client_idle(const struct http_client *client)
{
	return client->spare_count;
}

void
http_client_shed(struct http_client *client)
{
	close_spare(&client->busy);
	close_spare(&client->idle);
}
