#include "test/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

int
main(void)
{
	SRunner *runner;
	int failed, run;

	/* Check ends a test after four seconds; on a machine that is busy with more than this that is no failure. */
	setenv("CK_DEFAULT_TIMEOUT", "60", 0);
	runner = srunner_create(NULL);

#define UNIT_ADD(module) srunner_add_suite(runner, module##_suite());
	UNIT_SUITES(UNIT_ADD)
#undef UNIT_ADD
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	run = srunner_ntests_run(runner);
	srunner_free(runner);
	printf("%d passed, %d failed\n", run - failed, failed);
	return failed == 0 && run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
