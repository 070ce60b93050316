/*
 * gate - sockets and questions for an unauthenticated SMTP session
 *
 * The pure smtp_gate decides; this module moves its bytes, asks for its recipients and
 * keeps its time. Such a session keeps its entry, bounded, to the end. Built on:
 * session, entry, smtp_gate, inquiry, farewell.
 */
#ifndef POSTERN_WORKER_GATE_H
#define POSTERN_WORKER_GATE_H

struct session;

/* The first recipient has been answered by the backend, and the answer stands in the entry's `out`. */
void gate_begin(struct session *s);

#endif
