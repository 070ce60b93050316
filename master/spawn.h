/*
 * spawn - children, and the places that they fill
 *
 * A place wants one process: a worker with its number, a helper of a source. When the
 * process dies, the place is filled again, at once the first time and then with growing
 * patience, until the place is retired. Before a place has been filled by a process that
 * said READY nothing is filled again: whoever made the place is told that it failed.
 * What children say is trusted to be nothing but a message of the right size.
 * Built on: board, ipc, list, loop, log.
 */
#ifndef POSTERN_MASTER_SPAWN_H
#define POSTERN_MASTER_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/board.h"
#include "common/list.h"
#include "common/loop.h"

struct ipc_message;
struct place;
struct spawn;

/* What a place is for: one static table a kind of children. All but `become` run in the master. */
struct place_role {
	const char *name;       /* what log lines call its processes: "worker process" */
	enum board_kind kind;
	/* IPC_EXIT_FATAL is its word; off: foreign code runs there, which may exit with any status */
	bool knows_end;
	/* In the new process, which still holds everything: becomes what it is to be, never returns. */
	void (*become)(struct place *place, int channel);
	/*
	 * A process was forked; NULL: there is nothing to tell it. Returns 0, or -1 with the reason
	 * logged: it is killed.
	 */
	int (*started)(struct place *place);
	/* the first process of the place serves; IPC_READY's value */
	void (*ready)(struct place *place, int64_t value);
	/* IPC_FED or IPC_UNFED came; NULL: it has no business to */
	void (*fed)(struct place *place, const struct ipc_message *message);
	void (*room)(struct place *place);      /* place_tell() gave 1, now there is room; NULL: then it fails */
	void (*failed)(struct place *place);    /* the place is empty and stays so */
	void (*gone)(struct place *place);      /* the retired place is empty: its memory may go */
};

/* Embedded in whoever wants the process, and zero at first. */
struct place {
	struct list node;
	struct spawn *spawn;            /* NULL until place_open() */
	const struct place_role *role;
	uint32_t generation;
	uint32_t slot;                  /* on the board, while there is a process */
	pid_t pid;                      /* 0: nobody there */
	uint64_t birth;                 /* its process is the n-th of all */
	struct loop_io channel;         /* the master's end */
	struct loop_timer timer;        /* to fill the place; once it is retired, to kill */
	bool heard;                     /* its process has said READY, or that it cannot */
	bool proven;                    /* one of its processes has said READY */
	bool retired;
	unsigned quick_deaths;          /* in a row */
	uint64_t started_ms;
};

/* `respawn` off: no place is ever filled a second time. */
struct spawn *spawn_new(struct loop *loop, struct board *board, bool respawn);

/* There must be no place left. */
void spawn_free(struct spawn **spawnp);

struct board *spawn_board(const struct spawn *spawn);

/* Who looks after what a process leaves behind. */
struct spawn_heir {
	void *ctx;
	/* The place has a slot and a channel: what it is told now, its process will read before all else. */
	void (*awaited)(void *ctx, struct place *place);
	/*
	 * The place's process is dead (pid 0: could not be forked). May its slot be taken again?
	 * Else board_release() it later.
	 */
	bool (*left)(void *ctx, struct place *place);
	/* IPC_SETTLED came. False if that means nothing. */
	bool (*settled)(void *ctx, struct place *place, const struct ipc_message *message);
};

/* `heir` is borrowed. */
void spawn_set_heir(struct spawn *spawn, const struct spawn_heir *heir);
bool spawn_is_empty(const struct spawn *spawn);

/* Calls `visit` with every place until it returns true; returns that one, or NULL. */
struct place *spawn_find(struct spawn *spawn, bool (*visit)(void *ctx, struct place *place), void *ctx);

/* From now on no place is filled a second time. */
void spawn_no_more(struct spawn *spawn);

/* Takes note of a reaped process. Returns false if it was none of ours. */
bool spawn_reaped(struct spawn *spawn, pid_t pid, int status);

/* Sends `signal` to every process there is. */
void spawn_signal_all(struct spawn *spawn, int signal);

/*
 * Makes the place and forks its first process. Returns 0, or -1 with the reason logged, and then
 * there is no such place.
 */
int place_open(struct spawn *spawn, struct place *place, const struct place_role *role, uint32_t generation);

/* Sends a message to the process, if there is one and it has room for it now. Returns 0, or -1. */
int place_offer(struct place *place, const struct ipc_message *message);

/*
 * Sends a message to the process, with a descriptor or -1. Returns 0, also when nobody is
 * there; -1 with the reason logged; or 1 when the process has not read what it was sent
 * before, and there is a role->room to be called when it has.
 */
int place_tell(struct place *place, const struct ipc_message *message, int fd);

/* If the place waits to be filled again, it has waited long enough: something has changed. */
void place_hurry(struct place *place);

/*
 * The place will not be filled again. Its process gets `signal`; 0: its channel is closed
 * instead, and it is killed if that does not end it in seconds. role->gone may come from
 * within. Retiring twice sends the signal again.
 */
void place_retire(struct place *place, int signal);

#endif
