#include "worker/approach.h"

#include <errno.h>
#include <sys/epoll.h>

#include "worker/dial.h"
#include "worker/entry.h"
#include "worker/preface.h"
#include "worker/session.h"

#define STEPS_A_TURN 64         /* an answer may have lines without end */

static const struct phase phase_dial, phase_secure, phase_login;

static void try_next(struct session *s);
static void begin_login(struct session *s);
static void starttls(struct session *s);

void
approach_leave(struct session *s)
{
	struct entry *e = s->entry;

	conn_close(&s->backend, s->shift->loop);
	if (e->login != NULL)
		e->login->proto->login_free(&e->login);
	buf_reset(&e->backend_in);
	buf_reset(&e->backend_out);
}

/* No backend for it now. */
static void
give_up(struct session *s)
{
	upstream_cancel(&s->entry->looking);
	conn_close(&s->backend, s->shift->loop);
	s->entry->approach_ends->in_vain(s);
}

/* This peer is of no use. Another one may be, unless this one has seen the password. */
static void
fail_over(struct session *s)
{
	bool sent = s->entry->login != NULL && s->entry->login->credentials_sent;

	approach_leave(s);
	if (sent)
		give_up(s);
	else
		try_next(s);
}

static void
on_late(struct loop_timer *timer)
{
	struct session *s = LIST_ENTRY(timer, struct session, timer);

	session_log(s, LOG_ERROR, "upstream timed out");
	fail_over(s);
}

/* Each peer gets its share of what is left of `timeout`: a dead first one leaves time for the second. */
static void
set_timer(struct session *s, size_t shares)
{
	uint64_t now_ms = loop_now_ms(s->shift->loop);
	uint64_t left_ms = s->entry->deadline_ms > now_ms ? s->entry->deadline_ms - now_ms : 1;

	s->timer.on_time = on_late;
	loop_timer_set(s->shift->loop, &s->timer, left_ms / (shares > 0 ? shares : 1) + 1);
}

static void
say_note(struct session *s, enum log_level level)
{
	struct login *login = s->entry->login;

	if (login->note[0] != '\0')
		session_log(s, level, "%s", login->note);
	login->note[0] = '\0';
}

/* A backend that does not want us now has said why: the log has it, whatever the client is told. */
static void
note_reply(struct login *login)
{
	const char *reply = login->reply.len > 0 ? buf_head(&login->reply) : "";
	size_t len = 0;

	if (login->note[0] != '\0')
		return;
	while (len < login->reply.len && reply[len] != '\r' && reply[len] != '\n')
		len++;
	note_upstream(login, "invalid response", reply, len);
}

/* "Not now". It has seen the password, so that nobody else may: what it says is what the client gets. */
static void
put_off_by_backend(struct session *s)
{
	if (s->entry->login->credentials_sent)
		s->entry->approach_ends->refused(s, REFUSAL_UNAVAILABLE);
	else
		fail_over(s);
}

/* Moves bytes to and from the backend for its login half. False when there is nothing to do now. */
static bool
exchange(struct session *s)
{
	struct entry *e = s->entry;
	int sent = entry_flush(&s->backend, &e->backend_out);
	int got = 0;

	if (sent != -1)
		got = entry_fill(&s->backend, &e->backend_in, s->shift->scratch, SHIFT_SCRATCH);
	if (sent == -1 || got == -1 || (got == 0 && s->backend.eof)) {
		session_log(s, LOG_ERROR, "upstream prematurely closed connection");
		fail_over(s);
		return false;
	}
	return got == 1;
}

static void run(struct session *s);

static void
go_on(struct loop_task *task)
{
	run(LIST_ENTRY(task, struct session, task));
}

/* Does what the login half says. True when it wants more from the backend. */
static bool
step(struct session *s, enum login_verdict verdict)
{
	switch (verdict) {
	case LOGIN_MORE:
		return true;
	case LOGIN_DONE:
		say_note(s, LOG_INFO);
		if (s->entry->undecided && !s->entry->login->credentials_sent) {
			/* Nobody else has judged the password. */
			session_log(s, LOG_ERROR, "upstream let the client in without a look at its password");
			fail_over(s);
		} else {
			s->entry->approach_ends->let_in(s);
		}
		break;
	case LOGIN_REFUSED:
		say_note(s, LOG_INFO);
		s->entry->approach_ends->refused(s, REFUSAL_BACKEND);
		break;
	case LOGIN_UNAVAILABLE:
		note_reply(s->entry->login);
		say_note(s, LOG_ERROR);
		put_off_by_backend(s);
		break;
	case LOGIN_BROKEN:
		say_note(s, LOG_ERROR);
		fail_over(s);
		break;
	case LOGIN_STARTTLS:
		starttls(s);
		break;
	}
	return false;
}

static void
run(struct session *s)
{
	struct entry *e = s->entry;

	for (int steps = 0; steps < STEPS_A_TURN; steps++) {
		if (!step(s, e->login->proto->login_input(e->login, &e->backend_in, &e->backend_out)))
			return;
		if (!exchange(s))
			return;
	}
	s->task.run = go_on;
	loop_again(s->shift->loop, &s->task);
}

/*
 * Whose certificate the backend has to show: as the source says, as configured, or the
 * host as it was named; an address where it was named by that.
 */
static const char *
peer_name(const struct session *s, char address[ADDR_TEXT])
{
	const struct entry *e = s->entry;
	const struct server *server = session_server(s);
	const struct addr *peer = &e->peers.peers[e->next_peer - 1].addr;

	if (e->ssl_name != NULL)
		return e->ssl_name;
	if (server->proxy_tls.name != NULL)
		return server->proxy_tls.name;
	if (peer->family == AF_UNIX)
		return "localhost";
	if (e->host != NULL)
		return e->host;
	if (server->proxy_pass->host != NULL)
		return server->proxy_pass->host;
	return addr_format(address, peer);
}

/* TLS stands. Whatever the login half knew from before it is forgotten. */
static void
on_secured(struct session *s)
{
	struct entry *e = s->entry;

	if (e->login == NULL) {
		begin_login(s);
		return;
	}
	session_enter(s, &phase_login);
	set_timer(s, 1);
	if (step(s, e->login->proto->login_secured(e->login, &e->backend_out)))
		run(s);
}

static void
shake_hands(struct loop_task *task)
{
	struct session *s = LIST_ENTRY(task, struct session, task);

	switch (conn_handshake(&s->backend)) {
	case HANDSHAKE_MORE:
		break;
	case HANDSHAKE_FAILED:
		session_log(s, LOG_ERROR, "SSL_do_handshake() failed %s", conn_tls_error(&s->backend));
		fail_over(s);
		break;
	case HANDSHAKE_DONE:
		on_secured(s);
		break;
	}
}

static void
on_handshake(struct session *s, uint32_t events)
{
	(void)events;
	loop_costly(s->shift->loop, &s->task);
}

static void
secure(struct session *s)
{
	char address[ADDR_TEXT];

	session_enter(s, &phase_secure);
	set_timer(s, 1);
	conn_secure_client(&s->backend, &session_server(s)->proxy_tls, peer_name(s, address), session_proto(s)->name);
	s->task.run = shake_hands;
	loop_costly(s->shift->loop, &s->task);
}

/* The go-ahead for TLS has come: what the backend sent behind it in the clear may be anybody's. */
static void
starttls(struct session *s)
{
	struct entry *e = s->entry;

	if (e->backend_in.len > 0) {
		session_log(s, LOG_ERROR, "upstream sent data behind its STARTTLS reply");
		fail_over(s);
		return;
	}
	secure(s);
}

static void
begin_login(struct session *s)
{
	struct entry *e = s->entry;

	session_enter(s, &phase_login);
	set_timer(s, 1);
	e->login = session_proto(s)->login_new(&e->task);
	run(s);
}

static void
on_connected(struct session *s)
{
	if (!preface_send(s))
		fail_over(s);
	else if (s->entry->ssl == PROXY_SSL_ON)
		secure(s);
	else
		begin_login(s);
}

static void
connect_failed(struct session *s, int error)
{
	session_log(s, LOG_ERROR, "connect() failed %s", log_errno(error));
	fail_over(s);
}

static void
on_dialled(struct session *s, uint32_t events)
{
	int error = conn_connected(&s->backend);

	(void)events;
	if (error != 0)
		connect_failed(s, error);
	else
		on_connected(s);
}

static void
on_reply(struct session *s, uint32_t events)
{
	(void)events;
	if (exchange(s))
		run(s);
}

/* What the client sends meanwhile waits; the conn's flags remember it. One that is gone altogether needs no backend. */
static void
on_client(struct session *s, uint32_t events)
{
	if (events & (EPOLLHUP | EPOLLERR))
		session_end(s);
}

static bool
may_speak(const struct session *s)
{
	return s->entry->out.len == 0;
}

static const char *
action(const struct session *s)
{
	return s->entry->login != NULL ? s->entry->login->action : "connecting to upstream";
}

static const char *
action_secure(const struct session *s)
{
	(void)s;
	return "SSL handshaking to upstream";
}

static const struct phase phase_dial = {
	.name = "dial",
	.action = action, .on_client = on_client, .on_backend = on_dialled, .may_speak = may_speak,
};

static const struct phase phase_secure = {
	.name = "secure",
	.action = action_secure, .on_client = on_client, .on_backend = on_handshake, .may_speak = may_speak,
};

static const struct phase phase_login = {
	.name = "login",
	.action = action, .on_client = on_client, .on_backend = on_reply, .may_speak = may_speak,
};

/* Names the peer in the log from now on. */
static void
remember_peer(struct session *s, const struct endpoint *peer)
{
	session_remember(s, s->entry->client->credentials.user, &peer->addr);
}

static void
try_next(struct session *s)
{
	struct entry *e = s->entry;
	const struct endpoint *peer;
	bool pending;
	int fd;

	if (e->next_peer == e->peers.count) {
		give_up(s);
		return;
	}
	session_enter(s, &phase_dial);
	set_timer(s, e->peers.count - e->next_peer);
	peer = &e->peers.peers[e->next_peer++];
	remember_peer(s, peer);
	if ((fd = dial_begin(s, peer, &pending)) == -1)
		fail_over(s);
	else if (conn_open(&s->backend, s->shift->loop, fd, pending, session_on_backend) == -1)
		connect_failed(s, errno);
	else if (!pending)
		on_connected(s);
}

static void
on_found(void *ctx, struct upstream_peers *peers, const char *why)
{
	struct session *s = ctx;
	struct entry *e = s->entry;

	e->looking = NULL;
	e->peers = *peers;
	if (peers->count == 0)
		session_log(s, LOG_ERROR, "upstream \"%s\" could not be resolved: %s",
		    e->target != NULL ? e->target : session_server(s)->proxy_pass->text, why);
	try_next(s);
}

void
approach_begin(struct session *s, const struct approach_ends *ends)
{
	s->entry->approach_ends = ends;
	session_enter(s, &phase_dial);
}

void
approach_find(struct session *s, const struct upstream_target *target)
{
	struct entry *e = s->entry;

	upstream_peers_reset(&e->peers);
	e->next_peer = 0;
	e->deadline_ms = loop_now_ms(s->shift->loop) + session_server(s)->timeout;
	set_timer(s, 1);
	upstream_find(&e->looking, s->shift->resolver, target, on_found, s);
}
