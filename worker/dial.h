/*
 * dial - begins a connection to one backend, from where the server wants it to come
 *
 * proxy_bind names an address of this machine, or means the client's own. A backend of the
 * other family, or on a UNIX socket, cannot be reached from an address: from one of ours it
 * is reached from whatever the system chooses, but it is not told that a client is the
 * gateway itself, which it may trust. Built on: session, sock.
 */
#ifndef POSTERN_WORKER_DIAL_H
#define POSTERN_WORKER_DIAL_H

#include <stdbool.h>

struct endpoint;
struct session;

/* Returns the descriptor, with *pending set while it connects; or -1, and the session's log says why. */
int dial_begin(const struct session *s, const struct endpoint *peer, bool *pending);

#endif
