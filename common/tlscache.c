#include "common/tlscache.h"

#include <string.h>

#include "common/bequest.h"
#include "common/mem.h"
#include "common/zone.h"

#define PART 240                /* bytes of a session in one entry */

struct tlscache {
	struct zone *zone;      /* owned */
};

struct part {
	uint32_t holds;         /* always 0: any may be evicted */
	uint32_t len;           /* of the whole session; 0: forgotten */
	int64_t expiry;
	unsigned char bytes[PART];
};

struct key {
	unsigned char id[TLSCACHE_ID];
	uint32_t id_len, part;
};

_Static_assert(TLSCACHE_MAX % PART == 0, "the longest session fills its entries");

struct tlscache *
tlscache_new(const char *name, size_t bytes, struct bequest *left)
{
	const struct zone_spec spec = {
		.kind = "tls_session",
		.name = name,
		.bytes = bytes,
		.entry_bytes = sizeof(struct part),
		.key_bytes = sizeof(struct key),
	};
	struct zone *zone = bequest_claim(left, &spec, NULL, 0);
	struct tlscache *cache;

	if (zone == NULL && (zone = zone_new(&spec)) == NULL)
		return NULL;
	cache = mem_alloc(sizeof(*cache));
	cache->zone = zone;
	return cache;
}

bool
tlscache_leave_to(const struct tlscache *cache, struct bequest *bequest)
{
	return bequest_add_zone(bequest, cache->zone, NULL, 0);
}

void
tlscache_free(struct tlscache **cachep)
{
	struct tlscache *cache = *cachep;

	if (cache == NULL)
		return;
	zone_free(&cache->zone);
	mem_free(cache);
	*cachep = NULL;
}

static bool
make_key(struct key *key, const unsigned char *id, size_t id_len)
{
	*key = (struct key){ .id_len = (uint32_t)id_len };
	if (id_len == 0 || id_len > TLSCACHE_ID)
		return false;
	memcpy(key->id, id, id_len);
	return true;
}

static size_t
part_len(size_t len, uint32_t index)
{
	size_t left = len - (size_t)index * PART;

	return left < PART ? left : PART;
}

void
tlscache_put(struct tlscache *cache, uint32_t slot, const unsigned char *id, size_t id_len, const unsigned char *bytes,
    size_t len, time_t expiry)
{
	struct key key;

	if (!make_key(&key, id, id_len) || len > TLSCACHE_MAX)
		return;
	for (; (size_t)key.part * PART < len; key.part++) {
		struct part *part = zone_find(cache->zone, slot, &key, true);

		if (part == NULL)
			return;
		part->len = (uint32_t)len;
		part->expiry = expiry;
		memcpy(part->bytes, bytes + (size_t)key.part * PART, part_len(len, key.part));
		zone_done(cache->zone, slot, part);
	}
}

/* Copies one part; returns the length of the whole, or 0. What stands in the zone is believed within bounds only. */
static size_t
get_part(struct tlscache *cache, uint32_t slot, const struct key *key, unsigned char *room, time_t now)
{
	struct part *part = zone_find(cache->zone, slot, key, false);
	size_t len = 0;

	if (part == NULL)
		return 0;
	if (part->expiry > now && part->len <= TLSCACHE_MAX && part->len > (size_t)key->part * PART) {
		len = part->len;
		memcpy(room + (size_t)key->part * PART, part->bytes, part_len(len, key->part));
	}
	zone_done(cache->zone, slot, part);
	return len;
}

size_t
tlscache_get(struct tlscache *cache, uint32_t slot, const unsigned char *id, size_t id_len, unsigned char *room,
    time_t now)
{
	struct key key;
	size_t len;

	if (!make_key(&key, id, id_len))
		return 0;
	len = get_part(cache, slot, &key, room, now);
	for (key.part = 1; (size_t)key.part * PART < len; key.part++)
		if (get_part(cache, slot, &key, room, now) != len)
			return 0;
	return len;
}

void
tlscache_forget(struct tlscache *cache, uint32_t slot, const unsigned char *id, size_t id_len)
{
	struct part *part;
	struct key key;

	/* Without its first part it is no session; the others are overwritten in time. */
	if (!make_key(&key, id, id_len) || (part = zone_find(cache->zone, slot, &key, false)) == NULL)
		return;
	part->len = 0;
	mem_wipe(part->bytes, sizeof(part->bytes));
	zone_done(cache->zone, slot, part);
}

void
tlscache_unlock_dead(struct tlscache *cache, struct board_span dead)
{
	zone_unlock_dead(cache->zone, dead);
}
