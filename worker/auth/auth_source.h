/*
 * auth_source - what a kind of source does behind auth.h
 *
 * auth.c owns every request: it makes one with room for the kind's own part, hands it
 * to the kind's `ask`, and when the kind settles it, tells the asker once, wipes the
 * answer and frees the request. A kind never calls the asker itself, so none of them
 * can call from within auth_ask(), twice, or after a cancel. The chain of a server's
 * sources is a kind too: each question is a request of the chain, which makes requests
 * of the sources, one after the other, and hears of their answers as any asker does.
 * Built on: auth.
 */
#ifndef POSTERN_WORKER_AUTH_AUTH_SOURCE_H
#define POSTERN_WORKER_AUTH_AUTH_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/auth/auth.h"

struct auth_source_kind;

/* One source in one worker; each kind embeds it first. auth.c fills it in before `open`. */
struct auth_source {
	const struct auth_source_kind *kind;
	const struct conf_source *conf; /* borrowed from the configuration; NULL: the chain */
	struct loop *loop;              /* borrowed */
	struct resolver *resolver;      /* borrowed */
};

/* One question; each kind embeds it first. */
struct auth_request {
	struct auth_source *source;             /* borrowed */
	const struct auth_question *question;   /* borrowed from the asker */
	/* none follows: an unknown user must cost what a wrong password costs */
	bool is_last;
	bool waiting;                           /* set by the kind: nothing happens now, the source wants us later */
	bool fleeting;                          /* set by the kind: what it says is not for a cache */
	/* auth.c's own: */
	auth_callback *done;
	void *ctx;
	struct auth_answer answer;              /* owned */
	struct loop_task late;                  /* tells an answer that was there before auth_ask() returned */
	bool asking;                            /* we are inside of it */
};

struct auth_source_kind {
	size_t source_size, request_size;       /* of the kind's structs; they come cleared but for the parts above */
	/* Called when the worker starts, before the sandbox; what cannot work yet is tried again by `ask`. */
	void (*open)(struct auth_source *source);
	/* Called when no request is left. */
	void (*close)(struct auth_source *source);
	/* Starts; later, or at once, auth_settle() or auth_unavailable() end the request. */
	void (*ask)(struct auth_request *request);
	/* Lets go of all that the kind's part of a request holds: called once, when it was settled or cancelled. */
	void (*drop)(struct auth_request *request);
	/* Kept descriptors that no request uses, and closing them. */
	unsigned (*idle)(const struct auth_source *source);
	void (*shed)(struct auth_source *source);
};

extern const struct auth_source_kind auth_http;         /* SOURCE_HTTP */
extern const struct auth_source_kind auth_introspection;        /* SOURCE_INTROSPECTION */
extern const struct auth_source_kind auth_helper;       /* SOURCE_FILE, SOURCE_MYSQL, SOURCE_PAM, SOURCE_JWT */
extern const struct auth_source_kind auth_passthrough;  /* SOURCE_PASSTHROUGH */

/* Asks this source alone; else as auth_ask(). */
struct auth_request *auth_ask_source(struct auth_source *source, const struct auth_question *question, bool is_last,
    auth_callback *done, void *ctx);

/*
 * Ends a request with this answer, whose strings move to auth.c (`source` is filled in
 * there, but for the chain's). The request may be gone when this returns: nothing may follow.
 */
void auth_settle(struct auth_request *request, const struct auth_answer *answer);

/*
 * Ends it with AUTH_UNAVAILABLE after logging the reason at level error. The text says
 * who did what: "auth http server 127.0.0.1:80 timed out"; no secret.
 */
void auth_unavailable(struct auth_request *request, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Wipes and frees the strings of an answer that was not settled. */
void auth_answer_reset(struct auth_answer *answer);

#endif
