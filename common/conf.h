/*
 * conf - the configuration, typed
 *
 * Data, and what follows from it alone. The master builds a struct conf whole from the text, resolves its names,
 * opens what it names, and from then on nobody changes it: a reload builds another. It
 * lives in one arena and goes with it. Every process of a generation has its own copy
 * by fork(2). Times are milliseconds and sizes bytes unless the name says otherwise.
 * Built on: arena, addr, log, sock, addrset.
 */
#ifndef POSTERN_COMMON_CONF_H
#define POSTERN_COMMON_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/addr.h"
#include "common/log.h"
#include "common/protocols.h"
#include "common/sock.h"

struct addrset;
struct arena;
struct zone;

/* SASL mechanisms and their kin; bits of conf_protocol.methods. */
enum method {
	METHOD_PLAIN    = 1 << 0,
	METHOD_LOGIN    = 1 << 1,
	METHOD_APOP     = 1 << 2,
	METHOD_CRAM_MD5 = 1 << 3,
	METHOD_EXTERNAL = 1 << 4,
	METHOD_NONE     = 1 << 5,
	METHOD_XOAUTH2  = 1 << 6,       /* these two bring a bearer token in the password's place */
	METHOD_OAUTHBEARER = 1 << 7,
};

#define METHODS_TOKEN ((unsigned)(METHOD_XOAUTH2 | METHOD_OAUTHBEARER))
#define METHODS_PASSWORD ((unsigned)(METHOD_PLAIN | METHOD_LOGIN))
#define METHODS_CHALLENGE ((unsigned)(METHOD_APOP | METHOD_CRAM_MD5))

enum starttls { STARTTLS_OFF, STARTTLS_ON, STARTTLS_ONLY };
/* From weaker to stronger, but for the port: starttls is as strong as on. */
enum proxy_ssl { PROXY_SSL_OFF, PROXY_SSL_ON, PROXY_SSL_STARTTLS };
enum ssl_verify { SSL_VERIFY_OFF, SSL_VERIFY_ON, SSL_VERIFY_OPTIONAL, SSL_VERIFY_OPTIONAL_NO_CA };

/* Bits of a set of protocol versions. */
enum ssl_protocol {
	SSL_PROTOCOL_SSLV2 = 1 << 0, SSL_PROTOCOL_SSLV3 = 1 << 1, SSL_PROTOCOL_TLSV1 = 1 << 2,
	SSL_PROTOCOL_TLSV1_1 = 1 << 3, SSL_PROTOCOL_TLSV1_2 = 1 << 4, SSL_PROTOCOL_TLSV1_3 = 1 << 5,
};

/* Where in the text something stood, for messages that come after parsing. */
struct conf_place {
	const char *file;       /* NULL: the command line (-g) */
	unsigned line;
};

/*
 * A name that stands for addresses. A literal address is its own, only answer: `host` is
 * NULL then, `found` is there from the start and nobody needs to resolve anything.
 */
struct conf_name {
	const char *text;       /* as written, for messages */
	const char *host;
	unsigned port;
	struct endpoint *found; /* in the arena: every address, in the resolver's order; all with `port` */
	size_t found_count;
	const char *directive;  /* "listen", "auth_http", ...: who wants it */
	struct conf_place place;
};

/* A name and a value, such as of ssl_conf_command and auth_http_header. */
struct conf_pair {
	const char *name, *value;
};

enum ssl_cache { SSL_CACHE_NONE, SSL_CACHE_OFF, SSL_CACHE_BUILTIN, SSL_CACHE_SHARED };

/*
 * TLS on one side of a server, as the words of the configuration have it: towards clients
 * (ssl_*), backends (proxy_ssl_*) or an auth server (auth_http_ssl_*). Paths are absolute.
 * Equal settings share one context, which the master builds (tlsctx) and workers inherit.
 */
struct conf_tls {
	struct conf_place place;        /* of the server */
	bool needed;                    /* a listen, starttls, proxy_ssl or https:// of this server asks for it */
	const char **certificates, **keys;      /* NULL-ended, in pairs; keys may be "store:..." */
	const char *password_file;
	unsigned protocols;             /* bits of enum ssl_protocol */
	const char *ciphers;            /* OpenSSL's list; NULL: its own default */
	const char *curves;             /* "auto" or a list */
	const char *dhparam;
	struct conf_pair **commands;    /* NULL-ended, or NULL */
	/* whom to believe */
	enum ssl_verify verify;         /* of a peer: off or on */
	unsigned verify_depth;
	const char *client_certificate; /* CAs whose names are sent */
	const char *trusted_certificate;        /* CAs; of a peer NULL means the system's store */
	const char *crl;
	/* towards clients only */
	bool prefer_server_ciphers, reject_handshake, certificate_compression;
	enum ssl_cache cache;           /* it and the next three go together */
	size_t cache_builtin;           /* sessions of the builtin cache; 0: OpenSSL's default */
	const char *cache_zone;         /* SSL_CACHE_SHARED: its name and size */
	size_t cache_bytes;
	bool tickets;
	const char **ticket_keys;       /* files; NULL-ended, or NULL: the master's own, rotating keys */
	uint64_t session_timeout_s;
	const char *stapling_file;
	/* towards peers only */
	const char *name;               /* to verify and for SNI; NULL: the host as it was named */
	bool send_sni, session_reuse;
	struct tlsctx *context;         /* borrowed from the master's cache; NULL: this side has no TLS */
};

/* A log file. The master opens it; its descriptor has the same number in every process of the generation. */
struct conf_file {
	const char *path;       /* absolute */
	int fd;                 /* -1 until opened */
	bool fallback;          /* compiled in, nobody named it: if it cannot be opened, stderr will do */
};

/* Of a list of networks: a rule of allow and deny, or one of set_real_ip_from and debug_connection. */
struct conf_network {
	bool allow;
	const char *text;       /* as written */
	struct conf_name *name; /* whose addresses it stands for; NULL: the text is a network */
};

enum deny_action { DENY_REFUSE, DENY_DROP };    /* tell the client, or just close */

/* One address that a server listens on. */
struct conf_listen {
	struct endpoint at;
	const char *text;       /* nginx's way: "0.0.0.0:143", "[::]:143", "unix:/path" */
	struct sock_options options;
	bool own_socket;        /* "bind" or a parameter that implies it */
	struct server *server;
	struct conf_place place;
	/*
	 * A specific address without a socket of its own is served by the wildcard's of the
	 * same port, and the accepting worker asks getsockname(2) which it was.
	 */
	bool ssl;
	bool proxy_protocol;            /* a PROXY header comes first */
	bool given;                     /* its line says something of the socket */
	/* NULL-ended: all that share this listen, told apart by SNI; servers[0] is `server` */
	struct server **servers;
	struct conf_listen *wildcard;   /* NULL: it has its own socket */
	bool shared;                    /* this is a wildcard that others rely on */
	int fd;                         /* the master's, inherited; -1 where wildcard serves */
	bool lent;                      /* by a service manager: its file, if it has one, is none of ours */
};

/* One server of an auth_http or auth_introspection: a URL of its line, or a server of the upstream that it names. */
struct conf_web {
	struct conf_name *name;
	const char *host;               /* the Host header */
	const char *uri;
	const char *label;              /* for log lines: "localhost:9000/auth" */
	bool backup;                    /* only when none of the others answers */
	unsigned weight;                /* of its share, from 1 */
	unsigned max_fails;             /* failures within fail_timeout that put it aside for as long; 0: never */
	uint64_t fail_timeout;
};

/*
 * Sources say who a client is. A source's key decides whether a reload keeps its helpers;
 * it is also in the keys of what a cache keeps of its answers.
 */
enum source_kind {
	SOURCE_HTTP, SOURCE_FILE, SOURCE_MYSQL, SOURCE_PAM, SOURCE_JWT, SOURCE_INTROSPECTION, SOURCE_PASSTHROUGH,
	SOURCE_KINDS
};

struct conf_source {
	enum source_kind kind;
	unsigned index;                 /* in conf->sources */
	const char *key;                /* its settings as one text; equal keys are the same source */
	const char *label;              /* for log lines: "localhost:9000/auth", "/etc/postern/users" */
	struct conf_place place;
	unsigned methods;               /* bits of enum method: what it can be asked about */
	uint64_t timeout;               /* from question to answer; of helpers */
	/* SOURCE_HTTP, SOURCE_INTROSPECTION */
	struct conf_web **servers;      /* NULL-ended, in their order */
	bool https;                     /* by its servers' auth_http_tls; equal settings, since they are in the key */
	unsigned keepalive;             /* idle connections kept by one worker to one server; 0: none */
	unsigned keepalive_requests;    /* on one connection */
	uint64_t keepalive_timeout;     /* of an idle connection */
	/* SOURCE_INTROSPECTION */
	const char *client_id, *client_secret;  /* NULL: none */
	/* SOURCE_INTROSPECTION, and in the settings of SOURCE_JWT: what a token must say */
	const struct conf_token *token;
	/* those with helpers */
	const char *path;               /* absolute: the file that helpers are fed; NULL: none */
	/* "name=value" lines (IPC_SET_SOURCE), each ended by \n; NULL: none. Nothing secret */
	const char *settings;
	const char *account;            /* helpers run as this user; NULL: as the workers' */
	unsigned helpers;               /* processes; 0: this kind has none */
	int mailbox;                    /* the write end, once the master has made it; else -1 */
	/* of its file: changes whenever an older answer is void. The master's page; NULL: never does */
	const _Atomic uint64_t *epoch;
};

/* What a token has to say before it is believed (RFC 7519 section 4.1, RFC 7662 section 2.2). */
struct conf_token {
	const char *issuer;             /* NULL: anybody */
	const char **audiences;         /* NULL-ended, one of which it must name; NULL: any */
	const char **scopes;            /* NULL-ended, all of which it must have; NULL: none */
	const char *claim;              /* that holds the user name */
	uint64_t leeway;                /* by which clocks may differ */
};

/* One auth_* line of a server: a link of its chain. */
struct conf_auth {
	struct conf_source *source;     /* servers whose sources have the same settings share one */
	/* NULL-ended patterns ("*@example.org") of the names it is asked about; NULL: all */
	const char **users;
};

/* auth_cache. Servers that name the same zone share it. */
struct conf_cache {
	const char *zone;               /* its name */
	size_t bytes;
	uint64_t ttl, negative;         /* how long a yes is good, and a no; 0: is not kept */
	struct conf_place place;
	/* the master's, inherited: */
	/* two tables, so that no amount of wrong passwords evicts a right one */
	struct zone *accepted, *refused;
	const unsigned char *secret;    /* CONF_CACHE_SECRET bytes */
};

#define CONF_CACHE_SECRET 32

/* limit_conn_zone, limit_auth_zone: by what something is limited, and how. */
enum conf_limit_kind { LIMIT_CONN, LIMIT_AUTH };
enum conf_limit_key {
	LIMIT_BY_ADDRESS = 1 << 0, LIMIT_BY_USER = 1 << 1,      /* both: by the pair */
	LIMIT_BY_DOMAIN = 1 << 2, LIMIT_BY_HEADER = 1 << 3,
};

struct conf_limit_zone {
	enum conf_limit_kind kind;
	unsigned index;                 /* in conf->limit_zones */
	const char *name;
	size_t bytes;
	unsigned key;                   /* bits of enum conf_limit_key */
	/* LIMIT_BY_HEADER: of the auth server's answer, as variables have it: "auth_plan" */
	const char *header;
	/* LIMIT_AUTH */
	unsigned rate, rate_unit_s;     /* so many failures in so many seconds are forgiven */
	unsigned burst;                 /* failures that may come at once */
	struct conf_place place;
	/* the master's, inherited: */
	struct zone *zone;
	const unsigned char *secret;    /* CONF_LIMIT_SECRET bytes: what is in the zone is hashed with it */
};

#define CONF_LIMIT_SECRET 32

/* limit_conn, limit_auth: a zone, and how much of it anybody may have. */
struct conf_limit {
	const char *name;               /* of the zone */
	const struct conf_limit_zone *zone;
	unsigned most;                  /* LIMIT_CONN: connections */
	struct conf_place place;
};

/* resolver: the name servers that are asked how clients are called. Servers whose words are the same share one. */
struct conf_resolver {
	unsigned index;                 /* in conf->resolvers */
	const char *text;               /* its words */
	struct conf_name **servers;     /* NULL-ended, at least one */
	uint64_t valid_s;               /* how long an answer is good; 0: as long as it says */
	bool ipv4, ipv6;                /* the families whose clients are asked about */
};

/* The PROXY header that a backend gets. */
enum proxy_protocol { PROXY_PROTOCOL_OFF, PROXY_PROTOCOL_V1, PROXY_PROTOCOL_V2 };

/* proxy_bind: from which address a backend is connected. */
struct conf_bind {
	struct addr addr;               /* AF_UNSPEC: the client's own */
	bool transparent;               /* it need not be one of this machine's */
	struct conf_place place;
};

/* How to log in at a backend. */
enum proxy_auth {
	/* a password by the protocol's own command (SMTP: by what EHLO offers), a token as it came */
	PROXY_AUTH_AUTO,
	PROXY_AUTH_PLAIN, PROXY_AUTH_LOGIN, PROXY_AUTH_XOAUTH2, PROXY_AUTH_OAUTHBEARER,
	PROXY_AUTH_EXTERNAL,            /* our certificate says who we are, the authorization identity who is meant */
	/* the backend asks for nothing: a PREAUTH greeting, XCLIENT LOGIN, a trusted address */
	PROXY_AUTH_NONE,
};

/* What a server says and takes in one protocol. */
struct conf_protocol {
	unsigned methods;               /* bits of enum method */
	const char **capabilities;      /* NULL-ended; each one word, or one EHLO line */
	size_t client_buffer;
};

struct conf_header {
	const char *name, *value;
};

struct server {
	struct conf_place place;
	unsigned index;                 /* in conf->servers */
	enum protocol protocol;
	const char *name;               /* the first of names that is no pattern, for greetings and challenges */
	const char **names;             /* NULL-ended: server_name, lower case; may begin with "*." */
	const struct log *log;
	uint64_t timeout;
	unsigned max_errors, max_commands;
	/* who may come in, and whom we believe about that */
	struct conf_network **access;   /* allow and deny in their order; NULL-ended, or NULL */
	struct conf_network **real_ip_from;
	enum deny_action deny_action;
	/* made of these; borrowed from conf->addrsets; NULL: everybody, nobody */
	const struct addrset *clients, *trusted_proxies;
	/* how much of it */
	struct conf_limit **conn_limits, **auth_limits; /* NULL-ended, or NULL */
	enum log_level conn_limit_level;
	bool conn_limit_dry_run;
	struct conf_network **limit_exempt;
	const struct addrset *unlimited;        /* made of it; borrowed from conf->addrsets; NULL: nobody */
	/* NULL-ended, or NULL: those of the auth server's answer by which connections are limited */
	const char **kept_headers;
	const struct conf_resolver *resolver;   /* how SMTP clients are called; NULL: nobody asks */
	uint64_t resolver_timeout;      /* how long a greeting waits for that */
	/* who is it */
	struct conf_auth **auth;        /* NULL-ended: the sources in the order in which they are asked; at least one */
	struct conf_cache *auth_cache;  /* NULL: none */
	/* the first refusal of a session is held back for so long, each further one twice as long; 0: off */
	uint64_t auth_failure_delay;
	uint64_t auth_http_timeout;
	size_t auth_http_buffer;
	struct conf_header **auth_http_headers;         /* NULL-ended, or NULL */
	bool auth_http_pass_client_cert;
	uint64_t auth_timeout;          /* helpers' sources: from question to answer */
	unsigned auth_helpers;          /* what its source was given as `helpers` */
	/* where to */
	struct conf_name *proxy_pass;   /* NULL: the source names the backend */
	const struct conf_bind *proxy_bind;     /* NULL: the system chooses */
	size_t proxy_buffer;
	uint64_t proxy_timeout;
	bool proxy_pass_error_message;
	enum proxy_protocol proxy_protocol;     /* the header towards the backend */
	bool xclient, xclient_required;
	bool proxy_imap_id;             /* IMAP backends are told by ID where the client comes from */
	bool proxy_smtp_auth;
	enum proxy_auth proxy_auth;
	/* proxy_master_user: logs in for those who left no password; NULL: there is none */
	const char *master_user, *master_pass;
	bool master_always;             /* ... and for all others */
	uint64_t smtp_greeting_delay;
	/* TLS */
	enum starttls starttls;
	struct conf_tls tls;            /* towards clients */
	enum proxy_ssl proxy_ssl;
	struct conf_tls proxy_tls;
	struct conf_tls auth_http_tls;  /* for https:// */
	struct conf_protocol protocols[PROTOCOL_COUNT];
};

/* A configuration file as it was read (-T). */
struct conf_text {
	const char *path;
	const char *bytes;
	size_t len;
};

struct conf_draft;

enum conf_affinity { AFFINITY_NONE, AFFINITY_AUTO, AFFINITY_MASKS };

struct conf {
	struct arena *arena;            /* owned: everything here, this struct and the paths of endpoints too */
	/* main */
	bool daemon, master_process;
	const char *pid_path;
	const char *user;               /* account of the workers; uid and gid are its. As root only; else our own */
	const char *group;              /* NULL: the account's own */
	uid_t uid;
	gid_t gid;
	unsigned worker_processes;      /* "auto" is resolved */
	enum conf_affinity affinity;
	uint64_t (*affinity_masks)[16]; /* CPU sets of 1024 bits; the last repeats */
	size_t affinity_count;
	int worker_priority;
	long long rlimit_nofile, rlimit_core;           /* -1: leave */
	uint64_t shutdown_timeout;      /* 0: none */
	const char *working_directory;
	const char **environment;       /* NULL-ended "NAME=value": exactly what workers see */
	unsigned timer_resolution;      /* 0: exact */
	bool debug_stop;                /* debug_points stop */
	bool binding, transparent;      /* some server has a proxy_bind, one that is transparent */
	const char *helper_path;
	bool ssl_object_cache_inheritable;              /* a reload takes over certificates whose files are unchanged */
	/* events */
	unsigned worker_connections;
	bool multi_accept;
	unsigned epoll_events;
	struct conf_network **debug_networks;           /* debug_connection; NULL-ended, or NULL */
	const struct addrset *debug_connections;        /* made of them; NULL: none */
	struct addrset **addrsets;      /* the sets and what they were made of: they alone live outside the arena */
	size_t addrset_count;
	/* lists, NULL-ended arrays of pointers; counts beside them */
	struct server **servers;
	size_t server_count;
	struct conf_listen **listens;
	size_t listen_count;
	struct conf_source **sources;
	size_t source_count;
	struct conf_resolver **resolvers;
	size_t resolver_count;
	struct conf_cache **caches;
	size_t cache_count;
	struct conf_limit_zone **limit_zones;
	size_t limit_zone_count;
	struct conf_name **names;       /* only those that are to be resolved */
	size_t name_count;
	struct conf_file **files;
	size_t file_count;
	struct log *log;                /* of the process */
	uint32_t generation;            /* counts loads, from 1 */
	const char *path;               /* of the main file, absolute */
	struct conf_text **texts;       /* of all files in the order of reading, if they were asked for; else NULL */
	struct conf_draft *draft;       /* what conf_load() leaves for conf_check() */
};

/* The same socket: the same address, and nothing that a live socket cannot become. */
bool conf_listen_is_same(const struct conf_listen *a, const struct conf_listen *b);

/* The directive that asks for a kind of source: "auth_http". Static. */
const char *conf_source_directive(enum source_kind kind);

/*
 * Is it asked about this user (NULL or "": a name that is not known yet, which only those
 * without patterns are)? Does the name match the pattern: "*" is any run of bytes, and the
 * case of letters counts only in front of the pattern's last "@".
 */
bool conf_auth_covers(const struct conf_auth *auth, const char *user);
bool conf_user_matches(const char *pattern, const char *user);

/* Is this the header that a variable's name ("x_plan") stands for? */
bool conf_is_header(const char *variable, const char *header);

/* Wipes and frees all of it, addrsets included, and leaves NULL; does not close descriptors. NULL is fine. */
void conf_free(struct conf **confp);

#endif
