#include "common/tlscache.h"

#include <errno.h>
#include <string.h>

#include "test/unit/unit.h"

#define SLOT 3

static struct tlscache *cache;
static unsigned char bytes[TLSCACHE_MAX + 1], room[TLSCACHE_MAX];

static void
make(void)
{
	cache = tlscache_new("A", 1 << 20, NULL);
	ck_assert_ptr_nonnull(cache);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 7 + i / 240);
}

static void
drop(void)
{
	tlscache_free(&cache);
	ck_assert_ptr_null(cache);
}

static size_t
get(const char *id, time_t now)
{
	memset(room, 0, sizeof(room));
	return tlscache_get(cache, SLOT + 1, (const unsigned char *)id, strlen(id), room, now);
}

static void
put(const char *id, size_t len, time_t expiry)
{
	tlscache_put(cache, SLOT, (const unsigned char *)id, strlen(id), bytes, len, expiry);
}

static const size_t lengths[] = { 1, 239, 240, 241, 480, 1000, TLSCACHE_MAX };

START_TEST(a_session_comes_back_whole)
{
	put("id", lengths[_i], 100);
	ck_assert_uint_eq(get("id", 99), lengths[_i]);
	ck_assert_mem_eq(room, bytes, lengths[_i]);
	ck_assert_uint_eq(get("i", 99), 0);
}
END_TEST

START_TEST(one_that_is_too_long_is_not_kept)
{
	put("id", TLSCACHE_MAX + 1, 100);
	ck_assert_uint_eq(get("id", 1), 0);
}
END_TEST

START_TEST(an_id_of_no_length_or_too_much_is_none)
{
	const char *id = "123456789012345678901234567890123";

	put(id, 10, 100);
	ck_assert_uint_eq(get(id, 1), 0);
	put("", 10, 100);
	ck_assert_uint_eq(get("", 1), 0);
	put(id + 1, 10, 100);
	ck_assert_uint_eq(get(id + 1, 1), 10);
}
END_TEST

START_TEST(what_has_expired_is_gone)
{
	put("id", 500, 100);
	ck_assert_uint_eq(get("id", 100), 0);
	ck_assert_uint_eq(get("id", 99), 500);
}
END_TEST

START_TEST(what_is_forgotten_is_gone)
{
	put("id", 500, 100);
	put("other", 500, 100);
	tlscache_forget(cache, SLOT, (const unsigned char *)"id", 2);
	tlscache_forget(cache, SLOT, (const unsigned char *)"unknown", 7);
	ck_assert_uint_eq(get("id", 1), 0);
	ck_assert_uint_eq(get("other", 1), 500);
	put("id", 10, 100);
	ck_assert_uint_eq(get("id", 1), 10);
}
END_TEST

/* Many more than fit: none comes back with another's bytes or cut short. */
START_TEST(what_was_partly_overwritten_is_no_session)
{
	unsigned found = 0;

	for (uint32_t id = 1; id <= 20000; id++) {
		memset(bytes, (int)(id % 251), 600);
		tlscache_put(cache, SLOT, (const unsigned char *)&id, sizeof(id), bytes, 600, 100);
	}
	for (uint32_t id = 1; id <= 20000; id++) {
		size_t len = tlscache_get(cache, SLOT, (const unsigned char *)&id, sizeof(id), room, 1);

		memset(bytes, (int)(id % 251), 600);
		ck_assert_msg(len == 0 || (len == 600 && memcmp(room, bytes, 600) == 0), "%u: %zu", id, len);
		found += len != 0;
	}
	ck_assert_uint_gt(found, 0);
}
END_TEST

START_TEST(too_small_a_cache_cannot_be_made)
{
	ck_assert_ptr_null(tlscache_new("B", 100, NULL));
	ck_assert_int_eq(errno, ENOSPC);
}
END_TEST

Suite *
tlscache_suite(void)
{
	Suite *suite = suite_create("tlscache");
	TCase *tcase = tcase_create("tlscache");

	tcase_add_checked_fixture(tcase, make, drop);
	tcase_add_loop_test(tcase, a_session_comes_back_whole, 0, UNIT_COUNT(lengths));
	tcase_add_test(tcase, one_that_is_too_long_is_not_kept);
	tcase_add_test(tcase, an_id_of_no_length_or_too_much_is_none);
	tcase_add_test(tcase, what_has_expired_is_gone);
	tcase_add_test(tcase, what_is_forgotten_is_gone);
	tcase_add_test(tcase, what_was_partly_overwritten_is_no_session);
	tcase_add_test(tcase, too_small_a_cache_cannot_be_made);
	suite_add_tcase(suite, tcase);
	return suite;
}
