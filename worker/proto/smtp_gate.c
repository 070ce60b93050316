#include "worker/proto/smtp_gate.h"

#include <string.h>

#include "common/mem.h"
#include "common/must.h"
#include "worker/proto/smtp.h"
#include "worker/proto/smtp_body.h"
#include "worker/proto/smtp_login.h"
#include "worker/proto/smtp_words.h"

#define SAYS_MAX 65536          /* what we say ourselves at once */
#define CODE_CLOSING 421
#define CODE_TEXT 354

enum gate_state {
	AT_COMMAND,             /* nothing is under way */
	AT_ASKING,              /* the source is asked about a recipient */
	AT_BODY,                /* message bytes pass, or are discarded */
	AT_CLOSED,
	/* The backend has the turn: */
	AT_MAIL, AT_RCPT, AT_DATA, AT_RSET, AT_NOOP, AT_QUIT,
	AT_HELLO,               /* which is RSET to it */
	AT_PROBE,               /* an empty chunk: would it count the bytes of one? */
	AT_TEXT_END, AT_CHUNK_END,      /* what does it say of the bytes? */
	AT_GOODBYE,             /* it speaks unasked */
};

/* The four queues of a step. */
struct queues {
	struct buf *from_client, *from_server, *to_client, *to_server;
};

struct smtp_gate {
	struct client common;           /* facts, errors and note; credentials have HELO, MAIL and the last RCPT */
	enum gate_state state;
	struct buf answer, command;     /* on their way to client and backend, until there is room */
	struct smtp_reply reply;        /* the one that is coming */
	struct smtp_body body;
	char *waiting;                  /* owned; the command that the answer decides on: MAIL, or the first BDAT */
	bool last;                      /* the chunk ends its message */
	bool may_chunk;                 /* the backend has said that it takes chunks */
	bool has_recipient;             /* it has accepted one in this transaction */
	bool said_helo;                 /* HELO, not EHLO */
	bool stalled;                   /* message bytes move again when the backend reads */
	bool upstream_failed;           /* the note is about the backend */
};

struct smtp_gate *
smtp_gate_new(const struct facts *facts, const struct client *client, const struct login *login)
{
	struct smtp_gate *g = mem_alloc(sizeof(*g));
	struct credentials *c = &g->common.credentials;
	size_t buffer = facts->server->protocols[PROTOCOL_SMTP].client_buffer;
	const char *reply = login->reply.len > 3 ? buf_head(&login->reply) : "    ";

	g->common.facts = facts;
	g->common.errors = client->errors;
	c->method = METHOD_NONE;
	c->helo = mem_strdup(smtp_helo(client) == NULL ? "" : smtp_helo(client));
	c->mail = mem_strdup(smtp_mail(client));
	buf_init(&g->answer, SAYS_MAX + facts->server->proxy_buffer);
	buf_init(&g->command, PROTO_ROOM + buffer);
	g->may_chunk = smtp_login_may_chunk(login);
	g->has_recipient = *reply == '2';
	g->state = memcmp(reply, "421", 3) == 0 ? AT_CLOSED : AT_COMMAND;
	return g;
}

void
smtp_gate_free(struct smtp_gate **gatep)
{
	struct smtp_gate *g = *gatep;

	if (g == NULL)
		return;
	*gatep = NULL;
	credentials_reset(&g->common.credentials);
	mem_free(g->waiting);
	buf_reset(&g->answer);
	buf_reset(&g->command);
	mem_free(g);
}

static const struct server *
server(const struct smtp_gate *g)
{
	return g->common.facts->server;
}

/* The command is over: the next one may come. */
static enum gate_verdict
say(struct smtp_gate *g, const char *text)
{
	MUST(buf_add_text(&g->answer, text) == 0);
	g->state = AT_COMMAND;
	return GATE_AGAIN;
}

static enum gate_verdict
say_and_close(struct smtp_gate *g, const char *text)
{
	say(g, text);
	g->state = AT_CLOSED;
	return GATE_AGAIN;
}

static enum gate_verdict
fail(struct smtp_gate *g, const char *text)
{
	if (client_count_error(&g->common))
		return say(g, text);
	g->state = AT_CLOSED;
	return GATE_AGAIN;
}

static void
note_line(struct smtp_gate *g, const char *event, const struct line *line)
{
	char excerpt[PROTO_NOTE - 64];

	note_set(g->common.note, "upstream sent %s: \"%s\"", event,
	    log_text(excerpt, sizeof(excerpt), line->text, line->len));
}

/* The backend is not to be understood any more. The client hears of it between two answers only. */
static enum gate_verdict
give_up(struct smtp_gate *g, const char *event, const struct line *line)
{
	note_line(g, event, line);
	g->upstream_failed = true;
	if (!g->reply.open)
		proto_smtp.goodbye(GOODBYE_FAILED, server(g)->name, &g->answer);
	g->state = AT_CLOSED;
	return GATE_AGAIN;
}

/* Passes a command on; what the backend says to it is dealt with in `state`. */
static enum gate_verdict
pass(struct smtp_gate *g, const char *text, size_t len, enum gate_state state)
{
	MUST(buf_add(&g->command, text, len) == 0 && buf_add_text(&g->command, "\r\n") == 0);
	g->state = state;
	return GATE_AGAIN;
}

static void
end_transaction(struct smtp_gate *g)
{
	mem_free_secret(&g->common.credentials.mail);
	mem_free_secret(&g->common.credentials.rcpt);
	g->has_recipient = false;
}

/* Keeps the command until the backend has decided on it. */
static void
keep_waiting(struct smtp_gate *g, const struct line *line)
{
	mem_free(g->waiting);
	g->waiting = mem_strndup(line->text, line->len);
}

/* The backend shall not see it: it trusts us, and has a name for us already. */
static enum gate_verdict
on_hello(struct smtp_gate *g, const struct line *line, const struct line *args)
{
	struct credentials *c = &g->common.credentials;

	if (!smtp_is_host(args))
		return say(g, SMTP_ARGUMENT);
	mem_free(c->helo);
	c->helo = mem_strndup(args->text, args->len);
	g->said_helo = line_begins(line, "HELO");
	return pass(g, "RSET", strlen("RSET"), AT_HELLO);
}

static enum gate_verdict
on_mail(struct smtp_gate *g, const struct line *line, const struct line *args)
{
	if (args->len == 0)
		return say(g, SMTP_ARGUMENT);
	if (g->common.credentials.mail != NULL)
		return say(g, SMTP_SEQUENCE);
	keep_waiting(g, line);
	return pass(g, line->text, line->len, AT_MAIL);
}

static enum gate_verdict
on_rcpt(struct smtp_gate *g, const struct line *line, const struct line *args)
{
	struct credentials *c = &g->common.credentials;

	if (args->len == 0)
		return say(g, SMTP_ARGUMENT);
	if (c->mail == NULL)
		return say(g, SMTP_SEQUENCE);
	mem_free(c->rcpt);
	c->rcpt = mem_strndup(line->text, line->len);
	g->state = AT_ASKING;
	return GATE_ASK;
}

static enum gate_verdict
discard(struct smtp_gate *g)
{
	g->body.kind = SMTP_BODY_DISCARD;
	g->state = AT_BODY;
	return GATE_AGAIN;
}

/*
 * Bytes that the backend does not count are commands to it. So none are sent unless it
 * has offered CHUNKING, or else has said yes to an empty chunk.
 */
static enum gate_verdict
on_bdat(struct smtp_gate *g, const struct line *line, const struct line *args)
{
	g->body = (struct smtp_body){ .kind = SMTP_BODY_CHUNK };
	if (!smtp_read_bdat(args, &g->body.left, &g->last))
		return fail(g, SMTP_ARGUMENT);
	if (!g->has_recipient) {
		say(g, SMTP_SEQUENCE);
		return discard(g);
	}
	if (g->may_chunk || g->body.left == 0)
		return pass(g, line->text, line->len, AT_BODY);
	keep_waiting(g, line);
	return pass(g, "BDAT 0", strlen("BDAT 0"), AT_PROBE);
}

static enum gate_verdict
on_simple(struct smtp_gate *g, const struct line *line, const struct line *args)
{
	static const enum gate_state next[] = {
		[SMTP_DATA] = AT_DATA,
		[SMTP_RSET] = AT_RSET,
		[SMTP_NOOP] = AT_NOOP,
		[SMTP_QUIT] = AT_QUIT,
	};
	struct line rest;

	(void)args;
	return pass(g, line->text, line->len, next[smtp_command(line, &rest)]);
}

static enum gate_verdict
on_misplaced(struct smtp_gate *g, const struct line *line, const struct line *args)
{
	(void)line;
	(void)args;
	return say(g, SMTP_SEQUENCE);
}

static enum gate_verdict (*const commands[])(struct smtp_gate *g, const struct line *line, const struct line *args) = {
	[SMTP_UNKNOWN]  = NULL,
	[SMTP_HELO]     = on_hello,
	[SMTP_EHLO]     = on_hello,
	[SMTP_AUTH]     = on_misplaced,
	[SMTP_STARTTLS] = on_misplaced,
	[SMTP_MAIL]     = on_mail,
	[SMTP_RCPT]     = on_rcpt,
	[SMTP_DATA]     = on_simple,
	[SMTP_BDAT]     = on_bdat,
	[SMTP_RSET]     = on_simple,
	[SMTP_NOOP]     = on_simple,
	[SMTP_QUIT]     = on_simple,
};

static enum gate_verdict
too_long(struct smtp_gate *g, const struct line *line)
{
	struct line args;

	note_set(g->common.note, "client sent too long command \"%s...\"",
	    smtp_command_word(smtp_command(line, &args)));
	return say_and_close(g, SMTP_INVALID);
}

static enum gate_verdict
on_command(struct smtp_gate *g, const struct queues *q)
{
	size_t buffer = server(g)->protocols[PROTOCOL_SMTP].client_buffer;
	enum gate_verdict verdict;
	enum smtp_command command;
	enum line_state found;
	struct line line, args;

	if (q->from_server->len > 0) {
		g->state = AT_GOODBYE;
		return GATE_AGAIN;
	}
	found = line_next(q->from_client, buffer < q->from_client->limit ? buffer : q->from_client->limit, &line);
	if (found == LINE_MORE)
		return GATE_MORE;
	if (found == LINE_LONG)
		return too_long(g, &line);
	command = smtp_command(&line, &args);
	if (commands[command] == NULL)
		verdict = fail(g, SMTP_INVALID);
	else if (!smtp_is_clean(&line))         /* LINE_BAD is among these */
		verdict = say(g, SMTP_ARGUMENT);
	else
		verdict = commands[command](g, &line, &args);
	buf_take(q->from_client, line.taken);
	return verdict;
}

static enum gate_verdict
on_asking(struct smtp_gate *g, const struct queues *q)
{
	(void)g;
	(void)q;
	return GATE_MORE;
}

static enum gate_verdict
on_body(struct smtp_gate *g, const struct queues *q)
{
	static const enum gate_state next[] = {
		[SMTP_BODY_TEXT]    = AT_TEXT_END,
		[SMTP_BODY_CHUNK]   = AT_CHUNK_END,
		[SMTP_BODY_DISCARD] = AT_COMMAND,
	};

	switch (smtp_body_move(&g->body, q->from_client, g->body.kind == SMTP_BODY_DISCARD ? NULL : q->to_server)) {
	case SMTP_BODY_END:
		g->state = next[g->body.kind];
		return GATE_AGAIN;
	case SMTP_BODY_BAD:
		note_set(g->common.note, "client sent a dot between bare line ends in its message");
		return say_and_close(g, "554 5.6.0 Dot between bare line ends\r\n");
	case SMTP_BODY_FULL:
		g->stalled = true;
		return GATE_MORE;
	case SMTP_BODY_MORE:
		break;
	}
	return GATE_MORE;
}

static enum gate_verdict
on_closed(struct smtp_gate *g, const struct queues *q)
{
	(void)g;
	(void)q;
	return GATE_CLOSE;
}

static bool
says_yes(const struct smtp_gate *g)
{
	return g->reply.code / 100 == 2;
}

static void
mail_answered(struct smtp_gate *g)
{
	if (!says_yes(g))
		return;
	g->common.credentials.mail = g->waiting;
	g->waiting = NULL;
}

static void
rcpt_answered(struct smtp_gate *g)
{
	g->has_recipient |= says_yes(g);
}

static void
data_answered(struct smtp_gate *g)
{
	if (g->reply.code != CODE_TEXT)
		return;
	g->body = (struct smtp_body){ .kind = SMTP_BODY_TEXT };
	g->state = AT_BODY;
}

static void
chunk_answered(struct smtp_gate *g)
{
	if (g->last)
		end_transaction(g);
}

static void
probe_answered(struct smtp_gate *g)
{
	g->may_chunk = says_yes(g);
	if (g->may_chunk)
		pass(g, g->waiting, strlen(g->waiting), AT_BODY);
	else
		discard(g);
}

static void
rset_answered(struct smtp_gate *g)
{
	if (says_yes(g))
		end_transaction(g);
}

static void
hello_answered(struct smtp_gate *g)
{
	rset_answered(g);
	if (says_yes(g) && smtp_say_hello(&g->answer, server(g), !g->said_helo, 0, false) == 0)
		return;
	buf_reset(&g->answer);
	say(g, SMTP_INTERNAL);
}

static void
noop_answered(struct smtp_gate *g)
{
	(void)g;
}

static void
quit_answered(struct smtp_gate *g)
{
	g->state = AT_CLOSED;
}

static enum gate_verdict on_reply(struct smtp_gate *g, const struct queues *q);

/* Bytes from the client are used in those states alone that have no `answered`. */
static const struct state {
	enum gate_verdict (*step)(struct smtp_gate *g, const struct queues *q);
	void (*answered)(struct smtp_gate *g);  /* the backend's whole reply has come; we are at the next command */
} states[] = {
	[AT_COMMAND]   = { on_command, NULL },
	[AT_ASKING]    = { on_asking, NULL },
	[AT_MAIL]      = { on_reply, mail_answered },
	[AT_RCPT]      = { on_reply, rcpt_answered },
	[AT_DATA]      = { on_reply, data_answered },
	[AT_TEXT_END]  = { on_reply, end_transaction },
	[AT_PROBE]     = { on_reply, probe_answered },
	[AT_CHUNK_END] = { on_reply, chunk_answered },
	[AT_BODY]      = { on_body, NULL },
	[AT_RSET]      = { on_reply, rset_answered },
	[AT_HELLO]     = { on_reply, hello_answered },
	[AT_NOOP]      = { on_reply, noop_answered },
	[AT_QUIT]      = { on_reply, quit_answered },
	[AT_GOODBYE]   = { on_reply, quit_answered },
	[AT_CLOSED]    = { on_closed, NULL },
};

/* Is it for the client? Not the answers to what it has not said. */
static bool
is_passed(const struct smtp_gate *g)
{
	if (g->reply.code == CODE_CLOSING)
		return true;
	return g->state != AT_HELLO && !(g->state == AT_PROBE && says_yes(g));
}

static enum gate_verdict
take_reply(struct smtp_gate *g, const struct line *line)
{
	enum gate_state was = g->state;

	if (!smtp_read_reply(&g->reply, line))
		return give_up(g, "invalid response", line);
	if (was == AT_GOODBYE && g->reply.code != CODE_CLOSING) {
		g->reply.open = false;          /* the client has seen nothing of it */
		return give_up(g, "invalid response", line);
	}
	if (is_passed(g))
		MUST(buf_add(&g->answer, line->text, line->taken) == 0);
	if (g->reply.open)
		return GATE_AGAIN;
	if (g->reply.code == CODE_CLOSING) {
		note_line(g, "invalid response", line);
		g->state = AT_CLOSED;
		return GATE_AGAIN;
	}
	g->state = AT_COMMAND;
	states[was].answered(g);
	return GATE_AGAIN;
}

static enum gate_verdict
on_reply(struct smtp_gate *g, const struct queues *q)
{
	size_t buffer = server(g)->proxy_buffer;
	enum gate_verdict verdict;
	struct line line;

	switch (line_next(q->from_server, buffer < q->from_server->limit ? buffer : q->from_server->limit, &line)) {
	case LINE_MORE:
		return GATE_MORE;
	case LINE_LONG:
		return give_up(g, "too long response line", &line);
	case LINE_BAD:
		return give_up(g, "invalid response", &line);
	case LINE_DONE:
		break;
	}
	verdict = take_reply(g, &line);
	buf_take(q->from_server, line.taken);
	return verdict;
}

/* Moves what there is room for. True when all of it went. */
static bool
flush(struct buf *from, struct buf *to)
{
	size_t len = from->len < buf_left(to) ? from->len : buf_left(to);

	if (from->len == 0)
		return true;
	MUST(buf_add(to, buf_head(from), len) == 0);
	buf_take(from, len);
	if (from->len > 0)
		return false;
	buf_reset(from);
	return true;
}

enum gate_verdict
smtp_gate_step(struct smtp_gate *g, struct buf *from_client, struct buf *from_server, struct buf *to_client,
    struct buf *to_server)
{
	const struct queues q = { from_client, from_server, to_client, to_server };
	bool said = flush(&g->answer, to_client), sent = flush(&g->command, to_server);

	g->stalled = false;
	return said && sent ? states[g->state].step(g, &q) : GATE_MORE;
}

const struct credentials *
smtp_gate_credentials(const struct smtp_gate *g)
{
	return &g->common.credentials;
}

void
smtp_gate_answer(struct smtp_gate *g, const struct refusal *refusal, struct buf *to_client)
{
	const char *rcpt = g->common.credentials.rcpt;

	MUST(g->state == AT_ASKING);
	if (refusal == NULL) {
		pass(g, rcpt, strlen(rcpt), AT_RCPT);
		return;
	}
	MUST(smtp_say_refusal(&g->answer, refusal, true) == 0);
	g->state = AT_COMMAND;
	flush(&g->answer, to_client);
}

bool
smtp_gate_server_left(struct smtp_gate *g)
{
	if (g->state != AT_BODY)
		return false;
	g->state = AT_GOODBYE;
	return true;
}

enum log_level
smtp_gate_note_level(const struct smtp_gate *g)
{
	return g->upstream_failed ? LOG_ERROR : LOG_INFO;
}

char *
smtp_gate_note(struct smtp_gate *g)
{
	return g->common.note;
}

bool
smtp_gate_client_turn(const struct smtp_gate *g)
{
	if (g->answer.len > 0)          /* it does not read */
		return true;
	return g->command.len == 0 && !g->stalled && g->state != AT_ASKING && states[g->state].answered == NULL;
}

bool
smtp_gate_idle(const struct smtp_gate *g)
{
	return g->answer.len == 0 && !g->reply.open;
}
