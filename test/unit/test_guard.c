#include "worker/guard.h"

#include <string.h>

#include "common/limitzone.h"
#include "common/mem.h"
#include "test/unit/unit.h"
#include "worker/entry.h"
#include "worker/session.h"

#define BURST 2

static const unsigned char secret[CONF_LIMIT_SECRET] = { 1 };
static struct conf_limit_zone failures = {
	.kind = LIMIT_AUTH, .name = "failures", .bytes = LIMITZONE_BYTES_MIN, .key = LIMIT_BY_USER,
	.rate = 1, .rate_unit_s = 3600, .burst = BURST, .secret = secret,
};
static struct conf_limit limit = { .name = "failures", .zone = &failures };
static struct conf_limit *limits[] = { &limit, NULL };
static const struct server server = { .auth_limits = limits };
static struct shift shift;

/* A session that logs in, with no more than guard looks at. */
struct visit {
	struct session session;
	struct entry entry;
};

static void
setup(void)
{
	const struct zone_spec spec = limitzone_spec(&failures);

	failures.zone = zone_new(&spec);
	ck_assert_ptr_nonnull(failures.zone);
	shift.loop = loop_new(1);
}

static void
teardown(void)
{
	zone_free(&failures.zone);
	loop_free(&shift.loop);
}

static bool
begin(struct visit *v, const char *address, enum method method)
{
	char user[] = "joe";
	const struct credentials credentials = { .method = method, .user = user };

	memset(v, 0, sizeof(*v));
	v->session.shift = &shift;
	v->session.server = &server;
	v->session.entry = &v->entry;
	ck_assert_int_eq(addr_parse(&v->session.addr, address, strlen(address)), 0);
	return guard_admits(&v->session, &credentials);
}

/* As its entry goes, so does the attempt of a client that has left. */
static void
leave(struct visit *v)
{
	mem_free(v->entry.guard);
	v->entry.guard = NULL;
}

/* What becomes of an attempt, step by step. */
static void
settle(struct visit *v, const char *how)
{
	for (; *how != '\0'; how++)
		switch (*how) {
		case 'c':
			guard_cleared(&v->session);
			break;
		case 'f':
			guard_failed(&v->session);
			break;
		case 's':
			guard_succeeded(&v->session);
			break;
		case 'u':
			guard_unsaid(&v->session);
			break;
		case 'l':
			leave(v);
			break;
		}
	ck_assert_ptr_null(v->entry.guard);
}

static bool
attempt(const char *address, const char *how)
{
	struct visit v;

	if (!begin(&v, address, METHOD_PLAIN))
		return false;
	settle(&v, how);
	return true;
}

static const struct {
	const char *how;                /* c: cleared; then f: failed, s: succeeded, u: unsaid, l: left */
	bool counts;                    /* it was a failure */
	bool known;                     /* the pair has logged in */
} cases[] = {
	{ "f",  true,  false },
	{ "l",  true,  false },
	{ "u",  false, false },
	{ "s",  false, true },
	/* a yes of the source that the backend has no say in */
	{ "cf", false, false },
	{ "cl", false, false },
	{ "cu", false, false },
	{ "cs", false, true },
};

START_TEST(only_failures_of_the_clients_own_count)
{
	for (int i = 0; i < BURST; i++)
		ck_assert(attempt("192.0.2.1", cases[_i].how));
	ck_assert(attempt("192.0.2.1", "u") == !cases[_i].counts);
}
END_TEST

START_TEST(only_a_login_to_the_end_makes_a_pair_known)
{
	ck_assert(attempt("192.0.2.1", cases[_i].how));
	while (attempt("198.51.100.1", "f"))
		continue;
	ck_assert(attempt("192.0.2.1", "u") == cases[_i].known);
}
END_TEST

START_TEST(an_attempt_counts_until_it_is_known_what_came_of_it)
{
	struct visit visits[BURST], late;

	for (int i = 0; i < BURST; i++)
		ck_assert(begin(&visits[i], "192.0.2.1", METHOD_PLAIN));
	ck_assert(!begin(&late, "192.0.2.1", METHOD_PLAIN));
	guard_cleared(&visits[0].session);
	ck_assert(begin(&late, "192.0.2.1", METHOD_PLAIN));
	ck_assert(!attempt("192.0.2.1", "u"));
	settle(&visits[0], "f");
	ck_assert(!attempt("192.0.2.1", "u"));
	settle(&visits[1], "s");
	settle(&late, "u");
	ck_assert(attempt("192.0.2.2", "u"));
}
END_TEST

START_TEST(a_session_without_a_login_is_charged_nothing)
{
	struct visit v;

	while (attempt("192.0.2.1", "f"))
		continue;
	ck_assert(begin(&v, "192.0.2.1", METHOD_NONE));
	settle(&v, "cfsu");
}
END_TEST

Suite *
guard_suite(void)
{
	Suite *suite = suite_create("guard");
	TCase *tcase = tcase_create("guard");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, only_failures_of_the_clients_own_count, 0, UNIT_COUNT(cases));
	tcase_add_loop_test(tcase, only_a_login_to_the_end_makes_a_pair_known, 0, UNIT_COUNT(cases));
	tcase_add_test(tcase, an_attempt_counts_until_it_is_known_what_came_of_it);
	tcase_add_test(tcase, a_session_without_a_login_is_charged_nothing);
	suite_add_tcase(suite, tcase);
	return suite;
}
