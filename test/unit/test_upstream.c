#include "worker/upstream/upstream.h"

#include <string.h>

#include "common/mem.h"
#include "test/unit/unit.h"

#define TURNS 200

/* What the callback got. */
static struct upstream_peers found;
static const char *reason;
static unsigned calls;

static void
on_found(void *ctx, struct upstream_peers *peers, const char *why)
{
	(void)ctx;
	found = *peers;
	reason = why;
	calls++;
}

static void
setup(void)
{
	found = (struct upstream_peers){ 0 };
	reason = NULL;
	calls = 0;
}

static void
expect_peer(size_t index, const char *text)
{
	char shown[256];

	ck_assert_uint_lt(index, found.count);
	ck_assert_str_eq(endpoint_format(shown, sizeof(shown), &found.peers[index]), text);
}

START_TEST(a_literal_needs_no_resolver)
{
	static const struct {
		struct upstream_target target;
		const char *peer;
	} cases[] = {
		{ { .host = "192.0.2.1", .port = 143 },              "192.0.2.1:143" },
		{ { .host = "2001:db8::1", .port = 25 },             "[2001:db8::1]:25" },
		{ { .host = "/run/imap", .is_unix = true },          "unix:/run/imap" },
	};

	for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
		struct upstream_request *request;

		setup();
		upstream_find(&request, NULL, &cases[i].target, on_found, NULL);
		ck_assert_ptr_null(request);
		ck_assert_uint_eq(calls, 1);
		ck_assert_uint_eq(found.count, 1);
		expect_peer(0, cases[i].peer);
		upstream_peers_reset(&found);
	}
}
END_TEST

START_TEST(proxy_pass_gives_all_its_addresses_with_the_default_port)
{
	struct endpoint known[] = {
		{ .addr = { .family = AF_INET, .ip = { 192, 0, 2, 1 } } },
		{ .addr = { .family = AF_INET, .ip = { 192, 0, 2, 2 }, .port = 1143 } },
	};
	struct conf_name name = { .text = "mail.example.com", .found = known, .found_count = 2 };
	struct upstream_target target = { .port = 143, .proxy_pass = &name };
	struct upstream_request *request;

	setup();
	upstream_find(&request, NULL, &target, on_found, NULL);
	ck_assert_ptr_null(request);
	ck_assert_uint_eq(found.count, 2);
	expect_peer(0, "192.0.2.1:143");
	expect_peer(1, "192.0.2.2:1143");
	upstream_peers_reset(&found);
	ck_assert_uint_eq(found.count, 0);
}
END_TEST

/* As a relay that begins at once frees the entry that has asked, and the next one has its memory. */
static void
on_found_by_the_last(void *ctx, struct upstream_peers *peers, const char *why)
{
	struct upstream_request **requestp = ctx;

	on_found(NULL, peers, why);
	ck_assert_ptr_null(*requestp);
	memset(requestp, 0xa5, sizeof(*requestp));
}

START_TEST(the_asker_may_be_gone_after_an_answer)
{
	static const struct upstream_target target = { .host = "/run/imap", .is_unix = true };
	struct upstream_request *request, *next;

	setup();
	memset(&next, 0xa5, sizeof(next));
	upstream_find(&request, NULL, &target, on_found_by_the_last, &request);
	ck_assert_uint_eq(calls, 1);
	ck_assert_mem_eq(&request, &next, sizeof(next));
	upstream_peers_reset(&found);
}
END_TEST

START_TEST(a_name_is_looked_up_and_can_be_forgotten)
{
	const char *why = NULL;
	struct loop *loop = loop_new(16);
	struct resolver *resolver = resolver_new(loop, &why);
	struct upstream_target target = { .host = "localhost", .port = 110 };
	struct upstream_request *request;

	setup();
	ck_assert_msg(resolver != NULL, "%s", why);
	upstream_find(&request, resolver, &target, on_found, NULL);
	ck_assert_ptr_nonnull(request);
	for (int i = 0; i < TURNS && calls == 0; i++)
		loop_turn(loop, 50);
	ck_assert_uint_eq(calls, 1);
	ck_assert_uint_ge(found.count, 1);
	ck_assert_uint_eq(found.peers[0].addr.port, 110);
	upstream_peers_reset(&found);

	upstream_find(&request, resolver, &target, on_found, NULL);
	upstream_cancel(&request);
	ck_assert_ptr_null(request);
	for (int i = 0; i < 4; i++)
		loop_turn(loop, 1);
	ck_assert_uint_eq(calls, 1);
	resolver_free(&resolver);
	loop_free(&loop);
}
END_TEST

START_TEST(targets_are_the_same_when_their_texts_are)
{
	static const struct {
		struct upstream_target target;
		const char *text;
	} cases[] = {
		{ { .host = "mx1.example.com", .port = 25 }, "mx1.example.com:25" },
		{ { .host = "/run/mx", .is_unix = true },    "unix:/run/mx" },
		{ { .port = 25 },                            NULL },
	};

	for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
		char *text = upstream_target_text(&cases[i].target);

		ck_assert_pstr_eq(text, cases[i].text);
		mem_free(text);
	}
}
END_TEST

Suite *
upstream_suite(void)
{
	Suite *suite = suite_create("upstream");
	TCase *tcase = tcase_create("upstream");

	tcase_add_test(tcase, a_literal_needs_no_resolver);
	tcase_add_test(tcase, proxy_pass_gives_all_its_addresses_with_the_default_port);
	tcase_add_test(tcase, the_asker_may_be_gone_after_an_answer);
	tcase_add_test(tcase, a_name_is_looked_up_and_can_be_forgotten);
	tcase_add_test(tcase, targets_are_the_same_when_their_texts_are);
	suite_add_tcase(suite, tcase);
	return suite;
}
