#include "worker/session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/addrset.h"
#include "common/mem.h"
#include "common/must.h"
#include "worker/dialogue.h"
#include "worker/entry.h"
#include "worker/gate.h"
#include "worker/proto/smtp_gate.h"
#include "worker/relay.h"

/* What the worker does for the client in each phase, in the log's words; NULL: nothing worth saying. */
static const char *
action(const struct session *s)
{
	switch ((enum phase)s->phase) {
	case PHASE_GREETING:
		return "sending client greeting line";
	case PHASE_AUTH:
		return session_server(s)->source->kind == SOURCE_HTTP ? "in http auth state" : "in auth state";
	case PHASE_DIALOGUE:
	case PHASE_WAIT:
		return "in auth state";
	case PHASE_DIAL:
		return "connecting to upstream";
	case PHASE_LOGIN:
		return s->entry->login != NULL ? s->entry->login->action : "connecting to upstream";
	case PHASE_RELAY:
	case PHASE_GATE:
		return "proxying";
	default:
		return NULL;
	}
}

/* Appends to out[*at ..], as far as there is room. */
static void __attribute__((format(printf, 4, 5)))
append(char *out, size_t room, size_t *at, const char *format, ...)
{
	va_list args;
	int len;

	if (*at >= room)
		return;
	va_start(args, format);
	len = vsnprintf(out + *at, room - *at, format, args);
	va_end(args);
	if (len > 0)
		*at += (size_t)len < room - *at ? (size_t)len : room - *at - 1;
}

static size_t
describe(const struct session *s, const char *doing, char *out, size_t room)
{
	char client[ADDR_TEXT], backend[ADDR_TEXT];
	size_t at = 0;

	if (doing != NULL)
		append(out, room, &at, " while %s", doing);
	append(out, room, &at, ", client: %s, server: %s", addr_format(client, &s->addr), s->listen->text);
	if (s->epitaph != NULL && s->epitaph->user[0] != '\0')
		append(out, room, &at, ", login: \"%s\"", s->epitaph->user);
	if (s->epitaph != NULL && s->epitaph->backend.family != AF_UNSPEC)
		append(out, room, &at, ", upstream: %s", addr_format_port(backend, &s->epitaph->backend));
	append(out, room, &at, ", session: %08x%08x", s->shift->tag, (unsigned)s->origin.number);
	return at;
}

static size_t
context(const struct log_origin *origin, char *out, size_t room)
{
	const struct session *s = LIST_ENTRY(origin, struct session, origin);

	return describe(s, action(s), out, room);
}

static size_t
context_of_event(const struct log_origin *origin, char *out, size_t room)
{
	return describe(LIST_ENTRY(origin, struct session, origin), NULL, out, room);
}

static void
vlog(const struct session *s, enum log_level level, const char *format, va_list args)
{
	const struct log *log = session_server(s)->log;
	char text[LOG_LINE_MAX];

	if (!log_wants(log, level, &s->origin))
		return;
	vsnprintf(text, sizeof(text), format, args);
	log_to(log, level, &s->origin, "%s", text);
}

void
session_log(const struct session *s, enum log_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vlog(s, level, format, args);
	va_end(args);
}

void
session_event(struct session *s, const char *text)
{
	s->origin.context = context_of_event;
	session_log(s, LOG_INFO, "%s", text);
	s->origin.context = context;
}

void
session_remember(struct session *s, const char *user, const struct addr *backend)
{
	mem_free(s->epitaph);
	s->epitaph = epitaph_new(user, backend);
}

static bool
is_proxying(enum phase phase)
{
	return phase == PHASE_RELAY || phase == PHASE_GATE;
}

void
session_enter(struct session *s, enum phase phase)
{
	MUST(s->phase != PHASE_DEAD);
	loop_timer_stop(&s->timer);
	if (is_proxying(s->phase) && !is_proxying(phase)) {
		session_event(s, "proxied session done");
		SHIFT_COUNT(s->shift, logged_in, (uint32_t)-1);
	}
	s->phase = (uint8_t)phase;
}

/* The one place where a session gives back what it holds. */
static void
bury(struct loop_task *task)
{
	struct session *s = LIST_ENTRY(task, struct session, task);
	struct shift *shift = s->shift;

	loop_timer_stop(&s->timer);
	conn_close(&s->client, shift->loop);
	conn_close(&s->backend, shift->loop);
	entry_free(&s->entry);
	mem_free(s->to_backend);
	mem_free(s->to_client);
	mem_free(s->epitaph);
	list_remove(&s->node);
	shift->session_count--;
	seats_give(&shift->seats, s->seats);
	SHIFT_COUNT(shift, sessions, (uint32_t)-1);
	mem_free(s);
	shift->on_leave(shift);
}

void
session_end(struct session *s)
{
	if (s->phase == PHASE_DEAD)
		return;
	session_enter(s, PHASE_DEAD);
	loop_drop(&s->task);
	s->task.run = bury;
	loop_bury(s->shift->loop, &s->task);
}

/*
 * May a line of ours stand in the stream to the client now? Before login whenever it was
 * greeted and has read what it was sent; after it only where no message can be cut.
 */
static bool
may_speak(const struct session *s)
{
	uint64_t silent_ms = loop_now_ms(s->shift->loop) - s->progress_ms;

	switch ((enum phase)s->phase) {
	case PHASE_GREETING:
	case PHASE_LINGER:
	case PHASE_DEAD:
		return false;
	case PHASE_RELAY:
		return s->to_client == NULL && s->to_backend == NULL && !s->mid_line_up && !s->mid_line_down &&
		    !s->client.finished && silent_ms >= 1000;
	case PHASE_GATE:
		return s->entry->out.len == 0 && smtp_gate_idle(s->entry->gate);
	default:
		return s->entry == NULL || s->entry->out.len == 0;
	}
}

void
session_goodbye(struct session *s, enum goodbye why)
{
	struct buf line;

	if (may_speak(s)) {
		buf_init(&line, PROTO_ROOM);
		session_proto(s)->goodbye(why, session_server(s)->name, &line);
		/* Nobody waits for it: a client that does not read has no goodbye. */
		conn_send(&s->client, buf_head(&line), line.len);
		buf_reset(&line);
	}
	session_end(s);
}

static void
on_client(struct loop_io *io, uint32_t events)
{
	struct session *s = LIST_ENTRY(io, struct session, client.io);

	conn_events(&s->client, events);
	switch ((enum phase)s->phase) {
	case PHASE_DEAD:
		break;
	case PHASE_RELAY:
		relay_run(s);
		break;
	case PHASE_GATE:
		gate_run(s);
		break;
	default:
		dialogue_on_client(s, events);
	}
}

static void
announce(const struct session *s)
{
	const struct log_origin quiet = { .number = s->origin.number, .debug = s->origin.debug };
	char client[ADDR_TEXT];

	log_to(session_server(s)->log, LOG_INFO, &quiet, "client %s connected to %s",
	    addr_format_port(client, &s->addr), s->listen->text);
}

void
session_start(struct shift *shift, const struct conf_listen *listen, int fd, const struct addr *addr)
{
	struct session *s = mem_alloc(sizeof(*s));

	s->shift = shift;
	s->listen = listen;
	s->addr = *addr;
	s->origin.number = board_next_connection(shift->board);
	s->origin.context = context;
	s->origin.debug = shift->conf->debug_connections != NULL &&
	    addrset_allows(shift->conf->debug_connections, addr);
	s->client.io.fd = s->backend.io.fd = -1;
	s->progress_ms = loop_now_ms(shift->loop);
	seats_take(&shift->seats, SEAT_LOGIN);
	s->seats = SEAT_LOGIN;
	list_add(&shift->sessions, &s->node);
	shift->session_count++;
	SHIFT_COUNT(shift, sessions, 1);
	SHIFT_COUNT(shift, accepted, 1);
	announce(s);
	if (conn_open(&s->client, shift->loop, fd, false, on_client) == -1) {
		session_log(s, LOG_ALERT, "epoll_ctl() failed %s", log_errno(errno));
		session_end(s);
		return;
	}
	dialogue_begin(s);
}
