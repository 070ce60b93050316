#include "common/limitzone.h"

#include <string.h>

#include "test/unit/unit.h"

static const unsigned char secret[CONF_LIMIT_SECRET] = { 1, 2, 3 }, other_secret[CONF_LIMIT_SECRET] = { 3, 2, 1 };

static struct conf_limit_zone limit = { .name = "zone", .bytes = LIMITZONE_BYTES_MIN, .secret = secret };

static struct addr
address(const char *text)
{
	struct addr a = { .family = AF_UNIX };

	if (strcmp(text, "unix:") != 0)
		ck_assert_int_eq(addr_parse(&a, text, strlen(text)), 0);
	a.port = (uint16_t)(1024 + strlen(text));
	return a;
}

static const struct {
	const char *a, *b;
	enum limitzone_net net;
	bool same;
} addresses[] = {
	{ "192.0.2.1", "192.0.2.1", LIMITZONE_CLIENT, true },
	{ "192.0.2.1", "192.0.2.2", LIMITZONE_CLIENT, false },
	{ "192.0.2.1", "192.0.2.2", LIMITZONE_SITE, false },
	{ "192.0.2.1", "::ffff:192.0.2.1", LIMITZONE_CLIENT, true },
	{ "2001:db8:1:2::1", "2001:db8:1:2:ffff::", LIMITZONE_CLIENT, true },
	{ "2001:db8:1:2::1", "2001:db8:1:3::1", LIMITZONE_CLIENT, false },
	{ "2001:db8:1:2::1", "2001:db8:1:3::1", LIMITZONE_SITE, true },
	{ "2001:db8:1:2::1", "2001:db8:2:2::1", LIMITZONE_SITE, false },
	{ "::", "0.0.0.0", LIMITZONE_CLIENT, false },
	{ "::", "unix:", LIMITZONE_CLIENT, false },
	{ "unix:", "unix:", LIMITZONE_CLIENT, true },
};

START_TEST(an_address_counts_as_its_network)
{
	struct addr a = address(addresses[_i].a), b = address(addresses[_i].b);
	unsigned char left[LIMITZONE_KEY], right[LIMITZONE_KEY];

	limitzone_key(&limit, LIMIT_BY_ADDRESS, addresses[_i].net, &a, NULL, left);
	limitzone_key(&limit, LIMIT_BY_ADDRESS, addresses[_i].net, &b, NULL, right);
	ck_assert_int_eq(memcmp(left, right, sizeof(left)) == 0, addresses[_i].same);
}
END_TEST

static const struct {
	const char *a, *b;
	bool same;
} texts[] = {
	{ "joe", "joe", true },
	{ "joe@example.org", "JOE@Example.ORG", true },
	{ "joe", "jo", false },
	{ "joe", "joe ", false },
	{ "j\xc3\xb6", "j\xc3\x96", false },
	{ "[", "{", false },
	{ "@", "`", false },
};

START_TEST(a_name_counts_whatever_its_case)
{
	unsigned char left[LIMITZONE_KEY], right[LIMITZONE_KEY];

	limitzone_key(&limit, LIMIT_BY_USER, LIMITZONE_NONE, NULL, texts[_i].a, left);
	limitzone_key(&limit, LIMIT_BY_USER, LIMITZONE_NONE, NULL, texts[_i].b, right);
	ck_assert_int_eq(memcmp(left, right, sizeof(left)) == 0, texts[_i].same);
}
END_TEST

START_TEST(what_a_key_means_is_part_of_it)
{
	struct addr a = address("192.0.2.1");
	struct conf_limit_zone other = limit;
	unsigned char keys[6][LIMITZONE_KEY];

	other.secret = other_secret;
	limitzone_key(&limit, LIMIT_BY_USER, LIMITZONE_NONE, NULL, "joe", keys[0]);
	limitzone_key(&limit, LIMIT_BY_DOMAIN, LIMITZONE_NONE, NULL, "joe", keys[1]);
	limitzone_key(&limit, LIMIT_BY_USER, LIMITZONE_CLIENT, &a, "joe", keys[2]);
	limitzone_key(&limit, LIMIT_BY_USER, LIMITZONE_CLIENT, &a, NULL, keys[3]);
	limitzone_key(&limit, LIMIT_BY_USER, LIMITZONE_SITE, &a, NULL, keys[4]);
	limitzone_key(&other, LIMIT_BY_USER, LIMITZONE_NONE, NULL, "joe", keys[5]);
	for (int i = 0; i < 6; i++)
		for (int j = 0; j < i; j++)
			ck_assert_mem_ne(keys[i], keys[j], LIMITZONE_KEY);
}
END_TEST

START_TEST(the_smallest_zone_can_be_made)
{
	struct conf_limit_zone own = limit;

	for (int kind = LIMIT_CONN; kind <= LIMIT_AUTH; kind++) {
		struct zone_spec spec;
		struct zone *zone;

		own.kind = (enum conf_limit_kind)kind;
		spec = limitzone_spec(&own);
		zone = zone_new(&spec);
		ck_assert_ptr_nonnull(zone);
		zone_free(&zone);
	}
}
END_TEST

START_TEST(another_key_is_another_zone)
{
	struct conf_limit_zone own = limit;
	struct zone_spec by_plan, by_class, by_user;
	struct zone *zone;

	own.key = LIMIT_BY_HEADER;
	own.header = "Auth-Plan";
	by_plan = limitzone_spec(&own);
	own.header = "Auth-Class";
	by_class = limitzone_spec(&own);
	own.key = LIMIT_BY_USER;
	own.header = NULL;
	by_user = limitzone_spec(&own);
	zone = zone_new(&by_plan);
	ck_assert(zone_fits(zone, &by_plan));
	ck_assert(!zone_fits(zone, &by_class));
	ck_assert(!zone_fits(zone, &by_user));
	zone_free(&zone);
}
END_TEST

Suite *
limitzone_suite(void)
{
	Suite *suite = suite_create("limitzone");
	TCase *tcase = tcase_create("limitzone");

	tcase_add_loop_test(tcase, an_address_counts_as_its_network, 0, UNIT_COUNT(addresses));
	tcase_add_loop_test(tcase, a_name_counts_whatever_its_case, 0, UNIT_COUNT(texts));
	tcase_add_test(tcase, what_a_key_means_is_part_of_it);
	tcase_add_test(tcase, the_smallest_zone_can_be_made);
	tcase_add_test(tcase, another_key_is_another_zone);
	suite_add_tcase(suite, tcase);
	return suite;
}
