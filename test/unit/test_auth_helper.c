#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/packet.h"
#include "test/unit/asking.h"
#include "test/unit/clock.h"
#include "test/unit/unit.h"
#include "worker/auth/auth_source.h"
#include "worker/helper/codec.h"

#define HOUR 3600000

static struct asking asking;

static void
setup(void)
{
	asking_init(&asking, 1, HOUR);
	asking_open(&asking);
}

static void
teardown(void)
{
	asking_reset(&asking);
}

/* What a helper takes out of the mailbox. */
struct taken {
	char packet[CODEC_MAX];
	struct helper_request request;
	int asker;
};

/* Takes one request; false when there is none. */
static bool
take(struct taken *taken)
{
	ssize_t len = packet_recv(asking.mailbox[0], taken->packet, sizeof(taken->packet), &taken->asker);

	if (len == -1)
		return false;
	ck_assert_int_ne(taken->asker, -1);
	ck_assert_int_eq(helper_request_decode(&taken->request, taken->packet, (size_t)len), 0);
	return true;
}

static void
reply(const struct taken *taken, const struct helper_reply *r)
{
	char packet[CODEC_MAX];
	ssize_t len = helper_reply_encode(packet, sizeof(packet), r);

	ck_assert_int_gt(len, 0);
	ck_assert_int_eq(packet_send(taken->asker, packet, (size_t)len, -1), 0);
	close(taken->asker);
}

static void
ask(struct asked *asked)
{
	asking_prepare(&asking, asked, "joe", "sesame");
	asking_ask(&asking, asked);
}

START_TEST(a_helper_hears_all_of_the_question)
{
	uint64_t now_ms = loop_now_ms(asking.loop);
	struct asked asked;
	struct taken taken;

	ask(&asked);
	ck_assert(take(&taken));
	ck_assert_str_eq(taken.request.user, "joe");
	ck_assert_str_eq(taken.request.secret, "sesame");
	ck_assert_ptr_null(taken.request.authz);
	ck_assert_str_eq(taken.request.salt, "<1896.697170952@dbc.mtview.ca.us>");
	ck_assert_str_eq(taken.request.server_name, "mx");
	ck_assert(addr_equal(&taken.request.client, &asking.client));
	ck_assert(taken.request.protocol == PROTOCOL_POP3 && taken.request.method == METHOD_PLAIN);
	ck_assert(taken.request.connection == 17);
	ck_assert(taken.request.deadline_ms >= now_ms + HOUR);
	close(taken.asker);
	asking_wait(&asking, &asked);
}
END_TEST

static char user[] = "u", pass[] = "p", host[] = "192.0.2.1", text[] = "gone fishing", reason[] = "why";

START_TEST(a_yes_comes_through_whole)
{
	const struct helper_reply yes = {
		.outcome = HELPER_ACCEPTED, .user = user, .pass = pass, .host = host, .port = 1143, .says_ssl = true, .ssl = PROXY_SSL_ON,
	};
	struct asked asked;
	struct taken taken;

	ask(&asked);
	ck_assert(take(&taken));
	reply(&taken, &yes);
	asking_wait(&asking, &asked);
	ck_assert_int_eq(asked.outcome, AUTH_ACCEPTED);
	ck_assert_str_eq(asked.user, "u");
	ck_assert_str_eq(asked.pass, "p");
	ck_assert_str_eq(asked.host, "192.0.2.1");
	ck_assert_uint_eq(asked.port, 1143);
	ck_assert_int_eq(asked.ssl, AUTH_SSL_ON);
	ck_assert_str_eq(asking_logged(&asking), "");
}
END_TEST

START_TEST(a_no_comes_through_whole)
{
	const struct helper_reply no = { .outcome = HELPER_REFUSED, .text = text, .reason = reason };
	struct asked asked;
	struct taken taken;

	ask(&asked);
	ck_assert(take(&taken));
	reply(&taken, &no);
	asking_wait(&asking, &asked);
	ck_assert_int_eq(asked.outcome, AUTH_REFUSED);
	ck_assert_str_eq(asked.text, "gone fishing");
	ck_assert_str_eq(asked.reason, "why");
	ck_assert_str_eq(asking_logged(&asking), "");
}
END_TEST

static char two_lines[] = "a\r\nb", nothing[] = "", bell[] = "\a";

static const struct {
	struct helper_reply reply;
	const char *logged;
} bad_replies[] = {
	{ { .outcome = HELPER_UNAVAILABLE }, "auth_file /etc/users cannot answer" },
	{ { .outcome = HELPER_UNAVAILABLE, .reason = two_lines }, "auth_file /etc/users cannot answer: a\\x0D\\x0Ab" },
	{ { .outcome = HELPER_ACCEPTED, .user = two_lines }, "auth_file /etc/users cannot answer" },
	{ { .outcome = HELPER_ACCEPTED, .user = nothing }, "auth_file /etc/users cannot answer" },
	{ { .outcome = HELPER_ACCEPTED, .pass = two_lines }, "auth_file /etc/users cannot answer" },
	{ { .outcome = HELPER_ACCEPTED, .host = two_lines }, "auth_file /etc/users cannot answer" },
	{ { .outcome = HELPER_ACCEPTED, .host = nothing }, "auth_file /etc/users cannot answer" },
	{ { .outcome = HELPER_REFUSED, .text = bell }, "auth_file /etc/users cannot answer" },
};

START_TEST(an_answer_that_may_not_be_passed_on_is_none)
{
	struct asked asked;
	struct taken taken;

	ask(&asked);
	ck_assert(take(&taken));
	reply(&taken, &bad_replies[_i].reply);
	asking_wait(&asking, &asked);
	ck_assert_int_eq(asked.outcome, AUTH_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(asking_logged(&asking), bad_replies[_i].logged));
}
END_TEST

START_TEST(garbage_is_no_answer)
{
	char garbage[CODEC_MAX + 1] = "yes";
	const size_t lens[] = { 3, CODEC_MAX, CODEC_MAX + 1 };

	for (size_t i = 0; i < 3; i++) {
		struct asked asked;
		struct taken taken;

		ask(&asked);
		ck_assert(take(&taken));
		ck_assert_int_eq(packet_send(taken.asker, garbage, lens[i], -1), 0);
		close(taken.asker);
		asking_wait(&asking, &asked);
		ck_assert_int_eq(asked.outcome, AUTH_UNAVAILABLE);
		ck_assert_str_eq(asked.reason, "auth_file /etc/users sent an invalid answer");
	}
}
END_TEST

START_TEST(a_helper_that_ends_without_an_answer_is_unavailable)
{
	struct asked asked;
	struct taken taken;

	ask(&asked);
	ck_assert(take(&taken));
	close(taken.asker);
	asking_wait(&asking, &asked);
	ck_assert_int_eq(asked.outcome, AUTH_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(asking_logged(&asking), "auth_file /etc/users ended without an answer"));
}
END_TEST

START_TEST(a_mailbox_that_nobody_holds_is_unavailable)
{
	struct asked asked;

	close(asking.mailbox[0]);
	ask(&asked);
	asking_wait(&asking, &asked);
	ck_assert_int_eq(asked.outcome, AUTH_UNAVAILABLE);
	ck_assert_str_eq(asked.reason, "auth_file /etc/users cannot be reached");
	asking.mailbox[0] = dup(asking.mailbox[1]);
}
END_TEST

START_TEST(two_questions_a_helper_are_under_way_and_the_others_follow_in_order)
{
	const struct helper_reply no = { .outcome = HELPER_REFUSED, .reason = reason };
	static const char *const names[] = { "0", "1", "2", "3", "4" };
	struct asked asked[5];
	struct taken taken[5];
	size_t count = 0;

	for (size_t i = 0; i < 5; i++) {
		asking_prepare(&asking, &asked[i], names[i], "x");
		asking_ask(&asking, &asked[i]);
	}
	for (size_t i = 0; i < 5; i++) {
		while (count < 5 && take(&taken[count]))
			count++;
		ck_assert_uint_eq(count, i + 2 < 5 ? i + 2 : 5);
		ck_assert_str_eq(taken[i].request.user, names[i]);
		reply(&taken[i], &no);
		asking_wait(&asking, &asked[i]);
		loop_turn(asking.loop, 0);
	}
}
END_TEST

START_TEST(a_full_mailbox_means_later)
{
	enum { COUNT = 300 };
	const struct helper_reply no = { .outcome = HELPER_REFUSED, .reason = reason };
	static struct asked asked[COUNT];
	static struct taken taken;
	size_t count = 0;

	asking.source.helpers = COUNT;
	for (size_t i = 0; i < COUNT; i++)
		ask(&asked[i]);
	while (take(&taken)) {
		reply(&taken, &no);
		count++;
	}
	ck_assert_uint_lt(count, COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		while (asked[i].answers == 0) {
			loop_turn(asking.loop, 100);
			while (take(&taken))
				reply(&taken, &no);
		}
		ck_assert_int_eq(asked[i].outcome, AUTH_REFUSED);
	}
	ck_assert_str_eq(asking_logged(&asking), "");
}
END_TEST

START_TEST(a_question_under_way_and_one_that_waits_both_time_out)
{
	struct asked asked[3];
	struct taken taken;

	asking.server.auth_timeout = 60000;
	for (size_t i = 0; i < 3; i++)
		ask(&asked[i]);
	clock_skip_ms(61000);
	for (size_t i = 0; i < 3; i++) {
		asking_wait(&asking, &asked[i]);
		ck_assert_int_eq(asked[i].outcome, AUTH_UNAVAILABLE);
		ck_assert_str_eq(asked[i].reason, "auth_file /etc/users timed out");
	}
	/* What is left in the mailbox has no asker any more. */
	while (take(&taken)) {
		struct pollfd p = { .fd = taken.asker };

		ck_assert_int_eq(poll(&p, 1, 0), 1);
		ck_assert((p.revents & POLLHUP) != 0);
		close(taken.asker);
	}
}
END_TEST

START_TEST(a_queue_that_is_full_refuses_no_one_who_is_in_it)
{
	enum { MAX = 2 + 4096 };
	static struct asked asked[MAX + 1];
	struct taken taken;

	for (size_t i = 0; i <= MAX; i++)
		ask(&asked[i]);
	asking_wait(&asking, &asked[MAX]);
	ck_assert_int_eq(asked[MAX].outcome, AUTH_UNAVAILABLE);
	ck_assert_str_eq(asked[MAX].reason, "auth_file /etc/users has too many logins waiting");
	for (size_t i = 0; i < MAX; i++) {
		ck_assert_uint_eq(asked[i].answers, 0);
		auth_cancel(&asked[i].request);
	}
	while (take(&taken))
		close(taken.asker);
}
END_TEST

START_TEST(an_asker_that_leaves_makes_room_and_hears_nothing)
{
	struct asked asked[4];
	struct taken taken;

	for (size_t i = 0; i < 4; i++)
		ask(&asked[i]);
	auth_cancel(&asked[0].request);
	auth_cancel(&asked[2].request);
	loop_turn(asking.loop, 0);
	for (size_t i = 0; i < 3; i++) {
		ck_assert(take(&taken));
		close(taken.asker);
	}
	ck_assert(!take(&taken));
	asking_wait(&asking, &asked[1]);
	asking_wait(&asking, &asked[3]);
	ck_assert(asked[0].answers == 0 && asked[2].answers == 0);
}
END_TEST

START_TEST(a_password_that_nobody_hashes_is_refused_here)
{
	char *longest = mem_alloc(CODEC_SECRET_MAX + 2);
	struct asked asked;
	struct taken taken;

	memset(longest, 'x', CODEC_SECRET_MAX + 1);
	asking_prepare(&asking, &asked, "joe", longest);
	asking_ask(&asking, &asked);
	ck_assert(!take(&taken));
	asking_wait(&asking, &asked);
	ck_assert_int_eq(asked.outcome, AUTH_REFUSED);
	longest[CODEC_SECRET_MAX] = '\0';
	asking_prepare(&asking, &asked, "joe", longest);
	asking_ask(&asking, &asked);
	ck_assert(take(&taken));
	ck_assert_str_eq(taken.request.secret, longest);
	close(taken.asker);
	asking_wait(&asking, &asked);
	mem_free(longest);
}
END_TEST

Suite *
auth_helper_suite(void)
{
	Suite *suite = suite_create("auth_helper");
	TCase *tcase = tcase_create("auth_helper");

	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_helper_hears_all_of_the_question);
	tcase_add_test(tcase, a_yes_comes_through_whole);
	tcase_add_test(tcase, a_no_comes_through_whole);
	tcase_add_loop_test(tcase, an_answer_that_may_not_be_passed_on_is_none, 0, UNIT_COUNT(bad_replies));
	tcase_add_test(tcase, garbage_is_no_answer);
	tcase_add_test(tcase, a_helper_that_ends_without_an_answer_is_unavailable);
	tcase_add_test(tcase, a_mailbox_that_nobody_holds_is_unavailable);
	tcase_add_test(tcase, two_questions_a_helper_are_under_way_and_the_others_follow_in_order);
	tcase_add_test(tcase, a_full_mailbox_means_later);
	tcase_add_test(tcase, a_question_under_way_and_one_that_waits_both_time_out);
	tcase_add_test(tcase, a_queue_that_is_full_refuses_no_one_who_is_in_it);
	tcase_add_test(tcase, an_asker_that_leaves_makes_room_and_hears_nothing);
	tcase_add_test(tcase, a_password_that_nobody_hashes_is_refused_here);
	suite_add_tcase(suite, tcase);
	return suite;
}
