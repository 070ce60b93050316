#include "common/bequest.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "test/unit/unit.h"

#define SECRET "this is a secret of 32 bytes it "

static const struct zone_spec spec = {
	.kind = "limit_conn", .name = "addr", .bytes = 1 << 20, .entry_bytes = 8, .key_bytes = 16, .parameters = 77,
};

static struct zone *zone;
static struct bequest *bequest;

/* As the next master has it: descriptors of its own. */
static void
set_up(void)
{
	zone = zone_new(&spec);
	bequest = bequest_new(true);
	ck_assert(bequest_add_zone(bequest, zone, SECRET, 32));
	bequest->zones[0].fd = dup(zone_fd(zone));
}

static void
tear_down(void)
{
	bequest_free(&bequest);
	ck_assert_ptr_null(bequest);
	zone_free(&zone);
}

START_TEST(a_zone_is_claimed_once_with_all_that_is_in_it)
{
	unsigned char key[16] = "joe", secret[32];
	struct zone *claimed;
	void *entry = zone_find(zone, 1, key, true);

	ck_assert_ptr_nonnull(entry);
	zone_done(zone, 1, entry);
	ck_assert(bequest_has(bequest, "limit_conn", "addr"));
	claimed = bequest_claim(bequest, &spec, secret, sizeof(secret));
	ck_assert_ptr_nonnull(claimed);
	ck_assert_mem_eq(secret, SECRET, 32);
	entry = zone_find(claimed, 2, key, false);
	ck_assert_ptr_nonnull(entry);
	zone_done(claimed, 2, entry);
	ck_assert(!bequest_has(bequest, "limit_conn", "addr"));
	ck_assert_ptr_null(bequest_claim(bequest, &spec, secret, sizeof(secret)));
	zone_free(&claimed);
}
END_TEST

static const struct {
	struct zone_spec spec;
	size_t secret_len;
} others[] = {
	{ { "limit_auth", "addr", 1 << 20, 8,  16, 77 }, 32 },
	{ { "limit_conn", "user", 1 << 20, 8,  16, 77 }, 32 },
	{ { "limit_conn", "addr", 1 << 21, 8,  16, 77 }, 32 },
	{ { "limit_conn", "addr", 1 << 20, 16, 16, 77 }, 32 },
	{ { "limit_conn", "addr", 1 << 20, 8,  32, 77 }, 32 },
	{ { "limit_conn", "addr", 1 << 20, 8,  16, 78 }, 32 },
	{ { "limit_conn", "addr", 1 << 20, 8,  16, 77 }, 16 },
	{ { "limit_conn", "addr", 1 << 20, 8,  16, 77 }, 0 },
};

START_TEST(another_spec_claims_nothing)
{
	unsigned char secret[32] = { 0 };

	ck_assert_ptr_null(bequest_claim(bequest, &others[_i].spec, secret, others[_i].secret_len));
	ck_assert_int_eq(secret[0], 0);
	ck_assert(bequest_has(bequest, "limit_conn", "addr"));
}
END_TEST

/* What the list says of a descriptor, the descriptor must be. */
START_TEST(a_zone_that_was_made_otherwise_is_not_claimed)
{
	struct zone_spec lie = spec;
	unsigned char secret[32];

	lie.parameters = bequest->zones[0].parameters = 78;
	ck_assert_ptr_null(bequest_claim(bequest, &lie, secret, sizeof(secret)));
	lie.bytes = bequest->zones[0].bytes = 1 << 22;
	ck_assert_ptr_null(bequest_claim(bequest, &lie, secret, sizeof(secret)));
	ck_assert_int_ne(fcntl(bequest->zones[0].fd, F_GETFD), -1);
}
END_TEST

START_TEST(what_was_not_claimed_is_closed)
{
	int fd = bequest->zones[0].fd;

	bequest_free(&bequest);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	ck_assert_int_ne(fcntl(zone_fd(zone), F_GETFD), -1);
}
END_TEST

START_TEST(what_cannot_be_named_is_not_left)
{
	char name[BEQUEST_NAME + 1];
	struct zone_spec long_spec = spec;
	struct zone *other;

	memset(name, 'n', BEQUEST_NAME);
	name[BEQUEST_NAME] = '\0';
	long_spec.name = name;
	other = zone_new(&long_spec);
	ck_assert(!bequest_add_zone(bequest, other, SECRET, 32));
	zone_free(&other);
	name[BEQUEST_NAME - 1] = '\0';
	other = zone_new(&long_spec);
	ck_assert(bequest_add_zone(bequest, other, NULL, 0));
	bequest->zones[1].fd = -1;
	zone_free(&other);
	for (size_t i = bequest->count; i < BEQUEST_MAX; i++) {
		ck_assert(bequest_add_zone(bequest, zone, NULL, 0));
		bequest->zones[i].fd = -1;
	}
	ck_assert(!bequest_add_zone(bequest, zone, NULL, 0));
}
END_TEST

START_TEST(no_bequest_has_nothing)
{
	ck_assert(!bequest_has(NULL, "limit_conn", "addr"));
	ck_assert_ptr_null(bequest_claim(NULL, &spec, NULL, 0));
}
END_TEST

Suite *
bequest_suite(void)
{
	Suite *suite = suite_create("bequest");
	TCase *tcase = tcase_create("bequest");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, a_zone_is_claimed_once_with_all_that_is_in_it);
	tcase_add_loop_test(tcase, another_spec_claims_nothing, 0, UNIT_COUNT(others));
	tcase_add_test(tcase, a_zone_that_was_made_otherwise_is_not_claimed);
	tcase_add_test(tcase, what_was_not_claimed_is_closed);
	tcase_add_test(tcase, what_cannot_be_named_is_not_left);
	tcase_add_test(tcase, no_bequest_has_nothing);
	suite_add_tcase(suite, tcase);
	return suite;
}
