#include "master/conf_limits.h"

#include <string.h>

#include "master/conf_build.h"
#include "master/conf_say.h"

static const char *const directives[] = { [LIMIT_CONN] = "limit_conn", [LIMIT_AUTH] = "limit_auth" };

static const struct conf_limit_zone *
find(const struct conf *conf, enum conf_limit_kind kind, const char *name)
{
	for (size_t i = 0; i < conf->limit_zone_count; i++)
		if (conf->limit_zones[i]->kind == kind && strcmp(conf->limit_zones[i]->name, name) == 0)
			return conf->limit_zones[i];
	return NULL;
}

static int
complete(const struct conf *conf, enum conf_limit_kind kind, struct conf_limit **limits)
{
	for (; limits != NULL && *limits != NULL; limits++) {
		(*limits)->zone = find(conf, kind, (*limits)->name);
		if ((*limits)->zone != NULL)
			continue;
		conf_say(LOG_EMERG, &(*limits)->place,
		    "unknown zone \"%s\" in \"%s\" directive: no \"%s_zone\" makes it", (*limits)->name,
		    directives[kind], directives[kind]);
		return -1;
	}
	return 0;
}

static bool
has(const char **list, const char *name)
{
	for (; list != NULL && *list != NULL; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

/* Only headers that some limit goes by are kept. */
static void
keep_headers(struct conf_build *b, struct server *server)
{
	server->kept_headers = NULL;
	for (struct conf_limit **l = server->conn_limits; l != NULL && *l != NULL; l++) {
		const char *header = (*l)->zone->header;

		if (header != NULL && !has(server->kept_headers, header))
			arena_append(b->arena, &server->kept_headers, header);
	}
}

int
conf_limits_complete(struct conf_build *b, struct server *server)
{
	if (complete(b->conf, LIMIT_CONN, server->conn_limits) == -1 ||
	    complete(b->conf, LIMIT_AUTH, server->auth_limits) == -1)
		return -1;
	keep_headers(b, server);
	return 0;
}
