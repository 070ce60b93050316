/*
 * imap_parse - commands of IMAP, read piece by piece (RFC 9051 section 9)
 *
 * A command is one line, or several with literals between them. It is read from its
 * first byte whenever bytes have come: the client's buffer bounds it, and so nothing
 * half-read has to be remembered but which literals the client has been invited to
 * send. Nothing nests: no command before login has more than a flat list. Strict but
 * for blanks, of which any number may stand where one must and at the end, and for what
 * LOGIN takes as a bare word, both as in nginx.
 * Built on: line.
 */
#ifndef POSTERN_WORKER_PROTO_IMAP_PARSE_H
#define POSTERN_WORKER_PROTO_IMAP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/proto/line.h"

#define IMAP_TAG_MAX 128        /* bytes of a tag that are taken */

enum imap_parse_state {
	IMAP_PARSE_DONE,
	IMAP_PARSE_MORE,        /* the end has not come yet */
	IMAP_PARSE_INVITE,      /* nor will it before the client is told "+": do so and keep parse->at in `invited` */
	IMAP_PARSE_LONG,        /* it would pass max_len */
	IMAP_PARSE_BAD,         /* not what the grammar says; parse->next is behind the line */
};

struct imap_parse {
	const char *bytes;      /* borrowed from the queue */
	size_t len, max_len;
	size_t at;              /* the next byte to read */
	struct line line;       /* what `at` stands in: a line, or what follows a literal */
	size_t end, next;       /* where that line ends, without its line end and with it */
	size_t invited;         /* literals that begin here or before have been invited */
};

/* An argument as it stands in the queue. */
struct imap_text {
	const char *at;
	size_t len;
	bool quoted;            /* `\` still stands before `"` and `\` */
};

/* "{3}" or "{3+}" at the end of a line. */
struct imap_literal {
	size_t start;           /* of the brace, in the line */
	uint64_t len;           /* UINT64_MAX when it is not even a number of 64 bits */
	bool waits;             /* synchronizing: nothing comes before our "+" */
};

/* Begins with the first command in `in`, which may have max_len bytes in all. */
enum imap_parse_state imap_parse_open(struct imap_parse *p, const struct buf *in, size_t max_len, size_t invited);

/* Passes one blank or more. False if there is none. */
bool imap_parse_blanks(struct imap_parse *p);

/* Has the command nothing left but blanks? */
bool imap_parse_end(struct imap_parse *p);

/* These read within the line and say whether it stood there. */
bool imap_parse_tag(struct imap_parse *p, struct imap_text *out);
bool imap_parse_atom(struct imap_parse *p, struct imap_text *out);

/* An atom, a quoted string or a literal. */
enum imap_parse_state imap_parse_astring(struct imap_parse *p, struct imap_text *out);

/*
 * An argument of LOGIN: as above, and bare words with bytes that no atom has. Clients send
 * user*master or pass%word without quotes, and nginx takes it.
 */
enum imap_parse_state imap_parse_credential(struct imap_parse *p, struct imap_text *out);

/*
 * NIL or a list of strings in parentheses, the argument of ID (RFC 2971 section 3.1), is read
 * field by field: imap_parse_id_open(), then _next() while that says DONE with a field
 * (field->at not NULL). The end of the list is DONE without one.
 */
enum imap_parse_state imap_parse_id_open(struct imap_parse *p, bool *is_list);
enum imap_parse_state imap_parse_id_next(struct imap_parse *p, struct imap_text *field, struct imap_text *value);

/* Does the line end by announcing a literal? */
bool imap_parse_literal(const struct line *line, struct imap_literal *out);

/* Is this the word, letters compared without case? */
bool imap_text_is(const struct imap_text *text, const char *word);

/* The argument itself, `*len` bytes and a NUL; the caller wipes and frees it. It may hold any byte. */
char *imap_text_copy(const struct imap_text *text, size_t *len);

#endif
