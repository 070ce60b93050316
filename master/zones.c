#include "master/zones.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "common/authcache.h"
#include "common/conf.h"
#include "common/list.h"
#include "common/mem.h"
#include "common/must.h"
#include "master/conf_say.h"

struct zones {
	struct list caches;
};

/* What an auth_cache has. */
struct cache {
	struct list node;               /* zones->caches */
	char *name;                     /* owned */
	struct zone *accepted, *refused;        /* owned */
	unsigned char secret[CONF_CACHE_SECRET];
	unsigned users;                 /* configurations */
};

struct zones *
zones_new(void)
{
	struct zones *zones = mem_alloc(sizeof(*zones));

	list_init(&zones->caches);
	return zones;
}

void
zones_free(struct zones **zonesp)
{
	MUST(list_is_empty(&(*zonesp)->caches));
	mem_free(*zonesp);
	*zonesp = NULL;
}

static void
free_cache(struct cache *cache)
{
	zone_free(&cache->accepted);
	zone_free(&cache->refused);
	mem_wipe(cache->secret, sizeof(cache->secret));
	mem_free(cache->name);
	mem_free(cache);
}

/* NULL with errno. */
static struct cache *
make_cache(const struct zone_spec *accepted, const struct zone_spec *refused)
{
	struct cache *cache = mem_alloc(sizeof(*cache));

	cache->name = mem_strdup(accepted->name);
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
	if ((cache = make_cache(&accepted, &refused)) == NULL) {
		conf_say(LOG_EMERG, &settings->place, "\"auth_cache\" zone \"%s\" of %zu bytes cannot be made %s",
		    settings->zone, settings->bytes, log_errno(errno));
		return NULL;
	}
	if (is_known)
		log_say(LOG_NOTICE, "\"auth_cache\" zone \"%s\" has another size and starts empty", settings->zone);
	list_add(&zones->caches, &cache->node);
	return cache;
}

int
zones_use(struct zones *zones, struct conf *conf)
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

void
zones_leave(struct zones *zones, struct conf *conf)
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

void
zones_unlock_dead(struct zones *zones, uint32_t slot)
{
	LIST_EACH(node, &zones->caches) {
		struct cache *cache = LIST_ENTRY(node, struct cache, node);

		zone_unlock_dead(cache->accepted, slot);
		zone_unlock_dead(cache->refused, slot);
	}
}
