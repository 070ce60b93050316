#include "test/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

int
main(void)
{
	SRunner *runner = srunner_create(NULL);
	int failed, run;

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
