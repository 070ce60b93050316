/*
 * log - the error log: lines that say who did what
 *
 * A struct log is a set of targets (file, stderr, syslog), each with the least severe
 * level that it takes. Every line is one write(2) or one datagram a target, at once;
 * nothing is buffered, nothing blocks. Lines look as nginx writes them:
 *
 *     2026/11/24 06:12:00 [info] 4711#4711: *17 client logged in, client: 192.0.2.1
 *
 * Text that came from strangers goes through log_text() first; a control byte that gets
 * here all the same becomes "?", so that one record is one line. A message that is too
 * long is cut, never the context behind it. Passwords never come here in any form.
 * Built on: must, addr, utf8.
 */
#ifndef POSTERN_COMMON_LOG_H
#define POSTERN_COMMON_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"

enum log_level {
	LOG_EMERG = 1, LOG_ALERT, LOG_CRIT, LOG_ERROR, LOG_WARN, LOG_NOTICE, LOG_INFO, LOG_DEBUG
};

#define LOG_LINE_MAX 2048       /* bytes of one line, newline included; longer ones are cut */

/* LOG_TO_TERMINAL is stderr too, for people: `postern: [emerg] text`. No configuration names it. */
enum log_kind { LOG_TO_FILE, LOG_TO_STDERR, LOG_TO_SYSLOG, LOG_TO_TERMINAL };

struct log_target {
	struct log_target *next;
	enum log_kind kind;
	enum log_level level;
	int fd;                         /* -1 until opened; borrowed: whoever opened it closes it */
	unsigned file;                  /* LOG_TO_FILE: index of its struct conf_file */
	/* LOG_TO_SYSLOG: */
	struct endpoint server;
	unsigned priority;              /* facility * 8; log_to() adds the level's severity */
	const char *tag;
	const char *hostname;           /* NULL with "nohostname" */
};

struct log {
	struct log_target *targets;     /* borrowed; in the order of the configuration */
	enum log_level level;           /* the most verbose of the targets: what is worth composing */
};

/*
 * Who speaks: the connection's number (0: none), and how it adds its context to a line
 * (", client: 192.0.2.1, server: ..."). NULL for the process itself. A session
 * embeds one; `debug` lifts the level of every target to debug for it (debug_connection).
 */
struct log_origin {
	uint64_t number : 63, debug : 1;        /* one word: there is an origin in every session */
	/* Writes at most `room` bytes, no NUL needed, and returns how many. */
	size_t (*context)(const struct log_origin *origin, char *out, size_t room);
};

/* The name of a level, "emerg" to "debug", and back; -1 for a word that is none. */
const char *log_level_name(enum log_level level);
int log_level_parse(const char *name);

/* Appends a target, which stays in its owner's memory, and keeps log->level right. */
void log_add(struct log *log, struct log_target *target);

/*
 * A datagram socket for a syslog target of this server. Returns the descriptor, or -1 with
 * errno. *error is 0, or what connect(2) said: then lines are lost until somebody is there,
 * but the socket is to be kept.
 */
int log_open_syslog(const struct endpoint *server, int *error);

/* Would a line of this level go anywhere? `log` may be NULL, as below. */
bool log_wants(const struct log *log, enum log_level level, const struct log_origin *origin);

/* Writes one line. NULL is the log before log_use(): stderr. errno stays as it is. */
void log_to(const struct log *log, enum log_level level, const struct log_origin *origin, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/*
 * The log of the process, for what belongs to no session. Until log_use() has named
 * one, lines go to stderr as `postern: [emerg] text`, down to notice. `log` is borrowed.
 * Returns the one before.
 */
const struct log *log_use(const struct log *log);
void log_say(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "(2: No such file or directory)": nginx's form of an errno. A static text of the thread's, until the next call. */
const char *log_errno(int error);

/*
 * Writes `len` bytes of a stranger's text to `out`, escaped so that a line cannot be
 * forged: bytes below 0x20, 0x7f, `"`, `\`, the control characters U+0080 to U+009F and
 * what is not valid UTF-8 become \xNN. At most `size` - 1 bytes and a NUL; a cut is
 * marked by "...". Returns `out`.
 */
const char *log_text(char *out, size_t size, const char *bytes, size_t len);

/*
 * The present second as the log writes it, "2026/11/24 06:12:00", for whoever writes such
 * lines. A static text of the thread's, until the next call or line. The process calls
 * tzset() before the sandbox: here nobody opens a path.
 */
const char *log_tick(void);

#endif
