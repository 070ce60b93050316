#include <inttypes.h>

#include "common/num.h"
#include "master/conf_build.h"
#include "master/conf_parameter.h"
#include "master/conf_print.h"
#include "master/conf_table.h"
#include "master/conf_type.h"

#define WEIGHT_MAX 65535
#define FAILS_MAX 1000000000
#define FAIL_TIMEOUT_MS 10000

static const char *
set_weight(struct conf_build *b, void *target, const char *value)
{
	struct conf_web *web = target;

	(void)b;
	if (num_parse(value, WEIGHT_MAX, &web->weight) == -1)
		return "invalid number";
	return web->weight == 0 ? "value must not be zero" : NULL;
}

static const char *
set_max_fails(struct conf_build *b, void *target, const char *value)
{
	(void)b;
	return num_parse(value, FAILS_MAX, &((struct conf_web *)target)->max_fails) == -1 ? "invalid number" : NULL;
}

static const char *
set_fail_timeout(struct conf_build *b, void *target, const char *value)
{
	struct conf_web *web = target;

	(void)b;
	if (num_parse_time(value, true, CONF_MAX_MSEC, &web->fail_timeout) == -1)
		return "invalid time";
	return web->fail_timeout == 0 ? "value must not be zero" : NULL;
}

static const char *
set_backup(struct conf_build *b, void *target, const char *value)
{
	(void)b, (void)value;
	((struct conf_web *)target)->backup = true;
	return NULL;
}

static const struct conf_parameter parameters[] = {
	{ "weight=", set_weight },
	{ "max_fails=", set_max_fails },
	{ "fail_timeout=", set_fail_timeout },
	{ "backup", set_backup },
	{ .name = NULL }
};

const struct conf_web conf_web_alone = { .weight = 1, .max_fails = 1, .fail_timeout = FAIL_TIMEOUT_MS };

/* Without a port it is that of the scheme of the URL which names the upstream. */
static const char *
set_peer(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	struct draft_peer *peer = arena_alloc(b->arena, sizeof(*peer));

	(void)d;
	peer->web = conf_web_alone;
	peer->name = conf_build_name(b, "upstream", argv[0], argv[0], 0);
	if (peer->name == NULL || conf_parameters_read(b, parameters, &peer->web, argc - 1, argv + 1) == -1)
		return CONF_SAID;
	arena_append(b->arena, field, peer);
	return NULL;
}

static void
print_peer(const struct conf_printer *p, const char *name, const struct draft_peer *peer)
{
	struct arena *arena = arena_new();
	const struct conf_web *web = &peer->web;

	conf_print(p, name, peer->name->text, arena_printf(arena, "weight=%u", web->weight),
	    arena_printf(arena, "max_fails=%u", web->max_fails),
	    arena_printf(arena, "fail_timeout=%" PRIu64 "ms", web->fail_timeout), web->backup ? "backup" : NULL, NULL);
	arena_free(&arena);
}

static void
print_peers(const struct conf_printer *p, const struct directive *d, const void *field)
{
	for (struct draft_peer **peer = *(struct draft_peer **const *)field; peer != NULL && *peer != NULL; peer++)
		print_peer(p, d->name, *peer);
}

const struct conf_type type_peer = { set_peer, print_peers, sizeof(struct draft_peer **), true };
