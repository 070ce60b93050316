/*
 * tlscache - sessions that any worker can resume, whichever made them
 *
 * A zone of serialized sessions, by name and size. A session takes as many entries as it
 * is long, most take one; one that holds a big client certificate is not kept at all. A
 * cache may forget, and an entry that has been overwritten in part is no session any
 * more. Built on: bequest, zone, mem.
 */
#ifndef POSTERN_COMMON_TLSCACHE_H
#define POSTERN_COMMON_TLSCACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "common/board.h"

#define TLSCACHE_MAX 3840       /* bytes of the longest session that is kept */
#define TLSCACHE_ID 32          /* bytes of the longest id */

struct tlscache;

struct bequest;

/* That of the master before (`left`, or NULL), or an empty one. NULL with errno: ENOSPC when `bytes` are too few. */
struct tlscache *tlscache_new(const char *name, size_t bytes, struct bequest *left);

/* False if it cannot be left to another master. */
bool tlscache_leave_to(const struct tlscache *cache, struct bequest *bequest);
void tlscache_free(struct tlscache **cachep);

/* Keeps `len` bytes until `expiry`, if it can; `slot` as for zones. */
void tlscache_put(struct tlscache *cache, uint32_t slot, const unsigned char *id, size_t id_len,
    const unsigned char *bytes, size_t len, time_t expiry);

/* Copies the session into `room` (TLSCACHE_MAX bytes), and returns its length; 0 when there is none. */
size_t tlscache_get(struct tlscache *cache, uint32_t slot, const unsigned char *id, size_t id_len,
    unsigned char *room, time_t now);

void tlscache_forget(struct tlscache *cache, uint32_t slot, const unsigned char *id, size_t id_len);

/* As zone_unlock_dead(). */
void tlscache_unlock_dead(struct tlscache *cache, struct board_span dead);

#endif
