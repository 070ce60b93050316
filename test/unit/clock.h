/*
 * clock - time that a test moves by itself
 *
 * In a binary that links clock.c, its clock_gettime() is what our code calls: the real
 * time, ahead by as much as the test has skipped. So nobody has to sleep for a timer.
 */
#ifndef POSTERN_TEST_UNIT_CLOCK_H
#define POSTERN_TEST_UNIT_CLOCK_H

#include <stdint.h>

void clock_skip_ms(uint64_t ms);

#endif
