#include <openssl/ssl.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/num.h"
#include "master/conf_build.h"
#include "master/conf_print.h"
#include "master/conf_say.h"
#include "master/conf_table.h"
#include "master/conf_type.h"

#define ZONE_PAGES 8            /* of a shared session cache, at least */
#define ZONE_MAX ((uint64_t)1 << 30)
#define BUILTIN_MAX 1000000000

/* A file, as all of TLS from the folder of the main one; the empty name takes back an outer one. */
static const char *
set_file(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	(void)d, (void)argc;
	*(const char **)field = argv[0][0] == '\0' ? NULL : conf_build_path(b, b->folder, argv[0]);
	return NULL;
}

static void
print_file(const struct conf_printer *p, const struct directive *d, const void *field)
{
	type_text.print(p, d, field);
}

const struct conf_type type_file = { set_file, print_file, sizeof(const char *), false };

static const char *
set_files(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	(void)d, (void)argc;
	if (argv[0][0] == '\0')
		return "value must not be empty";
	arena_append(b->arena, field, conf_build_path(b, b->folder, argv[0]));
	return NULL;
}

static void
print_files(const struct conf_printer *p, const struct directive *d, const void *field)
{
	for (const char *const *path = *(const char *const *const *)field; path != NULL && *path != NULL; path++)
		conf_print(p, d->name, *path, NULL);
}

const struct conf_type type_files = { set_files, print_files, sizeof(const char **), true };

/* A key may also be in a store of some provider of OpenSSL, "store:" and its URI. */
static const char *
set_keys(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	if (strncmp(argv[0], "engine:", 7) == 0)
		return "knows no \"engine:\": name a provider's key by \"store:\"";
	if (strncmp(argv[0], "store:", 6) != 0)
		return set_files(b, d, field, argc, argv);
	arena_append(b->arena, field, arena_strdup(b->arena, argv[0]));
	return NULL;
}

const struct conf_type type_keys = { set_keys, print_files, sizeof(const char **), true };

static const char *
set_commands(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	struct conf_pair *pair = arena_alloc(b->arena, sizeof(*pair));

	(void)d, (void)argc;
	pair->name = arena_strdup(b->arena, argv[0]);
	pair->value = arena_strdup(b->arena, argv[1]);
	arena_append(b->arena, field, pair);
	return NULL;
}

static void
print_commands(const struct conf_printer *p, const struct directive *d, const void *field)
{
	for (struct conf_pair **pair = *(struct conf_pair **const *)field; pair != NULL && *pair != NULL; pair++)
		conf_print(p, d->name, (*pair)->name, (*pair)->value, NULL);
}

const struct conf_type type_commands = { set_commands, print_commands, sizeof(struct conf_pair **), true };

/* Of a peer there is nothing between on and off. */
static const char *
set_peer_verify(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	bool on = true;
	const char *why = type_flag.set(b, d, &on, argc, argv);

	*(enum ssl_verify *)field = on ? SSL_VERIFY_ON : SSL_VERIFY_OFF;
	return why;
}

static void
print_peer_verify(const struct conf_printer *p, const struct directive *d, const void *field)
{
	conf_print(p, d->name, *(const enum ssl_verify *)field == SSL_VERIFY_OFF ? "off" : "on", NULL);
}

const struct conf_type type_peer_verify = { set_peer_verify, print_peer_verify, sizeof(enum ssl_verify), false };

/* Whoever asks for what the library cannot do is told, and does not wonder later. */
static const char *
set_compression(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	const char *why = type_flag.set(b, d, field, argc, argv);

#ifndef SSL_OP_NO_TX_CERTIFICATE_COMPRESSION
	if (why == NULL && *(const bool *)field)
		return "cannot be on: this OpenSSL does not compress certificates";
#endif
	return why;
}

static void
print_compression(const struct conf_printer *p, const struct directive *d, const void *field)
{
	type_flag.print(p, d, field);
}

const struct conf_type type_compression = { set_compression, print_compression, sizeof(bool), false };

/* A zone is one, whoever names it, and so its size is one. */
static bool
declare_zone(struct conf_build *b, const char *name, size_t bytes)
{
	struct draft_zone **zones = b->draft->zones, *zone;

	for (; zones != NULL && *zones != NULL; zones++) {
		if (strcmp((*zones)->name, name) != 0)
			continue;
		if ((*zones)->bytes != bytes)
			conf_say(LOG_EMERG, &b->place, "the size %zu of shared memory zone \"%s\" conflicts with "
			    "already declared size %zu", bytes, name, (*zones)->bytes);
		return (*zones)->bytes == bytes;
	}
	zone = arena_alloc(b->arena, sizeof(*zone));
	*zone = (struct draft_zone){ name, bytes };
	arena_append(b->arena, &b->draft->zones, zone);
	return true;
}

static bool
is_invalid_cache(const struct conf_build *b, const char *word)
{
	conf_say(LOG_EMERG, &b->place, "invalid session cache \"%s\"", word);
	return false;
}

/* "shared:NAME:SIZE"; false when it is none, and that has been said. */
static bool
read_shared(struct conf_build *b, struct conf_tls *tls, const char *word)
{
	const char *name = strchr(word, ':') + 1;
	size_t len = strcspn(name, ":");
	uint64_t bytes;

	if (len == 0 || name[len] == '\0' || num_parse_size(name + len + 1, ZONE_MAX, &bytes) == -1)
		return is_invalid_cache(b, word);
	if (bytes < (uint64_t)ZONE_PAGES * (uint64_t)sysconf(_SC_PAGESIZE)) {
		conf_say(LOG_EMERG, &b->place, "session cache \"%s\" is too small", word);
		return false;
	}
	tls->cache_zone = arena_printf(b->arena, "%.*s", (int)len, name);
	tls->cache_bytes = (size_t)bytes;
	return declare_zone(b, tls->cache_zone, tls->cache_bytes);
}

static bool
read_builtin(struct conf_build *b, struct conf_tls *tls, const char *word)
{
	unsigned count;

	if (num_parse(strchr(word, ':') + 1, BUILTIN_MAX, &count) == -1 || count == 0)
		return is_invalid_cache(b, word);
	tls->cache_builtin = count;
	return true;
}

/* One word of ssl_session_cache; *kind is what it means. As read_shared(). */
static bool
read_cache(struct conf_build *b, struct conf_tls *tls, const char *word, enum ssl_cache *kind)
{
	static const struct conf_word alone[] = {
		{ "off", SSL_CACHE_OFF }, { "none", SSL_CACHE_NONE }, { "builtin", SSL_CACHE_BUILTIN }, { .text = NULL }
	};
	bool shared = strncmp(word, "shared:", 7) == 0;

	*kind = shared ? SSL_CACHE_SHARED : SSL_CACHE_BUILTIN;
	if (shared)
		return read_shared(b, tls, word);
	if (strncmp(word, "builtin:", 8) == 0)
		return read_builtin(b, tls, word);
	for (const struct conf_word *known = alone; known->text != NULL; known++) {
		if (strcmp(word, known->text) == 0) {
			*kind = (enum ssl_cache)known->value;
			return true;
		}
	}
	return is_invalid_cache(b, word);
}

static bool
is_no_cache(enum ssl_cache kind)
{
	return kind == SSL_CACHE_OFF || kind == SSL_CACHE_NONE;
}

/* The row's field is the first of those that say what the cache is. */
static struct conf_tls *
tls_of_cache(void *field)
{
	return (void *)((char *)field - offsetof(struct conf_tls, cache));
}

/*
 * Of two words off or none wins, as in nginx, and else the shared cache: it is there for
 * all workers, and one of a worker's own in front of it would only hold the same.
 */
static const char *
set_session_cache(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	struct conf_tls *tls = tls_of_cache(field);

	(void)d;
	tls->cache = SSL_CACHE_BUILTIN;
	for (size_t i = 0; i < argc; i++) {
		enum ssl_cache kind;

		if (!read_cache(b, tls, argv[i], &kind))
			return CONF_SAID;
		if (is_no_cache(kind) || (kind == SSL_CACHE_SHARED && !is_no_cache(tls->cache)))
			tls->cache = kind;
	}
	return NULL;
}

static void
print_session_cache(const struct conf_printer *p, const struct directive *d, const void *field)
{
	const struct conf_tls *tls = (const void *)((const char *)field - offsetof(struct conf_tls, cache));
	char *text = NULL;

	if (tls->cache == SSL_CACHE_SHARED)
		text = mem_printf("shared:%s:%zu", tls->cache_zone, tls->cache_bytes);
	else if (tls->cache == SSL_CACHE_BUILTIN && tls->cache_builtin != 0)
		text = mem_printf("builtin:%zu", tls->cache_builtin);
	conf_print(p, d->name, text != NULL ? text : tls->cache == SSL_CACHE_OFF ? "off" :
	    tls->cache == SSL_CACHE_NONE ? "none" : "builtin", NULL);
	mem_free(text);
}

/* A server inherits the fields from `cache` to `cache_bytes` together. */
const struct conf_type type_session_cache = {
	set_session_cache, print_session_cache,
	offsetof(struct conf_tls, cache_bytes) + sizeof(size_t) - offsetof(struct conf_tls, cache), false
};
