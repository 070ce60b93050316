#include "worker/proto/sasl_client.h"

#include <stdio.h>
#include <string.h>

#include "common/base64.h"
#include "common/mem.h"
#include "test/unit/dialogue.h"
#include "test/unit/unit.h"

#define OFFER(how) (1u << PROXY_AUTH_##how | 1u << PROXY_AUTH_AUTO)
#define NOT(how) (1u << PROXY_AUTH_AUTO)

/* What the responses of a mechanism are, one behind the other, decoded; ^A is shown as "^", NUL as "~". */
static const struct {
	enum proxy_auth how;
	const char *user, *pass, *authz, *said;
} responses[] = {
	{ PROXY_AUTH_PLAIN, "joe", "pw", NULL, "~joe~pw|" },
	{ PROXY_AUTH_PLAIN, "master", "pw", "joe", "joe~master~pw|" },
	{ PROXY_AUTH_PLAIN, "joe", "", NULL, "~joe~|" },
	{ PROXY_AUTH_PLAIN, "caf\xc3\xa9 %", "\xff ^", NULL, "~caf\xc3\xa9 %~\xff ^|" },
	{ PROXY_AUTH_LOGIN, "joe", "pw", NULL, "joe|pw|" },
	{ PROXY_AUTH_LOGIN, "joe", "", NULL, "joe||" },
	{ PROXY_AUTH_XOAUTH2, "joe@x", "ya29.to-k_en~+/==", NULL, "user=joe@x^auth=Bearer ya29.to-k_en~+/==^^||" },
	{ PROXY_AUTH_OAUTHBEARER, "joe", "t", NULL, "n,a=joe,^auth=Bearer t^^|^|" },
	{ PROXY_AUTH_OAUTHBEARER, "j,o=e", "t", NULL, "n,a=j=2Co=3De,^auth=Bearer t^^|^|" },
	{ PROXY_AUTH_OAUTHBEARER, "", "t", NULL, "n,,^auth=Bearer t^^|^|" },
	{ PROXY_AUTH_EXTERNAL, "joe", NULL, NULL, "joe|" },
	{ PROXY_AUTH_EXTERNAL, "joe", NULL, "jane", "jane|" },
	{ PROXY_AUTH_EXTERNAL, "", NULL, NULL, "|" },
};

static void
add_decoded(char *to, const struct buf *base64)
{
	char bytes[256];
	ssize_t len = base64->len == 1 && *buf_head(base64) == '=' ? 0 :
	    base64_decode(bytes, buf_head(base64), base64->len);

	ck_assert_int_ge(len, 0);
	to += strlen(to);
	for (ssize_t i = 0; i < len; i++)
		*to++ = bytes[i] == '\0' ? '~' : bytes[i] == '\1' ? '^' : bytes[i];
	strcpy(to, "|");
}

START_TEST(a_mechanism_says_so_much_and_no_more)
{
	const struct login_means means = { .user = responses[_i].user, .pass = responses[_i].pass,
		.authz = responses[_i].authz };
	struct sasl_client c;
	char said[512] = "";

	ck_assert_ptr_null(sasl_client_judge(&means, responses[_i].how));
	sasl_client_init(&c, &means, responses[_i].how);
	ck_assert(!sasl_client_is_done(&c));
	for (;;) {
		struct buf out;
		const char *why;

		buf_init(&out, 4096);
		if ((why = sasl_client_respond(&c, &out)) == NULL)
			add_decoded(said, &out);
		buf_reset(&out);
		if (why != NULL)
			break;
	}
	ck_assert_str_eq(said, responses[_i].said);
}
END_TEST

START_TEST(an_empty_first_response_is_an_equals_sign)
{
	const struct login_means means = { .user = "" };
	struct sasl_client c;
	struct buf out;

	buf_init(&out, 16);
	sasl_client_init(&c, &means, PROXY_AUTH_EXTERNAL);
	ck_assert_ptr_null(sasl_client_respond(&c, &out));
	ck_assert_uint_eq(out.len, 1);
	ck_assert_mem_eq(buf_head(&out), "=", 1);
	ck_assert(sasl_client_is_done(&c));
	buf_reset(&out);
}
END_TEST

START_TEST(a_response_without_room_is_none)
{
	const struct login_means means = { .user = "joe", .pass = "pw" };
	struct sasl_client c;
	struct buf out;

	buf_init(&out, 11);
	sasl_client_init(&c, &means, PROXY_AUTH_PLAIN);
	ck_assert(!sasl_client_goes_first(&c, 11));
	ck_assert(sasl_client_goes_first(&c, 12));
	ck_assert_str_eq(sasl_client_respond(&c, &out), "response does not fit");
	ck_assert(!sasl_client_is_done(&c));
	buf_reset(&out);
}
END_TEST

static const struct {
	enum proxy_auth how;
	bool is_token;
	enum method method;
	const char *authz;
	unsigned offered;
	enum proxy_auth chosen;
} choices[] = {
	{ PROXY_AUTH_AUTO, false, METHOD_PLAIN, NULL, 0, PROXY_AUTH_PLAIN },
	{ PROXY_AUTH_AUTO, false, METHOD_PLAIN, NULL, OFFER(PLAIN) | OFFER(LOGIN), PROXY_AUTH_PLAIN },
	{ PROXY_AUTH_AUTO, false, METHOD_PLAIN, NULL, OFFER(LOGIN), PROXY_AUTH_LOGIN },
	{ PROXY_AUTH_AUTO, false, METHOD_PLAIN, "joe", OFFER(LOGIN), PROXY_AUTH_NONE },
	{ PROXY_AUTH_AUTO, false, METHOD_PLAIN, NULL, NOT(PLAIN), PROXY_AUTH_NONE },
	{ PROXY_AUTH_AUTO, true, METHOD_XOAUTH2, NULL, 0, PROXY_AUTH_XOAUTH2 },
	{ PROXY_AUTH_AUTO, true, METHOD_OAUTHBEARER, NULL, 0, PROXY_AUTH_OAUTHBEARER },
	{ PROXY_AUTH_AUTO, true, METHOD_OAUTHBEARER, NULL, OFFER(XOAUTH2), PROXY_AUTH_XOAUTH2 },
	{ PROXY_AUTH_AUTO, true, METHOD_XOAUTH2, NULL, OFFER(OAUTHBEARER), PROXY_AUTH_OAUTHBEARER },
	{ PROXY_AUTH_AUTO, true, METHOD_XOAUTH2, NULL, OFFER(PLAIN), PROXY_AUTH_NONE },
	{ PROXY_AUTH_LOGIN, false, METHOD_PLAIN, NULL, OFFER(PLAIN), PROXY_AUTH_NONE },
	{ PROXY_AUTH_LOGIN, false, METHOD_PLAIN, NULL, 0, PROXY_AUTH_LOGIN },
	{ PROXY_AUTH_EXTERNAL, false, METHOD_PLAIN, NULL, OFFER(EXTERNAL), PROXY_AUTH_EXTERNAL },
};

START_TEST(a_mechanism_is_one_that_is_offered)
{
	const struct login_means means = { .how = choices[_i].how, .is_token = choices[_i].is_token,
		.method = choices[_i].method, .authz = choices[_i].authz };

	ck_assert_int_eq(sasl_client_choose(&means, choices[_i].offered), choices[_i].chosen);
}
END_TEST

START_TEST(an_offer_is_read_word_by_word)
{
	unsigned offered = 0;
	const char *words = "DIGEST-MD5 plain  PLAINER XOAUTH2";

	sasl_client_read_offer(&offered, words, strlen(words));
	ck_assert_uint_eq(offered, OFFER(PLAIN) | OFFER(XOAUTH2));
	offered = 0;
	sasl_client_read_offer(&offered, "", 0);
	ck_assert_uint_eq(offered, NOT(PLAIN));
}
END_TEST

static const struct {
	enum proxy_auth how;
	const char *user, *pass, *authz, *why;
} unfit[] = {
	{ PROXY_AUTH_PLAIN, "joe", NULL, NULL, "no password available" },
	{ PROXY_AUTH_AUTO, "joe", NULL, NULL, "no password available" },
	{ PROXY_AUTH_PLAIN, NULL, "pw", NULL, "invalid credentials for upstream" },
	{ PROXY_AUTH_PLAIN, "", "pw", NULL, "invalid credentials for upstream" },
	{ PROXY_AUTH_LOGIN, "a\nb", "pw", NULL, "invalid credentials for upstream" },
	{ PROXY_AUTH_LOGIN, "a", "p\rw", NULL, "invalid credentials for upstream" },
	{ PROXY_AUTH_PLAIN, "a", "p", "a\r\nb", "invalid credentials for upstream" },
	{ PROXY_AUTH_XOAUTH2, "", "t", NULL, "invalid credentials for upstream" },
	{ PROXY_AUTH_XOAUTH2, "joe\1auth=Bearer x", "t", NULL, "invalid token for upstream" },
	{ PROXY_AUTH_XOAUTH2, "joe", "t\1x", NULL, "invalid token for upstream" },
	{ PROXY_AUTH_OAUTHBEARER, "joe", "a b", NULL, "invalid token for upstream" },
	{ PROXY_AUTH_OAUTHBEARER, "joe", "", NULL, "invalid token for upstream" },
};

START_TEST(what_would_be_taken_for_something_else_is_not_sent)
{
	const struct login_means means = { .user = unfit[_i].user, .pass = unfit[_i].pass, .authz = unfit[_i].authz };

	ck_assert_pstr_eq(sasl_client_judge(&means, unfit[_i].how), unfit[_i].why);
}
END_TEST

/* Whole logins, by what is to be shown. "~" in what is sent is a response, decoded as above. */
#define TOKEN "tok"
#define X2 "{user=joe^auth=Bearer tok^^|}"
#define OB "{n,a=joe,^auth=Bearer tok^^|}"
#define IR "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 AUTH=OAUTHBEARER AUTH=EXTERNAL] b\r\n"
#define OLD "* OK b\r\n"
#define EHLO "220 b\r\n250-b\r\n250-AUTH=LOGIN\r\n250 AUTH PLAIN LOGIN XOAUTH2 OAUTHBEARER EXTERNAL\r\n"
#define HELLO "EHLO mx.example\r\n"

static const struct {
	enum protocol protocol;
	struct login_means means;
	const char *answers, *sent;
} logins[] = {
	/* IMAP */
	{ PROTOCOL_IMAP, { .user = "joe", .pass = "pw" }, IR "a OK in\r\n",
	    "a LOGIN \"joe\" \"pw\"\r\n{done a OK in\r\n}" },
	{ PROTOCOL_IMAP, { .how = PROXY_AUTH_PLAIN, .user = "joe", .pass = "pw" }, IR "* X\r\na OK in\r\n",
	    "a AUTHENTICATE PLAIN {~joe~pw|}\r\n{done * X\r\na OK in\r\n}" },
	{ PROTOCOL_IMAP, { .how = PROXY_AUTH_PLAIN, .user = "joe", .pass = "pw" }, OLD "+ \r\na OK in\r\n",
	    "a AUTHENTICATE PLAIN\r\n{~joe~pw|}\r\n{done a OK in\r\n}" },
	{ PROTOCOL_IMAP, { .user = "master", .pass = "pw", .authz = "joe" }, IR "a OK in\r\n",
	    "a AUTHENTICATE PLAIN {joe~master~pw|}\r\n{done a OK in\r\n}" },
	{ PROTOCOL_IMAP, { .how = PROXY_AUTH_LOGIN, .user = "joe", .pass = "pw" },
	    "* OK [CAPABILITY SASL-IR AUTH=LOGIN] b\r\n+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\na OK in\r\n",
	    "a AUTHENTICATE LOGIN\r\n{joe|}\r\n{pw|}\r\n{done a OK in\r\n}" },
	{ PROTOCOL_IMAP, { .how = PROXY_AUTH_LOGIN, .user = "joe", .pass = "pw" }, OLD "+ \r\na OK in\r\n",
	    "a AUTHENTICATE LOGIN\r\n{joe|}\r\n{broken upstream sent invalid response: \"a OK in\"}" },
	{ PROTOCOL_IMAP, { .is_token = true, .method = METHOD_XOAUTH2, .user = "joe", .pass = TOKEN }, IR "a OK in\r\n",
	    "a AUTHENTICATE XOAUTH2 " X2 "\r\n{done a OK in\r\n}" },
	{ PROTOCOL_IMAP, { .is_token = true, .method = METHOD_XOAUTH2, .user = "joe", .pass = TOKEN },
	    IR "+ eyJzdGF0dXMiOiI0MDAifQ==\r\na NO [AUTHENTICATIONFAILED] x\r\n",
	    "a AUTHENTICATE XOAUTH2 " X2 "\r\n{|}\r\n{refused a NO [AUTHENTICATIONFAILED] x\r\n}" },
	{ PROTOCOL_IMAP, { .is_token = true, .method = METHOD_OAUTHBEARER, .user = "joe", .pass = TOKEN },
	    OLD "+\r\n+ e30=\r\na NO x\r\n",
	    "a AUTHENTICATE OAUTHBEARER\r\n" OB "\r\n{^|}\r\n{refused a NO x\r\n}" },
	{ PROTOCOL_IMAP, { .is_token = true, .method = METHOD_OAUTHBEARER, .user = "joe", .pass = TOKEN },
	    IR "+ e30=\r\na OK in\r\n",
	    "a AUTHENTICATE OAUTHBEARER " OB "\r\n{^|}\r\n{broken upstream sent invalid response: \"a OK in\"}" },
	{ PROTOCOL_IMAP, { .is_token = true, .method = METHOD_XOAUTH2, .user = "joe", .pass = TOKEN },
	    "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] b\r\n",
	    "{unavailable upstream offers no authentication mechanism that fits}" },
	{ PROTOCOL_IMAP, { .how = PROXY_AUTH_EXTERNAL, .user = "joe" }, IR "a OK in\r\n",
	    "a AUTHENTICATE EXTERNAL {joe|}\r\n{done a OK in\r\n}" },
	{ PROTOCOL_IMAP, { .how = PROXY_AUTH_PLAIN, .user = "joe", .pass = "pw" }, IR "+ \r\n",
	    "a AUTHENTICATE PLAIN {~joe~pw|}\r\n"
	    "{broken AUTHENTICATE PLAIN to upstream failed: asked for more than the mechanism has}" },
	{ PROTOCOL_IMAP, { .user = "joe", .pass = "pw" }, "* OK [CAPABILITY LOGINDISABLED AUTH=PLAIN] b\r\n",
	    "{unavailable upstream allows no LOGIN on this connection}" },
	{ PROTOCOL_IMAP, { .how = PROXY_AUTH_PLAIN, .user = "joe", .pass = "pw" },
	    "* OK [CAPABILITY SASL-IR LOGINDISABLED AUTH=PLAIN] b\r\na OK in\r\n",
	    "a AUTHENTICATE PLAIN {~joe~pw|}\r\n{done a OK in\r\n}" },
	{ PROTOCOL_IMAP, { .how = PROXY_AUTH_NONE, .user = "joe" }, "* PREAUTH in\r\nleft",
	    "{done a OK logged in\r\n}left" },
	{ PROTOCOL_IMAP, { .how = PROXY_AUTH_NONE, .user = "joe" }, OLD,
	    "{broken upstream wants a login, but \"proxy_auth\" is \"none\"}" },
	/* POP3 */
	{ PROTOCOL_POP3, { .how = PROXY_AUTH_PLAIN, .user = "joe", .pass = "pw" }, "+OK\r\n+OK in\r\n",
	    "AUTH PLAIN {~joe~pw|}\r\n{done +OK in\r\n}" },
	{ PROTOCOL_POP3, { .user = "master", .pass = "pw", .authz = "joe" }, "+OK\r\n+OK in\r\n",
	    "AUTH PLAIN {joe~master~pw|}\r\n{done +OK in\r\n}" },
	{ PROTOCOL_POP3, { .how = PROXY_AUTH_LOGIN, .user = "joe", .pass = "pw" }, "+OK\r\n+ x\r\n+\r\n+OK in\r\n",
	    "AUTH LOGIN\r\n{joe|}\r\n{pw|}\r\n{done +OK in\r\n}" },
	{ PROTOCOL_POP3, { .how = PROXY_AUTH_LOGIN, .user = "joe", .pass = "pw" }, "+OK\r\n+ x\r\n+OK in\r\n",
	    "AUTH LOGIN\r\n{joe|}\r\n{broken upstream ended AUTH LOGIN before it was done}" },
	{ PROTOCOL_POP3, { .is_token = true, .method = METHOD_XOAUTH2, .user = "joe", .pass = TOKEN },
	    "+OK\r\n+ e30=\r\n-ERR [AUTH] no\r\n", "AUTH XOAUTH2 " X2 "\r\n{|}\r\n{refused -ERR [AUTH] no\r\n}" },
	{ PROTOCOL_POP3, { .how = PROXY_AUTH_EXTERNAL, .user = "joe" }, "+OK\r\n-ERR [SYS/TEMP] no\r\n",
	    "AUTH EXTERNAL {joe|}\r\n{unavailable -ERR [SYS/TEMP] no\r\n}" },
	{ PROTOCOL_POP3, { .how = PROXY_AUTH_NONE, .user = "joe" }, "+OK <x>\r\n", "{done +OK logged in\r\n}" },
	{ PROTOCOL_POP3, { .how = PROXY_AUTH_PLAIN, .user = "joe" }, "+OK\r\n", "{refused }" },
	/* a backend that takes XCLIENT is told who the client is, in the same write */
	{ PROTOCOL_POP3, { .user = "joe", .pass = "pw" }, "+OK [XCLIENT] hi\r\n+OK Updated\r\n+OK\r\n+OK in\r\n",
	    "XCLIENT ADDR=192.0.2.1 PORT=0 SESSION= TTL=5\r\nUSER joe\r\nPASS pw\r\n{done +OK in\r\n}" },
	{ PROTOCOL_POP3, { .user = "joe", .pass = "pw" }, "+OK [XCLIENT] hi\r\n-ERR no\r\n+OK\r\n-ERR [AUTH] no\r\n",
	    "XCLIENT ADDR=192.0.2.1 PORT=0 SESSION= TTL=5\r\nUSER joe\r\nPASS pw\r\n{refused -ERR [AUTH] no\r\n}" },
	{ PROTOCOL_POP3, { .how = PROXY_AUTH_PLAIN, .user = "joe", .pass = "pw" },
	    "+OK [XCLIENT] hi\r\n+OK\r\n+OK in\r\n",
	    "XCLIENT ADDR=192.0.2.1 PORT=0 SESSION= TTL=5\r\nAUTH PLAIN {~joe~pw|}\r\n{done +OK in\r\n}" },
	{ PROTOCOL_POP3, { .user = "joe", .pass = "pw" }, "+OK [XCLIENT] hi\r\n* OK\r\n",
	    "XCLIENT ADDR=192.0.2.1 PORT=0 SESSION= TTL=5\r\nUSER joe\r\n"
	    "{broken upstream sent invalid response: \"* OK\"}" },
	/* SMTP: the mechanism is chosen from what is offered */
	{ PROTOCOL_SMTP, { .how = PROXY_AUTH_PLAIN, .user = "joe", .pass = "pw" }, EHLO "235 in\r\n",
	    HELLO "AUTH PLAIN {~joe~pw|}\r\n{done 235 in\r\n}" },
	{ PROTOCOL_SMTP, { .how = PROXY_AUTH_LOGIN, .user = "joe", .pass = "pw" },
	    EHLO "334 x\r\n334 y\r\n235 in\r\n",
	    HELLO "AUTH LOGIN\r\n{joe|}\r\n{pw|}\r\n{done 235 in\r\n}" },
	{ PROTOCOL_SMTP, { .how = PROXY_AUTH_LOGIN, .user = "joe", .pass = "pw" }, EHLO "334 x\r\n235 in\r\n",
	    HELLO "AUTH LOGIN\r\n{joe|}\r\n{broken upstream ended AUTH LOGIN before it was done}" },
	{ PROTOCOL_SMTP, { .how = PROXY_AUTH_OAUTHBEARER, .is_token = true, .method = METHOD_OAUTHBEARER, .user = "joe",
	    .pass = TOKEN }, EHLO "334 e30=\r\n535 no\r\n",
	    HELLO "AUTH OAUTHBEARER " OB "\r\n{^|}\r\n{refused 535 no\r\n}" },
	{ PROTOCOL_SMTP, { .how = PROXY_AUTH_XOAUTH2, .is_token = true, .method = METHOD_XOAUTH2, .user = "joe",
	    .pass = TOKEN }, "220 b\r\n250 b\r\n235 in\r\n", HELLO "AUTH XOAUTH2 " X2 "\r\n{done 235 in\r\n}" },
	{ PROTOCOL_SMTP, { .how = PROXY_AUTH_PLAIN, .user = "joe", .pass = "pw" },
	    "220 b\r\n250-b\r\n250 AUTH DIGEST-MD5\r\n",
	    HELLO "{unavailable upstream offers no authentication mechanism that fits}" },
	{ PROTOCOL_SMTP, { .how = PROXY_AUTH_EXTERNAL, .user = "joe" }, EHLO "235 in\r\n",
	    HELLO "AUTH EXTERNAL {joe|}\r\n{done 235 in\r\n}" },
	{ PROTOCOL_SMTP, { .how = PROXY_AUTH_NONE, .user = "joe", .pass = "pw" }, EHLO, HELLO "{done }" },
};

/* Shows base64 between "{" and "}" as add_decoded() does: what follows the command, or stands alone in its line. */
static void
show_line(char *to, const char *line, size_t len)
{
	static const char *const commands[] = { "a AUTHENTICATE ", "AUTH " };
	static const char *const others[] = { "EHLO ", "a ", "XCLIENT ", "USER ", "PASS ", "{", "+" };
	bool is_other = false;
	struct buf response;
	size_t skip = 0;

	for (size_t i = 0; i < UNIT_COUNT(commands); i++)
		if (strncmp(line, commands[i], strlen(commands[i])) == 0)
			skip = strlen(commands[i]) + strcspn(line + strlen(commands[i]), " \r") + 1;
	for (size_t i = 0; i < UNIT_COUNT(others); i++)
		is_other |= strncmp(line, others[i], strlen(others[i])) == 0;
	if (skip == 0 && !is_other)
		skip = SIZE_MAX;
	if (skip == 0 || (skip != SIZE_MAX && skip > len)) {
		sprintf(to + strlen(to), "%.*s\r\n", (int)len, line);
		return;
	}
	skip = skip == SIZE_MAX ? 0 : skip;
	buf_init(&response, 4096);
	buf_add(&response, line + skip, len - skip);
	sprintf(to + strlen(to), "%.*s{", (int)skip, line);
	add_decoded(to, &response);
	strcat(to, "}\r\n");
	buf_reset(&response);
}

/* What was sent is shown line by line up to the verdict, which stays as it is. */
static void
show(char *to, const char *sent)
{
	const char *verdict = sent;

	for (const char *end; *verdict != '{' && (end = strstr(verdict, "\r\n")) != NULL; verdict = end + 2)
		show_line(to, verdict, (size_t)(end - verdict));
	strcat(to, verdict);
}

static struct client *
asking(const struct scene *scene)
{
	static const char *const said[] = { "a LOGIN u p\r\n", "USER u\r\nPASS p\r\n", "AUTH PLAIN AGEAYg==\r\n" };
	const struct proto *proto = proto_get(scene->server.protocol);
	struct client *client = proto->client_new(&scene->facts);
	struct buf in, out;

	buf_init(&in, 256);
	buf_init(&out, PROTO_ROOM);
	buf_add_text(&in, said[scene->server.protocol]);
	while (proto->input(client, &in, &out) != PROTO_CREDENTIALS)
		ck_assert_uint_gt(in.len, 0);
	buf_reset(&in);
	buf_reset(&out);
	return client;
}

START_TEST(a_login_says_what_it_was_given_wherever_the_answers_are_cut)
{
	const struct proto *proto = proto_get(logins[_i].protocol);
	size_t len = strlen(logins[_i].answers);
	struct scene scene;
	struct client *client;
	struct login_task task;

	scene_init(&scene, logins[_i].protocol, METHOD_PLAIN, NULL);
	scene.server.xclient = logins[_i].protocol == PROTOCOL_POP3;
	client = asking(&scene);
	task = dialogue_task(&scene, client, &client->credentials);
	task.means = logins[_i].means;
	for (size_t cut = 0; cut <= len; cut++) {
		char *sent = dialogue_login(&task, proto, logins[_i].answers, len, cut), shown[1024] = "";

		show(shown, sent);
		ck_assert_str_eq(shown, logins[_i].sent);
		mem_free(sent);
	}
	proto->client_free(&client);
}
END_TEST

/* POP3 and SMTP bound the line of a command, not that of a response. */
START_TEST(a_long_token_waits_to_be_asked_for)
{
	static const enum protocol protocols[] = { PROTOCOL_POP3, PROTOCOL_SMTP };
	static const char *const begun[] = { "AUTH XOAUTH2\r\n{more}", HELLO "AUTH XOAUTH2\r\n{more}" };
	static const char *const answers[] = { "+OK\r\n", EHLO };
	char token[1001] = "";
	struct scene scene;
	struct client *client;
	struct login_task task;
	char *sent;

	memset(token, 'x', sizeof(token) - 1);
	scene_init(&scene, protocols[_i], METHOD_PLAIN, NULL);
	client = asking(&scene);
	task = dialogue_task(&scene, client, &client->credentials);
	task.means = (struct login_means){ .how = PROXY_AUTH_XOAUTH2, .is_token = true, .method = METHOD_XOAUTH2,
	    .user = "joe", .pass = token };
	sent = dialogue_login(&task, proto_get(protocols[_i]), answers[_i], strlen(answers[_i]), 0);
	ck_assert_str_eq(sent, begun[_i]);
	mem_free(sent);
	proto_get(protocols[_i])->client_free(&client);
}
END_TEST

Suite *
sasl_client_suite(void)
{
	Suite *suite = suite_create("sasl_client");
	TCase *tcase = tcase_create("sasl_client");

	tcase_add_loop_test(tcase, a_mechanism_says_so_much_and_no_more, 0, UNIT_COUNT(responses));
	tcase_add_test(tcase, an_empty_first_response_is_an_equals_sign);
	tcase_add_test(tcase, a_response_without_room_is_none);
	tcase_add_loop_test(tcase, a_mechanism_is_one_that_is_offered, 0, UNIT_COUNT(choices));
	tcase_add_test(tcase, an_offer_is_read_word_by_word);
	tcase_add_loop_test(tcase, what_would_be_taken_for_something_else_is_not_sent, 0, UNIT_COUNT(unfit));
	tcase_add_loop_test(tcase, a_login_says_what_it_was_given_wherever_the_answers_are_cut, 0, UNIT_COUNT(logins));
	tcase_add_loop_test(tcase, a_long_token_waits_to_be_asked_for, 0, 2);
	suite_add_tcase(suite, tcase);
	return suite;
}
