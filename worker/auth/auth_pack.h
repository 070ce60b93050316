/*
 * auth_pack - an answer as a few bytes, and back
 *
 * For auth_cache: what an asker is told of an answer, without its source, its epoch and
 * how long it is good. Pure. Built on: auth, mem.
 */
#ifndef POSTERN_WORKER_AUTH_AUTH_PACK_H
#define POSTERN_WORKER_AUTH_AUTH_PACK_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/auth/auth.h"

/* Fills all of out[0 .. size). False: it is too long. */
bool auth_pack(void *out, size_t size, const struct auth_answer *answer);

/* False for bytes that auth_pack() did not make; then the answer is empty. Its strings are the caller's. */
bool auth_unpack(struct auth_answer *answer, const void *bytes, size_t size);

#endif
