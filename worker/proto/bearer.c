#include "worker/proto/bearer.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define SEPARATOR '\1'
#define SCHEME "Bearer "
#define ESCAPE 3        /* characters of "=2C" */

/* The fields that are known; KEYS stands for all others. */
enum key { KEY_AUTH, KEY_USER, KEY_HOST, KEY_PORT, KEYS };

struct value {
	const char *at;         /* NULL: the field is not there */
	size_t len;
};

bool
bearer_is_token(const char *text, size_t len)
{
	static const char marks[] = { '-', '.', '_', '~', '+', '/' };
	size_t seen = 0;

	while (seen < len && (isalnum((unsigned char)text[seen]) || memchr(marks, text[seen], sizeof(marks)) != NULL))
		seen++;
	if (seen == 0)
		return false;
	while (seen < len && text[seen] == '=')
		seen++;
	return seen == len;
}

static enum key
find_key(const char *text, size_t len)
{
	static const char *const keys[] = { "auth", "user", "host", "port" };
	unsigned key = 0;

	while (key < KEYS && (strlen(keys[key]) != len || memcmp(keys[key], text, len) != 0))
		key++;
	return (enum key)key;
}

static bool
is_key(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalpha((unsigned char)text[i]))
			return false;
	return len > 0;
}

/* What any field may hold: VCHAR, SP, HTAB, CR and LF. */
static bool
is_value(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((text[i] < ' ' || text[i] > '~') && memchr("\t\r\n", text[i], 3) == NULL)
			return false;
	return true;
}

/* One field, without its separator. A name is not held to what other values may be: it may be UTF-8. */
static const char *
read_field(const char *text, size_t len, struct value values[KEYS])
{
	const char *equals = memchr(text, '=', len);
	size_t key_len = equals == NULL ? 0 : (size_t)(equals - text);
	struct value value = { text + key_len + 1, len - key_len - 1 };
	enum key key = find_key(text, key_len);

	if (!is_key(text, key_len) || (key != KEY_USER && !is_value(value.at, value.len)))
		return "an invalid field";
	if (key == KEYS)
		return NULL;
	if (values[key].at != NULL)
		return "a field twice";
	values[key] = value;
	return NULL;
}

static const char *
read_fields(const char *text, size_t len, struct value values[KEYS])
{
	const char *end = text + len, *wrong = NULL;

	while (wrong == NULL && text < end && *text != SEPARATOR) {
		const char *stop = memchr(text, SEPARATOR, (size_t)(end - text));

		if (stop == NULL)
			return "an unfinished field";
		wrong = read_field(text, (size_t)(stop - text), values);
		text = stop + 1;
	}
	if (wrong != NULL)
		return wrong;
	return end - text == 1 ? NULL : text == end ? "an unfinished message" : "bytes behind the end";
}

/* The scheme, one blank, the token. */
static const char *
read_auth(struct bearer *b, const struct value *auth)
{
	size_t scheme = strlen(SCHEME);

	if (auth->at == NULL)
		return "no token";
	if (auth->len < scheme || strncasecmp(auth->at, SCHEME, scheme) != 0)
		return "another scheme than Bearer";
	b->token = auth->at + scheme;
	b->token_len = auth->len - scheme;
	return NULL;
}

const char *
bearer_read_xoauth2(struct bearer *b, const char *bytes, size_t len)
{
	struct value values[KEYS] = { { .at = NULL } };
	const char *wrong = read_fields(bytes, len, values);

	*b = (struct bearer){ .user = "" };
	if (wrong != NULL)
		return wrong;
	if (values[KEY_USER].at == NULL)
		return "no login";
	b->user = values[KEY_USER].at;
	b->user_len = values[KEY_USER].len;
	return read_auth(b, &values[KEY_AUTH]);
}

/* What an escape stands for; NUL: it is none. */
static char
unescape(const char *text, size_t len)
{
	if (len < ESCAPE)
		return '\0';
	return strncasecmp(text, "=2C", ESCAPE) == 0 ? ',' : strncasecmp(text, "=3D", ESCAPE) == 0 ? '=' : '\0';
}

/* A saslname (RFC 5801 section 4), decoded in its place. */
static bool
read_name(struct bearer *b, char *text, size_t len)
{
	size_t to = 0;

	for (size_t from = 0; from < len; to++) {
		char escaped = text[from] == '=' ? unescape(text + from, len - from) : text[from];

		if (escaped == '\0' || text[from] == ',')
			return false;
		from += text[from] == '=' ? ESCAPE : 1;
		text[to] = escaped;
	}
	b->user = text;
	b->user_len = to;
	return len > 0;
}

/*
 * A GS2 header (RFC 5801 section 4): "n," or "y,", as there is no channel binding that a
 * client could insist on, then "a=" and a name, or nothing, and a comma.
 */
static bool
read_header(struct bearer *b, char *text, size_t len)
{
	if (len < 3 || (text[0] != 'n' && text[0] != 'y') || text[1] != ',' || text[len - 1] != ',')
		return false;
	if (len == strlen("n,,"))
		return true;
	return len > strlen("n,a=,") && memcmp(text + 2, "a=", 2) == 0 && read_name(b, text + 4, len - 5);
}

const char *
bearer_read_oauthbearer(struct bearer *b, char *bytes, size_t len)
{
	struct value values[KEYS] = { { .at = NULL } };
	char *stop = len == 0 ? NULL : memchr(bytes, SEPARATOR, len);
	const char *wrong;

	*b = (struct bearer){ .user = "" };
	if (stop == NULL || !read_header(b, bytes, (size_t)(stop - bytes)))
		return "an invalid GS2 header";
	wrong = read_fields(stop + 1, len - (size_t)(stop + 1 - bytes), values);
	return wrong != NULL ? wrong : read_auth(b, &values[KEY_AUTH]);
}
