#include "worker/auth/http_answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "common/base64.h"
#include "common/mem.h"
#include "common/num.h"
#include "worker/proto/quote.h"

#define WAIT_MAX_S 600          /* longer ones are shortened */
#define TEXT_MAX 480            /* bytes of an error text: an SMTP reply line has 512 */
#define CHALLENGE_MAX 2048      /* bytes of an error challenge, in base64 */
#define HOST_MAX 253            /* RFC 1035 section 2.3.4 */

static const char *const names[ANSWER_FIELDS] = {
	[ANSWER_STATUS] = "Auth-Status",
	[ANSWER_SERVER] = "Auth-Server",
	[ANSWER_PORT]   = "Auth-Port",
	[ANSWER_USER]   = "Auth-User",
	[ANSWER_PASS]   = "Auth-Pass",
	[ANSWER_WAIT]   = "Auth-Wait",
	[ANSWER_CODE]   = "Auth-Error-Code",
	[ANSWER_SSL]    = "Auth-SSL",
	[ANSWER_SSL_NAME] = "Auth-SSL-Name",
	[ANSWER_CHALLENGE] = "Auth-Error-SASL",
	[ANSWER_UNKNOWN] = "Auth-Unknown-User",
};

void
http_answer_header(struct http_answer *answer, const char *name, const char *value)
{
	for (int i = 0; i < ANSWER_FIELDS; i++) {
		if (strcasecmp(name, names[i]) != 0)
			continue;
		if (answer->fields[i] != NULL)
			answer->doubled = names[i];
		else
			answer->fields[i] = mem_strdup(value);
	}
}

/* The first of several counts. */
void
http_answer_keep(struct http_answer *answer, const char **wanted, const char *name, const char *value)
{
	for (; wanted != NULL && *wanted != NULL; wanted++) {
		const struct auth_answer so_far = { .headers = answer->kept };
		char *before, *more;

		if (!conf_is_header(*wanted, name))
			continue;
		if ((before = auth_answer_header(&so_far, *wanted)) == NULL) {
			more = mem_printf("%s%s=%s\n", answer->kept != NULL ? answer->kept : "", *wanted, value);
			mem_free_secret(&answer->kept);
			answer->kept = more;
		}
		mem_free_secret(&before);
	}
}

void
http_answer_reset(struct http_answer *answer)
{
	for (int i = 0; i < ANSWER_FIELDS; i++)
		mem_free_secret(&answer->fields[i]);
	mem_free_secret(&answer->kept);
	answer->doubled = NULL;
}

static enum http_answer_verdict __attribute__((format(printf, 2, 3)))
bad(char why[HTTP_ANSWER_WHY], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, HTTP_ANSWER_WHY, format, args);
	va_end(args);
	return ANSWER_BAD;
}

static enum http_answer_verdict
bad_value(char why[HTTP_ANSWER_WHY], const char *what, const char *value)
{
	char text[HTTP_ANSWER_WHY / 2];

	return bad(why, "sent invalid server %s:\"%s\"", what, log_text(text, sizeof(text), value, strlen(value)));
}

static bool
is_given(const char *field)
{
	return field != NULL && *field != '\0';
}

/* Letters, digits, "-", "_" in labels; not only digits and dots, which would be a broken address. */
static bool
is_host_name(const char *text)
{
	static const char inside[] = "-_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	size_t len = strlen(text);

	if (len > HOST_MAX || strspn(text, "0123456789.") == len)
		return false;
	for (size_t label; *text != '\0'; text += label) {
		if ((label = strspn(text, inside)) == 0 || label > 63)
			return false;
		if (text[label] == '.')
			label++;
		else if (text[label] != '\0')
			return false;
	}
	return true;
}

/* "192.0.2.1", "2001:db8::1", "[2001:db8::1]", "mail.example.com" or "unix:/path". Returns 0, or -1. */
static int
read_server(const char *text, struct auth_answer *out)
{
	const size_t path_max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
	size_t len = strlen(text);
	struct addr addr;

	if (strncmp(text, "unix:", 5) == 0) {
		out->is_unix = true;
		out->host = mem_strdup(text + 5);
		return text[5] == '/' && len - 5 <= path_max ? 0 : -1;
	}
	if (text[0] == '[' && text[len - 1] == ']') {
		out->host = mem_strndup(text + 1, len - 2);
		return addr_parse(&addr, out->host, len - 2) == 0 && strchr(out->host, ':') != NULL ? 0 : -1;
	}
	out->host = mem_strdup(text);
	return addr_parse(&addr, text, len) == 0 || is_host_name(text) ? 0 : -1;
}

/* Where to. Without any word about it, the server's proxy_pass is meant. */
static enum http_answer_verdict
judge_backend(const struct http_answer *answer, const struct server *server, struct auth_answer *out, char *why)
{
	const char *host = answer->fields[ANSWER_SERVER], *port = answer->fields[ANSWER_PORT];

	if (host == NULL && port == NULL && server->proxy_pass != NULL)
		return ANSWER_FINAL;
	if (!is_given(host))
		return bad(why, "did not send server or port");
	if (read_server(host, out) == -1)
		return bad_value(why, "address", host);
	if (out->is_unix)
		return ANSWER_FINAL;
	if (!is_given(port))
		return bad(why, "did not send server or port");
	if (num_parse(port, 65535, &out->port) == -1 || out->port == 0)
		return bad_value(why, "port", port);
	return ANSWER_FINAL;
}

/*
 * The client's own secret was a digest of one challenge, or none at all: no backend takes that. Or
 * is there another way in?
 */
static bool
needs_password(const struct auth_question *question)
{
	const struct server *server = question->server;
	unsigned digests = METHOD_APOP | METHOD_CRAM_MD5 | METHOD_EXTERNAL;

	if ((question->credentials->method & digests) == 0 || server->master_user != NULL)
		return false;
	if (server->proxy_auth == PROXY_AUTH_EXTERNAL || server->proxy_auth == PROXY_AUTH_NONE)
		return false;
	return server->protocol != PROTOCOL_SMTP || server->proxy_smtp_auth;
}

/* TLS towards that backend; without a word about it, as configured. */
static enum http_answer_verdict
judge_ssl(const struct http_answer *answer, struct auth_answer *out, char *why)
{
	static const char *const words[] = {
		[AUTH_SSL_OFF] = "off", [AUTH_SSL_ON] = "on", [AUTH_SSL_STARTTLS] = "starttls",
	};
	const char *ssl = answer->fields[ANSWER_SSL], *name = answer->fields[ANSWER_SSL_NAME];
	struct addr addr;

	for (int i = AUTH_SSL_OFF; ssl != NULL && i <= AUTH_SSL_STARTTLS; i++)
		if (strcmp(ssl, words[i]) == 0)
			out->ssl = (enum auth_ssl)i;
	if (ssl != NULL && out->ssl == AUTH_SSL_UNSAID)
		return bad(why, "sent invalid header in response: Auth-SSL");
	if (name != NULL && !is_host_name(name) && addr_parse(&addr, name, strlen(name)) == -1)
		return bad(why, "sent invalid header in response: Auth-SSL-Name");
	out->ssl_name = mem_strdup(name);
	return ANSWER_FINAL;
}

/* Only the source can tell whose certificate or token that is. */
static bool
needs_user(const struct auth_question *question)
{
	const struct credentials *credentials = question->credentials;

	return credentials->method != METHOD_NONE && !is_given(credentials->user);
}

/* The name of a header that only a refusal can have. */
static const char *
refusal_header(const struct http_answer *answer)
{
	static const enum http_answer_field fields[] = { ANSWER_CODE, ANSWER_CHALLENGE, ANSWER_UNKNOWN };

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (answer->fields[fields[i]] != NULL)
			return names[fields[i]];
	return NULL;
}

static enum http_answer_verdict
judge_ok(const struct http_answer *answer, const struct auth_question *question, struct auth_answer *out, char *why)
{
	const char *user = answer->fields[ANSWER_USER], *pass = answer->fields[ANSWER_PASS], *refusal;

	if ((refusal = refusal_header(answer)) != NULL)
		return bad(why, "sent invalid header in response: %s with OK", refusal);
	if (!is_given(user) && needs_user(question))
		return bad(why, "did not send user");
	if (!is_given(pass) && needs_password(question))
		return bad(why, "did not send password");
	if (user != NULL && (*user == '\0' || strlen(user) > PROTO_USER_MAX))
		return bad(why, "sent invalid header in response: Auth-User");
	if (pass != NULL && (*pass == '\0' || strlen(pass) > PROTO_PASS_MAX))
		return bad(why, "sent invalid header in response: Auth-Pass");
	out->outcome = AUTH_ACCEPTED;
	out->user = mem_strdup(user);
	out->pass = mem_strdup(pass);
	out->headers = mem_strdup(answer->kept);
	if (judge_ssl(answer, out, why) == ANSWER_BAD)
		return ANSWER_BAD;
	return judge_backend(answer, question->server, out, why);
}

/* "535" or "535 5.7.0", of the classes that say no. */
static bool
is_error_code(const char *code)
{
	static const char digits[] = "0123456789";
	size_t len;

	if ((code[0] != '4' && code[0] != '5') || strspn(code, digits) != 3)
		return false;
	if (code[3] == '\0')
		return true;
	if (code[3] != ' ' || code[4] != code[0] || code[5] != '.')
		return false;
	len = strspn(code + 6, digits);
	if (len == 0 || len > 3 || code[6 + len] != '.')
		return false;
	code += 6 + len + 1;
	len = strspn(code, digits);
	return len > 0 && len <= 3 && code[len] == '\0';
}

/* The parser has let no control byte through; what is left is the length, at the end of a character. */
static char *
error_text(const char *status)
{
	size_t len = strlen(status);

	if (len > TEXT_MAX)
		for (len = TEXT_MAX; len > 0 && ((unsigned char)status[len] & 0xc0) == 0x80; len--)
			continue;
	return mem_strndup(status, len);
}

/* Some servers repeat what they were asked, as it was sent or decoded. */
static bool
repeats(const char *text, const char *pass)
{
	struct buf sent;
	bool found = true;

	if (!is_given(pass))
		return false;
	buf_init(&sent, 3 * strlen(pass) + 1);
	if (quote_percent(&sent, pass) == 0 && buf_add(&sent, "", 1) == 0)
		found = strstr(text, pass) != NULL || strstr(text, buf_head(&sent)) != NULL;
	buf_reset(&sent);
	return found;
}

/* What the log may hold of the text. */
static const char *
loggable(const char *text, const char *pass)
{
	return repeats(text, pass) ? "not shown: it holds the password" : text;
}

/* Of RFC 7628 section 3.2.2: it goes to the client as it is, on a line of its own. */
static bool
is_challenge(const char *text)
{
	char decoded[BASE64_DECODED(CHALLENGE_MAX)];
	size_t len = strlen(text);

	return len > 0 && len <= CHALLENGE_MAX && base64_decode(decoded, text, len) != -1;
}

/* The rest of a refusal. What is wrong here does not make it less of one, nor lets the next source be asked. */
static void
read_details(const struct http_answer *answer, struct auth_answer *out, char *why)
{
	const char *code = answer->fields[ANSWER_CODE], *challenge = answer->fields[ANSWER_CHALLENGE];
	const char *unknown = answer->fields[ANSWER_UNKNOWN];

	if (code != NULL && is_error_code(code))
		out->code = mem_strdup(code);
	else if (code != NULL)
		bad(why, "sent invalid header in response: Auth-Error-Code");
	if (challenge != NULL && is_challenge(challenge))
		out->challenge = mem_strdup(challenge);
	else if (challenge != NULL)
		bad(why, "sent invalid header in response: Auth-Error-SASL");
	if (unknown != NULL && strcmp(unknown, "on") == 0)
		out->outcome = AUTH_UNKNOWN;
	else if (unknown != NULL && strcmp(unknown, "off") != 0)
		bad(why, "sent invalid header in response: Auth-Unknown-User");
}

static enum http_answer_verdict
judge_refusal(const struct http_answer *answer, const struct auth_question *question, struct auth_answer *out,
    char *why)
{
	out->outcome = AUTH_REFUSED;
	out->text = error_text(answer->fields[ANSWER_STATUS]);
	out->reason = mem_strdup(loggable(out->text, question->credentials->pass));
	out->close = out->wait_ms == 0;
	read_details(answer, out, why);
	return ANSWER_FINAL;
}

/* Seconds; none is 0. Returns 0, or -1. */
static int
read_wait(const char *text, uint64_t *wait_ms)
{
	uint64_t seconds = 0;

	if (text == NULL)
		return 0;
	if (*text == '\0' || text[strspn(text, "0123456789")] != '\0')
		return -1;
	if (num_parse_len(text, strlen(text), WAIT_MAX_S, &seconds) == -1)
		seconds = WAIT_MAX_S;
	*wait_ms = seconds * 1000;
	return 0;
}

enum http_answer_verdict
http_answer_judge(const struct http_answer *answer, unsigned http_status, const struct auth_question *question,
    struct auth_answer *out, char why[HTTP_ANSWER_WHY])
{
	const char *status = answer->fields[ANSWER_STATUS];

	*out = (struct auth_answer){ .outcome = AUTH_UNAVAILABLE };
	*why = '\0';
	if (http_status < 200 || http_status > 299)
		return bad(why, "sent invalid response: status %u", http_status);
	if (answer->doubled != NULL)
		return bad(why, "sent invalid header in response: %s twice", answer->doubled);
	if (!is_given(status))
		return bad(why, "sent invalid response: no Auth-Status");
	if (read_wait(answer->fields[ANSWER_WAIT], &out->wait_ms) == -1)
		return bad(why, "sent invalid header in response: Auth-Wait");
	if (strcmp(status, "OK") == 0)
		return judge_ok(answer, question, out, why);
	if (strcmp(status, "WAIT") == 0)
		return ANSWER_AGAIN;
	return judge_refusal(answer, question, out, why);
}
