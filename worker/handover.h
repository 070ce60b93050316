/*
 * handover - from the verdict to the backend: dial and login
 *
 * Looks the backend up, connects, lets the login half speak until the client is in, and
 * hands over to relay or gate. A peer that cannot be reached is followed by the next; once
 * credentials were sent to one, no other sees them. All of it within `timeout`. When it
 * fails, the entry's petitioner hears of it. Built on: session, entry, upstream, relay,
 * gate.
 */
#ifndef POSTERN_WORKER_HANDOVER_H
#define POSTERN_WORKER_HANDOVER_H

struct auth_answer;
struct session;

/* The source has accepted: its answer's user and password replace the client's, its host is the backend. */
void handover_begin(struct session *s, const struct auth_answer *answer);

#endif
