/*
 * proof - whether a request proves that its user knows a stored password
 *
 * For helpers that hold the stored secret themselves. Whatever is refused costs the same,
 * given the costliest secret that there is, for any user: who gets a no has paid for that
 * one. Pure. Built on: codec, secret.
 */
#ifndef POSTERN_WORKER_HELPER_PROOF_H
#define POSTERN_WORKER_HELPER_PROOF_H

#include <stdbool.h>

#include "worker/helper/codec.h"
#include "worker/helper/secret.h"

/* What needs no look at a user. Returns NULL, or a static phrase: why the request is refused. */
const char *proof_judge_request(const struct helper_request *request);

/* A challenge was answered, which only somebody who has the password itself can judge. */
bool proof_needs_plain(const struct helper_request *request);

/* Returns NULL, or why the user with this secret is refused. */
const char *proof_judge(const struct secret *secret, const struct secret *costliest,
    const struct helper_request *request);

/* Spends what a wrong password costs: an unknown user must not show by being told so sooner. */
void proof_pretend(const struct secret *costliest, const struct helper_request *request);

#endif
