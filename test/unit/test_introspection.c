#include "worker/auth/introspection_answer.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/mem.h"
#include "test/unit/clock.h"
#include "test/unit/unit.h"
#include "test/unit/webscene.h"
#include "worker/auth/auth_source.h"

#define NOW 1000000             /* seconds */
#define STEPS(steps) steps, UNIT_COUNT(steps)

static const char *audiences[] = { "imap", "smtp", NULL };
static const char *scopes[] = { "mail", NULL };
static const struct conf_token plain = { .claim = "username", .leeway = 60000 };
static const struct conf_token strict = {
	.claim = "username", .leeway = 60000, .issuer = "https://id.example", .audiences = audiences, .scopes = scopes,
};

#define FITS "\"iss\":\"https://id.example\",\"aud\":[\"imap\"],\"scope\":\"a mail b\",\"username\":\"joe\""

static const struct {
	const struct conf_token *want;
	const char *user;       /* as the client claims */
	const char *body, *outcome;
} answers[] = {
	{ &plain, "joe", "{\"active\":true,\"username\":\"joe\"}", "joe for 0" },
	{ &plain, "", " {\"active\" : true, \"username\":\"joe\"}\r\n", "joe for 0" },
	{ &plain, NULL, "{\"active\":true,\"username\":\"joe\",\"exp\":1000010}", "joe for 70000" },
	{ &plain, "joe@Example.ORG", "{\"active\":true,\"username\":\"joe@example.org\"}", "joe@example.org for 0" },
	{ &plain, "joe", "{\"active\":true,\"username\":\"joe\",\"exp\":999940.5}", "joe for 500" },
	{ &strict, "joe", "{\"active\":true," FITS "}", "joe for 0" },
	{ &strict, "joe", "{\"active\":true," FITS ",\"exp\":1e300}", "joe for 1000000000000000" },

	{ &plain, "joe", "{\"active\":false}", "no: the token is not active" },
	{ &strict, "joe", "{\"active\":false," FITS "}", "no: the token is not active" },
	{ &plain, "jim", "{\"active\":true,\"username\":\"joe\"}", "no: the token is another user's" },
	{ &plain, "Joe", "{\"active\":true,\"username\":\"joe\"}", "no: the token is another user's" },
	{ &plain, "joe", "{\"active\":true}", "no: the token names no user" },
	{ &plain, "joe", "{\"active\":true,\"username\":\"joe\",\"exp\":999939}", "no: the token has expired" },
	{ &plain, "joe", "{\"active\":true,\"username\":\"joe\",\"exp\":-1e300}", "no: the token has expired" },
	{ &plain, "joe", "{\"active\":true,\"username\":\"joe\",\"nbf\":1000061}", "no: the token is not valid yet" },
	{ &strict, "joe", "{\"active\":true,\"username\":\"joe\"}", "no: the token is of another issuer" },
	{ &strict, "joe", "{\"active\":true," FITS ",\"x\":{\"active\":false}}", "joe for 0" },

	{ &plain, "joe", "", "bad" },
	{ &plain, "joe", "true", "bad" },
	{ &plain, "joe", "[{\"active\":true,\"username\":\"joe\"}]", "bad" },
	{ &plain, "joe", "{\"active\":true,\"username\":\"joe\"", "bad" },
	{ &plain, "joe", "{\"active\":true,\"username\":\"joe\"}x", "bad" },
	{ &plain, "joe", "{\"active\":true,\"username\":\"joe\"}{}", "bad" },
	{ &plain, "joe", "{\"active\":false,\"active\":true,\"username\":\"joe\"}", "bad" },
	{ &plain, "joe", "{\"active\":true,\"username\":\"jim\",\"username\":\"joe\"}", "bad" },
	{ &plain, "joe", "{\"username\":\"joe\"}", "bad" },
	{ &plain, "joe", "{\"active\":\"true\",\"username\":\"joe\"}", "bad" },
	{ &plain, "joe", "{\"active\":1,\"username\":\"joe\"}", "bad" },
	{ &plain, "joe", "{\"active\":null,\"username\":\"joe\"}", "bad" },
	{ &plain, "joe", "{\"Active\":true,\"username\":\"joe\"}", "bad" },
	{ &plain, "joe", "{\"active\":true,\"username\":7}", "bad" },
	{ &plain, "joe", "{\"active\":true,\"username\":\"\"}", "bad" },
	{ &plain, "joe", "{\"active\":true,\"username\":\"joe\\r\\nA LOGOUT\"}", "bad" },
	{ &plain, "joe", "{\"active\":true,\"username\":\"joe\\u0000\"}", "bad" },
	{ &plain, "joe", "{\"active\":true,\"username\":\"\xff\"}", "bad" },
	{ &plain, "joe", "{\"active\":true,\"username\":\"joe\",\"exp\":\"never\"}", "bad" },
};

static void
describe(char *out, size_t size, const char *wrong, const struct auth_answer *answer)
{
	if (wrong != NULL)
		snprintf(out, size, "bad");
	else if (answer->outcome == AUTH_ACCEPTED)
		snprintf(out, size, "%s for %llu", answer->user, (unsigned long long)answer->good_ms);
	else
		snprintf(out, size, "no: %s", answer->reason);
}

/* The answer is cut at `len` bytes. */
static void
judge(char *out, size_t size, int row, size_t len)
{
	const struct token_question question = { .user = answers[row].user, .now_ms = NOW * 1000ull };
	char *body = mem_strndup(answers[row].body, len);
	struct auth_answer answer;
	const char *wrong = introspection_answer_judge(body, len, answers[row].want, &question, &answer);

	describe(out, size, wrong, &answer);
	ck_assert(wrong == NULL || (answer.user == NULL && answer.reason == NULL));
	ck_assert(wrong != NULL || answer.outcome == AUTH_ACCEPTED || answer.outcome == AUTH_REFUSED);
	auth_answer_reset(&answer);
	mem_free(body);
}

START_TEST(an_answer_means)
{
	char outcome[256];

	judge(outcome, sizeof(outcome), _i, strlen(answers[_i].body));
	ck_assert_str_eq(outcome, answers[_i].outcome);
}
END_TEST

START_TEST(an_answer_that_is_cut_is_none)
{
	char outcome[256];

	if (strcmp(answers[_i].outcome, "bad") == 0)
		return;
	for (size_t len = 0; len < (size_t)(strrchr(answers[_i].body, '}') - answers[_i].body); len++) {
		judge(outcome, sizeof(outcome), _i, len);
		ck_assert_str_eq(outcome, "bad");
	}
}
END_TEST

START_TEST(nesting_without_end_is_no_answer)
{
	struct token_question question = { .now_ms = NOW * 1000ull };
	static char body[65536];
	struct auth_answer answer;

	memset(body, '[', sizeof(body));
	memcpy(body, "{\"a\":", 5);
	ck_assert_ptr_nonnull(introspection_answer_judge(body, sizeof(body), &plain, &question, &answer));
}
END_TEST

/* ---- the source ---- */

static struct webscene scene;

#define ANSWER(head, body) "HTTP/1.1 " head "\r\nTransfer-Encoding: chunked\r\n\r\n" body "\r\n0\r\n\r\n"
#define YES ANSWER("200 OK", "20\r\n{\"active\":true,\"username\":\"joe\"}")

static const struct scripted_step yes[] = { { .reply = YES } };
static const struct scripted_step dying[] = { { .close = true } };

static void
setup(void)
{
	webscene_init(&scene, SOURCE_INTROSPECTION);
	scene.token = plain;
	scene.source.client_id = "the gateway";
	scene.source.client_secret = "s3:%+/\xc3\xa9";
	scene.credentials.method = METHOD_XOAUTH2;
	scene.credentials.pass = (char *)(uintptr_t)"to/ken+=";
}

static void
teardown(void)
{
	webscene_reset(&scene);
}

START_TEST(the_question_is_as_rfc_7662_has_it)
{
	webscene_add(&scene, STEPS(yes));
	webscene_open(&scene);
	webscene_answer(&scene);
	ck_assert_int_eq(scene.outcome, AUTH_ACCEPTED);
	ck_assert_str_eq(scene.user, "joe");
	ck_assert_str_eq(scripted_request(scene.servers[0]),
	    "POST /0 HTTP/1.1\r\nHost: host0\r\nConnection: keep-alive\r\n"
	    "Authorization: Basic dGhlJTIwZ2F0ZXdheTpzMyUzQSUyNSUyQiUyRiVDMyVBOQ==\r\n"
	    "Accept: application/json\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 49\r\n\r\n"
	    "token=to%2Fken%2B%3D&token_type_hint=access_token");
}
END_TEST

START_TEST(who_has_no_id_shows_none)
{
	scene.source.client_id = NULL;
	webscene_add(&scene, STEPS(yes));
	webscene_open(&scene);
	webscene_answer(&scene);
	ck_assert_int_eq(scene.outcome, AUTH_ACCEPTED);
	ck_assert_ptr_null(strstr(scripted_request(scene.servers[0]), "Authorization"));
}
END_TEST

START_TEST(one_kept_connection_serves_many_questions)
{
	webscene_add(&scene, STEPS(yes));
	webscene_open(&scene);
	for (int i = 0; i < 5; i++)
		webscene_answer(&scene);
	ck_assert_uint_eq(scripted_requests(scene.servers[0]), 5);
	ck_assert_uint_eq(scripted_connections(scene.servers[0]), 1);
	ck_assert_uint_eq(auth_idle_descriptors(scene.auth), 1);
}
END_TEST

static const struct {
	struct scripted_step step;
	enum auth_outcome outcome;
	const char *reason;
} outcomes[] = {
	{ { .reply = ANSWER("200 OK", "10\r\n{\"active\":false}") }, AUTH_REFUSED, "the token is not active" },
	{ { .reply = ANSWER("200 OK", "20\r\n{\"active\":true,\"username\":\"jim\"}") }, AUTH_REFUSED,
	    "the token is another user's" },
	{ { .reply = ANSWER("200 OK", "2\r\n{}") }, AUTH_UNAVAILABLE,
	    " sent invalid response: \"active\" is neither true nor false" },
	{ { .reply = ANSWER("200 OK", "5\r\n<html") }, AUTH_UNAVAILABLE, " sent invalid response: not a JSON object" },
	{ { .reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" }, AUTH_UNAVAILABLE,
	    " sent invalid response: not a JSON object" },
	{ { .reply = ANSWER("201 Created", "20\r\n{\"active\":true,\"username\":\"joe\"}") }, AUTH_UNAVAILABLE,
	    " sent invalid response: status 201" },
	{ { .reply = ANSWER("401 Unauthorized", "20\r\n{\"active\":true,\"username\":\"joe\"}") }, AUTH_UNAVAILABLE,
	    " sent invalid response: status 401" },
	{ { .reply = ANSWER("503 later", "20\r\n{\"active\":true,\"username\":\"joe\"}") }, AUTH_UNAVAILABLE,
	    " sent invalid response: status 503" },
	{ { .reply = "HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n" }, AUTH_UNAVAILABLE,
	    " sent invalid response: body too long" },
	{ { .reply = "HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n{\"active\":true,\"user", .close = true },
	    AUTH_UNAVAILABLE, " closed the connection before its answer was whole" },
};

START_TEST(an_outcome_is_told_and_a_failure_logged_once)
{
	bool failed = outcomes[_i].outcome == AUTH_UNAVAILABLE;

	webscene_add(&scene, &outcomes[_i].step, 1);
	webscene_open(&scene);
	webscene_answer(&scene);
	ck_assert_int_eq(scene.outcome, outcomes[_i].outcome);
	ck_assert_msg(strstr(scene.reason, outcomes[_i].reason) != NULL, "%s", scene.reason);
	ck_assert(!failed || strncmp(scene.reason, "introspection server 127.0.0.1:", 31) == 0);
	ck_assert_uint_eq(webscene_count(&scene, "\n"), failed);
	ck_assert_uint_eq(webscene_count(&scene, "[error]"), failed);
}
END_TEST

/* Some servers say when a token ends; a cache may not believe it longer. */
START_TEST(a_token_is_good_until_it_expires)
{
	char reply[256];
	struct scripted_step step = { .reply = reply };
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(reply, sizeof(reply),
	    "HTTP/1.1 200 OK\r\nContent-Length: 49\r\n\r\n{\"active\":true,\"username\":\"joe\",\"exp\":%010lld}",
	    (long long)now.tv_sec + 100);
	webscene_add(&scene, &step, 1);
	webscene_open(&scene);
	webscene_answer(&scene);
	ck_assert_int_eq(scene.outcome, AUTH_ACCEPTED);
	ck_assert_uint_gt(scene.good_ms, 0);
	ck_assert_uint_le(scene.good_ms, 100000 + plain.leeway);
	clock_skip_ms(100000 + plain.leeway);
	webscene_answer(&scene);
	ck_assert_int_eq(scene.outcome, AUTH_REFUSED);
}
END_TEST

START_TEST(a_server_that_fails_is_passed_over)
{
	webscene_add(&scene, STEPS(dying));
	webscene_add(&scene, STEPS(yes));
	webscene_open(&scene);
	webscene_answer(&scene);
	webscene_answer(&scene);
	ck_assert_int_eq(scene.outcome, AUTH_ACCEPTED);
	ck_assert_uint_eq(scripted_requests(scene.servers[0]), 1);
	ck_assert_ptr_nonnull(strstr(scripted_request(scene.servers[1]), "POST /1 HTTP/1.1\r\nHost: host1\r\n"));
	ck_assert_uint_eq(webscene_count(&scene, "introspection server host0 is put aside for 10000 ms\n"), 1);
}
END_TEST

START_TEST(an_empty_token_is_refused_without_a_question)
{
	webscene_add(&scene, STEPS(yes));
	webscene_open(&scene);
	scene.credentials.pass = (char *)(uintptr_t)"";
	webscene_answer(&scene);
	ck_assert_int_eq(scene.outcome, AUTH_REFUSED);
	ck_assert_uint_eq(scripted_connections(scene.servers[0]), 0);
}
END_TEST

START_TEST(neither_token_nor_secret_is_ever_logged)
{
	static const struct scripted_step leaks[] = {
		{ .reply = "to/ken+= s3:%+/\r\n\r\n" },
		{ .reply = "HTTP/1.1 500 to/ken+=\r\nX: to/ken+=\r\n\r\n" },
		{ .reply = ANSWER("200 OK", "14\r\n{\"active\":\"to/ken+=\"}") },
	};

	webscene_add(&scene, STEPS(leaks));
	webscene_open(&scene);
	for (int i = 0; i < UNIT_COUNT(leaks); i++)
		webscene_answer(&scene);
	ck_assert_uint_eq(webscene_count(&scene, "[error]"), UNIT_COUNT(leaks));
	ck_assert_uint_eq(webscene_count(&scene, "ken"), 0);
	ck_assert_uint_eq(webscene_count(&scene, "s3"), 0);
}
END_TEST

Suite *
introspection_suite(void)
{
	Suite *suite = suite_create("introspection");
	TCase *answer = tcase_create("answer"), *source = tcase_create("source");

	tcase_add_loop_test(answer, an_answer_means, 0, UNIT_COUNT(answers));
	tcase_add_loop_test(answer, an_answer_that_is_cut_is_none, 0, UNIT_COUNT(answers));
	tcase_add_test(answer, nesting_without_end_is_no_answer);
	suite_add_tcase(suite, answer);
	tcase_add_checked_fixture(source, setup, teardown);
	tcase_add_test(source, the_question_is_as_rfc_7662_has_it);
	tcase_add_test(source, who_has_no_id_shows_none);
	tcase_add_test(source, one_kept_connection_serves_many_questions);
	tcase_add_loop_test(source, an_outcome_is_told_and_a_failure_logged_once, 0, UNIT_COUNT(outcomes));
	tcase_add_test(source, a_token_is_good_until_it_expires);
	tcase_add_test(source, a_server_that_fails_is_passed_over);
	tcase_add_test(source, an_empty_token_is_refused_without_a_question);
	tcase_add_test(source, neither_token_nor_secret_is_ever_logged);
	suite_add_tcase(suite, source);
	return suite;
}
