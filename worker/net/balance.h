/*
 * balance - which of several servers is asked next
 *
 * Smooth weighted round robin over servers that can all answer alike. One that failed
 * max_fails times within fail_timeout is put aside for fail_timeout; after that a single
 * question finds out whether it is back. Servers marked backup are asked only when none of the
 * others can be, and those put aside only when nobody else is left: a server that may be
 * dead is better than none. A lone server is never put aside. Time is the caller's, in
 * milliseconds; nothing here asks anybody. Built on: mem, must.
 */
#ifndef POSTERN_WORKER_NET_BALANCE_H
#define POSTERN_WORKER_NET_BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct balance;

/* What the configuration says of a server. */
struct balance_server {
	unsigned weight;                /* from 1 */
	unsigned max_fails;             /* 0: it is never put aside */
	uint64_t fail_timeout_ms;
	bool backup;
};

#define BALANCE_NONE SIZE_MAX

/* `servers` are copied. */
struct balance *balance_new(const struct balance_server *servers, size_t count);

/* NULL is fine; leaves NULL. */
void balance_free(struct balance **balancep);

/*
 * The server for the next try of a question that has tried those of which tried[i] is
 * true; it is marked there. BALANCE_NONE when all have been.
 */
size_t balance_pick(struct balance *balance, bool *tried, uint64_t now_ms);

/* How many more servers a question should leave time for: those not tried that are not put aside. */
size_t balance_left(const struct balance *balance, const bool *tried, uint64_t now_ms);

/*
 * What became of a try. True when it changed what is thought of the server: that it is
 * put aside from now on, or that it is back.
 */
bool balance_failed(struct balance *balance, size_t which, uint64_t now_ms);
bool balance_worked(struct balance *balance, size_t which);

#endif
