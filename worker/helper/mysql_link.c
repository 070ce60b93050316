#include "worker/helper/mysql_link.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/must.h"

#define IDLE_MS 10000           /* without use, after which the server is asked whether it is there */
#define BACKOFF_MS 100          /* after the first attempt that failed; then twice as long each */
#define BACKOFF_MAX_MS 5000
#define REASON_MAX 400

/* Errors by which a server ends the connection, or says that it has forgotten the statement. */
enum {
	SERVER_SHUTDOWN = 1053, STATEMENT_UNKNOWN = 1243, STATEMENT_STALE = 1615, CONNECTION_KILLED = 1927,
	CLIENT_WAS_IDLE = 4031,
};

struct mysql_link {
	const struct mysql_server *server;      /* borrowed */
	const struct sqlquery *query;           /* borrowed */
	MYSQL *mysql;                   /* owned; NULL: not open */
	MYSQL_STMT *statement;          /* owned; there while it is open */
	uint64_t deadline_ms;           /* of the call under way */
	uint64_t used_ms;               /* when the server last answered */
	uint64_t retry_ms;              /* no attempt to open it before */
	uint64_t backoff_ms;            /* 0: the last attempt did not fail */
	bool lost;                      /* the last failure was the connection's, not the query's */
	char reason[REASON_MAX];
	/* what the row's values are in: */
	char texts[MYSQL_ROW_COLUMNS][MYSQL_ROW_VALUE_MAX + 1];
	unsigned long lens[MYSQL_ROW_COLUMNS];
	my_bool nulls[MYSQL_ROW_COLUMNS];
	char other;                     /* ... and of all columns that are none of ours */
};

struct mysql_link *
mysql_link_new(const struct mysql_server *server, const struct sqlquery *query)
{
	struct mysql_link *link = mem_alloc(sizeof(*link));

	link->server = server;
	link->query = query;
	return link;
}

/* Says goodbye if that takes no time: a server that is stuck need not hear it. */
static void
drop(struct mysql_link *link)
{
	mysql_open_wait_until(0);
	if (link->statement != NULL)
		mysql_stmt_close(link->statement);
	if (link->mysql != NULL)
		mysql_close(link->mysql);
	link->statement = NULL;
	link->mysql = NULL;
}

void
mysql_link_forget(struct mysql_link *link)
{
	mem_wipe(link->texts, sizeof(link->texts));
}

void
mysql_link_free(struct mysql_link **linkp)
{
	if (*linkp == NULL)
		return;
	drop(*linkp);
	mysql_link_forget(*linkp);
	mem_free(*linkp);
	*linkp = NULL;
}

const char *
mysql_link_reason(const struct mysql_link *link)
{
	return link->reason;
}

static void __attribute__((format(printf, 2, 3)))
set_reason(struct mysql_link *link, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(link->reason, sizeof(link->reason), format, args);
	va_end(args);
}

/*
 * 2000 to 2999 and 5000 to 5999 are the library's, and 0 is what nobody explains: after
 * any of them nobody knows what the server will say next.
 */
static bool
ends_connection(unsigned error)
{
	return error == 0 || (error >= 2000 && error < 3000) || (error >= 5000 && error < 6000) ||
	    error == SERVER_SHUTDOWN || error == STATEMENT_UNKNOWN || error == STATEMENT_STALE ||
	    error == CONNECTION_KILLED || error == CLIENT_WAS_IDLE;
}

/* Notes what the library or the server has said about `what`. */
static void
note(struct mysql_link *link, const char *what, unsigned error, const char *said)
{
	char text[REASON_MAX / 2];

	link->lost = ends_connection(error);
	if (link->lost && mysql_open_left(link->deadline_ms) == 0)
		set_reason(link, "%s timed out", what);
	else
		set_reason(link, "%s failed (%u: %s)", what, error, log_text(text, sizeof(text), said, strlen(said)));
}

/* What a server says of a query that it has run may quote the values: no log shall have that if one is a password. */
static void
note_run(struct mysql_link *link, const char *what)
{
	/* An error among the rows is told of the connection alone. */
	bool of_statement = mysql_stmt_errno(link->statement) != 0;
	unsigned error = of_statement ? mysql_stmt_errno(link->statement) : mysql_errno(link->mysql);
	bool may_quote = sqlquery_uses(link->query, SQLQUERY_PASSWORD) && !ends_connection(error);
	const char *state = of_statement ? mysql_stmt_sqlstate(link->statement) : mysql_sqlstate(link->mysql);
	const char *text = of_statement ? mysql_stmt_error(link->statement) : mysql_error(link->mysql);

	note(link, what, error, may_quote ? state : text);
}

/* --- opening --- */

static int
connect_to(struct mysql_link *link)
{
	if (mysql_open(&link->mysql, link->server, link->deadline_ms) == 0)
		return 0;
	if (link->mysql != NULL)
		note(link, "connecting", mysql_errno(link->mysql), mysql_error(link->mysql));
	else
		set_reason(link, "the client library, %s, lacks options that are needed", mysql_get_client_info());
	return -1;
}

static int
prepare(struct mysql_link *link)
{
	const char *text = link->query->text;

	MUST((link->statement = mysql_stmt_init(link->mysql)) != NULL);
	if (mysql_stmt_prepare(link->statement, text, strlen(text)) != 0) {
		note(link, "preparing the query", mysql_stmt_errno(link->statement), mysql_stmt_error(link->statement));
		return -1;
	}
	if (mysql_stmt_param_count(link->statement) == link->query->count)
		return 0;
	set_reason(link, "the server reads the query in another way than we do");
	return -1;
}

static void
put_off(struct mysql_link *link)
{
	link->backoff_ms = link->backoff_ms == 0 ? BACKOFF_MS : 2 * link->backoff_ms;
	if (link->backoff_ms > BACKOFF_MAX_MS)
		link->backoff_ms = BACKOFF_MAX_MS;
	link->retry_ms = mysql_open_now() + link->backoff_ms;
}

int
mysql_link_open(struct mysql_link *link, uint64_t deadline_ms)
{
	if (link->mysql != NULL)
		return 0;
	if (mysql_open_now() < link->retry_ms)  /* the reason is still there */
		return -1;
	link->deadline_ms = deadline_ms;
	if (connect_to(link) == -1 || prepare(link) == -1) {
		drop(link);
		put_off(link);
		return -1;
	}
	link->backoff_ms = 0;
	link->used_ms = mysql_open_now();
	return 0;
}

/* --- asking --- */

static int
execute(struct mysql_link *link, const struct mysql_value *values)
{
	MYSQL_BIND binds[SQLQUERY_PARAMETERS_MAX];
	my_bool yes = 1;

	memset(binds, 0, sizeof(binds));
	for (size_t i = 0; i < link->query->count; i++) {
		binds[i].buffer_type = values[i].is_binary ? MYSQL_TYPE_BLOB : MYSQL_TYPE_STRING;
		binds[i].buffer = (void *)(uintptr_t)values[i].text;    /* which is only read */
		binds[i].buffer_length = values[i].len;
		binds[i].is_null = values[i].text == NULL ? &yes : NULL;
	}
	if (mysql_stmt_bind_param(link->statement, binds) == 0 && mysql_stmt_execute(link->statement) == 0)
		return 0;
	note_run(link, "the query");
	return -1;
}

/* Where the values of a column go. */
static void
place_column(struct mysql_link *link, MYSQL_BIND *bind, enum mysql_row_column column)
{
	*bind = (MYSQL_BIND){ .buffer_type = MYSQL_TYPE_STRING, .buffer = &link->other, .buffer_length = 1 };
	if (column == MYSQL_ROW_COLUMNS)
		return;
	bind->buffer = link->texts[column];
	bind->buffer_length = MYSQL_ROW_VALUE_MAX;
	bind->length = &link->lens[column];
	bind->is_null = &link->nulls[column];
}

/* Returns 0, or -1 for two columns of one name. */
static int
place_columns(struct mysql_link *link, MYSQL_BIND *binds, const MYSQL_FIELD *fields, unsigned count,
    struct mysql_row *row)
{
	for (unsigned i = 0; i < count; i++) {
		enum mysql_row_column column = mysql_row_column(fields[i].name);

		place_column(link, &binds[i], column);
		if (column == MYSQL_ROW_COLUMNS)
			continue;
		if (row->values[column].is_column) {
			set_reason(link, "the query returns two columns %s", fields[i].name);
			return -1;
		}
		row->values[column].is_column = true;
	}
	return 0;
}

/* The table may have changed since the query was prepared, and a procedure tells its columns only now. */
static int
read_columns(struct mysql_link *link, struct mysql_row *row)
{
	MYSQL_RES *result = mysql_stmt_result_metadata(link->statement);
	unsigned count;
	MYSQL_BIND *binds;
	int ok;

	*row = (struct mysql_row){ .values[0].is_column = false };
	if (result == NULL) {
		set_reason(link, "the query returns no table");
		return -1;
	}
	count = mysql_num_fields(result);
	binds = mem_array(count, sizeof(*binds));
	ok = place_columns(link, binds, mysql_fetch_fields(result), count, row);
	if (ok == 0 && mysql_stmt_bind_result(link->statement, binds) != 0) {
		note_run(link, "reading the answer");
		ok = -1;
	}
	mem_free(binds);
	mysql_free_result(result);
	return ok;
}

/* A value that was cut is nothing unusual: columns that are none of ours have no room. */
static enum mysql_found
fetch(struct mysql_link *link)
{
	int got = mysql_stmt_fetch(link->statement);

	if (got == 0 || got == MYSQL_DATA_TRUNCATED)
		return MYSQL_FOUND_ROW;
	if (got == MYSQL_NO_DATA)
		return MYSQL_FOUND_NONE;
	note_run(link, "reading the answer");
	return MYSQL_FOUND_FAILURE;
}

static void
take_row(struct mysql_link *link, struct mysql_row *row)
{
	for (unsigned i = 0; i < MYSQL_ROW_COLUMNS; i++) {
		struct mysql_row_value *value = &row->values[i];

		if (!value->is_column || link->nulls[i])
			continue;
		value->text = link->texts[i];
		value->len = link->lens[i];
		link->texts[i][value->len > MYSQL_ROW_VALUE_MAX ? MYSQL_ROW_VALUE_MAX : value->len] = '\0';
	}
}

static enum mysql_found
read_rows(struct mysql_link *link, struct mysql_row *row)
{
	enum mysql_found found;

	if (read_columns(link, row) == -1)
		return MYSQL_FOUND_FAILURE;
	if ((found = fetch(link)) != MYSQL_FOUND_ROW)
		return found;
	take_row(link, row);
	found = fetch(link);
	return found == MYSQL_FOUND_NONE ? MYSQL_FOUND_ROW : found == MYSQL_FOUND_ROW ? MYSQL_FOUND_SEVERAL : found;
}

/* Reads whatever else the server has to say; a procedure ends with a result of its own. */
static int
finish(struct mysql_link *link)
{
	int more;

	do {
		if (mysql_stmt_free_result(link->statement) != 0)
			return -1;
		more = mysql_stmt_next_result(link->statement);
	} while (more == 0);
	return more == -1 ? 0 : -1;
}

static enum mysql_found
run(struct mysql_link *link, const struct mysql_value *values, struct mysql_row *row)
{
	enum mysql_found found = MYSQL_FOUND_FAILURE;

	link->lost = false;
	if (execute(link, values) == 0)
		found = read_rows(link, row);
	if (!link->lost && finish(link) == -1)
		link->lost = true;
	if (!link->lost)
		link->used_ms = mysql_open_now();
	return found;
}

/* An idle server has nothing to say but that it goes. One that has long been silent may have gone without a word. */
static bool
is_there(struct mysql_link *link)
{
	struct pollfd p = { .fd = mysql_get_socket(link->mysql), .events = POLLIN };
	uint64_t now = mysql_open_now();
	bool answers;

	if (poll(&p, 1, 0) != 0)
		return false;
	if (now - link->used_ms < IDLE_MS)
		return true;
	mysql_open_wait_until(now + (uint64_t)mysql_open_left(link->deadline_ms) / 2);
	answers = mysql_ping(link->mysql) == 0;
	mysql_open_wait_until(link->deadline_ms);
	return answers;
}

enum mysql_found
mysql_link_ask(struct mysql_link *link, const struct mysql_value *values, uint64_t deadline_ms, struct mysql_row *row)
{
	bool was_open = link->mysql != NULL;
	enum mysql_found found;

	link->deadline_ms = deadline_ms;
	mysql_open_wait_until(deadline_ms);
	if (was_open && !is_there(link)) {
		drop(link);
		was_open = false;
	}
	if (mysql_link_open(link, deadline_ms) == -1)
		return MYSQL_FOUND_FAILURE;
	found = run(link, values, row);
	if (found == MYSQL_FOUND_FAILURE && link->lost && was_open && mysql_open_left(deadline_ms) > 0) {
		drop(link);
		if (mysql_link_open(link, deadline_ms) == -1)
			return MYSQL_FOUND_FAILURE;
		found = run(link, values, row);
	}
	if (link->lost)
		drop(link);
	return found;
}
