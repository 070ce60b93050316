/*
 * pop3 - the client half of POP3 before login
 *
 * RFC 1939 with CAPA (RFC 2449), AUTH (RFC 5034) and the codes of RFC 3206. USER is
 * remembered for PASS alone and for as long as nothing goes wrong. Everything is reached
 * through the table. Built on: line, sasl, pop3_login, proto.h.
 */
#ifndef POSTERN_WORKER_PROTO_POP3_H
#define POSTERN_WORKER_PROTO_POP3_H

#include "worker/proto/proto.h"

extern const struct proto proto_pop3;

#endif
