/*
 * authcache - how answers of sources lie in shared memory
 *
 * An auth_cache is two zones: what was accepted, and what was refused or not known, so
 * that no amount of wrong passwords evicts a right one. The master makes them and reads
 * nothing there; workers (auth_cache) fill them. No entry holds a password, nor anything
 * by which one could be guessed without the cache's secret: its key and its proof are
 * HMACs, its text is encrypted. Built on: zone.
 */
#ifndef POSTERN_COMMON_AUTHCACHE_H
#define POSTERN_COMMON_AUTHCACHE_H

#include <stddef.h>
#include <stdint.h>

#include "common/zone.h"

#define AUTHCACHE_BYTES_MIN 32768u      /* of a cache: less has no room for both zones */
#define AUTHCACHE_KEY 32
#define AUTHCACHE_TEXT 300              /* bytes of an answer; a longer one is not kept */

enum authcache_zone { AUTHCACHE_ACCEPTED, AUTHCACHE_REFUSED };

struct authcache_entry {
	uint32_t holds;                 /* always 0: any may be evicted */
	uint32_t zero;
	uint64_t until_ms;              /* CLOCK_MONOTONIC; 0: nothing is here yet */
	uint64_t epoch;                 /* of what the source answered from */
	unsigned char proof[32];        /* that the same secret was shown */
	unsigned char nonce[12], tag[16];       /* of AES-256-GCM */
	unsigned char text[AUTHCACHE_TEXT];
};

_Static_assert(sizeof(struct authcache_entry) == 384, "padding in authcache_entry");

/*
 * The spec of one of the two zones of a cache that is called `name`, which is borrowed,
 * and has `bytes` in all: a quarter of it is for refusals, or what the smallest needs.
 */
struct zone_spec authcache_spec(const char *name, size_t bytes, enum authcache_zone which);

#endif
