#include "worker/proto/smtp.h"

#include <string.h>

#include "common/mem.h"
#include "test/unit/smtp_scene.h"
#include "test/unit/unit.h"
#include "worker/proto/smtp_words.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

#define HELLO "220 mx.example ESMTP ready\r\n"
#define WRONG "535 5.7.8 Authentication failed\r\n"
#define REFUSED "550 5.7.1 Refused\r\n"
#define EHLO "250-mx.example\r\n250-SIZE 10485760\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n"
#define BASIC (METHOD_PLAIN | METHOD_LOGIN)

static const char *capabilities[] = { "SIZE 10485760", "8BITMIME", NULL };
static const struct refusal wrong = { .kind = REFUSAL_WRONG };

static const struct {
	unsigned methods;
	const char *said, *heard;
} cases[] = {
	/* HELO and EHLO */
	{ BASIC, "EHLO c\r\n", HELLO EHLO },
	{ BASIC, "helo c \r\n", HELLO "250 mx.example\r\n" },
	{ METHOD_CRAM_MD5 | METHOD_EXTERNAL | METHOD_NONE, "EHLO c\r\n",
	    HELLO "250-mx.example\r\n250-SIZE 10485760\r\n250-8BITMIME\r\n250 AUTH CRAM-MD5\r\n" },
	{ METHOD_NONE, "EHLO c\r\n", HELLO "250-mx.example\r\n250-SIZE 10485760\r\n250 8BITMIME\r\n" },
	{ BASIC, "EHLO\r\nEHLO \r\nEHLO a b\r\nHELO a\x01\r\nHELO a\tb\r\n",
	    HELLO SMTP_ARGUMENT SMTP_ARGUMENT SMTP_ARGUMENT SMTP_ARGUMENT SMTP_ARGUMENT },
	/* AUTH */
	{ BASIC, "AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n", HELLO "{plain joe secret}" WRONG },
	{ BASIC, "AUTH PLAIN\r\nAGpvZQBzZWNyZXQ=\r\nQUIT\r\n",
	    HELLO "334 \r\n{plain joe secret}" WRONG SMTP_BYE "{close}" },
	{ METHOD_PLAIN, "auth login\r\nam9l\r\nc2VjcmV0\r\n",
	    HELLO "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n{plain joe secret}" WRONG },
	{ METHOD_LOGIN, "AUTH PLAIN amltAGpvZQBzZWNyZXQ=\r\n", HELLO "{plain joe secret jim}" WRONG },
	{ METHOD_CRAM_MD5, "AUTH CRAM-MD5\r\nam9lIDAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5QUJDREVG\r\n",
	    HELLO "334 PDEuMkBteC5leGFtcGxlPg==\r\n{cram-md5 joe 0123456789abcdef0123456789ABCDEF}" WRONG },
	{ METHOD_EXTERNAL, "AUTH EXTERNAL am9l\r\n", HELLO SMTP_NO_CERTIFICATE },
	{ BASIC, "AUTH EXTERNAL am9l\r\n", HELLO SMTP_INVALID },
	{ METHOD_CRAM_MD5, "AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n", HELLO SMTP_INVALID },
	{ BASIC, "AUTH PLAIN\r\n*\r\nNOOP\r\n", HELLO "334 \r\n" SMTP_CANCELLED SMTP_OK },
	{ BASIC, "AUTH PLAIN =\r\n", HELLO SMTP_INVALID },
	{ BASIC, "AUTH PLAIN\r\n\r\n", HELLO "334 \r\n" SMTP_INVALID },
	{ BASIC, "AUTH PLAIN\r\n!!!!\r\nNOOP\r\n", HELLO "334 \r\n" SMTP_INVALID SMTP_OK },
	{ BASIC, "AUTH PLAIN AGpvZQBhDQpi\r\n", HELLO SMTP_CREDENTIAL },
	{ BASIC, "AUTH\r\nAUTH \r\n", HELLO SMTP_ARGUMENT SMTP_ARGUMENT },
	/* without none */
	{ BASIC, "MAIL FROM:<a>\r\nRCPT TO:<b>\r\n", HELLO SMTP_FIRST_AUTH SMTP_SEQUENCE },
	{ BASIC, "DATA\r\nVRFY a\r\nEXPN a\r\nHELP\r\n", HELLO SMTP_INVALID SMTP_INVALID SMTP_INVALID SMTP_INVALID },
	{ BASIC, "RSET\r\nNOOP x\r\nQUIT\r\nNOOP\r\n", HELLO SMTP_OK SMTP_OK SMTP_BYE "{close}" },
	/* with it */
	{ METHOD_NONE, "EHLO c\r\nMAIL FROM:<a> SIZE=1\r\nrcpt to:<b>\r\nRCPT TO:<c>\r\n",
	    HELLO "250-mx.example\r\n250-SIZE 10485760\r\n250 8BITMIME\r\n" SMTP_OK
	    "{none c MAIL FROM:<a> SIZE=1 rcpt to:<b>}" REFUSED "{none c MAIL FROM:<a> SIZE=1 RCPT TO:<c>}" REFUSED },
	{ METHOD_NONE, "MAIL FROM:<a>\r\nRCPT TO:<b>\r\n", HELLO SMTP_OK "{none  MAIL FROM:<a> RCPT TO:<b>}" REFUSED },
	{ METHOD_NONE, "MAIL FROM:<a>\r\nMAIL FROM:<b>\r\nRSET\r\nRCPT TO:<c>\r\nMAIL FROM:<b>\r\n",
	    HELLO SMTP_OK SMTP_SEQUENCE SMTP_OK SMTP_SEQUENCE SMTP_OK },
	{ METHOD_NONE, "MAIL FROM:<a>\r\nHELO c\r\nRCPT TO:<c>\r\n", HELLO SMTP_OK "250 mx.example\r\n" SMTP_SEQUENCE },
	{ METHOD_NONE, "MAIL\r\nMAIL FROM:<a\x7f>\r\nMAIL FROM:<a\rb>\r\nMAIL FROM:<a>\r\nRCPT\r\nRCPT TO:<\x1f>\r\n",
	    HELLO SMTP_ARGUMENT SMTP_ARGUMENT SMTP_ARGUMENT SMTP_OK SMTP_ARGUMENT SMTP_ARGUMENT },
	{ METHOD_NONE | METHOD_PLAIN, "MAIL FROM:<a>\r\nAUTH PLAIN AGpvZQBzZWNyZXQ=\r\nRSET\r\n"
	    "AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n", HELLO SMTP_OK SMTP_SEQUENCE SMTP_OK "{plain joe secret}" WRONG },
	/* BDAT that nobody wants */
	{ METHOD_NONE, "BDAT 12\r\nQUIT\r\nQUIT\r\nNOOP\r\n", HELLO SMTP_INVALID SMTP_OK },
	{ METHOD_NONE, "bdat 6 last\r\nQUIT\r\nBDAT 0\r\nNOOP\r\n", HELLO SMTP_INVALID SMTP_INVALID SMTP_OK },
	{ METHOD_NONE, "BDAT x\r\nBDAT\r\nBDAT 4 LASTX\r\nNOOP\r\n",
	    HELLO SMTP_INVALID SMTP_INVALID SMTP_INVALID SMTP_OK },
	{ METHOD_NONE, "BDAT 99999999999999999999\r\nNOOP\r\n", HELLO SMTP_INVALID SMTP_OK },
	/* rubbish */
	{ BASIC, "STARTTLS\r\nNO\rOP\r\nFOO\r\nNOOP\r\n", HELLO SMTP_INVALID SMTP_INVALID SMTP_INVALID SMTP_OK },
	{ BASIC, "1\n2\n3\n4\n5\n6\n7\n",
	    HELLO SMTP_INVALID SMTP_INVALID SMTP_INVALID SMTP_INVALID SMTP_INVALID "{close}" },
};

START_TEST(a_dialogue_is_the_same_however_it_is_cut)
{
	size_t len = strlen(cases[_i].said);
	struct scene scene;

	scene_init(&scene, PROTOCOL_SMTP, cases[_i].methods, capabilities);
	for (size_t cut = 0; cut <= len; cut++) {
		char *heard = dialogue_client(&proto_smtp, &scene, cases[_i].said, len, cut, &wrong, NULL);

		ck_assert_str_eq(heard, cases[_i].heard);
		mem_free(heard);
	}
}
END_TEST

static const struct {
	struct refusal why;
	const char *auth, *rcpt;
} refusals[] = {
	{ { REFUSAL_SOURCE, "go away", NULL, true, NULL, false },
	    "535 5.7.0 go away\r\n{close}", "535 5.7.0 go away\r\n{close}" },
	{ { REFUSAL_SOURCE, "go", "550 5.1.1", false, NULL, false }, "550 5.1.1 go\r\n", "550 5.1.1 go\r\n" },
	{ { REFUSAL_SOURCE, "go", "454", false, NULL, false }, "454 go\r\n", "454 go\r\n" },
	{ { REFUSAL_SOURCE, "go", "250 2.0.0", false, NULL, false }, "535 5.7.0 go\r\n", "535 5.7.0 go\r\n" },
	{ { REFUSAL_SOURCE, "go", "", false, NULL, false }, "535 5.7.0 go\r\n", "535 5.7.0 go\r\n" },
	{ { REFUSAL_WRONG, NULL, NULL, false, NULL, false }, WRONG, REFUSED },
	{ { REFUSAL_WRONG, NULL, "451 4.7.1", false, NULL, false },
	    "451 4.7.1 Authentication failed\r\n", "451 4.7.1 Refused\r\n" },
	{ { REFUSAL_BACKEND, NULL, NULL, false, NULL, false }, WRONG, REFUSED },
	{ { REFUSAL_BACKEND, "", NULL, false, NULL, false }, WRONG, REFUSED },
	{ { REFUSAL_BACKEND, "535 no", NULL, false, NULL, false }, "535 no\r\n", "535 no\r\n" },
	{ { REFUSAL_BACKEND, "535-first of", NULL, false, NULL, false }, "535 first of\r\n", "535 first of\r\n" },
	{ { REFUSAL_BACKEND, "535", NULL, false, NULL, false }, "535 \r\n", "535 \r\n" },
	{ { REFUSAL_BACKEND, "250 no", NULL, false, NULL, false }, WRONG, REFUSED },
	{ { REFUSAL_UNAVAILABLE, NULL, NULL, false, NULL, false }, SMTP_INTERNAL, SMTP_INTERNAL },
	{ { REFUSAL_UNAVAILABLE, "Too many", "454 4.7.0", false, NULL, false },
	    "454 4.7.0 Too many\r\n", "454 4.7.0 Too many\r\n" },
	{ { REFUSAL_LIMITED, NULL, NULL, false, NULL, false }, "454 4.7.0 Too many failed logins\r\n",
	    "454 4.7.0 Too many failed logins\r\n" },
	{ { REFUSAL_CROWDED, NULL, NULL, false, NULL, false }, "454 4.7.0 Too many connections\r\n",
	    "454 4.7.0 Too many connections\r\n" },
	{ { REFUSAL_ELSEWHERE, NULL, NULL, false, NULL, false }, "451 4.3.0 Try again later\r\n",
	    "451 4.3.0 Recipient is served elsewhere, send to it alone\r\n" },
};

static void
check_refusal(const char *said, const char *before, const struct refusal *why, const char *after)
{
	char *heard, *expected = mem_printf("%s%s", before, after);
	struct scene scene;

	scene_init(&scene, PROTOCOL_SMTP, BASIC | METHOD_NONE, capabilities);
	heard = dialogue_client(&proto_smtp, &scene, said, strlen(said), 0, why, NULL);
	ck_assert_str_eq(heard, expected);
	mem_free(expected);
	mem_free(heard);
}

START_TEST(a_refusal_is_put_into_smtp_words_and_never_sounds_like_a_yes)
{
	check_refusal("AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n", HELLO "{plain joe secret}", &refusals[_i].why,
	    refusals[_i].auth);
	check_refusal("MAIL FROM:<a>\r\nRCPT TO:<b>\r\n", HELLO SMTP_OK "{none  MAIL FROM:<a> RCPT TO:<b>}",
	    &refusals[_i].why, refusals[_i].rcpt);
}
END_TEST

START_TEST(a_long_text_is_cut_to_fit)
{
	char text[3 * PROTO_ROOM] = { 0 };
	struct refusal why = { .kind = REFUSAL_SOURCE, .text = text, .code = text };
	struct buf out;

	memset(text, 'x', sizeof(text) - 1);
	buf_init(&out, PROTO_ROOM);
	ck_assert_int_eq(smtp_say_refusal(&out, &why, false), 0);
	buf_reset(&out);
}
END_TEST

START_TEST(success_is_235_or_the_backends_answer_to_rcpt)
{
	struct scene scene;
	char *heard;

	scene_init(&scene, PROTOCOL_SMTP, BASIC | METHOD_NONE, capabilities);
	heard = dialogue_client(&proto_smtp, &scene, "AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n", 29, 0, NULL,
	    "250-a\r\n250 b\r\n");
	ck_assert_str_eq(heard, HELLO "{plain joe secret}" SMTP_ACCEPTED);
	mem_free(heard);
	heard = dialogue_client(&proto_smtp, &scene, "MAIL FROM:<a>\r\nRCPT TO:<b>\r\n", 28, 0, NULL,
	    "451-a\r\n451 b\r\n");
	ck_assert_str_eq(heard, HELLO SMTP_OK "{none  MAIL FROM:<a> RCPT TO:<b>}451-a\r\n451 b\r\n");
	mem_free(heard);
}
END_TEST

START_TEST(capabilities_that_do_not_fit_close_the_session)
{
	char word[PROTO_ROOM] = { 0 };
	const char *many[] = { word, word, NULL };
	struct scene scene;
	struct client *client;
	struct buf in, out;

	memset(word, 'x', sizeof(word) - 1);
	scene_init(&scene, PROTOCOL_SMTP, BASIC, many);
	client = proto_smtp.client_new(&scene.facts);
	buf_init(&in, 64);
	buf_init(&out, PROTO_ROOM);
	buf_add_text(&in, "EHLO c\r\n");
	ck_assert_int_eq(proto_smtp.input(client, &in, &out), PROTO_CLOSE);
	proto_smtp.client_free(&client);
	buf_reset(&in);
	buf_reset(&out);
}
END_TEST

START_TEST(tls_makes_everything_forgotten)
{
	struct scene scene;
	struct client *client;
	struct buf in, out;

	scene_init(&scene, PROTOCOL_SMTP, BASIC | METHOD_NONE, capabilities);
	client = proto_smtp.client_new(&scene.facts);
	buf_init(&in, 256);
	buf_init(&out, PROTO_ROOM);
	buf_add_text(&in, "HELO c\r\nMAIL FROM:<a>\r\n");
	ck_assert_int_eq(proto_smtp.input(client, &in, &out), PROTO_AGAIN);
	ck_assert_int_eq(proto_smtp.input(client, &in, &out), PROTO_AGAIN);
	ck_assert_str_eq(smtp_helo(client), "c");
	ck_assert_str_eq(smtp_mail(client), "MAIL FROM:<a>");
	ck_assert(smtp_said_helo(client));
	proto_smtp.secured(client);
	ck_assert_ptr_null(smtp_helo(client));
	ck_assert_ptr_null(smtp_mail(client));
	ck_assert(!smtp_said_helo(client));
	proto_smtp.client_free(&client);
	buf_reset(&in);
	buf_reset(&out);
}
END_TEST

/* XCLIENT on or off, proxy_smtp_auth on or off. */
enum { PLAIN_ONLY = 0, XCLIENT = 1, AUTH = 2, HELO = 4, UNGREETED = 8, V6 = 16, UNIX = 32, NONE = 64, REQUIRED = 128 };

#define OFFER "250-b\r\n250 XCLIENT NAME ADDR LOGIN\r\n"
#define AUTH_LINE "AUTH PLAIN AGpvZSBkb2UAYSBi\r\n"

static const struct {
	unsigned how;
	const char *answers, *sent;
} logins[] = {
	{ PLAIN_ONLY, "220 b\r\n250-b\r\n250 X\r\n", "EHLO mx.example\r\n{done }" },
	{ PLAIN_ONLY, "220-b\n220 b\n250 b\n* left", "EHLO mx.example\r\n{done }* left" },
	{ HELO, "220 b\r\n250 b\r\n", "HELO mx.example\r\n{done }" },
	{ XCLIENT | HELO, "220 b\r\n" OFFER "220 b\r\n250 b\r\n",
	    "EHLO mx.example\r\nXCLIENT ADDR=192.0.2.1 LOGIN=joe+20doe NAME=[UNAVAILABLE]\r\nHELO c\r\n{done }" },
	{ XCLIENT, "220 b\r\n" OFFER "220 b\r\n250-b\r\n250 b\r\n",
	    "EHLO mx.example\r\nXCLIENT ADDR=192.0.2.1 LOGIN=joe+20doe NAME=[UNAVAILABLE]\r\nEHLO c\r\n{done }" },
	{ XCLIENT | UNGREETED, "220 b\r\n" OFFER "220 b\r\n",
	    "EHLO mx.example\r\nXCLIENT ADDR=192.0.2.1 LOGIN=joe+20doe NAME=[UNAVAILABLE]\r\n{done }" },
	/* what is offered is sent, and only that */
	{ XCLIENT, "220 b\r\n250-b\r\n250 XCLIENT PORT ADDR PROTO HELO REVERSE DESTADDR DESTPORT\r\n220 b\r\n250 b\r\n",
	    "EHLO mx.example\r\nXCLIENT ADDR=192.0.2.1 PORT=[UNAVAILABLE] PROTO=ESMTP HELO=c\r\nEHLO c\r\n{done }" },
	{ XCLIENT | HELO, "220 b\r\n250-b\r\n250 xclient proto login\r\n220 b\r\n250 b\r\n",
	    "EHLO mx.example\r\nXCLIENT LOGIN=joe+20doe PROTO=SMTP\r\nHELO c\r\n{done }" },
	{ XCLIENT, "220 b\r\n250-b\r\n250 XCLIENT\r\n", "EHLO mx.example\r\n{done }" },
	{ XCLIENT, "220 b\r\n250 b\r\n", "EHLO mx.example\r\n{done }" },
	{ XCLIENT | REQUIRED, "220 b\r\n250 b\r\n",
	    "EHLO mx.example\r\n{unavailable upstream does not offer XCLIENT with what it needs}" },
	{ XCLIENT | REQUIRED, "220 b\r\n250-b\r\n250 XCLIENT ADDR NAME\r\n",
	    "EHLO mx.example\r\n{unavailable upstream does not offer XCLIENT with what it needs}" },
	{ XCLIENT | REQUIRED | AUTH, "220 b\r\n250-b\r\n250 XCLIENT ADDR\r\n220 b\r\n250 b\r\n235 in\r\n",
	    "EHLO mx.example\r\nXCLIENT ADDR=192.0.2.1\r\nEHLO c\r\n" AUTH_LINE "{done 235 in\r\n}" },
	{ XCLIENT | V6, "220 b\r\n" OFFER "220 b\r\n250 b\r\n",
	    "EHLO mx.example\r\nXCLIENT ADDR=IPV6:2001:db8::1 LOGIN=joe+20doe NAME=[UNAVAILABLE]\r\nEHLO c\r\n{done }" },
	{ XCLIENT | UNIX | AUTH, "220 b\r\n" OFFER "220 b\r\n250 b\r\n235 in\r\n",
	    "EHLO mx.example\r\nXCLIENT ADDR=[UNAVAILABLE] NAME=[UNAVAILABLE]\r\nEHLO c\r\n" AUTH_LINE
	    "{done 235 in\r\n}" },
	{ AUTH, "220 b\r\n250 b\r\n235-in\r\n235 at last\r\n",
	    "EHLO mx.example\r\n" AUTH_LINE "{done 235-in\r\n235 at last\r\n}" },
	{ NONE, "220 b\r\n250 b\r\n250 m\r\n250 r\r\n",
	    "EHLO mx.example\r\nMAIL FROM:<a>\r\nRCPT TO:<b>\r\n{done 250 r\r\n}" },
	{ NONE | AUTH | XCLIENT, "220 b\r\n" OFFER "220 b\r\n250 b\r\n250 m\r\n450-r\r\n450 r\r\n",
	    "EHLO mx.example\r\nXCLIENT ADDR=192.0.2.1 NAME=[UNAVAILABLE]\r\nEHLO c\r\nMAIL FROM:<a>\r\nRCPT TO:<b>\r\n"
	    "{done 450-r\r\n450 r\r\n}" },
	/* refused */
	{ PLAIN_ONLY, "554 go\r\n", "{unavailable 554 go\r\n}" },
	{ PLAIN_ONLY, "421-go\r\n421 now\r\n", "{unavailable 421-go\r\n421 now\r\n}" },
	{ PLAIN_ONLY, "220 b\r\n502 what\r\n", "EHLO mx.example\r\n{unavailable 502 what\r\n}" },
	{ XCLIENT, "220 b\r\n" OFFER "550 no\r\n",
	    "EHLO mx.example\r\nXCLIENT ADDR=192.0.2.1 LOGIN=joe+20doe NAME=[UNAVAILABLE]\r\n{unavailable 550 no\r\n}" },
	{ AUTH, "220 b\r\n250 b\r\n535-no\r\n535 no\r\n",
	    "EHLO mx.example\r\n" AUTH_LINE "{refused 535-no\r\n535 no\r\n}" },
	{ AUTH, "220 b\r\n250 b\r\n454 no\r\n", "EHLO mx.example\r\n" AUTH_LINE "{unavailable 454 no\r\n}" },
	{ AUTH, "220 b\r\n250 b\r\n504 no\r\n", "EHLO mx.example\r\n" AUTH_LINE "{unavailable 504 no\r\n}" },
	{ AUTH, "220 b\r\n250 b\r\n538 no\r\n", "EHLO mx.example\r\n" AUTH_LINE "{unavailable 538 no\r\n}" },
	{ NONE, "220 b\r\n250 b\r\n550 m\r\n", "EHLO mx.example\r\nMAIL FROM:<a>\r\n{refused 550 m\r\n}" },
	{ NONE, "220 b\r\n250 b\r\n452 m\r\n", "EHLO mx.example\r\nMAIL FROM:<a>\r\n{unavailable 452 m\r\n}" },
	/* nonsense */
	{ PLAIN_ONLY, "+OK\r\n", "{broken upstream sent invalid response: \"+OK\"}" },
	{ PLAIN_ONLY, "250 b\r\n", "{broken upstream sent invalid response: \"250 b\"}" },
	{ PLAIN_ONLY, "220-b\r\n250 b\r\n", "{broken upstream sent invalid response: \"250 b\"}" },
	{ PLAIN_ONLY, "220x\r\n", "{broken upstream sent invalid response: \"220x\"}" },
	{ PLAIN_ONLY, "22\r\n", "{broken upstream sent invalid response: \"22\"}" },
	{ PLAIN_ONLY, "999 b\r\n", "{broken upstream sent invalid response: \"999 b\"}" },
	{ AUTH, "220 b\r\n250 b\r\n" AUTH_LINE,
	    "EHLO mx.example\r\n" AUTH_LINE "{broken upstream sent invalid response: \"AUT\"}" },
	{ AUTH, "220 b\r\n250 b\r\n334 AGpvZSBkb2UAYSBi\r\n",
	    "EHLO mx.example\r\n" AUTH_LINE "{broken AUTH PLAIN to upstream failed: asked for more than the mechanism has}" },
};

static struct client *
greeted_client(const struct scene *scene, unsigned how)
{
	return smtp_scene_client(scene, how & UNGREETED ? "" : how & HELO ? "HELO c\r\n" : "EHLO c\r\n");
}

static void
set_scene(struct scene *scene, unsigned how)
{
	scene_init(scene, PROTOCOL_SMTP, BASIC | METHOD_NONE, capabilities);
	scene->server.xclient = how & XCLIENT;
	scene->server.proxy_smtp_auth = how & AUTH;
	scene->server.xclient_required = how & REQUIRED;
	if (how & V6)
		addr_parse(&scene->client, "2001:db8::1", 11);
	if (how & UNIX)
		scene->client = (struct addr){ .family = AF_UNIX };
}

START_TEST(a_login_is_the_same_however_the_answers_are_cut)
{
	static char user[] = "joe doe", pass[] = "a b", mail[] = "MAIL FROM:<a>", rcpt[] = "RCPT TO:<b>";
	const struct credentials known = { .method = METHOD_PLAIN, .user = user, .pass = pass };
	const struct credentials unknown = { .method = METHOD_NONE, .mail = mail, .rcpt = rcpt };
	struct scene scene;
	struct login_task task = dialogue_task(&scene, NULL, logins[_i].how & NONE ? &unknown : &known);
	size_t len = strlen(logins[_i].answers);
	struct client *client;

	set_scene(&scene, logins[_i].how);
	task.client = client = greeted_client(&scene, logins[_i].how);
	for (size_t cut = 0; cut <= len; cut++) {
		char *sent = dialogue_login(&task, &proto_smtp, logins[_i].answers, len, cut);

		ck_assert_str_eq(sent, logins[_i].sent);
		mem_free(sent);
	}
	proto_smtp.client_free(&client);
}
END_TEST

static const struct {
	unsigned how;
	const char *user, *pass, *answers, *sent;
} injections[] = {
	{ AUTH, "joe\r\nDATA", "b", "220 b\r\n250 b\r\n", "EHLO mx.example\r\n{refused }" },
	{ AUTH, "joe", "b\nDATA", "220 b\r\n250 b\r\n", "EHLO mx.example\r\n{refused }" },
	{ AUTH, "joe", NULL, "220 b\r\n250 b\r\n", "EHLO mx.example\r\n{refused }" },
	{ XCLIENT, "joe\r\nDATA", NULL, "220 b\r\n" OFFER, "EHLO mx.example\r\n{refused }" },
	{ XCLIENT, "a=+\xc3\xa4 NAME=b", NULL, "220 b\r\n" OFFER, "EHLO mx.example\r\n"
	    "XCLIENT ADDR=192.0.2.1 LOGIN=a+3D+2B+C3+A4+20NAME+3Db NAME=[UNAVAILABLE]\r\n{more}" },
};

START_TEST(no_credential_becomes_a_second_command_or_attribute)
{
	struct credentials credentials = { .method = METHOD_PLAIN, .user = mem_strdup(injections[_i].user),
		.pass = mem_strdup(injections[_i].pass) };
	struct scene scene;
	struct login_task task = dialogue_task(&scene, NULL, &credentials);
	struct client *client;
	char *sent;

	set_scene(&scene, injections[_i].how);
	task.client = client = greeted_client(&scene, 0);
	sent = dialogue_login(&task, &proto_smtp, injections[_i].answers, strlen(injections[_i].answers), 0);
	ck_assert_str_eq(sent, injections[_i].sent);
	mem_free(sent);
	proto_smtp.client_free(&client);
	credentials_reset(&credentials);
}
END_TEST

START_TEST(a_backends_answer_is_bounded)
{
	static char user[] = "joe", pass[] = "secret";
	const struct credentials credentials = { .method = METHOD_PLAIN, .user = user, .pass = pass };
	struct scene scene;
	struct login_task task = dialogue_task(&scene, NULL, &credentials);
	struct client *client;
	char *sent;

	set_scene(&scene, 0);
	scene.server.proxy_buffer = 8;
	task.client = client = greeted_client(&scene, 0);
	sent = dialogue_login(&task, &proto_smtp, "220 45678", 9, 0);
	ck_assert_str_eq(sent, "{broken upstream sent too long response line: \"220 4567\"}220 45678");
	mem_free(sent);
	sent = dialogue_login(&task, &proto_smtp, "421-a\r\n421 b\r\n", 14, 0);
	ck_assert_str_eq(sent, "{broken upstream sent too long response: \"421 b\"}");
	mem_free(sent);
	proto_smtp.client_free(&client);
}
END_TEST

Suite *
smtp_suite(void)
{
	Suite *suite = suite_create("smtp");
	TCase *tcase = tcase_create("smtp");

	tcase_add_loop_test(tcase, a_dialogue_is_the_same_however_it_is_cut, 0, COUNT(cases));
	tcase_add_loop_test(tcase, a_refusal_is_put_into_smtp_words_and_never_sounds_like_a_yes, 0, COUNT(refusals));
	tcase_add_test(tcase, a_long_text_is_cut_to_fit);
	tcase_add_test(tcase, success_is_235_or_the_backends_answer_to_rcpt);
	tcase_add_test(tcase, capabilities_that_do_not_fit_close_the_session);
	tcase_add_test(tcase, tls_makes_everything_forgotten);
	tcase_add_loop_test(tcase, a_login_is_the_same_however_the_answers_are_cut, 0, COUNT(logins));
	tcase_add_loop_test(tcase, no_credential_becomes_a_second_command_or_attribute, 0, COUNT(injections));
	tcase_add_test(tcase, a_backends_answer_is_bounded);
	suite_add_tcase(suite, tcase);
	return suite;
}
