/*
 * aim - where an answer leads: what it says of the backend, and the configuration for the rest
 *
 * Handover asks it before it dials, the gate to learn whether one more recipient may go
 * where the session already is. It decides nothing: whether TLS can be had, and whether
 * the source asks for less than it may, is handover's business. Built on: auth, session,
 * upstream.
 */
#ifndef POSTERN_WORKER_AIM_H
#define POSTERN_WORKER_AIM_H

#include <stdbool.h>

#include "common/conf.h"

struct auth_answer;
struct session;

enum proxy_ssl aim_ssl(const struct session *s, const struct auth_answer *answer);

/* Without a word of the answer it is the protocol's, or the one of the protocol over TLS. */
unsigned aim_port(const struct session *s, const struct auth_answer *answer);

/* Is it the backend that the session has, by the same TLS and under the same name? */
bool aim_is_here(const struct session *s, const struct auth_answer *answer);

#endif
