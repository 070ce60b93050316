/*
 * entry - what only the way in needs
 *
 * Buffers, both protocol halves, credentials and questions under way: everything that a
 * login owns and a relay does not. Made at the client's first byte (or with its
 * greeting, when that holds a challenge), freed when the relay begins. Built on: proto,
 * auth, upstream.
 */
#ifndef POSTERN_WORKER_ENTRY_H
#define POSTERN_WORKER_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "worker/auth/auth.h"
#include "worker/proto/proto.h"
#include "worker/upstream/upstream.h"

struct approach_ends;
struct conn;
struct guard;
struct session;
struct smtp_gate;

/* Who asked and hears what came of it: the dialogue, later the gate. */
struct petitioner {
	void (*accepted)(struct session *s, const struct auth_answer *answer);
	void (*refused)(struct session *s, const struct refusal *why);
};

struct entry {
	struct facts facts;
	struct addr connected;          /* facts.connected, once it is asked for */
	struct client *client;          /* owned: the client's half */
	struct login *login;            /* owned: the backend's half, from dial to relay */
	struct login_task task;
	struct buf in, out;             /* from and to the client */
	struct buf backend_in, backend_out;
	const struct petitioner *petitioner;
	struct auth_question question;
	struct auth_request *asking;    /* owned, while the source is asked */
	struct upstream_request *looking;       /* owned, while the backend is looked up */
	struct upstream_peers peers;    /* owned: where it may be found */
	size_t next_peer;
	const struct approach_ends *approach_ends;      /* borrowed: who hears how the approach ends */
	uint64_t deadline_ms;           /* of the approach, on the loop's clock */
	/* TLS towards the backend: what the source and the configuration want, united */
	enum proxy_ssl ssl;
	char *ssl_name;                 /* owned: whose certificate it has to show, as the source said; NULL */
	char *host;                     /* owned: the backend's host as the source named it; NULL: proxy_pass */
	char *target;                   /* owned: the backend as the source named it; NULL: proxy_pass */
	struct smtp_gate *gate;         /* owned, in the gate phase */
	bool undecided;                 /* the source leaves it to the backend (auth_passthrough) */
	bool cached;                    /* the source has said yes a moment ago, and then this is its answer's: */
	struct auth_trace trace;
	struct guard *guard;            /* owned: what the attempt was charged for, by module guard; NULL: nothing */
	uint64_t held_until_ms;         /* while it may not be tried: the end of its patience, on the loop's clock */
	bool waiting;                   /* a silence stands between the refusal and its being said */
	struct refusal refusal;         /* its strings are the next three */
	char *refusal_text, *refusal_code, *refusal_challenge;  /* owned */
	uint64_t left_ms;               /* of `timeout`; runs while the client has the turn */
	uint64_t turn_ms;               /* since when it has the turn; 0: it has not */
	unsigned attempt;
	unsigned refusals;              /* of logins, so far */
	unsigned errors_seen;           /* of client->errors: what the log knows */
};

/* For a client at `addr`, which is borrowed, of this server. */
struct entry *entry_new(const struct server *server, const struct addr *addr);

/* Cancels the questions under way: nobody hears of their answers. NULL is fine. */
void entry_cancel(struct entry *e);

/*
 * Makes the buffers as large as facts.server says, and a challenge if it wants one; SNI may have
 * chosen another server.
 */
void entry_fit(struct entry *e);

/* Wipes what is secret, cancels what is under way, frees all. */
void entry_free(struct entry **entryp);

/* Sends what `b` holds. 1: all of it went; 0: the peer does not read now; -1: it is gone. */
int entry_flush(struct conn *to, struct buf *b);

/*
 * Reads what is there into `b`, by way of `scratch`. 1: some came; 0: nothing now, or
 * no room, or the end (from->eof); -1: the peer is gone.
 */
int entry_fill(struct conn *from, struct buf *b, char *scratch, size_t size);

#endif
