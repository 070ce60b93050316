/*
 * upgrade - a new binary, as a master beside this one
 *
 * The program that we were started from is started again, whatever file has that name now,
 * with our arguments, and with a heritage. Both masters serve until an operator ends one of
 * them. Here is known who else there is: the master that this one came from, or the one that
 * came from it. A new one is refused while there is another.
 *
 * What all processes of a master may hold in zones is safe to touch only when all of them have
 * gone, not just the master. Each that may hold something has the writing end of its
 * master's pipe; the other master has the reading end, and is told by the kernel.
 * Built on: board, heritage, list, log, loop, mem.
 */
#ifndef POSTERN_MASTER_UPGRADE_H
#define POSTERN_MASTER_UPGRADE_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/board.h"

struct heritage;
struct loop;
struct upgrade;

struct upgrade_events {
	void *ctx;
	/* The new master is gone, or could not be started: what it took from us is ours again. */
	void (*failed)(void *ctx);
	/* Nobody of the other master's is left, those were their slots. */
	void (*alone)(void *ctx, struct board_span dead);
};

/* `heritage`: what this master was left; NULL: it was started plainly. Ends the process if it has no descriptors. */
struct upgrade *upgrade_new(struct loop *loop, const struct heritage *heritage, const struct upgrade_events *events);
void upgrade_free(struct upgrade **upgradep);

/* The half of the slots that is ours to give away. */
unsigned upgrade_half(const struct upgrade *upgrade);

/* What every process that holds something in zones must keep open to its end. */
int upgrade_pipe(const struct upgrade *upgrade);

/* The master that we came from, if it lives, else 0; and the one that came from us. */
pid_t upgrade_parent(const struct upgrade *upgrade);
pid_t upgrade_child(const struct upgrade *upgrade);

/* May any process of the other master still live? */
bool upgrade_has_others(const struct upgrade *upgrade);

/*
 * Starts `program`. `heritage` has sockets, zones and keys of ours; the rest of it is filled in
 * here. `prepare` is called in the new process before exec. Returns 0, or -1 with the reason logged.
 */
int upgrade_start(struct upgrade *upgrade, const char *program, char *const *argv, struct heritage *heritage,
    void (*prepare)(void *ctx));

/* Takes note of a reaped process. Returns false if it was not the new master. */
bool upgrade_reaped(struct upgrade *upgrade, pid_t pid, int status);

#endif
