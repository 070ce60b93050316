#include "master/feed.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/loop.h"
#include "common/mem.h"
#include "common/memfd.h"
#include "master/snapshot.h"
#include "test/unit/unit.h"

#define PATIENCE 300    /* turns of 100 ms at most: nobody waits so long */

static char *directory;
static struct loop *loop;
static struct feed *feed;

static void
setup(void)
{
	char template[] = "/tmp/postern-feed-XXXXXX";

	ck_assert_ptr_nonnull(mkdtemp(template));
	directory = mem_strdup(template);
	loop = loop_new(8);
	feed = feed_new(loop);
}

static void
teardown(void)
{
	char *command = mem_printf("rm -rf %s", directory);

	feed_free(&feed);
	ck_assert_ptr_null(feed);
	loop_free(&loop);
	ck_assert_int_eq(system(command), 0);
	mem_free(command);
	mem_free(directory);
}

/* A path in the directory of this test; one of four, in turn. */
static const char *
in_directory(const char *name)
{
	static char paths[4][256];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
	return path;
}

static void
write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

struct owner {
	unsigned count, failures;       /* how often it was told */
	char text[64];          /* what stood in the file then */
	struct feed_watch *watch, *other;
};

static void
on_change(void *ctx, int fd)
{
	struct owner *owner = ctx;
	const char *view;
	size_t len;

	if (fd == -1) {
		owner->failures++;
		return;
	}
	view = memfd_view(fd, &len);
	ck_assert_ptr_nonnull(view);
	ck_assert_uint_lt(len, sizeof(owner->text));
	memcpy(owner->text, view, len);
	owner->text[len] = '\0';
	memfd_leave(view, len);
	owner->count++;
}

static void
turn_until(const struct owner *owner, const char *text)
{
	for (int i = 0; i < PATIENCE && strcmp(owner->text, text) != 0; i++)
		loop_turn(loop, 100);
	ck_assert_str_eq(owner->text, text);
}

START_TEST(a_file_is_told_as_it_is_at_first)
{
	struct owner owner = { 0 };
	const char *path = in_directory("users");

	write_file(path, "one");
	owner.watch = feed_watch(feed, path, true, on_change, &owner);
	turn_until(&owner, "one");
	ck_assert_uint_eq(owner.count, 1);
	feed_unwatch(&owner.watch);
}
END_TEST

START_TEST(a_file_that_is_rewritten_is_told)
{
	struct owner owner = { 0 };
	const char *path = in_directory("users");

	write_file(path, "one");
	owner.watch = feed_watch(feed, path, true, on_change, &owner);
	turn_until(&owner, "one");
	write_file(path, "two");
	turn_until(&owner, "two");
	write_file(path, "three");
	turn_until(&owner, "three");
	feed_unwatch(&owner.watch);
	ck_assert_ptr_null(owner.watch);
}
END_TEST

START_TEST(a_file_that_is_renamed_over_is_told)
{
	struct owner owner = { 0 };
	const char *path = in_directory("users");

	write_file(path, "one");
	owner.watch = feed_watch(feed, path, true, on_change, &owner);
	write_file(in_directory("users.new"), "two");
	ck_assert_int_eq(rename(in_directory("users.new"), path), 0);
	turn_until(&owner, "two");
	feed_unwatch(&owner.watch);
}
END_TEST

START_TEST(a_file_that_comes_later_is_told)
{
	struct owner owner = { 0 };

	owner.watch = feed_watch(feed, in_directory("users"), true, on_change, &owner);
	write_file(in_directory("users"), "born");
	turn_until(&owner, "born");
	feed_unwatch(&owner.watch);
}
END_TEST

START_TEST(a_link_that_leads_elsewhere_is_told)
{
	struct owner owner = { 0 };

	ck_assert_int_eq(mkdir(in_directory("a"), 0700), 0);
	write_file(in_directory("a/users"), "one");
	ck_assert_int_eq(symlink("a/users", in_directory("users")), 0);
	owner.watch = feed_watch(feed, in_directory("users"), true, on_change, &owner);
	write_file(in_directory("a/users"), "two");
	turn_until(&owner, "two");
	feed_unwatch(&owner.watch);
}
END_TEST

START_TEST(a_directory_that_is_replaced_is_followed)
{
	struct owner owner = { 0 };

	ck_assert_int_eq(mkdir(in_directory("a"), 0700), 0);
	write_file(in_directory("a/users"), "one");
	owner.watch = feed_watch(feed, in_directory("a/users"), true, on_change, &owner);
	ck_assert_int_eq(rename(in_directory("a"), in_directory("b")), 0);
	ck_assert_int_eq(mkdir(in_directory("a"), 0700), 0);
	write_file(in_directory("a/users"), "two");
	turn_until(&owner, "two");
	write_file(in_directory("a/users"), "three");
	turn_until(&owner, "three");
	feed_unwatch(&owner.watch);
}
END_TEST

START_TEST(a_burst_is_told_with_its_last_state)
{
	struct owner owner = { 0 };
	const char *path = in_directory("users");
	char text[16];

	write_file(path, "first");
	owner.watch = feed_watch(feed, path, true, on_change, &owner);
	for (int i = 0; i <= 100; i++) {
		snprintf(text, sizeof(text), "%d", i);
		write_file(path, text);
	}
	turn_until(&owner, "100");
	ck_assert_uint_eq(owner.count, 1);
	feed_unwatch(&owner.watch);
}
END_TEST

START_TEST(neighbours_hear_only_of_their_own_files)
{
	struct owner a = { 0 }, b = { 0 };

	write_file(in_directory("a"), "a1");
	write_file(in_directory("b"), "b1");
	a.watch = feed_watch(feed, in_directory("a"), true, on_change, &a);
	b.watch = feed_watch(feed, in_directory("b"), true, on_change, &b);
	turn_until(&a, "a1");
	write_file(in_directory("a"), "a2");
	turn_until(&a, "a2");
	turn_until(&b, "b1");
	feed_unwatch(&a.watch);
	loop_turn(loop, 0);
	write_file(in_directory("b"), "b2");
	turn_until(&b, "b2");
	ck_assert_uint_eq(a.count, 2);
	ck_assert_uint_eq(b.count, 2);
	feed_unwatch(&b.watch);
}
END_TEST

static void
on_change_leave(void *ctx, int fd)
{
	struct owner *owner = ctx;

	on_change(ctx, fd);
	feed_unwatch(&owner->watch);
	feed_unwatch(&owner->other);
}

START_TEST(watches_may_end_within_a_callback)
{
	struct owner owner = { 0 };
	const char *path = in_directory("users");

	write_file(path, "one");
	owner.watch = feed_watch(feed, path, true, on_change_leave, &owner);
	owner.other = feed_watch(feed, path, true, on_change_leave, &owner);
	turn_until(&owner, "one");
	ck_assert_uint_eq(owner.count, 1);
}
END_TEST

START_TEST(a_file_is_not_told_while_somebody_writes_it)
{
	struct owner owner = { 0 }, other = { 0 };
	const char *path = in_directory("users"), *other_path = in_directory("other");
	int fd;

	write_file(path, "one");
	write_file(other_path, "one");
	owner.watch = feed_watch(feed, path, true, on_change, &owner);
	turn_until(&owner, "one");
	fd = open(path, O_WRONLY | O_TRUNC);
	ck_assert_int_eq(write(fd, "ha", 2), 2);
	/* Two looks find it as it was, and tell of another that nobody announces; it is not told. */
	other.watch = feed_watch(feed, other_path, true, on_change, &other);
	turn_until(&other, "one");
	ck_assert_int_eq(truncate(other_path, 1), 0);
	turn_until(&other, "o");
	ck_assert_str_eq(owner.text, "one");
	ck_assert_int_eq(write(fd, "lf", 2), 2);
	close(fd);
	turn_until(&owner, "half");
	ck_assert_uint_eq(owner.count, 2);
	feed_unwatch(&owner.watch);
	feed_unwatch(&other.watch);
}
END_TEST

START_TEST(a_file_that_is_too_large_is_told_to_be_so_once)
{
	struct owner owner = { 0 };
	const char *path = in_directory("users");

	write_file(path, "one");
	owner.watch = feed_watch(feed, path, true, on_change, &owner);
	turn_until(&owner, "one");
	ck_assert_int_eq(truncate(path, (off_t)SNAPSHOT_MAX + 1), 0);
	for (int i = 0; i < PATIENCE && owner.failures == 0; i++)
		loop_turn(loop, 100);
	write_file(path, "two");
	turn_until(&owner, "two");
	ck_assert_uint_eq(owner.failures, 1);
	feed_unwatch(&owner.watch);
}
END_TEST

START_TEST(what_is_no_regular_file_is_not_opened)
{
	ck_assert_int_eq(mkfifo(in_directory("fifo"), 0600), 0);
	ck_assert_int_eq(feed_open(in_directory("fifo"), LOG_DEBUG), -1);
	ck_assert_int_eq(feed_open(directory, LOG_DEBUG), -1);
	ck_assert_int_eq(feed_open(in_directory("none"), LOG_DEBUG), -1);
}
END_TEST

Suite *
feed_suite(void)
{
	Suite *suite = suite_create("feed");
	TCase *tcase = tcase_create("feed");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_file_is_told_as_it_is_at_first);
	tcase_add_test(tcase, a_file_that_is_rewritten_is_told);
	tcase_add_test(tcase, a_file_that_is_renamed_over_is_told);
	tcase_add_test(tcase, a_file_that_comes_later_is_told);
	tcase_add_test(tcase, a_link_that_leads_elsewhere_is_told);
	tcase_add_test(tcase, a_directory_that_is_replaced_is_followed);
	tcase_add_test(tcase, a_burst_is_told_with_its_last_state);
	tcase_add_test(tcase, neighbours_hear_only_of_their_own_files);
	tcase_add_test(tcase, watches_may_end_within_a_callback);
	tcase_add_test(tcase, a_file_is_not_told_while_somebody_writes_it);
	tcase_add_test(tcase, a_file_that_is_too_large_is_told_to_be_so_once);
	tcase_add_test(tcase, what_is_no_regular_file_is_not_opened);
	suite_add_tcase(suite, tcase);
	return suite;
}
