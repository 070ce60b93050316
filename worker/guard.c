#include "worker/guard.h"

#include <string.h>

#include "common/addrset.h"
#include "common/limitzone.h"
#include "common/mem.h"
#include "worker/bucket.h"
#include "worker/entry.h"
#include "worker/session.h"

#define SITE_FACTOR 16u         /* a /48 is worth so many clients: of failures, and of their forgiving */
#define KEYS_MAX 3              /* of one limit: the address, its site, the pair */

/* One bucket that an attempt concerns. */
struct stake {
	const struct conf_limit_zone *zone;
	unsigned char key[LIMITZONE_KEY];
	bool is_pair;           /* what is remembered of a pair that has logged in */
	bool is_site;
	bool charged;
};

/* What one attempt concerns, until it is known what came of it. */
struct guard {
	size_t count;
	struct stake stakes[];
};

static struct bucket_terms
terms_of(const struct stake *stake)
{
	unsigned factor = stake->is_site ? SITE_FACTOR : 1;

	return (struct bucket_terms){
		.rate = stake->zone->rate * factor, .unit_s = stake->zone->rate_unit_s,
		.burst = stake->zone->burst * factor,
	};
}

/* --- the entries; each is locked for a moment only --- */

struct look {
	bool known, has_room;
};

static struct look
look_at(const struct session *s, const struct stake *stake)
{
	struct bucket_terms terms = terms_of(stake);
	struct limitzone_failures *entry = zone_find(stake->zone->zone, s->shift->number, stake->key, false);
	struct look look = { .has_room = true };
	struct bucket bucket;

	if (entry == NULL)
		return look;
	bucket = (struct bucket){ entry->debt, entry->at_ms };
	look.known = entry->known != 0;
	zone_done(stake->zone->zone, s->shift->number, entry);
	look.has_room = bucket_has_room(&bucket, &terms, loop_now_ms(s->shift->loop));
	return look;
}

typedef void change(struct bucket *b, const struct bucket_terms *terms, uint64_t now_ms);

/* Charges, refunds (`how` NULL: neither), and remembers. Without an entry, and with none wanted, nothing happens. */
static void
update(const struct session *s, const struct stake *stake, change *how, bool make, bool remember)
{
	struct bucket_terms terms = terms_of(stake);
	struct limitzone_failures *entry = zone_find(stake->zone->zone, s->shift->number, stake->key, make);
	struct bucket bucket;

	if (entry == NULL)
		return;
	bucket = (struct bucket){ entry->debt, entry->at_ms };
	if (how != NULL)
		how(&bucket, &terms, loop_now_ms(s->shift->loop));
	entry->debt = bucket.debt;
	entry->at_ms = bucket.at_ms;
	entry->known |= remember;
	zone_done(stake->zone->zone, s->shift->number, entry);
}

/* --- what an attempt concerns --- */

static struct stake *
add(struct guard *g, const struct conf_limit_zone *zone, unsigned what, enum limitzone_net net, const struct addr *addr,
    const char *user)
{
	struct stake *stake = &g->stakes[g->count++];

	*stake = (struct stake){ .zone = zone, .is_site = net == LIMITZONE_SITE };
	limitzone_key(zone, (enum conf_limit_key)what, net, addr, user, stake->key);
	return stake;
}

/* Without a user's name, only addresses can be told apart. */
static void
add_limit(struct guard *g, const struct conf_limit_zone *zone, const struct addr *addr, const char *user)
{
	const unsigned pair = LIMIT_BY_ADDRESS | LIMIT_BY_USER;

	if (zone->key == LIMIT_BY_ADDRESS) {
		add(g, zone, zone->key, LIMITZONE_CLIENT, addr, NULL);
		if (addr->family == AF_INET6)
			add(g, zone, zone->key, LIMITZONE_SITE, addr, NULL);
	} else if (zone->key == LIMIT_BY_USER && user != NULL) {
		add(g, zone, zone->key, LIMITZONE_NONE, NULL, user);
	}
	if (user != NULL)
		add(g, zone, pair, LIMITZONE_CLIENT, addr, user)->is_pair = true;
}

static struct guard *
guard_new(const struct server *server, const struct addr *addr, const char *user)
{
	size_t limits = 0;
	struct guard *g;

	while (server->auth_limits[limits] != NULL)
		limits++;
	g = mem_alloc(sizeof(*g) + limits * KEYS_MAX * sizeof(g->stakes[0]));
	for (size_t i = 0; i < limits; i++)
		add_limit(g, server->auth_limits[i]->zone, addr, user);
	return g;
}

static bool
is_only_pair(const struct stake *stake)
{
	return stake->zone->key == (LIMIT_BY_ADDRESS | LIMIT_BY_USER);
}

/* Has the pair logged in before, as far as this stake's zone knows? */
static bool
is_known(const struct session *s, const struct guard *g, const struct conf_limit_zone *zone)
{
	for (size_t i = 0; i < g->count; i++)
		if (g->stakes[i].zone == zone && g->stakes[i].is_pair)
			return look_at(s, &g->stakes[i]).known;
	return false;
}

/*
 * A known pair has its own bucket and no other; before that it has those of its zone's key,
 * and of the pair only what is remembered.
 */
static bool
counts(const struct stake *stake, bool known)
{
	return is_only_pair(stake) || stake->is_pair == known;
}

/* Marks what is to be charged. False if one of them has no room. */
static bool
weigh(const struct session *s, struct guard *g)
{
	for (size_t i = 0; i < g->count; i++) {
		struct stake *stake = &g->stakes[i];

		stake->charged = counts(stake, is_known(s, g, stake->zone));
		if (stake->charged && !look_at(s, stake).has_room)
			return false;
	}
	return true;
}

static bool
is_exempt(const struct session *s)
{
	const struct server *server = session_server(s);

	return server->auth_limits == NULL ||
	    (server->unlimited != NULL && addrset_allows(server->unlimited, &s->addr));
}

static void
forget(struct session *s)
{
	mem_free(s->entry->guard);
	s->entry->guard = NULL;
}

bool
guard_admits(struct session *s, const struct credentials *credentials)
{
	const char *user = credentials->user != NULL && *credentials->user != '\0' ? credentials->user : NULL;
	struct guard *g;

	guard_unsaid(s);
	/* A recipient is no login. */
	if (credentials->method == METHOD_NONE || is_exempt(s))
		return true;
	g = guard_new(session_server(s), &s->addr, user);
	if (!weigh(s, g)) {
		mem_free(g);
		return false;
	}
	for (size_t i = 0; i < g->count; i++)
		if (g->stakes[i].charged)
			update(s, &g->stakes[i], bucket_charge, true, false);
	s->entry->guard = g;
	return true;
}

void
guard_log(struct session *s)
{
	session_log(s, LOG_INFO, "client login failed: \"too many failed logins\"");
}

void
guard_failed(struct session *s)
{
	forget(s);
}

static void
take_back(struct session *s, bool remember)
{
	struct guard *g = s->entry->guard;

	for (size_t i = 0; g != NULL && i < g->count; i++) {
		struct stake *stake = &g->stakes[i];
		bool keep = remember && stake->is_pair;

		if (stake->charged || keep)
			update(s, stake, stake->charged ? bucket_refund : NULL, keep, keep);
		stake->charged = false;
	}
}

void
guard_cleared(struct session *s)
{
	take_back(s, false);
}

void
guard_succeeded(struct session *s)
{
	take_back(s, true);
	forget(s);
}

void
guard_unsaid(struct session *s)
{
	take_back(s, false);
	forget(s);
}
