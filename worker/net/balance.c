#include "worker/net/balance.h"

#include "common/mem.h"
#include "common/must.h"

struct peer {
	struct balance_server is;
	int64_t credit;                 /* grows by `share` with each pick; who has most is next and pays for all */
	unsigned share;                 /* the weight, less after failures, growing back */
	unsigned fails;                 /* since `since_ms` */
	uint64_t since_ms;
	bool aside;                     /* it failed too often and has not been seen well since */
	uint64_t until_ms;              /* then: when it may be tried again */
};

struct balance {
	size_t count;
	struct peer peers[];
};

struct balance *
balance_new(const struct balance_server *servers, size_t count)
{
	struct balance *balance = mem_alloc(sizeof(*balance) + count * sizeof(balance->peers[0]));

	balance->count = count;
	for (size_t i = 0; i < count; i++) {
		MUST(servers[i].weight > 0);
		balance->peers[i] = (struct peer){ .is = servers[i], .share = servers[i].weight };
	}
	return balance;
}

void
balance_free(struct balance **balancep)
{
	mem_free(*balancep);
	*balancep = NULL;
}

static bool
is_well(const struct peer *peer, uint64_t now_ms)
{
	return !peer->aside || now_ms >= peer->until_ms;
}

/* The round among those not tried that are backups or not, and well or not. */
static struct peer *
pick_among(struct balance *balance, const bool *tried, bool backup, bool well, uint64_t now_ms)
{
	struct peer *best = NULL;
	int64_t total = 0;

	for (size_t i = 0; i < balance->count; i++) {
		struct peer *peer = &balance->peers[i];

		if (tried[i] || peer->is.backup != backup || is_well(peer, now_ms) != well)
			continue;
		peer->credit += peer->share;
		total += peer->share;
		if (peer->share < peer->is.weight)
			peer->share++;
		if (best == NULL || peer->credit > best->credit)
			best = peer;
	}
	if (best != NULL)
		best->credit -= total;
	return best;
}

size_t
balance_pick(struct balance *balance, bool *tried, uint64_t now_ms)
{
	struct peer *peer = pick_among(balance, tried, false, true, now_ms);

	if (peer == NULL)
		peer = pick_among(balance, tried, true, true, now_ms);
	if (peer == NULL)
		peer = pick_among(balance, tried, false, false, now_ms);
	if (peer == NULL)
		peer = pick_among(balance, tried, true, false, now_ms);
	if (peer == NULL)
		return BALANCE_NONE;
	if (peer->aside)                /* the others wait for what comes of this try */
		peer->until_ms = now_ms + peer->is.fail_timeout_ms;
	tried[peer - balance->peers] = true;
	return (size_t)(peer - balance->peers);
}

size_t
balance_left(const struct balance *balance, const bool *tried, uint64_t now_ms)
{
	size_t count = 0;

	for (size_t i = 0; i < balance->count; i++)
		count += !tried[i] && is_well(&balance->peers[i], now_ms);
	return count;
}

bool
balance_failed(struct balance *balance, size_t which, uint64_t now_ms)
{
	struct peer *peer = &balance->peers[which];
	unsigned loss;

	if (peer->is.max_fails == 0 || balance->count == 1)
		return false;
	if (peer->fails == 0 || now_ms - peer->since_ms > peer->is.fail_timeout_ms) {
		peer->fails = 0;
		peer->since_ms = now_ms;
	}
	peer->fails++;
	loss = peer->is.weight / peer->is.max_fails;
	peer->share -= loss < peer->share ? loss : peer->share;
	if (!peer->aside && peer->fails < peer->is.max_fails)
		return false;
	peer->until_ms = now_ms + peer->is.fail_timeout_ms;
	if (peer->aside)
		return false;
	peer->aside = true;
	return true;
}

bool
balance_worked(struct balance *balance, size_t which)
{
	struct peer *peer = &balance->peers[which];
	bool was_aside = peer->aside;

	peer->aside = false;
	if (was_aside)
		peer->fails = 0;
	return was_aside;
}
