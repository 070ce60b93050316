/*
 * means - with whose credentials, and how, a session logs in at its backend
 *
 * The client's own password or token where it left one, what the source put in its
 * place, or a master user's where there is nothing to pass on or the configuration says
 * so. A digest (CRAM-MD5, APOP) is never a password, nor is a token, unless the source
 * has returned it as one. Where the backend decides, it is shown what the client has
 * shown and nothing else. Built on: auth, proto.
 */
#ifndef POSTERN_WORKER_MEANS_H
#define POSTERN_WORKER_MEANS_H

#include <stdbool.h>

#include "worker/auth/auth.h"
#include "worker/proto/proto.h"

/*
 * What login_task.means is to be, after the source's `answer` has taken its place in
 * `credentials`; the strings are borrowed from these and from `server`.
 */
struct login_means means_choose(const struct server *server, const struct credentials *credentials,
    const struct auth_answer *answer);

/* Does the backend have to be shown something that these means do not have? */
bool means_lack(const struct server *server, const struct login_means *means);

#endif
