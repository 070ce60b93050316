/*
 * wheel - the timers of a loop, on a clock that its owner turns
 *
 * Eleven wheels of 64 slots, each turning 64 times slower than the one below it, hold
 * every time that 64 bits can name. A timer lies on the lowest wheel whose present
 * turn reaches its time and moves down as the time comes near, so that adding,
 * stopping and finding the next cost the same whatever their number. It stands apart
 * from loop so that tests can turn the clock by hand. Built on: list, must.
 */
#ifndef POSTERN_COMMON_WHEEL_H
#define POSTERN_COMMON_WHEEL_H

#include <stdint.h>

#include "common/list.h"
#include "common/loop.h"

#define WHEEL_BITS 6
#define WHEEL_SLOTS (1u << WHEEL_BITS)
#define WHEEL_LEVELS 11
#define WHEEL_NEVER UINT64_MAX

struct wheel {
	uint64_t now_ms;                        /* all that was due up to here has been called */
	uint64_t occupied[WHEEL_LEVELS];        /* a bit a slot; may be set for one that is empty */
	struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *wheel, uint64_t now_ms);

/* Adds a stopped timer. `due_ms` lies after wheel->now_ms. */
void wheel_add(struct wheel *wheel, struct loop_timer *timer, uint64_t due_ms);

/* When to turn the wheel next: no timer is due before. Or WHEEL_NEVER. */
uint64_t wheel_next(struct wheel *wheel);

/* Turns to `now_ms` and calls back for each timer due by then, in the order of their times. */
void wheel_turn(struct wheel *wheel, uint64_t now_ms);

#endif
