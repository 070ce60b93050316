#include "worker/seat.h"

#include "common/must.h"

void
seats_init(struct seats *s, unsigned connections, unsigned long long descriptors, unsigned in_use)
{
	unsigned long long left = descriptors > in_use ? descriptors - in_use : 0;

	s->used = 0;
	s->limit = left < connections ? (unsigned)left : connections;
	/* A house without room for anybody would never serve: the kernel has the last word then. */
	if (s->limit < SEAT_LOGIN)
		s->limit = SEAT_LOGIN;
}

bool
seats_free(const struct seats *s)
{
	return s->limit - s->used >= SEAT_LOGIN;
}

void
seats_take(struct seats *s, unsigned count)
{
	s->used += count;
	MUST(s->used <= s->limit);
}

void
seats_give(struct seats *s, unsigned count)
{
	MUST(s->used >= count);
	s->used -= count;
}
