#include "worker/auth/web.h"

#include <string.h>

#include "test/unit/clock.h"
#include "test/unit/unit.h"
#include "test/unit/webscene.h"

#define YES(host) "HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nAuth-Server: " host "\r\nAuth-Port: 143\r\nContent-Length: 0\r\n\r\n"
#define WAIT "HTTP/1.1 200 OK\r\nAuth-Status: WAIT\r\nContent-Length: 0\r\n\r\n"
#define STEPS(steps) steps, UNIT_COUNT(steps)

static struct webscene scene;

static const struct scripted_step first[] = { { .reply = YES("192.0.2.1") } };
static const struct scripted_step second[] = { { .reply = YES("192.0.2.2") } };
static const struct scripted_step third[] = { { .reply = YES("192.0.2.3") } };
static const struct scripted_step silence[] = { { .reply = NULL } };
static const struct scripted_step dying[] = { { .close = true } };

static void
setup(void)
{
	webscene_init(&scene, SOURCE_HTTP);
}

static void
teardown(void)
{
	webscene_reset(&scene);
}

/* How many requests each has seen. */
static void
check_requests(unsigned a, unsigned b, unsigned c)
{
	const unsigned wanted[WEB_SERVERS] = { a, b, c };

	for (int i = 0; i < WEB_SERVERS; i++)
		ck_assert_uint_eq(scene.servers[i] != NULL ? scripted_requests(scene.servers[i]) : 0, wanted[i]);
}

START_TEST(servers_take_turns_each_by_its_own_url)
{
	webscene_add(&scene, STEPS(first));
	webscene_add(&scene, STEPS(second));
	scene.webs[1].weight = 2;
	webscene_open(&scene);
	for (int i = 0; i < 6; i++) {
		webscene_answer(&scene);
		ck_assert_int_eq(scene.outcome, AUTH_ACCEPTED);
	}
	check_requests(2, 4, 0);
	ck_assert_uint_eq(scripted_connections(scene.servers[1]), 1);
	ck_assert_ptr_nonnull(strstr(scripted_request(scene.servers[0]), "GET /0 HTTP/1.1\r\nHost: host0\r\n"));
	ck_assert_ptr_nonnull(strstr(scripted_request(scene.servers[1]), "GET /1 HTTP/1.1\r\nHost: host1\r\n"));
	ck_assert_str_eq(webscene_logged(&scene), "");
	ck_assert_uint_eq(auth_idle_descriptors(scene.auth), 2);
	auth_shed(scene.auth);
	ck_assert_uint_eq(auth_idle_descriptors(scene.auth), 0);
}
END_TEST

static const struct {
	struct scripted_step step;
	const char *logged;
} failures[] = {
	{ { .close = true }, " closed the connection before its answer was whole\n" },
	{ { .reply = "HTTP/1.1 200 OK\r\nAuth-St", .close = true },
	    " closed the connection before its answer was whole\n" },
	{ { .reply = "220 hello\r\n\r\n" }, " sent invalid response: bad status line\n" },
	{ { .reply = "HTTP/1.1 200 OK\r\nno header\r\n\r\n" }, " sent invalid header in response: bad header name\n" },
	{ { .reply = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n" },
	    " sent invalid response: status 502\n" },
	{ { .reply = "HTTP/1.1 500 no\r\nAuth-Status: OK\r\n\r\n" }, " sent invalid response: status 500\n" },
};

START_TEST(a_server_that_fails_is_passed_over_and_then_left_alone)
{
	webscene_add(&scene, &failures[_i].step, 1);
	webscene_add(&scene, STEPS(second));
	webscene_open(&scene);
	for (int i = 0; i < 3; i++) {
		webscene_answer(&scene);
		ck_assert_int_eq(scene.outcome, AUTH_ACCEPTED);
		ck_assert_str_eq(scene.host, "192.0.2.2");
	}
	check_requests(1, 3, 0);
	ck_assert_ptr_nonnull(strstr(webscene_logged(&scene), failures[_i].logged));
	ck_assert_uint_eq(webscene_count(&scene, "[error]"), 1);
	ck_assert_uint_eq(webscene_count(&scene, "auth http server host0 is put aside for 10000 ms\n"), 1);
}
END_TEST

START_TEST(a_server_that_cannot_be_reached_is_passed_over)
{
	webscene_add(&scene, NULL, 0);
	webscene_add(&scene, NULL, 0);
	webscene_add(&scene, STEPS(third));
	webscene_open(&scene);
	webscene_answer(&scene);
	ck_assert_int_eq(scene.outcome, AUTH_ACCEPTED);
	ck_assert_str_eq(scene.host, "192.0.2.3");
	ck_assert_uint_eq(webscene_count(&scene, "[error]"), 2);
	ck_assert_uint_eq(webscene_count(&scene, "connect() to auth http server unix:/nonexistent/auth failed (2: "),
	    2);
}
END_TEST

/* A status that says that the question was wrong would be the same anywhere, as would a header that is. */
static const struct scripted_step final[] = {
	{ .reply = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" },
	{ .reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" },
	{ .reply = "HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nContent-Length: 0\r\n\r\n" },
	{ .reply = "HTTP/1.1 200 OK\r\nAuth-Status: no\r\nContent-Length: 0\r\n\r\n" },
};

START_TEST(a_server_that_has_answered_is_the_last_asked)
{
	webscene_add(&scene, &final[_i], 1);
	webscene_add(&scene, STEPS(second));
	webscene_open(&scene);
	webscene_answer(&scene);
	check_requests(1, 0, 0);
	ck_assert_int_ne(scene.outcome, AUTH_ACCEPTED);
	webscene_answer(&scene);
	webscene_answer(&scene);
	check_requests(2, 1, 0);
	ck_assert_uint_eq(webscene_count(&scene, "aside"), 0);
}
END_TEST

START_TEST(a_dead_server_leaves_time_for_the_others)
{
	webscene_add(&scene, STEPS(silence));
	webscene_add(&scene, STEPS(silence));
	webscene_add(&scene, STEPS(third));
	webscene_open(&scene);
	webscene_ask(&scene);
	webscene_settle(&scene);
	check_requests(1, 0, 0);
	clock_skip_ms(WEB_TIMEOUT_MS / 3 + 20);
	webscene_settle(&scene);
	check_requests(1, 1, 0);
	clock_skip_ms(WEB_TIMEOUT_MS / 3 + 20);
	webscene_settle(&scene);
	check_requests(1, 1, 1);
	ck_assert_uint_eq(scene.answers, 1);
	ck_assert_int_eq(scene.outcome, AUTH_ACCEPTED);
	ck_assert_uint_eq(webscene_count(&scene, " timed out\n"), 2);
}
END_TEST

START_TEST(those_put_aside_are_left_no_time)
{
	webscene_add(&scene, STEPS(dying));
	webscene_add(&scene, STEPS(silence));
	webscene_open(&scene);
	webscene_ask(&scene);           /* puts the first aside; the second has all that is left */
	webscene_settle(&scene);
	check_requests(1, 1, 0);
	clock_skip_ms(WEB_TIMEOUT_MS - 100);
	webscene_settle(&scene);
	ck_assert_uint_eq(scene.answers, 0);
	clock_skip_ms(200);
	webscene_settle(&scene);
	ck_assert_uint_eq(scene.answers, 1);
	ck_assert_int_eq(scene.outcome, AUTH_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(scene.reason, " timed out"));
}
END_TEST

START_TEST(when_the_time_is_up_nobody_else_is_asked)
{
	webscene_add(&scene, STEPS(silence));
	webscene_add(&scene, STEPS(second));
	webscene_open(&scene);
	webscene_ask(&scene);
	webscene_settle(&scene);
	clock_skip_ms(WEB_TIMEOUT_MS + 20);     /* the whole process slept */
	webscene_settle(&scene);
	ck_assert_uint_eq(scene.answers, 1);
	ck_assert_int_eq(scene.outcome, AUTH_UNAVAILABLE);
	check_requests(1, 0, 0);
}
END_TEST

START_TEST(a_server_that_is_back_is_asked_again)
{
	static const struct scripted_step recovers[] = {
		{ .close = true }, { .close = true }, { .reply = YES("192.0.2.1") },
	};

	webscene_add(&scene, STEPS(recovers));
	webscene_add(&scene, STEPS(second));
	webscene_open(&scene);
	for (unsigned failed = 1; failed <= 2; failed++) {
		for (int i = 0; i < 4; i++)
			webscene_answer(&scene);
		ck_assert_uint_eq(scripted_requests(scene.servers[0]), failed);
		clock_skip_ms(WEB_FAIL_TIMEOUT_MS + 10);
		webscene_settle(&scene);
	}
	for (int i = 0; i < 6; i++)
		webscene_answer(&scene);
	ck_assert_uint_ge(scripted_requests(scene.servers[0]), 4);
	ck_assert_uint_eq(webscene_count(&scene, "auth http server host0 is put aside"), 1);
	ck_assert_uint_eq(webscene_count(&scene, "auth http server host0 is back\n"), 1);
}
END_TEST

START_TEST(a_backup_is_asked_when_nobody_else_is_left)
{
	webscene_add(&scene, STEPS(first));
	webscene_add(&scene, STEPS(dying));
	scene.webs[0].backup = true;
	webscene_add(&scene, STEPS(third));
	webscene_open(&scene);
	for (int i = 0; i < 4; i++)
		webscene_answer(&scene);
	check_requests(0, 1, 4);
	scripted_free(&scene.servers[2]);
	webscene_answer(&scene);
	ck_assert_int_eq(scene.outcome, AUTH_ACCEPTED);
	ck_assert_str_eq(scene.host, "192.0.2.1");
	webscene_answer(&scene);
	ck_assert_uint_eq(scripted_requests(scene.servers[0]), 2);
}
END_TEST

START_TEST(when_all_have_failed_all_are_tried_and_each_is_logged_once)
{
	for (int i = 0; i < WEB_SERVERS; i++)
		webscene_add(&scene, STEPS(dying));
	webscene_open(&scene);
	for (unsigned asked = 1; asked <= 3; asked++) {
		webscene_answer(&scene);
		ck_assert_int_eq(scene.outcome, AUTH_UNAVAILABLE);
		check_requests(asked, asked, asked);
		ck_assert_uint_eq(webscene_count(&scene, "[error]"), 3 * asked);
	}
	ck_assert_uint_eq(webscene_count(&scene, "is put aside"), 3);
}
END_TEST

START_TEST(a_lone_server_is_never_put_aside)
{
	webscene_add(&scene, STEPS(dying));
	webscene_open(&scene);
	for (unsigned asked = 1; asked <= 3; asked++) {
		webscene_answer(&scene);
		check_requests(asked, 0, 0);
	}
	ck_assert_uint_eq(webscene_count(&scene, "aside"), 0);
}
END_TEST

/* What the first server has begun to say never becomes part of what the second has said. */
START_TEST(headers_of_a_failed_answer_are_forgotten)
{
	static const struct scripted_step half[] = {
		{ .reply = "HTTP/1.1 200 OK\r\nAuth-User: boss\r\nAuth-Status: OK\r\nbroken\r\n\r\n" },
	};

	webscene_add(&scene, STEPS(half));
	webscene_add(&scene, STEPS(second));
	webscene_open(&scene);
	webscene_answer(&scene);
	ck_assert_int_eq(scene.outcome, AUTH_ACCEPTED);
	ck_assert_str_eq(scene.user, "");
}
END_TEST

START_TEST(after_wait_all_servers_are_there_again)
{
	static const struct scripted_step waits[] = { { .reply = WAIT }, { .close = true } };

	webscene_add(&scene, STEPS(waits));
	webscene_add(&scene, STEPS(second));
	scene.webs[1].backup = true;
	webscene_open(&scene);
	webscene_ask(&scene);
	webscene_settle(&scene);
	ck_assert_uint_eq(scene.answers, 0);
	clock_skip_ms(1100);
	webscene_settle(&scene);
	ck_assert_uint_eq(scene.answers, 1);
	check_requests(3, 1, 0);        /* once more by itself, since the kept connection may have died of age */
	ck_assert_int_eq(scene.outcome, AUTH_ACCEPTED);
}
END_TEST

START_TEST(who_has_gone_is_not_called_at_whatever_server_its_question_is)
{
	webscene_add(&scene, STEPS(dying));
	webscene_add(&scene, STEPS(dying));
	webscene_add(&scene, STEPS(silence));
	webscene_open(&scene);
	for (int turns = 0; turns < 12; turns++) {
		struct auth_request *request = webscene_ask(&scene);

		for (int i = 0; i < turns; i++)
			loop_turn(scene.loop, 0);
		auth_cancel(&request);
		ck_assert_ptr_null(request);
		webscene_settle(&scene);
	}
	ck_assert_uint_eq(scene.answers, 0);
	ck_assert_uint_eq(auth_idle_descriptors(scene.auth), 0);
}
END_TEST

START_TEST(no_secret_is_logged_when_a_server_is_passed_over)
{
	static const struct scripted_step leaks[] = {
		{ .reply = "hunter2\r\n\r\n" }, { .reply = "HTTP/1.1 500 hunter2\r\n\r\n" },
	};

	webscene_add(&scene, STEPS(leaks));
	webscene_add(&scene, STEPS(leaks));
	webscene_open(&scene);
	scene.credentials.pass = (char *)(uintptr_t)"hunter2";
	webscene_answer(&scene);
	webscene_answer(&scene);
	ck_assert_uint_eq(webscene_count(&scene, "[error]"), 4);
	ck_assert_uint_eq(webscene_count(&scene, "hunter2"), 0);
}
END_TEST

Suite *
web_suite(void)
{
	Suite *suite = suite_create("web");
	TCase *tcase = tcase_create("web");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, servers_take_turns_each_by_its_own_url);
	tcase_add_loop_test(tcase, a_server_that_fails_is_passed_over_and_then_left_alone, 0, UNIT_COUNT(failures));
	tcase_add_test(tcase, a_server_that_cannot_be_reached_is_passed_over);
	tcase_add_loop_test(tcase, a_server_that_has_answered_is_the_last_asked, 0, UNIT_COUNT(final));
	tcase_add_test(tcase, a_dead_server_leaves_time_for_the_others);
	tcase_add_test(tcase, those_put_aside_are_left_no_time);
	tcase_add_test(tcase, when_the_time_is_up_nobody_else_is_asked);
	tcase_add_test(tcase, a_server_that_is_back_is_asked_again);
	tcase_add_test(tcase, a_backup_is_asked_when_nobody_else_is_left);
	tcase_add_test(tcase, when_all_have_failed_all_are_tried_and_each_is_logged_once);
	tcase_add_test(tcase, a_lone_server_is_never_put_aside);
	tcase_add_test(tcase, headers_of_a_failed_answer_are_forgotten);
	tcase_add_test(tcase, after_wait_all_servers_are_there_again);
	tcase_add_test(tcase, who_has_gone_is_not_called_at_whatever_server_its_question_is);
	tcase_add_test(tcase, no_secret_is_logged_when_a_server_is_passed_over);
	suite_add_tcase(suite, tcase);
	return suite;
}
