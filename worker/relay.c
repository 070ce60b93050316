#include "worker/relay.h"

#include <errno.h>
#include <string.h>

#include "common/mem.h"
#include "worker/entry.h"
#include "worker/session.h"

#define QUIET_MS 1000           /* a backend that said nothing for so long is in the middle of nothing */

/* What a full socket did not take. */
struct spill {
	size_t start, len;
	char bytes[];
};

/* One direction of a session. */
struct flow {
	struct session *s;
	struct conn *from, *to;
	struct spill **spill;
	bool *mid_line;
	_Atomic uint64_t *counter;
	size_t taken, moved;    /* this turn, from `from` and to `to` */
};

static struct flow
flow_up(struct session *s)
{
	return (struct flow){
		.s = s, .from = &s->client, .to = &s->backend, .spill = &s->to_backend,
		.mid_line = &s->mid_line_up, .counter = &s->shift->slot->bytes_in,
	};
}

static struct flow
flow_down(struct session *s)
{
	return (struct flow){
		.s = s, .from = &s->backend, .to = &s->client, .spill = &s->to_client,
		.mid_line = &s->mid_line_down, .counter = &s->shift->slot->bytes_out,
	};
}

/* Adds to the spill, which is small and short-lived. */
static void
keep(struct spill **spillp, const char *bytes, size_t len)
{
	struct spill *old = *spillp;
	size_t held = old != NULL ? old->len : 0;
	struct spill *s;

	if (len == 0)
		return;
	s = mem_alloc(sizeof(*s) + held + len);
	if (old != NULL)
		memcpy(s->bytes, old->bytes + old->start, held);
	memcpy(s->bytes + held, bytes, len);
	s->len = held + len;
	mem_free(old);
	*spillp = s;
}

/* The receiver is gone: what is meant for it has nowhere to go, but its own last bytes may still come. */
static void
receiver_gone(struct flow *f)
{
	f->to->failed = f->to->finished = true;
	f->to->writable = false;
	mem_free(*f->spill);
	*f->spill = NULL;
}

/* Sends as much as the receiver takes; returns how much. Everything, if it takes nothing any more. */
static size_t
pass(struct flow *f, const char *bytes, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t sent;

		if (f->to->finished)
			return len;
		if (!f->to->writable)
			break;
		sent = f->from->drained ? conn_send_last(f->to, bytes + done, len - done) :
		    conn_send(f->to, bytes + done, len - done);
		if (sent == -1 && errno != EAGAIN)
			receiver_gone(f);
		else if (sent == -1)
			break;
		else
			done += (size_t)sent;
	}
	if (done > 0) {
		f->moved += done;
		*f->mid_line = bytes[done - 1] != '\n';
		atomic_fetch_add_explicit(f->counter, done, memory_order_relaxed);
	}
	return done;
}

/* False while something is left. */
static bool
drain(struct flow *f)
{
	struct spill *s = *f->spill;
	size_t sent;

	if (s == NULL)
		return true;
	sent = pass(f, s->bytes + s->start, s->len);
	if (*f->spill == NULL)
		return true;
	s->start += sent;
	s->len -= sent;
	if (s->len > 0)
		return false;
	mem_free(s);
	*f->spill = NULL;
	return true;
}

/* Reads once and passes it on. False when nothing more can be done in this direction now. */
static bool
step(struct flow *f)
{
	char *scratch = f->s->shift->scratch;
	ssize_t got;
	size_t sent;

	if (!f->from->readable || f->from->eof)
		return false;
	got = conn_recv(f->from, scratch, SHIFT_SCRATCH);
	if (got == -1 && errno != EAGAIN)
		f->from->eof = true;    /* a reset: nothing follows what came */
	if (got == 0 && conn_truncated(f->from))
		session_log(f->s, LOG_INFO, "%s closed the connection without close_notify",
		    f->from == &f->s->client ? "client" : "upstream");
	if (got <= 0)
		return false;
	f->taken += (size_t)got;
	sent = pass(f, scratch, (size_t)got);
	keep(f->spill, scratch + sent, (size_t)got - sent);
	return *f->spill == NULL;
}

/* Passes the end of file on, when all before it is delivered. */
static void
finish(struct flow *f)
{
	if (f->from->eof && *f->spill == NULL && !f->to->finished)
		conn_finish(f->to);
}

/* True when its share is used up and more is waiting, even where it all goes to somebody who has left. */
static bool
run(struct flow *f)
{
	if (!drain(f))
		return false;
	while (step(f))
		if (f->taken >= RELAY_SHARE)
			return true;
	return false;
}

static void
on_idle(struct loop_timer *timer)
{
	struct session *s = LIST_ENTRY(timer, struct session, timer);

	/* In a relay the next word is the client's, unless it has said its last. */
	session_log(s, LOG_INFO, "%s timed out", s->client.eof && !s->backend.eof ? "upstream" : "client");
	session_goodbye(s, GOODBYE_TIMEOUT);
}

/* A backend that has said its last leaves a client little to wait for, and nobody waits for one that is gone. */
static bool
is_ending(const struct session *s)
{
	return s->backend.eof || s->client.failed;
}

static void
on_timer(struct loop_timer *timer)
{
	struct session *s = LIST_ENTRY(timer, struct session, timer);
	const struct server *server = session_server(s);
	uint64_t limit_ms = server->proxy_timeout, idle_ms = loop_now_ms(s->shift->loop) - s->progress_ms;

	if (is_ending(s) && server->timeout < limit_ms)
		limit_ms = server->timeout;
	if (idle_ms >= limit_ms)
		on_idle(timer);
	else
		loop_timer_set(s->shift->loop, timer, limit_ms - idle_ms);
}

/* Looks again no later than it has to end. */
static void
hasten(struct session *s)
{
	uint64_t limit_ms = session_server(s)->timeout;

	if (s->timer.due_ms > loop_now_ms(s->shift->loop) + limit_ms)
		loop_timer_set(s->shift->loop, &s->timer, limit_ms);
}

static void
again(struct loop_task *task)
{
	relay_run(LIST_ENTRY(task, struct session, task));
}

static bool
is_over(const struct session *s)
{
	bool delivered_up = s->client.eof && s->to_backend == NULL;
	bool delivered_down = s->backend.eof && s->to_client == NULL;

	return delivered_up && delivered_down;
}

void
relay_run(struct session *s)
{
	struct flow up = flow_up(s), down = flow_down(s);
	bool more_up = run(&up), more_down = run(&down);

	if (up.moved + down.moved > 0)
		s->progress_ms = loop_now_ms(s->shift->loop);
	if (is_over(s)) {
		session_end(s);
		return;
	}
	finish(&up);
	finish(&down);
	if (is_ending(s))
		hasten(s);
	if (more_up || more_down)
		loop_again(s->shift->loop, &s->task);
}

static void
on_events(struct session *s, uint32_t events)
{
	(void)events;
	relay_run(s);
}

/* Only where no message can be cut: whole lines both ways, nothing on its way, and a backend that has been silent. */
static bool
may_speak(const struct session *s)
{
	return s->to_client == NULL && s->to_backend == NULL && !s->mid_line_up && !s->mid_line_down &&
	    !s->client.finished && loop_now_ms(s->shift->loop) - s->progress_ms >= QUIET_MS;
}

static const char *
action(const struct session *s)
{
	(void)s;
	return "proxying";
}

static const struct phase phase_relay = {
	.name = "relay",
	.action = action,
	.on_client = on_events,
	.on_backend = on_events,
	.may_speak = may_speak,
	.is_proxying = true,
};

void
relay_begin(struct session *s)
{
	struct entry *e = s->entry;

	session_enter(s, &phase_relay);
	keep(&s->to_client, buf_head(&e->out), e->out.len);
	keep(&s->to_client, buf_head(&e->backend_in), e->backend_in.len);
	keep(&s->to_backend, buf_head(&e->backend_out), e->backend_out.len);
	keep(&s->to_backend, buf_head(&e->in), e->in.len);
	entry_free(&s->entry);
	session_unname(s);
	seats_give(&s->shift->seats, SEAT_LOGIN - SEAT_RELAY);
	s->seats = SEAT_RELAY;
	s->shift->on_leave(s->shift);
	s->progress_ms = loop_now_ms(s->shift->loop);
	s->task.run = again;
	s->timer.on_time = on_timer;
	loop_timer_set(s->shift->loop, &s->timer, session_server(s)->proxy_timeout);
	relay_run(s);
}
