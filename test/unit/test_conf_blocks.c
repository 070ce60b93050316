/*
 * Every complaint about what stands within a server, an upstream or a limit, with its line.
 * The texts that nginx has too were compared with what `nginx -t` prints.
 */
#include "common/mem.h"
#include "test/unit/confbox.h"
#include "test/unit/unit.h"

#include <openssl/ssl.h>

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

START_TEST(a_wrong_server_directive_is_refused)
{
	char *text = mem_printf("events{}\nmail{auth_http 127.0.0.1; upstream up { server 127.0.0.1; } upstream unix { "
	    "server unix:/u; } server{listen 127.0.0.1:110; auth_cache zone=other:1m;} server{listen 127.0.0.1:143; %s}}",
	    servers[_i].text);

	confbox_refuses(text, servers[_i].why, 2);
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

	confbox_refuses(text, upstreams[_i].why, 2);
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
	{ "limit_conn_zone $domain zone=a:32k rate=1/m;",
	    "invalid number of arguments in \"limit_conn_zone\" directive" },
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
	{ "limit_auth_zone $remote_user zone=a:32k rate=5/m burst=0;",
	    "invalid parameter \"burst=0\": invalid number" },
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

	confbox_refuses(text, limits[_i].why, 2);
	mem_free(text);
}
END_TEST

START_TEST(a_zone_is_made_once)
{
	confbox_refuses(
	    "events{} mail{ limit_conn_zone $domain zone=z:32k;\nlimit_conn_zone $remote_user zone=z:32k; }",
	    "duplicate zone \"z\" in \"limit_conn_zone\" directive: it is there since line 1 of n.conf", 2);
}
END_TEST

#define LOOP(test, table) tcase_add_loop_test(tcase, test, 0, UNIT_COUNT(table))

Suite *
conf_blocks_suite(void)
{
	Suite *suite = suite_create("conf_blocks");
	TCase *tcase = tcase_create("conf_blocks");

	LOOP(a_wrong_server_directive_is_refused, servers);
	LOOP(a_wrong_upstream_is_refused, upstreams);
	LOOP(a_wrong_limit_is_refused, limits);
	tcase_add_test(tcase, a_zone_is_made_once);
	suite_add_tcase(suite, tcase);
	return suite;
}
