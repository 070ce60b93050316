#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "common/num.h"
#include "common/sqlquery.h"
#include "master/conf_build.h"
#include "master/conf_parameter.h"
#include "master/conf_print.h"
#include "master/conf_say.h"
#include "master/conf_table.h"
#include "master/conf_type.h"

#define MYSQL_PORT 3306
#define ZONE_PAGES 8            /* of an auth_cache, at least */
#define ZONE_MAX ((uint64_t)1 << 30)
#define CACHE_TTL_MS 60000

/* Of several auth_http in a block the last one counts. */
static void
forget_http(struct conf_auth **chain)
{
	struct conf_auth **kept = chain;

	for (; chain != NULL && *chain != NULL; chain++)
		if ((*chain)->source->kind != SOURCE_HTTP)
			*kept++ = *chain;
	if (kept != NULL)
		*kept = NULL;
}

/* A new link at the end of the chain. */
static struct draft_link *
new_link(struct conf_build *b, void *field, enum source_kind kind)
{
	struct draft_link *link = arena_alloc(b->arena, sizeof(*link));
	struct conf_source *source = arena_alloc(b->arena, sizeof(*source));

	if (kind == SOURCE_HTTP)
		forget_http(*(struct conf_auth ***)field);
	*source = (struct conf_source){ .kind = kind, .place = b->place, .mailbox = -1 };
	link->auth.source = source;
	arena_append(b->arena, field, &link->auth);
	return link;
}

static const char *
invalid(struct conf_build *b, const char *what, const char *text)
{
	conf_say(LOG_EMERG, &b->place, "invalid %s \"%s\"", what, text);
	return CONF_SAID;
}

/* "match=PATTERN", of which a line may have several. */
static const char *
read_match(struct conf_build *b, struct draft_link *link, const char *word)
{
	const char *pattern = word + strcspn(word, "=") + 1;

	if (strncmp(word, "match=", 6) != 0)
		return invalid(b, "parameter", word);
	if (pattern[0] == '\0' || conf_breaks_lines(pattern))
		return invalid(b, "pattern", word);
	arena_append(b->arena, &link->auth.users, arena_strdup(b->arena, pattern));
	arena_append(b->arena, &link->words, arena_strdup(b->arena, word));
	return NULL;
}

/* A line of one thing, `shown`, and the parameters behind argv[0]. */
static const char *
read_line(struct conf_build *b, struct draft_link *link, const char *shown, size_t argc, const char *const *argv)
{
	const char *why = NULL;

	link->auth.source->label = shown;
	arena_append(b->arena, &link->words, shown);
	for (size_t i = 1; i < argc && why == NULL; i++)
		why = read_match(b, link, argv[i]);
	return why;
}

/* Blanks and control characters would break the request line. */
static bool
is_uri(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text <= ' ' || *text == 0x7f)
			return false;
	return true;
}

/* "host:port" in front of `/uri` or `?args`, or "unix:PATH" in front of `:/uri`. Its length. */
static size_t
address_len(const char *url)
{
	if (strncmp(url, "unix:", 5) == 0)
		return 5 + strcspn(url + 5, ":");
	return strcspn(url, "/?");
}

/* What the Host header says: the host as written, without the port. */
static const char *
host_header(struct conf_build *b, const char *address)
{
	const char *end = address[0] == '[' ? strchr(address, ']') : NULL;

	if (strncmp(address, "unix:", 5) == 0)
		return "localhost";
	return arena_printf(b->arena, "%.*s", (int)(end != NULL ? (size_t)(end + 1 - address) : strcspn(address, ":")),
	    address);
}

/* Reads what stands behind the scheme. */
static const char *
read_address(struct conf_build *b, const struct directive *d, struct draft_link *link, const char *text)
{
	struct draft_url *url = arena_alloc(b->arena, sizeof(*url));
	const char *uri = text + address_len(text);
	const char *address = arena_printf(b->arena, "%.*s", (int)(uri - text), text);

	url->name = conf_build_name(b, d->name, text, address, 0);
	if (url->name == NULL)
		return CONF_SAID;
	url->is_unix = strncmp(text, "unix:", 5) == 0;
	uri += url->is_unix && *uri == ':';
	url->uri = arena_printf(b->arena, "%s%s", *uri == '/' ? "" : "/", uri);
	url->host = host_header(b, address);
	url->label = arena_printf(b->arena, "%s%s", link->auth.source->https ? "https://" : "", text);
	arena_append(b->arena, &link->urls, url);
	return NULL;
}

static const char *
read_url(struct conf_build *b, const struct directive *d, struct draft_link *link, const char *word)
{
	struct conf_source *source = link->auth.source;
	bool https = strncmp(word, "https://", 8) == 0;
	const char *text = word;

	if (https || strncmp(word, "http://", 7) == 0)
		text = strstr(word, "//") + 2;
	if (https && strncmp(text, "unix:", 5) == 0)
		return "knows no \"https://\" on UNIX sockets";
	if (!is_uri(text))
		return "value holds a blank or a control character";
	if (link->urls != NULL && source->https != https)
		return "has servers with and without \"https://\"";
	source->https = https;
	arena_append(b->arena, &link->words, arena_strdup(b->arena, word));
	return read_address(b, d, link, text);
}

static const char *
set_urls(struct conf_build *b, const struct directive *d, struct draft_link *link, size_t argc, const char *const *argv)
{
	const char *why = NULL;

	for (size_t i = 0; i < argc && why == NULL; i++)
		why = strncmp(argv[i], "match=", 6) == 0 ? read_match(b, link, argv[i]) : read_url(b, d, link, argv[i]);
	return why != NULL || link->urls != NULL ? why : "has no URL";
}

static const char *
set_http(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	return set_urls(b, d, new_link(b, field, SOURCE_HTTP), argc, argv);
}

static const char *
set_introspection(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	return set_urls(b, d, new_link(b, field, SOURCE_INTROSPECTION), argc, argv);
}

/* A source whose helpers are fed a file. */
static const char *
set_fed(struct conf_build *b, void *field, enum source_kind kind, size_t argc, const char *const *argv)
{
	struct draft_link *link = new_link(b, field, kind);

	if (argv[0][0] == '\0')
		return "value must not be empty";
	link->auth.source->path = conf_build_path(b, b->folder, argv[0]);
	return read_line(b, link, link->auth.source->path, argc, argv);
}

static const char *
set_users(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	(void)d;
	return set_fed(b, field, SOURCE_FILE, argc, argv);
}

static const char *
set_jwt(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	(void)d;
	return set_fed(b, field, SOURCE_JWT, argc, argv);
}

static const char *
set_mysql(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	struct draft_link *link = new_link(b, field, SOURCE_MYSQL);

	if (conf_breaks_lines(argv[0]))
		return "value holds a control character";
	if ((link->name = conf_build_name(b, d->name, argv[0], argv[0], MYSQL_PORT)) == NULL)
		return CONF_SAID;
	return read_line(b, link, link->name->text, argc, argv);
}

/* The service is a file in PAM's directory. */
static const char *
set_pam(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	struct draft_link *link = new_link(b, field, SOURCE_PAM);

	(void)d;
	if (argv[0][0] == '\0' || argv[0][0] == '.' || strchr(argv[0], '/') != NULL || conf_breaks_lines(argv[0]))
		return invalid(b, "service", argv[0]);
	return read_line(b, link, arena_strdup(b->arena, argv[0]), argc, argv);
}

/* "off" is no link. */
static const char *
set_passthrough(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	bool on = false;
	const char *why = type_flag.set(b, d, &on, argc, argv);

	if (why != NULL || !on)
		return why;
	return read_line(b, new_link(b, field, SOURCE_PASSTHROUGH), "on", argc, argv);
}

/* The whole chain, since its order counts. */
static void
print_chain(const struct conf_printer *p, const struct directive *d, const void *field)
{
	(void)d;
	for (struct conf_auth **auth = *(struct conf_auth **const *)field; auth != NULL && *auth != NULL; auth++)
		conf_print_list(p, conf_source_directive((*auth)->source->kind), ((struct draft_link *)*auth)->words);
}

/* The row of auth_http has printed it. */
static void
print_nothing(const struct conf_printer *p, const struct directive *d, const void *field)
{
	(void)p, (void)d, (void)field;
}

const struct conf_type type_auth_http = { set_http, print_chain, sizeof(struct conf_auth **), true };
const struct conf_type type_auth_introspection = {
	set_introspection, print_nothing, sizeof(struct conf_auth **), true
};
const struct conf_type type_auth_file = { set_users, print_nothing, sizeof(struct conf_auth **), true };
const struct conf_type type_auth_mysql = { set_mysql, print_nothing, sizeof(struct conf_auth **), true };
const struct conf_type type_auth_pam = { set_pam, print_nothing, sizeof(struct conf_auth **), true };
const struct conf_type type_auth_jwt = { set_jwt, print_nothing, sizeof(struct conf_auth **), true };
const struct conf_type type_auth_passthrough = { set_passthrough, print_nothing, sizeof(struct conf_auth **), false };

/* Kept as it was written; helpers are told it on one line. */
static const char *
set_query(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	struct sqlquery query;
	const char *why = sqlquery_parse(&query, argv[0]);

	if (why != NULL) {
		conf_say(LOG_EMERG, &b->place, "invalid query in \"%s\": %s", d->name, why);
		return CONF_SAID;
	}
	sqlquery_reset(&query);
	return type_text.set(b, d, field, argc, argv);
}

static void
print_query(const struct conf_printer *p, const struct directive *d, const void *field)
{
	type_text.print(p, d, field);
}

const struct conf_type type_auth_query = { set_query, print_query, sizeof(const char *), false };

static const char *
set_names(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	for (size_t i = 0; i < argc; i++)
		if (argv[i][0] == '\0')
			return "value must not be empty";
	return type_words.set(b, d, field, argc, argv);
}

static void
print_names(const struct conf_printer *p, const struct directive *d, const void *field)
{
	type_words.print(p, d, field);
}

const struct conf_type type_auth_names = { set_names, print_names, sizeof(const char **), true };

/* A token lists its scopes between blanks. */
static const char *
set_scopes(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	for (size_t i = 0; i < argc; i++)
		if (strchr(argv[i], ' ') != NULL)
			return "value holds a blank";
	return set_names(b, d, field, argc, argv);
}

const struct conf_type type_auth_scopes = { set_scopes, print_names, sizeof(const char **), true };

static const char *
set_zone(struct conf_build *b, void *target, const char *value)
{
	struct conf_cache *cache = target;
	size_t len = strcspn(value, ":");
	uint64_t bytes, least = (uint64_t)ZONE_PAGES * (uint64_t)sysconf(_SC_PAGESIZE);

	if (len == 0 || conf_breaks_lines(value))
		return "invalid name of a zone";
	if (value[len] == '\0' || num_parse_size(value + len + 1, ZONE_MAX, &bytes) == -1)
		return "invalid size";
	if (bytes < least)
		return arena_printf(b->arena, "the zone is too small, at least %juk", (uintmax_t)least / 1024);
	cache->zone = arena_printf(b->arena, "%.*s", (int)len, value);
	cache->bytes = (size_t)bytes;
	return NULL;
}

static const char *
set_ttl(struct conf_build *b, void *target, const char *value)
{
	struct conf_cache *cache = target;

	(void)b;
	if (num_parse_time(value, true, CONF_MAX_MSEC, &cache->ttl) == -1)
		return "invalid time";
	return cache->ttl == 0 ? "value must not be zero" : NULL;
}

static const char *
set_negative(struct conf_build *b, void *target, const char *value)
{
	(void)b;
	return num_parse_time(value, true, CONF_MAX_MSEC, &((struct conf_cache *)target)->negative) == -1 ?
	    "invalid time" : NULL;
}

static const struct conf_parameter cache_parameters[] = {
	{ "zone=", set_zone }, { "ttl=", set_ttl }, { "negative=", set_negative }, { .name = NULL }
};

static const char *
set_cache(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	struct conf_cache *cache = arena_alloc(b->arena, sizeof(*cache));

	(void)d;
	if (argc == 1 && strcmp(argv[0], "off") == 0)
		return NULL;
	*cache = (struct conf_cache){ .ttl = CACHE_TTL_MS, .place = b->place };
	if (conf_parameters_read(b, cache_parameters, cache, argc, argv) == -1)
		return CONF_SAID;
	if (cache->zone == NULL)
		return "has no \"zone=\"";
	*(struct conf_cache **)field = cache;
	return NULL;
}

static void
print_cache(const struct conf_printer *p, const struct directive *d, const void *field)
{
	const struct conf_cache *cache = *(struct conf_cache *const *)field;
	struct arena *arena;

	if (cache == NULL) {
		conf_print(p, d->name, "off", NULL);
		return;
	}
	arena = arena_new();
	conf_print(p, d->name, arena_printf(arena, "zone=%s:%zu", cache->zone, cache->bytes),
	    arena_printf(arena, "ttl=%" PRIu64 "ms", cache->ttl),
	    arena_printf(arena, "negative=%" PRIu64 "ms", cache->negative), NULL);
	arena_free(&arena);
}

const struct conf_type type_auth_cache = { set_cache, print_cache, sizeof(struct conf_cache *), false };
