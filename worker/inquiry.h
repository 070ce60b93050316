/*
 * inquiry - asking the source about a client, and what comes of it
 *
 * The question goes out; its answer accepts, refuses, perhaps after a silence
 * (Auth-Wait), or cannot say now. The entry's petitioner hears of it, be it the dialogue
 * about a login or the gate about a recipient. Built on: session, entry, auth.
 */
#ifndef POSTERN_WORKER_INQUIRY_H
#define POSTERN_WORKER_INQUIRY_H

#include <stdbool.h>

struct credentials;
struct session;

/* Asks. `credentials` stay until the petitioner has heard. */
void inquiry_begin(struct session *s, const struct credentials *credentials);

/* Is a question, or the silence after it, under way? */
bool inquiry_is_pending(const struct session *s);

/* The client has left: ends an Auth-Wait, and the refusal closes. */
void inquiry_client_left(struct session *s);

#endif
