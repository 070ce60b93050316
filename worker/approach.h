/*
 * approach - the way to a backend: find it, dial, TLS, login
 *
 * Looks up where the backend may be and goes from peer to peer: connects, says the preface,
 * has TLS, lets the login half speak until it has a verdict. A peer that cannot be reached
 * is followed by the next; once credentials were sent to one, no other sees them. All of it
 * within `timeout`, of which each peer gets its share. With what to log in has been decided
 * before (entry->task), and what a verdict means to the client is for whoever set out: this
 * module says nothing to a client. Built on: session, entry, upstream, dial, preface.
 */
#ifndef POSTERN_WORKER_APPROACH_H
#define POSTERN_WORKER_APPROACH_H

#include "worker/proto/proto.h"

struct session;
struct upstream_target;

/* How it may end. One of them is called, once, unless the session ends before. */
struct approach_ends {
	/* The backend has let the client in; what it said stands in the login half. */
	void (*let_in)(struct session *s);
	/*
	 * REFUSAL_BACKEND: the backend said no; REFUSAL_UNAVAILABLE: it said "not now", and nobody else may be
	 * asked. Its words stand in the login half: read them, then approach_leave().
	 */
	void (*refused)(struct session *s, enum refusal_kind kind);
	/* No peer was of use, or the one that has seen the credentials failed. It has been left. */
	void (*in_vain)(struct session *s);
};

/*
 * Sets out: from now on the log says that the session is on its way. `ends` is borrowed for
 * ever. Nothing happens before approach_find().
 */
void approach_begin(struct session *s, const struct approach_ends *ends);

/* Looks for `target`, then goes there. entry->task and the entry's ssl are set. It may end before this returns. */
void approach_find(struct session *s, const struct upstream_target *target);

/* Hangs up, and frees the login half with all that the backend has said. */
void approach_leave(struct session *s);

#endif
