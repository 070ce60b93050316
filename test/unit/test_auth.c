/* Chains of sources: helpers that the test plays, and passthrough behind them. */
#include "worker/auth/auth.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/ipc.h"
#include "common/mem.h"
#include "common/packet.h"
#include "test/unit/clock.h"
#include "test/unit/unit.h"
#include "worker/helper/codec.h"

#define HOUR 3600000
#define LINKS 3
#define TURNS 20        /* more than any question takes that nobody has to wait for */

static const char *labels[LINKS] = { "first", "second", "third" };

static struct loop *loop;
static struct auth *auth;
static int mailboxes[LINKS][2];
static struct conf conf;
static struct conf_source sources[LINKS], *source_list[LINKS];
static struct conf_auth links[LINKS], *chain[LINKS + 1];
static struct server server;
static struct addr client = { .ip = { 198, 51, 100, 7 }, .family = AF_INET };
static struct facts facts = { .server = &server, .client = &client };
static char user[64], pass[] = "sesame";
static struct credentials credentials;
static struct auth_question question = { .server = &server, .facts = &facts, .credentials = &credentials };
static struct log quiet;

/* What was answered. */
static unsigned answers;
static struct auth_answer told;
static char told_reason[64], told_text[64];

static void
setup(void)
{
	loop = loop_new(16);
	memset(chain, 0, sizeof(chain));
	for (size_t i = 0; i < LINKS; i++) {
		ck_assert_int_eq(ipc_pair(mailboxes[i]), 0);
		sources[i] = (struct conf_source){
			.kind = SOURCE_FILE, .index = (unsigned)i, .label = labels[i],
			.methods = METHODS_PASSWORD | METHOD_CRAM_MD5, .timeout = HOUR, .helpers = 1, .mailbox = mailboxes[i][1],
		};
		links[i] = (struct conf_auth){ .source = source_list[i] = &sources[i] };
		chain[i] = &links[i];
	}
	conf = (struct conf){ .sources = source_list, .source_count = LINKS };
	server = (struct server){ .protocol = PROTOCOL_IMAP, .name = "mx", .log = &quiet, .auth = chain };
	credentials = (struct credentials){ .method = METHOD_PLAIN, .user = user, .pass = pass };
	snprintf(user, sizeof(user), "joe@example.org");
	answers = 0;
	auth = NULL;
}

static void
teardown(void)
{
	loop_turn(loop, 0);
	if (auth != NULL)
		auth_free(&auth);
	loop_free(&loop);
	for (size_t i = 0; i < LINKS; i++) {
		close(mailboxes[i][0]);
		close(mailboxes[i][1]);
	}
}

static void
copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from != NULL ? from : "");
}

static void
on_answer(void *ctx, const struct auth_answer *answer)
{
	ck_assert_ptr_eq(ctx, &answers);
	answers++;
	told = *answer;
	copy(told_reason, sizeof(told_reason), answer->reason);
	copy(told_text, sizeof(told_text), answer->text);
}

static struct auth_request *
ask(void)
{
	struct auth_request *request;

	if (auth == NULL)
		auth = auth_new(&conf, loop, NULL, 1);
	request = auth_ask(auth, &question, on_answer, &answers);
	ck_assert_uint_eq(answers, 0);
	return request;
}

static void
turn(void)
{
	for (int i = 0; i < TURNS; i++)
		loop_turn(loop, 0);
}

/* What a helper of a source takes out of its mailbox. */
struct taken {
	char packet[CODEC_MAX];
	struct helper_request request;
	int asker;
};

static bool
take(size_t source, struct taken *taken)
{
	ssize_t len;

	turn();
	len = packet_recv(mailboxes[source][0], taken->packet, sizeof(taken->packet), &taken->asker);
	if (len == -1)
		return false;
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
	turn();
}

static void
say(size_t source, enum helper_outcome outcome)
{
	const struct helper_reply r = { .outcome = outcome };
	struct taken taken;

	ck_assert_msg(take(source, &taken), "source %zu was not asked", source);
	reply(&taken, &r);
}

static void
nobody_is_asked(void)
{
	struct taken taken;

	for (size_t i = 0; i < LINKS; i++)
		ck_assert_msg(!take(i, &taken), "source %zu was asked", i);
}

#define NO_SOURCE 99

/* What each source says when it is asked, in the order in which they have to be; who decides, and how. */
static const struct {
	enum helper_outcome said[LINKS + 1];
	enum auth_outcome outcome;
	size_t decided;
} walks[] = {
	{ { HELPER_ACCEPTED }, AUTH_ACCEPTED, 0 },
	{ { HELPER_REFUSED }, AUTH_REFUSED, 0 },
	{ { HELPER_UNAVAILABLE }, AUTH_UNAVAILABLE, 0 },
	{ { HELPER_UNKNOWN, HELPER_ACCEPTED }, AUTH_ACCEPTED, 1 },
	{ { HELPER_UNKNOWN, HELPER_REFUSED }, AUTH_REFUSED, 1 },
	{ { HELPER_UNKNOWN, HELPER_UNAVAILABLE }, AUTH_UNAVAILABLE, 1 },
	{ { HELPER_UNKNOWN, HELPER_UNKNOWN, HELPER_ACCEPTED }, AUTH_ACCEPTED, 2 },
	{ { HELPER_UNKNOWN, HELPER_UNKNOWN, HELPER_UNKNOWN }, AUTH_REFUSED, 2 },
};

START_TEST(only_an_unknown_user_is_asked_about_further_on)
{
	ask();
	for (size_t i = 0; walks[_i].said[i] != 0; i++)
		say(i, walks[_i].said[i]);
	ck_assert_uint_eq(answers, 1);
	ck_assert_int_eq(told.outcome, walks[_i].outcome);
	ck_assert_ptr_eq(told.source, &sources[walks[_i].decided]);
	ck_assert(!told.cached);
	nobody_is_asked();
}
END_TEST

START_TEST(who_is_asked_last_knows_it)
{
	struct taken taken;

	ask();
	for (size_t i = 0; i < LINKS; i++) {
		const struct helper_reply unknown = { .outcome = HELPER_UNKNOWN };

		ck_assert(take(i, &taken));
		ck_assert(taken.request.is_last == (i == LINKS - 1));
		ck_assert_str_eq(taken.request.secret, "sesame");
		reply(&taken, &unknown);
	}
	ck_assert_uint_eq(answers, 1);
	ck_assert_str_eq(told_reason, "unknown user");
}
END_TEST

START_TEST(who_is_followed_by_links_that_are_passed_over_is_last)
{
	const char *elsewhere[] = { "*@example.net", NULL };
	struct taken taken;

	links[1].users = elsewhere;
	sources[2].methods = METHOD_CRAM_MD5;
	ask();
	ck_assert(take(0, &taken));
	ck_assert(taken.request.is_last);
	close(taken.asker);
	turn();
	ck_assert_int_eq(told.outcome, AUTH_UNAVAILABLE);
}
END_TEST

START_TEST(the_last_words_about_an_unknown_user_are_kept)
{
	char away[] = "no such user", why[] = "not in the list";
	const struct helper_reply unknown = {
		.outcome = HELPER_UNKNOWN, .text = away, .reason = why, .wait_ms = 3000, .epoch = 17,
	};
	struct taken taken;

	chain[2] = NULL;
	ask();
	say(0, HELPER_UNKNOWN);
	ck_assert(take(1, &taken));
	reply(&taken, &unknown);
	ck_assert_int_eq(told.outcome, AUTH_REFUSED);
	ck_assert_str_eq(told_text, "no such user");
	ck_assert_str_eq(told_reason, "not in the list");
	ck_assert_uint_eq(told.wait_ms, 3000);
}
END_TEST

static const struct {
	const char *user;
	enum method method;
	const char *first, *second;     /* patterns; NULL: all users */
	size_t asked;
} choices[] = {
	{ "joe@example.org", METHOD_PLAIN, NULL, NULL, 0 },
	{ "joe@example.org", METHOD_PLAIN, "*@example.org", NULL, 0 },
	{ "joe@EXAMPLE.org", METHOD_PLAIN, "*@example.org", NULL, 0 },
	{ "joe@example.org", METHOD_PLAIN, "*@example.net", NULL, 1 },
	{ "joe@example.org", METHOD_PLAIN, "*@example.net", "*@example.com", 2 },
	{ "joe@example.org", METHOD_PLAIN, "*@example.net", "*@example.org", 1 },
	{ "joe@example.org", METHOD_XOAUTH2, NULL, NULL, 2 },
	{ "", METHOD_OAUTHBEARER, NULL, NULL, 2 },
	{ "joe@example.org", METHOD_EXTERNAL, NULL, NULL, NO_SOURCE },
};

START_TEST(method_and_pattern_choose_the_source)
{
	const char *first[] = { choices[_i].first, NULL }, *second[] = { choices[_i].second, NULL };

	snprintf(user, sizeof(user), "%s", choices[_i].user);
	credentials.method = choices[_i].method;
	links[0].users = choices[_i].first != NULL ? first : NULL;
	links[1].users = choices[_i].second != NULL ? second : NULL;
	sources[2].methods = METHODS_PASSWORD | METHODS_TOKEN;
	ask();
	if (choices[_i].asked != NO_SOURCE)
		say(choices[_i].asked, HELPER_ACCEPTED);
	turn();
	ck_assert_uint_eq(answers, 1);
	ck_assert_int_eq(told.outcome, choices[_i].asked != NO_SOURCE ? AUTH_ACCEPTED : AUTH_REFUSED);
	ck_assert_ptr_eq(told.source, choices[_i].asked != NO_SOURCE ? &sources[choices[_i].asked] : NULL);
	if (choices[_i].asked == NO_SOURCE)
		ck_assert_str_eq(told_reason, "unknown user");
	nobody_is_asked();
}
END_TEST

START_TEST(who_has_gone_hears_nothing_wherever_the_question_is)
{
	struct auth_request *request = ask();
	struct taken taken = { .asker = -1 };

	for (int i = 0; i < _i; i++)
		say((size_t)i, HELPER_UNKNOWN);
	if (_i < LINKS)
		ck_assert(take((size_t)_i, &taken));
	ck_assert_uint_eq(answers, 0);
	auth_cancel(&request);
	ck_assert_ptr_null(request);
	turn();
	ck_assert_uint_eq(answers, 0);
	if (taken.asker != -1)
		close(taken.asker);
	nobody_is_asked();
}
END_TEST

START_TEST(who_goes_before_an_answer_that_is_there_hears_nothing)
{
	struct auth_request *request;

	credentials.method = METHOD_EXTERNAL;   /* nobody serves it: the answer is there at once */
	request = ask();
	auth_cancel(&request);
	turn();
	ck_assert_uint_eq(answers, 0);
}
END_TEST

START_TEST(a_source_may_stand_in_a_chain_twice)
{
	const char *some[] = { "*@example.org", NULL };

	links[0].users = some;
	links[1].source = &sources[0];
	chain[2] = NULL;
	ask();
	say(0, HELPER_UNKNOWN);
	say(0, HELPER_REFUSED);
	ck_assert_uint_eq(answers, 1);
	ck_assert_int_eq(told.outcome, AUTH_REFUSED);
}
END_TEST

START_TEST(a_source_that_is_silent_is_waited_for_and_not_gone_around)
{
	struct taken taken;

	sources[1].timeout = 5000;
	ask();
	say(0, HELPER_UNKNOWN);
	ck_assert(take(1, &taken));
	clock_skip_ms(4900);
	turn();
	ck_assert_uint_eq(answers, 0);
	clock_skip_ms(1000);
	for (int i = 0; i < TURNS && answers == 0; i++)
		loop_turn(loop, 100);
	ck_assert_int_eq(told.outcome, AUTH_UNAVAILABLE);
	ck_assert_ptr_eq(told.source, &sources[1]);
	close(taken.asker);
	nobody_is_asked();
}
END_TEST

static const struct {
	enum method method;
	size_t len;
	const char *refused;    /* NULL: a helper is asked */
} secrets[] = {
	{ METHOD_PLAIN, CODEC_SECRET_MAX, NULL },
	{ METHOD_PLAIN, CODEC_SECRET_MAX + 1, "password too long" },
	{ METHOD_XOAUTH2, CODEC_SECRET_MAX + 1, NULL },
	{ METHOD_OAUTHBEARER, CODEC_TOKEN_MAX, NULL },
	{ METHOD_OAUTHBEARER, CODEC_TOKEN_MAX + 1, "token too long" },
};

START_TEST(a_secret_is_as_long_as_its_method_allows)
{
	char *secret = mem_alloc(secrets[_i].len + 1);

	memset(secret, 'x', secrets[_i].len);
	credentials.method = secrets[_i].method;
	credentials.pass = secret;
	sources[0].methods = ~0u;
	ask();
	if (secrets[_i].refused == NULL)
		say(0, HELPER_ACCEPTED);
	turn();
	ck_assert_int_eq(told.outcome, secrets[_i].refused == NULL ? AUTH_ACCEPTED : AUTH_REFUSED);
	if (secrets[_i].refused != NULL)
		ck_assert_str_eq(told_reason, secrets[_i].refused);
	mem_free(secret);
}
END_TEST

START_TEST(passthrough_lets_the_backend_decide)
{
	sources[1] = (struct conf_source){
		.kind = SOURCE_PASSTHROUGH, .index = 1, .label = "mail.example.org:143", .methods = METHODS_PASSWORD,
	};
	chain[2] = NULL;
	ask();
	say(0, HELPER_UNKNOWN);
	ck_assert_uint_eq(answers, 1);
	ck_assert_int_eq(told.outcome, AUTH_ACCEPTED);
	ck_assert(told.undecided);
	ck_assert_ptr_eq(told.source, &sources[1]);
}
END_TEST

START_TEST(no_silence_that_a_helper_asks_for_is_endless)
{
	const struct helper_reply no = { .outcome = HELPER_REFUSED, .wait_ms = UINT64_MAX, .epoch = 42 };
	struct taken taken;

	ask();
	ck_assert(take(0, &taken));
	reply(&taken, &no);
	ck_assert_uint_eq(told.wait_ms, 60000);
	ck_assert_uint_eq(told.epoch, 42);
}
END_TEST

#define COUNT(cases) ((int)(sizeof(cases) / sizeof((cases)[0])))

Suite *
auth_suite(void)
{
	Suite *suite = suite_create("auth");
	TCase *tcase = tcase_create("auth");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, only_an_unknown_user_is_asked_about_further_on, 0, COUNT(walks));
	tcase_add_test(tcase, who_is_asked_last_knows_it);
	tcase_add_test(tcase, who_is_followed_by_links_that_are_passed_over_is_last);
	tcase_add_test(tcase, the_last_words_about_an_unknown_user_are_kept);
	tcase_add_loop_test(tcase, method_and_pattern_choose_the_source, 0, COUNT(choices));
	tcase_add_loop_test(tcase, who_has_gone_hears_nothing_wherever_the_question_is, 0, LINKS);
	tcase_add_test(tcase, who_goes_before_an_answer_that_is_there_hears_nothing);
	tcase_add_test(tcase, a_source_may_stand_in_a_chain_twice);
	tcase_add_test(tcase, a_source_that_is_silent_is_waited_for_and_not_gone_around);
	tcase_add_loop_test(tcase, a_secret_is_as_long_as_its_method_allows, 0, COUNT(secrets));
	tcase_add_test(tcase, passthrough_lets_the_backend_decide);
	tcase_add_test(tcase, no_silence_that_a_helper_asks_for_is_endless);
	suite_add_tcase(suite, tcase);
	return suite;
}
