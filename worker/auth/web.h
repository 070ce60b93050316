/*
 * web - asks the HTTP servers of a source until one has answered
 *
 * What auth_http and auth_introspection have in common: a pool of connections to each
 * server, whose turn it is, and what happens when a server fails. It has failed when it
 * cannot be reached, fails at TLS, is late, closes too early, says what is no HTTP, or answers
 * with a status of 5xx. That is logged once, and the next server is asked the same, in
 * what is left of the time; each try gets an equal share, so that a dead server leaves
 * enough for the others. The last failure is the question's. What the answer means is
 * the kind's to say. Built on: auth_source, balance, http_client.
 */
#ifndef POSTERN_WORKER_AUTH_WEB_H
#define POSTERN_WORKER_AUTH_WEB_H

#include "worker/auth/auth_source.h"
#include "worker/net/http_client.h"

#define WEB_WHY 320             /* HTTP_ANSWER_WHY fits */
#define WEB_PEER 128            /* room for a server's address in a log line */

/* A source of such a kind in one worker. */
struct web_source {
	struct auth_source base;
	struct balance *balance;        /* owned; by the index in conf->servers, as is `clients` */
	struct http_client **clients;   /* owned, as is each */
	size_t count;
};

struct web_kind;

/* One question; each kind embeds it first. */
struct web_request {
	struct auth_request base;
	const struct web_kind *kind;
	struct http_call call;          /* the present try: its limits for head and body are the kind's */
	struct buf text;                /* what is sent */
	bool *tried;                    /* owned: which of the servers, since web_ask() */
	size_t which;                   /* is asked now */
	uint64_t until_ms;              /* no try begins later */
};

struct web_kind {
	const char *what;               /* its servers, in log lines: "auth http server" */
	/* Appends the request to request->text. Returns 0, or -1 if this question cannot be asked. */
	int (*compose)(struct web_request *request, const struct conf_web *server);
	/* Another try begins: what came of an answer until now was none. */
	void (*forget)(struct web_request *request);
	void (*on_header)(void *request, const char *name, const char *value);
	/*
	 * A server has answered. True when that ended the request or asks it again: nothing may
	 * follow. Else `why` says what is wrong, to follow the server's name ("did not send
	 * server or port"); no secret.
	 */
	bool (*judge)(struct web_request *request, const struct http_result *result, char why[WEB_WHY]);
};

/* These serve as auth_source_kind's functions; source_size is that of struct web_source. */
void web_open(struct auth_source *source);
void web_close(struct auth_source *source);
unsigned web_idle(const struct auth_source *source);
void web_shed(struct auth_source *source);

/* Sets a request up; `head_max` and `body_max` as in struct http_call. */
void web_init(struct web_request *request, const struct web_kind *kind, size_t head_max, size_t body_max);

/* Asks, from the first server on: all of auth_http_timeout is there again. */
void web_ask(struct web_request *request);

/* Lets everything go. */
void web_reset(struct web_request *request);

#endif
