/*
 * mysql_row - what a row of auth_mysql's query says about a login
 *
 * Columns are known by their names, whatever their order and number; those that are not
 * ours say nothing. A database is believed no more than a stranger: a value that could not
 * be used, or that might mean something else than its author meant, is "cannot say now",
 * never a yes. A password that is NULL lets in only where the query has been given the
 * client's, for then it was the server that judged it; elsewhere nobody gets in by it.
 * Pure. Built on: codec, grant, mem, proof, secret.
 */
#ifndef POSTERN_WORKER_HELPER_MYSQL_ROW_H
#define POSTERN_WORKER_HELPER_MYSQL_ROW_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/helper/codec.h"
#include "worker/helper/secret.h"

#define MYSQL_ROW_VALUE_MAX 4096        /* bytes of a value that are looked at: more than any may have */

enum mysql_row_column {
	MYSQL_ROW_PASSWORD,     /* stored as secret.h has it */
	MYSQL_ROW_HOST, MYSQL_ROW_PORT, MYSQL_ROW_SSL,          /* the backend */
	MYSQL_ROW_USER, MYSQL_ROW_PASS,                         /* for it, instead of the client's */
	MYSQL_ROW_ALLOW_NETS, MYSQL_ROW_PROTOCOLS,
	MYSQL_ROW_NOLOGIN, MYSQL_ROW_REASON,                    /* the reason is the client's to read */
	MYSQL_ROW_COLUMNS
};

/* Text NULL: SQL's NULL, or a column that the query does not return. A NUL follows the text. */
struct mysql_row_value {
	bool is_column;
	const char *text;
	size_t len;             /* may be more than MYSQL_ROW_VALUE_MAX: then the text is cut there */
};

struct mysql_row {
	struct mysql_row_value values[MYSQL_ROW_COLUMNS];
};

/* The costliest stored password that came by, within reason: what is refused costs as much. All zero is none yet. */
struct mysql_row_past {
	char *text;             /* owned */
	struct secret costliest;        /* in the text */
};

/* The column of this name, in letters of either case; MYSQL_ROW_COLUMNS: none of ours. */
enum mysql_row_column mysql_row_column(const char *name);

/*
 * Answers the request from its user's row into `reply`, which is empty and the caller's to
 * reset. `checked`: the query was given the password of the client.
 */
void mysql_row_answer(const struct mysql_row *row, bool checked, struct mysql_row_past *past,
    const struct helper_request *request, struct helper_reply *reply);

/* The same when there is no row. */
void mysql_row_missing(const struct mysql_row_past *past, const struct helper_request *request,
    struct helper_reply *reply);

void mysql_row_past_reset(struct mysql_row_past *past);

#endif
