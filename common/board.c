#include "common/board.h"

#include <stdalign.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/memfd.h"
#include "common/must.h"

/* What all processes see; any of them may have gone mad and written anything. */
struct shared {
	alignas(64) _Atomic uint64_t connections;
	alignas(64) _Atomic uint32_t used;      /* slots from here on were never taken */
	alignas(64) struct board_slot slots[BOARD_SLOTS];
};

struct board {
	struct shared *shared;          /* mapped */
	struct board_span ours;
	bool taken[BOARD_SLOTS];        /* the master's own knowledge: it gives no slot away twice */
};

struct board *
board_new(unsigned half)
{
	struct board *board = mem_alloc(sizeof(*board));
	int fd = memfd_new("postern-board", sizeof(struct shared));

	if (fd == -1 || (board->shared = memfd_map(fd, sizeof(struct shared))) == NULL)
		must_die("no memory for the board");
	/* Children inherit the map; nobody needs the descriptor. */
	close(fd);
	MUST(half <= 1);
	board->ours = BOARD_HALF_OF(half);
	return board;
}

void
board_free(struct board **boardp)
{
	if (*boardp == NULL)
		return;
	munmap((*boardp)->shared, sizeof(struct shared));
	mem_free(*boardp);
	*boardp = NULL;
}

static void
clear_gauges(struct board_slot *slot)
{
	slot->pid = 0;
	slot->generation = 0;
	slot->draining = 0;
	slot->sessions = 0;
	slot->logged_in = 0;
	slot->paused = 0;
}

uint32_t
board_take(struct board *board, enum board_kind kind, uint32_t generation)
{
	uint32_t index = board->ours.first, end = index + board->ours.count;
	struct board_slot *slot;

	MUST(kind != BOARD_FREE);
	while (index < end && board->taken[index])
		index++;
	if (index == end)
		return BOARD_NO_SLOT;
	board->taken[index] = true;
	slot = &board->shared->slots[index];
	clear_gauges(slot);
	memset(slot->last_words, 0, sizeof(slot->last_words));
	slot->generation = generation;
	slot->kind = kind;
	if (index >= board->shared->used)
		board->shared->used = index + 1;
	return index;
}

void
board_vacate(struct board *board, uint32_t slot)
{
	MUST(slot < BOARD_SLOTS && board->taken[slot]);
	board->shared->slots[slot].kind = BOARD_FREE;
	clear_gauges(&board->shared->slots[slot]);
}

void
board_release(struct board *board, uint32_t slot)
{
	board_vacate(board, slot);
	board->taken[slot] = false;
}

struct board_slot *
board_slot(struct board *board, uint32_t slot)
{
	MUST(slot < BOARD_SLOTS);
	return &board->shared->slots[slot];
}

uint64_t
board_next_connection(struct board *board)
{
	return atomic_fetch_add_explicit(&board->shared->connections, 1, memory_order_relaxed) + 1;
}

/* Does it compete for connections with the others of its generation? */
static bool
accepts(const struct board_slot *slot, uint32_t generation)
{
	return slot->kind == BOARD_WORKER && slot->generation == generation && slot->draining == 0 && slot->paused == 0;
}

uint32_t
board_mean_sessions(struct board *board, uint32_t generation, uint32_t *workers)
{
	uint32_t used = board->shared->used, count = 0;
	uint64_t sessions = 0;

	for (uint32_t i = board->ours.first; i < used && i < BOARD_SLOTS; i++) {
		const struct board_slot *slot = &board->shared->slots[i];

		if (accepts(slot, generation)) {
			sessions += slot->sessions;
			count++;
		}
	}
	*workers = count;
	return count > 0 ? (uint32_t)(sessions / count) : 0;
}
