/*
 * auth - asks a server's sources who a client is
 *
 * One interface, several sources: auth_http and auth_introspection (pools of kept HTTP
 * connections), those behind helper processes (auth_file, auth_mysql, auth_pam, auth_jwt)
 * and auth_passthrough, which leaves it to the backend. A session asks once per attempt
 * and gets one answer. The server's sources are asked in their order: one that does not
 * know the user passes the question on, a yes or a no ends it, and whatever goes wrong
 * with a source is AUTH_UNAVAILABLE and ends it too: never a yes, and never a way around
 * a source that cannot speak now. Sources that cannot serve the method, or whose patterns
 * the user does not match, are passed over. With an auth_cache, what a source has said a
 * moment ago is not asked again. Built on: conf, proto.h (credentials), loop, resolver, zone.
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

/*
 * AUTH_UNKNOWN comes from a source and never reaches the asker: the next one is asked, behind the
 * last it is a refusal.
 */
enum auth_outcome { AUTH_ACCEPTED, AUTH_REFUSED, AUTH_UNAVAILABLE, AUTH_UNKNOWN };

struct auth_question {
	const struct server *server;
	const struct facts *facts;
	const struct credentials *credentials;
	unsigned attempt;               /* Auth-Login-Attempt: 1, 2, ... in this session */
	uint64_t connection;            /* our number of the session */
	const char *session;            /* our id of it, as in the log */
	const struct log_origin *origin;        /* for what the source itself has to log */
	/* the client has closed its side: nobody waits for a later answer; NULL: it stays */
	const bool *left;
};

#define AUTH_TRACE 32

/* What leads back to an answer that was kept, and to no other. Nothing of the password follows from it. */
struct auth_trace {
	unsigned char name[AUTH_TRACE], proof[AUTH_TRACE];
};

/* Strings are owned by the answer and wiped after the callback; the session copies what it keeps. */
struct auth_answer {
	enum auth_outcome outcome;
	const struct conf_source *source;       /* who decided; NULL: no source was there for this user and method */
	bool cached;                    /* it decided a moment ago, and was not asked again */
	/* AUTH_ACCEPTED */
	struct auth_trace trace;        /* if it is cached, for auth_forget() */
	char *user, *pass;              /* for the backend instead of the client's; NULL: the client's */
	char *host;                     /* backend: name, address, or path of a UNIX socket; NULL: proxy_pass */
	unsigned port;                  /* 0: the protocol's default */
	bool is_unix;
	enum auth_ssl ssl;              /* never weaker than proxy_ssl: the session sees to that */
	bool undecided;                 /* auth_passthrough: the backend's answer to the login decides */
	char *ssl_name;                 /* whose certificate the backend has to show; NULL: as configured */
	char *headers;                  /* those of server->kept_headers that came, "name=value\n" each; NULL: none */
	/* AUTH_REFUSED */
	char *text;                     /* for the client, control bytes stripped; NULL: the protocol's usual words */
	char *code;                     /* SMTP: Auth-Error-Code; NULL */
	/* XOAUTH2, OAUTHBEARER: the error challenge of RFC 7628 section 3.2.2, base64; NULL: ours */
	char *challenge;
	uint64_t wait_ms;               /* silence before the refusal is sent */
	bool close;                     /* say it and close (auth_http without Auth-Wait) */
	/* for a cache */
	uint64_t epoch;                 /* of what the source answered from */
	uint64_t good_ms;               /* how long this may be believed at most; 0: as long as the cache likes */
	/* AUTH_UNAVAILABLE, AUTH_REFUSED: for the log (AUTH_UNAVAILABLE has been logged by the source already) */
	char *reason;
};

typedef void auth_callback(void *ctx, const struct auth_answer *answer);

/* `slot` is our child's (board), for zones. */
struct auth *auth_new(const struct conf *conf, struct loop *loop, struct resolver *resolver, uint32_t slot);
void auth_free(struct auth **authp);

/*
 * Asks. `question` and what it points to stay until the callback, which comes once and
 * never from within auth_ask().
 */
struct auth_request *auth_ask(struct auth *auth, const struct auth_question *question, auth_callback *done, void *ctx);

/* The asker has gone: no callback comes any more. NULL is fine; leaves NULL. */
void auth_cancel(struct auth_request **requestp);

/* A cached answer of this server has proved to be out of date: the source is to be asked again. */
void auth_forget(struct auth *auth, const struct server *server, const struct auth_trace *trace);

/* The value of a header that was kept, for the caller to free; NULL: it did not come. */
char *auth_answer_header(const struct auth_answer *answer, const char *name);

/* The source has said that it will be asked again later: who leaves meanwhile leaves for good. */
bool auth_is_waiting(const struct auth_request *request);

/* Kept connections that could be closed to free descriptors, and doing so. */
unsigned auth_idle_descriptors(const struct auth *auth);
void auth_shed(struct auth *auth);

#endif
