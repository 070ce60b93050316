/*
 * conf_type - how a directive's words become a value, and a value words again
 *
 * Each kind of value is one struct conf_type: a setter, a printer and the size of the
 * field. The setters are given words whose number the table has checked.
 * Built on: conf_build, conf_print, num.
 */
#ifndef POSTERN_MASTER_CONF_TYPE_H
#define POSTERN_MASTER_CONF_TYPE_H

#include <stdbool.h>
#include <stddef.h>

struct conf_build;
struct conf_printer;
struct directive;

struct conf_type {
	/*
	 * Reads the words into `field`. Returns NULL, or what is wrong, to be said behind
	 * `"name" directive`, or CONF_SAID when it has been said already.
	 */
	const char *(*set)(struct conf_build *b, const struct directive *d, void *field, size_t argc,
	    const char *const *argv);
	/* Prints the directive that would set this value; nothing if there is none. */
	void (*print)(const struct conf_printer *p, const struct directive *d, const void *field);
	size_t size;            /* of the field: what a server inherits; 0: there is no field */
	bool repeats;           /* may stand in one block more than once */
};

extern const char CONF_SAID[];

/* Anybody's (conf_type.c). */
extern const struct conf_type type_flag, type_number, type_size, type_msec, type_short_msec, type_path;
extern const struct conf_type type_seconds, type_words, type_line;
extern const struct conf_type type_flag_ignored, type_msec_ignored, type_skipped;

/* Would this text, sent to a peer in a line of its protocol, break that line? */
bool conf_breaks_lines(const char *text);

/*
 * One of the row's words, or a set of them (conf_type_word.c). The fields are enums, which
 * are unsigned, or unsigned. With a row's `max` only the words are there that it has.
 */
struct conf_word {
	const char *text;
	unsigned value;         /* a bit, where they form sets */
};

extern const struct conf_type type_choice, type_set;
extern const struct conf_word words_methods[], words_ssl_protocols[], words_starttls[], words_proxy_ssl[];
extern const struct conf_word words_verify_client[], words_proxy_auth[], words_deny_action[], words_proxy_protocol[];
extern const struct conf_word words_limit_level[];

/* Of the main block and events (conf_type_main.c). */
extern const struct conf_type type_user, type_processes, type_affinity, type_priority, type_limit, type_limit_size;
extern const struct conf_type type_environment, type_text, type_debug_points, type_event_method;

/* Networks (conf_type_access.c). */
extern const struct conf_type type_access, type_networks, type_exempt;

/* Limits (conf_type_limit.c). */
extern const struct conf_type type_limit_zone, type_zone_limit;

/* resolver (conf_type_resolver.c). */
extern const struct conf_type type_resolver;

/* error_log (conf_type_log.c). */
extern const struct conf_type type_error_log, type_server_log;

/* Of mail and server (conf_type_mail.c). */
extern const struct conf_type type_protocol, type_server_names, type_header, type_proxy_pass, type_master, type_proxy;

/* proxy_bind (conf_type_bind.c). */
extern const struct conf_type type_bind;

/* The auth_* lines of a chain, and what stands beside them (conf_type_auth.c). */
extern const struct conf_type type_auth_http, type_auth_introspection, type_auth_file, type_auth_mysql, type_auth_pam;
extern const struct conf_type type_auth_jwt, type_auth_passthrough, type_auth_query, type_auth_names, type_auth_scopes;
extern const struct conf_type type_auth_cache;

/* upstream (conf_type_upstream.c). */
extern const struct conf_type type_peer;

/* Of TLS, on either side (conf_type_tls.c). */
extern const struct conf_type type_file, type_files, type_keys, type_commands, type_peer_verify, type_session_cache;
extern const struct conf_type type_compression;

/* listen (conf_type_listen.c). */
extern const struct conf_type type_listen;

#endif
