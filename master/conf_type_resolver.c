/* resolver: the name servers that are asked how clients are called. */
#include <inttypes.h>
#include <string.h>

#include "common/mem.h"
#include "common/num.h"
#include "master/conf_build.h"
#include "master/conf_parameter.h"
#include "master/conf_print.h"
#include "master/conf_say.h"
#include "master/conf_table.h"
#include "master/conf_type.h"

#define DNS_PORT 53

static const char *
set_valid(struct conf_build *b, void *target, const char *value)
{
	struct conf_resolver *resolver = target;

	(void)b;
	return num_parse_time(value, false, CONF_MAX_MSEC / 1000, &resolver->valid_s) == -1 ? "invalid time" : NULL;
}

static const char *
set_flag(bool *flag, const char *value)
{
	*flag = strcmp(value, "on") == 0;
	return *flag || strcmp(value, "off") == 0 ? NULL : "it must be \"on\" or \"off\"";
}

static const char *
set_ipv4(struct conf_build *b, void *target, const char *value)
{
	(void)b;
	return set_flag(&((struct conf_resolver *)target)->ipv4, value);
}

static const char *
set_ipv6(struct conf_build *b, void *target, const char *value)
{
	(void)b;
	return set_flag(&((struct conf_resolver *)target)->ipv6, value);
}

static const struct conf_parameter parameters[] = {
	{ "valid=", set_valid },
	{ "ipv4=", set_ipv4 },
	{ "ipv6=", set_ipv6 },
	{ .name = NULL }
};

static int
add_server(struct conf_build *b, struct conf_resolver *resolver, const char *word)
{
	struct conf_name *name = conf_build_name(b, "resolver", word, word, DNS_PORT);

	if (name == NULL)
		return -1;
	if (name->found_count > 0 && name->found[0].addr.family == AF_UNIX) {
		conf_say_name(name, "no IP address");
		return -1;
	}
	arena_append(b->arena, &resolver->servers, name);
	return 0;
}

/* No host has "=" in its name: such a word is a parameter. Servers and parameters come in any order. */
static int
read_words(struct conf_build *b, struct conf_resolver *resolver, size_t argc, const char *const *argv)
{
	const char **given = mem_array(argc, sizeof(*given));
	size_t count = 0;
	int result = 0;

	for (size_t i = 0; i < argc && result == 0; i++) {
		if (strchr(argv[i], '=') != NULL)
			given[count++] = argv[i];
		else
			result = add_server(b, resolver, argv[i]);
	}
	if (result == 0)
		result = conf_parameters_read(b, parameters, resolver, count, given);
	mem_free(given);
	return result;
}

static const char *
text_of(struct conf_build *b, size_t argc, const char *const *argv)
{
	const char *text = argv[0];

	for (size_t i = 1; i < argc; i++)
		text = arena_printf(b->arena, "%s %s", text, argv[i]);
	return arena_strdup(b->arena, text);
}

/* What another line has made of the same words: they share a cache and its questions. */
static struct conf_resolver *
find_twin(const struct conf *conf, const char *text)
{
	for (size_t i = 0; i < conf->resolver_count; i++)
		if (strcmp(conf->resolvers[i]->text, text) == 0)
			return conf->resolvers[i];
	return NULL;
}

static void
append(struct conf_build *b, struct conf_resolver *resolver)
{
	for (struct conf_name **name = resolver->servers; *name != NULL; name++)
		conf_build_resolve(b, *name);
	resolver->index = (unsigned)b->conf->resolver_count++;
	arena_append(b->arena, &b->conf->resolvers, resolver);
}

static const char *
set_resolver(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	const struct conf_resolver **to = field;
	const char *text = text_of(b, argc, argv);
	struct conf_resolver *resolver = find_twin(b->conf, text);

	(void)d;
	*to = resolver;
	if (resolver != NULL || strcmp(text, "off") == 0)
		return NULL;
	resolver = arena_alloc(b->arena, sizeof(*resolver));
	*resolver = (struct conf_resolver){ .text = text, .ipv4 = true, .ipv6 = true };
	if (read_words(b, resolver, argc, argv) == -1)
		return CONF_SAID;
	if (resolver->servers == NULL) {
		conf_say(LOG_EMERG, &b->place, "no name servers defined");
		return CONF_SAID;
	}
	if (!resolver->ipv4 && !resolver->ipv6) {
		conf_say(LOG_EMERG, &b->place, "\"ipv4\" and \"ipv6\" cannot both be \"off\"");
		return CONF_SAID;
	}
	append(b, resolver);
	*to = resolver;
	return NULL;
}

static void
print_resolver(const struct conf_printer *p, const struct directive *d, const void *field)
{
	const struct conf_resolver *resolver = *(const struct conf_resolver *const *)field;
	struct arena *arena;
	const char **words = NULL;
	char text[ADDR_TEXT];

	if (resolver == NULL) {
		conf_print(p, d->name, "off", NULL);
		return;
	}
	arena = arena_new();
	for (struct conf_name **name = resolver->servers; *name != NULL; name++)
		for (size_t i = 0; i < (*name)->found_count; i++)
			arena_append(arena, &words,
			    arena_strdup(arena, addr_format_port(text, &(*name)->found[i].addr)));
	if (resolver->valid_s > 0)
		arena_append(arena, &words, arena_printf(arena, "valid=%" PRIu64 "s", resolver->valid_s));
	if (!resolver->ipv4)
		arena_append(arena, &words, "ipv4=off");
	if (!resolver->ipv6)
		arena_append(arena, &words, "ipv6=off");
	conf_print_list(p, d->name, words);
	arena_free(&arena);
}

const struct conf_type type_resolver = { set_resolver, print_resolver, sizeof(const struct conf_resolver *), false };
