/*
 * Every complaint about a text, with its line. The texts that nginx has too were compared
 * with what `nginx -t` prints.
 */
#include "common/mem.h"
#include "test/unit/confbox.h"
#include "test/unit/unit.h"

#include <openssl/ssl.h>
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

#define MYSQL "auth_mysql d; auth_mysql_user u; auth_mysql_database d; auth_mysql_query :user; "

/* A directive of a server, on line 2. */
static const struct {
	const char *text, *why;
} servers[] = {
	{ "timeout 0;", "\"timeout\" directive value must not be zero" },
	{ "timeout x;", "\"timeout\" directive invalid value" },
	{ "timeout 1y;", "\"timeout\" directive invalid value" },
	{ "timeout 5;timeout 5;", "\"timeout\" directive is duplicate" },
	{ "timeout;", "invalid number of arguments in \"timeout\" directive" },
	{ "timeout 1 2;", "invalid number of arguments in \"timeout\" directive" },
	{ "max_errors x;", "\"max_errors\" directive invalid number" },
	{ "max_errors -1;", "\"max_errors\" directive invalid number" },
	{ "server_name;", "invalid number of arguments in \"server_name\" directive" },
	{ "server_name a;server_name b;", "\"server_name\" directive is duplicate" },
	{ "protocol IMAP;", "unknown protocol \"IMAP\"" },
	{ "auth_http;", "invalid number of arguments in \"auth_http\" directive" },
	{ "auth_http \"\";", "no host in auth_http \"\"" },
	{ "auth_http http://;", "no host in auth_http \"\"" },
	{ "auth_http https://;", "no host in auth_http \"\"" },
	{ "auth_http https://unix:/s;", "\"auth_http\" directive knows no \"https://\" on UNIX sockets" },
	{ "auth_http 127.0.0.1:x;", "invalid port in auth_http \"127.0.0.1:x\"" },
	{ "auth_http 127.0.0.1:99999/;", "invalid port in auth_http \"127.0.0.1:99999/\"" },
	{ "auth_http :80/;", "no host in auth_http \":80/\"" },
	{ "auth_http foo.invalid;", "host not found in auth_http \"foo.invalid\"" },
	{ "auth_http unix:;", "no path in the unix domain socket in auth_http \"unix:\"" },
	{ "auth_http [::1;", "invalid host in auth_http \"[::1\"" },
	{ "auth_http a match=;", "invalid pattern \"match=\"" },
	{ "auth_http a 'match=a\\nb';", "invalid pattern \"match=a\\x0Ab\"" },
	{ "auth_http 127.0.0.1 https://127.0.0.1;",
	    "\"auth_http\" directive has servers with and without \"https://\"" },
	{ "auth_http 127.0.0.1 127.0.0.1:x;", "invalid port in auth_http \"127.0.0.1:x\"" },
	{ "auth_http_keepalive x;", "\"auth_http_keepalive\" directive invalid number" },
	{ "auth_http_keepalive_requests 0;", "\"auth_http_keepalive_requests\" directive value must not be zero" },
	{ "auth_http_keepalive_timeout 0;", "\"auth_http_keepalive_timeout\" directive value must not be zero" },
	{ "auth_http http://up:5/x;", "upstream \"up\" may not have port 5" },
	{ "auth_http https://unix;", "there is no \"https://\" on UNIX sockets: \"unix:/u\"" },
	{ "server 127.0.0.1;", "\"server\" directive is not allowed here" },
	{ "auth_file users joe;", "invalid parameter \"joe\"" },
	{ "auth_file users match;", "invalid parameter \"match\"" },
	{ "auth_mysql '';", "no host in auth_mysql \"\"" },
	{ "auth_mysql a:b;", "invalid port in auth_mysql \"a:b\"" },
	{ "auth_mysql 'a\\nb';", "\"auth_mysql\" directive value holds a control character" },
	{ "auth_mysql 127.0.0.1;", "no \"auth_mysql_user\" is defined for \"auth_mysql\"" },
	{ "auth_mysql 127.0.0.1; auth_mysql_user u;", "no \"auth_mysql_database\" is defined for \"auth_mysql\"" },
	{ "auth_mysql 127.0.0.1; auth_mysql_user u; auth_mysql_database d;",
	    "no \"auth_mysql_query\" is defined for \"auth_mysql\"" },
	{ "auth_mysql_user '';", "\"auth_mysql_user\" directive value must not be empty" },
	{ "auth_mysql_user 'a\\rb';", "\"auth_mysql_user\" directive value holds a control character" },
	{ "auth_mysql_query 'a\x01';", "invalid query in \"auth_mysql_query\": control character in the query" },
	{ "auth_mysql_query 'SELECT :user; DROP TABLE users';",
	    "invalid query in \"auth_mysql_query\": more than one statement" },
	{ "auth_mysql_query 'SELECT :usre';",
	    "invalid query in \"auth_mysql_query\": unknown parameter; there are :user, :local, "
	    ":domain, :protocol, :client, :server and :password" },
	{ "auth_mysql_query 'SELECT 1';",
	    "invalid query in \"auth_mysql_query\": the query asks for neither :user nor :local" },
	{ MYSQL "auth_mysql_password_file nothing;", "stat() \"nothing\" failed (2: No such file or directory)" },
	{ MYSQL "auth_mysql_password_file /;", "\"/\" is not a file" },
	{ MYSQL "auth_mysql_ssl on; auth_mysql_ssl_trusted_certificate nothing;",
	    "stat() \"nothing\" failed (2: No such file or directory)" },
	{ MYSQL "auth_mysql_ssl on; auth_mysql_ssl_certificate /;",
	    "no \"auth_mysql_ssl_certificate_key\" is defined for \"auth_mysql\"" },
	{ MYSQL "auth_mysql_ssl on; auth_mysql_ssl_trusted_certificate '/a\\nb';",
	    "\"/a\\x0Ab\" holds a control character" },
	{ "auth_pam '';", "invalid service \"\"" },
	{ "auth_pam a/b;", "invalid service \"a/b\"" },
	{ "auth_pam ..;", "invalid service \"..\"" },
	{ "auth_pam mail; auth_pam_directory nothing;", "\"nothing\" is not a directory" },
	{ "imap_auth xoauth2; auth_jwt nothing;", "stat() \"nothing\" failed (2: No such file or directory)" },
	{ "imap_auth xoauth2; auth_jwt /;", "\"/\" is not a file" },
	{ "auth_http match=*;", "\"auth_http\" directive has no URL" },
	{ "auth_introspection :80;", "no host in auth_introspection \":80\"" },
	{ "imap_auth xoauth2; auth_introspection 127.0.0.1; auth_introspection_secret_file nothing;",
	    "no \"auth_introspection_client_id\" is defined for \"auth_introspection\"" },
	{ "imap_auth xoauth2; auth_introspection 127.0.0.1; auth_introspection_client_id me;",
	    "no \"auth_introspection_secret_file\" is defined for \"auth_introspection\"" },
	{ "imap_auth xoauth2; auth_introspection 127.0.0.1; auth_introspection_client_id me;"
	    "auth_introspection_secret_file nothing;", "open() \"nothing\" failed (2: No such file or directory)" },
	{ "auth_introspection_client_id 'a\\nb';",
	    "\"auth_introspection_client_id\" directive value holds a control character" },
	{ "auth_token_scope 'a b';", "\"auth_token_scope\" directive value holds a blank" },
	{ "auth_token_scope a '';", "\"auth_token_scope\" directive value must not be empty" },
	{ "auth_token_audience 'a\\tb';", "\"auth_token_audience\" directive value holds a control character" },
	{ "auth_token_claim '';", "\"auth_token_claim\" directive value must not be empty" },
	{ "auth_token_leeway x;", "\"auth_token_leeway\" directive invalid value" },
	{ "auth_token_leeway 86401s;", "\"auth_token_leeway\" directive invalid value" },
	{ "auth_passthrough x;",
	    "invalid value \"x\" in \"auth_passthrough\" directive, it must be \"on\" or \"off\"" },
	{ "auth_passthrough on; auth_passthrough on;", "\"auth_passthrough\" directive is duplicate" },
	{ "auth_passthrough on;", "no \"proxy_pass\" is defined for \"auth_passthrough\"" },
	{ "auth_passthrough on; auth_pam mail; proxy_pass 127.0.0.1;",
	    "\"auth_passthrough\" is not the last source: nobody behind it would be asked" },
	{ "auth_passthrough on; proxy_pass 127.0.0.1; proxy_auth none;",
	    "\"auth_passthrough\" lets the backend judge the client's password, which \"proxy_auth none\" does not "
	    "show it" },
	{ "auth_passthrough on; proxy_pass 127.0.0.1; proxy_auth external;",
	    "\"auth_passthrough\" lets the backend judge the client's password, which \"proxy_auth external\" does "
	    "not show it" },
	{ "auth_passthrough on; proxy_pass 127.0.0.1; protocol smtp;",
	    "\"auth_passthrough\" lets the backend judge the client's password, which \"proxy_smtp_auth off\" does "
	    "not show it" },
	{ "auth_file users; proxy_auth external;", "\"proxy_auth external\" needs \"proxy_ssl\"" },
	{ "auth_file users; proxy_auth external; proxy_ssl on;",
	    "\"proxy_auth external\" needs \"proxy_ssl_certificate\"" },
	{ "imap_auth plain external; auth_pam mail; auth_file users;",
	    "\"imap_auth external\" cannot be served by \"auth_file\" or \"auth_pam\": leave it out, or add "
	    "\"auth_http\"" },
	{ "imap_auth plain cram-md5; auth_pam mail;",
	    "\"imap_auth cram-md5\" cannot be served by \"auth_pam\": leave it "
	    "out, or add \"auth_http\" or \"auth_file\" or \"auth_mysql\"" },
	{ "auth_jwt users;", "\"imap_auth plain\" cannot be served by \"auth_jwt\": leave it out, or add \"auth_http\" "
	    "or \"auth_file\" or \"auth_mysql\" or \"auth_pam\" or \"auth_passthrough\"" },
	{ "imap_auth xoauth2; auth_file users;",
	    "\"imap_auth xoauth2\" cannot be served by \"auth_file\": leave it out, "
	    "or add \"auth_http\" or \"auth_jwt\" or \"auth_introspection\" or \"auth_passthrough\"" },
	{ "protocol smtp; smtp_auth none; auth_pam mail;",
	    "\"smtp_auth none\" needs \"auth_http\": an \"auth_pam\" knows no recipients" },
	{ "protocol smtp; smtp_auth none; auth_http 127.0.0.1 match=*; auth_pam mail;",
	    "\"smtp_auth none\" needs an \"auth_http\" without \"match=\": recipients are no users" },
	{ "auth_cache x;", "invalid parameter \"x\"" },
	{ "auth_cache off off;", "invalid parameter \"off\"" },
	{ "auth_cache ttl=1;", "\"auth_cache\" directive has no \"zone=\"" },
	{ "auth_cache zone=;", "invalid parameter \"zone=\": invalid name of a zone" },
	{ "auth_cache zone=:1m;", "invalid parameter \"zone=:1m\": invalid name of a zone" },
	{ "auth_cache zone=a;", "invalid parameter \"zone=a\": invalid size" },
	{ "auth_cache zone=a:x;", "invalid parameter \"zone=a:x\": invalid size" },
	{ "auth_cache zone=a:2000m;", "invalid parameter \"zone=a:2000m\": invalid size" },
	{ "auth_cache zone=a:4k;", "invalid parameter \"zone=a:4k\": the zone is too small, at least 32k" },
	{ "auth_cache zone=a:1m zone=b:1m;", "duplicate parameter \"zone=b:1m\"" },
	{ "auth_cache zone=a:1m ttl=0;", "invalid parameter \"ttl=0\": value must not be zero" },
	{ "auth_cache zone=a:1m negative=x;", "invalid parameter \"negative=x\": invalid time" },
	{ "auth_cache zone=other:2m;",
	    "\"auth_cache\" zone \"other\" has another size, ttl or negative than before" },
	{ "auth_cache zone=other:1m ttl=1s;",
	    "\"auth_cache\" zone \"other\" has another size, ttl or negative than before" },
	{ "auth_failure_delay x;", "\"auth_failure_delay\" directive invalid value" },
	{ "proxy_auth cram-md5;", "invalid value \"cram-md5\"" },
	{ "proxy_master_user m;", "invalid number of arguments in \"proxy_master_user\" directive" },
	{ "proxy_master_user '' a;", "\"proxy_master_user\" directive value must not be empty" },
	{ "proxy_master_user m '';", "\"proxy_master_user\" directive value must not be empty" },
	{ "proxy_master_user 'a\\nb' a;", "\"proxy_master_user\" directive value holds a control character" },
	{ "proxy_master_user m users sometimes;", "invalid parameter \"sometimes\"" },
	{ "proxy_master_user m nothing;", "open() \"nothing\" failed (2: No such file or directory)" },
	{ "auth_http_header a;", "invalid number of arguments in \"auth_http_header\" directive" },
	{ "auth_http_header a b c;", "invalid number of arguments in \"auth_http_header\" directive" },
	{ "auth_http_timeout x;", "\"auth_http_timeout\" directive invalid value" },
	{ "auth_http_pass_client_cert x;",
	    "invalid value \"x\" in \"auth_http_pass_client_cert\" directive, it must be \"on\" or \"off\"" },
	{ "proxy x;", "invalid value \"x\" in \"proxy\" directive, it must be \"on\" or \"off\"" },
	{ "proxy_buffer x;", "\"proxy_buffer\" directive invalid value" },
	{ "proxy_buffer 0;", "\"proxy_buffer\" directive value must not be zero" },
	{ "proxy_buffer 1g;", "\"proxy_buffer\" directive invalid value" },
	{ "proxy_buffer -1;", "\"proxy_buffer\" directive invalid value" },
	{ "proxy_buffer 1kk;", "\"proxy_buffer\" directive invalid value" },
	{ "proxy_buffer k;", "\"proxy_buffer\" directive invalid value" },
	{ "proxy_buffer \"\";", "\"proxy_buffer\" directive invalid value" },
	{ "proxy_buffer 99999999999999999999;", "\"proxy_buffer\" directive invalid value" },
	{ "proxy_timeout x;", "\"proxy_timeout\" directive invalid value" },
	{ "xclient x;", "invalid value \"x\" in \"xclient\" directive, it must be \"on\" or \"off\"" },
	{ "imap_auth foo;", "invalid value \"foo\"" },
	{ "imap_auth apop;", "invalid value \"apop\"" },
	{ "pop3_auth login;", "invalid value \"login\"" },
	{ "smtp_auth none apop;", "invalid value \"apop\"" },
	{ "imap_auth;", "invalid number of arguments in \"imap_auth\" directive" },
	{ "imap_capabilities;", "invalid number of arguments in \"imap_capabilities\" directive" },
	{ "imap_client_buffer 0;", "\"imap_client_buffer\" directive value must not be zero" },
	{ "smtp_greeting_delay x;", "\"smtp_greeting_delay\" directive invalid value" },
	{ "smtp_client_buffer x;", "\"smtp_client_buffer\" directive invalid value" },
	{ "error_log x foo;", "invalid log level \"foo\"" },
	{ "resolver;", "invalid number of arguments in \"resolver\" directive" },
	{ "resolver 127.0.0.1:0;", "invalid port in resolver \"127.0.0.1:0\"" },
	{ "resolver [::1;", "invalid host in resolver \"[::1\"" },
	{ "resolver unix:/a;", "no IP address in resolver \"unix:/a\"" },
	{ "resolver valid=5s;", "no name servers defined" },
	{ "resolver 127.0.0.1 valid=x;", "invalid parameter \"valid=x\": invalid time" },
	{ "resolver 127.0.0.1 valid=5ms;", "invalid parameter \"valid=5ms\": invalid time" },
	{ "resolver 127.0.0.1 valid=5s valid=6s;", "duplicate parameter \"valid=6s\"" },
	{ "resolver 127.0.0.1 ipv4=yes;", "invalid parameter \"ipv4=yes\": it must be \"on\" or \"off\"" },
	{ "resolver 127.0.0.1 ipv6=;", "invalid parameter \"ipv6=\": it must be \"on\" or \"off\"" },
	{ "resolver 127.0.0.1 ipv4=off ipv6=off;", "\"ipv4\" and \"ipv6\" cannot both be \"off\"" },
	{ "resolver 127.0.0.1 foo=bar;", "invalid parameter \"foo=bar\"" },
	{ "resolver 127.0.0.1; resolver off;", "\"resolver\" directive is duplicate" },
	{ "resolver_timeout x;", "\"resolver_timeout\" directive invalid value" },
	{ "resolver_timeout 0;", "\"resolver_timeout\" directive value must not be zero" },
	{ "proxy_pass_error_message 1;",
	    "invalid value \"1\" in \"proxy_pass_error_message\" directive, it must be \"on\" or \"off\"" },
	{ "proxy_smtp_auth yes;",
	    "invalid value \"yes\" in \"proxy_smtp_auth\" directive, it must be \"on\" or \"off\"" },
	{ "server_name 'a\\r\\nb';", "\"server_name\" directive value holds a control character" },
	{ "smtp_capabilities OK 'a\\rb';", "\"smtp_capabilities\" directive value holds a control character" },
	{ "imap_capabilities 'a\\nb';", "\"imap_capabilities\" directive value holds a control character" },
	{ "auth_http_header 'a\\nb' c;", "\"auth_http_header\" directive value holds a control character" },
	{ "auth_http_header a 'b\\r\\nc: d';", "\"auth_http_header\" directive value holds a control character" },
	{ "auth_http '127.0.0.1/a b';", "\"auth_http\" directive value holds a blank or a control character" },
	{ "auth_http '127.0.0.1/a\\nb';", "\"auth_http\" directive value holds a blank or a control character" },
	{ "auth_file '';", "\"auth_file\" directive value must not be empty" },
	{ "auth_file nothing;", "stat() \"nothing\" failed (2: No such file or directory)" },
	{ "auth_file /;", "\"/\" is not a file" },
	{ "auth_helpers 0;", "\"auth_helpers\" directive value must not be zero" },
	{ "auth_helpers 1000;", "\"auth_helpers\" directive invalid value" },
	{ "auth_timeout 0;", "\"auth_timeout\" directive value must not be zero" },
	{ "auth_http_timeout 0s;", "\"auth_http_timeout\" directive value must not be zero" },
	{ "auth_http_buffer 0k;", "\"auth_http_buffer\" directive value must not be zero" },
	{ "proxy_timeout 0ms;", "\"proxy_timeout\" directive value must not be zero" },
	{ "pop3_client_buffer 0;", "\"pop3_client_buffer\" directive value must not be zero" },
	{ "max_commands 0;", "\"max_commands\" directive value must not be zero" },
	{ "proxy_bind;", "invalid number of arguments in \"proxy_bind\" directive" },
	{ "proxy_bind 127.0.0.1 transparent transparent;", "invalid number of arguments in \"proxy_bind\" directive" },
	{ "proxy_bind 127.0.0.1;proxy_bind ::1;", "\"proxy_bind\" directive is duplicate" },
	{ "proxy_bind 127.0.0.1 opaque;", "invalid parameter \"opaque\"" },
	{ "proxy_bind localhost;", "invalid address \"localhost\"" },
	{ "proxy_bind 127.0.0.1:25;", "invalid address \"127.0.0.1:25\"" },
	{ "proxy_bind [127.0.0.1];", "invalid address \"[127.0.0.1]\"" },
	{ "proxy_bind [::1]:25;", "invalid address \"[::1]:25\"" },
	{ "proxy_bind [];", "invalid address \"[]\"" },
	{ "proxy_bind '';", "invalid address \"\"" },
	{ "proxy_bind unix:/s;", "invalid address \"unix:/s\"" },
	{ "proxy_bind on;", "invalid address \"on\"" },
	{ "proxy_bind off transparent;", "invalid address \"off\"" },
	{ "proxy_bind 0.0.0.0;", "\"0.0.0.0\" is any address" },
	{ "proxy_bind [::] transparent;", "\"[::]\" is any address" },
	{ "proxy_bind $remote_addr:$remote_port transparent;", "invalid address \"$remote_addr:$remote_port\"" },
	{ "proxy_bind $remote_addr;", "\"proxy_bind\" directive takes a client's address only with \"transparent\"" },
	{ "proxy_pass a;proxy_pass b;", "\"proxy_pass\" directive is duplicate" },
	{ "proxy_pass a:b;", "invalid port in upstream \"a:b\"" },
	{ "proxy_pass nowhere.test;", "host not found in upstream \"nowhere.test\"" },
	{ "server_name *;", "invalid server name or wildcard \"*\"" },
	{ "server_name a *.;", "invalid server name or wildcard \"*.\"" },
	{ "server_name mail.*;", "invalid server name or wildcard \"mail.*\"" },
	{ "server_name .a.test;", "invalid server name or wildcard \".a.test\"" },
	{ "server_name ~^a;", "invalid server name or wildcard \"~^a\"" },
	{ "server_name 'a b';", "invalid server name or wildcard \"a b\"" },
	{ "ssl on;", "unknown directive \"ssl\"" },
	{ "starttls x;", "invalid value \"x\"" },
	{ "starttls on off;", "invalid number of arguments in \"starttls\" directive" },
	{ "starttls ON;", "no \"ssl_certificate\" is defined for the \"starttls\" directive" },
	{ "starttls only;", "no \"ssl_certificate\" is defined for the \"starttls\" directive" },
	{ "starttls on; ssl_certificate /c;", "no \"ssl_certificate_key\" is defined for the \"starttls\" directive" },
	{ "starttls on; ssl_certificate /c; ssl_certificate /d; ssl_certificate_key /k;",
	    "no \"ssl_certificate_key\" is defined for certificate \"/d\" and the \"starttls\" directive" },
	{ "starttls on; ssl_certificate /c; ssl_certificate_key /k; ssl_verify_client on;",
	    "no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client" },
	{ "starttls on; ssl_certificate /c; ssl_certificate_key /k; ssl_verify_client optional;",
	    "no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client" },
	{ "starttls on; ssl_reject_handshake on; ssl_certificate /c;",
	    "no \"ssl_certificate_key\" is defined for the \"starttls\" directive" },
	{ "ssl_certificate '';", "\"ssl_certificate\" directive value must not be empty" },
	{ "ssl_certificate a b;", "invalid number of arguments in \"ssl_certificate\" directive" },
	{ "ssl_certificate_key engine:a:b;",
	    "\"ssl_certificate_key\" directive knows no \"engine:\": name a provider's key by \"store:\"" },
	{ "ssl_password_file a; ssl_password_file b;", "\"ssl_password_file\" directive is duplicate" },
	{ "ssl_ciphers a; ssl_ciphers b;", "\"ssl_ciphers\" directive is duplicate" },
	{ "ssl_protocols;", "invalid number of arguments in \"ssl_protocols\" directive" },
	{ "ssl_protocols TLSv1.2 TLSv1.4;", "invalid value \"TLSv1.4\"" },
	{ "ssl_prefer_server_ciphers x;",
	    "invalid value \"x\" in \"ssl_prefer_server_ciphers\" directive, it must be \"on\" or \"off\"" },
	{ "ssl_session_cache x;", "invalid session cache \"x\"" },
	{ "ssl_session_cache builtin:;", "invalid session cache \"builtin:\"" },
	{ "ssl_session_cache builtin:0;", "invalid session cache \"builtin:0\"" },
	{ "ssl_session_cache builtin:x;", "invalid session cache \"builtin:x\"" },
	{ "ssl_session_cache builtinx;", "invalid session cache \"builtinx\"" },
	{ "ssl_session_cache shared:;", "invalid session cache \"shared:\"" },
	{ "ssl_session_cache shared:a;", "invalid session cache \"shared:a\"" },
	{ "ssl_session_cache shared::1m;", "invalid session cache \"shared::1m\"" },
	{ "ssl_session_cache shared:a:x;", "invalid session cache \"shared:a:x\"" },
	{ "ssl_session_cache shared:a:1k;", "session cache \"shared:a:1k\" is too small" },
	{ "ssl_session_cache builtin shared:a:1m off;",
	    "invalid number of arguments in \"ssl_session_cache\" directive" },
	{ "ssl_session_cache shared:a:1m shared:a:2m;",
	    "the size 2097152 of shared memory zone \"a\" conflicts with already declared size 1048576" },
	{ "ssl_session_timeout x;", "\"ssl_session_timeout\" directive invalid value" },
	{ "ssl_session_timeout 1ms;", "\"ssl_session_timeout\" directive invalid value" },
	{ "ssl_verify_client x;", "invalid value \"x\"" },
	{ "ssl_verify_depth x;", "\"ssl_verify_depth\" directive invalid number" },
	{ "ssl_conf_command a;", "invalid number of arguments in \"ssl_conf_command\" directive" },
	{ "proxy_ssl x;", "invalid value \"x\"" },
	{ "proxy_ssl_verify optional;",
	    "invalid value \"optional\" in \"proxy_ssl_verify\" directive, it must be \"on\" or \"off\"" },
	{ "proxy_ssl_certificate /c;", "no \"proxy_ssl_certificate_key\" is defined for certificate \"/c\"" },
	{ "proxy_ssl_name '';", "\"proxy_ssl_name\" directive value must not be empty" },
	{ "proxy_ssl_session_cache off;", "unknown directive \"proxy_ssl_session_cache\"" },
	{ "auth_http_ssl_certificate /c;",
	    "no \"auth_http_ssl_certificate_key\" is defined for certificate \"/c\"" },
	{ "auth_http_ssl_protocols SSLv4;", "invalid value \"SSLv4\"" },
#ifndef SSL_OP_NO_TX_CERTIFICATE_COMPRESSION
	{ "ssl_certificate_compression on;",
	    "\"ssl_certificate_compression\" directive cannot be on: this OpenSSL does not compress certificates" },
#endif
};

/* Loading `text` must fail with this one line. */
static void
expect_refusal(const char *text, const char *why, unsigned line)
{
	struct confbox box;
	struct conf *conf;
	char *expected = mem_printf("[emerg] %s in n.conf:%u\n", why, line);

	confbox_open(&box);
	confbox_write(&box, "users", "");
	conf = confbox_check(&box, text);
	ck_assert_ptr_null(conf);
	ck_assert_str_eq(box.said, expected);
	confbox_close(&box);
	mem_free(expected);
}

START_TEST(a_wrong_file_is_refused_with_its_line)
{
	expect_refusal(files[_i].text, files[_i].why, files[_i].line);
}
END_TEST

START_TEST(a_wrong_main_directive_is_refused)
{
	char *text = mem_printf("%sevents{}", mains[_i].text);

	expect_refusal(text, mains[_i].why, 1);
	mem_free(text);
}
END_TEST

START_TEST(a_wrong_listen_is_refused)
{
	char *text = mem_printf("events{}\nmail{auth_http 127.0.0.1; server{protocol imap; listen %s;}}",
	    listens[_i].text);

	expect_refusal(text, listens[_i].why, 2);
	mem_free(text);
}
END_TEST

START_TEST(a_wrong_server_directive_is_refused)
{
	char *text = mem_printf("events{}\nmail{auth_http 127.0.0.1; upstream up { server 127.0.0.1; } upstream unix { "
	    "server unix:/u; } server{listen 127.0.0.1:110; auth_cache zone=other:1m;} server{listen 127.0.0.1:143; %s}}",
	    servers[_i].text);

	expect_refusal(text, servers[_i].why, 2);
	mem_free(text);
}
END_TEST

/* An upstream, on line 2. */
static const struct {
	const char *text, *why;
} upstreams[] = {
	{ "upstream a { }", "no servers are inside upstream" },
	{ "upstream a { server 127.0.0.1 backup; }", "no servers are inside upstream" },
	{ "upstream { }", "invalid number of arguments in \"upstream\" directive" },
	{ "upstream a b { }", "invalid number of arguments in \"upstream\" directive" },
	{ "upstream a;", "directive \"upstream\" has no opening \"{\"" },
	{ "upstream '' { }", "invalid upstream name \"\"" },
	{ "upstream 'a b' { }", "invalid upstream name \"a b\"" },
	{ "upstream a/b { }", "invalid upstream name \"a/b\"" },
	{ "upstream a { server 127.0.0.1; } upstream A { }", "duplicate upstream \"A\"" },
	{ "upstream a { server; }", "invalid number of arguments in \"server\" directive" },
	{ "upstream a { server { } }", "directive \"server\" is not terminated by \";\"" },
	{ "upstream a { listen 143; }", "\"listen\" directive is not allowed here" },
	{ "upstream a { upstream b { } }", "\"upstream\" directive is not allowed here" },
	{ "upstream a { server 127.0.0.1 foo; }", "invalid parameter \"foo\"" },
	{ "upstream a { server 127.0.0.1 backups; }", "invalid parameter \"backups\"" },
	{ "upstream a { server 127.0.0.1 weight=0; }", "invalid parameter \"weight=0\": value must not be zero" },
	{ "upstream a { server 127.0.0.1 weight=x; }", "invalid parameter \"weight=x\": invalid number" },
	{ "upstream a { server 127.0.0.1 weight=1 weight=2; }", "duplicate parameter \"weight=2\"" },
	{ "upstream a { server 127.0.0.1 max_fails=-1; }", "invalid parameter \"max_fails=-1\": invalid number" },
	{ "upstream a { server 127.0.0.1 fail_timeout=x; }", "invalid parameter \"fail_timeout=x\": invalid time" },
	{ "upstream a { server 127.0.0.1 fail_timeout=0; }",
	    "invalid parameter \"fail_timeout=0\": value must not be zero" },
	{ "upstream a { server 127.0.0.1:x; }", "invalid port in upstream \"127.0.0.1:x\"" },
	{ "upstream a { server nowhere.test; } auth_http http://a; server { listen 127.0.0.1:143; }",
	    "host not found in upstream \"nowhere.test\"" },
};

START_TEST(a_wrong_upstream_is_refused)
{
	char *text = mem_printf("events{}\nmail{ %s }", upstreams[_i].text);

	expect_refusal(text, upstreams[_i].why, 2);
	mem_free(text);
}
END_TEST

/* Limits, on line 2 of a mail block with the zone "z" on line 1. */
static const struct {
	const char *text, *why;
} limits[] = {
	{ "limit_conn_zone $remote_addr;", "invalid number of arguments in \"limit_conn_zone\" directive" },
	{ "limit_conn_zone $remote_addr a:1m;", "invalid parameter \"a:1m\"" },
	{ "limit_conn_zone $remote_addr zone=a;", "invalid parameter \"zone=a\": invalid size" },
	{ "limit_conn_zone $remote_addr zone=a:;", "invalid parameter \"zone=a:\": invalid size" },
	{ "limit_conn_zone $remote_addr zone=a:x;", "invalid parameter \"zone=a:x\": invalid size" },
	{ "limit_conn_zone $remote_addr zone=a:9999m;", "invalid parameter \"zone=a:9999m\": invalid size" },
	{ "limit_conn_zone $remote_addr zone=a:31k;", "invalid parameter \"zone=a:31k\": the zone is too small" },
	{ "limit_conn_zone $remote_addr zone=:1m;", "invalid parameter \"zone=:1m\": invalid name of a zone" },
	{ "limit_conn_zone zone=a:1m $remote_addr;", "unknown key \"zone=a:1m\" in \"limit_conn_zone\" directive" },
	{ "limit_conn_zone remote_addr zone=a:1m;", "unknown key \"remote_addr\" in \"limit_conn_zone\" directive" },
	{ "limit_conn_zone '' zone=a:1m;", "unknown key \"\" in \"limit_conn_zone\" directive" },
	{ "limit_conn_zone $auth_http_ zone=a:1m;", "unknown key \"$auth_http_\" in \"limit_conn_zone\" directive" },
	{ "limit_conn_zone $auth_http_X-Plan zone=a:1m;",
	    "unknown key \"$auth_http_X-Plan\" in \"limit_conn_zone\" directive" },
	{ "limit_conn_zone $remote_addr$remote_user zone=a:1m;",
	    "unknown key \"$remote_addr$remote_user\" in \"limit_conn_zone\" directive" },
	{ "server { limit_conn_zone $remote_addr zone=a:1m; }", "\"limit_conn_zone\" directive is not allowed here" },
	{ "limit_conn z;", "invalid number of arguments in \"limit_conn\" directive" },
	{ "limit_conn z 0;", "invalid number of connections \"0\" in \"limit_conn\" directive" },
	{ "limit_conn z -1;", "invalid number of connections \"-1\" in \"limit_conn\" directive" },
	{ "limit_conn z 9999999;", "invalid number of connections \"9999999\" in \"limit_conn\" directive" },
	{ "limit_conn z 1; limit_conn z 2;", "\"limit_conn\" directive is duplicate" },
	{ "limit_conn y 1;", "unknown zone \"y\" in \"limit_conn\" directive: no \"limit_conn_zone\" makes it" },
	{ "auth_http 127.0.0.1; server { listen 127.0.0.1:143; limit_conn y 1; }",
	    "unknown zone \"y\" in \"limit_conn\" directive: no \"limit_conn_zone\" makes it" },
	{ "limit_conn_zone $domain zone=a:32k rate=1/m;", "invalid number of arguments in \"limit_conn_zone\" directive" },
	{ "limit_conn_zone $domain rate=1/m;", "invalid parameter \"rate=1/m\"" },
	{ "limit_auth_zone $domain zone=a:32k rate=1/m;", "unknown key \"$domain\" in \"limit_auth_zone\" directive" },
	{ "limit_auth_zone $auth_http_x zone=a:32k rate=1/m;",
	    "unknown key \"$auth_http_x\" in \"limit_auth_zone\" directive" },
	{ "limit_auth_zone $remote_user$remote_addr zone=a:32k rate=1/m;",
	    "unknown key \"$remote_user$remote_addr\" in \"limit_auth_zone\" directive" },
	{ "limit_auth_zone $remote_user zone=a:32k;", "invalid number of arguments in \"limit_auth_zone\" directive" },
	{ "limit_auth_zone $remote_user zone=a:32k burst=1;", "\"limit_auth_zone\" directive has no \"rate=\"" },
	{ "limit_auth_zone $remote_user burst=1 rate=1/m;", "\"limit_auth_zone\" directive has no \"zone=\"" },
	{ "limit_auth_zone $remote_user zone=a:32k rate=0/m;", "invalid parameter \"rate=0/m\": invalid rate" },
	{ "limit_auth_zone $remote_user zone=a:32k rate=5;", "invalid parameter \"rate=5\": invalid rate" },
	{ "limit_auth_zone $remote_user zone=a:32k rate=/m;", "invalid parameter \"rate=/m\": invalid rate" },
	{ "limit_auth_zone $remote_user zone=a:32k rate=5/d;", "invalid parameter \"rate=5/d\": invalid rate" },
	{ "limit_auth_zone $remote_user zone=a:32k rate=5/m burst=0;", "invalid parameter \"burst=0\": invalid number" },
	{ "limit_auth_zone $remote_user zone=z:32k rate=5/m;",
	    "duplicate zone \"z\" in \"limit_auth_zone\" directive: it is there since line 1 of n.conf" },
	{ "limit_auth z;", "unknown zone \"z\" in \"limit_auth\" directive: no \"limit_auth_zone\" makes it" },
	{ "limit_auth z 1;", "invalid number of arguments in \"limit_auth\" directive" },
	{ "limit_conn_log_level debug;", "invalid value \"debug\"" },
	{ "limit_exempt all;", "invalid value \"all\" in \"limit_exempt\" directive: then there is no limit at all" },
	{ "limit_exempt localhost;", "invalid value \"localhost\" in \"limit_exempt\" directive: not an IP address" },
	{ "limit_exempt 10.0.0.0/33;",
	    "invalid value \"10.0.0.0/33\" in \"limit_exempt\" directive: prefix length out of range" },
};

START_TEST(a_wrong_limit_is_refused)
{
	char *text = mem_printf("events{} mail{ limit_conn_zone $domain zone=z:32k;\n%s }", limits[_i].text);

	expect_refusal(text, limits[_i].why, 2);
	mem_free(text);
}
END_TEST

START_TEST(a_zone_is_made_once)
{
	expect_refusal("events{} mail{ limit_conn_zone $domain zone=z:32k;\nlimit_conn_zone $remote_user zone=z:32k; }",
	    "duplicate zone \"z\" in \"limit_conn_zone\" directive: it is there since line 1 of n.conf", 2);
}
END_TEST

START_TEST(an_account_for_pam_has_to_be_there)
{
	if (geteuid() == 0)
		expect_refusal("events{}\nmail{auth_pam mail; auth_pam_user no.such; server{listen 143;}}",
		    "getpwnam(\"no.such\") failed", 2);
}
END_TEST

START_TEST(only_root_is_told_of_accounts_that_do_not_exist)
{
	if (geteuid() != 0)
		return;
	expect_refusal("\nuser no.such;events{}", "getpwnam(\"no.such\") failed", 2);
	expect_refusal("\nuser root no.such;events{}", "getgrnam(\"no.such\") failed", 2);
}
END_TEST

START_TEST(a_path_that_no_socket_can_have_is_refused)
{
	char path[201], *text, *why;

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	text = mem_printf("events{}\nmail{server{listen unix:/%s;}}", path);
	why = mem_printf("too long path in the unix domain socket in \"unix:/%s\" of the \"listen\" directive", path);
	expect_refusal(text, why, 2);
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
	{ SERVER "ssl_protocols TLSv1.2;\nssl_protocols tlsv1.2; }}", "[warn] duplicate value \"tlsv1.2\" in n.conf:3\n" },
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

#define LOOP(test, table) tcase_add_loop_test(tcase, test, 0, sizeof(table) / sizeof(table[0]))

Suite *
conf_complaints_suite(void)
{
	Suite *suite = suite_create("conf_complaints");
	TCase *tcase = tcase_create("conf_complaints");

	LOOP(a_wrong_file_is_refused_with_its_line, files);
	LOOP(a_wrong_main_directive_is_refused, mains);
	LOOP(a_wrong_listen_is_refused, listens);
	LOOP(a_wrong_server_directive_is_refused, servers);
	LOOP(a_wrong_upstream_is_refused, upstreams);
	LOOP(a_wrong_limit_is_refused, limits);
	tcase_add_test(tcase, a_zone_is_made_once);
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
