/*
 * http_answer - what the response of an auth_http server means
 *
 * Pure: gathers the headers that concern us while the head is read, then judges them.
 * It fails closed: a yes is a 2xx status and exactly one "Auth-Status: OK", with a
 * backend that can be one. A header that came twice, or that contradicts the verdict,
 * is a failure. Built on: auth, addr, base64, num.
 */
#ifndef POSTERN_WORKER_AUTH_HTTP_ANSWER_H
#define POSTERN_WORKER_AUTH_HTTP_ANSWER_H

#include "worker/auth/auth.h"

#define HTTP_ANSWER_WHY 320

enum http_answer_field {
	ANSWER_STATUS, ANSWER_SERVER, ANSWER_PORT, ANSWER_USER, ANSWER_PASS, ANSWER_WAIT, ANSWER_CODE,
	ANSWER_SSL, ANSWER_SSL_NAME, ANSWER_CHALLENGE, ANSWER_UNKNOWN,
	ANSWER_FIELDS
};

/* Zeroed memory is an answer of which nothing has come. */
struct http_answer {
	char *fields[ANSWER_FIELDS];    /* owned, some are secret */
	char *kept;                     /* owned: auth_answer.headers */
	const char *doubled;            /* static: name of a header that came twice */
};

enum http_answer_verdict {
	ANSWER_FINAL,           /* *out holds the outcome */
	ANSWER_AGAIN,           /* ask the same again after out->wait_ms */
	ANSWER_BAD,
};

/* Notes a header, if it is one of those. */
void http_answer_header(struct http_answer *answer, const char *name, const char *value);

/* Keeps a header's value for those who asked for it; `wanted` is NULL-ended, as server->kept_headers, or NULL. */
void http_answer_keep(struct http_answer *answer, const char **wanted, const char *name, const char *value);

/*
 * Judges the whole; *out gets fresh strings. `why` is what to log, without a secret, to
 * follow the server's name ("did not send password"): always set at ANSWER_BAD, and
 * with ANSWER_FINAL where a bad detail was passed over; else "".
 */
enum http_answer_verdict http_answer_judge(const struct http_answer *answer, unsigned http_status,
    const struct auth_question *question, struct auth_answer *out, char why[HTTP_ANSWER_WHY]);

/* Wipes it all. */
void http_answer_reset(struct http_answer *answer);

#endif
