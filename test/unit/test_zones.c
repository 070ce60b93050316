#include "master/zones.h"

#include <string.h>
#include <unistd.h>

#include "common/authcache.h"
#include "common/bequest.h"
#include "common/conf.h"
#include "common/mem.h"
#include "test/unit/capture.h"
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

/* What there is, as the next master gets it. */
static struct bequest *
leave(void)
{
	struct bequest *bequest = bequest_new(false);

	zones_leave_to(zones, bequest);
	for (size_t i = 0; i < bequest->count; i++)
		bequest->zones[i].fd = dup(bequest->zones[i].fd);
	bequest->taken = true;
	return bequest;
}

START_TEST(the_next_master_has_the_same_tables_and_secrets)
{
	static const char key[AUTHCACHE_KEY] = "key";
	struct box caches, limit, next_caches, next_limit;
	struct zones *next = zones_new();
	struct bequest *bequest;
	void *entry;

	box_init(&caches, "logins", SIZE);
	box_init(&next_caches, "logins", SIZE);
	box_init_limit(&limit, LIMIT_CONN, SIZE, LIMIT_BY_USER);
	box_init_limit(&next_limit, LIMIT_CONN, SIZE, LIMIT_BY_USER);
	ck_assert(zones_use(zones, &caches.conf) == 0 && zones_use(zones, &limit.conf) == 0);
	entry = zone_find(caches.caches[0].accepted, 1, key, true);
	zone_done(caches.caches[0].accepted, 1, entry);
	bequest = leave();
	ck_assert_uint_eq(bequest->count, 3);
	zones_inherit(next, bequest);
	ck_assert(zones_use(next, &next_caches.conf) == 0 && zones_use(next, &next_limit.conf) == 0);
	zones_inherit(next, NULL);
	bequest_free(&bequest);
	ck_assert_mem_eq(next_caches.caches[0].secret, caches.caches[0].secret, CONF_CACHE_SECRET);
	ck_assert_mem_eq(next_limit.limit.secret, limit.limit.secret, CONF_LIMIT_SECRET);
	entry = zone_find(next_caches.caches[0].accepted, 2, key, false);
	ck_assert_ptr_nonnull(entry);
	zone_done(next_caches.caches[0].accepted, 2, entry);
	zones_leave(next, &next_caches.conf);
	zones_leave(next, &next_limit.conf);
	zones_free(&next);
	zones_leave(zones, &caches.conf);
	zones_leave(zones, &limit.conf);
}
END_TEST

/* A cache of which one half cannot be had starts empty, both halves of it. */
START_TEST(what_does_not_fit_starts_empty_and_is_said)
{
	struct box caches, next_caches;
	struct zones *next = zones_new();
	struct bequest *bequest;

	box_init(&caches, "logins", SIZE);
	box_init(&next_caches, "logins", _i == 0 ? 2 * SIZE : SIZE);
	ck_assert_int_eq(zones_use(zones, &caches.conf), 0);
	bequest = leave();
	if (_i == 1)
		bequest->zones[1].parameters++;
	if (_i == 2)
		bequest->zones[1].secret[0] ^= 1;
	zones_inherit(next, bequest);
	capture_begin();
	ck_assert_int_eq(zones_use(next, &next_caches.conf), 0);
	ck_assert_ptr_nonnull(strstr(capture_text(), "zone \"logins\" has another size and starts empty"));
	capture_end();
	zones_inherit(next, NULL);
	ck_assert_mem_ne(next_caches.caches[0].secret, caches.caches[0].secret, CONF_CACHE_SECRET);
	bequest_free(&bequest);
	zones_leave(next, &next_caches.conf);
	zones_free(&next);
	zones_leave(zones, &caches.conf);
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
	tcase_add_test(tcase, the_next_master_has_the_same_tables_and_secrets);
	tcase_add_loop_test(tcase, what_does_not_fit_starts_empty_and_is_said, 0, 3);
	tcase_add_test(tcase, a_lock_of_a_dead_process_is_freed);
	tcase_add_test(tcase, a_limit_of_the_same_name_size_and_key_is_kept_with_its_secret);
	tcase_add_loop_test(tcase, a_limit_of_another_kind_size_or_key_starts_empty, 0, 3);
	tcase_add_test(tcase, counts_are_held_and_buckets_are_not);
	suite_add_tcase(suite, tcase);
	return suite;
}
