#include "common/board.h"
#include "common/mem.h"
#include "common/must.h"
#include "common/zone_parts.h"

#define NO_LINE UINT32_MAX

/* The number of an entry, from its count, and back. A number that was read from the memory is checked first. */
static uint32_t
number_of(const struct zone *zone, const uint32_t *count)
{
	size_t at = (size_t)((const unsigned char *)count - zone->first_bucket);
	size_t way = (at % zone->bucket_bytes - sizeof(struct zone_bucket)) / zone->stride;

	return (uint32_t)(at / zone->bucket_bytes * ZONE_WAYS + way + 1);
}

static uint32_t
bucket_of(uint32_t number)
{
	return (number - 1) / ZONE_WAYS;
}

static uint32_t *
count_by_number(const struct zone *zone, uint32_t number)
{
	struct zone_bucket *bucket = zone_bucket_at(zone, bucket_of(number));

	return zone_count_of(zone, zone_entry_at(zone, bucket, (number - 1) % ZONE_WAYS));
}

/* Changes the count of an entry and the line that stands for it: both, or neither. Its bucket is locked. */
static void
change(struct zone *zone, uint32_t slot, uint32_t line, uint32_t number, uint32_t new_line, uint32_t new_count)
{
	struct zone_undo *undo = &zone_bucket_at(zone, bucket_of(number))->undo;
	uint32_t *count = count_by_number(zone, number), *entered = &zone->ledgers[slot].lines[line];

	undo->slot = slot;
	undo->line = line;
	undo->was_line = *entered;
	undo->way = (number - 1) % ZONE_WAYS;
	undo->was_count = *count;
	zone_step();
	undo->active = 1;
	zone_step();
	*entered = new_line;
	*count = new_count;
	zone_step();
	undo->active = 0;
	zone_step();
}

static uint32_t
take_line(struct zone *zone, uint32_t slot)
{
	struct zone_ledger *ledger = &zone->ledgers[slot];

	MUST(slot < BOARD_SLOTS && (zone->holder == slot || zone->holder == BOARD_NO_SLOT));
	zone->holder = slot;
	while (zone->spare_count > 0) {
		uint32_t line = zone->spare[--zone->spare_count];

		if (ledger->lines[line] == 0)
			return line;
	}
	while (zone->next_line < ZONE_LINES) {
		uint32_t line = zone->next_line++;

		/* What a predecessor in this slot left is not ours to write over. */
		if (zone->uses[slot] <= line)
			zone->uses[slot] = line + 1;
		if (ledger->lines[line] == 0)
			return line;
	}
	return NO_LINE;
}

static void
spare_line(struct zone *zone, uint32_t line)
{
	if (zone->spare_count == zone->spare_size) {
		zone->spare_size = zone->spare_size > 0 ? 2 * zone->spare_size : 64;
		zone->spare = mem_resize(zone->spare, zone->spare_size * sizeof(*zone->spare));
	}
	zone->spare[zone->spare_count++] = line;
}

uint32_t
zone_hold(struct zone *zone, uint32_t slot, const void *key, uint32_t limit)
{
	uint32_t line = take_line(zone, slot), handle = 0;
	uint32_t *count;

	if (line == NO_LINE)
		return 0;
	count = zone_find(zone, slot, key, true);
	if (count != NULL && *count < limit) {
		uint32_t number = number_of(zone, count);

		change(zone, slot, line, number, number, *count + 1);
		handle = line + 1;
	}
	if (count != NULL)
		zone_done(zone, slot, count);
	if (handle == 0)
		spare_line(zone, line);
	return handle;
}

/* Gives back what a line of `owner` stands for. False if it has to stand because its bucket cannot be had. */
static bool
settle_line(struct zone *zone, uint32_t slot, uint32_t owner, uint32_t line)
{
	uint32_t *entered = &zone->ledgers[owner].lines[line];
	uint32_t number = *entered;

	if (number > zone->buckets * ZONE_WAYS)
		number = *entered = 0;
	if (number == 0)
		return true;
	if (!zone_lock(zone, slot, bucket_of(number)))
		return false;
	/* Getting the lock may have taken back what the dead one had only begun. */
	if (*entered == number) {
		uint32_t count = *count_by_number(zone, number);

		change(zone, owner, line, number, 0, count > 0 ? count - 1 : 0);
	}
	zone_unlock(zone, slot, bucket_of(number));
	return true;
}

void
zone_drop(struct zone *zone, uint32_t slot, uint32_t handle)
{
	MUST(handle > 0 && handle <= ZONE_LINES && slot == zone->holder);
	if (settle_line(zone, slot, slot, handle - 1))
		spare_line(zone, handle - 1);
}

/* Sets right what the dead left locked: a line that was being cleared may come back with it. */
static bool
mend(struct zone *zone, uint32_t slot)
{
	bool all = true;

	for (uint32_t i = 0; i < zone->buckets; i++) {
		if ((zone->locks[i] & ZONE_ABANDONED) == 0)
			continue;
		if (zone_lock(zone, slot, i))
			zone_unlock(zone, slot, i);
		else
			all = false;
	}
	return all;
}

static bool
settle_ledger(struct zone *zone, uint32_t slot, uint32_t dead)
{
	uint32_t used = zone->uses[dead];
	bool all = true;

	for (uint32_t line = 0; line < used && line < ZONE_LINES; line++)
		if (!settle_line(zone, slot, dead, line))
			all = false;
	if (all)
		zone->uses[dead] = 0;
	return all;
}

bool
zone_settle(struct zone *zone, uint32_t slot, struct board_span dead)
{
	bool all;

	MUST(slot < BOARD_SLOTS && dead.first <= BOARD_SLOTS && dead.count <= BOARD_SLOTS - dead.first);
	MUST(slot < dead.first || slot - dead.first >= dead.count);
	all = mend(zone, slot);
	for (uint32_t i = 0; i < dead.count; i++)
		if (!settle_ledger(zone, slot, dead.first + i))
			all = false;
	return all;
}
