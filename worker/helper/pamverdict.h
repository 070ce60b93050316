/*
 * pamverdict - what a result of PAM means for a login
 *
 * Only PAM_SUCCESS lets in. What says something about the user is a no, what says
 * something about the stack is "cannot say now". Here is also decided whom PAM is not
 * asked about at all: modules make paths, queries and arguments of programs of a user's
 * name. Pure. Built on: codec; of PAM the types alone.
 */
#ifndef POSTERN_WORKER_HELPER_PAMVERDICT_H
#define POSTERN_WORKER_HELPER_PAMVERDICT_H

#include <stdbool.h>

#include "worker/helper/codec.h"

struct pamverdict {
	enum helper_outcome outcome;
	const char *reason;             /* static; NULL: accepted, or as PAM words it */
};

/* Of pam_authenticate(). */
struct pamverdict pamverdict_of_password(int result);

/* Of pam_acct_mgmt(), after a right password: nobody else is asked about this user then. */
struct pamverdict pamverdict_of_account(int result);

/* Can PAM be asked this? HELPER_ACCEPTED: yes. */
struct pamverdict pamverdict_of_request(const struct helper_request *request);

/* May this be handed to modules, or come from them, as the name of a user? */
bool pamverdict_is_name(const char *name);

#endif
