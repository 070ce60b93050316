/*
 * line - a dialogue's lines, cut out of a queue of bytes
 *
 * A line ends with CRLF or LF; a bare CR never ends one and NUL is refused
 * (RFC 5321 section 2.3.8, RFC 9051 section 2.2). Nothing is said of a line before its
 * end has come, so the segments that it came in make no difference. Built on: buf.
 */
#ifndef POSTERN_WORKER_PROTO_LINE_H
#define POSTERN_WORKER_PROTO_LINE_H

#include <stdbool.h>

#include "common/buf.h"

enum line_state {
	LINE_DONE,      /* *line is whole */
	LINE_MORE,      /* its end has not come yet */
	LINE_LONG,      /* max_len bytes are there and no end among them: *line has them */
	LINE_BAD,       /* it holds a NUL or a bare CR; *line is whole */
};

struct line {
	const char *text;       /* in the queue: valid until bytes are added or taken; no NUL behind it */
	size_t len;             /* without the line end */
	size_t taken;           /* with it: what buf_take() is to drop */
};

/* Looks at the first line of `in`, which may have max_len bytes, its end counted; nothing is taken. */
enum line_state line_next(const struct buf *in, size_t max_len, struct line *line);

/* The same for bytes that lie anywhere. */
enum line_state line_find(const char *bytes, size_t len, size_t max_len, struct line *line);

/* Does the line begin with this word, letters compared without case, followed by a blank or its end? */
bool line_begins(const struct line *line, const char *word);

#endif
