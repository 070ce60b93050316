/*
 * watchdog - ends a process in which foreign code hangs
 *
 * Code that is stuck cannot be told to stop: no signal handler would help it, and its
 * locks stay locked. So a thread of its own watches the clock, and when an answer is not
 * there in time it kills the programs that the code has started, with those in their
 * process groups, and then the process. It takes no lock but its own and no memory. Built on: must.
 */
#ifndef POSTERN_WORKER_HELPER_WATCHDOG_H
#define POSTERN_WORKER_HELPER_WATCHDOG_H

#include <stdint.h>

/* Starts the thread; once a process. Returns 0, or an errno. */
int watchdog_raise(void);

/* Ends the process because nobody is left to answer, and what the code has started with it, if there is a dog. */
_Noreturn void watchdog_end(void);

/* Let it bite at a time of CLOCK_MONOTONIC; 0: never. */
void watchdog_set(uint64_t at_ms);

#endif
