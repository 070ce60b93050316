#include "worker/naming.h"

#include "common/mem.h"
#include "worker/session.h"

static const char *
action(const struct session *s)
{
	(void)s;
	return "in resolving client address";
}

static const char *
action_hostname(const struct session *s)
{
	(void)s;
	return "in resolving client hostname";
}

/* The same phase as the log sees it: it failed behind the client's PTR record. */
static const struct phase phase_hostname = { .name = "hostname", .action = action_hostname };

/* A "no" is known; a failure may be none the next time. */
static const char *
word_for(const struct hostname *found)
{
	bool no = found->verdict == HOSTNAME_FOREIGN ||
	    (found->verdict != HOSTNAME_INVALID && found->code == HOSTNAME_NOT_FOUND);

	if (found->verdict == HOSTNAME_CONFIRMED)
		return found->name;
	return no ? "[UNAVAILABLE]" : "[TEMPUNAVAIL]";
}

static void
explain(struct session *s, const struct hostname *found)
{
	char client[ADDR_TEXT];

	switch (found->verdict) {
	case HOSTNAME_CONFIRMED:
		break;
	case HOSTNAME_UNKNOWN:
		session_log(s, LOG_ERROR, "%s could not be resolved (%u: %s)", addr_format(client, &s->addr),
		    found->code, found->why);
		break;
	case HOSTNAME_INVALID:
		session_log(s, LOG_ERROR, "%s resolved to invalid host name \"%s\"", addr_format(client, &s->addr),
		    found->name);
		break;
	case HOSTNAME_LOST:
		session_enter(s, &phase_hostname);
		session_log(s, LOG_ERROR, "\"%s\" could not be resolved (%u: %s)", found->name, found->code,
		    found->why);
		break;
	case HOSTNAME_FOREIGN:
		session_enter(s, &phase_hostname);
		if (found->name != NULL)
			session_log(s, LOG_INFO, "\"%s\" does not resolve to %s", found->name,
			    addr_format(client, &s->addr));
		break;
	}
}

/* It is known, as far as it will be. The time that it took was not the client's. */
static void
conclude(struct session *s, const struct hostname *found)
{
	struct naming *naming = s->naming;

	loop_timer_stop(&s->timer);
	naming->host = mem_strdup(word_for(found));
	s->progress_ms += loop_now_ms(s->shift->loop) - naming->since_ms;
	explain(s, found);
	naming->named(s);
}

static void
on_found(void *ctx, const struct hostname *found)
{
	struct session *s = ctx;

	s->naming->asking = NULL;
	conclude(s, found);
}

static void
on_late(struct loop_timer *timer)
{
	struct session *s = LIST_ENTRY(timer, struct session, timer);
	struct hostname found = hostnames_late(s->naming->asking);

	hostnames_cancel(&s->naming->asking);
	conclude(s, &found);
}

/* Has it gone without a word for us? One that has said something may still wait for an answer. */
static bool
has_left(struct session *s)
{
	char byte;

	if (s->client.failed || s->client.eof)
		return true;
	return s->client.hangup && (conn_is_secure(&s->client) || conn_peek(&s->client, &byte, 1) <= 0);
}

static void
on_client(struct session *s, uint32_t events)
{
	(void)events;
	if (has_left(s))
		session_end(s);
	else
		(void)conn_flush(&s->client);
}

/* It is the client of an SMTP server, and waits: 421 may stand in the place of a greeting. */
static bool
may_speak(const struct session *s)
{
	(void)s;
	return true;
}

static const struct phase phase_naming = {
	.name = "naming", .action = action, .on_client = on_client, .may_speak = may_speak,
};

static void
ask(struct session *s, struct hostnames *names)
{
	struct hostname found;

	session_enter(s, &phase_naming);
	if (hostnames_find(names, &s->addr, &found)) {
		conclude(s, &found);
		return;
	}
	s->naming->asking = hostnames_ask(names, &s->addr, on_found, s);
	s->timer.on_time = on_late;
	loop_timer_set(s->shift->loop, &s->timer, session_server(s)->resolver_timeout);
	on_client(s, 0);        /* the last words of a handshake are not to wait, and nobody tells twice of a hang-up */
}

void
naming_begin(struct session *s, void (*named)(struct session *s))
{
	const struct server *server = session_server(s);

	if (server->protocol != PROTOCOL_SMTP || server->resolver == NULL) {
		named(s);
		return;
	}
	s->naming = mem_alloc(sizeof(*s->naming));
	*s->naming = (struct naming){ .named = named, .since_ms = loop_now_ms(s->shift->loop) };
	if (s->addr.family == AF_INET || s->addr.family == AF_INET6) {
		ask(s, s->shift->hostnames[server->resolver->index]);
	} else {
		s->naming->host = mem_strdup("[TEMPUNAVAIL]");
		named(s);
	}
}
