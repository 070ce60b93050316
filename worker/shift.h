/*
 * shift - what all sessions of a worker share
 *
 * One a worker, made at its start: the loop, the ways to the outside, the numbers.
 * Sessions borrow it; what it calls upwards it was given as function pointers, so
 * nothing here knows worker.c. Built on: conf, loop, board, seat, auth, resolver, hostnames.
 */
#ifndef POSTERN_WORKER_SHIFT_H
#define POSTERN_WORKER_SHIFT_H

#include <stdint.h>

#include "common/board.h"
#include "common/conf.h"
#include "common/list.h"
#include "common/loop.h"
#include "worker/auth/auth.h"
#include "worker/net/hostnames.h"
#include "worker/net/resolver.h"
#include "worker/seat.h"

#define SHIFT_SCRATCH 65536

struct shift {
	const struct conf *conf;
	struct loop *loop;              /* owned by the worker, like the next three */
	struct resolver *resolver;
	struct hostnames **hostnames;   /* by the index of their conf_resolver; NULL: no server asks it */
	struct auth *auth;
	struct board *board;
	struct board_slot *slot;        /* this worker's numbers */
	uint32_t number;                /* of that slot: for zones */
	struct seats seats;
	struct list sessions;           /* struct session.node */
	unsigned session_count;
	uint32_t tag;                   /* random: with the connection's number, a session's id */
	/* A session has gone: seats may be free again. */
	void (*on_leave)(struct shift *shift);
	void *owner;                    /* whom on_leave belongs to */
	char scratch[SHIFT_SCRATCH];    /* where bytes rest between two system calls, never longer */
};

/* Adds to one of the slot's counters or gauges; relaxed: they are numbers to look at, not to act on. */
#define SHIFT_COUNT(shift, field, by) \
	((void)atomic_fetch_add_explicit(&(shift)->slot->field, (by), memory_order_relaxed))

#endif
