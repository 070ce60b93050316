/*
 * passwdline - one user of a password file
 *
 * A line is what Dovecot's passwd-file has: user:{SCHEME}secret:uid:gid:gecos:home:shell:keys,
 * where everything behind the user may be missing. Keys are "name=value" words; those
 * that say nothing to a gateway are skipped, those that would let in fewer people, or
 * reach a backend in a safer way, than we can see to are refused. In a value "%%" is a
 * percent sign; variables there are none. A struct passwdline points into its line.
 * Built on: grant, mem, secret.
 */
#ifndef POSTERN_WORKER_HELPER_PASSWDLINE_H
#define POSTERN_WORKER_HELPER_PASSWDLINE_H

#include "common/addr.h"
#include "common/conf.h"
#include "common/protocols.h"
#include "worker/helper/secret.h"

#define PASSWDLINE_USER_MAX 1024        /* bytes of a name, as long as one may be in a login */

/* A piece of the line; text NULL: not there. */
struct passwdline_slice {
	const char *text;
	size_t len;
};

struct passwdline {
	struct passwdline_slice user;
	struct secret secret;
	/* keys, as written */
	struct passwdline_slice host, port, login, destuser, pass, reason, allow_nets, protocols, nologin, ssl,
	    starttls;
};

/*
 * Reads a line without its end. Returns NULL, or a static phrase saying what is wrong
 * with it. After success the functions below do not fail.
 */
const char *passwdline_parse(struct passwdline *line, const char *text, size_t len);

/* Does a key of this name say anything to us? */
bool passwdline_knows(const char *key);

/* The value of a key, fresh and the caller's; NULL if it is not there. */
char *passwdline_value(const struct passwdline_slice *value);

/* Name and password for the backend, fresh; NULL: those of the client. */
char *passwdline_backend_user(const struct passwdline *line);
char *passwdline_backend_pass(const struct passwdline *line);

/*
 * The backend: *host fresh, and *port 0 when none is given. Without a host both are left
 * alone. Returns NULL or, when the line has not been judged yet, what is wrong.
 */
const char *passwdline_backend(const struct passwdline *line, char **host, unsigned *port, bool *is_unix);

/* Does it say what TLS the backend gets? Dovecot's words are taken: ssl=yes, starttls=yes, any-cert in either. */
bool passwdline_ssl(const struct passwdline *line, enum proxy_ssl *ssl);

/* May this user come from there (allow_nets), and by this protocol (protocols)? */
bool passwdline_allows_client(const struct passwdline *line, const struct addr *client);
bool passwdline_allows_protocol(const struct passwdline *line, enum protocol protocol);

#endif
