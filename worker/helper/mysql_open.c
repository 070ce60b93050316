#include "worker/helper/mysql_open.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/mem.h"
#include "common/must.h"

#define PACKET_MAX (1ul << 20)  /* bytes of an answer */
#define AUTH_PLUGIN 2           /* MYSQL_CLIENT_AUTHENTICATION_PLUGIN; its header wants others that nobody installs */

/* How a server may ask us to prove who we are: none of these shows it, or who listens, the password. */
#define AUTH_PLUGINS "mysql_native_password,caching_sha2_password,sha256_password,client_ed25519"

/* The library hands no context to who waits for it. */
static _Thread_local uint64_t waiting_until_ms;

void
mysql_open_wait_until(uint64_t deadline_ms)
{
	waiting_until_ms = deadline_ms;
}

uint64_t
mysql_open_now(void)
{
	struct timespec now;

	MUST(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int
mysql_open_left(uint64_t deadline_ms)
{
	uint64_t now = mysql_open_now();

	if (deadline_ms <= now)
		return 0;
	return deadline_ms - now > INT_MAX ? INT_MAX : (int)(deadline_ms - now);
}

/*
 * The library calls this instead of waiting for its socket. Within TLS it would not: it
 * has made the socket a blocking one, unless we, who see it before, see to that.
 */
static int
wait_for_socket(my_socket fd, my_bool is_read, int timeout)
{
	struct pollfd p = { .fd = fd, .events = is_read ? POLLIN : POLLOUT };
	int flags = fcntl(fd, F_GETFL);

	(void)timeout;
	if (flags != -1 && (flags & O_NONBLOCK) == 0)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	return poll(&p, 1, mysql_open_left(waiting_until_ms));
}

void
mysql_open_prepare(void)
{
	static const char names[] = AUTH_PLUGINS;
	MYSQL *mysql;

	/* A resolver that does not answer shall not hold us for longer than it must. */
	setenv("RES_OPTIONS", "timeout:1 attempts:2", 0);
	MUST(mysql_library_init(0, NULL, NULL) == 0);
	MUST((mysql = mysql_init(NULL)) != NULL);
	for (const char *at = names, *end; *at != '\0'; at = *end == ',' ? end + 1 : end) {
		char *name = mem_strndup(at, (size_t)((end = strchrnul(at, ',')) - at));

		/* One that is not installed is missed when a server asks for it. */
		mysql_client_find_plugin(mysql, name, AUTH_PLUGIN);
		mem_free(name);
	}
	mysql_close(mysql);
}

/* Returns 0, or not if the library does not know one of them. */
static int
set_tls(MYSQL *mysql, const struct mysql_server *server)
{
	const my_bool ssl = server->ssl, verify = server->ssl && server->verify;
	int wrong = mysql_optionsv(mysql, MYSQL_OPT_SSL_ENFORCE, &ssl) |
	    mysql_optionsv(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);

	if (!server->ssl)
		return wrong;
	wrong |= mysql_optionsv(mysql, MARIADB_OPT_TLS_VERSION, "TLSv1.2,TLSv1.3");
	if (server->ca != NULL && verify)
		wrong |= mysql_optionsv(mysql, MYSQL_OPT_SSL_CA, server->ca);
	if (server->certificate != NULL)
		wrong |= mysql_optionsv(mysql, MYSQL_OPT_SSL_CERT, server->certificate);
	if (server->key != NULL)
		wrong |= mysql_optionsv(mysql, MYSQL_OPT_SSL_KEY, server->key);
	return wrong;
}

static int
set_options(MYSQL *mysql, const struct mysql_server *server, uint64_t deadline_ms)
{
	const unsigned protocol = server->socket != NULL ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
	const unsigned seconds = (unsigned)mysql_open_left(deadline_ms) / 1000 + 1, none = 0;
	const unsigned long packet_max = PACKET_MAX;
	const my_bool off = 0;

	return mysql_optionsv(mysql, MYSQL_OPT_PROTOCOL, &protocol) |
	    mysql_optionsv(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &seconds) |
	    mysql_optionsv(mysql, MARIADB_OPT_IO_WAIT, wait_for_socket) |
	    mysql_optionsv(mysql, MYSQL_OPT_RECONNECT, &off) |
	    mysql_optionsv(mysql, MYSQL_OPT_LOCAL_INFILE, &none) |
	    mysql_optionsv(mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet_max) |
	    mysql_optionsv(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4") |
	    mysql_optionsv(mysql, MARIADB_OPT_RESTRICTED_AUTH, AUTH_PLUGINS) |
	    mysql_optionsv(mysql, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "postern") |
	    /* In a transaction that never ends a password would never change. */
	    mysql_optionsv(mysql, MYSQL_INIT_COMMAND, "SET autocommit = 1") |
	    set_tls(mysql, server);
}

int
mysql_open(MYSQL **mysqlp, const struct mysql_server *server, uint64_t deadline_ms)
{
	MYSQL *mysql = mysql_init(NULL);

	MUST(mysql != NULL);
	mysql_open_wait_until(deadline_ms);
	*mysqlp = mysql;
	if (set_options(mysql, server, deadline_ms) != 0) {
		mysql_close(mysql);
		*mysqlp = NULL;
		return -1;
	}
	return mysql_real_connect(mysql, server->host, server->user, server->password, server->database, server->port,
	    server->socket, 0) != NULL ? 0 : -1;
}
