#include "master/zones.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "common/authcache.h"
#include "common/bequest.h"
#include "common/conf.h"
#include "common/limitzone.h"
#include "common/list.h"
#include "common/mem.h"
#include "common/must.h"
#include "master/conf_say.h"

struct zones {
	struct list caches, limits;
	struct bequest *left;           /* borrowed; what the master before had; NULL: nothing */
};

/* What an auth_cache has. */
struct cache {
	struct list node;               /* zones->caches */
	char *name;                     /* owned */
	struct zone *accepted, *refused;        /* owned */
	unsigned char secret[CONF_CACHE_SECRET];
	unsigned users;                 /* configurations */
};

/* What a limit_conn_zone or limit_auth_zone has. */
struct limit {
	struct list node;               /* zones->limits */
	enum conf_limit_kind kind;
	char *name;                     /* owned */
	struct zone *zone;              /* owned */
	unsigned char secret[CONF_LIMIT_SECRET];
	unsigned users;                 /* configurations */
};

struct zones *
zones_new(void)
{
	struct zones *zones = mem_alloc(sizeof(*zones));

	list_init(&zones->caches);
	list_init(&zones->limits);
	return zones;
}

void
zones_inherit(struct zones *zones, struct bequest *left)
{
	zones->left = left;
}

void
zones_free(struct zones **zonesp)
{
	MUST(list_is_empty(&(*zonesp)->caches) && list_is_empty(&(*zonesp)->limits));
	mem_free(*zonesp);
	*zonesp = NULL;
}

/* --- auth_cache --- */

static void
free_cache(struct cache *cache)
{
	zone_free(&cache->accepted);
	zone_free(&cache->refused);
	mem_wipe(cache->secret, sizeof(cache->secret));
	mem_free(cache->name);
	mem_free(cache);
}

/* Both tables of the master before, or neither: they have one secret. */
static bool
inherit_cache(struct bequest *left, struct cache *cache, const struct zone_spec *accepted,
    const struct zone_spec *refused)
{
	unsigned char secret[sizeof(cache->secret)] = { 0 };
	bool good;

	cache->accepted = bequest_claim(left, accepted, cache->secret, sizeof(cache->secret));
	cache->refused = bequest_claim(left, refused, secret, sizeof(secret));
	good = cache->accepted != NULL && cache->refused != NULL &&
	    mem_same_secret(secret, cache->secret, sizeof(secret));
	if (!good) {
		zone_free(&cache->accepted);
		zone_free(&cache->refused);
	}
	mem_wipe(secret, sizeof(secret));
	return good;
}

/* *is_known becomes whether it is empty though there was one of its name. NULL with errno. */
static struct cache *
make_cache(struct bequest *left, const struct zone_spec *accepted, const struct zone_spec *refused, bool *is_known)
{
	struct cache *cache = mem_alloc(sizeof(*cache));

	cache->name = mem_strdup(accepted->name);
	*is_known |= bequest_has(left, accepted->kind, accepted->name);
	if (inherit_cache(left, cache, accepted, refused)) {
		*is_known = false;
		return cache;
	}
	if ((cache->accepted = zone_new(accepted)) != NULL && (cache->refused = zone_new(refused)) != NULL &&
	    getrandom(cache->secret, sizeof(cache->secret), 0) == sizeof(cache->secret))
		return cache;
	free_cache(cache);
	return NULL;
}

/* One that fits, or a new one. NULL with the reason logged. */
static struct cache *
get_cache(struct zones *zones, const struct conf_cache *settings)
{
	const struct zone_spec accepted = authcache_spec(settings->zone, settings->bytes, AUTHCACHE_ACCEPTED);
	const struct zone_spec refused = authcache_spec(settings->zone, settings->bytes, AUTHCACHE_REFUSED);
	struct cache *cache;
	bool is_known = false;

	LIST_EACH(node, &zones->caches) {
		cache = LIST_ENTRY(node, struct cache, node);
		if (zone_fits(cache->accepted, &accepted) && zone_fits(cache->refused, &refused))
			return cache;
		is_known |= strcmp(cache->name, settings->zone) == 0;
	}
	if ((cache = make_cache(zones->left, &accepted, &refused, &is_known)) == NULL) {
		conf_say(LOG_EMERG, &settings->place, "\"auth_cache\" zone \"%s\" of %zu bytes cannot be made %s",
		    settings->zone, settings->bytes, log_errno(errno));
		return NULL;
	}
	if (is_known)
		log_say(LOG_NOTICE, "\"auth_cache\" zone \"%s\" has another size and starts empty", settings->zone);
	list_add(&zones->caches, &cache->node);
	return cache;
}

static int
use_caches(struct zones *zones, struct conf *conf)
{
	for (size_t i = 0; i < conf->cache_count; i++) {
		struct conf_cache *settings = conf->caches[i];
		struct cache *cache = get_cache(zones, settings);

		if (cache == NULL)
			return -1;
		cache->users++;
		settings->accepted = cache->accepted;
		settings->refused = cache->refused;
		settings->secret = cache->secret;
	}
	return 0;
}

static struct cache *
cache_of(const struct zones *zones, const struct conf_cache *settings)
{
	LIST_EACH(node, &zones->caches) {
		struct cache *cache = LIST_ENTRY(node, struct cache, node);

		if (cache->accepted == settings->accepted)
			return cache;
	}
	return NULL;
}

static void
leave_caches(struct zones *zones, struct conf *conf)
{
	for (size_t i = 0; i < conf->cache_count; i++) {
		struct conf_cache *settings = conf->caches[i];
		struct cache *cache = cache_of(zones, settings);

		settings->accepted = settings->refused = NULL;
		settings->secret = NULL;
		if (cache == NULL || --cache->users > 0)
			continue;
		list_remove(&cache->node);
		free_cache(cache);
	}
}

/* --- limits --- */

static void
free_limit(struct limit *limit)
{
	zone_free(&limit->zone);
	mem_wipe(limit->secret, sizeof(limit->secret));
	mem_free(limit->name);
	mem_free(limit);
}

/* As make_cache(). */
static struct limit *
make_limit(struct bequest *left, enum conf_limit_kind kind, const struct zone_spec *spec, bool *is_known)
{
	struct limit *limit = mem_alloc(sizeof(*limit));

	limit->kind = kind;
	limit->name = mem_strdup(spec->name);
	*is_known |= bequest_has(left, spec->kind, spec->name);
	if ((limit->zone = bequest_claim(left, spec, limit->secret, sizeof(limit->secret))) != NULL) {
		*is_known = false;
		return limit;
	}
	if ((limit->zone = zone_new(spec)) != NULL &&
	    getrandom(limit->secret, sizeof(limit->secret), 0) == sizeof(limit->secret))
		return limit;
	free_limit(limit);
	return NULL;
}

/* One that fits, or a new one. NULL with the reason logged. */
static struct limit *
get_limit(struct zones *zones, const struct conf_limit_zone *settings)
{
	const struct zone_spec spec = limitzone_spec(settings);
	struct limit *limit;
	bool is_known = false;

	LIST_EACH(node, &zones->limits) {
		limit = LIST_ENTRY(node, struct limit, node);
		if (zone_fits(limit->zone, &spec))
			return limit;
		is_known |= limit->kind == settings->kind && strcmp(limit->name, settings->name) == 0;
	}
	if ((limit = make_limit(zones->left, settings->kind, &spec, &is_known)) == NULL) {
		conf_say(LOG_EMERG, &settings->place, "\"%s_zone\" zone \"%s\" of %zu bytes cannot be made %s",
		    spec.kind, settings->name, settings->bytes, log_errno(errno));
		return NULL;
	}
	if (is_known)
		log_say(LOG_NOTICE, "\"%s_zone\" zone \"%s\" has another size or key and starts empty", spec.kind,
		    settings->name);
	list_add(&zones->limits, &limit->node);
	return limit;
}

static int
use_limits(struct zones *zones, struct conf *conf)
{
	for (size_t i = 0; i < conf->limit_zone_count; i++) {
		struct conf_limit_zone *settings = conf->limit_zones[i];
		struct limit *limit = get_limit(zones, settings);

		if (limit == NULL)
			return -1;
		limit->users++;
		settings->zone = limit->zone;
		settings->secret = limit->secret;
	}
	return 0;
}

static struct limit *
limit_of(const struct zones *zones, const struct conf_limit_zone *settings)
{
	LIST_EACH(node, &zones->limits) {
		struct limit *limit = LIST_ENTRY(node, struct limit, node);

		if (limit->zone == settings->zone)
			return limit;
	}
	return NULL;
}

static void
leave_limits(struct zones *zones, struct conf *conf)
{
	for (size_t i = 0; i < conf->limit_zone_count; i++) {
		struct conf_limit_zone *settings = conf->limit_zones[i];
		struct limit *limit = limit_of(zones, settings);

		settings->zone = NULL;
		settings->secret = NULL;
		if (limit == NULL || --limit->users > 0)
			continue;
		list_remove(&limit->node);
		free_limit(limit);
	}
}

/* Buckets of failures are held by nobody. */
struct zone **
zones_held(const struct zones *zones, size_t *count)
{
	struct zone **held = NULL;

	*count = 0;
	LIST_EACH(node, &zones->limits) {
		const struct limit *limit = LIST_ENTRY(node, struct limit, node);

		if (limit->kind != LIMIT_CONN)
			continue;
		held = mem_resize(held, (*count + 1) * sizeof(struct zone *));
		held[(*count)++] = limit->zone;
	}
	return held;
}

bool
zones_are_held(const struct zones *zones)
{
	LIST_EACH(node, &zones->limits)
		if (LIST_ENTRY(node, struct limit, node)->kind == LIMIT_CONN)
			return true;
	return false;
}

/* --- all of them --- */

static void
leave_zone(struct bequest *bequest, const struct zone *zone, const unsigned char *secret, size_t len)
{
	const struct zone_spec *spec = zone_spec_of(zone);
	char shown[512];

	if (!bequest_add_zone(bequest, zone, secret, len))
		log_say(LOG_NOTICE, "%s zone \"%s\" cannot be handed on", spec->kind,
		    log_text(shown, sizeof(shown), spec->name, strlen(spec->name)));
}

void
zones_leave_to(const struct zones *zones, struct bequest *bequest)
{
	LIST_EACH(node, &zones->limits) {
		const struct limit *limit = LIST_ENTRY(node, struct limit, node);

		leave_zone(bequest, limit->zone, limit->secret, sizeof(limit->secret));
	}
	LIST_EACH(node, &zones->caches) {
		const struct cache *cache = LIST_ENTRY(node, struct cache, node);

		leave_zone(bequest, cache->accepted, cache->secret, sizeof(cache->secret));
		leave_zone(bequest, cache->refused, cache->secret, sizeof(cache->secret));
	}
}

int
zones_use(struct zones *zones, struct conf *conf)
{
	return use_caches(zones, conf) == -1 || use_limits(zones, conf) == -1 ? -1 : 0;
}

void
zones_leave(struct zones *zones, struct conf *conf)
{
	leave_caches(zones, conf);
	leave_limits(zones, conf);
}

void
zones_unlock_dead(struct zones *zones, struct board_span dead)
{
	LIST_EACH(node, &zones->limits)
		zone_unlock_dead(LIST_ENTRY(node, struct limit, node)->zone, dead);
	LIST_EACH(node, &zones->caches) {
		struct cache *cache = LIST_ENTRY(node, struct cache, node);

		zone_unlock_dead(cache->accepted, dead);
		zone_unlock_dead(cache->refused, dead);
	}
}
