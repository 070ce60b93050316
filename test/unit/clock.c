#include "test/unit/clock.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t skipped_ms;

void
clock_skip_ms(uint64_t ms)
{
	skipped_ms += ms;
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	if (syscall(SYS_clock_gettime, clock, now) == -1)
		return -1;
	now->tv_sec += (time_t)(skipped_ms / 1000);
	now->tv_nsec += (long)(skipped_ms % 1000) * 1000000;
	if (now->tv_nsec >= 1000000000) {
		now->tv_nsec -= 1000000000;
		now->tv_sec++;
	}
	return 0;
}
