#include <stdio.h>
#include <string.h>

#include "test/unit/clock.h"
#include "test/unit/httpscene.h"
#include "test/unit/unit.h"

static const struct {
	struct scripted_step step;
	bool kept;
} bodies[] = {
	{ { .reply = HTTPSCENE_HEAD "Content-Length: 5\r\n\r\nhello" }, true },
	{ { .reply = HTTPSCENE_HEAD "Content-Length: 5\r\nConnection: close\r\n\r\nhello" }, false },
	{ { .reply = HTTPSCENE_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n" }, true },
	{ { .reply = HTTPSCENE_HEAD "\r\nhello", .close = true }, false },
	{ { .reply = "HTTP/1.0 200 OK\r\n\r\nhello", .close = true }, false },
};

static void
ask_for_body(struct http_asked *asked, size_t max)
{
	httpscene_prepare(asked);
	asked->call.body_max = max;
	http_client_start(scene.client, &asked->call);
	httpscene_finish(asked);
}

START_TEST(a_body_that_is_wanted_comes_with_the_answer)
{
	struct scripted_step step = bodies[_i].step;
	struct http_asked asked;

	httpscene_serve(&step, 1);
	for (step.cut = 0; step.cut < strlen(step.reply); step.cut++) {
		ask_for_body(&asked, 5);
		ck_assert_int_eq(asked.outcome, HTTP_ANSWERED);
		ck_assert_str_eq(asked.body, "hello");
		ck_assert_uint_eq(http_client_idle(scene.client), bodies[_i].kept);
	}
	ck_assert_uint_eq(scripted_connections(scene.server), bodies[_i].kept ? 1 : step.cut);
}
END_TEST

START_TEST(a_body_that_is_cut_short_is_no_answer)
{
	const char *whole = bodies[_i].step.reply, *body = strstr(whole, "\r\n\r\n") + 4;
	struct scripted_step step = { .close = true };
	struct http_asked asked;
	char cut[256];

	if (bodies[_i].step.close)
		return;
	step.reply = cut;
	httpscene_serve(&step, 1);
	for (const char *end = body; *end != '\0'; end++) {
		snprintf(cut, sizeof(cut), "%.*s", (int)(end - whole), whole);
		ask_for_body(&asked, 5);
		ck_assert_int_eq(asked.outcome, HTTP_CLOSED);
	}
}
END_TEST

static const struct {
	const char *reply, *reason;
} bad_bodies[] = {
	{ HTTPSCENE_HEAD "Content-Length: 6\r\n\r\n", "body too long" },
	{ HTTPSCENE_HEAD "Content-Length: 9223372036854775807\r\n\r\n", "body too long" },
	{ HTTPSCENE_HEAD "Transfer-Encoding: chunked\r\n\r\n6\r\n", "body too long" },
	{ HTTPSCENE_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n", "body too long" },
	{ HTTPSCENE_HEAD "Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n", "body too long" },
	{ HTTPSCENE_HEAD "\r\nhello!", "body too long" },
	{ HTTPSCENE_HEAD "Transfer-Encoding: chunked\r\n\r\nhello\r\n", "bad chunk" },
	{ HTTPSCENE_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n", "bad chunk" },
};

START_TEST(a_body_that_is_not_as_it_should_be_is_no_answer)
{
	struct scripted_step step = { .reply = bad_bodies[_i].reply };
	struct http_asked asked;

	httpscene_serve(&step, 1);
	ask_for_body(&asked, 5);
	ck_assert_int_eq(asked.outcome, HTTP_BODY_GARBLED);
	ck_assert_str_eq(asked.reason, bad_bodies[_i].reason);
	httpscene_settle();
	ck_assert_uint_eq(scripted_open(scene.server), 0);
}
END_TEST

START_TEST(nobody_waits_for_the_body_of_an_error)
{
	static const struct scripted_step steps[] = { { .reply = "HTTP/1.1 401 no\r\nContent-Length: 5\r\n\r\nhel" } };
	struct http_asked asked;

	httpscene_serve(HTTPSCENE_STEPS(steps));
	ask_for_body(&asked, 5);
	ck_assert_int_eq(asked.outcome, HTTP_ANSWERED);
	ck_assert_uint_eq(asked.status, 401);
	ck_assert_str_eq(asked.body, "");
}
END_TEST

START_TEST(a_body_that_is_wanted_counts_to_the_limit)
{
	static const struct scripted_step steps[] = { { .reply = HTTPSCENE_HEAD "Content-Length: 5\r\n\r\nhel" } };
	struct http_asked asked;

	httpscene_serve(HTTPSCENE_STEPS(steps));
	httpscene_prepare(&asked);
	asked.call.body_max = 5;
	http_client_start(scene.client, &asked.call);
	httpscene_settle();
	ck_assert_uint_eq(asked.ended, 0);
	clock_skip_ms(HTTPSCENE_LIMIT_MS + 100);
	httpscene_finish(&asked);
	ck_assert_int_eq(asked.outcome, HTTP_TIMED_OUT);
}
END_TEST

START_TEST(a_request_may_have_a_body)
{
	static const char post[] = "POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\ntoken=x";
	static const struct scripted_step steps[] = { { .reply = HTTPSCENE_EMPTY } };
	struct http_asked asked;

	httpscene_serve(HTTPSCENE_STEPS(steps));
	for (int i = 0; i < 2; i++) {
		httpscene_prepare(&asked);
		buf_take(&asked.request, asked.request.len);
		buf_add_text(&asked.request, post);
		http_client_start(scene.client, &asked.call);
		httpscene_finish(&asked);
		ck_assert_int_eq(asked.outcome, HTTP_ANSWERED);
		ck_assert_str_eq(scripted_request(scene.server), post);
	}
	ck_assert_uint_eq(scripted_connections(scene.server), 1);
}
END_TEST

Suite *
http_body_suite(void)
{
	Suite *suite = suite_create("http_body");
	TCase *tcase = tcase_create("http_body");

	tcase_add_checked_fixture(tcase, httpscene_open, httpscene_close);
	tcase_add_loop_test(tcase, a_body_that_is_wanted_comes_with_the_answer, 0, UNIT_COUNT(bodies));
	tcase_add_loop_test(tcase, a_body_that_is_cut_short_is_no_answer, 0, UNIT_COUNT(bodies));
	tcase_add_loop_test(tcase, a_body_that_is_not_as_it_should_be_is_no_answer, 0, UNIT_COUNT(bad_bodies));
	tcase_add_test(tcase, nobody_waits_for_the_body_of_an_error);
	tcase_add_test(tcase, a_body_that_is_wanted_counts_to_the_limit);
	tcase_add_test(tcase, a_request_may_have_a_body);
	suite_add_tcase(suite, tcase);
	return suite;
}
