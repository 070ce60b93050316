/*
 * limitzone - how limits lie in shared memory
 *
 * limit_conn_zone and limit_auth_zone make a zone each. Its entries are counts, or buckets
 * of failures; what they belong to (an address, a user, a domain, a word of the auth
 * server) stands there only as a hash under the zone's secret, so that names of any length
 * fit, nobody can choose one that shares another's entry, and the memory names nobody.
 * The master makes the zones and reads nothing there. Built on: addr, conf, mem, siphash,
 * zone.
 */
#ifndef POSTERN_COMMON_LIMITZONE_H
#define POSTERN_COMMON_LIMITZONE_H

#include <stddef.h>
#include <stdint.h>

#include "common/conf.h"
#include "common/zone.h"

#define LIMITZONE_KEY 16
#define LIMITZONE_BYTES_MIN 32768u      /* of a zone */

/* What of an address counts: a client with IPv6 has all of a /64, a site a /48. An IPv4 address is itself. */
enum limitzone_net { LIMITZONE_NONE, LIMITZONE_CLIENT, LIMITZONE_SITE };

/* What an entry of limit_conn is: how many hold it. */
struct limitzone_count {
	uint32_t holds;
	uint32_t zero;
};

/* What an entry of limit_auth is. */
struct limitzone_failures {
	uint32_t holds;                 /* always 0: any may be evicted */
	uint32_t known;                 /* of a pair: it has logged in */
	uint64_t debt, at_ms;           /* the worker's struct bucket */
};

/* The spec of a zone. Strings are borrowed from `limit`. */
struct zone_spec limitzone_spec(const struct conf_limit_zone *limit);

/*
 * The key of an address (as far as `net` says), of a text (NULL: none), or of both. The case of
 * ASCII letters in the text does not count. `what` keeps keys of different meaning apart.
 */
void limitzone_key(const struct conf_limit_zone *limit, enum conf_limit_key what, enum limitzone_net net,
    const struct addr *addr, const char *text, unsigned char out[LIMITZONE_KEY]);

#endif
