/*
 * zone - a named table in memory that all processes share
 *
 * A sealed memfd with a magic, a layout version and a hash of its parameters, made by
 * the master, mapped by the children. Entries are of one size and live in small
 * buckets; each bucket has one lock word that holds the slot (board) of the process
 * inside it, and no system call is made under it. When a child dies, zone_unlock_dead()
 * frees its locks; who next comes to such a bucket first sets it right, and forgets the
 * entries in it that nobody holds, since the dead one may have written half of one. An
 * entry that must not leak (a count that a session holds) stands in the ledger of its
 * holder too, and both always agree; when the holder dies, a worker settles the ledger
 * with zone_settle(). The master maps zones but treats what is in them as hostile: it
 * never follows anything it reads there.
 *
 * Caches may forget, counts may not. A bucket whose lock cannot be had within a fraction
 * of a second (somebody stopped, or went mad, inside it) serves nobody: finding gives
 * NULL and holding 0. Built on: must, mem, memfd, siphash, board.
 */
#ifndef POSTERN_COMMON_ZONE_H
#define POSTERN_COMMON_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/board.h"

struct zone;

struct zone_spec {
	const char *kind;       /* "limit", "auth_cache" ...: which module's entries these are */
	const char *name;       /* the operator's name for it */
	size_t bytes;           /* of memory, the whole table; the ledgers come on top as they are used */
	uint32_t entry_bytes;   /* one entry's value, which begins with a uint32_t: its count of holds */
	uint32_t key_bytes;     /* one entry's key: fixed, hashed by the caller if it is longer */
	uint64_t parameters;    /* a hash of whatever else must agree for the contents to be kept */
};

/* A new, empty zone. NULL with errno when there is no room for it; ENOSPC: `bytes` holds not even one bucket. */
struct zone *zone_new(const struct zone_spec *spec);

/*
 * Maps the zone behind `fd` (taken over on success). NULL with errno; EINVAL: it is none of ours or
 * was made for another spec.
 */
struct zone *zone_open(int fd, const struct zone_spec *spec);

void zone_free(struct zone **zonep);
int zone_fd(const struct zone *zone);
const struct zone_spec *zone_spec_of(const struct zone *zone);

/* Is this the same table: kind, name, sizes and parameters? Then a reload keeps it. */
bool zone_fits(const struct zone *zone, const struct zone_spec *spec);

/*
 * Finds the entry of `key`, makes it (zeroed) if `make` and there is room, perhaps by
 * evicting the least recently used entry of its bucket whose first word, its hold
 * count, is zero. Returns the value, aligned for uint64_t, with its bucket locked by
 * `slot`, or NULL, then nothing is locked. Follow with zone_done(), soon and before
 * anything else is asked of the zone.
 */
void *zone_find(struct zone *zone, uint32_t slot, const void *key, bool make);
void zone_done(struct zone *zone, uint32_t slot, void *entry);

/*
 * Holds: counts in entries that belong to a process. zone_hold() adds 1 to the entry's
 * first word and writes the holder's ledger, unless that would pass `limit`; returns a
 * handle (0: over the limit or no room). zone_drop() takes it back; should the bucket
 * not be had, it stays in the ledger until the process ends. A process holds under one
 * slot, and at most 65536 holds in a zone.
 */
uint32_t zone_hold(struct zone *zone, uint32_t slot, const void *key, uint32_t limit);
void zone_drop(struct zone *zone, uint32_t slot, uint32_t handle);

/* Frees the bucket locks that the slots `dead` held. The master may call it. */
void zone_unlock_dead(struct zone *zone, struct board_span dead);

/*
 * Gives back every hold in the ledgers of the slots `dead`, whose locks have been freed and
 * which nobody has taken again. Only a worker calls it, under its own `slot`. False if a
 * bucket could not be had and another call is needed.
 */
bool zone_settle(struct zone *zone, uint32_t slot, struct board_span dead);

#endif
