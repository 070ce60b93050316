#include <string.h>

#include "common/bequest.h"
#include "common/mem.h"
#include "common/must.h"
#include "master/heritage.h"
#include "test/fuzz/fuzz.h"

static void
look_at_fd(void *ctx, int fd)
{
	(void)ctx;
	MUST(fd > 2);
}

static void
look_at_zones(const struct bequest *zones)
{
	MUST(zones->count <= BEQUEST_MAX && !zones->taken);
	for (size_t i = 0; i < zones->count; i++) {
		const struct bequest_zone *zone = &zones->zones[i];

		MUST(memchr(zone->kind, '\0', sizeof(zone->kind)) != NULL && *zone->kind != '\0');
		MUST(memchr(zone->name, '\0', sizeof(zone->name)) != NULL && *zone->name != '\0');
		MUST(zone->secret_len <= sizeof(zone->secret));
	}
}

/* What was read whole is written as it was, but for bytes that mean nothing; that is read again. */
static void
write_again(const struct heritage *h)
{
	size_t size = heritage_size(h);
	unsigned char *bytes = mem_alloc(size), *twice = mem_alloc(size);
	struct heritage *again;

	MUST(heritage_write(h, bytes, size) == size);
	again = heritage_read(bytes, size);
	MUST(again != NULL && again->whole && heritage_size(again) == size);
	heritage_write(again, twice, size);
	MUST(memcmp(bytes, twice, size) == 0);
	heritage_free(&again);
	mem_free(bytes);
	mem_free(twice);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct heritage *h = heritage_read(data, size);

	if (h == NULL)
		return 0;
	MUST(h->parent > 0 && h->socket_count <= HERITAGE_SOCKETS_MAX && h->half <= 1);
	MUST(h->whole || (h->zones->count == 0 && !h->has_tickets));
	heritage_each_own_fd(h, look_at_fd, NULL);
	for (size_t i = 0; i < h->socket_count; i++)
		look_at_fd(NULL, h->sockets[i].fd);
	look_at_zones(h->zones);
	if (h->whole)
		write_again(h);
	heritage_free(&h);
	return 0;
}
