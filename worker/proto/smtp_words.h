/*
 * smtp_words - what every part of SMTP here reads and says alike
 *
 * The client half, the login half and the gate know commands and replies by these
 * functions, so that none of them takes a line for something that another does not.
 * RFC 5321, enhanced status codes of RFC 3463. Built on: line, sasl, proto.h.
 */
#ifndef POSTERN_WORKER_PROTO_SMTP_WORDS_H
#define POSTERN_WORKER_PROTO_SMTP_WORDS_H

#include <stdint.h>

#include "worker/proto/line.h"
#include "worker/proto/proto.h"

#define SMTP_OK         "250 2.0.0 OK\r\n"
#define SMTP_BYE        "221 2.0.0 Bye\r\n"
#define SMTP_ACCEPTED   "235 2.0.0 OK\r\n"
#define SMTP_INVALID    "500 5.5.1 Invalid command\r\n"
#define SMTP_LONG_AUTH  "500 5.5.6 Authentication exchange line is too long\r\n"
#define SMTP_ARGUMENT   "501 5.5.4 Invalid argument\r\n"
#define SMTP_CANCELLED  "501 5.7.0 Authentication cancelled\r\n"
#define SMTP_SEQUENCE   "503 5.5.1 Bad sequence of commands\r\n"
#define SMTP_CREDENTIAL "535 5.7.8 Invalid credentials\r\n"
#define SMTP_NO_CERTIFICATE "535 5.7.8 No valid client certificate\r\n"
#define SMTP_FIRST_AUTH "530 5.7.1 Authentication required\r\n"
#define SMTP_FIRST_TLS  "530 5.7.0 Must issue a STARTTLS command first\r\n"
#define SMTP_TLS_AUTH   "538 5.7.11 Encryption required for requested authentication mechanism\r\n"
#define SMTP_TLS_READY  "220 2.0.0 Start TLS\r\n"
#define SMTP_INTERNAL   "451 4.3.2 Internal server error\r\n"

/* The commands that somebody here knows; the others are all SMTP_UNKNOWN. */
enum smtp_command {
	SMTP_UNKNOWN,
	SMTP_HELO, SMTP_EHLO, SMTP_AUTH, SMTP_STARTTLS,
	SMTP_MAIL, SMTP_RCPT, SMTP_DATA, SMTP_BDAT,
	SMTP_RSET, SMTP_NOOP, SMTP_QUIT,
};

/* What a line begins with; *args is what follows, without the blanks around it. */
enum smtp_command smtp_command(const struct line *line, struct line *args);

/* "MAIL", "" for SMTP_UNKNOWN. */
const char *smtp_command_word(enum smtp_command command);

/* No control byte, so that it may be passed on. */
bool smtp_is_clean(const struct line *line);

/* The argument of HELO or EHLO: one clean word. */
bool smtp_is_host(const struct line *args);

/* The arguments of BDAT (RFC 3030 section 2). False: they are none. */
bool smtp_read_bdat(const struct line *args, uint64_t *size, bool *last);

/*
 * The answer to HELO or EHLO: our name, then for EHLO the capabilities, AUTH with these
 * methods, if any, and STARTTLS if asked for. 0, or -1: no room.
 */
int smtp_say_hello(struct buf *out, const struct server *server, bool esmtp, unsigned methods, bool starttls);

/*
 * A refusal of credentials, or of a recipient. Its text is cut at half of PROTO_ROOM; a
 * code that says anything but no is replaced by the usual one. 0, or -1: no room.
 */
int smtp_say_refusal(struct buf *out, const struct refusal *why, bool recipient);

/* A reply that comes line by line. Start with a zeroed one. */
struct smtp_reply {
	unsigned code;
	bool open;              /* more lines of it are to come */
};

/* Takes its next line. False: it is no reply (RFC 5321 section 4.2). */
bool smtp_read_reply(struct smtp_reply *reply, const struct line *line);

#endif
