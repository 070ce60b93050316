/*
 * capability - of all that root may do, no more than is needed
 *
 * A process that must stay uid 0, because what it runs asks for that, or one that has become
 * somebody else but for one right, is left with the few capabilities that it needs;
 * everything else is gone for good. Spoken to the kernel directly, for it is two system calls. Built on: nothing.
 */
#ifndef POSTERN_COMMON_CAPABILITY_H
#define POSTERN_COMMON_CAPABILITY_H

#include <stdint.h>

/* A set of capabilities, by the numbers of linux/capability.h. */
#define CAPABILITY(number) (UINT64_C(1) << (number))

/*
 * Gives up every capability that is not in `kept`; of those in it nothing is gained that is not
 * there. What programs have that root runs is another matter. Returns 0, or -1 with errno.
 */
int capability_limit(uint64_t kept);

/*
 * Gives up every capability that is not in `kept`, and the way back through programs that
 * are run; of those in `kept` nothing is gained that is not there. Returns 0, or -1 with errno.
 */
int capability_keep(uint64_t kept);

#endif
