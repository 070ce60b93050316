/*
 * inquiry - asking the source about a client, and what comes of it
 *
 * AUTH and WAIT: the question goes out, the answer accepts (handover goes on), refuses,
 * perhaps after a silence, or cannot say now. The gate asks for its recipients by the
 * same way. Built on: session, entry, auth; calls handover, dialogue, gate.
 */
#ifndef POSTERN_WORKER_INQUIRY_H
#define POSTERN_WORKER_INQUIRY_H

struct session;

/* Asks about the client half's credentials (in GATE: the gate's recipient). */
void inquiry_begin(struct session *s);

/* The client hung up during an Auth-Wait: it gets its answer now, and is closed. */
void inquiry_client_left(struct session *s);

#endif
