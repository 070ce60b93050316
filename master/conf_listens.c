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
		.own_socket = draft->own_socket || at->path != NULL, .ssl = draft->ssl,
		.proxy_protocol = draft->proxy_protocol, .given = draft->own_socket,
	};
	l->at.addr.port = (uint16_t)port;
	l->text = arena_strdup(conf->arena, endpoint_format(text, sizeof(text), &l->at));
	arena_append(conf->arena, &l->servers, draft->server);
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

static bool
share_name(const struct server *a, const struct server *b)
{
	for (const char **x = a->names; *x != NULL; x++)
		for (const char **y = b->names; *y != NULL; y++)
			if (strcmp(*x, *y) == 0)
				return true;
	return false;
}

/*
 * Why cannot this line of another server mean the same socket? A client's SNI, the one
 * thing that tells servers apart, must find each of them, and nothing that is said
 * before it may differ. NULL if it can; "" is nginx's own complaint, else what is beside it.
 */
static const char *
clash(const struct conf_listen *first, const struct conf_listen *l)
{
	bool starttls = first->server->starttls != STARTTLS_OFF;

	for (struct server **s = first->servers; *s != NULL; s++)
		if (*s == l->server || share_name(*s, l->server))
			return "";
	if (first->ssl != l->ssl)
		return ", with and without \"ssl\"";
	if (first->proxy_protocol != l->proxy_protocol)
		return ", with and without \"proxy_protocol\"";
	if (!l->ssl && starttls != (l->server->starttls != STARTTLS_OFF))
		return ", with and without \"starttls\"";
	if (!l->ssl && !starttls)
		return "";
	if (first->server->protocol != l->server->protocol)
		return ", with different protocols";
	return first->given && l->given ? ", with parameters of the socket in both places" : NULL;
}

/* Makes one of two lines for the same socket. */
static int
join(struct conf *conf, struct conf_listen *first, const struct conf_listen *l)
{
	const char *why = clash(first, l);

	if (why != NULL) {
		conf_say(LOG_EMERG, &l->place, "duplicate \"%s\" address and port pair%s", l->text, why);
		return -1;
	}
	if (l->given) {
		first->given = true;
		first->own_socket = l->own_socket;
		first->options = l->options;
	}
	arena_append(conf->arena, &first->servers, l->server);
	return 0;
}

/* Joins those that are neighbours by address. What is left of conf->listens keeps its order. */
static int
join_all(struct conf *conf, const struct ranked *sorted)
{
	struct conf_listen *first = NULL;
	size_t kept = 0;

	for (size_t i = 0; i < conf->listen_count; i++) {
		struct conf_listen *l = sorted[i].listen;

		if (first == NULL || compare(&first->at, &l->at) != 0) {
			first = l;
			continue;
		}
		if (join(conf, first, l) == -1)
			return -1;
		conf->listens[sorted[i].index] = NULL;
	}
	for (size_t i = 0; i < conf->listen_count; i++)
		if (conf->listens[i] != NULL)
			conf->listens[kept++] = conf->listens[i];
	conf->listen_count = kept;
	conf->listens[kept] = NULL;
	return 0;
}

/* Goes through the listens by address and finds out who relies on which wildcard. */
static void
relate(const struct ranked *sorted, size_t count)
{
	struct conf_listen *wildcard = NULL;

	for (size_t i = 0; i < count; i++) {
		struct conf_listen *l = sorted[i].listen;

		if (is_wildcard(l)) {
			wildcard = l;
		} else if (wildcard != NULL && !l->own_socket && l->at.addr.family == wildcard->at.addr.family &&
		    l->at.addr.port == wildcard->at.addr.port) {
			l->wildcard = wildcard;
			wildcard->shared = true;
		}
	}
}

/* All of conf->listens by address; the caller frees it. */
static struct ranked *
sort(const struct conf *conf)
{
	struct ranked *sorted = mem_array(conf->listen_count, sizeof(*sorted));

	for (size_t i = 0; i < conf->listen_count; i++)
		sorted[i] = (struct ranked){ conf->listens[i], i };
	qsort(sorted, conf->listen_count, sizeof(*sorted), by_address);
	return sorted;
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
	sorted = sort(conf);
	result = join_all(conf, sorted);
	mem_free(sorted);
	if (result == -1)
		return -1;
	sorted = sort(conf);
	relate(sorted, conf->listen_count);
	mem_free(sorted);
	return 0;
}
