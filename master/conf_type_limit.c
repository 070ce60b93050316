/* Limits: how many may be here at once, and how many failures there may be. */
#include <string.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/limitzone.h"
#include "common/num.h"
#include "master/conf_build.h"
#include "master/conf_parameter.h"
#include "master/conf_print.h"
#include "master/conf_say.h"
#include "master/conf_table.h"
#include "master/conf_type.h"

#define ZONE_MAX ((uint64_t)1 << 30)
#define COUNT_MAX 1000000
#define HEADER "$auth_http_"
#define FAILURES_MAX 100000     /* of rate and burst */
#define BURST 5u

static enum conf_limit_kind
kind_of(const struct directive *d)
{
	return strncmp(d->name, "limit_auth", 10) == 0 ? LIMIT_AUTH : LIMIT_CONN;
}

/* --- the zones --- */

static const struct {
	const char *text;
	unsigned key;
	bool conn, auth;        /* who knows it */
} keys[] = {
	{ "$remote_addr", LIMIT_BY_ADDRESS, true, true },
	{ "$remote_user", LIMIT_BY_USER, true, true },
	{ "$domain", LIMIT_BY_DOMAIN, true, false },
	{ "$remote_addr$remote_user", LIMIT_BY_ADDRESS | LIMIT_BY_USER, false, true },
};

#define KEYS (sizeof(keys) / sizeof(keys[0]))

static bool
knows(enum conf_limit_kind kind, size_t i)
{
	return kind == LIMIT_CONN ? keys[i].conn : keys[i].auth;
}

/* "$auth_http_x_plan": the header X-Plan, whatever the case of its letters. */
static bool
read_header(struct conf_build *b, struct conf_limit_zone *zone, const char *text)
{
	size_t prefix = strlen(HEADER), len = strlen(text);

	if (zone->kind != LIMIT_CONN || len <= prefix || strncmp(text, HEADER, prefix) != 0 ||
	    strspn(text + prefix, "abcdefghijklmnopqrstuvwxyz0123456789_") != len - prefix)
		return false;
	zone->key = LIMIT_BY_HEADER;
	zone->header = arena_strdup(b->arena, text + prefix);
	return true;
}

static const char *
read_key(struct conf_build *b, const struct directive *d, struct conf_limit_zone *zone, const char *text)
{
	for (size_t i = 0; i < KEYS; i++)
		if (knows(zone->kind, i) && strcmp(text, keys[i].text) == 0)
			zone->key = keys[i].key;
	if (zone->key != 0 || read_header(b, zone, text))
		return NULL;
	conf_say(LOG_EMERG, &b->place, "unknown key \"%s\" in \"%s\" directive", text, d->name);
	return CONF_SAID;
}

static const char *
set_zone(struct conf_build *b, void *target, const char *value)
{
	struct conf_limit_zone *zone = target;
	size_t len = strcspn(value, ":");
	uint64_t bytes;

	if (len == 0 || conf_breaks_lines(value))
		return "invalid name of a zone";
	if (value[len] == '\0' || num_parse_size(value + len + 1, ZONE_MAX, &bytes) == -1)
		return "invalid size";
	if (bytes < LIMITZONE_BYTES_MIN)
		return "the zone is too small";
	zone->name = arena_printf(b->arena, "%.*s", (int)len, value);
	zone->bytes = (size_t)bytes;
	return NULL;
}

static const struct {
	const char *text;
	unsigned seconds;
} units[] = { { "/s", 1 }, { "/m", 60 }, { "/h", 3600 } };

#define UNITS (sizeof(units) / sizeof(units[0]))

/* "5/m", and as limit_req has it "5r/m". */
static const char *
set_rate(struct conf_build *b, void *target, const char *value)
{
	struct conf_limit_zone *zone = target;
	size_t len = strspn(value, "0123456789");
	const char *unit = value + len + (value[len] == 'r');
	uint64_t rate;

	(void)b;
	for (size_t i = 0; i < UNITS; i++)
		if (strcmp(unit, units[i].text) == 0)
			zone->rate_unit_s = units[i].seconds;
	if (zone->rate_unit_s == 0 || num_parse_len(value, len, FAILURES_MAX, &rate) == -1 || rate == 0)
		return "invalid rate";
	zone->rate = (unsigned)rate;
	return NULL;
}

static const char *
set_burst(struct conf_build *b, void *target, const char *value)
{
	struct conf_limit_zone *zone = target;

	(void)b;
	return num_parse(value, FAILURES_MAX, &zone->burst) == -1 || zone->burst == 0 ? "invalid number" : NULL;
}

/* A name is a zone's, of whatever kind: log lines say no more of it. */
static const char *
add_zone(struct conf_build *b, const struct directive *d, struct conf_limit_zone *zone)
{
	struct conf *conf = b->conf;

	for (size_t i = 0; i < conf->limit_zone_count; i++) {
		const struct conf_limit_zone *other = conf->limit_zones[i];

		if (strcmp(other->name, zone->name) != 0)
			continue;
		conf_say(LOG_EMERG, &b->place,
		    "duplicate zone \"%s\" in \"%s\" directive: it is there since line %u of %s", zone->name, d->name,
		    other->place.line, other->place.file != NULL ? other->place.file : "-g");
		return CONF_SAID;
	}
	zone->index = (unsigned)conf->limit_zone_count++;
	arena_append(b->arena, &conf->limit_zones, zone);
	return NULL;
}

static const char *
set_limit_zone(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	static const struct conf_parameter parameters[] = {
		{ "zone=", set_zone }, { "rate=", set_rate }, { "burst=", set_burst }, { .name = NULL }
	}, of_conn[] = { { "zone=", set_zone }, { .name = NULL } };
	struct conf_limit_zone *zone = arena_alloc(b->arena, sizeof(*zone));
	const char *why;

	(void)field;
	*zone = (struct conf_limit_zone){ .kind = kind_of(d), .burst = BURST, .place = b->place };
	if ((why = read_key(b, d, zone, argv[0])) != NULL)
		return why;
	if (conf_parameters_read(b, zone->kind == LIMIT_CONN ? of_conn : parameters, zone, argc - 1, argv + 1) == -1)
		return CONF_SAID;
	if (zone->name == NULL)
		return "has no \"zone=\"";
	if (zone->kind == LIMIT_AUTH && zone->rate == 0)
		return "has no \"rate=\"";
	return add_zone(b, d, zone);
}

static const char *
key_text(struct arena *arena, const struct conf_limit_zone *zone)
{
	for (size_t i = 0; i < KEYS; i++)
		if (keys[i].key == zone->key)
			return keys[i].text;
	return arena_printf(arena, HEADER "%s", zone->header);
}

static const char *
rate_text(struct arena *arena, const struct conf_limit_zone *zone)
{
	for (size_t i = 0; i < UNITS; i++)
		if (units[i].seconds == zone->rate_unit_s)
			return arena_printf(arena, "rate=%u%s", zone->rate, units[i].text);
	return NULL;
}

/* The zones are the configuration's. */
static void
print_limit_zone(const struct conf_printer *p, const struct directive *d, const void *field)
{
	struct arena *arena = arena_new();

	(void)field;
	for (size_t i = 0; i < p->conf->limit_zone_count; i++) {
		const struct conf_limit_zone *zone = p->conf->limit_zones[i];

		if (zone->kind == kind_of(d))
			conf_print(p, d->name, key_text(arena, zone),
			    arena_printf(arena, "zone=%s:%zu", zone->name, zone->bytes), rate_text(arena, zone),
			    arena_printf(arena, "burst=%u", zone->burst), NULL);
	}
	arena_free(&arena);
}

const struct conf_type type_limit_zone = { set_limit_zone, print_limit_zone, 0, true };

/* --- limits --- */

static const char *
set_limit(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	struct conf_limit **limits = *(struct conf_limit ***)field, *limit = arena_alloc(b->arena, sizeof(*limit));

	for (; limits != NULL && *limits != NULL; limits++)
		if (strcmp((*limits)->name, argv[0]) == 0)
			return "is duplicate";
	*limit = (struct conf_limit){ .name = arena_strdup(b->arena, argv[0]), .place = b->place };
	if (argc > 1 && (num_parse(argv[1], COUNT_MAX, &limit->most) == -1 || limit->most == 0)) {
		conf_say(LOG_EMERG, &b->place, "invalid number of connections \"%s\" in \"%s\" directive", argv[1],
		    d->name);
		return CONF_SAID;
	}
	arena_append(b->arena, field, limit);
	return NULL;
}

static void
print_limit(const struct conf_printer *p, const struct directive *d, const void *field)
{
	struct arena *arena = arena_new();

	for (struct conf_limit **l = *(struct conf_limit **const *)field; l != NULL && *l != NULL; l++)
		conf_print(p, d->name, (*l)->name, (*l)->most > 0 ? arena_printf(arena, "%u", (*l)->most) : NULL, NULL);
	arena_free(&arena);
}

const struct conf_type type_zone_limit = { set_limit, print_limit, sizeof(struct conf_limit **), true };
