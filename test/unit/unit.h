/*
 * unit - what the unit tests share
 *
 * unit.c is the main() of every unit test binary; UNIT_SUITES, from the Makefile,
 * names the row of suites.h that it runs.
 */
#ifndef POSTERN_TEST_UNIT_UNIT_H
#define POSTERN_TEST_UNIT_UNIT_H

#include <check.h>

#include "test/unit/suites.h"

/* The rows of a table of cases, for tcase_add_loop_test(). */
#define UNIT_COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

#define UNIT_DECLARE(module) Suite *module##_suite(void);
UNIT_SUITES(UNIT_DECLARE)
#undef UNIT_DECLARE

#endif
