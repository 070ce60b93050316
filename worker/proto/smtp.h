/*
 * smtp - the client half of SMTP, until somebody is known or a recipient named
 *
 * RFC 5321 with AUTH (RFC 4954). Where `smtp_auth` has none, each RCPT is a question to
 * the source; once one is accepted the gate (smtp_gate) takes over what was said here.
 * Built on: line, sasl, smtp_body, smtp_words, smtp_login, proto.h.
 */
#ifndef POSTERN_WORKER_PROTO_SMTP_H
#define POSTERN_WORKER_PROTO_SMTP_H

#include "worker/proto/proto.h"

extern const struct proto proto_smtp;

/* For a client that speaks before our greeting, without a line end. Then the session closes. */
extern const char smtp_early_talker[];

/* What an smtp client half has been told; NULL: nothing. Valid until it is fed or freed. */
const char *smtp_helo(const struct client *client);     /* the argument of HELO or EHLO */
const char *smtp_mail(const struct client *client);     /* the whole MAIL command */
bool smtp_said_helo(const struct client *client);       /* it was HELO, not EHLO */

#endif
