/*
 * pamtalk - what a PAM stack asks during a login, and what it is told
 *
 * There is a user name and one password, and nobody to ask for more: what is typed
 * unseen is the password, what is typed in sight is the name. A second hidden question
 * in other words wants a one-time code or a new password; that is refused, so no module
 * mistakes the password for something else. What modules have to say is kept for the
 * log, and the silence that they wish after a failure is noted instead of slept.
 * Pure. Built on: mem; of PAM the types alone.
 */
#ifndef POSTERN_WORKER_HELPER_PAMTALK_H
#define POSTERN_WORKER_HELPER_PAMTALK_H

#include <security/pam_appl.h>
#include <stdbool.h>
#include <stdint.h>

#define PAMTALK_SAID_MAX 400    /* bytes kept of what modules say, and a NUL */
#define PAMTALK_WAIT_MAX_MS 10000

struct pamtalk {
	const char *user, *pass;        /* borrowed */
	char *asked;                    /* owned: the question that the password answered; NULL: none yet */
	bool balked;                    /* it was asked for what we have not */
	char said[PAMTALK_SAID_MAX];    /* a line, as modules worded it: whoever logs it escapes it */
	uint64_t wait_ms;
};

/* A conversation function; `ctx` is the struct pamtalk. The answers are the module's to free. */
int pamtalk_converse(int count, const struct pam_message **messages, struct pam_response **answers, void *ctx);

/* For PAM_FAIL_DELAY; PAM hands it the conversation's ctx. */
void pamtalk_delay(int result, unsigned usec, void *ctx);

void pamtalk_reset(struct pamtalk *talk);

#endif
