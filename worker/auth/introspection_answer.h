/*
 * introspection_answer - what an introspection server says of a token (RFC 7662 section 2.2)
 *
 * Pure. It fails closed: a yes is one JSON object in which "active" is true and every
 * claim fits (token). What is garbled or of the wrong type is no answer, and neither lets
 * anybody in nor refuses anybody. Built on: auth, token.
 */
#ifndef POSTERN_WORKER_AUTH_INTROSPECTION_ANSWER_H
#define POSTERN_WORKER_AUTH_INTROSPECTION_ANSWER_H

#include "common/token.h"
#include "worker/auth/auth.h"

/*
 * Judges the body of an answer. Returns NULL, and *out, with fresh strings, is the outcome:
 * AUTH_ACCEPTED with the user and how long the token is good, or AUTH_REFUSED with the
 * reason for the log. Or returns what is wrong with the body, static, and *out is empty.
 */
const char *introspection_answer_judge(const char *body, size_t len, const struct conf_token *want,
    const struct token_question *question, struct auth_answer *out);

#endif
