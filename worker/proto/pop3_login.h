/*
 * pop3_login - the login half of POP3: USER and PASS of RFC 1939 section 7, AUTH of RFC 5034
 *
 * The backend's greeting does not tell whether it takes two commands at once, so USER
 * waits for its answer; AUTH, which carries tokens, a master user and whatever else is
 * not a password of the user's own, takes one round trip. The refusals that RFC 2449 and 3206 mark as no fault of the
 * credentials are LOGIN_UNAVAILABLE. STLS (RFC 2595) comes first where TLS is wanted.
 * A greeting with [XCLIENT], which Dovecot has for those it trusts, is told where the client
 * comes from (xclient). Built on: line, sasl_client, proto.h.
 */
#ifndef POSTERN_WORKER_PROTO_POP3_LOGIN_H
#define POSTERN_WORKER_PROTO_POP3_LOGIN_H

#include "worker/proto/proto.h"

/* As struct proto has them. */
struct login *pop3_login_new(const struct login_task *task);
enum login_verdict pop3_login_input(struct login *login, struct buf *in, struct buf *out);
enum login_verdict pop3_login_secured(struct login *login, struct buf *out);

#endif
