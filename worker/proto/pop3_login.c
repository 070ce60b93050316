#include "worker/proto/pop3_login.h"

#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/must.h"
#include "worker/proto/line.h"
#include "worker/proto/pop3.h"
#include "worker/proto/sasl_client.h"

enum pop3_login_state { AT_GREETING, AT_STLS, AT_TLS, AT_USER, AT_PASS, AT_AUTH };

#define TTL 5           /* proxies that a connection may still pass, as Dovecot counts */

#define COMMAND_MAX 255 /* bytes of AUTH with its initial response: RFC 5034 section 4 */

struct pop3_login {
	struct login common;            /* first */
	enum pop3_login_state state;
	bool takes_xclient;             /* the greeting says so */
	bool awaits_xclient;            /* it was sent in front of what `state` is about: its answer comes first */
	struct sasl_client sasl;        /* at AT_AUTH */
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

static enum login_verdict
say(struct login *login, const char *command, const char *argument, struct buf *out)
{
	if (buf_printf(out, "%s %s\r\n", command, argument) == 0)
		return LOGIN_MORE;
	note_set(login->note, "too long user name or password for upstream");
	return LOGIN_BROKEN;
}

static enum login_verdict
send_response(struct pop3_login *l, struct buf *out)
{
	const char *why = sasl_client_respond(&l->sasl, out);

	l->common.credentials_sent = true;
	if (why == NULL && buf_add_text(out, "\r\n") == 0)
		return LOGIN_MORE;
	note_set(l->common.note, "AUTH %s to upstream failed: %s", sasl_client_name(l->sasl.how),
	    why != NULL ? why : "response does not fit");
	return LOGIN_BROKEN;
}

/* A response too long for a command waits until it is asked for. */
static enum login_verdict
send_auth(struct pop3_login *l, enum proxy_auth how, struct buf *out)
{
	const char *name = sasl_client_name(how);
	bool first;

	sasl_client_init(&l->sasl, &l->common.task->means, how);
	first = sasl_client_goes_first(&l->sasl, COMMAND_MAX - strlen(name) - strlen("AUTH  \r\n"));
	l->state = AT_AUTH;
	l->common.action = "sending AUTH to upstream";
	if (buf_printf(out, "AUTH %s%s", name, first ? " " : "\r\n") == 0)
		return first ? send_response(l, out) : LOGIN_MORE;
	note_set(l->common.note, "too long command for upstream");
	return LOGIN_BROKEN;
}

/* The backend asks for nothing: the client's next command is the first that it hears. */
static enum login_verdict
let_in(struct pop3_login *l)
{
	buf_reset(&l->common.reply);
	MUST(buf_add_text(&l->common.reply, "+OK logged in\r\n") == 0);
	return LOGIN_DONE;
}

/*
 * Tells where the client comes from, in one write with what follows: a backend that has
 * said that it listens to us takes it, and one that does not may say so without harm.
 */
static int
send_xclient(struct pop3_login *l, struct buf *out)
{
	const struct facts *facts = l->common.task->facts;
	char text[ADDR_TEXT];

	if (!l->takes_xclient || !facts->server->xclient ||
	    (facts->client->family != AF_INET && facts->client->family != AF_INET6))
		return 0;
	l->awaits_xclient = true;
	return buf_printf(out, "XCLIENT ADDR=%s PORT=%u SESSION=%s TTL=%u\r\n", addr_format(text, facts->client),
	    facts->client->port, facts->session, TTL);
}

/* USER and PASS are for a password of the user's own; whatever is more needs a mechanism. */
static enum login_verdict
send_user(struct pop3_login *l, struct buf *out)
{
	const struct login_means *means = &l->common.task->means;
	bool by_command = means->how == PROXY_AUTH_AUTO && !means->is_token && means->authz == NULL;
	enum proxy_auth how = by_command ? PROXY_AUTH_AUTO : sasl_client_choose(means, 0);
	const char *why = sasl_client_judge(means, how);

	if (means->how == PROXY_AUTH_NONE)
		return let_in(l);
	if (why == NULL && by_command && means->pass[0] == '\0')        /* "PASS " is no command */
		why = "invalid credentials for upstream";
	if (why != NULL) {
		buf_reset(&l->common.reply);    /* it is no refusal */
		note_set(l->common.note, "%s", why);
		return LOGIN_REFUSED;
	}
	if (send_xclient(l, out) == -1) {
		note_set(l->common.note, "too long command for upstream");
		return LOGIN_BROKEN;
	}
	if (!by_command)
		return send_auth(l, how, out);
	l->state = AT_USER;
	l->common.action = "sending user name to upstream";
	return say(&l->common, "USER", means->user, out);
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
	return say(&l->common, "PASS", l->common.task->means.pass, out);
}

static enum login_verdict
on_auth(struct pop3_login *l, struct buf *out)
{
	(void)out;
	if (sasl_client_is_done(&l->sasl))
		return LOGIN_DONE;
	note_set(l->common.note, "upstream ended AUTH %s before it was done", sasl_client_name(l->sasl.how));
	return LOGIN_BROKEN;
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
	[AT_AUTH]     = on_auth,
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
invalid(struct pop3_login *l, const struct line *line)
{
	note_upstream(&l->common, "invalid response", line->text, line->len);
	return LOGIN_BROKEN;
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

/* Dovecot's greeting to those whose word it takes: "+OK [XCLIENT] Dovecot ready." */
static bool
offers_xclient(const struct line *line)
{
	const char code[] = "+OK [XCLIENT]";

	return line->len >= sizeof(code) - 1 && strncasecmp(line->text, code, sizeof(code) - 1) == 0;
}

/* The line stays in login->reply; it is shorter than that buf's limit. */
static enum login_verdict
judge(struct pop3_login *l, const struct line *line, struct buf *out)
{
	if (l->awaits_xclient) {
		l->awaits_xclient = false;
		return is_status(line, "+OK") || is_status(line, "-ERR") ? LOGIN_MORE : invalid(l, line);
	}
	if (l->state == AT_GREETING)
		l->takes_xclient = offers_xclient(line);
	if (l->state == AT_AUTH && line_begins(line, "+"))
		return send_response(l, out);
	if (is_status(line, "+OK"))
		return on_ok[l->state](l, out);
	if (!is_status(line, "-ERR"))
		return invalid(l, line);
	if (l->state == AT_STLS)
		return no_stls(l, line);
	return l->state == AT_GREETING || says_not_now(line) ? LOGIN_UNAVAILABLE : LOGIN_REFUSED;
}

enum login_verdict
pop3_login_input(struct login *login, struct buf *in, struct buf *out)
{
	struct pop3_login *l = (struct pop3_login *)login;
	size_t max_len = login->reply.limit < in->limit ? login->reply.limit : in->limit;
	enum login_verdict verdict = LOGIN_MORE;
	enum line_state state;
	struct line line;

	while (verdict == LOGIN_MORE) {
		if ((state = line_next(in, max_len, &line)) == LINE_MORE)
			return LOGIN_MORE;
		if (state != LINE_DONE) {
			note_upstream(login, login_line_fault(state), line.text, line.len);
			return LOGIN_BROKEN;
		}
		buf_reset(&login->reply);
		MUST(buf_add(&login->reply, line.text, line.taken) == 0);
		verdict = judge(l, &line, out);
		buf_take(in, line.taken);
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
