/*
 * child - tests of what only another process can show
 *
 * What runs in a child answers by its exit status and asserts nothing: Check's own
 * messages belong to the test's process.
 */
#ifndef POSTERN_TEST_UNIT_CHILD_H
#define POSTERN_TEST_UNIT_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

/* Forks; the child calls run(data) and ends with its result as the exit status. */
pid_t child_start(int (*run)(void *data), void *data);

/* Waits for it. Returns the exit status, or the negated number of the signal that killed it. */
int child_wait(pid_t pid);

/* Both in one. */
int child_run(int (*run)(void *data), void *data);

/* Valgrind translates the program and can neither be traced nor locked in. */
bool child_in_valgrind(void);

#endif
