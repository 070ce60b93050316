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
	const char *method = c->method == METHOD_PLAIN ? "plain" : c->method == METHOD_CRAM_MD5 ? "cram" : "external";

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
	struct sasl s;
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
		struct sasl s;

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

Suite *
sasl_suite(void)
{
	Suite *suite = suite_create("sasl");
	TCase *tcase = tcase_create("sasl");

	tcase_add_loop_test(tcase, an_exchange_gives_credentials_or_a_reason, 0, UNIT_COUNT(cases));
	tcase_add_loop_test(tcase, only_listed_mechanisms_are_found_and_plain_and_login_are_one, 0, UNIT_COUNT(names));
	tcase_add_test(tcase, credentials_have_a_longest_length);
	suite_add_tcase(suite, tcase);
	return suite;
}
