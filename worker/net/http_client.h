/*
 * http_client - requests to one server, over connections that are kept
 *
 * A pool a server and worker. A connection carries one request at a time; afterwards it
 * waits in the pool for the next, unless the server wants it closed or is out of step.
 * A kept connection that the server closes, or on which it says anything unasked, is
 * dropped without a word; a request that dies on one before the first byte of its
 * answer is sent once more, on a new connection: only what may be repeated, a GET or a
 * question in a POST, is asked through here. New
 * connections try the addresses of the server in turn, beginning with the one that
 * worked last; where the server was given by name, the name is looked up again in the
 * background, at most once a minute. The answer counts from its blank line, and its body
 * is skipped afterwards, unless the caller wants it. Where the server is to be spoken with through TLS, a connection
 * that does not get that far is like one that was refused, and the request stays here.
 * Built on: http_link, http_parse, resolver.
 */
#ifndef POSTERN_WORKER_NET_HTTP_CLIENT_H
#define POSTERN_WORKER_NET_HTTP_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "common/conf.h"
#include "common/loop.h"
#include "worker/net/resolver.h"
#include "worker/proto/http_parse.h"

struct http_client;
struct http_link;

enum http_outcome {
	HTTP_ANSWERED,          /* with a whole head, whatever its status */
	HTTP_UNREACHABLE,       /* no address took the connection; `error` is the last one's errno */
	HTTP_INSECURE,          /* no address that took it came through a TLS handshake; `reason` is the last one's */
	HTTP_TIMED_OUT,
	HTTP_CLOSED,            /* before the answer was whole */
	HTTP_GARBLED,           /* head->reason says why; head->status is 0 if not even a status line came */
	HTTP_BODY_GARBLED,      /* a body that is wanted is too long, or its frame broken: head->reason */
};

/* Valid during on_end, until another call is started. */
struct http_result {
	enum http_outcome outcome;
	const struct endpoint *peer;    /* the address that was tried last */
	const struct http_head *head;   /* HTTP_ANSWERED, HTTP_GARBLED, HTTP_BODY_GARBLED */
	const struct buf *body;         /* HTTP_ANSWERED: what of it was wanted, maybe empty */
	int error;                      /* HTTP_UNREACHABLE */
	const char *reason;             /* HTTP_INSECURE: in parentheses, as conn_tls_error() */
};

/* One request; its asker embeds it, and fills in the first part before each start. */
struct http_call {
	const struct buf *request;      /* borrowed until the end: the whole of it, blank line and body included */
	size_t head_max;                /* bytes of the answer's head */
	/* bytes of the body of a 2xx answer, which is waited for; 0: it is not wanted */
	size_t body_max;
	uint64_t limit_ms;              /* for connecting, TLS and sending; again for the whole answer */
	uint64_t deadline_ms;           /* on the loop's clock, for all of it; 0: none */
	/* borrowed for good: for https; the same in all calls of a client. NULL: http */
	const struct conf_tls *tls;
	void (*on_header)(void *ctx, const char *name, const char *value);      /* as http_parse_head() */
	void (*on_end)(void *ctx, const struct http_result *result);
	void *ctx;
	/* http_client's own: */
	struct http_link *link;         /* NULL: not under way */
	size_t tried;                   /* addresses */
};

/* How connections are kept. */
struct http_keep {
	unsigned connections;           /* idle ones; 0: each is closed behind its answer */
	unsigned requests;              /* on one connection */
	uint64_t idle_ms;
};

/* `server` is borrowed and has at least one address. */
struct http_client *http_client_new(const struct conf_name *server, const struct http_keep *keep, struct loop *loop,
    struct resolver *resolver);

/* Called when every call has ended or was cancelled. */
void http_client_free(struct http_client **clientp);

/* Starts a call. on_end comes once, perhaps before this returns, and is the last that happens to the call. */
void http_client_start(struct http_client *client, struct http_call *call);

/* on_end will not come any more. A call that is not under way is left alone. */
void http_client_cancel(struct http_call *call);

/* Connections that no call uses any more, those that still skip an answer's body included, and closing them. */
unsigned http_client_idle(const struct http_client *client);
void http_client_shed(struct http_client *client);

#endif
