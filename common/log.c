#include "common/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "common/must.h"
#include "common/utf8.h"

#define CONTEXT_ROOM 512        /* what a long message leaves to the context */

static const char *const names[] = {
	[LOG_EMERG]  = "emerg",
	[LOG_ALERT]  = "alert",
	[LOG_CRIT]   = "crit",
	[LOG_ERROR]  = "error",
	[LOG_WARN]   = "warn",
	[LOG_NOTICE] = "notice",
	[LOG_INFO]   = "info",
	[LOG_DEBUG]  = "debug",
};

/* A line while it is composed; the last byte is kept for the newline. */
struct line {
	char bytes[LOG_LINE_MAX];
	size_t len;
	size_t head;            /* bytes of time and process number in front */
};

static const struct log *process_log;

/* What is the same for all lines of a thread within a second. */
static _Thread_local struct {
	time_t second;
	char text[sizeof("2026/11/24 06:12:00")];
	char syslog[sizeof("Nov 24 06:12:00")];
	int pid, tid;           /* 0: not asked yet */
} now;

const char *
log_level_name(enum log_level level)
{
	return names[level];
}

int
log_level_parse(const char *name)
{
	for (int level = LOG_EMERG; level <= LOG_DEBUG; level++)
		if (strcmp(name, names[level]) == 0)
			return level;
	return -1;
}

void
log_add(struct log *log, struct log_target *target)
{
	struct log_target **end = &log->targets;

	while (*end != NULL)
		end = &(*end)->next;
	*end = target;
	target->next = NULL;
	if (log->level < target->level)
		log->level = target->level;
}

bool
log_wants(const struct log *log, enum log_level level, const struct log_origin *origin)
{
	if (log == NULL)
		return level <= LOG_NOTICE;
	return level <= log->level || (origin != NULL && origin->debug);
}

const char *
log_tick(void)
{
	/* RFC 3164 wants English; strftime(3) would ask the locale. */
	static const char months[12][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
	};
	time_t second = time(NULL);
	struct tm tm;

	if (now.second == second || localtime_r(&second, &tm) == NULL)
		return now.text;
	now.second = second;
	strftime(now.text, sizeof(now.text), "%Y/%m/%d %H:%M:%S", &tm);
	snprintf(now.syslog, sizeof(now.syslog), "%s %2d %02d:%02d:%02d",
	    months[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	return now.text;
}

static void
forget_ids(void)
{
	now.pid = now.tid = 0;
}

static void
watch_forks(void)
{
	/* Without it a child would log under its parent's number. */
	if (pthread_atfork(NULL, NULL, forget_ids) != 0)
		must_die("out of memory");
}

/* Asks the kernel for the numbers of process and thread once, not once a line. */
static void
learn_ids(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	if (now.pid != 0)
		return;
	pthread_once(&once, watch_forks);
	now.pid = getpid();
	now.tid = gettid();
}

/* Puts "..." over the end of the line, at the beginning of a character. */
static void
mark_cut(struct line *line)
{
	size_t at = line->len - 3;

	while (at > 0 && ((unsigned char)line->bytes[at] & 0xc0) == 0x80)
		at--;
	memcpy(line->bytes + at, "...", 3);
	line->len = at + 3;
}

/* Appends what fits before `limit`, which is less than the size of the line. */
static void __attribute__((format(printf, 3, 0)))
line_vprintf(struct line *line, size_t limit, const char *format, va_list args)
{
	size_t room = limit - line->len;
	int len = vsnprintf(line->bytes + line->len, room + 1, format, args);

	MUST(len >= 0);
	if ((size_t)len <= room) {
		line->len += (size_t)len;
	} else {
		line->len = limit;
		mark_cut(line);
	}
}

static void __attribute__((format(printf, 2, 3)))
line_printf(struct line *line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line_vprintf(line, LOG_LINE_MAX - 1, format, args);
	va_end(args);
}

static void
line_context(struct line *line, const struct log_origin *origin)
{
	size_t room = LOG_LINE_MAX - 1 - line->len;
	size_t len = origin->context(origin, line->bytes + line->len, room);

	MUST(len <= room);
	line->len += len;
}

static void
line_end(struct line *line)
{
	for (size_t i = 0; i < line->len; i++)
		if ((unsigned char)line->bytes[i] < 0x20 || line->bytes[i] == 0x7f)
			line->bytes[i] = '?';
	line->bytes[line->len++] = '\n';
}

static void
line_begin(struct line *line, const struct log *log, enum log_level level, const struct log_origin *origin)
{
	line->len = 0;
	if (log == NULL) {
		line_printf(line, "postern: [%s] ", names[level]);
		return;
	}
	learn_ids();
	line_printf(line, "%s [%s] %d#%d: ", log_tick(), names[level], now.pid, now.tid);
	line->head = line->len;
	if (origin != NULL && origin->number != 0)
		line_printf(line, "*%llu ", (unsigned long long)origin->number);
}

/* Returns 0, or an errno. */
static int
connect_syslog(int fd, const struct endpoint *server)
{
	struct sockaddr_storage sa;
	socklen_t len = endpoint_sockaddr(server, &sa);

	if (len == 0)
		return ENAMETOOLONG;
	return connect(fd, (const struct sockaddr *)&sa, len) == -1 ? errno : 0;
}

int
log_open_syslog(const struct endpoint *server, int *error)
{
	int fd = socket(server->addr.family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	*error = fd == -1 ? 0 : connect_syslog(fd, server);
	return fd;
}

/* The server may have come, or come back under the same path, since the socket was made. */
static bool
reconnects(const struct log_target *target)
{
	if (errno != ECONNREFUSED && errno != ECONNRESET && errno != ENOTCONN && errno != EDESTADDRREQ)
		return false;
	return target->server.addr.family != AF_UNSPEC && connect_syslog(target->fd, &target->server) == 0;
}

/* One datagram as RFC 3164 has it: header, then the line without its newline. */
static void
send_syslog(const struct log_target *target, enum log_level level, struct line *line)
{
	bool named = target->hostname != NULL;
	char head[384];
	int len = snprintf(head, sizeof(head), "<%u>%s %s%s%s: ", target->priority + level - LOG_EMERG, now.syslog,
	    named ? target->hostname : "", named ? " " : "", target->tag);
	struct iovec parts[] = {
		{ head, len < 0 ? 0 : (size_t)len < sizeof(head) ? (size_t)len : sizeof(head) - 1 },
		{ line->bytes, line->len - 1 },
	};
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };

	/* Where nobody takes it, it is lost. */
	if (sendmsg(target->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == -1 && reconnects(target))
		sendmsg(target->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* What cannot be written is lost: a full disk stops nothing. */
static void
write_line(int fd, const struct line *line)
{
	if (write(fd, line->bytes, line->len) == -1)
		(void)0;
}

static void
write_to_terminal(enum log_level level, const struct line *line)
{
	dprintf(STDERR_FILENO, "postern: [%s] %.*s", names[level], (int)(line->len - line->head),
	    line->bytes + line->head);
}

static void
deliver(const struct log *log, enum log_level level, bool to_all, struct line *line)
{
	for (const struct log_target *target = log->targets; target != NULL; target = target->next) {
		if (level > target->level && !to_all)
			continue;
		if (target->kind == LOG_TO_STDERR)
			write_line(STDERR_FILENO, line);
		else if (target->kind == LOG_TO_TERMINAL)
			write_to_terminal(level, line);
		else if (target->kind == LOG_TO_FILE && target->fd != -1)
			write_line(target->fd, line);
		else if (target->kind == LOG_TO_SYSLOG && target->fd != -1)
			send_syslog(target, level, line);
	}
}

static void __attribute__((format(printf, 4, 0)))
vlog(const struct log *log, enum log_level level, const struct log_origin *origin, const char *format, va_list args)
{
	bool has_context = origin != NULL && origin->context != NULL;
	int saved_errno = errno;
	struct line line;

	if (!log_wants(log, level, origin))
		return;
	line_begin(&line, log, level, origin);
	line_vprintf(&line, LOG_LINE_MAX - 1 - (has_context ? CONTEXT_ROOM : 0), format, args);
	if (has_context)
		line_context(&line, origin);
	line_end(&line);
	if (log == NULL)
		write_line(STDERR_FILENO, &line);
	else
		deliver(log, level, origin != NULL && origin->debug, &line);
	errno = saved_errno;
}

void
log_to(const struct log *log, enum log_level level, const struct log_origin *origin, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vlog(log, level, origin, format, args);
	va_end(args);
}

const struct log *
log_use(const struct log *log)
{
	const struct log *before = process_log;

	process_log = log;
	return before;
}

void
log_say(enum log_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vlog(process_log, level, NULL, format, args);
	va_end(args);
}

const char *
log_errno(int error)
{
	static _Thread_local char text[128];

	snprintf(text, sizeof(text), "(%d: %s)", error, strerror(error));
	return text;
}

/* Writes the first character of a stranger's text, or its first byte as \xNN. Returns how many bytes that took. */
static size_t
log_character(char piece[5], size_t *piece_len, const unsigned char *s, size_t len)
{
	size_t taken = utf8_len(s, len);
	bool is_c1 = taken == 2 && s[0] == 0xc2 && s[1] < 0xa0;

	if (taken == 0 || is_c1 || s[0] < 0x20 || s[0] == 0x7f || s[0] == '"' || s[0] == '\\') {
		*piece_len = (size_t)snprintf(piece, 5, "\\x%02X", (unsigned)s[0]);
		return 1;
	}
	memcpy(piece, s, taken);
	*piece_len = taken;
	return taken;
}

const char *
log_text(char *out, size_t size, const char *bytes, size_t len)
{
	const unsigned char *s = (const unsigned char *)bytes;
	size_t used = 0, cut_at = 0;    /* cut_at: the last place between characters with room for "..." */

	MUST(size > 0);
	for (size_t at = 0, piece_len; at < len; used += piece_len) {
		char piece[5];

		at += log_character(piece, &piece_len, s + at, len - at);
		if (used + piece_len > size - 1) {
			used = cut_at + 3 < size ? cut_at + 3 : size - 1;
			memcpy(out + cut_at, "...", used - cut_at);
			break;
		}
		memcpy(out + used, piece, piece_len);
		if (used + piece_len + 3 < size)
			cut_at = used + piece_len;
	}
	out[used] = '\0';
	return out;
}
