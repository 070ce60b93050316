#include "worker/proto/imap_login.h"

#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "test/unit/dialogue.h"
#include "test/unit/unit.h"
#include "worker/proto/imap.h"

#define HELLO "* OK ready\r\n"
#define PLUS "* OK [CAPABILITY IMAP4rev1 LITERAL+] ready\r\n"
#define MINUS "* OK [CAPABILITY IMAP4rev1 literal- ID] ready\r\n"
#define ONCE "a LOGIN \"alice\" \"secret\"\r\n"
#define BAD_LINE "{broken upstream sent invalid response: "

/* A login as alice with "secret", unless said otherwise, by a client whose tag is "a". */
static const struct {
	const char *user, *pass, *answers, *outcome;
} cases[] = {
	{ NULL, NULL, "", "{more}" },
	{ NULL, NULL, "* OK", "{more}* OK" },
	{ NULL, NULL, HELLO, ONCE "{more}" },
	{ NULL, NULL, HELLO "a OK in\r\n", ONCE "{done a OK in\r\n}" },
	{ NULL, NULL, "* OK\na OK\n", ONCE "{done a OK\r\n}" },
	{ NULL, NULL, HELLO "a OK in\r\n* 1 EXISTS\r\n", ONCE "{done a OK in\r\n}* 1 EXISTS\r\n" },
	{ NULL, NULL, HELLO "* CAPABILITY X\r\n* OK {3}\r\n* NO [ALERT] {9}\r\na ok in\r\nb",
	    ONCE "{done * CAPABILITY X\r\n* OK {3}\r\n* NO [ALERT] {9}\r\na ok in\r\n}b" },
	{ NULL, NULL, HELLO "* X {8}\r\na OK no\n {0}\r\n {3}\r\n\0\r\nx\r\na OK in\r\n", NULL },
	{ NULL, NULL, HELLO "* X {13} y\r\na OK in\r\n", ONCE "{done * X {13} y\r\na OK in\r\n}" },
	/* how user and password go */
	{ "al \"ice\\", "", HELLO "a OK\r\n", "a LOGIN \"al \\\"ice\\\\\" \"\"\r\n{done a OK\r\n}" },
	{ "caf\xc3\xa9", NULL, HELLO, "a LOGIN {5}\r\n{more}" },
	{ "caf\xc3\xa9", NULL, HELLO "+ go\r\n", "a LOGIN {5}\r\ncaf\xc3\xa9 \"secret\"\r\n{more}" },
	{ "caf\xc3\xa9", "\xff", HELLO "+\r\n", "a LOGIN {5}\r\ncaf\xc3\xa9 {1}\r\n{more}" },
	{ "caf\xc3\xa9", "\xff", HELLO "+ \r\n* 1 X\r\n+ \r\na OK\r\n",
	    "a LOGIN {5}\r\ncaf\xc3\xa9 {1}\r\n\xff\r\n{done * 1 X\r\na OK\r\n}" },
	{ NULL, "\xff", HELLO "+ \r\na OK\r\n", "a LOGIN \"alice\" {1}\r\n\xff\r\n{done a OK\r\n}" },
	{ "caf\xc3\xa9", "\xff", PLUS "a OK\r\n", "a LOGIN {5+}\r\ncaf\xc3\xa9 {1+}\r\n\xff\r\n{done a OK\r\n}" },
	{ "caf\xc3\xa9", "\xff", MINUS "a OK\r\n", "a LOGIN {5+}\r\ncaf\xc3\xa9 {1+}\r\n\xff\r\n{done a OK\r\n}" },
	{ NULL, "\xff", "* OK LITERAL+ [CAPABILITY LITERAL+] x\r\n", "a LOGIN \"alice\" {1}\r\n{more}" },
	{ NULL, "\xff", "* OK [X LITERAL+] x\r\n", "a LOGIN \"alice\" {1}\r\n{more}" },
	{ NULL, "\xff", "* OK [CAPABILITY XLITERAL+ LITERAL+X] x\r\n", "a LOGIN \"alice\" {1}\r\n{more}" },
	{ NULL, "\xff", "* OK [CAPABILITY LITERAL+\r\n", "a LOGIN \"alice\" {1}\r\n{more}" },
	{ NULL, "\xff", "* OK [CAPABILITY LITERAL+]\r\n", "a LOGIN \"alice\" {1+}\r\n\xff\r\n{more}" },
	/* what is not fit to be sent is not sent */
	{ "al\rice", NULL, HELLO, "{broken invalid credentials for upstream}" },
	{ NULL, "x\r\na LOGOUT", HELLO, "{broken invalid credentials for upstream}" },
	{ "", NULL, HELLO, "{broken invalid credentials for upstream}" },
	{ NULL, NULL, "* OK [CAPABILITY LOGINDISABLED] x\r\n",
	    "{unavailable upstream allows no LOGIN on this connection}" },
	/* refusals */
	{ NULL, NULL, HELLO "* X\r\na NO [AUTHENTICATIONFAILED] no\r\n",
	    ONCE "{refused a NO [AUTHENTICATIONFAILED] no\r\n}" },
	{ NULL, NULL, HELLO "a NO\r\n", ONCE "{refused a NO\r\n}" },
	{ NULL, NULL, HELLO "a BAD what\r\n", ONCE "{refused a BAD what\r\n}" },
	{ "\xff", NULL, HELLO "a BAD what\r\n", "a LOGIN {1}\r\n" BAD_LINE "\"a BAD what\"}" },
	{ "\xff", NULL, HELLO "a NO what\r\n", "a LOGIN {1}\r\n{refused a NO what\r\n}" },
	{ NULL, NULL, HELLO "a NO [UNAVAILABLE] x\r\n", ONCE "{unavailable a NO [UNAVAILABLE] x\r\n}" },
	{ NULL, NULL, HELLO "a NO [inuse] x\r\n", ONCE "{unavailable a NO [inuse] x\r\n}" },
	{ NULL, NULL, HELLO "a BAD [SERVERBUG] x\r\n", ONCE "{unavailable a BAD [SERVERBUG] x\r\n}" },
	{ NULL, NULL, HELLO "a NO [LIMIT x] x\r\n", ONCE "{unavailable a NO [LIMIT x] x\r\n}" },
	{ NULL, NULL, HELLO "a NO x [LIMIT]\r\n", ONCE "{refused a NO x [LIMIT]\r\n}" },
	{ NULL, NULL, HELLO "* BYE full\r\n", ONCE "{unavailable upstream sent invalid response: \"* BYE full\"}" },
	{ NULL, NULL, "* BYE full\r\n", "{unavailable * BYE full\r\n}" },
	/* what is no IMAP */
	{ NULL, NULL, "* PREAUTH in\r\n", BAD_LINE "\"* PREAUTH in\"}" },
	{ NULL, NULL, "+OK ready\r\n", BAD_LINE "\"+OK ready\"}" },
	{ NULL, NULL, "\r\n", BAD_LINE "\"\"}" },
	{ NULL, NULL, HELLO "+ go\r\n", ONCE BAD_LINE "\"+ go\"}" },
	{ NULL, NULL, HELLO "b OK in\r\n", ONCE BAD_LINE "\"b OK in\"}" },
	{ NULL, NULL, HELLO "A OK in\r\n", ONCE BAD_LINE "\"A OK in\"}" },
	{ NULL, NULL, HELLO "a OKAY in\r\n", ONCE BAD_LINE "\"a OKAY in\"}" },
	{ NULL, NULL, HELLO "a\r\n", ONCE BAD_LINE "\"a\"}" },
	{ NULL, NULL, HELLO "*X\r\n", ONCE BAD_LINE "\"*X\"}" },
	{ NULL, NULL, HELLO "a OK x\ry\r\n", ONCE BAD_LINE "\"a OK x\\x0Dy\"}a OK x\ry\r\n" },
	{ NULL, NULL, HELLO "a BLAH secret\r\n",
	    ONCE "{broken upstream sent invalid response: \"not shown: it holds the password\"}" },
	{ "\xff", NULL, HELLO "a OK in\r\n", "a LOGIN {1}\r\n" BAD_LINE "\"a OK in\"}" },
	{ NULL, NULL, HELLO "* X {4097}\r\n", ONCE "{broken upstream sent too long response line: \"* X {4097}\"}" },
	{ NULL, NULL, HELLO "* X {18446744073709551617}\r\n",
	    ONCE "{broken upstream sent too long response line: \"* X {18446744073709551617}\"}" },
};

/* The one case with a NUL in it. */
static const char literal_answers[] = HELLO "* X {8}\r\na OK no\n {0}\r\n {3}\r\n\0\r\n x\r\na OK in\r\nrest";

struct stage {
	struct scene scene;
	struct client *client;
	struct credentials credentials;
	struct login_task task;
};

/* The client has logged in under the tag "a"; the source may have changed who it is. */
static void
stage_init(struct stage *s, const char *user, const char *pass)
{
	const char *said = "a LOGIN u p\r\n";
	struct buf in, out;

	memset(s, 0, sizeof(*s));
	scene_init(&s->scene, PROTOCOL_IMAP, METHOD_PLAIN, NULL);
	s->client = proto_imap.client_new(&s->scene.facts);
	buf_init(&in, 64);
	buf_init(&out, PROTO_ROOM);
	buf_add_text(&in, said);
	ck_assert_int_eq(proto_imap.input(s->client, &in, &out), PROTO_CREDENTIALS);
	buf_reset(&in);
	buf_reset(&out);
	s->credentials.method = METHOD_PLAIN;
	s->credentials.user = mem_strdup(user);
	s->credentials.pass = mem_strdup(pass);
	s->task = dialogue_task(&s->scene, s->client, &s->credentials);
}

static void
stage_reset(struct stage *s)
{
	credentials_reset(&s->credentials);
	proto_imap.client_free(&s->client);
}

START_TEST(a_login_ends_the_same_wherever_the_answers_are_cut)
{
	const char *answers = cases[_i].outcome != NULL ? cases[_i].answers : literal_answers;
	size_t len = cases[_i].outcome != NULL ? strlen(answers) : sizeof(literal_answers) - 1;
	struct stage s;

	stage_init(&s, cases[_i].user != NULL ? cases[_i].user : "alice",
	    cases[_i].pass != NULL ? cases[_i].pass : "secret");
	for (size_t cut = 0; cut <= len; cut++) {
		char *outcome = dialogue_login(&s.task, &proto_imap, answers, len, cut);

		if (cases[_i].outcome != NULL)
			ck_assert_str_eq(outcome, cases[_i].outcome);
		else
			ck_assert_str_eq(outcome, ONCE "{done * X {8}\r\na OK no\n {0}\r\n {3}\r\n");  /* and a NUL */
		mem_free(outcome);
	}
	stage_reset(&s);
}
END_TEST

/* What is said of a login while its answers come. */
static const struct {
	const char *user, *pass, *answers, *action;
	bool sent;
} moments[] = {
	{ "alice", "secret", "", "connecting to upstream", false },
	{ "alice", "secret", HELLO, "sending LOGIN command to upstream", true },
	{ "\xff", "secret", HELLO, "sending user name to upstream", false },
	{ "\xff", "\xff", HELLO "+ \r\n", "sending password to upstream", true },
	{ "\xff", "\xff", HELLO "+ \r\n+ \r\n", "sending LOGIN command to upstream", true },
	{ "\xff", "\xff", PLUS, "sending LOGIN command to upstream", true },
};

START_TEST(a_login_knows_what_it_does_and_whether_credentials_left)
{
	struct stage s;
	struct login *login;
	struct buf in, out;

	stage_init(&s, moments[_i].user, moments[_i].pass);
	login = proto_imap.login_new(&s.task);
	buf_init(&in, 4096);
	buf_init(&out, 4096);
	buf_add_text(&in, moments[_i].answers);
	ck_assert_int_eq(proto_imap.login_input(login, &in, &out), LOGIN_MORE);
	ck_assert_str_eq(login->action, moments[_i].action);
	ck_assert(login->credentials_sent == moments[_i].sent);
	buf_reset(&in);
	buf_reset(&out);
	proto_imap.login_free(&login);
	ck_assert_ptr_null(login);
	stage_reset(&s);
}
END_TEST

START_TEST(literal_minus_is_good_for_4096_bytes)
{
	for (size_t len = 4096; len <= 4097; len++) {
		char *pass = mem_alloc(len + 1), *outcome, expected[64];
		struct stage s;

		memset(pass, '\xff', len);
		stage_init(&s, "alice", pass);
		outcome = dialogue_login(&s.task, &proto_imap, MINUS, strlen(MINUS), 0);
		snprintf(expected, sizeof(expected), "a LOGIN \"alice\" {%zu%s}\r\n", len, len == 4096 ? "+" : "");
		ck_assert(strncmp(outcome, expected, strlen(expected)) == 0);
		ck_assert_str_eq(outcome + strlen(expected) + (len == 4096 ? len : 0),
		    len == 4096 ? "\r\n{more}" : "{more}");
		mem_free(outcome);
		mem_free(pass);
		stage_reset(&s);
	}
}
END_TEST

START_TEST(a_backend_cannot_say_more_than_proxy_buffer_holds)
{
	static const char *const leads[] = { "* OK ", HELLO "* ", HELLO "a NO ", HELLO };
	size_t len = 8192;
	char *answers = mem_alloc(len + 1), *outcome;
	struct stage s;

	stage_init(&s, "alice", "secret");
	memset(answers, 'x', len);
	memcpy(answers, leads[_i], strlen(leads[_i]));
	outcome = dialogue_login(&s.task, &proto_imap, answers, len, len / 4);
	ck_assert_ptr_nonnull(strstr(outcome, "{broken upstream sent too long response line: \""));
	mem_free(outcome);
	for (size_t i = strlen(HELLO); i + 4 <= len; i += 4)
		memcpy(answers + i, "* X\n", 4);
	memcpy(answers, HELLO, strlen(HELLO));
	outcome = dialogue_login(&s.task, &proto_imap, answers, len, len / 4);
	ck_assert_ptr_nonnull(strstr(outcome, "{broken upstream sent too long response line: \"* X\""));
	mem_free(outcome);
	mem_free(answers);
	stage_reset(&s);
}
END_TEST

START_TEST(a_queue_that_is_too_small_breaks_the_login)
{
	const char *greetings[] = { HELLO, PLUS, HELLO "+ \r\n" }, *users[] = { "alice", "\xff", "\xff" };

	for (size_t room = 0; room < 20; room++) {
		struct stage s;
		struct login *login;
		struct buf in, out;

		stage_init(&s, users[_i], "secret");
		login = proto_imap.login_new(&s.task);
		buf_init(&in, 4096);
		buf_init(&out, room);
		buf_add_text(&in, greetings[_i]);
		ck_assert_int_eq(proto_imap.login_input(login, &in, &out), LOGIN_BROKEN);
		ck_assert_str_eq(login->note, "user name or password is too long to be sent to upstream");
		buf_reset(&in);
		buf_reset(&out);
		proto_imap.login_free(&login);
		stage_reset(&s);
	}
}
END_TEST

Suite *
imap_login_suite(void)
{
	Suite *suite = suite_create("imap_login");
	TCase *tcase = tcase_create("imap_login");

	tcase_add_loop_test(tcase, a_login_ends_the_same_wherever_the_answers_are_cut, 0, UNIT_COUNT(cases));
	tcase_add_loop_test(tcase, a_login_knows_what_it_does_and_whether_credentials_left, 0, UNIT_COUNT(moments));
	tcase_add_test(tcase, literal_minus_is_good_for_4096_bytes);
	tcase_add_loop_test(tcase, a_backend_cannot_say_more_than_proxy_buffer_holds, 0, 4);
	tcase_add_loop_test(tcase, a_queue_that_is_too_small_breaks_the_login, 0, 3);
	suite_add_tcase(suite, tcase);
	return suite;
}
