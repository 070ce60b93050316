#include "worker/epitaph.h"

#include <string.h>

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
