#include "worker/net/http_client.h"

#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "test/unit/clock.h"
#include "test/unit/scripted.h"
#include "test/unit/tlsbox.h"
#include "test/unit/unit.h"
#include "worker/net/tlspeer.h"

#define LIMIT_MS 1000
#define EMPTY "HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nContent-Length: 0\r\n\r\n"
#define STEPS(steps) steps, UNIT_COUNT(steps)

static struct loop *loop;
static struct scripted *server;
static struct conf_name name;
static struct http_client *client;
static struct conf_tls server_tls, client_tls;
static const struct conf_tls *tls;      /* of the calls; NULL: http */
static struct http_keep keep;

/* One call and what became of it. */
struct asked {
	struct http_call call;
	struct buf request;
	unsigned ended;
	enum http_outcome outcome;
	unsigned status;
	char headers[256], reason[256], body[256];
	struct asked *then;     /* asked from within on_end */
};

static void
on_header(void *ctx, const char *field, const char *value)
{
	struct asked *asked = ctx;
	size_t len = strlen(asked->headers);

	snprintf(asked->headers + len, sizeof(asked->headers) - len, "%s=%s;", field, value);
}

static void
on_end(void *ctx, const struct http_result *result)
{
	struct asked *asked = ctx;

	asked->ended++;
	asked->outcome = result->outcome;
	asked->status = result->head->status;
	snprintf(asked->reason, sizeof(asked->reason), "%s", result->reason != NULL ? result->reason : "");
	if (result->outcome == HTTP_BODY_GARBLED)
		snprintf(asked->reason, sizeof(asked->reason), "%s", result->head->reason);
	if (result->body != NULL)
		snprintf(asked->body, sizeof(asked->body), "%.*s", (int)result->body->len, buf_head(result->body));
	ck_assert_ptr_null(asked->call.link);
	if (asked->then != NULL)
		http_client_start(client, &asked->then->call);
}

static void
prepare(struct asked *asked)
{
	*asked = (struct asked){ .ended = 0 };
	buf_init(&asked->request, 65536);
	buf_add_text(&asked->request, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	asked->call = (struct http_call){
		.request = &asked->request, .head_max = 1024, .limit_ms = LIMIT_MS, .tls = tls,
		.on_header = on_header, .on_end = on_end, .ctx = asked,
	};
}

static void
start(struct asked *asked)
{
	prepare(asked);
	http_client_start(client, &asked->call);
}

static void
finish(struct asked *asked)
{
	while (asked->ended == 0)
		loop_turn(loop, -1);
	buf_reset(&asked->request);
}

/* Lets everything happen that can happen by itself. */
static void
settle(void)
{
	for (int i = 0; i < 10; i++)
		loop_turn(loop, 0);
}

static enum http_outcome
ask(void)
{
	struct asked asked;

	start(&asked);
	finish(&asked);
	ck_assert_uint_eq(asked.ended, 1);
	return asked.outcome;
}

static void
serve(const struct scripted_step *steps, int count)
{
	server = scripted_new(loop, steps, (size_t)count);
	name = (struct conf_name){ .text = "x", .found = mem_alloc(sizeof(struct endpoint)), .found_count = 1 };
	endpoint_copy(name.found, scripted_at(server));
	client = http_client_new(&name, &keep, loop, NULL);
}

static void
setup(void)
{
	loop = loop_new(64);
	keep = (struct http_keep){ .connections = 32, .requests = 1000, .idle_ms = 60000 };
}

static void
teardown(void)
{
	http_client_free(&client);
	if (server != NULL)
		scripted_free(&server);
	loop_turn(loop, 0);
	mem_free(name.found);
	name.found = NULL;
	loop_free(&loop);
}

START_TEST(a_connection_is_kept_and_used_again)
{
	static const struct scripted_step steps[] = { { .reply = EMPTY } };

	serve(STEPS(steps));
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(ask(), HTTP_ANSWERED);
	ck_assert_uint_eq(scripted_requests(server), 5);
	ck_assert_uint_eq(scripted_connections(server), 1);
	ck_assert_uint_eq(http_client_idle(client), 1);
}
END_TEST

static const char cut_reply[] =
    "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";

START_TEST(an_answer_counts_however_it_is_cut)
{
	struct scripted_step step = { .reply = cut_reply, .cut = (size_t)_i };
	struct asked asked;

	serve(&step, 1);
	for (int i = 0; i < 2; i++) {
		start(&asked);
		finish(&asked);
		ck_assert_int_eq(asked.outcome, HTTP_ANSWERED);
		ck_assert_str_eq(asked.headers, "A=b;Transfer-Encoding=chunked;");
		settle();
	}
	ck_assert_uint_eq(scripted_connections(server), 1);
	ck_assert_uint_eq(http_client_idle(client), 1);
}
END_TEST

START_TEST(the_blank_line_is_enough)
{
	static const struct scripted_step steps[] = {
		{ .reply = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab" },
		{ .reply = "HTTP/1.1 200 OK\r\n\r\n" },
		{ .reply = "HTTP/1.0 200 OK\r\n\r\n" },
	};

	serve(STEPS(steps));
	for (int i = 0; i < UNIT_COUNT(steps); i++) {
		ck_assert_int_eq(ask(), HTTP_ANSWERED);
		/* The first, still without its body, is nobody's any more, but not yet to be used again. */
		ck_assert_uint_eq(http_client_idle(client), 1);
	}
	ck_assert_uint_eq(scripted_connections(server), 3);
	http_client_shed(client);
	ck_assert_uint_eq(http_client_idle(client), 0);
	settle();
	ck_assert_uint_eq(scripted_open(server), 0);
}
END_TEST

START_TEST(a_body_that_does_not_come_costs_the_connection)
{
	static const struct scripted_step steps[] = { { .reply = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab" } };

	serve(STEPS(steps));
	ck_assert_int_eq(ask(), HTTP_ANSWERED);
	settle();
	ck_assert_uint_eq(scripted_open(server), 1);
	clock_skip_ms(10000);
	settle();
	ck_assert_uint_eq(scripted_open(server), 0);
}
END_TEST

START_TEST(a_body_too_long_to_skip_costs_the_connection)
{
	static const struct scripted_step steps[] = { { .reply = "HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n" } };

	serve(STEPS(steps));
	ck_assert_int_eq(ask(), HTTP_ANSWERED);
	settle();
	ck_assert_uint_eq(scripted_open(server), 0);
}
END_TEST

/* Longer than one read, so that the body is there before anybody looks for it. */
START_TEST(a_long_answer_that_is_there_at_once_keeps_the_connection)
{
	struct scripted_step step = { .reply = mem_printf("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n%020000d",
	    0) };

	serve(&step, 1);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(ask(), HTTP_ANSWERED);
		settle();
	}
	ck_assert_uint_eq(scripted_connections(server), 1);
	mem_free((char *)(uintptr_t)step.reply);
}
END_TEST

START_TEST(a_server_that_closes_is_asked_on_a_new_connection)
{
	static const struct scripted_step steps[] = {
		{ .reply = "HTTP/1.0 200 OK\r\nA: b\r\n\r\nbody", .close = true },
	};

	serve(STEPS(steps));
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(ask(), HTTP_ANSWERED);
	ck_assert_uint_eq(scripted_connections(server), 3);
	settle();
	ck_assert_uint_eq(scripted_open(server), 0);
}
END_TEST

START_TEST(a_kept_connection_that_closes_is_dropped)
{
	static const struct scripted_step steps[] = { { .reply = EMPTY } };

	serve(STEPS(steps));
	ck_assert_int_eq(ask(), HTTP_ANSWERED);
	scripted_hang_up(server);
	settle();
	ck_assert_uint_eq(http_client_idle(client), 0);
	ck_assert_int_eq(ask(), HTTP_ANSWERED);
	ck_assert_uint_eq(scripted_connections(server), 2);
}
END_TEST

START_TEST(a_request_on_a_connection_that_had_died_is_sent_again)
{
	static const struct scripted_step steps[] = { { .reply = EMPTY } };

	serve(STEPS(steps));
	ck_assert_int_eq(ask(), HTTP_ANSWERED);
	scripted_hang_up(server);       /* which the client has had no turn to notice */
	ck_assert_int_eq(ask(), HTTP_ANSWERED);
	ck_assert_uint_eq(scripted_connections(server), 2);
	ck_assert_uint_eq(scripted_requests(server), 2);
}
END_TEST

START_TEST(a_request_is_sent_again_only_once)
{
	static const struct scripted_step steps[] = { { .reply = EMPTY }, { .close = true } };

	serve(STEPS(steps));
	ck_assert_int_eq(ask(), HTTP_ANSWERED);
	ck_assert_int_eq(ask(), HTTP_CLOSED);
	ck_assert_uint_eq(scripted_requests(server), 3);
}
END_TEST

START_TEST(a_request_whose_answer_had_begun_is_not_sent_again)
{
	static const struct scripted_step steps[] = { { .reply = EMPTY }, { .reply = "H", .close = true } };

	serve(STEPS(steps));
	ck_assert_int_eq(ask(), HTTP_ANSWERED);
	ck_assert_int_eq(ask(), HTTP_CLOSED);
	ck_assert_uint_eq(scripted_requests(server), 2);
}
END_TEST

START_TEST(what_is_said_unasked_never_answers_a_request)
{
	static const struct scripted_step steps[] = {
		{ .reply = EMPTY "HTTP/1.1 500 unasked\r\nContent-Length: 0\r\n\r\n" }, { .reply = EMPTY },
	};
	struct asked asked;

	serve(STEPS(steps));
	ck_assert_int_eq(ask(), HTTP_ANSWERED);
	ck_assert_uint_eq(http_client_idle(client), 0);
	ck_assert_int_eq(ask(), HTTP_ANSWERED);
	scripted_say(server, "HTTP/1.1 500 unasked\r\nContent-Length: 0\r\n\r\n");
	settle();
	ck_assert_uint_eq(http_client_idle(client), 0);
	start(&asked);
	finish(&asked);
	ck_assert_uint_eq(asked.status, 200);
	ck_assert_uint_eq(scripted_connections(server), 3);
}
END_TEST

START_TEST(rubbish_is_told_from_a_bad_header)
{
	static const struct scripted_step steps[] = {
		{ .reply = "220 mail.example.com ESMTP\r\n\r\n" }, { .reply = "HTTP/1.1 200 OK\r\nno header\r\n\r\n" },
	};
	struct asked asked;

	serve(STEPS(steps));
	start(&asked);
	finish(&asked);
	ck_assert_int_eq(asked.outcome, HTTP_GARBLED);
	ck_assert_uint_eq(asked.status, 0);
	start(&asked);
	finish(&asked);
	ck_assert_int_eq(asked.outcome, HTTP_GARBLED);
	ck_assert_uint_eq(asked.status, 200);
	ck_assert_uint_eq(http_client_idle(client), 0);
}
END_TEST

START_TEST(silence_ends_at_the_limit)
{
	static const struct scripted_step steps[] = { { .reply = NULL }, { .reply = "HTTP/1.1 200 OK\r\nA: " } };
	struct asked asked;

	serve(STEPS(steps));
	for (int i = 0; i < UNIT_COUNT(steps); i++) {
		start(&asked);
		settle();
		ck_assert_uint_eq(asked.ended, 0);
		clock_skip_ms(LIMIT_MS + 100);
		finish(&asked);
		ck_assert_int_eq(asked.outcome, HTTP_TIMED_OUT);
	}
	settle();
	ck_assert_uint_eq(scripted_open(server), 0);
}
END_TEST

START_TEST(a_kept_connection_is_closed_in_the_end)
{
	static const struct scripted_step steps[] = { { .reply = EMPTY } };

	serve(STEPS(steps));
	ck_assert_int_eq(ask(), HTTP_ANSWERED);
	clock_skip_ms(61000);
	settle();
	ck_assert_uint_eq(http_client_idle(client), 0);
	ck_assert_uint_eq(scripted_open(server), 0);
}
END_TEST

START_TEST(no_more_connections_are_kept_than_it_may)
{
	static const struct scripted_step steps[] = { { .reply = EMPTY } };
	static const unsigned most[] = { 0, 1, 32, 40 };
	struct asked asked[40];

	keep.connections = most[_i];
	serve(STEPS(steps));
	for (int i = 0; i < UNIT_COUNT(asked); i++)
		start(&asked[i]);
	for (int i = 0; i < UNIT_COUNT(asked); i++)
		finish(&asked[i]);
	ck_assert_uint_eq(scripted_connections(server), 40);
	ck_assert_uint_eq(http_client_idle(client), most[_i]);
	http_client_shed(client);
	ck_assert_uint_eq(http_client_idle(client), 0);
	settle();
	ck_assert_uint_eq(scripted_open(server), 0);
}
END_TEST

START_TEST(a_connection_serves_no_more_requests_than_it_may)
{
	static const struct scripted_step steps[] = { { .reply = EMPTY } };

	keep.requests = (unsigned)_i + 1;
	serve(STEPS(steps));
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(ask(), HTTP_ANSWERED);
	ck_assert_uint_eq(scripted_connections(server), 6 / keep.requests);
	settle();
	ck_assert_uint_eq(scripted_open(server), 0);
}
END_TEST

#define HEAD "HTTP/1.1 200 OK\r\n"

static const struct {
	struct scripted_step step;
	bool kept;
} bodies[] = {
	{ { .reply = HEAD "Content-Length: 5\r\n\r\nhello" }, true },
	{ { .reply = HEAD "Content-Length: 5\r\nConnection: close\r\n\r\nhello" }, false },
	{ { .reply = HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n" }, true },
	{ { .reply = HEAD "\r\nhello", .close = true }, false },
	{ { .reply = "HTTP/1.0 200 OK\r\n\r\nhello", .close = true }, false },
};

static void
ask_for_body(struct asked *asked, size_t max)
{
	prepare(asked);
	asked->call.body_max = max;
	http_client_start(client, &asked->call);
	finish(asked);
}

START_TEST(a_body_that_is_wanted_comes_with_the_answer)
{
	struct scripted_step step = bodies[_i].step;
	struct asked asked;

	serve(&step, 1);
	for (step.cut = 0; step.cut < strlen(step.reply); step.cut++) {
		ask_for_body(&asked, 5);
		ck_assert_int_eq(asked.outcome, HTTP_ANSWERED);
		ck_assert_str_eq(asked.body, "hello");
		ck_assert_uint_eq(http_client_idle(client), bodies[_i].kept);
	}
	ck_assert_uint_eq(scripted_connections(server), bodies[_i].kept ? 1 : step.cut);
}
END_TEST

START_TEST(a_body_that_is_cut_short_is_no_answer)
{
	const char *whole = bodies[_i].step.reply, *body = strstr(whole, "\r\n\r\n") + 4;
	struct scripted_step step = { .close = true };
	struct asked asked;
	char cut[256];

	if (bodies[_i].step.close)
		return;
	step.reply = cut;
	serve(&step, 1);
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
	{ HEAD "Content-Length: 6\r\n\r\n", "body too long" },
	{ HEAD "Content-Length: 9223372036854775807\r\n\r\n", "body too long" },
	{ HEAD "Transfer-Encoding: chunked\r\n\r\n6\r\n", "body too long" },
	{ HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n", "body too long" },
	{ HEAD "Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n", "body too long" },
	{ HEAD "\r\nhello!", "body too long" },
	{ HEAD "Transfer-Encoding: chunked\r\n\r\nhello\r\n", "bad chunk" },
	{ HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n", "bad chunk" },
};

START_TEST(a_body_that_is_not_as_it_should_be_is_no_answer)
{
	struct scripted_step step = { .reply = bad_bodies[_i].reply };
	struct asked asked;

	serve(&step, 1);
	ask_for_body(&asked, 5);
	ck_assert_int_eq(asked.outcome, HTTP_BODY_GARBLED);
	ck_assert_str_eq(asked.reason, bad_bodies[_i].reason);
	settle();
	ck_assert_uint_eq(scripted_open(server), 0);
}
END_TEST

START_TEST(nobody_waits_for_the_body_of_an_error)
{
	static const struct scripted_step steps[] = { { .reply = "HTTP/1.1 401 no\r\nContent-Length: 5\r\n\r\nhel" } };
	struct asked asked;

	serve(STEPS(steps));
	ask_for_body(&asked, 5);
	ck_assert_int_eq(asked.outcome, HTTP_ANSWERED);
	ck_assert_uint_eq(asked.status, 401);
	ck_assert_str_eq(asked.body, "");
}
END_TEST

START_TEST(a_body_that_is_wanted_counts_to_the_limit)
{
	static const struct scripted_step steps[] = { { .reply = HEAD "Content-Length: 5\r\n\r\nhel" } };
	struct asked asked;

	serve(STEPS(steps));
	prepare(&asked);
	asked.call.body_max = 5;
	http_client_start(client, &asked.call);
	settle();
	ck_assert_uint_eq(asked.ended, 0);
	clock_skip_ms(LIMIT_MS + 100);
	finish(&asked);
	ck_assert_int_eq(asked.outcome, HTTP_TIMED_OUT);
}
END_TEST

START_TEST(a_request_may_have_a_body)
{
	static const char post[] = "POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\ntoken=x";
	static const struct scripted_step steps[] = { { .reply = EMPTY } };
	struct asked asked;

	serve(STEPS(steps));
	for (int i = 0; i < 2; i++) {
		prepare(&asked);
		buf_take(&asked.request, asked.request.len);
		buf_add_text(&asked.request, post);
		http_client_start(client, &asked.call);
		finish(&asked);
		ck_assert_int_eq(asked.outcome, HTTP_ANSWERED);
		ck_assert_str_eq(scripted_request(server), post);
	}
	ck_assert_uint_eq(scripted_connections(server), 1);
}
END_TEST

/* Far earlier than its limit, whatever it waits for. */
START_TEST(all_of_a_call_ends_by_its_deadline)
{
	static const struct scripted_step steps[] = {
		{ .reply = NULL }, { .reply = "H" }, { .reply = HEAD "Content-Length: 5\r\n\r\n" },
	};
	struct asked asked;

	serve(&steps[_i], 1);
	prepare(&asked);
	asked.call.body_max = 5;
	asked.call.limit_ms = 1000 * LIMIT_MS;
	asked.call.deadline_ms = loop_now_ms(loop) + LIMIT_MS;
	http_client_start(client, &asked.call);
	settle();
	ck_assert_uint_eq(asked.ended, 0);
	clock_skip_ms(LIMIT_MS + 100);
	finish(&asked);
	ck_assert_int_eq(asked.outcome, HTTP_TIMED_OUT);
}
END_TEST

START_TEST(a_cancelled_call_is_never_heard_of)
{
	static const struct scripted_step steps[] = { { .reply = EMPTY } };
	struct asked asked;

	serve(STEPS(steps));
	for (int turns = 0; turns < 3; turns++) {
		start(&asked);
		for (int i = 0; i < turns; i++)
			loop_turn(loop, 0);
		if (asked.ended == 0) {
			http_client_cancel(&asked.call);
			settle();
			ck_assert_uint_eq(asked.ended, 0);
		}
		http_client_cancel(&asked.call);
		buf_reset(&asked.request);
		http_client_shed(client);
	}
	settle();
	ck_assert_uint_eq(scripted_open(server), 0);
}
END_TEST

START_TEST(the_asker_may_ask_again_on_the_same_connection_at_once)
{
	static const struct scripted_step steps[] = { { .reply = EMPTY } };
	struct asked first, second;

	serve(STEPS(steps));
	prepare(&second);
	prepare(&first);
	first.then = &second;
	http_client_start(client, &first.call);
	finish(&first);
	finish(&second);
	ck_assert_uint_eq(scripted_connections(server), 1);
}
END_TEST

/* A port that nobody listens on: it was free a moment ago. */
static struct endpoint
nowhere(void)
{
	struct scripted *gone = scripted_new(loop, NULL, 0);
	struct endpoint at = *scripted_at(gone);

	scripted_free(&gone);
	return at;
}

START_TEST(an_address_that_refuses_is_passed_over_and_remembered)
{
	static const struct scripted_step steps[] = { { .reply = EMPTY, .close = true } };

	serve(STEPS(steps));
	http_client_free(&client);
	name.found = mem_resize(name.found, 3 * sizeof(struct endpoint));
	name.found[2] = name.found[0];
	name.found[0] = nowhere();
	name.found[1] = (struct endpoint){ .addr.family = AF_UNIX, .path = (char *)(uintptr_t)"/nonexistent/socket" };
	name.found_count = 3;
	client = http_client_new(&name, &keep, loop, NULL);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(ask(), HTTP_ANSWERED);
	name.found[2] = name.found[1];
}
END_TEST

START_TEST(when_all_addresses_refuse_it_is_unreachable)
{
	static const struct scripted_step steps[] = { { .reply = EMPTY } };

	serve(STEPS(steps));
	http_client_free(&client);
	name.found[0] = nowhere();
	client = http_client_new(&name, &keep, loop, NULL);
	ck_assert_int_eq(ask(), HTTP_UNREACHABLE);
}
END_TEST

START_TEST(a_request_longer_than_the_socket_takes_is_sent_whole)
{
	static const struct scripted_step steps[] = { { .reply = EMPTY } };
	static char filling[1 << 19];
	struct asked asked;

	serve(STEPS(steps));
	memset(filling, 'x', sizeof(filling));
	prepare(&asked);
	buf_reset(&asked.request);
	buf_init(&asked.request, 1 << 20);
	buf_add_text(&asked.request, "GET / HTTP/1.1\r\nX: ");
	buf_add(&asked.request, filling, sizeof(filling));
	buf_add_text(&asked.request, "\r\n\r\n");
	http_client_start(client, &asked.call);
	while (asked.ended == 0)
		loop_turn(loop, -1);
	ck_assert_int_eq(asked.outcome, HTTP_ANSWERED);
	ck_assert_uint_eq(strlen(scripted_request(server)), asked.request.len);
	buf_reset(&asked.request);
}
END_TEST

/* The address that was found at the start leads nowhere by now; that of "localhost" does. */
START_TEST(a_name_is_looked_up_again)
{
	static const struct scripted_step steps[] = { { .reply = EMPTY } };
	struct resolver *resolver;
	const char *why;

	serve(STEPS(steps));
	http_client_free(&client);
	name.found[0].addr.ip[3] = 9;
	name.host = "localhost";
	name.port = name.found[0].addr.port;
	resolver = resolver_new(loop, &why);
	client = http_client_new(&name, &keep, loop, resolver);
	ck_assert_int_eq(ask(), HTTP_UNREACHABLE);
	settle();
	ck_assert_int_eq(ask(), HTTP_ANSWERED);
	http_client_free(&client);
	resolver_free(&resolver);
}
END_TEST

/* ---- https ---- */

static void
setup_tls(int version)
{
	setup();
	tlsbox_make(version);
	server_tls = tlsbox_server(SSL_VERIFY_OFF);
	client_tls = tlsbox_client(true, false);
	tls = &client_tls;
}

static void
setup_tls12(void)
{
	setup_tls(TLS1_2_VERSION);
}

static void
setup_tls13(void)
{
	setup_tls(TLS1_3_VERSION);
}

static void
teardown_tls(void)
{
	teardown();
	tlspeer_clear();
	tlsbox_free();
}

static void
serve_tls(const struct scripted_step *steps, int count)
{
	serve(steps, count);
	scripted_secure(server, &server_tls);
}

START_TEST(a_secure_connection_is_kept_and_used_again)
{
	static const struct scripted_step steps[] = { { .reply = EMPTY } };

	serve_tls(STEPS(steps));
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(ask(), HTTP_ANSWERED);
		settle();
	}
	ck_assert_uint_eq(scripted_requests(server), 5);
	ck_assert_uint_eq(scripted_connections(server), 1);
	ck_assert_uint_eq(http_client_idle(client), 1);
	ck_assert_str_eq(scripted_request(server), "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
}
END_TEST

START_TEST(a_secure_answer_counts_however_it_is_cut)
{
	struct scripted_step step = { .reply = cut_reply, .cut = (size_t)_i };

	serve_tls(&step, 1);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(ask(), HTTP_ANSWERED);
		settle();
	}
	ck_assert_uint_eq(scripted_connections(server), 1);
}
END_TEST

START_TEST(a_secure_connection_that_had_died_is_made_again)
{
	static const struct scripted_step steps[] = { { .reply = EMPTY } };

	serve_tls(STEPS(steps));
	ck_assert_int_eq(ask(), HTTP_ANSWERED);
	scripted_hang_up(server);
	ck_assert_int_eq(ask(), HTTP_ANSWERED);
	scripted_hang_up(server);
	settle();
	ck_assert_uint_eq(http_client_idle(client), 0);
	scripted_say(server, "x");
	ck_assert_int_eq(ask(), HTTP_ANSWERED);
	scripted_say(server, "unasked");
	settle();
	ck_assert_uint_eq(http_client_idle(client), 0);
	ck_assert_uint_eq(scripted_connections(server), 3);
}
END_TEST

START_TEST(a_server_that_nobody_vouches_for_gets_no_request)
{
	static const struct scripted_step steps[] = { { .reply = EMPTY } };
	struct asked asked;

	serve_tls(STEPS(steps));
	client_tls = tlsbox_client(false, false);
	start(&asked);
	finish(&asked);
	ck_assert_int_eq(asked.outcome, HTTP_INSECURE);
	ck_assert_ptr_nonnull(strstr(asked.reason, "certificate verify failed"));
	ck_assert_uint_eq(scripted_requests(server), 0);
}
END_TEST

START_TEST(a_server_without_tls_gets_no_request)
{
	static const struct scripted_step steps[] = { { .reply = EMPTY } };
	struct asked asked;

	serve_tls(STEPS(steps));
	scripted_secure(server, NULL);
	start(&asked);
	while (scripted_connections(server) == 0)
		loop_turn(loop, -1);
	scripted_say(server, EMPTY);
	finish(&asked);
	ck_assert_int_eq(asked.outcome, HTTP_INSECURE);
	ck_assert_uint_eq(scripted_requests(server), 0);
}
END_TEST

START_TEST(a_handshake_that_does_not_end_counts_to_the_limit)
{
	struct asked asked;

	serve_tls(NULL, 0);
	scripted_secure(server, NULL);
	start(&asked);
	while (scripted_connections(server) == 0)
		loop_turn(loop, -1);
	settle();
	ck_assert_uint_eq(asked.ended, 0);
	clock_skip_ms(LIMIT_MS + 100);
	finish(&asked);
	ck_assert_int_eq(asked.outcome, HTTP_TIMED_OUT);
}
END_TEST

static void
add_tls_tests(TCase *tcase)
{
	tcase_add_test(tcase, a_secure_connection_is_kept_and_used_again);
	tcase_add_loop_test(tcase, a_secure_answer_counts_however_it_is_cut, 1, sizeof(cut_reply) - 1);
	tcase_add_test(tcase, a_secure_connection_that_had_died_is_made_again);
	tcase_add_test(tcase, a_server_that_nobody_vouches_for_gets_no_request);
	tcase_add_test(tcase, a_server_without_tls_gets_no_request);
	tcase_add_test(tcase, a_handshake_that_does_not_end_counts_to_the_limit);
}

Suite *
http_client_suite(void)
{
	Suite *suite = suite_create("http_client");
	TCase *tcase = tcase_create("http_client"), *tls12 = tcase_create("https, TLS 1.2");
	TCase *tls13 = tcase_create("https, TLS 1.3");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_connection_is_kept_and_used_again);
	tcase_add_loop_test(tcase, an_answer_counts_however_it_is_cut, 1, sizeof(cut_reply) - 1);
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
	tcase_add_loop_test(tcase, a_body_that_is_wanted_comes_with_the_answer, 0, UNIT_COUNT(bodies));
	tcase_add_loop_test(tcase, a_body_that_is_cut_short_is_no_answer, 0, UNIT_COUNT(bodies));
	tcase_add_loop_test(tcase, a_body_that_is_not_as_it_should_be_is_no_answer, 0, UNIT_COUNT(bad_bodies));
	tcase_add_test(tcase, nobody_waits_for_the_body_of_an_error);
	tcase_add_test(tcase, a_body_that_is_wanted_counts_to_the_limit);
	tcase_add_test(tcase, a_request_may_have_a_body);
	tcase_add_loop_test(tcase, all_of_a_call_ends_by_its_deadline, 0, 3);
	tcase_add_test(tcase, a_cancelled_call_is_never_heard_of);
	tcase_add_test(tcase, the_asker_may_ask_again_on_the_same_connection_at_once);
	tcase_add_test(tcase, an_address_that_refuses_is_passed_over_and_remembered);
	tcase_add_test(tcase, when_all_addresses_refuse_it_is_unreachable);
	tcase_add_test(tcase, a_request_longer_than_the_socket_takes_is_sent_whole);
	tcase_add_test(tcase, a_name_is_looked_up_again);
	suite_add_tcase(suite, tcase);
	tcase_add_checked_fixture(tls12, setup_tls12, teardown_tls);
	tcase_add_checked_fixture(tls13, setup_tls13, teardown_tls);
	add_tls_tests(tls12);
	add_tls_tests(tls13);
	suite_add_tcase(suite, tls12);
	suite_add_tcase(suite, tls13);
	return suite;
}
