/*
 * smtp_body - message bytes, and where they end
 *
 * Text behind DATA ends at CRLF.CRLF and nowhere else (RFC 5321 section 4.1.1.4), a chunk
 * by its count (RFC 3030). There are servers that take a bare LF or CR for the end of a
 * line, too; a dot that is alone on a line for them alone would let a sender's text go on
 * as commands that we never saw ("SMTP smuggling"). Such text is refused before the byte
 * that would complete the line. Built on: buf.
 */
#ifndef POSTERN_WORKER_PROTO_SMTP_BODY_H
#define POSTERN_WORKER_PROTO_SMTP_BODY_H

#include <stdint.h>

#include "common/buf.h"

enum smtp_body_kind { SMTP_BODY_TEXT, SMTP_BODY_CHUNK, SMTP_BODY_DISCARD };

enum smtp_body_verdict {
	SMTP_BODY_END,          /* all of it has moved; what is left in `from` are commands */
	SMTP_BODY_MORE,         /* all that was there has moved */
	SMTP_BODY_FULL,         /* all that fitted has moved */
	SMTP_BODY_BAD,          /* text, and what would come next could be taken for its end */
};

/* Start with a zeroed one of the kind; a chunk or what is to be discarded with its count. */
struct smtp_body {
	enum smtp_body_kind kind;
	uint64_t left;
	unsigned state;         /* of the text */
};

/* Moves what belongs to the body. `to` may be NULL where it is discarded. */
enum smtp_body_verdict smtp_body_move(struct smtp_body *body, struct buf *from, struct buf *to);

#endif
