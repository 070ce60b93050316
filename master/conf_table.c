#include "master/conf_table.h"

#include <stdio.h>
#include <string.h>

#include "common/conf.h"
#include "common/mem.h"
#include "common/must.h"
#include "master/conf_build.h"
#include "master/conf_type.h"

#define IN_BOTH (IN_MAIL | IN_SERVER)

#define OF_CONF(member) .offset = offsetof(struct conf, member)
#define NO_FIELD .offset = 0
#define OF_SERVER(member) .offset = offsetof(struct draft_server, server.member)
#define OF_DRAFT(member) .offset = offsetof(struct draft_server, member)

/* Limits that nobody should meet; they keep sums and products from wrapping. */
#define MAX_BUFFER ((uint64_t)1 << 30)
#define MAX_COUNT 1000000000
#define MAX_DEPTH 100           /* of a chain of certificates */
#define MAX_LEEWAY_MSEC 86400000        /* a day: what postern-auth-jwt takes */
#define MAX_PROCESSES 256       /* of one kind; the board holds those of several generations */

#define PROTOCOL_DIRECTIVES(upper, lower, known, its_auth, its_words, its_buffer, ...) \
	{ #lower "_auth", IN_BOTH, 1, ANY_ARGS, &type_set, OF_SERVER(protocols[PROTOCOL_##upper].methods), \
	    .fallback = its_auth, .max = known, .words = words_methods }, \
	{ #lower "_capabilities", IN_BOTH, 1, ANY_ARGS, &type_words, \
	    OF_SERVER(protocols[PROTOCOL_##upper].capabilities), .fallback = its_words }, \
	{ #lower "_client_buffer", IN_BOTH, 1, 1, &type_size, OF_SERVER(protocols[PROTOCOL_##upper].client_buffer), \
	    .fallback = its_buffer, .min = 1, .max = MAX_BUFFER },

#define OF_TLS(side, member) OF_SERVER(side.member)

/* TLS has sides: clients, backends, an auth server. What all of them know, under the prefix of each: */
#define TLS_DIRECTIVES(prefix, side, its_ciphers) \
	{ prefix "_certificate", IN_BOTH, 1, 1, &type_files, OF_TLS(side, certificates) }, \
	{ prefix "_certificate_key", IN_BOTH, 1, 1, &type_keys, OF_TLS(side, keys) }, \
	{ prefix "_password_file", IN_BOTH, 1, 1, &type_file, OF_TLS(side, password_file) }, \
	{ prefix "_protocols", IN_BOTH, 1, ANY_ARGS, &type_set, OF_TLS(side, protocols), \
	    .fallback = "TLSv1.2 TLSv1.3", .words = words_ssl_protocols }, \
	{ prefix "_ciphers", IN_BOTH, 1, 1, &type_text, OF_TLS(side, ciphers), .fallback = its_ciphers }, \
	{ prefix "_conf_command", IN_BOTH, 2, 2, &type_commands, OF_TLS(side, commands) }, \
	{ prefix "_verify_depth", IN_BOTH, 1, 1, &type_number, OF_TLS(side, verify_depth), .fallback = "1", \
	    .max = MAX_DEPTH }, \
	{ prefix "_trusted_certificate", IN_BOTH, 1, 1, &type_file, OF_TLS(side, trusted_certificate) }, \
	{ prefix "_crl", IN_BOTH, 1, 1, &type_file, OF_TLS(side, crl) }

/* And what those know where we are the client. */
#define PEER_DIRECTIVES(prefix, side) \
	TLS_DIRECTIVES(prefix, side, NULL), \
	{ prefix "_verify", IN_BOTH, 1, 1, &type_peer_verify, OF_TLS(side, verify), .fallback = "on" }, \
	{ prefix "_name", IN_BOTH, 1, 1, &type_text, OF_TLS(side, name) }, \
	{ prefix "_server_name", IN_BOTH, 1, 1, &type_flag, OF_TLS(side, send_sni), .fallback = "on" }, \
	{ prefix "_session_reuse", IN_BOTH, 1, 1, &type_flag, OF_TLS(side, session_reuse), .fallback = "on" }

const struct directive directives[] = {
	/* everywhere */
	{ "include", IN_ANY, 1, 1, NULL, NO_FIELD },

	/* main */
	{ "user", IN_MAIN, 1, 2, &type_user, OF_CONF(user) },
	{ "worker_processes", IN_MAIN, 1, 1, &type_processes, OF_CONF(worker_processes), .fallback = "1",
	    .min = 1, .max = MAX_PROCESSES },
	{ "worker_cpu_affinity", IN_MAIN, 1, ANY_ARGS, &type_affinity, OF_CONF(affinity) },
	{ "worker_priority", IN_MAIN, 1, 1, &type_priority, OF_CONF(worker_priority), .fallback = "0" },
	{ "worker_rlimit_nofile", IN_MAIN, 1, 1, &type_limit, OF_CONF(rlimit_nofile), .fallback = "",
	    .max = MAX_COUNT },
	{ "worker_rlimit_core", IN_MAIN, 1, 1, &type_limit_size, OF_CONF(rlimit_core), .fallback = "",
	    .max = INT64_MAX },
	{ "worker_shutdown_timeout", IN_MAIN, 1, 1, &type_msec, OF_CONF(shutdown_timeout), .max = CONF_MAX_MSEC },
	{ "working_directory", IN_MAIN, 1, 1, &type_text, OF_CONF(working_directory) },
	{ "env", IN_MAIN, 1, 1, &type_environment, OF_CONF(environment) },
	{ "daemon", IN_MAIN, 1, 1, &type_flag, OF_CONF(daemon), .fallback = "on" },
	{ "master_process", IN_MAIN, 1, 1, &type_flag, OF_CONF(master_process), .fallback = "on" },
	{ "pid", IN_MAIN, 1, 1, &type_path, OF_CONF(pid_path), .fallback = POSTERN_PID_PATH },
	{ "timer_resolution", IN_MAIN, 1, 1, &type_short_msec, OF_CONF(timer_resolution), .max = 3600000 },
	{ "debug_points", IN_MAIN, 1, 1, &type_debug_points, OF_CONF(debug_stop) },
	{ "error_log", IN_MAIN, 1, ANY_ARGS, &type_error_log, OF_CONF(log) },
	{ "auth_helper_path", IN_MAIN, 1, 1, &type_path, OF_CONF(helper_path), .fallback = POSTERN_HELPER_PATH },
	{ "ssl_object_cache_inheritable", IN_MAIN, 1, 1, &type_flag, OF_CONF(ssl_object_cache_inheritable),
	    .fallback = "on" },
	{ "load_module", IN_MAIN, 1, 1, &type_skipped, NO_FIELD },
	{ "lock_file", IN_MAIN, 1, 1, &type_skipped, NO_FIELD },
	{ "pcre_jit", IN_MAIN, 1, 1, &type_skipped, NO_FIELD },
	{ "thread_pool", IN_MAIN, 2, 3, &type_skipped, NO_FIELD },
	{ "ssl_engine", IN_MAIN, 1, 1, &type_skipped, NO_FIELD },
	{ "google_perftools_profiles", IN_MAIN, 1, 1, &type_skipped, NO_FIELD },
	{ "quic_bpf", IN_MAIN, 1, 1, &type_skipped, NO_FIELD },
	{ "http", IN_MAIN, 0, 0, &type_skipped, .opens = SKIPPED },
	{ "stream", IN_MAIN, 0, 0, &type_skipped, .opens = SKIPPED },

	/* events */
	{ "events", IN_MAIN, 0, 0, NULL, .opens = IN_EVENTS },
	{ "worker_connections", IN_EVENTS, 1, 1, &type_number, OF_CONF(worker_connections), .fallback = "512",
	    .min = 1, .max = MAX_COUNT },
	{ "use", IN_EVENTS, 1, 1, &type_event_method, NO_FIELD },
	{ "multi_accept", IN_EVENTS, 1, 1, &type_flag, OF_CONF(multi_accept), .fallback = "off" },
	{ "accept_mutex", IN_EVENTS, 1, 1, &type_flag_ignored, NO_FIELD },
	{ "accept_mutex_delay", IN_EVENTS, 1, 1, &type_msec_ignored, .max = CONF_MAX_MSEC },
	{ "epoll_events", IN_EVENTS, 1, 1, &type_number, OF_CONF(epoll_events), .fallback = "512",
	    .min = 1, .max = 1 << 20 },
	{ "debug_connection", IN_EVENTS, 1, 1, &type_networks, OF_CONF(debug_networks) },
	{ "worker_aio_requests", IN_EVENTS, 1, 1, &type_skipped, NO_FIELD },

	/* mail */
	{ "mail", IN_MAIN, 0, 0, NULL, .opens = IN_MAIL },
	{ "server", IN_MAIL, 0, 0, NULL, .opens = IN_SERVER },
	{ "listen", IN_SERVER, 1, ANY_ARGS, &type_listen, NO_FIELD },
	{ "protocol", IN_SERVER, 1, 1, &type_protocol, OF_SERVER(protocol) },
	{ "server_name", IN_BOTH, 1, ANY_ARGS, &type_server_names, OF_SERVER(names), .fallback = "" },
	{ "timeout", IN_BOTH, 1, 1, &type_msec, OF_SERVER(timeout), .fallback = "60s", .min = 1, .max = CONF_MAX_MSEC },
	{ "max_errors", IN_BOTH, 1, 1, &type_number, OF_SERVER(max_errors), .fallback = "5", .max = MAX_COUNT },
	{ "max_commands", IN_BOTH, 1, 1, &type_number, OF_SERVER(max_commands), .fallback = "1000",
	    .min = 1, .max = MAX_COUNT },
	{ "error_log", IN_BOTH, 1, ANY_ARGS, &type_server_log, OF_SERVER(log) },

	/* who may come in, and from where */
	{ "allow", IN_BOTH, 1, 1, &type_access, OF_SERVER(access) },
	{ "deny", IN_BOTH, 1, 1, &type_access, OF_SERVER(access) },
	{ "deny_action", IN_BOTH, 1, 1, &type_choice, OF_SERVER(deny_action), .fallback = "refuse",
	    .words = words_deny_action },
	{ "set_real_ip_from", IN_BOTH, 1, 1, &type_networks, OF_SERVER(real_ip_from) },
	{ "resolver", IN_BOTH, 1, ANY_ARGS, &type_resolver, OF_SERVER(resolver), .fallback = "off" },
	{ "resolver_timeout", IN_BOTH, 1, 1, &type_msec, OF_SERVER(resolver_timeout), .fallback = "30s",
	    .min = 1, .max = CONF_MAX_MSEC },

	/* how much of it */
	{ "limit_conn_zone", IN_MAIL, 2, 2, &type_limit_zone, NO_FIELD },
	{ "limit_conn", IN_BOTH, 2, 2, &type_zone_limit, OF_SERVER(conn_limits) },
	{ "limit_conn_log_level", IN_BOTH, 1, 1, &type_choice, OF_SERVER(conn_limit_level), .fallback = "error",
	    .words = words_limit_level },
	{ "limit_conn_dry_run", IN_BOTH, 1, 1, &type_flag, OF_SERVER(conn_limit_dry_run), .fallback = "off" },
	{ "limit_auth_zone", IN_MAIL, 3, 4, &type_limit_zone, NO_FIELD },
	{ "limit_auth", IN_BOTH, 1, 1, &type_zone_limit, OF_SERVER(auth_limits) },
	{ "limit_exempt", IN_BOTH, 1, 1, &type_exempt, OF_SERVER(limit_exempt) },

	/* TLS towards clients */
	{ "starttls", IN_BOTH, 1, 1, &type_choice, OF_SERVER(starttls), .fallback = "off", .words = words_starttls },
	TLS_DIRECTIVES("ssl", tls, "HIGH:!aNULL:!MD5"),
	{ "ssl_certificate_compression", IN_BOTH, 1, 1, &type_compression, OF_TLS(tls, certificate_compression),
	    .fallback = "off" },
	{ "ssl_dhparam", IN_BOTH, 1, 1, &type_file, OF_TLS(tls, dhparam) },
	{ "ssl_ecdh_curve", IN_BOTH, 1, 1, &type_text, OF_TLS(tls, curves), .fallback = "auto" },
	{ "ssl_prefer_server_ciphers", IN_BOTH, 1, 1, &type_flag, OF_TLS(tls, prefer_server_ciphers),
	    .fallback = "off" },
	{ "ssl_session_cache", IN_BOTH, 1, 2, &type_session_cache, OF_TLS(tls, cache), .fallback = "none" },
	{ "ssl_session_tickets", IN_BOTH, 1, 1, &type_flag, OF_TLS(tls, tickets), .fallback = "on" },
	{ "ssl_session_ticket_key", IN_BOTH, 1, 1, &type_files, OF_TLS(tls, ticket_keys) },
	{ "ssl_session_timeout", IN_BOTH, 1, 1, &type_seconds, OF_TLS(tls, session_timeout_s), .fallback = "5m",
	    .max = CONF_MAX_MSEC / 1000 },
	{ "ssl_verify_client", IN_BOTH, 1, 1, &type_choice, OF_TLS(tls, verify), .fallback = "off",
	    .words = words_verify_client },
	{ "ssl_client_certificate", IN_BOTH, 1, 1, &type_file, OF_TLS(tls, client_certificate) },
	{ "ssl_stapling_file", IN_BOTH, 1, 1, &type_file, OF_TLS(tls, stapling_file) },
	{ "ssl_reject_handshake", IN_BOTH, 1, 1, &type_flag, OF_TLS(tls, reject_handshake), .fallback = "off" },

	/* who is it */
	{ "auth_http", IN_BOTH, 1, ANY_ARGS, &type_auth_http, OF_SERVER(auth) },
	{ "auth_http_timeout", IN_BOTH, 1, 1, &type_msec, OF_SERVER(auth_http_timeout), .fallback = "60s",
	    .min = 1, .max = CONF_MAX_MSEC },
	{ "auth_http_buffer", IN_BOTH, 1, 1, &type_size, OF_SERVER(auth_http_buffer), .fallback = "16k",
	    .min = 1, .max = MAX_BUFFER },
	{ "auth_http_header", IN_BOTH, 2, 2, &type_header, OF_SERVER(auth_http_headers) },
	{ "auth_http_pass_client_cert", IN_BOTH, 1, 1, &type_flag, OF_SERVER(auth_http_pass_client_cert),
	    .fallback = "off" },
	{ "auth_http_keepalive", IN_BOTH, 1, 1, &type_number, OF_DRAFT(http_keepalive), .fallback = "32",
	    .max = MAX_COUNT },
	{ "auth_http_keepalive_requests", IN_BOTH, 1, 1, &type_number, OF_DRAFT(http_keepalive_requests),
	    .fallback = "1000", .min = 1, .max = MAX_COUNT },
	{ "auth_http_keepalive_timeout", IN_BOTH, 1, 1, &type_msec, OF_DRAFT(http_keepalive_timeout),
	    .fallback = "60s", .min = 1, .max = CONF_MAX_MSEC },
	PEER_DIRECTIVES("auth_http_ssl", auth_http_tls),
	{ "upstream", IN_MAIL, 1, 1, NULL, .opens = IN_UPSTREAM },
	{ "server", IN_UPSTREAM, 1, ANY_ARGS, &type_peer, .offset = offsetof(struct draft_upstream, peers) },
	{ "auth_file", IN_BOTH, 1, ANY_ARGS, &type_auth_file, OF_SERVER(auth) },
	{ "auth_mysql", IN_BOTH, 1, ANY_ARGS, &type_auth_mysql, OF_SERVER(auth) },
	{ "auth_mysql_user", IN_BOTH, 1, 1, &type_line, OF_DRAFT(mysql.user) },
	{ "auth_mysql_password_file", IN_BOTH, 1, 1, &type_file, OF_DRAFT(mysql.password_file) },
	{ "auth_mysql_database", IN_BOTH, 1, 1, &type_line, OF_DRAFT(mysql.database) },
	{ "auth_mysql_query", IN_BOTH, 1, 1, &type_auth_query, OF_DRAFT(mysql.query) },
	{ "auth_mysql_ssl", IN_BOTH, 1, 1, &type_flag, OF_DRAFT(mysql.ssl), .fallback = "off" },
	{ "auth_mysql_ssl_verify", IN_BOTH, 1, 1, &type_flag, OF_DRAFT(mysql.ssl_verify), .fallback = "on" },
	{ "auth_mysql_ssl_trusted_certificate", IN_BOTH, 1, 1, &type_file, OF_DRAFT(mysql.trusted_certificate) },
	{ "auth_mysql_ssl_certificate", IN_BOTH, 1, 1, &type_file, OF_DRAFT(mysql.certificate) },
	{ "auth_mysql_ssl_certificate_key", IN_BOTH, 1, 1, &type_file, OF_DRAFT(mysql.key) },
	{ "auth_pam", IN_BOTH, 1, ANY_ARGS, &type_auth_pam, OF_SERVER(auth) },
	{ "auth_pam_user", IN_BOTH, 1, 1, &type_line, OF_DRAFT(pam.user), .fallback = "root" },
	{ "auth_pam_directory", IN_BOTH, 1, 1, &type_file, OF_DRAFT(pam.directory) },
	{ "auth_jwt", IN_BOTH, 1, ANY_ARGS, &type_auth_jwt, OF_SERVER(auth) },
	{ "auth_introspection", IN_BOTH, 1, ANY_ARGS, &type_auth_introspection, OF_SERVER(auth) },
	{ "auth_introspection_client_id", IN_BOTH, 1, 1, &type_line, OF_DRAFT(introspection.client_id) },
	{ "auth_introspection_secret_file", IN_BOTH, 1, 1, &type_file, OF_DRAFT(introspection.secret_file) },
	{ "auth_token_issuer", IN_BOTH, 1, 1, &type_line, OF_DRAFT(token.issuer) },
	{ "auth_token_audience", IN_BOTH, 1, ANY_ARGS, &type_auth_names, OF_DRAFT(token.audiences) },
	{ "auth_token_scope", IN_BOTH, 1, ANY_ARGS, &type_auth_scopes, OF_DRAFT(token.scopes) },
	{ "auth_token_claim", IN_BOTH, 1, 1, &type_line, OF_DRAFT(token.claim) },
	{ "auth_token_leeway", IN_BOTH, 1, 1, &type_msec, OF_DRAFT(token.leeway), .fallback = "60s",
	    .max = MAX_LEEWAY_MSEC },
	{ "auth_passthrough", IN_BOTH, 1, 1, &type_auth_passthrough, OF_SERVER(auth) },
	{ "auth_cache", IN_BOTH, 1, 3, &type_auth_cache, OF_SERVER(auth_cache), .fallback = "off" },
	{ "auth_failure_delay", IN_BOTH, 1, 1, &type_msec, OF_SERVER(auth_failure_delay), .max = CONF_MAX_MSEC },
	{ "auth_helpers", IN_BOTH, 1, 1, &type_processes, OF_SERVER(auth_helpers), .fallback = "auto",
	    .min = 2, .max = MAX_PROCESSES },
	{ "auth_timeout", IN_BOTH, 1, 1, &type_msec, OF_SERVER(auth_timeout), .fallback = "60s",
	    .min = 1, .max = CONF_MAX_MSEC },

	/* where to */
	{ "proxy", IN_BOTH, 1, 1, &type_proxy, NO_FIELD },
	{ "proxy_pass", IN_BOTH, 1, 1, &type_proxy_pass, OF_SERVER(proxy_pass) },
	{ "proxy_bind", IN_BOTH, 1, 2, &type_bind, OF_SERVER(proxy_bind), .fallback = "off" },
	{ "proxy_buffer", IN_BOTH, 1, 1, &type_size, OF_SERVER(proxy_buffer), .fallback = "4k",
	    .min = 1, .max = MAX_BUFFER },
	{ "proxy_timeout", IN_BOTH, 1, 1, &type_msec, OF_SERVER(proxy_timeout), .fallback = "24h",
	    .min = 1, .max = CONF_MAX_MSEC },
	{ "proxy_pass_error_message", IN_BOTH, 1, 1, &type_flag, OF_SERVER(proxy_pass_error_message),
	    .fallback = "off" },
	{ "proxy_smtp_auth", IN_BOTH, 1, 1, &type_flag, OF_SERVER(proxy_smtp_auth), .fallback = "off" },
	{ "proxy_auth", IN_BOTH, 1, 1, &type_choice, OF_SERVER(proxy_auth), .fallback = "auto",
	    .words = words_proxy_auth },
	{ "proxy_master_user", IN_BOTH, 2, 3, &type_master, OF_DRAFT(master) },
	{ "proxy_protocol", IN_BOTH, 1, 1, &type_choice, OF_SERVER(proxy_protocol), .fallback = "off",
	    .words = words_proxy_protocol },
	{ "xclient", IN_BOTH, 1, 1, &type_flag, OF_SERVER(xclient), .fallback = "on" },
	{ "proxy_xclient_required", IN_BOTH, 1, 1, &type_flag, OF_SERVER(xclient_required), .fallback = "off" },
	{ "proxy_imap_id", IN_BOTH, 1, 1, &type_flag, OF_SERVER(proxy_imap_id), .fallback = "off" },

	{ "proxy_ssl", IN_BOTH, 1, 1, &type_choice, OF_SERVER(proxy_ssl), .fallback = "off", .words = words_proxy_ssl },
	PEER_DIRECTIVES("proxy_ssl", proxy_tls),

	/* the protocols */
	PROTOCOLS(PROTOCOL_DIRECTIVES)
	{ "smtp_greeting_delay", IN_BOTH, 1, 1, &type_msec, OF_SERVER(smtp_greeting_delay), .max = CONF_MAX_MSEC },

	{ .name = NULL }
};

size_t
conf_table_count(void)
{
	return sizeof(directives) / sizeof(directives[0]) - 1;
}

size_t
conf_table_index(const struct directive *d)
{
	return (size_t)(d - directives);
}

const struct directive *
conf_table_find(const char *name, unsigned block)
{
	for (const struct directive *d = directives; d->name != NULL; d++)
		if ((d->blocks & block) != 0 && strcmp(d->name, name) == 0)
			return d;
	return NULL;
}

const struct directive *
conf_table_judge(const char *name, unsigned block, size_t args, bool opens, char *why, size_t size)
{
	const struct directive *d = conf_table_find(name, block);

	if (d == NULL && conf_table_find(name, IN_ANY) != NULL)
		snprintf(why, size, "\"%s\" directive is not allowed here", name);
	else if (d == NULL)
		snprintf(why, size, "unknown directive \"%s\"", name);
	else if (opens && d->opens == 0)
		snprintf(why, size, "directive \"%s\" is not terminated by \";\"", name);
	else if (!opens && d->opens != 0)
		snprintf(why, size, "directive \"%s\" has no opening \"{\"", name);
	else if (args < d->min_args || args > d->max_args)
		snprintf(why, size, "invalid number of arguments in \"%s\" directive", name);
	else
		return d;
	return NULL;
}

/* A block that is skipped has lost its braces on the way: it is an ordinary call. */
static cfg_opt_t
option_of(const struct directive *d, cfg_func_t on_directive, cfg_func_t on_mark)
{
	if (d->opens == 0 || d->opens == SKIPPED)
		return (cfg_opt_t)CFG_FUNC(d->name, on_directive);
	return (cfg_opt_t)CFG_SEC(d->name, conf_table_options(d->opens, on_directive, on_mark), CFGF_MULTI);
}

cfg_opt_t *
conf_table_options(enum conf_block block, cfg_func_t on_directive, cfg_func_t on_mark)
{
	static const char *const marks[] = { "block", "end", "line", "fault" };
	const size_t mark_count = sizeof(marks) / sizeof(marks[0]);
	cfg_opt_t *options = mem_array(conf_table_count() + mark_count + 1, sizeof(*options));
	size_t count = 0;

	for (; count < mark_count; count++)
		options[count] = (cfg_opt_t)CFG_FUNC(marks[count], on_mark);
	for (const struct directive *d = directives; d->name != NULL; d++)
		if ((d->blocks & block) != 0)
			options[count++] = option_of(d, on_directive, on_mark);
	options[count] = (cfg_opt_t)CFG_END();
	return options;
}

void
conf_table_free_options(cfg_opt_t **optionsp)
{
	for (cfg_opt_t *option = *optionsp; option->name != NULL; option++)
		if (option->type == CFGT_SEC)
			conf_table_free_options(&option->subopts);
	mem_free(*optionsp);
	*optionsp = NULL;
}
