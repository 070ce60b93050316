/*
 * conf_chain - what a chain of sources must be, so that it lets nobody in by mistake
 *
 * Built on: conf, conf_say.
 */
#ifndef POSTERN_MASTER_CONF_CHAIN_H
#define POSTERN_MASTER_CONF_CHAIN_H

#include "common/conf.h"

/* What sources of this kind can be asked about: bits of enum method. */
unsigned conf_chain_methods(enum source_kind kind);

/*
 * Does the server have sources, in an order that makes sense, that together can serve all
 * methods of its protocol? Returns 0, or -1 and what is wrong has been said.
 */
int conf_chain_check(const struct server *server);

/*
 * The same, now that helpers have said what they can answer: of challenges, the sources that
 * hold hashes alone cannot one. `said` has for each of conf->sources bits of enum method, or
 * 0 where nothing was said. Returns 0, or -1 and what is wrong has been said.
 */
int conf_chain_confirm(const struct conf *conf, const unsigned *said);

#endif
