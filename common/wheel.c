#include "common/wheel.h"

#include <stdbool.h>

#include "common/must.h"

/* A slot that holds timers, and the first moment that it covers. */
struct place {
	unsigned level, slot;
	uint64_t starts_ms;
};

void
wheel_init(struct wheel *wheel, uint64_t now_ms)
{
	wheel->now_ms = now_ms;
	for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
		wheel->occupied[level] = 0;
		for (unsigned slot = 0; slot < WHEEL_SLOTS; slot++)
			list_init(&wheel->slots[level][slot]);
	}
}

/* The highest bit in which its time and the present differ says on which wheel it lies. */
static void
put(struct wheel *wheel, struct loop_timer *timer)
{
	unsigned highest = 63 - (unsigned)__builtin_clzll((timer->due_ms ^ wheel->now_ms) | 1);
	unsigned level = highest / WHEEL_BITS;
	unsigned slot = (unsigned)(timer->due_ms >> level * WHEEL_BITS) % WHEEL_SLOTS;

	list_add(&wheel->slots[level][slot], &timer->node);
	wheel->occupied[level] |= UINT64_C(1) << slot;
}

void
wheel_add(struct wheel *wheel, struct loop_timer *timer, uint64_t due_ms)
{
	MUST(due_ms > wheel->now_ms);
	timer->due_ms = due_ms;
	put(wheel, timer);
}

/* Stopping a timer leaves its slot's bit behind; it goes when somebody looks. */
static bool
find_on_level(struct wheel *wheel, unsigned level, struct place *first)
{
	uint64_t present = wheel->now_ms >> level * WHEEL_BITS;
	uint64_t reachable = UINT64_MAX << present % WHEEL_SLOTS;
	uint64_t bits;

	while ((bits = wheel->occupied[level] & reachable) != 0) {
		unsigned slot = (unsigned)__builtin_ctzll(bits);

		if (!list_is_empty(&wheel->slots[level][slot])) {
			first->level = level;
			first->slot = slot;
			first->starts_ms = (present - present % WHEEL_SLOTS + slot) << level * WHEEL_BITS;
			return true;
		}
		wheel->occupied[level] &= ~(UINT64_C(1) << slot);
	}
	return false;
}

/* Whatever lies on a lower wheel comes before all that lies on a higher one. */
static bool
find_first(struct wheel *wheel, struct place *first)
{
	for (unsigned level = 0; level < WHEEL_LEVELS; level++)
		if (find_on_level(wheel, level, first))
			return true;
	return false;
}

uint64_t
wheel_next(struct wheel *wheel)
{
	struct place first;

	return find_first(wheel, &first) ? first.starts_ms : WHEEL_NEVER;
}

/* Calls back for what is due in a slot that the present has reached; the rest moves to lower wheels. */
static void
empty_slot(struct wheel *wheel, const struct place *at)
{
	struct list reached;

	list_init(&reached);
	list_move_all(&reached, &wheel->slots[at->level][at->slot]);
	wheel->occupied[at->level] &= ~(UINT64_C(1) << at->slot);
	while (!list_is_empty(&reached)) {
		struct loop_timer *timer = LIST_ENTRY(reached.next, struct loop_timer, node);

		list_remove(&timer->node);
		if (timer->due_ms > wheel->now_ms) {
			put(wheel, timer);
			continue;
		}
		timer->due_ms = 0;
		timer->on_time(timer);
	}
}

void
wheel_turn(struct wheel *wheel, uint64_t now_ms)
{
	struct place first;

	while (find_first(wheel, &first) && first.starts_ms <= now_ms) {
		/* A slot of level 0 may be the present one: its timers moved down just now. */
		if (first.starts_ms > wheel->now_ms)
			wheel->now_ms = first.starts_ms;
		empty_slot(wheel, &first);
	}
	if (now_ms > wheel->now_ms)
		wheel->now_ms = now_ms;
}
