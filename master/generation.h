/*
 * generation - a configuration in force, or on its way there or out
 *
 * It owns a struct conf with everything that was opened for it, and the places of its
 * workers. A reload makes another one beside it; the old one is retired and goes with
 * its last worker, and what it shares (sockets, sources) has been handed on by then.
 * Built on: conf, spawn, source, listener, logfile, tls_build, zones.
 */
#ifndef POSTERN_MASTER_GENERATION_H
#define POSTERN_MASTER_GENERATION_H

#include <stdbool.h>

#include "common/list.h"
#include "master/spawn.h"

struct board;
struct conf;
struct generation;
struct inherited;
struct sources;
struct tlspool;
struct zone;
struct zones;

enum generation_state {
	GENERATION_STARTING,    /* not all of its children have said READY */
	GENERATION_SERVING,
	GENERATION_FAILED,      /* a worker, or a helper before it was ready, cannot be had */
	GENERATION_UNFIT,       /* its sources do not serve what its servers offer; that has been said */
};

/* What a new worker is given. */
struct generation_birth {
	const struct conf *conf;
	struct board *board;
	uint32_t slot;
	unsigned index;         /* among the workers of its generation */
	int channel;
	int bell;
	struct zone **zones;    /* owned: all in which any generation's workers may hold something */
	size_t zone_count;
};

/* What all generations of a master share. */
struct generation_means {
	struct spawn *spawn;
	struct sources *sources;
	struct tlspool *tls;
	struct zones *zones;
	int pipe;               /* what workers keep open as long as they may hold something in a zone; borrowed */
	struct inherited *inherited;    /* owned, until the first generation has what it wants; then NULL */
	void (*run)(const struct generation_birth *birth);      /* in a new worker; does not return */
	struct list all;        /* every generation there is */
	void (*changed)(void *ctx);     /* look at generation_state() of those that matter */
	void *ctx;
};

/*
 * Takes `conf` over: opens its logs, builds its TLS contexts, makes its zones and opens its
 * listening sockets, which are taken from `old` (NULL: there is none) or from what was
 * inherited, where they are the same. Forks nobody. NULL with the reason logged when that fails,
 * and then `conf` is gone and `old` is as it was.
 */
struct generation *generation_open(struct generation_means *means, struct conf *conf,
    const struct generation *old);

/* Forks helpers of sources that are new, and the workers. Returns 0, or -1 with the reason logged: discard it. */
int generation_start(struct generation *generation);

/* While somebody holds it, a generation stays where it is, though its workers may be gone. */
void generation_hold(struct generation *generation);
void generation_release(struct generation *generation);

enum generation_state generation_state(struct generation *generation);
struct conf *generation_conf(struct generation *generation);

/* `old` hands its sockets on to its successor, and is to be retired. */
void generation_succeed(struct generation *generation, struct generation *old);

/*
 * Ends a generation that was never in force: closes what it opened, kills the workers that
 * are not ready; the others, which may have clients by now, finish with them. `old` as in
 * generation_open().
 */
void generation_discard(struct generation *generation, const struct generation *old);

/* Signals all workers, and fills their places no more; with the last one it goes, perhaps at once. */
void generation_retire(struct generation *generation, int signal);

/*
 * Lets the workers finish with their clients, and has no others in their stead, until new ones
 * are started. Sockets and helpers stay. Returns 0, or -1 with the reason logged: then it rests on.
 */
void generation_rest(struct generation *generation);
int generation_resume(struct generation *generation);
bool generation_rests(const struct generation *generation);

/* As generation_retire() for every generation there is; their listening sockets are closed before. */
void generations_end(struct generation_means *means, int signal);

/* Reopens the log files of every generation, and sends them to its workers. */
void generations_reopen_logs(struct generation_means *means);

#endif
