#include "master/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/memfd.h"
#include "test/unit/unit.h"

#define LARGE ((size_t)9 << 20)         /* more than one slice */

static char path[] = "/tmp/postern-snapshot-XXXXXX";
static int writer;
static struct stat st;

static void
setup(void)
{
	strcpy(path + sizeof(path) - 7, "XXXXXX");
	writer = mkstemp(path);
	ck_assert_int_ne(writer, -1);
}

static void
teardown(void)
{
	close(writer);
	unlink(path);
}

static void
fill(size_t len)
{
	char *text = mem_alloc(len);

	memset(text, 'x', len);
	ck_assert_int_eq(pwrite(writer, text, len, 0), (ssize_t)len);
	mem_free(text);
}

static struct snapshot *
begin(void)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(fstat(fd, &st), 0);
	return snapshot_new(fd, &st);
}

static enum snapshot_progress
go_on(struct snapshot *snapshot)
{
	enum snapshot_progress progress;

	while ((progress = snapshot_step(snapshot)) == SNAPSHOT_MORE)
		continue;
	return progress;
}

START_TEST(a_copy_is_the_whole_file_and_stays_so)
{
	static const size_t sizes[] = { 0, 1, 4096, LARGE };
	struct snapshot *snapshot;
	const char *view;
	size_t len;

	fill(sizes[_i]);
	snapshot = begin();
	ck_assert_int_eq(go_on(snapshot), SNAPSHOT_DONE);
	ck_assert_int_eq(ftruncate(writer, 0), 0);
	view = memfd_view(snapshot_fd(snapshot), &len);
	ck_assert_ptr_nonnull(view);
	ck_assert_uint_eq(len, sizes[_i]);
	ck_assert(len == 0 || (view[0] == 'x' && memcmp(view, view + 1, len - 1) == 0));
	memfd_leave(view, len);
	snapshot_free(&snapshot);
	ck_assert_ptr_null(snapshot);
}
END_TEST

static void
write_one(void)
{
	ck_assert_int_eq(pwrite(writer, "y", 1, 0), 1);
}

static void
append(void)
{
	ck_assert_int_eq(pwrite(writer, "y", 1, LARGE), 1);
}

static void
cut_off(void)
{
	ck_assert_int_eq(ftruncate(writer, 1), 0);
}

static void
leave_alone(void)
{
}

START_TEST(a_file_that_changes_meanwhile_is_no_snapshot)
{
	static const struct {
		void (*change)(void);
		enum snapshot_progress progress;
	} cases[] = {
		{ write_one, SNAPSHOT_CHANGED }, { append, SNAPSHOT_CHANGED }, { cut_off, SNAPSHOT_CHANGED },
		{ leave_alone, SNAPSHOT_DONE },
	};
	struct snapshot *snapshot;

	fill(LARGE);
	usleep(100000);         /* so that the change has another time, as whoever asks snapshot_judge() knows */
	snapshot = begin();
	ck_assert_int_eq(snapshot_step(snapshot), SNAPSHOT_MORE);
	cases[_i].change();
	ck_assert_int_eq(go_on(snapshot), cases[_i].progress);
	snapshot_free(&snapshot);
}
END_TEST

START_TEST(a_file_that_is_too_large_is_not_copied)
{
	struct snapshot *snapshot;

	ck_assert_int_eq(ftruncate(writer, (off_t)SNAPSHOT_MAX + 1), 0);
	snapshot = begin();
	ck_assert_int_eq(snapshot_step(snapshot), SNAPSHOT_FAILED);
	ck_assert_int_eq(errno, EFBIG);
	snapshot_free(&snapshot);
}
END_TEST

START_TEST(a_file_rests_when_it_is_left_alone)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(snapshot_judge(fd, &st, 60000), SNAPSHOT_FRESH);
	/* Nobody can set the time of a change: what is judged says that it was earlier. */
	st.st_ctim.tv_sec -= 10;
	ck_assert_int_eq(snapshot_judge(fd, &st, 60000), SNAPSHOT_OPEN);
	ck_assert_int_eq(snapshot_judge(fd, &st, 9000), SNAPSHOT_RESTS);
	close(writer);
	writer = -1;
	ck_assert_int_eq(snapshot_judge(fd, &st, 60000), SNAPSHOT_RESTS);
	/* A clock that was set back stops nobody. */
	st.st_ctim.tv_sec += 100;
	ck_assert_int_eq(snapshot_judge(fd, &st, 60000), SNAPSHOT_RESTS);
	close(fd);
}
END_TEST

START_TEST(who_opens_the_file_next_is_not_held_up)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), again;

	ck_assert_int_eq(fstat(fd, &st), 0);
	st.st_ctim.tv_sec -= 10;
	close(writer);
	ck_assert_int_eq(snapshot_judge(fd, &st, 60000), SNAPSHOT_RESTS);
	again = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_ne(again, -1);
	writer = again;
	close(fd);
}
END_TEST

Suite *
snapshot_suite(void)
{
	Suite *suite = suite_create("snapshot");
	TCase *tcase = tcase_create("snapshot");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, a_copy_is_the_whole_file_and_stays_so, 0, 4);
	tcase_add_loop_test(tcase, a_file_that_changes_meanwhile_is_no_snapshot, 0, 4);
	tcase_add_test(tcase, a_file_that_is_too_large_is_not_copied);
	tcase_add_test(tcase, a_file_rests_when_it_is_left_alone);
	tcase_add_test(tcase, who_opens_the_file_next_is_not_held_up);
	suite_add_tcase(suite, tcase);
	return suite;
}
