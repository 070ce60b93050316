#include <stdbool.h>
#include <string.h>

#include "common/addr.h"
#include "common/addrset.h"
#include "common/mem.h"
#include "common/must.h"
#include "test/fuzz/fuzz.h"

#define RULES_MAX 64

/* Lines: "+NETWORK" allows, "-NETWORK" denies, anything else is a peer that asks for entry. */
struct rule {
	struct addr net;
	unsigned bits;
	bool is_all, allow;
};

/* What the tree is measured by: a list, gone through from its start. */
struct model {
	struct rule rules[RULES_MAX];
	size_t count;
};

static bool
covers(const struct rule *rule, const struct addr *peer)
{
	if (rule->is_all)
		return true;
	if (rule->net.family != peer->family)
		return false;
	for (unsigned at = 0; at < rule->bits; at++)
		if (((rule->net.ip[at / 8] ^ peer->ip[at / 8]) >> (7 - at % 8) & 1) != 0)
			return false;
	return true;
}

static bool
model_allows(const struct model *model, const struct addr *peer)
{
	for (size_t i = 0; i < model->count; i++)
		if (covers(&model->rules[i], peer))
			return model->rules[i].allow;
	return true;
}

static void
add(struct addrset **set, struct model *model, bool allow, const char *text)
{
	struct rule rule = { .net.family = AF_UNIX, .is_all = strcmp(text, "all") == 0, .allow = allow };
	bool is_network = addr_parse_network(&rule.net, &rule.bits, text) == NULL;
	const struct addrset *before = *set;

	if (addrset_add(set, allow, text) != NULL) {
		MUST(*set == before && !is_network && !rule.is_all && strcmp(text, "unix:") != 0);
		return;
	}
	MUST(is_network || rule.is_all || strcmp(text, "unix:") == 0);
	MUST(!is_network || rule.bits <= addr_width(&rule.net));
	model->rules[model->count++] = rule;
}

static void
ask(const struct addrset *set, const struct model *model, const char *text)
{
	struct addr peer = { .family = AF_UNIX };

	if (addr_parse(&peer, text, strlen(text)) == 0 || strcmp(text, "unix:") == 0)
		MUST(addrset_allows(set, &peer) == model_allows(model, &peer));
}

/* The first and the last address of each network, where mistakes are made. */
static void
ask_edges(const struct addrset *set, const struct model *model)
{
	for (size_t i = 0; i < model->count; i++) {
		struct addr peer = model->rules[i].net;

		for (unsigned at = model->rules[i].bits; at < addr_width(&peer); at++)
			peer.ip[at / 8] &= (unsigned char)~(0x80 >> at % 8);
		MUST(addrset_allows(set, &peer) == model_allows(model, &peer));
		for (unsigned at = model->rules[i].bits; at < addr_width(&peer); at++)
			peer.ip[at / 8] |= (unsigned char)(0x80 >> at % 8);
		MUST(addrset_allows(set, &peer) == model_allows(model, &peer));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_strndup((const char *)data, size), *rest = NULL;
	struct model *model = mem_alloc(sizeof(*model));
	struct addrset *set = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		bool is_rule = line[0] == '+' || line[0] == '-';

		if (is_rule && model->count < RULES_MAX)
			add(&set, model, line[0] == '+', line + 1);
		else if (!is_rule)
			ask(set, model, line);
	}
	ask_edges(set, model);
	MUST(addrset_depth(set) <= 129);
	addrset_free(&set);
	MUST(set == NULL);
	mem_free(model);
	mem_free(text);
	return 0;
}
