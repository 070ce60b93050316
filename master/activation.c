#include "master/activation.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "common/num.h"
#include "common/proc.h"
#include "master/inherited.h"

#define FIRST_FD 3
#define MAX_FDS 4096            /* more is a mistake, and would be said in as many lines */

/* How many descriptors are meant for us. */
static unsigned
count_fds(void)
{
	const char *pid_text = getenv("LISTEN_PID"), *count_text = getenv("LISTEN_FDS");
	unsigned pid, count;

	if (pid_text == NULL || count_text == NULL)
		return 0;
	if (num_parse(pid_text, INT_MAX, &pid) == 0 && (pid_t)pid != getpid())
		return 0;
	if (num_parse(pid_text, INT_MAX, &pid) == -1 || num_parse(count_text, MAX_FDS, &count) == -1) {
		log_say(LOG_WARN, "LISTEN_PID or LISTEN_FDS is not a number that can be, no socket is taken over");
		return 0;
	}
	return count;
}

void
activation_take(struct inherited *inherited)
{
	static const char *const variables[] = { "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID" };
	unsigned count = count_fds();

	for (unsigned i = 0; i < count; i++) {
		const char *why = inherited_add(inherited, FIRST_FD + (int)i, true);

		if (why != NULL)
			log_say(LOG_WARN, "descriptor %d of LISTEN_FDS %s, closed", FIRST_FD + (int)i, why);
	}
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		proc_unset(variables[i]);
}
