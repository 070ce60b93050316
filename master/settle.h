/*
 * settle - what dead workers held in zones is given back
 *
 * A worker that is killed leaves its holds in the ledger of its slot. The master follows
 * nothing that stands in a zone, so it asks a worker that lives to settle the ledger, and
 * lets nobody take the slot before that has been answered; a worker that dies over it is
 * settled in turn, and another is asked. One that was forked when the dead one's generation
 * was there has all of its zones. Where there is none, the next worker to be started finds
 * the question in its channel, and answers it before it serves anybody.
 * Built on: board, ipc, loop, spawn.
 */
#ifndef POSTERN_MASTER_SETTLE_H
#define POSTERN_MASTER_SETTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/board.h"

struct ipc_message;
struct loop;
struct place;
struct settle;
struct spawn;

struct settle *settle_new(struct loop *loop, struct spawn *spawn);

/* Forgets whatever is still to be settled. */
void settle_free(struct settle **settlep);

/*
 * The three events of a spawn_heir. `holds` says whether there are zones in which a worker
 * may have held anything, and settle_left() whether the slot is free at once.
 */
void settle_awaited(struct settle *settle, struct place *place);
bool settle_left(struct settle *settle, struct place *place, bool holds);
bool settle_answered(struct settle *settle, struct place *place, const struct ipc_message *message);

/*
 * The same for the slots that another master has given to its children, who are all gone:
 * workers of `generation` and younger ones have the zones that it shared with us.
 */
void settle_others(struct settle *settle, struct board_span dead, uint32_t generation);
bool settle_owes_others(const struct settle *settle);

/* Debts that are not settled yet. */
unsigned settle_count(const struct settle *settle);

#endif
