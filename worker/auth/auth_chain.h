/*
 * auth_chain - a server's sources, asked one after the other
 *
 * Behind auth_source.h. A link whose source cannot serve the method, or whose patterns do
 * not cover the user, is passed over. Who knows the user decides; who cannot say now
 * decides as well, for nobody may be let in past a source that does not answer. A user
 * whom none of them knows is refused, in the words of the last that was asked. Before a
 * source is asked, the cache is. Built on: auth_source, auth_cache.
 */
#ifndef POSTERN_WORKER_AUTH_AUTH_CHAIN_H
#define POSTERN_WORKER_AUTH_AUTH_CHAIN_H

#include "worker/auth/auth_source.h"

struct auth_cache;

/* All the chains of a worker: which one it is, the question's server says. */
struct auth_chain_source {
	struct auth_source base;
	struct auth_source *const *sources;     /* borrowed; by conf_source.index */
	size_t count;
	struct auth_cache *cache;               /* borrowed; NULL: there is none */
};

extern const struct auth_source_kind auth_chain;

/* Does the source that is being asked want to be asked again later? */
bool auth_chain_is_waiting(const struct auth_request *request);

#endif
