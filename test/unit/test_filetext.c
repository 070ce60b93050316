#include "worker/helper/filetext.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test/unit/unit.h"

static int
file_of(const char *text, int seals)
{
	int fd = memfd_create("text", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

#define SEALED (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)

static const struct {
	const char *text;
	int seals;
	bool is_mapped;
} cases[] = {
	{ "joe:*\n", SEALED, true },
	{ "joe:*\n", F_SEAL_WRITE | F_SEAL_SHRINK, true },
	{ "joe:*\n", F_SEAL_WRITE, false },
	{ "joe:*\n", F_SEAL_SHRINK, false },
	{ "joe:*\n", 0, false },
	{ "", SEALED, true },
	{ "", 0, false },
};

START_TEST(what_cannot_change_is_mapped_and_the_rest_copied)
{
	int fd = file_of(cases[_i].text, cases[_i].seals);
	struct filetext text;

	ck_assert_int_eq(filetext_read(&text, fd, 100), 0);
	close(fd);
	ck_assert(text.is_mapped == cases[_i].is_mapped);
	ck_assert_uint_eq(text.len, strlen(cases[_i].text));
	ck_assert_mem_eq(text.bytes, cases[_i].text, text.len);
	filetext_reset(&text);
	ck_assert_ptr_null(text.bytes);
}
END_TEST

START_TEST(a_copy_survives_the_file_that_shrinks)
{
	int fd = file_of("joe:*\n", 0);
	struct filetext text;

	ck_assert_int_eq(filetext_read(&text, fd, 100), 0);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_mem_eq(text.bytes, "joe:*\n", 6);
	filetext_reset(&text);
	close(fd);
}
END_TEST

START_TEST(what_is_too_long_or_no_file_is_not_read)
{
	int fd = file_of("joe:*\n", SEALED), directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct filetext text;

	ck_assert_int_eq(filetext_read(&text, fd, 6), 0);
	filetext_reset(&text);
	ck_assert_int_eq(filetext_read(&text, fd, 5), -1);
	ck_assert_int_eq(errno, EFBIG);
	ck_assert_ptr_null(text.bytes);
	close(fd);
	ck_assert_int_eq(filetext_read(&text, fd, 6), -1);
	ck_assert_int_eq(errno, EBADF);
	ck_assert_int_eq(filetext_read(&text, directory, 1 << 20), -1);
	ck_assert_ptr_null(text.bytes);
	close(directory);
}
END_TEST

Suite *
filetext_suite(void)
{
	Suite *suite = suite_create("filetext");
	TCase *tcase = tcase_create("filetext");

	suite_add_tcase(suite, tcase);
	tcase_add_loop_test(tcase, what_cannot_change_is_mapped_and_the_rest_copied, 0, UNIT_COUNT(cases));
	tcase_add_test(tcase, a_copy_survives_the_file_that_shrinks);
	tcase_add_test(tcase, what_is_too_long_or_no_file_is_not_read);
	return suite;
}
