/*
 * auth - asks a server's source who a client is
 *
 * One interface, several sources: auth_http (a pool of kept HTTP connections) and the
 * sources behind helper processes (auth_file). A session asks once per attempt and gets
 * one answer. Whatever goes wrong with a source is AUTH_UNAVAILABLE, never a yes.
 * Built on: conf, proto.h (credentials), loop, resolver.
 */
#ifndef POSTERN_WORKER_AUTH_AUTH_H
#define POSTERN_WORKER_AUTH_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/conf.h"
#include "common/loop.h"
#include "worker/net/resolver.h"
#include "worker/proto/proto.h"

struct auth;            /* one a worker: the sources' connections, queues and pools */
struct auth_request;    /* one question under way */

/* What a source says about TLS towards the backend. */
enum auth_ssl { AUTH_SSL_UNSAID, AUTH_SSL_OFF, AUTH_SSL_ON, AUTH_SSL_STARTTLS };

enum auth_outcome { AUTH_ACCEPTED, AUTH_REFUSED, AUTH_UNAVAILABLE };

struct auth_question {
	const struct server *server;
	const struct facts *facts;
	const struct credentials *credentials;
	unsigned attempt;               /* Auth-Login-Attempt: 1, 2, ... in this session */
	uint64_t connection;            /* our number of the session */
	const struct log_origin *origin;        /* for what the source itself has to log */
	const bool *left;               /* the client has closed its side: nobody waits for a later answer; NULL: it stays */
};

/* Strings are owned by the answer and wiped after the callback; the session copies what it keeps. */
struct auth_answer {
	enum auth_outcome outcome;
	const char *source;             /* conf_source.label */
	/* AUTH_ACCEPTED */
	char *user, *pass;              /* for the backend instead of the client's; NULL: the client's */
	char *host;                     /* backend: name, address, or path of a UNIX socket; NULL: proxy_pass */
	unsigned port;                  /* 0: the protocol's default */
	bool is_unix;
	enum auth_ssl ssl;              /* never weaker than proxy_ssl: the session sees to that */
	char *ssl_name;                 /* whose certificate the backend has to show; NULL: as configured */
	/* AUTH_REFUSED */
	char *text;                     /* for the client, control bytes stripped; NULL: the protocol's usual words */
	char *code;                     /* SMTP: Auth-Error-Code; NULL */
	uint64_t wait_ms;               /* silence before the refusal is sent */
	bool close;                     /* say it and close (auth_http without Auth-Wait) */
	/* AUTH_UNAVAILABLE, AUTH_REFUSED: for the log (AUTH_UNAVAILABLE has been logged by the source already) */
	char *reason;
};

typedef void auth_callback(void *ctx, const struct auth_answer *answer);

struct auth *auth_new(const struct conf *conf, struct loop *loop, struct resolver *resolver);
void auth_free(struct auth **authp);

/*
 * Asks. `question` and what it points to stay until the callback, which comes once and
 * never from within auth_ask().
 */
struct auth_request *auth_ask(struct auth *auth, const struct auth_question *question, auth_callback *done, void *ctx);

/* The asker has gone: no callback comes any more. NULL is fine; leaves NULL. */
void auth_cancel(struct auth_request **requestp);

/* The source has said that it will be asked again later: who leaves meanwhile leaves for good. */
bool auth_is_waiting(const struct auth_request *request);

/* Kept connections that could be closed to free descriptors, and doing so. */
unsigned auth_idle_descriptors(const struct auth *auth);
void auth_shed(struct auth *auth);

#endif
