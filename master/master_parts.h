/*
 * master_parts - what the master knows, for master and master_upgrade alone
 *
 * Built on: what is in it.
 */
#ifndef POSTERN_MASTER_MASTER_PARTS_H
#define POSTERN_MASTER_MASTER_PARTS_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/log.h"
#include "common/loop.h"
#include "master/generation.h"
#include "master/spawn.h"
#include "master/upgrade.h"

struct board;
struct feed;
struct master_order;
struct notify;
struct reload;
struct settle;
struct sources;

enum phase { STARTING, SERVING, QUITTING, STOPPING };

struct master {
	enum phase phase;
	int status;                     /* to exit with */
	const struct master_order *order;
	struct loop *loop;
	struct board *board;
	struct spawn *spawn;
	struct spawn_heir heir;
	struct settle *settle;
	struct feed *feed;
	struct sources *sources;
	struct generation_means means;
	struct notify *notify;
	struct generation *current;     /* held: in force, or about to be; its log is the process's */
	struct reload *reload;
	bool reload_wanted;             /* asked for before there was anything to reload */
	char *pid_path;                 /* owned; NULL until the file is written */
	struct loop_io signals;
	struct loop_timer limit;        /* of the start, later of the stop */
	struct loop_timer recall;       /* until it is tried again to have workers after a rest */
	struct loop_timer tickets;      /* until the keys of session tickets are due */
	bool tickets_due;               /* they are, and wait for the end of an upgrade */
	struct loop_task look;          /* at what has changed, outside of others' callbacks */
	/* While we start, what is severe is said on the terminal too. */
	struct log starting;
	struct log_target terminal;

	struct upgrade *upgrade;
	struct upgrade_events others;   /* what is heard of the other master */
	bool upgrade_wanted;            /* asked for, and to be begun as soon as that can be */
	pid_t parent;                   /* the master that this one came from, gone or not; 0: none */
	char *parent_pid_path;          /* owned; where its pid file was before it stepped aside; NULL: there is none */
};

/* New keys for session tickets, from now on. */
void master_rotate_tickets(struct master *m);

/* Ends a rest: now, or as soon as processes can be started. Returns 0, or -1 with the reason logged. */
int master_recall(struct master *m);

/* --- master_upgrade --- */

/* The first generation, with what the master before has left. As generation_open(). */
struct generation *master_open_first(struct master *m);

/* Learns of the other master, if there is one, and gets ready for one to come. */
void master_set_up_upgrade(struct master *m);

/* Is there another master, with which the service goes on if this one ends? */
bool master_has_company(const struct master *m);

/* The files of UNIX sockets are to be removed, or not, as that says. */
void master_look_who_listens(const struct master *m);

/* USR2, and what has been put off. */
void master_upgrade(struct master *m);
void master_pursue_upgrade(struct master *m);

#endif
