#include "worker/gate.h"

#include <string.h>

#include "common/mem.h"
#include "worker/aim.h"
#include "worker/entry.h"
#include "worker/farewell.h"
#include "worker/inquiry.h"
#include "worker/proto/smtp_gate.h"
#include "worker/session.h"

#define GATE_BUFFER 65536
#define STEPS_A_TURN 32

static void
on_idle(struct loop_timer *timer)
{
	struct session *s = LIST_ENTRY(timer, struct session, timer);

	session_log(s, LOG_INFO, "%s timed out", smtp_gate_client_turn(s->entry->gate) ? "client" : "upstream");
	session_goodbye(s, GOODBYE_TIMEOUT);
}

static void run(struct session *s);

static void
again(struct loop_task *task)
{
	run(LIST_ENTRY(task, struct session, task));
}

static void
set_timer(struct session *s)
{
	s->timer.on_time = on_idle;
	loop_timer_set(s->shift->loop, &s->timer, session_server(s)->proxy_timeout);
}

static void
say_note(struct session *s)
{
	char *note = smtp_gate_note(s->entry->gate);

	if (note[0] != '\0')
		session_log(s, smtp_gate_note_level(s->entry->gate), "%s", note);
	note[0] = '\0';
}

/*
 * Closes so that our last words arrive: the client may be in the middle of a message, and a reset
 * would take them back.
 */
static void
part(struct session *s)
{
	s->client.readable = !s->client.eof;
	farewell_begin(s);
}

/* The backend has gone: the client hears of it where that cannot be taken for an answer to something else. */
static void
backend_gone(struct session *s)
{
	if (smtp_gate_idle(s->entry->gate))
		session_proto(s)->goodbye(GOODBYE_FAILED, session_server(s)->name, &s->entry->out);
	part(s);
}

/*
 * Sends what has gathered. What a backend that has gone does not take is lost, but its last words
 * may still be there.
 */
static int
flush(struct session *s)
{
	struct entry *e = s->entry;

	if (entry_flush(&s->backend, &e->backend_out) == -1) {
		buf_reset(&e->backend_out);
		s->backend.readable = true;
	}
	return entry_flush(&s->client, &e->out);
}

/* Reads from both. Who does not read its answers is not read, nor a client that has nobody to speak to any more. */
static int
fill(struct session *s)
{
	struct entry *e = s->entry;
	size_t size = SHIFT_SCRATCH;
	int down = e->backend_out.len == 0 ? entry_fill(&s->backend, &e->backend_in, s->shift->scratch, size) : 0;
	int up = 0;

	if (down == -1)
		s->backend.eof = true;  /* a reset: nothing follows what came */
	if (e->out.len == 0 && !s->backend.eof)
		up = entry_fill(&s->client, &e->in, s->shift->scratch, size);
	return up == -1 ? -1 : up == 1 || down == 1;
}

/*
 * Moves bytes between sockets and buffers. 1: some moved; 0: none can now; -1: the session
 * is over. What was sent has made room: the gate may have waited for it, and no event would tell.
 */
static int
exchange(struct session *s)
{
	struct entry *e = s->entry;
	size_t waiting = e->out.len + e->backend_out.len;
	bool went;
	int came;

	if (flush(s) == -1) {
		session_end(s);
		return -1;
	}
	went = e->out.len + e->backend_out.len < waiting;
	if ((came = fill(s)) == -1)
		session_end(s);
	return came == 0 ? went : came;
}

/* Nothing moves any more: is that because somebody has left? True when there are last words to be dealt with. */
static bool
look_for_end(struct session *s)
{
	const struct entry *e = s->entry;

	if (s->backend.eof && e->out.len == 0) {
		if (e->backend_in.len > 0 && smtp_gate_server_left(e->gate))
			return true;
		session_log(s, LOG_ERROR, "upstream prematurely closed connection");
		backend_gone(s);
	} else if (s->client.eof && e->out.len == 0 && smtp_gate_client_turn(e->gate)) {
		session_end(s);
	}
	return false;
}

static void
end(struct session *s)
{
	/* Only after QUIT has the client nothing more to say. */
	bool abrupt = *smtp_gate_note(s->entry->gate) != '\0' || s->backend.eof;

	say_note(s);
	entry_flush(&s->backend, &s->entry->backend_out);
	if (abrupt)
		part(s);
	else
		farewell_begin(s);
}

static void
run(struct session *s)
{
	struct entry *e = s->entry;
	int moved;

	if (inquiry_is_pending(s)) {
		if (s->client.hangup)
			inquiry_client_left(s);
		return;
	}
	for (int steps = 0; steps < STEPS_A_TURN; steps++) {
		switch (smtp_gate_step(e->gate, &e->in, &e->backend_in, &e->out, &e->backend_out)) {
		case GATE_AGAIN:
			say_note(s);
			break;
		case GATE_MORE:
			moved = exchange(s);
			if (moved == -1 || (moved == 0 && !look_for_end(s)))
				return;
			set_timer(s);
			break;
		case GATE_ASK:
			say_note(s);
			if (exchange(s) == -1)
				return;
			loop_timer_stop(&s->timer);
			inquiry_begin(s, smtp_gate_credentials(e->gate));
			return;
		case GATE_CLOSE:
			end(s);
			return;
		}
	}
	s->task.run = again;
	loop_again(s->shift->loop, &s->task);
}

/* The verdict on the recipient that was asked about; NULL: it may pass. */
static void
answer_recipient(struct session *s, const struct refusal *refusal)
{
	struct entry *e = s->entry;

	/* The session goes on even where auth_http would have it closed: other recipients have been accepted. */
	smtp_gate_answer(e->gate, refusal, &e->out);
	set_timer(s);
	run(s);
}

static void
on_accepted(struct session *s, const struct auth_answer *answer)
{
	static const struct refusal elsewhere = { .kind = REFUSAL_ELSEWHERE };

	answer_recipient(s, aim_is_here(s, answer) ? NULL : &elsewhere);
}

static const struct petitioner petitioner = { .accepted = on_accepted, .refused = answer_recipient };

static void
on_events(struct session *s, uint32_t events)
{
	(void)events;
	run(s);
}

static bool
may_speak(const struct session *s)
{
	return s->entry->out.len == 0 && smtp_gate_idle(s->entry->gate);
}

static const char *
action(const struct session *s)
{
	(void)s;
	return "proxying";
}

static const struct phase phase_gate = {
	.name = "gate",
	.action = action,
	.on_client = on_events,
	.on_backend = on_events,
	.may_speak = may_speak,
	.is_proxying = true,
};

/* Message text moves in large pieces. A buffer that was configured larger may hold more already. */
static void
widen(struct buf *b)
{
	if (b->limit < GATE_BUFFER)
		b->limit = GATE_BUFFER;
}

void
gate_begin(struct session *s)
{
	struct entry *e = s->entry;

	session_enter(s, &phase_gate);
	e->petitioner = &petitioner;
	e->gate = smtp_gate_new(&e->facts, e->client, e->login);
	widen(&e->in);
	widen(&e->out);
	widen(&e->backend_in);
	widen(&e->backend_out);
	s->progress_ms = loop_now_ms(s->shift->loop);
	set_timer(s);
	run(s);
}
