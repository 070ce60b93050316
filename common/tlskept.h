/*
 * tlskept - things that are kept by what they were made of
 *
 * A thing has a key, a text of everything that went into it: who comes with the same text
 * gets the same thing. It goes with the last who holds it. Built on: list, mem, siphash.
 */
#ifndef POSTERN_COMMON_TLSKEPT_H
#define POSTERN_COMMON_TLSKEPT_H

#include <stdint.h>

#include "common/list.h"

struct tlskept {
	struct list node;
	uint64_t hash;
	char *key;              /* owned */
	void *thing;            /* owned */
	void (*destroy)(void *thing);
	unsigned holds;
};

/* One more hold of the thing with this key, or NULL. */
struct tlskept *tlskept_find(const struct list *all, const char *key);

/* Takes `thing` and `key` (mem_*) over, with one hold. */
struct tlskept *tlskept_add(struct list *all, char *key, void *thing, void (*destroy)(void *thing));

struct tlskept *tlskept_hold(struct tlskept *kept);

/* Gives a hold back and leaves NULL. NULL is fine. */
void tlskept_drop(struct tlskept **keptp);

#endif
