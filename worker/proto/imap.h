/*
 * imap - the client's half of an IMAP login (RFC 9051 section 6.1, 6.2)
 *
 * Before login a client may ask for CAPABILITY, NOOP, LOGOUT, ID, STARTTLS, LOGIN and
 * AUTHENTICATE, the last two under `starttls only` not before TLS. ENABLE gets a reason
 * why not; everything else is an invalid command, and max_errors counts those. A literal
 * that was sent unasked behind a command that is refused closes the connection, so that it
 * is never run as a command. The row of the table of protocols is proto_imap.
 * Built on: imap_parse, sasl.
 */
#ifndef POSTERN_WORKER_PROTO_IMAP_H
#define POSTERN_WORKER_PROTO_IMAP_H

#include "worker/proto/proto.h"

struct imap_id;

extern const struct proto proto_imap;

/* The tag of the command that carried the credentials: the backend's answer is to bear it. */
const char *imap_tag(const struct client *client);

/* What it has said of itself by ID. */
const struct imap_id *imap_id(const struct client *client);

#endif
