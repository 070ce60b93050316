#include "worker/proto/imap_login.h"

#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/must.h"
#include "worker/proto/imap.h"
#include "worker/proto/imap_id.h"
#include "worker/proto/imap_parse.h"
#include "worker/proto/line.h"
#include "worker/proto/quote.h"
#include "worker/proto/sasl_client.h"

#define LITERAL_MINUS_MAX 4096  /* RFC 7888 section 5 */

/* Tags of what the client did not ask for. */
#define TAG_CAPABILITY "capability"
#define TAG_STARTTLS "starttls"
#define TAG_ID "id"

enum state { GREETING, CAPABILITY, STARTTLS, TLS, USER, PASS, ANSWER, AUTHENTICATE };

struct imap_login {
	struct login login;             /* first */
	enum state state;
	bool offers_starttls, login_disabled;
	bool may_go_first;              /* SASL-IR (RFC 4959): a response may stand behind AUTHENTICATE */
	unsigned offered;               /* mechanisms, for sasl_client_choose() */
	struct sasl_client sasl;        /* in AUTHENTICATE */
	size_t eager_max;               /* literals up to this length need no invitation */
	size_t literal_left;            /* bytes of a literal in an untagged response that are still to come */
	/* ID was sent in front of the login: its answer comes first, and is not for the client */
	bool awaits_id;
	bool continued;                 /* the next line goes on with the response before that literal */
};

typedef enum login_verdict step(struct imap_login *l, const struct line *line, struct buf *out);

static step on_greeting, on_capability, on_starttls, on_unexpected, on_invitation, on_answer, on_challenge;

static const struct {
	const char *action;
	step *step;
} states[] = {
	[GREETING] = { "connecting to upstream", on_greeting },
	[CAPABILITY] = { "sending CAPABILITY command to upstream", on_capability },
	[STARTTLS] = { "sending STARTTLS command to upstream", on_starttls },
	[TLS] = { "SSL handshaking to upstream", on_unexpected },
	[USER] = { "sending user name to upstream", on_invitation },
	[PASS] = { "sending password to upstream", on_invitation },
	[ANSWER] = { "sending LOGIN command to upstream", on_answer },
	[AUTHENTICATE] = { "sending AUTHENTICATE command to upstream", on_challenge },
};

static void
enter(struct imap_login *l, enum state state)
{
	l->state = state;
	l->login.action = states[state].action;
}

static enum login_verdict
broken(struct imap_login *l, const char *event, const struct line *line)
{
	note_upstream(&l->login, event, line->text, line->len);
	return LOGIN_BROKEN;
}

/* The backend's own last word, which is all that the client may see of a failure. */
static enum login_verdict
fail(struct imap_login *l, enum login_verdict verdict, const struct line *line)
{
	note_upstream(&l->login, "invalid response", line->text, line->len);
	buf_reset(&l->login.reply);
	if (buf_add(&l->login.reply, line->text, line->len) == -1 || buf_add_text(&l->login.reply, "\r\n") == -1)
		buf_reset(&l->login.reply);
	return verdict;
}

/* Keeps a line for the client. */
static enum login_verdict
keep(struct imap_login *l, const struct line *line, enum login_verdict verdict)
{
	struct buf *reply = &l->login.reply;

	if (buf_add(reply, line->text, line->len) == 0 && buf_add_text(reply, "\r\n") == 0)
		return verdict;
	return broken(l, "too long response line", line);
}

/* Does the line go on with this word behind its first `skip` bytes? */
static bool
says(const struct line *line, size_t skip, const char *word)
{
	struct line rest = { .text = line->text + skip, .len = line->len - skip };

	return line->len >= skip && line_begins(&rest, word);
}

/* Is this word in a list that begins with `name`, or the name itself? */
static bool
lists(const char *p, const char *end, const char *name, const char *word)
{
	bool named = false;

	for (; p < end; p++) {
		const char *blank = memchr(p, ' ', (size_t)(end - p));
		struct imap_text text = { .at = p, .len = (size_t)((blank != NULL ? blank : end) - p) };

		if (!named && !imap_text_is(&text, name))
			return false;
		named = true;
		if (imap_text_is(&text, word))
			return true;
		p += text.len;
	}
	return false;
}

/* The same for the response code that stands behind the first `skip` bytes. */
static bool
code_lists(const struct line *line, size_t skip, const char *name, const char *word)
{
	const char *p = line->text + skip, *end;

	if (line->len <= skip || *p != '[' || (end = memchr(p, ']', line->len - skip)) == NULL)
		return false;
	return lists(p + 1, end, name, word);
}

static const char *
text_of(const struct imap_login *l, enum state arg)
{
	const struct login_means *means = &l->login.task->means;

	return arg == USER ? means->user : means->pass;
}

/*
 * Sends user and password, or the password alone, up to the first literal that must wait
 * for its "+". `failed` is what came of sending what stands before.
 */
static enum login_verdict
send_from(struct imap_login *l, enum state arg, int failed, struct buf *out)
{
	bool waits = false;

	for (; arg != ANSWER && !waits; arg++) {
		const char *text = text_of(l, arg);
		size_t len = strlen(text);

		enter(l, arg);
		if (quote_fits_imap(text)) {
			failed |= buf_add_text(out, " ") | quote_imap(out, text);
			l->login.credentials_sent = true;
			continue;
		}
		waits = len > l->eager_max;
		failed |= buf_printf(out, " {%zu%s}\r\n", len, waits ? "" : "+");
		if (!waits) {
			failed |= buf_add(out, text, len);
			l->login.credentials_sent = true;
		}
	}
	if (!waits) {
		failed |= buf_add_text(out, "\r\n");
		enter(l, ANSWER);
	}
	if (failed == 0)
		return LOGIN_MORE;
	note_set(l->login.note, "user name or password is too long to be sent to upstream");
	return LOGIN_BROKEN;
}

static enum login_verdict
cannot(struct imap_login *l, enum login_verdict verdict, const char *why)
{
	note_set(l->login.note, "%s", why);
	return verdict;
}

static enum login_verdict
send_response(struct imap_login *l, struct buf *out)
{
	const char *why = sasl_client_respond(&l->sasl, out);

	l->login.credentials_sent = true;
	if (why == NULL && buf_add_text(out, "\r\n") == 0)
		return LOGIN_MORE;
	note_set(l->login.note, "AUTHENTICATE %s to upstream failed: %s", sasl_client_name(l->sasl.how),
	    why != NULL ? why : "response does not fit");
	return LOGIN_BROKEN;
}

/* The first response goes along where the backend is known to take it, else it is asked for. */
static enum login_verdict
send_authenticate(struct imap_login *l, enum proxy_auth how, struct buf *out)
{
	bool first;

	sasl_client_init(&l->sasl, &l->login.task->means, how);
	first = l->may_go_first && sasl_client_goes_first(&l->sasl, PROTO_PASS_MAX);
	enter(l, AUTHENTICATE);
	if (buf_printf(out, "%s AUTHENTICATE %s%s", imap_tag(l->login.task->client), sasl_client_name(how),
	    first ? " " : "\r\n") == -1)
		return cannot(l, LOGIN_BROKEN, "too long command for upstream");
	return first ? send_response(l, out) : LOGIN_MORE;
}

/* Tells where the client comes from, in one write with what follows. 0, or -1: no room. */
static int
send_id(struct imap_login *l, struct buf *out)
{
	const struct login_task *task = l->login.task;

	if (!task->facts->server->proxy_imap_id)
		return 0;
	l->awaits_id = true;
	return imap_id_compose(out, TAG_ID, task->facts, imap_id(task->client));
}

/* LOGIN is for a password of the user's own; whatever is more needs a mechanism. */
static enum login_verdict
send_login(struct imap_login *l, struct buf *out)
{
	const struct login_means *means = &l->login.task->means;
	bool by_command = means->how == PROXY_AUTH_AUTO && !means->is_token && means->authz == NULL;
	enum proxy_auth how = by_command ? PROXY_AUTH_AUTO : sasl_client_choose(means, l->offered);
	const char *why = sasl_client_judge(means, how);

	if (how == PROXY_AUTH_NONE)
		return cannot(l, LOGIN_UNAVAILABLE, "upstream offers no authentication mechanism that fits");
	if (why != NULL)
		return cannot(l, LOGIN_BROKEN, why);
	if (by_command && l->login_disabled)
		return cannot(l, LOGIN_UNAVAILABLE, "upstream allows no LOGIN on this connection");
	if (l->login.task->facts->server->proxy_imap_id && imap_id_ttl(imap_id(l->login.task->client)) == 0)
		return cannot(l, LOGIN_UNAVAILABLE, "proxying goes in a circle: the client's x-proxy-ttl has run out");
	if (send_id(l, out) == -1)
		return cannot(l, LOGIN_BROKEN, "too long command for upstream");
	if (!by_command)
		return send_authenticate(l, how, out);
	return send_from(l, USER, buf_printf(out, "%s LOGIN", imap_tag(l->login.task->client)), out);
}

/* Sends a command that tells nothing of the client. */
static enum login_verdict
send_command(struct imap_login *l, const char *command, enum state state, struct buf *out)
{
	enter(l, state);
	if (buf_add_text(out, command) == 0)
		return LOGIN_MORE;
	note_set(l->login.note, "too long command for upstream");
	return LOGIN_BROKEN;
}

/* The backend has told its capabilities, in the clear: only this one is worth anything. */
static enum login_verdict
send_starttls(struct imap_login *l, struct buf *out)
{
	if (l->offers_starttls)
		return send_command(l, TAG_STARTTLS " STARTTLS\r\n", STARTTLS, out);
	note_set(l->login.note, "upstream does not offer STARTTLS");
	return LOGIN_UNAVAILABLE;
}

/* Is the line the answer to the command with this tag? *skip is the length of tag and blank. */
static bool
answers(const struct line *line, const char *tag, size_t *skip)
{
	*skip = strlen(tag) + 1;
	return line->len >= *skip && memcmp(line->text, tag, *skip - 1) == 0 && line->text[*skip - 1] == ' ';
}

/*
 * What else a backend says before TLS is not for the client. A literal in it would not
 * be known from lines.
 */
static enum login_verdict
on_aside(struct imap_login *l, const struct line *line)
{
	struct imap_literal literal;

	if (line_begins(line, "* BYE"))
		return fail(l, LOGIN_UNAVAILABLE, line);
	if (!line_begins(line, "*") || imap_parse_literal(line, &literal))
		return broken(l, "invalid response", line);
	if (says(line, strlen("* "), "CAPABILITY"))
		l->offers_starttls |= lists(line->text + strlen("* "), line->text + line->len, "CAPABILITY",
		    "STARTTLS");
	return LOGIN_MORE;
}

static enum login_verdict
on_capability(struct imap_login *l, const struct line *line, struct buf *out)
{
	size_t skip;

	if (!answers(line, TAG_CAPABILITY, &skip))
		return on_aside(l, line);
	if (says(line, skip, "OK"))
		return send_starttls(l, out);
	return says(line, skip, "NO") || says(line, skip, "BAD") ? fail(l, LOGIN_UNAVAILABLE, line) :
	    broken(l, "invalid response", line);
}

static enum login_verdict
on_starttls(struct imap_login *l, const struct line *line, struct buf *out)
{
	size_t skip;

	(void)out;
	if (!answers(line, TAG_STARTTLS, &skip))
		return on_aside(l, line);
	if (says(line, skip, "OK")) {
		enter(l, TLS);
		return LOGIN_STARTTLS;
	}
	if (!says(line, skip, "NO") && !says(line, skip, "BAD"))
		return broken(l, "invalid response", line);
	note_no_starttls(&l->login, line->text, line->len);
	return LOGIN_UNAVAILABLE;
}

static enum login_verdict
on_unexpected(struct imap_login *l, const struct line *line, struct buf *out)
{
	(void)out;
	return broken(l, "invalid response", line);
}

/* The greeting tells the capabilities, or they have to be asked for. */
static enum login_verdict
secure_first(struct imap_login *l, const struct line *line, size_t skip, struct buf *out)
{
	l->offers_starttls = code_lists(line, skip, "CAPABILITY", "STARTTLS");
	if (code_lists(line, skip, "CAPABILITY", "CAPABILITY"))
		return send_starttls(l, out);
	return send_command(l, TAG_CAPABILITY " CAPABILITY\r\n", CAPABILITY, out);
}

/* Whoever is told of mechanisms is told of all: a list without any "AUTH=" offers none. */
static void
read_mechanisms(struct imap_login *l, const char *p, const char *end)
{
	const size_t skip = strlen("AUTH=");

	sasl_client_read_offer(&l->offered, "", 0);
	for (size_t len; p < end; p += len + 1) {
		const char *blank = memchr(p, ' ', (size_t)(end - p));

		len = (size_t)((blank != NULL ? blank : end) - p);
		if (len > skip && strncasecmp(p, "AUTH=", skip) == 0)
			sasl_client_read_offer(&l->offered, p + skip, len - skip);
	}
}

/* What the greeting tells of capabilities, if it does. */
static void
read_capabilities(struct imap_login *l, const struct line *line, size_t skip)
{
	const char *p = line->text + skip, *end = line->text + line->len;

	if (!code_lists(line, skip, "CAPABILITY", "CAPABILITY"))
		return;
	l->login_disabled = code_lists(line, skip, "CAPABILITY", "LOGINDISABLED");
	l->may_go_first = code_lists(line, skip, "CAPABILITY", "SASL-IR");
	if (code_lists(line, skip, "CAPABILITY", "LITERAL+"))
		l->eager_max = SIZE_MAX;
	else if (code_lists(line, skip, "CAPABILITY", "LITERAL-"))
		l->eager_max = LITERAL_MINUS_MAX;
	read_mechanisms(l, p + 1, memchr(p, ']', (size_t)(end - p)));
}

/* Where nothing is to be said, the backend has to have let us in, and not before TLS that is wanted. */
static enum login_verdict
on_preauth(struct imap_login *l, const struct line *line)
{
	if (!line_begins(line, "* PREAUTH") || l->login.task->starttls)
		return cannot(l, LOGIN_BROKEN, "upstream wants a login, but \"proxy_auth\" is \"none\"");
	if (buf_printf(&l->login.reply, "%s OK logged in\r\n", imap_tag(l->login.task->client)) == -1)
		return broken(l, "too long response line", line);
	return LOGIN_DONE;
}

static enum login_verdict
on_greeting(struct imap_login *l, const struct line *line, struct buf *out)
{
	size_t skip = strlen("* OK ");

	if (line_begins(line, "* BYE"))
		return fail(l, LOGIN_UNAVAILABLE, line);
	if (!line_begins(line, "* OK") && !line_begins(line, "* PREAUTH"))
		return broken(l, "invalid response", line);
	if (l->login.task->means.how == PROXY_AUTH_NONE)
		return on_preauth(l, line);
	if (!line_begins(line, "* OK"))
		return broken(l, "invalid response", line);
	if (l->login.task->starttls)
		return secure_first(l, line, skip, out);
	read_capabilities(l, line, skip);
	return send_login(l, out);
}

/* An untagged response may hold literals; the text of a status response may only look so. */
static enum login_verdict
look_for_literal(struct imap_login *l, const struct line *line)
{
	struct imap_literal literal;

	l->continued = imap_parse_literal(line, &literal);
	if (!l->continued)
		return LOGIN_MORE;
	if (literal.len > buf_left(&l->login.reply))
		return broken(l, "too long response line", line);
	l->literal_left = (size_t)literal.len;
	return LOGIN_MORE;
}

static enum login_verdict
on_untagged(struct imap_login *l, const struct line *line)
{
	enum login_verdict verdict;

	if (line_begins(line, "* BYE")) {
		verdict = fail(l, LOGIN_UNAVAILABLE, line);
		buf_reset(&l->login.reply);     /* no answer to LOGIN */
		return verdict;
	}
	if ((verdict = keep(l, line, LOGIN_MORE)) != LOGIN_MORE)
		return verdict;
	if (line_begins(line, "* OK") || line_begins(line, "* NO") || line_begins(line, "* BAD"))
		return LOGIN_MORE;
	return look_for_literal(l, line);
}

/* Codes that speak of the backend or of our connection to it, not of these credentials (RFC 5530). */
static bool
is_temporary(const struct line *line, size_t skip)
{
	static const char *const codes[] = { "UNAVAILABLE", "INUSE", "SERVERBUG", "LIMIT", "PRIVACYREQUIRED" };

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (code_lists(line, skip, codes[i], codes[i]))
			return true;
	return false;
}

static enum login_verdict
on_tagged(struct imap_login *l, const struct line *line, size_t skip)
{
	if (says(line, skip, "OK") &&
	    (l->state == ANSWER || (l->state == AUTHENTICATE && sasl_client_is_done(&l->sasl))))
		return keep(l, line, LOGIN_DONE);
	if (says(line, skip, "NO"))
		return fail(l, is_temporary(line, skip + 3) ? LOGIN_UNAVAILABLE : LOGIN_REFUSED, line);
	if (says(line, skip, "BAD"))
		return fail(l, is_temporary(line, skip + 4) ? LOGIN_UNAVAILABLE :
		    l->login.credentials_sent ? LOGIN_REFUSED : LOGIN_BROKEN, line);
	return broken(l, "invalid response", line);
}

static enum login_verdict
on_answer(struct imap_login *l, const struct line *line, struct buf *out)
{
	size_t skip;

	(void)out;
	if (line_begins(line, "*"))
		return on_untagged(l, line);
	if (answers(line, imap_tag(l->login.task->client), &skip))
		return on_tagged(l, line, skip);
	return broken(l, "invalid response", line);
}

static enum login_verdict
on_invitation(struct imap_login *l, const struct line *line, struct buf *out)
{
	const char *text = text_of(l, l->state);

	if (!line_begins(line, "+"))
		return on_answer(l, line, out);
	l->login.credentials_sent = true;
	return send_from(l, l->state + 1, buf_add(out, text, strlen(text)), out);
}

/* What it asks for is known beforehand; an error challenge is not for the client, whose mechanism may be another. */
static enum login_verdict
on_challenge(struct imap_login *l, const struct line *line, struct buf *out)
{
	return line_begins(line, "+") ? send_response(l, out) : on_answer(l, line, out);
}

/* Moves what has come of a literal. There is room: look_for_literal() saw to that. */
static void
move_literal(struct imap_login *l, struct buf *in)
{
	size_t len = in->len < l->literal_left ? in->len : l->literal_left;

	if (len == 0)
		return;
	MUST(buf_add(&l->login.reply, buf_head(in), len) == 0);
	buf_take(in, len);
	l->literal_left -= len;
}

/* Is the line about our ID? What the backend says of itself is not for the client, who has asked us. */
static bool
is_about_id(struct imap_login *l, const struct line *line)
{
	struct imap_literal literal;
	size_t skip;

	if (!l->awaits_id)
		return false;
	if (answers(line, TAG_ID, &skip)) {
		l->awaits_id = false;
		return true;
	}
	return line_begins(line, "* ID") && !imap_parse_literal(line, &literal);
}

static enum login_verdict
on_line(struct imap_login *l, const struct line *line, struct buf *out)
{
	if (!l->continued && is_about_id(l, line))
		return LOGIN_MORE;
	if (!l->continued)
		return states[l->state].step(l, line, out);
	if (keep(l, line, LOGIN_MORE) != LOGIN_MORE)
		return LOGIN_BROKEN;
	return look_for_literal(l, line);
}

enum login_verdict
imap_login_input(struct login *login, struct buf *in, struct buf *out)
{
	struct imap_login *l = (struct imap_login *)login;
	size_t max_len = in->limit < login->reply.limit ? in->limit : login->reply.limit;
	enum login_verdict verdict = LOGIN_MORE;
	enum line_state state;
	struct line line;

	while (verdict == LOGIN_MORE) {
		move_literal(l, in);
		if (l->literal_left > 0 || (state = line_next(in, max_len, &line)) == LINE_MORE)
			return LOGIN_MORE;
		if (state != LINE_DONE)
			return broken(l, login_line_fault(state), &line);
		verdict = on_line(l, &line, out);
		buf_take(in, line.taken);
	}
	return verdict == LOGIN_STARTTLS ? login_starttls(login, in) : verdict;
}

/* Nothing that was said in the clear counts: literals wait again, for capabilities are not worth a round trip. */
enum login_verdict
imap_login_secured(struct login *login, struct buf *out)
{
	struct imap_login *l = (struct imap_login *)login;

	MUST(l->state == TLS);
	l->offers_starttls = false;
	return send_login(l, out);
}

struct login *
imap_login_new(const struct login_task *task)
{
	struct imap_login *l = mem_alloc(sizeof(*l));

	l->login.proto = task->client->proto;
	l->login.task = task;
	buf_init(&l->login.reply, task->facts->server->proxy_buffer);
	enter(l, GREETING);
	return &l->login;
}
