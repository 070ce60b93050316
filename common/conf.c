#include "common/conf.h"

#include "common/addrset.h"
#include "common/arena.h"

void
conf_free(struct conf **confp)
{
	struct conf *conf = *confp;
	struct arena *arena;

	if (conf == NULL)
		return;
	*confp = NULL;
	addrset_free(&conf->debug_connections);
	arena = conf->arena;    /* `conf` is in it */
	arena_free(&arena);
}
