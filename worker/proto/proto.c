#include "worker/proto/proto.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base64.h"
#include "common/mem.h"
#include "worker/proto/line.h"

#define TELLING 4       /* characters of a password that are not shown, though they are not all of it */

void
credentials_reset(struct credentials *c)
{
	mem_free_secret(&c->user);
	mem_free_secret(&c->pass);
	mem_free_secret(&c->authz);
	mem_free_secret(&c->helo);
	mem_free_secret(&c->mail);
	mem_free_secret(&c->rcpt);
	c->method = 0;
	c->replaced = false;
}

void
login_free(struct login **loginp)
{
	struct login *login = *loginp;

	if (login == NULL)
		return;
	*loginp = NULL;
	buf_reset(&login->reply);
	mem_free(login);
}

bool
client_count_command(struct client *client)
{
	if (++client->commands <= client->facts->server->max_commands)
		return true;
	note_set(client->note, "client sent too many commands");
	return false;
}

bool
client_count_error(struct client *client)
{
	if (++client->errors <= client->facts->server->max_errors)
		return true;
	note_set(client->note, "client sent too many invalid commands");
	return false;
}

static const struct server *
server_of(const struct client *client)
{
	return client->facts->server;
}

bool
client_may_secure(const struct client *client)
{
	return server_of(client)->starttls != STARTTLS_OFF && !client->facts->secure;
}

bool
client_must_secure(const struct client *client)
{
	return server_of(client)->starttls == STARTTLS_ONLY && !client->facts->secure;
}

static bool
showed_certificate(const struct facts *facts)
{
	return facts->secure && facts->tls.verify != NULL && strcmp(facts->tls.verify, "SUCCESS") == 0;
}

unsigned
client_methods(const struct client *client)
{
	const struct server *server = server_of(client);
	unsigned methods = server->protocols[server->protocol].methods;

	return client->facts->salt[0] != '\0' ? methods : methods & ~(unsigned)(METHOD_APOP | METHOD_CRAM_MD5);
}

unsigned
client_offers(const struct client *client)
{
	unsigned methods = client_methods(client);

	if (client_must_secure(client))
		return 0;
	return showed_certificate(client->facts) ? methods : methods & ~(unsigned)METHOD_EXTERNAL;
}

bool
client_lacks_certificate(struct client *client, enum method method)
{
	if (method != METHOD_EXTERNAL || showed_certificate(client->facts))
		return false;
	note_set(client->note, "client has no valid certificate for AUTH EXTERNAL command");
	return true;
}

enum login_verdict
login_starttls(struct login *login, const struct buf *in)
{
	if (in->len == 0)
		return LOGIN_STARTTLS;
	note_set(login->note, "upstream sent data behind its STARTTLS reply");
	return LOGIN_BROKEN;
}

void
note_set(char note[PROTO_NOTE], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(note, PROTO_NOTE, format, args);
	va_end(args);
}

/*
 * Does `line` begin with `text`, as it is or with `\` before some of its characters? One
 * that ends within it may have been cut there; a few characters may be chance.
 */
static bool
repeats(const char *line, size_t len, const char *text)
{
	size_t seen = 0;

	for (; len > 0 && text[seen] != '\0'; line++, len--) {
		if (*line == text[seen])
			seen++;
		else if (*line != '\\')
			return false;
	}
	return text[seen] == '\0' || seen >= TELLING;
}

static bool
holds(const char *line, size_t len, const char *text)
{
	for (size_t at = 0; at < len; at++)
		if (repeats(line + at, len - at, text))
			return true;
	return false;
}

/* Does this much of base64 stand for something that holds `text`? */
static bool
encodes(const char *base64, size_t len, const char *text)
{
	char *bytes = mem_alloc(BASE64_DECODED(len));
	ssize_t count = base64_decode(bytes, base64, len - len % 4);
	bool found = count > 0 && holds(bytes, (size_t)count, text);

	mem_wipe(bytes, BASE64_DECODED(len));
	mem_free(bytes);
	return found;
}

/* How much of `text` is of letters, digits, "+" and "/", and the padding behind them? */
static size_t
base64_run(const char *text, size_t len)
{
	size_t run = 0;

	while (run < len && (isalnum((unsigned char)text[run]) || text[run] == '+' || text[run] == '/'))
		run++;
	while (run > 0 && run < len && text[run] == '=')
		run++;
	return run;
}

/*
 * Some backends repeat a command that they did not understand, and the password in it,
 * as it is or as AUTH has it.
 */
bool
login_repeats_password(const struct login *login, const char *line, size_t len)
{
	const char *pass = login->task->means.pass;

	if (pass == NULL || *pass == '\0')
		return false;
	if (holds(line, len, pass))
		return true;
	for (size_t at = 0, run; at < len; at += run > 0 ? run : 1) {
		run = base64_run(line + at, len - at);
		/* Its beginning may have been cut off, or be something else's end. */
		for (size_t skip = 0; skip < 4 && run >= skip + 4; skip++)
			if (encodes(line + at + skip, run - skip, pass))
				return true;
	}
	return false;
}

const char *
login_excerpt(const struct login *login, char *out, size_t size, const char *line, size_t len)
{
	if (login_repeats_password(login, line, len))
		return "not shown: it holds the password";
	return log_text(out, size, line, len);
}

const char *
login_line_fault(enum line_state state)
{
	return state == LINE_LONG ? "too long response line" : "invalid response";
}

void
note_upstream(struct login *login, const char *event, const char *line, size_t len)
{
	char excerpt[PROTO_NOTE - 64];

	note_set(login->note, "upstream sent %s: \"%s\"", event,
	    login_excerpt(login, excerpt, sizeof(excerpt), line, len));
}

void
note_no_starttls(struct login *login, const char *line, size_t len)
{
	char excerpt[PROTO_NOTE - 64];

	note_set(login->note, "upstream refused STARTTLS: \"%s\"",
	    login_excerpt(login, excerpt, sizeof(excerpt), line, len));
}
