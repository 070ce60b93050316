/*
 * postern-auth-mysql - the helper of auth_mysql: a row of a database for each login
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/num.h"
#include "common/sqlquery.h"
#include "common/utf8.h"
#include "worker/helper/filetext.h"
#include "worker/helper/helper.h"
#include "worker/helper/mysql_link.h"
#include "worker/helper/mysql_open.h"
#include "worker/helper/mysql_row.h"
#include "worker/helper/proof.h"
#include "worker/helper/secret.h"

#define NAME_MAX_LEN 1024       /* bytes of a user name that a database is asked about */
#define PASSWORD_FILE_MAX 65536
#define START_MS 2000           /* for the first attempt to connect: nobody waits for longer before we are ready */
#define MARGIN_MS 100           /* by which an answer has to be there before the asker gives up */
#define PORT "3306"

/* What `load` makes of the settings. */
struct source {
	char *host, *socket, *port, *user, *database, *query_text;      /* owned, and these: */
	char *ssl, *verify, *ca, *certificate, *key;
	char *password;                 /* owned; the one at the database */
	char *label;                    /* owned; for the log */
	struct mysql_server server;     /* all of that */
	struct sqlquery query;
	struct mysql_link *link;        /* owned */
	struct mysql_row_past past;
	bool is_down;                   /* the last login found no database */
};

static const struct {
	const char *name;
	size_t field;
} settings[] = {
	{ "host",     offsetof(struct source, host) },
	{ "socket",   offsetof(struct source, socket) },
	{ "port",     offsetof(struct source, port) },
	{ "user",     offsetof(struct source, user) },
	{ "database", offsetof(struct source, database) },
	{ "query",    offsetof(struct source, query_text) },
	{ "ssl",      offsetof(struct source, ssl) },
	{ "verify",   offsetof(struct source, verify) },
	{ "ca",       offsetof(struct source, ca) },
	{ "cert",     offsetof(struct source, certificate) },
	{ "key",      offsetof(struct source, key) },
};

#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

static char **
setting(struct source *source, size_t i)
{
	return (char **)((char *)source + settings[i].field);
}

static void
unload(void **loadedp)
{
	struct source *source = *loadedp;

	mysql_link_free(&source->link);
	mysql_row_past_reset(&source->past);
	sqlquery_reset(&source->query);
	for (size_t i = 0; i < SETTINGS; i++)
		mem_free(*setting(source, i));
	mem_free_secret(&source->password);
	mem_free(source->label);
	mem_free(source);
	*loadedp = NULL;
}

static bool
is_on(const char *text, bool unsaid)
{
	return text == NULL ? unsaid : strcmp(text, "on") == 0;
}

/* Whom and what to ask. Returns NULL, or what is wrong. */
static const char *
read_settings(struct source *source, const char *text)
{
	unsigned port;

	for (size_t i = 0; i < SETTINGS; i++)
		*setting(source, i) = helper_setting(text, settings[i].name);
	if ((source->host == NULL) == (source->socket == NULL))
		return "neither a host nor a socket is set";
	if (num_parse(source->port != NULL ? source->port : PORT, UINT16_MAX, &port) == -1 || port == 0)
		return "invalid port";
	if (source->user == NULL || source->database == NULL || source->query_text == NULL)
		return "no user, no database or no query is set";
	source->server = (struct mysql_server){
		.host = source->host, .socket = source->socket, .port = port, .user = source->user,
		.password = source->password, .database = source->database,
		.ssl = is_on(source->ssl, false), .verify = is_on(source->verify, true),
		.ca = source->ca, .certificate = source->certificate, .key = source->key,
	};
	return sqlquery_parse(&source->query, source->query_text);
}

/* The first line of the file; without a file there is none, which sockets take where they know who we are. */
static const char *
read_password(struct source *source, int fd)
{
	struct filetext text;
	const char *why = NULL;
	size_t len;

	if (fd == -1)
		return NULL;
	if (filetext_read(&text, fd, PASSWORD_FILE_MAX) == -1)
		return log_errno(errno);
	for (len = 0; len < text.len && text.bytes[len] != '\n' && text.bytes[len] != '\r'; len++)
		if (text.bytes[len] == '\0')
			why = "NUL in the password";
	if (len == 0)
		why = "no password in its first line";
	else if (len > CODEC_SECRET_MAX)
		why = "the password is too long";
	if (why == NULL)
		source->password = mem_strndup(text.bytes, len);
	filetext_reset(&text);
	return why;
}

/* A database that is not there yet makes no bad configuration; logins have to wait for it. */
static void
try(struct source *source)
{
	source->is_down = mysql_link_open(source->link, mysql_open_now() + START_MS) == -1;
	if (source->is_down)
		log_say(LOG_WARN, "auth_mysql \"%s\": %s, nobody can log in by it until that is mended", source->label,
		    mysql_link_reason(source->link));
}

static void *
load(const struct helper_source *from, char **why)
{
	struct source *source = mem_alloc(sizeof(*source));
	const char *wrong = read_password(source, from->fd);
	void *loaded = source;

	if (wrong != NULL)
		*why = mem_printf("the password file of auth_mysql \"%s\" cannot be used: %s", from->label, wrong);
	else if ((wrong = read_settings(source, from->settings)) != NULL)
		*why = mem_printf("auth_mysql \"%s\": %s", from->label, wrong);
	if (wrong != NULL) {
		unload(&loaded);
		return NULL;
	}
	source->label = mem_strdup(from->label);
	source->link = mysql_link_new(&source->server, &source->query);
	try(source);
	return source;
}

/* The password that the query is given must have been told; then the database need not tell its own. */
static bool
checks_password(const struct source *source)
{
	return sqlquery_uses(&source->query, SQLQUERY_PASSWORD);
}

static unsigned
methods(const void *loaded)
{
	return checks_password(loaded) ? METHODS_PASSWORD : METHODS_PASSWORD | METHODS_CHALLENGE;
}

/* Returns NULL, or why the request is refused without asking. */
static const char *
judge(const struct source *source, const struct helper_request *request)
{
	const char *why = proof_judge_request(request);

	if (why != NULL || !checks_password(source))
		return why;
	if (proof_needs_plain(request))
		return "the query wants the password, which this method does not tell";
	return request->secret == NULL || request->secret[0] == '\0' ? "empty password" : NULL;
}

static struct mysql_value
value_of(const char *text)
{
	return (struct mysql_value){ text, text != NULL ? strlen(text) : 0, false };
}

/* `client` is the text of the client's address. */
static struct mysql_value
value(const struct helper_request *request, const char *client, enum sqlquery_parameter parameter)
{
	const char *at = strrchr(request->user, '@');
	struct mysql_value value = { "", 0, false };

	switch (parameter) {
	case SQLQUERY_LOCAL:
		return (struct mysql_value){ request->user,
		    at != NULL ? (size_t)(at - request->user) : strlen(request->user), false };
	case SQLQUERY_DOMAIN:
		return at != NULL ? value_of(at + 1) : value;
	case SQLQUERY_PROTOCOL:
		return value_of(protocol_name(request->protocol));
	case SQLQUERY_CLIENT:
		return value_of(client);
	case SQLQUERY_SERVER:
		return value_of(request->server_name);
	case SQLQUERY_PASSWORD:
		value = value_of(request->secret);
		value.is_binary = true;
		return value;
	case SQLQUERY_USER:
	case SQLQUERY_NAMES:
		break;
	}
	return value_of(request->user);
}

static void
fail(struct helper_reply *reply, const char *reason)
{
	reply->outcome = HELPER_UNAVAILABLE;
	reply->reason = mem_strdup(reason);
}

static void
say_recovered(struct source *source, bool answers)
{
	if (answers && source->is_down)
		log_say(LOG_NOTICE, "auth_mysql \"%s\": the database answers again", source->label);
	source->is_down = !answers;
}

static void
ask(struct source *source, const struct helper_request *request, struct helper_reply *reply)
{
	uint64_t deadline_ms = request->deadline_ms > MARGIN_MS ? request->deadline_ms - MARGIN_MS : 0;
	struct mysql_value values[SQLQUERY_PARAMETERS_MAX];
	char client[ADDR_TEXT];
	struct mysql_row row;
	enum mysql_found found;

	addr_format(client, &request->client);
	for (size_t i = 0; i < source->query.count; i++)
		values[i] = value(request, client, source->query.parameters[i]);
	found = mysql_link_ask(source->link, values, deadline_ms, &row);
	say_recovered(source, found != MYSQL_FOUND_FAILURE);
	if (found == MYSQL_FOUND_ROW)
		mysql_row_answer(&row, checks_password(source), &source->past, request, reply);
	else if (found == MYSQL_FOUND_NONE)
		mysql_row_missing(&source->past, request, reply);
	else
		fail(reply, found == MYSQL_FOUND_SEVERAL ? "query returned more than one row" :
		    mysql_link_reason(source->link));
	mysql_link_forget(source->link);
}

/* A database has no other names; what it would make of these is not worth finding out. */
static bool
can_be_name(const char *user)
{
	size_t len = strlen(user);

	return len <= NAME_MAX_LEN && utf8_is_valid(user, len);
}

static void
answer(void *loaded, const struct helper_request *request, struct helper_reply *reply)
{
	struct source *source = loaded;
	const char *why = judge(source, request);

	*reply = (struct helper_reply){ .outcome = HELPER_REFUSED };
	if (why != NULL)
		reply->reason = mem_strdup(why);
	else if (!can_be_name(request->user))
		mysql_row_missing(&source->past, request, reply);
	else
		ask(source, request, reply);
}

static void
prepare(void)
{
	secret_prepare();
	mysql_open_prepare();
}

static const struct helper_kind auth_mysql = {
	.name = "auth_mysql", .program = "postern-auth-mysql",
	.sandbox = SANDBOX_READING, .may_hang = true,
	.prepare = prepare, .load = load, .unload = unload, .methods = methods, .answer = answer,
};

int
main(int argc, char **argv)
{
	helper_run(argc, argv, &auth_mysql);
}
