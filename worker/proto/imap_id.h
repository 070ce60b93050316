/*
 * imap_id - the ID command of IMAP (RFC 2971), as a gateway uses it
 *
 * A client's ID is kept, and passed on to its backend with what the gateway knows of the
 * client: x-originating-ip and -port, x-connected-ip and -port, x-session-id and
 * x-proxy-ttl, in the form that Dovecot takes from those in its login_trusted_networks.
 * Fields of that kind are between servers, so a client's own "x-..." are not passed on;
 * but an x-proxy-ttl that it sends is counted down, so that gateways which send a
 * connection in a circle notice. Pure. Built on: buf, imap_parse, mem, proto.h, quote.
 */
#ifndef POSTERN_WORKER_PROTO_IMAP_ID_H
#define POSTERN_WORKER_PROTO_IMAP_ID_H

#include <stddef.h>

#include "worker/proto/imap_parse.h"
#include "worker/proto/proto.h"

#define IMAP_ID_FIELDS 30       /* RFC 2971 section 3.3 */
#define IMAP_ID_TTL 5           /* of a connection that has not passed a proxy before us */

/* What a client said of itself. Zeroed memory is nothing. */
struct imap_id {
	char *texts;            /* owned: ` "field" "value"` for each, as they go out; NULL: none */
	unsigned count;
	unsigned ttl;           /* its x-proxy-ttl and 1; 0: it sent none */
};

/*
 * Adds a field, with its value as it stands in the queue (NIL: not quoted). What cannot be
 * written as quoted strings, and is not ASCII, is left out, as is what is more than the RFC allows.
 */
void imap_id_add(struct imap_id *id, const struct imap_text *field, const struct imap_text *value);
void imap_id_reset(struct imap_id *id);

/* How many proxies more the connection may pass, ours not counted; 0: it goes in a circle. */
unsigned imap_id_ttl(const struct imap_id *id);

/* Appends `TAG ID (...)`. 0, or -1: no room. */
int imap_id_compose(struct buf *out, const char *tag, const struct facts *facts, const struct imap_id *id);

#endif
