#include "common/authcache.h"

#define REFUSED_MIN 12288u      /* room for a bucket, and its zone's head */

struct zone_spec
authcache_spec(const char *name, size_t bytes, enum authcache_zone which)
{
	size_t refused = bytes / 4 > REFUSED_MIN ? bytes / 4 : REFUSED_MIN;
	struct zone_spec spec = {
		.kind = "auth_cache refused",
		.name = name,
		.bytes = refused,
		.entry_bytes = sizeof(struct authcache_entry),
		.key_bytes = AUTHCACHE_KEY,
	};

	if (which == AUTHCACHE_ACCEPTED) {
		spec.kind = "auth_cache accepted";
		spec.bytes = bytes > refused ? bytes - refused : 0;
	}
	return spec;
}
