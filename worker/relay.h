/*
 * relay - bytes from client to backend and back
 *
 * Each way moves through the worker's one scratch buffer; a session owns memory only
 * while a socket is full, and then its other side is not read. A relay moves at most
 * RELAY_SHARE bytes a turn and comes back in the next. End of file travels as a
 * half-close once what came before it is delivered. Progress either way keeps the
 * session alive for another proxy_timeout. Built on: session, conn.
 */
#ifndef POSTERN_WORKER_RELAY_H
#define POSTERN_WORKER_RELAY_H

struct session;

#define RELAY_SHARE 131072

/* Takes over what the login left in the entry's buffers, frees the entry, and starts. */
void relay_begin(struct session *s);

/* Moves what can be moved now. */
void relay_run(struct session *s);

#endif
