#include "master/zones.h"

#include <string.h>

#include "common/authcache.h"
#include "common/conf.h"
#include "common/mem.h"
#include "test/unit/unit.h"

#define SIZE (1u << 20)

static struct zones *zones;

/* A configuration with a cache or two, or with a limit. */
struct box {
	struct conf_cache caches[2];
	struct conf_cache *list[2];
	struct conf_limit_zone limit;
	struct conf_limit_zone *limits[1];
	struct conf conf;
};

static void
box_init(struct box *box, const char *name, size_t bytes)
{
	*box = (struct box){ .caches = { { .zone = name, .bytes = bytes } }, .conf = { .cache_count = 1 } };
	box->list[0] = &box->caches[0];
	box->list[1] = &box->caches[1];
	box->conf.caches = box->list;
}

static void
box_init_limit(struct box *box, enum conf_limit_kind kind, size_t bytes, unsigned key)
{
	*box = (struct box){ .limit = { .kind = kind, .name = "addr", .bytes = bytes, .key = key } };
	box->limits[0] = &box->limit;
	box->conf.limit_zones = box->limits;
	box->conf.limit_zone_count = 1;
}

static void
setup(void)
{
	zones = zones_new();
}

static void
teardown(void)
{
	zones_free(&zones);
	ck_assert_ptr_null(zones);
}

START_TEST(a_cache_of_the_same_name_and_size_is_kept_with_its_secret)
{
	unsigned char secret[CONF_CACHE_SECRET];
	struct box old, new;

	box_init(&old, "logins", SIZE);
	box_init(&new, "logins", SIZE);
	ck_assert_int_eq(zones_use(zones, &old.conf), 0);
	memcpy(secret, old.caches[0].secret, sizeof(secret));
	ck_assert_int_eq(zones_use(zones, &new.conf), 0);
	zones_leave(zones, &old.conf);
	ck_assert_ptr_null(old.caches[0].accepted);
	ck_assert_ptr_ne(new.caches[0].accepted, new.caches[0].refused);
	ck_assert_mem_eq(new.caches[0].secret, secret, sizeof(secret));
	zones_leave(zones, &new.conf);
}
END_TEST

START_TEST(another_size_or_name_is_another_cache)
{
	static const struct {
		const char *name;
		size_t bytes;
	} cases[] = { { "logins", 2 * SIZE }, { "others", SIZE } };
	struct box old, new;

	box_init(&old, "logins", SIZE);
	box_init(&new, cases[_i].name, cases[_i].bytes);
	ck_assert_int_eq(zones_use(zones, &old.conf), 0);
	ck_assert_int_eq(zones_use(zones, &new.conf), 0);
	ck_assert_ptr_ne(old.caches[0].accepted, new.caches[0].accepted);
	ck_assert_mem_ne(old.caches[0].secret, new.caches[0].secret, CONF_CACHE_SECRET);
	zones_leave(zones, &new.conf);
	ck_assert_ptr_nonnull(old.caches[0].accepted);
	zones_leave(zones, &old.conf);
}
END_TEST

START_TEST(what_cannot_be_made_is_an_error_and_leaves_nothing)
{
	struct box box;

	box_init(&box, "logins", SIZE);
	box.caches[1] = (struct conf_cache){ .zone = "tiny", .bytes = AUTHCACHE_BYTES_MIN / 8 };
	box.conf.cache_count = 2;
	ck_assert_int_eq(zones_use(zones, &box.conf), -1);
	zones_leave(zones, &box.conf);
}
END_TEST

START_TEST(a_lock_of_a_dead_process_is_freed)
{
	static const char key[AUTHCACHE_KEY] = "key";
	struct box box;
	void *entry;

	box_init(&box, "logins", SIZE);
	ck_assert_int_eq(zones_use(zones, &box.conf), 0);
	ck_assert_ptr_nonnull(zone_find(box.caches[0].refused, 7, key, true));
	zones_unlock_dead(zones, BOARD_ONE(7));
	entry = zone_find(box.caches[0].refused, 8, key, true);
	ck_assert_ptr_nonnull(entry);
	zone_done(box.caches[0].refused, 8, entry);
	zones_leave(zones, &box.conf);
}
END_TEST

START_TEST(a_limit_of_the_same_name_size_and_key_is_kept_with_its_secret)
{
	unsigned char secret[CONF_LIMIT_SECRET];
	struct box old, new;

	box_init_limit(&old, LIMIT_CONN, SIZE, LIMIT_BY_USER);
	box_init_limit(&new, LIMIT_CONN, SIZE, LIMIT_BY_USER);
	ck_assert_int_eq(zones_use(zones, &old.conf), 0);
	memcpy(secret, old.limit.secret, sizeof(secret));
	ck_assert_int_eq(zones_use(zones, &new.conf), 0);
	zones_leave(zones, &old.conf);
	ck_assert_ptr_null(old.limit.zone);
	ck_assert_ptr_nonnull(new.limit.zone);
	ck_assert_mem_eq(new.limit.secret, secret, sizeof(secret));
	zones_leave(zones, &new.conf);
}
END_TEST

START_TEST(a_limit_of_another_kind_size_or_key_starts_empty)
{
	static const struct {
		enum conf_limit_kind kind;
		size_t bytes;
		unsigned key;
	} cases[] = {
		{ LIMIT_AUTH, SIZE, LIMIT_BY_USER }, { LIMIT_CONN, 2 * SIZE, LIMIT_BY_USER },
		{ LIMIT_CONN, SIZE, LIMIT_BY_ADDRESS },
	};
	struct box old, new;

	box_init_limit(&old, LIMIT_CONN, SIZE, LIMIT_BY_USER);
	box_init_limit(&new, cases[_i].kind, cases[_i].bytes, cases[_i].key);
	ck_assert_int_eq(zones_use(zones, &old.conf), 0);
	ck_assert_int_eq(zones_use(zones, &new.conf), 0);
	ck_assert_ptr_ne(old.limit.zone, new.limit.zone);
	zones_leave(zones, &old.conf);
	ck_assert_ptr_nonnull(new.limit.zone);
	zones_leave(zones, &new.conf);
}
END_TEST

START_TEST(counts_are_held_and_buckets_are_not)
{
	struct box counts, buckets;
	struct zone **held;
	size_t count;

	box_init_limit(&buckets, LIMIT_AUTH, SIZE, LIMIT_BY_USER);
	box_init_limit(&counts, LIMIT_CONN, SIZE, LIMIT_BY_USER);
	ck_assert_int_eq(zones_use(zones, &buckets.conf), 0);
	ck_assert(!zones_are_held(zones));
	ck_assert_ptr_null(zones_held(zones, &count));
	ck_assert_uint_eq(count, 0);
	ck_assert_int_eq(zones_use(zones, &counts.conf), 0);
	ck_assert(zones_are_held(zones));
	held = zones_held(zones, &count);
	ck_assert_uint_eq(count, 1);
	ck_assert_ptr_eq(held[0], counts.limit.zone);
	mem_free(held);
	zones_leave(zones, &counts.conf);
	zones_leave(zones, &buckets.conf);
}
END_TEST

Suite *
zones_suite(void)
{
	Suite *suite = suite_create("zones");
	TCase *tcase = tcase_create("zones");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_cache_of_the_same_name_and_size_is_kept_with_its_secret);
	tcase_add_loop_test(tcase, another_size_or_name_is_another_cache, 0, 2);
	tcase_add_test(tcase, what_cannot_be_made_is_an_error_and_leaves_nothing);
	tcase_add_test(tcase, a_lock_of_a_dead_process_is_freed);
	tcase_add_test(tcase, a_limit_of_the_same_name_size_and_key_is_kept_with_its_secret);
	tcase_add_loop_test(tcase, a_limit_of_another_kind_size_or_key_starts_empty, 0, 3);
	tcase_add_test(tcase, counts_are_held_and_buckets_are_not);
	suite_add_tcase(suite, tcase);
	return suite;
}
