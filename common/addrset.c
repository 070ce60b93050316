#include "common/addrset.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/addr.h"
#include "common/mem.h"
#include "common/must.h"

/*
 * Rules are numbered as they come, from 1; the number and the verdict are one word, so that the
 * lesser word came first.
 */
#define RULE(number, allow) ((number) * 2u + (allow))
#define NO_RULE UINT32_MAX

/*
 * A node stands for a network. Its children lie within it, apart at its first bit that is
 * not the network's; what has two children, or a rule, is a node, and nothing else is.
 */
struct node {
	unsigned char ip[16];
	uint32_t bits;          /* of ip that count */
	uint32_t rule;          /* the first for exactly this network */
	uint32_t children[2];   /* in nodes; 0: none */
};

enum family { V4, V6, FAMILIES };

struct addrset {
	struct node *nodes;     /* owned; nodes[0] is nobody's */
	uint32_t count, size;
	uint32_t rules;
	uint32_t roots[FAMILIES];
	uint32_t unix_rule, all_rule;   /* the first for UNIX-domain peers, and for everybody */
};

static struct addrset *
new_set(void)
{
	struct addrset *set = mem_alloc(sizeof(*set));

	set->unix_rule = set->all_rule = NO_RULE;
	set->count = 1;
	return set;
}

static bool
bit_at(const unsigned char *ip, uint32_t at)
{
	return (ip[at / 8] >> (7 - at % 8) & 1) != 0;
}

/* How many bits, of `max` at most, two addresses begin with alike. */
static uint32_t
common_bits(const unsigned char *a, const unsigned char *b, uint32_t max)
{
	uint32_t whole = 0;

	while (whole < max / 8 && a[whole] == b[whole])
		whole++;
	for (uint32_t at = whole * 8; at < max; at++)
		if (bit_at(a, at) != bit_at(b, at))
			return at;
	return max;
}

/* There must be room. */
static uint32_t
new_node(struct addrset *set, const unsigned char *ip, uint32_t bits, uint32_t rule)
{
	struct node *node = &set->nodes[set->count];

	*node = (struct node){ .bits = bits, .rule = rule };
	memcpy(node->ip, ip, sizeof(node->ip));
	return set->count++;
}

/* Puts a node for what both have in common above the one at *at. */
static uint32_t
split(struct addrset *set, uint32_t *at, uint32_t bits)
{
	uint32_t below = *at;

	*at = new_node(set, set->nodes[below].ip, bits, NO_RULE);
	set->nodes[*at].children[bit_at(set->nodes[below].ip, bits)] = below;
	return *at;
}

static void
note(uint32_t *first, uint32_t rule)
{
	if (rule < *first)
		*first = rule;
}

static void
insert(struct addrset *set, uint32_t *at, const unsigned char *ip, uint32_t bits, uint32_t rule)
{
	while (*at != 0) {
		struct node *node = &set->nodes[*at];
		uint32_t common = common_bits(ip, node->ip, bits < node->bits ? bits : node->bits);

		if (common < node->bits)
			node = &set->nodes[split(set, at, common)];
		if (common == bits) {
			note(&node->rule, rule);
			return;
		}
		at = &node->children[bit_at(ip, common)];
	}
	*at = new_node(set, ip, bits, rule);
}

/* A rule takes two nodes at most: its own, and one above it. */
static void
make_room(struct addrset *set)
{
	const uint32_t more = 2;

	if (set->count + more <= set->size)
		return;
	set->size = 2 * set->size + more + 1;
	set->nodes = mem_resize(set->nodes, set->size * sizeof(*set->nodes));
}

const char *
addrset_add(struct addrset **setp, bool allow, const char *text)
{
	bool is_unix = strcmp(text, "unix:") == 0, is_all = strcmp(text, "all") == 0;
	struct addr net = { .family = AF_UNSPEC };
	unsigned bits = 0;
	const char *why = is_unix || is_all ? NULL : addr_parse_network(&net, &bits, text);
	struct addrset *set;
	uint32_t rule;

	if (why != NULL)
		return why;
	if (*setp == NULL)
		*setp = new_set();
	set = *setp;
	make_room(set);
	MUST(set->rules < UINT32_MAX / 4);
	rule = RULE(++set->rules, allow);
	if (is_all)
		note(&set->all_rule, rule);
	else if (is_unix)
		note(&set->unix_rule, rule);
	else
		insert(set, &set->roots[net.family == AF_INET ? V4 : V6], net.ip, bits, rule);
	return NULL;
}

/* The first rule for a network that the address lies in. */
static uint32_t
find(const struct addrset *set, uint32_t at, const unsigned char *ip, uint32_t width)
{
	uint32_t first = NO_RULE;

	while (at != 0) {
		const struct node *node = &set->nodes[at];

		if (common_bits(ip, node->ip, node->bits) < node->bits)
			break;
		note(&first, node->rule);
		if (node->bits == width)
			break;
		at = node->children[bit_at(ip, node->bits)];
	}
	return first;
}

bool
addrset_allows(const struct addrset *set, const struct addr *peer)
{
	uint32_t rule;

	if (set == NULL)
		return true;
	rule = set->all_rule;
	if (peer->family == AF_INET || peer->family == AF_INET6)
		note(&rule, find(set, set->roots[peer->family == AF_INET ? V4 : V6], peer->ip, addr_width(peer)));
	else if (peer->family == AF_UNIX)
		note(&rule, set->unix_rule);
	/* NO_RULE is odd, as the rules that allow are. */
	return (rule & 1) != 0;
}

/* Children lie within their parent, so this goes no deeper than an address has bits. */
static unsigned
depth_from(const struct addrset *set, uint32_t at)
{
	unsigned left, right;

	if (at == 0)
		return 0;
	left = depth_from(set, set->nodes[at].children[0]);
	right = depth_from(set, set->nodes[at].children[1]);
	return 1 + (left > right ? left : right);
}

unsigned
addrset_depth(const struct addrset *set)
{
	unsigned most = 0;

	for (int family = 0; set != NULL && family < FAMILIES; family++) {
		unsigned depth = depth_from(set, set->roots[family]);

		most = depth > most ? depth : most;
	}
	return most;
}

void
addrset_free(struct addrset **setp)
{
	if (*setp == NULL)
		return;
	mem_free((*setp)->nodes);
	mem_free(*setp);
	*setp = NULL;
}
