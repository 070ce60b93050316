#include "worker/proto/smtp.h"

#include <string.h>

#include "common/mem.h"
#include "worker/proto/sasl.h"
#include "worker/proto/smtp_body.h"
#include "worker/proto/smtp_login.h"
#include "worker/proto/smtp_words.h"

const char smtp_early_talker[] = "503 5.5.0 Improper use of SMTP command pipelining";

struct smtp {
	struct client common;           /* first */
	struct sasl sasl;               /* .method is 0 outside an exchange */
	char *helo, *mail;              /* owned; NULL: not said yet */
	bool said_helo;
	bool asked;                     /* the question under way is about a recipient */
	bool complained;                /* a rejected command has been noted: the first one is enough */
	struct smtp_body chunk;         /* of a BDAT that was refused: bytes that are no commands */
};

const char *
smtp_helo(const struct client *client)
{
	return ((const struct smtp *)client)->helo;
}

const char *
smtp_mail(const struct client *client)
{
	return ((const struct smtp *)client)->mail;
}

bool
smtp_said_helo(const struct client *client)
{
	return ((const struct smtp *)client)->said_helo;
}

static unsigned
methods(const struct smtp *s)
{
	return client_methods(&s->common);
}

static enum proto_verdict
say(struct buf *out, const char *text)
{
	return buf_add_text(out, text) == 0 ? PROTO_AGAIN : PROTO_CLOSE;
}

static enum proto_verdict
fail(struct smtp *s, const char *answer, struct buf *out)
{
	sasl_reset(&s->sasl);
	credentials_reset(&s->common.credentials);
	if (!client_count_error(&s->common))
		return PROTO_CLOSE;
	return say(out, answer);
}

static enum proto_verdict
on_hello(struct smtp *s, enum smtp_command command, const struct line *args, struct buf *out)
{
	if (!smtp_is_host(args))
		return say(out, SMTP_ARGUMENT);
	mem_free(s->helo);
	s->helo = mem_strndup(args->text, args->len);
	s->said_helo = command == SMTP_HELO;
	mem_free(s->mail);
	s->mail = NULL;
	return smtp_say_hello(out, s->common.facts->server, !s->said_helo, client_offers(&s->common),
	    client_may_secure(&s->common)) == 0 ? PROTO_AGAIN : PROTO_CLOSE;
}

static enum proto_verdict
ask(const char *challenge, struct buf *out)
{
	return buf_printf(out, "334 %s\r\n", challenge) == 0 ? PROTO_AGAIN : PROTO_CLOSE;
}

static enum proto_verdict
after_step(struct smtp *s, enum sasl_verdict verdict, struct buf *out)
{
	switch (verdict) {
	case SASL_CHALLENGE:
		return ask(s->sasl.challenge, out);
	case SASL_DONE:
		s->asked = false;
		return PROTO_CREDENTIALS;
	case SASL_CANCELLED:
		return say(out, SMTP_CANCELLED);
	case SASL_REFUSED:
		return sasl_say_refusal(&s->sasl, out);
	case SASL_BAD:
		break;
	}
	return fail(s, strcmp(s->sasl.answer, "invalid command") == 0 ? SMTP_INVALID : SMTP_CREDENTIAL, out);
}

/* AUTH mechanism [initial response]: not within a transaction (RFC 4954 section 4). */
static enum proto_verdict
on_auth(struct smtp *s, const struct line *args, struct buf *out)
{
	const char *blank = args->len == 0 ? NULL : memchr(args->text, ' ', args->len);
	size_t name_len = blank == NULL ? args->len : (size_t)(blank - args->text);
	size_t initial_len = blank == NULL ? 0 : args->len - name_len - 1;
	enum method method = sasl_mechanism(args->text, name_len, methods(s));

	if (client_must_secure(&s->common))
		return fail(s, SMTP_TLS_AUTH, out);
	if (args->len == 0)
		return say(out, SMTP_ARGUMENT);
	if (s->mail != NULL)
		return say(out, SMTP_SEQUENCE);
	if (method == 0)
		return fail(s, SMTP_INVALID, out);
	if (client_lacks_certificate(&s->common, method))
		return fail(s, SMTP_NO_CERTIFICATE, out);
	return after_step(s, sasl_start(&s->sasl, method, blank == NULL ? NULL : blank + 1, initial_len,
	    s->common.facts, &s->common.credentials, s->common.note), out);
}

/* RFC 3207 section 4. */
static enum proto_verdict
on_starttls(struct smtp *s, const struct line *args, struct buf *out)
{
	if (s->common.facts->secure)
		return fail(s, SMTP_SEQUENCE, out);
	if (!client_may_secure(&s->common))
		return fail(s, SMTP_INVALID, out);
	if (args->len > 0)
		return say(out, SMTP_ARGUMENT);
	return say(out, SMTP_TLS_READY) == PROTO_AGAIN ? PROTO_STARTTLS : PROTO_CLOSE;
}

static enum proto_verdict
reject(struct smtp *s, const struct line *line, struct buf *out)
{
	char excerpt[PROTO_NOTE - 64];

	if (!s->complained)
		note_set(s->common.note, "client was rejected: \"%s\"",
		    log_text(excerpt, sizeof(excerpt), line->text, line->len));
	s->complained = true;
	return say(out, SMTP_FIRST_AUTH);
}

static enum proto_verdict
on_mail(struct smtp *s, const struct line *line, const struct line *args, struct buf *out)
{
	if (client_must_secure(&s->common))
		return fail(s, SMTP_FIRST_TLS, out);
	if ((methods(s) & METHOD_NONE) == 0)
		return reject(s, line, out);
	if (args->len == 0 || !smtp_is_clean(line))
		return say(out, SMTP_ARGUMENT);
	if (s->mail != NULL)
		return say(out, SMTP_SEQUENCE);
	s->mail = mem_strndup(line->text, line->len);
	return say(out, SMTP_OK);
}

static enum proto_verdict
on_rcpt(struct smtp *s, const struct line *line, const struct line *args, struct buf *out)
{
	struct credentials *c = &s->common.credentials;

	if (args->len == 0 || !smtp_is_clean(line))
		return say(out, SMTP_ARGUMENT);
	if (s->mail == NULL)
		return say(out, SMTP_SEQUENCE);
	credentials_reset(c);
	c->method = METHOD_NONE;
	c->helo = mem_strdup(s->helo == NULL ? "" : s->helo);
	c->mail = mem_strdup(s->mail);
	c->rcpt = mem_strndup(line->text, line->len);
	s->asked = true;
	return PROTO_CREDENTIALS;
}

/* Nobody has been named who would get it. Its bytes are no commands. */
static enum proto_verdict
on_bdat(struct smtp *s, const struct line *args, struct buf *out)
{
	bool last;

	s->chunk = (struct smtp_body){ .kind = SMTP_BODY_DISCARD };
	if (!smtp_read_bdat(args, &s->chunk.left, &last))
		s->chunk.left = 0;
	return fail(s, SMTP_INVALID, out);
}

static enum proto_verdict
on_rset(struct smtp *s, struct buf *out)
{
	mem_free(s->mail);
	s->mail = NULL;
	return say(out, SMTP_OK);
}

static enum proto_verdict
run_command(struct smtp *s, const struct line *line, struct buf *out)
{
	struct line args;
	enum smtp_command command = smtp_command(line, &args);

	if (!client_count_command(&s->common))
		return PROTO_CLOSE;
	switch (command) {
	case SMTP_HELO:
	case SMTP_EHLO:
		return on_hello(s, command, &args, out);
	case SMTP_AUTH:
		return on_auth(s, &args, out);
	case SMTP_STARTTLS:
		return on_starttls(s, &args, out);
	case SMTP_MAIL:
		return on_mail(s, line, &args, out);
	case SMTP_RCPT:
		return on_rcpt(s, line, &args, out);
	case SMTP_BDAT:
		return on_bdat(s, &args, out);
	case SMTP_RSET:
		return on_rset(s, out);
	case SMTP_NOOP:
		return say(out, SMTP_OK);
	case SMTP_QUIT:
		say(out, SMTP_BYE);
		return PROTO_CLOSE;
	default:
		return fail(s, SMTP_INVALID, out);
	}
}

/* NUL and bare CR: an argument like any other control byte where there may be one. */
static enum proto_verdict
on_bad_line(struct smtp *s, const struct line *line, struct buf *out)
{
	struct line args;

	switch (smtp_command(line, &args)) {
	case SMTP_HELO:
	case SMTP_EHLO:
	case SMTP_MAIL:
	case SMTP_RCPT:
		return run_command(s, line, out);
	default:
		return fail(s, SMTP_INVALID, out);
	}
}

/* Of what is too long only the command's word is logged: the rest may be a password. */
static enum proto_verdict
too_long(struct smtp *s, const struct line *line, struct buf *out)
{
	struct line args;
	enum smtp_command command = s->sasl.method != 0 ? SMTP_UNKNOWN : smtp_command(line, &args);

	note_set(s->common.note, "client sent too long command \"%s...\"", smtp_command_word(command));
	say(out, s->sasl.method != 0 || command == SMTP_AUTH ? SMTP_LONG_AUTH : SMTP_INVALID);
	return PROTO_CLOSE;
}

static enum proto_verdict
smtp_input(struct client *client, struct buf *in, struct buf *out)
{
	struct smtp *s = (struct smtp *)client;
	size_t buffer = client->facts->server->protocols[PROTOCOL_SMTP].client_buffer;
	enum proto_verdict verdict;
	enum line_state state;
	struct line line;

	if (s->chunk.left > 0 && smtp_body_move(&s->chunk, in, NULL) != SMTP_BODY_END)
		return PROTO_MORE;
	state = line_next(in, buffer < in->limit ? buffer : in->limit, &line);
	if (state == LINE_MORE)
		return PROTO_MORE;
	if (state == LINE_LONG)
		return too_long(s, &line, out);
	if (s->sasl.method != 0)
		verdict = after_step(s, sasl_step(&s->sasl, line.text, line.len, client->facts, &client->credentials,
		    client->note), out);
	else if (state == LINE_BAD)
		verdict = on_bad_line(s, &line, out);
	else
		verdict = run_command(s, &line, out);
	buf_take(in, line.taken);
	return verdict;
}

static struct client *
smtp_new(const struct facts *facts)
{
	struct smtp *s = mem_alloc(sizeof(*s));

	s->common.proto = &proto_smtp;
	s->common.facts = facts;
	return &s->common;
}

static void
smtp_secured(struct client *client)
{
	struct smtp *s = (struct smtp *)client;

	mem_free(s->helo);
	mem_free(s->mail);
	s->helo = s->mail = NULL;
	s->said_helo = s->asked = false;
	sasl_reset(&s->sasl);
	s->chunk.left = 0;
	credentials_reset(&client->credentials);
}

static void
smtp_free(struct client **clientp)
{
	struct client *client = *clientp;

	if (client == NULL)
		return;
	*clientp = NULL;
	smtp_secured(client);
	mem_free(client);
}

static void
smtp_greet(struct client *client, struct buf *out)
{
	buf_printf(out, "220 %s ESMTP ready\r\n", client->facts->server->name);
}

static enum proto_verdict
smtp_refused(struct client *client, const struct refusal *why, struct buf *out)
{
	struct smtp *s = (struct smtp *)client;
	const char *challenge = sasl_refused(&s->sasl, why);

	if (challenge != NULL)
		return smtp_say_refusal(&s->sasl.refusal, why, false) == 0 ? ask(challenge, out) : PROTO_CLOSE;
	return smtp_say_refusal(out, why, s->asked) == 0 && !why->close ? PROTO_AGAIN : PROTO_CLOSE;
}

/* A recipient gets its backend's own answer, which may be a refusal: the gate goes on from there. */
static void
smtp_accepted(struct client *client, const struct buf *reply, struct buf *out)
{
	if (!((struct smtp *)client)->asked)
		say(out, SMTP_ACCEPTED);
	else if (reply->len == 0 || buf_add(out, buf_head(reply), reply->len) == -1)
		say(out, SMTP_INTERNAL);
}

static void
smtp_goodbye(enum goodbye why, const char *server_name, struct buf *out)
{
	static const struct {
		const char *code, *text;
		bool unnamed;           /* as nginx has it */
	} words[] = {
		[GOODBYE_TIMEOUT]  = { "421 4.4.2", "Disconnected for inactivity", false },
		[GOODBYE_SHUTDOWN] = { "421 4.3.2", "Server is shutting down", false },
		[GOODBYE_FAILED]   = { "421 4.3.0", "Internal server error", false },
		[GOODBYE_CERTIFICATE]    = { "421 4.7.1", "SSL certificate error", true },
		[GOODBYE_NO_CERTIFICATE] = { "421 4.7.1", "No required SSL certificate", true },
		[GOODBYE_CROWDED] = { "421 4.7.0", "Too many connections", true },
		[GOODBYE_DENIED] = { "554 5.7.1", "Access denied", true },
	};

	buf_printf(out, "%s %s%s%s\r\n", words[why].code, words[why].unnamed ? "" : server_name,
	    words[why].unnamed ? "" : " ", words[why].text);
}

const struct proto proto_smtp = {
	.name = "smtp",
	.default_port = 25,
	.default_ssl_port = 465,
	.client_new = smtp_new,
	.client_free = smtp_free,
	.greet = smtp_greet,
	.input = smtp_input,
	.refused = smtp_refused,
	.accepted = smtp_accepted,
	.secured = smtp_secured,
	.goodbye = smtp_goodbye,
	.login_new = smtp_login_new,
	.login_free = login_free,
	.login_input = smtp_login_input,
	.login_secured = smtp_login_secured,
};
