/*
 * handover - from the verdict to the backend: DIAL and LOGIN
 *
 * Looks the backend up, connects, lets the login half speak until the client is in, and
 * hands over to relay or gate. A peer that cannot be reached is followed by the next; once
 * credentials were sent to one, no other sees them. All of it within `timeout`. Built
 * on: session, entry, upstream; calls relay, gate, dialogue.
 */
#ifndef POSTERN_WORKER_HANDOVER_H
#define POSTERN_WORKER_HANDOVER_H

struct auth_answer;
struct session;

void handover_begin(struct session *s, const struct auth_answer *answer);

#endif
