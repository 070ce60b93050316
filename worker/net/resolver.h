/*
 * resolver - names to addresses, without waiting
 *
 * The hosts file is read and the c-ares channel is made when the worker starts, since
 * no path can be opened later; after that it is DNS with the system's settings, on the
 * worker's loop. "localhost" and what ends in ".localhost" never leave this machine
 * (RFC 6761 section 6.3). Built on: loop, addr, hosts, dnsloop, c-ares.
 */
#ifndef POSTERN_WORKER_NET_RESOLVER_H
#define POSTERN_WORKER_NET_RESOLVER_H

#include <stddef.h>

#include "common/addr.h"
#include "common/loop.h"

struct resolver;
struct resolver_query;

/* NULL with *why, a static text, when c-ares cannot be set up. Call before the sandbox. */
struct resolver *resolver_new(struct loop *loop, const char **why);

/* Called when every query has been answered or cancelled. */
void resolver_free(struct resolver **resolverp);

/* Asks these name servers, "192.0.2.1:53,[2001:db8::1]:53", instead of the system's. Returns 0, or -1 for bad text. */
int resolver_use(struct resolver *resolver, const char *servers);

/*
 * Called once, never from within resolver_ask(): `count` addresses without ports, IPv4
 * and IPv6 as the system's order has them, valid during the call; or none, and `why` (static) says why.
 */
typedef void resolver_callback(void *ctx, const struct addr *found, size_t count, const char *why);

/* Asks for the addresses of `name`. A literal address is its own answer. */
struct resolver_query *resolver_ask(struct resolver *resolver, const char *name, resolver_callback *done, void *ctx);

/* The callback will not be called any more. NULL is fine; leaves NULL. */
void resolver_cancel(struct resolver_query **queryp);

#endif
