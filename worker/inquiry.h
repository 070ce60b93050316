/*
 * inquiry - asking the sources about a client, and what comes of it
 *
 * The question goes out; its answer accepts, refuses, perhaps after a silence
 * (Auth-Wait, auth_failure_delay), or cannot say now. The entry's petitioner hears of it,
 * be it the dialogue about a login or the gate about a recipient. Built on: session,
 * entry, auth.
 */
#ifndef POSTERN_WORKER_INQUIRY_H
#define POSTERN_WORKER_INQUIRY_H

#include <stdbool.h>
#include <stdint.h>

struct credentials;
struct refusal;
struct session;

/* Asks. `credentials` stay until the petitioner has heard. */
void inquiry_begin(struct session *s, const struct credentials *credentials);

/*
 * How long the refusal behind so many others of the session waits, of which the first waits `first_ms`: twice
 * as long each time, but no longer than half a minute, or `first_ms` if that is more.
 */
uint64_t inquiry_delay_ms(uint64_t first_ms, unsigned refusals);

/* Is a question, or the silence after it, under way? */
bool inquiry_is_pending(const struct session *s);

/* The client has left: ends the silence, and the refusal closes. */
void inquiry_client_left(struct session *s);

/*
 * For phases that wait for the inquiry: while the source thinks, a half-close is noted and a
 * client that is gone is let go; during the silence either is leaving.
 */
void inquiry_on_client(struct session *s, uint32_t events);

/*
 * The source has said yes, but the backend has refused what the client itself has shown, for
 * which `why` has the words: as if the source had. The backend's connection is closed already.
 */
void inquiry_overruled(struct session *s, const struct refusal *why);

#endif
