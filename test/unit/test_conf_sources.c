#include "master/conf_sources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"
#include "test/unit/confbox.h"
#include "test/unit/unit.h"

static struct confbox box;

static void
open_box(void)
{
	confbox_open(&box);
	confbox_write(&box, "users", "a:b\n");
	confbox_write(&box, "secret", "top secret\nnot this\n");
}

static void
close_box(void)
{
	confbox_close(&box);
}

/* A configuration that must load, of one server for IMAP and the text of mail{}; the server says `more`. */
static struct conf *
load(const char *text, const char *more)
{
	char *whole = mem_printf("%s\nserver { listen 127.0.0.1:143; %s }", text, more);
	struct conf *conf = confbox_mail(&box, whole);

	ck_assert_msg(conf != NULL, "%s: %s", whole, box.said);
	mem_free(whole);
	return conf;
}

#define TOKENS "imap_auth oauthbearer; "
#define MYSQL "auth_mysql_user u; auth_mysql_database d; auth_mysql_query 'SELECT :user'; "
#define OF_MYSQL "user=u\ndatabase=d\nquery=SELECT :user\n"

/* What helpers are told; "@" is the box's folder. */
static const struct {
	const char *text;
	enum source_kind kind;
	const char *settings, *label, *path, *account;
} settings[] = {
	{ "auth_file users;", SOURCE_FILE, NULL, "@/users", "@/users", NULL },
	{ MYSQL "auth_mysql db.test;", SOURCE_MYSQL,
	    "host=db.test\nport=3306\n" OF_MYSQL "ssl=off\n", "db.test", NULL, NULL },
	{ MYSQL "auth_mysql [::1]:7;", SOURCE_MYSQL, "host=::1\nport=7\n" OF_MYSQL "ssl=off\n", "[::1]:7", NULL, NULL },
	{ MYSQL "auth_mysql unix:/a; auth_mysql_password_file secret;", SOURCE_MYSQL,
	    "socket=/a\n" OF_MYSQL "ssl=off\n", "unix:/a", "@/secret", NULL },
	{ MYSQL "auth_mysql 10.0.0.1; auth_mysql_ssl on;", SOURCE_MYSQL,
	    "host=10.0.0.1\nport=3306\n" OF_MYSQL "ssl=on\nverify=on\n", "10.0.0.1", NULL, NULL },
	{ MYSQL "auth_mysql d; auth_mysql_ssl on; auth_mysql_ssl_verify off; auth_mysql_ssl_trusted_certificate users;"
	    "auth_mysql_ssl_certificate users; auth_mysql_ssl_certificate_key secret;", SOURCE_MYSQL,
	    "host=d\nport=3306\n" OF_MYSQL "ssl=on\nverify=off\nca=@/users\ncert=@/users\nkey=@/secret\n", "d", NULL,
	    NULL },
	{ "auth_mysql_user 'a b'; auth_mysql_database d; auth_mysql d; auth_mysql_query \"SELECT a, -- c\\nb # \\n"
	    "FROM c WHERE d = ':x' AND e = :user;\";", SOURCE_MYSQL, "host=d\nport=3306\nuser=a b\ndatabase=d\n"
	    "query=SELECT a,   b   FROM c WHERE d = ':x' AND e = :user\nssl=off\n", "d", NULL, NULL },
	{ "auth_pam mail;", SOURCE_PAM, "service=mail\n", "mail", NULL, "root" },
	{ "auth_pam mail; auth_pam_user nobody; auth_pam_directory .;", SOURCE_PAM, "service=mail\ndirectory=@/.\n",
	    "mail", NULL, "nobody" },
	{ TOKENS "auth_jwt users;", SOURCE_JWT, "claim=email\nleeway_s=60\n", "@/users", "@/users", NULL },
	{ TOKENS "auth_jwt users; auth_token_issuer https://i; auth_token_audience a b; auth_token_audience 'c d';"
	    "auth_token_scope x y; auth_token_claim sub; auth_token_leeway 2s;", SOURCE_JWT,
	    "issuer=https://i\naudience=a\naudience=b\naudience=c d\nscope=x\nscope=y\nclaim=sub\nleeway_s=2\n",
	    "@/users", "@/users", NULL },
	{ TOKENS "auth_introspection https://[::1]/a;", SOURCE_INTROSPECTION, NULL, "https://[::1]/a", NULL, NULL },
	{ "auth_http 127.0.0.1/a http://localhost/b unix:/s:/c;", SOURCE_HTTP, NULL,
	    "127.0.0.1/a localhost/b unix:/s:/c", NULL, NULL },
	{ "auth_passthrough on; proxy_pass localhost:7;", SOURCE_PASSTHROUGH, NULL, "localhost:7", NULL, NULL },
};

static void
expect_text(const char *text, const char *expected)
{
	char *full = mem_strdup("");

	if (expected == NULL) {
		ck_assert_ptr_null(text);
	} else {
		for (; *expected != '\0'; expected++) {
			char *longer = *expected == '@' ? mem_printf("%s%s", full, box.folder) :
			    mem_printf("%s%c", full, *expected);

			mem_free(full);
			full = longer;
		}
		ck_assert_ptr_nonnull(text);
		ck_assert_str_eq(text, full);
	}
	mem_free(full);
}

START_TEST(a_source_has_what_stands_beside_its_line)
{
	struct conf *conf;
	const struct conf_source *source;

	conf = load(settings[_i].text, "auth_helpers 5; auth_timeout 7s;");
	ck_assert_uint_eq(conf->source_count, 1);
	source = conf->sources[0];
	ck_assert_uint_eq(source->kind, settings[_i].kind);
	expect_text(source->settings, settings[_i].settings);
	expect_text(source->label, settings[_i].label);
	expect_text(source->path, settings[_i].path);
	expect_text(source->account, settings[_i].account);
	ck_assert_uint_eq(source->helpers, source->servers == NULL && source->kind != SOURCE_PASSTHROUGH ? 5 : 0);
	ck_assert_uint_eq(source->timeout, source->helpers != 0 ? 7000 : 0);
	ck_assert_int_eq(source->mailbox, -1);
	ck_assert((source->token != NULL) == (source->kind == SOURCE_JWT || source->kind == SOURCE_INTROSPECTION));
	conf_free(&conf);
}
END_TEST

START_TEST(a_chain_keeps_the_order_of_its_lines)
{
	struct conf *conf = load("auth_http 127.0.0.9; auth_file users match=*@a.test match=b*; auth_pam mail; "
	    "auth_http 127.0.0.1; auth_passthrough on; proxy_pass 127.0.0.1;", "");
	struct conf_auth **auth = conf->servers[0]->auth;
	static const enum source_kind kinds[] = { SOURCE_FILE, SOURCE_PAM, SOURCE_HTTP, SOURCE_PASSTHROUGH };

	for (size_t i = 0; i < 4; i++)
		ck_assert_uint_eq(auth[i]->source->kind, kinds[i]);
	ck_assert_ptr_null(auth[4]);
	ck_assert_str_eq(auth[0]->users[0], "*@a.test");
	ck_assert_str_eq(auth[0]->users[1], "b*");
	ck_assert_ptr_null(auth[0]->users[2]);
	ck_assert_ptr_null(auth[1]->users);
	ck_assert_str_eq(auth[2]->source->label, "127.0.0.1");
	ck_assert_uint_eq(conf->source_count, 4);
	conf_free(&conf);
}
END_TEST

START_TEST(a_servers_lines_replace_the_outer_ones_and_off_is_no_line)
{
	struct conf *conf = confbox_mail(&box, "auth_http 127.0.0.1; auth_pam mail; proxy_pass 127.0.0.1;\n"
	    "server { listen 127.0.0.1:143; auth_file users; }\n"
	    "server { listen 127.0.0.1:144; protocol imap; auth_passthrough off; }\n"
	    "server { listen 127.0.0.1:145; protocol imap; auth_passthrough on; }");

	ck_assert_ptr_nonnull(conf);
	ck_assert_uint_eq(conf->servers[0]->auth[0]->source->kind, SOURCE_FILE);
	ck_assert_ptr_null(conf->servers[0]->auth[1]);
	ck_assert_uint_eq(conf->servers[1]->auth[0]->source->kind, SOURCE_HTTP);
	ck_assert_uint_eq(conf->servers[1]->auth[1]->source->kind, SOURCE_PAM);
	ck_assert_uint_eq(conf->servers[2]->auth[0]->source->kind, SOURCE_PASSTHROUGH);
	ck_assert_ptr_null(conf->servers[2]->auth[1]);
	conf_free(&conf);
}
END_TEST

START_TEST(passthrough_off_leaves_the_outer_sources_without_it)
{
	struct conf *conf = confbox_mail(&box, "auth_pam mail; auth_passthrough on; proxy_pass 127.0.0.1;\n"
	    "server { listen 127.0.0.1:143; }\n"
	    "server { listen 127.0.0.1:144; protocol imap; auth_passthrough off; }");

	ck_assert_ptr_nonnull(conf);
	ck_assert_uint_eq(conf->servers[0]->auth[1]->source->kind, SOURCE_PASSTHROUGH);
	ck_assert_uint_eq(conf->servers[1]->auth[0]->source->kind, SOURCE_PAM);
	ck_assert_ptr_null(conf->servers[1]->auth[1]);
	conf_free(&conf);
}
END_TEST

/* What two servers share, and what each says. */
static const struct {
	const char *both, *first, *second;
	bool shared;
} pairs[] = {
	{ "auth_http 127.0.0.1;", "", "", true },
	{ "auth_http 127.0.0.1;", "", "auth_http http://127.0.0.1/;", false },
	{ "", "auth_http 127.0.0.1;", "auth_http 127.0.0.1 match=a*;", true },
	{ "auth_http 127.0.0.1;", "", "auth_http_keepalive 3;", false },
	{ "auth_http 127.0.0.1;", "", "auth_http_keepalive_timeout 3s;", false },
	{ "auth_http 127.0.0.1;", "", "auth_http_ssl_name x;", true },
	{ "auth_http https://127.0.0.1;", "", "auth_http_ssl_name x;", false },
	{ "auth_http 127.0.0.1;", "", "auth_timeout 3s;", true },
	{ "auth_file users;", "", "auth_timeout 3s;", false },
	{ "auth_file users;", "", "auth_helpers 3;", false },
	{ "auth_file users;", "", "auth_token_issuer x;", true },
	{ "auth_pam mail;", "", "auth_pam_user nobody;", false },
	{ "auth_pam mail;", "", "auth_pam_directory .;", false },
	{ MYSQL "auth_mysql d;", "", "auth_mysql_password_file secret;", false },
	{ MYSQL "auth_mysql d;", "", "auth_mysql_query 'SELECT :local';", false },
	{ TOKENS "auth_jwt users;", "", "auth_token_audience x;", false },
	{ TOKENS "auth_introspection 127.0.0.1;", "", "auth_token_scope x;", false },
	{ TOKENS "auth_introspection 127.0.0.1;", "",
	    "auth_introspection_client_id x; auth_introspection_secret_file secret;", false },
	{ TOKENS "auth_introspection 127.0.0.1;", "", "auth_http 127.0.0.1;", false },
};

START_TEST(servers_share_a_source_of_the_same_settings)
{
	char *text = mem_printf("%s server { listen 127.0.0.1:143; %s } server { listen 127.0.0.1:144; protocol imap; "
	    "%s }", pairs[_i].both, pairs[_i].first, pairs[_i].second);
	struct conf *conf = confbox_mail(&box, text);

	ck_assert_msg(conf != NULL, "%s: %s", text, box.said);
	ck_assert_uint_eq(conf->source_count, pairs[_i].shared ? 1 : 2);
	ck_assert((conf->servers[0]->auth[0]->source == conf->servers[1]->auth[0]->source) == pairs[_i].shared);
	conf_free(&conf);
	mem_free(text);
}
END_TEST

/* "host at uri weight max_fails fail_timeout[ backup]; " of each server. */
static const struct {
	const char *text, *expected;
} webs[] = {
	{ "auth_http 127.0.0.1/a [::1]:81?b unix:/s:/c;", "127.0.0.1 127.0.0.1:80 /a 1 1 10000; "
	    "[::1] [::1]:81 /?b 1 1 10000; localhost unix:/s /c 1 1 10000; " },
	{ "auth_http https://127.0.0.1 https://[::1]:5;",
	    "127.0.0.1 127.0.0.1:443 / 1 1 10000; [::1] [::1]:5 / 1 1 10000; " },
	{ "auth_http http://Two/x 127.0.0.9; upstream two { server 10.0.0.1 weight=3; server localhost:5 max_fails=0 "
	    "fail_timeout=2s; server unix:/u backup; }", "Two 10.0.0.1:80 /x 3 1 10000; Two 127.0.0.1:5 /x 1 0 2000; "
	    "Two unix:/u /x 1 1 10000 backup; 127.0.0.9 127.0.0.9:80 / 1 1 10000; " },
	{ "upstream two { server 10.0.0.1; server 10.0.0.2:81; } auth_http https://two;",
	    "two 10.0.0.1:443 / 1 1 10000; two 10.0.0.2:81 / 1 1 10000; " },
};

static void
describe_web(FILE *out, const struct conf_web *web)
{
	char at[128];

	fprintf(out, "%s %s %s %u %u %llu%s; ", web->host, endpoint_format(at, sizeof(at), &web->name->found[0]),
	    web->uri, web->weight, web->max_fails, (unsigned long long)web->fail_timeout, web->backup ? " backup" : "");
}

START_TEST(urls_and_upstreams_become_servers)
{
	struct conf *conf = load(webs[_i].text, "");
	char *got = NULL;
	size_t size;
	FILE *out = open_memstream(&got, &size);

	for (struct conf_web **web = conf->sources[0]->servers; *web != NULL; web++)
		describe_web(out, *web);
	fclose(out);
	ck_assert_str_eq(got, webs[_i].expected);
	free(got);
	conf_free(&conf);
}
END_TEST

START_TEST(the_names_of_a_shared_source_are_resolved_once)
{
	struct conf *conf = confbox_mail(&box, "auth_http localhost two.test; server { listen 127.0.0.1:143; }\n"
	    "server { listen 127.0.0.1:110; } server { listen 127.0.0.1:25; }");

	ck_assert_uint_eq(conf->name_count, 2);
	ck_assert_ptr_eq(conf->names[1], conf->sources[0]->servers[1]->name);
	conf_free(&conf);
}
END_TEST

START_TEST(an_upstream_that_nobody_uses_is_not_resolved)
{
	struct conf *conf = load("upstream a { server nowhere.test; } auth_http two.test;", "");

	ck_assert_uint_eq(conf->name_count, 1);
	ck_assert_str_eq(conf->names[0]->host, "two.test");
	conf_free(&conf);
}
END_TEST

START_TEST(secrets_are_the_first_lines_of_their_files)
{
	struct conf *conf = load(TOKENS "auth_introspection 127.0.0.1; auth_introspection_client_id me;"
	    "auth_introspection_secret_file secret; proxy_master_user 'the master' secret;", "");
	const struct server *server = conf->servers[0];

	ck_assert_str_eq(conf->sources[0]->client_id, "me");
	ck_assert_str_eq(conf->sources[0]->client_secret, "top secret");
	ck_assert_ptr_null(strstr(conf->sources[0]->key, "top"));
	ck_assert_str_eq(conf->sources[0]->token->claim, "username");
	ck_assert_str_eq(server->master_user, "the master");
	ck_assert_str_eq(server->master_pass, "top secret");
	ck_assert(!server->master_always);
	conf_free(&conf);
	conf = load("auth_http 127.0.0.1; proxy_master_user m secret always; proxy_auth login;", "");
	ck_assert(conf->servers[0]->master_always && conf->servers[0]->proxy_auth == PROXY_AUTH_LOGIN);
	conf_free(&conf);
}
END_TEST

START_TEST(a_secret_for_many_servers_is_read_and_warned_of_once)
{
	char *path = mem_printf("%s/secret", box.folder);
	struct conf *conf;

	chmod(path, 0644);
	conf = confbox_mail(&box, "auth_http 127.0.0.1;\nproxy_master_user m secret;\n"
	    "server { listen 127.0.0.1:143; } server { listen 127.0.0.1:110; }");
	ck_assert_str_eq(conf->servers[1]->master_pass, "top secret");
	ck_assert_str_eq(box.said, "[warn] \"secret\" holds secrets and everybody may read it in n.conf:4\n");
	conf_free(&conf);
	mem_free(path);
}
END_TEST

static const struct {
	const char *bytes;
	size_t len;
	const char *said;
} secrets[] = {
	{ "a b\xff", 4, NULL },
	{ "a\n", 2, NULL },
	{ "a\nb\r\0", 5, NULL },
	{ "", 0, "no secret in the first line of" },
	{ "\nabc", 4, "no secret in the first line of" },
	{ "a\r\n", 3, "CR or NUL in the first line of" },
	{ "a\0b\n", 4, "CR or NUL in the first line of" },
};

static void
write_bytes(const char *name, const char *bytes, size_t len)
{
	char *path = mem_printf("%s/%s", box.folder, name);
	FILE *file = fopen(path, "w");

	ck_assert_uint_eq(fwrite(bytes, 1, len, file), len);
	fclose(file);
	chmod(path, 0600);
	mem_free(path);
}

static void
expect_secret(const char *said)
{
	char *expected = said == NULL ? mem_strdup("") : mem_printf("[emerg] %s in n.conf:3\n", said);
	struct conf *conf;

	conf = confbox_mail(&box, "auth_http 127.0.0.1; proxy_master_user m s; server { listen 127.0.0.1:143; }");
	ck_assert_str_eq(box.said, expected);
	ck_assert((conf == NULL) == (said != NULL));
	conf_free(&conf);
	mem_free(expected);
}

START_TEST(a_secret_that_is_none_is_refused)
{
	char *said = secrets[_i].said == NULL ? NULL : mem_printf("%s \"s\"", secrets[_i].said);

	write_bytes("s", secrets[_i].bytes, secrets[_i].len);
	expect_secret(said);
	mem_free(said);
}
END_TEST

START_TEST(a_secret_has_a_limit_and_is_in_a_file)
{
	char long_line[4097], *path = mem_printf("%s/s", box.folder);

	expect_secret("open() \"s\" failed (2: No such file or directory)");
	memset(long_line, 'x', sizeof(long_line));
	write_bytes("s", long_line, sizeof(long_line) - 1);
	expect_secret(NULL);
	write_bytes("s", long_line, sizeof(long_line));
	expect_secret("too long first line in \"s\"");
	remove(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	expect_secret("\"s\" is not a file");
	remove(path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	expect_secret("\"s\" is not a file");
	mem_free(path);
}
END_TEST

START_TEST(a_cache_is_one_by_its_name)
{
	struct conf *conf = confbox_mail(&box, "auth_http 127.0.0.1; auth_cache zone=a:1m;\n"
	    "server { listen 127.0.0.1:143; }\n"
	    "server { listen 127.0.0.1:110; auth_cache negative=0 ttl=60s zone=a:1024k; }\n"
	    "server { listen 127.0.0.1:25; auth_cache zone=b:2m ttl=1s negative=500ms; }\n"
	    "server { listen 127.0.0.1:26; protocol smtp; auth_cache off; }");

	ck_assert_ptr_nonnull(conf);
	ck_assert_uint_eq(conf->cache_count, 2);
	ck_assert_ptr_eq(conf->servers[0]->auth_cache, conf->caches[0]);
	ck_assert_ptr_eq(conf->servers[1]->auth_cache, conf->caches[0]);
	ck_assert_ptr_eq(conf->servers[2]->auth_cache, conf->caches[1]);
	ck_assert_ptr_null(conf->servers[3]->auth_cache);
	ck_assert_str_eq(conf->caches[0]->zone, "a");
	ck_assert(conf->caches[0]->bytes == 1 << 20 && conf->caches[0]->ttl == 60000 && conf->caches[0]->negative == 0);
	ck_assert(conf->caches[1]->bytes == 2 << 20 && conf->caches[1]->ttl == 1000);
	ck_assert_uint_eq(conf->caches[1]->negative, 500);
	conf_free(&conf);
}
END_TEST

START_TEST(tokens_made_for_anybody_are_warned_of_when_asked)
{
	struct conf *conf;

	box.request.test = true;
	conf = load(TOKENS "auth_jwt users;", "");
	ck_assert_str_eq(box.said, "[warn] \"auth_jwt\" takes tokens made for anybody: no \"auth_token_audience\" is "
	    "defined in n.conf:3\n");
	conf_free(&conf);
	conf = load(TOKENS "auth_jwt users; auth_token_audience mail;", "");
	ck_assert_str_eq(box.said, "");
	conf_free(&conf);
}
END_TEST

#define LOOP(test, table) tcase_add_loop_test(tcase, test, 0, sizeof(table) / sizeof(table[0]))

Suite *
conf_sources_suite(void)
{
	Suite *suite = suite_create("conf_sources");
	TCase *tcase = tcase_create("conf_sources");

	tcase_add_checked_fixture(tcase, open_box, close_box);
	LOOP(a_source_has_what_stands_beside_its_line, settings);
	tcase_add_test(tcase, a_chain_keeps_the_order_of_its_lines);
	tcase_add_test(tcase, a_servers_lines_replace_the_outer_ones_and_off_is_no_line);
	tcase_add_test(tcase, passthrough_off_leaves_the_outer_sources_without_it);
	LOOP(servers_share_a_source_of_the_same_settings, pairs);
	LOOP(urls_and_upstreams_become_servers, webs);
	tcase_add_test(tcase, the_names_of_a_shared_source_are_resolved_once);
	tcase_add_test(tcase, an_upstream_that_nobody_uses_is_not_resolved);
	tcase_add_test(tcase, secrets_are_the_first_lines_of_their_files);
	tcase_add_test(tcase, a_secret_for_many_servers_is_read_and_warned_of_once);
	LOOP(a_secret_that_is_none_is_refused, secrets);
	tcase_add_test(tcase, a_secret_has_a_limit_and_is_in_a_file);
	tcase_add_test(tcase, a_cache_is_one_by_its_name);
	tcase_add_test(tcase, tokens_made_for_anybody_are_warned_of_when_asked);
	suite_add_tcase(suite, tcase);
	return suite;
}
