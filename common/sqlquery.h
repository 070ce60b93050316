/*
 * sqlquery - an operator's SQL query with named parameters
 *
 * auth_mysql_query names what it wants to know, ":user" and the like; databases want a
 * "?" in each place and the values beside the query. The names are found by reading the
 * query as MySQL and MariaDB do: in quotes, in comments, behind "::" and as ":=" they are
 * none. No value ever goes into the text. Judged here is what a look at the query can
 * tell; whether it means anything is the server's to say. Pure. Built on: mem.
 */
#ifndef POSTERN_COMMON_SQLQUERY_H
#define POSTERN_COMMON_SQLQUERY_H

#include <stdbool.h>
#include <stddef.h>

#define SQLQUERY_MAX 16384              /* bytes of a query */
#define SQLQUERY_PARAMETERS_MAX 32      /* of one query, a name that stands there twice counted twice */

enum sqlquery_parameter {
	SQLQUERY_USER,          /* as the client gave it */
	SQLQUERY_LOCAL,         /* in front of the last "@"; all of it when there is none */
	SQLQUERY_DOMAIN,        /* behind the last "@"; else empty */
	SQLQUERY_PROTOCOL,      /* "imap", "pop3", "smtp" */
	SQLQUERY_CLIENT,        /* address of the client */
	SQLQUERY_SERVER,        /* server_name */
	SQLQUERY_PASSWORD,      /* as the client gave it, as bytes: the database judges it */
	SQLQUERY_NAMES
};

struct sqlquery {
	char *text;             /* owned: with "?" in each place, on one line, without comments */
	size_t count;
	enum sqlquery_parameter parameters[SQLQUERY_PARAMETERS_MAX];    /* whose value belongs at the first "?", ... */
};

/*
 * Reads one statement, with or without a ";" behind it. Returns NULL and the query, which
 * is the caller's to reset, or a static phrase that says what is wrong, and then the query
 * is empty. A query that asks for neither :user nor :local would answer for everyone: it
 * is refused.
 */
const char *sqlquery_parse(struct sqlquery *query, const char *text);

void sqlquery_reset(struct sqlquery *query);

/* Does it ask for this value? */
bool sqlquery_uses(const struct sqlquery *query, enum sqlquery_parameter parameter);

/*
 * The same query with its names, on one line: fresh, and the caller's. NULL for a text
 * that sqlquery_parse() refuses; else that reads the same from both.
 */
char *sqlquery_one_line(const char *text);

#endif
