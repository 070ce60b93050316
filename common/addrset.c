#include "common/addrset.h"

#include <string.h>

#include "common/addr.h"
#include "common/mem.h"
#include "common/num.h"

struct addrset {
	struct addrset *next;   /* owned */
	struct addr net;        /* AF_UNSPEC means "all" */
	unsigned bits;          /* length of the prefix */
	bool allow;
};

const char *
addrset_add(struct addrset **setp, bool allow, const char *text)
{
	struct addrset rule = { .net.family = AF_UNSPEC, .allow = allow };
	size_t len = strcspn(text, "/");

	if (strcmp(text, "unix:") == 0) {
		rule.net.family = AF_UNIX;
	} else if (strcmp(text, "all") != 0) {
		if (addr_parse(&rule.net, text, len) == -1)
			return "not an IP address";
		rule.bits = addr_width(&rule.net);
		if (text[len] == '/' && num_parse(text + len + 1, rule.bits, &rule.bits) == -1)
			return "prefix length out of range";
	}
	while (*setp != NULL)
		setp = &(*setp)->next;
	*setp = mem_dup(&rule, sizeof(rule));
	return NULL;
}

static bool
covers(const struct addrset *rule, const struct addr *peer)
{
	size_t whole = rule->bits / 8;
	unsigned char mask = (unsigned char)(0xff00u >> rule->bits % 8);

	if (rule->net.family == AF_UNSPEC)
		return true;
	/* On a byte boundary the mask is 0 and ip[whole] may lie past the end. */
	return rule->net.family == peer->family &&
	    memcmp(rule->net.ip, peer->ip, whole) == 0 &&
	    (mask == 0 || ((rule->net.ip[whole] ^ peer->ip[whole]) & mask) == 0);
}

bool
addrset_allows(const struct addrset *set, const struct addr *peer)
{
	for (; set != NULL; set = set->next)
		if (covers(set, peer))
			return set->allow;
	return true;
}

void
addrset_free(struct addrset **setp)
{
	for (struct addrset *rule; (rule = *setp) != NULL; mem_free(rule))
		*setp = rule->next;
}
