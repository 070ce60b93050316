#include "worker/proto/pop3.h"

#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "test/unit/dialogue.h"
#include "test/unit/unit.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

#define HELLO "+OK POP3 ready\r\n"
#define SALTED "+OK POP3 ready <1.2@mx.example>\r\n"
#define INVALID "-ERR invalid command\r\n"
#define WRONG "-ERR [AUTH] Authentication failed\r\n"
#define DIGEST "0123456789abcdef0123456789ABCDEF"

static const char *capabilities[] = { "TOP", "USER", "UIDL", NULL };
static const char *with_codes[] = { "resp-codes", "AUTH-RESP-CODE", NULL };
static const struct refusal wrong = { .kind = REFUSAL_WRONG };

static const struct {
	unsigned methods;
	const char *said, *heard;
} cases[] = {
	{ METHOD_PLAIN, "", HELLO },
	{ METHOD_PLAIN | METHOD_APOP, "", SALTED },
	{ METHOD_CRAM_MD5, "", SALTED },
	/* USER and PASS */
	{ METHOD_PLAIN, "USER joe\r\nPASS secret\r\n", HELLO "+OK\r\n{plain joe secret}" WRONG },
	{ METHOD_PLAIN, "user joe\npass secret\nQUIT\n", HELLO "+OK\r\n{plain joe secret}" WRONG "+OK\r\n{close}" },
	{ METHOD_PLAIN, "USER joe doe \r\nPASS  a b \r\n", HELLO "+OK\r\n{plain joe doe   a b }" WRONG },
	{ METHOD_LOGIN, "USER joe\r\nPASS \xc3\xa4%\"\\\r\n", HELLO "+OK\r\n{plain joe \xc3\xa4%\"\\}" WRONG },
	{ METHOD_PLAIN, "USER a\r\nNOOP\r\nUSER b\r\nPASS c\r\n", HELLO "+OK\r\n+OK\r\n+OK\r\n{plain b c}" WRONG },
	{ METHOD_PLAIN, "USER a\r\nPASS b\r\nPASS c\r\n", HELLO "+OK\r\n{plain a b}" WRONG INVALID },
	{ METHOD_PLAIN, "USER a\r\nFOO\r\nPASS c\r\n", HELLO "+OK\r\n" INVALID INVALID },
	{ METHOD_PLAIN, "PASS secret\r\n", HELLO INVALID },
	{ METHOD_PLAIN, "USER\r\nUSER \r\nPASS\r\nUSERx y\r\n", HELLO INVALID INVALID INVALID INVALID },
	{ METHOD_PLAIN, "USER joe\r\nPASS \r\n", HELLO "+OK\r\n" INVALID },
	{ METHOD_CRAM_MD5, "USER joe\r\n", SALTED INVALID },
	/* AUTH */
	{ METHOD_PLAIN, "AUTH\r\n", HELLO "+OK methods supported:\r\nPLAIN\r\nLOGIN\r\n.\r\n" },
	{ METHOD_APOP | METHOD_CRAM_MD5 | METHOD_EXTERNAL, "AUTH\r\n",
	    SALTED "+OK methods supported:\r\nCRAM-MD5\r\n.\r\n" },
	{ METHOD_PLAIN, "AUTH PLAIN\r\nAGpvZQBzZWNyZXQ=\r\n", HELLO "+ \r\n{plain joe secret}" WRONG },
	{ METHOD_PLAIN, "auth plain AGpvZQBzZWNyZXQ=\r\n", HELLO "{plain joe secret}" WRONG },
	{ METHOD_PLAIN, "AUTH LOGIN\r\nam9l\r\nc2VjcmV0\r\n",
	    HELLO "+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n{plain joe secret}" WRONG },
	{ METHOD_CRAM_MD5, "AUTH CRAM-MD5\r\nam9lIDAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5QUJDREVG\r\n",
	    SALTED "+ PDEuMkBteC5leGFtcGxlPg==\r\n{cram-md5 joe " DIGEST "}" WRONG },
	{ METHOD_EXTERNAL, "AUTH EXTERNAL\r\nam9l\r\n", HELLO "-ERR [AUTH] No valid client certificate\r\n" INVALID },
	{ METHOD_PLAIN, "AUTH PLAIN\r\n*\r\nNOOP\r\n", HELLO "+ \r\n-ERR authentication cancelled\r\n+OK\r\n" },
	{ METHOD_PLAIN, "AUTH PLAIN\r\n!\r\nNOOP\r\n", HELLO "+ \r\n" INVALID "+OK\r\n" },
	{ METHOD_PLAIN, "AUTH PLAIN AGpvZQBhDQpi\r\n", HELLO "-ERR invalid credentials\r\n" },
	{ METHOD_PLAIN, "AUTH PLAIN AGpvZQBzZWNyZXQ= x\r\n", HELLO INVALID },
	{ METHOD_PLAIN, "AUTH CRAM-MD5\r\n", HELLO INVALID },
	{ METHOD_PLAIN, "AUTH EXTERNAL =\r\n", HELLO INVALID },
	{ METHOD_PLAIN, "USER a\r\nAUTH PLAIN\r\n*\r\nPASS c\r\n",
	    HELLO "+OK\r\n+ \r\n-ERR authentication cancelled\r\n" INVALID },
	/* APOP */
	{ METHOD_APOP, "APOP joe " DIGEST "\r\n", SALTED "{apop joe " DIGEST "}" WRONG },
	{ METHOD_APOP, "APOP joe doe " DIGEST "\r\n", SALTED "{apop joe doe " DIGEST "}" WRONG },
	{ METHOD_APOP, "APOP " DIGEST "\r\nAPOP joe 12\r\nAPOP\r\n", SALTED INVALID INVALID INVALID },
	{ METHOD_APOP, "APOP joe g123456789abcdef0123456789abcdef\r\n", SALTED INVALID },
	{ METHOD_PLAIN, "APOP joe " DIGEST "\r\n", HELLO INVALID },
	/* CAPA */
	{ METHOD_PLAIN, "CAPA\r\n", HELLO "+OK Capability list follows\r\nTOP\r\nUSER\r\nUIDL\r\nRESP-CODES\r\n"
	    "AUTH-RESP-CODE\r\nSASL PLAIN LOGIN\r\n.\r\n" },
	{ METHOD_APOP, "CAPA\r\n", SALTED "+OK Capability list follows\r\nTOP\r\nUIDL\r\nRESP-CODES\r\n"
	    "AUTH-RESP-CODE\r\n.\r\n" },
	/* the rest */
	{ METHOD_PLAIN, "QUIT\r\nNOOP\r\n", HELLO "+OK\r\n{close}" },
	{ METHOD_PLAIN, "STLS\r\n", HELLO INVALID },
	{ METHOD_PLAIN, "NO\rOP\r\nNOOP\r\n", HELLO INVALID "+OK\r\n" },
	{ METHOD_PLAIN, "\r\n\n", HELLO INVALID INVALID },
	{ METHOD_PLAIN, "1\n2\n3\n4\n5\n6\n7\n", HELLO INVALID INVALID INVALID INVALID INVALID "{close}" },
};

START_TEST(a_dialogue_is_the_same_however_it_is_cut)
{
	size_t len = strlen(cases[_i].said);
	struct scene scene;

	scene_init(&scene, PROTOCOL_POP3, cases[_i].methods, capabilities);
	for (size_t cut = 0; cut <= len; cut++) {
		char *heard = dialogue_client(&proto_pop3, &scene, cases[_i].said, len, cut, &wrong, NULL);

		ck_assert_str_eq(heard, cases[_i].heard);
		mem_free(heard);
	}
}
END_TEST

START_TEST(nul_is_refused)
{
	char *heard;
	struct scene scene;

	scene_init(&scene, PROTOCOL_POP3, METHOD_PLAIN, capabilities);
	heard = dialogue_client(&proto_pop3, &scene, "USER j\0oe\r\nNOOP\r\n", 17, 3, &wrong, NULL);
	ck_assert_str_eq(heard, HELLO INVALID "+OK\r\n");
	mem_free(heard);
}
END_TEST

START_TEST(configured_codes_are_not_repeated)
{
	struct scene scene;
	char *heard;

	scene_init(&scene, PROTOCOL_POP3, METHOD_PLAIN, with_codes);
	heard = dialogue_client(&proto_pop3, &scene, "CAPA\r\n", 6, 0, &wrong, NULL);
	ck_assert_str_eq(heard,
	    HELLO "+OK Capability list follows\r\nresp-codes\r\nAUTH-RESP-CODE\r\nSASL PLAIN LOGIN\r\n.\r\n");
	mem_free(heard);
}
END_TEST

static const struct {
	struct refusal why;
	const char *heard;
} refusals[] = {
	{ { REFUSAL_SOURCE, "go away", NULL, true, NULL, false }, "-ERR go away\r\n{close}" },
	{ { REFUSAL_SOURCE, "go away", NULL, false, NULL, false }, "-ERR go away\r\n" },
	{ { REFUSAL_WRONG, NULL, NULL, true, NULL, false }, WRONG "{close}" },
	{ { REFUSAL_BACKEND, "-ERR [AUTH] no", NULL, false, NULL, false }, "-ERR [AUTH] no\r\n" },
	{ { REFUSAL_BACKEND, NULL, NULL, false, NULL, false }, WRONG },
	{ { REFUSAL_BACKEND, "", NULL, false, NULL, false }, WRONG },
	{ { REFUSAL_UNAVAILABLE, NULL, NULL, false, NULL, false },
	    "-ERR [SYS/TEMP] Temporary failure, try again later\r\n" },
	{ { REFUSAL_LIMITED, NULL, NULL, false, NULL, false }, "-ERR [SYS/TEMP] Too many failed logins\r\n" },
	{ { REFUSAL_CROWDED, NULL, NULL, false, NULL, false }, "-ERR [SYS/TEMP] Too many connections\r\n" },
	{ { REFUSAL_UNAVAILABLE, "Too many", NULL, false, NULL, false }, "-ERR [SYS/TEMP] Too many\r\n" },
};

START_TEST(a_refusal_is_put_into_pop3_words)
{
	struct scene scene;
	char *heard, *expected;

	scene_init(&scene, PROTOCOL_POP3, METHOD_PLAIN, capabilities);
	heard = dialogue_client(&proto_pop3, &scene, "USER a\r\nPASS b\r\n", 16, 0, &refusals[_i].why, NULL);
	expected = mem_printf("%s%s", HELLO "+OK\r\n{plain a b}", refusals[_i].heard);
	ck_assert_str_eq(heard, expected);
	mem_free(expected);
	mem_free(heard);
}
END_TEST

START_TEST(the_backends_last_line_goes_to_the_client)
{
	struct scene scene;
	char *heard;

	scene_init(&scene, PROTOCOL_POP3, METHOD_PLAIN, capabilities);
	heard = dialogue_client(&proto_pop3, &scene, "USER a\r\nPASS b\r\nSTAT\r\n", 22, 0, NULL, "+OK 3 messages\r\n");
	ck_assert_str_eq(heard, HELLO "+OK\r\n{plain a b}+OK 3 messages\r\n");
	mem_free(heard);
}
END_TEST

START_TEST(the_buffer_bounds_a_line_and_no_password_is_noted)
{
	static const struct {
		const char *said, *note;
	} long_ones[] = {
		{ "USER a\r\nPASS secretsecret", "client sent too long command \"PASS...\"" },
		{ "secretsecretsecretsecret", "client sent too long command \"...\"" },
		{ "AUTH LOGIN\r\nsecretsecretsecret", "client sent too long command \"...\"" },
	};

	for (int i = 0; i < COUNT(long_ones); i++) {
		struct scene scene;
		struct client *client;
		struct buf in, out;
		enum proto_verdict verdict;

		scene_init(&scene, PROTOCOL_POP3, METHOD_PLAIN, capabilities);
		scene.server.protocols[PROTOCOL_POP3].client_buffer = 16;
		client = proto_pop3.client_new(&scene.facts);
		buf_init(&in, 256);
		buf_init(&out, PROTO_ROOM);
		buf_add_text(&in, long_ones[i].said);
		while ((verdict = proto_pop3.input(client, &in, &out)) == PROTO_AGAIN)
			;
		ck_assert_int_eq(verdict, PROTO_CLOSE);
		ck_assert_str_eq(client->note, long_ones[i].note);
		proto_pop3.client_free(&client);
		buf_reset(&in);
		buf_reset(&out);
	}
}
END_TEST

START_TEST(tls_makes_the_user_forgotten)
{
	struct scene scene;
	struct client *client;
	struct buf in, out;

	scene_init(&scene, PROTOCOL_POP3, METHOD_PLAIN, capabilities);
	client = proto_pop3.client_new(&scene.facts);
	buf_init(&in, 256);
	buf_init(&out, PROTO_ROOM);
	buf_add_text(&in, "USER a\r\n");
	ck_assert_int_eq(proto_pop3.input(client, &in, &out), PROTO_AGAIN);
	proto_pop3.secured(client);
	buf_add_text(&in, "PASS b\r\n");
	ck_assert_int_eq(proto_pop3.input(client, &in, &out), PROTO_AGAIN);
	ck_assert_mem_eq(buf_head(&out), "+OK\r\n" INVALID, strlen("+OK\r\n" INVALID));
	proto_pop3.client_free(&client);
	buf_reset(&in);
	buf_reset(&out);
}
END_TEST

static const struct {
	const char *user, *pass, *answers, *sent;
} logins[] = {
	{ "joe", "a b", "+OK\r\n+OK\r\n+OK in\r\n", "USER joe\r\nPASS a b\r\n{done +OK in\r\n}" },
	{ "joe", "b", "+OK hello\n+OK user\n+OK\n* left", "USER joe\r\nPASS b\r\n{done +OK\n}* left" },
	{ "joe", "b", "+OK\r\n", "USER joe\r\n{more}" },
	{ "joe", "b", "-ERR busy\r\n", "{unavailable -ERR busy\r\n}" },
	{ "joe", "b", "+OK\r\n-ERR who\r\n", "USER joe\r\n{refused -ERR who\r\n}" },
	{ "joe", "b", "+OK\r\n+OK\r\n-ERR [AUTH] no\r\n", "USER joe\r\nPASS b\r\n{refused -ERR [AUTH] no\r\n}" },
	{ "joe", "b", "+OK\r\n+OK\r\n-ERR [IN-USE] no\r\n",
	    "USER joe\r\nPASS b\r\n{unavailable -ERR [IN-USE] no\r\n}" },
	{ "joe", "b", "+OK\r\n+OK\r\n-ERR [sys/temp] no\r\n",
	    "USER joe\r\nPASS b\r\n{unavailable -ERR [sys/temp] no\r\n}" },
	{ "joe", "b", "+OK\r\n+OK\r\n-ERR no [SYS/TEMP]\r\n",
	    "USER joe\r\nPASS b\r\n{refused -ERR no [SYS/TEMP]\r\n}" },
	{ "joe", "b", "* OK IMAP\r\n", "{broken upstream sent invalid response: \"* OK IMAP\"}" },
	{ "joe", "b", "\r\n", "{broken upstream sent invalid response: \"\"}" },
	{ "joe", "b", "+OK\rx\r\n", "{broken upstream sent invalid response: \"+OK\\x0Dx\"}+OK\rx\r\n" },
	{ "joe", NULL, "+OK\r\n", "{refused }" },
	{ "joe\r\nDELE 1", "b", "+OK\r\n", "{refused }" },
	{ "joe", "b\nDELE 1", "+OK\r\n", "{refused }" },
	{ "", "b", "+OK\r\n", "{refused }" },
};

START_TEST(a_login_is_the_same_however_the_answers_are_cut)
{
	size_t len = strlen(logins[_i].answers);
	struct credentials credentials = { METHOD_PLAIN, .user = mem_strdup(logins[_i].user),
		.pass = mem_strdup(logins[_i].pass) };
	struct scene scene;
	struct login_task task = dialogue_task(&scene, NULL, &credentials);

	scene_init(&scene, PROTOCOL_POP3, METHOD_PLAIN, capabilities);
	for (size_t cut = 0; cut <= len; cut++) {
		char *sent = dialogue_login(&task, &proto_pop3, logins[_i].answers, len, cut);

		ck_assert_str_eq(sent, logins[_i].sent);
		mem_free(sent);
	}
	credentials_reset(&credentials);
}
END_TEST

START_TEST(a_backends_line_is_bounded)
{
	struct credentials credentials = { METHOD_PLAIN, .user = mem_strdup("joe"), .pass = mem_strdup("b") };
	struct scene scene;
	struct login_task task = dialogue_task(&scene, NULL, &credentials);
	char *sent;

	scene_init(&scene, PROTOCOL_POP3, METHOD_PLAIN, capabilities);
	scene.server.proxy_buffer = 8;
	sent = dialogue_login(&task, &proto_pop3, "+OK 45678", 9, 0);
	ck_assert_str_eq(sent, "{broken upstream sent too long response line: \"+OK 4567\"}+OK 45678");
	mem_free(sent);
	credentials_reset(&credentials);
}
END_TEST

Suite *
pop3_suite(void)
{
	Suite *suite = suite_create("pop3");
	TCase *tcase = tcase_create("pop3");

	tcase_add_loop_test(tcase, a_dialogue_is_the_same_however_it_is_cut, 0, COUNT(cases));
	tcase_add_test(tcase, nul_is_refused);
	tcase_add_test(tcase, configured_codes_are_not_repeated);
	tcase_add_loop_test(tcase, a_refusal_is_put_into_pop3_words, 0, COUNT(refusals));
	tcase_add_test(tcase, the_backends_last_line_goes_to_the_client);
	tcase_add_test(tcase, the_buffer_bounds_a_line_and_no_password_is_noted);
	tcase_add_test(tcase, tls_makes_the_user_forgotten);
	tcase_add_loop_test(tcase, a_login_is_the_same_however_the_answers_are_cut, 0, COUNT(logins));
	tcase_add_test(tcase, a_backends_line_is_bounded);
	suite_add_tcase(suite, tcase);
	return suite;
}
