/*
 * farewell - all is said; the last words are to arrive
 *
 * A close with unread input is a reset, which destroys what the client has not read
 * yet. So what it still sends is thrown away for a while, after our half-close, until
 * it closes, too. Built on: session, entry.
 */
#ifndef POSTERN_WORKER_FAREWELL_H
#define POSTERN_WORKER_FAREWELL_H

struct session;

/* Sends what is left in the entry's `out`, then closes: at once where that is safe. The backend goes first. */
void farewell_begin(struct session *s);

#endif
