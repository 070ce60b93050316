#include <string.h>

#include "common/conf.h"
#include "test/unit/clock.h"
#include "test/unit/httpscene.h"
#include "test/unit/tlsbox.h"
#include "test/unit/unit.h"
#include "worker/net/tlspeer.h"

static struct conf_tls server_tls, client_tls;

static void
setup(int version)
{
	httpscene_open();
	tlsbox_make(version);
	server_tls = tlsbox_server(SSL_VERIFY_OFF);
	client_tls = tlsbox_client(true, false);
	scene.tls = &client_tls;
}

static void
setup12(void)
{
	setup(TLS1_2_VERSION);
}

static void
setup13(void)
{
	setup(TLS1_3_VERSION);
}

static void
teardown(void)
{
	httpscene_close();
	tlspeer_clear();
	tlsbox_free();
}

static void
serve_tls(const struct scripted_step *steps, int count)
{
	httpscene_serve(steps, count);
	scripted_secure(scene.server, &server_tls);
}

START_TEST(a_secure_connection_is_kept_and_used_again)
{
	static const struct scripted_step steps[] = { { .reply = HTTPSCENE_EMPTY } };

	serve_tls(HTTPSCENE_STEPS(steps));
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(httpscene_ask(), HTTP_ANSWERED);
		httpscene_settle();
	}
	ck_assert_uint_eq(scripted_requests(scene.server), 5);
	ck_assert_uint_eq(scripted_connections(scene.server), 1);
	ck_assert_uint_eq(http_client_idle(scene.client), 1);
	ck_assert_str_eq(scripted_request(scene.server), "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
}
END_TEST

START_TEST(a_secure_answer_counts_however_it_is_cut)
{
	struct scripted_step step = { .reply = HTTPSCENE_WHOLE, .cut = (size_t)_i };

	serve_tls(&step, 1);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(httpscene_ask(), HTTP_ANSWERED);
		httpscene_settle();
	}
	ck_assert_uint_eq(scripted_connections(scene.server), 1);
}
END_TEST

START_TEST(a_secure_connection_that_had_died_is_made_again)
{
	static const struct scripted_step steps[] = { { .reply = HTTPSCENE_EMPTY } };

	serve_tls(HTTPSCENE_STEPS(steps));
	ck_assert_int_eq(httpscene_ask(), HTTP_ANSWERED);
	scripted_hang_up(scene.server);
	ck_assert_int_eq(httpscene_ask(), HTTP_ANSWERED);
	scripted_hang_up(scene.server);
	httpscene_settle();
	ck_assert_uint_eq(http_client_idle(scene.client), 0);
	scripted_say(scene.server, "x");
	ck_assert_int_eq(httpscene_ask(), HTTP_ANSWERED);
	scripted_say(scene.server, "unasked");
	httpscene_settle();
	ck_assert_uint_eq(http_client_idle(scene.client), 0);
	ck_assert_uint_eq(scripted_connections(scene.server), 3);
}
END_TEST

START_TEST(a_server_that_nobody_vouches_for_gets_no_request)
{
	static const struct scripted_step steps[] = { { .reply = HTTPSCENE_EMPTY } };
	struct http_asked asked;

	serve_tls(HTTPSCENE_STEPS(steps));
	client_tls = tlsbox_client(false, false);
	httpscene_start(&asked);
	httpscene_finish(&asked);
	ck_assert_int_eq(asked.outcome, HTTP_INSECURE);
	ck_assert_ptr_nonnull(strstr(asked.reason, "certificate verify failed"));
	ck_assert_uint_eq(scripted_requests(scene.server), 0);
}
END_TEST

START_TEST(a_server_without_tls_gets_no_request)
{
	static const struct scripted_step steps[] = { { .reply = HTTPSCENE_EMPTY } };
	struct http_asked asked;

	serve_tls(HTTPSCENE_STEPS(steps));
	scripted_secure(scene.server, NULL);
	httpscene_start(&asked);
	while (scripted_connections(scene.server) == 0)
		loop_turn(scene.loop, -1);
	scripted_say(scene.server, HTTPSCENE_EMPTY);
	httpscene_finish(&asked);
	ck_assert_int_eq(asked.outcome, HTTP_INSECURE);
	ck_assert_uint_eq(scripted_requests(scene.server), 0);
}
END_TEST

START_TEST(a_handshake_that_does_not_end_counts_to_the_limit)
{
	struct http_asked asked;

	serve_tls(NULL, 0);
	scripted_secure(scene.server, NULL);
	httpscene_start(&asked);
	while (scripted_connections(scene.server) == 0)
		loop_turn(scene.loop, -1);
	httpscene_settle();
	ck_assert_uint_eq(asked.ended, 0);
	clock_skip_ms(HTTPSCENE_LIMIT_MS + 100);
	httpscene_finish(&asked);
	ck_assert_int_eq(asked.outcome, HTTP_TIMED_OUT);
}
END_TEST

static void
add_tests(TCase *tcase)
{
	tcase_add_test(tcase, a_secure_connection_is_kept_and_used_again);
	tcase_add_loop_test(tcase, a_secure_answer_counts_however_it_is_cut, 1, HTTPSCENE_CUTS);
	tcase_add_test(tcase, a_secure_connection_that_had_died_is_made_again);
	tcase_add_test(tcase, a_server_that_nobody_vouches_for_gets_no_request);
	tcase_add_test(tcase, a_server_without_tls_gets_no_request);
	tcase_add_test(tcase, a_handshake_that_does_not_end_counts_to_the_limit);
}

Suite *
https_suite(void)
{
	Suite *suite = suite_create("https");
	TCase *tls12 = tcase_create("https, TLS 1.2"), *tls13 = tcase_create("https, TLS 1.3");

	tcase_add_checked_fixture(tls12, setup12, teardown);
	tcase_add_checked_fixture(tls13, setup13, teardown);
	add_tests(tls12);
	add_tests(tls13);
	suite_add_tcase(suite, tls12);
	suite_add_tcase(suite, tls13);
	return suite;
}
