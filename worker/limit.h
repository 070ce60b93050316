/*
 * limit - how many may be here at once
 *
 * limit_conn: a session holds a count in a zone for its address from its arrival on, and
 * for its user, the user's domain or a word of the auth server from its accepted login on,
 * to its burial. All workers count together, and what a killed one held is given back for
 * it. Who cannot be counted, since there is no such word, is not limited; nor are addresses
 * of limit_exempt by address. Built on: session, limitzone.
 */
#ifndef POSTERN_WORKER_LIMIT_H
#define POSTERN_WORKER_LIMIT_H

#include <stdbool.h>

struct auth_answer;
struct holds;
struct session;

/*
 * Takes what the session's server counts by address, unless it has. False if there are too
 * many already, which has been logged: the session may not go on.
 */
bool limit_arrive(struct session *s);

/* The same for a login that the source has accepted; `user` is NULL where nobody logs in. */
bool limit_login(struct session *s, const char *user, const struct auth_answer *answer);

/* The login has come to nothing: gives back what was taken for it. */
void limit_logout(struct session *s);

/* Gives back all. */
void limit_leave(struct session *s);

#endif
