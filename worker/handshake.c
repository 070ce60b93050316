#include "worker/handshake.h"

#include "common/mem.h"
#include "worker/limit.h"
#include "worker/session.h"
#include "worker/sni.h"

static const struct phase phase_secured;

static const char *
action(const struct session *s)
{
	(void)s;
	return "SSL handshaking";
}

static const struct conf_tls *
choose(struct tls_choice *choice, const char *sni)
{
	struct session *s = LIST_ENTRY(choice, struct handshake, choice)->session;

	s->server = sni_choose(s->listen, sni);
	return &s->server->tls;
}

/* A certificate that does not hold, or none where one has to be, is answered in the protocol's words. */
static bool
is_welcome(struct session *s)
{
	const char *wrong = conn_verify_error(&s->client);

	/* SNI has chosen the server: its list may be another, and so may its limits. */
	if (!session_admits(s))
		return false;
	if (!limit_arrive(s)) {
		session_goodbye(s, GOODBYE_CROWDED);
		return false;
	}
	if (session_server(s)->tls.verify == SSL_VERIFY_OFF)
		return true;
	if (wrong != NULL) {
		session_log(s, LOG_INFO, "client SSL certificate verify error: %s", wrong);
		session_goodbye(s, GOODBYE_CERTIFICATE);
		return false;
	}
	if (session_server(s)->tls.verify == SSL_VERIFY_ON && !conn_has_certificate(&s->client)) {
		session_log(s, LOG_INFO, "client sent no required SSL certificate");
		session_goodbye(s, GOODBYE_NO_CERTIFICATE);
		return false;
	}
	return true;
}

/* It is over: nothing of it is needed any more. */
static void
leave(struct session *s)
{
	void (*secured)(struct session *s) = s->handshake->secured;

	mem_free(s->handshake);
	s->handshake = NULL;
	secured(s);
}

static void
step(struct loop_task *task)
{
	struct session *s = LIST_ENTRY(task, struct session, task);

	switch (conn_handshake(&s->client)) {
	case HANDSHAKE_MORE:
		/* The client left in the middle: nobody else will say so. */
		if (s->client.eof)
			session_end(s);
		break;
	case HANDSHAKE_FAILED:
		session_log(s, LOG_INFO, "SSL_do_handshake() failed %s", conn_tls_error(&s->client));
		session_end(s);
		break;
	case HANDSHAKE_DONE:
		session_enter(s, &phase_secured);
		if (is_welcome(s))
			leave(s);
		break;
	}
}

static void
on_client(struct session *s, uint32_t events)
{
	(void)events;
	loop_costly(s->shift->loop, &s->task);
}

static void
on_late(struct loop_timer *timer)
{
	struct session *s = LIST_ENTRY(timer, struct session, timer);

	session_log(s, LOG_INFO, "client timed out");
	session_end(s);
}

static bool
may_speak(const struct session *s)
{
	(void)s;
	return true;
}

/* In the middle of a handshake a line of ours would be rubbish to the client. */
static const struct phase phase_handshake = {
	.name = "handshake", .action = action, .on_client = on_client,
};

/* TLS stands, and the client's certificate is looked at. */
static const struct phase phase_secured = {
	.name = "secured", .action = action, .may_speak = may_speak,
};

void
handshake_begin(struct session *s, uint64_t limit_ms, void (*secured)(struct session *s))
{
	session_enter(s, &phase_handshake);
	s->handshake = mem_alloc(sizeof(*s->handshake));
	*s->handshake = (struct handshake){ .choice.choose = choose, .session = s, .secured = secured };
	s->task.run = step;
	s->timer.on_time = on_late;
	loop_timer_set(s->shift->loop, &s->timer, limit_ms);
	conn_secure_server(&s->client, &session_server(s)->tls, &s->handshake->choice, session_proto(s)->name, NULL, 0);
	/* A ClientHello may have come behind what was read. */
	if (s->client.readable)
		loop_costly(s->shift->loop, &s->task);
}
