/*
 * proto - one table a protocol: both halves of its dialogue, pure
 *
 * A protocol is two state machines that never touch a socket. The client half speaks
 * with the client until it is known who it is; the login half then speaks with the
 * backend until it lets the client in. Each takes the bytes that arrived (a buf, from
 * which it takes what it used), appends what is to be sent to another, and gives a
 * verdict. The session owns sockets, time and the authentication source.
 *
 * What either half has to say to the log it leaves in `note`, without context; the
 * session writes it (level info unless said) and clears it. No note holds a secret.
 * Built on: buf, conf.
 */
#ifndef POSTERN_WORKER_PROTO_PROTO_H
#define POSTERN_WORKER_PROTO_PROTO_H

#include <stdbool.h>
#include <stddef.h>

#include "common/addr.h"
#include "common/buf.h"
#include "common/conf.h"
#include "common/log.h"

#define PROTO_NOTE 320
#define PROTO_SALT 160
#define PROTO_USER_MAX 1024     /* bytes of a user name that are taken; longer ones are refused */
#define PROTO_PASS_MAX 65536    /* of a password: tokens are long. Each source has a limit of its own */

/* What a client claims to be. Strings are owned, hold no CR, LF or NUL, and are wiped by credentials_reset(). */
struct credentials {
	enum method method;
	/* never empty but for EXTERNAL and OAUTHBEARER: certificate or token say who it is; METHOD_NONE: NULL */
	char *user;
	/* the password; APOP, CRAM-MD5: the 32 hexadecimal digits; XOAUTH2, OAUTHBEARER: the token; EXTERNAL: NULL */
	char *pass;
	bool replaced;          /* pass is not what the client has shown: a source has put its own there */
	char *authz;            /* authorization identity of PLAIN, when given and other than user; else NULL */
	/* SMTP without authentication: argument of HELO, whole MAIL and RCPT command lines */
	char *helo, *mail, *rcpt;
};

void credentials_reset(struct credentials *c);

/* What TLS told about a client. Strings are the session's; NULL where there is nothing to tell. */
struct tls_facts {
	const char *protocol, *cipher;  /* "TLSv1.3", OpenSSL's name */
	bool resumed;                   /* a session of before, with the certificate that was shown then */
	const char *sni;                /* lower case */
	const char *alpn;               /* the protocol that was agreed on; NULL: the client named none */
	const char *verify;             /* "SUCCESS", "NONE", "FAILED:reason"; NULL: ssl_verify_client is off */
	const char *subject, *issuer;   /* RFC 2253; as the next five, of a client's certificate */
	/* UTF-8 without control characters; NULL: it has none of that kind, or several */
	const char *common_name;
	const char *serial;             /* hexadecimal */
	const char *fingerprint, *fingerprint_sha256;
	const char *certificate;        /* PEM */
};

/* What the session knows of a connection before its first byte. Borrowed by the halves for their life. */
struct facts {
	const struct server *server;
	const struct addr *client;
	const struct addr *connected;   /* our own end of the client's connection; NULL: nobody asked */
	const struct addr *proxy_source, *proxy_destination;    /* as a PROXY header has them; NULL: there was none */
	char session[17];               /* our id of it, as in the log; "" in tests of less */
	const char *client_host;        /* SMTP: confirmed PTR name, or "[UNAVAILABLE]" */
	char salt[PROTO_SALT];          /* "<random.time@server_name>"; empty when no method wants one */
	bool secure;                    /* TLS stands, and then: */
	struct tls_facts tls;
};

/* Why a login did not happen, as the client half is to put it. */
enum refusal_kind {
	REFUSAL_SOURCE,         /* the source refused, with `text` (auth_http's own words), sent as it is */
	REFUSAL_WRONG,          /* the source refused and left the words to us */
	REFUSAL_BACKEND,        /* the backend refused; `text` is its answer where proxy_pass_error_message is on */
	REFUSAL_UNAVAILABLE,    /* nobody can say now: source, backend or we ourselves */
	REFUSAL_LIMITED,        /* too many logins have failed (limit_auth): this one was not tried */
	REFUSAL_CROWDED,        /* too many connections of this client are there (limit_conn) */
	REFUSAL_ELSEWHERE,      /* SMTP: the recipient belongs on another backend: 451 4.3.0 */
};

struct refusal {
	enum refusal_kind kind;
	const char *text;       /* without tag, status or code but for REFUSAL_BACKEND; NULL: none. One line */
	const char *code;       /* SMTP: "535 5.7.0"; NULL: the protocol's usual one */
	bool close;             /* auth_http without Auth-Wait: say it and close */
	/* XOAUTH2, OAUTHBEARER: sent before the refusal, in base64 (RFC 7628 section 3.2.2); NULL: ours */
	const char *challenge;
	bool temporary;         /* REFUSAL_BACKEND: it said "not now" */
};

enum goodbye {
	GOODBYE_TIMEOUT,        /* the client was silent */
	GOODBYE_SHUTDOWN,       /* this worker ends */
	GOODBYE_FAILED,         /* something broke on our side */
	GOODBYE_CERTIFICATE,    /* the client's certificate does not hold (NGINX: "SSL certificate error") */
	GOODBYE_NO_CERTIFICATE, /* it gave none and has to */
	GOODBYE_DENIED,         /* it may not come from there: instead of a greeting */
	GOODBYE_CROWDED,        /* too many have come from there: instead of a greeting */
};

enum proto_verdict {
	PROTO_MORE,             /* nothing to do until more bytes come */
	PROTO_AGAIN,            /* one command is done: call again (the session may pause first) */
	PROTO_CREDENTIALS,      /* client->credentials is complete: ask the source, then ->accepted or ->refused */
	PROTO_STARTTLS,         /* send `out`, drop what came in, shake hands, then ->secured */
	PROTO_CLOSE,            /* send `out`, then close */
};

/* The client half, common part; each protocol embeds it first. */
struct client {
	const struct proto *proto;
	const struct facts *facts;      /* borrowed */
	struct credentials credentials; /* filled at PROTO_CREDENTIALS; reset after the answer */
	unsigned errors, commands;
	char note[PROTO_NOTE];
};

enum login_verdict {
	LOGIN_MORE,             /* waits for the backend */
	LOGIN_DONE,             /* in: `reply` goes to the client; what is left in the input follows it */
	LOGIN_REFUSED,          /* the backend says no to these credentials; `reply` is its line */
	/* the backend says not now, before it saw credentials or about itself; `reply` may be empty */
	LOGIN_UNAVAILABLE,
	LOGIN_BROKEN,           /* it does not speak the protocol: `note` says how (level error) */
	LOGIN_STARTTLS,         /* send `out`, shake hands, then call ->login_secured */
};

/*
 * How to log in at the backend. `user` and `pass` are whose credentials are shown;
 * `authz` is who is meant when that is another (a master user logs in for a client), in
 * the mechanisms that know the difference.
 */
struct login_means {
	enum proxy_auth how;
	bool is_token;          /* `pass` is a bearer token, `method` says of which mechanism it came */
	bool is_own;            /* `pass` is what the client has shown: a refusal is its own failed login */
	enum method method;     /* of the client */
	const char *user;       /* never NULL but for METHOD_NONE */
	const char *pass;       /* NULL: there is none (PROXY_AUTH_EXTERNAL, PROXY_AUTH_NONE, XCLIENT LOGIN) */
	const char *authz;      /* NULL: user is meant */
};

/* What the login half is told. Borrowed until it is freed. */
struct login_task {
	const struct facts *facts;
	const struct client *client;    /* for what the backend must hear as the client said it: tag, HELO ... */
	bool starttls;                  /* TLS has to stand before anything secret is said; the half asks for it */
	const struct credentials *credentials;  /* as the source left them; of METHOD_NONE: HELO, MAIL, RCPT */
	struct login_means means;
};

/* The login half, common part; each protocol embeds it first. */
struct login {
	const struct proto *proto;
	const struct login_task *task;  /* borrowed */
	const char *action;             /* for log lines: "sending user name to upstream"; static */
	bool credentials_sent;          /* from here on no other peer may be tried */
	/* what the client is to get at LOGIN_DONE or LOGIN_REFUSED; limit proxy_buffer */
	struct buf reply;
	char note[PROTO_NOTE];
};

struct proto {
	const char *name;               /* protocol_name() */
	unsigned default_port;          /* of a backend that is named without one */
	unsigned default_ssl_port;      /* the same where TLS is there from the first byte */

	/* client half */
	struct client *(*client_new)(const struct facts *facts);
	void (*client_free)(struct client **clientp);
	void (*greet)(struct client *client, struct buf *out);
	/*
	 * At most one command of what stands in `in`; its answer, if any, is appended to `out`.
	 * `out` has room for any one answer (PROTO_ROOM) when this is called.
	 */
	enum proto_verdict (*input)(struct client *client, struct buf *in, struct buf *out);
	/*
	 * The login failed. Never says PROTO_CREDENTIALS: the client's next command does. The
	 * credentials are wiped by then. After XOAUTH2 and OAUTHBEARER the client first gets
	 * an error challenge, and its answer to that, whatever it is, brings the refusal: the
	 * half keeps what it needs of `why`, and PROTO_CLOSE, if asked for, comes only then.
	 */
	enum proto_verdict (*refused)(struct client *client, const struct refusal *why, struct buf *out);
	/* The backend is logged in; `reply` is what it said last. Appends what the client gets. */
	void (*accepted)(struct client *client, const struct buf *reply, struct buf *out);
	/*
	 * TLS stands, and facts say so: whatever the client said before is forgotten (RFC 3501
	 * section 6.2.1, 2595 section 4, 3207 section 4.2). facts->server may be another one now.
	 */
	void (*secured)(struct client *client);
	/* The last line to a greeted client, before or after login (then `client` is NULL). */
	void (*goodbye)(enum goodbye why, const char *server_name, struct buf *out);

	/* login half */
	struct login *(*login_new)(const struct login_task *task);
	void (*login_free)(struct login **loginp);
	enum login_verdict (*login_input)(struct login *login, struct buf *in, struct buf *out);
	enum login_verdict (*login_secured)(struct login *login, struct buf *out);
};

#define PROTO_ROOM 4096         /* the session offers at least so much room for answers */

/* The table's row; never NULL. */
const struct proto *proto_get(enum protocol protocol);

/* The ->login_free of a half that owns nothing but what struct login has. */
void login_free(struct login **loginp);

/*
 * Counts a command; false when max_commands or max_errors is passed, and `note` says so: then
 * PROTO_CLOSE, unanswered.
 */
bool client_count_command(struct client *client);
bool client_count_error(struct client *client);

/* Is STARTTLS there to be used: configured and not yet done? And may nothing be told before it? */
bool client_may_secure(const struct client *client);
bool client_must_secure(const struct client *client);

/*
 * Methods that a client may name: those listed, without those that want a challenge where
 * there is none. And those to offer: none before TLS that has to be, EXTERNAL only with a
 * certificate that holds.
 */
unsigned client_methods(const struct client *client);
unsigned client_offers(const struct client *client);

/* Does the method want a certificate that the client has not shown? Then `note` says so. */
bool client_lacks_certificate(struct client *client, enum method method);

/*
 * The backend has agreed to TLS: LOGIN_STARTTLS, unless more came with its answer, which
 * was sent in the clear and maybe by somebody else: then LOGIN_BROKEN, and `note` says so.
 */
enum login_verdict login_starttls(struct login *login, const struct buf *in);

/* Composes client->note or login->note. Text of strangers goes through log_text() first. */
void note_set(char note[PROTO_NOTE], const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Does a backend's line hold the password that it is sent, plain or in base64, or end with the beginning of it? */
bool login_repeats_password(const struct login *login, const char *line, size_t len);

/*
 * What the log may show of a backend's line, like log_text(); words in its place should the
 * backend repeat the password.
 */
const char *login_excerpt(const struct login *login, char *out, size_t size, const char *line, size_t len);

/* What is wrong with a line that line_next() does not take: "too long response line", "invalid response". */
enum line_state;
const char *login_line_fault(enum line_state state);

/* Composes `upstream sent EVENT: "excerpt of the line"`, or `upstream refused STARTTLS: "excerpt"`. */
void note_upstream(struct login *login, const char *event, const char *line, size_t len);
void note_no_starttls(struct login *login, const char *line, size_t len);

#endif
