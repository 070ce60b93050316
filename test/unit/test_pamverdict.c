#include "worker/helper/pamverdict.h"

#include <security/pam_appl.h>
#include <string.h>

#include "common/mem.h"
#include "test/unit/unit.h"

START_TEST(of_all_results_only_success_lets_in)
{
	for (int result = -1; result < 2 * _PAM_RETURN_VALUES; result++) {
		bool ok = result == PAM_SUCCESS;

		ck_assert((pamverdict_of_password(result).outcome == HELPER_ACCEPTED) == ok);
		ck_assert((pamverdict_of_account(result).outcome == HELPER_ACCEPTED) == ok);
		ck_assert((pamverdict_of_password(result).outcome == HELPER_UNKNOWN) == (result == PAM_USER_UNKNOWN));
		ck_assert(pamverdict_of_account(result).outcome != HELPER_UNKNOWN);
	}
}
END_TEST

static const struct {
	int result;
	enum helper_outcome outcome;
} results[] = {
	{ PAM_AUTH_ERR,         HELPER_REFUSED },
	{ PAM_PERM_DENIED,      HELPER_REFUSED },
	{ PAM_MAXTRIES,         HELPER_REFUSED },
	{ PAM_ACCT_EXPIRED,     HELPER_REFUSED },
	{ PAM_NEW_AUTHTOK_REQD, HELPER_REFUSED },
	{ PAM_CRED_EXPIRED,     HELPER_REFUSED },
	{ PAM_AUTHINFO_UNAVAIL, HELPER_UNAVAILABLE },
	{ PAM_SYSTEM_ERR,       HELPER_UNAVAILABLE },
	{ PAM_SERVICE_ERR,      HELPER_UNAVAILABLE },
	{ PAM_MODULE_UNKNOWN,   HELPER_UNAVAILABLE },
	{ PAM_ABORT,            HELPER_UNAVAILABLE },
	{ PAM_IGNORE,           HELPER_UNAVAILABLE },
	{ PAM_CONV_ERR,         HELPER_UNAVAILABLE },
};

START_TEST(what_is_about_the_user_is_a_no_and_what_is_about_the_stack_is_not)
{
	struct pamverdict password = pamverdict_of_password(results[_i].result);
	struct pamverdict account = pamverdict_of_account(results[_i].result);

	ck_assert_int_eq(password.outcome, results[_i].outcome);
	ck_assert_int_eq(account.outcome, results[_i].outcome);
	ck_assert((password.reason != NULL) == (results[_i].outcome == HELPER_REFUSED));
}
END_TEST

static const struct {
	const char *name;
	bool is_name;
} names[] = {
	{ "joe", true },
	{ "joe@example.org", true },
	{ "j.o-e+tag", true },
	{ "DOMAIN\\joe", true },
	{ "' OR 1=1 --", true },
	{ "$(id)", true },
	{ "%n%n", true },
	{ "m\xc3\xbcller", true },
	{ "\xff\xfe", true },
	{ "...", true },
	{ "", false },
	{ ".", false },
	{ "..", false },
	{ "-joe", false },
	{ "/joe", false },
	{ "../joe", false },
	{ "joe/x", false },
	{ "joe\n", false },
	{ "joe\r\nx", false },
	{ "\tjoe", false },
	{ "joe\x7f", false },
	{ "\x1b[m", false },
};

START_TEST(hostile_names_are_unknown_and_pam_is_not_asked)
{
	const struct helper_request request = { .method = METHOD_PLAIN, .user = names[_i].name, .secret = "x" };
	enum helper_outcome outcome = pamverdict_of_request(&request).outcome;

	ck_assert(pamverdict_is_name(names[_i].name) == names[_i].is_name);
	ck_assert_int_eq(outcome, names[_i].is_name ? HELPER_ACCEPTED : HELPER_UNKNOWN);
}
END_TEST

/* `count` times x; static. */
static const char *
long_text(size_t count)
{
	static char text[8192];

	memset(text, 'x', count);
	text[count] = '\0';
	return text;
}

START_TEST(lengths_are_bounded)
{
	struct helper_request request = { .method = METHOD_LOGIN, .user = long_text(255), .secret = "x" };

	ck_assert_int_eq(pamverdict_of_request(&request).outcome, HELPER_ACCEPTED);
	request.user = long_text(256);
	ck_assert_int_eq(pamverdict_of_request(&request).outcome, HELPER_UNKNOWN);
	request.user = "joe";
	request.secret = long_text(PAM_MAX_RESP_SIZE - 1);
	ck_assert_int_eq(pamverdict_of_request(&request).outcome, HELPER_ACCEPTED);
	request.secret = long_text(PAM_MAX_RESP_SIZE);
	ck_assert_str_eq(pamverdict_of_request(&request).reason, "password too long");
}
END_TEST

static const struct {
	struct helper_request request;
	const char *reason;
} requests[] = {
	{ { .method = METHOD_PLAIN, .user = "joe", .secret = "" }, "empty password" },
	{ { .method = METHOD_PLAIN, .user = "joe" }, "empty password" },
	{ { .method = METHOD_PLAIN, .secret = "x" }, "not a name that PAM is asked about" },
	{ { .method = METHOD_PLAIN, .user = "joe", .secret = "x", .authz = "ann" }, "nobody may act for another user" },
	{ { .method = METHOD_CRAM_MD5, .user = "joe", .secret = "x" }, "PAM knows only passwords" },
	{ { .method = METHOD_APOP, .user = "joe", .secret = "x" }, "PAM knows only passwords" },
	{ { .method = METHOD_EXTERNAL, .user = "joe" }, "PAM knows only passwords" },
	{ { .method = METHOD_NONE, .user = "joe" }, "PAM knows only passwords" },
	{ { .method = METHOD_XOAUTH2, .user = "joe", .secret = "x" }, "PAM knows only passwords" },
};

START_TEST(what_is_no_login_with_a_password_is_refused)
{
	struct pamverdict verdict = pamverdict_of_request(&requests[_i].request);

	ck_assert_int_ne(verdict.outcome, HELPER_ACCEPTED);
	ck_assert_str_eq(verdict.reason, requests[_i].reason);
}
END_TEST

Suite *
pamverdict_suite(void)
{
	Suite *suite = suite_create("pamverdict");
	TCase *tcase = tcase_create("pamverdict");

	suite_add_tcase(suite, tcase);
	tcase_add_test(tcase, of_all_results_only_success_lets_in);
	tcase_add_loop_test(tcase, what_is_about_the_user_is_a_no_and_what_is_about_the_stack_is_not, 0,
	    UNIT_COUNT(results));
	tcase_add_loop_test(tcase, hostile_names_are_unknown_and_pam_is_not_asked, 0, UNIT_COUNT(names));
	tcase_add_test(tcase, lengths_are_bounded);
	tcase_add_loop_test(tcase, what_is_no_login_with_a_password_is_refused, 0, UNIT_COUNT(requests));
	return suite;
}
