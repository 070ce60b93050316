/*
 * dialogue - a client until it is let in
 *
 * Greets, feeds the protocol's client half, asks the source, says its refusals, and
 * hands the accepted over. Many commands in one segment are answered in few writes; a
 * client that does not read its answers is not read either. The clock of `timeout` runs
 * while the client has the turn and is not set back by what it sends. Built on:
 * session, entry, auth; calls handover.
 */
#ifndef POSTERN_WORKER_DIALOGUE_H
#define POSTERN_WORKER_DIALOGUE_H

#include <stdint.h>

struct auth_answer;
struct refusal;
struct session;

/* A client has just come: greets it, at once or after smtp_greeting_delay. */
void dialogue_begin(struct session *s);

/* Something happened on the client's socket in a phase before RELAY and GATE, or in LINGER. */
void dialogue_on_client(struct session *s, uint32_t events);

/* The login failed: says so, and goes on with the client's next command unless that ends it. */
void dialogue_refuse(struct session *s, const struct refusal *why);

/* All has been said: sends what is left, then closes without a reset that would destroy it. */
void dialogue_close(struct session *s);

#endif
