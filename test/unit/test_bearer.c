#include "worker/proto/bearer.h"

#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "test/unit/unit.h"

#define TOKEN "\1auth=Bearer t.o-k_e~n+/12==\1\1"
#define GIVES(user) "[" user "] [t.o-k_e~n+/12==]"

/* Reads a message of either mechanism from memory of just its size, and says what it holds or what is wrong. */
static void
read_message(bool oauthbearer, const char *text, size_t len, char *out, size_t size)
{
	char *bytes = mem_alloc(len > 0 ? len : 1);
	struct bearer b;
	const char *wrong;

	memcpy(bytes, text, len);
	wrong = oauthbearer ? bearer_read_oauthbearer(&b, bytes, len) : bearer_read_xoauth2(&b, bytes, len);
	if (wrong != NULL)
		snprintf(out, size, "%s", wrong);
	else
		snprintf(out, size, "[%.*s] [%.*s]", (int)b.user_len, b.user, (int)b.token_len, b.token);
	mem_free(bytes);
}

struct message {
	const char *text, *outcome;
};

static const struct message xoauth2[] = {
	{ "user=joe@example.com" TOKEN, GIVES("joe@example.com") },
	{ "user=" TOKEN, GIVES("") },
	{ "user=a=b\xc3\xa9 c" TOKEN, GIVES("a=b\xc3\xa9 c") },
	{ "user=n,a=joe," TOKEN, GIVES("n,a=joe,") },
	{ "auth=bEARER t\1user=joe\1\1", "[joe] [t]" },
	{ "user=joe\1x=1\1port=143\1auth=Bearer t\1\1", "[joe] [t]" },
	/* Whether it is a token is for others to ask. */
	{ "user=joe\1auth=Bearer  t\1\1", "[joe] [ t]" },
	{ "user=joe\1auth=Bearer \1\1", "[joe] []" },
	{ "user=joe\1auth=Bearer\1\1", "another scheme than Bearer" },
	{ "user=joe\1auth=Bearer\tt\1\1", "another scheme than Bearer" },
	{ "user=joe\1auth=Basic t\1\1", "another scheme than Bearer" },
	{ "user=joe\1auth= Bearer t\1\1", "another scheme than Bearer" },
	{ "user=joe\1auth=\1\1", "another scheme than Bearer" },
	{ "user=joe\1\1", "no token" },
	{ "auth=Bearer t\1\1", "no login" },
	{ "\1", "no login" },
	{ "user=joe\1user=joe" TOKEN, "a field twice" },
	{ "user=joe\1auth=Bearer t" TOKEN, "a field twice" },
	{ "user=joe" TOKEN "\1", "bytes behind the end" },
	{ "user=joe" TOKEN "x", "bytes behind the end" },
	{ "user=joe\1auth=Bearer t\1", "an unfinished message" },
	{ "user=joe\1auth=Bearer t", "an unfinished field" },
	{ "", "an unfinished message" },
	{ "user" TOKEN, "an invalid field" },
	{ "=joe" TOKEN, "an invalid field" },
	{ "us er=joe" TOKEN, "an invalid field" },
	{ "USER=joe" TOKEN, "no login" },
	{ "user=joe\1x=\xc3\xa9" TOKEN, "an invalid field" },
	{ "user=joe\1auth=Bearer t\x7f\1\1", "an invalid field" },
	{ "n,a=joe," TOKEN, "an invalid field" },
};

static const struct message oauthbearer[] = {
	{ "n,a=joe@example.com," TOKEN, GIVES("joe@example.com") },
	{ "n,," TOKEN, GIVES("") },
	{ "y,," TOKEN, GIVES("") },
	{ "y,a=j," TOKEN, GIVES("j") },
	{ "n,a=a=2Cb=3Dc\xc3\xa9 =2c=3d," TOKEN, GIVES("a,b=c\xc3\xa9 ,=") },
	{ "n,a==3D2C," TOKEN, GIVES("=2C") },
	{ "n,a=joe,\1host=mail.example.com\1port=143" TOKEN, GIVES("joe") },
	{ "n,,\1post=a b\tc\r\n&d\1auth=Bearer t\1qs=\1\1", "[] [t]" },
	{ "n,a=joe,\1user=jim" TOKEN, GIVES("joe") },
	{ "n,a=joe,\1host=a\1host=a" TOKEN, "a field twice" },
	{ "n,a=joe,\1port=1\1port=2" TOKEN, "a field twice" },
	{ "n,a=joe,\1auth=Bearer t" TOKEN, "a field twice" },
	{ "n,a=joe,\1\1", "no token" },
	{ "n,a=joe,\1", "an unfinished message" },
	{ "n,a=joe,", "an invalid GS2 header" },
	{ "n,a=joe," TOKEN "\1", "bytes behind the end" },
	{ "n,a=joe,\1hos t=a" TOKEN, "an invalid field" },
	{ "n,a=joe,\1host=a\x02" TOKEN, "an invalid field" },
	{ "n,a=joe,\1auth=MAC t\1\1", "another scheme than Bearer" },
	/* No binding to a channel that a client insists on; nothing but what the header may hold. */
	{ "p=tls-unique,a=joe," TOKEN, "an invalid GS2 header" },
	{ "p,a=joe," TOKEN, "an invalid GS2 header" },
	{ "F,n,a=joe," TOKEN, "an invalid GS2 header" },
	{ "N,a=joe," TOKEN, "an invalid GS2 header" },
	{ "n,a=joe" TOKEN, "an invalid GS2 header" },
	{ "n,joe," TOKEN, "an invalid GS2 header" },
	{ "n,b=joe," TOKEN, "an invalid GS2 header" },
	{ "n,a=," TOKEN, "an invalid GS2 header" },
	{ "n,a=joe,," TOKEN, "an invalid GS2 header" },
	{ "n,a=j,oe," TOKEN, "an invalid GS2 header" },
	{ "n,a=j=oe," TOKEN, "an invalid GS2 header" },
	{ "n,a=joe=2," TOKEN, "an invalid GS2 header" },
	{ "n,a=joe=," TOKEN, "an invalid GS2 header" },
	{ "n,a=j=00e," TOKEN, "an invalid GS2 header" },
	{ "n," TOKEN, "an invalid GS2 header" },
	{ "n" TOKEN, "an invalid GS2 header" },
	{ "," TOKEN, "an invalid GS2 header" },
	{ ",,," TOKEN, "an invalid GS2 header" },
	{ "nn,," TOKEN, "an invalid GS2 header" },
	{ TOKEN, "an invalid GS2 header" },
	{ "\1", "an invalid GS2 header" },
	{ "", "an invalid GS2 header" },
	{ "user=joe" TOKEN, "an invalid GS2 header" },
};

START_TEST(a_message_of_xoauth2_names_its_user_in_a_field)
{
	char outcome[256];

	read_message(false, xoauth2[_i].text, strlen(xoauth2[_i].text), outcome, sizeof(outcome));
	ck_assert_str_eq(outcome, xoauth2[_i].outcome);
}
END_TEST

START_TEST(a_message_of_oauthbearer_names_its_user_in_the_header)
{
	char outcome[256];

	read_message(true, oauthbearer[_i].text, strlen(oauthbearer[_i].text), outcome, sizeof(outcome));
	ck_assert_str_eq(outcome, oauthbearer[_i].outcome);
}
END_TEST

START_TEST(a_message_that_is_cut_is_none)
{
	static const char *const whole[] = {
		"user=joe\1host=h\1auth=Bearer token\1\1",
		"n,a=j=2Coe,\1host=h\1auth=Bearer token\1\1",
	};

	for (int i = 0; i < UNIT_COUNT(whole); i++)
		for (size_t cut = 0; cut < strlen(whole[i]); cut++) {
			char outcome[256];

			read_message(i == 1, whole[i], cut, outcome, sizeof(outcome));
			ck_assert_msg(outcome[0] != '[', "cut at %zu: %s", cut, outcome);
		}
}
END_TEST

START_TEST(no_byte_of_a_message_may_be_nul)
{
	static const char whole[] = "user=j\0e\1host=h\1auth=Bearer t\1\1";
	char text[sizeof(whole)], outcome[256];

	for (size_t at = 9; at < sizeof(whole) - 1; at++) {
		memcpy(text, whole, sizeof(whole));
		text[6] = 'o';
		text[at] = '\0';
		read_message(false, text, sizeof(whole) - 1, outcome, sizeof(outcome));
		ck_assert_msg(outcome[0] != '[', "NUL at %zu: %s", at, outcome);
	}
	/* In a name it is one, whole, and refused by who keeps it. */
	read_message(false, whole, sizeof(whole) - 1, outcome, sizeof(outcome));
	ck_assert_str_eq(outcome, "[j] [t]");
}
END_TEST

static const struct {
	const char *text;
	bool is_token;
} tokens[] = {
	{ "t", true },
	{ "AZaz09-._~+/", true },
	{ "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", true },
	{ "a=", true },
	{ "a====", true },
	{ "", false },
	{ "=", false },
	{ "a=b", false },
	{ "a b", false },
	{ " a", false },
	{ "a ", false },
	{ "a,b", false },
	{ "a\xc3\xa9", false },
	{ "a\n", false },
	{ "\"a\"", false },
};

START_TEST(a_token_has_the_letters_of_one)
{
	ck_assert_int_eq(bearer_is_token(tokens[_i].text, strlen(tokens[_i].text)), tokens[_i].is_token);
	ck_assert(!bearer_is_token("a\0b", 3) && !bearer_is_token("a\0", 2));
}
END_TEST

Suite *
bearer_suite(void)
{
	Suite *suite = suite_create("bearer");
	TCase *tcase = tcase_create("bearer");

	tcase_add_loop_test(tcase, a_message_of_xoauth2_names_its_user_in_a_field, 0, UNIT_COUNT(xoauth2));
	tcase_add_loop_test(tcase, a_message_of_oauthbearer_names_its_user_in_the_header, 0, UNIT_COUNT(oauthbearer));
	tcase_add_test(tcase, a_message_that_is_cut_is_none);
	tcase_add_test(tcase, no_byte_of_a_message_may_be_nul);
	tcase_add_loop_test(tcase, a_token_has_the_letters_of_one, 0, UNIT_COUNT(tokens));
	suite_add_tcase(suite, tcase);
	return suite;
}
