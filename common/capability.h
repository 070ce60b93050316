/*
 * capability - root, but for most of what root may do
 *
 * A process that must stay uid 0, because what it runs asks for that, is left with the
 * few capabilities that it needs; everything else is gone for good, for the programs that
 * it runs too. Spoken to the kernel directly, for it is two system calls. Built on: nothing.
 */
#ifndef POSTERN_COMMON_CAPABILITY_H
#define POSTERN_COMMON_CAPABILITY_H

#include <stdint.h>

/* A set of capabilities, by the numbers of linux/capability.h. */
#define CAPABILITY(number) (UINT64_C(1) << (number))

/*
 * Gives up every capability that is not in `kept`, and the way back through programs that
 * are run; of those in `kept` nothing is gained that is not there. Returns 0, or -1 with errno.
 */
int capability_keep(uint64_t kept);

#endif
