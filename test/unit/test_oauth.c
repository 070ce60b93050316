/* XOAUTH2 and OAUTHBEARER in the client half of every protocol, and how a refused token ends. */
#include <string.h>

#include "common/mem.h"
#include "test/unit/dialogue.h"
#include "test/unit/unit.h"
#include "worker/proto/imap.h"
#include "worker/proto/pop3.h"
#include "worker/proto/smtp.h"
#include "worker/proto/smtp_words.h"

#define X_JOE "dXNlcj1qb2UBYXV0aD1CZWFyZXIgdG9rAQE="     /* joe with the token "tok" */
#define O_JOE "bixhPWpvZSwBYXV0aD1CZWFyZXIgdG9rAQE="
#define O_ANY "biwsAWF1dGg9QmVhcmVyIHRvawEB"             /* the same, and nobody named */
#define X_LINES "dXNlcj1qCm9lAWF1dGg9QmVhcmVyIHQBAQ=="         /* a line end in the name */
#define X_COMMA "dXNlcj1qb2UBYXV0aD1CZWFyZXIgdCxrAQE="         /* a comma in the token */
#define X_SHORT "dXNlcj1qb2U="
#define X_ERROR "eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIn0="     /* {"status":"401","schemes":"bearer"} */
#define O_ERROR "eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NoZW1lcyI6ImJlYXJlciJ9"       /* as RFC 7628 has it */

#define IMAP_HELLO "* OK IMAP4 ready\r\n"
#define IMAP_WRONG "NO [AUTHENTICATIONFAILED] Authentication failed.\r\n"
#define IMAP_LATER "NO [UNAVAILABLE] Temporary failure, try again later.\r\n"
#define IMAP_BAD "BAD invalid command\r\n"
#define IMAP_OK "OK completed\r\n"
#define POP3_HELLO "+OK POP3 ready\r\n"
#define POP3_WRONG "-ERR [AUTH] Authentication failed\r\n"
#define POP3_BAD "-ERR invalid command\r\n"
#define SMTP_HELLO "220 mx.example ESMTP ready\r\n"
#define SMTP_WRONG "535 5.7.8 Authentication failed\r\n"

static const char *words[] = { "X", NULL };

static const struct {
	const struct proto *proto;
	enum protocol protocol;
} kinds[] = {
	{ &proto_imap, PROTOCOL_IMAP },
	{ &proto_pop3, PROTOCOL_POP3 },
	{ &proto_smtp, PROTOCOL_SMTP },
};

/* How a login is refused. */
static const struct refusal
	wrong = { .kind = REFUSAL_WRONG },
	theirs = { .kind = REFUSAL_SOURCE, .text = "Expired", .code = "534 5.7.9", .challenge = "e30=" },
	last = { .kind = REFUSAL_SOURCE, .text = "Go", .close = true, .challenge = "e30=" },
	later = { .kind = REFUSAL_UNAVAILABLE, .challenge = "e30=" },
	imap_backend = { .kind = REFUSAL_BACKEND, .text = "a NO no" },
	imap_busy = { .kind = REFUSAL_BACKEND, .text = "a NO [UNAVAILABLE] busy", .temporary = true },
	pop3_busy = { .kind = REFUSAL_BACKEND, .text = "-ERR [SYS/TEMP] busy", .temporary = true },
	smtp_busy = { .kind = REFUSAL_BACKEND, .text = "454 busy", .temporary = true };

static const struct {
	enum protocol protocol;
	const struct refusal *why;
	const char *said, *heard;
} cases[] = {
	/* what is offered */
	{ PROTOCOL_IMAP, &wrong, "a CAPABILITY\r\n",
	    "* CAPABILITY X AUTH=PLAIN AUTH=XOAUTH2 AUTH=OAUTHBEARER SASL-IR\r\na " IMAP_OK },
	{ PROTOCOL_POP3, &wrong, "CAPA\r\nAUTH\r\n", "+OK Capability list follows\r\nX\r\nRESP-CODES\r\n"
	    "AUTH-RESP-CODE\r\nSASL PLAIN LOGIN XOAUTH2 OAUTHBEARER\r\n.\r\n"
	    "+OK methods supported:\r\nPLAIN\r\nLOGIN\r\nXOAUTH2\r\nOAUTHBEARER\r\n.\r\n" },
	{ PROTOCOL_SMTP, &wrong, "EHLO c\r\n", "250-mx.example\r\n250-X\r\n250 AUTH PLAIN XOAUTH2 OAUTHBEARER\r\n" },
	/* with an initial response or without; any answer to the error challenge brings the refusal */
	{ PROTOCOL_IMAP, &wrong, "a AUTHENTICATE XOAUTH2 " X_JOE "\r\n\r\nb NOOP\r\n",
	    "{xoauth2 joe tok}+ " X_ERROR "\r\na " IMAP_WRONG "b " IMAP_OK },
	{ PROTOCOL_IMAP, &wrong, "a authenticate xoauth2\r\n" X_JOE "\r\nAQ==\r\nb NOOP\r\n",
	    "+ \r\n{xoauth2 joe tok}+ " X_ERROR "\r\na " IMAP_WRONG "b " IMAP_OK },
	{ PROTOCOL_IMAP, &wrong, "a AUTHENTICATE OAUTHBEARER " O_JOE "\r\n*\r\nb NOOP\r\n",
	    "{oauthbearer joe tok}+ " O_ERROR "\r\na " IMAP_WRONG "b " IMAP_OK },
	{ PROTOCOL_IMAP, &wrong, "a AUTHENTICATE OAUTHBEARER\r\n" O_ANY "\r\nno \rbase64\r\nb NOOP\r\n",
	    "+ \r\n{oauthbearer  tok}+ " O_ERROR "\r\na " IMAP_WRONG "b " IMAP_OK },
	{ PROTOCOL_POP3, &wrong, "AUTH XOAUTH2 " X_JOE "\r\n\r\nNOOP\r\n",
	    "{xoauth2 joe tok}+ " X_ERROR "\r\n" POP3_WRONG "+OK\r\n" },
	{ PROTOCOL_POP3, &wrong, "auth xoauth2\n" X_JOE "\nAQ==\nNOOP\n",
	    "+ \r\n{xoauth2 joe tok}+ " X_ERROR "\r\n" POP3_WRONG "+OK\r\n" },
	{ PROTOCOL_POP3, &wrong, "AUTH OAUTHBEARER " O_JOE "\r\n*\r\nNOOP\r\n",
	    "{oauthbearer joe tok}+ " O_ERROR "\r\n" POP3_WRONG "+OK\r\n" },
	{ PROTOCOL_POP3, &wrong, "AUTH OAUTHBEARER\r\n" O_ANY "\r\nno \rbase64\r\nNOOP\r\n",
	    "+ \r\n{oauthbearer  tok}+ " O_ERROR "\r\n" POP3_WRONG "+OK\r\n" },
	{ PROTOCOL_SMTP, &wrong, "AUTH XOAUTH2 " X_JOE "\r\n\r\nNOOP\r\n",
	    "{xoauth2 joe tok}334 " X_ERROR "\r\n" SMTP_WRONG SMTP_OK },
	{ PROTOCOL_SMTP, &wrong, "auth xoauth2\r\n" X_JOE "\r\nAQ==\r\nNOOP\r\n",
	    "334 \r\n{xoauth2 joe tok}334 " X_ERROR "\r\n" SMTP_WRONG SMTP_OK },
	{ PROTOCOL_SMTP, &wrong, "AUTH OAUTHBEARER " O_JOE "\r\n*\r\nNOOP\r\n",
	    "{oauthbearer joe tok}334 " O_ERROR "\r\n" SMTP_WRONG SMTP_OK },
	{ PROTOCOL_SMTP, &wrong, "AUTH OAUTHBEARER\r\n" O_ANY "\r\nHELO \rc\r\nNOOP\r\n",
	    "334 \r\n{oauthbearer  tok}334 " O_ERROR "\r\n" SMTP_WRONG SMTP_OK },
	/* the source's own challenge and words; the end it asked for, after them */
	{ PROTOCOL_IMAP, &theirs, "a AUTHENTICATE OAUTHBEARER " O_JOE "\r\nAQ==\r\nb NOOP\r\n",
	    "{oauthbearer joe tok}+ e30=\r\na NO Expired\r\nb " IMAP_OK },
	{ PROTOCOL_POP3, &theirs, "AUTH OAUTHBEARER " O_JOE "\r\nAQ==\r\nNOOP\r\n",
	    "{oauthbearer joe tok}+ e30=\r\n-ERR Expired\r\n+OK\r\n" },
	{ PROTOCOL_SMTP, &theirs, "AUTH OAUTHBEARER " O_JOE "\r\nAQ==\r\nNOOP\r\n",
	    "{oauthbearer joe tok}334 e30=\r\n534 5.7.9 Expired\r\n" SMTP_OK },
	{ PROTOCOL_IMAP, &last, "a AUTHENTICATE XOAUTH2 " X_JOE "\r\n\rx\r\nb NOOP\r\n",
	    "{xoauth2 joe tok}+ e30=\r\na NO Go\r\n{close}" },
	{ PROTOCOL_POP3, &last, "AUTH XOAUTH2 " X_JOE "\r\n\rx\r\nNOOP\r\n",
	    "{xoauth2 joe tok}+ e30=\r\n-ERR Go\r\n{close}" },
	{ PROTOCOL_SMTP, &last, "AUTH XOAUTH2 " X_JOE "\r\n\rx\r\nNOOP\r\n",
	    "{xoauth2 joe tok}334 e30=\r\n535 5.7.0 Go\r\n{close}" },
	/* nobody has judged the token: no challenge */
	{ PROTOCOL_IMAP, &later, "a AUTHENTICATE XOAUTH2 " X_JOE "\r\nb NOOP\r\n",
	    "{xoauth2 joe tok}a " IMAP_LATER "b " IMAP_OK },
	{ PROTOCOL_POP3, &later, "AUTH XOAUTH2 " X_JOE "\r\nNOOP\r\n",
	    "{xoauth2 joe tok}-ERR [SYS/TEMP] Temporary failure, try again later\r\n+OK\r\n" },
	{ PROTOCOL_SMTP, &later, "AUTH XOAUTH2 " X_JOE "\r\nNOOP\r\n", "{xoauth2 joe tok}" SMTP_INTERNAL SMTP_OK },
	{ PROTOCOL_IMAP, &imap_busy, "a AUTHENTICATE XOAUTH2 " X_JOE "\r\nb NOOP\r\n",
	    "{xoauth2 joe tok}a NO [UNAVAILABLE] busy\r\nb " IMAP_OK },
	{ PROTOCOL_POP3, &pop3_busy, "AUTH XOAUTH2 " X_JOE "\r\nNOOP\r\n",
	    "{xoauth2 joe tok}-ERR [SYS/TEMP] busy\r\n+OK\r\n" },
	{ PROTOCOL_SMTP, &smtp_busy, "AUTH XOAUTH2 " X_JOE "\r\nNOOP\r\n", "{xoauth2 joe tok}454 busy\r\n" SMTP_OK },
	{ PROTOCOL_IMAP, &imap_backend, "a AUTHENTICATE XOAUTH2 " X_JOE "\r\n\r\nb NOOP\r\n",
	    "{xoauth2 joe tok}+ " X_ERROR "\r\na NO no\r\nb " IMAP_OK },
	/* a password has no error challenge, not even behind a token */
	{ PROTOCOL_IMAP, &theirs,
	    "a AUTHENTICATE XOAUTH2 " X_JOE "\r\n\r\nb LOGIN u p\r\nc AUTHENTICATE PLAIN AHUAcA==\r\n",
	    "{xoauth2 joe tok}+ e30=\r\na NO Expired\r\n{plain u p}b NO Expired\r\n{plain u p}c NO Expired\r\n" },
	{ PROTOCOL_POP3, &theirs, "AUTH XOAUTH2 " X_JOE "\r\n\r\nUSER u\r\nPASS p\r\nAUTH PLAIN AHUAcA==\r\n",
	    "{xoauth2 joe tok}+ e30=\r\n-ERR Expired\r\n+OK\r\n{plain u p}-ERR Expired\r\n"
	    "{plain u p}-ERR Expired\r\n" },
	{ PROTOCOL_SMTP, &theirs, "AUTH XOAUTH2 " X_JOE "\r\n\r\nAUTH PLAIN AHUAcA==\r\nNOOP\r\n",
	    "{xoauth2 joe tok}334 e30=\r\n534 5.7.9 Expired\r\n{plain u p}534 5.7.9 Expired\r\n" SMTP_OK },
	/* one attempt after the other */
	{ PROTOCOL_IMAP, &wrong,
	    "a AUTHENTICATE XOAUTH2 " X_JOE "\r\n\r\nb AUTHENTICATE OAUTHBEARER " O_JOE "\r\nAQ==\r\n",
	    "{xoauth2 joe tok}+ " X_ERROR "\r\na " IMAP_WRONG "{oauthbearer joe tok}+ " O_ERROR "\r\nb " IMAP_WRONG },
	/* cancelled before anything was said */
	{ PROTOCOL_IMAP, &wrong, "a AUTHENTICATE XOAUTH2\r\n*\r\nb NOOP\r\n",
	    "+ \r\na BAD authentication cancelled\r\nb " IMAP_OK },
	{ PROTOCOL_POP3, &wrong, "AUTH OAUTHBEARER\r\n*\r\nNOOP\r\n",
	    "+ \r\n-ERR authentication cancelled\r\n+OK\r\n" },
	{ PROTOCOL_SMTP, &wrong, "AUTH XOAUTH2\r\n*\r\nNOOP\r\n", "334 \r\n" SMTP_CANCELLED SMTP_OK },
	/* nothing, too little, and what no source is asked about */
	{ PROTOCOL_IMAP, &wrong, "a AUTHENTICATE XOAUTH2 =\r\nb AUTHENTICATE XOAUTH2\r\n\r\nc AUTHENTICATE XOAUTH2 "
	    X_SHORT "\r\nd AUTHENTICATE XOAUTH2 " X_LINES "\r\ne AUTHENTICATE XOAUTH2 " X_COMMA "\r\n",
	    "a " IMAP_BAD "+ \r\nb " IMAP_BAD "c " IMAP_BAD "d BAD invalid credentials\r\n"
	    "e BAD invalid credentials\r\n" },
	{ PROTOCOL_POP3, &wrong, "AUTH XOAUTH2 =\r\nAUTH XOAUTH2\r\n\r\nAUTH XOAUTH2 " X_SHORT "\r\nAUTH XOAUTH2 "
	    X_LINES "\r\nAUTH XOAUTH2 " X_COMMA "\r\n",
	    POP3_BAD "+ \r\n" POP3_BAD POP3_BAD "-ERR invalid credentials\r\n-ERR invalid credentials\r\n" },
	{ PROTOCOL_SMTP, &wrong, "AUTH XOAUTH2 =\r\nAUTH XOAUTH2\r\n\r\nAUTH XOAUTH2 " X_SHORT "\r\nAUTH XOAUTH2 "
	    X_LINES "\r\nAUTH XOAUTH2 " X_COMMA "\r\n",
	    SMTP_INVALID "334 \r\n" SMTP_INVALID SMTP_INVALID SMTP_CREDENTIAL SMTP_CREDENTIAL },
	/* text behind a refused literal is never run, not even as the answer to a challenge */
	{ PROTOCOL_IMAP, &wrong, "a AUTHENTICATE XOAUTH2 " X_JOE "\r\nb X {8+}\r\nc LOGOUT\r\n",
	    "{xoauth2 joe tok}+ " X_ERROR "\r\na " IMAP_WRONG "{close}" },
};

static const char *const hellos[] = {
	[PROTOCOL_IMAP] = IMAP_HELLO,
	[PROTOCOL_POP3] = POP3_HELLO,
	[PROTOCOL_SMTP] = SMTP_HELLO,
};

static const struct proto *
set_scene(struct scene *scene, enum protocol protocol, unsigned methods)
{
	scene_init(scene, protocol, methods, words);
	for (int i = 0; i < UNIT_COUNT(kinds); i++)
		if (kinds[i].protocol == protocol)
			return kinds[i].proto;
	return NULL;
}

START_TEST(a_dialogue_is_the_same_wherever_it_is_cut)
{
	size_t len = strlen(cases[_i].said);
	char *expected = mem_printf("%s%s", hellos[cases[_i].protocol], cases[_i].heard);
	struct scene scene;
	const struct proto *proto = set_scene(&scene, cases[_i].protocol, METHOD_PLAIN | METHODS_TOKEN);

	for (size_t cut = 0; cut <= len; cut++) {
		char *heard = dialogue_client(proto, &scene, cases[_i].said, len, cut, cases[_i].why, NULL);

		ck_assert_str_eq(heard, expected);
		mem_free(heard);
	}
	mem_free(expected);
}
END_TEST

START_TEST(a_client_may_leave_anywhere)
{
	for (size_t len = 0; len < strlen(cases[_i].said); len++) {
		struct scene scene;
		const struct proto *proto = set_scene(&scene, cases[_i].protocol, METHOD_PLAIN | METHODS_TOKEN);
		char *heard = dialogue_client(proto, &scene, cases[_i].said, len, 0, cases[_i].why, NULL);

		ck_assert(strncmp(heard, hellos[cases[_i].protocol], strlen(hellos[cases[_i].protocol])) == 0);
		mem_free(heard);
	}
}
END_TEST

/* Where a mechanism is not listed, and where TLS has to come first, it is neither offered nor taken. */
static const struct {
	enum protocol protocol;
	unsigned methods;
	enum starttls starttls;
	const char *said, *heard;
} closed[] = {
	{ PROTOCOL_IMAP, METHOD_PLAIN, STARTTLS_OFF, "a AUTHENTICATE XOAUTH2 " X_JOE "\r\n", "a " IMAP_BAD },
	{ PROTOCOL_POP3, METHOD_PLAIN, STARTTLS_OFF, "AUTH XOAUTH2 " X_JOE "\r\n", POP3_BAD },
	{ PROTOCOL_SMTP, METHOD_PLAIN, STARTTLS_OFF, "AUTH XOAUTH2 " X_JOE "\r\n", SMTP_INVALID },
	{ PROTOCOL_IMAP, METHOD_XOAUTH2, STARTTLS_OFF,
	    "a AUTHENTICATE OAUTHBEARER " O_JOE "\r\nb AUTHENTICATE PLAIN AHUAcA==\r\nc LOGIN u p\r\n",
	    "a " IMAP_BAD "b " IMAP_BAD "c " IMAP_BAD },
	{ PROTOCOL_POP3, METHOD_OAUTHBEARER, STARTTLS_OFF, "CAPA\r\nAUTH XOAUTH2 " X_JOE "\r\nUSER u\r\n",
	    "+OK Capability list follows\r\nX\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nSASL OAUTHBEARER\r\n.\r\n"
	    POP3_BAD POP3_BAD },
	{ PROTOCOL_SMTP, METHOD_OAUTHBEARER | METHOD_NONE, STARTTLS_OFF, "EHLO c\r\nAUTH XOAUTH2 " X_JOE "\r\n",
	    "250-mx.example\r\n250-X\r\n250 AUTH OAUTHBEARER\r\n" SMTP_INVALID },
	{ PROTOCOL_IMAP, METHODS_TOKEN, STARTTLS_ONLY, "a CAPABILITY\r\nb AUTHENTICATE XOAUTH2 " X_JOE "\r\n",
	    "* CAPABILITY X SASL-IR STARTTLS LOGINDISABLED\r\na " IMAP_OK
	    "b NO [PRIVACYREQUIRED] Must issue a STARTTLS command first\r\n" },
	{ PROTOCOL_POP3, METHODS_TOKEN, STARTTLS_ONLY, "CAPA\r\nAUTH XOAUTH2 " X_JOE "\r\n",
	    "+OK Capability list follows\r\nX\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nSTLS\r\n.\r\n"
	    "-ERR Must issue a STLS command first\r\n" },
	{ PROTOCOL_SMTP, METHODS_TOKEN, STARTTLS_ONLY, "EHLO c\r\nAUTH XOAUTH2 " X_JOE "\r\n",
	    "250-mx.example\r\n250-X\r\n250 STARTTLS\r\n" SMTP_TLS_AUTH },
};

START_TEST(tokens_come_by_a_listed_mechanism_and_behind_tls_that_has_to_be)
{
	char *expected = mem_printf("%s%s", hellos[closed[_i].protocol], closed[_i].heard), *heard;
	struct scene scene;
	const struct proto *proto = set_scene(&scene, closed[_i].protocol, closed[_i].methods);

	scene.server.starttls = closed[_i].starttls;
	heard = dialogue_client(proto, &scene, closed[_i].said, strlen(closed[_i].said), 0, &wrong, NULL);
	ck_assert_str_eq(heard, expected);
	mem_free(expected);
	mem_free(heard);
}
END_TEST

static const struct {
	enum protocol protocol;
	const char *ask, *respond, *heard;
} longs[] = {
	{ PROTOCOL_IMAP, "a AUTHENTICATE XOAUTH2 ", "a AUTHENTICATE XOAUTH2\r\n",
	    "a BAD authentication exchange line is too long\r\n{close}" },
	{ PROTOCOL_POP3, "AUTH XOAUTH2 ", "AUTH XOAUTH2\r\n",
	    "-ERR authentication exchange line is too long\r\n{close}" },
	{ PROTOCOL_SMTP, "AUTH XOAUTH2 ", "AUTH XOAUTH2\r\n", SMTP_LONG_AUTH "{close}" },
};

/* All that is said is `lead`, then token without end. */
static void
check_long(enum protocol protocol, const char *lead, const char *heard)
{
	char said[5000], *got;
	struct scene scene;
	const struct proto *proto = set_scene(&scene, protocol, METHODS_TOKEN);

	memset(said, 'x', sizeof(said));
	memcpy(said, lead, strlen(lead));
	got = dialogue_client(proto, &scene, said, sizeof(said), 0, &wrong, NULL);
	ck_assert_msg(strlen(got) > strlen(heard) && strcmp(got + strlen(got) - strlen(heard), heard) == 0, "%s", got);
	mem_free(got);
}

START_TEST(a_token_longer_than_the_buffer_is_refused_by_name)
{
	check_long(longs[_i].protocol, longs[_i].ask, longs[_i].heard);
	check_long(longs[_i].protocol, longs[_i].respond, longs[_i].heard);
}
END_TEST

/* A session that TLS begins anew owes nobody an answer of before. */
START_TEST(tls_makes_the_challenge_forgotten)
{
	const char *said = _i == 0 ? "a AUTHENTICATE XOAUTH2 " X_JOE "\r\n" : "AUTH XOAUTH2 " X_JOE "\r\n";
	struct scene scene;
	const struct proto *proto = set_scene(&scene, kinds[_i].protocol, METHODS_TOKEN);
	struct client *client = proto->client_new(&scene.facts);
	struct buf in, out;

	buf_init(&in, 256);
	buf_init(&out, PROTO_ROOM);
	buf_add_text(&in, said);
	ck_assert_int_eq(proto->input(client, &in, &out), PROTO_CREDENTIALS);
	ck_assert_int_ne(proto->refused(client, &wrong, &out), PROTO_CLOSE);
	ck_assert_int_eq(proto->input(client, &in, &out), PROTO_MORE);
	proto->secured(client);
	buf_take(&out, out.len);
	buf_add_text(&in, _i == 0 ? "b NOOP\r\n" : "NOOP\r\n");
	ck_assert_int_eq(proto->input(client, &in, &out), PROTO_AGAIN);
	ck_assert_uint_ne(out.len, 0);
	ck_assert_mem_eq(buf_head(&out), _i == 0 ? "b OK" : _i == 1 ? "+OK\r" : "250 ", 4);
	proto->client_free(&client);
	buf_reset(&in);
	buf_reset(&out);
}
END_TEST

Suite *
oauth_suite(void)
{
	Suite *suite = suite_create("oauth");
	TCase *tcase = tcase_create("oauth");

	tcase_add_loop_test(tcase, a_dialogue_is_the_same_wherever_it_is_cut, 0, UNIT_COUNT(cases));
	tcase_add_loop_test(tcase, a_client_may_leave_anywhere, 0, UNIT_COUNT(cases));
	tcase_add_loop_test(tcase, tokens_come_by_a_listed_mechanism_and_behind_tls_that_has_to_be, 0,
	    UNIT_COUNT(closed));
	tcase_add_loop_test(tcase, a_token_longer_than_the_buffer_is_refused_by_name, 0, UNIT_COUNT(longs));
	tcase_add_loop_test(tcase, tls_makes_the_challenge_forgotten, 0, UNIT_COUNT(kinds));
	suite_add_tcase(suite, tcase);
	return suite;
}
