/*
 * bequest - zones that one master leaves to the next
 *
 * A list of zones with what they were made for and the secret of each. The old master
 * fills it with what it has, the new one claims from it what its configuration wants to
 * have: the same kind, name, sizes and parameters, of the same layout. The rest is closed.
 * Built on: mem, zone.
 */
#ifndef POSTERN_COMMON_BEQUEST_H
#define POSTERN_COMMON_BEQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/zone.h"

#define BEQUEST_KIND 32         /* bytes of the longest kind, and of the longest name, with their NUL */
#define BEQUEST_NAME 256
#define BEQUEST_SECRET 32       /* bytes of the longest secret */
#define BEQUEST_MAX 1024        /* zones */

struct bequest_zone {
	int fd;                 /* -1: claimed */
	uint32_t entry_bytes, key_bytes, secret_len;
	uint64_t bytes, parameters;
	char kind[BEQUEST_KIND], name[BEQUEST_NAME];
	unsigned char secret[BEQUEST_SECRET];
};

struct bequest {
	struct bequest_zone *zones;     /* owned array */
	size_t count;
	bool taken;             /* the descriptors are ours */
};

/* `taken`: what is added, and not claimed, is closed by bequest_free(). */
struct bequest *bequest_new(bool taken);

/* Forgets all secrets. NULL is fine; leaves NULL. */
void bequest_free(struct bequest **bequestp);

/* Appends a copy. */
void bequest_add(struct bequest *bequest, const struct bequest_zone *zone);

/* Appends a zone of ours, and its secret, if it has one. False if its name is too long, or there are too many. */
bool bequest_add_zone(struct bequest *bequest, const struct zone *zone, const void *secret, size_t secret_len);

/*
 * The zone that is left for `spec`, and its secret. NULL if there is none, or it cannot be
 * used. `bequest` may be NULL.
 */
struct zone *bequest_claim(struct bequest *bequest, const struct zone_spec *spec, void *secret, size_t secret_len);

/* Is there one of this kind and name that nobody has claimed? */
bool bequest_has(const struct bequest *bequest, const char *kind, const char *name);

#endif
