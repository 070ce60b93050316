#include "worker/proto/sasl.h"

#include <stdio.h>
#include <string.h>

#include "common/base64.h"
#include "common/mem.h"
#include "test/unit/unit.h"

#define SALT_BASE64 "PDEuMkBtYWlsLmV4YW1wbGUuY29tPg=="
#define ASK_USER "VXNlcm5hbWU6"
#define ASK_PASS "UGFzc3dvcmQ6"

static const struct facts facts = { .salt = "<1.2@mail.example.com>" };

/* One exchange: "-" for no initial response, then what the client says, one word each. */
static const struct {
	enum method method;
	const char *words;
	const char *outcome;    /* challenges and the end, as exchange() writes them */
} cases[] = {
	{ METHOD_PLAIN, "AGFsaWNlAHNlY3JldA==", "done plain [alice] [secret]" },
	{ METHOD_PLAIN, "- AGFsaWNlAHNlY3JldA==", "ask() done plain [alice] [secret]" },
	{ METHOD_PLAIN, "YWxpY2UAYWxpY2UAc2VjcmV0", "done plain [alice] [secret]" },
	{ METHOD_PLAIN, "Ym9zcwBhbGljZQBzZWNyZXQ=", "done plain [alice] [secret] as [boss]" },
	{ METHOD_PLAIN, "AGFsaWNlAA==", "done plain [alice] []" },
	{ METHOD_PLAIN, "AGFsw6kgY2UlAHD/Ilwgdw==", "done plain [al\xc3\xa9 ce%] [p\xff\"\\ w]" },
	{ METHOD_PLAIN, "AABzZWNyZXQ=", "bad: client sent invalid login in AUTH PLAIN command; invalid credentials" },
	{ METHOD_PLAIN, "AGFsaQ1jZQBzZWNyZXQ=",
	    "bad: client sent invalid login in AUTH PLAIN command; invalid credentials" },
	{ METHOD_PLAIN, "AGFsaWNlAHNlYwpyZXQ=",
	    "bad: client sent invalid password in AUTH PLAIN command; invalid credentials" },
	{ METHOD_PLAIN, "AGFsaWNlAHNlYwByZXQ=",
	    "bad: client sent invalid password in AUTH PLAIN command; invalid credentials" },
	{ METHOD_PLAIN, "YQpiAGFsaWNlAHg=",
	    "bad: client sent invalid authorization identity in AUTH PLAIN command; invalid credentials" },
	{ METHOD_PLAIN, "YWJj", "bad: client sent invalid login in AUTH PLAIN command; invalid command" },
	{ METHOD_PLAIN, "AGFsaWNl", "bad: client sent invalid password in AUTH PLAIN command; invalid command" },
	{ METHOD_PLAIN, "=", "bad: client sent invalid login in AUTH PLAIN command; invalid command" },
	{ METHOD_PLAIN, "- =",
	    "ask() bad: client sent invalid base64 encoding in AUTH PLAIN command; invalid command" },
	{ METHOD_PLAIN, "!", "bad: client sent invalid base64 encoding in AUTH PLAIN command; invalid command" },
	{ METHOD_PLAIN, "AGFsaWNlAHNlY3JldA",
	    "bad: client sent invalid base64 encoding in AUTH PLAIN command; invalid command" },
	{ METHOD_PLAIN, "- *", "ask() cancelled" },
	{ METHOD_PLAIN, "*", "bad: client sent invalid base64 encoding in AUTH PLAIN command; invalid command" },
	{ METHOD_LOGIN, "- YWxpY2U= c2VjcmV0", "ask(" ASK_USER ") ask(" ASK_PASS ") done plain [alice] [secret]" },
	{ METHOD_LOGIN, "YWxpY2U= c2VjcmV0", "ask(" ASK_PASS ") done plain [alice] [secret]" },
	{ METHOD_LOGIN, "YWxpY2U= *", "ask(" ASK_PASS ") cancelled" },
	{ METHOD_LOGIN, "- YWwKaWNl",
	    "ask(" ASK_USER ") bad: client sent invalid login in AUTH LOGIN command; invalid credentials" },
	{ METHOD_LOGIN, "YWxpY2U= YWwKaWNl",
	    "ask(" ASK_PASS ") bad: client sent invalid password in AUTH LOGIN command; invalid credentials" },
	{ METHOD_LOGIN, "=", "bad: client sent invalid login in AUTH LOGIN command; invalid credentials" },
	{ METHOD_CRAM_MD5, "- Sm9obiBEb2UgMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlBQkNERUY=",
	    "ask(" SALT_BASE64 ") done cram [John Doe] [0123456789abcdef0123456789ABCDEF]" },
	{ METHOD_CRAM_MD5, "- Sm9obiAwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZw==",
	    "ask(" SALT_BASE64 ") bad: client sent invalid CRAM-MD5 hash in AUTH CRAM-MD5 command; invalid command" },
	{ METHOD_CRAM_MD5, "- MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
	    "ask(" SALT_BASE64 ") bad: client sent invalid CRAM-MD5 hash in AUTH CRAM-MD5 command; invalid command" },
	{ METHOD_CRAM_MD5, "- YWxpY2UgMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZQ==",
	    "ask(" SALT_BASE64 ") bad: client sent invalid CRAM-MD5 hash in AUTH CRAM-MD5 command; invalid command" },
	{ METHOD_CRAM_MD5, "- IDAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm",
	    "ask(" SALT_BASE64 ") bad: client sent invalid login in AUTH CRAM-MD5 command; invalid credentials" },
	{ METHOD_CRAM_MD5, "YWxpY2U=",
	    "bad: client sent an initial response in AUTH CRAM-MD5 command; invalid command" },
	{ METHOD_EXTERNAL, "- YWxpY2U=", "ask(" ASK_USER ") done external [alice] (null)" },
	{ METHOD_EXTERNAL, "YWxpY2U=", "done external [alice] (null)" },
	{ METHOD_EXTERNAL, "=", "done external [] (null)" },
	{ METHOD_EXTERNAL, "YQpi", "bad: client sent invalid login in AUTH EXTERNAL command; invalid credentials" },
};

static void
write_credentials(char *to, size_t size, const struct credentials *c)
{
	static const char *const methods[] = {
		[METHOD_PLAIN] = "plain", [METHOD_CRAM_MD5] = "cram", [METHOD_EXTERNAL] = "external",
		[METHOD_XOAUTH2] = "xoauth2", [METHOD_OAUTHBEARER] = "oauthbearer",
	};
	const char *method = methods[c->method];

	snprintf(to, size, "done %s [%s]%s%s%s%s%s%s", method, c->user, c->pass == NULL ? " (null)" : " [",
	    c->pass == NULL ? "" : c->pass, c->pass == NULL ? "" : "]", c->authz == NULL ? "" : " as [",
	    c->authz == NULL ? "" : c->authz, c->authz == NULL ? "" : "]");
}

/* Plays `words` and writes what happened to `out`. */
static void
exchange(enum method method, const char *words, char *out, size_t size)
{
	static const struct credentials none;
	struct credentials c = { .user = NULL };
	struct sasl s = { .method = 0 };
	char note[PROTO_NOTE] = "";
	enum sasl_verdict verdict = SASL_CHALLENGE;
	const char *word = words;

	for (out[0] = '\0'; verdict == SASL_CHALLENGE; word += strspn(word, " ")) {
		size_t len = strcspn(word, " "), used = strlen(out);

		verdict = word != words ? sasl_step(&s, word, len, &facts, &c, note) :
		    sasl_start(&s, method, *word == '-' ? NULL : word, len, &facts, &c, note);
		word += len;
		if (verdict == SASL_CHALLENGE)
			snprintf(out + used, size - used, "ask(%s) ", s.challenge);
		else if (verdict == SASL_CANCELLED)
			snprintf(out + used, size - used, "cancelled");
		else if (verdict == SASL_BAD)
			snprintf(out + used, size - used, "bad: %s; %s", note, s.answer);
		else
			write_credentials(out + used, size - used, &c);
	}
	ck_assert_str_eq(word, "");
	ck_assert_int_eq(s.method, 0);
	if (verdict != SASL_DONE)
		ck_assert_mem_eq(&c, &none, sizeof(c));         /* nothing survives a failure */
	credentials_reset(&c);
}

START_TEST(an_exchange_gives_credentials_or_a_reason)
{
	char outcome[512];

	exchange(cases[_i].method, cases[_i].words, outcome, sizeof(outcome));
	ck_assert_str_eq(outcome, cases[_i].outcome);
}
END_TEST

/* Messages of tokens as they are before base64. */
static const struct {
	enum method method;
	const char *message, *outcome;
} tokens[] = {
	{ METHOD_XOAUTH2, "user=joe@example.com\1auth=Bearer a.b-c==\1\1", "done xoauth2 [joe@example.com] [a.b-c==]" },
	{ METHOD_XOAUTH2, "user=\1auth=Bearer a\1\1",
	    "bad: client sent invalid login in AUTH XOAUTH2 command; invalid credentials" },
	{ METHOD_XOAUTH2, "user=j\r\noe\1auth=Bearer a\1\1",
	    "bad: client sent invalid login in AUTH XOAUTH2 command; invalid credentials" },
	{ METHOD_XOAUTH2, "user=joe\1auth=Bearer \1\1",
	    "bad: client sent invalid token in AUTH XOAUTH2 command; invalid credentials" },
	{ METHOD_XOAUTH2, "user=joe\1auth=Bearer  a\1\1",
	    "bad: client sent invalid token in AUTH XOAUTH2 command; invalid credentials" },
	{ METHOD_XOAUTH2, "user=joe\1auth=Bearer a\r\nb\1\1",
	    "bad: client sent invalid token in AUTH XOAUTH2 command; invalid credentials" },
	{ METHOD_XOAUTH2, "n,a=joe,\1auth=Bearer a\1\1",
	    "bad: client sent an invalid field in AUTH XOAUTH2 command; invalid command" },
	{ METHOD_OAUTHBEARER, "n,a=j=2Coe,\1host=mx\1port=143\1auth=Bearer a\1\1", "done oauthbearer [j,oe] [a]" },
	{ METHOD_OAUTHBEARER, "n,,\1auth=Bearer a\1\1", "done oauthbearer [] [a]" },
	{ METHOD_OAUTHBEARER, "n,a=j\noe,\1auth=Bearer a\1\1",
	    "bad: client sent invalid login in AUTH OAUTHBEARER command; invalid credentials" },
	{ METHOD_OAUTHBEARER, "n,,\1auth=Bearer a,b\1\1",
	    "bad: client sent invalid token in AUTH OAUTHBEARER command; invalid credentials" },
	{ METHOD_OAUTHBEARER, "p=tls-exporter,,\1auth=Bearer a\1\1",
	    "bad: client sent an invalid GS2 header in AUTH OAUTHBEARER command; invalid command" },
	{ METHOD_OAUTHBEARER, "\1",
	    "bad: client sent an invalid GS2 header in AUTH OAUTHBEARER command; invalid command" },
};

START_TEST(a_token_comes_with_the_command_or_when_it_is_asked_for)
{
	char encoded[256], said[512], outcome[512], expected[512];

	encoded[base64_encode(encoded, tokens[_i].message, strlen(tokens[_i].message))] = '\0';
	exchange(tokens[_i].method, encoded, outcome, sizeof(outcome));
	ck_assert_str_eq(outcome, tokens[_i].outcome);
	snprintf(said, sizeof(said), "- %s", encoded);
	snprintf(expected, sizeof(expected), "ask() %s", tokens[_i].outcome);
	exchange(tokens[_i].method, said, outcome, sizeof(outcome));
	ck_assert_str_eq(outcome, expected);
}
END_TEST

/* The shortest responses there are, to each challenge of each mechanism: `lead` has led to it. */
static const struct {
	enum method method;
	const char *lead;       /* NULL: the first challenge */
	const char *response;
	enum sasl_verdict verdict;
} steps[] = {
	{ METHOD_PLAIN, NULL, "", SASL_BAD },
	{ METHOD_PLAIN, NULL, "A", SASL_BAD },
	{ METHOD_PLAIN, NULL, "AA==", SASL_BAD },
	{ METHOD_LOGIN, NULL, "", SASL_BAD },
	{ METHOD_LOGIN, NULL, "A", SASL_BAD },
	{ METHOD_LOGIN, NULL, "YQ==", SASL_CHALLENGE },
	{ METHOD_LOGIN, "YQ==", "", SASL_DONE },
	{ METHOD_LOGIN, "YQ==", "A", SASL_BAD },
	{ METHOD_LOGIN, "YQ==", "YQ==", SASL_DONE },
	{ METHOD_CRAM_MD5, NULL, "", SASL_BAD },
	{ METHOD_CRAM_MD5, NULL, "A", SASL_BAD },
	{ METHOD_CRAM_MD5, NULL, "IA==", SASL_BAD },
	{ METHOD_EXTERNAL, NULL, "", SASL_DONE },
	{ METHOD_EXTERNAL, NULL, "A", SASL_BAD },
	{ METHOD_EXTERNAL, NULL, "YQ==", SASL_DONE },
	{ METHOD_XOAUTH2, NULL, "", SASL_BAD },
	{ METHOD_XOAUTH2, NULL, "A", SASL_BAD },
	{ METHOD_XOAUTH2, NULL, "AQ==", SASL_BAD },
	{ METHOD_OAUTHBEARER, NULL, "", SASL_BAD },
	{ METHOD_OAUTHBEARER, NULL, "A", SASL_BAD },
	{ METHOD_OAUTHBEARER, NULL, "AQ==", SASL_BAD },
};

START_TEST(the_shortest_responses_are_judged_like_others)
{
	struct credentials c = { .user = NULL };
	struct sasl s = { .method = 0 };
	char note[PROTO_NOTE] = "";
	const char *lead = steps[_i].lead;

	ck_assert_int_eq(sasl_start(&s, steps[_i].method, lead, lead == NULL ? 0 : strlen(lead), &facts, &c, note),
	    SASL_CHALLENGE);
	ck_assert_int_eq(sasl_step(&s, steps[_i].response, strlen(steps[_i].response), &facts, &c, note),
	    steps[_i].verdict);
	ck_assert(steps[_i].verdict != SASL_BAD || (c.user == NULL && c.pass == NULL));
	credentials_reset(&c);
	sasl_reset(&s);
}
END_TEST

#define X_TOKEN "dXNlcj1qAWF1dGg9QmVhcmVyIHQBAQ=="      /* user=j, the token t */
#define O_TOKEN "biwsAWF1dGg9QmVhcmVyIHQBAQ=="          /* the token t */
#define X_ERROR "eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIn0="
#define O_ERROR "eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NoZW1lcyI6ImJlYXJlciJ9"

static const struct {
	enum method method;
	const char *response;
	struct refusal why;
	const char *challenge;  /* NULL: none */
} refusals[] = {
	{ METHOD_XOAUTH2, X_TOKEN, { .kind = REFUSAL_WRONG }, X_ERROR },
	{ METHOD_XOAUTH2, X_TOKEN, { .kind = REFUSAL_SOURCE, .text = "x", .close = true }, X_ERROR },
	{ METHOD_XOAUTH2, X_TOKEN, { .kind = REFUSAL_BACKEND }, X_ERROR },
	{ METHOD_OAUTHBEARER, O_TOKEN, { .kind = REFUSAL_WRONG }, O_ERROR },
	{ METHOD_OAUTHBEARER, O_TOKEN, { .kind = REFUSAL_SOURCE, .challenge = "e30=" }, "e30=" },
	{ METHOD_XOAUTH2, X_TOKEN, { .kind = REFUSAL_SOURCE, .challenge = "e30=" }, "e30=" },
	/* what a source has no right to say to a client */
	{ METHOD_OAUTHBEARER, O_TOKEN, { .kind = REFUSAL_SOURCE, .challenge = "" }, O_ERROR },
	{ METHOD_OAUTHBEARER, O_TOKEN, { .kind = REFUSAL_SOURCE, .challenge = "=" }, O_ERROR },
	{ METHOD_OAUTHBEARER, O_TOKEN, { .kind = REFUSAL_SOURCE, .challenge = "{}" }, O_ERROR },
	{ METHOD_OAUTHBEARER, O_TOKEN, { .kind = REFUSAL_SOURCE, .challenge = "e30=\r\na OK in" }, O_ERROR },
	{ METHOD_OAUTHBEARER, O_TOKEN, { .kind = REFUSAL_SOURCE, .challenge = "e30" }, O_ERROR },
	/* nobody has judged the token, or there was none */
	{ METHOD_OAUTHBEARER, O_TOKEN, { .kind = REFUSAL_UNAVAILABLE, .challenge = "e30=" }, NULL },
	{ METHOD_OAUTHBEARER, O_TOKEN, { .kind = REFUSAL_ELSEWHERE }, NULL },
	{ METHOD_OAUTHBEARER, O_TOKEN, { .kind = REFUSAL_BACKEND, .temporary = true }, NULL },
	{ METHOD_PLAIN, "AGEAYg==", { .kind = REFUSAL_SOURCE, .challenge = "e30=" }, NULL },
	{ METHOD_EXTERNAL, "YQ==", { .kind = REFUSAL_WRONG }, NULL },
};

START_TEST(a_refused_token_gets_an_error_challenge_first)
{
	struct credentials c = { .user = NULL };
	struct sasl s = { .method = 0 };
	char note[PROTO_NOTE] = "";
	const char *response = refusals[_i].response, *challenge;
	struct buf out;

	buf_init(&out, PROTO_ROOM);
	ck_assert_int_eq(sasl_start(&s, refusals[_i].method, response, strlen(response), &facts, &c, note), SASL_DONE);
	credentials_reset(&c);
	challenge = sasl_refused(&s, &refusals[_i].why);
	if (refusals[_i].challenge == NULL) {
		ck_assert_ptr_null(challenge);
		ck_assert_int_eq(s.method, 0);
		return;
	}
	ck_assert_str_eq(challenge, refusals[_i].challenge);
	buf_add_text(&s.refusal, "no\r\n");
	ck_assert_int_eq(sasl_step(&s, "*", 1, &facts, &c, note), SASL_REFUSED);
	ck_assert_int_eq(sasl_say_refusal(&s, &out), refusals[_i].why.close ? PROTO_CLOSE : PROTO_AGAIN);
	ck_assert_uint_eq(out.len, 4);
	ck_assert(s.method == 0 && s.refusal.len == 0 && c.user == NULL && c.pass == NULL && note[0] == '\0');
	ck_assert_ptr_null(sasl_refused(&s, &refusals[_i].why));
	buf_reset(&out);
}
END_TEST

START_TEST(an_error_challenge_that_is_too_long_is_replaced)
{
	for (size_t len = PROTO_ROOM / 2 - 4; len <= PROTO_ROOM / 2 + 4; len += 4) {
		char text[PROTO_ROOM], note[PROTO_NOTE] = "";
		struct refusal why = { .kind = REFUSAL_SOURCE, .challenge = text };
		struct credentials c = { .user = NULL };
		struct sasl s = { .method = 0 };

		memset(text, 'A', len);
		text[len] = '\0';
		sasl_start(&s, METHOD_XOAUTH2, X_TOKEN, strlen(X_TOKEN), &facts, &c, note);
		ck_assert_str_eq(sasl_refused(&s, &why), len <= PROTO_ROOM / 2 ? text : X_ERROR);
		credentials_reset(&c);
		sasl_reset(&s);
	}
}
END_TEST

START_TEST(a_refusal_without_room_ends_the_session)
{
	static const struct refusal why = { .kind = REFUSAL_WRONG };
	struct credentials c = { .user = NULL };
	struct sasl s = { .method = 0 };
	char note[PROTO_NOTE] = "";
	struct buf out;

	buf_init(&out, 3);
	sasl_start(&s, METHOD_XOAUTH2, X_TOKEN, strlen(X_TOKEN), &facts, &c, note);
	ck_assert_ptr_nonnull(sasl_refused(&s, &why));
	buf_add_text(&s.refusal, "no\r\n");
	ck_assert_int_eq(sasl_say_refusal(&s, &out), PROTO_CLOSE);
	credentials_reset(&c);
}
END_TEST

static const struct {
	const char *name;
	unsigned allowed;
	enum method method;
} names[] = {
	{ "PLAIN", METHOD_PLAIN, METHOD_PLAIN },
	{ "plain", METHOD_LOGIN, METHOD_PLAIN },
	{ "Login", METHOD_PLAIN, METHOD_LOGIN },
	{ "LOGIN", METHOD_CRAM_MD5 | METHOD_EXTERNAL, 0 },
	{ "PLAIN", METHOD_CRAM_MD5 | METHOD_APOP | METHOD_NONE, 0 },
	{ "EXTERNAL", METHOD_PLAIN | METHOD_LOGIN | METHOD_CRAM_MD5, 0 },
	{ "EXTERNAL", METHOD_EXTERNAL, METHOD_EXTERNAL },
	{ "CRAM-MD5", METHOD_PLAIN, 0 },
	{ "cram-md5", METHOD_CRAM_MD5, METHOD_CRAM_MD5 },
	{ "APOP", METHOD_APOP, 0 },
	{ "xoauth2", METHOD_XOAUTH2, METHOD_XOAUTH2 },
	{ "XOAUTH2", METHOD_OAUTHBEARER | METHOD_PLAIN, 0 },
	{ "OAUTHBEARER", METHODS_TOKEN, METHOD_OAUTHBEARER },
	{ "OAUTHBEARER", METHOD_XOAUTH2, 0 },
	{ "XOAUTH", ~0u, 0 },
	{ "PLAI", METHOD_PLAIN, 0 },
	{ "PLAINS", METHOD_PLAIN, 0 },
	{ "", ~0u, 0 },
};

START_TEST(only_listed_mechanisms_are_found_and_plain_and_login_are_one)
{
	ck_assert_int_eq(sasl_mechanism(names[_i].name, strlen(names[_i].name), names[_i].allowed), names[_i].method);
}
END_TEST

START_TEST(credentials_have_a_longest_length)
{
	static const struct { size_t user, pass; bool fits; } sizes[] = {
		{ PROTO_USER_MAX, PROTO_PASS_MAX, true },
		{ PROTO_USER_MAX + 1, 1, false },
		{ 1, PROTO_PASS_MAX + 1, false },
	};

	for (int i = 0; i < UNIT_COUNT(sizes); i++) {
		size_t len = 2 + sizes[i].user + sizes[i].pass;
		char *bytes = mem_alloc(len), *text = mem_alloc(BASE64_ENCODED(len)), note[PROTO_NOTE];
		struct credentials c = { .user = NULL };
		struct sasl s = { .method = 0 };

		memset(bytes + 1, 'u', sizes[i].user);
		memset(bytes + 2 + sizes[i].user, 'p', sizes[i].pass);
		ck_assert_int_eq(sasl_start(&s, METHOD_PLAIN, text, base64_encode(text, bytes, len), &facts, &c, note),
		    sizes[i].fits ? SASL_DONE : SASL_BAD);
		credentials_reset(&c);
		mem_free(bytes);
		mem_free(text);
	}
}
END_TEST

START_TEST(a_token_has_a_longest_length)
{
	static const struct { size_t user, token; bool fits; } sizes[] = {
		{ PROTO_USER_MAX, PROTO_PASS_MAX, true },
		{ PROTO_USER_MAX + 1, 1, false },
		{ 1, PROTO_PASS_MAX + 1, false },
	};

	for (int i = 0; i < UNIT_COUNT(sizes); i++) {
		char *user = mem_alloc(sizes[i].user + 1), *token = mem_alloc(sizes[i].token + 1), *message, *text;
		char note[PROTO_NOTE] = "";
		struct credentials c = { .user = NULL };
		struct sasl s = { .method = 0 };
		size_t len;

		memset(user, 'u', sizes[i].user);
		memset(token, 't', sizes[i].token);
		message = mem_printf("n,a=%s,\1auth=Bearer %s\1\1", user, token);
		len = strlen(message);
		text = mem_alloc(BASE64_ENCODED(len));
		ck_assert_int_eq(sasl_start(&s, METHOD_OAUTHBEARER, text, base64_encode(text, message, len), &facts, &c,
		    note), sizes[i].fits ? SASL_DONE : SASL_BAD);
		credentials_reset(&c);
		mem_free(user);
		mem_free(token);
		mem_free(message);
		mem_free(text);
	}
}
END_TEST

Suite *
sasl_suite(void)
{
	Suite *suite = suite_create("sasl");
	TCase *tcase = tcase_create("sasl");

	tcase_add_loop_test(tcase, an_exchange_gives_credentials_or_a_reason, 0, UNIT_COUNT(cases));
	tcase_add_loop_test(tcase, only_listed_mechanisms_are_found_and_plain_and_login_are_one, 0, UNIT_COUNT(names));
	tcase_add_test(tcase, credentials_have_a_longest_length);
	tcase_add_loop_test(tcase, a_token_comes_with_the_command_or_when_it_is_asked_for, 0, UNIT_COUNT(tokens));
	tcase_add_loop_test(tcase, the_shortest_responses_are_judged_like_others, 0, UNIT_COUNT(steps));
	tcase_add_loop_test(tcase, a_refused_token_gets_an_error_challenge_first, 0, UNIT_COUNT(refusals));
	tcase_add_test(tcase, an_error_challenge_that_is_too_long_is_replaced);
	tcase_add_test(tcase, a_refusal_without_room_ends_the_session);
	tcase_add_test(tcase, a_token_has_a_longest_length);
	suite_add_tcase(suite, tcase);
	return suite;
}
