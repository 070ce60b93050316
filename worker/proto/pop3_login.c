#include "worker/proto/pop3_login.h"

#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/must.h"
#include "worker/proto/line.h"
#include "worker/proto/pop3.h"
#include "worker/proto/sasl.h"

enum pop3_login_state { AT_GREETING, AT_STLS, AT_TLS, AT_USER, AT_PASS };

struct pop3_login {
	struct login common;            /* first */
	enum pop3_login_state state;
};

struct login *
pop3_login_new(const struct login_task *task)
{
	struct pop3_login *l = mem_alloc(sizeof(*l));

	l->common.proto = &proto_pop3;
	l->common.task = task;
	l->common.action = "connecting to upstream";
	buf_init(&l->common.reply, task->facts->server->proxy_buffer);
	return &l->common;
}

/* A credential may come from a source that let anything through: here it must be one line. */
static bool
can_be_sent(const char *text, size_t max_len)
{
	return text != NULL && sasl_text_ok(text, strlen(text), max_len, false);
}

static enum login_verdict
say(struct login *login, const char *command, const char *argument, struct buf *out)
{
	if (buf_printf(out, "%s %s\r\n", command, argument) == 0)
		return LOGIN_MORE;
	note_set(login->note, "too long user name or password for upstream");
	return LOGIN_BROKEN;
}

static enum login_verdict
send_user(struct pop3_login *l, struct buf *out)
{
	const struct credentials *c = l->common.task->credentials;

	if (!can_be_sent(c->user, PROTO_USER_MAX) || !can_be_sent(c->pass, PROTO_PASS_MAX)) {
		buf_reset(&l->common.reply);    /* it is no refusal */
		note_set(l->common.note, "%s",
		    c->pass == NULL ? "no password available" : "invalid credentials for upstream");
		return LOGIN_REFUSED;
	}
	l->state = AT_USER;
	l->common.action = "sending user name to upstream";
	return say(&l->common, "USER", c->user, out);
}

/* STLS tells whether there is STLS: a look at CAPA before it would only take longer. */
static enum login_verdict
on_greeting(struct pop3_login *l, struct buf *out)
{
	if (!l->common.task->starttls)
		return send_user(l, out);
	l->state = AT_STLS;
	l->common.action = "sending STLS to upstream";
	if (buf_add_text(out, "STLS\r\n") == 0)
		return LOGIN_MORE;
	note_set(l->common.note, "too long command for upstream");
	return LOGIN_BROKEN;
}

static enum login_verdict
on_stls(struct pop3_login *l, struct buf *out)
{
	(void)out;
	l->state = AT_TLS;
	l->common.action = "SSL handshaking to upstream";
	buf_reset(&l->common.reply);
	return LOGIN_STARTTLS;
}

/* Only pop3_login_secured() leads on from the handshake. */
static enum login_verdict
on_unexpected(struct pop3_login *l, struct buf *out)
{
	(void)out;
	note_upstream(&l->common, "invalid response", buf_head(&l->common.reply), strlen("+OK"));
	return LOGIN_BROKEN;
}

static enum login_verdict
on_user(struct pop3_login *l, struct buf *out)
{
	l->state = AT_PASS;
	l->common.action = "sending password to upstream";
	l->common.credentials_sent = true;
	return say(&l->common, "PASS", l->common.task->credentials->pass, out);
}

static enum login_verdict
on_pass(struct pop3_login *l, struct buf *out)
{
	(void)l;
	(void)out;
	return LOGIN_DONE;
}

static enum login_verdict (*const on_ok[])(struct pop3_login *l, struct buf *out) = {
	[AT_GREETING] = on_greeting,
	[AT_STLS]     = on_stls,
	[AT_TLS]      = on_unexpected,
	[AT_USER]     = on_user,
	[AT_PASS]     = on_pass,
};

/* Does -ERR carry a code that speaks of the server, not of the credentials? */
static bool
says_not_now(const struct line *line)
{
	static const char *const codes[] = { "[SYS/", "[IN-USE]", "[LOGIN-DELAY]" };
	const char *code = memchr(line->text, '[', line->len);
	size_t left = code == NULL ? 0 : line->len - (size_t)(code - line->text);

	if (code != line->text + strlen("-ERR "))
		return false;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (left >= strlen(codes[i]) && strncasecmp(code, codes[i], strlen(codes[i])) == 0)
			return true;
	return false;
}

static bool
is_status(const struct line *line, const char *status)
{
	size_t len = strlen(status);

	return line->len >= len && memcmp(line->text, status, len) == 0;
}

static enum login_verdict
no_stls(struct pop3_login *l, const struct line *line)
{
	char excerpt[PROTO_NOTE - 64];

	buf_reset(&l->common.reply);
	note_set(l->common.note, "upstream does not offer STARTTLS: \"%s\"",
	    log_text(excerpt, sizeof(excerpt), line->text, line->len));
	return LOGIN_UNAVAILABLE;
}

/* The line stays in login->reply; it is shorter than that buf's limit. */
static enum login_verdict
judge(struct pop3_login *l, const struct line *line, struct buf *out)
{
	if (is_status(line, "+OK"))
		return on_ok[l->state](l, out);
	if (!is_status(line, "-ERR")) {
		note_upstream(&l->common, "invalid response", line->text, line->len);
		return LOGIN_BROKEN;
	}
	if (l->state == AT_STLS)
		return no_stls(l, line);
	return l->state == AT_GREETING || says_not_now(line) ? LOGIN_UNAVAILABLE : LOGIN_REFUSED;
}

enum login_verdict
pop3_login_input(struct login *login, struct buf *in, struct buf *out)
{
	struct pop3_login *l = (struct pop3_login *)login;
	enum login_verdict verdict = LOGIN_MORE;
	struct line line;

	while (verdict == LOGIN_MORE) {
		switch (line_next(in, login->reply.limit < in->limit ? login->reply.limit : in->limit, &line)) {
		case LINE_MORE:
			return LOGIN_MORE;
		case LINE_LONG:
			note_upstream(login, "too long response line", line.text, line.len);
			return LOGIN_BROKEN;
		case LINE_BAD:
			note_upstream(login, "invalid response", line.text, line.len);
			return LOGIN_BROKEN;
		case LINE_DONE:
			buf_reset(&login->reply);
			MUST(buf_add(&login->reply, line.text, line.taken) == 0);
			verdict = judge(l, &line, out);
			buf_take(in, line.taken);
		}
	}
	return verdict == LOGIN_STARTTLS ? login_starttls(login, in) : verdict;
}

enum login_verdict
pop3_login_secured(struct login *login, struct buf *out)
{
	struct pop3_login *l = (struct pop3_login *)login;

	MUST(l->state == AT_TLS);
	return send_user(l, out);
}
