#include "master/conf_sources.h"

#include <inttypes.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/sqlquery.h"
#include "master/conf_build.h"
#include "master/conf_chain.h"
#include "master/conf_say.h"
#include "master/conf_secret.h"
#include "master/conf_tls.h"
#include "master/conf_type.h"

#define HTTP_PORT 80
#define HTTPS_PORT 443

/* One source being made: `source` is this server's own until it turns out that another server has the same. */
struct making {
	struct conf_build *b;
	const struct draft_server *draft;
	const struct draft_link *link;
	struct conf_source *source;
	const char *settings;           /* "name=value\n" ... */
	bool failed;                    /* and that has been said */
};

/* Adds a line, unless there is no value. */
static void
add(struct making *m, const char *name, const char *value)
{
	if (value == NULL)
		return;
	if (conf_breaks_lines(value) && !m->failed) {
		conf_say(LOG_EMERG, &m->source->place, "\"%s\" holds a control character", value);
		m->failed = true;
	}
	m->settings = arena_printf(m->b->arena, "%s%s=%s\n", m->settings, name, value);
}

static void
add_number(struct making *m, const char *name, uint64_t value)
{
	add(m, name, arena_printf(m->b->arena, "%" PRIu64, value));
}

static void
add_words(struct making *m, const char *name, const char *const *words)
{
	for (; words != NULL && *words != NULL; words++)
		add(m, name, *words);
}

/* Something without which this source is of no use. */
static void
need(struct making *m, const char *directive, const void *value)
{
	if (value != NULL || m->failed)
		return;
	conf_say(LOG_EMERG, &m->source->place, "no \"%s\" is defined for \"%s\"", directive,
	    conf_source_directive(m->source->kind));
	m->failed = true;
}

/* A server of the source, at `name`, as URL and upstream have it. */
static void
add_web(struct making *m, const struct conf_web *as, struct conf_name *name, const struct draft_url *url)
{
	struct conf_build *b = m->b;
	struct conf_web *web = arena_dup(b->arena, as, sizeof(*web));

	web->name = conf_build_port(b, name, m->source->https ? HTTPS_PORT : HTTP_PORT);
	web->host = url->host;
	web->uri = url->uri;
	web->label = as == &conf_web_alone ? url->label :
	    arena_printf(b->arena, "%s%s%s", m->source->https ? "https://" : "", name->text, url->uri);
	arena_append(b->arena, &m->source->servers, web);
	add(m, "server", arena_printf(b->arena, "%s %u %s %s %d %u %u %" PRIu64, name->text, web->name->port, web->host,
	    web->uri, web->backup, web->weight, web->max_fails, web->fail_timeout));
}

static void
add_upstream(struct making *m, const struct draft_upstream *upstream, const struct draft_url *url)
{
	if (url->name->port != 0) {
		conf_say(LOG_EMERG, &m->source->place, "upstream \"%s\" may not have port %u", upstream->name,
		    url->name->port);
		m->failed = true;
	}
	for (struct draft_peer **peer = upstream->peers; *peer != NULL && !m->failed; peer++) {
		if (m->source->https && (*peer)->name->host == NULL &&
		    (*peer)->name->found[0].addr.family == AF_UNIX) {
			conf_say(LOG_EMERG, &(*peer)->name->place, "there is no \"https://\" on UNIX sockets: \"%s\"",
			    (*peer)->name->text);
			m->failed = true;
		}
		add_web(m, &(*peer)->web, (*peer)->name, url);
	}
}

/* Both kinds of source that speak HTTP. */
static void
make_http(struct making *m)
{
	struct conf_source *source = m->source;

	for (struct draft_url **url = m->link->urls; *url != NULL && !m->failed; url++) {
		const char *host = (*url)->name->host;
		const struct draft_upstream *upstream = host != NULL ? conf_build_upstream(m->b, host) : NULL;

		if (upstream != NULL)
			add_upstream(m, upstream, *url);
		else
			add_web(m, &conf_web_alone, (*url)->name, *url);
		source->label = source->label == NULL ? (*url)->label :
		    arena_printf(m->b->arena, "%s %s", source->label, (*url)->label);
	}
	source->keepalive = m->draft->http_keepalive;
	source->keepalive_requests = m->draft->http_keepalive_requests;
	source->keepalive_timeout = m->draft->http_keepalive_timeout;
	add_number(m, "keepalive", source->keepalive);
	add_number(m, "requests", source->keepalive_requests);
	add_number(m, "idle", source->keepalive_timeout);
}

static void
make_token(struct making *m, const char *claim)
{
	struct conf_token *token = arena_dup(m->b->arena, &m->draft->token, sizeof(*token));

	if (token->claim == NULL)
		token->claim = claim;
	m->source->token = token;
	add(m, "issuer", token->issuer);
	add_words(m, "audience", token->audiences);
	add_words(m, "scope", token->scopes);
	add(m, "claim", token->claim);
	add_number(m, "leeway_s", token->leeway / 1000);
}

/* Whoever proves who we are needs both. */
static void
make_introspection(struct making *m)
{
	const char *id = m->draft->introspection.client_id, *path = m->draft->introspection.secret_file;

	make_http(m);
	make_token(m, "username");
	m->source->client_id = id;
	add(m, "client_id", id);
	add(m, "secret_file", path);
	if (path != NULL)
		need(m, "auth_introspection_client_id", id);
	if (id != NULL)
		need(m, "auth_introspection_secret_file", path);
}

static int
judge_introspection(struct making *m)
{
	const char *path = m->draft->introspection.secret_file;

	if (path == NULL)
		return 0;
	m->source->client_secret = conf_secret_read(m->b->arena, &m->source->place, path);
	return m->source->client_secret != NULL ? 0 : -1;
}

static void
add_query(struct making *m, const char *query)
{
	char *line = query != NULL ? sqlquery_one_line(query) : NULL;

	add(m, "query", line);
	mem_free(line);
}

static void
add_mysql_tls(struct making *m)
{
	add(m, "ssl", m->draft->mysql.ssl ? "on" : "off");
	if (!m->draft->mysql.ssl)
		return;
	add(m, "verify", m->draft->mysql.ssl_verify ? "on" : "off");
	add(m, "ca", m->draft->mysql.trusted_certificate);
	add(m, "cert", m->draft->mysql.certificate);
	add(m, "key", m->draft->mysql.key);
	if (m->draft->mysql.certificate != NULL)
		need(m, "auth_mysql_ssl_certificate_key", m->draft->mysql.key);
}

static void
make_mysql(struct making *m)
{
	const struct conf_name *name = m->link->name;
	char text[ADDR_TEXT];

	need(m, "auth_mysql_user", m->draft->mysql.user);
	need(m, "auth_mysql_database", m->draft->mysql.database);
	need(m, "auth_mysql_query", m->draft->mysql.query);
	if (name->host == NULL && name->found[0].addr.family == AF_UNIX) {
		add(m, "socket", name->found[0].path);
	} else {
		add(m, "host", name->host != NULL ? name->host : addr_format(text, &name->found[0].addr));
		add_number(m, "port", name->port);
	}
	add(m, "user", m->draft->mysql.user);
	add(m, "database", m->draft->mysql.database);
	add_query(m, m->draft->mysql.query);
	add_mysql_tls(m);
	m->source->path = m->draft->mysql.password_file;
}

/* Helpers read these, by a library that says little. */
static int
judge_mysql(struct making *m)
{
	const struct conf_place *place = &m->source->place;
	const char *ca = m->draft->mysql.trusted_certificate, *certificate = m->draft->mysql.certificate;
	const char *key = m->draft->mysql.key;

	if (!m->draft->mysql.ssl)
		return 0;
	if (ca != NULL && conf_secret_check(place, ca, false) == -1)
		return -1;
	if (certificate != NULL && conf_secret_check(place, certificate, false) == -1)
		return -1;
	return key != NULL ? conf_secret_check(place, key, true) : 0;
}

static void
make_pam(struct making *m)
{
	add(m, "service", m->source->label);
	add(m, "directory", m->draft->pam.directory);
	m->source->account = m->draft->pam.user;
}

/* Whoever is not root cannot become another, and who is has to find the account. */
static int
judge_pam(struct making *m)
{
	const struct conf_place *place = &m->source->place;
	const char *user = m->draft->pam.user, *directory = m->draft->pam.directory;
	struct stat st;

	if (geteuid() == 0 && getpwnam(user) == NULL) {
		conf_say(LOG_EMERG, place, "getpwnam(\"%s\") failed", user);
		return -1;
	}
	if (directory == NULL || (stat(directory, &st) == 0 && S_ISDIR(st.st_mode)))
		return 0;
	conf_say(LOG_EMERG, place, "\"%s\" is not a directory", directory);
	return -1;
}

static void
make_jwt(struct making *m)
{
	make_token(m, "email");
}

static void
make_passthrough(struct making *m)
{
	m->source->label = m->draft->server.proxy_pass->text;
}

/* A password file says all there is to say. */
static void
make_file(struct making *m)
{
	(void)m;
}

static const struct kind {
	bool has_helpers;
	void (*make)(struct making *m);
	int (*judge)(struct making *m);         /* looks at the files of a source that is new; NULL: they have none */
} kinds[SOURCE_KINDS] = {
	[SOURCE_HTTP] = { .make = make_http },
	[SOURCE_FILE] = { true, make_file, NULL },
	[SOURCE_MYSQL] = { true, make_mysql, judge_mysql },
	[SOURCE_PAM] = { true, make_pam, judge_pam },
	[SOURCE_JWT] = { true, make_jwt, NULL },
	[SOURCE_INTROSPECTION] = { false, make_introspection, judge_introspection },
	[SOURCE_PASSTHROUGH] = { .make = make_passthrough },
};

static void
make_key(struct making *m)
{
	struct conf_source *source = m->source;

	source->key = arena_printf(m->b->arena, "%s\n%u %" PRIu64 "\n%s\n%s\n%s\n%s%s",
	    conf_source_directive(source->kind), source->helpers, source->timeout, source->label,
	    source->path != NULL ? source->path : "", source->account != NULL ? source->account : "", m->settings,
	    source->https ? conf_tls_https_key(m->b, &m->draft->server) : "");
}

/* The source of the same settings that is there already; else this one joins them. */
static struct conf_source *
share(struct making *m)
{
	struct conf *conf = m->b->conf;

	for (size_t i = 0; i < conf->source_count; i++)
		if (strcmp(conf->sources[i]->key, m->source->key) == 0)
			return conf->sources[i];
	if (kinds[m->source->kind].judge != NULL && kinds[m->source->kind].judge(m) == -1)
		return NULL;
	for (struct conf_web **web = m->source->servers; web != NULL && *web != NULL; web++)
		conf_build_resolve(m->b, (*web)->name);
	m->source->index = (unsigned)conf->source_count++;
	arena_append(m->b->arena, &conf->sources, m->source);
	return m->source;
}

/* The source of this link, complete. NULL: something is wrong, and has been said. */
static struct conf_source *
make_source(struct conf_build *b, const struct draft_server *draft, const struct draft_link *link)
{
	struct conf_source *source = arena_dup(b->arena, link->auth.source, sizeof(*source));
	struct making m = { b, draft, link, source, "", false };
	const struct kind *kind = &kinds[source->kind];

	source->methods = conf_chain_methods(source->kind);
	if (kind->has_helpers) {
		source->helpers = draft->server.auth_helpers;
		source->timeout = draft->server.auth_timeout;
	}
	kind->make(&m);
	if (m.failed)
		return NULL;
	make_key(&m);
	if (kind->has_helpers && m.settings[0] != '\0')
		source->settings = m.settings;
	return share(&m);
}

/* Inherited links are still mail{}'s: the server gets its own. */
static int
complete_links(struct conf_build *b, struct draft_server *draft)
{
	struct conf_auth **chain = NULL;

	for (struct conf_auth **auth = draft->server.auth; *auth != NULL; auth++) {
		struct draft_link *own = arena_dup(b->arena, *auth, sizeof(*own));

		own->auth.source = make_source(b, draft, own);
		if (own->auth.source == NULL)
			return -1;
		arena_append(b->arena, &chain, &own->auth);
	}
	draft->server.auth = chain;
	return 0;
}

/* A zone is one, whoever names it, and so are its size and times. */
static int
complete_cache(struct conf_build *b, struct server *server)
{
	struct conf *conf = b->conf;
	struct conf_cache *cache = server->auth_cache;

	for (size_t i = 0; cache != NULL && i < conf->cache_count; i++) {
		struct conf_cache *other = conf->caches[i];

		if (strcmp(other->zone, cache->zone) != 0)
			continue;
		server->auth_cache = other;
		if (other->bytes == cache->bytes && other->ttl == cache->ttl && other->negative == cache->negative)
			return 0;
		conf_say(LOG_EMERG, &cache->place, "\"auth_cache\" zone \"%s\" has another size, ttl or negative than "
		    "before", cache->zone);
		return -1;
	}
	if (cache != NULL) {
		arena_append(b->arena, &conf->caches, cache);
		conf->cache_count++;
	}
	return 0;
}

static int
complete_master(struct conf_build *b, struct server *server)
{
	struct draft_master *master = ((struct draft_server *)server)->master;

	if (master == NULL)
		return 0;
	if (master->pass == NULL)
		master->pass = conf_secret_read(b->arena, &master->place, master->path);
	server->master_user = master->user;
	server->master_pass = master->pass;
	server->master_always = master->always;
	return master->pass == NULL ? -1 : 0;
}

int
conf_sources_complete(struct conf_build *b, struct server *server)
{
	if (complete_master(b, server) == -1 || conf_chain_check(server) == -1)
		return -1;
	return complete_links(b, (struct draft_server *)server) == -1 ? -1 : complete_cache(b, server);
}
