/*
 * accept - lets clients in, as many as there are seats, and leaves the rest to others
 *
 * Listening sockets are shared by all workers and wait with EPOLLEXCLUSIVE, so that a
 * client wakes one of them. The kernel wakes the one that waits longest in front; a
 * worker that holds clearly more sessions than the mean goes to the end of that queue.
 * Whoever has no seat left steps aside and rings the bell, so that a sibling comes at
 * once for the client that is waiting. Built on: shift, session; board.
 */
#ifndef POSTERN_WORKER_ACCEPT_H
#define POSTERN_WORKER_ACCEPT_H

#include <stdbool.h>
#include <stddef.h>

struct accept;
struct shift;

/* Prepares all listening sockets of the configuration. `bell` is the generation's eventfd, -1 for none. */
struct accept *accept_new(struct shift *shift, int bell);
void accept_free(struct accept **acceptp);

/* Begins to wait for clients. Returns 0, or -1 with errno. */
int accept_open(struct accept *a);

/* Seats may have become free: goes on if it had stepped aside. */
void accept_resume(struct accept *a);

/*
 * Nobody else will accept at `count` listens of the configuration from `first` on once they are
 * closed here: accept_close() takes whoever waits there.
 */
void accept_give_up(struct accept *a, size_t first, size_t count);

/* No more clients, for good: closes the sockets. */
void accept_close(struct accept *a);

#endif
