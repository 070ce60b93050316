/*
 * dialogue - a client until it is let in
 *
 * Has the client named, greets, feeds the protocol's client half, asks the source, says its refusals, and
 * hands the accepted over. Many commands in one segment are answered in few writes; a
 * client that does not read its answers is not read either. The clock of `timeout` runs
 * while the client has the turn and is not set back by what it sends. Built on:
 * session, entry, naming, inquiry, handover, farewell.
 */
#ifndef POSTERN_WORKER_DIALOGUE_H
#define POSTERN_WORKER_DIALOGUE_H

struct session;

/* A client has just come: greets it, once it is known how it is called, at once or after smtp_greeting_delay. */
void dialogue_begin(struct session *s);

#endif
