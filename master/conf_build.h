/*
 * conf_build - what the modules of the configuration share while one is being built
 *
 * The draft is what stands in the text and has no place in struct conf: it lives in the
 * conf's arena, is filled by the setters and used up by conf_merge and conf_check.
 * Built on: conf, arena.
 */
#ifndef POSTERN_MASTER_CONF_BUILD_H
#define POSTERN_MASTER_CONF_BUILD_H

#include <stdbool.h>

#include "common/arena.h"
#include "common/conf.h"
#include "master/conf_load.h"

/* One `listen`: a name or address, and ports from name->port to last_port. */
struct draft_listen {
	struct conf_name *name;
	unsigned last_port;
	bool ssl, proxy_protocol, own_socket;
	struct sock_options options;
	struct server *server;
};

/* A syslog server whose address the target still waits for. */
struct draft_syslog {
	struct log_target *target;
	struct conf_name *name;
};

/* A shared session cache that some ssl_session_cache names. */
struct draft_zone {
	const char *name;
	size_t bytes;
};

/* A URL of auth_http or auth_introspection. Whether it names an upstream is known when all have been read. */
struct draft_url {
	struct conf_name *name;         /* port 0: not given */
	const char *host;               /* the Host header */
	const char *uri;
	const char *label;              /* for log lines: the URL as written, "http://" left out */
	bool is_unix;
};

/* One auth_* line: `auth` is what becomes of it, and server->auth points there. */
struct draft_link {
	struct conf_auth auth;
	const char **words;             /* NULL-ended: what the line says */
	struct draft_url **urls;        /* NULL-ended; of SOURCE_HTTP and SOURCE_INTROSPECTION */
	struct conf_name *name;         /* of SOURCE_MYSQL */
};

/* One `server` of an upstream; of `web` all but name, host, uri and label is there. */
struct draft_peer {
	struct conf_name *name;
	struct conf_web web;
};

struct draft_upstream {
	const char *name;
	struct conf_place place;
	struct draft_peer **peers;      /* NULL-ended */
	struct conf_place *seen;
};

/* proxy_master_user: the password is read when some server wants it. */
struct draft_master {
	const char *user, *path, *pass;
	bool always;
	struct conf_place place;
};

/* What the sources of a server are made of: `server` comes first, and each struct server of a conf is one of these. */
struct draft_server {
	struct server server;
	unsigned http_keepalive, http_keepalive_requests;
	uint64_t http_keepalive_timeout;
	struct {
		const char *user, *password_file, *database, *query;
		bool ssl, ssl_verify;
		const char *trusted_certificate, *certificate, *key;
	} mysql;
	struct {
		const char *user, *directory;
	} pam;
	struct {
		const char *client_id, *secret_file;
	} introspection;
	struct conf_token token;        /* `claim` is NULL where nobody says: each kind has its own */
	struct draft_master *master;
};

/* What a server that stands alone has of weight, max_fails and fail_timeout (conf_type_upstream.c). */
extern const struct conf_web conf_web_alone;

struct conf_draft {
	struct draft_server *mail;      /* values of mail{}, which servers inherit */
	/* Where each row of the table stood in which block; line 0: nowhere. The last of several places. */
	struct conf_place *main_seen, *mail_seen;
	struct conf_place **server_seen;                /* by the server's index */
	bool has_events, has_mail;
	struct conf_place user, affinity;       /* line 0: not given */
	/* NULL-ended, in the order of the text */
	struct draft_listen **listens;
	struct draft_syslog **syslogs;
	struct draft_zone **zones;
	struct draft_upstream **upstreams;
};

struct conf_build {
	struct conf *conf;
	struct arena *arena;            /* the conf's */
	struct conf_draft *draft;       /* the conf's */
	const struct conf_request *request;
	const char *folder;             /* of the main file: where files named in it start */
	struct conf_place place;        /* of the directive being read */
	/* the block being read */
	unsigned block;                 /* enum conf_block */
	void *target;                   /* struct conf, draft_server or draft_upstream */
	struct conf_place *seen;
};

/* `path`, or if it is relative, the file below `folder`; in the arena. */
const char *conf_build_path(struct conf_build *b, const char *folder, const char *path);

/* An absolute path's folder; in the arena. */
const char *conf_build_folder(struct conf_build *b, const char *path);

/*
 * Reads "host:port", "[v6]:port" or "unix:PATH" into a name for `directive`; `shown` is what
 * messages call it. NULL when it is none, and that has been said. A name that is no literal
 * address still has to be passed to conf_build_resolve().
 */
struct conf_name *conf_build_name(struct conf_build *b, const char *directive, const char *shown, const char *text,
    unsigned default_port);

/* The upstream of this name, or NULL. */
const struct draft_upstream *conf_build_upstream(const struct conf_build *b, const char *name);

/* The same name with this port where it has none. */
struct conf_name *conf_build_port(struct conf_build *b, struct conf_name *name, unsigned port);

/* Puts a name that needs it among those to resolve. */
void conf_build_resolve(struct conf_build *b, struct conf_name *name);

/* The index of the log file `path` among conf->files. */
unsigned conf_build_file(struct conf_build *b, const char *path, bool fallback);

#endif
