/*
 * http_parse - HTTP/1.x response heads, strictly (RFC 9112)
 *
 * Takes the head of a response as it arrives, byte by byte if need be, and says what
 * the connection may be used for afterwards. The status line is required. Bodies are
 * skipped by count or chunk so that a kept connection stays in step; nobody waits for
 * one but who wants it. Built on: buf, num.
 */
#ifndef POSTERN_WORKER_PROTO_HTTP_PARSE_H
#define POSTERN_WORKER_PROTO_HTTP_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

enum http_verdict { HTTP_MORE, HTTP_DONE, HTTP_BAD };

struct http_head {
	unsigned status;
	bool keep_alive;        /* the server will take another request on this connection */
	bool chunked;
	bool until_close;       /* the body has no length: it ends with the connection */
	uint64_t body_len;
	const char *reason;     /* static; at HTTP_BAD: what was wrong */
};

/*
 * Once the whole head stands in `in`: fills *head, calls on_header(ctx, name, value) for
 * each field, in order, names as sent, values trimmed, both NUL-terminated and free of
 * control bytes; takes the head off `in`. HTTP_MORE takes nothing. `in`'s limit bounds
 * the head: a full buf without its end is HTTP_BAD. 1xx heads are skipped. After HTTP_BAD
 * what on_header was told counts for nothing, and head->status is 0 if no status line was read.
 */
enum http_verdict http_parse_head(struct buf *in, struct http_head *head,
    void (*on_header)(void *ctx, const char *name, const char *value), void *ctx);

/* Where the body of a response stands; zeroed memory is its beginning. */
struct http_body {
	uint64_t left;          /* of it, or of the present chunk */
	unsigned state;
	const char *reason;     /* static; at HTTP_BAD: what was wrong */
};

/*
 * Takes what is there of the body of `head` off `in` and appends it, without its frame, to
 * `out`, whose limit it may not pass; NULL: it is skipped. HTTP_DONE at its end, which of a
 * body that ends with the connection only the caller can see.
 */
enum http_verdict http_take_body(struct buf *in, const struct http_head *head, struct http_body *body,
    struct buf *out);

#endif
