/*
 * handover - from the verdict of a source to the backend, and what the backend makes of it
 *
 * Decides with what and by which TLS the client is logged in, has the backend approached,
 * and hands over to relay or gate when the client is in. A backend's no goes back to the
 * client in the backend's words or in ours, and where the backend was the judge it counts
 * as the source's. When it fails, the entry's petitioner hears of it. Built on: session,
 * entry, approach, aim, means, limit, guard, inquiry, relay, gate.
 */
#ifndef POSTERN_WORKER_HANDOVER_H
#define POSTERN_WORKER_HANDOVER_H

struct auth_answer;
struct session;

/* The source has accepted: its answer's user and password replace the client's, its host is the backend. */
void handover_begin(struct session *s, const struct auth_answer *answer);

#endif
