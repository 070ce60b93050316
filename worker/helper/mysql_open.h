/*
 * mysql_open - connections to a database by a client library that is held short
 *
 * No option files, no local files, one statement at a time, no reconnecting behind our
 * back; a server may ask for no password in clear; TLS, where it is wanted, is never less.
 * The library counts its timeouts in seconds for each read: here all that it waits for
 * ends by a deadline, handshakes included. Only a name that the resolver takes long to
 * find can go on for longer. Built on: mem, must, MariaDB Connector/C.
 */
#ifndef POSTERN_WORKER_HELPER_MYSQL_OPEN_H
#define POSTERN_WORKER_HELPER_MYSQL_OPEN_H

#include <mysql.h>
#include <stdbool.h>
#include <stdint.h>

/* Where the database is and who we are there. */
struct mysql_server {
	const char *host, *socket;      /* one of them is NULL */
	unsigned port;
	const char *user, *password, *database;
	bool ssl, verify;               /* the certificate, and the host's name in it */
	const char *ca, *certificate, *key;     /* PEM files; NULL: the system's CAs, none */
};

/* Loads what the library loads at first use, while files can still be opened. Once, before any thread. */
void mysql_open_prepare(void);

/* From now on nothing in this thread waits for a database beyond then, a time of CLOCK_MONOTONIC. */
void mysql_open_wait_until(uint64_t deadline_ms);

/* Now, as deadlines have it; and what is left of one, 0 when it has passed. */
uint64_t mysql_open_now(void);
int mysql_open_left(uint64_t deadline_ms);

/*
 * Connects. Returns 0, or -1 and then *mysqlp says what went wrong, or is NULL where the
 * library cannot do what we need. The caller closes it in any case.
 */
int mysql_open(MYSQL **mysqlp, const struct mysql_server *server, uint64_t deadline_ms);

#endif
