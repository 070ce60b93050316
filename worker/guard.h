/*
 * guard - how many failed logins there may be
 *
 * limit_auth: before a source is asked, the attempt is charged to buckets that all workers
 * share, of the address (with IPv6 also of the /48 around it), of the user, or of the two
 * together; what was no failure is taken back when that is known, so that guesses that come
 * at once are counted as well, and those whose answer the client does not wait for. Known it
 * is when a source has refused, or the backend has answered to what the client itself has
 * shown: a source may say yes to everybody and leave passwords to the backend. Where there is
 * no room for a failure the attempt may not be made. An address from which a user has logged
 * in before, at the backend, is remembered: such a pair has a bucket of its own, and others'
 * failures are not its concern. Built on: session, entry, bucket, limitzone.
 */
#ifndef POSTERN_WORKER_GUARD_H
#define POSTERN_WORKER_GUARD_H

#include <stdbool.h>

struct credentials;
struct guard;
struct session;

/* May this login be tried? Then it is charged for, in s->entry->guard. */
bool guard_admits(struct session *s, const struct credentials *credentials);

/* Logs that the attempt is not made. */
void guard_log(struct session *s);

/*
 * The source's yes is the last word about what the client has shown: the backend is shown
 * something else. The charge goes now, and it still may succeed.
 */
void guard_cleared(struct session *s);

/* What came of it: the charge stays, it goes and the pair is remembered, or it goes. Nothing without a charge. */
void guard_failed(struct session *s);
void guard_succeeded(struct session *s);
void guard_unsaid(struct session *s);

#endif
