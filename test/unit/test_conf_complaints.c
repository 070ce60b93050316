/*
 * Every complaint about a text, with its line; those about what stands within a server, an
 * upstream or a limit are in test_conf_blocks. The texts that nginx has too were compared with
 * what `nginx -t` prints.
 */
#include "common/mem.h"
#include "test/unit/confbox.h"
#include "test/unit/unit.h"

#include <string.h>
#include <unistd.h>

/* Whole files. */
static const struct {
	const char *text;
	unsigned line;
	const char *why;
} files[] = {
	{ "foo;", 1, "unknown directive \"foo\"" },
	{ "foo", 1, "unexpected end of file, expecting \";\" or \"}\"" },
	{ "foo {", 1, "unknown directive \"foo\"" },
	{ "foo { }", 1, "unknown directive \"foo\"" },
	{ "}", 1, "unexpected \"}\"" },
	{ "events { } }", 1, "unexpected \"}\"" },
	{ "events { ", 1, "unexpected end of file, expecting \"}\"" },
	{ "events;", 1, "directive \"events\" has no opening \"{\"" },
	{ "events x { }", 1, "invalid number of arguments in \"events\" directive" },
	{ "\"abc", 1, "unexpected end of file, expecting \";\" or \"}\"" },
	{ "\"abc;\n}\n", 3, "unexpected end of file, expecting \";\" or \"}\"" },
	{ "\"abc\"x;", 1, "unexpected \"x\"" },
	{ "\"abc\"}", 1, "unexpected \"}\"" },
	{ "\"abc\")", 1, "unexpected end of file, expecting \";\" or \"}\"" },
	{ "abc\"d\"e;", 1, "unknown directive \"abc\"d\"e\"" },
	{ "; ", 1, "unexpected \";\"" },
	{ "{", 1, "unexpected \"{\"" },
	{ "events { worker_connections 10 }", 1, "unexpected \"}\"" },
	{ "events { worker_connections 10; worker_connections 10; }", 1,
	    "\"worker_connections\" directive is duplicate" },
	{ "events { worker_connections; }", 1, "invalid number of arguments in \"worker_connections\" directive" },
	{ "events { worker_connections 10 20; }", 1,
	    "invalid number of arguments in \"worker_connections\" directive" },
	{ "events { worker_connections x; }", 1, "\"worker_connections\" directive invalid number" },
	{ "events { worker_connections -1; }", 1, "\"worker_connections\" directive invalid number" },
	{ "events{worker_connections 0;}", 1, "\"worker_connections\" directive value must not be zero" },
	{ "events{}events{}", 1, "\"events\" directive is duplicate" },
	{ "events{}mail{}mail{}", 1, "\"mail\" directive is duplicate" },
	{ "worker_processes 1", 1, "unexpected end of file, expecting \";\" or \"}\"" },
	{ "worker_processes 1\n}", 2, "unexpected \"}\"" },
	{ "events{mail{}}", 1, "\"mail\" directive is not allowed here" },
	{ "events{include;}", 1, "invalid number of arguments in \"include\" directive" },
	{ "events{include a b;}", 1, "invalid number of arguments in \"include\" directive" },
	{ "include a.conf {}", 1, "directive \"include\" is not terminated by \";\"" },
	{ "\\;", 1, "unexpected end of file, expecting \";\" or \"}\"" },
	{ "\\", 1, "unexpected end of file, expecting \";\" or \"}\"" },
	{ "a\\;", 1, "unexpected end of file, expecting \";\" or \"}\"" },
	{ "a b\\", 1, "unexpected end of file, expecting \";\" or \"}\"" },
	{ "$", 1, "unexpected end of file, expecting \";\" or \"}\"" },
	{ "${", 1, "unexpected end of file, expecting \";\" or \"}\"" },
	{ "${a;", 1, "unknown directive \"${a\"" },
	{ "${a};", 1, "unknown directive \"${a}\"" },
	{ "daemon x;", 1, "invalid value \"x\" in \"daemon\" directive, it must be \"on\" or \"off\"" },
	{ "daemon;", 1, "invalid number of arguments in \"daemon\" directive" },
	{ "daemon on on;", 1, "invalid number of arguments in \"daemon\" directive" },
	{ "Daemon on;", 1, "unknown directive \"Daemon\"" },
	{ "daemon ON;daemon OFF;", 1, "\"daemon\" directive is duplicate" },
	{ "foo\n\n\nbar\n;", 5, "unknown directive \"foo\"" },
	{ "foo \"a\nb\nc\" d\n\n;", 5, "unknown directive \"foo\"" },
	{ "events{}\n\n\nmail{\nserver{\n\n}}", 5, "no \"listen\" is defined for server" },
	{ "events {use foo;}", 1, "invalid event type \"foo\", only \"epoll\" is there" },
	{ "events{use poll;use poll;}", 1, "invalid event type \"poll\", only \"epoll\" is there" },
	{ "events{accept_mutex x;}", 1,
	    "invalid value \"x\" in \"accept_mutex\" directive, it must be \"on\" or \"off\"" },
	{ "events{accept_mutex_delay x;}", 1, "\"accept_mutex_delay\" directive invalid value" },
	{ "events{multi_accept 1;}", 1,
	    "invalid value \"1\" in \"multi_accept\" directive, it must be \"on\" or \"off\"" },
	{ "events{debug_connection foo.invalid;}", 1, "host not found in debug_connection \"foo.invalid\"" },
	{ "events{debug_connection 10.0.0.0/33;}", 1,
	    "invalid value \"10.0.0.0/33\" in \"debug_connection\" directive: prefix length out of range" },
	{ "events{epoll_events x;}", 1, "\"epoll_events\" directive invalid number" },
	{ "events{}\nmail{server{}}", 2, "no \"listen\" is defined for server" },
	{ "events{}\nmail{server x{}}", 2, "invalid number of arguments in \"server\" directive" },
	{ "events{}\nmail{server;}", 2, "directive \"server\" has no opening \"{\"" },
	{ "events{}\nmail{server{listen 143;}}", 2, "no \"auth_http\" is defined for server" },
	{ "events{}\nmail{auth_file users;server{listen 25;smtp_auth plain none;}}", 2,
	    "\"smtp_auth none\" needs \"auth_http\": an \"auth_file\" knows no recipients" },
	{ "events{}\nmail{server{listen 127.0.0.1:8999;}}", 2, "unknown mail protocol for server" },
	{ "events{}\nmail{auth_http 127.0.0.1:1;server{listen 127.0.0.1:8999;}}", 2,
	    "unknown mail protocol for server" },
	{ "events{}\nmail{server{listen 127.0.0.1:8999;protocol imap;}}", 2,
	    "no \"auth_http\" is defined for server" },
	{ "events{}\nmail{auth_http 127.0.0.1:1;server{listen 127.0.0.1:8999;protocol foo;}}", 2,
	    "unknown protocol \"foo\"" },
	{ "server{}events{}", 1, "\"server\" directive is not allowed here" },
	{ "mail{daemon on;}", 1, "\"daemon\" directive is not allowed here" },
	{ "mail{worker_processes 1;}", 1, "\"worker_processes\" directive is not allowed here" },
	{ "mail{server{server{}}}", 1, "\"server\" directive is not allowed here" },
	{ "mail{server{mail{}}}", 1, "\"mail\" directive is not allowed here" },
	{ "mail{listen 3;}", 1, "\"listen\" directive is not allowed here" },
	{ "mail{protocol imap;}", 1, "\"protocol\" directive is not allowed here" },
	{ "mail{events{}}", 1, "\"events\" directive is not allowed here" },
	{ "events{}\nmail{auth_http 127.0.0.1:1; timeout 5;timeout 6;\nserver{listen 127.0.0.1:143;}}\n", 2,
	    "\"timeout\" directive is duplicate" },
	{ "events{}\nmail{auth_http 127.0.0.1:1; proxy_buffer 3x;\nserver{listen 127.0.0.1:143;}}\n", 2,
	    "\"proxy_buffer\" directive invalid value" },
	{ "daemon on;\n\npid \"\";", 3, "\"pid\" directive value must not be empty" },
	{ "daemon on;\n\npid \x01\x7f", 3, "unexpected end of file, expecting \";\" or \"}\"" },
	{ "a\x01\x7f\tb;", 1, "unknown directive \"a\\x01\\x7F\"" },
	{ "\"a\\nb\";", 1, "unknown directive \"a\\x0Ab\"" },
	{ "events{}\n\"a\\nb\\nc\";", 2, "unknown directive \"a\\x0Ab\\x0Ac\"" },
	{ "events{}\npid \"a\\nb\\nc\";\npid x;", 3, "\"pid\" directive is duplicate" },
	{ "events{}\npid \"a\nb\"\n;pid x;", 4, "\"pid\" directive is duplicate" },
};

/* One directive of the main block, in front of an events{}, all on line 1. */
static const struct {
	const char *text, *why;
} mains[] = {
	{ "worker_connections 10;", "\"worker_connections\" directive is not allowed here" },
	{ "include nofile;", "open() \"nofile\" failed (2: No such file or directory)" },
	{ "timer_resolution x;", "\"timer_resolution\" directive invalid value" },
	{ "debug_points x;", "invalid value \"x\"" },
	{ "debug_points stop;debug_points stop;", "\"debug_points\" directive is duplicate" },
	{ "user nobody;user nobody;", "\"user\" directive is duplicate" },
	{ "user a b c;", "invalid number of arguments in \"user\" directive" },
	{ "worker_processes x;", "\"worker_processes\" directive invalid value" },
	{ "worker_processes 0;", "\"worker_processes\" directive value must not be zero" },
	{ "worker_processes auto;worker_processes auto;", "\"worker_processes\" directive is duplicate" },
	{ "worker_cpu_affinity 012;", "invalid character \"2\" in \"worker_cpu_affinity\"" },
	{ "worker_cpu_affinity auto 01 10;", "invalid number of arguments in \"worker_cpu_affinity\" directive" },
	{ "worker_cpu_affinity 01;worker_cpu_affinity 01;", "\"worker_cpu_affinity\" directive is duplicate" },
	{ "worker_cpu_affinity autox;", "invalid character \"x\" in \"worker_cpu_affinity\"" },
	{ "worker_priority x;", "\"worker_priority\" directive invalid number" },
	{ "worker_priority -;", "\"worker_priority\" directive invalid number" },
	{ "worker_priority -5;worker_priority 3;", "\"worker_priority\" directive is duplicate" },
	{ "worker_rlimit_nofile x;", "\"worker_rlimit_nofile\" directive invalid number" },
	{ "worker_rlimit_core x;", "\"worker_rlimit_core\" directive invalid value" },
	{ "worker_shutdown_timeout x;", "\"worker_shutdown_timeout\" directive invalid value" },
	{ "worker_shutdown_timeout 1y;", "\"worker_shutdown_timeout\" directive invalid value" },
	{ "worker_shutdown_timeout 1M;", "\"worker_shutdown_timeout\" directive invalid value" },
	{ "worker_shutdown_timeout \"30m 1h\";", "\"worker_shutdown_timeout\" directive invalid value" },
	{ "worker_shutdown_timeout 1.5;", "\"worker_shutdown_timeout\" directive invalid value" },
	{ "worker_shutdown_timeout \"\";", "\"worker_shutdown_timeout\" directive invalid value" },
	{ "worker_shutdown_timeout \" 1\";", "\"worker_shutdown_timeout\" directive invalid value" },
	{ "worker_shutdown_timeout 1ms5;", "\"worker_shutdown_timeout\" directive invalid value" },
	{ "working_directory a;working_directory b;", "\"working_directory\" directive is duplicate" },
	{ "env;", "invalid number of arguments in \"env\" directive" },
	{ "env =b;", "\"env\" directive has no name" },
	{ "daemon off;master_process off;pid a;pid b;", "\"pid\" directive is duplicate" },
	{ "error_log;", "invalid number of arguments in \"error_log\" directive" },
	{ "error_log x foo;", "invalid log level \"foo\"" },
	{ "error_log x info info;", "duplicate log level \"info\"" },
	{ "error_log x info warn;", "duplicate log level \"warn\"" },
	{ "error_log x debug_mail info;", "duplicate log level \"info\"" },
	{ "error_log x info debug_mail;", "invalid log level \"debug_mail\"" },
	{ "error_log memory:32k;", "\"error_log\" directive has no \"memory:\" here: name a file" },
	{ "error_log syslog:;", "unknown syslog parameter \"\"" },
	{ "error_log syslog:tag=a;", "no syslog server specified" },
	{ "error_log syslog:server=;", "no host in syslog server \"\"" },
	{ "error_log syslog:server=127.0.0.1:x;", "invalid port in syslog server \"127.0.0.1:x\"" },
	{ "error_log syslog:server=foo.invalid;", "host not found in syslog server \"foo.invalid\"" },
	{ "error_log syslog:server=127.0.0.1,server=127.0.0.1;", "duplicate syslog \"server\"" },
	{ "error_log syslog:server=127.0.0.1,foo=b;", "unknown syslog parameter \"foo=b\"" },
	{ "error_log syslog:server=127.0.0.1,facility=b;", "unknown syslog facility \"b\"" },
	{ "error_log syslog:server=127.0.0.1,severity=b;", "unknown syslog severity \"b\"" },
	{ "error_log syslog:server=127.0.0.1,tag=a-b;",
	    "syslog \"tag\" only allows alphanumeric characters and underscore" },
	{ "error_log syslog:server=127.0.0.1,tag=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;",
	    "syslog tag length exceeds 32" },
	{ "error_log syslog:server=127.0.0.1,nohostnamex;", "unknown syslog parameter \"nohostnamex\"" },
	{ "error_log syslog:server=127.0.0.1,facility=mail,facility=mail;", "duplicate syslog \"facility\"" },
	{ "error_log syslog:server=127.0.0.1,tag=a,tag=b;", "duplicate syslog \"tag\"" },
	{ "error_log syslog:server=unix:;", "no path in the unix domain socket in syslog server \"unix:\"" },
	{ "error_log syslog:server=127.0.0.1,;", "unknown syslog parameter \"\"" },
	{ "thread_pool a;", "invalid number of arguments in \"thread_pool\" directive" },
	{ "timer_resolution 2h;", "\"timer_resolution\" directive invalid value" },
	{ "worker_processes 257;", "\"worker_processes\" directive invalid value" },
	{ "worker_rlimit_core 99999999999999999999g;", "\"worker_rlimit_core\" directive invalid value" },
	{ "working_directory '';", "\"working_directory\" directive value must not be empty" },
};

/* What stands behind `listen`, on line 2. */
static const struct {
	const char *text, *why;
} listens[] = {
	{ "0", "invalid port in \"0\" of the \"listen\" directive" },
	{ "65536", "invalid port in \"65536\" of the \"listen\" directive" },
	{ "-1", "no port in \"-1\" of the \"listen\" directive" },
	{ "143-", "no port in \"143-\" of the \"listen\" directive" },
	{ "143-142", "invalid port range in \"143-142\" of the \"listen\" directive" },
	{ "143-99999", "invalid port in \"143-99999\" of the \"listen\" directive" },
	{ "x", "no port in \"x\" of the \"listen\" directive" },
	{ "x:", "invalid port in \"x:\" of the \"listen\" directive" },
	{ "x:0", "invalid port in \"x:0\" of the \"listen\" directive" },
	{ ":143", "no host in \":143\" of the \"listen\" directive" },
	{ "*", "no port in \"*\" of the \"listen\" directive" },
	{ "*:", "invalid port in \"*:\" of the \"listen\" directive" },
	{ "127.0.0.1", "no port in \"127.0.0.1\" of the \"listen\" directive" },
	{ "127.0.0.1:", "invalid port in \"127.0.0.1:\" of the \"listen\" directive" },
	{ "127.0.0.1:x", "invalid port in \"127.0.0.1:x\" of the \"listen\" directive" },
	{ "127.0.0.1:143:144", "invalid port in \"127.0.0.1:143:144\" of the \"listen\" directive" },
	{ "[::1]", "no port in \"[::1]\" of the \"listen\" directive" },
	{ "[::1", "invalid host in \"[::1\" of the \"listen\" directive" },
	{ "[::1]x", "invalid host in \"[::1]x\" of the \"listen\" directive" },
	{ "[::1]:", "invalid port in \"[::1]:\" of the \"listen\" directive" },
	{ "[::g]:143", "invalid IPv6 address in \"[::g]:143\" of the \"listen\" directive" },
	{ "::1:143", "invalid port in \"::1:143\" of the \"listen\" directive" },
	{ "[]:143", "no host in \"[]:143\" of the \"listen\" directive" },
	{ "unix:", "no path in the unix domain socket in \"unix:\" of the \"listen\" directive" },
	{ "foo.invalid:143", "host not found in \"foo.invalid:143\" of the \"listen\" directive" },
	{ "127.0.0.1:143/x", "invalid host in \"127.0.0.1:143/x\" of the \"listen\" directive" },
	{ "127.0.0.1:143 foo", "invalid parameter \"foo\"" },
	{ "127.0.0.1:143 backlog=0", "invalid backlog \"backlog=0\"" },
	{ "127.0.0.1:143 backlog=x", "invalid backlog \"backlog=x\"" },
	{ "127.0.0.1:143 backlog=-1", "invalid backlog \"backlog=-1\"" },
	{ "127.0.0.1:143 rcvbuf=x", "invalid rcvbuf \"rcvbuf=x\"" },
	{ "127.0.0.1:143 sndbuf=x", "invalid sndbuf \"sndbuf=x\"" },
	{ "[::1]:143 ipv6only=x", "invalid parameter \"ipv6only=x\"" },
	{ "127.0.0.1:143 so_keepalive=x", "invalid so_keepalive value: \"x\"" },
	{ "127.0.0.1:143 so_keepalive=::", "invalid so_keepalive value: \"::\"" },
	{ "127.0.0.1:143 so_keepalive=0:0:0", "invalid so_keepalive value: \"0:0:0\"" },
	{ "127.0.0.1:143 so_keepalive=", "invalid so_keepalive value: \"\"" },
	{ "127.0.0.1:143 proxy_protocol=on", "invalid parameter \"proxy_protocol=on\"" },
	{ "127.0.0.1:143 ssl", "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive" },
	{ "127.0.0.1:143 ssl=on", "invalid parameter \"ssl=on\"" },
	{ "127.0.0.1:143 backlog=", "invalid backlog \"backlog=\"" },
	{ "143; listen 143", "duplicate \"0.0.0.0:143\" address and port pair" },
	{ "143; listen *:143", "duplicate \"0.0.0.0:143\" address and port pair" },
	{ "127.0.0.1:143; listen 127.0.0.1:143", "duplicate \"127.0.0.1:143\" address and port pair" },
	{ "[::]:143; listen [::]:143 ipv6only=off", "duplicate \"[::]:143\" address and port pair" },
	{ "unix:/tmp/x; listen unix:/tmp/x", "duplicate \"unix:/tmp/x\" address and port pair" },
	{ "140-150; listen 145", "duplicate \"0.0.0.0:145\" address and port pair" },
	{ "127.0.0.1:143 default_server", "invalid parameter \"default_server\"" },
	{ "143 mode=0600", "invalid parameter \"mode=0600\"" },
	{ "143 owner=root", "invalid parameter \"owner=root\"" },
	{ "unix:/x mode=8", "invalid mode \"mode=8\"" },
	{ "unix:/x mode=1777", "invalid mode \"mode=1777\"" },
	{ "unix:/x mode=", "invalid mode \"mode=\"" },
	{ "unix:/x mode=-1", "invalid mode \"mode=-1\"" },
	{ "unix:/x owner=nobody.such", "invalid owner \"owner=nobody.such\"" },
	{ "unix:/x group=", "invalid group \"group=\"" },
	{ "unix:/x multipath", "invalid parameter \"multipath\"" },
	{ "143 backlog", "invalid parameter \"backlog\"" },
	{ "143 bindx", "invalid parameter \"bindx\"" },
	{ "143 backlog=99999999999", "invalid backlog \"backlog=99999999999\"" },
	{ "143 so_keepalive=1:2:3:4", "invalid so_keepalive value: \"1:2:3:4\"" },
	{ "143 so_keepalive=1ms", "invalid so_keepalive value: \"1ms\"" },
	{ "143 so_keepalive=::200", "invalid so_keepalive value: \"::200\"" },
	{ "two.test:143; listen 127.0.0.2:143", "duplicate \"127.0.0.2:143\" address and port pair" },
	{ "[::1]:143; listen six.test:143", "duplicate \"[::1]:143\" address and port pair" },
};

START_TEST(a_wrong_file_is_refused_with_its_line)
{
	confbox_refuses(files[_i].text, files[_i].why, files[_i].line);
}
END_TEST

START_TEST(a_wrong_main_directive_is_refused)
{
	char *text = mem_printf("%sevents{}", mains[_i].text);

	confbox_refuses(text, mains[_i].why, 1);
	mem_free(text);
}
END_TEST

START_TEST(a_wrong_listen_is_refused)
{
	char *text = mem_printf("events{}\nmail{auth_http 127.0.0.1; server{protocol imap; listen %s;}}",
	    listens[_i].text);

	confbox_refuses(text, listens[_i].why, 2);
	mem_free(text);
}
END_TEST

START_TEST(an_account_for_pam_has_to_be_there)
{
	if (geteuid() == 0)
		confbox_refuses("events{}\nmail{auth_pam mail; auth_pam_user no.such; server{listen 143;}}",
		    "getpwnam(\"no.such\") failed", 2);
}
END_TEST

START_TEST(only_root_is_told_of_accounts_that_do_not_exist)
{
	if (geteuid() != 0)
		return;
	confbox_refuses("\nuser no.such;events{}", "getpwnam(\"no.such\") failed", 2);
	confbox_refuses("\nuser root no.such;events{}", "getgrnam(\"no.such\") failed", 2);
}
END_TEST

START_TEST(a_path_that_no_socket_can_have_is_refused)
{
	char path[201], *text, *why;

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	text = mem_printf("events{}\nmail{server{listen unix:/%s;}}", path);
	why = mem_printf("too long path in the unix domain socket in \"unix:/%s\" of the \"listen\" directive", path);
	confbox_refuses(text, why, 2);
	mem_free(text);
	mem_free(why);
}
END_TEST

/* What is said of a text, loaded or not. */
static void
expect_said(const char *text, const char *said)
{
	struct confbox box;
	struct conf *conf;

	confbox_open(&box);
	confbox_write(&box, "open", "events {\n");
	confbox_write(&box, "daemon", "\n\ndaemon x;");
	conf = confbox_check(&box, text);
	ck_assert_str_eq(box.said, said);
	conf_free(&conf);
	confbox_close(&box);
}

#define SERVER "events{}\nmail{auth_http 127.0.0.1; server{listen 127.0.0.1:143; "

static const struct {
	const char *text, *said;
} other[] = {
	{ "", "[emerg] no \"events\" section in configuration\n" },
	{ "# only", "[emerg] no \"events\" section in configuration\n" },
	{ "events{}", "[warn] no \"mail\" section in configuration, nothing is served\n" },
	{ "include open;events{}", "[emerg] unexpected end of file, expecting \"}\" in open:2\n" },
	{ "events{ include daemon; }", "[emerg] \"daemon\" directive is not allowed here in daemon:3\n" },
	{ "events{}mail{include open;}", "[emerg] \"events\" directive is not allowed here in open:1\n" },
	{ "include daemon;",
	    "[emerg] invalid value \"x\" in \"daemon\" directive, it must be \"on\" or \"off\" in daemon:3\n" },
	{ "\ninclude open*;", "[emerg] unexpected end of file, expecting \"}\" in open:2\n" },
	{ "\n\ninclude n.conf;", "[emerg] \"n.conf\" includes itself in n.conf:3\n" },
	{ "\ninclude /;", "[emerg] read() \"/\" failed (21: Is a directory) in n.conf:2\n" },
	{ "\ninclude /dev/null;", "[emerg] read() \"/dev/null\" failed (22: Invalid argument) in n.conf:2\n" },
	{ SERVER "imap_auth plain plain; }}", "[warn] duplicate value \"plain\" in n.conf:2\n" },
	{ SERVER "imap_auth plain;\nimap_auth plain; }}", "[warn] duplicate value \"plain\" in n.conf:3\n" },
	{ SERVER "ssl_protocols TLSv1.2;\nssl_protocols tlsv1.2; }}",
	    "[warn] duplicate value \"tlsv1.2\" in n.conf:3\n" },
	{ SERVER "ssl_certificate nothing; ssl_verify_client on; starttls off; }}", "" },
	{ "events{}\nmail{auth_http 127.0.0.1;\nstarttls on;\nserver{listen 127.0.0.1:143;}}",
	    "[emerg] no \"ssl_certificate\" is defined for the \"starttls\" directive in n.conf:3\n" },
	{ "events{}\nmail{auth_http 127.0.0.1; starttls on;\nserver{\nlisten 127.0.0.1:143;\nlisten 993 ssl;}}",
	    "[emerg] no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive in n.conf:5\n" },
	{ SERVER "proxy off; }}", "[warn] \"proxy off\" does nothing in n.conf:2\n" },
	{ SERVER "proxy on; }}", "" },
	{ SERVER "}}\nhttp { server { location ~ \"a{2}\" { x; } } }\nlock_file x;load_module y;",
	    "[warn] \"http\" is skipped: it is for other parts of nginx in n.conf:3\n"
	    "[warn] \"lock_file\" is skipped: it is for other parts of nginx in n.conf:4\n"
	    "[warn] \"load_module\" is skipped: it is for other parts of nginx in n.conf:4\n" },
	{ "events{debug_connection 10.0.0.1/8;debug_connection 10.0.0.0/8;debug_connection ::1/64;}mail{}",
	    "[warn] low address bits of 10.0.0.1/8 are meaningless in n.conf:1\n"
	    "[warn] low address bits of ::1/64 are meaningless in n.conf:1\n" },
	{ SERVER "proxy_bind 127.0.0.9; proxy_pass 127.0.0.1; }}", "" },
	{ SERVER "proxy_bind 192.0.2.9; }\nserver{listen 127.0.0.2:143;}}",
	    "[warn] \"proxy_bind\" cannot work now: bind(192.0.2.9) failed (99: Cannot assign requested address) "
	    "in n.conf:2\n" },
	{ "events{}\nmail{auth_http 127.0.0.1; proxy_bind 2001:db8::9;\nserver{listen 127.0.0.1:143;}\n"
	    "server{listen 127.0.0.2:143; proxy_bind off;} server{listen 127.0.0.3:143;}}",
	    "[warn] \"proxy_bind\" cannot work now: bind(2001:db8::9) failed (99: Cannot assign requested address) "
	    "in n.conf:2\n" },
	{ SERVER "proxy_pass six.test;\nproxy_bind 127.0.0.9; }}",
	    "[warn] \"proxy_bind\": connections to [::1]:143 do not come from this address in n.conf:3\n" },
	{ SERVER "proxy_pass unix:/b; proxy_bind 127.0.0.9; }}",
	    "[warn] \"proxy_bind\": connections to unix:/b do not come from this address in n.conf:2\n" },
	{ "worker_processes 3;worker_cpu_affinity 01 10;events{}mail{}",
	    "[warn] the number of \"worker_processes\" is not equal to the number of \"worker_cpu_affinity\" masks, "
	    "using last mask for remaining worker processes in n.conf:1\n" },
	{ "events{worker_connections 1;}mail{auth_http 127.0.0.1;server{listen 127.0.0.1:143;}}",
	    "[emerg] 1 worker_connections are not enough for 1 listening sockets\n" },
};

START_TEST(what_is_unwise_is_warned_of)
{
	expect_said(other[_i].text, other[_i].said);
}
END_TEST

static const struct {
	const char *directives, *said;
} options[] = {
	{ "daemon off", "[emerg] unexpected end of parameter, expecting \";\" in command line\n" },
	{ "foo;", "[emerg] unknown directive \"foo\" in command line\n" },
	{ "events{}", "[emerg] block directives are not supported in -g option in command line\n" },
	{ "daemon x;",
	    "[emerg] invalid value \"x\" in \"daemon\" directive, it must be \"on\" or \"off\" in command line\n" },
	{ "daemon off;", "[emerg] \"daemon\" directive is duplicate in n.conf:2\n" },
	{ "error_log x foo;", "[emerg] invalid log level \"foo\" in command line\n" },
	{ "include nothing;", "[emerg] open() \"nothing\" failed (2: No such file or directory) in command line\n" },
};

START_TEST(the_command_line_is_a_place_too)
{
	struct confbox box;

	confbox_open(&box);
	box.request.directives = options[_i].directives;
	ck_assert_ptr_null(confbox_check(&box, "\ndaemon off;events{}"));
	ck_assert_str_eq(box.said, options[_i].said);
	confbox_close(&box);
}
END_TEST

START_TEST(a_main_file_that_is_not_there_is_said_without_a_place)
{
	struct confbox box;

	confbox_open(&box);
	box.request.path = "/nonexistent/n.conf";
	ck_assert_ptr_null(confbox_check(&box, ""));
	ck_assert_str_eq(box.said, "[emerg] open() \"/nonexistent/n.conf\" failed (2: No such file or directory)\n");
	confbox_close(&box);
}
END_TEST

START_TEST(clear_text_is_warned_of_when_asked_and_only_where_strangers_are)
{
	struct confbox box;
	struct conf *conf;

	confbox_open(&box);
	box.request.test = true;
	conf = confbox_mail(&box, "auth_http 127.0.0.1;\nserver{listen 127.0.0.5:143; listen [::1]:143;\n"
	    "listen 143; listen [::]:143; listen unix:/x;}\nserver{listen 192.0.2.1:25; smtp_auth none;}\n"
	    "ssl_certificate c; ssl_certificate_key k;\nserver{listen 993 ssl; server_name a;}\n"
	    "server{listen 110; starttls only; server_name a;}\nserver{listen 587; starttls on; server_name a;}");
	ck_assert_str_eq(box.said, "[warn] clients log in without encryption on 0.0.0.0:143 in n.conf:5\n"
	    "[warn] clients log in without encryption on [::]:143 in n.conf:5\n"
	    "[warn] clients log in without encryption on 0.0.0.0:587 in n.conf:10\n");
	conf_free(&conf);
	confbox_close(&box);
}
END_TEST

/* One line, whatever it is: no crash, no second complaint. */
START_TEST(a_text_cut_anywhere_is_one_complaint_or_none)
{
	static const char whole[] =
	    "user root; pid \"a\\\"b\" ;error_log syslog:server=unix:/x,tag=a info; events { use epoll; }\n"
	    "mail { auth_http 127.0.0.1:1/x; imap_auth plain external; server { listen [::1]:143 bind backlog=5;\n"
	    "proxy_timeout '1h 5m'; smtp_capabilities \"a b\" c; }\n"
	    "ssl_certificate a; ssl_certificate_key store:b; ssl_session_cache builtin:9 shared:z:1m;\n"
	    "server { protocol pop3; listen unix:/y ssl mode=0600; server_name a *.b; ssl_protocols TLSv1.2; }\n"
	    "upstream up { server unix:/a weight=2 backup; server 127.0.0.1:5 fail_timeout=5s max_fails=9; }\n"
	    "server { protocol pop3; listen unix:/y ssl; server_name *.c; auth_http https://[::1]:1/x match=*@a;\n"
	    "auth_mysql unix:/b; auth_mysql_user u; auth_mysql_database d; auth_mysql_query ':local'; auth_pam mail;\n"
	    "auth_http http://up/a; auth_cache zone=a:1m ttl=5s; proxy_pass 127.0.0.1; auth_passthrough on;\n"
	    "auth_http_ssl_name y; proxy_ssl starttls; } }";
	struct confbox box;

	confbox_open(&box);
	for (size_t len = 0; len <= strlen(whole); len++) {
		char *text = mem_strndup(whole, len), *emerg;
		struct conf *conf = confbox_check(&box, text);

		emerg = strstr(box.said, "[emerg]");
		ck_assert_msg((conf == NULL) == (emerg != NULL), "%s: %s", text, box.said);
		ck_assert(emerg == NULL || strstr(emerg + 1, "[emerg]") == NULL);
		conf_free(&conf);
		mem_free(text);
	}
	confbox_close(&box);
}
END_TEST

#define LOOP(test, table) tcase_add_loop_test(tcase, test, 0, UNIT_COUNT(table))

Suite *
conf_complaints_suite(void)
{
	Suite *suite = suite_create("conf_complaints");
	TCase *tcase = tcase_create("conf_complaints");

	LOOP(a_wrong_file_is_refused_with_its_line, files);
	LOOP(a_wrong_main_directive_is_refused, mains);
	LOOP(a_wrong_listen_is_refused, listens);
	tcase_add_test(tcase, an_account_for_pam_has_to_be_there);
	LOOP(what_is_unwise_is_warned_of, other);
	LOOP(the_command_line_is_a_place_too, options);
	tcase_add_test(tcase, only_root_is_told_of_accounts_that_do_not_exist);
	tcase_add_test(tcase, a_path_that_no_socket_can_have_is_refused);
	tcase_add_test(tcase, a_main_file_that_is_not_there_is_said_without_a_place);
	tcase_add_test(tcase, clear_text_is_warned_of_when_asked_and_only_where_strangers_are);
	tcase_add_test(tcase, a_text_cut_anywhere_is_one_complaint_or_none);
	suite_add_tcase(suite, tcase);
	return suite;
}
