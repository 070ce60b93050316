#include "common/token.h"

#include <string.h>

#include "common/mem.h"
#include "test/unit/unit.h"

#define NOW 1700000000          /* seconds */

static const char *audiences[] = { "imap", "mail", NULL };
static const char *scopes[] = { "mail.read", "mail.send", NULL };

static const struct conf_token strict = {
	.issuer = "https://id.example.org", .audiences = audiences, .scopes = scopes, .claim = "email", .leeway = 60000,
};

static const struct conf_token lax = { .claim = "sub" };

static enum token_verdict
judge(const struct conf_token *want, const char *text, const char *user, bool must_expire, struct token_finding *finding)
{
	const struct token_question question = {
		.user = user, .now_ms = (uint64_t)NOW * 1000, .must_expire = must_expire,
	};
	json_t *claims = token_parse(text, strlen(text));
	enum token_verdict verdict;

	ck_assert_msg(claims != NULL, "%s is no object", text);
	verdict = token_judge(want, claims, &question, finding);
	ck_assert((verdict == TOKEN_ACCEPTED) == (finding->user != NULL));
	ck_assert((verdict == TOKEN_ACCEPTED) == (finding->reason == NULL));
	json_decref(claims);
	return verdict;
}

#define ISS "\"iss\":\"https://id.example.org\","
#define AUD "\"aud\":\"mail\","
#define EXP "\"exp\":1700000300,"
#define SCOPE "\"scope\":\"openid mail.send mail.read\","
#define EMAIL "\"email\":\"alice@example.org\""

static const struct {
	const char *claims, *reason;
	enum token_verdict verdict;
} judged[] = {
	{ ISS AUD EXP SCOPE EMAIL, NULL, TOKEN_ACCEPTED },
	/* issuer */
	{ AUD EXP SCOPE EMAIL, "the token is of another issuer", TOKEN_REFUSED },
	{ "\"iss\":\"https://id.example.org/\"," AUD EXP SCOPE EMAIL, "the token is of another issuer", TOKEN_REFUSED },
	{ "\"iss\":\"HTTPS://id.example.org\"," AUD EXP SCOPE EMAIL, "the token is of another issuer", TOKEN_REFUSED },
	{ "\"iss\":[\"https://id.example.org\"]," AUD EXP SCOPE EMAIL, "a claim is of the wrong type", TOKEN_BAD },
	/* audience */
	{ ISS "\"aud\":[\"web\",\"imap\"]," EXP SCOPE EMAIL, NULL, TOKEN_ACCEPTED },
	{ ISS "\"aud\":[]," EXP SCOPE EMAIL, "the token is for another audience", TOKEN_REFUSED },
	{ ISS "\"aud\":\"\"," EXP SCOPE EMAIL, "the token is for another audience", TOKEN_REFUSED },
	{ ISS "\"aud\":\"web mail\"," EXP SCOPE EMAIL, "the token is for another audience", TOKEN_REFUSED },
	{ ISS "\"aud\":[\"web\"]," EXP SCOPE EMAIL, "the token is for another audience", TOKEN_REFUSED },
	{ ISS "\"aud\":[\"mail\",1]," EXP SCOPE EMAIL, "a claim is of the wrong type", TOKEN_BAD },
	{ ISS "\"aud\":{\"mail\":1}," EXP SCOPE EMAIL, "a claim is of the wrong type", TOKEN_BAD },
	{ ISS "\"aud\":null," EXP SCOPE EMAIL, "a claim is of the wrong type", TOKEN_BAD },
	{ ISS EXP SCOPE EMAIL, "the token is for another audience", TOKEN_REFUSED },
	/* expiry: to the second, with the leeway */
	{ ISS AUD "\"exp\":1699999941," SCOPE EMAIL, NULL, TOKEN_ACCEPTED },
	{ ISS AUD "\"exp\":1699999940," SCOPE EMAIL, "the token has expired", TOKEN_REFUSED },
	{ ISS AUD "\"exp\":1699999940.5," SCOPE EMAIL, NULL, TOKEN_ACCEPTED },
	{ ISS AUD "\"exp\":1.7000003e9," SCOPE EMAIL, NULL, TOKEN_ACCEPTED },
	{ ISS AUD "\"exp\":9223372036854775807," SCOPE EMAIL, NULL, TOKEN_ACCEPTED },
	{ ISS AUD "\"exp\":1e300," SCOPE EMAIL, NULL, TOKEN_ACCEPTED },
	{ ISS AUD "\"exp\":0," SCOPE EMAIL, "the token has expired", TOKEN_REFUSED },
	{ ISS AUD "\"exp\":-1," SCOPE EMAIL, "the token has expired", TOKEN_REFUSED },
	{ ISS AUD "\"exp\":-9223372036854775808," SCOPE EMAIL, "the token has expired", TOKEN_REFUSED },
	{ ISS AUD "\"exp\":-1e300," SCOPE EMAIL, "the token has expired", TOKEN_REFUSED },
	{ ISS AUD "\"exp\":\"1700000300\"," SCOPE EMAIL, "a claim is of the wrong type", TOKEN_BAD },
	{ ISS AUD "\"exp\":null," SCOPE EMAIL, "a claim is of the wrong type", TOKEN_BAD },
	{ ISS AUD "\"exp\":true," SCOPE EMAIL, "a claim is of the wrong type", TOKEN_BAD },
	{ ISS AUD SCOPE EMAIL, "the token never expires", TOKEN_REFUSED },
	/* not before, issued at */
	{ ISS AUD EXP "\"nbf\":1700000060," SCOPE EMAIL, NULL, TOKEN_ACCEPTED },
	{ ISS AUD EXP "\"nbf\":1700000061," SCOPE EMAIL, "the token is not valid yet", TOKEN_REFUSED },
	{ ISS AUD EXP "\"nbf\":\"now\"," SCOPE EMAIL, "a claim is of the wrong type", TOKEN_BAD },
	{ ISS AUD EXP "\"iat\":1700000060," SCOPE EMAIL, NULL, TOKEN_ACCEPTED },
	{ ISS AUD EXP "\"iat\":1700000061," SCOPE EMAIL, "the token was issued in the future", TOKEN_REFUSED },
	{ ISS AUD EXP "\"iat\":1e300," SCOPE EMAIL, "the token was issued in the future", TOKEN_REFUSED },
	{ ISS AUD EXP "\"iat\":[]," SCOPE EMAIL, "a claim is of the wrong type", TOKEN_BAD },
	/* scopes */
	{ ISS AUD EXP "\"scp\":[\"mail.read\",\"mail.send\"]," EMAIL, NULL, TOKEN_ACCEPTED },
	{ ISS AUD EXP "\"scp\":\" mail.read  mail.send \"," EMAIL, NULL, TOKEN_ACCEPTED },
	{ ISS AUD EXP "\"scope\":\"mail.read\"," EMAIL, "the token lacks a scope", TOKEN_REFUSED },
	{ ISS AUD EXP "\"scope\":\"mail.readall mail.send\"," EMAIL, "the token lacks a scope", TOKEN_REFUSED },
	{ ISS AUD EXP "\"scope\":\"\"," EMAIL, "the token lacks a scope", TOKEN_REFUSED },
	{ ISS AUD EXP "\"scope\":[\"mail.read mail.send\"]," EMAIL, "the token lacks a scope", TOKEN_REFUSED },
	{ ISS AUD EXP "\"scope\":\"x\",\"scp\":\"mail.read mail.send\"," EMAIL, "the token lacks a scope",
	    TOKEN_REFUSED },
	{ ISS AUD EXP "\"scope\":3," EMAIL, "a claim is of the wrong type", TOKEN_BAD },
	{ ISS AUD EXP EMAIL, "the token lacks a scope", TOKEN_REFUSED },
	/* user */
	{ ISS AUD EXP SCOPE "\"sub\":\"alice@example.org\"", "the token names no user", TOKEN_REFUSED },
	{ ISS AUD EXP SCOPE "\"email\":\"\"", "what the token names can be no user", TOKEN_BAD },
	{ ISS AUD EXP SCOPE "\"email\":\"alice\\r\\nDELE 1\"", "what the token names can be no user", TOKEN_BAD },
	{ ISS AUD EXP SCOPE "\"email\":\"al\\tice\"", "what the token names can be no user", TOKEN_BAD },
	{ ISS AUD EXP SCOPE "\"email\":\"alice\\u007f\"", "what the token names can be no user", TOKEN_BAD },
	{ ISS AUD EXP SCOPE "\"email\":[\"alice@example.org\"]", "a claim is of the wrong type", TOKEN_BAD },
	{ ISS AUD EXP SCOPE "\"email\":null", "a claim is of the wrong type", TOKEN_BAD },
	{ ISS AUD EXP SCOPE EMAIL ",\"email_verified\":true", NULL, TOKEN_ACCEPTED },
	{ ISS AUD EXP SCOPE EMAIL ",\"email_verified\":\"true\"", NULL, TOKEN_ACCEPTED },
	{ ISS AUD EXP SCOPE EMAIL ",\"email_verified\":false", "the address in the token is not verified",
	    TOKEN_REFUSED },
	{ ISS AUD EXP SCOPE EMAIL ",\"email_verified\":\"false\"", "the address in the token is not verified",
	    TOKEN_REFUSED },
	{ ISS AUD EXP SCOPE EMAIL ",\"email_verified\":null", "the address in the token is not verified",
	    TOKEN_REFUSED },
	{ ISS AUD EXP SCOPE "\"email\":\"bob@example.org\"", "the token is another user's", TOKEN_REFUSED },
};

START_TEST(what_is_configured_must_be_there_and_fit)
{
	char *text = mem_printf("{%s}", judged[_i].claims);
	struct token_finding finding;

	ck_assert_msg(judge(&strict, text, "alice@example.org", true, &finding) == judged[_i].verdict,
	    "%s: %s", text, finding.reason);
	if (judged[_i].reason != NULL)
		ck_assert_str_eq(finding.reason, judged[_i].reason);
	else
		ck_assert_str_eq(finding.user, "alice@example.org");
	mem_free(finding.user);
	mem_free(text);
}
END_TEST

START_TEST(what_is_not_configured_may_be_anything_of_its_type)
{
	struct token_finding finding;

	ck_assert_int_eq(
	    judge(&lax, "{\"sub\":\"alice\",\"aud\":\"x\",\"email_verified\":false}", NULL, false, &finding),
	    TOKEN_ACCEPTED);
	ck_assert_uint_eq(finding.good_ms, 0);
	ck_assert_str_eq(finding.user, "alice");
	mem_free(finding.user);
	ck_assert_int_eq(judge(&lax, "{\"sub\":\"alice\",\"aud\":1}", NULL, false, &finding), TOKEN_BAD);
}
END_TEST

static const struct {
	const char *exp;
	uint64_t good_ms;
} goods[] = {
	{ "1700000300", 300000 },
	{ "1700000000.5", 500 },
	{ "1700000000.0001", 1 },
	{ "9223372036854775807", 1000000000000000 },
	{ "1e308", 1000000000000000 },
};

START_TEST(how_long_a_token_is_good_is_told_and_never_nothing)
{
	char *text = mem_printf("{\"sub\":\"alice\",\"exp\":%s}", goods[_i].exp);
	struct token_finding finding;

	ck_assert_int_eq(judge(&lax, text, "", true, &finding), TOKEN_ACCEPTED);
	ck_assert_uint_eq(finding.good_ms, goods[_i].good_ms);
	mem_free(finding.user);
	mem_free(text);
}
END_TEST

START_TEST(a_user_name_has_a_limit)
{
	for (size_t len = TOKEN_USER_MAX; len <= TOKEN_USER_MAX + 1; len++) {
		char *text = mem_printf("{\"sub\":\"%0*d\"}", (int)len, 0);
		struct token_finding finding;

		ck_assert_int_eq(judge(&lax, text, NULL, false, &finding),
		    len > TOKEN_USER_MAX ? TOKEN_BAD : TOKEN_ACCEPTED);
		mem_free(finding.user);
		mem_free(text);
	}
}
END_TEST

static const struct {
	const char *a, *b;
	bool same;
} users[] = {
	{ "alice@example.org", "alice@example.org", true },
	{ "alice@EXAMPLE.org", "alice@example.ORG", true },
	{ "Alice@example.org", "alice@example.org", false },
	{ "alice", "Alice", false },
	{ "alice", "alice", true },
	{ "alice", "alice@example.org", false },
	{ "alice@example.org", "alice@example.or", false },
	{ "a@B@c", "a@b@c", false },
	{ "a@b@C", "a@b@c", true },
	{ "@X", "@x", true },
	{ "m\xc3\xbcller@example.org", "m\xc3\xbcller@Example.org", true },
	{ "x@m\xc3\xbcller", "x@m\xc3\x9cller", false },
};

START_TEST(users_are_the_same_but_for_the_case_of_the_domain)
{
	ck_assert(token_same_user(users[_i].a, users[_i].b) == users[_i].same);
	ck_assert(token_same_user(users[_i].b, users[_i].a) == users[_i].same);
}
END_TEST

static const char *const no_objects[] = {
	"", "{", "[]", "null", "\"x\"", "1", "{}}", "{} x", "{\"a\":1,\"a\":1}", "{\"a\":{\"b\":1,\"b\":2}}",
	"{\"sub\":\"a\\u0000b\"}", "{\"exp\":1e999}", "{\"exp\":99999999999999999999}", "{\"exp\":0x10}", "{\"exp\":NaN}",
	"{\"sub\":\"\xff\"}", "{'sub':1}", "{\"a\":1,}",
};

START_TEST(what_is_not_one_clean_object_is_none)
{
	ck_assert_ptr_null(token_parse(no_objects[_i], strlen(no_objects[_i])));
}
END_TEST

START_TEST(nesting_ends_somewhere)
{
	enum { DEEP = 100000 };
	char *text = mem_alloc(DEEP + 1);

	memset(text, '[', DEEP);
	memcpy(text, "{\"a\":", 5);
	ck_assert_ptr_null(token_parse(text, DEEP));
	mem_free(text);
}
END_TEST

Suite *
token_suite(void)
{
	Suite *suite = suite_create("token");
	TCase *tcase = tcase_create("token");

	tcase_add_loop_test(tcase, what_is_configured_must_be_there_and_fit, 0, UNIT_COUNT(judged));
	tcase_add_test(tcase, what_is_not_configured_may_be_anything_of_its_type);
	tcase_add_loop_test(tcase, how_long_a_token_is_good_is_told_and_never_nothing, 0, UNIT_COUNT(goods));
	tcase_add_test(tcase, a_user_name_has_a_limit);
	tcase_add_loop_test(tcase, users_are_the_same_but_for_the_case_of_the_domain, 0, UNIT_COUNT(users));
	tcase_add_loop_test(tcase, what_is_not_one_clean_object_is_none, 0, UNIT_COUNT(no_objects));
	tcase_add_test(tcase, nesting_ends_somewhere);
	suite_add_tcase(suite, tcase);
	return suite;
}
