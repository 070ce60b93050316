#include "worker/auth/http_answer.h"

#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "test/unit/unit.h"
#include "worker/auth/auth_source.h"

#define TO "Auth-Server: 192.0.2.1\nAuth-Port: 143\n"
#define YES "Auth-Status: OK\n" TO
#define D50 "12345678901234567890123456789012345678901234567890"

enum { PROXY_PASS = 1, SMTP_AUTH = 2, NAMELESS = 4 };

#define CASE(http_status, lines, text, ...) { .status = http_status, .headers = lines, .outcome = text, __VA_ARGS__ }

static const struct {
	unsigned status;
	const char *headers;    /* one a line */
	const char *outcome;    /* as outcome_text() writes it */
	enum protocol protocol;
	enum method method;
	unsigned set;           /* of the server */
} cases[] = {
	CASE(200, YES, "accepted to 192.0.2.1 port 143"),
	CASE(204, "aUTH-sTATUS: OK\nauth-server: 192.0.2.1\nAUTH-PORT: 143\nX-Other: OK\n",
	    "accepted to 192.0.2.1 port 143"),
	CASE(200, YES "Auth-User: u%25\nAuth-Pass: p w\n", "accepted user u%25 pass p w to 192.0.2.1 port 143"),
	CASE(200, YES "Auth-Wait: 3\n", "accepted to 192.0.2.1 port 143"),

	/* fails closed */
	CASE(199, YES, "bad: sent invalid response: status 199"),
	CASE(302, YES, "bad: sent invalid response: status 302"),
	CASE(403, YES, "bad: sent invalid response: status 403"),
	CASE(500, "Auth-Status: Invalid login\n", "bad: sent invalid response: status 500"),
	CASE(200, "", "bad: sent invalid response: no Auth-Status"),
	CASE(200, TO, "bad: sent invalid response: no Auth-Status"),
	CASE(200, "Auth-Status: \n" TO, "bad: sent invalid response: no Auth-Status"),
	CASE(200, "Auth-Status: \n" TO, "bad: sent invalid response: no Auth-Status", .protocol = PROTOCOL_SMTP),
	CASE(200, YES "Auth-Status: OK\n", "bad: sent invalid header in response: Auth-Status twice"),
	CASE(200, YES "Auth-Status: Invalid login\n", "bad: sent invalid header in response: Auth-Status twice"),
	CASE(200, "Auth-Status: Invalid login\nauth-status: OK\n" TO,
	    "bad: sent invalid header in response: Auth-Status twice"),
	CASE(200, YES "Auth-Server: 192.0.2.2\n", "bad: sent invalid header in response: Auth-Server twice"),
	CASE(200, YES "Auth-Error-Code: 535 5.7.0\n", "bad: sent invalid header in response: Auth-Error-Code with OK"),
	CASE(200, YES "Auth-User: \n", "bad: sent invalid header in response: Auth-User"),
	CASE(200, YES "Auth-Pass: \n", "bad: sent invalid header in response: Auth-Pass"),
	CASE(200, YES "Auth-Wait: soon\n", "bad: sent invalid header in response: Auth-Wait"),
	CASE(200, YES "Auth-Wait: -1\n", "bad: sent invalid header in response: Auth-Wait"),

	/* TLS towards the backend */
	CASE(200, YES "Auth-SSL: on\n", "accepted to 192.0.2.1 port 143 ssl 2"),
	CASE(200, YES "auth-ssl: off\n", "accepted to 192.0.2.1 port 143 ssl 1"),
	CASE(200, YES "Auth-SSL: starttls\nAuth-SSL-Name: imap.example.com\n",
	    "accepted to 192.0.2.1 port 143 ssl 3 name imap.example.com"),
	CASE(200, YES "Auth-SSL-Name: 2001:db8::1\n", "accepted to 192.0.2.1 port 143 name 2001:db8::1"),
	CASE(200, YES "Auth-SSL: ON\n", "bad: sent invalid header in response: Auth-SSL"),
	CASE(200, YES "Auth-SSL: \n", "bad: sent invalid header in response: Auth-SSL"),
	CASE(200, YES "Auth-SSL: on\nAuth-SSL: off\n", "bad: sent invalid header in response: Auth-SSL twice"),
	CASE(200, YES "Auth-SSL-Name: \n", "bad: sent invalid header in response: Auth-SSL-Name"),
	CASE(200, YES "Auth-SSL-Name: a b\n", "bad: sent invalid header in response: Auth-SSL-Name"),
	CASE(200, YES "Auth-SSL-Name: *.example.com\n", "bad: sent invalid header in response: Auth-SSL-Name"),
	CASE(200, "Auth-Status: no\nAuth-SSL: x\n", "refused \"no\" and close"),

	/* where to */
	CASE(200, "Auth-Status: OK\n", "bad: did not send server or port"),
	CASE(200, "Auth-Status: OK\nAuth-Server: 192.0.2.1\n", "bad: did not send server or port"),
	CASE(200, "Auth-Status: OK\nAuth-Port: 143\n", "bad: did not send server or port"),
	CASE(200, "Auth-Status: OK\nAuth-Server: \nAuth-Port: 143\n", "bad: did not send server or port"),
	CASE(200, "Auth-Status: OK\n", "accepted", .set = PROXY_PASS),
	CASE(200, "Auth-Status: OK\nAuth-Port: 143\n", "bad: did not send server or port", .set = PROXY_PASS),
	CASE(200, "Auth-Status: OK\nAuth-Server: \n", "bad: did not send server or port", .set = PROXY_PASS),
	CASE(200, YES, "accepted to 192.0.2.1 port 143", .set = PROXY_PASS),
	CASE(200, "Auth-Status: OK\nAuth-Server: 2001:db8::1\nAuth-Port: 1\n", "accepted to 2001:db8::1 port 1"),
	CASE(200, "Auth-Status: OK\nAuth-Server: [2001:db8::1]\nAuth-Port: 65535\n",
	    "accepted to 2001:db8::1 port 65535"),
	CASE(200, "Auth-Status: OK\nAuth-Server: mail-1.example_x.com\nAuth-Port: 143\n",
	    "accepted to mail-1.example_x.com port 143"),
	CASE(200, "Auth-Status: OK\nAuth-Server: mail.example.com.\nAuth-Port: 143\n",
	    "accepted to mail.example.com. port 143"),
	CASE(200, "Auth-Status: OK\nAuth-Server: unix:/run/imap\n", "accepted to unix /run/imap"),
	CASE(200, "Auth-Status: OK\nAuth-Server: unix:/run/imap\nAuth-Port: 143\n", "accepted to unix /run/imap"),
	CASE(200, "Auth-Status: OK\nAuth-Server: unix:run/imap\n",
	    "bad: sent invalid server address:\"unix:run/imap\""),
	CASE(200, "Auth-Status: OK\nAuth-Server: unix:\n", "bad: sent invalid server address:\"unix:\""),
	CASE(200, "Auth-Status: OK\nAuth-Server: unix:/" D50 D50 "12345678\n",
	    "bad: sent invalid server address:\"unix:/" D50 D50 "12345678\""),
	CASE(200, "Auth-Status: OK\nAuth-Server: 192.0.2.256\nAuth-Port: 1\n",
	    "bad: sent invalid server address:\"192.0.2.256\""),
	CASE(200, "Auth-Status: OK\nAuth-Server: 192.0.2.1:143\nAuth-Port: 1\n",
	    "bad: sent invalid server address:\"192.0.2.1:143\""),
	CASE(200, "Auth-Status: OK\nAuth-Server: [192.0.2.1]\nAuth-Port: 1\n",
	    "bad: sent invalid server address:\"[192.0.2.1]\""),
	CASE(200, "Auth-Status: OK\nAuth-Server: []\nAuth-Port: 1\n", "bad: sent invalid server address:\"[]\""),
	CASE(200, "Auth-Status: OK\nAuth-Server: [\nAuth-Port: 1\n", "bad: sent invalid server address:\"[\""),
	CASE(200, "Auth-Status: OK\nAuth-Server: a b\nAuth-Port: 1\n", "bad: sent invalid server address:\"a b\""),
	CASE(200, "Auth-Status: OK\nAuth-Server: a..b\nAuth-Port: 1\n", "bad: sent invalid server address:\"a..b\""),
	CASE(200, "Auth-Status: OK\nAuth-Server: .\nAuth-Port: 1\n", "bad: sent invalid server address:\".\""),
	CASE(200, "Auth-Status: OK\nAuth-Server: \"x\\y\"\nAuth-Port: 1\n",
	    "bad: sent invalid server address:\"\\x22x\\x5Cy\\x22\""),
	CASE(200, "Auth-Status: OK\nAuth-Server: 192.0.2.1\nAuth-Port: 0\n", "bad: sent invalid server port:\"0\""),
	CASE(200, "Auth-Status: OK\nAuth-Server: 192.0.2.1\nAuth-Port: 65536\n",
	    "bad: sent invalid server port:\"65536\""),
	CASE(200, "Auth-Status: OK\nAuth-Server: 192.0.2.1\nAuth-Port: imap\n",
	    "bad: sent invalid server port:\"imap\""),

	/* a certificate alone does not say who it is */
	CASE(200, YES "Auth-Pass: x\n", "bad: did not send user", .method = METHOD_EXTERNAL, .set = NAMELESS),
	CASE(200, YES "Auth-User: \nAuth-Pass: x\n", "bad: did not send user", .method = METHOD_EXTERNAL,
	    .set = NAMELESS),
	CASE(200, YES, "bad: did not send user", .protocol = PROTOCOL_SMTP, .method = METHOD_EXTERNAL,
	    .set = NAMELESS),
	CASE(200, YES "Auth-User: u\nAuth-Pass: x\n", "accepted user u pass x to 192.0.2.1 port 143",
	    .method = METHOD_EXTERNAL, .set = NAMELESS),

	/* nor need a token, which is as good as a password for a backend */
	CASE(200, YES, "bad: did not send user", .method = METHOD_OAUTHBEARER, .set = NAMELESS),
	CASE(200, YES "Auth-User: u\n", "accepted user u to 192.0.2.1 port 143", .method = METHOD_OAUTHBEARER,
	    .set = NAMELESS),
	CASE(200, YES, "accepted to 192.0.2.1 port 143", .method = METHOD_XOAUTH2),
	CASE(200, YES "Auth-Pass: x\n", "accepted pass x to 192.0.2.1 port 143", .method = METHOD_OAUTHBEARER),

	/* a digest is no password for the backend */
	CASE(200, YES, "bad: did not send password", .method = METHOD_APOP),
	CASE(200, YES, "bad: did not send password", .method = METHOD_CRAM_MD5),
	CASE(200, YES, "bad: did not send password", .method = METHOD_EXTERNAL),
	CASE(200, YES "Auth-Pass: \n", "bad: did not send password", .method = METHOD_APOP),
	CASE(200, YES "Auth-Pass: x\n", "accepted pass x to 192.0.2.1 port 143", .method = METHOD_CRAM_MD5),
	CASE(200, YES, "accepted to 192.0.2.1 port 143", .protocol = PROTOCOL_SMTP, .method = METHOD_CRAM_MD5),
	CASE(200, YES, "bad: did not send password", .protocol = PROTOCOL_SMTP, .method = METHOD_CRAM_MD5,
	    .set = SMTP_AUTH),
	CASE(200, YES, "accepted to 192.0.2.1 port 143", .protocol = PROTOCOL_SMTP, .method = METHOD_LOGIN,
	    .set = SMTP_AUTH),

	/* refusals */
	CASE(200, "Auth-Status: Invalid login or password\n", "refused \"Invalid login or password\" and close"),
	CASE(200, "Auth-Status: ok\n" TO, "refused \"ok\" and close"),
	CASE(200, "Auth-Status: wait\nAuth-Wait: 0\n", "refused \"wait\" and close"),
	CASE(200, "Auth-Status: no\nAuth-Wait: 3\nAuth-Server: \n", "refused \"no\" after 3000"),
	CASE(200, "Auth-Status: no\nAuth-Wait: 601\n", "refused \"no\" after 600000"),
	CASE(200, "Auth-Status: no\nAuth-Wait: 99999999999999999999\n", "refused \"no\" after 600000"),
	CASE(200, "Auth-Status: no\nAuth-Error-Code: 451 4.3.0\n", "refused \"no\" code 451 4.3.0 and close"),
	CASE(200, "Auth-Status: no\nAuth-Error-Code: 550\n", "refused \"no\" code 550 and close"),
	CASE(200, "Auth-Status: no\nAuth-Error-Code: 550 5.123.999\n", "refused \"no\" code 550 5.123.999 and close"),
	CASE(200, "Auth-Status: no\nAuth-Error-Code: 235 2.7.0\n",
	    "refused \"no\" and close: sent invalid header in response: Auth-Error-Code"),
	CASE(200, "Auth-Status: no\nAuth-Error-Code: 535-5.7.0\n",
	    "refused \"no\" and close: sent invalid header in response: Auth-Error-Code"),
	CASE(200, "Auth-Status: no\nAuth-Error-Code: 535 4.7.0\n",
	    "refused \"no\" and close: sent invalid header in response: Auth-Error-Code"),
	CASE(200, "Auth-Status: no\nAuth-Error-Code: 535 5.7\n",
	    "refused \"no\" and close: sent invalid header in response: Auth-Error-Code"),
	CASE(200, "Auth-Status: no\nAuth-Error-Code: 5350\n",
	    "refused \"no\" and close: sent invalid header in response: Auth-Error-Code"),
	CASE(200, "Auth-Status: no\nAuth-Error-Code: 535 5.7.0 x\n",
	    "refused \"no\" and close: sent invalid header in response: Auth-Error-Code"),

	/* for an OAuth client, and for the next source */
	CASE(200, "Auth-Status: no\nAuth-Error-SASL: eyJzdGF0dXMiOiI0MDEifQ==\n",
	    "refused \"no\" challenge eyJzdGF0dXMiOiI0MDEifQ== and close"),
	CASE(200, "Auth-Status: no\nAuth-Error-SASL: {\"status\":\"401\"}\n",
	    "refused \"no\" and close: sent invalid header in response: Auth-Error-SASL"),
	CASE(200, "Auth-Status: no\nAuth-Error-SASL: eyJ zdGF0\n",
	    "refused \"no\" and close: sent invalid header in response: Auth-Error-SASL"),
	CASE(200, "Auth-Status: no\nAuth-Error-SASL: \n",
	    "refused \"no\" and close: sent invalid header in response: Auth-Error-SASL"),
	CASE(200, "Auth-Status: no\nAuth-Error-SASL: eyJ9\nAuth-Error-SASL: eyJ9\n",
	    "bad: sent invalid header in response: Auth-Error-SASL twice"),
	CASE(200, YES "Auth-Error-SASL: eyJ9\n", "bad: sent invalid header in response: Auth-Error-SASL with OK"),
	CASE(200, "Auth-Status: no\nAuth-Unknown-User: on\n", "unknown \"no\" and close"),
	CASE(200, "Auth-Status: no\nAuth-Unknown-User: on\nAuth-Wait: 2\nAuth-Error-Code: 550\n",
	    "unknown \"no\" code 550 after 2000"),
	CASE(200, "Auth-Status: no\nAuth-Unknown-User: off\n", "refused \"no\" and close"),
	CASE(200, "Auth-Status: no\nAuth-Unknown-User: ON\n",
	    "refused \"no\" and close: sent invalid header in response: Auth-Unknown-User"),
	CASE(200, "Auth-Status: no\nAuth-Unknown-User: \n",
	    "refused \"no\" and close: sent invalid header in response: Auth-Unknown-User"),
	CASE(200, "Auth-Status: no\nAuth-Unknown-User: on\nAuth-Unknown-User: on\n",
	    "bad: sent invalid header in response: Auth-Unknown-User twice"),
	CASE(200, YES "Auth-Unknown-User: on\n", "bad: sent invalid header in response: Auth-Unknown-User with OK"),
	CASE(200, YES "Auth-Unknown-User: off\n", "bad: sent invalid header in response: Auth-Unknown-User with OK"),

	CASE(200, "Auth-Status: WAIT\n", "again after 0"),
	CASE(200, "Auth-Status: WAIT\nAuth-Wait: 5\n", "again after 5000"),
	CASE(200, "Auth-Status: WAIT\nAuth-Wait: 4294967297\n", "again after 600000"),
};

/* What a question consists of, for row `i`; all of it static. */
static const struct auth_question *
question_of(int i)
{
	static struct conf_name proxy_pass;
	static struct server server;
	static struct credentials credentials;
	static struct auth_question question;
	static char named[] = "joe", nameless[] = "";

	server = (struct server){
		.protocol = cases[i].protocol,
		.proxy_pass = cases[i].set & PROXY_PASS ? &proxy_pass : NULL,
		.proxy_smtp_auth = cases[i].set & SMTP_AUTH,
	};
	credentials.method = cases[i].method != 0 ? cases[i].method : METHOD_PLAIN;
	credentials.user = cases[i].set & NAMELESS ? nameless : named;
	question = (struct auth_question){ .server = &server, .credentials = &credentials };
	return &question;
}

static void
hear(struct http_answer *answer, const char *headers)
{
	char *text = mem_strdup(headers), *rest = text, *line;

	while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
		char *value = strstr(line, ": ");

		*value = '\0';
		http_answer_header(answer, line, value + 2);
	}
	mem_free(text);
}

/* What of these headers is kept for who wants X-Plan and the one that names the server. */
static const struct {
	const char *headers, *plan, *server;
} kept[] = {
	{ "", NULL, NULL },
	{ "X-Plan: gold\n", "gold", NULL },
	{ "x-PLAN: gold=1\nX-Other: no\nAuth-Server: a\n", "gold=1", "a" },
	{ "X-Plan: \nX-Plan: tin\n", "", NULL },
	{ "X-Pla: a\nX-Plans: b\nX_Plan: c\nX-Plan: d\n", "c", NULL },
	{ "X-Plan: a\nX-Plan: b\nAuth-Server: c\n", "a", "c" },
};

static void
expect_kept(const struct http_answer *answer, const char *name, const char *value)
{
	const struct auth_answer got = { .headers = answer->kept };
	char *text = auth_answer_header(&got, name);

	if (value == NULL)
		ck_assert_ptr_null(text);
	else
		ck_assert_str_eq(text, value);
	mem_free(text);
}

START_TEST(headers_that_somebody_wants_are_kept)
{
	const char *wanted[] = { "x_plan", "auth_server", NULL };
	char *text = mem_strdup(kept[_i].headers), *rest = text, *line;
	struct http_answer answer = { .kept = NULL }, nothing = { .kept = NULL };

	while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
		char *value = strstr(line, ": ");

		*value = '\0';
		http_answer_keep(&answer, wanted, line, value + 2);
		http_answer_keep(&nothing, NULL, line, value + 2);
	}
	expect_kept(&answer, "x_plan", kept[_i].plan);
	expect_kept(&answer, "auth_server", kept[_i].server);
	expect_kept(&answer, "x_pla", NULL);
	ck_assert_ptr_null(nothing.kept);
	http_answer_reset(&answer);
	ck_assert_ptr_null(answer.kept);
	mem_free(text);
}
END_TEST

static void
add(char *out, const char *before, const char *text)
{
	if (text != NULL)
		sprintf(out + strlen(out), "%s%s", before, text);
}

static void
add_number(char *out, const char *before, uint64_t number)
{
	if (number > 0)
		sprintf(out + strlen(out), "%s%llu", before, (unsigned long long)number);
}

static void
outcome_text(char *out, enum http_answer_verdict verdict, const struct auth_answer *answer, const char *why)
{
	*out = '\0';
	if (verdict == ANSWER_AGAIN) {
		sprintf(out, "again after %llu", (unsigned long long)answer->wait_ms);
	} else if (verdict == ANSWER_BAD) {
		sprintf(out, "bad: %s", why);
	} else if (answer->outcome == AUTH_ACCEPTED) {
		strcpy(out, "accepted");
		add(out, " user ", answer->user);
		add(out, " pass ", answer->pass);
		add(out, answer->is_unix ? " to unix " : " to ", answer->host);
		add_number(out, " port ", answer->port);
		add_number(out, " ssl ", answer->ssl);
		add(out, " name ", answer->ssl_name);
	} else {
		sprintf(out, "%s \"%s\"", answer->outcome == AUTH_UNKNOWN ? "unknown" : "refused", answer->text);
		add(out, " code ", answer->code);
		add(out, " challenge ", answer->challenge);
		add_number(out, " after ", answer->wait_ms);
		add(out, " and close", answer->close ? "" : NULL);
		add(out, ": ", *why != '\0' ? why : NULL);
	}
}

START_TEST(an_answer_means)
{
	struct http_answer answer = { .doubled = NULL };
	struct auth_answer out;
	enum http_answer_verdict verdict;
	char why[HTTP_ANSWER_WHY], text[1024];

	hear(&answer, cases[_i].headers);
	verdict = http_answer_judge(&answer, cases[_i].status, question_of(_i), &out, why);
	outcome_text(text, verdict, &out, why);
	ck_assert_str_eq(text, cases[_i].outcome);
	http_answer_reset(&answer);
	auth_answer_reset(&out);
}
END_TEST

START_TEST(an_error_text_is_cut_between_characters)
{
	struct http_answer answer = { .doubled = NULL };
	struct auth_answer out;
	char why[HTTP_ANSWER_WHY], status[1024];

	memset(status, 'x', 479);
	strcpy(status + 479, "\xc3\xbc...");
	http_answer_header(&answer, "Auth-Status", status);
	ck_assert_int_eq(http_answer_judge(&answer, 200, question_of(0), &out, why), ANSWER_FINAL);
	ck_assert_uint_eq(strlen(out.text), 479);
	http_answer_reset(&answer);
	auth_answer_reset(&out);
}
END_TEST

START_TEST(an_error_challenge_is_of_a_bounded_length)
{
	static const size_t lens[] = { 2048, 2052 };

	for (int i = 0; i < UNIT_COUNT(lens); i++) {
		struct http_answer answer = { .doubled = NULL };
		char challenge[4096] = "", why[HTTP_ANSWER_WHY];
		struct auth_answer out;

		memset(challenge, 'A', lens[i]);
		http_answer_header(&answer, "Auth-Status", "no");
		http_answer_header(&answer, "Auth-Error-SASL", challenge);
		ck_assert_int_eq(http_answer_judge(&answer, 200, question_of(0), &out, why), ANSWER_FINAL);
		ck_assert_int_eq(out.outcome, AUTH_REFUSED);
		ck_assert((out.challenge != NULL) == (i == 0));
		http_answer_reset(&answer);
		auth_answer_reset(&out);
	}
}
END_TEST

START_TEST(a_password_that_the_server_repeats_is_not_for_the_log)
{
	const struct auth_question *question = question_of(0);
	struct credentials credentials = { .method = METHOD_PLAIN, .pass = (char *)(uintptr_t)"hunter2" };
	struct auth_question asked = *question;
	struct http_answer answer = { .doubled = NULL };
	struct auth_answer out;
	char why[HTTP_ANSWER_WHY];

	asked.credentials = &credentials;
	http_answer_header(&answer, "Auth-Status", "wrong password: hunter2");
	ck_assert_int_eq(http_answer_judge(&answer, 200, &asked, &out, why), ANSWER_FINAL);
	ck_assert_str_eq(out.text, "wrong password: hunter2");
	ck_assert_ptr_null(strstr(out.reason, "hunter2"));
	http_answer_reset(&answer);
	auth_answer_reset(&out);
}
END_TEST

Suite *
http_answer_suite(void)
{
	Suite *suite = suite_create("http_answer");
	TCase *tcase = tcase_create("http_answer");

	tcase_add_loop_test(tcase, an_answer_means, 0, UNIT_COUNT(cases));
	tcase_add_test(tcase, an_error_text_is_cut_between_characters);
	tcase_add_test(tcase, an_error_challenge_is_of_a_bounded_length);
	tcase_add_test(tcase, a_password_that_the_server_repeats_is_not_for_the_log);
	tcase_add_loop_test(tcase, headers_that_somebody_wants_are_kept, 0, UNIT_COUNT(kept));
	suite_add_tcase(suite, tcase);
	return suite;
}
