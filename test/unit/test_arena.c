#include "common/arena.h"

#include <signal.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/unit/unit.h"

static const size_t sizes[] = { 0, 1, 7, 16, 17, 1000, 1024, 1025, 70000 };

#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

START_TEST(memory_is_cleared_aligned_and_apart)
{
	struct arena *arena = arena_new();
	unsigned char *blocks[4 * SIZES];

	for (size_t i = 0; i < 4 * SIZES; i++) {
		size_t size = sizes[i % SIZES];

		blocks[i] = arena_alloc(arena, size);
		ck_assert_uint_eq((uintptr_t)blocks[i] % alignof(max_align_t), 0);
		for (size_t k = 0; k < size; k++)
			ck_assert_uint_eq(blocks[i][k], 0);
		memset(blocks[i], (int)i + 1, size);
	}
	for (size_t i = 0; i < 4 * SIZES; i++)
		for (size_t k = 0; k < sizes[i % SIZES]; k++)
			ck_assert_uint_eq(blocks[i][k], i + 1);
	arena_free(&arena);
	ck_assert_ptr_null(arena);
	arena_free(&arena);
}
END_TEST

START_TEST(copies_are_whole_and_ended)
{
	struct arena *arena = arena_new();

	ck_assert_mem_eq(arena_dup(arena, "abc\0def", 8), "abc\0def", 8);
	ck_assert_str_eq(arena_strdup(arena, "xyz"), "xyz");
	ck_assert_ptr_null(arena_strdup(arena, NULL));
	ck_assert_str_eq(arena_printf(arena, "%s-%d", "a", 7), "a-7");
	ck_assert_str_eq(arena_printf(arena, "%s", ""), "");
	arena_free(&arena);
}
END_TEST

START_TEST(a_list_keeps_order_and_ends_with_null)
{
	struct arena *arena = arena_new();
	const char **list = NULL;
	char text[8];

	for (unsigned i = 0; i < 300; i++) {
		snprintf(text, sizeof(text), "%u", i);
		arena_append(arena, &list, arena_strdup(arena, text));
		arena_alloc(arena, 1);
		ck_assert_ptr_null(list[i + 1]);
	}
	for (unsigned i = 0; i < 300; i++)
		ck_assert_uint_eq(strtoul(list[i], NULL, 10), i);
	arena_free(&arena);
}
END_TEST

START_TEST(a_size_that_overflows_ends_the_process)
{
	static struct arena *arena;     /* static: valgrind still reaches it when the process ends */

	arena = arena_new();
	arena_alloc(arena, SIZE_MAX - 3);
}
END_TEST

Suite *
arena_suite(void)
{
	Suite *suite = suite_create("arena");
	TCase *tcase = tcase_create("arena");

	tcase_add_test(tcase, memory_is_cleared_aligned_and_apart);
	tcase_add_test(tcase, copies_are_whole_and_ended);
	tcase_add_test(tcase, a_list_keeps_order_and_ends_with_null);
	tcase_add_test_raise_signal(tcase, a_size_that_overflows_ends_the_process, SIGABRT);
	suite_add_tcase(suite, tcase);
	return suite;
}
