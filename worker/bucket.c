#include "worker/bucket.h"

static uint64_t
cost(const struct bucket_terms *terms)
{
	return (uint64_t)terms->unit_s * 1000;
}

static uint64_t
room(const struct bucket_terms *terms)
{
	return cost(terms) * terms->burst;
}

/* What is owed now. A clock that seems to have gone back forgives nothing. */
static uint64_t
owed(const struct bucket *b, const struct bucket_terms *terms, uint64_t now_ms)
{
	uint64_t debt = b->debt < room(terms) ? b->debt : room(terms);
	uint64_t past_ms = now_ms > b->at_ms ? now_ms - b->at_ms : 0;

	return past_ms > debt / terms->rate ? 0 : debt - past_ms * terms->rate;
}

bool
bucket_has_room(const struct bucket *b, const struct bucket_terms *terms, uint64_t now_ms)
{
	return owed(b, terms, now_ms) + cost(terms) <= room(terms);
}

void
bucket_charge(struct bucket *b, const struct bucket_terms *terms, uint64_t now_ms)
{
	uint64_t debt = owed(b, terms, now_ms) + cost(terms);

	b->debt = debt < room(terms) ? debt : room(terms);
	b->at_ms = now_ms;
}

void
bucket_refund(struct bucket *b, const struct bucket_terms *terms, uint64_t now_ms)
{
	uint64_t debt = owed(b, terms, now_ms);

	b->debt = debt > cost(terms) ? debt - cost(terms) : 0;
	b->at_ms = now_ms;
}
