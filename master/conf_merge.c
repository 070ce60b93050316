#include "master/conf_merge.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "common/must.h"
#include "master/conf_build.h"
#include "master/conf_limits.h"
#include "master/conf_say.h"
#include "master/conf_sources.h"
#include "master/conf_table.h"
#include "master/conf_tls.h"
#include "master/conf_type.h"

#define WORDS_MAX 16

static void *
field_of(void *target, const struct directive *d)
{
	return (char *)target + d->offset;
}

static bool
has_field(const struct directive *d, unsigned blocks)
{
	return (d->blocks & blocks) != 0 && d->type != NULL && d->type->size > 0;
}

/* Has this field been set? Directives that exclude each other share one. */
static bool
is_seen(const struct conf_place *seen, const struct directive *d, unsigned blocks)
{
	for (const struct directive *other = directives; other->name != NULL; other++)
		if (seen[conf_table_index(other)].line != 0 && has_field(other, blocks) && other->offset == d->offset)
			return true;
	return false;
}

/* Sets the default. Only a list's is more than one word. */
static void
set_fallback(struct conf_build *b, const struct directive *d, void *target)
{
	char *text = arena_strdup(b->arena, d->fallback), *rest = text;
	const char *words[WORDS_MAX] = { text };
	size_t count = text[0] != '\0';

	if (d->type->repeats)
		for (count = 0; count < WORDS_MAX && (words[count] = strtok_r(rest, " ", &rest)) != NULL; count++)
			continue;
	MUST(d->type->set(b, d, field_of(target, d), count, words) == NULL);
}

static void
set_fallbacks(struct conf_build *b, void *target, unsigned blocks, const struct conf_place *seen)
{
	for (const struct directive *d = directives; d->name != NULL; d++)
		if (has_field(d, blocks) && d->fallback != NULL && !is_seen(seen, d, blocks))
			set_fallback(b, d, target);
}

static void
inherit(struct server *server, const struct server *mail, const struct conf_place *seen)
{
	for (const struct directive *d = directives; d->name != NULL; d++)
		if (has_field(d, IN_SERVER) && (d->blocks & IN_MAIL) != 0 && !is_seen(seen, d, IN_SERVER))
			memcpy((char *)server + d->offset, (const char *)mail + d->offset, d->type->size);
}

/* The log of the process goes to some file, or stderr, in any case. */
static void
complete_log(struct conf_build *b)
{
	const char *path = b->request->error_log;
	struct log_target *target;

	for (target = b->conf->log->targets; target != NULL; target = target->next)
		if (target->kind != LOG_TO_SYSLOG)
			return;
	target = arena_alloc(b->arena, sizeof(*target));
	*target = (struct log_target){ .kind = LOG_TO_STDERR, .level = LOG_ERROR, .fd = STDERR_FILENO };
	if (path == NULL || strcmp(path, "stderr") != 0) {
		target->kind = LOG_TO_FILE;
		target->fd = -1;
		target->file = conf_build_file(b, conf_build_path(b, b->request->prefix,
		    path != NULL ? path : POSTERN_ERROR_LOG_PATH), path == NULL);
	}
	log_add(b->conf->log, target);
}

static int
find_account(struct conf *conf)
{
	const struct conf_place *place = &conf->draft->user;
	const struct passwd *account = getpwnam(conf->user);
	const struct group *group = NULL;

	if (account == NULL) {
		conf_say(LOG_EMERG, place, "getpwnam(\"%s\") failed", conf->user);
		return -1;
	}
	conf->uid = account->pw_uid;
	conf->gid = account->pw_gid;
	if (conf->group == NULL)
		return 0;
	if ((group = getgrnam(conf->group)) == NULL) {
		conf_say(LOG_EMERG, place, "getgrnam(\"%s\") failed", conf->group);
		return -1;
	}
	conf->gid = group->gr_gid;
	return 0;
}

/* Only root can become somebody; the workers of anybody else stay what they are. */
static int
complete_user(struct conf *conf)
{
	bool given = conf->draft->user.line != 0;

	if (geteuid() != 0) {
		if (given)
			conf_say(LOG_WARN, &conf->draft->user, "the \"user\" directive makes sense only if the master "
			    "process runs with super-user privileges, ignored");
		conf->user = conf->group = NULL;
		conf->uid = geteuid();
		conf->gid = getegid();
		return 0;
	}
	if (!given) {
		conf->user = POSTERN_USER;
		conf->group = POSTERN_GROUP[0] != '\0' ? POSTERN_GROUP : NULL;
	}
	return find_account(conf);
}

/* Time zones are the one thing of the environment that everybody needs. */
static void
complete_environment(struct conf_build *b)
{
	const struct directive *d = conf_table_find("env", IN_MAIN);
	const char *const time_zone[] = { "TZ" };

	MUST(d->type->set(b, d, field_of(b->conf, d), 1, time_zone) == NULL);
	if (b->conf->environment == NULL)
		b->conf->environment = arena_alloc(b->arena, sizeof(*b->conf->environment));
}

/* The first port of the first listen that is some protocol's. */
static enum protocol
derive_protocol(const struct conf_draft *draft, const struct server *server)
{
	for (struct draft_listen **l = draft->listens; l != NULL && *l != NULL; l++) {
		if ((*l)->server != server)
			continue;
		for (unsigned port = (*l)->name->port; port <= (*l)->last_port; port++)
			if (protocol_by_port(port) != PROTOCOL_UNKNOWN)
				return protocol_by_port(port);
	}
	return PROTOCOL_UNKNOWN;
}

/* An address that names no port means the protocol's, that for TLS where it is the first thing. */
static void
complete_proxy_pass(struct conf_build *b, struct server *server)
{
	struct conf_name *name = server->proxy_pass;

	if (name == NULL)
		return;
	server->proxy_pass = conf_build_port(b, name, server->proxy_ssl == PROXY_SSL_ON ?
	    protocol_tls_port(server->protocol) : protocol_port(server->protocol));
	conf_build_resolve(b, server->proxy_pass);
}

/* What the server calls itself: its first name that is one, or else what all its names end in. */
static void
complete_name(struct server *server)
{
	server->name = server->names[0] + 2;
	for (const char **name = server->names; *name != NULL; name++) {
		if ((*name)[0] != '*') {
			server->name = *name;
			return;
		}
	}
}

/* "auth_passthrough off" is no link, and takes none of the mail block's away but its like. */
static struct conf_auth **
inherit_chain(struct conf_build *b, struct conf_auth **mail)
{
	struct conf_auth **chain = NULL;

	for (; mail != NULL && *mail != NULL; mail++)
		if ((*mail)->source->kind != SOURCE_PASSTHROUGH)
			arena_append(b->arena, &chain, *mail);
	return chain;
}

static int
complete_server(struct conf_build *b, struct server *server)
{
	inherit(server, &b->draft->mail->server, b->draft->server_seen[server->index]);
	complete_name(server);
	if (server->protocol == PROTOCOL_UNKNOWN)
		server->protocol = derive_protocol(b->draft, server);
	if (server->protocol == PROTOCOL_UNKNOWN) {
		conf_say(LOG_EMERG, &server->place, "unknown mail protocol for server");
		return -1;
	}
	if (server->auth == NULL)
		server->auth = inherit_chain(b, b->draft->mail->server.auth);
	if (conf_sources_complete(b, server) == -1)
		return -1;
	if (conf_tls_complete(b, server) == -1)
		return -1;
	complete_proxy_pass(b, server);
	return conf_limits_complete(b, server);
}

int
conf_merge(struct conf_build *b)
{
	struct conf *conf = b->conf;
	struct conf_draft *draft = b->draft;
	const struct conf_place nowhere = { 0 };

	if (!draft->has_events) {
		conf_say(LOG_EMERG, &nowhere, "no \"events\" section in configuration");
		return -1;
	}
	set_fallbacks(b, conf, IN_MAIN | IN_EVENTS, draft->main_seen);
	if (complete_user(conf) == -1)
		return -1;
	complete_log(b);
	complete_environment(b);
	set_fallbacks(b, draft->mail, IN_MAIL, draft->mail_seen);
	if (draft->mail->server.log == NULL)
		draft->mail->server.log = conf->log;
	if (conf_limits_complete(b, &draft->mail->server) == -1)
		return -1;
	for (size_t i = 0; i < conf->server_count; i++)
		if (complete_server(b, conf->servers[i]) == -1)
			return -1;
	return 0;
}
