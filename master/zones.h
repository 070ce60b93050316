/*
 * zones - the shared tables that the configuration names, over all reloads
 *
 * Workers know some things together: what an auth_cache has kept, who is here, who has
 * failed to log in. The tables and their secrets are made here for the first generation that
 * names them, and are kept as long as there is one with the same name, size and key; another
 * size starts empty. Those of the master before this one are taken over on the same terms.
 * The master looks at nothing that is in them.
 * Built on: authcache, bequest, limitzone, conf_say, list, zone.
 */
#ifndef POSTERN_MASTER_ZONES_H
#define POSTERN_MASTER_ZONES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/board.h"

struct bequest;
struct conf;
struct zone;
struct zones;

struct zones *zones_new(void);

/*
 * What a configuration wants is looked for in what the master before has left, borrowed
 * until NULL is given; and what there is here is left to the one that follows.
 */
void zones_inherit(struct zones *zones, struct bequest *left);
void zones_leave_to(const struct zones *zones, struct bequest *bequest);

/* Nobody may use one any more. Leaves NULL. */
void zones_free(struct zones **zonesp);

/*
 * Gives conf->caches and conf->limit_zones their tables and secrets. Returns 0, or -1 with the reason logged;
 * zones_leave() follows in either case.
 */
int zones_use(struct zones *zones, struct conf *conf);

/* The end of use: what no other configuration has goes. */
void zones_leave(struct zones *zones, struct conf *conf);

/*
 * The tables in which workers hold what must be given back when they die, of all
 * configurations; borrowed. The array is the caller's, NULL if there is none.
 */
struct zone **zones_held(const struct zones *zones, size_t *count);
bool zones_are_held(const struct zones *zones);

/* Frees the locks that the dead held. */
void zones_unlock_dead(struct zones *zones, struct board_span dead);

#endif
