#include "master/conf_dump.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "master/conf_table.h"
#include "master/conf_type.h"
#include "test/unit/confbox.h"
#include "test/unit/unit.h"

static struct confbox box;

static void
open_box(void)
{
	confbox_open(&box);
	confbox_write(&box, "users", "a:b\n");
	confbox_write(&box, "ca", "");
	confbox_write(&box, "c", "");
	confbox_write(&box, "k", "");
}

static void
close_box(void)
{
	confbox_close(&box);
}

static const char *const texts[] = {
	"events{} mail{}",
	"events{} mail{ auth_http 127.0.0.1; server { listen 143; listen 127.0.0.1:143;\n"
	"listen [::]:143 ipv6only=off; } }",
	"user root; worker_processes 4; worker_cpu_affinity auto 1011; worker_priority -3; worker_rlimit_core 1g;\n"
	"worker_rlimit_nofile 5; worker_shutdown_timeout 90s; working_directory '/a b'; env 'A=b c';\n"
	"env X='\"\\\\n\\\\';\n"
	"daemon off; pid p; timer_resolution 5ms; debug_points stop; error_log e warn; auth_helper_path h;\n"
	"error_log syslog:server=two.test:5,facility=cron,tag=t,nohostname debug; error_log stderr notice;\n"
	"events { use epoll; multi_accept on; worker_connections 9; debug_connection six.test;\n"
	"debug_connection 10.0.0.0/8; debug_connection unix:; }\n"
	"mail { resolver [::1] two.test:54 valid=1m 127.0.0.1 ipv4=off; server_name a.b; max_errors 0; timeout 1500ms; auth_http http://localhost:9/a;\n"
	"auth_http_header 'X Y' \"a $b;{}#'\\\\\\\\\"; auth_http_header Z ''; error_log m;\n"
	"server { listen two.test:24-25 backlog=9 rcvbuf=1k sndbuf=2k so_keepalive=1m::9 multipath; error_log s crit;\n"
	"smtp_capabilities \"SIZE 1\" '' a\\\\b; smtp_auth none; smtp_greeting_delay 5s; proxy_pass localhost; proxy_bind 127.0.0.9;\n"
	"resolver off; resolver_timeout 1ms; }\n"
	"server { listen unix:/s mode=0600 owner=root group=0; protocol pop3; auth_file users; auth_helpers 7;\n"
	"proxy_pass 127.0.0.1; pop3_auth apop cram-md5; }\n"
	"server { listen 110 so_keepalive=off bind; auth_http unix:/a:/b; proxy_pass unix:/c; allow 10.0.0.0/8;\n"
	"deny 10.0.0.1; allow unix:; deny all; deny_action drop; }\n"
	"server { listen 127.0.0.3:110 proxy_protocol; set_real_ip_from two.test; set_real_ip_from unix:; deny ::/0; } }",
	"ssl_object_cache_inheritable off; events{}\n"
	"mail { auth_http https://localhost/x; starttls only; ssl_certificate 'a b'; ssl_certificate c;\n"
	"ssl_certificate_key store:pkcs11:id; ssl_certificate_key k; ssl_password_file p; ssl_dhparam d;\n"
	"ssl_ecdh_curve X25519:P-256; ssl_protocols TLSv1.3 SSLv2 TLSv1; ssl_ciphers DEFAULT; ssl_verify_client on;\n"
	"ssl_prefer_server_ciphers on; ssl_session_cache builtin shared:a:1m; ssl_session_tickets off;\n"
	"ssl_session_ticket_key 1; ssl_session_ticket_key 2; ssl_session_timeout 1h30m; ssl_verify_depth 0;\n"
	"ssl_client_certificate cc; ssl_trusted_certificate tc; ssl_crl cr; ssl_conf_command A 'b c';\n"
	"ssl_conf_command D e; ssl_stapling_file sf; ssl_reject_handshake on; ssl_certificate_compression off;\n"
	"proxy_ssl starttls; proxy_ssl_verify off; proxy_ssl_trusted_certificate t; proxy_ssl_verify_depth 3;\n"
	"proxy_ssl_name n.test; proxy_ssl_crl r; proxy_ssl_certificate c; proxy_ssl_certificate_key k;\n"
	"proxy_ssl_password_file p; proxy_ssl_protocols TLSv1.2; proxy_ssl_ciphers HIGH; proxy_ssl_server_name off;\n"
	"proxy_ssl_session_reuse off; proxy_ssl_conf_command a b; auth_http_ssl_name n.test; auth_http_ssl_crl r;\n"
	"auth_http_ssl_certificate c; auth_http_ssl_certificate_key k; auth_http_ssl_conf_command x y;\n"
	"server { listen 993 ssl; listen 143; server_name a.test *.test; }\n"
	"server { listen 993 ssl rcvbuf=4k; server_name *.b.test; ssl_session_cache off; listen two.test:994-995 ssl;\n"
	"protocol imap; } server { listen 143; server_name c.test; ssl_session_cache builtin:7; listen unix:/s ssl; } }",
	"events{} mail { upstream two { server localhost; server two.test:81 weight=2 max_fails=0 "
	"fail_timeout=1500ms;\n"
	"server unix:/a/b backup; } upstream unused { server [::1]; }\n"
	"auth_pam mail 'match=*@a b'; auth_http http://two/x http://[::1]/y match=*@a.test match=*; auth_file users;\n"
	"auth_mysql 127.0.0.1 match=a*; auth_mysql unix:/m; auth_mysql two.test:7; auth_jwt users;\n"
	"auth_introspection http://two http://127.0.0.1:1/i match=b; auth_passthrough on; proxy_pass 127.0.0.1;\n"
	"auth_http_keepalive 0; auth_http_keepalive_requests 7; auth_http_keepalive_timeout 5ms;\n"
	"auth_mysql_user u; auth_mysql_password_file users; auth_mysql_database d;\n"
	"auth_mysql_query 'SELECT \n\"a\" -- :x\n, :user';\n"
	"auth_mysql_ssl on; auth_mysql_ssl_verify off; auth_mysql_ssl_trusted_certificate ca;\n"
	"auth_mysql_ssl_certificate c; auth_mysql_ssl_certificate_key k; auth_pam_user root; auth_pam_directory .;\n"
	"auth_introspection_client_id me; auth_introspection_secret_file users; auth_token_issuer https://i;\n"
	"auth_token_audience a 'b c'; auth_token_audience d; auth_token_scope mail; auth_token_claim sub;\n"
	"auth_token_leeway 1500ms; auth_cache zone=z:1m ttl=5s negative=1ms; auth_failure_delay 2s; auth_timeout 9s;\n"
	"proxy_auth xoauth2; proxy_master_user 'm u' users; imap_auth plain xoauth2 oauthbearer;\n"
	"proxy_bind $remote_addr transparent;\n"
	"server { listen 127.0.0.1:143; } server { listen 127.0.0.1:144; protocol imap; auth_cache off;\n"
	"proxy_bind [2001:db8::1] transparent;\n"
	"auth_http https://localhost; proxy_master_user m users always; proxy_auth none; imap_auth external; } }",
	"events{} mail { auth_http 127.0.0.1; limit_conn_zone $remote_addr zone=a:1m; limit_conn b 7;\n"
	"limit_conn_zone $remote_user zone=b:32k; limit_conn_zone $domain 'zone=c d:32k'; limit_conn a 1;\n"
	"limit_conn_zone $auth_http_x_plan zone=d:32k; limit_conn_log_level info; limit_conn_dry_run on;\n"
	"limit_auth_zone $remote_addr zone=e:1m rate=5/m burst=1; limit_auth e; limit_auth f;\n"
	"limit_auth_zone $remote_addr$remote_user zone=f:1m burst=7 rate=100r/h;\n"
	"limit_auth_zone $remote_user rate=1/s zone=g:1m;\n"
	"limit_exempt 10.0.0.0/8; limit_exempt unix:; limit_exempt ::1;\n"
	"server { listen 127.0.0.1:143; } server { listen 127.0.0.1:144; protocol imap; limit_conn 'c d' 1000000;\n"
	"limit_conn d 3; limit_conn_log_level warn; limit_conn_dry_run off; limit_exempt 2001:db8::/32; } }",
};

/* What is printed is what would be printed of it again. */
START_TEST(a_dump_loads_to_the_same_effect)
{
	struct conf *conf = confbox_check(&box, texts[_i]);
	char *first, *second;

	ck_assert_msg(conf != NULL, "%s", box.said);
	first = confbox_dump(conf);
	conf_free(&conf);
	conf = confbox_check(&box, first);
	ck_assert_msg(conf != NULL, "%s in %s", box.said, first);
	second = confbox_dump(conf);
	ck_assert_str_eq(second, first);
	conf_free(&conf);
	free(first);
	free(second);
}
END_TEST

/* Those that say nothing when nobody has set them, and the structure. */
START_TEST(a_dump_shows_every_directive_that_has_a_value)
{
	static const char *const silent[] = {
		"include", "user", "worker_cpu_affinity", "worker_rlimit_nofile", "worker_rlimit_core",
		"working_directory", "env", "accept_mutex", "accept_mutex_delay", "debug_connection", "auth_http_header",
		"auth_file", "upstream", "auth_mysql", "auth_mysql_user", "auth_mysql_password_file",
		"auth_mysql_database", "auth_mysql_query", "auth_mysql_ssl_trusted_certificate",
		"auth_mysql_ssl_certificate", "auth_mysql_ssl_certificate_key", "auth_pam", "auth_pam_directory",
		"limit_conn_zone", "limit_conn",
		"limit_auth_zone", "limit_auth", "limit_exempt", "auth_jwt", "auth_introspection", "auth_introspection_client_id", "auth_introspection_secret_file",
		"auth_token_issuer", "auth_token_audience", "auth_token_scope", "auth_token_claim", "auth_passthrough",
		"proxy_master_user", "proxy", "allow", "deny", "set_real_ip_from", "proxy_pass", "smtp_capabilities",
		"ssl_dhparam", "ssl_session_ticket_key", "ssl_client_certificate", "ssl_stapling_file",
	};
	static const char *const silent_tls[] = {
		"_certificate", "_certificate_key", "_password_file", "_conf_command", "_trusted_certificate", "_crl",
		"_name",
	};
	struct conf *conf = confbox_check(&box, texts[1]);
	char *dump = confbox_dump(conf);

	for (const struct directive *d = directives; d->name != NULL; d++) {
		char *shown = mem_printf(" %s ", d->name), *line = mem_printf("\n%s ", d->name);
		bool quiet = d->type == &type_skipped;

		for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++)
			quiet |= strcmp(d->name, silent[i]) == 0;
		for (size_t i = 0; i < sizeof(silent_tls) / sizeof(silent_tls[0]); i++)
			quiet |= strstr(d->name, "ssl") != NULL &&
			    strcmp(strstr(d->name, "ssl") + 3, silent_tls[i]) == 0;
		quiet |= strcmp(d->name, "auth_http_ssl_ciphers") == 0 || strcmp(d->name, "proxy_ssl_ciphers") == 0;
		ck_assert_msg(quiet || strstr(dump, shown) != NULL || strstr(dump, line) != NULL ||
		    strncmp(dump, line + 1, strlen(line) - 1) == 0, "%s", d->name);
		mem_free(shown);
		mem_free(line);
	}
	conf_free(&conf);
	free(dump);
}
END_TEST

START_TEST(the_files_are_printed_once_in_the_order_of_reading)
{
	struct conf *conf;
	char *text = NULL, *expected;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	box.request.keep_texts = true;
	confbox_write(&box, "a", "# a\n");
	conf = confbox_check(&box, "include a; include a;\nevents{} mail{}");
	conf_print_files(out, conf);
	fclose(out);
	expected = mem_printf("# configuration file %s/n.conf:\ninclude a; include a;\nevents{} mail{}\n"
	    "# configuration file %s/a:\n# a\n\n", box.folder, box.folder);
	ck_assert_str_eq(text, expected);
	conf_free(&conf);
	mem_free(expected);
	free(text);
}
END_TEST

START_TEST(no_block_has_two_directives_of_one_name)
{
	for (const struct directive *d = directives; d->name != NULL; d++)
		for (const struct directive *e = d + 1; e->name != NULL; e++)
			ck_assert_msg(strcmp(d->name, e->name) != 0 || (d->blocks & e->blocks) == 0, "%s", d->name);
}
END_TEST

Suite *
conf_dump_suite(void)
{
	Suite *suite = suite_create("conf_dump");
	TCase *tcase = tcase_create("conf_dump");

	tcase_add_checked_fixture(tcase, open_box, close_box);
	tcase_add_loop_test(tcase, a_dump_loads_to_the_same_effect, 0, sizeof(texts) / sizeof(texts[0]));
	tcase_add_test(tcase, a_dump_shows_every_directive_that_has_a_value);
	tcase_add_test(tcase, the_files_are_printed_once_in_the_order_of_reading);
	tcase_add_test(tcase, no_block_has_two_directives_of_one_name);
	suite_add_tcase(suite, tcase);
	return suite;
}
