/*
 * zone_parts - how a zone lies in memory; for zone, zone_lock and zone_hold alone
 *
 * Header, lock words, buckets, uses, ledgers. The geometry follows from the spec alone and each
 * process works it out for itself. Every number that is read from the memory and leads
 * somewhere is checked first: another process may have gone mad. Built on: siphash, zone.
 */
#ifndef POSTERN_COMMON_ZONE_PARTS_H
#define POSTERN_COMMON_ZONE_PARTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/siphash.h"
#include "common/zone.h"

#define ZONE_WAYS 16u           /* entries of a bucket */
#define ZONE_LINES 65536u       /* of a ledger */

/* A lock word is 0, or 1 + the slot of who is inside, with this bit once that is known to be dead. */
#define ZONE_ABANDONED 0x80000000u

/*
 * What an entry's count and the ledger line that stands for it were before they change.
 * While `active`, whoever gets the lock of a dead process puts both back, so that they
 * always agree.
 */
struct zone_undo {
	uint32_t active;
	uint32_t slot, line, was_line;
	uint32_t way, was_count;
};

struct zone_bucket {
	struct zone_undo undo;
	uint64_t clock;                 /* counts uses; ZONE_WAYS entries follow */
};

struct zone_entry {
	uint64_t used;                  /* the bucket's clock at the last use; 0: empty */
	unsigned char key[];            /* padded; behind it the value, whose first word is the count of holds */
};

/* A line is the number of an entry, counting all of the zone from 1; 0: free. */
struct zone_ledger {
	uint32_t lines[ZONE_LINES];
};

struct zone {
	struct zone_spec spec;          /* kind and name owned */
	int fd;                         /* owned */
	size_t key_room, stride, bucket_bytes, map_bytes;
	uint32_t buckets;
	unsigned char *map;
	_Atomic uint32_t *locks;        /* dense and apart, so that the master touches nothing else */
	unsigned char *first_bucket;
	/* by slot: lines from here on were never used; apart, so that looking is cheap */
	uint32_t *uses;
	struct zone_ledger *ledgers;    /* by slot; sparse, most are never touched */
	struct siphash_key key;
	/* this process's own: which lines of its ledger are free */
	uint32_t holder;                /* its slot; BOARD_NO_SLOT until the first hold */
	uint32_t next_line;
	uint32_t *spare;                /* owned */
	size_t spare_count, spare_size;
};

static inline struct zone_bucket *
zone_bucket_at(const struct zone *zone, uint32_t index)
{
	return (struct zone_bucket *)(void *)(zone->first_bucket + index * zone->bucket_bytes);
}

static inline struct zone_entry *
zone_entry_at(const struct zone *zone, struct zone_bucket *bucket, uint32_t way)
{
	return (struct zone_entry *)(void *)((unsigned char *)(bucket + 1) + way * zone->stride);
}

/* The value of an entry, which begins with its count. */
static inline uint32_t *
zone_count_of(const struct zone *zone, struct zone_entry *entry)
{
	return (uint32_t *)(void *)(entry->key + zone->key_room);
}

/*
 * What stands above has been written before what stands below, as far as a SIGKILL can
 * tell: it comes between two instructions, and the locks order the rest.
 */
static inline void
zone_step(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

/* Locks a bucket. False when it cannot be had: no process may hang because another does. */
bool zone_lock(struct zone *zone, uint32_t slot, uint32_t index);
void zone_unlock(struct zone *zone, uint32_t slot, uint32_t index);

#endif
