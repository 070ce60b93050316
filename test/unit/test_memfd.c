#include "common/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

Suite *
memfd_suite(void)
{
	Suite *suite = suite_create("memfd");
	TCase *tcase = tcase_create("memfd");

	tcase_add_test(tcase, what_one_map_writes_another_reads);
	tcase_add_test(tcase, nobody_can_change_its_size_or_its_seals);
	tcase_add_test(tcase, another_size_is_not_mapped);
	tcase_add_test(tcase, what_is_not_sealed_is_not_mapped);
	suite_add_tcase(suite, tcase);
	return suite;
}
