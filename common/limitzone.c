#include "common/limitzone.h"

#include <string.h>

#include "common/mem.h"
#include "common/siphash.h"

_Static_assert(sizeof(struct siphash_key) * 2 == CONF_LIMIT_SECRET, "two hashes make a key");
_Static_assert(sizeof(uint64_t) * 2 == LIMITZONE_KEY, "two hashes make a key");

/* What is hashed: this, and the text behind it. */
struct head {
	uint8_t what, net, family, zero;
	unsigned char ip[16];
};

struct zone_spec
limitzone_spec(const struct conf_limit_zone *limit)
{
	static const struct siphash_key fixed = { { 0, 0 } };
	bool counts = limit->kind == LIMIT_CONN;
	const char *header = limit->header != NULL ? limit->header : "";

	return (struct zone_spec){
		.kind = counts ? "limit_conn" : "limit_auth",
		.name = limit->name,
		.bytes = limit->bytes,
		.entry_bytes = counts ? sizeof(struct limitzone_count) : sizeof(struct limitzone_failures),
		.key_bytes = LIMITZONE_KEY,
		.parameters = siphash(&fixed, header, strlen(header)) ^ limit->key,
	};
}

/* What of an address is left is zero behind its network. */
static void
add_address(struct head *head, enum limitzone_net net, const struct addr *addr)
{
	unsigned bytes = addr_width(addr) / 8;

	head->net = (uint8_t)net;
	head->family = (uint8_t)addr->family;
	if (addr->family == AF_INET6)
		bytes = net == LIMITZONE_SITE ? 6 : 8;
	memcpy(head->ip, addr->ip, bytes);
}

static void
fold(char *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] - 'A' + 'a') : text[i];
}

void
limitzone_key(const struct conf_limit_zone *limit, enum conf_limit_key what, enum limitzone_net net,
    const struct addr *addr, const char *text, unsigned char out[LIMITZONE_KEY])
{
	size_t len = text != NULL ? strlen(text) : 0;
	char *bytes = mem_alloc(sizeof(struct head) + len);
	struct head head = { .what = (uint8_t)what };
	struct siphash_key keys[2];
	uint64_t hashes[2];

	if (net != LIMITZONE_NONE)
		add_address(&head, net, addr);
	memcpy(bytes, &head, sizeof(head));
	fold(bytes + sizeof(head), text, len);
	memcpy(keys, limit->secret, sizeof(keys));
	for (int i = 0; i < 2; i++)
		hashes[i] = siphash(&keys[i], bytes, sizeof(head) + len);
	memcpy(out, hashes, LIMITZONE_KEY);
	mem_free(bytes);
}
