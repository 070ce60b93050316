#include "worker/proto/smtp_body.h"

#include "common/must.h"

/* What stands before the next byte of a text. The first one stands behind the CRLF of DATA. */
enum {
	AFTER_CRLF,
	IN_LINE,
	AFTER_CR,
	AFTER_BARE_LF,
	AFTER_DOT,              /* the first of a line */
	AFTER_BARE_DOT,         /* the same, where a bare CR or LF is taken for a line's end */
	AFTER_DOT_CR,
	AT_END,
	AT_BAD,
};

static const unsigned char moves[][4] = {
	/*                    CR            LF             dot             other */
	[AFTER_CRLF]     = { AFTER_CR,     AFTER_BARE_LF, AFTER_DOT,      IN_LINE },
	[IN_LINE]        = { AFTER_CR,     AFTER_BARE_LF, IN_LINE,        IN_LINE },
	[AFTER_CR]       = { AFTER_CR,     AFTER_CRLF,    AFTER_BARE_DOT, IN_LINE },
	[AFTER_BARE_LF]  = { AFTER_CR,     AFTER_BARE_LF, AFTER_BARE_DOT, IN_LINE },
	[AFTER_DOT]      = { AFTER_DOT_CR, AT_BAD,        IN_LINE,        IN_LINE },
	[AFTER_BARE_DOT] = { AT_BAD,       AT_BAD,        IN_LINE,        IN_LINE },
	[AFTER_DOT_CR]   = { AT_BAD,       AT_END,        AT_BAD,         AT_BAD },
};

/* How many of the bytes belong to the text. */
static size_t
scan(struct smtp_body *body, const char *bytes, size_t len)
{
	unsigned state = body->state;
	size_t i = 0;

	while (i < len && state < AT_END) {
		char byte = bytes[i++];

		state = moves[state][byte == '\r' ? 0 : byte == '\n' ? 1 : byte == '.' ? 2 : 3];
	}
	body->state = state;
	return i;
}

static enum smtp_body_verdict
move(struct buf *from, size_t len, struct buf *to)
{
	if (to != NULL)
		MUST(buf_add(to, buf_head(from), len) == 0);
	buf_take(from, len);
	return from->len > 0 ? SMTP_BODY_FULL : SMTP_BODY_MORE;
}

static enum smtp_body_verdict
move_text(struct smtp_body *body, struct buf *from, size_t len, struct buf *to)
{
	enum smtp_body_verdict verdict;

	len = scan(body, buf_head(from), len);
	if (body->state == AT_BAD)
		return SMTP_BODY_BAD;
	verdict = move(from, len, to);
	return body->state == AT_END ? SMTP_BODY_END : verdict;
}

static enum smtp_body_verdict
move_chunk(struct smtp_body *body, struct buf *from, size_t len, struct buf *to)
{
	enum smtp_body_verdict verdict;

	if (len > body->left)
		len = (size_t)body->left;
	verdict = move(from, len, to);
	body->left -= len;
	return body->left == 0 ? SMTP_BODY_END : verdict;
}

enum smtp_body_verdict
smtp_body_move(struct smtp_body *body, struct buf *from, struct buf *to)
{
	size_t len = to != NULL && buf_left(to) < from->len ? buf_left(to) : from->len;

	return body->kind == SMTP_BODY_TEXT ? move_text(body, from, len, to) : move_chunk(body, from, len, to);
}
