#include "master/conf_networks.h"

#include "common/addrset.h"
#include "common/arena.h"
#include "common/conf.h"
#include "common/must.h"

static void
add(struct addrset **set, const struct conf_network *network)
{
	const struct conf_name *name = network->name;
	char text[ADDR_TEXT];

	if (name == NULL)
		MUST(addrset_add(set, network->allow, network->text) == NULL);
	for (size_t i = 0; name != NULL && i < name->found_count; i++)
		MUST(addrset_add(set, network->allow, addr_format(text, &name->found[i].addr)) == NULL);
}

/* A set admits whom no rule names; where the list names those who are meant, the others are left out. */
static const struct addrset *
build(struct conf *conf, struct conf_network **list, bool only_these)
{
	struct addrset *set = NULL;

	for (struct conf_network **n = list; n != NULL && *n != NULL; n++)
		add(&set, *n);
	if (set == NULL)
		return NULL;
	if (only_these)
		MUST(addrset_add(&set, false, "all") == NULL);
	arena_append(conf->arena, &conf->addrsets, set);
	conf->addrset_count++;
	return set;
}

/* What another server before this one has made of the same list. */
static const struct server *
find_heir(const struct conf *conf, size_t index)
{
	const struct server *server = conf->servers[index];

	for (size_t i = 0; i < index; i++)
		if (conf->servers[i]->access == server->access &&
		    conf->servers[i]->real_ip_from == server->real_ip_from)
			return conf->servers[i];
	return NULL;
}

/* The same for limit_exempt. */
static const struct addrset *
build_exempt(struct conf *conf, size_t index)
{
	struct conf_network **list = conf->servers[index]->limit_exempt;

	for (size_t i = 0; i < index; i++)
		if (conf->servers[i]->limit_exempt == list)
			return conf->servers[i]->unlimited;
	return build(conf, list, true);
}

void
conf_networks_build(struct conf *conf)
{
	conf->debug_connections = build(conf, conf->debug_networks, true);
	for (size_t i = 0; i < conf->server_count; i++) {
		struct server *server = conf->servers[i];
		const struct server *heir = find_heir(conf, i);

		server->clients = heir != NULL ? heir->clients : build(conf, server->access, false);
		server->trusted_proxies =
		    heir != NULL ? heir->trusted_proxies : build(conf, server->real_ip_from, true);
		server->unlimited = build_exempt(conf, i);
	}
}
