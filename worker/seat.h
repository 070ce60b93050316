/*
 * seat - are there descriptors for one more client?
 *
 * A client is let in only when the descriptors that its login needs are there: its own,
 * one to ask who it is, one to its backend. A relay holds two. The house is as large as
 * worker_connections and the descriptor limit allow, whichever is less. When the last
 * seats are taken accepting pauses; it goes on as soon as enough are given back.
 * Built on: nothing.
 */
#ifndef POSTERN_WORKER_SEAT_H
#define POSTERN_WORKER_SEAT_H

#include <stdbool.h>

#define SEAT_LOGIN 3
#define SEAT_RELAY 2

struct seats {
	unsigned used, limit;
};

/*
 * `connections` is worker_connections; `descriptors` RLIMIT_NOFILE, of which `in_use`
 * are open for other purposes than clients.
 */
void seats_init(struct seats *s, unsigned connections, unsigned long long descriptors, unsigned in_use);

/* Is there room for one more login? */
bool seats_free(const struct seats *s);

/* Takes `count` seats; the caller has asked seats_free() first. */
void seats_take(struct seats *s, unsigned count);
void seats_give(struct seats *s, unsigned count);

#endif
