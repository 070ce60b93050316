/*
 * loop - one epoll loop: descriptors, timers and the work of the next turn
 *
 * A turn waits for events once, calls back for each, fires the timers that are due,
 * then runs the two ready lists and last the burials. `loop_again` is for work that
 * was cut short (a relay that moved its share); `loop_costly` for work that would
 * starve the others (handshakes): at most 2 ms of it a turn, oldest first. The clock
 * is read once a turn. Timers are a hierarchical wheel: setting and stopping cost the
 * same whatever their number. Any callback may close or free anything of its own; an
 * event that was already fetched for a removed descriptor is not delivered.
 * Built on: list, mem, must, wheel.
 */
#ifndef POSTERN_COMMON_LOOP_H
#define POSTERN_COMMON_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/list.h"

struct loop;

/* Embedded in whoever owns a descriptor. `events` are EPOLL* bits. */
struct loop_io {
	void (*on_events)(struct loop_io *io, uint32_t events);
	int fd;                 /* -1 when none */
	uint32_t turn;          /* loop's own: tells stale events from fresh ones; counts registrations */
};

/* Embedded; zeroed memory is a stopped timer. */
struct loop_timer {
	struct list node;
	uint64_t due_ms;        /* on the loop's clock; 0 when stopped */
	void (*on_time)(struct loop_timer *timer);
};

/* Embedded; zeroed memory is an idle task. A task is on one of the loop's lists at a time. */
struct loop_task {
	struct list node;
	void (*run)(struct loop_task *task);
};

struct loop *loop_new(unsigned events_a_turn);

/* Buries whoever still waits for that; no other task is run any more. */
void loop_free(struct loop **loopp);

/* Milliseconds of CLOCK_MONOTONIC, read at the start of the turn. */
uint64_t loop_now_ms(const struct loop *loop);

/*
 * Registers io->fd for `events` (EPOLLIN, EPOLLOUT, EPOLLET, EPOLLRDHUP, EPOLLEXCLUSIVE ...).
 * Returns 0, or -1 with errno.
 */
int loop_watch(struct loop *loop, struct loop_io *io, uint32_t events);
int loop_rewatch(struct loop *loop, struct loop_io *io, uint32_t events);

/* Takes the descriptor off the loop (does not close it). */
void loop_unwatch(struct loop *loop, struct loop_io *io);

/*
 * As loop_unwatch() and close(2) in one: the kernel forgets a descriptor that is closed. Sets
 * fd to -1. Not for a descriptor that another process has too: there the kernel would remember.
 */
void loop_close(struct loop *loop, struct loop_io *io);

/* Calls timer->on_time once, `in_ms` from now or a little later, never in this turn. A running timer is moved. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t in_ms);
void loop_timer_stop(struct loop_timer *timer);
bool loop_timer_is_set(const struct loop_timer *timer);

/* Runs task->run in the next turn, without a wait before it. A task that is queued already keeps its place. */
void loop_again(struct loop *loop, struct loop_task *task);

/* Runs task->run in this or a later turn, as the 2 ms a turn allow. A task that is queued already keeps its place. */
void loop_costly(struct loop *loop, struct loop_task *task);

/* Runs task->run at the very end of this turn, where the dead are buried, and on no other list. */
void loop_bury(struct loop *loop, struct loop_task *task);

/* Takes a task off whichever list it is on. */
void loop_drop(struct loop_task *task);

/* Coarsens the clock and the wait to multiples of `ms` (timer_resolution); 0: exact. */
void loop_set_resolution(struct loop *loop, unsigned ms);

/* Turns until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* One turn that waits at most `max_wait_ms` (-1: as long as it takes). For tests and the master's start. */
void loop_turn(struct loop *loop, int max_wait_ms);

#endif
