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
	bool ssl, own_socket;
	struct sock_options options;
	struct server *server;
};

/* One `debug_connection`: a network as text, or a name that stands for addresses. */
struct draft_debug {
	const char *network;
	struct conf_name *name;
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

struct conf_draft {
	struct server *mail;            /* values of mail{}, which servers inherit */
	/* Where each row of the table stood in which block; line 0: nowhere. The last of several places. */
	struct conf_place *main_seen, *mail_seen;
	struct conf_place **server_seen;                /* by the server's index */
	bool has_events, has_mail;
	struct conf_place user, affinity;       /* line 0: not given */
	/* NULL-ended, in the order of the text */
	struct draft_listen **listens;
	struct draft_debug **debugs;
	struct draft_syslog **syslogs;
	struct draft_zone **zones;
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
	void *target;                   /* struct conf or struct server */
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

/* Puts a name that needs it among those to resolve. */
void conf_build_resolve(struct conf_build *b, struct conf_name *name);

/* The index of the log file `path` among conf->files. */
unsigned conf_build_file(struct conf_build *b, const char *path, bool fallback);

#endif
