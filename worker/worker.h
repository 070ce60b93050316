/*
 * worker - one process that serves clients until it is told to stop
 *
 * The master forks; the child calls worker_run(), which drops privileges, prepares
 * what needs a path, enters the sandbox, says READY on its channel and turns its loop
 * until QUIT (graceful) or TERM (now). It ends by itself when the master dies.
 * Built on: everything in worker/.
 */
#ifndef POSTERN_WORKER_WORKER_H
#define POSTERN_WORKER_WORKER_H

#include <stddef.h>
#include <stdint.h>

#include "common/board.h"
#include "common/conf.h"
#include "common/zone.h"

/* What a worker inherits. All of it is the child's own copy or shared memory. */
struct worker_birth {
	const struct conf *conf;
	struct board *board;
	uint32_t slot;
	unsigned index;         /* 0 .. worker_processes - 1: for the CPU affinity */
	int channel;            /* its end */
	int bell;               /* eventfd shared by the generation: rung by a worker that pauses accepting */
	struct zone *const *zones;      /* in which a dead worker of any generation may have held something */
	size_t zone_count;
};

/* Never returns. */
_Noreturn void worker_run(const struct worker_birth *birth);

#endif
