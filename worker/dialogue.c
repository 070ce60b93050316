#include "worker/dialogue.h"

#include <string.h>
#include <sys/epoll.h>

#include "common/mem.h"
#include "common/must.h"
#include "worker/entry.h"
#include "worker/farewell.h"
#include "worker/guard.h"
#include "worker/handover.h"
#include "worker/handshake.h"
#include "worker/inquiry.h"
#include "worker/limit.h"
#include "worker/naming.h"
#include "worker/proto/smtp.h"
#include "worker/session.h"

#define STEPS_A_TURN 64         /* commands, and reads: some bytes are thrown away without end */

static const struct phase phase_greeting, phase_dialogue, phase_asking, phase_starttls;
static const struct petitioner petitioner;

static void run(struct session *s);
static void starttls(struct session *s);

static void
go_on(struct loop_task *task)
{
	run(LIST_ENTRY(task, struct session, task));
}

static void
on_silent(struct loop_timer *timer)
{
	struct session *s = LIST_ENTRY(timer, struct session, timer);

	session_log(s, LOG_INFO, "client timed out");
	session_goodbye(s, GOODBYE_TIMEOUT);
}

/* The client has the turn: its clock goes on. */
static void
turn_begin(struct session *s)
{
	struct entry *e = s->entry;

	session_enter(s, &phase_dialogue);
	e->turn_ms = loop_now_ms(s->shift->loop);
	s->timer.on_time = on_silent;
	loop_timer_set(s->shift->loop, &s->timer, e->left_ms);
}

/* Somebody else has it: the clock stops. */
static void
turn_end(struct session *s)
{
	struct entry *e = s->entry;
	uint64_t used_ms = loop_now_ms(s->shift->loop) - e->turn_ms;

	loop_timer_stop(&s->timer);
	e->left_ms = used_ms < e->left_ms ? e->left_ms - used_ms : 1;
}

/* What the client half has to say; a bad command of which it says nothing is worth a line at debug only. */
static void
say_note(struct session *s)
{
	struct client *client = s->entry->client;

	if (client->note[0] != '\0')
		session_log(s, LOG_INFO, "%s", client->note);
	else if (client->errors != s->entry->errors_seen)
		session_log(s, LOG_DEBUG, "client sent invalid command");
	client->note[0] = '\0';
	s->entry->errors_seen = client->errors;
}

/* Sends the answers that have gathered. False when the rest must wait, or the client is gone. */
static bool
flush(struct session *s)
{
	int sent = entry_flush(&s->client, &s->entry->out);

	if (sent == -1)
		session_end(s);
	return sent == 1;
}

/* The client half wants more bytes. False when there are none now. */
static bool
fetch(struct session *s)
{
	int got;

	if (!flush(s))
		return false;
	got = entry_fill(&s->client, &s->entry->in, s->shift->scratch, SHIFT_SCRATCH);
	if (got == -1)
		session_end(s);
	else if (got == 0 && s->client.eof)
		farewell_begin(s);
	return got == 1;
}

static void
ask(struct session *s)
{
	const struct credentials *credentials = &s->entry->client->credentials;

	flush(s);
	if (session_is_dead(s))
		return;
	turn_end(s);
	session_enter(s, &phase_asking);
	session_remember(s, credentials->user, NULL);
	inquiry_begin(s, credentials);
}

/* What TLS tells about the client. */
static void
learn_tls(struct session *s)
{
	struct entry *e = s->entry;

	e->facts.server = session_server(s);
	e->facts.secure = true;
	conn_tls_facts(&s->client, &e->facts.tls, session_server(s)->auth_http_pass_client_cert);
}

/* The time that the client has had is taken from what the server allows that SNI has chosen. */
static void
change_timeout(struct entry *e, uint64_t old_ms, uint64_t new_ms)
{
	e->left_ms = e->left_ms + new_ms > old_ms ? e->left_ms + new_ms - old_ms : 1;
}

/* The client half starts afresh, perhaps as another server's: SNI may have chosen one. */
static void
on_secured(struct session *s)
{
	struct entry *e = s->entry;

	change_timeout(e, e->facts.server->timeout, session_server(s)->timeout);
	learn_tls(s);
	entry_fit(e);
	e->client->proto->secured(e->client);
	turn_end(s);
	turn_begin(s);
	run(s);
}

/* The go-ahead goes out in the clear, whole; then the handshake, on what is left of the client's time. */
static void
starttls(struct session *s)
{
	struct entry *e = s->entry;
	uint64_t used_ms = loop_now_ms(s->shift->loop) - e->turn_ms;
	uint64_t left_ms = used_ms < e->left_ms ? e->left_ms - used_ms : 1;

	s->timer.on_time = on_silent;
	loop_timer_set(s->shift->loop, &s->timer, left_ms);
	if (flush(s))
		handshake_begin(s, left_ms, on_secured);
}

/* Feeds the client half until it needs the client, somebody else, or a pause. */
static void
run(struct session *s)
{
	struct entry *e = s->entry;

	for (int steps = 0; steps < STEPS_A_TURN; steps++) {
		if (buf_left(&e->out) < PROTO_ROOM && !flush(s))
			return;
		switch (e->client->proto->input(e->client, &e->in, &e->out)) {
		case PROTO_AGAIN:
			say_note(s);
			break;
		case PROTO_MORE:
			if (!fetch(s))
				return;
			break;
		case PROTO_CREDENTIALS:
			say_note(s);
			ask(s);
			return;
		case PROTO_STARTTLS:
			say_note(s);
			/* What came in the clear behind it may be anybody's. */
			buf_reset(&e->in);
			session_enter(s, &phase_starttls);
			starttls(s);
			return;
		case PROTO_CLOSE:
			say_note(s);
			farewell_begin(s);
			return;
		}
	}
	s->task.run = go_on;
	loop_again(s->shift->loop, &s->task);
}

/* The login failed: says so, and goes on with the client's next command unless that ends it. */
static void
on_refused(struct session *s, const struct refusal *why)
{
	struct entry *e = s->entry;
	enum proto_verdict verdict = e->client->proto->refused(e->client, why, &e->out);

	credentials_reset(&e->client->credentials);
	guard_unsaid(s);
	limit_logout(s);
	SHIFT_COUNT(s->shift, failures, 1);
	say_note(s);
	if (verdict == PROTO_CLOSE) {
		farewell_begin(s);
		return;
	}
	turn_begin(s);
	run(s);
}

/* Of the time that a client has until it is let in. It has run since the client came, but for what others took. */
static uint64_t
left_of(const struct session *s, uint64_t limit_ms)
{
	uint64_t used_ms = loop_now_ms(s->shift->loop) - s->progress_ms;

	return used_ms < limit_ms ? limit_ms - used_ms : 1;
}

static const struct petitioner petitioner = { .accepted = handover_begin, .refused = on_refused };

/* A fresh entry for the session. */
static void
make_entry(struct session *s)
{
	struct entry *e = s->entry = entry_new(session_server(s), &s->addr);

	e->petitioner = &petitioner;
	session_id(s, e->facts.session);
	if (s->naming != NULL && s->naming->host != NULL)
		e->facts.client_host = s->naming->host;
	if (s->proxied != NULL) {
		e->facts.proxy_source = &s->proxied->source;
		e->facts.proxy_destination = &s->proxied->destination;
	}
	e->left_ms = left_of(s, e->left_ms);
	if (conn_is_secure(&s->client))
		learn_tls(s);
}

/* Before the greeting an SMTP client has to be silent (RFC 5321 section 3.1). */
static void
on_early(struct session *s, uint32_t events)
{
	char byte;

	(void)events;
	if (s->client.readable && conn_recv(&s->client, &byte, 1) == 1) {
		session_log(s, LOG_INFO, "client was rejected before greeting: \"%s\"", smtp_early_talker);
		MUST(buf_printf(&s->entry->out, "%s\r\n", smtp_early_talker) == 0);
		farewell_begin(s);
	} else if (s->client.eof || s->client.hangup) {
		session_end(s);
	}
}

static void
greet(struct session *s)
{
	struct entry *e = s->entry;

	e->client->proto->greet(e->client, &e->out);
	turn_begin(s);
	if (!flush(s))
		return;
	/* The client's first words may have come with the end of its handshake: no event will tell of them again. */
	if (s->client.readable)
		run(s);
	/* Until it speaks, a client that was sent all we had to say needs no memory but the session's. */
	else if (e->facts.salt[0] == '\0')
		entry_free(&s->entry);
}

static void
on_delay_over(struct loop_timer *timer)
{
	struct session *s = LIST_ENTRY(timer, struct session, timer);

	/* The delay was ours, not the client's. */
	s->progress_ms += session_server(s)->smtp_greeting_delay;
	greet(s);
}

/* Its first byte, after a greeting that left nothing behind. */
static void
remake_entry(struct session *s)
{
	make_entry(s);
	s->entry->turn_ms = loop_now_ms(s->shift->loop);
}

static void
on_client(struct session *s, uint32_t events)
{
	/* A reset is nobody's half-close: nothing that we could say would arrive. */
	if (events & EPOLLERR) {
		session_end(s);
		return;
	}
	if (s->entry == NULL && (events & ~(uint32_t)EPOLLOUT) != 0)
		remake_entry(s);
	if (s->entry != NULL)
		run(s);
}

static bool
may_speak(const struct session *s)
{
	return s->entry == NULL || s->entry->out.len == 0;
}

static const char *
action_greeting(const struct session *s)
{
	(void)s;
	return "sending client greeting line";
}

static const char *
action_starttls(const struct session *s)
{
	(void)s;
	return "in starttls state";
}

static const char *
action(const struct session *s)
{
	bool over_http = session_server(s)->auth[0]->source->kind == SOURCE_HTTP;

	return s->phase == &phase_asking && over_http ? "in http auth state" : "in auth state";
}

static const struct phase phase_greeting = {
	.name = "greeting", .action = action_greeting, .on_client = on_early, .may_speak = may_speak,
};

static const struct phase phase_dialogue = {
	.name = "dialogue", .action = action, .on_client = on_client, .may_speak = may_speak,
};

static const struct phase phase_asking = {
	.name = "asking", .action = action, .on_client = inquiry_on_client, .may_speak = may_speak,
};

static void
on_client_starttls(struct session *s, uint32_t events)
{
	(void)events;
	starttls(s);
}

static const struct phase phase_starttls = {
	.name = "starttls", .action = action_starttls, .on_client = on_client_starttls,
};

/* Greets, at once or after smtp_greeting_delay. */
static void
begin_greeting(struct session *s)
{
	uint64_t delay = session_server(s)->smtp_greeting_delay;

	make_entry(s);
	session_enter(s, &phase_greeting);
	if (delay == 0 || session_server(s)->protocol != PROTOCOL_SMTP) {
		greet(s);
		return;
	}
	(void)conn_flush(&s->client);   /* the greeting will not take the handshake's last words along */
	s->timer.on_time = on_delay_over;
	loop_timer_set(s->shift->loop, &s->timer, delay);
	on_early(s, 0);
}

/* The connection is as it has to be. */
static void
begin(struct session *s)
{
	naming_begin(s, begin_greeting);
}

void
dialogue_begin(struct session *s)
{
	if (s->listen->ssl)
		handshake_begin(s, left_of(s, session_server(s)->timeout), begin);
	else
		begin(s);
}
