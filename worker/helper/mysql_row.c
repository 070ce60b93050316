#include "worker/helper/mysql_row.h"

#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "worker/helper/grant.h"
#include "worker/helper/proof.h"

#define COST_MAX 2000000        /* what a refusal may cost, as secret_cost() has it: two seconds or so */
#define NAME_MAX_LEN 1024       /* bytes of a user name, as long as one may be in a login */

static const struct {
	const char *name;
	size_t max_len;
	bool may_be_empty;      /* which says as little as NULL does */
} columns[MYSQL_ROW_COLUMNS] = {
	[MYSQL_ROW_PASSWORD] = { "password", MYSQL_ROW_VALUE_MAX, true },
	[MYSQL_ROW_HOST] = { "host", 300, true },
	[MYSQL_ROW_PORT] = { "port", 5, true },
	[MYSQL_ROW_SSL] = { "ssl", 10, true },
	[MYSQL_ROW_USER] = { "user", NAME_MAX_LEN, true },
	[MYSQL_ROW_PASS] = { "pass", CODEC_SECRET_MAX, true },
	[MYSQL_ROW_ALLOW_NETS] = { "allow_nets", MYSQL_ROW_VALUE_MAX, false },
	[MYSQL_ROW_PROTOCOLS] = { "protocols", 100, false },
	[MYSQL_ROW_NOLOGIN] = { "nologin", 100, true },
	[MYSQL_ROW_REASON] = { "reason", 400, true },
};

enum mysql_row_column
mysql_row_column(const char *name)
{
	unsigned i = 0;

	while (i < MYSQL_ROW_COLUMNS && strcasecmp(columns[i].name, name) != 0)
		i++;
	return (enum mysql_row_column)i;
}

/* A value that says something; else NULL. */
static const char *
said(const struct mysql_row *row, enum mysql_row_column column)
{
	const struct mysql_row_value *value = &row->values[column];

	return value->text != NULL && (value->len > 0 || !columns[column].may_be_empty) ? value->text : NULL;
}

static bool
has_control(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return true;
	return false;
}

/* Returns NULL, or what is wrong with a value as a text, and *column. Of what is in a password secret.h knows more. */
static const char *
judge_texts(const struct mysql_row *row, unsigned *column)
{
	for (unsigned i = 0; i < MYSQL_ROW_COLUMNS; i++) {
		const struct mysql_row_value *value = &row->values[i];

		*column = i;
		if (value->text == NULL)
			continue;
		if (value->len > columns[i].max_len)
			return "is too long";
		if (i != MYSQL_ROW_PASSWORD && has_control(value->text, value->len))
			return "holds a control character";
	}
	return NULL;
}

static const char *
judge_grants(const struct mysql_row *row, struct helper_reply *reply)
{
	const struct mysql_row_value *values = row->values;
	const char *ssl = said(row, MYSQL_ROW_SSL), *nets = said(row, MYSQL_ROW_ALLOW_NETS);
	const char *protocols = said(row, MYSQL_ROW_PROTOCOLS);
	const char *why;

	if ((why = grant_judge_nets(nets, values[MYSQL_ROW_ALLOW_NETS].len)) != NULL ||
	    (why = grant_judge_protocols(protocols, values[MYSQL_ROW_PROTOCOLS].len)) != NULL ||
	    (why = grant_ssl(ssl, values[MYSQL_ROW_SSL].len, &reply->ssl)) != NULL)
		return why;
	reply->says_ssl = ssl != NULL;
	return grant_backend(said(row, MYSQL_ROW_HOST), said(row, MYSQL_ROW_PORT), values[MYSQL_ROW_PORT].len,
	    &reply->host, &reply->port, &reply->is_unix);
}

static const char *
judge_password(const struct mysql_row *row, struct secret *secret)
{
	const struct mysql_row_value *value = &row->values[MYSQL_ROW_PASSWORD];

	*secret = (struct secret){ .scheme = NULL };
	if (!value->is_column)
		return "the query returns no column password";
	return value->text == NULL ? NULL : secret_parse(secret, value->text, value->len);
}

/* Returns NULL, and then *secret and what `reply` says of the backend are good; or, fresh, what is wrong. */
static char *
judge(const struct mysql_row *row, struct secret *secret, struct helper_reply *reply)
{
	unsigned column;
	const char *why = judge_texts(row, &column);

	if (why != NULL)
		return mem_printf("column %s %s", columns[column].name, why);
	if ((why = judge_password(row, secret)) != NULL || (why = judge_grants(row, reply)) != NULL)
		return mem_strdup(why);
	return NULL;
}

/* Not what takes for ever: one user's hash of that sort would have every wrong password of the others time out. */
static void
remember(struct mysql_row_past *past, const struct secret *secret, const struct mysql_row_value *value)
{
	uint64_t cost = secret_cost(secret);

	if (cost <= secret_cost(&past->costliest) || cost > COST_MAX)
		return;
	mysql_row_past_reset(past);
	past->text = mem_strndup(value->text, value->len);
	secret_parse(&past->costliest, past->text, value->len);
}

void
mysql_row_past_reset(struct mysql_row_past *past)
{
	mem_free_secret(&past->text);
	past->costliest = (struct secret){ .scheme = NULL };
}

/* As MySQL's BOOL and whatever people write instead have it. */
static bool
is_true(const struct mysql_row *row, enum mysql_row_column column)
{
	static const char *const no[] = { "0", "n", "no", "f", "false", "off" };
	const char *text = said(row, column);

	for (size_t i = 0; text != NULL && i < sizeof(no) / sizeof(no[0]); i++)
		if (strcasecmp(text, no[i]) == 0)
			return false;
	return text != NULL;
}

/* Returns NULL, or why somebody who has proven who it is may not come in. */
static const char *
judge_login(const struct mysql_row *row, const struct helper_request *request)
{
	const struct mysql_row_value *values = row->values;

	if (!grant_allows_client(said(row, MYSQL_ROW_ALLOW_NETS), values[MYSQL_ROW_ALLOW_NETS].len, &request->client))
		return "client address is not in allow_nets";
	if (!grant_allows_protocol(said(row, MYSQL_ROW_PROTOCOLS), values[MYSQL_ROW_PROTOCOLS].len, request->protocol))
		return "protocol is not in protocols";
	return is_true(row, MYSQL_ROW_NOLOGIN) ? "the user has nologin" : NULL;
}

/* `text` is for the client; NULL: the usual words. */
static void
refuse(const char *why, const char *text, struct helper_reply *reply)
{
	helper_reply_reset(reply);
	reply->outcome = HELPER_REFUSED;
	reply->reason = mem_strdup(why);
	reply->text = mem_strdup(text);
}

static void
admit(const struct mysql_row *row, const struct secret *secret, const struct helper_request *request,
    struct helper_reply *reply)
{
	reply->outcome = HELPER_ACCEPTED;
	reply->user = mem_strdup(said(row, MYSQL_ROW_USER));
	reply->pass = mem_strdup(said(row, MYSQL_ROW_PASS));
	if (reply->pass == NULL && proof_needs_plain(request))  /* the client has not told it */
		reply->pass = secret_reveal(secret);
}

void
mysql_row_answer(const struct mysql_row *row, bool checked, struct mysql_row_past *past,
    const struct helper_request *request, struct helper_reply *reply)
{
	const struct mysql_row_value *password = &row->values[MYSQL_ROW_PASSWORD];
	struct secret secret;
	char *wrong = judge(row, &secret, reply);
	const char *why;

	if (wrong != NULL) {
		helper_reply_reset(reply);
		reply->outcome = HELPER_UNAVAILABLE;
		reply->reason = wrong;
		return;
	}
	remember(past, &secret, password);
	why = checked && password->text == NULL ? NULL : proof_judge(&secret, &past->costliest, request);
	if (why != NULL)        /* who has not proven who it is, is told nothing else */
		refuse(why, NULL, reply);
	else if ((why = judge_login(row, request)) != NULL)
		refuse(why, is_true(row, MYSQL_ROW_NOLOGIN) ? said(row, MYSQL_ROW_REASON) : NULL, reply);
	else
		admit(row, &secret, request, reply);
}

void
mysql_row_missing(const struct mysql_row_past *past, const struct helper_request *request, struct helper_reply *reply)
{
	if (request->is_last)
		proof_pretend(&past->costliest, request);
	reply->outcome = HELPER_UNKNOWN;
	reply->reason = mem_strdup("unknown user");
}
