#include "master/conf_check.h"

#include <string.h>

#include "common/mem.h"
#include "test/unit/confbox.h"
#include "test/unit/unit.h"

/*
 * `listens` are one imap server's; what comes of them is "TEXT" for a socket of its own,
 * "TEXT>WILDCARD" for an address that another socket serves, "TEXT+" for that one.
 */
static const struct {
	const char *listens, *expected;
} cases[] = {
	{ "listen 143;", "0.0.0.0:143 " },
	{ "listen *:143;", "0.0.0.0:143 " },
	{ "listen 127.0.0.1:143;", "127.0.0.1:143 " },
	{ "listen [::]:143;", "[::]:143 " },
	{ "listen [::1]:143;", "[::1]:143 " },
	{ "listen unix:/s;", "unix:/s " },
	{ "listen localhost:143;", "127.0.0.1:143 " },
	{ "listen two.test:143;", "127.0.0.1:143 127.0.0.2:143 " },
	{ "listen six.test:143;", "[::1]:143 127.0.0.1:143 " },
	{ "listen 141-143;", "0.0.0.0:141 0.0.0.0:142 0.0.0.0:143 " },
	{ "listen [::1]:142-143;", "[::1]:142 [::1]:143 " },
	{ "listen two.test:142-143;", "127.0.0.1:142 127.0.0.1:143 127.0.0.2:142 127.0.0.2:143 " },
	{ "listen 65535-65535;", "0.0.0.0:65535 " },
	{ "listen 127.0.0.1:143; listen 143;", "127.0.0.1:143>0.0.0.0:143 0.0.0.0:143+ " },
	{ "listen 143; listen 127.0.0.1:143; listen 127.0.0.2:143;",
	    "0.0.0.0:143+ 127.0.0.1:143>0.0.0.0:143 127.0.0.2:143>0.0.0.0:143 " },
	{ "listen 143; listen 127.0.0.1:143 bind;", "0.0.0.0:143 127.0.0.1:143 " },
	{ "listen 143 bind; listen 127.0.0.1:143;", "0.0.0.0:143+ 127.0.0.1:143>0.0.0.0:143 " },
	{ "listen 143; listen 127.0.0.1:143 backlog=5;", "0.0.0.0:143 127.0.0.1:143 " },
	{ "listen 143; listen 127.0.0.1:144;", "0.0.0.0:143 127.0.0.1:144 " },
	{ "listen 143; listen [::1]:143;", "0.0.0.0:143 [::1]:143 " },
	{ "listen [::]:143; listen [::1]:143; listen 127.0.0.1:143;", "[::]:143+ [::1]:143>[::]:143 127.0.0.1:143 " },
};

START_TEST(listens_become_sockets)
{
	struct confbox box;
	char *text = mem_printf("auth_http 127.0.0.1; server { protocol imap; %s }", cases[_i].listens), *got;
	struct conf *conf;

	confbox_open(&box);
	conf = confbox_mail(&box, text);
	ck_assert_msg(conf != NULL, "%s", box.said);
	got = mem_strdup("");
	for (size_t i = 0; i < conf->listen_count; i++) {
		const struct conf_listen *l = conf->listens[i];
		char *longer = mem_printf("%s%s%s%s%s ", got, l->text, l->wildcard != NULL ? ">" : "",
		    l->wildcard != NULL ? l->wildcard->text : "", l->shared ? "+" : "");

		ck_assert_ptr_eq(l->server, conf->servers[0]);
		mem_free(got);
		got = longer;
	}
	ck_assert_str_eq(got, cases[_i].expected);
	mem_free(got);
	conf_free(&conf);
	confbox_close(&box);
	mem_free(text);
}
END_TEST

/* The parameters of the one listen of a server. */
static struct sock_options
options_of(const char *listen, bool *own_socket)
{
	struct confbox box;
	struct sock_options options;
	char *text = mem_printf("auth_http 127.0.0.1; server { protocol imap; listen %s; }", listen);
	struct conf *conf;

	confbox_open(&box);
	conf = confbox_mail(&box, text);
	ck_assert_msg(conf != NULL, "%s", box.said);
	options = conf->listens[0]->options;
	*own_socket = conf->listens[0]->own_socket;
	conf_free(&conf);
	confbox_close(&box);
	mem_free(text);
	return options;
}

START_TEST(a_plain_listen_has_the_defaults)
{
	bool own;
	struct sock_options o = options_of("143", &own);

	ck_assert(!own);
	ck_assert_int_eq(o.backlog, 511);
	ck_assert(o.rcvbuf == 0 && o.sndbuf == 0 && o.ipv6only && !o.multipath);
	ck_assert_uint_eq(o.keepalive, SOCK_KEEPALIVE_SYSTEM);
	ck_assert_uint_eq(o.mode, 0666);
	ck_assert(o.uid == -1 && o.gid == -1);
}
END_TEST

START_TEST(parameters_say_what_the_socket_is)
{
	bool own;
	struct sock_options o = options_of("[::]:143 backlog=7 rcvbuf=8k sndbuf=1m ipv6only=off multipath "
	    "so_keepalive=1m::3", &own);

	ck_assert(own);
	ck_assert_int_eq(o.backlog, 7);
	ck_assert(o.rcvbuf == 8192 && o.sndbuf == 1048576 && !o.ipv6only && o.multipath);
	ck_assert_uint_eq(o.keepalive, SOCK_KEEPALIVE_ON);
	ck_assert(o.keepalive_idle_s == 60 && o.keepalive_interval_s == 0 && o.keepalive_count == 3);
	o = options_of("143 so_keepalive=off", &own);
	ck_assert(own && o.keepalive == SOCK_KEEPALIVE_OFF);
	o = options_of("143 so_keepalive=on", &own);
	ck_assert(own && o.keepalive == SOCK_KEEPALIVE_ON && o.keepalive_idle_s == 0);
	o = options_of("143 so_keepalive=30", &own);
	ck_assert(own && o.keepalive == SOCK_KEEPALIVE_ON && o.keepalive_idle_s == 30);
	o = options_of("unix:/s mode=0600 owner=root group=7", &own);
	ck_assert(own && o.mode == 0600 && o.uid == 0 && o.gid == 7);
}
END_TEST

START_TEST(two_servers_cannot_have_one_address)
{
	struct confbox box;

	confbox_open(&box);
	ck_assert_ptr_null(confbox_mail(&box, "auth_http 127.0.0.1;\n"
	    "server { listen 127.0.0.1:143; }\nserver { listen 127.0.0.1:143; }\nserver { listen 127.0.0.1:143; }"));
	ck_assert_str_eq(box.said, "[emerg] duplicate \"127.0.0.1:143\" address and port pair in n.conf:5\n");
	confbox_close(&box);
}
END_TEST

/* Behind the listens of two servers, on lines 4 and 5: what is wrong with that, or NULL. */
static const struct {
	const char *first, *second, *why;
} pairs[] = {
	{ "listen 993 ssl;", "listen 993 ssl;", NULL },
	{ "listen 143; starttls on;", "listen 143; starttls only;", NULL },
	{ "listen 993 ssl rcvbuf=4k;", "listen 993 ssl;", NULL },
	{ "listen 993 ssl;", "listen 993 ssl bind;", NULL },
	{ "listen unix:/s ssl;", "listen unix:/s ssl; protocol imap;", NULL },
	{ "listen unix:/s ssl mode=0600;", "listen unix:/s ssl; protocol imap;", NULL },
	{ "listen 993 ssl; server_name x.test;", "listen 993 ssl; server_name *.x.test;", NULL },
	{ "listen 993 ssl; server_name x.test y.test;", "listen 993 ssl; server_name z.test Y.test;", "" },
	{ "listen 993 ssl; server_name *.test;", "listen 993 ssl; server_name *.test;", "" },
	{ "listen 143;", "listen 143;", "" },
	{ "listen 143;", "listen 143; starttls on;", ", with and without \"starttls\"" },
	{ "listen 993 ssl;", "listen 993; starttls on;", ", with and without \"ssl\"" },
	{ "listen 993 ssl;", "listen 993 ssl; protocol pop3;", ", with different protocols" },
	{ "listen 993 ssl rcvbuf=4k;", "listen 993 ssl rcvbuf=4k;", ", with parameters of the socket in both places" },
	{ "listen 993 ssl;", "listen 993 ssl; listen 993 ssl;", "" },
};

START_TEST(servers_with_tls_and_different_names_may_share_an_address)
{
	struct confbox box;
	char *text = mem_printf("auth_http 127.0.0.1; ssl_certificate c; ssl_certificate_key k;\n"
	    "server { protocol imap; %s %s }\nserver { protocol imap; %s %s }",
	    strstr(pairs[_i].first, "server_name") != NULL ? "" : "server_name a.test;", pairs[_i].first,
	    strstr(pairs[_i].second, "server_name") != NULL ? "" : "server_name b.test;", pairs[_i].second);
	struct conf *conf;

	confbox_open(&box);
	conf = confbox_mail(&box, text);
	ck_assert_msg((conf != NULL) == (pairs[_i].why == NULL), "%s", box.said);
	if (conf == NULL) {
		ck_assert_ptr_nonnull(strstr(box.said, " address and port pair"));
		ck_assert_ptr_nonnull(
		    strstr(box.said, pairs[_i].why[0] == '\0' ? "pair in n.conf:5\n" : pairs[_i].why));
	} else {
		ck_assert_uint_eq(conf->listen_count, 1);
		ck_assert_ptr_eq(conf->listens[0]->server, conf->servers[0]);
		ck_assert_ptr_eq(conf->listens[0]->servers[0], conf->servers[0]);
		ck_assert_ptr_eq(conf->listens[0]->servers[1], conf->servers[1]);
		ck_assert_ptr_null(conf->listens[0]->servers[2]);
	}
	conf_free(&conf);
	confbox_close(&box);
	mem_free(text);
}
END_TEST

START_TEST(a_shared_address_keeps_its_place_and_the_parameters_of_any_server)
{
	struct confbox box;
	struct conf *conf;

	confbox_open(&box);
	conf = confbox_mail(&box, "auth_http 127.0.0.1; ssl_certificate c; ssl_certificate_key k;\n"
	    "server { server_name a; listen 127.0.0.1:993 ssl; listen 143; }\n"
	    "server { server_name b; listen 127.0.0.2:993 ssl; listen 127.0.0.1:993 ssl backlog=9; listen 993 ssl; }\n"
	    "server { server_name c; listen 993 ssl; listen 127.0.0.2:993 ssl; }");
	ck_assert_msg(conf != NULL, "%s", box.said);
	ck_assert_uint_eq(conf->listen_count, 4);
	ck_assert_ptr_null(conf->listens[4]);
	ck_assert_str_eq(conf->listens[0]->text, "127.0.0.1:993");
	ck_assert(conf->listens[0]->ssl && conf->listens[0]->own_socket && conf->listens[0]->wildcard == NULL);
	ck_assert_int_eq(conf->listens[0]->options.backlog, 9);
	ck_assert_str_eq(conf->listens[1]->text, "0.0.0.0:143");
	ck_assert(!conf->listens[1]->ssl);
	ck_assert_str_eq(conf->listens[2]->text, "127.0.0.2:993");
	ck_assert_ptr_eq(conf->listens[2]->wildcard, conf->listens[3]);
	ck_assert_ptr_eq(conf->listens[2]->servers[1], conf->servers[2]);
	ck_assert(conf->listens[3]->shared);
	ck_assert_ptr_eq(conf->listens[3]->servers[0], conf->servers[1]);
	conf_free(&conf);
	confbox_close(&box);
}
END_TEST

Suite *
conf_check_suite(void)
{
	Suite *suite = suite_create("conf_check");
	TCase *tcase = tcase_create("conf_check");

	tcase_add_loop_test(tcase, listens_become_sockets, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(tcase, a_plain_listen_has_the_defaults);
	tcase_add_test(tcase, parameters_say_what_the_socket_is);
	tcase_add_test(tcase, two_servers_cannot_have_one_address);
	tcase_add_loop_test(tcase, servers_with_tls_and_different_names_may_share_an_address, 0,
	    sizeof(pairs) / sizeof(pairs[0]));
	tcase_add_test(tcase, a_shared_address_keeps_its_place_and_the_parameters_of_any_server);
	suite_add_tcase(suite, tcase);
	return suite;
}
