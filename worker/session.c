#include "worker/session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/addrset.h"
#include "common/mem.h"
#include "common/must.h"
#include "worker/entry.h"
#include "worker/limit.h"

/* After its end: nothing happens any more. */
static const struct phase phase_dead = { .name = "dead" };

/* Before its first phase. */
static const struct phase phase_new = { .name = "new" };

bool
session_is_dead(const struct session *s)
{
	return s->phase == &phase_dead;
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

const char *
session_id(const struct session *s, char id[SESSION_ID])
{
	uint64_t number = (uint64_t)s->shift->tag << 32 | (uint32_t)s->origin.number;

	id[SESSION_ID - 1] = '\0';
	for (size_t at = SESSION_ID - 1; at-- > 0; number >>= 4)
		id[at] = "0123456789abcdef"[number & 15];
	return id;
}

static void
describe_source(const struct session *s, char *out, size_t room, size_t *at)
{
	const struct conf_source *source =
	    s->epitaph != NULL ? epitaph_source(s->epitaph, s->shift->conf->sources) : NULL;

	if (source != NULL)
		append(out, room, at, ", source: %s %s%s", conf_source_directive(source->kind), source->label,
		    s->epitaph->cached ? " (cached)" : "");
}

static size_t
describe(const struct session *s, const char *doing, char *out, size_t room)
{
	char client[ADDR_TEXT], backend[ADDR_TEXT], id[SESSION_ID];
	size_t at = 0;

	if (doing != NULL)
		append(out, room, &at, " while %s", doing);
	append(out, room, &at, ", client: %s, server: %s%s", addr_format(client, &s->addr), s->listen->text,
	    conn_is_secure(&s->client) && !s->listen->ssl ? " using starttls" : "");
	if (s->epitaph != NULL && s->epitaph->user[0] != '\0')
		append(out, room, &at, ", login: \"%s\"", s->epitaph->user);
	if (s->epitaph != NULL && s->epitaph->backend.family != AF_UNSPEC)
		append(out, room, &at, ", upstream: %s", addr_format_port(backend, &s->epitaph->backend));
	describe_source(s, out, room, &at);
	append(out, room, &at, ", session: %s", session_id(s, id));
	return at;
}

static size_t
context(const struct log_origin *origin, char *out, size_t room)
{
	const struct session *s = LIST_ENTRY(origin, struct session, origin);

	return describe(s, s->phase->action != NULL ? s->phase->action(s) : NULL, out, room);
}

static size_t
context_of_event(const struct log_origin *origin, char *out, size_t room)
{
	return describe(LIST_ENTRY(origin, struct session, origin), NULL, out, room);
}

static void __attribute__((format(printf, 3, 0)))
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
	struct epitaph *old = s->epitaph;

	s->epitaph = epitaph_new(user, backend);
	if (old != NULL) {
		s->epitaph->source = old->source;
		s->epitaph->cached = old->cached;
	}
	mem_free(old);
}

void
session_decided(struct session *s, const struct conf_source *source, bool cached)
{
	if (s->epitaph == NULL)
		session_remember(s, NULL, NULL);
	epitaph_decided(s->epitaph, source, cached);
}

void
session_enter(struct session *s, const struct phase *phase)
{
	MUST(!session_is_dead(s));
	loop_timer_stop(&s->timer);
	/* What the phase before had put off for its next turn is not this one's to do. */
	loop_drop(&s->task);
	if (s->phase->is_proxying && !phase->is_proxying) {
		session_event(s, "proxied session done");
		SHIFT_COUNT(s->shift, logged_in, (uint32_t)-1);
	}
	session_log(s, LOG_DEBUG, "%s -> %s", s->phase->name, phase->name);
	s->phase = phase;
}

void
session_unname(struct session *s)
{
	if (s->naming == NULL)
		return;
	hostnames_cancel(&s->naming->asking);
	mem_free(s->naming->host);
	mem_free(s->naming);
	s->naming = NULL;
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
	limit_leave(s);
	mem_free(s->to_backend);
	mem_free(s->to_client);
	mem_free(s->epitaph);
	mem_free(s->proxied);
	mem_free(s->handshake);
	session_unname(s);
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
	if (session_is_dead(s))
		return;
	session_enter(s, &phase_dead);
	/* All else stays until the burial: callers up the stack still use it. */
	entry_cancel(s->entry);
	if (s->naming != NULL)
		hostnames_cancel(&s->naming->asking);
	s->task.run = bury;
	loop_bury(s->shift->loop, &s->task);
}

void
session_goodbye(struct session *s, enum goodbye why)
{
	struct buf line;

	if (s->phase->may_speak != NULL && s->phase->may_speak(s)) {
		buf_init(&line, PROTO_ROOM);
		session_proto(s)->goodbye(why, session_server(s)->name, &line);
		/* Nobody waits for it: a client that does not read has no goodbye. */
		conn_send(&s->client, buf_head(&line), line.len);
		/* Unread bytes would make the close a reset, which may overtake what was said last. */
		conn_discard(&s->client, s->shift->scratch, SHIFT_SCRATCH);
		buf_reset(&line);
	}
	session_end(s);
}

static bool
is_wildcard(const struct addr *a)
{
	static const unsigned char nothing[16];

	return memcmp(a->ip, nothing, addr_width(a) / 8) == 0;
}

/* Only of a wildcard the listen does not know it itself. */
struct addr
session_destination(const struct session *s)
{
	struct addr addr = s->listen->at.addr;
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);

	if (addr.family == AF_UNIX || !is_wildcard(&addr))
		return addr;
	addr.family = AF_UNSPEC;
	if (getsockname(s->client.io.fd, (struct sockaddr *)&sa, &len) == 0)
		addr_from_sockaddr(&addr, &sa);
	return addr;
}

bool
session_admits(struct session *s)
{
	if (addrset_allows(session_server(s)->clients, &s->addr))
		return true;
	session_log(s, LOG_INFO, "access forbidden by rule");
	if (session_server(s)->deny_action == DENY_REFUSE)
		session_goodbye(s, GOODBYE_DENIED);
	else
		session_end(s);
	return false;
}

static void
on_client(struct loop_io *io, uint32_t events)
{
	struct session *s = LIST_ENTRY(io, struct session, client.io);

	conn_events(&s->client, events);
	if (s->phase->on_client != NULL)
		s->phase->on_client(s, events);
}

void
session_on_backend(struct loop_io *io, uint32_t events)
{
	struct session *s = LIST_ENTRY(io, struct session, backend.io);

	conn_events(&s->backend, events);
	if (s->phase->on_backend != NULL)
		s->phase->on_backend(s, events);
}

static void
announce(const struct session *s)
{
	const struct log_origin quiet = { .number = s->origin.number, .debug = s->origin.debug };
	const struct log *log = session_server(s)->log;
	char client[ADDR_TEXT];

	if (log_wants(log, LOG_INFO, &quiet))
		log_to(log, LOG_INFO, &quiet, "client %s connected to %s",
		    addr_format_port(client, &s->addr), s->listen->text);
}

struct session *
session_new(struct shift *shift, const struct conf_listen *listen, int fd, const struct addr *addr)
{
	struct session *s = mem_alloc(sizeof(*s));

	s->phase = &phase_new;
	s->shift = shift;
	s->listen = listen;
	s->server = listen->server;
	s->addr = *addr;
	s->origin.number = board_next_connection(shift->board) & INT64_MAX;
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
		return NULL;
	}
	return s;
}
