/*
 * hostnames - how clients are called, by DNS, confirmed
 *
 * An address has a name when its PTR record gives one and that name has the address
 * again. Both questions go to the name servers of one `resolver`, and what came of them
 * is kept per address, in a table of bounded size from which the longest unused goes
 * first: as long as the records allow, or `valid=` says; a "no" for five minutes at most,
 * a failure for two seconds. Whoever asks about an address that is being asked about
 * waits along, and may leave at any time.
 * Built on: hostwalk, hostname, siphash, loop, list, conf.
 */
#ifndef POSTERN_WORKER_NET_HOSTNAMES_H
#define POSTERN_WORKER_NET_HOSTNAMES_H

#include <stdbool.h>

#include "common/addr.h"
#include "common/loop.h"
#include "worker/net/hostname.h"

struct conf_resolver;
struct hostnames;
struct hostname_query;

/* NULL with *why, a static text, when c-ares cannot be set up. Call before the sandbox. */
struct hostnames *hostnames_new(struct loop *loop, const struct conf_resolver *conf, const char **why);

/* Called when every query has been answered or cancelled. */
void hostnames_free(struct hostnames **namesp);

/*
 * What can be said of the client at `addr`, IPv4 or IPv6, without asking anybody; false: ask.
 * A family that the resolver leaves out has no names, and so has everybody while the table is
 * full of questions.
 */
bool hostnames_find(struct hostnames *names, const struct addr *addr, struct hostname *found);

/*
 * What came of it is borrowed, and good until the next turn of the loop. Called once, never
 * from within hostnames_ask().
 */
typedef void hostnames_callback(void *ctx, const struct hostname *found);

/* After hostnames_find() did not know. */
struct hostname_query *hostnames_ask(struct hostnames *names, const struct addr *addr, hostnames_callback *done,
    void *ctx);

/* What is to be said when it has taken too long. The query goes on, for those who still wait for it. */
struct hostname hostnames_late(const struct hostname_query *query);

/* The callback will not be called any more. NULL is fine; leaves NULL. */
void hostnames_cancel(struct hostname_query **queryp);

#endif
