#include "common/bequest.h"

#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/must.h"

struct bequest *
bequest_new(bool taken)
{
	struct bequest *bequest = mem_alloc(sizeof(*bequest));

	bequest->taken = taken;
	return bequest;
}

void
bequest_free(struct bequest **bequestp)
{
	struct bequest *bequest = *bequestp;

	if (bequest == NULL)
		return;
	for (size_t i = 0; bequest->taken && i < bequest->count; i++)
		if (bequest->zones[i].fd != -1)
			close(bequest->zones[i].fd);
	if (bequest->zones != NULL)
		mem_wipe(bequest->zones, bequest->count * sizeof(*bequest->zones));
	mem_free(bequest->zones);
	mem_free(bequest);
	*bequestp = NULL;
}

void
bequest_add(struct bequest *bequest, const struct bequest_zone *zone)
{
	MUST(bequest->count < BEQUEST_MAX);
	/* All at once: what has secrets in it must not be moved. */
	if (bequest->zones == NULL)
		bequest->zones = mem_array(BEQUEST_MAX, sizeof(*bequest->zones));
	bequest->zones[bequest->count++] = *zone;
}

bool
bequest_add_zone(struct bequest *bequest, const struct zone *zone, const void *secret, size_t secret_len)
{
	const struct zone_spec *spec = zone_spec_of(zone);
	struct bequest_zone added = {
		.fd = zone_fd(zone), .entry_bytes = spec->entry_bytes, .key_bytes = spec->key_bytes,
		.secret_len = (uint32_t)secret_len, .bytes = spec->bytes, .parameters = spec->parameters,
	};

	MUST(secret_len <= sizeof(added.secret) && strlen(spec->kind) < sizeof(added.kind));
	if (bequest->count == BEQUEST_MAX || strlen(spec->name) >= sizeof(added.name))
		return false;
	strcpy(added.kind, spec->kind);
	strcpy(added.name, spec->name);
	if (secret_len > 0)
		memcpy(added.secret, secret, secret_len);
	bequest_add(bequest, &added);
	mem_wipe(added.secret, sizeof(added.secret));
	return true;
}

static bool
is_for(const struct bequest_zone *left, const struct zone_spec *spec, size_t secret_len)
{
	return left->fd != -1 && strcmp(left->kind, spec->kind) == 0 && strcmp(left->name, spec->name) == 0 &&
	    left->bytes == spec->bytes && left->entry_bytes == spec->entry_bytes &&
	    left->key_bytes == spec->key_bytes &&
	    left->parameters == spec->parameters && left->secret_len == secret_len;
}

struct zone *
bequest_claim(struct bequest *bequest, const struct zone_spec *spec, void *secret, size_t secret_len)
{
	for (size_t i = 0; bequest != NULL && i < bequest->count; i++) {
		struct bequest_zone *left = &bequest->zones[i];
		struct zone *zone;

		if (!is_for(left, spec, secret_len) || (zone = zone_open(left->fd, spec)) == NULL)
			continue;
		left->fd = -1;
		if (secret_len > 0)
			memcpy(secret, left->secret, secret_len);
		return zone;
	}
	return NULL;
}

bool
bequest_has(const struct bequest *bequest, const char *kind, const char *name)
{
	for (size_t i = 0; bequest != NULL && i < bequest->count; i++) {
		const struct bequest_zone *left = &bequest->zones[i];

		if (left->fd != -1 && strcmp(left->kind, kind) == 0 && strcmp(left->name, name) == 0)
			return true;
	}
	return false;
}
