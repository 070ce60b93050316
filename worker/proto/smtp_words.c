#include "worker/proto/smtp_words.h"

#include <string.h>
#include <strings.h>

#include "common/num.h"
#include "worker/proto/sasl.h"

#define TEXT_MAX (PROTO_ROOM / 2)

static const char *const words[] = {
	[SMTP_UNKNOWN]  = "",
	[SMTP_HELO]     = "HELO",
	[SMTP_EHLO]     = "EHLO",
	[SMTP_AUTH]     = "AUTH",
	[SMTP_STARTTLS] = "STARTTLS",
	[SMTP_MAIL]     = "MAIL",
	[SMTP_RCPT]     = "RCPT",
	[SMTP_DATA]     = "DATA",
	[SMTP_BDAT]     = "BDAT",
	[SMTP_RSET]     = "RSET",
	[SMTP_NOOP]     = "NOOP",
	[SMTP_QUIT]     = "QUIT",
};

enum smtp_command
smtp_command(const struct line *line, struct line *args)
{
	unsigned command = SMTP_QUIT;

	while (command != SMTP_UNKNOWN && !line_begins(line, words[command]))
		command--;
	*args = *line;
	args->text += strlen(words[command]);
	args->len -= strlen(words[command]);
	for (; args->len > 0 && *args->text == ' '; args->len--)
		args->text++;
	while (args->len > 0 && args->text[args->len - 1] == ' ')
		args->len--;
	return (enum smtp_command)command;
}

const char *
smtp_command_word(enum smtp_command command)
{
	return words[command];
}

bool
smtp_is_clean(const struct line *line)
{
	for (size_t i = 0; i < line->len; i++)
		if ((unsigned char)line->text[i] < 0x20 || line->text[i] == 0x7f)
			return false;
	return true;
}

bool
smtp_is_host(const struct line *args)
{
	return args->len > 0 && memchr(args->text, ' ', args->len) == NULL && smtp_is_clean(args);
}

bool
smtp_read_bdat(const struct line *args, uint64_t *size, bool *last)
{
	const char *blank = args->len == 0 ? NULL : memchr(args->text, ' ', args->len);
	size_t digits = blank == NULL ? args->len : (size_t)(blank - args->text), rest = args->len - digits;

	if (num_parse_len(args->text, digits, UINT64_MAX, size) == -1)
		return false;
	*last = rest == strlen(" LAST") && strncasecmp(args->text + digits, " LAST", rest) == 0;
	return *last || rest == 0;
}

/* The words behind AUTH: those that are listed, for a client may use others that go with them. */
static int
say_methods(struct buf *out, unsigned methods)
{
	return buf_add_text(out, "250-AUTH") | sasl_list(out, methods, " ", "") | buf_add_text(out, "\r\n");
}

/* STARTTLS is told of when it can be used, not for being listed. */
static int
say_capabilities(struct buf *out, const char **listed, size_t *last)
{
	int failed = 0;

	for (; listed != NULL && *listed != NULL; listed++) {
		if (strcasecmp(*listed, "STARTTLS") == 0)
			continue;
		*last = out->len;
		failed |= buf_printf(out, "250-%s\r\n", *listed);
	}
	return failed;
}

int
smtp_say_hello(struct buf *out, const struct server *server, bool esmtp, unsigned methods, bool starttls)
{
	size_t last = out->len;
	int failed = buf_printf(out, "250-%s\r\n", server->name);

	methods &= SASL_METHODS;
	if (esmtp)
		failed |= say_capabilities(out, server->protocols[PROTOCOL_SMTP].capabilities, &last);
	if (esmtp && methods != 0) {
		last = out->len;
		failed |= say_methods(out, methods);
	}
	if (esmtp && starttls) {
		last = out->len;
		failed |= buf_add_text(out, "250-STARTTLS\r\n");
	}
	if (failed)
		return -1;
	buf_head(out)[last + 3] = ' ';
	return 0;
}

/* Does the text begin with the code of a refusal? */
static bool
says_no(const char *text)
{
	return text != NULL && (text[0] == '4' || text[0] == '5') && strspn(text, "0123456789") == 3 &&
	    (text[3] == '\0' || text[3] == ' ' || text[3] == '-');
}

/* One line of a backend's reply. It may be the first of several that the client does not get: here it is the last. */
static int
say_reply(struct buf *out, const char *line)
{
	const char *text = line[3] == '\0' ? "" : line + 4;

	return buf_printf(out, "%.3s %.*s\r\n", line, TEXT_MAX, text);
}

int
smtp_say_refusal(struct buf *out, const struct refusal *why, bool recipient)
{
	static const struct {
		const char *code, *text;
	} usual[][2] = {
		[REFUSAL_SOURCE]      = { { "535 5.7.0", "Authentication failed" }, { "535 5.7.0", "Refused" } },
		[REFUSAL_WRONG]       = { { "535 5.7.8", "Authentication failed" }, { "550 5.7.1", "Refused" } },
		[REFUSAL_BACKEND]     = { { "535 5.7.8", "Authentication failed" }, { "550 5.7.1", "Refused" } },
		[REFUSAL_UNAVAILABLE] = { { "451 4.3.2", "Internal server error" },
			{ "451 4.3.2", "Internal server error" } },
		[REFUSAL_LIMITED]     = { { "454 4.7.0", "Too many failed logins" },
			{ "454 4.7.0", "Too many failed logins" } },
		[REFUSAL_CROWDED]     = { { "454 4.7.0", "Too many connections" },
			{ "454 4.7.0", "Too many connections" } },
		[REFUSAL_ELSEWHERE]   = { { "451 4.3.0", "Try again later" },
			{ "451 4.3.0", "Recipient is served elsewhere, send to it alone" } },
	};
	const char *code = usual[why->kind][recipient].code, *text = usual[why->kind][recipient].text;

	if (why->kind == REFUSAL_BACKEND && says_no(why->text))
		return say_reply(out, why->text);
	if (why->kind != REFUSAL_BACKEND && why->text != NULL && *why->text != '\0')
		text = why->text;
	if (says_no(why->code))
		code = why->code;
	return buf_printf(out, "%.64s %.*s\r\n", code, TEXT_MAX, text);
}

bool
smtp_read_reply(struct smtp_reply *reply, const struct line *line)
{
	uint64_t code;

	if (line->len < 3 || num_parse_len(line->text, 3, 599, &code) == -1 || code < 200 ||
	    (line->len > 3 && line->text[3] != ' ' && line->text[3] != '-') || (reply->open && code != reply->code))
		return false;
	reply->code = (unsigned)code;
	reply->open = line->len > 3 && line->text[3] == '-';
	return true;
}
