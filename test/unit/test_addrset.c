#include "common/addrset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/addr.h"
#include "test/unit/unit.h"

static struct addr
peer_of(const char *text)
{
	struct addr peer = { .family = AF_UNIX };

	if (strcmp(text, "unix:") != 0)
		ck_assert_int_eq(addr_parse(&peer, text, strlen(text)), 0);
	return peer;
}

static const struct {
	const char *net, *peer;
	bool covered;
} cases[] = {
	{ "10.0.0.0/8",         "10.255.0.1",             true },
	{ "10.0.0.0/8",         "11.0.0.1",               false },
	{ "10.0.0.0/8",         "::ffff:10.1.2.3",        true },         /* addr_parse() unmaps it */
	{ "::ffff:10.1.2.3",    "10.1.2.3",               true },
	/* bits are those of the form that is written */
	{ "::ffff:10.0.0.0/104", "10.255.0.1",            true },
	{ "::ffff:10.0.0.0/104", "11.0.0.1",              false },
	{ "::ffff:10.0.0.0/104", "a00::1",                false },
	{ "::ffff:0:0/96",      "192.0.2.1",              true },
	{ "::ffff:0:0/96",      "::1",                    false },
	{ "::fffe:0:0/95",      "192.0.2.1",              false },        /* IPv6, which IPv4 is not */
	{ "10.0.0.1",           "10.0.0.1",               true },
	{ "10.0.0.1",           "10.0.0.2",               false },
	{ "10.0.0.0/31",        "10.0.0.1",               true },
	{ "10.0.0.0/31",        "10.0.0.2",               false },
	{ "10.1.2.3/8",         "10.4.5.6",               true },         /* bits behind the prefix do not count */
	{ "128.0.0.0/1",        "192.0.2.1",              true },
	{ "128.0.0.0/1",        "127.0.0.1",              false },
	{ "0.0.0.0/0",          "192.0.2.1",              true },
	{ "0.0.0.0/0",          "2001:db8::1",            false },
	{ "2001:db8::/33",      "2001:db8:7fff::",        true },
	{ "2001:db8::/33",      "2001:db8:8000::",        false },
	{ "2001:db8::1/128",    "2001:db8::1",            true },
	{ "2001:db8::1/128",    "2001:db8::2",            false },
	{ "2001:db8::2/127",    "2001:db8::3",            true },
	{ "::/0",               "2001:db8::",             true },
	{ "::/0",               "10.0.0.1",               false },
	{ "::/0",               "unix:",                  false },
	{ "0.0.0.0/0",          "unix:",                  false },
	{ "unix:",              "unix:",                  true },
	{ "unix:",              "10.0.0.1",               false },
	{ "unix:",              "::",                     false },
	{ "all",                "10.0.0.1",               true },
	{ "all",                "::1",                    true },
	{ "all",                "unix:",                  true },
};

START_TEST(a_rule_covers_its_network_and_no_more)
{
	struct addrset *set = NULL;
	struct addr peer = peer_of(cases[_i].peer);

	ck_assert_ptr_null(addrset_add(&set, false, cases[_i].net));
	ck_assert_msg(addrset_allows(set, &peer) != cases[_i].covered,
	    "%s against %s", cases[_i].peer, cases[_i].net);
	addrset_free(&set);
}
END_TEST

START_TEST(the_first_match_decides)
{
	struct addrset *set = NULL;
	struct addr first = peer_of("192.168.1.1"), inside = peer_of("192.168.1.2"), outside = peer_of("192.168.2.1");

	ck_assert_ptr_null(addrset_add(&set, false, "192.168.1.1"));
	ck_assert_ptr_null(addrset_add(&set, true, "192.168.1.0/24"));
	ck_assert_ptr_null(addrset_add(&set, false, "all"));
	ck_assert(!addrset_allows(set, &first));
	ck_assert(addrset_allows(set, &inside));
	ck_assert(!addrset_allows(set, &outside));
	addrset_free(&set);
	ck_assert_ptr_null(set);
}
END_TEST

START_TEST(whom_no_rule_names_may_come_in)
{
	struct addrset *set = NULL;
	struct addr peer = peer_of("192.0.2.1"), local = peer_of("unix:"), nobody = { .family = AF_UNSPEC };

	ck_assert(addrset_allows(NULL, &peer));
	ck_assert_ptr_null(addrset_add(&set, false, "10.0.0.0/8"));
	ck_assert(addrset_allows(set, &peer));
	ck_assert(addrset_allows(set, &local));
	ck_assert(addrset_allows(set, &nobody));
	addrset_free(&set);
	addrset_free(&set);
}
END_TEST

static const struct {
	const char *text, *why;
} bad[] = {
	{ "",               "not an IP address" },
	{ "/8",             "not an IP address" },
	{ "ALL",            "not an IP address" },
	{ "all/0",          "not an IP address" },
	{ "unix:/run/x",    "not an IP address" },
	{ "example.com",    "not an IP address" },
	{ "10.0.0/8",       "not an IP address" },
	{ "10.0.0.0/33",    "prefix length out of range" },
	{ "10.0.0.0/",      "prefix length out of range" },
	{ "10.0.0.0/-1",    "prefix length out of range" },
	{ "10.0.0.0/8/8",   "prefix length out of range" },
	{ "10.0.0.0/255.0.0.0", "prefix length out of range" },
	{ "10.0.0.0/4294967304", "prefix length out of range" },
	{ "::/129",         "prefix length out of range" },
	{ "::ffff:10.0.0.0/8",  "prefix length out of range" },
	{ "::ffff:10.0.0.0/95", "prefix length out of range" },
	{ "::ffff:10.0.0.0/129", "prefix length out of range" },
};

START_TEST(a_rule_that_is_none_leaves_the_set_alone)
{
	struct addrset *set = NULL;

	ck_assert_str_eq(addrset_add(&set, false, bad[_i].text), bad[_i].why);
	ck_assert_ptr_null(set);
}
END_TEST

/* What the tree says is what a list would say, whatever the rules and their order. */
#define RULES 300

static struct {
	struct addr net;
	unsigned bits;
	bool allow, all;
} list[RULES];

static bool
list_allows(const struct addr *peer)
{
	for (size_t i = 0; i < RULES; i++) {
		bool covered = list[i].all || list[i].net.family == peer->family;

		for (unsigned at = 0; covered && !list[i].all && at < list[i].bits; at++)
			covered = ((list[i].net.ip[at / 8] ^ peer->ip[at / 8]) >> (7 - at % 8) & 1) == 0;
		if (covered)
			return list[i].allow;
	}
	return true;
}

/* Few values a byte, so that networks lie within each other. */
static struct addr
random_addr(unsigned *seed)
{
	struct addr a = { .family = rand_r(seed) % 2 == 0 ? AF_INET : AF_INET6 };

	for (size_t i = 0; i < (a.family == AF_INET ? 4 : 16); i++)
		a.ip[i] = (unsigned char)(rand_r(seed) % 3 == 0 ? rand_r(seed) % 4 : 128);
	return a;
}

START_TEST(a_tree_says_what_a_list_would)
{
	struct addrset *set = NULL;
	unsigned seed = (unsigned)_i;
	char text[ADDR_TEXT], rule[ADDR_TEXT + 8];

	for (size_t i = 0; i < RULES; i++) {
		list[i].net = random_addr(&seed);
		list[i].bits = (unsigned)rand_r(&seed) % (addr_width(&list[i].net) + 1);
		list[i].allow = rand_r(&seed) % 2 == 0;
		list[i].all = i == RULES - 20;
		snprintf(rule, sizeof(rule), "%s/%u", addr_format(text, &list[i].net), list[i].bits);
		ck_assert_ptr_null(addrset_add(&set, list[i].allow, list[i].all ? "all" : rule));
	}
	for (int i = 0; i < 2000; i++) {
		struct addr peer = random_addr(&seed);

		ck_assert_msg(addrset_allows(set, &peer) == list_allows(&peer), "seed %d: %s", _i,
		    addr_format(text, &peer));
	}
	addrset_free(&set);
}
END_TEST

/* As many rules as there are; what a question costs does not follow. */
static const struct {
	uint16_t family;
	unsigned bits, rules;
} crowds[] = {
	{ AF_INET, 32, 10000 }, { AF_INET, 32, 100000 }, { AF_INET6, 64, 10000 }, { AF_INET6, 128, 100000 },
};

/* No two numbers below 2^32 have the same network. */
static void
add_numbered(struct addrset **set, uint32_t number, uint16_t family, unsigned bits)
{
	struct addr net = { .family = family };
	uint32_t hash = number * 2654435761u;   /* odd */
	char text[ADDR_TEXT], rule[ADDR_TEXT + 8];

	for (int i = 0; i < 4; i++)
		net.ip[family == AF_INET ? i : 2 * i] = (unsigned char)(hash >> 8 * i);
	snprintf(rule, sizeof(rule), "%s/%u", addr_format(text, &net), bits);
	ck_assert_ptr_null(addrset_add(set, false, rule));
}

START_TEST(ten_thousand_rules_cost_no_more_than_an_address_has_bits)
{
	struct addrset *set = NULL;

	for (uint32_t i = 0; i < crowds[_i].rules; i++)
		add_numbered(&set, i, crowds[_i].family, crowds[_i].bits);
	ck_assert_uint_le(addrset_depth(set), 33);      /* four bytes tell them apart */
	ck_assert_uint_ge(addrset_depth(set), 14);      /* less would not hold so many */
	addrset_free(&set);
}
END_TEST

/* Each network within the one before. */
START_TEST(the_deepest_tree_is_as_deep_as_an_address)
{
	struct addrset *set = NULL;
	struct addr inside = peer_of("::"), outside = peer_of("8000::");
	char rule[ADDR_TEXT];

	ck_assert_uint_eq(addrset_depth(set), 0);
	for (unsigned bits = 0; bits <= 128; bits++) {
		snprintf(rule, sizeof(rule), "::/%u", 128 - bits);
		ck_assert_ptr_null(addrset_add(&set, bits % 2 == 0, rule));
		ck_assert_ptr_null(addrset_add(&set, bits % 2 != 0, rule));
	}
	ck_assert_uint_eq(addrset_depth(set), 129);
	ck_assert(addrset_allows(set, &inside));
	ck_assert(addrset_allows(set, &outside));
	addrset_free(&set);
}
END_TEST

Suite *
addrset_suite(void)
{
	Suite *suite = suite_create("addrset");
	TCase *tcase = tcase_create("addrset");

	tcase_add_loop_test(tcase, a_rule_covers_its_network_and_no_more, 0, UNIT_COUNT(cases));
	tcase_add_test(tcase, the_first_match_decides);
	tcase_add_test(tcase, whom_no_rule_names_may_come_in);
	tcase_add_loop_test(tcase, a_rule_that_is_none_leaves_the_set_alone, 0, UNIT_COUNT(bad));
	tcase_add_loop_test(tcase, a_tree_says_what_a_list_would, 0, 40);
	tcase_add_loop_test(tcase, ten_thousand_rules_cost_no_more_than_an_address_has_bits, 0, UNIT_COUNT(crowds));
	tcase_add_test(tcase, the_deepest_tree_is_as_deep_as_an_address);
	suite_add_tcase(suite, tcase);
	return suite;
}
