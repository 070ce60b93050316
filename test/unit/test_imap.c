#include "worker/proto/imap.h"

#include <string.h>

#include "common/mem.h"
#include "test/unit/dialogue.h"
#include "test/unit/unit.h"

#define HELLO "* OK IMAP4 ready\r\n"
#define WRONG "NO [AUTHENTICATIONFAILED] Authentication failed.\r\n"
#define INVALID "BAD invalid command\r\n"

static const char *capabilities[] = { "IMAP4rev1", "sasl-ir", "IDLE", "LITERAL+", NULL };
static const struct refusal wrong = { .kind = REFUSAL_WRONG };

/* Every login is refused as wrong, so that a dialogue goes on behind it. */
static const struct {
	unsigned methods;       /* 0: PLAIN */
	const char *said, *heard;
} cases[] = {
	{ 0, "a CAPABILITY\r\n", "* CAPABILITY IMAP4rev1 IDLE LITERAL+ AUTH=PLAIN SASL-IR\r\na OK completed\r\n" },
	{ METHOD_EXTERNAL | METHOD_CRAM_MD5 | METHOD_LOGIN | METHOD_PLAIN, "a capability\n",
	    "* CAPABILITY IMAP4rev1 IDLE LITERAL+ AUTH=PLAIN AUTH=LOGIN AUTH=CRAM-MD5 SASL-IR\r\n"
	    "a OK completed\r\n" },
	{ METHOD_CRAM_MD5, "a CAPABILITY\r\n",
	    "* CAPABILITY IMAP4rev1 IDLE LITERAL+ AUTH=CRAM-MD5 SASL-IR LOGINDISABLED\r\na OK completed\r\n" },
	{ METHOD_OAUTHBEARER, "a CAPABILITY\r\n",
	    "* CAPABILITY IMAP4rev1 IDLE LITERAL+ AUTH=OAUTHBEARER SASL-IR LOGINDISABLED\r\na OK completed\r\n" },
	{ METHOD_LOGIN, "a CAPABILITY\r\n",
	    "* CAPABILITY IMAP4rev1 IDLE LITERAL+ AUTH=LOGIN SASL-IR\r\na OK completed\r\n" },
	{ 0, "a NOOP\r\nb:2 noop \r\nc  NOOP\r\nd LOGOUT\r\ne NOOP\r\n",
	    "a OK completed\r\nb:2 OK completed\r\nc OK completed\r\n* BYE\r\nd OK completed\r\n{close}" },
	{ 0,
	    "a ID NIL\r\nb ID (\"name\" \"x\")\r\nc ID (\"name\" {3}\r\na)b \"v\" NIL)\r\nd ID (\"n\" {2+}\r\nx\n)\r\n",
	    "* ID NIL\r\na OK completed\r\n* ID NIL\r\nb OK completed\r\n+ OK\r\n* ID NIL\r\nc OK completed\r\n"
	    "* ID NIL\r\nd OK completed\r\n" },
	{ 0, "a ID\r\nb ID (x (y))\r\n", "a " INVALID "b " INVALID },
	/* ENABLE is answered and not counted; six would be one error too many. */
	{ 0, "a ENABLE X\r\nb ENABLE X Y\r\nc ENABLE X\r\nd ENABLE X\r\ne ENABLE X\r\nf ENABLE X\r\n",
	    "a BAD ENABLE is possible only after login\r\nb BAD ENABLE is possible only after login\r\n"
	    "c BAD ENABLE is possible only after login\r\nd BAD ENABLE is possible only after login\r\n"
	    "e BAD ENABLE is possible only after login\r\nf BAD ENABLE is possible only after login\r\n" },
	{ 0, "a\r\n\r\na+b NOOP\r\n* NOOP\r\nb STARTTLS\r\n",
	    "* " INVALID "* " INVALID "* " INVALID "* " INVALID "b " INVALID },
	{ 0, "a SELECT x\r\nb X\r\nc X\r\nd X\r\ne X\r\nf X\r\ng NOOP\r\n",
	    "a " INVALID "b " INVALID "c " INVALID "d " INVALID "e " INVALID "{close}" },
	{ 0, "a NOOP x\r\nb CAPABILITY x\r\n", "a " INVALID "b " INVALID },
	/* LOGIN */
	{ 0, "a LOGIN alice secret\r\n", "{plain alice secret}a " WRONG },
	{ METHOD_LOGIN, "a login \"al ice\" \"se\\\"c\\\\ret\"\r\nb NOOP\r\n",
	    "{plain al ice se\"c\\ret}a " WRONG "b OK completed\r\n" },
	{ 0, "a LOGIN {5}\r\nalice {6}\r\nsecret\r\n", "+ OK\r\n+ OK\r\n{plain alice secret}a " WRONG },
	{ 0, "a LOGIN {5+}\r\nalice {6+}\r\nsecret\r\n", "{plain alice secret}a " WRONG },
	{ 0, "a LOGIN alice {6+}\r\ns c\xff{}\r\n", "{plain alice s c\xff{}}a " WRONG },
	{ 0, "a LOGIN alice {0}\r\n\r\n", "+ OK\r\n{plain alice }a " WRONG },
	{ 0, "a LOGIN alice \"\"\r\n", "{plain alice }a " WRONG },
	{ 0, "a LOGIN alice secret\r\nb LOGIN alice secret2\r\n",
	    "{plain alice secret}a " WRONG "{plain alice secret2}b " WRONG },
	{ 0, "a LOGIN alice\r\nb LOGIN\r\nc LOGIN a b c\r\nd LOGIN \"a\"\"b\"\r\ne LOGIN (a) b\r\n",
	    "a " INVALID "b " INVALID "c " INVALID "d " INVALID "e " INVALID },
	/* Bare words that are no atoms, as long as nothing in them could begin something else. */
	{ 0, "a LOGIN dom\\joe*master p%(]s\xc3\xa9)\r\n", "{plain dom\\joe*master p%(]s\xc3\xa9)}a " WRONG },
	{ 0, "a LOGIN joe x{8\r\nb LOGIN joe x\"y\r\nc LOGIN joe x\x7f\r\nd LOGIN joe x{8}\r\ne NOOP\r\n",
	    "a " INVALID "b " INVALID "c " INVALID "d " INVALID "e OK completed\r\n" },
	{ 0, "a LOGIN joe x{8+}\r\nb LOGOUT\r\n", "a " INVALID "{close}" },
	{ 0, "a LOGIN \"\" secret\r\nb LOGIN {0+}\r\n secret\r\n",
	    "a BAD invalid credentials\r\nb BAD invalid credentials\r\n" },
	{ 0, "a LOGIN {3+}\r\na\nb x\r\nb LOGIN a {3+}\r\na\rb\r\nc NOOP\r\n",
	    "a BAD invalid credentials\r\nb BAD invalid credentials\r\nc OK completed\r\n" },
	{ METHOD_CRAM_MD5, "a LOGIN alice secret\r\n", "a " INVALID },
	/* A refused literal that comes unasked ends the session: it is not to be run. */
	{ 0, "a SELECT {8+}\r\nb LOGOUT\r\n", "a " INVALID "{close}" },
	{ 0, "a SELECT ~{8+}\r\nb LOGOUT\r\n", "a " INVALID "{close}" },
	{ 0, "SELECT{8+}\r\nb LOGOUT\r\n", "* " INVALID "{close}" },
	{ 0, "a LOGIN alice b {8+}\r\nb LOGOUT\r\n", "a " INVALID "{close}" },
	{ 0, "a LOGIN {1+}\r\nx {1+}\r\ny {8+}\r\nb LOGOUT\r\n", "a " INVALID "{close}" },
	{ 0, "a LOGIN \"alice {8+}\r\nb LOGOUT\r\n", "a " INVALID "{close}" },
	{ 0, "a AUTHENTICATE PLAIN\r\nb LOGIN {8+}\r\nb LOGOUT\r\n", "+ \r\na " INVALID "{close}" },
	{ 0, "a SELECT {18446744073709551617+}\r\nb LOGOUT\r\n", "a " INVALID "{close}" },
	{ 0, "a LOGIN {18446744073709551617+}\r\nb LOGOUT\r\n", "a " INVALID "{close}" },
	/* The client waits for its invitation and does not send what was refused. */
	{ 0, "a SELECT {8}\r\nb NOOP\r\n", "a " INVALID "b OK completed\r\n" },
	{ 0, "a LOGIN {3}x\r\nb NOOP\r\n", "a " INVALID "b OK completed\r\n" },
	/* AUTHENTICATE */
	{ 0, "a AUTHENTICATE PLAIN\r\nAGFsaWNlAHNlY3JldA==\r\nb NOOP\r\n",
	    "+ \r\n{plain alice secret}a " WRONG "b OK completed\r\n" },
	{ 0, "a authenticate plain AGFsaWNlAHNlY3JldA==\r\n", "{plain alice secret}a " WRONG },
	{ 0, "a AUTHENTICATE LOGIN\r\nYWxpY2U=\r\nc2VjcmV0\r\n",
	    "+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n{plain alice secret}a " WRONG },
	{ METHOD_CRAM_MD5, "a AUTHENTICATE CRAM-MD5\r\nSm9obiBEb2UgMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlBQkNERUY=\r\n",
	    "+ PDEuMkBteC5leGFtcGxlPg==\r\n{cram-md5 John Doe 0123456789abcdef0123456789ABCDEF}a " WRONG },
	{ METHOD_EXTERNAL, "a AUTHENTICATE EXTERNAL\r\nYWxpY2U=\r\n",
	    "a NO [AUTHENTICATIONFAILED] No valid client certificate.\r\n* " INVALID },
	{ 0, "a AUTHENTICATE EXTERNAL YWxpY2U=\r\nb AUTHENTICATE CRAM-MD5\r\nc AUTHENTICATE X\r\nd AUTHENTICATE\r\n",
	    "a " INVALID "b " INVALID "c " INVALID "d " INVALID },
	{ METHOD_CRAM_MD5, "a AUTHENTICATE PLAIN\r\nb AUTHENTICATE LOGIN\r\n", "a " INVALID "b " INVALID },
	{ 0, "a AUTHENTICATE PLAIN\r\n*\r\nb NOOP\r\n", "+ \r\na BAD authentication cancelled\r\nb OK completed\r\n" },
	{ 0, "a AUTHENTICATE PLAIN =\r\nb AUTHENTICATE PLAIN !\r\nc AUTHENTICATE PLAIN x y\r\n"
	    "d AUTHENTICATE PLAIN\r\n\r\n",
	    "a " INVALID "b " INVALID "c " INVALID "+ \r\nd " INVALID },
	{ 0, "a AUTHENTICATE PLAIN AGFsaQ1jZQBzZWNyZXQ=\r\n", "a BAD invalid credentials\r\n" },
};

static void
set_scene(struct scene *scene, unsigned methods)
{
	scene_init(scene, PROTOCOL_IMAP, methods != 0 ? methods : METHOD_PLAIN, capabilities);
}

START_TEST(a_dialogue_is_the_same_wherever_it_is_cut)
{
	size_t len = strlen(cases[_i].said), greeting = strlen(HELLO);
	struct scene scene;

	set_scene(&scene, cases[_i].methods);
	for (size_t cut = 0; cut <= len; cut++) {
		char *heard = dialogue_client(&proto_imap, &scene, cases[_i].said, len, cut, &wrong, NULL);

		ck_assert(strncmp(heard, HELLO, greeting) == 0);
		ck_assert_str_eq(heard + greeting, cases[_i].heard);
		mem_free(heard);
	}
}
END_TEST

static const struct {
	struct refusal why;
	const char *heard;
} refusals[] = {
	{ { .kind = REFUSAL_WRONG }, WRONG "b OK completed\r\n" },
	{ { .kind = REFUSAL_WRONG, .close = true }, WRONG "{close}" },
	{ { .kind = REFUSAL_SOURCE, .text = "Go away" }, "NO Go away\r\nb OK completed\r\n" },
	{ { .kind = REFUSAL_SOURCE, .text = "[ALERT] caf\xc3\xa9\t\x7f\r\na OK in" },
	    "NO [ALERT] caf\xc3\xa9\r\nb OK completed\r\n" },
	/* Only a backend's words have the tag already. */
	{ { .kind = REFUSAL_SOURCE, .text = "a user is unknown" }, "NO a user is unknown\r\nb OK completed\r\n" },
	{ { .kind = REFUSAL_SOURCE, .text = "" }, WRONG "b OK completed\r\n" },
	{ { .kind = REFUSAL_SOURCE, .text = "x", .close = true }, "NO x\r\n{close}" },
	{ { .kind = REFUSAL_BACKEND }, WRONG "b OK completed\r\n" },
	{ { .kind = REFUSAL_BACKEND, .text = "a NO [LIMIT] Slow down\r\n" },
	    "NO [LIMIT] Slow down\r\nb OK completed\r\n" },
	{ { .kind = REFUSAL_UNAVAILABLE },
	    "NO [UNAVAILABLE] Temporary failure, try again later.\r\nb OK completed\r\n" },
	{ { .kind = REFUSAL_LIMITED }, "NO [LIMIT] Too many failed logins\r\nb OK completed\r\n" },
	{ { .kind = REFUSAL_CROWDED }, "NO [UNAVAILABLE] Too many connections\r\nb OK completed\r\n" },
	{ { .kind = REFUSAL_ELSEWHERE }, "NO [UNAVAILABLE] Temporary failure, try again later.\r\nb OK completed\r\n" },
};

START_TEST(a_refusal_says_why_and_the_dialogue_goes_on)
{
	const char *said = "a LOGIN u p\r\nb NOOP\r\n", *before = HELLO "{plain u p}a ";
	struct scene scene;
	char *heard;

	set_scene(&scene, 0);
	heard = dialogue_client(&proto_imap, &scene, said, strlen(said), 0, &refusals[_i].why, NULL);
	ck_assert(strncmp(heard, before, strlen(before)) == 0);
	ck_assert_str_eq(heard + strlen(before), refusals[_i].heard);
	mem_free(heard);
}
END_TEST

START_TEST(the_backend_has_the_last_word_of_a_login)
{
	const char *said = "a LOGIN u p\r\nb NOOP\r\n", *reply = "* CAPABILITY X\r\na OK [CAPABILITY Y] in\r\n";
	struct scene scene;
	char *heard;

	set_scene(&scene, 0);
	heard = dialogue_client(&proto_imap, &scene, said, strlen(said), 0, NULL, reply);
	ck_assert_str_eq(heard, HELLO "{plain u p}* CAPABILITY X\r\na OK [CAPABILITY Y] in\r\n");
	mem_free(heard);
}
END_TEST

/* Feeds all of `said` and returns the last verdict; the answers are thrown away. */
static enum proto_verdict
feed(struct client *client, const char *said, size_t len)
{
	enum proto_verdict verdict;
	struct buf in, out;

	buf_init(&in, 2 * len + 1);
	buf_init(&out, 2 * PROTO_ROOM);
	buf_add(&in, said, len);
	while ((verdict = client->proto->input(client, &in, &out)) == PROTO_AGAIN)
		buf_take(&out, out.len);
	buf_reset(&in);
	buf_reset(&out);
	return verdict;
}

/* What is said is `lead` and then x without end. */
static const struct {
	const char *lead, *note;
} longs[] = {
	{ "a NOOP ", "client sent too long command \"a NOOP...\"" },
	{ "a LOGIN alice ", "client sent too long command \"a LOGIN...\"" },
	{ "a LOGIN {9999+}\r\n", "client sent too long command \"a LOGIN...\"" },
	{ "a LOGIN {9999}\r\n", "client sent too long command \"a LOGIN...\"" },
	{ "a LOGN alice ", "client sent too long command \"a ...\"" },
	{ "a secret", "client sent too long command \"a ...\"" },
	{ "LOGIN alice ", "client sent too long command \"LOGIN ...\"" },
	{ "secret", "client sent too long command \"* ...\"" },
	{ "", "client sent too long command \"* ...\"" },
	{ "a AUTHENTICATE PLAIN\r\n", "client sent too long command \"a AUTHENTICATE...\"" },
	{ "a AUTHENTICATE PLAIN ", "client sent too long command \"a AUTHENTICATE...\"" },
	{ "a ID (", "client sent too long command \"a ID...\"" },
};

START_TEST(a_command_that_is_too_long_is_noted_without_its_arguments)
{
	char said[5000];
	struct scene scene;
	struct client *client;

	set_scene(&scene, 0);
	client = proto_imap.client_new(&scene.facts);
	memset(said, 'x', sizeof(said));
	memcpy(said, longs[_i].lead, strlen(longs[_i].lead));
	ck_assert_int_eq(feed(client, said, sizeof(said)), PROTO_CLOSE);
	ck_assert_str_eq(client->note, longs[_i].note);
	proto_imap.client_free(&client);
	ck_assert_ptr_null(client);
}
END_TEST

START_TEST(a_command_may_fill_the_buffer_and_no_more)
{
	for (int over = 0; over < 2; over++) {
		struct scene scene;
		struct client *client;
		const char *said = "a LOGIN {2+}\r\nab cd\r\n";

		set_scene(&scene, 0);
		scene.server.protocols[PROTOCOL_IMAP].client_buffer = strlen(said) - (size_t)over;
		client = proto_imap.client_new(&scene.facts);
		ck_assert_int_eq(feed(client, said, strlen(said)), over ? PROTO_CLOSE : PROTO_CREDENTIALS);
		proto_imap.client_free(&client);
	}
}
END_TEST

START_TEST(commands_have_a_limit_and_cancelled_exchanges_count)
{
	const char *round = "a AUTHENTICATE PLAIN\r\n*\r\n";
	struct scene scene;
	struct client *client;

	set_scene(&scene, 0);
	client = proto_imap.client_new(&scene.facts);
	for (unsigned i = 0; i < scene.server.max_commands; i++)
		ck_assert_int_eq(feed(client, round, strlen(round)), PROTO_MORE);
	ck_assert_int_eq(feed(client, round, strlen(round)), PROTO_CLOSE);
	ck_assert_str_eq(client->note, "client sent too many commands");
	proto_imap.client_free(&client);
}
END_TEST

START_TEST(what_was_said_before_tls_is_forgotten)
{
	const char *before = "a AUTHENTICATE LOGIN\r\nYWxpY2U=\r\n", *after = "b NOOP\r\n";
	struct scene scene;
	struct client *client;

	set_scene(&scene, 0);
	client = proto_imap.client_new(&scene.facts);
	ck_assert_int_eq(feed(client, before, strlen(before)), PROTO_MORE);
	ck_assert_ptr_nonnull(client->credentials.user);
	proto_imap.secured(client);
	ck_assert_ptr_null(client->credentials.user);
	ck_assert_int_eq(feed(client, after, strlen(after)), PROTO_MORE);
	ck_assert_uint_eq(client->errors, 0);
	proto_imap.client_free(&client);
}
END_TEST

START_TEST(every_goodbye_is_one_bye_line)
{
	static const enum goodbye reasons[] = { GOODBYE_TIMEOUT, GOODBYE_SHUTDOWN, GOODBYE_FAILED, GOODBYE_DENIED,
	    GOODBYE_CROWDED };
	struct buf out;

	for (int i = 0; i < UNIT_COUNT(reasons); i++) {
		buf_init(&out, PROTO_ROOM);
		proto_imap.goodbye(reasons[i], "mx.example", &out);
		ck_assert(out.len > 8 && memcmp(buf_head(&out), "* BYE ", 6) == 0);
		ck_assert_ptr_eq(memchr(buf_head(&out), '\n', out.len), buf_head(&out) + out.len - 1);
		buf_reset(&out);
	}
}
END_TEST

START_TEST(capabilities_that_do_not_fit_close_the_session)
{
	static char word[PROTO_ROOM];
	const char *words[] = { word, NULL }, *said = "a CAPABILITY\r\n";
	struct scene scene;
	struct client *client;
	struct buf in, out;

	memset(word, 'x', sizeof(word) - 1);
	set_scene(&scene, 0);
	scene.server.protocols[PROTOCOL_IMAP].capabilities = words;
	client = proto_imap.client_new(&scene.facts);
	buf_init(&in, 64);
	buf_init(&out, PROTO_ROOM);
	buf_add_text(&in, said);
	ck_assert_int_eq(proto_imap.input(client, &in, &out), PROTO_CLOSE);
	ck_assert_str_eq(client->note, "\"imap_capabilities\" do not fit into an answer");
	buf_reset(&in);
	buf_reset(&out);
	proto_imap.client_free(&client);
}
END_TEST

Suite *
imap_suite(void)
{
	Suite *suite = suite_create("imap");
	TCase *tcase = tcase_create("imap");

	tcase_add_loop_test(tcase, a_dialogue_is_the_same_wherever_it_is_cut, 0, UNIT_COUNT(cases));
	tcase_add_loop_test(tcase, a_refusal_says_why_and_the_dialogue_goes_on, 0, UNIT_COUNT(refusals));
	tcase_add_test(tcase, the_backend_has_the_last_word_of_a_login);
	tcase_add_loop_test(tcase, a_command_that_is_too_long_is_noted_without_its_arguments, 0, UNIT_COUNT(longs));
	tcase_add_test(tcase, a_command_may_fill_the_buffer_and_no_more);
	tcase_add_test(tcase, commands_have_a_limit_and_cancelled_exchanges_count);
	tcase_add_test(tcase, what_was_said_before_tls_is_forgotten);
	tcase_add_test(tcase, every_goodbye_is_one_bye_line);
	tcase_add_test(tcase, capabilities_that_do_not_fit_close_the_session);
	suite_add_tcase(suite, tcase);
	return suite;
}
