#include "common/tlskept.h"

#include <string.h>

#include "common/mem.h"
#include "common/siphash.h"

static uint64_t
hash_of(const char *key)
{
	static const struct siphash_key fixed = { { 0, 0 } };

	return siphash(&fixed, key, strlen(key));
}

struct tlskept *
tlskept_find(const struct list *all, const char *key)
{
	uint64_t hash = hash_of(key);

	LIST_EACH(node, all) {
		struct tlskept *kept = LIST_ENTRY(node, struct tlskept, node);

		if (kept->hash == hash && strcmp(kept->key, key) == 0)
			return tlskept_hold(kept);
	}
	return NULL;
}

struct tlskept *
tlskept_add(struct list *all, char *key, void *thing, void (*destroy)(void *thing))
{
	struct tlskept *kept = mem_alloc(sizeof(*kept));

	*kept = (struct tlskept){
		.hash = hash_of(key), .key = key, .thing = thing, .destroy = destroy, .holds = 1,
	};
	list_add(all, &kept->node);
	return kept;
}

struct tlskept *
tlskept_hold(struct tlskept *kept)
{
	kept->holds++;
	return kept;
}

void
tlskept_drop(struct tlskept **keptp)
{
	struct tlskept *kept = *keptp;

	*keptp = NULL;
	if (kept == NULL || --kept->holds > 0)
		return;
	list_remove(&kept->node);
	kept->destroy(kept->thing);
	mem_free(kept->key);
	mem_free(kept);
}
