/*
 * auth_cache - what sources have said a moment ago
 *
 * Keeps answers to PLAIN, and to the tokens of auth_introspection, in the zones of a
 * server's auth_cache, for all workers. An answer is found again only for the same
 * question in all that decides: source, user, password, authorization identity, protocol,
 * server name, client address, TLS or not, and whatever else the source hears. Under a
 * name there is one accepted answer, which another password does not find and only an
 * accepted one replaces; refusals are found by their password too, and lie elsewhere.
 * Answers are sealed with a key that nobody has without the password. What cannot be kept
 * or found, for whatever reason, is asked again. Built on: authcache, auth_pack,
 * auth_seal, zone.
 */
#ifndef POSTERN_WORKER_AUTH_AUTH_CACHE_H
#define POSTERN_WORKER_AUTH_AUTH_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/auth/auth.h"

struct auth_cache;
struct conf_cache;

/* One a worker; `slot` is its own (board). NULL: there can be none here, and that has been logged. */
struct auth_cache *auth_cache_new(uint32_t slot);
void auth_cache_free(struct auth_cache **cachep);

/*
 * What the source said to this question, if that is still good: then the answer, whose
 * strings are the caller's, says `cached`. A `cache` of NULL knows nothing.
 */
bool auth_cache_get(struct auth_cache *cache, const struct auth_question *question, const struct conf_source *source,
    uint64_t now_ms, struct auth_answer *answer);

/* Keeps the source's answer, if that is of a kind to be kept. */
void auth_cache_put(struct auth_cache *cache, const struct auth_question *question, const struct conf_source *source,
    uint64_t now_ms, const struct auth_answer *answer);

/* Drops the accepted answer of this trace from the zones of `conf`, unless another has taken its place. */
void auth_cache_forget(struct auth_cache *cache, const struct conf_cache *conf, const struct auth_trace *trace);

#endif
