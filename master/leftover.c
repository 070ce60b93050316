#include "master/leftover.h"

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/sockfile.h"

static bool is_shared;
static char **noted;            /* owned array of paths */
static size_t noted_count;

static void
note(const char *path)
{
	noted = mem_resize(noted, (noted_count + 1) * sizeof(*noted));
	noted[noted_count++] = mem_strdup(path);
}

void
leftover_remove(const char *path)
{
	if (is_shared)
		note(path);
	else if (unlink(path) == -1 && errno != ENOENT)
		log_say(LOG_EMERG, "unlink() \"%s\" failed %s", path, log_errno(errno));
}

void
leftover_share(bool shared)
{
	is_shared = shared;
	if (shared)
		return;
	for (size_t i = 0; i < noted_count; i++)
		sockfile_remove_stale(noted[i]);
	leftover_forget();
}

void
leftover_forget(void)
{
	for (size_t i = 0; i < noted_count; i++)
		mem_free(noted[i]);
	mem_free(noted);
	noted = NULL;
	noted_count = 0;
}
