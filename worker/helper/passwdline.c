#include "worker/helper/passwdline.h"

#include <stddef.h>
#include <string.h>

#include "common/mem.h"
#include "worker/helper/grant.h"

#define FIELDS 8        /* the last, the keys, runs to the end of the line */

/* What a key means: where its value goes, or why it cannot be taken. */
struct key {
	const char *name;
	size_t field;
	bool may_be_empty;
	const char *refused;
};

#define FIELD(name) offsetof(struct passwdline, name)

static const struct key keys[] = {
	{ "host",       FIELD(host),       false, NULL },
	{ "port",       FIELD(port),       false, NULL },
	{ "user",       FIELD(login),      false, NULL },
	{ "destuser",   FIELD(destuser),   false, NULL },
	{ "pass",       FIELD(pass),       false, NULL },
	{ "nologin",    FIELD(nologin),    true,  NULL },
	{ "reason",     FIELD(reason),     true,  NULL },
	{ "allow_nets", FIELD(allow_nets), false, NULL },
	{ "protocols",  FIELD(protocols),  false, NULL },
	{ "ssl",        FIELD(ssl),        false, NULL },
	{ "starttls",   FIELD(starttls),   false, NULL },
	{ "allow_real_nets", 0, true, "\"allow_real_nets\" is not supported" },
	{ "nopassword",      0, true, "\"nopassword\" is not supported" },
};

/* Takes the next piece up to `separator` off the front of `rest`; false when nothing is left. */
static bool
take(struct passwdline_slice *rest, char separator, struct passwdline_slice *piece)
{
	const char *end;

	if (rest->text == NULL)
		return false;
	end = memchr(rest->text, separator, rest->len);
	*piece = (struct passwdline_slice){ rest->text, end != NULL ? (size_t)(end - rest->text) : rest->len };
	if (end != NULL) {
		rest->text += piece->len + 1;
		rest->len -= piece->len + 1;
	} else {
		*rest = (struct passwdline_slice){ NULL, 0 };
	}
	return true;
}

static bool
has_control(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return true;
	return false;
}

/* Every percent sign is one of a pair. */
static bool
percents_are_doubled(const struct passwdline_slice *value)
{
	for (size_t i = 0; i < value->len; i++)
		if (value->text[i] == '%' && (++i == value->len || value->text[i] != '%'))
			return false;
	return true;
}

static const char *
take_key(struct passwdline *line, const struct passwdline_slice *word)
{
	struct passwdline_slice value = *word, name;

	take(&value, '=', &name);
	if (value.text == NULL)
		value = (struct passwdline_slice){ "", 0 };
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		struct passwdline_slice *field = (void *)((char *)line + keys[i].field);

		if (strlen(keys[i].name) != name.len || memcmp(keys[i].name, name.text, name.len) != 0)
			continue;
		if (keys[i].refused != NULL)
			return keys[i].refused;
		if (field->text != NULL)
			return "a key is given twice";
		if (value.len == 0 && !keys[i].may_be_empty)
			return "a key has no value";
		if (!percents_are_doubled(&value))
			return "\"%\" in a value must be written \"%%\"; there are no variables";
		*field = value;
		break;
	}
	return NULL;
}

static const char *
take_keys(struct passwdline *line, struct passwdline_slice rest)
{
	struct passwdline_slice word;
	const char *why;

	/* Dovecot's oldest files have an empty field here and something else behind it. */
	if (rest.len > 0 && rest.text[0] == ':')
		return NULL;
	while (take(&rest, ' ', &word))
		if (word.len > 0 && (why = take_key(line, &word)) != NULL)
			return why;
	return NULL;
}

static bool
is_word(const struct passwdline_slice *value, const char *word)
{
	return value->text != NULL && value->len == strlen(word) && memcmp(value->text, word, value->len) == 0;
}

static bool
is_yes(const struct passwdline_slice *value)
{
	return is_word(value, "yes") || is_word(value, "any-cert");
}

static const char *
judge_ssl(const struct passwdline *line)
{
	enum proxy_ssl ssl;
	const char *why = grant_ssl(line->ssl.text, line->ssl.len, &ssl);

	if (why != NULL)
		return why;
	if (line->starttls.text != NULL && !is_yes(&line->starttls))
		return "invalid value of \"starttls\"";
	if (line->starttls.text != NULL && is_word(&line->ssl, "no"))
		return "\"starttls\" with \"ssl=no\"";
	return NULL;
}

bool
passwdline_ssl(const struct passwdline *line, enum proxy_ssl *ssl)
{
	if (line->ssl.text == NULL && line->starttls.text == NULL)
		return false;
	if (line->starttls.text != NULL)
		*ssl = PROXY_SSL_STARTTLS;
	else
		grant_ssl(line->ssl.text, line->ssl.len, ssl);
	return true;
}

static const char *
judge_backend(const struct passwdline *line)
{
	char *host = NULL;
	unsigned port;
	bool is_unix;
	const char *why = passwdline_backend(line, &host, &port, &is_unix);

	mem_free(host);
	return why;
}

const char *
passwdline_parse(struct passwdline *line, const char *text, size_t len)
{
	struct passwdline_slice rest = { text, len }, field[FIELDS] = { { NULL, 0 } };
	const char *why;

	*line = (struct passwdline){ .user = { NULL, 0 } };
	if (has_control(text, len))
		return "control character in line";
	for (size_t i = 0; i < FIELDS - 1; i++)
		take(&rest, ':', &field[i]);
	line->user = field[0];
	if (line->user.len == 0)
		return "no user name";
	if (line->user.len > PASSWDLINE_USER_MAX)
		return "user name too long";
	if (field[1].text == NULL)
		field[1].text = "";
	if ((why = secret_parse(&line->secret, field[1].text, field[1].len)) != NULL ||
	    (why = take_keys(line, rest)) != NULL ||
	    (why = grant_judge_nets(line->allow_nets.text, line->allow_nets.len)) != NULL ||
	    (why = grant_judge_protocols(line->protocols.text, line->protocols.len)) != NULL ||
	    (why = judge_ssl(line)) != NULL)
		return why;
	return judge_backend(line);
}

bool
passwdline_knows(const char *key)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(keys[i].name, key) == 0)
			return true;
	return false;
}

char *
passwdline_value(const struct passwdline_slice *value)
{
	char *text, *out;

	if (value->text == NULL)
		return NULL;
	text = out = mem_strndup(value->text, value->len);
	for (size_t i = 0; i < value->len; i++) {
		*out++ = value->text[i];
		if (value->text[i] == '%')
			i++;
	}
	mem_wipe(out, (size_t)(text + value->len - out));
	*out = '\0';
	return text;
}

char *
passwdline_backend_user(const struct passwdline *line)
{
	return passwdline_value(line->destuser.text != NULL ? &line->destuser : &line->login);
}

char *
passwdline_backend_pass(const struct passwdline *line)
{
	return passwdline_value(&line->pass);
}

const char *
passwdline_backend(const struct passwdline *line, char **host, unsigned *port, bool *is_unix)
{
	char *text = passwdline_value(&line->host);
	const char *why = grant_backend(text, line->port.text, line->port.len, host, port, is_unix);

	mem_free(text);
	return why;
}

bool
passwdline_allows_client(const struct passwdline *line, const struct addr *client)
{
	return grant_allows_client(line->allow_nets.text, line->allow_nets.len, client);
}

bool
passwdline_allows_protocol(const struct passwdline *line, enum protocol protocol)
{
	return grant_allows_protocol(line->protocols.text, line->protocols.len, protocol);
}
