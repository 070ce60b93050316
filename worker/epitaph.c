#include "worker/epitaph.h"

#include <string.h>

#include "common/conf.h"
#include "common/log.h"
#include "common/mem.h"

#define USER_MAX 256

struct epitaph *
epitaph_new(const char *user, const struct addr *backend)
{
	static const struct addr nowhere;
	char shown[USER_MAX];
	struct epitaph *e;

	log_text(shown, sizeof(shown), user != NULL ? user : "", user != NULL ? strlen(user) : 0);
	e = mem_alloc(sizeof(*e) + strlen(shown) + 1);
	e->backend = backend != NULL ? *backend : nowhere;
	strcpy(e->user, shown);
	return e;
}

void
epitaph_decided(struct epitaph *e, const struct conf_source *source, bool cached)
{
	e->source = source != NULL ? source->index + 1 : 0;
	e->cached = source != NULL && cached;
}

const struct conf_source *
epitaph_source(const struct epitaph *e, struct conf_source *const *sources)
{
	return e->source > 0 ? sources[e->source - 1] : NULL;
}
