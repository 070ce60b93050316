#include "worker/arrival.h"

#include <errno.h>

#include "common/addrset.h"
#include "common/mem.h"
#include "worker/dialogue.h"
#include "worker/limit.h"
#include "worker/proto/proxyhdr.h"
#include "worker/session.h"

_Static_assert(PROXYHDR_MAX <= SHIFT_SCRATCH, "a whole header can be looked at");

/*
 * Will no server behind this listen have the client? Where TLS comes first SNI chooses among them, and then that
 * one is asked; in the clear the first one speaks, whomever STARTTLS may choose later.
 */
static bool
is_hopeless(const struct session *s)
{
	if (!s->listen->ssl)
		return !addrset_allows(session_server(s)->clients, &s->addr);
	for (struct server **server = s->listen->servers; *server != NULL; server++)
		if (addrset_allows((*server)->clients, &s->addr))
			return false;
	return true;
}

static bool
may_speak(const struct session *s)
{
	return !s->listen->ssl;         /* in front of a handshake nothing can be said */
}

/* It is known where the client comes from. */
static const struct phase phase_known = { .name = "known", .may_speak = may_speak };

static void
admit(struct session *s)
{
	if (is_hopeless(s)) {
		session_enter(s, &phase_known);
		session_admits(s);
	} else if (!limit_arrive(s)) {
		session_enter(s, &phase_known);
		session_goodbye(s, GOODBYE_CROWDED);
	} else {
		dialogue_begin(s);
	}
}

/* --- the PROXY header --- */

static const char *
action(const struct session *s)
{
	(void)s;
	return "reading PROXY protocol";
}

static void
on_late(struct loop_timer *timer)
{
	struct session *s = LIST_ENTRY(timer, struct session, timer);

	session_log(s, LOG_INFO, "client timed out");
	session_end(s);
}

/* Keeps what the header says for those who want to know; from whom we trust we also believe it. */
static void
believe(struct session *s, const struct proxyhdr *header)
{
	const struct addrset *trusted = session_server(s)->trusted_proxies;

	if (!header->tells)
		return;
	s->proxied = mem_dup(&(struct proxied){ header->source, header->destination }, sizeof(*s->proxied));
	if (trusted != NULL && addrset_allows(trusted, &s->addr))
		s->addr = header->source;
}

/* The header is taken out; what stands behind it is the client's. */
static void
take(struct session *s, const struct proxyhdr *header)
{
	if (conn_recv(&s->client, s->shift->scratch, header->len) != (ssize_t)header->len) {
		session_end(s);
		return;
	}
	believe(s, header);
	admit(s);
}

/* Looks at what has come, and leaves it there until it is a whole header. */
static void
look(struct session *s)
{
	struct proxyhdr header;
	const char *why = NULL;
	ssize_t got = conn_peek(&s->client, s->shift->scratch, PROXYHDR_MAX);

	if (got == -1 && errno == EAGAIN)
		return;
	if (got <= 0) {
		session_log(s, LOG_INFO, "client closed connection");
		session_end(s);
		return;
	}
	switch (proxyhdr_read(&header, s->shift->scratch, (size_t)got, &why)) {
	case PROXYHDR_DONE:
		take(s, &header);
		break;
	case PROXYHDR_MORE:
		if (!s->client.hangup)
			return;
		why = "cut short";
		/* FALLTHROUGH */
	case PROXYHDR_BAD:
		/* Whoever spoke without one may have begun with a password: it is not shown. */
		session_log(s, LOG_ERROR, "broken header: %s", why);
		session_end(s);
		break;
	}
}

static void
on_client(struct session *s, uint32_t events)
{
	(void)events;
	look(s);
}

/* Whoever is on the other side has not asked for words of ours yet. */
static const struct phase phase_proxy = { .name = "proxy", .action = action, .on_client = on_client };

void
arrival_begin(struct session *s)
{
	if (!s->listen->proxy_protocol) {
		admit(s);
		return;
	}
	session_enter(s, &phase_proxy);
	s->timer.on_time = on_late;
	loop_timer_set(s->shift->loop, &s->timer, session_server(s)->timeout);
}
