#include "worker/proto/pop3.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "worker/proto/line.h"
#include "worker/proto/pop3_login.h"
#include "worker/proto/sasl.h"

#define DIGEST 32                       /* hexadecimal digits of an MD5 */
#define TEXT_MAX (PROTO_ROOM / 2)       /* bytes of a source's words that are passed on */

struct pop3 {
	struct client common;           /* first */
	struct sasl sasl;               /* .method is 0 outside an exchange */
	char *user;                     /* owned; what USER said, NULL: nothing */
};

static enum proto_verdict
say(struct buf *out, const char *text)
{
	return buf_printf(out, "%s\r\n", text) == 0 ? PROTO_AGAIN : PROTO_CLOSE;
}

/* Back to where anything may come. */
static void
forget(struct pop3 *p)
{
	sasl_reset(&p->sasl);
	mem_free_secret(&p->user);
}

static enum proto_verdict
fail(struct pop3 *p, const char *answer, struct buf *out)
{
	forget(p);
	credentials_reset(&p->common.credentials);
	if (!client_count_error(&p->common))
		return PROTO_CLOSE;
	return say(out, answer);
}

static enum proto_verdict
invalid(struct pop3 *p, struct buf *out)
{
	return fail(p, "-ERR invalid command", out);
}

/* Listing plain allows LOGIN and USER with PASS, too. */
static unsigned
with_login(unsigned listed)
{
	return listed & (METHOD_PLAIN | METHOD_LOGIN) ? listed | METHOD_PLAIN | METHOD_LOGIN : listed;
}

static unsigned
methods(const struct pop3 *p)
{
	return with_login(client_methods(&p->common));
}

static unsigned
offers(const struct pop3 *p)
{
	return with_login(client_offers(&p->common));
}

static enum proto_verdict
on_user(struct pop3 *p, const struct line *args, struct buf *out)
{
	if ((methods(p) & METHOD_PLAIN) == 0 || !sasl_text_ok(args->text, args->len, PROTO_USER_MAX, false))
		return invalid(p, out);
	mem_free_secret(&p->user);
	p->user = mem_strndup(args->text, args->len);
	return say(out, "+OK");
}

static enum proto_verdict
on_pass(struct pop3 *p, const struct line *args, struct buf *out)
{
	struct credentials *c = &p->common.credentials;

	if (p->user == NULL || !sasl_text_ok(args->text, args->len, PROTO_PASS_MAX, false))
		return invalid(p, out);
	credentials_reset(c);
	c->method = METHOD_PLAIN;
	c->user = p->user;
	c->pass = mem_strndup(args->text, args->len);
	p->user = NULL;
	return PROTO_CREDENTIALS;
}

static bool
is_digest(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isxdigit((unsigned char)text[i]))
			return false;
	return len == DIGEST;
}

/* The user name may hold blanks: the digest stands behind the last one. */
static enum proto_verdict
on_apop(struct pop3 *p, const struct line *args, struct buf *out)
{
	const char *blank = args->len == 0 ? NULL : memrchr(args->text, ' ', args->len);
	size_t user_len = blank == NULL ? 0 : (size_t)(blank - args->text);
	struct credentials *c = &p->common.credentials;

	if ((methods(p) & METHOD_APOP) == 0 || blank == NULL || !is_digest(blank + 1, args->len - user_len - 1) ||
	    !sasl_text_ok(args->text, user_len, PROTO_USER_MAX, false))
		return invalid(p, out);
	forget(p);
	credentials_reset(c);
	c->method = METHOD_APOP;
	c->user = mem_strndup(args->text, user_len);
	c->pass = mem_strndup(blank + 1, DIGEST);
	return PROTO_CREDENTIALS;
}

static enum proto_verdict
ask(const char *challenge, struct buf *out)
{
	return buf_printf(out, "+ %s\r\n", challenge) == 0 ? PROTO_AGAIN : PROTO_CLOSE;
}

static enum proto_verdict
after_step(struct pop3 *p, enum sasl_verdict verdict, struct buf *out)
{
	char answer[64];

	switch (verdict) {
	case SASL_CHALLENGE:
		return ask(p->sasl.challenge, out);
	case SASL_DONE:
		return PROTO_CREDENTIALS;
	case SASL_CANCELLED:
		return say(out, "-ERR authentication cancelled");
	case SASL_REFUSED:
		return sasl_say_refusal(&p->sasl, out);
	case SASL_BAD:
		break;
	}
	snprintf(answer, sizeof(answer), "-ERR %s", p->sasl.answer);
	return fail(p, answer, out);
}

/* AUTH [mechanism [initial response]] */
static enum proto_verdict
on_auth(struct pop3 *p, const struct line *args, struct buf *out)
{
	const char *blank = args->len == 0 ? NULL : memchr(args->text, ' ', args->len);
	size_t name_len = blank == NULL ? args->len : (size_t)(blank - args->text);
	size_t initial_len = blank == NULL ? 0 : args->len - name_len - 1;
	enum method method = sasl_mechanism(args->text, name_len, methods(p));

	if (args->len == 0)
		return buf_add_text(out, "+OK methods supported:\r\n") | sasl_list(out, offers(p), "", "\r\n") |
		    buf_add_text(out, ".\r\n") ? PROTO_CLOSE : PROTO_AGAIN;
	if (method == 0)
		return invalid(p, out);
	if (client_lacks_certificate(&p->common, method))
		return fail(p, "-ERR [AUTH] No valid client certificate", out);
	forget(p);
	return after_step(p, sasl_start(&p->sasl, method, initial_len == 0 ? NULL : blank + 1, initial_len,
	    p->common.facts, &p->common.credentials, p->common.note), out);
}

static bool
is_listed(const char *const *capabilities, const char *word)
{
	for (; *capabilities != NULL; capabilities++)
		if (strcasecmp(*capabilities, word) == 0)
			return true;
	return false;
}

/* USER would be refused where no password may be told, and STLS is ours to say: neither is told of for being listed. */
static bool
may_be_told(const struct pop3 *p, const char *word)
{
	return strcasecmp(word, "STLS") != 0 && ((offers(p) & METHOD_PLAIN) != 0 || strcasecmp(word, "USER") != 0);
}

/* The codes that we use are always told of (RFC 3206). */
static enum proto_verdict
on_capa(struct pop3 *p, const struct line *args, struct buf *out)
{
	static const char *const ours[] = { "RESP-CODES", "AUTH-RESP-CODE" };
	const char *const *listed = p->common.facts->server->protocols[PROTOCOL_POP3].capabilities;
	bool sasl = (offers(p) & SASL_METHODS) != 0;
	int failed = buf_add_text(out, "+OK Capability list follows\r\n");

	(void)args;
	for (size_t i = 0; listed[i] != NULL; i++)
		if (may_be_told(p, listed[i]))
			failed |= buf_printf(out, "%s\r\n", listed[i]);
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (!is_listed(listed, ours[i]))
			failed |= buf_printf(out, "%s\r\n", ours[i]);
	if (sasl)
		failed |= buf_add_text(out, "SASL") | sasl_list(out, offers(p), " ", "") | buf_add_text(out, "\r\n");
	if (client_may_secure(&p->common))
		failed |= buf_add_text(out, "STLS\r\n");
	return failed | buf_add_text(out, ".\r\n") ? PROTO_CLOSE : PROTO_AGAIN;
}

static enum proto_verdict
on_stls(struct pop3 *p, const struct line *args, struct buf *out)
{
	if (args->len > 0 || !client_may_secure(&p->common))
		return invalid(p, out);
	return say(out, "+OK") == PROTO_AGAIN ? PROTO_STARTTLS : PROTO_CLOSE;
}

static enum proto_verdict
on_noop(struct pop3 *p, const struct line *args, struct buf *out)
{
	(void)p;
	(void)args;
	return say(out, "+OK");
}

static enum proto_verdict
on_quit(struct pop3 *p, const struct line *args, struct buf *out)
{
	(void)p;
	(void)args;
	say(out, "+OK");
	return PROTO_CLOSE;
}

static const struct command {
	const char *word;
	enum proto_verdict (*run)(struct pop3 *p, const struct line *args, struct buf *out);
	bool is_login;
} commands[] = {
	{ "USER", on_user, true },
	{ "PASS", on_pass, true },
	{ "APOP", on_apop, true },
	{ "AUTH", on_auth, true },
	{ "STLS", on_stls, false },
	{ "CAPA", on_capa, false },
	{ "NOOP", on_noop, false },
	{ "QUIT", on_quit, false },
};

static const struct command *
find(const struct line *line)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (line_begins(line, commands[i].word))
			return &commands[i];
	return NULL;
}

/* What follows a command's word and one blank: USER and PASS may begin with more of them. */
static enum proto_verdict
run_command(struct pop3 *p, const struct line *line, struct buf *out)
{
	const struct command *command = find(line);
	struct line args = *line;
	size_t skip;

	if (!client_count_command(&p->common))
		return PROTO_CLOSE;
	if (command == NULL)
		return invalid(p, out);
	if (command->is_login && client_must_secure(&p->common))
		return fail(p, "-ERR Must issue a STLS command first", out);
	skip = strlen(command->word);
	skip += line->len > skip;
	args.text += skip;
	args.len -= skip;
	return command->run(p, &args, out);
}

/* Of what is too long only the command's word is logged: the rest may be a password. */
static enum proto_verdict
too_long(struct pop3 *p, const struct line *line, struct buf *out)
{
	const struct command *command = p->sasl.method == 0 ? find(line) : NULL;
	bool is_auth = p->sasl.method != 0 || (command != NULL && command->run == on_auth);

	note_set(p->common.note, "client sent too long command \"%s...\"", command == NULL ? "" : command->word);
	say(out, is_auth ? "-ERR authentication exchange line is too long" : "-ERR invalid command");
	return PROTO_CLOSE;
}

static enum proto_verdict
pop3_input(struct client *client, struct buf *in, struct buf *out)
{
	struct pop3 *p = (struct pop3 *)client;
	size_t buffer = client->facts->server->protocols[PROTOCOL_POP3].client_buffer;
	enum proto_verdict verdict;
	struct line line;
	enum line_state state = line_next(in, buffer < in->limit ? buffer : in->limit, &line);

	if (state == LINE_MORE)
		return PROTO_MORE;
	if (state == LINE_LONG)
		return too_long(p, &line, out);
	if (p->sasl.method != 0)
		verdict = after_step(p, sasl_step(&p->sasl, line.text, line.len, client->facts, &client->credentials,
		    client->note), out);
	else if (state == LINE_BAD)
		verdict = invalid(p, out);
	else
		verdict = run_command(p, &line, out);
	buf_take(in, line.taken);
	return verdict;
}

static struct client *
pop3_new(const struct facts *facts)
{
	struct pop3 *p = mem_alloc(sizeof(*p));

	p->common.proto = &proto_pop3;
	p->common.facts = facts;
	return &p->common;
}

static void
pop3_free(struct client **clientp)
{
	struct pop3 *p = (struct pop3 *)*clientp;

	if (p == NULL)
		return;
	*clientp = NULL;
	forget(p);
	credentials_reset(&p->common.credentials);
	mem_free(p);
}

static void
pop3_greet(struct client *client, struct buf *out)
{
	const char *salt = methods((struct pop3 *)client) & (METHOD_APOP | METHOD_CRAM_MD5) ? client->facts->salt : "";

	buf_printf(out, "+OK POP3 ready%s%s\r\n", *salt == '\0' ? "" : " ", salt);
}

static int
refuse(const struct refusal *why, struct buf *out)
{
	static const struct {
		const char *before, *usual;
	} words[] = {
		[REFUSAL_SOURCE]      = { "-ERR ", "Authentication failed" },
		[REFUSAL_WRONG]       = { "-ERR [AUTH] ", "Authentication failed" },
		[REFUSAL_BACKEND]     = { "", "-ERR [AUTH] Authentication failed" },
		[REFUSAL_UNAVAILABLE] = { "-ERR [SYS/TEMP] ", "Temporary failure, try again later" },
		[REFUSAL_LIMITED]     = { "-ERR [SYS/TEMP] ", "Too many failed logins" },
		[REFUSAL_CROWDED]     = { "-ERR [SYS/TEMP] ", "Too many connections" },
		[REFUSAL_ELSEWHERE]   = { "-ERR [SYS/TEMP] ", "Temporary failure, try again later" },
	};
	bool told = why->text != NULL && *why->text != '\0';

	return buf_printf(out, "%s%.*s\r\n", words[why->kind].before, TEXT_MAX,
	    told ? why->text : words[why->kind].usual);
}

static enum proto_verdict
pop3_refused(struct client *client, const struct refusal *why, struct buf *out)
{
	struct pop3 *p = (struct pop3 *)client;
	const char *challenge = sasl_refused(&p->sasl, why);

	if (challenge != NULL)
		return refuse(why, &p->sasl.refusal) == 0 ? ask(challenge, out) : PROTO_CLOSE;
	return refuse(why, out) == 0 && !why->close ? PROTO_AGAIN : PROTO_CLOSE;
}

static void
pop3_accepted(struct client *client, const struct buf *reply, struct buf *out)
{
	(void)client;
	if (reply->len == 0 || buf_add(out, buf_head(reply), reply->len) == -1)
		say(out, "+OK");
}

static void
pop3_secured(struct client *client)
{
	forget((struct pop3 *)client);
	credentials_reset(&client->credentials);
}

static void
pop3_goodbye(enum goodbye why, const char *server_name, struct buf *out)
{
	static const char *const words[] = {
		[GOODBYE_TIMEOUT]  = "-ERR [SYS/TEMP] Disconnected for inactivity",
		[GOODBYE_SHUTDOWN] = "-ERR [SYS/TEMP] Server is shutting down",
		[GOODBYE_FAILED]   = "-ERR [SYS/TEMP] Internal server error",
		[GOODBYE_CERTIFICATE] = "-ERR SSL certificate error",
		[GOODBYE_NO_CERTIFICATE] = "-ERR No required SSL certificate",
		[GOODBYE_DENIED]   = "-ERR Access denied",
		[GOODBYE_CROWDED]  = "-ERR [SYS/TEMP] Too many connections",
	};

	(void)server_name;
	say(out, words[why]);
}

const struct proto proto_pop3 = {
	.name = "pop3",
	.default_port = 110,
	.default_ssl_port = 995,
	.client_new = pop3_new,
	.client_free = pop3_free,
	.greet = pop3_greet,
	.input = pop3_input,
	.refused = pop3_refused,
	.accepted = pop3_accepted,
	.secured = pop3_secured,
	.goodbye = pop3_goodbye,
	.login_new = pop3_login_new,
	.login_free = login_free,
	.login_input = pop3_login_input,
	.login_secured = pop3_login_secured,
};
