/*
 * smtp_login - the login half of SMTP: EHLO, XCLIENT, AUTH, or a first recipient
 *
 * Who the client is goes to the backend as the server is configured: by XCLIENT
 * (Postfix's, where it is offered), by AUTH (RFC 4954) with a mechanism that it offers, by both, or not at all;
 * without authentication MAIL and RCPT are said again. Where TLS is wanted STARTTLS (RFC
 * 3207) comes before all of that. CHUNKING is looked for, too: for the gate.
 * Built on: line, quote, sasl, sasl_client, smtp, smtp_words.
 */
#ifndef POSTERN_WORKER_PROTO_SMTP_LOGIN_H
#define POSTERN_WORKER_PROTO_SMTP_LOGIN_H

#include "worker/proto/proto.h"

/* As struct proto has them. A RCPT that the backend refuses is LOGIN_DONE, too: the transaction stands. */
struct login *smtp_login_new(const struct login_task *task);
enum login_verdict smtp_login_input(struct login *login, struct buf *in, struct buf *out);
enum login_verdict smtp_login_secured(struct login *login, struct buf *out);

/* Did the backend's last EHLO offer BDAT (RFC 3030)? */
bool smtp_login_may_chunk(const struct login *login);

#endif
