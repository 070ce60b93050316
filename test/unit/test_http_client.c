#include "worker/net/http_client.h"

#include <string.h>

#include "common/mem.h"
#include "test/unit/clock.h"
#include "test/unit/httpscene.h"
#include "test/unit/unit.h"

START_TEST(a_connection_is_kept_and_used_again)
{
	static const struct scripted_step steps[] = { { .reply = HTTPSCENE_EMPTY } };

	httpscene_serve(HTTPSCENE_STEPS(steps));
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(httpscene_ask(), HTTP_ANSWERED);
	ck_assert_uint_eq(scripted_requests(scene.server), 5);
	ck_assert_uint_eq(scripted_connections(scene.server), 1);
	ck_assert_uint_eq(http_client_idle(scene.client), 1);
}
END_TEST

START_TEST(an_answer_counts_however_it_is_cut)
{
	struct scripted_step step = { .reply = HTTPSCENE_WHOLE, .cut = (size_t)_i };
	struct http_asked asked;

	httpscene_serve(&step, 1);
	for (int i = 0; i < 2; i++) {
		httpscene_start(&asked);
		httpscene_finish(&asked);
		ck_assert_int_eq(asked.outcome, HTTP_ANSWERED);
		ck_assert_str_eq(asked.headers, "A=b;Transfer-Encoding=chunked;");
		httpscene_settle();
	}
	ck_assert_uint_eq(scripted_connections(scene.server), 1);
	ck_assert_uint_eq(http_client_idle(scene.client), 1);
}
END_TEST

START_TEST(the_blank_line_is_enough)
{
	static const struct scripted_step steps[] = {
		{ .reply = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab" },
		{ .reply = "HTTP/1.1 200 OK\r\n\r\n" },
		{ .reply = "HTTP/1.0 200 OK\r\n\r\n" },
	};

	httpscene_serve(HTTPSCENE_STEPS(steps));
	for (int i = 0; i < UNIT_COUNT(steps); i++) {
		ck_assert_int_eq(httpscene_ask(), HTTP_ANSWERED);
		/* The first, still without its body, is nobody's any more, but not yet to be used again. */
		ck_assert_uint_eq(http_client_idle(scene.client), 1);
	}
	ck_assert_uint_eq(scripted_connections(scene.server), 3);
	http_client_shed(scene.client);
	ck_assert_uint_eq(http_client_idle(scene.client), 0);
	httpscene_settle();
	ck_assert_uint_eq(scripted_open(scene.server), 0);
}
END_TEST

START_TEST(a_body_that_does_not_come_costs_the_connection)
{
	static const struct scripted_step steps[] = { { .reply = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab" } };

	httpscene_serve(HTTPSCENE_STEPS(steps));
	ck_assert_int_eq(httpscene_ask(), HTTP_ANSWERED);
	httpscene_settle();
	ck_assert_uint_eq(scripted_open(scene.server), 1);
	clock_skip_ms(10000);
	httpscene_settle();
	ck_assert_uint_eq(scripted_open(scene.server), 0);
}
END_TEST

START_TEST(a_body_too_long_to_skip_costs_the_connection)
{
	static const struct scripted_step steps[] = { { .reply = "HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n" } };

	httpscene_serve(HTTPSCENE_STEPS(steps));
	ck_assert_int_eq(httpscene_ask(), HTTP_ANSWERED);
	httpscene_settle();
	ck_assert_uint_eq(scripted_open(scene.server), 0);
}
END_TEST

/* Longer than one read, so that the body is there before anybody looks for it. */
START_TEST(a_long_answer_that_is_there_at_once_keeps_the_connection)
{
	struct scripted_step step = { .reply = mem_printf("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n%020000d",
	    0) };

	httpscene_serve(&step, 1);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(httpscene_ask(), HTTP_ANSWERED);
		httpscene_settle();
	}
	ck_assert_uint_eq(scripted_connections(scene.server), 1);
	mem_free((char *)(uintptr_t)step.reply);
}
END_TEST

START_TEST(a_server_that_closes_is_asked_on_a_new_connection)
{
	static const struct scripted_step steps[] = {
		{ .reply = "HTTP/1.0 200 OK\r\nA: b\r\n\r\nbody", .close = true },
	};

	httpscene_serve(HTTPSCENE_STEPS(steps));
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(httpscene_ask(), HTTP_ANSWERED);
	ck_assert_uint_eq(scripted_connections(scene.server), 3);
	httpscene_settle();
	ck_assert_uint_eq(scripted_open(scene.server), 0);
}
END_TEST

START_TEST(a_kept_connection_that_closes_is_dropped)
{
	static const struct scripted_step steps[] = { { .reply = HTTPSCENE_EMPTY } };

	httpscene_serve(HTTPSCENE_STEPS(steps));
	ck_assert_int_eq(httpscene_ask(), HTTP_ANSWERED);
	scripted_hang_up(scene.server);
	httpscene_settle();
	ck_assert_uint_eq(http_client_idle(scene.client), 0);
	ck_assert_int_eq(httpscene_ask(), HTTP_ANSWERED);
	ck_assert_uint_eq(scripted_connections(scene.server), 2);
}
END_TEST

START_TEST(a_request_on_a_connection_that_had_died_is_sent_again)
{
	static const struct scripted_step steps[] = { { .reply = HTTPSCENE_EMPTY } };

	httpscene_serve(HTTPSCENE_STEPS(steps));
	ck_assert_int_eq(httpscene_ask(), HTTP_ANSWERED);
	scripted_hang_up(scene.server);       /* which the client has had no turn to notice */
	ck_assert_int_eq(httpscene_ask(), HTTP_ANSWERED);
	ck_assert_uint_eq(scripted_connections(scene.server), 2);
	ck_assert_uint_eq(scripted_requests(scene.server), 2);
}
END_TEST

START_TEST(a_request_is_sent_again_only_once)
{
	static const struct scripted_step steps[] = { { .reply = HTTPSCENE_EMPTY }, { .close = true } };

	httpscene_serve(HTTPSCENE_STEPS(steps));
	ck_assert_int_eq(httpscene_ask(), HTTP_ANSWERED);
	ck_assert_int_eq(httpscene_ask(), HTTP_CLOSED);
	ck_assert_uint_eq(scripted_requests(scene.server), 3);
}
END_TEST

START_TEST(a_request_whose_answer_had_begun_is_not_sent_again)
{
	static const struct scripted_step steps[] = { { .reply = HTTPSCENE_EMPTY }, { .reply = "H", .close = true } };

	httpscene_serve(HTTPSCENE_STEPS(steps));
	ck_assert_int_eq(httpscene_ask(), HTTP_ANSWERED);
	ck_assert_int_eq(httpscene_ask(), HTTP_CLOSED);
	ck_assert_uint_eq(scripted_requests(scene.server), 2);
}
END_TEST

START_TEST(what_is_said_unasked_never_answers_a_request)
{
	static const struct scripted_step steps[] = {
		{ .reply = HTTPSCENE_EMPTY "HTTP/1.1 500 unasked\r\nContent-Length: 0\r\n\r\n" },
		{ .reply = HTTPSCENE_EMPTY },
	};
	struct http_asked asked;

	httpscene_serve(HTTPSCENE_STEPS(steps));
	ck_assert_int_eq(httpscene_ask(), HTTP_ANSWERED);
	ck_assert_uint_eq(http_client_idle(scene.client), 0);
	ck_assert_int_eq(httpscene_ask(), HTTP_ANSWERED);
	scripted_say(scene.server, "HTTP/1.1 500 unasked\r\nContent-Length: 0\r\n\r\n");
	httpscene_settle();
	ck_assert_uint_eq(http_client_idle(scene.client), 0);
	httpscene_start(&asked);
	httpscene_finish(&asked);
	ck_assert_uint_eq(asked.status, 200);
	ck_assert_uint_eq(scripted_connections(scene.server), 3);
}
END_TEST

START_TEST(rubbish_is_told_from_a_bad_header)
{
	static const struct scripted_step steps[] = {
		{ .reply = "220 mail.example.com ESMTP\r\n\r\n" }, { .reply = "HTTP/1.1 200 OK\r\nno header\r\n\r\n" },
	};
	struct http_asked asked;

	httpscene_serve(HTTPSCENE_STEPS(steps));
	httpscene_start(&asked);
	httpscene_finish(&asked);
	ck_assert_int_eq(asked.outcome, HTTP_GARBLED);
	ck_assert_uint_eq(asked.status, 0);
	httpscene_start(&asked);
	httpscene_finish(&asked);
	ck_assert_int_eq(asked.outcome, HTTP_GARBLED);
	ck_assert_uint_eq(asked.status, 200);
	ck_assert_uint_eq(http_client_idle(scene.client), 0);
}
END_TEST

START_TEST(silence_ends_at_the_limit)
{
	static const struct scripted_step steps[] = { { .reply = NULL }, { .reply = "HTTP/1.1 200 OK\r\nA: " } };
	struct http_asked asked;

	httpscene_serve(HTTPSCENE_STEPS(steps));
	for (int i = 0; i < UNIT_COUNT(steps); i++) {
		httpscene_start(&asked);
		httpscene_settle();
		ck_assert_uint_eq(asked.ended, 0);
		clock_skip_ms(HTTPSCENE_LIMIT_MS + 100);
		httpscene_finish(&asked);
		ck_assert_int_eq(asked.outcome, HTTP_TIMED_OUT);
	}
	httpscene_settle();
	ck_assert_uint_eq(scripted_open(scene.server), 0);
}
END_TEST

START_TEST(a_kept_connection_is_closed_in_the_end)
{
	static const struct scripted_step steps[] = { { .reply = HTTPSCENE_EMPTY } };

	httpscene_serve(HTTPSCENE_STEPS(steps));
	ck_assert_int_eq(httpscene_ask(), HTTP_ANSWERED);
	clock_skip_ms(61000);
	httpscene_settle();
	ck_assert_uint_eq(http_client_idle(scene.client), 0);
	ck_assert_uint_eq(scripted_open(scene.server), 0);
}
END_TEST

START_TEST(no_more_connections_are_kept_than_it_may)
{
	static const struct scripted_step steps[] = { { .reply = HTTPSCENE_EMPTY } };
	static const unsigned most[] = { 0, 1, 32, 40 };
	struct http_asked asked[40];

	scene.keep.connections = most[_i];
	httpscene_serve(HTTPSCENE_STEPS(steps));
	for (int i = 0; i < UNIT_COUNT(asked); i++)
		httpscene_start(&asked[i]);
	for (int i = 0; i < UNIT_COUNT(asked); i++)
		httpscene_finish(&asked[i]);
	ck_assert_uint_eq(scripted_connections(scene.server), 40);
	ck_assert_uint_eq(http_client_idle(scene.client), most[_i]);
	http_client_shed(scene.client);
	ck_assert_uint_eq(http_client_idle(scene.client), 0);
	httpscene_settle();
	ck_assert_uint_eq(scripted_open(scene.server), 0);
}
END_TEST

START_TEST(a_connection_serves_no_more_requests_than_it_may)
{
	static const struct scripted_step steps[] = { { .reply = HTTPSCENE_EMPTY } };

	scene.keep.requests = (unsigned)_i + 1;
	httpscene_serve(HTTPSCENE_STEPS(steps));
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(httpscene_ask(), HTTP_ANSWERED);
	ck_assert_uint_eq(scripted_connections(scene.server), 6 / scene.keep.requests);
	httpscene_settle();
	ck_assert_uint_eq(scripted_open(scene.server), 0);
}
END_TEST

/* Far earlier than its limit, whatever it waits for. */
START_TEST(all_of_a_call_ends_by_its_deadline)
{
	static const struct scripted_step steps[] = {
		{ .reply = NULL }, { .reply = "H" }, { .reply = HTTPSCENE_HEAD "Content-Length: 5\r\n\r\n" },
	};
	struct http_asked asked;

	httpscene_serve(&steps[_i], 1);
	httpscene_prepare(&asked);
	asked.call.body_max = 5;
	asked.call.limit_ms = 1000 * HTTPSCENE_LIMIT_MS;
	asked.call.deadline_ms = loop_now_ms(scene.loop) + HTTPSCENE_LIMIT_MS;
	http_client_start(scene.client, &asked.call);
	httpscene_settle();
	ck_assert_uint_eq(asked.ended, 0);
	clock_skip_ms(HTTPSCENE_LIMIT_MS + 100);
	httpscene_finish(&asked);
	ck_assert_int_eq(asked.outcome, HTTP_TIMED_OUT);
}
END_TEST

START_TEST(a_cancelled_call_is_never_heard_of)
{
	static const struct scripted_step steps[] = { { .reply = HTTPSCENE_EMPTY } };
	struct http_asked asked;

	httpscene_serve(HTTPSCENE_STEPS(steps));
	for (int turns = 0; turns < 3; turns++) {
		httpscene_start(&asked);
		for (int i = 0; i < turns; i++)
			loop_turn(scene.loop, 0);
		if (asked.ended == 0) {
			http_client_cancel(&asked.call);
			httpscene_settle();
			ck_assert_uint_eq(asked.ended, 0);
		}
		http_client_cancel(&asked.call);
		buf_reset(&asked.request);
		http_client_shed(scene.client);
	}
	httpscene_settle();
	ck_assert_uint_eq(scripted_open(scene.server), 0);
}
END_TEST

START_TEST(the_asker_may_ask_again_on_the_same_connection_at_once)
{
	static const struct scripted_step steps[] = { { .reply = HTTPSCENE_EMPTY } };
	struct http_asked first, second;

	httpscene_serve(HTTPSCENE_STEPS(steps));
	httpscene_prepare(&second);
	httpscene_prepare(&first);
	first.then = &second;
	http_client_start(scene.client, &first.call);
	httpscene_finish(&first);
	httpscene_finish(&second);
	ck_assert_uint_eq(scripted_connections(scene.server), 1);
}
END_TEST

/* A port that nobody listens on: it was free a moment ago. */
static struct endpoint
nowhere(void)
{
	struct scripted *gone = scripted_new(scene.loop, NULL, 0);
	struct endpoint at = *scripted_at(gone);

	scripted_free(&gone);
	return at;
}

START_TEST(an_address_that_refuses_is_passed_over_and_remembered)
{
	static const struct scripted_step steps[] = { { .reply = HTTPSCENE_EMPTY, .close = true } };

	httpscene_serve(HTTPSCENE_STEPS(steps));
	http_client_free(&scene.client);
	scene.name.found = mem_resize(scene.name.found, 3 * sizeof(struct endpoint));
	scene.name.found[2] = scene.name.found[0];
	scene.name.found[0] = nowhere();
	scene.name.found[1] = (struct endpoint){
		.addr.family = AF_UNIX, .path = (char *)(uintptr_t)"/nonexistent/socket",
	};
	scene.name.found_count = 3;
	scene.client = http_client_new(&scene.name, &scene.keep, scene.loop, NULL);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(httpscene_ask(), HTTP_ANSWERED);
	scene.name.found[2] = scene.name.found[1];
}
END_TEST

START_TEST(when_all_addresses_refuse_it_is_unreachable)
{
	static const struct scripted_step steps[] = { { .reply = HTTPSCENE_EMPTY } };

	httpscene_serve(HTTPSCENE_STEPS(steps));
	http_client_free(&scene.client);
	scene.name.found[0] = nowhere();
	scene.client = http_client_new(&scene.name, &scene.keep, scene.loop, NULL);
	ck_assert_int_eq(httpscene_ask(), HTTP_UNREACHABLE);
}
END_TEST

START_TEST(a_request_longer_than_the_socket_takes_is_sent_whole)
{
	static const struct scripted_step steps[] = { { .reply = HTTPSCENE_EMPTY } };
	static char filling[1 << 19];
	struct http_asked asked;

	httpscene_serve(HTTPSCENE_STEPS(steps));
	memset(filling, 'x', sizeof(filling));
	httpscene_prepare(&asked);
	buf_reset(&asked.request);
	buf_init(&asked.request, 1 << 20);
	buf_add_text(&asked.request, "GET / HTTP/1.1\r\nX: ");
	buf_add(&asked.request, filling, sizeof(filling));
	buf_add_text(&asked.request, "\r\n\r\n");
	http_client_start(scene.client, &asked.call);
	while (asked.ended == 0)
		loop_turn(scene.loop, -1);
	ck_assert_int_eq(asked.outcome, HTTP_ANSWERED);
	ck_assert_uint_eq(strlen(scripted_request(scene.server)), asked.request.len);
	buf_reset(&asked.request);
}
END_TEST

/* The address that was found at the start leads nowhere by now; that of "localhost" does. */
START_TEST(a_name_is_looked_up_again)
{
	static const struct scripted_step steps[] = { { .reply = HTTPSCENE_EMPTY } };
	struct resolver *resolver;
	const char *why;

	httpscene_serve(HTTPSCENE_STEPS(steps));
	http_client_free(&scene.client);
	scene.name.found[0].addr.ip[3] = 9;
	scene.name.host = "localhost";
	scene.name.port = scene.name.found[0].addr.port;
	resolver = resolver_new(scene.loop, &why);
	scene.client = http_client_new(&scene.name, &scene.keep, scene.loop, resolver);
	ck_assert_int_eq(httpscene_ask(), HTTP_UNREACHABLE);
	httpscene_settle();
	ck_assert_int_eq(httpscene_ask(), HTTP_ANSWERED);
	http_client_free(&scene.client);
	resolver_free(&resolver);
}
END_TEST

Suite *
http_client_suite(void)
{
	Suite *suite = suite_create("http_client");
	TCase *tcase = tcase_create("http_client");

	tcase_add_checked_fixture(tcase, httpscene_open, httpscene_close);
	tcase_add_test(tcase, a_connection_is_kept_and_used_again);
	tcase_add_loop_test(tcase, an_answer_counts_however_it_is_cut, 1, HTTPSCENE_CUTS);
	tcase_add_test(tcase, the_blank_line_is_enough);
	tcase_add_test(tcase, a_body_that_does_not_come_costs_the_connection);
	tcase_add_test(tcase, a_body_too_long_to_skip_costs_the_connection);
	tcase_add_test(tcase, a_long_answer_that_is_there_at_once_keeps_the_connection);
	tcase_add_test(tcase, a_server_that_closes_is_asked_on_a_new_connection);
	tcase_add_test(tcase, a_kept_connection_that_closes_is_dropped);
	tcase_add_test(tcase, a_request_on_a_connection_that_had_died_is_sent_again);
	tcase_add_test(tcase, a_request_is_sent_again_only_once);
	tcase_add_test(tcase, a_request_whose_answer_had_begun_is_not_sent_again);
	tcase_add_test(tcase, what_is_said_unasked_never_answers_a_request);
	tcase_add_test(tcase, rubbish_is_told_from_a_bad_header);
	tcase_add_test(tcase, silence_ends_at_the_limit);
	tcase_add_test(tcase, a_kept_connection_is_closed_in_the_end);
	tcase_add_loop_test(tcase, no_more_connections_are_kept_than_it_may, 0, 4);
	tcase_add_loop_test(tcase, a_connection_serves_no_more_requests_than_it_may, 0, 2);
	tcase_add_loop_test(tcase, all_of_a_call_ends_by_its_deadline, 0, 3);
	tcase_add_test(tcase, a_cancelled_call_is_never_heard_of);
	tcase_add_test(tcase, the_asker_may_ask_again_on_the_same_connection_at_once);
	tcase_add_test(tcase, an_address_that_refuses_is_passed_over_and_remembered);
	tcase_add_test(tcase, when_all_addresses_refuse_it_is_unreachable);
	tcase_add_test(tcase, a_request_longer_than_the_socket_takes_is_sent_whole);
	tcase_add_test(tcase, a_name_is_looked_up_again);
	suite_add_tcase(suite, tcase);
	return suite;
}
