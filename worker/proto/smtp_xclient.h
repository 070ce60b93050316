/*
 * smtp_xclient - XCLIENT: a backend hears who its client is (Postfix's XCLIENT_README)
 *
 * Only attributes that the backend's EHLO offers are sent. What is not known is said to be
 * so. Values are xtext. Pure. Built on: addr, buf, proto.h, quote.
 */
#ifndef POSTERN_WORKER_PROTO_SMTP_XCLIENT_H
#define POSTERN_WORKER_PROTO_SMTP_XCLIENT_H

#include <stddef.h>

#include "worker/proto/proto.h"

/* What is told beside facts. */
struct smtp_xclient {
	const char *login;      /* NULL: nobody has logged in */
	const char *helo;       /* of the client; NULL: it has not said any */
	bool esmtp;             /* it was EHLO */
};

/* The set of attributes in `words`, which stand behind XCLIENT in an answer to EHLO; 0: none that we know. */
unsigned smtp_xclient_offer(const char *words, size_t len);

/* Is a user's name among them? */
bool smtp_xclient_takes_login(unsigned offered);

/* Appends the command. 0, or -1: no room. */
int smtp_xclient_compose(struct buf *out, unsigned offered, const struct facts *facts, const struct smtp_xclient *told);

#endif
