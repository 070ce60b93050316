#include "common/mem.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>

#include "test/unit/unit.h"

START_TEST(memory_comes_cleared)
{
	char *block = mem_alloc(4096), *array = mem_array(64, 64);

	for (size_t i = 0; i < 4096; i++)
		ck_assert(block[i] == 0 && array[i] == 0);
	mem_free(block);
	mem_free(array);
}
END_TEST

START_TEST(a_size_that_overflows_ends_the_process)
{
	mem_array(SIZE_MAX / 2, 16);
}
END_TEST

START_TEST(copies_are_whole_and_ended)
{
	char *text = mem_strndup("abc\0def", 7), *plain = mem_strdup("xyz"), *made = mem_printf("%s-%d", "a", 7);

	ck_assert_mem_eq(text, "abc\0def", 8);
	ck_assert_str_eq(plain, "xyz");
	ck_assert_str_eq(made, "a-7");
	ck_assert_ptr_null(mem_strdup(NULL));
	mem_free(text);
	mem_free(plain);
	mem_free(made);
}
END_TEST

START_TEST(a_freed_secret_leaves_null)
{
	char *secret = mem_strdup("hunter2");

	mem_free_secret(&secret);
	ck_assert_ptr_null(secret);
	mem_free_secret(&secret);
}
END_TEST

START_TEST(secrets_are_same_only_when_every_byte_is)
{
	ck_assert(mem_same_secret("abcd", "abcd", 4));
	ck_assert(!mem_same_secret("abcd", "abce", 4));
	ck_assert(!mem_same_secret("xbcd", "abcd", 4));
	ck_assert(mem_same_secret("a", "b", 0));
}
END_TEST

Suite *
mem_suite(void)
{
	Suite *suite = suite_create("mem");
	TCase *tcase = tcase_create("mem");

	tcase_add_test(tcase, memory_comes_cleared);
	tcase_add_test_raise_signal(tcase, a_size_that_overflows_ends_the_process, SIGABRT);
	tcase_add_test(tcase, copies_are_whole_and_ended);
	tcase_add_test(tcase, a_freed_secret_leaves_null);
	tcase_add_test(tcase, secrets_are_same_only_when_every_byte_is);
	suite_add_tcase(suite, tcase);
	return suite;
}
