#include "master/names.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/arena.h"
#include "common/conf.h"
#include "common/loop.h"
#include "test/unit/capture.h"
#include "test/unit/unit.h"

/* A configuration of a few names and nothing else. */
static struct conf *
make_conf(const struct conf_name *names, size_t count)
{
	struct arena *arena = arena_new();
	struct conf *conf = arena_alloc(arena, sizeof(*conf));

	conf->arena = arena;
	conf->user = "nobody";
	for (size_t i = 0; i < count; i++)
		arena_append(arena, &conf->names, arena_dup(arena, &names[i], sizeof(names[i])));
	conf->name_count = count;
	return conf;
}

static const struct conf_name localhost = {
	.text = "localhost:143", .host = "localhost", .port = 143, .directive = "listen", .place = { "x.conf", 3 },
};

START_TEST(every_address_comes_once_and_with_its_port)
{
	struct conf *conf = make_conf(&localhost, 1);
	const struct conf_name *name = conf->names[0];

	ck_assert_int_eq(names_resolve(conf), 0);
	ck_assert_uint_ge(name->found_count, 1);
	for (size_t i = 0; i < name->found_count; i++) {
		ck_assert_uint_eq(name->found[i].addr.port, 143);
		ck_assert(name->found[i].addr.family == AF_INET || name->found[i].addr.family == AF_INET6);
		for (size_t j = 0; j < i; j++)
			ck_assert(!addr_equal(&name->found[i].addr, &name->found[j].addr));
	}
	conf_free(&conf);
}
END_TEST

static const struct {
	const char *directive, *file, *want;
} unknown[] = {
	{ "listen",     "x.conf", "host not found in \"a.invalid:1\" of the \"listen\" directive in x.conf:3\n" },
	{ "auth_http",  "x.conf", "host not found in auth_http \"a.invalid:1\" in x.conf:3\n" },
	{ "proxy_pass", "x.conf", "host not found in upstream \"a.invalid:1\" in x.conf:3\n" },
	{ "syslog server", NULL,  "host not found in syslog server \"a.invalid:1\" in command line\n" },
};

START_TEST(an_unknown_name_is_said_in_nginx_words)
{
	struct conf_name names[] = { localhost, {
		.text = "a.invalid:1", .host = "a.invalid", .port = 1, .directive = unknown[_i].directive,
		.place = { unknown[_i].file, 3 },
	} };
	struct conf *conf = make_conf(names, 2);

	capture_begin();
	ck_assert_int_eq(names_resolve(conf), -1);
	ck_assert_ptr_nonnull(strstr(capture_text(), unknown[_i].want));
	capture_end();
	conf_free(&conf);
}
END_TEST

START_TEST(no_names_need_no_child)
{
	struct conf *conf = make_conf(NULL, 0);

	ck_assert_int_eq(names_resolve(conf), 0);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	conf_free(&conf);
}
END_TEST

static void
never(void *ctx, bool resolved)
{
	(void)ctx;
	ck_abort_msg("called back with %d", resolved);
}

START_TEST(who_gives_up_hears_no_more_and_leaves_no_child)
{
	struct conf *conf = make_conf(&localhost, 1);
	struct loop *loop = loop_new(1);
	struct names *names = names_start(loop, conf, never, NULL);

	ck_assert_ptr_nonnull(names);
	names_free(&names);
	ck_assert_ptr_null(names);
	loop_turn(loop, 0);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	loop_free(&loop);
	conf_free(&conf);
}
END_TEST

struct outcome {
	struct names *names;
	int calls;
};

static void
free_within(void *ctx, bool resolved)
{
	struct outcome *outcome = ctx;

	ck_assert(resolved);
	outcome->calls++;
	names_free(&outcome->names);
}

START_TEST(it_may_be_freed_from_within_its_callback)
{
	struct conf *conf = make_conf(&localhost, 1);
	struct loop *loop = loop_new(1);
	struct outcome outcome = { 0 };

	outcome.names = names_start(loop, conf, free_within, &outcome);
	ck_assert_ptr_nonnull(outcome.names);
	ck_assert_int_eq(outcome.calls, 0);
	while (outcome.names != NULL)
		loop_turn(loop, -1);
	ck_assert_int_eq(outcome.calls, 1);
	loop_free(&loop);
	conf_free(&conf);
}
END_TEST

Suite *
names_suite(void)
{
	Suite *suite = suite_create("names");
	TCase *tcase = tcase_create("names");

	tcase_add_test(tcase, every_address_comes_once_and_with_its_port);
	tcase_add_loop_test(tcase, an_unknown_name_is_said_in_nginx_words, 0, UNIT_COUNT(unknown));
	tcase_add_test(tcase, no_names_need_no_child);
	tcase_add_test(tcase, who_gives_up_hears_no_more_and_leaves_no_child);
	tcase_add_test(tcase, it_may_be_freed_from_within_its_callback);
	tcase_set_timeout(tcase, 30);
	suite_add_tcase(suite, tcase);
	return suite;
}
