/*
 * siphash - a hash that strangers cannot steer
 *
 * SipHash-2-4: who does not know the key cannot choose inputs that collide, so a table
 * whose keys come from strangers stays a table. Built on: nothing.
 */
#ifndef POSTERN_COMMON_SIPHASH_H
#define POSTERN_COMMON_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
	uint64_t half[2];       /* sixteen bytes, read as little-endian */
};

uint64_t siphash(const struct siphash_key *key, const void *bytes, size_t len);

#endif
