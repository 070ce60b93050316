#include "common/zone.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/board.h"
#include "common/mem.h"
#include "common/memfd.h"
#include "common/must.h"
#include "common/zone_parts.h"

#define MAGIC UINT64_C(0x31656e6f7a747370)      /* "pstzone1" */
#define LAYOUT 2u                               /* counts changes of what zone_parts.h lays out */
#define PAGE 4096u
#define BUCKETS_MAX (1u << 27)
#define WIDTH_MAX 65536u                        /* of a key, of a value */

struct header {
	uint64_t magic, layout;
	uint64_t identity;              /* of the spec */
	struct siphash_key key;         /* no stranger knows it, so none can fill one bucket */
};

/* ---- making and opening ---- */

static size_t
round_up(size_t bytes, size_t unit)
{
	return (bytes + unit - 1) / unit * unit;
}

/* Works out the geometry; false if the spec has no room for a bucket. */
static bool
measure(struct zone *zone, const struct zone_spec *spec)
{
	size_t each;

	MUST(spec->entry_bytes >= sizeof(uint32_t) && spec->entry_bytes <= WIDTH_MAX);
	MUST(spec->key_bytes > 0 && spec->key_bytes <= WIDTH_MAX);
	zone->key_room = round_up(spec->key_bytes, 8);
	zone->stride = sizeof(struct zone_entry) + zone->key_room + round_up(spec->entry_bytes, 8);
	zone->bucket_bytes = round_up(sizeof(struct zone_bucket) + ZONE_WAYS * zone->stride, 64);
	each = zone->bucket_bytes + sizeof(uint32_t);
	if (spec->bytes < PAGE + each)
		return false;
	zone->buckets = BUCKETS_MAX;
	if ((spec->bytes - PAGE) / each < BUCKETS_MAX)
		zone->buckets = (uint32_t)((spec->bytes - PAGE) / each);
	return true;
}

static size_t
buckets_at(const struct zone *zone)
{
	return round_up(PAGE + zone->buckets * sizeof(uint32_t), PAGE);
}

static size_t
uses_at(const struct zone *zone)
{
	return round_up(buckets_at(zone) + zone->buckets * zone->bucket_bytes, PAGE);
}

static size_t
ledgers_at(const struct zone *zone)
{
	return round_up(uses_at(zone) + BOARD_SLOTS * sizeof(uint32_t), PAGE);
}

static uint64_t
identify(const struct zone_spec *spec)
{
	static const struct siphash_key fixed = { { 0, 0 } };
	uint64_t parts[] = {
		siphash(&fixed, spec->kind, strlen(spec->kind)), siphash(&fixed, spec->name, strlen(spec->name)),
		spec->bytes, spec->entry_bytes, spec->key_bytes, spec->parameters,
	};

	return siphash(&fixed, parts, sizeof(parts));
}

static struct zone *
prepare(const struct zone_spec *spec)
{
	struct zone *zone = mem_alloc(sizeof(*zone));

	if (!measure(zone, spec)) {
		mem_free(zone);
		errno = ENOSPC;
		return NULL;
	}
	zone->map_bytes = ledgers_at(zone) + BOARD_SLOTS * sizeof(struct zone_ledger);
	zone->spec = *spec;
	zone->spec.kind = mem_strdup(spec->kind);
	zone->spec.name = mem_strdup(spec->name);
	zone->holder = BOARD_NO_SLOT;
	zone->fd = -1;
	return zone;
}

static int
map(struct zone *zone, int fd)
{
	if ((zone->map = memfd_map(fd, zone->map_bytes)) == NULL)
		return -1;
	zone->locks = (_Atomic uint32_t *)(void *)(zone->map + PAGE);
	zone->first_bucket = zone->map + buckets_at(zone);
	zone->uses = (uint32_t *)(void *)(zone->map + uses_at(zone));
	zone->ledgers = (struct zone_ledger *)(void *)(zone->map + ledgers_at(zone));
	return 0;
}

static int
fill_header(struct zone *zone)
{
	struct header header = { .magic = MAGIC, .layout = LAYOUT, .identity = identify(&zone->spec) };

	if (getrandom(&header.key, sizeof(header.key), 0) != sizeof(header.key))
		return -1;
	memcpy(zone->map, &header, sizeof(header));
	zone->key = header.key;
	return 0;
}

static int
check_header(struct zone *zone)
{
	struct header header;

	memcpy(&header, zone->map, sizeof(header));
	if (header.magic != MAGIC || header.layout != LAYOUT || header.identity != identify(&zone->spec)) {
		errno = EINVAL;
		return -1;
	}
	zone->key = header.key;
	return 0;
}

struct zone *
zone_new(const struct zone_spec *spec)
{
	struct zone *zone = prepare(spec);

	if (zone == NULL)
		return NULL;
	zone->fd = memfd_new("postern-zone", zone->map_bytes);
	if (zone->fd == -1 || map(zone, zone->fd) == -1 || fill_header(zone) == -1)
		zone_free(&zone);
	return zone;
}

struct zone *
zone_open(int fd, const struct zone_spec *spec)
{
	struct zone *zone = prepare(spec);

	if (zone == NULL)
		return NULL;
	if (map(zone, fd) == -1 || check_header(zone) == -1)
		zone_free(&zone);
	else
		zone->fd = fd;
	return zone;
}

void
zone_free(struct zone **zonep)
{
	struct zone *zone = *zonep;
	int error = errno;

	if (zone == NULL)
		return;
	if (zone->map != NULL)
		munmap(zone->map, zone->map_bytes);
	if (zone->fd != -1)
		close(zone->fd);
	mem_free((char *)zone->spec.kind);
	mem_free((char *)zone->spec.name);
	mem_free(zone->spare);
	mem_free(zone);
	*zonep = NULL;
	errno = error;
}

int
zone_fd(const struct zone *zone)
{
	return zone->fd;
}

const struct zone_spec *
zone_spec_of(const struct zone *zone)
{
	return &zone->spec;
}

bool
zone_fits(const struct zone *zone, const struct zone_spec *spec)
{
	return strcmp(zone->spec.kind, spec->kind) == 0 && strcmp(zone->spec.name, spec->name) == 0 &&
	    zone->spec.bytes == spec->bytes && zone->spec.entry_bytes == spec->entry_bytes &&
	    zone->spec.key_bytes == spec->key_bytes && zone->spec.parameters == spec->parameters;
}

/* ---- entries ---- */

static uint32_t
index_of_key(const struct zone *zone, const void *key)
{
	uint64_t hash = siphash(&zone->key, key, zone->spec.key_bytes);

	return (uint32_t)((hash >> 32) * zone->buckets >> 32);
}

static uint32_t
index_of_entry(const struct zone *zone, const void *value)
{
	const unsigned char *at = value;

	MUST(at > zone->first_bucket && at < zone->first_bucket + zone->buckets * zone->bucket_bytes);
	return (uint32_t)((size_t)(at - zone->first_bucket) / zone->bucket_bytes);
}

static struct zone_entry *
look_up(const struct zone *zone, struct zone_bucket *bucket, const void *key)
{
	for (uint32_t way = 0; way < ZONE_WAYS; way++) {
		struct zone_entry *entry = zone_entry_at(zone, bucket, way);

		if (entry->used != 0 && memcmp(entry->key, key, zone->spec.key_bytes) == 0)
			return entry;
	}
	return NULL;
}

/* An empty one, or the one that nobody holds and was not used for longest; NULL if all are held. */
static struct zone_entry *
make_room(const struct zone *zone, struct zone_bucket *bucket)
{
	struct zone_entry *oldest = NULL;

	for (uint32_t way = 0; way < ZONE_WAYS; way++) {
		struct zone_entry *entry = zone_entry_at(zone, bucket, way);

		if (*zone_count_of(zone, entry) == 0 && (oldest == NULL || entry->used < oldest->used))
			oldest = entry;
	}
	return oldest;
}

static struct zone_entry *
make_entry(const struct zone *zone, struct zone_bucket *bucket, const void *key)
{
	struct zone_entry *entry = make_room(zone, bucket);

	if (entry != NULL) {
		memset(entry, 0, zone->stride);
		memcpy(entry->key, key, zone->spec.key_bytes);
	}
	return entry;
}

void *
zone_find(struct zone *zone, uint32_t slot, const void *key, bool make)
{
	uint32_t index = index_of_key(zone, key);
	struct zone_bucket *bucket = zone_bucket_at(zone, index);
	struct zone_entry *entry;

	if (!zone_lock(zone, slot, index))
		return NULL;
	entry = look_up(zone, bucket, key);
	if (entry == NULL && make)
		entry = make_entry(zone, bucket, key);
	if (entry == NULL) {
		zone_unlock(zone, slot, index);
		return NULL;
	}
	entry->used = ++bucket->clock;
	return zone_count_of(zone, entry);
}

void
zone_done(struct zone *zone, uint32_t slot, void *entry)
{
	zone_unlock(zone, slot, index_of_entry(zone, entry));
}
