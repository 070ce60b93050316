#include "master/conf_load.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/addrset.h"
#include "common/mem.h"
#include "test/unit/confbox.h"
#include "test/unit/unit.h"

static struct confbox box;

static void
open_box(void)
{
	confbox_open(&box);
}

static void
close_box(void)
{
	confbox_close(&box);
}

static void
expect_words(const char **words, const char *expected)
{
	char *text = mem_strdup("");

	for (; *words != NULL; words++) {
		char *longer = mem_printf("%s%s|", text, *words);

		mem_free(text);
		text = longer;
	}
	ck_assert_str_eq(text, expected);
	mem_free(text);
}

/* The configuration that everything began with. */
static const char seed[] =
    "worker_processes auto;\n"
    "error_log error.log info;\n"
    "events {\n"
    "    worker_connections  1024;\n"
    "}\n"
    "mail {\n"
    "    server_name       mail.example.com;\n"
    "    auth_http         localhost:9000/cgi-bin/nginxauth.cgi;\n"
    "    imap_capabilities IMAP4rev1 UIDPLUS IDLE LITERAL+ QUOTA;\n"
    "    pop3_auth         plain apop cram-md5;\n"
    "    pop3_capabilities LAST TOP USER PIPELINING UIDL;\n"
    "    smtp_auth         login plain cram-md5;\n"
    "    smtp_capabilities \"SIZE 10485760\" ENHANCEDSTATUSCODES 8BITMIME DSN;\n"
    "    xclient           off;\n"
    "    server { listen   25;  protocol smtp; }\n"
    "    server { listen   110; protocol pop3; proxy_pass_error_message on; }\n"
    "    server { listen   143; protocol imap; }\n"
    "    server { listen   587; protocol smtp; }\n"
    "}\n";

static void
expect_seed_server(const struct server *server, size_t index)
{
	static const enum protocol protocols[] = { PROTOCOL_SMTP, PROTOCOL_POP3, PROTOCOL_IMAP, PROTOCOL_SMTP };

	ck_assert_uint_eq(server->index, index);
	ck_assert_uint_eq(server->protocol, protocols[index]);
	ck_assert_str_eq(server->name, "mail.example.com");
	ck_assert_uint_eq(server->timeout, 60000);
	ck_assert_uint_eq(server->max_errors, 5);
	ck_assert_uint_eq(server->max_commands, 1000);
	ck_assert(!server->xclient && !server->proxy_smtp_auth);
	ck_assert(server->proxy_pass_error_message == (index == 1));
	ck_assert_uint_eq(server->proxy_timeout, 86400000);
	ck_assert_uint_eq(server->proxy_buffer, 4096);
	ck_assert_uint_eq(server->auth_http_timeout, 60000);
	ck_assert_uint_eq(server->auth_http_buffer, 16384);
	ck_assert_ptr_null(server->auth_http_headers);
	ck_assert_ptr_null(server->proxy_pass);
	ck_assert_uint_eq(server->protocols[PROTOCOL_IMAP].methods, METHOD_PLAIN);
	ck_assert_uint_eq(server->protocols[PROTOCOL_POP3].methods, METHOD_PLAIN | METHOD_APOP | METHOD_CRAM_MD5);
	ck_assert_uint_eq(server->protocols[PROTOCOL_SMTP].methods, METHOD_PLAIN | METHOD_LOGIN | METHOD_CRAM_MD5);
	expect_words(server->protocols[PROTOCOL_IMAP].capabilities, "IMAP4rev1|UIDPLUS|IDLE|LITERAL+|QUOTA|");
	expect_words(server->protocols[PROTOCOL_POP3].capabilities, "LAST|TOP|USER|PIPELINING|UIDL|");
	expect_words(server->protocols[PROTOCOL_SMTP].capabilities, "SIZE 10485760|ENHANCEDSTATUSCODES|8BITMIME|DSN|");
	ck_assert_uint_eq(server->protocols[PROTOCOL_IMAP].client_buffer, 4096);
	ck_assert_uint_eq(server->protocols[PROTOCOL_POP3].client_buffer, 8192);
}

START_TEST(the_seed_loads_with_the_values_it_says)
{
	static const char *const texts[] = { "0.0.0.0:25", "0.0.0.0:110", "0.0.0.0:143", "0.0.0.0:587" };
	struct conf *conf = confbox_check(&box, seed);

	ck_assert_ptr_nonnull(conf);
	ck_assert_str_eq(box.said, "");
	ck_assert_uint_ge(conf->worker_processes, 1);
	ck_assert_uint_eq(conf->worker_connections, 1024);
	ck_assert_uint_eq(conf->log->level, LOG_INFO);
	ck_assert_uint_eq(conf->file_count, 1);
	ck_assert(!conf->files[0]->fallback && conf->files[0]->fd == -1);
	ck_assert_uint_eq(conf->server_count, 4);
	ck_assert_uint_eq(conf->listen_count, 4);
	for (size_t i = 0; i < 4; i++) {
		expect_seed_server(conf->servers[i], i);
		ck_assert_ptr_eq(conf->servers[i]->auth[0]->source, conf->sources[0]);
		ck_assert_ptr_eq(conf->servers[i]->log, conf->log);
		ck_assert_str_eq(conf->listens[i]->text, texts[i]);
		ck_assert_ptr_eq(conf->listens[i]->server, conf->servers[i]);
		ck_assert(conf->listens[i]->wildcard == NULL && conf->listens[i]->fd == -1);
	}
	ck_assert_uint_eq(conf->source_count, 1);
	ck_assert_str_eq(conf->sources[0]->servers[0]->host, "localhost");
	ck_assert_str_eq(conf->sources[0]->servers[0]->uri, "/cgi-bin/nginxauth.cgi");
	ck_assert_str_eq(conf->sources[0]->label, "localhost:9000/cgi-bin/nginxauth.cgi");
	ck_assert_uint_eq(conf->sources[0]->servers[0]->name->port, 9000);
	ck_assert_uint_eq(conf->name_count, 1);
	conf_free(&conf);
}
END_TEST

START_TEST(what_nobody_says_is_nginxs_default)
{
	struct conf *conf = confbox_check(&box,
	    "events{}mail{auth_http unix:/a; server{listen unix:/b; protocol imap;}}");
	const struct server *server;
	char host[256] = "";

	ck_assert_ptr_nonnull(conf);
	ck_assert(conf->daemon && conf->master_process && !conf->multi_accept && !conf->debug_stop);
	ck_assert_uint_eq(conf->worker_processes, 1);
	ck_assert_uint_eq(conf->worker_connections, 512);
	ck_assert_uint_eq(conf->epoll_events, 512);
	ck_assert_int_eq(conf->worker_priority, 0);
	ck_assert(conf->rlimit_nofile == -1 && conf->rlimit_core == -1);
	ck_assert_uint_eq(conf->shutdown_timeout, 0);
	ck_assert_uint_eq(conf->affinity, AFFINITY_NONE);
	ck_assert_ptr_null(conf->working_directory);
	ck_assert_ptr_null(conf->debug_connections);
	ck_assert_str_eq(conf->pid_path, POSTERN_PID_PATH);
	ck_assert_str_eq(conf->helper_path, POSTERN_HELPER_PATH);
	ck_assert_str_eq(conf->files[0]->path, POSTERN_ERROR_LOG_PATH);
	ck_assert(conf->files[0]->fallback);
	ck_assert_uint_eq(conf->log->level, LOG_ERROR);
	server = conf->servers[0];
	gethostname(host, sizeof(host) - 1);
	ck_assert_int_eq(strcasecmp(server->name, host), 0);
	ck_assert(server->xclient);
	expect_words(server->protocols[PROTOCOL_IMAP].capabilities, "IMAP4|IMAP4rev1|UIDPLUS|");
	expect_words(server->protocols[PROTOCOL_POP3].capabilities, "TOP|USER|UIDL|");
	expect_words(server->protocols[PROTOCOL_SMTP].capabilities, "");
	ck_assert_uint_eq(server->protocols[PROTOCOL_SMTP].methods, METHOD_PLAIN | METHOD_LOGIN);
	ck_assert_uint_eq(server->smtp_greeting_delay, 0);
	ck_assert_uint_ge(server->auth_helpers, 2);
	ck_assert_str_eq(server->auth[0]->source->servers[0]->host, "localhost");
	ck_assert_str_eq(server->auth[0]->source->servers[0]->uri, "/");
	ck_assert_str_eq(server->auth[0]->source->servers[0]->name->found[0].path, "/a");
	conf_free(&conf);
}
END_TEST

START_TEST(a_server_inherits_only_what_it_does_not_say)
{
	struct conf *conf = confbox_mail(&box,
	    "server { listen 127.0.0.1:143; timeout 5s; imap_capabilities A B; imap_capabilities C;\n"
	    "         imap_auth external; auth_http_header x 1; error_log own.log; auth_http 127.0.0.2; }\n"
	    "server { listen 127.0.0.1:144; protocol imap; }\n"
	    "timeout 7s; imap_capabilities D; imap_auth login; auth_http_header y 2; auth_http_header z 3;\n"
	    "auth_http 127.0.0.1; error_log mail.log debug; error_log stderr;");
	const struct server *own = conf->servers[0], *heir = conf->servers[1];

	ck_assert_uint_eq(own->timeout, 5000);
	ck_assert_uint_eq(heir->timeout, 7000);
	expect_words(own->protocols[PROTOCOL_IMAP].capabilities, "A|B|C|");
	expect_words(heir->protocols[PROTOCOL_IMAP].capabilities, "D|");
	ck_assert_uint_eq(own->protocols[PROTOCOL_IMAP].methods, METHOD_EXTERNAL);
	ck_assert_uint_eq(heir->protocols[PROTOCOL_IMAP].methods, METHOD_LOGIN);
	ck_assert_str_eq(own->auth_http_headers[0]->name, "x");
	ck_assert_ptr_null(own->auth_http_headers[1]);
	ck_assert_str_eq(heir->auth_http_headers[1]->value, "3");
	ck_assert_str_eq(own->auth[0]->source->label, "127.0.0.2");
	ck_assert_str_eq(heir->auth[0]->source->label, "127.0.0.1");
	ck_assert_uint_eq(own->log->level, LOG_ERROR);
	ck_assert_uint_eq(heir->log->level, LOG_DEBUG);
	ck_assert_ptr_nonnull(heir->log->targets->next);
	conf_free(&conf);
}
END_TEST

START_TEST(a_servers_source_replaces_the_outer_one_of_another_kind)
{
	struct conf *conf;

	confbox_write(&box, "users", "a:b\n");
	conf = confbox_mail(&box,
	    "auth_http 127.0.0.1; auth_helpers 3;\n"
	    "server { listen 127.0.0.1:143; auth_file users; }\n"
	    "server { listen 127.0.0.1:110; auth_file users; auth_helpers 1; }\n"
	    "server { listen 127.0.0.1:25; auth_file users; }\n"
	    "server { listen 127.0.0.1:587; }");
	ck_assert_ptr_nonnull(conf);
	ck_assert_uint_eq(conf->source_count, 3);
	ck_assert_uint_eq(conf->servers[0]->auth[0]->source->kind, SOURCE_FILE);
	ck_assert_uint_eq(conf->servers[0]->auth[0]->source->helpers, 3);
	ck_assert_uint_eq(conf->servers[1]->auth[0]->source->helpers, 1);
	ck_assert_ptr_eq(conf->servers[0]->auth[0]->source, conf->servers[2]->auth[0]->source);
	ck_assert_uint_eq(conf->servers[3]->auth[0]->source->kind, SOURCE_HTTP);
	ck_assert_int_eq(conf->servers[0]->auth[0]->source->mailbox, -1);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(conf->sources[i]->index, i);
	conf_free(&conf);
	conf = confbox_mail(&box, "auth_file users; server { listen 127.0.0.1:143; auth_http 127.0.0.1; }");
	ck_assert_uint_eq(conf->servers[0]->auth[0]->source->kind, SOURCE_HTTP);
	conf_free(&conf);
}
END_TEST

START_TEST(a_secret_that_everybody_may_read_is_warned_of)
{
	struct conf *conf;
	char *path = mem_printf("%s/users", box.folder);

	confbox_write(&box, "users", "a:b\n");
	chmod(path, 0644);
	conf = confbox_mail(&box, "auth_file users; server { listen 127.0.0.1:143; }");
	ck_assert_str_eq(box.said, "[warn] \"users\" holds secrets and everybody may read it in n.conf:3\n");
	conf_free(&conf);
	chmod(path, 0640);
	conf = confbox_mail(&box, "auth_file users; server { listen 127.0.0.1:143; }");
	ck_assert_str_eq(box.said, "");
	conf_free(&conf);
	mem_free(path);
}
END_TEST

static const struct {
	const char *url, *host, *uri, *at;
} urls[] = {
	{ "127.0.0.1", "127.0.0.1", "/", "127.0.0.1:80" },
	{ "http://127.0.0.1:8080", "127.0.0.1", "/", "127.0.0.1:8080" },
	{ "127.0.0.1/a?b=c", "127.0.0.1", "/a?b=c", "127.0.0.1:80" },
	{ "127.0.0.1:81?b", "127.0.0.1", "/?b", "127.0.0.1:81" },
	{ "[::1]:82/x:y", "[::1]", "/x:y", "[::1]:82" },
	{ "[::1]", "[::1]", "/", "[::1]:80" },
	{ "localhost:9000/a", "localhost", "/a", "127.0.0.1:9000" },
	{ "unix:/s", "localhost", "/", "unix:/s" },
	{ "unix:/s:", "localhost", "/", "unix:/s" },
	{ "unix:/s:/a:b", "localhost", "/a:b", "unix:/s" },
	{ "http://unix:/s:/a", "localhost", "/a", "unix:/s" },
};

START_TEST(an_auth_http_url_has_an_address_a_host_and_a_uri)
{
	char *text = mem_printf("auth_http %s; server { listen 127.0.0.1:143; }", urls[_i].url), at[128];
	struct conf *conf = confbox_mail(&box, text);

	ck_assert_ptr_nonnull(conf);
	ck_assert_str_eq(conf->sources[0]->servers[0]->host, urls[_i].host);
	ck_assert_str_eq(conf->sources[0]->servers[0]->uri, urls[_i].uri);
	ck_assert_str_eq(endpoint_format(at, sizeof(at), &conf->sources[0]->servers[0]->name->found[0]), urls[_i].at);
	conf_free(&conf);
	mem_free(text);
}
END_TEST

START_TEST(a_proxy_pass_without_a_port_means_the_protocols)
{
	struct conf *conf = confbox_mail(&box,
	    "auth_http 127.0.0.1; proxy_pass 127.0.0.9;\n"
	    "server { listen 127.0.0.1:993; }\n"
	    "server { listen 127.0.0.1:587; }\n"
	    "server { listen 127.0.0.1:110; proxy_pass two.test; }\n"
	    "server { listen 127.0.0.1:143; proxy_pass [::1]:7; }\n"
	    "server { listen 127.0.0.1:144; protocol imap; proxy_pass unix:/s; }");
	static const char *const expected[] = {
		"127.0.0.9:143", "127.0.0.9:25", "127.0.0.1:110", "[::1]:7", "unix:/s"
	};
	char at[128];

	ck_assert_ptr_nonnull(conf);
	for (size_t i = 0; i < 5; i++)
		ck_assert_str_eq(endpoint_format(at, sizeof(at), &conf->servers[i]->proxy_pass->found[0]), expected[i]);
	ck_assert_uint_eq(conf->name_count, 1);
	conf_free(&conf);
}
END_TEST

static const struct {
	const char *listen;
	enum protocol protocol;
} ports[] = {
	{ "listen 127.0.0.1:143;", PROTOCOL_IMAP }, { "listen 993;", PROTOCOL_IMAP },
	{ "listen 110;", PROTOCOL_POP3 }, { "listen 995;", PROTOCOL_POP3 },
	{ "listen 25;", PROTOCOL_SMTP }, { "listen 465;", PROTOCOL_SMTP }, { "listen 587;", PROTOCOL_SMTP },
	{ "listen 1000; listen 25; listen 143;", PROTOCOL_SMTP },
	{ "listen 140-144;", PROTOCOL_IMAP },
	{ "listen 25; protocol imap;", PROTOCOL_IMAP }, { "protocol pop3; listen 25;", PROTOCOL_POP3 },
	{ "protocol pop3; protocol imap; listen 25;", PROTOCOL_IMAP },
};

START_TEST(the_first_port_that_is_known_names_the_protocol)
{
	char *text = mem_printf("auth_http 127.0.0.1; server { %s }", ports[_i].listen);
	struct conf *conf = confbox_mail(&box, text);

	ck_assert_ptr_nonnull(conf);
	ck_assert_uint_eq(conf->servers[0]->protocol, ports[_i].protocol);
	conf_free(&conf);
	mem_free(text);
}
END_TEST

START_TEST(main_directives_set_their_fields)
{
	struct conf *conf = confbox_check(&box,
	    "daemon Off; master_process OFF; worker_processes 3; worker_priority -5; worker_rlimit_nofile 2000;\n"
	    "worker_rlimit_core 2g; worker_shutdown_timeout 1h30m; working_directory /tmp; pid run/p;\n"
	    "timer_resolution 100ms; debug_points stop; worker_cpu_affinity 0101 10; auth_helper_path /h;\n"
	    "events { use epoll; multi_accept on; epoll_events 9; accept_mutex on; accept_mutex_delay 5;\n"
	    "worker_connections 77; debug_connection 192.0.2.0/24; debug_connection two.test; } mail {}");
	char *pid = mem_printf("%s/run/p", box.folder);
	struct addr in = { 0 }, out = { 0 };

	ck_assert_ptr_nonnull(conf);
	ck_assert(!conf->daemon && !conf->master_process && conf->multi_accept && conf->debug_stop);
	ck_assert_uint_eq(conf->worker_processes, 3);
	ck_assert_int_eq(conf->worker_priority, -5);
	ck_assert_int_eq(conf->rlimit_nofile, 2000);
	ck_assert(conf->rlimit_core == 2LL << 30);
	ck_assert_uint_eq(conf->shutdown_timeout, 5400000);
	ck_assert_str_eq(conf->working_directory, "/tmp");
	ck_assert_str_eq(conf->pid_path, pid);
	ck_assert_uint_eq(conf->timer_resolution, 100);
	ck_assert_str_eq(conf->helper_path, "/h");
	ck_assert_uint_eq(conf->affinity, AFFINITY_MASKS);
	ck_assert_uint_eq(conf->affinity_count, 2);
	ck_assert(conf->affinity_masks[0][0] == 5 && conf->affinity_masks[1][0] == 2);
	ck_assert_uint_eq(conf->epoll_events, 9);
	ck_assert_uint_eq(conf->worker_connections, 77);
	addr_parse(&in, "127.0.0.2", 9);
	addr_parse(&out, "127.0.0.3", 9);
	ck_assert(addrset_allows(conf->debug_connections, &in));
	ck_assert(!addrset_allows(conf->debug_connections, &out));
	conf_free(&conf);
	mem_free(pid);
}
END_TEST

START_TEST(workers_see_the_environment_that_is_named_and_the_time_zone)
{
	struct conf *conf;

	setenv("TZ", "Europe/Oslo", 1);
	setenv("KEPT", "yes", 1);
	conf = confbox_check(&box, "env KEPT; env SET=1=2; env SET=3; env MISSING; events{} mail{}");
	expect_words(conf->environment, "KEPT=yes|SET=1=2|TZ=Europe/Oslo|");
	conf_free(&conf);
	conf = confbox_check(&box, "env TZ=UTC; events{} mail{}");
	expect_words(conf->environment, "TZ=UTC|");
	conf_free(&conf);
	unsetenv("TZ");
	conf = confbox_check(&box, "events{} mail{}");
	expect_words(conf->environment, "");
	conf_free(&conf);
}
END_TEST

START_TEST(logs_have_targets_levels_and_syslog_servers)
{
	struct conf *conf = confbox_check(&box,
	    "error_log a warn; error_log syslog:server=localhost,facility=mail,tag=x_1,nohostname debug;\n"
	    "error_log stderr; error_log b debug_mail debug_core; error_log a crit;\n"
	    "error_log syslog:server=unix:/dev/log; events{} mail{}");
	const struct log_target *t = conf->log->targets;
	char text[128];

	ck_assert(t->kind == LOG_TO_FILE && t->level == LOG_WARN && t->file == 0);
	t = t->next;
	ck_assert(t->kind == LOG_TO_SYSLOG && t->level == LOG_DEBUG && t->priority == 16 && t->hostname == NULL);
	ck_assert_str_eq(t->tag, "x_1");
	ck_assert_str_eq(endpoint_format(text, sizeof(text), &t->server), "127.0.0.1:514");
	t = t->next;
	ck_assert(t->kind == LOG_TO_STDERR && t->level == LOG_ERROR && t->fd == STDERR_FILENO);
	t = t->next;
	ck_assert(t->kind == LOG_TO_FILE && t->level == LOG_DEBUG && t->file == 1);
	t = t->next;
	ck_assert(t->kind == LOG_TO_FILE && t->level == LOG_CRIT && t->file == 0);
	t = t->next;
	ck_assert(t->kind == LOG_TO_SYSLOG && t->priority == 23 * 8 && t->hostname != NULL && t->next == NULL);
	ck_assert_str_eq(endpoint_format(text, sizeof(text), &t->server), "unix:/dev/log");
	ck_assert_uint_eq(conf->file_count, 2);
	conf_free(&conf);
}
END_TEST

START_TEST(some_file_or_stderr_has_the_log_in_any_case)
{
	static const char only_syslog[] = "error_log syslog:server=127.0.0.1; events{} mail{}";
	char *mine = mem_printf("%s/mine", box.folder);
	struct conf *conf;

	box.request.error_log = "mine";
	conf = confbox_check(&box, only_syslog);
	ck_assert_uint_eq(conf->file_count, 1);
	ck_assert_str_eq(conf->files[0]->path, mine);
	ck_assert(!conf->files[0]->fallback);
	conf_free(&conf);
	box.request.error_log = "stderr";
	conf = confbox_check(&box, only_syslog);
	ck_assert_uint_eq(conf->file_count, 0);
	ck_assert_uint_eq(conf->log->targets->next->kind, LOG_TO_STDERR);
	conf_free(&conf);
	conf = confbox_check(&box, "error_log x; events{} mail{}");
	ck_assert_ptr_null(conf->log->targets->next);
	conf_free(&conf);
	mem_free(mine);
}
END_TEST

START_TEST(files_are_included_in_order_from_the_main_files_folder)
{
	struct conf *conf;
	char *folder = mem_printf("%s/d", box.folder);

	mkdir(folder, 0700);
	confbox_write(&box, "d/2.conf", "server { listen 127.0.0.1:110; }");
	confbox_write(&box, "d/1.conf", "include source; server { listen 127.0.0.1:143; }");
	confbox_write(&box, "d/.hidden.conf", "nonsense");
	confbox_write(&box, "source", "auth_http 127.0.0.1;");
	box.request.prefix = "/nonexistent";
	conf = confbox_mail(&box, "include d/*.conf;\ninclude d/*.none;");
	ck_assert_ptr_nonnull(conf);
	ck_assert_uint_eq(conf->server_count, 2);
	ck_assert_uint_eq(conf->servers[0]->protocol, PROTOCOL_IMAP);
	ck_assert_uint_eq(conf->servers[1]->protocol, PROTOCOL_POP3);
	ck_assert_uint_eq(conf->servers[0]->place.line, 1);
	conf_free(&conf);
	mem_free(folder);
}
END_TEST

START_TEST(the_command_lines_directives_count)
{
	struct conf *conf;

	box.request.directives = "daemon off; worker_processes 2;";
	conf = confbox_check(&box, "events{}mail{}");
	ck_assert(!conf->daemon && conf->worker_processes == 2);
	conf_free(&conf);
}
END_TEST

START_TEST(a_whole_nginx_conf_loads)
{
	struct conf *conf = confbox_check(&box,
	    "load_module modules/ngx_mail_module.so;\npcre_jit on;\nthread_pool default threads=4;\n"
	    "events { worker_connections 64; accept_mutex off; }\n"
	    "http {\n    include mime.types;\n    log_format main '$remote_addr \"$request\" {}';\n"
	    "    map $http_upgrade $c { default upgrade; '' close; }\n"
	    "    server {\n        listen 80 default_server;\n"
	    "        location ~ \"^/[a-z]{1,3}/(.*)$\" { return 200 \"}{;#\"; }\n"
	    "        location / { proxy_pass http://${backend}; # }\n        }\n    }\n}\n"
	    "stream { server { listen 1; } }\n"
	    "mail { auth_http 127.0.0.1; server { listen 127.0.0.1:143; } }\n");

	ck_assert_ptr_nonnull(conf);
	ck_assert_uint_eq(conf->server_count, 1);
	ck_assert_uint_eq(conf->servers[0]->place.line, 17);
	ck_assert_str_eq(box.said,
	    "[warn] \"load_module\" is skipped: it is for other parts of nginx in n.conf:1\n"
	    "[warn] \"pcre_jit\" is skipped: it is for other parts of nginx in n.conf:2\n"
	    "[warn] \"thread_pool\" is skipped: it is for other parts of nginx in n.conf:3\n"
	    "[warn] \"http\" is skipped: it is for other parts of nginx in n.conf:5\n"
	    "[warn] \"stream\" is skipped: it is for other parts of nginx in n.conf:16\n");
	conf_free(&conf);
}
END_TEST

START_TEST(a_load_that_fails_leaves_room_for_the_next)
{
	struct conf *conf;

	ck_assert_ptr_null(confbox_check(&box, "events { mail { server {"));
	ck_assert_ptr_null(confbox_check(&box, "events { } mail { auth_http 127.0.0.1; server { listen 1; } }"));
	conf = confbox_check(&box, seed);
	ck_assert_ptr_nonnull(conf);
	conf_free(&conf);
}
END_TEST

#define LOOP(test, table) tcase_add_loop_test(tcase, test, 0, sizeof(table) / sizeof(table[0]))

Suite *
conf_load_suite(void)
{
	Suite *suite = suite_create("conf_load");
	TCase *tcase = tcase_create("conf_load");

	tcase_add_checked_fixture(tcase, open_box, close_box);
	tcase_add_test(tcase, the_seed_loads_with_the_values_it_says);
	tcase_add_test(tcase, what_nobody_says_is_nginxs_default);
	tcase_add_test(tcase, a_server_inherits_only_what_it_does_not_say);
	tcase_add_test(tcase, a_servers_source_replaces_the_outer_one_of_another_kind);
	tcase_add_test(tcase, a_secret_that_everybody_may_read_is_warned_of);
	LOOP(an_auth_http_url_has_an_address_a_host_and_a_uri, urls);
	tcase_add_test(tcase, a_proxy_pass_without_a_port_means_the_protocols);
	LOOP(the_first_port_that_is_known_names_the_protocol, ports);
	tcase_add_test(tcase, main_directives_set_their_fields);
	tcase_add_test(tcase, workers_see_the_environment_that_is_named_and_the_time_zone);
	tcase_add_test(tcase, logs_have_targets_levels_and_syslog_servers);
	tcase_add_test(tcase, some_file_or_stderr_has_the_log_in_any_case);
	tcase_add_test(tcase, files_are_included_in_order_from_the_main_files_folder);
	tcase_add_test(tcase, the_command_lines_directives_count);
	tcase_add_test(tcase, a_whole_nginx_conf_loads);
	tcase_add_test(tcase, a_load_that_fails_leaves_room_for_the_next);
	suite_add_tcase(suite, tcase);
	return suite;
}
