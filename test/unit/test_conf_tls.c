#include "master/conf_tls.h"

#include <string.h>

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

static struct conf *
load(const char *text)
{
	struct conf *conf = confbox_mail(&box, text);

	ck_assert_msg(conf != NULL, "%s", box.said);
	return conf;
}

/* `path` is a file's absolute name; `name` what the configuration called it. */
static void
expect_file(const char *path, const char *name)
{
	char *expected = mem_printf("%s/%s", box.folder, name);

	ck_assert_ptr_nonnull(path);
	ck_assert_str_eq(path, expected);
	mem_free(expected);
}

static void
expect_peer_defaults(const struct conf_tls *tls)
{
	ck_assert(!tls->needed);
	ck_assert(
	    tls->certificates == NULL && tls->keys == NULL && tls->password_file == NULL && tls->commands == NULL);
	ck_assert_uint_eq(tls->protocols, SSL_PROTOCOL_TLSV1_2 | SSL_PROTOCOL_TLSV1_3);
	ck_assert(tls->ciphers == NULL && tls->trusted_certificate == NULL && tls->crl == NULL && tls->name == NULL);
	ck_assert_uint_eq(tls->verify, SSL_VERIFY_ON);
	ck_assert_uint_eq(tls->verify_depth, 1);
	ck_assert(tls->send_sni && tls->session_reuse);
}

START_TEST(nobody_has_tls_by_default_and_peers_would_be_verified)
{
	struct conf *conf = load("auth_http 127.0.0.1; server { listen 127.0.0.1:143; }");
	const struct server *server = conf->servers[0];
	const struct conf_tls *tls = &server->tls;

	ck_assert(conf->ssl_object_cache_inheritable);
	ck_assert(!conf->listens[0]->ssl && !tls->needed && !conf->sources[0]->https);
	ck_assert_uint_eq(server->starttls, STARTTLS_OFF);
	ck_assert_uint_eq(server->proxy_ssl, PROXY_SSL_OFF);
	ck_assert_uint_eq(tls->protocols, SSL_PROTOCOL_TLSV1_2 | SSL_PROTOCOL_TLSV1_3);
	ck_assert_str_eq(tls->ciphers, "HIGH:!aNULL:!MD5");
	ck_assert_str_eq(tls->curves, "auto");
	ck_assert_uint_eq(tls->verify, SSL_VERIFY_OFF);
	ck_assert_uint_eq(tls->verify_depth, 1);
	ck_assert(!tls->prefer_server_ciphers && !tls->reject_handshake && !tls->certificate_compression);
	ck_assert_uint_eq(tls->cache, SSL_CACHE_NONE);
	ck_assert(tls->tickets && tls->ticket_keys == NULL && tls->stapling_file == NULL && tls->dhparam == NULL);
	ck_assert_uint_eq(tls->session_timeout_s, 300);
	expect_peer_defaults(&server->proxy_tls);
	expect_peer_defaults(&server->auth_http_tls);
	ck_assert_uint_eq(tls->place.line, 3);
	conf_free(&conf);
}
END_TEST

START_TEST(each_side_has_the_settings_of_its_prefix)
{
	struct conf *conf = load("auth_http https://127.0.0.1; proxy_ssl on; proxy_ssl_verify off; proxy_ssl_name n.test;\n"
	    "auth_http_ssl_verify_depth 4; auth_http_ssl_server_name off; proxy_ssl_protocols TLSv1.3;\n"
	    "proxy_ssl_ciphers HIGH; auth_http_ssl_session_reuse off; auth_http_ssl_trusted_certificate ca;\n"
	    "proxy_ssl_certificate pc; proxy_ssl_certificate_key store:x:y; proxy_ssl_crl r; proxy_ssl_conf_command A b;\n"
	    "auth_http_ssl_password_file p; server { listen 127.0.0.1:143; }");
	const struct conf_tls *backend = &conf->servers[0]->proxy_tls, *source = &conf->servers[0]->auth_http_tls;

	ck_assert(backend->needed && source->needed && !conf->servers[0]->tls.needed);
	ck_assert(backend->verify == SSL_VERIFY_OFF && source->verify == SSL_VERIFY_ON);
	ck_assert_str_eq(backend->name, "n.test");
	ck_assert(source->name == NULL && source->ciphers == NULL && source->certificates == NULL);
	ck_assert(backend->verify_depth == 1 && source->verify_depth == 4);
	ck_assert(backend->send_sni && !source->send_sni && backend->session_reuse && !source->session_reuse);
	ck_assert_uint_eq(backend->protocols, SSL_PROTOCOL_TLSV1_3);
	ck_assert_str_eq(backend->ciphers, "HIGH");
	expect_file(source->trusted_certificate, "ca");
	expect_file(source->password_file, "p");
	expect_file(backend->certificates[0], "pc");
	ck_assert_str_eq(backend->keys[0], "store:x:y");
	expect_file(backend->crl, "r");
	ck_assert_str_eq(backend->commands[0]->name, "A");
	ck_assert_str_eq(backend->commands[0]->value, "b");
	ck_assert_ptr_null(conf->servers[0]->tls.commands);
	conf_free(&conf);
}
END_TEST

START_TEST(lists_replace_outer_lists_and_an_empty_name_takes_a_file_back)
{
	struct conf *conf = load("auth_http 127.0.0.1; starttls on; ssl_certificate a; ssl_certificate b;\n"
	    "ssl_certificate_key ak; ssl_certificate_key bk; ssl_crl r; ssl_session_cache shared:z:1m;\n"
	    "ssl_protocols TLSv1.3; ssl_verify_client optional; ssl_client_certificate ca; ssl_session_ticket_key t;\n"
	    "server { listen 127.0.0.1:143; }\n"
	    "server { listen 127.0.0.1:110; ssl_certificate c; ssl_certificate_key ck; ssl_crl '';\n"
	    "ssl_protocols TLSv1.1; ssl_protocols TLSv1.2; ssl_session_cache builtin:9; starttls only;\n"
	    "ssl_verify_client off; }");
	const struct conf_tls *heir = &conf->servers[0]->tls, *own = &conf->servers[1]->tls;

	ck_assert_uint_eq(conf->servers[0]->starttls, STARTTLS_ON);
	expect_file(heir->certificates[1], "b");
	expect_file(heir->crl, "r");
	ck_assert_uint_eq(heir->protocols, SSL_PROTOCOL_TLSV1_3);
	ck_assert_uint_eq(heir->cache, SSL_CACHE_SHARED);
	ck_assert_str_eq(heir->cache_zone, "z");
	ck_assert_uint_eq(heir->cache_bytes, 1 << 20);
	ck_assert_uint_eq(heir->verify, SSL_VERIFY_OPTIONAL);
	ck_assert_uint_eq(conf->servers[1]->starttls, STARTTLS_ONLY);
	expect_file(own->certificates[0], "c");
	ck_assert(own->certificates[1] == NULL && own->crl == NULL);
	ck_assert_uint_eq(own->protocols, SSL_PROTOCOL_TLSV1_1 | SSL_PROTOCOL_TLSV1_2);
	ck_assert(own->cache == SSL_CACHE_BUILTIN && own->cache_builtin == 9);
	ck_assert_uint_eq(own->verify, SSL_VERIFY_OFF);
	expect_file(own->ticket_keys[0], "t");
	conf_free(&conf);
}
END_TEST

static const struct {
	const char *words;
	enum ssl_cache cache;
	size_t builtin, bytes;
} caches[] = {
	{ "off", SSL_CACHE_OFF, 0, 0 }, { "none", SSL_CACHE_NONE, 0, 0 },
	{ "builtin", SSL_CACHE_BUILTIN, 0, 0 }, { "builtin:20", SSL_CACHE_BUILTIN, 20, 0 },
	{ "shared:a:32k", SSL_CACHE_SHARED, 0, 32768 }, { "builtin:5 shared:a:1m", SSL_CACHE_SHARED, 5, 1 << 20 },
	{ "shared:a:1m builtin", SSL_CACHE_SHARED, 0, 1 << 20 },
	{ "off shared:a:1m", SSL_CACHE_OFF, 0, 1 << 20 }, { "builtin none", SSL_CACHE_NONE, 0, 0 },
};

START_TEST(of_two_caches_off_or_none_counts_and_else_the_shared_one)
{
	char *text = mem_printf("auth_http 127.0.0.1; server { listen 127.0.0.1:143; ssl_session_cache %s; }",
	    caches[_i].words);
	struct conf *conf = load(text);
	const struct conf_tls *tls = &conf->servers[0]->tls;

	ck_assert_uint_eq(tls->cache, caches[_i].cache);
	ck_assert_uint_eq(tls->cache_builtin, caches[_i].builtin);
	ck_assert_uint_eq(tls->cache_bytes, caches[_i].bytes);
	conf_free(&conf);
	mem_free(text);
}
END_TEST

static const struct {
	const char *words, *name, *last;
	size_t count;
} names[] = {
	{ "Mail.Example.COM", "mail.example.com", "mail.example.com", 1 },
	{ "a.test *.B.test", "a.test", "*.b.test", 2 },
	{ "*.b.test a.test c.test", "a.test", "c.test", 3 },
	{ "*.b.test", "b.test", "*.b.test", 1 },
};

START_TEST(a_server_calls_itself_by_the_first_name_that_is_one)
{
	char *text = mem_printf("auth_http 127.0.0.1; server_name x; server { listen 127.0.0.1:143; server_name %s; }",
	    names[_i].words);
	struct conf *conf = load(text);

	ck_assert_str_eq(conf->servers[0]->name, names[_i].name);
	ck_assert_str_eq(conf->servers[0]->names[names[_i].count - 1], names[_i].last);
	ck_assert_ptr_null(conf->servers[0]->names[names[_i].count]);
	conf_free(&conf);
	mem_free(text);
}
END_TEST

/* What a server presents when it rejects whoever names nobody is nothing. */
START_TEST(a_server_that_rejects_every_handshake_needs_no_certificate)
{
	struct conf *conf = load("auth_http 127.0.0.1; server { listen 993 ssl; ssl_reject_handshake on; }\n"
	    "server { listen 993 ssl; server_name a.test; ssl_certificate c; ssl_certificate_key k; }");

	ck_assert(conf->servers[0]->tls.needed && conf->servers[0]->tls.reject_handshake);
	ck_assert(conf->servers[1]->tls.needed && !conf->servers[1]->tls.reject_handshake);
	conf_free(&conf);
}
END_TEST

START_TEST(an_https_url_has_its_own_port_and_source)
{
	struct conf *conf = load("auth_http https://127.0.0.1/a?b; server { listen 127.0.0.1:143; }\n"
	    "server { listen 127.0.0.2:143; auth_http http://127.0.0.1:443/a?b; }\n"
	    "server { listen 127.0.0.3:143; auth_http https://127.0.0.1/a?b; auth_http_ssl_name x; }\n"
	    "server { listen 127.0.0.4:143; auth_http https://127.0.0.1/a?b; proxy_ssl on; auth_http_ssl_verify on; }\n"
	    "server { listen 127.0.0.5:143; auth_http https://[::1]:9/; }");
	char at[128];

	ck_assert_uint_eq(conf->source_count, 4);
	ck_assert(conf->sources[0]->https && !conf->sources[1]->https && conf->sources[2]->https);
	ck_assert_ptr_eq(conf->servers[3]->auth[0]->source, conf->sources[0]);
	ck_assert_str_eq(conf->sources[0]->label, "https://127.0.0.1/a?b");
	ck_assert_str_eq(conf->sources[0]->servers[0]->uri, "/a?b");
	ck_assert_str_eq(endpoint_format(at, sizeof(at), &conf->sources[0]->servers[0]->name->found[0]),
	    "127.0.0.1:443");
	ck_assert_str_eq(endpoint_format(at, sizeof(at), &conf->sources[3]->servers[0]->name->found[0]), "[::1]:9");
	conf_free(&conf);
}
END_TEST

START_TEST(a_proxy_pass_without_a_port_means_that_of_tls_where_it_comes_first)
{
	struct conf *conf = load("auth_http 127.0.0.1; proxy_pass 127.0.0.9; proxy_ssl on;\n"
	    "server { listen 127.0.0.1:143; }\nserver { listen 127.0.0.1:110; }\nserver { listen 127.0.0.1:25; }\n"
	    "server { listen 127.0.0.1:144; protocol imap; proxy_ssl starttls; }\n"
	    "server { listen 127.0.0.1:145; protocol imap; proxy_pass 127.0.0.9:7; }");
	static const unsigned ports[] = { 993, 995, 465, 143, 7 };

	for (size_t i = 0; i < 5; i++)
		ck_assert_uint_eq(conf->servers[i]->proxy_pass->found[0].addr.port, ports[i]);
	conf_free(&conf);
}
END_TEST

Suite *
conf_tls_suite(void)
{
	Suite *suite = suite_create("conf_tls");
	TCase *tcase = tcase_create("conf_tls");

	tcase_add_checked_fixture(tcase, open_box, close_box);
	tcase_add_test(tcase, nobody_has_tls_by_default_and_peers_would_be_verified);
	tcase_add_test(tcase, each_side_has_the_settings_of_its_prefix);
	tcase_add_test(tcase, lists_replace_outer_lists_and_an_empty_name_takes_a_file_back);
	tcase_add_loop_test(tcase, of_two_caches_off_or_none_counts_and_else_the_shared_one, 0,
	    sizeof(caches) / sizeof(caches[0]));
	tcase_add_loop_test(tcase, a_server_calls_itself_by_the_first_name_that_is_one, 0,
	    sizeof(names) / sizeof(names[0]));
	tcase_add_test(tcase, a_server_that_rejects_every_handshake_needs_no_certificate);
	tcase_add_test(tcase, an_https_url_has_its_own_port_and_source);
	tcase_add_test(tcase, a_proxy_pass_without_a_port_means_that_of_tls_where_it_comes_first);
	suite_add_tcase(suite, tcase);
	return suite;
}
