/*
 * imap_login - the backend's half of an IMAP login (RFC 9051 section 6.2.3)
 *
 * Waits for the greeting, starts TLS where that is wanted, says LOGIN under the client's
 * own tag and waits for the tagged answer; whatever untagged comes before it is kept for
 * the client. User and password go in one write as quoted strings where they can be; else
 * as literals, which cost no round trip either where the greeting lists LITERAL+ or
 * LITERAL- (RFC 7888). Of what a backend says before STARTTLS nothing counts but that it
 * offers it. Tokens, a master user and whatever else is not a password of the user's own go
 * by AUTHENTICATE (section 6.2.2), in one write as well where the greeting lists SASL-IR.
 * In front of the login, in the same write, ID tells where the client comes from (proxy_imap_id).
 * Built on: line, quote, imap_parse, imap, imap_id, sasl_client.
 */
#ifndef POSTERN_WORKER_PROTO_IMAP_LOGIN_H
#define POSTERN_WORKER_PROTO_IMAP_LOGIN_H

#include "worker/proto/proto.h"

/* What proto.h says of login_new, login_input and login_secured. */
struct login *imap_login_new(const struct login_task *task);
enum login_verdict imap_login_input(struct login *login, struct buf *in, struct buf *out);
enum login_verdict imap_login_secured(struct login *login, struct buf *out);

#endif
