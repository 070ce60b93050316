/*
 * bucket - failures that are forgiven at a rate
 *
 * Pure. Each failure is a debt, of which so much is forgiven as time goes by; who owes as
 * many as may come at once has to wait. A debt may be taken back, should it turn out to be
 * none. Built on: nothing.
 */
#ifndef POSTERN_WORKER_BUCKET_H
#define POSTERN_WORKER_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed memory is a bucket that owes nothing. Whatever stands there is survived: others write it, too. */
struct bucket {
	uint64_t debt;          /* a failure is unit_s * 1000 of it, and a millisecond forgives `rate` */
	uint64_t at_ms;         /* when that was so */
};

struct bucket_terms {
	unsigned rate, unit_s;  /* so many failures in so many seconds are forgiven */
	unsigned burst;         /* so many may come at once */
};

/* Is there room for one more failure? */
bool bucket_has_room(const struct bucket *b, const struct bucket_terms *terms, uint64_t now_ms);

/* Owes one more; never more than fit. */
void bucket_charge(struct bucket *b, const struct bucket_terms *terms, uint64_t now_ms);

/* Owes one less. */
void bucket_refund(struct bucket *b, const struct bucket_terms *terms, uint64_t now_ms);

#endif
