/*
 * board - numbers of every child, in memory that all of them share
 *
 * A sealed, sparse memfd: a header that all share and one slot a child, over all
 * generations. Only counters live here, never sessions. A child writes its own slot;
 * the master and the siblings read, and trust nothing they read beyond its being a
 * number. When a slot is taken again its gauges start at zero; its counters go on.
 * The last words of a child stand in its slot, where the master finds them after the
 * death.
 *
 * A slot's number stands for a child in zones too, which two masters share during an
 * upgrade. Therefore a master gives away half of the numbers, and the one that follows it
 * the other half. Built on: must, mem, memfd.
 */
#ifndef POSTERN_COMMON_BOARD_H
#define POSTERN_COMMON_BOARD_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#define BOARD_SLOTS 2048
#define BOARD_HALF (BOARD_SLOTS / 2)
#define BOARD_NO_SLOT UINT32_MAX

/* Slots in a row, that have one fate. */
struct board_span {
	uint32_t first, count;
};

/* A slot alone, and half of all, the lower (0) or the upper one (1). */
#define BOARD_ONE(slot) ((struct board_span){ (slot), 1 })
#define BOARD_HALF_OF(half) ((struct board_span){ (half) * BOARD_HALF, BOARD_HALF })

enum board_kind { BOARD_FREE, BOARD_WORKER, BOARD_HELPER };

struct board_slot {
	_Atomic uint32_t kind;          /* enum board_kind; the master's to write */
	_Atomic uint32_t pid;
	_Atomic uint32_t generation;
	_Atomic uint32_t draining;      /* 1: accepts no more; the worker's to write */
	/* gauges */
	_Atomic uint32_t sessions;      /* clients connected now */
	_Atomic uint32_t logged_in;     /* of them in a relay */
	_Atomic uint32_t paused;        /* 1: no descriptors left for another login */
	/* counters */
	_Atomic uint64_t accepted, logins, failures;
	_Atomic uint64_t bytes_in, bytes_out;   /* client to backend, backend to client; after login */
	char last_words[256];           /* NUL-terminated by whoever reads */
};

struct board;

/*
 * Made by the master before its first fork; mapped by all children. It gives away this half (0
 * or 1). Ends the process if it cannot be had.
 */
struct board *board_new(unsigned half);
void board_free(struct board **boardp);

/*
 * The master's: takes the lowest free slot of its half, gauges zero, last words empty. Returns its index,
 * or BOARD_NO_SLOT if all are taken. Releasing leaves the counters and the last words. A
 * slot may be vacated before: then it counts as nobody's, but is not taken again.
 */
uint32_t board_take(struct board *board, enum board_kind kind, uint32_t generation);
void board_vacate(struct board *board, uint32_t slot);
void board_release(struct board *board, uint32_t slot);

struct board_slot *board_slot(struct board *board, uint32_t slot);

/* A number that no other connection of this master has, counting from 1. */
uint64_t board_next_connection(struct board *board);

/*
 * What the accepting workers of `generation` (neither draining nor paused) hold on
 * average, in sessions, rounded down, and how many such workers there are. For balanced
 * accepting.
 */
uint32_t board_mean_sessions(struct board *board, uint32_t generation, uint32_t *workers);

#endif
