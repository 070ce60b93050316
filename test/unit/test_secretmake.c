#include "worker/helper/secretmake.h"

#include <string.h>

#include "common/mem.h"
#include "test/unit/unit.h"
#include "worker/helper/secret.h"

static const struct {
	const char *scheme;
	unsigned rounds;
	const char *pass, *begins;
} stored[] = {
	{ "YESCRYPT", 1, "sesame", "{CRYPT}$y$" },
	{ "yescrypt", 1, "p\xc3\xa4ss w:rd\x01", "{CRYPT}$y$" },
	{ "SHA512-CRYPT", 1000, "sesame", "{SHA512-CRYPT}$6$rounds=1000$" },
	{ "SHA256-CRYPT", 1000, "sesame", "{SHA256-CRYPT}$5$rounds=1000$" },
	{ "BLF-CRYPT", 4, "sesame", "{BLF-CRYPT}$2y$04$" },
	{ "PLAIN", 0, "open sesame", "{PLAIN}open sesame" },
	{ "PLAIN", 0, "se:same", "{PLAIN.b64}c2U6c2FtZQ==" },
	{ "PLAIN", 0, "tab\t", "{PLAIN.b64}dGFiCQ==" },
	{ "PLAIN", 0, "{PLAIN}!", "{PLAIN}{PLAIN}!" },
};

START_TEST(what_is_stored_lets_in_who_knows_the_password)
{
	const struct secretmake *scheme;
	struct secret secret;
	char *text;

	ck_assert_ptr_null(secretmake_find(&scheme, stored[_i].scheme, stored[_i].rounds));
	ck_assert_ptr_null(secretmake_store(&text, scheme, stored[_i].rounds, stored[_i].pass));
	ck_assert_msg(strncmp(text, stored[_i].begins, strlen(stored[_i].begins)) == 0, "%s", text);
	ck_assert_ptr_null(strchr(text, ':'));
	ck_assert_ptr_null(secret_parse(&secret, text, strlen(text)));
	ck_assert(secret_fits(&secret, stored[_i].pass, strlen(stored[_i].pass)));
	ck_assert(!secret_fits(&secret, "other", 5));
	mem_free_secret(&text);
}
END_TEST

START_TEST(the_same_password_is_never_stored_the_same)
{
	const struct secretmake *scheme;
	char *one, *two;

	ck_assert_ptr_null(secretmake_find(&scheme, "BLF-CRYPT", 4));
	ck_assert_ptr_null(secretmake_store(&one, scheme, 4, "sesame"));
	ck_assert_ptr_null(secretmake_store(&two, scheme, 4, "sesame"));
	ck_assert_str_ne(one, two);
	mem_free_secret(&one);
	mem_free_secret(&two);
}
END_TEST

START_TEST(without_a_name_the_best_is_taken)
{
	const struct secretmake *scheme;
	char *text;

	ck_assert_ptr_null(secretmake_find(&scheme, NULL, 0));
	ck_assert_ptr_null(secretmake_store(&text, scheme, 0, "sesame"));
	ck_assert(strncmp(text, "{CRYPT}$y$", 10) == 0 || strncmp(text, "{SHA512-CRYPT}$6$", 17) == 0);
	mem_free_secret(&text);
}
END_TEST

static const struct {
	const char *scheme;
	unsigned rounds;
} strange[] = {
	{ "MD5", 0 }, { "", 0 }, { "SHA512-CRYPT ", 0 }, { "PLAIN", 1 }, { "BLF-CRYPT", 3 }, { "BLF-CRYPT", 17 },
	{ "YESCRYPT", 12 }, { "SHA512-CRYPT", 999 }, { "SHA512-CRYPT", 5000001 },
};

START_TEST(weak_schemes_and_absurd_costs_are_refused)
{
	const struct secretmake *scheme;

	ck_assert_ptr_nonnull(secretmake_find(&scheme, strange[_i].scheme, strange[_i].rounds));
}
END_TEST

static const struct {
	const char *scheme;
	size_t len;
	bool fits;
} lengths[] = {
	{ "BLF-CRYPT", 72, true }, { "BLF-CRYPT", 73, false },
	{ "SHA512-CRYPT", 511, true }, { "SHA512-CRYPT", 512, false },
	{ "PLAIN", 768, true }, { "PLAIN", 769, false }, { "PLAIN", 0, false },
};

START_TEST(no_password_is_cut_silently)
{
	const struct secretmake *scheme;
	char pass[1000] = "", *text;
	const char *why;

	memset(pass, 'x', lengths[_i].len);
	ck_assert_ptr_null(secretmake_find(&scheme, lengths[_i].scheme, 0));
	why = secretmake_store(&text, scheme, 0, pass);
	ck_assert((why == NULL) == lengths[_i].fits);
	ck_assert((text != NULL) == lengths[_i].fits);
	mem_free_secret(&text);
}
END_TEST

START_TEST(every_name_that_is_told_is_a_scheme)
{
	char *names = mem_strdup(secretmake_names()), *rest = names;
	const struct secretmake *scheme;

	for (char *name; (name = strsep(&rest, " ")) != NULL;)
		ck_assert_ptr_null(secretmake_find(&scheme, name, 0));
	mem_free(names);
}
END_TEST

Suite *
secretmake_suite(void)
{
	Suite *suite = suite_create("secretmake");
	TCase *tcase = tcase_create("secretmake");

	suite_add_tcase(suite, tcase);
	tcase_add_loop_test(tcase, what_is_stored_lets_in_who_knows_the_password, 0, UNIT_COUNT(stored));
	tcase_add_test(tcase, the_same_password_is_never_stored_the_same);
	tcase_add_test(tcase, without_a_name_the_best_is_taken);
	tcase_add_loop_test(tcase, weak_schemes_and_absurd_costs_are_refused, 0, UNIT_COUNT(strange));
	tcase_add_loop_test(tcase, no_password_is_cut_silently, 0, UNIT_COUNT(lengths));
	tcase_add_test(tcase, every_name_that_is_told_is_a_scheme);
	return suite;
}
