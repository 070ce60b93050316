#include "master/tls_build.h"

#include <string.h>
#include <sys/stat.h>

#include "common/conf.h"
#include "common/tlscert.h"
#include "test/unit/capture.h"
#include "test/unit/certbox.h"
#include "test/unit/tlsscene.h"
#include "test/unit/unit.h"

static struct server first, second;
static struct conf_source source;
static struct server *servers[] = { &first, &second, NULL };
static struct conf conf;

/* Two servers towards clients, one of them with TLS to its backends. */
static struct conf_auth only, *chain[] = { &only, NULL };

static void
open_conf(void)
{
	scene_open();
	scene_server.needed = true;
	scene_server.place = (struct conf_place){ "n.conf", 7 };
	scene_client.needed = true;
	first = second = (struct server){ .tls = scene_server };
	second.tls.place.line = 9;
	second.proxy_tls = scene_client;
	only.source = &source;
	source = (struct conf_source){ .kind = SOURCE_HTTP };
	conf = (struct conf){ .servers = servers, .server_count = 2, .ssl_object_cache_inheritable = true };
	capture_begin();
}

static void
close_conf(void)
{
	tls_release(&conf);
	capture_end();
	scene_close();
}

static void
expect(const char *piece)
{
	ck_assert_msg(strstr(capture_text(), piece) != NULL, "%s", capture_text());
}

/* How often a piece was said. */
static unsigned
count(const char *piece)
{
	unsigned found = 0;

	for (const char *at = capture_text(); (at = strstr(at, piece)) != NULL; at++)
		found++;
	return found;
}

START_TEST(what_is_needed_is_built)
{
	ck_assert_int_eq(tls_build(scene_pool, &conf), 0);
	ck_assert_ptr_nonnull(first.tls.context);
	ck_assert_ptr_eq(first.tls.context, second.tls.context);
	ck_assert_ptr_nonnull(second.proxy_tls.context);
	ck_assert_ptr_null(first.proxy_tls.context);
	ck_assert_ptr_null(first.auth_http_tls.context);
	tls_release(&conf);
	ck_assert_ptr_null(first.tls.context);
}
END_TEST

START_TEST(what_cannot_be_built_is_said_with_its_server)
{
	scene_certify(&second.tls, "none");
	ck_assert_int_eq(tls_build(scene_pool, &conf), -1);
	expect("[emerg]");
	expect("cannot load certificate \"");
	expect(" in n.conf:9");
}
END_TEST

/* Only a source's answer could ask for it: no reason not to start. */
START_TEST(what_a_source_may_ask_for_need_not_be_there)
{
	first.auth = chain;
	first.proxy_tls = scene_client;
	first.proxy_tls.needed = false;
	ck_assert_int_eq(tls_build(scene_pool, &conf), 0);
	ck_assert_ptr_nonnull(first.proxy_tls.context);
	tls_release(&conf);
	first.proxy_tls.trusted_certificate = certbox_path("none.pem");
	ck_assert_int_eq(tls_build(scene_pool, &conf), 0);
	ck_assert_ptr_null(first.proxy_tls.context);
	expect("no TLS towards backends, should a source ask for it: cannot load certificate \"");
}
END_TEST

START_TEST(a_key_that_everybody_may_read_is_warned_of_once)
{
	ck_assert_int_eq(chmod(first.tls.keys[0], 0644), 0);
	ck_assert_int_eq(tls_build(scene_pool, &conf), 0);
	ck_assert_int_eq(chmod(first.tls.keys[0], 0600), 0);
	ck_assert_uint_eq(count("server.key\" holds secrets and everybody may read it in n.conf:7"), 1);
	ck_assert_uint_eq(count("holds secrets"), 1);
}
END_TEST

static const struct {
	long from, until;
	const char *warning;    /* NULL: none */
} expiries[] = {
	{ -7200, -3600, "expiring.pem\" has expired on 20" },
	{ 0, 86400 * 3 + 1000, "expiring.pem\" expires in 3 days, on 20" },
	{ 0, 86400 * 15, NULL },
};

START_TEST(a_certificate_that_ends_soon_is_warned_of)
{
	certbox_issue(&(struct certbox_request){
		.name = "expiring", .ca = "ca", .from = expiries[_i].from, .until = expiries[_i].until,
	});
	scene_certify(&first.tls, "expiring");
	scene_certify(&second.tls, "expiring");
	ck_assert_int_eq(tls_build(scene_pool, &conf), 0);
	ck_assert_uint_eq(count("expiring.pem"), expiries[_i].warning != NULL);
	if (expiries[_i].warning != NULL)
		expect(expiries[_i].warning);
}
END_TEST

static void
note(void *ctx, const struct conf_tls *tls, const struct tlscert *cert)
{
	unsigned *visits = ctx;

	ck_assert_ptr_eq(tls, *visits == 0 ? &first.tls : &second.tls);
	ck_assert_str_eq(tlscert_path(cert), first.tls.certificates[0]);
	(*visits)++;
}

START_TEST(every_certificate_in_force_is_visited)
{
	unsigned visits = 0;

	ck_assert_int_eq(tls_build(scene_pool, &conf), 0);
	tls_each_certificate(&conf, note, &visits);
	ck_assert_uint_eq(visits, 2);
}
END_TEST

Suite *
tls_build_suite(void)
{
	Suite *suite = suite_create("tls_build");
	TCase *tcase = tcase_create("tls_build");

	tcase_add_unchecked_fixture(tcase, scene_files, scene_no_files);
	tcase_add_checked_fixture(tcase, open_conf, close_conf);
	tcase_add_test(tcase, what_is_needed_is_built);
	tcase_add_test(tcase, what_cannot_be_built_is_said_with_its_server);
	tcase_add_test(tcase, what_a_source_may_ask_for_need_not_be_there);
	tcase_add_test(tcase, a_key_that_everybody_may_read_is_warned_of_once);
	tcase_add_loop_test(tcase, a_certificate_that_ends_soon_is_warned_of, 0, UNIT_COUNT(expiries));
	tcase_add_test(tcase, every_certificate_in_force_is_visited);
	suite_add_tcase(suite, tcase);
	return suite;
}
