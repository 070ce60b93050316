#include "worker/dialogue.h"

#include <string.h>
#include <sys/epoll.h>

#include "common/mem.h"
#include "common/must.h"
#include "worker/entry.h"
#include "worker/handover.h"
#include "worker/inquiry.h"
#include "worker/proto/smtp.h"
#include "worker/session.h"

#define COMMANDS_A_TURN 32
#define LINGER_MS 5000

static void run(struct session *s);

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

	session_enter(s, PHASE_DIALOGUE);
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

static void
say_note(struct session *s)
{
	struct client *client = s->entry->client;

	if (client->note[0] == '\0')
		return;
	session_log(s, LOG_INFO, "%s", client->note);
	client->note[0] = '\0';
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
		dialogue_close(s);
	return got == 1;
}

static void
ask(struct session *s)
{
	flush(s);
	if (s->phase == PHASE_DEAD)
		return;
	turn_end(s);
	inquiry_begin(s);
}

/* Feeds the client half until it needs the client, somebody else, or a pause. */
static void
run(struct session *s)
{
	struct entry *e = s->entry;

	for (int commands = 0; commands < COMMANDS_A_TURN;) {
		if (buf_left(&e->out) < PROTO_ROOM && !flush(s))
			return;
		switch (e->client->proto->input(e->client, &e->in, &e->out)) {
		case PROTO_AGAIN:
			say_note(s);
			commands++;
			break;
		case PROTO_MORE:
			if (!fetch(s))
				return;
			break;
		case PROTO_CREDENTIALS:
			say_note(s);
			ask(s);
			return;
		case PROTO_STARTTLS:    /* not offered while no server has a certificate */
		case PROTO_CLOSE:
			say_note(s);
			dialogue_close(s);
			return;
		}
	}
	s->task.run = go_on;
	loop_again(s->shift->loop, &s->task);
}

void
dialogue_refuse(struct session *s, const struct refusal *why)
{
	struct entry *e = s->entry;
	enum proto_verdict verdict = e->client->proto->refused(e->client, why, &e->out);

	credentials_reset(&e->client->credentials);
	SHIFT_COUNT(s->shift, failures, 1);
	say_note(s);
	if (verdict == PROTO_CLOSE) {
		dialogue_close(s);
		return;
	}
	turn_begin(s);
	run(s);
}

static void
linger_over(struct loop_timer *timer)
{
	session_end(LIST_ENTRY(timer, struct session, timer));
}

/* Throws away what still comes, so that the close is no reset; at most until LINGER_MS have passed. */
static void
linger(struct session *s)
{
	int sent = entry_flush(&s->client, &s->entry->out);
	ssize_t got = 1;

	if (sent == 0)
		return;
	if (sent == 1) {
		conn_finish(&s->client);
		while (s->client.readable && got > 0)
			got = conn_recv(&s->client, s->shift->scratch, SHIFT_SCRATCH);
	}
	if (sent == -1 || s->client.eof || (got == -1 && s->client.hangup))
		session_end(s);
}

void
dialogue_close(struct session *s)
{
	int sent = entry_flush(&s->client, &s->entry->out);

	if (sent == -1 || (sent == 1 && (s->client.eof || !s->client.readable))) {
		session_end(s);
		return;
	}
	conn_close(&s->backend, s->shift->loop);
	session_enter(s, PHASE_LINGER);
	s->timer.on_time = linger_over;
	loop_timer_set(s->shift->loop, &s->timer, LINGER_MS);
	linger(s);
}

/* Before the greeting an SMTP client has to be silent (RFC 5321 section 3.1). */
static void
on_early(struct session *s)
{
	char byte;

	if (s->client.readable && conn_recv(&s->client, &byte, 1) == 1) {
		session_log(s, LOG_INFO, "client was rejected before greeting: \"%s\"", smtp_early_talker);
		MUST(buf_printf(&s->entry->out, "%s\r\n", smtp_early_talker) == 0);
		dialogue_close(s);
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
	/* Until it speaks, a client that was sent all we had to say needs no memory but the session's. */
	if (flush(s) && e->facts.salt[0] == '\0')
		entry_free(&s->entry);
}

static void
on_delay_over(struct loop_timer *timer)
{
	greet(LIST_ENTRY(timer, struct session, timer));
}

void
dialogue_begin(struct session *s)
{
	uint64_t delay = session_server(s)->smtp_greeting_delay;

	s->entry = entry_new(s);
	session_enter(s, PHASE_GREETING);
	if (delay == 0 || session_server(s)->protocol != PROTOCOL_SMTP) {
		greet(s);
		return;
	}
	s->timer.on_time = on_delay_over;
	loop_timer_set(s->shift->loop, &s->timer, delay);
}

/* Its first byte, after a greeting that left nothing behind. */
static void
remake_entry(struct session *s)
{
	uint64_t now_ms = loop_now_ms(s->shift->loop), used_ms = now_ms - s->progress_ms;
	struct entry *e = s->entry = entry_new(s);

	e->turn_ms = now_ms;
	e->left_ms = used_ms < e->left_ms ? e->left_ms - used_ms : 1;
}

void
dialogue_on_client(struct session *s, uint32_t events)
{
	/* A reset is nobody's half-close: nothing that we could say would arrive. */
	if (events & EPOLLERR) {
		session_end(s);
		return;
	}
	switch ((enum phase)s->phase) {
	case PHASE_GREETING:
		on_early(s);
		break;
	case PHASE_DIALOGUE:
		if (s->entry == NULL && (events & ~(uint32_t)EPOLLOUT) != 0)
			remake_entry(s);
		if (s->entry != NULL)
			run(s);
		break;
	case PHASE_WAIT:
		if (s->client.hangup)
			inquiry_client_left(s);
		break;
	case PHASE_LINGER:
		linger(s);
		break;
	default:        /* AUTH, DIAL, LOGIN: the flags in the conn remember it */
		if (events & EPOLLHUP)
			session_end(s);
		break;
	}
}
