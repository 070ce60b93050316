#include "worker/proto/smtp_login.h"

#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/must.h"
#include "worker/proto/quote.h"
#include "worker/proto/sasl.h"
#include "worker/proto/sasl_client.h"
#include "worker/proto/smtp.h"
#include "worker/proto/smtp_words.h"
#include "worker/proto/smtp_xclient.h"

enum smtp_login_state {
	AT_GREETING,
	AT_CLEAR_EHLO, AT_STARTTLS, AT_TLS,
	AT_EHLO, AT_XCLIENT, AT_CLIENT_HELO,
	AT_AUTH, AT_MAIL, AT_RCPT,
};

struct smtp_login {
	struct login common;            /* first */
	enum smtp_login_state state;
	struct smtp_reply answer;       /* the one that is coming */
	bool may_chunk, offers_starttls;
	unsigned attributes;            /* of XCLIENT that are offered */
	unsigned offered;               /* mechanisms, for sasl_client_choose() */
	struct sasl_client sasl;        /* at AT_AUTH */
};

#define COMMAND_MAX 512         /* bytes of AUTH with its initial response: RFC 4954 section 4 */

static const char *const actions[] = {
	[AT_GREETING]    = "connecting to upstream",
	[AT_CLEAR_EHLO]  = "sending HELO/EHLO to upstream",
	[AT_STARTTLS]    = "sending STARTTLS to upstream",
	[AT_TLS]         = "SSL handshaking to upstream",
	[AT_EHLO]        = "sending HELO/EHLO to upstream",
	[AT_XCLIENT]     = "sending XCLIENT to upstream",
	[AT_CLIENT_HELO] = "sending client HELO/EHLO to upstream",
	[AT_AUTH]        = "sending AUTH to upstream",
	[AT_MAIL]        = "sending MAIL FROM to upstream",
	[AT_RCPT]        = "sending RCPT TO to upstream",
};

static void
enter(struct smtp_login *l, enum smtp_login_state state)
{
	l->state = state;
	l->common.action = actions[state];
}

struct login *
smtp_login_new(const struct login_task *task)
{
	size_t buffer = task->facts->server->proxy_buffer;
	struct smtp_login *l = mem_alloc(sizeof(*l));

	l->common.proto = &proto_smtp;
	l->common.task = task;
	enter(l, AT_GREETING);
	/* The client gets it in one piece. */
	buf_init(&l->common.reply, buffer < PROTO_ROOM ? buffer : PROTO_ROOM);
	return &l->common;
}

bool
smtp_login_may_chunk(const struct login *login)
{
	return ((const struct smtp_login *)login)->may_chunk;
}

static const struct server *
server(const struct smtp_login *l)
{
	return l->common.task->facts->server;
}

static bool
is_anonymous(const struct smtp_login *l)
{
	return l->common.task->credentials->method == METHOD_NONE;
}

/* What was composed has been sent, if it fitted. */
static enum login_verdict
sent(struct smtp_login *l, int failed, enum smtp_login_state state)
{
	enter(l, state);
	if (!failed)
		return LOGIN_MORE;
	note_set(l->common.note, "too long command for upstream");
	return LOGIN_BROKEN;
}

static enum login_verdict
refuse(struct smtp_login *l, const char *why)
{
	buf_reset(&l->common.reply);            /* it says something else */
	note_set(l->common.note, "%s", why);
	return LOGIN_REFUSED;
}

/* Would it be one line? A source may have let anything through. */
static bool
can_be_sent(const char *text, size_t max_len)
{
	return text != NULL && sasl_text_ok(text, strlen(text), max_len, false);
}

/* Does the user log in at the backend, or is it enough that XCLIENT says who it is? */
static bool
authenticates(const struct smtp_login *l)
{
	enum proxy_auth how = l->common.task->means.how;

	return !is_anonymous(l) && how != PROXY_AUTH_NONE && (server(l)->proxy_smtp_auth || how != PROXY_AUTH_AUTO);
}

static enum login_verdict
send_response(struct smtp_login *l, struct buf *out)
{
	const char *why = sasl_client_respond(&l->sasl, out);

	l->common.credentials_sent = true;
	if (why == NULL)
		return sent(l, buf_add_text(out, "\r\n"), AT_AUTH);
	note_set(l->common.note, "AUTH %s to upstream failed: %s", sasl_client_name(l->sasl.how), why);
	return LOGIN_BROKEN;
}

/*
 * A backend that offers nothing is taken for one that has it all, as nginx does. A response too
 * long for a command waits.
 */
static enum login_verdict
send_auth(struct smtp_login *l, struct buf *out)
{
	enum proxy_auth how = sasl_client_choose(&l->common.task->means, l->offered);
	const char *name = sasl_client_name(how), *why = sasl_client_judge(&l->common.task->means, how);
	bool first;
	int failed;

	if (how == PROXY_AUTH_NONE) {
		note_set(l->common.note, "upstream offers no authentication mechanism that fits");
		buf_reset(&l->common.reply);
		return LOGIN_UNAVAILABLE;
	}
	if (why != NULL)
		return refuse(l, why);
	sasl_client_init(&l->sasl, &l->common.task->means, how);
	first = sasl_client_goes_first(&l->sasl, COMMAND_MAX - strlen(name) - strlen("AUTH  \r\n"));
	failed = buf_printf(out, "AUTH %s%s", name, first ? " " : "\r\n");
	return first && failed == 0 ? send_response(l, out) : sent(l, failed, AT_AUTH);
}

static enum login_verdict
send_line(struct smtp_login *l, const char *line, enum smtp_login_state state, struct buf *out)
{
	return sent(l, buf_printf(out, "%s\r\n", line), state);
}

/* The backend knows where the client comes from, as far as it is to be told. */
static enum login_verdict
introduce(struct smtp_login *l, struct buf *out)
{
	if (is_anonymous(l))
		return send_line(l, l->common.task->credentials->mail, AT_MAIL, out);
	if (authenticates(l))
		return send_auth(l, out);
	return LOGIN_DONE;
}

static enum login_verdict
say_hello(struct smtp_login *l, struct buf *out)
{
	bool helo = smtp_said_helo(l->common.task->client) && !server(l)->xclient;

	return sent(l, buf_printf(out, "%s %s\r\n", helo ? "HELO" : "EHLO", server(l)->name), AT_EHLO);
}

/* Before TLS the backend learns our name, and says only whether it has TLS. */
static enum login_verdict
on_greeting(struct smtp_login *l, struct buf *out)
{
	if (!l->common.task->starttls)
		return say_hello(l, out);
	return sent(l, buf_printf(out, "EHLO %s\r\n", server(l)->name), AT_CLEAR_EHLO);
}

static enum login_verdict
on_clear_ehlo(struct smtp_login *l, struct buf *out)
{
	if (l->offers_starttls)
		return send_line(l, "STARTTLS", AT_STARTTLS, out);
	note_set(l->common.note, "upstream does not offer STARTTLS");
	return LOGIN_UNAVAILABLE;
}

static enum login_verdict
on_starttls(struct smtp_login *l, struct buf *out)
{
	(void)out;
	enter(l, AT_TLS);
	return LOGIN_STARTTLS;
}

/* A backend that does not know XCLIENT takes us for the client, unless that must not be. */
static enum login_verdict
on_no_xclient(struct smtp_login *l, struct buf *out)
{
	if (!server(l)->xclient_required)
		return introduce(l, out);
	note_set(l->common.note, "upstream does not offer XCLIENT with what it needs");
	buf_reset(&l->common.reply);
	return LOGIN_UNAVAILABLE;
}

static enum login_verdict
on_ehlo(struct smtp_login *l, struct buf *out)
{
	const struct client *client = l->common.task->client;
	const struct login_means *means = &l->common.task->means;
	const char *user = means->authz != NULL ? means->authz : means->user;
	bool with_login = !is_anonymous(l) && !authenticates(l);
	const struct smtp_xclient told = { .login = with_login ? user : NULL, .helo = smtp_helo(client),
		.esmtp = !smtp_said_helo(client) };

	if (!server(l)->xclient)
		return introduce(l, out);
	if (with_login && !can_be_sent(user, PROTO_USER_MAX))
		return refuse(l, "invalid credentials for upstream");
	if (l->attributes == 0 ||
	    (with_login && !smtp_xclient_takes_login(l->attributes) && server(l)->xclient_required))
		return on_no_xclient(l, out);
	return sent(l, smtp_xclient_compose(out, l->attributes, l->common.task->facts, &told), AT_XCLIENT);
}

/* The backend has begun again, for this client. */
static enum login_verdict
on_xclient(struct smtp_login *l, struct buf *out)
{
	const struct client *client = l->common.task->client;
	const char *helo = smtp_helo(client);

	if (helo == NULL)
		return introduce(l, out);
	return sent(l, buf_printf(out, "%s %s\r\n", smtp_said_helo(client) ? "HELO" : "EHLO", helo), AT_CLIENT_HELO);
}

static enum login_verdict
on_mail(struct smtp_login *l, struct buf *out)
{
	return send_line(l, l->common.task->credentials->rcpt, AT_RCPT, out);
}

static enum login_verdict
on_done(struct smtp_login *l, struct buf *out)
{
	(void)l;
	(void)out;
	return LOGIN_DONE;
}

static enum login_verdict
on_auth(struct smtp_login *l, struct buf *out)
{
	(void)out;
	if (sasl_client_is_done(&l->sasl))
		return LOGIN_DONE;
	note_set(l->common.note, "upstream ended AUTH %s before it was done", sasl_client_name(l->sasl.how));
	return LOGIN_BROKEN;
}

static const struct {
	unsigned expected;
	enum login_verdict (*run)(struct smtp_login *l, struct buf *out);
} steps[] = {
	[AT_GREETING]    = { 220, on_greeting },
	[AT_CLEAR_EHLO]  = { 250, on_clear_ehlo },
	[AT_STARTTLS]    = { 220, on_starttls },
	[AT_TLS]         = { 0, NULL },         /* no answer leads on from the handshake */
	[AT_EHLO]        = { 250, on_ehlo },
	[AT_XCLIENT]     = { 220, on_xclient },
	[AT_CLIENT_HELO] = { 250, introduce },
	[AT_AUTH]        = { 235, on_auth },
	[AT_MAIL]        = { 250, on_mail },
	[AT_RCPT]        = { 250, on_done },
};

/* Is it the sender, or its credentials, that the backend does not want? The rest is between it and us. */
static bool
blames_client(const struct smtp_login *l, unsigned code)
{
	if (l->state == AT_AUTH)        /* 50x: no such mechanism; 530, 538: not without TLS */
		return code >= 520 && code != 530 && code != 538;
	return l->state == AT_MAIL && code >= 500;
}

/* Of an answer to AUTH only the code may be shown: a backend could repeat what it was sent. */
static enum login_verdict
broken(struct smtp_login *l, const char *event, const struct line *line)
{
	note_upstream(&l->common, event, line->text, l->state == AT_AUTH && line->len > 3 ? 3 : line->len);
	return LOGIN_BROKEN;
}

static enum login_verdict
on_answer(struct smtp_login *l, const struct line *line, struct buf *out)
{
	unsigned code = l->answer.code;

	if (code == steps[l->state].expected)
		return steps[l->state].run(l, out);
	if (l->state == AT_RCPT)
		return LOGIN_DONE;
	if (l->state == AT_AUTH && code == 334)
		return send_response(l, out);
	if (code < 400)
		return broken(l, "invalid response", line);
	if (l->state == AT_STARTTLS) {
		note_no_starttls(&l->common, line->text, line->len);
		buf_reset(&l->common.reply);
		return LOGIN_UNAVAILABLE;
	}
	return blames_client(l, code) ? LOGIN_REFUSED : LOGIN_UNAVAILABLE;
}

/* Old servers write AUTH=, some write both. */
static void
look_at_mechanisms(struct smtp_login *l, const struct line *offer)
{
	const size_t skip = strlen("AUTH ");

	if (line_begins(offer, "AUTH") || (offer->len >= skip && strncasecmp(offer->text, "AUTH=", skip) == 0))
		sasl_client_read_offer(&l->offered, offer->text + skip, offer->len > skip ? offer->len - skip : 0);
}

static void
look_at_attributes(struct smtp_login *l, const struct line *offer)
{
	const size_t skip = strlen("XCLIENT ");

	if (line_begins(offer, "XCLIENT") && offer->len > skip)
		l->attributes |= smtp_xclient_offer(offer->text + skip, offer->len - skip);
}

/* Of what the backend offers. Its answer to a HELO offers nothing. */
static void
look_at_offer(struct smtp_login *l, const struct line *line, bool first)
{
	const size_t skip = strlen("250-");
	struct line rest = { .text = line->text + skip, .len = line->len - skip };

	if (l->state != AT_CLEAR_EHLO && l->state != AT_EHLO && l->state != AT_CLIENT_HELO)
		return;
	if (first) {
		l->may_chunk = l->offers_starttls = false;
		l->offered = l->attributes = 0;
	} else if (line->len > skip) {
		l->may_chunk |= line_begins(&rest, "CHUNKING");
		l->offers_starttls |= line_begins(&rest, "STARTTLS");
		look_at_mechanisms(l, &rest);
		look_at_attributes(l, &rest);
	}
}

/* What the client may get to see is kept: not the list of capabilities, which may be long. */
static enum login_verdict
take_line(struct smtp_login *l, const struct line *line, struct buf *out)
{
	bool first = !l->answer.open;

	if (!smtp_read_reply(&l->answer, line))
		return broken(l, "invalid response", line);
	look_at_offer(l, line, first);
	if (first)
		buf_reset(&l->common.reply);
	if ((l->answer.code >= 400 || l->state >= AT_AUTH) && buf_add(&l->common.reply, line->text, line->taken) == -1)
		return broken(l, "too long response", line);
	return l->answer.open ? LOGIN_MORE : on_answer(l, line, out);
}

enum login_verdict
smtp_login_input(struct login *login, struct buf *in, struct buf *out)
{
	struct smtp_login *l = (struct smtp_login *)login;
	size_t buffer = server(l)->proxy_buffer;
	enum login_verdict verdict = LOGIN_MORE;
	enum line_state state;
	struct line line;

	while (verdict == LOGIN_MORE) {
		if ((state = line_next(in, buffer < in->limit ? buffer : in->limit, &line)) == LINE_MORE)
			return LOGIN_MORE;
		if (state != LINE_DONE)
			return broken(l, login_line_fault(state), &line);
		verdict = take_line(l, &line, out);
		buf_take(in, line.taken);
	}
	return verdict == LOGIN_STARTTLS ? login_starttls(login, in) : verdict;
}

/* Both begin again (RFC 3207 section 4.2): what was offered in the clear is forgotten. */
enum login_verdict
smtp_login_secured(struct login *login, struct buf *out)
{
	struct smtp_login *l = (struct smtp_login *)login;

	MUST(l->state == AT_TLS);
	l->may_chunk = l->offers_starttls = false;
	l->offered = l->attributes = 0;
	return say_hello(l, out);
}
