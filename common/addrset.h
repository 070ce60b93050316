/*
 * addrset - ordered allow/deny rules over networks
 *
 * An addrset answers one question: may this peer come in? Rules are tried in
 * the order they were added and the first match decides; when none matches,
 * the peer may, so NULL, the empty set, admits everyone. The master builds a
 * set while it reads the configuration and nobody changes it after fork():
 * all workers share it without locks. Asking costs a walk down a tree, however
 * many rules there are. Built on: addr, mem.
 */
#ifndef POSTERN_COMMON_ADDRSET_H
#define POSTERN_COMMON_ADDRSET_H

#include <stdbool.h>

struct addr;
struct addrset;

/*
 * Appends a rule to *setp, which the caller owns. `text` is "all", "unix:", or what
 * addr_parse_network() reads; it is not kept. Returns NULL, or a static phrase saying
 * what is wrong with `text`, and then the set is unchanged.
 */
const char *addrset_add(struct addrset **setp, bool allow, const char *text);

/* Says whether `peer` may come in. A UNIX-domain peer can match only "all" and "unix:". */
bool addrset_allows(const struct addrset *set, const struct addr *peer);

/*
 * How many networks an answer takes a look at, for the worst peer: no more than an
 * address has bits, and one, whatever the number of rules.
 */
unsigned addrset_depth(const struct addrset *set);

/* Frees every rule and leaves the empty set, NULL. */
void addrset_free(struct addrset **setp);

#endif
