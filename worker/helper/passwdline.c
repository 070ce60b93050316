#include "worker/helper/passwdline.h"

#include <stddef.h>
#include <string.h>

#include "common/addrset.h"
#include "common/mem.h"
#include "common/num.h"

#define FIELDS 8        /* the last, the keys, runs to the end of the line */

#define ITEM_MAX 64     /* an item of a list: a network or the name of a protocol */

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

/* The same for a list with commas, as a string; one that is too long for any item becomes "". */
static bool
take_item(struct passwdline_slice *rest, char item[ITEM_MAX])
{
	struct passwdline_slice piece;
	size_t len;

	if (!take(rest, ',', &piece))
		return false;
	len = piece.len < ITEM_MAX ? piece.len : 0;
	memcpy(item, piece.text, len);
	item[len] = '\0';
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

/* Builds the rules of allow_nets; *local says whether UNIX sockets are among them. */
static const char *
build_nets(const struct passwdline *line, struct addrset **set, bool *local)
{
	struct passwdline_slice rest = line->allow_nets;
	char item[ITEM_MAX];

	*local = false;
	while (take_item(&rest, item)) {
		if (strcmp(item, "local") == 0)
			*local = true;
		else if (strcmp(item, "all") == 0 || addrset_add(set, true, item) != NULL)
			return "invalid network in \"allow_nets\"";
	}
	addrset_add(set, false, "all");
	return NULL;
}

static const char *
judge_nets(const struct passwdline *line)
{
	struct addrset *set = NULL;
	const char *why;
	bool local;

	if (line->allow_nets.text == NULL)
		return NULL;
	why = build_nets(line, &set, &local);
	addrset_free(&set);
	return why;
}

static const char *
judge_protocols(const struct passwdline *line)
{
	struct passwdline_slice rest = line->protocols;
	char item[ITEM_MAX];

	while (take_item(&rest, item))
		if (protocol_by_name(item) == PROTOCOL_UNKNOWN)
			return "unknown protocol in \"protocols\"";
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
	if (line->ssl.text != NULL && !is_yes(&line->ssl) && !is_word(&line->ssl, "no") &&
	    !is_word(&line->ssl, "starttls"))
		return "invalid value of \"ssl\"";
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
	if (line->starttls.text != NULL || is_word(&line->ssl, "starttls"))
		*ssl = PROXY_SSL_STARTTLS;
	else
		*ssl = is_yes(&line->ssl) ? PROXY_SSL_ON : PROXY_SSL_OFF;
	return true;
}

static const char *
judge_backend(const struct passwdline *line)
{
	uint64_t number = 0;
	char *host = NULL;
	unsigned port = 0;
	bool is_unix = false;
	const char *why;

	if (line->port.text != NULL &&
	    (num_parse_len(line->port.text, line->port.len, UINT16_MAX, &number) == -1 || number == 0))
		return "invalid port";
	if (line->port.text != NULL && line->host.text == NULL)
		return "\"port\" without \"host\"";
	why = passwdline_backend(line, &host, &port, &is_unix);
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
	    (why = judge_nets(line)) != NULL ||
	    (why = judge_protocols(line)) != NULL ||
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

/* An address, or a name that may go into a log line and to a resolver. */
static bool
is_host(const char *host)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._";
	struct addr addr;
	size_t len = strlen(host);

	if (addr_parse(&addr, host, len) == 0)
		return true;
	return len > 0 && len <= 255 && strspn(host, letters) == len;
}

const char *
passwdline_backend(const struct passwdline *line, char **host, unsigned *port, bool *is_unix)
{
	char *text = passwdline_value(&line->host), *found = NULL;
	const char *why = NULL;
	struct addr addr;
	uint64_t number;

	if (text == NULL)
		return NULL;
	*port = 0;
	*is_unix = false;
	if (addr_parse(&addr, text, strlen(text)) == 0)         /* IPv6 needs no brackets here */
		found = mem_strdup(text);
	else
		why = addr_split(text, 0, &found, port, is_unix);
	mem_free(text);
	if (why == NULL && !*is_unix && !is_host(found))
		why = "invalid host";
	if (why != NULL) {
		mem_free(found);
		return why;
	}
	if (line->port.text != NULL && num_parse_len(line->port.text, line->port.len, UINT16_MAX, &number) == 0)
		*port = (unsigned)number;
	*host = found;
	return NULL;
}

bool
passwdline_allows_client(const struct passwdline *line, const struct addr *client)
{
	struct addrset *set = NULL;
	bool local, allows;

	if (line->allow_nets.text == NULL)
		return true;
	allows = build_nets(line, &set, &local) == NULL &&
	    (client->family == AF_UNIX ? local : addrset_allows(set, client));
	addrset_free(&set);
	return allows;
}

bool
passwdline_allows_protocol(const struct passwdline *line, enum protocol protocol)
{
	struct passwdline_slice rest = line->protocols;
	char item[ITEM_MAX];

	while (take_item(&rest, item))
		if (protocol_by_name(item) == protocol)
			return true;
	return line->protocols.text == NULL;
}
