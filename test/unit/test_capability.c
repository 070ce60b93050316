#include "common/capability.h"

#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "test/unit/child.h"
#include "test/unit/unit.h"

static const uint64_t kept = CAPABILITY(CAP_SETUID) | CAPABILITY(CAP_CHOWN);

/* A set of this process as the kernel shows it; all of them if it cannot be read. */
static uint64_t
set_of(const char *name)
{
	FILE *file = fopen("/proc/self/status", "re");
	uint64_t set = UINT64_MAX;
	char line[256];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			sscanf(line + strlen(name), ":%" SCNx64, &set);
	if (file != NULL)
		fclose(file);
	return set;
}

static int
keep(void *data)
{
	static const char *const names[] = { "CapPrm", "CapEff", "CapBnd" };
	uint64_t before = set_of("CapPrm");

	(void)data;
	if (capability_keep(kept) == -1)
		return 1;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (set_of(names[i]) != (before & kept))
			return 2;
	if (set_of("CapInh") != 0 || set_of("CapAmb") != 0)
		return 3;
	/* And there is no way back. */
	return capability_keep(UINT64_MAX) == 0 && set_of("CapEff") == (before & kept) ? 0 : 4;
}

START_TEST(what_is_not_kept_is_gone_for_good)
{
	if (geteuid() == 0)
		ck_assert_int_eq(child_run(keep, NULL), 0);
}
END_TEST

static int
run_a_program(void *data)
{
	/* Programs that root runs begin with all that the bounding set has. */
	static const char script[] =
	    "while read -r name set rest; do test $name = CapEff: && echo $((0x$set)) && break; done"
	    " < /proc/self/status | { read -r set; test $((set & ~$0)) = 0; }";
	char number[32];

	(void)data;
	snprintf(number, sizeof(number), "%" PRIu64, kept);
	if (capability_keep(kept) == -1)
		return 1;
	execl("/bin/sh", "sh", "-c", script, number, (char *)NULL);
	return 2;
}

START_TEST(programs_that_are_run_have_no_more)
{
	if (geteuid() == 0)
		ck_assert_int_eq(child_run(run_a_program, NULL), 0);
}
END_TEST

Suite *
capability_suite(void)
{
	Suite *suite = suite_create("capability");
	TCase *tcase = tcase_create("capability");

	tcase_add_test(tcase, what_is_not_kept_is_gone_for_good);
	tcase_add_test(tcase, programs_that_are_run_have_no_more);
	suite_add_tcase(suite, tcase);
	return suite;
}
