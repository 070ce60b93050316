#include "common/tlskey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "test/unit/unit.h"

/* Of two words and, unless NULL, a list of files. */
static char *
key_of(const char *kind, unsigned long load, const char *a, const char *b, const char *file)
{
	const char *files[] = { file, NULL };
	struct tlskey key;

	tlskey_begin(&key, kind, load);
	tlskey_add(&key, a);
	tlskey_add(&key, b);
	tlskey_add_files(&key, file == NULL ? NULL : files);
	return tlskey_end(&key);
}

static bool
is_same(char *one, char *other)
{
	bool same = strcmp(one, other) == 0;

	mem_free(one);
	mem_free(other);
	return same;
}

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
}

static const struct {
	const char *kind;
	unsigned long load;
	const char *a, *b, *file;
	bool same;
} cases[] = {
	{ "base", 0, "one", "two",       NULL,         true  },
	{ "cert", 0, "one", "two",       NULL,         false },
	{ "base", 1, "one", "two",       NULL,         false },
	{ "base", 0, "two", "one",       NULL,         false },
	{ "base", 0, "one", NULL,        NULL,         false },
	{ "base", 0, "one", "-",         NULL,         false },
	{ "base", 0, "one", "",          NULL,         false },
	{ "base", 0, "one", "two\n.",    NULL,         false },
	{ "base", 0, "one\n3 two", "",   NULL,         false },
	{ "base", 0, "one", "two",       "/dev/null",  false },
	{ "base", 0, "one", "two",       "/none/such", false },
};

START_TEST(only_the_same_parts_in_the_same_places_are_the_same_key)
{
	ck_assert(is_same(key_of("base", 0, "one", "two", NULL),
	    key_of(cases[_i].kind, cases[_i].load, cases[_i].a, cases[_i].b, cases[_i].file)) == cases[_i].same);
}
END_TEST

START_TEST(no_word_is_not_a_word)
{
	ck_assert(!is_same(key_of("base", 0, NULL, "", NULL), key_of("base", 0, "-", "", NULL)));
	ck_assert(!is_same(key_of("base", 0, NULL, "", NULL), key_of("base", 0, "", NULL, NULL)));
}
END_TEST

START_TEST(a_file_that_changed_is_another_key)
{
	char path[] = "/tmp/tlskey.XXXXXX", other[] = "/tmp/tlskey.XXXXXX";
	char *before;

	close(mkstemp(path));
	close(mkstemp(other));
	write_file(path, "a");
	before = key_of("base", 0, "", "", path);
	ck_assert(is_same(mem_strdup(before), key_of("base", 0, "", "", path)));
	write_file(path, "longer");
	ck_assert(!is_same(mem_strdup(before), key_of("base", 0, "", "", path)));
	/* One of the same name, size and content. */
	write_file(other, "a");
	ck_assert_int_eq(rename(other, path), 0);
	ck_assert(!is_same(mem_strdup(before), key_of("base", 0, "", "", path)));
	ck_assert_int_eq(unlink(path), 0);
	ck_assert(!is_same(before, key_of("base", 0, "", "", path)));
}
END_TEST

Suite *
tlskey_suite(void)
{
	Suite *suite = suite_create("tlskey");
	TCase *tcase = tcase_create("tlskey");

	tcase_add_loop_test(tcase, only_the_same_parts_in_the_same_places_are_the_same_key, 0, UNIT_COUNT(cases));
	tcase_add_test(tcase, no_word_is_not_a_word);
	tcase_add_test(tcase, a_file_that_changed_is_another_key);
	suite_add_tcase(suite, tcase);
	return suite;
}
