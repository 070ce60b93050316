#include <sched.h>
#include <string.h>
#include <time.h>

#include "common/board.h"
#include "common/must.h"
#include "common/zone_parts.h"

/*
 * Who died inside may have left anything half done. Its count and ledger line are put
 * back; entries that nobody holds are forgotten, for half a verdict is worse than none.
 * May itself be cut short and done again.
 */
static void
repair(struct zone *zone, struct zone_bucket *bucket)
{
	const struct zone_undo undo = bucket->undo;

	if (undo.active != 0 && undo.slot < BOARD_SLOTS && undo.line < ZONE_LINES && undo.way < ZONE_WAYS) {
		zone->ledgers[undo.slot].lines[undo.line] = undo.was_line;
		*zone_count_of(zone, zone_entry_at(zone, bucket, undo.way)) = undo.was_count;
	}
	zone_step();
	bucket->undo.active = 0;
	for (uint32_t way = 0; way < ZONE_WAYS; way++) {
		struct zone_entry *entry = zone_entry_at(zone, bucket, way);

		if (*zone_count_of(zone, entry) == 0)
			memset(entry, 0, zone->stride);
	}
}

#define SPINS 100u      /* about as long as anyone stays inside */
#define YIELDS 100u     /* it has been preempted */
#define NAPS 1000u      /* of 100 us: it is dead, and the master will say so, or stopped */

static void
wait_a_little(unsigned tries)
{
	static const struct timespec nap = { 0, 100000 };

	if (tries >= SPINS + YIELDS)
		nanosleep(&nap, NULL);
	else if (tries >= SPINS)
		sched_yield();
#if defined(__x86_64__)
	else
		__builtin_ia32_pause();
#endif
}

bool
zone_lock(struct zone *zone, uint32_t slot, uint32_t index)
{
	_Atomic uint32_t *word = &zone->locks[index];

	MUST(slot < BOARD_SLOTS);
	for (unsigned tries = 0; tries < SPINS + YIELDS + NAPS; tries++) {
		uint32_t found = atomic_load_explicit(word, memory_order_relaxed);
		bool left = (found & ZONE_ABANDONED) != 0;

		if ((found == 0 || left) && atomic_compare_exchange_strong(word, &found, slot + 1)) {
			if (left)
				repair(zone, zone_bucket_at(zone, index));
			return true;
		}
		wait_a_little(tries);
	}
	return false;
}

void
zone_unlock(struct zone *zone, uint32_t slot, uint32_t index)
{
	uint32_t mine = slot + 1;

	/* Should it not be ours any more, then whoever wrote there has to live with it. */
	atomic_compare_exchange_strong(&zone->locks[index], &mine, 0);
}

void
zone_unlock_dead(struct zone *zone, struct board_span dead)
{
	MUST(dead.first <= BOARD_SLOTS && dead.count <= BOARD_SLOTS - dead.first);
	for (uint32_t i = 0; i < zone->buckets; i++) {
		uint32_t found = atomic_load_explicit(&zone->locks[i], memory_order_relaxed);

		/* A lock word is 1 + the slot; that of one who lives is not ours to touch. */
		if (found > dead.first && found - dead.first <= dead.count)
			atomic_compare_exchange_strong(&zone->locks[i], &found, found | ZONE_ABANDONED);
	}
}
