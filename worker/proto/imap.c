#include "worker/proto/imap.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "worker/proto/imap_id.h"
#include "worker/proto/imap_login.h"
#include "worker/proto/imap_parse.h"
#include "worker/proto/sasl.h"

#define ARGUMENTS 2
#define REFUSAL_TEXT_MAX 2048   /* bytes of a refusal's words that are passed on */

struct imap {
	struct client client;           /* first */
	char tag[IMAP_TAG_MAX + 1];     /* of the command at hand; "*" while none could be read */
	struct sasl sasl;               /* sasl.method is 0 between exchanges */
	size_t invited;                 /* imap_parse.invited of the command at hand */
	struct imap_id id;              /* what it has said of itself */
};

struct command {
	const char *name;
	/* The arguments; it may be called again when more has come. */
	enum imap_parse_state (*read)(struct imap *i, struct imap_parse *p, struct imap_text args[ARGUMENTS]);
	enum proto_verdict (*run)(struct imap *i, const struct imap_text args[ARGUMENTS], struct buf *out);
	bool secret;                    /* its arguments may be */
};

static const struct conf_protocol *
settings(const struct imap *i)
{
	return &i->client.facts->server->protocols[PROTOCOL_IMAP];
}

/* Answers the command at hand. There is room: PROTO_ROOM is more than a tag and any text given here. */
static void
answer(const struct imap *i, struct buf *out, const char *text)
{
	buf_printf(out, "%s %s\r\n", i->tag, text);
}

static enum proto_verdict
complete(const struct imap *i, struct buf *out)
{
	answer(i, out, "OK completed");
	return PROTO_AGAIN;
}

/* Answers a command that counts as an error. */
static enum proto_verdict
fail(struct imap *i, const char *text, struct buf *out)
{
	if (!client_count_error(&i->client))
		return PROTO_CLOSE;
	answer(i, out, text);
	return PROTO_AGAIN;
}

static enum proto_verdict
invalid(struct imap *i, struct buf *out)
{
	return fail(i, "BAD invalid command", out);
}

static enum imap_parse_state
read_nothing(struct imap *i, struct imap_parse *p, struct imap_text args[ARGUMENTS])
{
	(void)i;
	(void)args;
	return imap_parse_end(p) ? IMAP_PARSE_DONE : IMAP_PARSE_BAD;
}

static enum imap_parse_state
read_login(struct imap *i, struct imap_parse *p, struct imap_text args[ARGUMENTS])
{
	enum imap_parse_state state;

	for (unsigned at = 0; at < ARGUMENTS; at++) {
		if (!imap_parse_blanks(p))
			return IMAP_PARSE_BAD;
		if ((state = imap_parse_credential(p, &args[at])) != IMAP_PARSE_DONE)
			return state;
	}
	return read_nothing(i, p, args);
}

/* The mechanism and perhaps an initial response (RFC 4959): base64 or "=", atoms both. */
static enum imap_parse_state
read_authenticate(struct imap *i, struct imap_parse *p, struct imap_text args[ARGUMENTS])
{
	if (!imap_parse_blanks(p) || !imap_parse_atom(p, &args[0]))
		return IMAP_PARSE_BAD;
	if (imap_parse_blanks(p) && !imap_parse_end(p) && !imap_parse_atom(p, &args[1]))
		return IMAP_PARSE_BAD;
	return read_nothing(i, p, args);
}

/* What the client says of itself is kept for the backend; of several ID commands the last counts. */
static enum imap_parse_state
read_id(struct imap *i, struct imap_parse *p, struct imap_text args[ARGUMENTS])
{
	struct imap_text field, value;
	enum imap_parse_state state;
	bool is_list;

	imap_id_reset(&i->id);
	if (!imap_parse_blanks(p))
		return IMAP_PARSE_BAD;
	if ((state = imap_parse_id_open(p, &is_list)) != IMAP_PARSE_DONE || !is_list)
		return state == IMAP_PARSE_DONE ? read_nothing(i, p, args) : state;
	while ((state = imap_parse_id_next(p, &field, &value)) == IMAP_PARSE_DONE && field.at != NULL)
		imap_id_add(&i->id, &field, &value);
	if (state == IMAP_PARSE_DONE)
		state = read_nothing(i, p, args);
	if (state != IMAP_PARSE_DONE)
		imap_id_reset(&i->id);
	return state;
}

/* One capability or more: RFC 9051 section 6.3.1. */
static enum imap_parse_state
read_enable(struct imap *i, struct imap_parse *p, struct imap_text args[ARGUMENTS])
{
	size_t count = 0;

	for (; imap_parse_blanks(p) && !imap_parse_end(p); count++)
		if (!imap_parse_atom(p, &args[0]))
			return IMAP_PARSE_BAD;
	return count > 0 ? read_nothing(i, p, args) : IMAP_PARSE_BAD;
}

/* What is told when it is so, and is then behind the others, is not told because it is listed. */
static bool
is_ours(const char *word)
{
	static const char *const ours[] = { "SASL-IR", "STARTTLS", "LOGINDISABLED" };

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (strcasecmp(word, ours[i]) == 0)
			return true;
	return false;
}

/* No password is taken, now or ever: RFC 9051 section 6.2.3. */
static bool
refuses_login(const struct imap *i)
{
	return client_must_secure(&i->client) || (settings(i)->methods & METHODS_PASSWORD) == 0;
}

static enum proto_verdict
run_capability(struct imap *i, const struct imap_text args[ARGUMENTS], struct buf *out)
{
	int failed = buf_add_text(out, "* CAPABILITY");

	(void)args;
	for (const char **word = settings(i)->capabilities; word != NULL && *word != NULL; word++)
		if (!is_ours(*word))
			failed |= buf_printf(out, " %s", *word);
	failed |= sasl_list(out, client_offers(&i->client), " AUTH=", "") | buf_printf(out, " SASL-IR%s%s\r\n",
	    client_may_secure(&i->client) ? " STARTTLS" : "", refuses_login(i) ? " LOGINDISABLED" : "");
	if (failed == 0)
		return complete(i, out);
	note_set(i->client.note, "\"imap_capabilities\" do not fit into an answer");
	return PROTO_CLOSE;
}

static enum proto_verdict
run_noop(struct imap *i, const struct imap_text args[ARGUMENTS], struct buf *out)
{
	(void)args;
	return complete(i, out);
}

static enum proto_verdict
run_logout(struct imap *i, const struct imap_text args[ARGUMENTS], struct buf *out)
{
	(void)args;
	buf_add_text(out, "* BYE\r\n");
	complete(i, out);
	return PROTO_CLOSE;
}

static enum proto_verdict
run_id(struct imap *i, const struct imap_text args[ARGUMENTS], struct buf *out)
{
	(void)args;
	buf_add_text(out, "* ID NIL\r\n");
	return complete(i, out);
}

static enum proto_verdict
run_enable(struct imap *i, const struct imap_text args[ARGUMENTS], struct buf *out)
{
	(void)args;
	answer(i, out, "BAD ENABLE is possible only after login");
	return PROTO_AGAIN;
}

static enum proto_verdict
run_starttls(struct imap *i, const struct imap_text args[ARGUMENTS], struct buf *out)
{
	(void)args;
	if (!client_may_secure(&i->client))
		return invalid(i, out);
	complete(i, out);
	return PROTO_STARTTLS;
}

/* Keeps an argument as a credential, or leaves NULL and returns false. */
static bool
keep(char **to, const struct imap_text *text, size_t max_len, bool may_be_empty)
{
	size_t len;
	char *copy = imap_text_copy(text, &len);

	if (sasl_text_ok(copy, len, max_len, may_be_empty)) {
		*to = copy;
		return true;
	}
	mem_wipe(copy, len);
	mem_free(copy);
	return false;
}

static enum proto_verdict
run_login(struct imap *i, const struct imap_text args[ARGUMENTS], struct buf *out)
{
	struct credentials *c = &i->client.credentials;

	if (refuses_login(i))
		return invalid(i, out);
	credentials_reset(c);
	if (keep(&c->user, &args[0], PROTO_USER_MAX, false) && keep(&c->pass, &args[1], PROTO_PASS_MAX, true)) {
		c->method = METHOD_PLAIN;
		return PROTO_CREDENTIALS;
	}
	note_set(i->client.note, "client sent invalid %s in LOGIN command", c->user == NULL ? "login" : "password");
	credentials_reset(c);
	return fail(i, "BAD invalid credentials", out);
}

static enum proto_verdict
ask(const char *challenge, struct buf *out)
{
	return buf_printf(out, "+ %s\r\n", challenge) == 0 ? PROTO_AGAIN : PROTO_CLOSE;
}

/* What a step of the exchange came to. */
static enum proto_verdict
conclude(struct imap *i, enum sasl_verdict verdict, struct buf *out)
{
	char text[64];

	switch (verdict) {
	case SASL_CHALLENGE:
		return ask(i->sasl.challenge, out);
	case SASL_DONE:
		return PROTO_CREDENTIALS;
	case SASL_CANCELLED:
		answer(i, out, "BAD authentication cancelled");
		return PROTO_AGAIN;
	case SASL_REFUSED:
		return sasl_say_refusal(&i->sasl, out);
	case SASL_BAD:
		break;
	}
	snprintf(text, sizeof(text), "BAD %s", i->sasl.answer);
	return fail(i, text, out);
}

static enum proto_verdict
run_authenticate(struct imap *i, const struct imap_text args[ARGUMENTS], struct buf *out)
{
	struct client *client = &i->client;
	enum method method = sasl_mechanism(args[0].at, args[0].len, client_methods(client));

	if (method == 0)
		return invalid(i, out);
	if (client_lacks_certificate(client, method))
		return fail(i, "NO [AUTHENTICATIONFAILED] No valid client certificate.", out);
	return conclude(i, sasl_start(&i->sasl, method, args[1].at, args[1].len, client->facts, &client->credentials,
	    client->note), out);
}

static const struct command commands[] = {
	{ "CAPABILITY", read_nothing, run_capability, false },
	{ "NOOP", read_nothing, run_noop, false },
	{ "LOGOUT", read_nothing, run_logout, false },
	{ "STARTTLS", read_nothing, run_starttls, false },
	{ "LOGIN", read_login, run_login, true },
	{ "AUTHENTICATE", read_authenticate, run_authenticate, true },
	{ "ID", read_id, run_id, false },
	{ "ENABLE", read_enable, run_enable, false },
};

/* Reads tag and name. NULL for a command that there is not; the tag is "*" where there is none. */
static const struct command *
read_head(struct imap *i, struct imap_parse *p)
{
	struct imap_text tag, name;

	strcpy(i->tag, "*");
	if (!imap_parse_tag(p, &tag) || !imap_parse_blanks(p))
		return NULL;
	memcpy(i->tag, tag.at, tag.len);
	i->tag[tag.len] = '\0';
	if (!imap_parse_atom(p, &name))
		return NULL;
	for (size_t c = 0; c < sizeof(commands) / sizeof(commands[0]); c++)
		if (imap_text_is(&name, commands[c].name))
			return &commands[c];
	return NULL;
}

/* What a client sends unasked behind a "{n+}" that is refused is text, and must not be run as a command. */
static bool
text_follows(const struct line *line)
{
	struct imap_literal literal;

	return imap_parse_literal(line, &literal) && !literal.waits;
}

/* Shows only words that are known to be no secret. */
static enum proto_verdict
too_long(struct imap *i, const char *name, struct buf *out)
{
	bool is_auth = strcmp(name, "AUTHENTICATE") == 0;

	note_set(i->client.note, "client sent too long command \"%s %s...\"", i->tag, name);
	answer(i, out, is_auth ? "BAD authentication exchange line is too long" : "BAD invalid command");
	return PROTO_CLOSE;
}

/* The longest command, or line of an exchange, that is taken. */
static size_t
limit(const struct imap *i, const struct buf *in)
{
	return in->limit < settings(i)->client_buffer ? in->limit : settings(i)->client_buffer;
}

/* Nothing secret is to be told yet: the client is not even invited to go on with such a command. */
static bool
comes_too_early(const struct imap *i, const struct command *command)
{
	return command != NULL && command->secret && client_must_secure(&i->client);
}

/* Carries out a command that is there whole, or refuses the line that shows it to be none. */
static enum proto_verdict
carry_out(struct imap *i, const struct command *command, const struct imap_parse *p,
    const struct imap_text args[ARGUMENTS], struct buf *out)
{
	enum proto_verdict verdict;

	if (!client_count_command(&i->client))
		return PROTO_CLOSE;
	if (comes_too_early(i, command))
		verdict = fail(i, "NO [PRIVACYREQUIRED] Must issue a STARTTLS command first", out);
	else if (command != NULL)
		return command->run(i, args, out);
	else
		verdict = invalid(i, out);
	return text_follows(&p->line) ? PROTO_CLOSE : verdict;
}

static enum proto_verdict
on_command(struct imap *i, struct buf *in, struct buf *out)
{
	struct imap_parse p;
	struct imap_text args[ARGUMENTS] = { { .at = NULL } };
	enum imap_parse_state state = imap_parse_open(&p, in, limit(i, in), i->invited);
	const struct command *command;
	enum proto_verdict verdict;

	if (state == IMAP_PARSE_MORE)
		return PROTO_MORE;
	command = read_head(i, &p);
	if (state == IMAP_PARSE_DONE && command != NULL && !comes_too_early(i, command))
		state = command->read(i, &p, args);
	if (state == IMAP_PARSE_MORE)
		return PROTO_MORE;
	if (state == IMAP_PARSE_LONG)
		return too_long(i, command == NULL ? "" : command->name, out);
	if (state == IMAP_PARSE_INVITE) {
		i->invited = p.at;
		buf_add_text(out, "+ OK\r\n");
		return PROTO_AGAIN;
	}
	verdict = carry_out(i, state == IMAP_PARSE_BAD ? NULL : command, &p, args, out);
	i->invited = 0;
	buf_take(in, p.next);
	return verdict;
}

/* Within an exchange every line is a response; what a line cannot be, base64 cannot be either. */
static enum proto_verdict
on_response(struct imap *i, struct buf *in, struct buf *out)
{
	struct client *client = &i->client;
	struct line line;
	enum line_state state = line_next(in, limit(i, in), &line);
	enum proto_verdict verdict;

	if (state == LINE_MORE)
		return PROTO_MORE;
	if (state == LINE_LONG)
		return too_long(i, "AUTHENTICATE", out);
	verdict = conclude(i, sasl_step(&i->sasl, line.text, line.len, client->facts, &client->credentials,
	    client->note), out);
	if (text_follows(&line))
		verdict = PROTO_CLOSE;
	buf_take(in, line.taken);
	return verdict;
}

static struct client *
client_new(const struct facts *facts)
{
	struct imap *i = mem_alloc(sizeof(*i));

	i->client.proto = &proto_imap;
	i->client.facts = facts;
	strcpy(i->tag, "*");
	return &i->client;
}

static void
client_free(struct client **clientp)
{
	if (*clientp == NULL)
		return;
	credentials_reset(&(*clientp)->credentials);
	sasl_reset(&((struct imap *)*clientp)->sasl);
	imap_id_reset(&((struct imap *)*clientp)->id);
	mem_free(*clientp);
	*clientp = NULL;
}

static void
greet(struct client *client, struct buf *out)
{
	(void)client;
	buf_add_text(out, "* OK IMAP4 ready\r\n");
}

static enum proto_verdict
input(struct client *client, struct buf *in, struct buf *out)
{
	struct imap *i = (struct imap *)client;

	return i->sasl.method != 0 ? on_response(i, in, out) : on_command(i, in, out);
}

/* Refuses in others' words: one line of them and no control bytes. Those of a backend have the tag already. */
static void
refuse_with(const struct imap *i, const struct refusal *why, struct buf *out)
{
	const char *words = why->text;
	size_t len = strnlen(words, REFUSAL_TEXT_MAX);

	if (why->kind != REFUSAL_BACKEND)
		buf_printf(out, "%s NO ", i->tag);
	for (size_t n = 0; n < len && words[n] != '\r' && words[n] != '\n'; n++)
		if ((unsigned char)words[n] >= ' ' && words[n] != 0x7f)
			buf_add(out, &words[n], 1);
	buf_add_text(out, "\r\n");
}

static void
refuse(const struct imap *i, const struct refusal *why, struct buf *out)
{
	if (why->kind == REFUSAL_LIMITED)
		answer(i, out, "NO [LIMIT] Too many failed logins");
	else if (why->kind == REFUSAL_CROWDED)
		answer(i, out, "NO [UNAVAILABLE] Too many connections");
	else if (why->kind == REFUSAL_UNAVAILABLE || why->kind == REFUSAL_ELSEWHERE)
		answer(i, out, "NO [UNAVAILABLE] Temporary failure, try again later.");
	else if (why->kind != REFUSAL_WRONG && why->text != NULL && why->text[0] != '\0')
		refuse_with(i, why, out);
	else
		answer(i, out, "NO [AUTHENTICATIONFAILED] Authentication failed.");
}

static enum proto_verdict
refused(struct client *client, const struct refusal *why, struct buf *out)
{
	struct imap *i = (struct imap *)client;
	const char *challenge = sasl_refused(&i->sasl, why);

	credentials_reset(&client->credentials);
	if (challenge != NULL) {
		refuse(i, why, &i->sasl.refusal);
		return ask(challenge, out);
	}
	refuse(i, why, out);
	return why->close ? PROTO_CLOSE : PROTO_AGAIN;
}

static void
accepted(struct client *client, const struct buf *reply, struct buf *out)
{
	/* Should all that the backend said not fit, the client still learns that it is in. */
	if (reply->len == 0 || buf_add(out, buf_head(reply), reply->len) == -1)
		complete((struct imap *)client, out);
}

static void
secured(struct client *client)
{
	struct imap *i = (struct imap *)client;

	credentials_reset(&client->credentials);
	sasl_reset(&i->sasl);
	imap_id_reset(&i->id);
	i->invited = 0;
	strcpy(i->tag, "*");
}

static void
goodbye(enum goodbye why, const char *server_name, struct buf *out)
{
	static const char *const texts[] = {
		[GOODBYE_TIMEOUT] = "* BYE Idle for too long, closing connection\r\n",
		[GOODBYE_SHUTDOWN] = "* BYE [UNAVAILABLE] Server shutting down, try again\r\n",
		[GOODBYE_FAILED] = "* BYE [UNAVAILABLE] Internal server error, try again later\r\n",
		[GOODBYE_CERTIFICATE] = "* BYE SSL certificate error\r\n",
		[GOODBYE_NO_CERTIFICATE] = "* BYE No required SSL certificate\r\n",
		[GOODBYE_DENIED] = "* BYE Access denied\r\n",
		[GOODBYE_CROWDED] = "* BYE [UNAVAILABLE] Too many connections\r\n",
	};

	(void)server_name;
	buf_add_text(out, texts[why]);
}

const char *
imap_tag(const struct client *client)
{
	return ((const struct imap *)client)->tag;
}

const struct imap_id *
imap_id(const struct client *client)
{
	return &((const struct imap *)client)->id;
}

const struct proto proto_imap = {
	.name = "imap",
	.default_port = 143,
	.default_ssl_port = 993,
	.client_new = client_new,
	.client_free = client_free,
	.greet = greet,
	.input = input,
	.refused = refused,
	.accepted = accepted,
	.secured = secured,
	.goodbye = goodbye,
	.login_new = imap_login_new,
	.login_free = login_free,
	.login_input = imap_login_input,
	.login_secured = imap_login_secured,
};
