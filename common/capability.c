#include "common/capability.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The bounding set is what a program run by root begins with. Its end is where the kernel knows no more. */
static int
bound(uint64_t kept)
{
	for (unsigned long number = 0; number < 64; number++) {
		int there = prctl(PR_CAPBSET_READ, number, 0, 0, 0);

		if (there == -1)
			return errno == EINVAL ? 0 : -1;
		if (there == 1 && (kept & CAPABILITY(number)) == 0 && prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == -1)
			return -1;
	}
	return 0;
}

int
capability_limit(uint64_t kept)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, sets) == -1)
		return -1;
	for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		sets[i].permitted &= (uint32_t)(kept >> 32 * i);
		sets[i].effective = sets[i].permitted;
		sets[i].inheritable = 0;
	}
	return syscall(SYS_capset, &header, sets) == -1 ? -1 : 0;
}

int
capability_keep(uint64_t kept)
{
	/* First, while there is CAP_SETPCAP. */
	return bound(kept) == -1 ? -1 : capability_limit(kept);
}
