/*
 * session - one client, from accept to burial
 *
 * A session is a phase and what that phase needs. Until the client is let in it owns a
 * struct entry: buffers, protocol halves, credentials, the question to the source; all
 * of it is freed when the relay begins, and an idle session is then two descriptors and
 * an epitaph. Nor does a client that was greeted and has said nothing yet own one.
 * session_end() only marks: the loop buries the dead after its turn, so any
 * callback may end its session and return.
 *
 *     handshake -> naming -> greeting -> dialogue <-> asking
 *                                           ^            |
 *                                           +----------- dial -> secure -> login -> relay or gate -> dead
 *
 * Each phase is a struct phase of its module: dialogue (greeting, dialogue, asking),
 * handshake, naming, approach (dial, secure, login), relay, gate, farewell (linger). This module knows none of
 * them. Built on: shift, conn, proto, entry, epitaph.
 */
#ifndef POSTERN_WORKER_SESSION_H
#define POSTERN_WORKER_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/conf.h"
#include "common/list.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/tlsctx.h"
#include "worker/epitaph.h"
#include "worker/net/conn.h"
#include "worker/proto/proto.h"
#include "worker/shift.h"

struct entry;
struct holds;
struct session;
struct spill;

/* What happens while a session is in a phase. Functions may be NULL: then nothing does. */
struct phase {
	const char *name;       /* for the log at level debug */
	/* What we do for the client, in the log's words ("connecting to upstream"); static. */
	const char *(*action)(const struct session *s);
	/* Events on its sockets; the conn has noted them already. */
	void (*on_client)(struct session *s, uint32_t events);
	void (*on_backend)(struct session *s, uint32_t events);
	/* May a line of ours stand in the stream to the client now? */
	bool (*may_speak)(const struct session *s);
	bool is_proxying;       /* the client is logged in */
};

/* What a PROXY header said. */
struct proxied {
	struct addr source, destination;
};

/* How the client is called (resolver). */
struct naming {
	struct hostname_query *asking;  /* owned; NULL: nobody is being asked */
	char *host;                     /* owned; what sources and backends are told; NULL: nothing is known */
	uint64_t since_ms;              /* on the loop's clock: when the question was put */
	void (*named)(struct session *s);       /* what follows */
};

/* A handshake with the client. */
struct handshake {
	struct tls_choice choice;       /* of the server, by SNI */
	struct session *session;        /* borrowed: whose it is */
	void (*secured)(struct session *s);     /* what follows */
};

/* Thousands of them are idle: what only some of them need, or for a while, hangs on a pointer. */
struct session {
	struct list node;               /* in shift->sessions */
	struct shift *shift;            /* borrowed */
	const struct conf_listen *listen;       /* borrowed from the configuration, like the next */
	const struct server *server;    /* the listen's first; SNI may choose another, once */
	struct entry *entry;            /* owned; NULL before the client's first byte and in RELAY */
	struct epitaph *epitaph;        /* owned; from the first known user on */
	struct conn client, backend;
	struct loop_timer timer;
	struct loop_task task;          /* to go on next turn; in the end, to be buried */
	struct log_origin origin;
	struct spill *to_backend, *to_client;   /* owned: what a full socket did not take, in RELAY */
	struct holds *holds;            /* owned: of limit_conn, by module limit; NULL: none */
	struct proxied *proxied;        /* owned; NULL: no header told of a client */
	struct naming *naming;          /* owned; NULL: nobody asks, or nobody wants to know any more */
	struct handshake *handshake;    /* owned; NULL: none is under way */
	uint64_t progress_ms;           /* when the relay last moved a byte; before it, since when its time runs */
	const struct phase *phase;
	struct addr addr;               /* the client's */
	uint8_t seats;                  /* held */
	bool mid_line_up, mid_line_down;        /* the last byte passed on did not end a line */
};

/*
 * Takes over the accepted socket `fd`, in no phase yet: the caller enters the first. NULL
 * when the loop does not take it; the socket is closed then.
 */
struct session *session_new(struct shift *shift, const struct conf_listen *listen, int fd, const struct addr *addr);

/* Marks it dead: it hears of nothing any more, and is buried at the end of the turn. Calling it twice is harmless. */
void session_end(struct session *s);

/*
 * May a client from there speak with this server (allow, deny)? If not, it has been told,
 * or not, as deny_action says, and the session has ended.
 */
bool session_admits(struct session *s);

/* Where the client connected to: our own end of its connection. Family AF_UNSPEC if the kernel does not say. */
struct addr session_destination(const struct session *s);

/* Tells the client why, where that cannot be taken for something else, and ends. */
void session_goodbye(struct session *s, enum goodbye why);

#define SESSION_ID 17           /* bytes of its text, NUL included */

/* Which session this is, for our log and others': 16 hexadecimal digits. Returns `id`. */
const char *session_id(const struct session *s, char id[SESSION_ID]);

/* Writes a line with the session's context. */
void session_log(const struct session *s, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same at level info without what is being done: the milestones of a session. */
void session_event(struct session *s, const char *text);

/* Writes its epitaph, again when more is known. */
void session_remember(struct session *s, const char *user, const struct addr *backend);

/* Who has decided about the user, for the epitaph; NULL: nobody yet. */
void session_decided(struct session *s, const struct conf_source *source, bool cached);

static inline const struct server *
session_server(const struct session *s)
{
	return s->server;
}

static inline const struct proto *
session_proto(const struct session *s)
{
	return proto_get(session_server(s)->protocol);
}

/* Forgets how the client is called, and whoever is being asked: from the relay on nobody wants to know. */
void session_unname(struct session *s);

/* Moves on: timer and task of the phase before are off. Who enters a phase sets its timer. */
void session_enter(struct session *s, const struct phase *phase);

/* It has ended and waits for its burial. */
bool session_is_dead(const struct session *s);

/* For the backend's conn: hands its events to the phase. */
void session_on_backend(struct loop_io *io, uint32_t events);

#endif
