#include "master/conf_listens.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "master/conf_build.h"
#include "master/conf_say.h"

#define LISTENS_MAX 100000

/* A name's list may hold an address twice; the ports of a range apply to each once. */
static bool
is_repeated(const struct conf_name *name, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (endpoint_equal(&name->found[i], &name->found[index]))
			return true;
	return false;
}

static size_t
count_ports(const struct draft_listen *l)
{
	return (size_t)(l->last_port - l->name->port) + 1;
}

static size_t
count_all(const struct conf_draft *draft)
{
	size_t count = 0;

	for (struct draft_listen **l = draft->listens; l != NULL && *l != NULL; l++)
		count += (*l)->name->found_count * count_ports(*l);
	return count;
}

static void
add(struct conf *conf, const struct draft_listen *draft, const struct endpoint *at, unsigned port)
{
	struct conf_listen *l = arena_alloc(conf->arena, sizeof(*l));
	char text[sizeof("unix:") + 128];

	*l = (struct conf_listen){
		.at = *at, .options = draft->options, .server = draft->server, .place = draft->name->place, .fd = -1,
		.own_socket = draft->own_socket || at->path != NULL,
	};
	l->at.addr.port = (uint16_t)port;
	l->text = arena_strdup(conf->arena, endpoint_format(text, sizeof(text), &l->at));
	conf->listens[conf->listen_count++] = l;
}

static void
expand(struct conf *conf, const struct draft_listen *draft)
{
	const struct conf_name *name = draft->name;

	for (size_t i = 0; i < name->found_count; i++) {
		if (is_repeated(name, i))
			continue;
		for (unsigned port = name->port; port <= draft->last_port; port++)
			add(conf, draft, &name->found[i], port);
	}
}

static int
compare(const struct endpoint *a, const struct endpoint *b)
{
	if (a->addr.family != b->addr.family)
		return a->addr.family < b->addr.family ? -1 : 1;
	if (a->path != NULL && b->path != NULL)
		return strcmp(a->path, b->path);
	if (a->addr.port != b->addr.port)
		return a->addr.port < b->addr.port ? -1 : 1;
	return memcmp(a->addr.ip, b->addr.ip, sizeof(a->addr.ip));
}

struct ranked {
	struct conf_listen *listen;
	size_t index;                   /* in the text's order */
};

/* By family, port and address: the wildcard first of its port. The same address: the text's order. */
static int
by_address(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	int order = compare(&x->listen->at, &y->listen->at);

	return order != 0 ? order : x->index < y->index ? -1 : x->index > y->index;
}

static bool
is_wildcard(const struct conf_listen *l)
{
	static const unsigned char any[16];

	return l->at.path == NULL && memcmp(l->at.addr.ip, any, sizeof(any)) == 0;
}

/* Goes through the listens by address: finds doubles, and who relies on which wildcard. */
static int
relate(const struct ranked *sorted, size_t count)
{
	struct conf_listen *wildcard = NULL;

	for (size_t i = 0; i < count; i++) {
		struct conf_listen *l = sorted[i].listen;

		if (i > 0 && compare(&l->at, &sorted[i - 1].listen->at) == 0) {
			conf_say(LOG_EMERG, &l->place, "duplicate \"%s\" address and port pair", l->text);
			return -1;
		}
		if (is_wildcard(l)) {
			wildcard = l;
		} else if (wildcard != NULL && !l->own_socket && l->at.addr.family == wildcard->at.addr.family &&
		    l->at.addr.port == wildcard->at.addr.port) {
			l->wildcard = wildcard;
			wildcard->shared = true;
		}
	}
	return 0;
}

int
conf_listens_expand(struct conf *conf)
{
	struct ranked *sorted;
	size_t count = count_all(conf->draft);
	int result;

	if (count > LISTENS_MAX) {
		conf_say(LOG_EMERG, &conf->draft->listens[0]->name->place, "too many addresses to listen on");
		return -1;
	}
	conf->listens = arena_alloc(conf->arena, (count + 1) * sizeof(*conf->listens));
	for (struct draft_listen **l = conf->draft->listens; l != NULL && *l != NULL; l++)
		expand(conf, *l);
	sorted = mem_array(conf->listen_count, sizeof(*sorted));
	for (size_t i = 0; i < conf->listen_count; i++)
		sorted[i] = (struct ranked){ conf->listens[i], i };
	qsort(sorted, conf->listen_count, sizeof(*sorted), by_address);
	result = relate(sorted, conf->listen_count);
	mem_free(sorted);
	return result;
}
