#include "master/conf_chain.h"

#include <string.h>

#include "common/mem.h"
#include "master/conf_say.h"
#include "master/conf_type.h"

unsigned
conf_chain_methods(enum source_kind kind)
{
	static const unsigned methods[SOURCE_KINDS] = {
		[SOURCE_HTTP] = METHODS_PASSWORD | METHODS_CHALLENGE | METHODS_TOKEN | METHOD_EXTERNAL | METHOD_NONE,
		[SOURCE_FILE] = METHODS_PASSWORD | METHODS_CHALLENGE,
		[SOURCE_MYSQL] = METHODS_PASSWORD | METHODS_CHALLENGE,
		[SOURCE_PAM] = METHODS_PASSWORD,
		[SOURCE_JWT] = METHODS_TOKEN,
		[SOURCE_INTROSPECTION] = METHODS_TOKEN,
		[SOURCE_PASSTHROUGH] = METHODS_PASSWORD | METHODS_TOKEN,
	};

	return methods[kind];
}

/*
 * The backend decides by what it is shown. Were that not what the client has shown, it
 * would let in everybody. NULL: it is.
 */
static const char *
hides_password(const struct server *server)
{
	if (server->proxy_auth == PROXY_AUTH_EXTERNAL)
		return "proxy_auth external";
	if (server->proxy_auth == PROXY_AUTH_NONE)
		return "proxy_auth none";
	if (server->master_always)
		return "proxy_master_user ... always";
	if (server->protocol == PROTOCOL_SMTP && server->proxy_auth == PROXY_AUTH_AUTO && !server->proxy_smtp_auth)
		return "proxy_smtp_auth off";
	return NULL;
}

static int
check_passthrough(const struct server *server, const struct conf_source *source, bool is_last)
{
	const char *hider = hides_password(server);

	if (!is_last)
		conf_say(LOG_EMERG, &source->place, "\"auth_passthrough\" is not the last source: nobody behind it "
		    "would be asked");
	else if (server->proxy_pass == NULL)
		conf_say(LOG_EMERG, &source->place, "no \"proxy_pass\" is defined for \"auth_passthrough\"");
	else if (hider != NULL)
		conf_say(LOG_EMERG, &source->place, "\"auth_passthrough\" lets the backend judge the client's "
		    "password, which \"%s\" does not show it", hider);
	else
		return 0;
	return -1;
}

static int
check_order(const struct server *server)
{
	for (struct conf_auth **auth = server->auth; *auth != NULL; auth++)
		if ((*auth)->source->kind == SOURCE_PASSTHROUGH &&
		    check_passthrough(server, (*auth)->source, auth[1] == NULL) == -1)
			return -1;
	return 0;
}

/* `"auth_file" or "auth_pam"`: the kinds in the set `kinds`; fresh. */
static char *
name_kinds(unsigned kinds)
{
	char *text = mem_strdup("");

	for (unsigned kind = 0; kind < SOURCE_KINDS; kind++) {
		char *longer;

		if ((kinds >> kind & 1) == 0)
			continue;
		longer = mem_printf("%s%s\"%s\"", text, text[0] != '\0' ? " or " : "",
		    conf_source_directive((enum source_kind)kind));
		mem_free(text);
		text = longer;
	}
	return text;
}

static void
refuse_method(const struct server *server, const struct conf_word *method, unsigned kinds)
{
	unsigned able = 0;
	char *who = name_kinds(kinds), *others;

	for (unsigned kind = 0; kind < SOURCE_KINDS; kind++)
		if ((conf_chain_methods((enum source_kind)kind) & method->value) != 0)
			able |= 1u << kind;
	others = name_kinds(able);
	conf_say(LOG_EMERG, &server->place, "\"%s_auth %s\" cannot be served by %s: leave it out, or add %s",
	    protocol_name(server->protocol), method->text, who, others);
	mem_free(who);
	mem_free(others);
}

/* Who asks about recipients names no user. If nobody can be asked, all are refused, and for good: mail would bounce. */
static int
check_recipients(const struct server *server)
{
	const struct conf_source *source = server->auth[0]->source;

	for (struct conf_auth **auth = server->auth; *auth != NULL; auth++) {
		if ((conf_chain_methods((*auth)->source->kind) & METHOD_NONE) == 0)
			continue;
		if ((*auth)->users == NULL)
			return 0;
		source = (*auth)->source;
	}
	if ((conf_chain_methods(source->kind) & METHOD_NONE) != 0)
		conf_say(LOG_EMERG, &source->place, "\"smtp_auth none\" needs an \"auth_http\" without \"match=\": "
		    "recipients are no users");
	else
		conf_say(LOG_EMERG, &server->place, "\"smtp_auth none\" needs \"auth_http\": an \"%s\" knows no "
		    "recipients", conf_source_directive(source->kind));
	return -1;
}

static int
check_methods(const struct server *server)
{
	const unsigned methods = server->protocols[server->protocol].methods;
	unsigned served = 0, kinds = 0;

	if ((methods & METHOD_NONE) != 0 && check_recipients(server) == -1)
		return -1;
	for (struct conf_auth **auth = server->auth; *auth != NULL; auth++) {
		served |= conf_chain_methods((*auth)->source->kind);
		kinds |= 1u << (*auth)->source->kind;
	}
	for (const struct conf_word *method = words_methods; method->text != NULL; method++) {
		if ((methods & ~served & method->value) != 0) {
			refuse_method(server, method, kinds);
			return -1;
		}
	}
	return 0;
}

int
conf_chain_check(const struct server *server)
{
	if (server->auth == NULL) {
		conf_say(LOG_EMERG, &server->place, "no \"auth_http\" is defined for server");
		return -1;
	}
	return check_order(server) == -1 ? -1 : check_methods(server);
}

/* Whose words leave nobody who serves the method; NULL: somebody does, or never was to. */
static const struct conf_source *
find_unable(const struct server *server, unsigned method, const unsigned *said)
{
	const struct conf_source *unable = NULL;

	for (struct conf_auth **auth = server->auth; *auth != NULL; auth++) {
		const struct conf_source *source = (*auth)->source;

		if ((source->methods & method) == 0)
			continue;
		if (said[source->index] == 0 || (said[source->index] & method) != 0)
			return NULL;
		unable = source;
	}
	return unable;
}

static int
confirm(const struct server *server, const unsigned *said)
{
	unsigned challenges = server->protocols[server->protocol].methods & METHODS_CHALLENGE;

	for (const struct conf_word *method = words_methods; method->text != NULL; method++) {
		const struct conf_source *source = NULL;

		if ((challenges & method->value) != 0)
			source = find_unable(server, method->value, said);
		if (source == NULL)
			continue;
		conf_say(LOG_EMERG, &server->place,
		    "\"%s_auth %s\" cannot be served by \"%s\" \"%s\", which holds only "
		    "hashes of passwords: leave it out, or store passwords as {PLAIN}",
		    protocol_name(server->protocol), method->text, conf_source_directive(source->kind), source->label);
		return -1;
	}
	return 0;
}

int
conf_chain_confirm(const struct conf *conf, const unsigned *said)
{
	for (size_t i = 0; i < conf->server_count; i++)
		if (confirm(conf->servers[i], said) == -1)
			return -1;
	return 0;
}
