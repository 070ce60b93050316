/*
 * mysql_link - a kept connection to a database, with one prepared statement
 *
 * Opened when it is first needed and kept. Before each use it is looked at, after a while
 * without one the server is asked whether it is still there, and a question that finds it
 * gone all the same is asked once more over a new one. While none can be made, nobody
 * waits for it: attempts are spaced, each twice as far as the last. Values are bound to the
 * statement and never become its text. Built on: log, mem, must, mysql_open, mysql_row,
 * sqlquery.
 */
#ifndef POSTERN_WORKER_HELPER_MYSQL_LINK_H
#define POSTERN_WORKER_HELPER_MYSQL_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/sqlquery.h"
#include "worker/helper/mysql_open.h"
#include "worker/helper/mysql_row.h"

struct mysql_link;

/* A value for the query; text NULL is SQL's NULL. */
struct mysql_value {
	const char *text;
	size_t len;
	bool is_binary;         /* compared as bytes, not as letters */
};

enum mysql_found { MYSQL_FOUND_ROW, MYSQL_FOUND_NONE, MYSQL_FOUND_SEVERAL, MYSQL_FOUND_FAILURE };

/* A link that is not open yet. What it is told is borrowed for its life. */
struct mysql_link *mysql_link_new(const struct mysql_server *server, const struct sqlquery *query);

/* Closes it. NULL is fine; leaves NULL. */
void mysql_link_free(struct mysql_link **linkp);

/*
 * Opens it, unless it is open or it is too early for another attempt. Returns 0, or -1 and
 * mysql_link_reason() says why.
 */
int mysql_link_open(struct mysql_link *link, uint64_t deadline_ms);

/*
 * Runs the query with these values, one for each of its parameters. *row is the first row,
 * good until mysql_link_forget(), which wipes it.
 */
enum mysql_found mysql_link_ask(struct mysql_link *link, const struct mysql_value *values, uint64_t deadline_ms,
    struct mysql_row *row);
void mysql_link_forget(struct mysql_link *link);

/* Why the last call failed: for the log, without a secret. The link's, until the next call. */
const char *mysql_link_reason(const struct mysql_link *link);

#endif
