#include "common/authcache.h"

#include "test/unit/unit.h"

START_TEST(the_smallest_cache_has_both_zones)
{
	for (int which = AUTHCACHE_ACCEPTED; which <= AUTHCACHE_REFUSED; which++) {
		struct zone_spec spec = authcache_spec("logins", AUTHCACHE_BYTES_MIN, (enum authcache_zone)which);
		struct zone *zone = zone_new(&spec);

		ck_assert_ptr_nonnull(zone);
		zone_free(&zone);
	}
}
END_TEST

static const size_t sizes[] = { 0, 1, AUTHCACHE_BYTES_MIN, AUTHCACHE_BYTES_MIN + 1, 1 << 20, (size_t)1 << 40 };

START_TEST(both_zones_share_what_the_operator_gave)
{
	struct zone_spec accepted = authcache_spec("logins", sizes[_i], AUTHCACHE_ACCEPTED);
	struct zone_spec refused = authcache_spec("logins", sizes[_i], AUTHCACHE_REFUSED);

	ck_assert_str_ne(accepted.kind, refused.kind);
	ck_assert_str_eq(accepted.name, "logins");
	if (sizes[_i] >= AUTHCACHE_BYTES_MIN) {
		ck_assert_uint_eq(accepted.bytes + refused.bytes, sizes[_i]);
		ck_assert_uint_ge(accepted.bytes, refused.bytes);
	}
}
END_TEST

Suite *
authcache_suite(void)
{
	Suite *suite = suite_create("authcache");
	TCase *tcase = tcase_create("authcache");

	tcase_add_test(tcase, the_smallest_cache_has_both_zones);
	tcase_add_loop_test(tcase, both_zones_share_what_the_operator_gave, 0, sizeof(sizes) / sizeof(sizes[0]));
	suite_add_tcase(suite, tcase);
	return suite;
}
