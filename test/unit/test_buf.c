#include "common/buf.h"

#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include "test/unit/unit.h"

static void
holds(const struct buf *b, const char *text)
{
	ck_assert_uint_eq(b->len, strlen(text));
	ck_assert_mem_eq(buf_head(b), text, b->len);
}

START_TEST(an_empty_buf_owns_nothing_and_has_a_head)
{
	struct buf b;

	buf_init(&b, 10);
	ck_assert_ptr_null(b.block);
	ck_assert_ptr_nonnull(buf_head(&b));
	ck_assert_int_eq(buf_add(&b, "", 0), 0);
	buf_take(&b, 0);
	ck_assert_ptr_null(b.block);
	buf_reset(&b);
	ck_assert_uint_eq(buf_left(&b), 10);
}
END_TEST

START_TEST(what_comes_in_leaves_in_order)
{
	struct buf b;

	buf_init(&b, 100);
	ck_assert_int_eq(buf_add_text(&b, "abc"), 0);
	ck_assert_int_eq(buf_printf(&b, "%d-%s", 12, "x"), 0);
	holds(&b, "abc12-x");
	buf_take(&b, 4);
	holds(&b, "2-x");
	ck_assert_int_eq(buf_add_text(&b, "yz"), 0);
	holds(&b, "2-xyz");
	buf_reset(&b);
	holds(&b, "");
	ck_assert_ptr_null(b.block);
}
END_TEST

START_TEST(the_limit_is_exact_and_a_refusal_changes_nothing)
{
	struct buf b;

	buf_init(&b, 5);
	ck_assert_int_eq(buf_add_text(&b, "123456"), -1);
	ck_assert_int_eq(buf_printf(&b, "%s", "123456"), -1);
	ck_assert_ptr_null(buf_room(&b, 6));
	ck_assert_ptr_null(b.block);
	ck_assert_int_eq(buf_printf(&b, "%s", "1234"), 0);
	ck_assert_int_eq(buf_add_text(&b, "56"), -1);
	ck_assert_int_eq(buf_printf(&b, "%d", 56), -1);
	holds(&b, "1234");
	ck_assert_int_eq(buf_printf(&b, "%d", 5), 0);
	ck_assert_uint_eq(buf_left(&b), 0);
	buf_take(&b, 2);
	ck_assert_int_eq(buf_printf(&b, "%d", 67), 0);
	holds(&b, "34567");
	buf_reset(&b);
}
END_TEST

START_TEST(a_limit_of_nothing_admits_nothing)
{
	struct buf b;

	buf_init(&b, 0);
	ck_assert_int_eq(buf_add_text(&b, "x"), -1);
	ck_assert_int_eq(buf_add_text(&b, ""), 0);
	ck_assert_int_eq(buf_printf(&b, "%s", ""), 0);
	ck_assert_ptr_nonnull(buf_room(&b, 0));
	holds(&b, "");
	buf_reset(&b);
}
END_TEST

START_TEST(room_is_read_into_and_added)
{
	struct buf b;
	char *room;

	buf_init(&b, 1000);
	for (unsigned i = 0; i < 10; i++) {
		room = buf_room(&b, 100);
		ck_assert_ptr_nonnull(room);
		memset(room, 'a' + (int)i, 100);
		buf_added(&b, 100);
	}
	ck_assert_ptr_null(buf_room(&b, 1));
	for (unsigned i = 0; i < 1000; i++) {
		ck_assert_int_eq(*buf_head(&b), 'a' + (int)i / 100);
		buf_take(&b, 1);
	}
	buf_reset(&b);
}
END_TEST

/* Is every byte that is held an "x", and every other byte of the block zero? */
static bool
holds_its_bytes_alone(const struct buf *b)
{
	for (size_t i = 0; i < b->size; i++)
		if (b->block[i] != (i >= b->start && i < b->start + b->len ? 'x' : 0))
			return false;
	return true;
}

START_TEST(what_left_is_overwritten)
{
	struct buf b;
	size_t held = 0;

	buf_init(&b, 700);
	for (unsigned i = 0; i < 5000; i++) {
		size_t in = i * 7 % 300, out;

		if (in <= buf_left(&b)) {
			memset(buf_room(&b, in), 'x', in);
			buf_added(&b, in);
			held += in;
		}
		out = i * 11 % (held + 1);
		buf_take(&b, out);
		held -= out;
		ck_assert_uint_eq(b.len, held);
		ck_assert(holds_its_bytes_alone(&b));
	}
	ck_assert_uint_le(b.size, 701);
	buf_reset(&b);
}
END_TEST

START_TEST(taking_more_than_is_held_ends_the_process)
{
	struct buf b;

	buf_init(&b, 10);
	buf_add_text(&b, "abc");
	buf_take(&b, 4);
}
END_TEST

START_TEST(adding_more_than_there_was_room_for_ends_the_process)
{
	struct buf b;

	buf_init(&b, 100000);
	buf_room(&b, 10);
	buf_added(&b, 99999);
}
END_TEST

Suite *
buf_suite(void)
{
	Suite *suite = suite_create("buf");
	TCase *tcase = tcase_create("buf");

	tcase_add_test(tcase, an_empty_buf_owns_nothing_and_has_a_head);
	tcase_add_test(tcase, what_comes_in_leaves_in_order);
	tcase_add_test(tcase, the_limit_is_exact_and_a_refusal_changes_nothing);
	tcase_add_test(tcase, a_limit_of_nothing_admits_nothing);
	tcase_add_test(tcase, room_is_read_into_and_added);
	tcase_add_test(tcase, what_left_is_overwritten);
	tcase_add_test_raise_signal(tcase, taking_more_than_is_held_ends_the_process, SIGABRT);
	tcase_add_test_raise_signal(tcase, adding_more_than_there_was_room_for_ends_the_process, SIGABRT);
	suite_add_tcase(suite, tcase);
	return suite;
}
