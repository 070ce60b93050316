/*
 * line - a dialogue's lines, cut out of a queue of bytes
 *
 * A line ends with CRLF or LF; a bare CR never ends one and NUL is refused
 * (RFC 5321 section 2.3.8, RFC 9051 section 2.2). Built on: buf.
 */
#ifndef POSTERN_WORKER_PROTO_LINE_H
#define POSTERN_WORKER_PROTO_LINE_H

#include <stdbool.h>

#include "common/buf.h"

enum line_state {
	LINE_DONE,      /* *line is whole */
	LINE_MORE,      /* its end has not come yet */
	LINE_LONG,      /* it has filled max_len without an end */
	LINE_BAD,       /* it holds a NUL or a bare CR */
};

struct line {
	const char *text;       /* in the queue: valid until bytes are added or taken; no NUL behind it */
	size_t len;             /* without the line end */
	size_t taken;           /* with it: what buf_take() is to drop */
};

/* Looks at the first line of `in`; nothing is taken. LINE_BAD has the whole line, too, when its end is there. */
enum line_state line_next(const struct buf *in, size_t max_len, struct line *line);

/* Does the line begin with this word, letters compared without case, followed by a blank or its end? */
bool line_begins(const struct line *line, const char *word);

#endif
