#include "common/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test/unit/child.h"
#include "test/unit/unit.h"

#define BYTES 10000

START_TEST(what_one_map_writes_another_reads)
{
	int fd = memfd_new("postern-test", BYTES);
	char *one = memfd_map(fd, BYTES), *other = memfd_map(fd, BYTES);

	ck_assert(one != NULL && other != NULL);
	ck_assert(one[0] == 0 && one[BYTES - 1] == 0);
	one[BYTES - 1] = 'x';
	ck_assert_int_eq(other[BYTES - 1], 'x');
	ck_assert((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	munmap(one, BYTES);
	munmap(other, BYTES);
	close(fd);
}
END_TEST

START_TEST(nobody_can_change_its_size_or_its_seals)
{
	int fd = memfd_new("postern-test", BYTES);

	ck_assert(ftruncate(fd, BYTES - 1) == -1 && errno == EPERM);
	ck_assert(ftruncate(fd, BYTES + 1) == -1 && errno == EPERM);
	ck_assert(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == -1 && errno == EPERM);
	close(fd);
}
END_TEST

START_TEST(another_size_is_not_mapped)
{
	int fd = memfd_new("postern-test", BYTES);

	ck_assert(memfd_map(fd, BYTES - 1) == NULL && errno == EINVAL);
	ck_assert(memfd_map(fd, BYTES + 1) == NULL && errno == EINVAL);
	close(fd);
}
END_TEST

START_TEST(what_is_not_sealed_is_not_mapped)
{
	FILE *file = tmpfile();
	int fd = memfd_create("postern-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert(ftruncate(fd, BYTES) == 0 && ftruncate(fileno(file), BYTES) == 0);
	ck_assert(memfd_map(fileno(file), BYTES) == NULL && errno == EINVAL);
	ck_assert(memfd_map(fd, BYTES) == NULL && errno == EINVAL);
	ck_assert(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SEAL) == 0);
	ck_assert(memfd_map(fd, BYTES) == NULL && errno == EINVAL);
	ck_assert_ptr_null(memfd_map(-1, BYTES));
	close(fd);
	fclose(file);
}
END_TEST

static int
sees_and_cannot_change(void *data)
{
	volatile const char *view = data;

	if (*view != 'x')
		return 1;
	return mprotect(data, BYTES, PROT_READ | PROT_WRITE) == -1 ? 0 : 2;
}

static int
is_not_mapped(void *data)
{
	unsigned char pages[BYTES / 4096 + 1];

	return mincore(data, BYTES, pages) == -1 && errno == ENOMEM ? 0 : 1;
}

START_TEST(of_two_views_a_child_has_the_one_that_cannot_be_written)
{
	void *writable;
	const void *view = memfd_views("postern-test", BYTES, &writable);

	ck_assert_ptr_nonnull(view);
	ck_assert_int_eq(madvise(writable, BYTES, MADV_DONTFORK), 0);
	*(volatile char *)writable = 'x';
	ck_assert_int_eq(child_run(sees_and_cannot_change, (void *)(uintptr_t)view), 0);
	ck_assert_int_eq(child_run(is_not_mapped, writable), 0);
	munmap(writable, BYTES);
	munmap((void *)(uintptr_t)view, BYTES);
}
END_TEST

static int
filled(const char *text)
{
	int fd = memfd_create("postern-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return fd;
}

START_TEST(what_is_frozen_stays_as_it_is)
{
	int fd = filled("ice");
	const char *view;
	size_t bytes;

	ck_assert(memfd_view(fd, &bytes) == NULL && errno == EINVAL);
	ck_assert_int_eq(memfd_freeze(fd), 0);
	ck_assert(pwrite(fd, "x", 1, 0) == -1 && errno == EPERM);
	ck_assert(ftruncate(fd, 1) == -1 && errno == EPERM);
	view = memfd_view(fd, &bytes);
	ck_assert_ptr_nonnull(view);
	ck_assert_uint_eq(bytes, 3);
	ck_assert_mem_eq(view, "ice", 3);
	memfd_leave(view, bytes);
	close(fd);
}
END_TEST

START_TEST(what_is_empty_has_a_view_and_no_file_has_one)
{
	FILE *file = tmpfile();
	int fd = filled("");
	const char *view;
	size_t bytes = 1;

	ck_assert_int_eq(memfd_freeze(fd), 0);
	view = memfd_view(fd, &bytes);
	ck_assert_ptr_nonnull(view);
	ck_assert_uint_eq(bytes, 0);
	memfd_leave(view, bytes);
	ck_assert_ptr_null(memfd_view(fileno(file), &bytes));
	close(fd);
	fclose(file);
}
END_TEST

Suite *
memfd_suite(void)
{
	Suite *suite = suite_create("memfd");
	TCase *tcase = tcase_create("memfd");

	tcase_add_test(tcase, what_one_map_writes_another_reads);
	tcase_add_test(tcase, nobody_can_change_its_size_or_its_seals);
	tcase_add_test(tcase, another_size_is_not_mapped);
	tcase_add_test(tcase, what_is_not_sealed_is_not_mapped);
	tcase_add_test(tcase, of_two_views_a_child_has_the_one_that_cannot_be_written);
	tcase_add_test(tcase, what_is_frozen_stays_as_it_is);
	tcase_add_test(tcase, what_is_empty_has_a_view_and_no_file_has_one);
	suite_add_tcase(suite, tcase);
	return suite;
}
