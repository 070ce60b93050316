#include "master/conf_check.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/addrset.h"
#include "common/mem.h"
#include "common/must.h"
#include "master/conf_binds.h"
#include "master/conf_build.h"
#include "master/conf_listens.h"
#include "master/conf_networks.h"
#include "master/conf_say.h"
#include "master/conf_secret.h"

static const struct conf_place nowhere;

static void
warn_of_affinity(const struct conf *conf)
{
	if (conf->affinity == AFFINITY_MASKS && conf->affinity_count != 1 &&
	    conf->affinity_count != conf->worker_processes)
		conf_say(LOG_WARN, &conf->draft->affinity, "the number of \"worker_processes\" is not equal to "
		    "the number of \"worker_cpu_affinity\" masks, using last mask for remaining worker processes");
}

static int
check_connections(const struct conf *conf)
{
	struct rlimit limit;
	size_t sockets = 0;

	for (size_t i = 0; i < conf->listen_count; i++)
		sockets += conf->listens[i]->wildcard == NULL;
	if (conf->worker_connections <= sockets) {
		conf_say(LOG_EMERG, &nowhere, "%u worker_connections are not enough for %zu listening sockets",
		    conf->worker_connections, sockets);
		return -1;
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && conf->worker_connections > limit.rlim_cur &&
	    (conf->rlimit_nofile == -1 || conf->worker_connections > conf->rlimit_nofile))
		conf_say(LOG_WARN, &nowhere, "%u worker_connections exceed open file resource limit: %llu",
		    conf->worker_connections, (unsigned long long)limit.rlim_cur);
	return 0;
}

/* Who resolved the names has said what it did not find; nothing goes on without it. */
static int
check_names(const struct conf *conf)
{
	int result = 0;

	for (size_t i = 0; i < conf->name_count; i++) {
		if (conf->names[i]->found_count > 0)
			continue;
		conf_say_name(conf->names[i], "host not found");
		result = -1;
	}
	return result;
}

static void
place_syslogs(struct conf_draft *draft)
{
	for (struct draft_syslog **s = draft->syslogs; s != NULL && *s != NULL; s++)
		(*s)->target->server = (*s)->name->found[0];
}

/* What a helper is going to read must be there; but for public keys it should be nobody else's to read. */
static int
check_source(const struct conf_source *source)
{
	return source->path == NULL ? 0 : conf_secret_check(&source->place, source->path, source->kind != SOURCE_JWT);
}

static bool
is_local(const struct conf_listen *l)
{
	static const unsigned char loopback6[16] = { [15] = 1 };
	const struct addr *a = &l->at.addr;

	if (a->family == AF_INET6)
		return memcmp(a->ip, loopback6, sizeof(loopback6)) == 0;
	return a->family != AF_INET || a->ip[0] == 127;
}

/* Is there any way to log in at all? */
static bool
takes_passwords(const struct server *server)
{
	return (server->protocols[server->protocol].methods & ~(unsigned)METHOD_NONE) != 0;
}

static void
warn_of_clear_text(const struct conf *conf)
{
	for (size_t i = 0; i < conf->listen_count; i++) {
		const struct conf_listen *l = conf->listens[i];

		if (l->ssl || l->server->starttls == STARTTLS_ONLY)
			continue;
		if (!is_local(l) && takes_passwords(l->server))
			conf_say(LOG_WARN, &l->place, "clients log in without encryption on %s", l->text);
	}
}

/* A token of the same keys that some other service was given would do. */
static void
warn_of_tokens(const struct conf *conf)
{
	for (size_t i = 0; i < conf->source_count; i++)
		if (conf->sources[i]->kind == SOURCE_JWT && conf->sources[i]->token->audiences == NULL)
			conf_say(LOG_WARN, &conf->sources[i]->place, "\"auth_jwt\" takes tokens made for anybody: no "
			    "\"auth_token_audience\" is defined");
}

int
conf_check(struct conf *conf, const struct conf_request *request)
{
	if (check_names(conf) == -1)
		return -1;
	for (size_t i = 0; i < conf->source_count; i++)
		if (check_source(conf->sources[i]) == -1)
			return -1;
	if (conf_listens_expand(conf) == -1 || check_connections(conf) == -1)
		return -1;
	place_syslogs(conf->draft);
	conf_networks_build(conf);
	conf_binds_check(conf);
	warn_of_affinity(conf);
	if (!conf->draft->has_mail)
		conf_say(LOG_WARN, &nowhere, "no \"mail\" section in configuration, nothing is served");
	if (request->test) {
		warn_of_clear_text(conf);
		warn_of_tokens(conf);
	}
	return 0;
}
